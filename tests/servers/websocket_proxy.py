"""A real nginx in front of a websocket server: plain and TLS, a redirect, a page that is none."""

from pathlib import Path

from tests.servers.process import Server, converse, find_program, free_port, start

CONFIG = """
daemon off; master_process off; pid {d}/pid; error_log stderr notice;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3;
  uwsgi_temp_path {d}/t4; scgi_temp_path {d}/t5;
  ssl_certificate {c}/server.pem; ssl_certificate_key {c}/server.key;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    location = /moved {{ return 302 /ws; }}
    location = /away {{ return 307 wss://127.0.0.1:{tls}/ws; }}
    location = /round {{ return 302 /round; }}
    location = /page {{ return 200 "no websocket"; }}
    location = /ws {{
      proxy_pass http://127.0.0.1:{behind};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
  }}
}}
"""


class WebsocketProxy(Server):
    """A running nginx. ``port`` is clear text."""

    tls_port: int = 0
    """TLS."""
    behind: int = 0
    """Port that the server behind it must listen on."""


def start_websocket_proxy(directory: Path, certificates: Path) -> WebsocketProxy:
    """Start nginx; what is behind it comes and goes with each test."""
    program = find_program("nginx")
    directory.chmod(0o755)
    plain, tls, behind = (free_port() for _ in range(3))
    config = directory / "nginx.conf"
    ports = {"plain": plain, "tls": tls, "behind": behind}
    config.write_text(CONFIG.format(d=directory, c=certificates, **ports))
    running = start(
        [program, "-p", directory, "-c", config, "-e", "stderr"],
        plain,
        directory,
        ready=lambda: converse(plain, b"GET /page HTTP/1.0\r\nHost: x\r\n\r\n", b"no websocket"),
    )
    server = WebsocketProxy(running.process, plain, directory)
    server.tls_port, server.behind = tls, behind
    return server
