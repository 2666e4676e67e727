"""One HTTP exchange: resolve, connect, TLS, request, answer, redirects; timed and capped.

    response = await exchange(request, recorder, options)
    response.check()                          # raises what broke the body off

The shell between the dial (`probes.wire.net`) and the codecs (`probes.wire.http1`,
`probes.wire.h2`): every run opens a connection of its own and says ``Connection: close``. Knows no
expectation: what the answer should be is the kind's business.
"""

import asyncio
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Protocol, cast

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import format_size
from probes.wire import http1
from probes.wire.address import ANY_IP, Address, IpChoice
from probes.wire.failures import classify, hinted
from probes.wire.message import MAX_REDIRECTS, Limits, Request, Response
from probes.wire.net import open_connection, resolve, resolve_literal
from probes.wire.peer import forget_peer
from probes.wire.redirect import Trail, location_of
from probes.wire.tls import TlsOptions, server_name

HTTP2 = "h2"
HTTP1 = "http/1.1"
HTTP1_ALPN = (HTTP1,)
HTTP2_ALPN = (HTTP2,)
BOTH_ALPN = (HTTP2, HTTP1)
DEFAULT_LIMITS = Limits()
DEFAULT_TLS = TlsOptions()


@dataclass(frozen=True, slots=True)
class Options:
    """How an exchange goes about it.

    Args:
        limits: what an answer may cost.
        ip: which family of addresses is dialled.
        tls: how the peer is verified; the client certificate in it never leaves the first origin.
        alpn: protocols to offer over TLS, in order of preference.
        follow_redirects: whether a redirect is followed or is the answer.
        max_redirects: hops at most.
        source_ip: local address to dial from; None: the system's choice.
    """

    limits: Limits = DEFAULT_LIMITS
    ip: IpChoice = ANY_IP
    tls: TlsOptions = field(default=DEFAULT_TLS)
    alpn: tuple[str, ...] = BOTH_ALPN
    follow_redirects: bool = True
    max_redirects: int = MAX_REDIRECTS
    source_ip: str | None = None
    foreign_tls: TlsOptions = field(init=False, compare=False)
    """How peers of other origins are verified: no client certificate, no pinned name. Made once,
    because building its context costs 40 ms."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "foreign_tls", self.tls.for_others())

    def prepare(self) -> None:
        """Do now, off the loop, what the first exchange over TLS would wait for."""
        self.tls.prepare(self.alpn)
        if self.follow_redirects and self.foreign_tls is not self.tls:
            self.foreign_tls.prepare(self.alpn)
        if HTTP2 in self.alpn:
            import_module("probes.wire.h2")


DEFAULT_OPTIONS = Options()


class Codec(Protocol):
    """What both codecs are: bytes in, a verdict and bytes out."""

    waiting: bool
    is_complete: bool
    failure: CheckFailed | None
    outgoing: bytes
    pending: bool

    def begins(self, data: bytes) -> bool:
        """Guess, without parsing, whether the final answer begins with *data*."""
        ...

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer."""
        ...

    def pump(self) -> None:
        """Go on with what has been fed, while `pending`."""
        ...

    def eof(self, how: str = ...) -> None:
        """Take the end of the stream."""
        ...


class Wire(asyncio.Protocol):
    """The shell of one hop: feeds a codec, times the phases, keeps the cap of the wire.

    Args:
        recorder: gets the phases ``processing`` and ``transfer``.
        max_wire: bytes from the peer at most; None: no cap.
    """

    __slots__ = (
        "_codec", "_done", "_early", "_is_lost", "_loss", "_max_wire", "_received", "_recorder",
        "_response", "_transport",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, max_wire: int | None) -> None:
        self._recorder = recorder
        self._max_wire = max_wire
        self._received = 0
        self._early = b""
        self._is_lost = False
        self._loss: BaseException | None = None
        self._codec: Codec
        self._response: Response
        self._transport: asyncio.Transport
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, which is a stream's."""
        self._transport = transport  # type: ignore[assignment]  # cast() is a call like any other

    async def run(self, codec: Codec, response: Response, request: bytes) -> None:
        """Write *request* and wait until *codec* has its verdict.

        Raises:
            CheckFailed: there is no answer; a body that broke off is noted in ``response.failure``
                instead.
        """
        self._codec, self._response = codec, response
        done = self._done = asyncio.get_running_loop().create_future()
        self._recorder.enter("processing")
        self._transport.write(request)
        if self._early:
            # servers of HTTP/2 send SETTINGS first; others that speak first are no HTTP servers
            self.data_received(b"")
        if self._is_lost:
            self.connection_lost(self._loss)
        await done

    def data_received(self, data: bytes) -> None:
        """Feed the codec."""
        done = self._done
        if done is None:
            self._early += data
            return
        if done.done():
            return
        if self._early:
            data, self._early = self._early + data, b""
        self._received += len(data)
        if self._max_wire is not None and self._received > self._max_wire:
            limit = format_size(self._max_wire)
            self._finish(
                CheckFailed(Reason.TOO_LARGE, f"want at most {limit} on the wire, got more")
            )
            return
        self._feed(data)
        self._judge()

    def _feed(self, data: bytes) -> None:
        codec = self._codec
        waiting = codec.waiting
        if waiting and codec.begins(data):
            self._recorder.enter("transfer")
            waiting = False
        if data:
            codec.feed(data)
        else:
            codec.pump()
        if codec.waiting is not waiting:
            # not what was guessed: an informational answer, or frames before the head
            self._recorder.enter("processing" if codec.waiting else "transfer")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take the end of the stream, clean or not."""
        self._is_lost, self._loss = True, exc
        done = self._done
        if done is None or done.done():
            return
        if exc is not None:
            failure = classify(exc, phase=self._recorder.phase_name or "transfer")
            if failure.reason is not Reason.CLOSED:
                self._finish(failure)
                return
            self._codec.eof("a reset of the connection")
        self._judge()

    def _judge(self) -> None:
        body, codec = self._response.body, self._codec
        pending = body.pending or codec.pending
        if self._is_lost and not pending:
            codec.eof()
        elif codec.outgoing:
            said, codec.outgoing = codec.outgoing, b""
            self._transport.write(said)
        failure = codec.failure or body.failure
        if failure is not None:
            self._finish(failure)
        elif pending:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._pump)
        elif codec.is_complete:
            body.end()
            self._finish(body.failure)

    def _pump(self) -> None:
        """Decode on: a bomb may use its turn of the loop, not the loop."""
        if self._done is None or self._done.done():
            return
        body, codec = self._response.body, self._codec
        if body.pending:
            body.pump()
        else:
            self._feed(b"")
        if not (body.pending or codec.pending or self._transport.is_closing()):
            self._transport.resume_reading()
        self._judge()

    def _finish(self, failure: CheckFailed | None) -> None:
        done = self._done
        if done is None or done.done():
            return
        if failure is None:
            self._recorder.leave()
        elif self._response.status:
            self._response.failure = _in_phase(failure, "transfer")
        else:
            done.set_exception(_in_phase(failure, self._recorder.phase_name))
            return
        done.set_result(None)


def _in_phase(failure: CheckFailed, phase: str | None) -> CheckFailed:
    failure.phase = failure.phase or phase
    return failure


async def exchange(
    request: Request,
    recorder: Recorder,
    options: Options = DEFAULT_OPTIONS,
    response: Response | None = None,
) -> Response:
    """Send *request* and return the final answer; its body may have broken off (`Response.check`).

    Args:
        request: what to send first.
        recorder: gets the phases and what the dial found.
        options: how to go about it.
        response: filled as bytes arrive, for a caller that wants what there is after a failure too.

    Raises:
        CheckFailed: no whole head came, or a redirect could not be followed.
    """
    response = response or Response(request.url, options.limits)
    address = await _hop(request, recorder, options, response)
    if address is not None:
        await _hop_over_http1(request, recorder, options, response, address)
    location = location_of(response)
    if location is None or not options.follow_redirects:
        response.redirects += location is not None
        return response
    trail = Trail(request, options.max_redirects)
    while location is not None:
        request = trail.next(response, location)
        if trail.has_left:
            options = replace(options, tls=options.foreign_tls)
        response.begin(request.url, options.limits)
        address = await _hop(request, recorder, options, response)
        if address is not None:
            await _hop_over_http1(request, recorder, options, response, address)
        if not response.over_tls:
            forget_peer(recorder)
        location = location_of(response)
    return response


async def _hop(
    request: Request,
    recorder: Recorder,
    options: Options,
    response: Response,
    address: Address | None = None,
) -> Address | None:
    """Make one request over a connection of its own.

    Returns:
        Where the server is, if it takes this request over HTTP/1.1 only; else None.
    """
    url, hop = request.url, response.redirects
    is_tls = url.is_tls
    if address is None:
        # an address is found without a coroutine: one costs a microsecond in every run
        address = resolve_literal(url.host, url.port, recorder, ip=options.ip, hop=hop)
    if address is None:
        address = await resolve(url.host, url.port, recorder, ip=options.ip, hop=hop)
    transport, wire = await open_connection(
        lambda: Wire(recorder, options.limits.max_wire),
        address,
        recorder,
        context=options.tls.context(options.alpn) if is_tls else None,
        server_name=server_name(url, options.tls, request.host) if is_tls else None,
        hop=hop,
        source_ip=options.source_ip,
    )
    response.over_tls = is_tls
    wants_http1 = False
    try:
        if is_tls and _selected(transport) == HTTP2:
            wants_http1 = await _run_http2(wire, transport, request, response)
        else:
            codec = http1.Http1(response, head_only=request.method == "HEAD")
            try:
                await wire.run(codec, response, http1.encode(request))
            finally:
                codec.close()
        if response.failure is None and not wants_http1:
            transport.close()
            return None
    except CheckFailed as failure:
        raise with_hint(failure, transport) from None
    finally:
        if not transport.is_closing():
            transport.abort()
    return address if wants_http1 else None


async def _hop_over_http1(
    request: Request, recorder: Recorder, options: Options, response: Response, address: Address
) -> None:
    """Make a request once more, inside the same deadline, as its server wants it (RFC 9113, 8.1).

    Raises:
        CheckFailed: ``protocol``: HTTP/1.1 was not offered.
    """
    if HTTP1 not in options.alpn:
        message = "want HTTP/2, got HTTP_1_1_REQUIRED"
        raise CheckFailed(Reason.PROTOCOL, message, phase="processing")
    recorder.fact("http_fallback", "HTTP_1_1_REQUIRED")
    response.begin(request.url, options.limits)
    await _hop(request, recorder, replace(options, alpn=HTTP1_ALPN), response, address)


async def _run_http2(
    wire: Wire, transport: asyncio.Transport, request: Request, response: Response
) -> bool:
    """Exchange over HTTP/2; return whether the server wants HTTP/1.1 instead."""
    from probes.wire.h2 import Http2  # noqa: PLC0415 - h2 costs 20 ms of start

    codec = Http2(request, response)
    first, codec.outgoing = codec.outgoing, b""
    try:
        await wire.run(codec, response, first)
    except CheckFailed:
        if codec.wants_http1:
            return True
        raise
    if response.failure is None:
        transport.write(codec.close())
    return False


def _selected(transport: asyncio.Transport) -> str | None:
    connection = transport.get_extra_info("ssl_object")
    return None if connection is None else cast("str | None", connection.selected_alpn_protocol())


def with_hint(failure: CheckFailed, transport: asyncio.Transport) -> CheckFailed:
    """Name the usual cause of a TLS 1.3 peer that ends before it answers."""
    connection = transport.get_extra_info("ssl_object")
    return failure if connection is None else hinted(failure, connection.version())
