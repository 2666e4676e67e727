"""Real children of a load run, led by a small parent of the tests, and a small target for them.

The parent blocks: a test of the child needs no loop. Everything it starts it ends.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any

from scenarios.book import Book
from scenarios.codec import READ_BYTES, REPORTS, Decoder, encode
from scenarios.plan import Fences, Part, Plan, Pool, Stage
from scenarios.records import Final, Hello, Progress, Record, Secrets, Start

PACKAGES = str(Path(__file__).resolve().parents[2])
JOURNEY: Mapping[str, Any] = {"steps": [{"name": "home", "get": "/"}]}


def plan(target: str = "http://127.0.0.1:1", **keys: Any) -> Plan:
    """Return a plan for one shard: open, 40/s for a second."""
    made = Plan(
        run_id="r1",
        scenario="it",
        target=target,
        model="open",
        stages=(Stage(1.0, 40.0, 40.0),),
        mix=(Part("shop"),),
        pool=Pool(2, 20),
        graceful_stop_s=2.0,
        journeys={"shop": JOURNEY},
        fences=Fences(allow=("127.0.0.1/32",)),
    )
    return replace(made, **keys)


class Target(ThreadingHTTPServer):
    """Answers each GET, as `answer` says; counts them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.paths: list[str] = []
        self.came_at: list[float] = []
        self.statuses: dict[str, int] = {}
        self.open = threading.Event()
        """Cleared: nobody is answered."""
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever hangs up does so on purpose here."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Target

    def do_GET(self) -> None:
        target = self.server
        target.paths.append(self.path)
        target.came_at.append(monotonic())
        target.open.wait(20)
        body = json.dumps({"token": "abc", "path": self.path}).encode()
        self.send_response(target.statuses.get(self.path.partition("?")[0], 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"user={len(target.paths)}")
        self.end_headers()
        self.wfile.write(body)

    do_DELETE = do_GET  # noqa: N815 - of the base class

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def target() -> Iterator[Target]:
    """A server that answers until the end of the block."""
    with Target() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.open.set()
            server.shutdown()
            thread.join()


class Child:
    """One child of a run, and what it has said so far."""

    def __init__(self, made: Plan, place: Path, shard: int = 0, secrets: Secrets | None = None):
        place.mkdir(parents=True, exist_ok=True)
        (place / "plan.json").write_text(made.to_json())
        self.place = place
        self.records: list[Record] = []
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(60)
        self.end = ours
        self._decoder = Decoder(REPORTS)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": PACKAGES,
            "SONDE_FD": str(its.fileno()),
            "SONDE_PARENT": str(os.getpid()),
            "SONDE_SHARD": str(shard),
        }
        environ |= {key: it for key, it in os.environ.items() if key.startswith("COVERAGE")}
        with its, (place / "err").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scenarios.worker", "shard"],
                cwd=place,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(its.fileno(),),
                process_group=0,
            )
        self.say(secrets or Secrets({}, {}))

    def say(self, record: Record) -> None:
        for part in encode(record):
            self.end.send(part)

    def hear(self) -> Record | None:
        """Return the next record; None: it has hung up."""
        while data := self.end.recv(READ_BYTES):
            record = self._decoder.feed(data)
            if record is not None:
                self.records.append(record)
                return record
        return None

    def until(self, kind: type[Any]) -> Any:
        """Return the next record of a kind."""
        while (record := self.hear()) is not None:
            if isinstance(record, kind):
                return record
        raise AssertionError(f"want {kind.__name__}, got {(self.place / 'err').read_text()}")

    def start(self) -> float:
        """Wait until it is ready, and let it begin."""
        self.until(Hello)
        t0 = monotonic() + 0.05
        self.say(Start(t0))
        return t0

    def finish(self) -> Final:
        """Hear it out, and return its last word."""
        found = self.until(Final)
        assert isinstance(found, Final)
        assert self.process.wait(10) == 0
        return found

    @property
    def progress(self) -> list[Progress]:
        return [it for it in self.records if isinstance(it, Progress)]

    @property
    def book(self) -> Book:
        """What its result file holds."""
        return Book.from_dict(self.result["book"])

    @property
    def result(self) -> Any:
        return json.loads((self.place / "result-0.json").read_text())

    def close(self) -> None:
        self.end.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def child(made: Plan, place: Path, secrets: Secrets | None = None) -> Iterator[Child]:
    """A child that is gone at the end of the block."""
    it = Child(made, place, secrets=secrets)
    try:
        yield it
    finally:
        it.close()
