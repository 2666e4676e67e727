"""What is counted of the heads that a websocket announced, between one run and the next.

A listener counts since it began; these counts only grow, also when another one takes its place.
Knows no series and not whether silence is bad.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from probes.chain.model import Head

if TYPE_CHECKING:
    from probes.wire.websocket.heads import News, Sighting

# Heights that were read over HTTP, to be compared; as many as a listener keeps heads.
KEPT_HEIGHTS = 64


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one websocket.

    Args:
        heads: announced, in all.
        missed: left out, in all.
        reconnects: by reason, in all.
        last: counts of the listener at the run before: heads, missed.
        last_reconnects: the same by reason.
        until: monotonic seconds of the last head that was counted.
        last_wall: Unix time of it; None before the first.
        polled: (height, monotonic seconds) of heads when they were first read over HTTP.
    """

    heads: int = 0
    missed: int = 0
    reconnects: Mapping[str, int] = field(default_factory=dict[str, int])
    last: tuple[int, int] = (0, 0)
    last_reconnects: Mapping[str, int] = field(default_factory=dict[str, int])
    until: float = float("-inf")
    last_wall: float | None = None
    polled: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds of new announcements.

    Args:
        behind_block: behind the time of the block.
        behind_http: behind the first sight over HTTP, 0 when it came before.
    """

    behind_block: tuple[float, ...] = ()
    behind_http: tuple[float, ...] = ()


def hear(heard: Heard, news: "News", head: Head | None) -> tuple[Heard, Delays]:
    """Return what is known after a run, and the delays of what is new in it.

    Args:
        heard: before.
        news: of the listener.
        head: what the run read over HTTP; None: nothing.
    """
    polled = dict(heard.polled)
    is_new_height = head is not None and head.height not in polled
    if head is not None:
        polled.setdefault(head.height, head.seen)
    fresh = tuple(one for one in news.sightings if one.received > heard.until)
    delays = Delays(
        tuple(
            max(0.0, one.received_at - one.timestamp) for one in fresh if one.timestamp is not None
        ),
        tuple(_behind_http(news, fresh, polled, head.height if head and is_new_height else None)),
    )
    last = news.sightings[-1] if news.sightings else None
    return replace(
        heard,
        heads=heard.heads + _gained(heard.last[0], news.heads),
        missed=heard.missed + _gained(heard.last[1], news.missed),
        reconnects={
            reason: heard.reconnects.get(reason, 0)
            + _gained(heard.last_reconnects.get(reason, 0), news.reconnects.get(reason, 0))
            for reason in {*heard.reconnects, *news.reconnects}
        },
        last=(news.heads, news.missed),
        last_reconnects=dict(news.reconnects),
        until=max(heard.until, last.received) if last else heard.until,
        last_wall=last.received_at if last else heard.last_wall,
        polled=tuple(polled.items())[-KEPT_HEIGHTS:],
    ), delays


def _gained(before: int, now: int) -> int:
    """Return what a counter gained; one that fell has begun anew."""
    return now - before if now >= before else now


def _behind_http(
    news: "News", fresh: tuple["Sighting", ...], polled: Mapping[int, float], height: int | None
) -> Iterator[float]:
    """Give each pair of both sights once: when the later of the two is new.

    *height* is what HTTP sees for the first time.
    """
    for one in fresh:
        if one.height in polled:
            yield max(0.0, one.received - polled[one.height])
    if height is not None:
        known = set(map(id, fresh))
        for one in news.sightings:
            if one.height == height and id(one) not in known:
                yield 0.0
