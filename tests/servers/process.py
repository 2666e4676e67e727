"""Starts a real server on an ephemeral port, in a directory of its own; stops it by its process.

Knows no particular server; `Server` and `find_program` are what the starters beside it use.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest

# Seconds until a server must answer its first real query; PostgreSQL takes 3 s on two loaded cores.
READY_S = 30.0
# Seconds between two tries: the only way to learn that a process is ready is to ask it.
RETRY_S = 0.02
STOP_S = 10.0
# Below net.ipv4.ip_local_port_range of Linux, 32768 to 60999; macOS begins later.
FIRST_PORT, PORTS, SHARES = 20_000, 12_000, 8
# Debian keeps daemons where users do not look.
EXTRA_PATH = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/local/bin")


def services_required() -> bool:
    """Return whether an absent server is a failure (CI) and not a skip."""
    return os.environ.get("REQUIRE_SERVICES") == "1"


def absent(what: str) -> None:
    """Skip the test, or fail it where servers are required."""
    reason = f"want {what}, got none on this machine"
    if services_required():
        pytest.fail(f"{reason}, and REQUIRE_SERVICES=1 forbids to skip", pytrace=False)
    pytest.skip(reason)


def find_program(name: str, *more: str) -> str:
    """Return the path of *name*, looked for in the directories *more* too; else skip or fail."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *EXTRA_PATH, *more))
    found = shutil.which(name, path=path)
    if found is None:
        absent(f"the program {name!r}")
        raise AssertionError("unreachable: absent() raises")
    return found


@cache
def _ports_of(pid: int) -> Iterator[int]:
    """Return the ports that one process of the tests takes, in turn, for ever.

    Another one takes others: between the choice of a port and its program there may be a second.
    """
    size = PORTS // SHARES
    first, begin = FIRST_PORT + pid % SHARES * size, secrets.randbelow(size)
    return cycle(first + (begin + at) % size for at in range(size))


def free_port() -> int:
    """Return a port that nobody has, outside of those that the system gives away by itself.

    One of those may belong to a connection of another test before a slow program binds it.
    """
    for port in _ports_of(os.getpid()):
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable: they have no end")


@dataclass
class Server:
    """A running server process.

    Attributes:
        host, port: where it answers.
        directory: its files, ``log`` among them.
    """

    process: subprocess.Popen[bytes]
    port: int
    directory: Path
    host: str = "127.0.0.1"

    @property
    def address(self) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port}"

    def log(self) -> str:
        """Return what the server has written so far."""
        return (self.directory / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End the process, and only it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)


def start(
    command: Sequence[str | Path],
    port: int,
    directory: Path,
    *,
    ready: Callable[[], object],
    user: str | None = None,
) -> Server:
    """Start *command* and wait until ``ready()`` returns without an OSError or ValueError.

    Args:
        command: program and arguments.
        port: which it was told to listen on.
        directory: of its files; the output goes to ``log`` there.
        ready: a real query.
        user: whom to run as, when we are root.
    """
    with (directory / "log").open("ab") as log:
        if user is not None:
            process = subprocess.Popen(
                list(map(str, command)), cwd=directory, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, user=user, group=user, extra_groups=[],
            )  # fmt: skip
        else:
            process = subprocess.Popen(
                list(map(str, command)), cwd=directory, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
    server = Server(process, port, directory)
    error = wait_until(ready, process)
    if error is not None:
        server.stop()
        pytest.fail(f"want {command[0]} to answer, got {error!r}:\n{server.log()[-4000:]}")
    return server


def wait_until(
    ready: Callable[[], object], process: subprocess.Popen[bytes] | None = None
) -> Exception | None:
    """Ask *ready* until it neither raises nor says False.

    Returns:
        The last error when time or process is over, else None.
    """
    deadline = time.monotonic() + READY_S
    error: Exception | None = None
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            if ready() is not False:
                return None
            error = ValueError("not ready")
        except (OSError, ValueError, subprocess.SubprocessError) as failure:
            error = failure
        with suppress(InterruptedError):
            time.sleep(RETRY_S)
    return error or ValueError("the process ended")


def converse(
    port: int, request: bytes, want: bytes, timeout_s: float = 2.0, *, to_the_end: bool = False
) -> bytes:
    """Send *request* to a port of this machine and return the answer, once it holds *want*.

    Args:
        port: of 127.0.0.1.
        request: what to send.
        want: what the answer must hold.
        timeout_s: of each step.
        to_the_end: read on until the server closes.

    Raises:
        OSError, ValueError: no answer, or another one.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(request)
        answer = b""
        while to_the_end or want not in answer:
            data = connection.recv(65536)
            if not data:
                break
            answer += data
    if want not in answer:
        raise ValueError(f"want {want!r}, got {answer[:80]!r}")
    return answer
