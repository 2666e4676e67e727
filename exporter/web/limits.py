"""How many connections there are, which one makes room, and which one has had its time.

Pure bookkeeping of one event loop: whoever is told to go is kicked through a callable. Knows no
HTTP.

    arriving ── head complete ──> busy ── answer written ──> idle ── next bytes ──> arriving
    ready ──────────┘
    "arriving" and "idle" connections make room when a cap is reached: the oldest first.
"""

import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address, ip_address

# reliability.md 4: header timeout, keep-alive, caps of the own HTTP server.
HEADER_TIMEOUT_S = 5.0
KEEP_ALIVE_S = 15.0
MAX_CONNECTIONS = 1000
DESCRIPTOR_RESERVE = 32
# One descriptor in four is for our own clients; the others are for targets, files and the store.
DESCRIPTORS_PER_CONNECTION = 4
# A reader that takes nothing for as long as Prometheus' default scrape timeout has given up.
WRITE_STALL_S = 10.0
# Longer than any scrape timeout in use (10 s by default, 60 s at most with the default interval).
REQUEST_S = 60.0
# A refused client gets this long to read why, before the connection is reset.
LINGER_S = 1.0
# Prefix of an IPv6 address that one customer owns (RFC 6177): one entry for the per-address cap.
IPV6_PREFIX_BITS = 64


class Stage(Enum):
    """What a connection is doing. Ready: it came with a whole request that nobody has read yet."""

    ARRIVING = auto()
    READY = auto()
    BUSY = auto()
    IDLE = auto()
    LINGERING = auto()


_MAKES_ROOM = frozenset({Stage.ARRIVING, Stage.IDLE, Stage.LINGERING})


@dataclass(slots=True, eq=False)
class Connection:
    """One accepted connection.

    ``kick`` ends it at once, also in the middle of a TLS handshake; ``stalled_since`` is None while
    its client reads what is written.
    """

    address: str
    kick: Callable[[], None]
    since: float
    stage: Stage = Stage.ARRIVING
    busy_s: float = REQUEST_S
    """How long its answer may take."""
    stalled_since: float | None = None
    gone: bool = field(default=False)


class Connections:
    """All connections of the server, with a cap in total and per address.

    Args:
        limit: in total; half of it per address.
        reject: told the reason (``limit``, ``header_timeout``) of every connection that is cut.
    """

    def __init__(self, limit: int, reject: Callable[[str], None]) -> None:
        self.limit = max(2, limit)
        self.limit_per_address = self.limit // 2
        self._reject = reject
        self._by_address: dict[str, dict[Connection, None]] = {}
        # in the order in which they began to wait: the first one makes room first
        self._waiting: dict[Connection, None] = {}
        self.count = 0

    def is_crowded(self, address: str) -> bool:
        """Return whether a newcomer from *address* may soon push out others that have just come."""
        same = len(self._by_address.get(address, ()))
        return 2 * self.count >= self.limit or 2 * same >= self.limit_per_address

    def admit(self, connection: Connection) -> bool:
        """Take *connection* in, at the cost of the oldest waiting one; False when all are busy."""
        same = self._by_address.get(connection.address, {})
        if len(same) >= self.limit_per_address:
            oldest = next((one for one in same if one.stage in _MAKES_ROOM), None)
        elif self.count >= self.limit:
            oldest = next(iter(self._waiting), None)
        else:
            self._add(connection)
            return True
        self._reject("limit")
        if oldest is None:
            return False
        self._cut(oldest)
        self._add(connection)
        return True

    def enter(self, connection: Connection, stage: Stage, now: float) -> None:
        """Note that *connection* is now in *stage*."""
        if connection.gone:
            return
        connection.stage, connection.since = stage, now
        self._waiting.pop(connection, None)
        same = self._by_address[connection.address]
        del same[connection]
        same[connection] = None
        if stage in _MAKES_ROOM:
            self._waiting[connection] = None

    def drop(self, connection: Connection) -> None:
        """Forget *connection*; a second time does nothing."""
        if connection.gone:
            return
        connection.gone = True
        self.count -= 1
        self._waiting.pop(connection, None)
        same = self._by_address[connection.address]
        del same[connection]
        if not same:
            del self._by_address[connection.address]

    def sweep(self, now: float) -> int:
        """Cut whoever has had its time; return how many."""
        late = [one for same in self._by_address.values() for one in same if _is_late(one, now)]
        for connection in late:
            if connection.stage is Stage.ARRIVING:
                self._reject("header_timeout")
            elif connection.stage is Stage.BUSY:
                self._reject("limit")
            self._cut(connection)
        return len(late)

    def waiting(self) -> list[Connection]:
        """Return the connections that are not being answered."""
        return list(self._waiting)

    def all(self) -> list[Connection]:
        """Return every connection."""
        return [one for same in self._by_address.values() for one in same]

    def _add(self, connection: Connection) -> None:
        self._by_address.setdefault(connection.address, {})[connection] = None
        if connection.stage in _MAKES_ROOM:
            self._waiting[connection] = None
        self.count += 1

    def _cut(self, connection: Connection) -> None:
        # counted as gone at once: its descriptor is closed within the next turn of the loop
        self.drop(connection)
        connection.kick()


_ALLOWED_S = {
    Stage.ARRIVING: HEADER_TIMEOUT_S,
    Stage.READY: HEADER_TIMEOUT_S,
    Stage.IDLE: KEEP_ALIVE_S,
    Stage.LINGERING: LINGER_S,
}


def _is_late(connection: Connection, now: float) -> bool:
    if connection.stalled_since is not None and now - connection.stalled_since > WRITE_STALL_S:
        return True
    allowed_s = _ALLOWED_S.get(connection.stage, connection.busy_s)
    return now - connection.since > allowed_s


def connection_limit() -> int:
    """Return how many connections the descriptors of this process allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(2, min(MAX_CONNECTIONS, (soft - DESCRIPTOR_RESERVE) // DESCRIPTORS_PER_CONNECTION))


def owner_of(host: str) -> str:
    """Return whom an address counts for: IPv4 as it is, of IPv6 the prefix of one customer."""
    address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{int(address) >> (128 - IPV6_PREFIX_BITS):x}/{IPV6_PREFIX_BITS}"
    return str(address)
