"""Users as Locust's runner makes them, each on a seat of the desk.

The runner is handed in: whoever imports Locust patches the process. Knows no ticket.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from scenarios.child.player import CutOff
from scenarios.child.pool import Crew, Seat


class LocustCrew(Crew):
    """Users as Locust's runner makes them.

    Args:
        broken: told of a user that broke.
    """

    def __init__(self, broken: Callable[[Any], None]) -> None:
        self.runner: Any = None
        self.classes: Sequence[Any] = ()
        """The user class for each part of the mix."""
        self._broken = broken
        self._users: dict[int, Any] = {}

    def spawn(self, part: int, seats: Sequence[Seat]) -> None:
        users = self.runner.spawn_users({self.classes[part].__name__: len(seats)})
        for user, seat in zip(users, seats, strict=True):
            user.seat = user.sonde_seat = seat
            self._users[seat.number] = user
            user.greenlet.link_exception(self._broken)
            user.greenlet.link(partial(self._forget, seat.number))

    def _forget(self, number: int, _: Any) -> None:
        self._users.pop(number, None)

    def cut(self, seat: Seat) -> None:
        user = self._users.get(seat.number)
        if user is not None:
            user.greenlet.kill(CutOff, block=False)
