"""The guard between a connection and aiohttp's request handler: limits that aiohttp does not have.

It holds the head of a request back until it is complete and judged, keeps the stage of the
connection and notices readers that stop reading. Knows no route.

A client that sends a body or the next request ahead is handed through from then on: aiohttp's
parser then keeps its own limits, the stages and timeouts still hold.
"""

import asyncio
import socket
import struct
from time import monotonic
from typing import Protocol, cast

from aiohttp import web

from exporter.web.answers import Answer, encode
from exporter.web.head import Refusal, read_head
from exporter.web.limits import Connection, Connections, Stage

# struct linger {l_onoff, l_linger}: close at once and send RST.
_RESET = struct.pack("ii", 1, 0)


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
        self._host = host
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._host.connections.drop(self.connection)
        if self._is_inner_connected:
            self.inner.connection_lost(exc)
        self._host.lost(self.inner)

    def data_received(self, data: bytes) -> None:
        stage = self.connection.stage
        if stage is Stage.LINGERING or not self._is_inner_connected:
            return
        if stage is Stage.IDLE:
            self._enter(Stage.ARRIVING)
        if stage is Stage.BUSY:
            self._is_raw = True
        if self._is_raw:
            self.inner.data_received(data)
        else:
            self._collect(data)

    def eof_received(self) -> bool:
        # a client that has half closed still reads; TLS knows no such state
        self._is_half_closed = self.connection.stage is Stage.BUSY and not self._is_tls()
        return self._is_half_closed

    def pause_writing(self) -> None:
        self.connection.stalled_since = monotonic()
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.connection.stalled_since = None
        self.inner.resume_writing()

    def begin(self) -> None:
        """Note that a request of this connection is being answered."""
        if self.connection.stage is not Stage.BUSY:
            self._enter(Stage.BUSY)

    def finish(self) -> None:
        """Note that its answer has been written."""
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
        if not self._head:
            # RFC 9112, 2.2: an empty line before a request is ignored
            data = data.lstrip(b"\r\n")
        self._head += data
        found = read_head(self._head) if self._head else None
        if found is None:
            return
        if isinstance(found, Refusal):
            self._refuse(found)
            return
        head, length = found
        received = bytes(self._head)
        self._head.clear()
        body = head.get("content-length") not in (None, "0") or head.get("transfer-encoding")
        self._is_raw = len(received) > length or bool(body)
        self._enter(Stage.BUSY)
        self.inner.data_received(received)

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
