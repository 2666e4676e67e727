"""The shell below a websocket: feeds the codec of the upgrade, then that of the frames.

One connection, from the request to upgrade to the last byte. A peer that sends faster than anybody
takes is stopped, one that floods gets its turn of the loop and not more. Knows neither how the
connection was made nor what the messages say.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, cast

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.failures import classify
from probes.wire.http.http1 import Http1
from probes.wire.http.message import MAX_HEAD_BYTES, Response

if TYPE_CHECKING:
    from probes.wire.websocket.frames import Frames

# Messages that nobody has taken yet: beyond this the peer is stopped.
MAX_WAITING = 64
MAX_WAITING_BYTES = 4 * 1024 * 1024
# What one turn of the loop unframes: 2048 empty frames take 8 ms (2026-11; P13: at most 50).
TURN_BYTES = 4096
# How long a peer may take to say goodbye.
GOODBYE_S = 1.0


class Channel(asyncio.Protocol):
    """One end of the connection; made by `probes.wire.websocket.connection.open_websocket`."""

    def __init__(self) -> None:
        self.last_heard = 0.0
        self._transport: asyncio.Transport
        self._codec: Http1 | None = None
        self._answered: asyncio.Future[None] | None = None
        self._frames: Frames | None = None
        self._raw = b""
        """Bytes that were not unframed yet."""
        self._pump: asyncio.Handle | None = None
        self._end: CheckFailed | None = None
        """Why nothing more will come; not before all that came is unframed."""
        self._loss: CheckFailed | None = None
        self._lost = asyncio.Event()
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Event | None = None
        """Unset while the peer takes nothing."""

    @property
    def is_upgraded(self) -> bool:
        """Whether frames may come and go."""
        return self._frames is not None

    # --- the upgrade

    async def shake(self, request: bytes, response: Response) -> None:
        """Write *request* and wait for the head of the answer.

        Raises:
            CheckFailed: none came, or something that is none.
        """
        if self._raw:
            got = short(self._raw)
            raise CheckFailed(Reason.PROTOCOL, f"want nothing before the upgrade, got {got}")
        if self._loss is not None:
            raise self._loss
        codec = self._codec = Http1(response)
        answered = self._answered = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(request)
            await answered
        finally:
            self._answered = self._codec = None
            codec.close()
        if codec.failure is not None:
            raise codec.failure
        self._raw = codec.rest + self._raw

    def start(self, frames: "Frames") -> None:
        """Take frames from here on."""
        self._frames = frames
        self._go_on()

    # --- asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.last_heard = monotonic()
        codec, answered = self._codec, self._answered
        if codec is not None and answered is not None and not answered.done():
            codec.feed(data)
            # the body of a refusal tells nothing that its status does not
            if codec.failure is not None or codec.has_head:
                answered.set_result(None)
            return
        if self._end is not None:
            return
        self._raw = self._raw + data if self._raw else data
        if self._frames is None:
            if len(self._raw) > MAX_HEAD_BYTES:
                self._transport.pause_reading()
        elif self._pump is None and not self._is_waiting:
            self._unframe()

    def connection_lost(self, exc: BaseException | None) -> None:
        got = "the end of the stream (1006)"
        self._loss = (
            CheckFailed(Reason.CLOSED, f"want a message, got {got}")
            if exc is None
            else classify(exc, phase=None)
        )
        codec, answered = self._codec, self._answered
        if codec is not None and answered is not None and not answered.done():
            codec.eof()
            answered.set_result(None)
        self._lost.set()
        self.resume_writing()
        self._go_on()

    def pause_writing(self) -> None:
        """Stop a peer that makes us answer and does not read."""
        self._drained = asyncio.Event()
        self._go_on()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set()
            self._go_on()

    # --- frames

    @property
    def _is_waiting(self) -> bool:
        """Whether the peer must be stopped: nobody takes what it sends."""
        frames = self._frames
        if self._drained is not None or frames is None:
            return self._drained is not None
        waiting = frames.messages
        return len(waiting) >= MAX_WAITING or sum(map(len, waiting)) >= MAX_WAITING_BYTES

    def _go_on(self) -> None:
        """Unframe, read, or let the peer wait, whichever is right now."""
        if self._frames is None or self._end is not None or self._pump is not None:
            return
        is_waiting = self._is_waiting
        if self._loss is not None and not self._raw:
            self._finish(self._loss)
        elif not self._transport.is_closing():
            if is_waiting or self._raw:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if self._raw and not is_waiting:
            self._pump = asyncio.get_running_loop().call_soon(self._unframe)

    def _unframe(self) -> None:
        """Unframe what has come, a piece a turn: a flood may use its turn, not the loop."""
        self._pump = None
        frames = self._frames
        if frames is None or self._end is not None:
            return
        piece, self._raw = self._raw[:TURN_BYTES], self._raw[TURN_BYTES:]
        frames.feed(piece)
        self._write(frames)
        self._wake()
        if frames.end is not None:
            self._finish(frames.end)
            # what we say to it goes out, if it reads at all
            if self._drained is None:
                self._transport.close()
            else:
                self._transport.abort()
        self._go_on()

    def _write(self, frames: "Frames") -> None:
        data = frames.outgoing
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _finish(self, end: CheckFailed) -> None:
        if self._end is None:
            self._end = end
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- `Socket` calls these

    async def receive(self) -> str | bytes:
        """Return the next message, as soon as there is one."""
        while self._frames is not None and not self._frames.messages:
            if self._end is not None:
                raise _again(self._end)
            await self._hear()
        if self._frames is None:
            raise _closed()
        message = self._frames.messages.popleft()
        self._go_on()
        return message

    async def round_trip(self, payload: bytes) -> None:
        """Wait for the answer to the ping with *payload*; messages before it are dropped."""
        while self._frames is not None and self._frames.pong != payload:
            if self._end is not None:
                raise _again(self._end)
            await self._pass_on()

    async def ended(self) -> CheckFailed:
        """Wait until the peer has ended the connection, and return how; drop what it says."""
        while self._end is None:
            await self._pass_on()
        return _again(self._end)

    async def _pass_on(self) -> None:
        """Drop the messages that wait, for the peer is stopped behind them; wait for more."""
        if self._frames is not None:
            self._frames.messages.clear()
        self._go_on()
        await self._hear()

    async def _hear(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    @property
    def close_code(self) -> int | None:
        """With which the peer has said goodbye; None: it has not."""
        return None if self._frames is None else self._frames.close_code

    def open_frames(self) -> "Frames":
        """Return what to say things to.

        Raises:
            CheckFailed: the connection has ended.
        """
        if self._end is not None:
            raise _again(self._end)
        if self._frames is None or not self._frames.is_open:
            raise _closed()
        return self._frames

    async def flush(self) -> None:
        """Write what was said, and wait while the peer takes nothing."""
        if self._frames is not None:
            self._write(self._frames)
        if self._drained is not None:
            await self._drained.wait()

    async def close(self, code: int) -> None:
        """Say goodbye, wait for the peer's, close."""
        frames = self._frames
        try:
            if frames is not None and frames.is_open and self._end is None:
                frames.say_goodbye(code)
                self._write(frames)
                # nobody will take them, and behind them stands its goodbye
                frames.messages.clear()
                self._go_on()
                with suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await self._lost.wait()
        finally:
            self.abort()

    def leave(self, code: int) -> None:
        """Say goodbye and close without waiting for an answer."""
        frames, transport = self._frames, self._transport
        if frames is not None and frames.is_open and self._end is None:
            frames.say_goodbye(code)
            self._write(frames)
        if transport.get_write_buffer_size():
            # it takes nothing: a transport that waits for it would stay for ever
            self.abort()
            return
        self._drop()
        transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._drop()
        self._transport.abort()

    def _drop(self) -> None:
        self._finish(_closed())
        if self._frames is not None:
            self._frames.messages.clear()
        if self._pump is not None:
            self._pump.cancel()


def _closed() -> CheckFailed:
    return CheckFailed(Reason.INTERNAL, "want an open websocket, got a closed one")


def _again(end: CheckFailed) -> CheckFailed:
    """Return *end* anew: one that is raised again and again drags all its frames along."""
    return CheckFailed(end.reason, end.message, phase=end.phase)
