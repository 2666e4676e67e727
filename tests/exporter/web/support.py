"""A backend whose every answer a test can set, and a client that speaks bytes."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from exporter.exposition.scrape import PageQuery, content_type
from exporter.exposition.stream import Page
from exporter.on_demand.question import Question
from exporter.on_demand.recent import Recent, Run
from probes.errors import Problem
from probes.kind import Kind
from probes.probe import Probe
from probes.recorder import Recorder
from probes.result import Failure, Outcome, Reason, Result


class Nothing(Kind):
    """Check nothing."""

    name = "nothing"

    async def run(self, target: str, recorder: Recorder) -> None: ...


def make_probe(name: str = "frontend", **settings: Any) -> Probe:
    return Probe(
        name=name, kind=Nothing(), target="https://u:secret1@example.org/x?t=1", **settings
    )


def make_result(name: str, outcome: Outcome = Outcome.UP, **settings: Any) -> Result:
    failure = None
    if outcome in (Outcome.DOWN, Outcome.UNKNOWN):
        failure = Failure(Reason.STATUS, "want 2xx, got 500", "http")
    return Result(
        probe=name,
        kind="nothing",
        target="https://example.org/x",
        outcome=outcome,
        started_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        seconds=0.25,
        failure=failure,
        **settings,
    )


@dataclass
class Pages:
    """Pages of metrics: ``pieces`` as they are, or whatever ``failure`` says."""

    pieces: Sequence[bytes] = (b"up 1\n", b"down 0\n")
    failure: Exception | None = None
    busy: Exception | None = None
    encoding: str | None = None
    queries: list[PageQuery] = field(default_factory=list)

    def page(self, query: PageQuery) -> Page:
        self.queries.append(query)
        if self.busy is not None:
            raise self.busy
        return Page(content_type(openmetrics=query.openmetrics), self.encoding, self.chunks)

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
            await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure


@dataclass
class FakeBackend:
    """What the service would be."""

    version: str = "1.2.3"
    probes: Sequence[Probe] = ()
    metrics: Pages = field(default_factory=Pages)
    admin_token: str | None = None
    hosts: Sequence[str] = ()
    open_health: bool = False
    ready: tuple[bool, str] = (True, "")
    results: dict[str, Result] = field(default_factory=dict)
    states: dict[str, Outcome] = field(default_factory=dict)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    reloads: int = 0
    reload_error: Exception | None = None
    reload_news: Sequence[Problem] = ()
    tick: float | None = None
    kept: Sequence[tuple[Probe, object, object]] = ()
    asked: list[Question] = field(default_factory=list)
    ask_page: bytes = b"probe_success 1\n"
    ask_error: Exception | None = None
    ask_gate: asyncio.Event | None = None
    given_up: int = 0
    runs: Recent = field(default_factory=Recent)

    @property
    def last_tick(self) -> float:
        return monotonic() if self.tick is None else self.tick

    def readiness(self) -> tuple[bool, str]:
        return self.ready

    def last_result(self, name: str) -> Result | None:
        return self.results.get(name)

    def state(self, name: str) -> Outcome | None:
        return self.states.get(name)

    def memories(self) -> Sequence[tuple[Probe, object, object]]:
        return self.kept

    async def ask(self, question: Question) -> bytes:
        self.asked.append(question)
        if self.ask_error is not None:
            raise self.ask_error
        if self.ask_gate is not None:
            try:
                await self.ask_gate.wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        return b"Logs for the probe:\n" if question.debug else self.ask_page

    async def account(self, run: Run) -> bytes:
        return f"account of run {run.number}".encode()

    async def config_text(self) -> bytes:
        return b"modules: {}\n"

    async def reload(self) -> Sequence[Problem]:
        self.reloads += 1
        if self.reload_error is not None:
            raise self.reload_error
        return self.reload_news

    def count_request(self, handler: str, code: str) -> None:
        self.requests[handler, code] += 1

    def count_rejected(self, reason: str) -> None:
        self.rejected[reason] += 1


@dataclass(frozen=True)
class Reply:
    """An answer as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection that sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, method: str, path: str, **headers: str) -> Reply:
        await self.send(request(method, path, **headers))
        return await self.reply(head_only=method == "HEAD")

    async def reply(self, *, head_only: bool = False) -> Reply:
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").strip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (one.partition(": ") for one in rest)}
        if head_only:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = await self._chunked()
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = await self.reader.read()
        return Reply(int(line.split()[1]), headers, body)

    async def ended(self) -> bool:
        """Wait until the other side closes; tell whether nothing came before that."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return

    async def _chunked(self) -> bytes:
        body = b""
        while True:
            size = int(await self.reader.readline(), 16)
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
            if not size:
                return body


def request(method: str, path: str, **headers: str) -> bytes:
    """Return a request; ``Host: localhost`` unless told otherwise (``host=""`` leaves it out)."""
    lines = [f"{method} {path} HTTP/1.1"]
    headers = {"host": "localhost", **headers}
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
