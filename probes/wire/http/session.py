"""One HTTP/1.1 connection to one origin, kept open for the requests of one run.

    session = Session(url, recorder)
    exchange = await session.send(request)    # dials first; Exchange: response, seconds, reused
    session.close()

A run that asks an endpoint several times pays for its connection once, and what it measures is the
answer alone. Knows no redirect, no retry but that of a connection that died unused, no deadline and
nothing of what is said.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.http.hop import Wire, with_hint
from probes.wire.http.http1 import Http1, Http1Kept, encode_kept
from probes.wire.http.message import MAX_HEAD_BYTES, Limits, Request, Response
from probes.wire.http.options import DEFAULT_LIMITS, DEFAULT_OPTIONS, HTTP1_ALPN, Options
from probes.wire.net import judge, open_connection, resolve
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, server_name
from probes.wire.url import Url

# Of a later dial in the same run: the last one has the final say.
_NET_SAMPLES = tuple(metric.name for metric in NET_METRICS)
_TLS_SAMPLES = tuple(metric.name for metric in TLS_METRICS)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    Args:
        response: the answer; its body may have broken off (`Response.failure`).
        seconds: from the request written to the last byte of the body.
        started: when the request was written, on the clock of `time.monotonic`. That is the clock
            of both event loops too, but uvloop reads it once a millisecond only.
        ended: when the last byte had come.
        reused: the connection had carried another exchange before.
    """

    response: Response
    seconds: float
    started: float
    ended: float
    reused: bool


class Session:
    """A kept connection; dials at the first use, and again when the peer has ended it.

    Requests go one after the other. The phases ``resolve``, ``connect``, ``tls``, ``processing``
    and ``transfer`` add up in the recorder, so a session has one of its own.

    Args:
        url: where to; every request goes to its origin.
        recorder: gets the phases and what the last dial found.
        options: how to go about it; HTTP/2 is never offered and no redirect followed.
        host: Host header of the requests, where it differs from *url*'s: the name to verify.
        reads_redirects: the body of a redirect is read, so that the connection outlives it.
    """

    def __init__(
        self,
        url: Url,
        recorder: Recorder,
        options: Options = DEFAULT_OPTIONS,
        *,
        host: str = "",
        reads_redirects: bool = False,
    ) -> None:
        self.dials = 0
        """Connections that were tried."""
        self.peer = ""
        """IP address of the last dial; empty before."""
        self._url = url
        self._recorder = recorder
        self._options = options
        self._host = host
        self._reads_redirects = reads_redirects
        self._hop = 0
        self._lock = asyncio.Lock()
        self._address: Address | None = None
        self._opened: tuple[asyncio.Transport, _Kept] | None = None
        self._is_closed = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that has not ended, as far as we know."""
        if self._opened is None:
            return False
        transport, wire = self._opened
        return not (wire.is_spoilt or transport.is_closing())

    async def open(self) -> None:
        """Dial, unless there is an open connection.

        Raises:
            CheckFailed: as `resolve` and `open_connection` do.
        """
        async with self._lock:
            if not self.is_open:
                await self._dial()

    def turn_to(self, recorder: Recorder, hop: int = 0) -> None:
        """Write what comes from here on into *recorder*; for a run that counts each request apart.

        Args:
            recorder: of the next request.
            hop: 0 is a target, later ones came from a redirect: judged as such.
        """
        self._recorder, self._hop = recorder, hop
        if self._opened is not None:
            self._opened[1].turn_to(recorder)

    async def send(
        self,
        request: Request,
        limits: Limits = DEFAULT_LIMITS,
        *,
        response: Response | None = None,
        repeats: bool = True,
    ) -> Exchange:
        """Send *request* and return its answer.

        A connection that was used before and ends without a byte of the answer is replaced once,
        unseen: the peer closed it before it read the request, as it may (RFC 9112, 9.3.1).

        Args:
            request: to this session's origin.
            limits: what the answer may cost.
            response: filled as bytes arrive, for a caller that wants what there is after a timeout.
            repeats: false for a request that may have an effect: it is sent once.

        Raises:
            CheckFailed: no whole head came; `Response.failure` tells of a body that broke off.
        """
        response = response or Response(request.url, limits)
        async with self._lock:
            opened = self._opened
            if opened is None or not self.is_open:
                opened = await self._dial()
            elif self._hop and self._address is not None:
                judge(self._address, hop=self._hop, scheme=self._url.scheme)
            if opened[1].answers and repeats:
                try:
                    return await self._exchange(opened, request, limits, response)
                except CheckFailed as failure:
                    if failure.reason is not Reason.CLOSED or not opened[1].is_untouched:
                        raise
                self._recorder.break_off()
                response.begin(request.url, limits)
                opened = await self._dial()
            return await self._exchange(opened, request, limits, response)

    def close(self) -> None:
        """End the connection: in good order when it is idle, at once when a request is under way.

        For good: a later request fails. May be called twice.
        """
        self._is_closed = True
        self._drop(at_once=self._lock.locked())

    def _drop(self, *, at_once: bool) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            transport = opened[0]
            if at_once:
                transport.abort()
            else:
                transport.close()

    async def _dial(self) -> "tuple[asyncio.Transport, _Kept]":
        self._drop(at_once=True)
        self._judge_open()
        url, tls, recorder = self._url, self._options.tls, self._recorder
        if url.is_tls and tls.has_files:
            await tls.reread(recorder)
        # a run dials one address: who answers the second call is who answered the first
        if self._address is None:
            recorder.forget(*_NET_SAMPLES)
            options = self._options
            self._address = await resolve(
                url.host, url.port, recorder, ip=options.ip, servers=options.servers, hop=self._hop
            )
        if self.dials:
            recorder.forget(*_TLS_SAMPLES)
        self.dials += 1
        self.peer = self._address.ip
        self._opened = opened = await open_connection(
            lambda: _Kept(recorder, None),
            self._address,
            recorder,
            context=tls.context(HTTP1_ALPN) if url.is_tls else None,
            server_name=server_name(url, tls, self._host) if url.is_tls else None,
            hop=self._hop,
            source_ip=self._options.source_ip,
            scheme=url.scheme,
        )
        if self._is_closed:
            self._drop(at_once=True)
            self._judge_open()
        return opened

    def _judge_open(self) -> None:
        if self._is_closed:
            raise CheckFailed(Reason.INTERNAL, "want an open session, got a closed one")

    async def _exchange(
        self,
        opened: "tuple[asyncio.Transport, _Kept]",
        request: Request,
        limits: Limits,
        response: Response,
    ) -> Exchange:
        transport, wire = opened
        reused = wire.answers > 0
        response.over_tls = request.url.is_tls
        codec = Http1Kept(
            response, head_only=request.method == "HEAD", reads_redirects=self._reads_redirects
        )
        is_whole = False
        try:
            started = await wire.ask(codec, response, encode_kept(request), limits.max_wire)
            is_whole = response.failure is None
        except CheckFailed as failure:
            raise with_hint(failure, transport) from None
        finally:
            codec.close()
            if not is_whole:
                self._drop(at_once=True)
            elif not codec.keeps or wire.is_spoilt:
                self._drop(at_once=False)
        ended = wire.ended
        return Exchange(response, ended - started, started, ended, reused)


class _Kept(Wire):
    """`Wire` for several answers, one after the other."""

    __slots__ = ("answers", "ended", "is_spoilt")

    def __init__(self, recorder: Recorder, max_wire: int | None) -> None:
        super().__init__(recorder, max_wire)
        self.answers = 0
        """Whole ones so far."""
        self.ended = 0.0
        """When the last answer was complete."""
        self.is_spoilt = False
        """Something came that nobody asked for: the next answer could be that of no request."""

    @property
    def is_untouched(self) -> bool:
        """Whether no byte has come since the last request."""
        return not self._received

    def turn_to(self, recorder: Recorder) -> None:
        """Write phases into *recorder* from here on."""
        self._recorder = recorder

    async def ask(
        self, codec: Http1, response: Response, request: bytes, max_wire: int | None
    ) -> float:
        """Do what `run` does and return when *request* was written."""
        self._received, self._max_wire = 0, max_wire
        started = monotonic()
        await self.run(codec, response, request)
        self.answers += 1
        return started

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer: of an answer, or of nobody's."""
        done = self._done
        if done is None:
            # a server that refuses us at once may say why before it is asked; then it hangs up
            self.is_spoilt = True
            if len(self._early) + len(data) <= MAX_HEAD_BYTES:
                super().data_received(data)
        elif done.done():
            # a timeout told to an idle connection (408), or a second answer
            self.is_spoilt = True
            self._transport.abort()
        else:
            super().data_received(data)

    def _finish(self, failure: CheckFailed | None) -> None:
        self.ended = monotonic()
        super()._finish(failure)
