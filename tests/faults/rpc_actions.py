"""What `tests.faults.rpc_proxy` may do to a call, to the response that holds it, to an event.

    answers of a call   result(x) error(code, ...) edit(fn) params(fn) rewrite(fn)
                        reply(object)
    fate of a response  hang() reset() close() status(502, ...) html() throttled(30) body(bytes)
                        truncated(9) trickle() huge(n) bomb(n); in a batch it is that of the batch
    any                 delay(s)
    of a subscription   drop() skip(2); edit(fn) changes what an event carries

Over a websocket a fate keeps the answer back; reset() and close() end the connection. A value with
state (skip) belongs to one rule. Knows no server and no chain.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web

JSON_TYPE = "application/json"
# Seconds between the bytes of a trickle: no read times out, only the whole does.
TRICKLE_S = 0.02
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

Json = Any
Sender = Callable[["Exchange", bytes], Awaitable[web.StreamResponse]]


@dataclass
class Call:
    """One call that came, as it came; ``params`` may be replaced.

    Attributes:
        over: "http", "batch" or "ws".
    """

    method: str
    params: Json
    id: Json
    over: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_notification(self) -> bool:
        return self.id is None

    def as_dict(self) -> Json:
        """Return it as it goes on to the node."""
        known = {"params": self.params, "id": self.id}
        words = {name: value for name, value in known.items() if value is not None}
        return {"jsonrpc": "2.0", "method": self.method} | words

    def result(self, value: Json) -> Json:
        return {"jsonrpc": "2.0", "id": self.id, "result": value}

    def error(self, error: Json) -> Json:
        return {"jsonrpc": "2.0", "id": self.id, "error": error}


@dataclass(frozen=True)
class Action:
    """What happens to a call, to the response that holds it, or to a message of a subscription.

    Attributes:
        before: changes the call or waits.
        answer: gives the answer instead of the node.
        after: changes the answer of the node, or an event; None as its answer drops the event.
        send: sends the response instead of the proxy.
        needs_body: *send* wants the body that the proxy would have sent.
    """

    before: Callable[[Call], Awaitable[None]] | None = None
    answer: Callable[[Call], Json] | None = None
    after: Callable[[Json], Json] | None = None
    send: Sender | None = None
    needs_body: bool = False


class Exchange:
    """One HTTP request, and the ways to spoil its response; ``over`` is set when the test ends."""

    def __init__(self, request: web.BaseRequest, over: asyncio.Event) -> None:
        self.request = request
        self.over = over

    def write(self, data: bytes) -> None:
        if self.request.transport is not None:
            self.request.transport.write(data)

    def head(self, length: int | None, **headers: str) -> None:
        """Write the head of a 200 that promises *length* bytes; None: until the end of stream."""
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {JSON_TYPE}", "Connection: close"]
        lines += [] if length is None else [f"Content-Length: {length}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    async def flood(self, piece: bytes, count: int) -> None:
        """Write *piece* so often, as fast as the other side reads."""
        transport = self.request.transport
        for _ in range(count):
            if transport is None or transport.is_closing():
                return
            self.write(piece)
            await self.request.writer.drain()

    def end(self, *, rst: bool = False) -> web.StreamResponse:
        """Close the connection, with RST when asked to."""
        transport = self.request.transport
        if transport is not None and not transport.is_closing():
            if rst:
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
            else:
                transport.close()
        # nobody reads it: the connection is closed
        return web.Response()


def result(value: Json) -> Action:
    """Answer with *value*, or with what it returns for the parameters."""
    return Action(answer=lambda c: c.result(value(c.params) if callable(value) else value))


def error(code: int, message: str, data: Json = None) -> Action:
    """Answer with an error."""
    told = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return Action(answer=lambda call: call.error(told))


def reply(value: Json) -> Action:
    """Answer with *value* as the whole object, without the id that was asked for."""
    return Action(answer=lambda _: value)


def edit(change: Callable[[Json], Json]) -> Action:
    """Ask the node, and replace the result by ``change(result)``; of an event its payload."""

    def after(answer: Json) -> Json:
        if isinstance(answer, dict) and isinstance(answer.get("params"), dict):
            inner = answer["params"] | {"result": change(answer["params"].get("result"))}
            return answer | {"params": inner}
        if isinstance(answer, dict) and "result" in answer:
            return answer | {"result": change(answer["result"])}
        return answer

    return Action(after=after)


def rewrite(change: Callable[[Json], Json]) -> Action:
    """Ask the node, and replace the whole answer by ``change(answer)``; of a batch the array."""
    return Action(after=change)


def params(change: Callable[[Json], Json]) -> Action:
    """Ask the node with other parameters."""

    async def before(call: Call) -> None:
        call.params = change(call.params)

    return Action(before=before)


def delay(seconds: float) -> Action:
    """Answer so much later."""

    async def before(call: Call) -> None:
        await asyncio.sleep(seconds)

    return Action(before=before)


def hang() -> Action:
    """Never answer."""

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        await exchange.over.wait()
        return exchange.end()

    return Action(send=send)


def reset() -> Action:
    """End the connection with RST instead of an answer."""

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        return exchange.end(rst=True)

    return Action(send=send)


def close() -> Action:
    """End the connection with FIN instead of an answer."""

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        return exchange.end()

    return Action(send=send)


def status(code: int, text: str | bytes = b"", kind: str = "text/plain", **headers: str) -> Action:
    """Answer with this status and body; ``Retry_After="3"`` adds a header."""
    data = text.encode() if isinstance(text, str) else text
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        return web.Response(status=code, body=data, headers={"Content-Type": kind} | named)

    return Action(send=send)


def html(code: int = 502) -> Action:
    """Answer with a page of a gateway."""
    return status(code, HTML, "text/html")


def throttled(retry_after: int | str | None = 30, text: str = "Too Many Requests") -> Action:
    """Answer 429 in plain text."""
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return status(429, text, **headers)


def body(data: str | bytes, kind: str = JSON_TYPE) -> Action:
    """Answer 200 with these bytes."""
    return status(200, data, kind)


def truncated(keep: int = 9, *, rst: bool = False) -> Action:
    """Promise the whole body and end after *keep* bytes of it."""

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        exchange.head(len(body))
        exchange.write(body[:keep])
        # an RST would overtake the bytes
        await asyncio.sleep(TRICKLE_S if rst else 0)
        return exchange.end(rst=rst)

    return Action(send=send, needs_body=True)


def trickle(seconds: float = TRICKLE_S) -> Action:
    """Send the body a byte at a time, and never the last one."""

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        exchange.head(len(body))
        for at in range(len(body) - 1):
            exchange.write(body[at : at + 1])
            with suppress(TimeoutError):
                await asyncio.wait_for(exchange.over.wait(), seconds)
                break
        await exchange.over.wait()
        return exchange.end()

    return Action(send=send, needs_body=True)


def huge(size: int, *, sized: bool = True) -> Action:
    """Send a string of *size* bytes in JSON, with or without its length in the head."""
    piece = b"x" * 65536

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        start, end = b'{"jsonrpc":"2.0","id":1,"result":"', b'"}'
        count = max(1, size // len(piece))
        exchange.head(len(start) + count * len(piece) + len(end) if sized else None)
        exchange.write(start)
        await exchange.flood(piece, count)
        exchange.write(end)
        return exchange.end()

    return Action(send=send)


@cache
def _bomb(size: int) -> bytes:
    return gzip.compress(b'{"jsonrpc":"2.0","id":1,"result":"' + bytes(size), 9)


def bomb(size: int) -> Action:
    """Send *size* zeros, compressed by gzip a thousand times."""

    async def send(exchange: Exchange, body: bytes) -> web.StreamResponse:
        data = _bomb(size)
        exchange.head(len(data), Content_Encoding="gzip")
        await exchange.flood(data, 1)
        return exchange.end()

    return Action(send=send)


def drop() -> Action:
    """Withhold the event."""
    return Action(after=lambda _: None)


def skip(every: int) -> Action:
    """Withhold each *every*-th event."""
    seen = [0]

    def after(event: Json) -> Json:
        seen[0] += 1
        return None if seen[0] % every == 0 else event

    return Action(after=after)
