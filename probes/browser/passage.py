"""The two ends of a connection that passes through the proxy, and what goes from one to the other.

Bytes pass as they are, no faster than the slower end takes them. Knows neither policy nor name: the
`probes.browser.proxy` dials, then joins the two.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from probes.browser.socks import Destination, Handshake, Refused, Reply, reply

# Before it is known who speaks, and while the target is dialled: a greeting, or a TLS hello.
MAX_EARLY_BYTES = 64 * 1024
GRANTED = reply(Reply.GRANTED)

Count = Callable[[int], None]


class End(asyncio.Protocol):
    """One end of a passage: what comes is written to the other one, no faster than it drains."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: End | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def pass_on(self, data: bytes) -> None:
        """Write *data* to the other end."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return False
        # one direction is over, the other one may go on
        other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of asyncio
        other, self.other, self.transport = self.other, None, None
        if other is not None and other.transport is not None:
            # what was written before still goes out
            other.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class Client(End):
    """The browser's end."""

    def __init__(
        self, arrive: Callable[["Client"], None], leave: Callable[["Client"], None]
    ) -> None:
        super().__init__()
        self.destination: asyncio.Future[Destination] = asyncio.get_running_loop().create_future()
        self.peer_port = 0
        self._arrive = arrive
        self._leave = leave
        self._handshake: Handshake | None = None
        self._early = bytearray()
        self._count: Count | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.peer_port = int(transport.get_extra_info("peername")[1])
        self._arrive(self)

    def begin(self) -> None:
        """Begin to talk: it is one of ours."""
        self._handshake = Handshake()
        early, self._early = bytes(self._early), bytearray()
        self._talk(self._handshake, early)

    def data_received(self, data: bytes) -> None:
        if self._count is not None:
            self.pass_on(data)
            self._count(len(data))
        elif self._handshake is not None and not self.destination.done():
            self._talk(self._handshake, data)
        else:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        """Keep what comes too early."""
        self._early += data
        if len(self._early) > MAX_EARLY_BYTES:
            self.abort()

    def _talk(self, handshake: Handshake, data: bytes) -> None:
        try:
            found = handshake.feed(data)
        except Refused as error:
            self.destination.set_exception(error)
            return
        if handshake.outgoing and self.transport is not None:
            self.transport.write(handshake.outgoing)
        if found is not None:
            self._early += handshake.rest
            self.destination.set_result(found)

    def end(self, answer: bytes) -> None:
        """Send a last *answer* and close."""
        if self.transport is not None:
            self.transport.write(answer)
            self.transport.close()

    def join(self, target: "Target", sent: Count, received: Count) -> None:
        """Let bytes pass from now on, and tell how many."""
        if self.transport is None or self.transport.is_closing() or target.transport is None:
            target.abort()
            self.abort()
            return
        self.other, target.other = target, self
        self._count = sent
        self.transport.write(GRANTED)
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)
        target.begin(received)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.destination.done():
            self.destination.set_exception(EOFError())
            # nobody may wait for it any more
            self.destination.exception()
        super().connection_lost(exc)
        self._leave(self)


class Target(End):
    """The end of whoever was dialled."""

    def __init__(self) -> None:
        super().__init__()
        self._early = bytearray()
        self._count: Count | None = None
        self._has_ended = False

    def begin(self, count: Count) -> None:
        """Let bytes pass from now on; what came before goes first."""
        self._count = count
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)
        if self._has_ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        if self._count is None:
            self._early += data
            return
        self.pass_on(data)
        self._count(len(data))

    def eof_received(self) -> bool:
        if self._count is None:
            self._has_ended = True
            return True
        return super().eof_received()
