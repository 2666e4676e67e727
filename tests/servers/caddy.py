"""A real Caddy: HTTP/1.1, HTTP/2 and HTTP/3 on one port of 127.0.0.1."""

import ssl
import urllib.request
from pathlib import Path

from tests.servers.process import Server, find_program, free_port, start

CONFIG = """
{{
  auto_https off
  admin off
  default_bind 127.0.0.1
  default_sni localhost
  skip_install_trust
  servers {{
    strict_sni_host insecure_off
  }}
}}
https://localhost:{port}, https://127.0.0.1:{port}, https://other.test:{port} {{
  tls {c}/server.pem {c}/server.key
  encode gzip
  header /hello Last-Modified "Sun, 22 Nov 2020 03:07:03 GMT"
  respond /hello "hello world"
  respond /broken "out of order" 503
  respond /echo "{{http.request.method}} {{http.request.uri}} {{http.request.header.x-probe}} {{http.request.body}}"
  redir /moved /hello 302
  redir /plain http://127.0.0.1:{port}/hello 302
  redir /loop /loop 302
  root /big.txt {d}
  file_server /big.txt
}}
https://mutual.test:{port} {{
  tls {c}/server.pem {c}/server.key {{
    client_auth {{
      mode require_and_verify
      trusted_ca_cert_file {c}/ca.pem
    }}
  }}
  respond "who is there"
}}
"""  # noqa: E501 - one directive, one line
# Beyond the cap of 1 MiB on a body.
BIG_LINES = 60_000


def start_caddy(directory: Path, certificates: Path) -> Server:
    """Start Caddy over files in *directory*; ``mutual.test`` wants a client certificate."""
    program = find_program("caddy")
    (directory / "big.txt").write_text("a line of the big file\n" * BIG_LINES)
    port = free_port()
    config = directory / "Caddyfile"
    config.write_text(CONFIG.format(c=certificates, d=directory, port=port))
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))

    def ready() -> None:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/hello", context=context) as answer:
            answer.read()

    homes = {name: str(directory) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    command: list[str | Path] = [
        "env", *[f"{name}={path}" for name, path in homes.items()], program,
        "run", "--config", config, "--adapter", "caddyfile",
    ]  # fmt: skip
    return start(command, port, directory, ready=ready)
