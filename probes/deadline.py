"""Ends what takes too long: one timer for all that have equally long, not one for each.

    Lane    what has the same number of seconds in one event loop, in the order of its deadlines

Nearly everything ends long before its deadline, and a timer that is made and taken back costs a
tenth of a whole HTTP run (uvloop; 2026-11). Knows no run and no verdict.
"""

import asyncio
from typing import Protocol

# uvloop's clock counts whole milliseconds and stands still for a turn of the loop: nothing may be
# cut off before its time.
ROUNDING_S = 0.001


class Late(Protocol):
    """What can be ended; two are never equal."""

    def expire(self) -> None:
        """Take the news that the deadline has come."""
        ...


class Lane:
    """What is ended in the order in which it came.

    Args:
        loop: whose clock and timers are used.
        is_shared: the timer of whoever has left may wait for those who come.
    """

    __slots__ = ("_due", "_is_shared", "_timer", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_shared: bool = False) -> None:
        self.loop = loop
        self._is_shared = is_shared
        self._due: dict[Late, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, one: Late, when: float) -> None:
        """Give *one* until *when*, on the loop's clock: not earlier than whoever came before."""
        self._due[one] = when
        if self._timer is None:
            self._timer = self.loop.call_at(when + ROUNDING_S, self._ring)

    def leave(self, one: Late) -> None:
        """Forget *one*: it has ended."""
        self._due.pop(one, None)
        if not self._is_shared and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        """Expire what is due and wait for the next."""
        self._timer = None
        now = self.loop.time()
        late: list[Late] = []
        for one, when in self._due.items():
            if when > now:
                self._timer = self.loop.call_at(when + ROUNDING_S, self._ring)
                break
            late.append(one)
        for one in late:
            del self._due[one]
            one.expire()


_lanes: dict[float, Lane] = {}
# Of timeouts in one probe file; a page that is asked for brings one of its own.
MAX_LANES = 256


def lane_of(loop: asyncio.AbstractEventLoop, seconds: float) -> Lane:
    """Return the lane of all that have *seconds* from now on."""
    lane = _lanes.get(seconds)
    if lane is None or lane.loop is not loop:
        if len(_lanes) >= MAX_LANES:
            _lanes.clear()  # those in use are held by who is in them
        lane = _lanes[seconds] = Lane(loop, is_shared=True)
    return lane
