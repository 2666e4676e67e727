"""HTTP/3 over QUIC, by libcurl inside our loop: the only room that imports pycurl."""
