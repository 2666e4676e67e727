"""The long-lived listener of chain heads: one websocket, what it saw last, how it fared.

    listener = Listener(url, options, headers, tongue, "ethereum/own")
    task = create_task(listener.run())            # for ever; its owner cancels it
    listener.news                                 # a frozen snapshot for the next run

Listens and remembers; whether silence is bad is for the judge, who knows whether the chain moved.
What a message means is told by a `Tongue`. Knows no chain.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Problem = Literal["unavailable", "subscribe_failed", "closed"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A head that was announced.

    Args:
        height: of the block, or the slot.
        hash: of the block; empty where the announcement has none.
        parent: hash of the block before; empty where the announcement has none.
        timestamp: of the block, in Unix seconds; None where the announcement has none.
        received_at: when it came, in Unix seconds.
        received: when it came, on the clock of `time.monotonic`.
    """

    height: int
    hash: str
    parent: str
    timestamp: float | None
    received_at: float
    received: float


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
        is_up: whether it is connected and the subscription was sent.
        problem: why it is not, or what the last try met; None when all is well.
        detail: for people.
        sightings: at most `KEPT_SIGHTINGS`, oldest first.
        heads: seen since the listener began.
        missed: heights that were skipped. A lower or equal height is a reorg, not a gap.
        reconnects: by reason: closed, silent, error, refused.
        up_since: when the subscription was sent, on the clock of `time.monotonic`.
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
