"""The three models: which ticket comes when, and for whom.

    Open     at their intended times, whoever is there; nobody there: dropped
    Closed   so many users; each takes its next ticket when it is ready
    Fixed    so many tickets; they are taken as in the closed model

Knows neither what a ticket is played with nor Locust.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from time import monotonic, sleep

from scenarios.arrivals import Arrivals, choose, share, users_at
from scenarios.child.counting import Counts
from scenarios.child.player import Ticket
from scenarios.child.pool import CLOSE_S, GROWTH, Crew, Desk, Seat
from scenarios.plan import Model, Plan

# How often the closed model looks how many users there should be.
TICK_S = 0.1


class Open(Desk):
    """Arrivals at their intended times, whatever the target does."""

    def __init__(self, plan: Plan, shard: int, counts: Counts, crew: Crew) -> None:
        super().__init__(plan, shard, counts, crew)
        self._max = max(share(plan.pool.max, shard, plan.shards), 1)
        self._idle: list[deque[Seat]] = [deque() for _ in plan.mix]
        self._waiting: list[deque[Ticket]] = [deque() for _ in plan.mix]
        """For users whose set-up is not done yet."""
        self._starting = [0] * len(plan.mix)

    @property
    def idle(self) -> int:
        return sum(map(len, self._idle))

    def prepare(self) -> None:
        self._admit(min(share(self.plan.pool.start, self.shard, self.plan.shards), self._max))

    def run(self, t0: float) -> None:
        self.t0 = t0
        plan, behind = self.plan, 0
        for n, due_s in Arrivals(plan.stages, self.shard, plan.shards):
            at = t0 + due_s
            if at - monotonic() > CLOSE_S:
                behind = 0
                if not self._wait_until(at):
                    return
            else:
                behind += 1
                if behind % GROWTH == 0:
                    # whoever got a ticket is let to it
                    sleep(0)
                if self._stopping.is_set():
                    return
            self._offer(n, at, due_s)
        self._wait_until(t0 + plan.seconds)

    def _offer(self, n: int, due_at: float, due_s: float) -> None:
        """Give an arrival to a user, or drop it."""
        part = choose(self.plan.seed, n, self._weights)
        ticket = Ticket(n, due_at, self._is_measured(due_s))
        self.counts.due(self._names[part], measured=ticket.is_measured)
        grown: Seat | None = None
        with self._room:
            if self._idle[part]:
                self._idle[part].popleft().mailbox.put(ticket)
                return
            if len(self._waiting[part]) >= self._starting[part]:
                if len(self._seats) >= self._max:
                    self._drop(ticket, part)
                    return
                grown = self._sit(part)
            self._waiting[part].append(ticket)
        if grown is not None:
            self._crew.spawn(part, (grown,))

    def _sit(self, part: int) -> Seat:
        self._starting[part] += 1
        return super()._sit(part)

    def take(self, seat: Seat) -> Ticket | None:
        part = seat.part
        with self._room:
            self._is_here(seat)
            if self._is_closed:
                return None
            if self._waiting[part]:
                return self._waiting[part].popleft()
            self._idle[part].append(seat)
        try:
            return seat.mailbox.get()
        except BaseException:
            # cut off, killed, out of some time of its own: what it was handed meanwhile is nobody's
            self._give_back(seat)
            raise

    def leave(self, seat: Seat) -> None:
        with self._room:
            self._is_here(seat)
            waiting = self._waiting[seat.part]
            while len(waiting) > self._starting[seat.part]:
                self._drop(waiting.popleft(), seat.part)
        super().leave(seat)

    def _give_back(self, seat: Seat) -> None:
        with self._room:
            if seat in self._idle[seat.part]:
                self._idle[seat.part].remove(seat)
            while not seat.mailbox.empty():
                ticket = seat.mailbox.get_nowait()
                if ticket is not None:
                    self._drop(ticket, seat.part)

    def _drop(self, ticket: Ticket, part: int) -> None:
        self.counts.dropped(self._names[part], measured=ticket.is_measured)

    def _is_here(self, seat: Seat) -> None:
        if not seat.is_ready:
            seat.is_ready = True
            self._starting[seat.part] -= 1

    def _close(self) -> None:
        super()._close()
        with self._room:
            for part, waiting in enumerate(self._waiting):
                while waiting:
                    self._drop(waiting.popleft(), part)


class _Paced(Desk):
    """Users that take their next ticket when they are ready, and not before their pace allows."""

    def take(self, seat: Seat) -> Ticket | None:
        seat.is_ready = True
        if self.rest(seat, seat.not_before - monotonic()):
            return None
        with self._room:
            ticket = next(self._tickets(), None)
        if ticket is not None:
            seat.not_before = monotonic() + self.plan.pace_s
            self.counts.due(self._names[seat.part], measured=ticket.is_measured)
        return ticket

    @abstractmethod
    def _tickets(self) -> Iterator[Ticket]:
        raise NotImplementedError


class Closed(_Paced):
    """As many users as the stages say; each begins again when it has ended."""

    def __init__(self, plan: Plan, shard: int, counts: Counts, crew: Crew) -> None:
        super().__init__(plan, shard, counts, crew)
        self._n = shard

    def _tickets(self) -> Iterator[Ticket]:
        n, self._n = self._n, self._n + self.plan.shards
        yield Ticket(n, None, self._is_measured(monotonic() - self.t0))

    def rate(self, at_s: float) -> float:
        return self._wanted(at_s)

    def _wanted(self, at_s: float) -> int:
        return share(users_at(self.plan.stages, at_s), self.shard, self.plan.shards)

    def run(self, t0: float) -> None:
        self.t0 = t0
        if not self._wait_until(t0):
            return
        ends_at = t0 + self.plan.seconds
        while (now := monotonic()) < ends_at:
            wanted = self._wanted(now - t0)
            staying = [seat for seat in list(self._seats.values()) if not seat.is_retired]
            if wanted > len(staying):
                self._admit(wanted - len(staying))
            for seat in sorted(staying, key=lambda it: it.number)[wanted:]:
                seat.is_retired = True
                self._dealt[seat.part] -= 1
                seat.mailbox.put(None)
            if not self._wait_until(min(now + TICK_S, ends_at)):
                return


class Fixed(_Paced):
    """So many iterations, as fast as so many users play them."""

    def __init__(self, plan: Plan, shard: int, counts: Counts, crew: Crew) -> None:
        super().__init__(plan, shard, counts, crew)
        self._numbers = iter(range(shard, plan.iterations, plan.shards))
        self._is_dealt_out = False

    def is_measured(self) -> bool:
        return True

    def _tickets(self) -> Iterator[Ticket]:
        for n in self._numbers:
            yield Ticket(n)
        self._is_dealt_out = True

    def rate(self, at_s: float) -> float:  # noqa: ARG002 - of the interface
        return self._wanted

    @property
    def _wanted(self) -> int:
        plan = self.plan
        mine = len(range(self.shard, plan.iterations, plan.shards))
        # a shard with iterations has somebody to play them
        return min(max(share(plan.users, self.shard, plan.shards), 1), mine)

    def run(self, t0: float) -> None:
        self.t0 = t0
        if not self._wait_until(t0):
            return
        self._admit(self._wanted)
        with self._room:
            while self._is_somebody_busy() and not self._stopping.is_set():
                self._room.wait(TICK_S)

    def _is_somebody_busy(self) -> bool:
        """Tell whether an iteration may still come, or be under way."""
        if not self._is_dealt_out:
            return bool(self._seats)
        # whose set-up never works waits for iterations that others have played
        return any(seat.is_ready for seat in self._seats.values())


DESKS: Mapping[Model, type[Desk]] = {"open": Open, "closed": Closed, "iterations": Fixed}
