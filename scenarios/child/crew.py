"""Users as Locust's runner keeps them, each on a seat of the desk.

The runner is handed in: whoever imports Locust patches the process. Knows no ticket.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from scenarios.child.player import CutOff
from scenarios.child.pool import Crew, Seat


class LocustCrew(Crew):
    """Users as Locust's runner keeps them.

    Args:
        broken: told of a user that broke.
    """

    def __init__(self, broken: Callable[[Any], None]) -> None:
        self.runner: Any = None
        self.classes: Sequence[Any] = ()
        """The user class for each part of the mix; several may bear one name."""
        self.left: Callable[[Seat], None] = _nobody
        """Told of each user that is gone, also of one that never began."""
        self._broken = broken
        self._users: dict[int, Any] = {}

    def spawn(self, part: int, seats: Sequence[Seat]) -> None:
        runner, waiting = self.runner, deque(seats)
        # none: the runner knows that users come. It finds a class by its name alone, and counts
        # all users before each new one
        runner.spawn_users({})
        try:
            while waiting:
                user = self.classes[part](runner.environment)
                user.seat = user.sonde_seat = seat = waiting[0]
                user.start(runner.user_greenlets)
                self._users[seat.number] = user
                user.greenlet.link_exception(self._broken)
                user.greenlet.link(partial(self._ended, seat))
                waiting.popleft()
        finally:
            # code of a locust file may break in there
            for seat in waiting:
                self.left(seat)

    def _ended(self, seat: Seat, _: Any) -> None:
        self._users.pop(seat.number, None)
        self.left(seat)

    def cut(self, seat: Seat) -> None:
        user = self._users.get(seat.number)
        if user is not None:
            user.greenlet.kill(CutOff, block=False)


def _nobody(_: Seat) -> None:
    return
