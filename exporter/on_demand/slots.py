"""Places for runs that go on at the same time, and a queue of those that wait for one.

First in, first out. Knows nothing of what takes a place.
"""

import asyncio
from collections import deque


class Full(Exception):
    """The queue is full."""


class Slots:
    """A bounded number of places and a bounded queue.

    Args:
        places: at most so many are taken.
        queue: at most so many wait.
    """

    def __init__(self, places: int, queue: int) -> None:
        self.places = places
        self.queue = queue
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def resize(self, places: int, queue: int) -> None:
        """Have other limits from now on; nobody loses a place."""
        self.places, self.queue = places, queue
        self._hand_on()

    def take(self) -> bool:
        """Take a free place now; false when there is none, or others came before."""
        if self.taken >= self.places or self._waiting:
            return False
        self.taken += 1
        return True

    async def wait(self, until: float) -> None:
        """Wait for a place and take it.

        Args:
            until: on the clock of the loop.

        Raises:
            Full: too many wait already.
            TimeoutError: none became free in time.
        """
        if len(self._waiting) >= self.queue:
            raise Full
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            async with asyncio.timeout_at(until):
                await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                self.give_back()  # it was handed over in the very turn in which nobody waited on
            raise
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)

    def give_back(self) -> None:
        """Give a place back; who waits longest has it."""
        self.taken -= 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting and self.taken < self.places:
            first = self._waiting.popleft()
            if not first.done():
                self.taken += 1
                first.set_result(None)
