"""Where plain connections wait in a storm until their request is whole.

In a storm the event loop gets whole requests only: a client that drips its head costs the loop
nothing, and pushes out nobody but others like it. The oldest leaves when there are too many.
Belongs to the door's thread. Knows no loop.
"""

from collections.abc import Callable

from exporter.web.limits import HEADER_TIMEOUT_S
from exporter.web.visitor import Visitor

# How often those who wait are looked at: a look at 250 of them takes 1 ms.
LOOK_S = 0.02


class Porch:
    """Visitors whose request is not whole yet.

    Args:
        size: how many may wait.
        reject: told why one had to go: ``limit`` or ``header_timeout``.
    """

    def __init__(self, size: int, reject: Callable[[str], None]) -> None:
        self._size = size
        self._reject = reject
        self._visitors: dict[Visitor, None] = {}
        self._looked_at = 0.0

    def __len__(self) -> int:
        return len(self._visitors)

    def add(self, visitor: Visitor) -> None:
        """Let *visitor* wait; the oldest makes room."""
        self._visitors[visitor] = None
        if len(self._visitors) > self._size:
            self._send_away(next(iter(self._visitors)), "limit")

    def look(self, now: float, is_crowded: Callable[[str], bool]) -> list[Visitor]:
        """Return those who may go in: their request is whole, or wrong, or the storm is over."""
        if now - self._looked_at < LOOK_S:
            return []
        self._looked_at = now
        ready: list[Visitor] = []
        for visitor in list(self._visitors):
            visitor.is_ready = visitor.peek() is not None
            if visitor.is_ready or not is_crowded(visitor.owner):
                ready.append(visitor)
                del self._visitors[visitor]
            elif now - visitor.arrived > HEADER_TIMEOUT_S:
                self._send_away(visitor, "header_timeout")
        return ready

    def close(self) -> None:
        """Close every connection."""
        for visitor in self._visitors:
            visitor.sock.close()
        self._visitors.clear()

    def _send_away(self, visitor: Visitor, reason: str) -> None:
        del self._visitors[visitor]
        self._reject(reason)
        visitor.sock.close()
