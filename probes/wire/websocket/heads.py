"""The long-lived listener of chain heads: one websocket, what it saw last, how it fared.

    listener = Listener(url, options, headers, tongue, "ethereum/own")
    task = create_task(listener.run())            # for ever; its owner cancels it
    listener.news                                 # a frozen snapshot for the next run

Listens and remembers; whether silence is bad is for the judge, who knows whether the chain moved.
What a message means is told by a `Tongue`. Knows no chain.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Literal, Protocol
from zlib import crc32

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.options import Options
from probes.wire.url import Url

if TYPE_CHECKING:
    from probes.wire.websocket.connection import Socket

# chains.md 5.6: as many as the judge compares.
KEPT_SIGHTINGS = 64
# A peer that comes back is found within a minute; one that is away is not hammered.
FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
# Who was connected for so long had no trouble to begin with.
LASTING_S = 60.0
# For the dial, the upgrade and the answer to the subscription, each of which takes milliseconds.
OPENING_S = 10.0
# Balancers and NAT forget connections that are idle for 60 s (nginx `proxy_read_timeout`, AWS).
PING_EVERY_S = 20.0
# Two pings without a byte in return: nobody is there any more.
DEAF_AFTER_S = 50.0

# Of one listener: the fastest chains announce 20 heads a second of a few hundred bytes. A peer that
# floods is stopped at that, or it would have the whole loop (11,000 heads a second, 2026-11).
MESSAGES_PER_S = 200
BYTES_PER_S = 1024 * 1024

Problem = Literal["unavailable", "subscribe_failed", "closed"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A head that was announced.

    Args:
        height: of the block, or the slot.
        hash: of the block; empty where the announcement has none.
        parent: hash of the block before; empty where the announcement has none.
        timestamp: of the block, in Unix seconds; None where the announcement has none.
        received_at: when it came, in Unix seconds; the listener notes it.
        received: when it came, on the clock of `time.monotonic`; the listener notes it.
        skipped: heights just before it that have no block on its branch (Solana).
    """

    height: int
    hash: str = ""
    parent: str = ""
    timestamp: float | None = None
    received_at: float = 0.0
    received: float = 0.0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The subscription was rejected."""

    detail: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer ended the subscription, and left the connection open."""

    detail: str


class Tongue(Protocol):
    """What a chain family knows of its websocket."""

    subscribe: str
    """The message to send."""

    def read(self, message: str | bytes) -> Sighting | Refused | Ended | None:
        """Return what *message* says; None when it says nothing of heads. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class News:
    """What a listener knows at one moment.

    Args:
        is_up: whether it is connected and the subscription was answered.
        problem: why it is not: what the last try met; None when all is well, and before anything
            is known.
        detail: for people.
        sightings: at most `KEPT_SIGHTINGS`, oldest first.
        heads: seen since the listener began.
        missed: heights that were skipped. A lower or equal height is a reorg, not a gap.
        reconnects: by reason: closed, silent, error, refused.
        up_since: when the subscription was answered, on the clock of `time.monotonic`; 0 before.
        last_received: when the last head came, on the same clock; None before the first.
    """

    is_up: bool = False
    problem: Problem | None = None
    detail: str = ""
    sightings: tuple[Sighting, ...] = ()
    heads: int = 0
    missed: int = 0
    reconnects: Mapping[str, int] = field(default_factory=dict[str, int])
    up_since: float = 0.0
    last_received: float | None = None


class Listener:
    """Listens to one websocket for as long as `run` runs.

    Args:
        url: ``https`` for wss, ``http`` for ws.
        options: how to connect.
        headers: of the upgrade.
        tongue: what the messages mean.
        name: of the endpoint; spreads the reconnects of many listeners.
    """

    def __init__(
        self,
        url: Url,
        options: Options,
        headers: tuple[tuple[str, str], ...],
        tongue: Tongue,
        name: str,
    ) -> None:
        self._url = url
        self._options = options
        self._headers = headers
        self._tongue = tongue
        self._name = name
        self._socket: Socket | None = None
        self._asked = ""
        self._is_up = False
        self._problem: Problem | None = None
        self._detail = ""
        self._sightings: deque[Sighting] = deque(maxlen=KEPT_SIGHTINGS)
        self._heads = 0
        self._missed = 0
        self._reconnects: dict[str, int] = {}
        self._up_since = 0.0
        self._last_height: int | None = None
        """Of this connection: what went by while we were away was not skipped."""

    @property
    def news(self) -> News:
        """What is known now."""
        return News(
            is_up=self._is_up,
            problem=self._problem,
            detail=self._detail,
            sightings=tuple(self._sightings),
            heads=self._heads,
            missed=self._missed,
            reconnects=dict(self._reconnects),
            up_since=self._up_since,
            last_received=self._sightings[-1].received if self._sightings else None,
        )

    def reconnect(self, reason: str) -> None:
        """End the connection, if there is one, and make another at once; *reason* is counted."""
        if self._socket is not None:
            self._asked = reason
            self._socket.abort()

    async def run(self) -> None:
        """Connect, subscribe and read, for ever; leaves no socket when it is cancelled."""
        tries = 0
        while True:
            self._asked = ""
            heads, began = self._heads, monotonic()
            try:
                end = await self._listen()
            finally:
                self._is_up, self._last_height = False, None
            if self._asked:
                # the judge's own wish is no problem of the peer
                end = _End(self._asked, None, f"want heads, got none: {self._asked}")
            self._problem, self._detail = end.problem, end.detail
            self._reconnects[end.reason] = self._reconnects.get(end.reason, 0) + 1
            if self._heads > heads or monotonic() - began > LASTING_S:
                tries = 0
            if not self._asked:
                await asyncio.sleep(pause(self._name, tries))
                tries += 1

    async def _listen(self) -> "_End":
        """Listen over one connection and return how it ended."""
        from probes.wire.websocket.connection import open_websocket  # noqa: PLC0415 - late, as it is costly

        try:
            async with asyncio.timeout(OPENING_S):
                socket = await open_websocket(
                    self._url, Recorder(), self._options, headers=self._headers
                )
        except TimeoutError:
            got = f"want a websocket within {OPENING_S:g} s, got none"
            return _End("error", "unavailable", got)
        except CheckFailed as failure:
            return _End("error", "unavailable", failure.message)
        self._socket = socket
        try:
            return await self._hear(socket)
        except CheckFailed as failure:
            is_closed = failure.reason is Reason.CLOSED
            return _End("closed" if is_closed else "error", "closed", failure.message)
        finally:
            self._socket = None
            socket.abort()

    async def _hear(self, socket: "Socket") -> "_End":
        """Subscribe, and take what comes until the subscription ends."""
        try:
            async with asyncio.timeout(OPENING_S):
                await socket.send(self._tongue.subscribe)
                message: str | bytes | None = await socket.receive()
        except TimeoutError:
            got = f"want an answer to the subscription within {OPENING_S:g} s, got none"
            return _End("refused", "subscribe_failed", got)
        pace = _Pace()
        while message is not None:
            await pace.keep(len(message))
            said = self._tongue.read(message)
            if isinstance(said, Refused):
                return _End("refused", "subscribe_failed", said.detail)
            if isinstance(said, Ended):
                return _End("closed", "closed", said.detail)
            self._take(said)
            message = await _next(socket)
        got = f"want an answer to pings within {DEAF_AFTER_S:g} s, got none"
        return _End("error", "closed", got)

    def _take(self, head: Sighting | None) -> None:
        if not self._is_up:
            self._is_up, self._up_since = True, monotonic()
            self._problem, self._detail = None, ""
        if head is None:
            return
        last = self._last_height
        if last is not None:
            self._missed += max(0, head.height - last - 1 - head.skipped)
        self._last_height = head.height
        self._heads += 1
        now = datetime.now(UTC).timestamp()
        self._sightings.append(replace(head, received_at=now, received=monotonic()))


class _Pace:
    """Lets so many messages and bytes pass in a second; the next of them waits for the next one."""

    __slots__ = ("_began", "_bytes", "_clock", "_messages")

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._messages = self._bytes = 0

    async def keep(self, size: int) -> None:
        """Wait until a message of *size* may be read."""
        self._messages += 1
        self._bytes += size
        used = max(self._messages / MESSAGES_PER_S, self._bytes / BYTES_PER_S)
        if used < 1:
            return
        wait = self._began + used - self._clock()
        if wait > 0:
            await asyncio.sleep(wait)
        self._began = self._clock()
        self._messages = self._bytes = 0


@dataclass(frozen=True, slots=True)
class _End:
    """How a connection of a listener ended, and why another one is made."""

    reason: str
    problem: Problem | None
    detail: str


async def _next(socket: "Socket") -> str | bytes | None:
    """Return the next message, keeping the connection alive; None when nobody is there any more.

    Raises:
        CheckFailed: the connection has ended.
    """
    while True:
        try:
            async with asyncio.timeout(PING_EVERY_S):
                return await socket.receive()
        except TimeoutError:
            if monotonic() - socket.last_heard > DEAF_AFTER_S:
                return None
        try:
            async with asyncio.timeout(PING_EVERY_S):
                await socket.ping()
        except TimeoutError:
            return None


def prepare_listening() -> None:
    """Do now, off the loop, what the first listener would wait for."""
    import_module("probes.wire.websocket.connection").load_library()


def pause(name: str, tries: int) -> float:
    """Return the seconds to wait after *tries* failures in a row.

    They double up to a minute. By its *name* each listener waits a little less than that, so that
    the listeners of a node that was restarted do not come back as one herd.
    """
    whole = min(FIRST_PAUSE_S * 2.0 ** min(tries, 16), LAST_PAUSE_S)
    return whole * (1.0 - crc32(f"{name} {tries}".encode()) / 2**32 / 2)
