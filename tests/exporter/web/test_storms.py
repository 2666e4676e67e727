"""Slow and greedy clients, in a process of its own: the scrape must not notice."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import Any

import bcrypt
import pytest

from tests.exporter.web.support import request

Start = Callable[..., "Program"]
LOOPS = ["asyncio", "uvloop"]
pytestmark = pytest.mark.slow


class Program:
    """A serving process.

    Args:
        control: of `tests.exporter.web.program`, which forks it off.
        options: how it serves.
    """

    def __init__(self, control: socket.socket, options: dict[str, Any]) -> None:
        self._control = control
        self._code: int | None = None
        with ExitStack() as given:
            (read, self._input), (output, write) = os.pipe(), os.pipe()
            self._log = TemporaryFile()  # noqa: SIM115 - as below
            for number in (read, write):
                given.callback(os.close, number)
            fds = [read, write, self._log.fileno()]
            socket.send_fds(control, [json.dumps(options).encode()], fds)
        self._output = open(output, "rb")  # noqa: SIM115, PTH123 - closed by kill()
        self._pid = int(control.recv(100))
        self.port = int(self.line())
        self.context: ssl.SSLContext | None = None

    def tell(self, text: str) -> None:
        os.write(self._input, text.encode() + b"\n")

    def line(self) -> str:
        return self._output.readline().decode().strip()

    def end(self) -> tuple[dict[str, Any], list[str]]:
        """Stop it; return its counters and what it logged."""
        self.tell("end")
        told = self._output.read()
        self._code = int(self._control.recv(100))
        self._log.seek(0)
        log = self._log.read().decode()
        assert self._code == 0, log
        return json.loads(told), log.splitlines()

    def kill(self) -> None:
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)
            self._code = int(self._control.recv(100))
        os.close(self._input)
        self._output.close()
        self._log.close()

    def connect(self, timeout_s: float = 5.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def ask(self, path: str, **headers: str) -> tuple[int, bytes, float]:
        """Ask once; return status, body and seconds."""
        started = monotonic()
        plain = self.connect()
        context = self.context
        with context.wrap_socket(plain, server_hostname="localhost") if context else plain as sock:
            sock.sendall(request("GET", path, connection="close", **headers))
            received = b""
            while data := sock.recv(65536):
                received += data
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), body, monotonic() - started


@pytest.fixture(scope="module")
def control() -> Iterator[socket.socket]:
    """What forks the processes off: to start one from nothing takes 2 s."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.settimeout(15)
    command = [sys.executable, "-W", "error", "-m", "tests.exporter.web.program"]
    with here, there, subprocess.Popen(command, stdin=there.fileno()) as process:
        there.close()
        yield here
        here.close()
        assert process.wait(10) == 0


@pytest.fixture
def start(control: socket.socket) -> Iterator[Start]:
    with ExitStack() as ending:

        def start(**options: Any) -> Program:
            program = Program(control, options)
            ending.callback(program.kill)
            return program

        yield start


class Attack:
    """Clients that never finish their request and come back when they are thrown out."""

    def __init__(self, program: Program, clients: int, opening: bytes) -> None:
        self._program = program
        self._clients = clients
        self._opening = opening
        self._is_over = threading.Event()
        self.is_under_way = threading.Event()
        self.opened = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Attack":
        self._thread.start()
        assert self.is_under_way.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        socks: list[socket.socket] = []
        while not self._is_over.is_set():
            socks = [sock for sock in socks if not _is_closed(sock)]
            while len(socks) < self._clients and not self._is_over.is_set():
                with suppress(OSError):
                    socks.append(self._program.connect(1.0))
                    socks[-1].setblocking(False)
                    socks[-1].send(self._opening)
                    self.opened += 1
            self.is_under_way.set()
            self._is_over.wait(0.02)
        for sock in socks:
            sock.close()


def _is_closed(sock: socket.socket) -> bool:
    try:
        if sock.recv(100) == b"":
            sock.close()
            return True
    except BlockingIOError:
        return False
    except OSError:
        sock.close()
        return True
    return False


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "nofile", [pytest.param(4096, id="many files"), pytest.param(256, id="256 files")]
)
def test_e9_l9_p10_slow_headers_cannot_starve_the_scrape(
    start: Start, loop: str, nofile: int
) -> None:
    program = start(loop=loop, nofile=nofile)

    with Attack(program, 400, b"GET /metrics HTTP/1.1\r\nHost: loc") as attack:
        answers = [program.ask("/metrics") for _ in range(10)]
        answers += [program.ask("/-/healthy") for _ in range(5)]

    assert attack.opened >= 400
    assert [status for status, _, _ in answers] == [200] * 15
    assert max(seconds for _, _, seconds in answers) < 1.0
    counters, logged = program.end()
    assert len(logged) <= 10
    assert counters["requests"] == 15


@pytest.mark.parametrize("loop", LOOPS)
def test_p19_f33_a_stuck_loop_is_told_by_another_thread_on_the_same_port(
    start: Start, loop: str
) -> None:
    program = start(loop=loop)
    program.tell("block")
    assert program.line() == "blocked"
    scrape = program.connect()
    scrape.sendall(request("GET", "/metrics", connection="close"))

    first, again = program.ask("/-/healthy"), program.ask("/-/healthy")

    assert first[:2] == (200, b"Healthy")
    assert again[:2] == (200, b"Healthy")
    assert first[2] < 1.0
    assert again[2] < 0.5
    program.tell("free")
    assert program.line() == "freed"
    assert scrape.recv(100).startswith(b"HTTP/1.1 200 OK")
    scrape.close()
    assert program.ask("/metrics")[0] == 200
    assert program.end()[1] == []


@pytest.mark.parametrize("loop", LOOPS)
def test_a_stuck_loop_takes_no_endpoint_out_of_service(start: Start, loop: str) -> None:
    """The prober's own trouble: a load balancer is told what was found last."""
    program = start(loop=loop, endpoint="own")
    program.tell("block")
    assert program.line() == "blocked"

    answers = [program.ask(f"/healthz/chain/{name}") for name in ("eth/own", "own", "nobody")]

    assert [status for status, _, _ in answers] == [200, 200, 404]
    assert json.loads(answers[0][1])["outcome"] == "up"
    assert max(seconds for _, _, seconds in answers) < 1.0
    program.tell("free")
    assert program.line() == "freed"
    assert program.end()[0]["requests"] == 3


@pytest.mark.parametrize("loop", LOOPS)
def test_p19_a_loop_that_stands_for_more_than_ten_seconds_is_unhealthy(
    start: Start, loop: str
) -> None:
    program = start(loop=loop, lag_s=25)
    program.tell("block")
    assert program.line() == "blocked"

    status, body, _ = program.ask("/-/healthy")

    assert status == 503
    assert body.startswith(b"want an event loop that turns, got none for 2")
    program.tell("free")
    assert program.line() == "freed"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_stuck_loop_under_attack_is_still_told(start: Start, loop: str) -> None:
    program = start(loop=loop, nofile=256)
    program.tell("block")
    assert program.line() == "blocked"

    with Attack(program, 100, b"GET /metrics HTTP/1.1\r\nHost: loc"):
        answers = [program.ask("/-/healthy") for _ in range(5)]

    assert [status for status, _, _ in answers] == [200] * 5
    assert max(seconds for _, _, seconds in answers) < 1.5
    program.tell("free")
    assert program.line() == "freed"
    assert program.ask("/metrics")[0] == 200


@pytest.mark.parametrize("loop", LOOPS)
def test_p19_a_stuck_loop_is_told_over_tls_to_those_with_a_password(
    start: Start, loop: str, certificates: Path, tmp_path: Path
) -> None:
    config = tmp_path / "web.yml"
    config.write_text(
        f"tls_server_config: {{cert_file: {certificates}/server.pem, "
        f"key_file: {certificates}/server.key}}\n"
        f"basic_auth_users: {{prometheus: {bcrypt.hashpw(b'open', bcrypt.gensalt(4)).decode()}}}\n"
    )
    program = start(loop=loop, web_config=str(config))
    program.context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    right = "Basic " + base64.b64encode(b"prometheus:open").decode()
    program.tell("block")
    assert program.line() == "blocked"

    stranger = program.ask("/-/healthy")
    friend = program.ask("/-/healthy", authorization=right)
    scrape = program.ask("/metrics", authorization=right)

    assert stranger[0] == 401
    assert friend[:2] == (200, b"Healthy")
    assert scrape[:2] == (503, b"want an event loop that turns, got one that hangs\n")
    assert stranger[2] < 3
    assert friend[2] < 1
    program.tell("free")
    assert program.line() == "freed"
    assert program.ask("/metrics", authorization=right)[0] == 200
    assert program.end()[1] == []
