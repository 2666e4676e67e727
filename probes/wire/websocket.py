"""A websocket over a connection of ours: upgrade, messages, the close.

    socket = await open_websocket(url, recorder, options)
    await socket.send('{"method":"eth_subscribe", ...}')
    message = await socket.receive()          # raises CheckFailed when the peer has closed
    await socket.close()

The shell around `probes.wire.frames`; policy, TLS facts and phases are those of every other dial.
Pings are answered. Knows no deadline (its caller's cancellation is one) and nothing of what the
messages say.
"""

import asyncio
from contextlib import suppress
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, cast

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.failures import classify
from probes.wire.http import DEFAULT_OPTIONS, HTTP1_ALPN, Options
from probes.wire.http1 import Http1
from probes.wire.message import MAX_HEAD_BYTES, Limits, Response
from probes.wire.net import open_connection, resolve
from probes.wire.tls import server_name
from probes.wire.url import Url

if TYPE_CHECKING:
    from probes.wire.frames import Frames

# chains.md 4: of one answer, decoded; an announced head has 1 to 100 KiB.
MAX_MESSAGE_BYTES = 1024 * 1024
# Messages that nobody has taken yet: beyond this the peer is stopped.
MAX_WAITING = 64
MAX_WAITING_BYTES = 4 * 1024 * 1024
# What one turn of the loop unframes: 2048 empty frames take 8 ms (2026-11; P13: at most 50).
TURN_BYTES = 4096
# How long a peer may take to say goodbye.
GOODBYE_S = 1.0
# RFC 6455, 7.4.1
NORMAL_CLOSURE = 1000
_NO_BODY = Limits(max_body=0, keep_body=False)


class Socket:
    """An open websocket; made by `open_websocket`. One task receives, one may send."""

    __slots__ = ("_channel", "subprotocol")

    def __init__(self, channel: "_Channel", subprotocol: str) -> None:
        self._channel = channel
        self.subprotocol = subprotocol
        """The one that the server chose; empty when it chose none."""

    @property
    def last_heard(self) -> float:
        """When the last byte came, on the clock of `time.monotonic`."""
        return self._channel.last_heard

    async def send(self, message: str | bytes) -> None:
        """Send one message; waits while the peer takes nothing.

        Raises:
            CheckFailed: the connection has ended.
        """
        channel = self._channel
        channel.open_frames().say(message)
        await channel.flush()

    async def ping(self) -> None:
        """Send a ping; its answer shows in `last_heard`.

        Raises:
            CheckFailed: the connection has ended.
        """
        channel = self._channel
        channel.open_frames().ping()
        await channel.flush()

    async def receive(self) -> str | bytes:
        """Return the next message.

        Raises:
            CheckFailed: ``closed`` with the peer's code and reason, ``protocol``, ``too_large``.
        """
        return await self._channel.receive()

    async def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Say goodbye, wait a second at most for the peer's, and close. Again it does nothing."""
        await self._channel.close(code)

    def abort(self) -> None:
        """Close at once."""
        self._channel.abort()


async def open_websocket(  # noqa: PLR0913 - the whole upgrade, all but three by keyword
    url: Url,
    recorder: Recorder,
    options: Options = DEFAULT_OPTIONS,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    subprotocols: tuple[str, ...] = (),
    max_message: int = MAX_MESSAGE_BYTES,
    response: Response | None = None,
) -> Socket:
    """Connect and upgrade; phases ``resolve``, ``connect``, ``tls`` and ``upgrade``.

    Args:
        url: ``https`` for wss, ``http`` for ws: what the upgrade is asked with.
        recorder: gets the phases and what the dial found.
        options: how to connect; no redirect is followed.
        headers: of the user; they win over ours.
        subprotocols: to offer, the preferred one first.
        max_message: bytes of one message at most.
        response: filled with the answer to the upgrade, for a caller that wants its status.

    Raises:
        CheckFailed: as `open_connection` does; ``status`` for another answer than 101;
            ``protocol`` for a wrong one.
    """
    from probes.wire.frames import Frames, Upgrade  # noqa: PLC0415 - websockets: 22 ms of start

    tls = options.tls
    host = next((value for name, value in headers if name.lower() == "host"), "")
    address = await resolve(url.host, url.port, recorder, ip=options.ip)
    _, channel = await open_connection(
        _Channel,
        address,
        recorder,
        context=tls.context(HTTP1_ALPN) if url.is_tls else None,
        server_name=server_name(url, tls, host) if url.is_tls else None,
        source_ip=options.source_ip,
    )
    upgrade, response = Upgrade(subprotocols), response or Response(url, _NO_BODY)
    try:
        recorder.enter("upgrade")
        await channel.shake(upgrade.encode(url, headers), response)
        subprotocol = upgrade.judge(response)
        recorder.leave()
        channel.start(Frames(max_message))
    except CheckFailed as failure:
        failure.phase = "upgrade"
        raise
    finally:
        if not channel.is_upgraded:
            channel.abort()
    return Socket(channel, subprotocol)


def load_library() -> None:
    """Do now, off the loop, what the first websocket would wait for."""
    import_module("probes.wire.frames")


class _Channel(asyncio.Protocol):
    """The shell: feeds the codec of the upgrade, then that of the frames."""

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
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._frames is None:
            raise _closed()
        message = self._frames.messages.popleft()
        self._go_on()
        return message

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

    def abort(self) -> None:
        """Close at once."""
        self._finish(_closed())
        if self._frames is not None:
            self._frames.messages.clear()
        if self._pump is not None:
            self._pump.cancel()
        self._transport.abort()


def _closed() -> CheckFailed:
    return CheckFailed(Reason.INTERNAL, "want an open websocket, got a closed one")


def _again(end: CheckFailed) -> CheckFailed:
    """Return *end* anew: one that is raised again and again drags all its frames along."""
    return CheckFailed(end.reason, end.message, phase=end.phase)
