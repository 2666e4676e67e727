"""Which connections a driver keeps from request to request, and for whom each of them is.

    keeping = Keeping(close)
    place = keeping.place(request, host)      where the request goes, and whether as a stranger
    keeping.find(place), keeping.keep(place, connection)

Knows neither how one is opened nor what is said on it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from probes.journey.model import Request

T = TypeVar("T")

# A journey speaks to a shop, its login and its payment; each more costs a socket for the run.
MAX_CONNECTIONS = 4
# RFC 9110, 9.2.2: these may be sent again when a kept connection died unused; a POST goes out once.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class Place(NamedTuple):
    """What a kept connection is kept under.

    Args:
        origin: of its URL.
        host: header Host where it differs.
        is_foreign: an answer named it, not the journey: it gets neither a client certificate nor a
            pinned name (reliability.md E14).
    """

    origin: str
    host: str
    is_foreign: bool


class Keeping(Generic[T]):
    """The connections of one driver.

    Args:
        close: ends one that makes room for another, or is left at the end.
    """

    __slots__ = ("_close", "_facts", "_kept", "_own")

    def __init__(self, close: Callable[[T], None]) -> None:
        self._close = close
        self._kept: OrderedDict[Place, T] = OrderedDict()
        self._facts: dict[Place, Mapping[str, str]] = {}
        self._own: set[str] = set()

    def place(self, request: Request, host: str) -> Place:
        """Return where *request* goes; *host*: its header, if it says another name than its URL."""
        origin = request.url.origin
        if not request.hop:
            self._own.add(origin)
        return Place(origin, host, origin not in self._own)

    def find(self, place: Place) -> T | None:
        """Return the connection that is kept for *place*."""
        found = self._kept.get(place)
        if found is not None:
            self._kept.move_to_end(place)
        return found

    def keep(self, place: Place, connection: T) -> None:
        """Keep *connection*; the one that was longest unused makes room."""
        while len(self._kept) >= MAX_CONNECTIONS:
            self._close(self._kept.popitem(last=False)[1])
        self._kept[place] = connection

    def drop(self, place: Place) -> None:
        """Close the connection of *place*, if there is one."""
        found = self._kept.pop(place, None)
        if found is not None:
            self._close(found)

    def about(self, place: Place, facts: Mapping[str, str]) -> Mapping[str, str]:
        """Return facts about a connection: those of its dial, also when it is used again."""
        if facts:
            # redirects to ever new hosts leave nothing behind, a user of a load lives for hours
            for gone in [it for it in self._facts if it not in self._kept]:
                del self._facts[gone]
            self._facts[place] = facts
            return facts
        return self._facts.get(place, facts)

    def close(self) -> None:
        """Close all of them."""
        while self._kept:
            self._close(self._kept.popitem()[1])
