"""How many browser journeys go at once, and who is next. Knows no browser."""

import asyncio
from collections import deque

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import format_duration


class Slots:
    """A queue, first come first served, whose width may change with a reload of the file."""

    __slots__ = ("_waiting", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, width: int, until: float) -> None:
        """Wait for a slot.

        Args:
            width: slots there are, in the eyes of this run.
            until: time of the loop when it gives up.

        Raises:
            CheckFailed: ``overload``: others had them all the time.
        """
        if self.taken < width and not self._waiting:
            self.taken += 1
            return
        loop = asyncio.get_running_loop()
        began, turn = loop.time(), loop.create_future()
        self._waiting.append((width, turn))
        try:
            async with asyncio.timeout_at(until):
                await turn
        except TimeoutError:
            self._leave(turn)
            waited = format_duration(round(loop.time() - began, 1) or 0.1)
            raise CheckFailed(
                Reason.OVERLOAD,
                f"want one of {width} places for a browser journey, got none within {waited}: run"
                " them less often, or raise safety.browser.max_parallel",
            ) from None
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def give_back(self) -> None:
        """Give a slot to the next who waits."""
        self.taken -= 1
        while self._waiting and self.taken < self._waiting[0][0]:
            turn = self._waiting.popleft()[1]
            if not turn.done():
                self.taken += 1
                turn.set_result(None)

    def _leave(self, turn: "asyncio.Future[None]") -> None:
        self._waiting = deque(it for it in self._waiting if it[1] is not turn)
        # its turn had come in the very moment in which it left
        if turn.done() and not turn.cancelled():
            self.give_back()
