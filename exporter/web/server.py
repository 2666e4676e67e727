"""The web server of ``sonde run``: listeners, door, guard, aiohttp and the site, put together.

    Door (thread) ──> receive ──> GuardedProtocol ──> aiohttp ──> gate ──> site ──> Backend

The only module that drives ``aiohttp.web``. Owns the life of connections; knows no route.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.web.answers import Answer, Stream, encode, headers_of
from exporter.web.attendant import Steps
from exporter.web.auth import Passwords
from exporter.web.backend import Backend
from exporter.web.direct import keeps_open, pack
from exporter.web.door import Door
from exporter.web.gate import Caller, Gate, is_health_check
from exporter.web.head import MAX_HEAD_BYTES, MAX_LINE_BYTES, Head, decode_path
from exporter.web.limits import (
    HEADER_TIMEOUT_S,
    KEEP_ALIVE_S,
    REQUEST_S,
    Connection,
    Connections,
    Stage,
    connection_limit,
)
from exporter.web.listen import open_listeners
from exporter.web.prefix import AT_TOP, Prefix
from exporter.web.protocol import GuardedProtocol
from exporter.web.site import READ, Ask, Route, Site
from exporter.web.tls import may_enter
from exporter.web.visitor import Visitor
from exporter.web.watched import WatchedConfig

log = logging.getLogger("sonde.web")
_protocol_log = logging.getLogger("sonde.web.protocol")

# Timeouts are kept to this; a sweep over 1,000 connections takes 0.2 ms.
SWEEP_S = 0.5
# Our handlers read no body; what is still coming gets this long before the connection is closed.
BODY_LINGER_S = 1.0
# A second line behind the guard's own limits.
MAX_INNER_HEADERS = 128

# Of nginx: the client has gone before it was answered.
GONE = 499

Reply = Answer | Stream


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what a client can write into our log at will: requests that aiohttp's parser refuses."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_protocol_log.addFilter(_is_news)


class WebServer:
    """Serves a backend on some addresses.

    Args:
        backend: the service.
        listen: ``HOST:PORT``, ...; port 0 takes a free one.
        web_config: the file of ``--web.config.file``.
        prefix: where the paths begin.
    """

    def __init__(
        self,
        backend: Backend,
        listen: Sequence[str],
        web_config: Path | None = None,
        prefix: Prefix = AT_TOP,
    ) -> None:
        self._backend = backend
        self._listen = tuple(listen)
        self._watched = WatchedConfig(web_config)
        self._worker = ThreadPoolExecutor(1, "sonde-web")
        self._prefix = prefix
        self._site = Site(backend, prefix)
        self._gate: Gate | None = None
        self._door: Door | None = None
        self._inner: web.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._guarded: dict[web.RequestHandler, GuardedProtocol] = {}
        self._visitors: dict[Connection, Visitor] = {}
        self._arrivals: set[asyncio.Task[None]] = set()
        self.connections = Connections(connection_limit(), backend.count_rejected)
        self.addresses: tuple[tuple[str, int], ...] = ()
        """What is listened on, with the real ports."""

    @property
    def occupied(self) -> int:
        """Connections that the loop has now."""
        return self.connections.count

    @property
    def limit(self) -> int:
        """Connections that it may have."""
        return self.connections.limit

    async def start(self) -> None:
        """Read the web config file and listen.

        Raises:
            ConfigError: mistakes in the file.
            ValueError: a text that is no address to listen on.
            OSError: an address that cannot be had.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, self._watched.load)
        # the limit on open files may have been raised since this object was made
        self.connections = Connections(connection_limit(), self._backend.count_rejected)
        self._gate = Gate(self._backend, self._watched, Passwords(self._worker))
        self._inner = web.Server(
            self._handle,
            access_log=None,
            logger=_protocol_log,
            keepalive_timeout=2 * KEEP_ALIVE_S,  # ours rules
            lingering_time=BODY_LINGER_S,
            auto_decompress=False,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            max_headers=MAX_INNER_HEADERS,
        )
        listeners = open_listeners(self._listen)
        self.addresses = tuple(one.sock.getsockname()[:2] for one in listeners)
        self._door = Door(listeners, self._watched, self)
        self._door.start()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Stop listening; what is being answered may end within *timeout_s*, the rest is cut."""
        door, inner = self._door, self._inner
        self._door = self._inner = None
        if door is not None:
            door.stop()
            await door.ended
        for connection in self.connections.waiting():
            connection.kick()
        if inner is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(inner.shutdown(timeout_s), timeout_s + 1)
        for connection in self.connections.all():
            self.connections.drop(connection)
            connection.kick()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*self._arrivals, return_exceptions=True)
        self._worker.shutdown(wait=False, cancel_futures=True)

    # what the door wants of its house

    def is_crowded(self, owner: str) -> bool:
        """Return whether a newcomer would soon push out others."""
        return self.connections.is_crowded(owner)

    def reject(self, reason: str) -> None:
        """Count a connection that is not served."""
        self._backend.count_rejected(reason)

    def receive(self, visitor: Visitor) -> None:
        """Take a connection over from the door, or turn it away."""
        connection = Connection(visitor.owner, lambda: _kick(visitor), monotonic())
        if visitor.is_ready:
            # in a storm it must not be pushed out before it is read
            connection.stage = Stage.READY
        if self._inner is None:
            visitor.sock.close()
        elif not self.connections.admit(connection):
            self._turn_away(visitor)
        else:
            self._visitors[connection] = visitor
            task = asyncio.get_running_loop().create_task(self._connect(self._inner(), connection))
            self._arrivals.add(task)
            task.add_done_callback(self._arrivals.discard)

    def inner_path(self, head: Head) -> str:
        """Return the path of a request as the routes know it."""
        return self._prefix.inner(head.path)

    def attend(self, head: Head, visitor: Visitor) -> Steps[Answer]:
        """Answer a request while the loop is stuck; stepped through in the door's thread."""
        answer = yield from self._attend(head, visitor)
        path = self.inner_path(head)
        handler = self._site.find(path).handler if is_health_check(path) else "other"
        self._backend.count_request(handler, _class_of(answer.status))
        return answer

    def _attend(self, head: Head, visitor: Visitor) -> Steps[Answer]:
        gate = self._gate
        if gate is None:
            return Answer.text(503, "want a running server, got one that stops\n")
        path = self.inner_path(head)
        caller = Caller(path, head.get("host"), head.get("authorization"), visitor.on_loopback)
        verdict = gate.judge(caller)
        if isinstance(verdict, Future):
            while not verdict.done():
                yield 0
            verdict = gate.settle(right=verdict.result())
        if verdict is not None:
            return verdict
        if is_health_check(path) and head.method in READ:
            return self._site.health_check(path)
        text = "want an event loop that turns, got one that hangs\n"
        return Answer.text(503, text, ("Retry-After", "1"))

    # what a connection wants of its host

    def admits(self, transport: asyncio.Transport) -> bool:
        """Judge the names of a client's certificate."""
        tls = self._watched.state.config.tls
        secured = transport.get_extra_info("ssl_object")
        if tls is None or secured is None or may_enter(secured.getpeercert(), tls.allowed_sans):
            return True
        self._backend.count_rejected("auth")
        return False

    def refused(self, status: int) -> None:
        """Count an answer that was given without a request being served."""
        self._backend.count_request("other", _class_of(status))
        self._backend.count_rejected("limit")

    def serves(self, head: Head) -> bool:
        """Return whether it is asked for a run; a run is cancelled when its client has gone."""
        return self._site.find(self.inner_path(head)).is_direct

    async def answer(self, head: Head, guarded: GuardedProtocol) -> tuple[bytes, bool]:
        """Answer a request that aiohttp does not see, whole."""
        ask = self._ask(head.method, head.target, head.path, head.first, guarded)
        route, status = self._begin(ask, guarded), 500
        try:
            reply = await self._reply(route, ask, guarded)
            status = reply.status
        except asyncio.CancelledError:
            status = GONE
            raise
        finally:
            self._backend.count_request(route.handler, _class_of(status))
        extra = self._gate.extra_headers if self._gate is not None else ()
        if not isinstance(reply, Answer):
            raise TypeError(f"want a whole answer, got {type(reply).__name__}")
        return pack(reply, extra, head), keeps_open(head)

    def lost(self, inner: web.RequestHandler) -> None:
        """Forget a connection that has ended."""
        guarded = self._guarded.pop(inner, None)
        if guarded is not None:
            self._visitors.pop(guarded.connection, None)
        if self._door is not None:
            self._door.made_room()

    async def _connect(self, inner: web.RequestHandler, connection: Connection) -> None:
        """Attach a socket to the loop; ends when TLS is up."""
        visitor = self._visitors[connection]
        guarded = self._guarded[inner] = GuardedProtocol(inner, connection, self)
        context = self._watched.state.context
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: guarded,
                visitor.sock,
                ssl=context,
                ssl_handshake_timeout=None if context is None else HEADER_TIMEOUT_S,
            )
        except OSError:
            # gone before it spoke, or no TLS: ssl.SSLError and TimeoutError are OSErrors too
            visitor.sock.close()
            self.connections.drop(connection)
            self.lost(inner)

    def _turn_away(self, visitor: Visitor) -> None:
        """Say that all connections are busy, where it can be said without a handshake."""
        if self._watched.state.context is None:
            answer = Answer.text(503, "want a free connection, got none\n", ("Retry-After", "1"))
            with suppress(OSError):
                visitor.sock.send(encode(answer))
        visitor.sock.close()

    def _sweep(self) -> None:
        self.connections.sweep(monotonic())
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; everything is written when this returns."""
        guarded = self._guarded.get(request.protocol)
        if guarded is None:
            return _for_nobody()
        headers = {name.lower(): request.headers[name] for name in request.headers}
        target = request.raw_path
        ask = self._ask(request.method, target, decode_path(target), headers, guarded)
        route, status = self._begin(ask, guarded), 500
        if route.takes_s:
            guarded.stops_when_lost = asyncio.current_task()
        try:
            reply = await self._reply(route, ask, guarded)
            response = await self._send(request, reply, guarded)
            status = reply.status
        except ConnectionError:
            status = GONE
            return _for_nobody()
        except asyncio.CancelledError:
            status = GONE
            raise
        else:
            return response
        finally:
            self._backend.count_request(route.handler, _class_of(status))
            guarded.finish()

    def _ask(
        self,
        method: str,
        target: str,
        path: str,
        headers: Mapping[str, str],
        guarded: GuardedProtocol,
    ) -> Ask:
        visitor = self._visitors.get(guarded.connection)
        owner = "" if visitor is None else visitor.owner
        query = target.partition("?")[2]
        return Ask(method, self._prefix.inner(path), query, headers, owner)

    def _begin(self, ask: Ask, guarded: GuardedProtocol) -> Route:
        """Return what serves *ask*; its connection has the time that takes."""
        route = self._site.find(ask.path)
        guarded.connection.busy_s = route.takes_s or REQUEST_S
        guarded.begin()
        return route

    async def _reply(self, route: Route, ask: Ask, guarded: GuardedProtocol) -> Reply:
        gate, visitor = self._gate, self._visitors.get(guarded.connection)
        if gate is None or visitor is None:
            return Answer.text(503, "want a running server, got one that stops\n")
        headers = ask.headers
        verdict = gate.judge(
            Caller(ask.path, headers.get("host"), headers.get("authorization"), visitor.on_loopback)
        )
        if isinstance(verdict, Future):
            verdict = gate.settle(right=await asyncio.wrap_future(verdict))
        return verdict if verdict is not None else await self._site.answer(route, ask)

    async def _send(
        self, request: web.BaseRequest, reply: Reply, guarded: GuardedProtocol
    ) -> web.StreamResponse:
        extra = self._gate.extra_headers if self._gate is not None else ()
        headers = headers_of(reply, extra)
        if isinstance(reply, Answer):
            whole = web.Response(status=reply.status, body=reply.body, headers=headers)
            await whole.prepare(request)
            await whole.write_eof()
            return whole
        response = web.StreamResponse(status=reply.status, headers=headers)
        if request.method == "HEAD":
            await response.prepare(request)
            await response.write_eof()
            return response
        chunks = reply.chunks()
        is_whole = False
        try:
            # a page that cannot even begin is answered 500
            first = await anext(chunks, b"")
            await response.prepare(request)
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
            is_whole = True
        finally:
            if not is_whole and response.prepared:
                guarded.abort()
        return response


def _kick(visitor: Visitor) -> None:
    """End a connection of which the loop has only the socket: TLS is still being agreed on."""
    with suppress(OSError):
        visitor.sock.shutdown(socket.SHUT_RDWR)


def _for_nobody() -> web.Response:
    """Return what aiohttp may try to write: then it sees that the client has gone."""
    return web.Response(status=GONE)


def _class_of(status: int) -> str:
    return f"{status // 100}xx"
