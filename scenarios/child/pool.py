"""The users of one shard: they come, take tickets, leave; a stop sends them home.

    Seat     a user, as the desk sees it
    Desk     hands out tickets: `scenarios.child.desks` has one for each model
    Crew     makes users

A user is a `Seat` here: a thread of its own calls `take`. The standard library alone: in the child
its locks, queues and waits are cooperative. Knows neither what a ticket is played with nor Locust.
"""

import queue
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from threading import Condition, Event
from time import monotonic, sleep
from typing import Protocol

from scenarios.arrivals import rate_at, stage_at
from scenarios.child.counting import Counts
from scenarios.child.player import Ticket
from scenarios.plan import Plan

# load.md 5.3: more users in one go would hold up the arrivals behind them.
GROWTH = 10
# load.md 7.1: the parent kills at the grace + 5 s; a result must be written in that time too.
CLEANUP_S = 3.0
# What is cut off a second time has nothing more to do.
LAST_S = 0.5
# load.md 14: after a refused connection a closed user waits at least so long.
IDLE_WAIT_S = 0.1
# A timer of the child is late or early by less; the rest is waited for again.
CLOSE_S = 0.0002


class Seat:
    """One virtual user, as the desk sees it.

    Args:
        part: index in the mix.
        number: of the user in the whole run.
    """

    __slots__ = ("is_ready", "is_retired", "mailbox", "not_before", "number", "part")

    def __init__(self, part: int, number: int) -> None:
        self.part = part
        self.number = number
        self.mailbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self.is_ready = False
        """It has asked for a ticket: its set-up was good."""
        self.is_retired = False
        self.not_before = 0.0
        """Monotonic seconds: it begins no iteration earlier (closed model)."""


class Crew(Protocol):
    """Who makes users."""

    def spawn(self, part: int, seats: Sequence[Seat]) -> None:
        """Begin a user on each seat: it calls `Desk.take` until that gives None, then `leave`."""
        ...

    def cut(self, seat: Seat) -> None:
        """Raise `CutOff` in whatever the user waits for."""
        ...


class Desk:
    """Users and tickets of one shard.

    Args:
        plan: of the run.
        shard: 0 ... shards - 1.
        counts: of the shard.
        crew: makes users.
    """

    def __init__(self, plan: Plan, shard: int, counts: Counts, crew: Crew) -> None:
        self.plan = plan
        self.shard = shard
        self.counts = counts
        self.t0 = 0.0
        self._crew = crew
        self._weights = [part.weight for part in plan.mix]
        self._names = [part.name for part in plan.mix]
        self._room = Condition()
        self._seats: dict[int, Seat] = {}
        self._dealt = [0] * len(plan.mix)
        self._number = shard
        self._stopping = Event()
        self._is_closed = False

    # --- for the crew

    @abstractmethod
    def take(self, seat: Seat) -> Ticket | None:
        """Return the next ticket of a user, which may wait for it; None: it is to leave."""
        raise NotImplementedError

    def rest(self, seat: Seat, seconds: float) -> bool:
        """Wait; True: the user is to leave."""
        if self._is_over_for(seat):
            return True
        if seconds <= 0:
            return False
        try:
            seat.mailbox.get(timeout=seconds)
        except queue.Empty:
            return self._is_over_for(seat)
        return True

    def played(self, seat: Seat, *, is_idle: bool) -> None:
        """Tell that an iteration is over.

        Args:
            seat: of its user.
            is_idle: nobody answered it, or it asked nobody: the next one must not come at once.
        """
        if is_idle:
            seat.not_before = max(seat.not_before, monotonic() + IDLE_WAIT_S)

    def leave(self, seat: Seat) -> None:
        """Tell that a user is gone, or never came; who says so twice is heard once."""
        with self._room:
            if self._seats.pop(seat.number, None) is not None and not seat.is_retired:
                self._dealt[seat.part] -= 1
            self._room.notify_all()

    # --- for the shard

    @property
    def users(self) -> int:
        """How many there are."""
        return len(self._seats)

    @property
    def idle(self) -> int:
        """How many of them wait for a ticket."""
        return 0

    def rate(self, at_s: float) -> float:
        """Return what is wanted of this shard *at_s* after the start: a rate, or users."""
        return rate_at(self.plan.stages, at_s) / self.plan.shards

    def is_measured(self) -> bool:
        """Tell whether what happens now is measured."""
        return self._is_measured(monotonic() - self.t0)

    def prepare(self) -> None:
        """Let the first users in, before the start."""

    @abstractmethod
    def run(self, t0: float) -> None:
        """Hand out tickets until the plan has no more, or until `stop`."""
        raise NotImplementedError

    def stop(self) -> None:
        """Hand out no more tickets; `run` returns."""
        self._stopping.set()

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has called `stop`."""
        return self._stopping.is_set()

    def finish(self, grace: Callable[[], float]) -> bool:
        """Send every user home; return when they are gone.

        Args:
            grace: gives when, in monotonic seconds, what still runs is cut off; it cleans up.

        Returns:
            Whether all are gone.
        """
        self._close()
        if self._are_gone(grace):
            return True
        for seconds in (CLEANUP_S, LAST_S):
            for seat in list(self._seats.values()):
                self._crew.cut(seat)
            if self._are_gone(partial(_same, monotonic() + seconds)):
                return True
        return False

    def hurry(self) -> None:
        """Tell that the grace may be another one by now."""
        with self._room:
            self._room.notify_all()

    # --- inside

    def _is_over_for(self, seat: Seat) -> bool:
        return self._is_closed or seat.is_retired

    def _close(self) -> None:
        self._stopping.set()
        with self._room:
            self._is_closed = True
            for seat in self._seats.values():
                seat.mailbox.put(None)

    def _are_gone(self, until: Callable[[], float]) -> bool:
        with self._room:
            while self._seats:
                left = until() - monotonic()
                if left <= 0:
                    return False
                self._room.wait(left)
        return True

    def _sit(self, part: int) -> Seat:
        """Return a seat for one more user of *part*; whoever calls spawns it."""
        seat = self._seats[self._number] = Seat(part, self._number)
        self._number += self.plan.shards
        self._dealt[part] += 1
        return seat

    def _next_part(self) -> int:
        """Return the part of the mix that has the fewest users for its weight."""
        return min(range(len(self._weights)), key=lambda p: (self._dealt[p] + 1) / self._weights[p])

    def _admit(self, number: int) -> None:
        """Let *number* more users in, dealt by weight, some at a time."""
        while number > 0 and not self._stopping.is_set():
            some: dict[int, list[Seat]] = {}
            with self._room:
                for _ in range(min(number, GROWTH)):
                    part = self._next_part()
                    some.setdefault(part, []).append(self._sit(part))
            for part, seats in some.items():
                self._crew.spawn(part, seats)
            number -= GROWTH
            # under gevent nobody is let on otherwise: those who sit begin to play meanwhile
            sleep(0)

    def _wait_until(self, at: float) -> bool:
        """Wait until *at*, monotonic seconds; False: stopped before."""
        while (left := at - monotonic()) > CLOSE_S:
            if self._stopping.wait(left):
                return False
        return not self._stopping.is_set()

    def _is_measured(self, at_s: float) -> bool:
        stage = stage_at(self.plan.stages, at_s)
        return stage is not None and stage.is_measured


def _same(at: float) -> float:
    return at
