"""A real Redis: clear text and TLS, an access control list with one user for each case.

| user | password | may |
|---|---|---|
| default | none | everything |
| probe | pw-probe | ping, info, get, type of ``health:*`` |
| pinger | pw-pinger | ping alone |
"""

from pathlib import Path

from tests.servers.process import Server, converse, find_program, free_port, start

USERS = """
user default on nopass ~* &* +@all
user probe on >pw-probe ~health:* -@all +ping +info +get +type +cluster|info +select
user pinger on >pw-pinger -@all +ping +select
"""


class Redis(Server):
    """A running Redis; ``tls_port`` speaks TLS, client certificates are optional."""

    tls_port: int = 0

    def command(self, *words: str) -> bytes:
        """Send one command as the default user and return the raw answer."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in words)
        return converse(self.port, request.encode(), b"\r\n")


def start_redis(directory: Path, certificates: Path, *options: str) -> Redis:
    """Start Redis with the words *options* appended to its command line."""
    program = find_program("redis-server")
    (directory / "users.acl").write_text(USERS)
    port, tls_port = free_port(), free_port()
    command = [
        program, "--port", str(port), "--tls-port", str(tls_port), "--bind", "127.0.0.1",
        "--save", "", "--appendonly", "no", "--dir", str(directory), "--daemonize", "no",
        "--tls-cert-file", str(certificates / "server.pem"),
        "--tls-key-file", str(certificates / "server.key"),
        "--tls-ca-cert-file", str(certificates / "ca.pem"), "--tls-auth-clients", "optional",
        "--aclfile", str(directory / "users.acl"), *options,
    ]  # fmt: skip
    running = start(command, port, directory, ready=lambda: converse(port, b"PING\r\n", b"+PONG"))
    server = Redis(running.process, port, directory)
    server.tls_port = tls_port
    return server
