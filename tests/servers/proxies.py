"""Real proxies: tinyproxy with and without a user, proxy.py behind TLS, Dante for SOCKS."""

import socket
import sys
from pathlib import Path

from tests.servers.process import Server, converse, find_program, free_port, start

USER, PASSWORD = "anna", "s3cret"
TINYPROXY = """
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 30
MaxClients 20
LogLevel Info
{login}
"""
DANTED = """
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 192.0.2.0/24 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect }}
"""


def start_tinyproxy(directory: Path, *, login: bool = False) -> Server:
    """Start tinyproxy; with *login* it wants `USER` and `PASSWORD`."""
    program, port, config = find_program("tinyproxy"), free_port(), directory / "tinyproxy.conf"
    config.write_text(TINYPROXY.format(port=port, login=f"BasicAuth {USER} {PASSWORD}" * login))
    request = b"GET http://tinyproxy.stats/ HTTP/1.0\r\n\r\n"
    return start(
        [program, "-d", "-c", config],
        port,
        directory,
        ready=lambda: converse(port, request, b"HTTP/"),
    )


def start_danted(directory: Path) -> Server:
    """Start Dante, which refuses 192.0.2.0/24."""
    program, port, config = find_program("danted"), free_port(), directory / "danted.conf"
    config.write_text(DANTED.format(port=port))
    return start(
        [program, "-f", config, "-p", directory / "pid"],
        port,
        directory,
        ready=lambda: converse(port, b"\x05\x01\x00", b"\x05\x00"),
    )


def start_proxy_py(directory: Path, certificates: Path) -> Server:
    """Start proxy.py behind TLS; it wants `USER` and `PASSWORD`."""
    port = free_port()
    command: list[str | Path] = [
        sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port),
        "--cert-file", certificates / "server.pem", "--key-file", certificates / "server.key",
        "--basic-auth", f"{USER}:{PASSWORD}", "--num-workers", "1", "--num-acceptors", "1",
        "--data-dir", directory,
    ]  # fmt: skip

    def ready() -> None:
        # the TLS of it is left to the tests: that it takes connections is enough
        socket.create_connection(("127.0.0.1", port), timeout=1).close()

    return start(command, port, directory, ready=ready)
