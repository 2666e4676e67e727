"""The shell of one hop: feeds a codec, times the phases, keeps the cap of the wire.

Between a transport (`probes.wire.net`, `probes.wire.http.proxies.tunnel`) and the codecs
(`probes.wire.http.http1`, `probes.wire.http.h2`). Knows no redirect and not how the connection was
made.
"""

import asyncio
from typing import Protocol

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import format_size
from probes.wire.failures import classify, hinted
from probes.wire.http.message import Response


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

    def run(self, codec: Codec, response: Response, request: bytes) -> asyncio.Future[None]:
        """Write *request*; what comes back is done when *codec* has its verdict.

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
        return done

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


def with_hint(failure: CheckFailed, transport: asyncio.Transport) -> CheckFailed:
    """Name the usual cause of a TLS 1.3 peer that ends before it answers."""
    connection = transport.get_extra_info("ssl_object")
    return failure if connection is None else hinted(failure, connection.version())
