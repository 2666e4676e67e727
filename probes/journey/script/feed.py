"""A WebSocket as a step of a journey in Python. Knows no other step."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType

from probes.errors import CheckFailed
from probes.journey.playing.asking import address
from probes.journey.script.course import OpenStep
from probes.recorder import Recorder
from probes.result import Failure, Reason
from probes.units import format_duration
from probes.wire.http.options import Options
from probes.wire.websocket.connection import Socket, open_websocket

MAX_MESSAGE_BYTES = 1024 * 1024


class OpenSocket:
    """A WebSocket that is open."""

    def __init__(self, socket: Socket, timeout_s: float) -> None:
        self._socket = socket
        self._timeout_s = timeout_s

    async def send(self, message: str | bytes) -> None:
        """Send one message."""
        await self._socket.send(message)

    async def receive(self, timeout: float | None = None) -> str | bytes:  # noqa: ASYNC109 - as `request`
        """Return the next message.

        Raises:
            CheckFailed: ``timeout``: none came; ``closed``: none will.
        """
        limit_s = self._timeout_s if timeout is None else timeout
        try:
            async with asyncio.timeout(limit_s):
                return await self._socket.receive()
        except TimeoutError:
            text = f"want a message within {format_duration(limit_s)}, got none"
            raise CheckFailed(Reason.TIMEOUT, text) from None


@dataclass(slots=True)
class SocketStep(AbstractAsyncContextManager[OpenSocket]):
    """A step that is a talk over a WebSocket."""

    step: OpenStep
    dialing: Options
    url: str
    headers: Mapping[str, str]
    subprotocol: str
    timeout_s: float
    recorder: Recorder = field(default_factory=Recorder)
    socket: Socket | None = None

    async def __aenter__(self) -> OpenSocket:
        await self.step.__aenter__()
        try:
            self.socket = await self._open()
        except BaseException as error:
            await self._leave(error)
            raise
        self.recorder.enter("transfer")
        return OpenSocket(self.socket, self.timeout_s)

    async def _open(self) -> Socket:
        stage = self.step.course.stage
        scheme, separator, rest = self.url.partition("://")
        plain = {"ws": "http", "wss": "https"}.get(scheme.lower())
        text = f"{plain}{separator}{rest}" if plain and separator else self.url
        try:
            url = address(text, stage.base)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        line = stage.jar.line(url) if stage.jar else ""
        cookies = (("Cookie", line),) if line else ()
        try:
            async with asyncio.timeout(self.timeout_s):
                return await open_websocket(
                    url,
                    self.recorder,
                    self.dialing,
                    headers=(*self.headers.items(), *cookies),
                    subprotocols=(self.subprotocol,) if self.subprotocol else (),
                    max_message=MAX_MESSAGE_BYTES,
                )
        except TimeoutError:
            text = f"want a WebSocket within {format_duration(self.timeout_s)}, got none"
            phase = self.recorder.phase_name
            raise CheckFailed(Reason.TIMEOUT, text, phase=phase) from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.socket is not None:
            try:
                if error is None:
                    await self.socket.close()
            finally:
                self.socket.abort()
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        self.recorder.leave()
        tally = self.step.tally
        tally.took(self.recorder.phases)
        tally.is_pending = True
        self.step.course.stage.tell(tally, None if error is None else Failure(Reason.VALUE, ""))
        await self.step.__aexit__(None, error, None)
