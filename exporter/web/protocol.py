"""The guard between a connection and aiohttp's request handler: limits that aiohttp does not have.

It holds the head of a request back until it is complete and judged, keeps the stage of the
connection and notices readers that stop reading. Knows no route.

A client that sends a body or the next request ahead is handed through from then on: aiohttp's
parser then keeps its own limits, the stages and timeouts still hold. What the host answers itself
never gets to aiohttp, as long as that has had no request of this connection.
"""

import asyncio
import logging
import socket
import struct
from time import monotonic
from typing import Protocol, cast

from aiohttp import web

from exporter.web.answers import Answer, encode
from exporter.web.head import MAX_HEAD_BYTES, Head, Refusal, read_head
from exporter.web.limits import Connection, Connections, Stage

log = logging.getLogger("sonde.web")

# struct linger {l_onoff, l_linger}: close at once and send RST.
_RESET = struct.pack("ii", 1, 0)
_LINE_ENDS = b"\r\n"
_BETWEEN = frozenset({Stage.IDLE, Stage.ARRIVING})


class Host(Protocol):
    """The server, as one of its connections sees it."""

    @property
    def connections(self) -> Connections:
        """All of them."""
        ...

    def admits(self, transport: asyncio.Transport) -> bool:
        """Judge a connection once TLS is up; false ends it."""
        ...

    def refused(self, status: int) -> None:
        """Note an answer that was given without a request being served."""
        ...

    def serves(self, head: Head) -> bool:
        """Return whether it answers such a request without aiohttp."""
        ...

    async def answer(self, head: Head, guarded: "GuardedProtocol") -> tuple[bytes, bool]:
        """Return an answer, and whether the connection stays open behind it."""
        ...

    def lost(self, inner: web.RequestHandler) -> None:
        """Note that a connection has ended."""
        ...


class GuardedProtocol(asyncio.Protocol):
    """One connection.

    Args:
        inner: aiohttp's handler of this connection.
        connection: its entry in the host's connections.
        host: the server.
    """

    def __init__(self, inner: web.RequestHandler, connection: Connection, host: Host) -> None:
        self.inner = inner
        self.connection = connection
        self.stops_when_lost: asyncio.Task[None] | None = None
        """What answers the request of now, if nobody else wants what it does."""
        self._host = host
        self._is_inner_used = False
        self._head = bytearray()
        self._is_raw = False
        self._is_half_closed = False
        self._is_inner_connected = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast("asyncio.Transport", transport)
        self.connection.kick = stream.abort
        if self.connection.gone or not self._host.admits(stream):
            stream.abort()
            return
        self._is_inner_connected = True
        self.inner.connection_made(stream)
        # it would end a connection on which it sees no request, be there a hundred that it does not
        # see: this stops its clock until it has answered one
        self.inner.keep_alive(True)  # noqa: FBT003 - the interface of aiohttp

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._host.connections.drop(self.connection)
        if self.stops_when_lost is not None:
            self.stops_when_lost.cancel()
        if self._is_inner_connected:
            self.inner.connection_lost(exc)
        self._host.lost(self.inner)

    def data_received(self, data: bytes) -> None:
        stage = self.connection.stage
        if stage is Stage.LINGERING or not self._is_inner_connected:
            return
        if not self._is_inner_used and (stage is Stage.BUSY or self._is_stalled):
            self._keep(data)
            return
        if stage is Stage.BUSY:
            self._is_raw = True
        if self._is_raw:
            self.inner.data_received(data)
        else:
            self._collect(data)
        if self.connection.stage is Stage.IDLE:
            self._enter(Stage.ARRIVING)  # a head that is here whole is busy by now

    def eof_received(self) -> bool:
        if self.stops_when_lost is not None:
            return False  # a scraper that gives up closes; Go's server takes it so, too
        # a client that has half closed still reads; TLS knows no such state
        self._is_half_closed = self.connection.stage is Stage.BUSY and not self._is_tls()
        return self._is_half_closed

    def pause_writing(self) -> None:
        self.connection.stalled_since = monotonic()
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.connection.stalled_since = None
        self.inner.resume_writing()
        self._go_on()

    @property
    def _is_stalled(self) -> bool:
        return self.connection.stalled_since is not None

    def begin(self) -> None:
        """Note that a request of this connection is being answered."""
        if self.connection.stage is not Stage.BUSY:
            self._enter(Stage.BUSY)

    def finish(self) -> None:
        """Note that its answer has been written."""
        self.stops_when_lost = None
        self._enter(Stage.IDLE)
        if self._is_half_closed and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once, so that the client cannot take what it has for the whole."""
        if self._transport is not None:
            # a reset, not an end: HTTP/1.0 has no other mark
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def _collect(self, data: bytes) -> None:
        self._head += data
        if self._head[:1] in _LINE_ENDS:
            # RFC 9112, 2.2: an empty line before a request is ignored
            self._head = self._head.lstrip(_LINE_ENDS)
        found = read_head(self._head) if self._head else None
        if found is None:
            return
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        head, length = found
        body = head.get("content-length") not in (None, "0") or head.get("transfer-encoding")
        self._enter(Stage.BUSY)
        if not (self._is_inner_used or body) and self._host.serves(head):
            del self._head[:length]
            self.stops_when_lost = asyncio.get_running_loop().create_task(self._serve(head))
            self.stops_when_lost.add_done_callback(self._served)
            return
        received = bytes(self._head)
        self._head.clear()
        self._is_inner_used = True
        self._is_raw = len(received) > length or bool(body)
        self.inner.data_received(received)

    async def _serve(self, head: Head) -> None:
        data, stays = await self._host.answer(head, self)
        if self._transport is None:
            return
        self._transport.write(data)
        self.finish()
        if not stays:
            self._transport.close()
        elif not self._is_stalled:
            # a client that asks on and reads nothing would have its answers pile up here
            self._go_on()

    def _go_on(self) -> None:
        """Take what has been sent ahead."""
        if self._head and self.connection.stage in _BETWEEN:
            self._enter(Stage.ARRIVING)
            self._collect(b"")

    def _served(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("want an answer to a request, got %s", type(error).__name__, exc_info=error)
            self.abort()

    def _keep(self, data: bytes) -> None:
        """Keep what a client sends ahead until the answer is written."""
        self._head += data
        if len(self._head) > MAX_HEAD_BYTES:
            self.abort()

    def _refuse(self, refusal: Refusal) -> None:
        self._head.clear()
        self._enter(Stage.LINGERING)
        self._host.refused(refusal.status)
        if self._transport is None:
            return
        self._transport.write(encode(Answer.text(refusal.status, refusal.message + "\n")))
        # closed with unread bytes the client would get a reset instead of the answer: LINGER_S is
        # for reading it
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _is_tls(self) -> bool:
        return (
            self._transport is not None and self._transport.get_extra_info("ssl_object") is not None
        )

    def _enter(self, stage: Stage) -> None:
        self._host.connections.enter(self.connection, stage, monotonic())
