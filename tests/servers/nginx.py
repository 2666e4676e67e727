"""A real nginx: clear text, TLS with HTTP/2, and TLS that wants a client certificate."""

from pathlib import Path

from tests.servers.process import Server, converse, find_program, free_port, start

CONFIG = """
daemon off; master_process off; pid {d}/pid; error_log stderr notice;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; default_type text/plain;
  client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3;
  uwsgi_temp_path {d}/t4; scgi_temp_path {d}/t5;
  gzip on; gzip_types text/plain application/json; gzip_min_length 1; gzip_proxied any;
  keepalive_timeout 5;
  ssl_certificate {c}/server.pem; ssl_certificate_key {c}/server.key;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl http2;
    root {d}/www;
    location = /moved {{ return 302 /hello.txt; }}
    location = /away {{ return 302 https://127.0.0.1:{mutual}/; }}
    location = /health {{
      default_type application/json;
      return 200 '{{"status": "healthy", "checks": {{"db": "pass"}}}}';
    }}
    location = /broken {{ return 503 'out of order'; }}
    location = /empty {{ return 204; }}
    location = /echo {{ return 200 "$request_method $http_user_agent $http_x_probe"; }}
  }}
  server {{
    listen 127.0.0.1:{mutual} ssl;
    ssl_client_certificate {c}/ca.pem; ssl_verify_client on;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ return 200 "hello $ssl_client_s_dn"; }}
  }}
  server {{
    listen 127.0.0.1:{old} ssl;
    ssl_protocols TLSv1.2;
    location / {{ return 200 "TLS 1.2 only"; }}
  }}
}}
"""
# Big enough for many frames and chunks, small enough for the body cap of 1 MiB.
BIG_LINES = 20_000


class Nginx(Server):
    """A running nginx. ``port`` is clear text."""

    tls_port: int = 0
    """TLS, HTTP/1.1 and HTTP/2."""
    mutual_port: int = 0
    """TLS that wants a client certificate."""
    old_port: int = 0
    """TLS 1.2 and nothing newer."""


def start_nginx(directory: Path, certificates: Path) -> Nginx:
    """Start nginx over files in *directory*."""
    program = find_program("nginx")
    (directory / "www").mkdir()
    # workers of a root master run as nobody; we have none, but the path must be readable anyway
    directory.chmod(0o755)
    (directory / "www" / "hello.txt").write_text("hello world\n")
    (directory / "www" / "big.txt").write_text("a line of the big file\n" * BIG_LINES)
    plain, tls, mutual, old = (free_port() for _ in range(4))
    config = directory / "nginx.conf"
    ports = {"plain": plain, "tls": tls, "mutual": mutual, "old": old}
    config.write_text(CONFIG.format(d=directory, c=certificates, **ports))
    running = start(
        [program, "-p", directory, "-c", config, "-e", "stderr"],
        plain,
        directory,
        ready=lambda: converse(
            plain, b"GET /hello.txt HTTP/1.0\r\nHost: x\r\n\r\n", b"hello world"
        ),
    )
    server = Nginx(running.process, plain, directory)
    server.tls_port, server.mutual_port, server.old_port = tls, mutual, old
    return server
