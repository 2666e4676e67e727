"""One fake shop, many ways to play against it: what every driver of journeys must tell alike.

    Asked ──> Fake.answer ──> Said      one request, and what it is answered, without any transport
    DRIVERS                             how a journey is played against a fake
    told(played, fake)                  what must not depend on the driver

A driver joins by one line in `DRIVERS`. Knows no journey: those stand in `test_conformance`.
"""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from probes.journey.driver import Driver, drive
from probes.journey.model import Played, Request, Response, StepResult
from probes.journey.playing.play import Context, play
from probes.journey.steps import Journey
from probes.result import Failure, Reason
from probes.wire.http.options import HTTP1_ALPN, Options
from tests.probes.journey import memory

# Headers of which each driver sends its own.
OWN = frozenset({"host", "connection", "content-length", "accept-encoding", "user-agent", "accept"})
# Those of answers that only a real server sends.
OTHER = "127.0.0.2"
NO_BODY = (204, 304)
PAGE = """<!doctype html><title>Shop</title><h1>Welcome</h1><form id="login" action="/login">
<input name="csrf" value="c-12345678"></form><ul><li class="item">lamp<li class="item">chair</ul>"""
BIG = 64 * 1024
GARBAGE = b"\x00\x01 no HTTP at all\r\n\r\n"


@dataclass(frozen=True)
class Asked:
    """A request as it came: names of headers in lower case, none of `OWN`."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))


@dataclass(frozen=True)
class Said:
    """An answer; ``fault`` is what goes wrong with it on the wire."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay_s: float = 0.0
    fault: str = ""


def said(body: Any, status: int = 200, *headers: tuple[str, str]) -> Said:
    return Said(status, (("Content-Type", "application/json"), *headers), json.dumps(body).encode())


def went(to: str, status: int = 302, *headers: tuple[str, str]) -> Said:
    return Said(status, (("Location", to), *headers))


@dataclass
class Fake:
    """The shop: one for each play. ``asked`` is what came, in order."""

    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        word, *rest = unquote(urlsplit(asked.path).path).strip("/").split("/")
        return getattr(self, f"_{word.replace('-', '_')}", self._nothing)(asked, *rest)

    def _nothing(self, asked: Asked, *_: str) -> Said:
        return said({"title": "not found"}, 404)

    def _ok(self, asked: Asked, *_: str) -> Said:
        return said({"ok": True, "items": [{"id": 7, "price": 1.5}, {"id": 8, "price": 2}]})

    def _status(self, asked: Asked, status: str) -> Said:
        return said({"status": int(status)}, int(status))

    def _empty(self, asked: Asked, status: str) -> Said:
        return Said(int(status))

    def _echo(self, asked: Asked, *_: str) -> Said:
        body = asked.body.decode("utf-8", "replace")
        shown = {"method": asked.method, "path": asked.path, "body": body}
        return said({**shown, "headers": dict(asked.headers)}, 200, ("X-Trace", "t-1"))

    def _number(self, asked: Asked, *_: str) -> Said:
        """Count the requests to this path."""
        return said({"n": sum(one.path == asked.path for one in self.asked)})

    def _flaky(self, asked: Asked, good_at: str) -> Said:
        """Fail on the wire until the n-th request."""
        if sum(one.path == asked.path for one in self.asked) < int(good_at):
            return Said(fault="closed")
        return said({"ok": True})

    def _set(self, asked: Asked, *_: str) -> Said:
        pairs = [("Set-Cookie", f"{n}={v}; Path=/; HttpOnly") for n, v in asked.query.items()]
        return said({"set": len(pairs)}, 200, *pairs)

    def _forget(self, asked: Asked, name: str) -> Said:
        return said({}, 200, ("Set-Cookie", f"{name}=; Path=/; Max-Age=0"))

    def _login(self, asked: Asked, *_: str) -> Said:
        """Redirect with a cookie, as a form does."""
        return went("/echo/home", 303, ("Set-Cookie", "sid=s-12345678; Path=/"))

    def _to(self, asked: Asked, status: str) -> Said:
        return went(asked.query["url"], int(status))

    def _hops(self, asked: Asked, left: str) -> Said:
        return went(f"/hops/{int(left) - 1}" if int(left) > 1 else "/ok")

    def _loop(self, asked: Asked, *_: str) -> Said:
        return went(asked.path)

    def _away(self, asked: Asked, *_: str) -> Said:
        """Redirect to another origin: the same shop at another address."""
        return went(f"http://{OTHER}:{asked.host.rpartition(':')[2]}/echo", 307)

    def _page(self, asked: Asked, *_: str) -> Said:
        return Said(200, (("Content-Type", "text/html; charset=utf-8"),), PAGE.encode())

    def _latin(self, asked: Asked, *_: str) -> Said:
        return Said(500, (("Content-Type", "text/html"),), b"<h1>\xc4rger \xff\xfe</h1>")

    def _packed(self, asked: Asked, *_: str) -> Said:
        return Said(200, (("Content-Type", "application/json"),), b'{"packed": 1}', fault="gzip")

    def _big(self, asked: Asked, *_: str) -> Said:
        return Said(200, (), b"x" * BIG)

    def _late(self, asked: Asked, *_: str) -> Said:
        return Said(200, (), b"late", delay_s=5.0)

    def _broken(self, asked: Asked, fault: str) -> Said:
        return Said(200, (("Content-Type", "application/json"),), b'{"half": ', fault=fault)

    def _graphql(self, asked: Asked, *_: str) -> Said:
        sent = json.loads(asked.body)
        if "broken" in sent["query"]:
            return said({"data": None, "errors": [{"message": "no such field"}]})
        return said({"data": {"echo": sent}})

    def _rpc(self, asked: Asked, *_: str) -> Said:
        sent = json.loads(asked.body)
        head = {"jsonrpc": "2.0", "id": sent["id"]}
        if sent["method"] == "eth_blockNumber":
            return said({**head, "result": "0x10"})
        return said({**head, "error": {"code": -32601, "message": "no such method"}})


# --- in memory


def _asked(request: Request) -> Asked:
    headers = {name.lower(): text for name, text in request.headers}
    return Asked(
        request.method,
        request.url.authority,
        request.url.path_query,
        {name: text for name, text in headers.items() if name not in OWN},
        request.body,
    )


# What goes wrong -> reason, and whether the head of the answer came.
FAULTS = {
    "closed": (Reason.CLOSED, False),
    "garbage": (Reason.PROTOCOL, False),
    "cut": (Reason.CLOSED, True),
    "corrupt": (Reason.PROTOCOL, True),
}


def in_memory(fake: Fake) -> memory.Handler:
    """Return the handler that answers a journey without any wire."""

    def handle(request: Request) -> Response:
        it = fake.answer(_asked(request))
        headers = tuple([(name.lower(), text) for name, text in it.headers])
        if it.fault in FAULTS:
            reason, has_head = FAULTS[it.fault]
            failure = Failure(reason, "want an answer, got none of use", "transfer")
            if not has_head:
                return Response(failure=failure)
            return Response(it.status, headers, b"", failure=failure)
        body = b"" if request.method == "HEAD" or it.status in NO_BODY else it.body
        if len(body) > request.max_body:
            failure = Failure(Reason.TOO_LARGE, "want less, got more", "transfer")
            return Response(it.status, headers, body[: request.max_body], failure=failure)
        return Response(it.status, headers, body, seconds=it.delay_s)

    return handle


async def by_memory(journey: Journey, fake: Fake, base: str) -> Played:
    await asyncio.sleep(0)
    # the listener of the real ones is there for nothing: the same base, so that URLs are the same
    return memory.run(journey, in_memory(fake), base_url=base)


# --- over a wire


async def by_check(journey: Journey, fake: Fake, base: str) -> Played:
    context = Context(scope=memory.scope(), clock=monotonic, base_url=base)
    async with Driver(Options(alpn=HTTP1_ALPN, follow_redirects=False)) as driver:
        return await drive(play(journey, context), driver, context.stop)


async def _serve(request: web.BaseRequest, fake: Fake) -> web.StreamResponse:
    headers = {name.lower(): text for name, text in request.headers.items()}
    it = fake.answer(
        Asked(
            request.method,
            request.host,
            request.raw_path,
            {name: text for name, text in headers.items() if name not in OWN},
            await request.read(),
        )
    )
    if it.delay_s:
        await asyncio.sleep(it.delay_s)
    transport = request.transport
    if it.fault in ("closed", "garbage") and transport is not None:
        if it.fault == "garbage":
            transport.write(GARBAGE)
        transport.close()
    if it.fault == "cut" and transport is not None:
        response = web.StreamResponse(headers={**dict(it.headers), "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(it.body)
        transport.close()
        return response
    body, more = it.body, dict[str, str]()
    if it.fault in ("gzip", "corrupt"):
        body = gzip.compress(it.body) if it.fault == "gzip" else it.body
        more = {"Content-Encoding": "gzip"}
    reply = web.Response(status=it.status, reason=HTTPStatus(it.status).phrase, body=body or None)
    for name, text in (*it.headers, *more.items()):
        if name == "Content-Type":
            reply.headers[name] = text
        else:
            reply.headers.add(name, text)
    return reply


@asynccontextmanager
async def listening(fake: Fake) -> AsyncIterator[str]:
    """Let *fake* answer at a port of this machine; give its base URL."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await _serve(request, fake)

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        await web.TCPSite(runner, OTHER, port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


Play = Callable[[Journey, Fake, str], Awaitable[Played]]
DRIVERS: Mapping[str, Play] = {
    "check": by_check,
}
"""Every driver that is compared with the one in memory; each gets a fake that listens at the base
URL."""


# --- what must be equal

_TIMES = re.compile(r"\d+(?:\.\d+)?(?:ms|s\b| s\b)")


def told(played: Played, fake: Fake, *, timed: bool = False) -> dict[str, Any]:
    """Return what no driver may tell otherwise.

    Args:
        played: what came of it.
        fake: that was played against.
        timed: how often it was asked depends on the clock: that is left out.
    """
    failure = played.failure
    return {
        "failure": None if failure is None else (failure.reason, _text(failure)),
        "steps": [_step(step, timed=timed) for step in played.steps],
        "warnings": [(one.reason, _text(one), one.phase) for one in played.warnings],
        "values": dict(played.values),
        "logs": played.logs,
        "hidden": played.hidden,
        "asked": None if timed else [_line(one) for one in fake.asked],
    }


# What a wire says of a fault differs by wire; what it is does not.
_OF_THE_WIRE = frozenset({Reason.CLOSED, Reason.PROTOCOL, Reason.TOO_LARGE, Reason.TIMEOUT})


def _text(failure: Failure) -> str:
    if failure.reason in _OF_THE_WIRE:
        return ""
    return _TIMES.sub("T", failure.message)


def _step(step: StepResult, *, timed: bool) -> dict[str, Any]:
    failure = step.failure
    found: dict[str, Any] = {
        "step": step.step,
        "part": step.part,
        "state": step.state,
        "failure": None if failure is None else (failure.reason, _text(failure)),
        "status": step.status,
        "expectations": dict(step.expectations),
        "warnings": [(one.reason, _text(one)) for one in step.warnings],
        "rounds": step.rounds,
    }
    if not timed:
        found |= {"requests": step.requests, "sent": step.sent}
    return found


def _line(asked: Asked) -> tuple[Any, ...]:
    return (asked.method, asked.host, asked.path, sorted(asked.headers.items()), asked.body)
