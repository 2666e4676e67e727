"""Tickets and users in plain threads: what the child does with greenlets."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.child.counting import INTERRUPTED, Counts
from scenarios.child.desks import DESKS
from scenarios.child.player import Ticket
from scenarios.child.pool import IDLE_WAIT_S, Desk, Seat
from scenarios.plan import Part, Plan, Pool, Stage

Play = Callable[["Crew", Seat, Ticket], None]


@dataclass
class Crew:
    """Users that are threads."""

    play: Play = lambda *_: None
    setup: Callable[["Crew", Seat], bool] = lambda *_: True
    desk: Desk | None = None
    played: list[tuple[int, Ticket]] = field(default_factory=list)
    spawned: list[int] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    cuts: dict[int, threading.Event] = field(default_factory=dict)

    def spawn(self, part: int, seats: Sequence[Seat]) -> None:
        self.spawned.append(len(seats))
        for seat in seats:
            self.cuts[seat.number] = threading.Event()
            thread = threading.Thread(target=self._live, args=(seat,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def cut(self, seat: Seat) -> None:
        self.cuts[seat.number].set()

    def _live(self, seat: Seat) -> None:
        desk = self.desk
        assert desk is not None
        try:
            while not self.setup(self, seat):
                if desk.rest(seat, 0.02):
                    return
            while (ticket := desk.take(seat)) is not None:
                name = desk.plan.mix[seat.part].name
                desk.counts.started(name, measured=ticket.is_measured)
                self.played.append((seat.part, ticket))
                self.play(self, seat, ticket)
                outcome = INTERRUPTED if self.cuts[seat.number].is_set() else "up"
                desk.counts.ended(name, outcome, 0.0, None, measured=ticket.is_measured)
        finally:
            desk.leave(seat)


def plan(**keys: Any) -> Plan:
    defaults: dict[str, Any] = {
        "model": "open",
        "stages": (Stage(0.2, 200, 200),),
        "mix": (Part("a"),),
        "pool": Pool(2, 5),
    }
    return Plan(run_id="r", scenario="s", target="", **{**defaults, **keys})


@contextmanager
def opened(made: Plan, shard: int = 0, **crew: Any) -> Iterator[tuple[Desk, Crew]]:
    it = Crew(**crew)
    it.desk = DESKS[made.model](made, shard, Counts(), it)
    yield it.desk, it
    it.desk.finish(lambda: 0.0)
    for thread in it.threads:
        thread.join(5)
        assert not thread.is_alive()


def in_time(seconds: float = 2.0) -> Callable[[], float]:
    until = monotonic() + seconds
    return lambda: until


def total(desk: Desk, metric: str, **labels: Any) -> int:
    return desk.counts.book.total(f"iteration.{metric}", **labels)


@pytest.mark.parametrize("shards", [1, 3])
def test_every_arrival_is_started_or_dropped(shards: int) -> None:
    made = plan(shards=shards, pool=Pool(3, 9))
    due = 0
    for shard in range(shards):
        with opened(made, shard) as (desk, crew):
            desk.prepare()
            desk.run(monotonic())
            assert desk.finish(in_time())

        assert total(desk, "due") == total(desk, "started") + total(desk, "dropped")
        assert {ticket.n % shards for _, ticket in crew.played} <= {shard}
        due += total(desk, "due")

    assert due == 40


def test_who_finds_nobody_is_dropped_and_never_made_up_for() -> None:
    def hang(crew: Crew, seat: Seat, ticket: Ticket) -> None:
        crew.cuts[seat.number].wait(5)

    with opened(plan(), play=hang) as (desk, crew):
        desk.prepare()
        desk.run(monotonic())
        users, idle = desk.users, desk.idle
        assert desk.finish(lambda: 0.0)

    assert (users, idle) == (5, 0)
    assert total(desk, "started") == 5
    assert total(desk, "dropped") == 35
    assert total(desk, "interrupted") == 5
    # one user for each arrival that finds none
    assert crew.spawned == [2, 1, 1, 1]


def test_who_is_not_ready_gets_no_ticket() -> None:
    ready = threading.Event()

    def setup(crew: Crew, seat: Seat) -> bool:
        return ready.wait(5)

    with opened(plan(pool=Pool(0, 3)), setup=setup) as (desk, crew):
        desk.run(monotonic())
        assert crew.played == []
        ready.set()
        assert desk.finish(in_time())

    # three waited for users that came too late, and nobody starts behind the end
    assert total(desk, "due") == 40
    assert total(desk, "started") + total(desk, "dropped") == 40
    assert total(desk, "started") <= 3


def test_a_set_up_that_never_works_takes_no_ticket_and_goes_home() -> None:
    with opened(plan(), setup=lambda *_: False) as (desk, crew):
        desk.prepare()
        desk.run(monotonic())
        assert desk.finish(in_time())

    assert crew.played == []
    assert total(desk, "dropped") == 40


class Killed(BaseException):
    """Raised in whatever a user waits for, by whoever may."""


class Deadly(queue.Queue[Ticket | None]):
    """A mailbox whose user is killed while he gets something."""

    desk: Desk

    def get(self, block: bool = True, timeout: float | None = None) -> Ticket | None:  # noqa: FBT002 - of a queue
        if block:
            self.desk._offer(0, monotonic(), 0.0)  # type: ignore[attr-defined]
            raise Killed
        return super().get(block=False, timeout=timeout)


def test_what_is_handed_to_a_user_who_is_killed_is_dropped() -> None:
    desk = DESKS["open"](plan(pool=Pool(0, 1)), 0, Counts(), Crew())
    seat = desk._sit(0)
    mailbox = seat.mailbox = Deadly()  # type: ignore[assignment]
    mailbox.desk = desk

    with pytest.raises(Killed):
        desk.take(seat)

    assert (total(desk, "due"), total(desk, "dropped"), desk.idle) == (1, 1, 0)
    desk.leave(seat)
    assert desk.users == 0


def test_users_who_never_get_ready_leave_no_ticket_waiting() -> None:
    desk = DESKS["open"](plan(pool=Pool(0, 2)), 0, Counts(), NoCrew())
    for n in range(5):
        desk._offer(n, 0.0, 0.0)  # type: ignore[attr-defined]
        for seat in list(desk._seats.values()):
            desk.leave(seat)

    assert total(desk, "due") == total(desk, "dropped") == 5


def test_who_leaves_by_himself_makes_room_for_his_like() -> None:
    made = plan(model="closed", mix=(Part("a"), Part("b")))
    desk = DESKS["closed"](made, 0, Counts(), NoCrew())
    stays = desk._sit(desk._next_part())
    for _ in range(4):
        leaver = desk._sit(desk._next_part())
        assert leaver.part != stays.part
        desk.leave(leaver)
        desk.leave(leaver)


class NoCrew:
    """Makes nobody."""

    def spawn(self, part: int, seats: Sequence[Seat]) -> None:
        """Make nobody."""

    def cut(self, seat: Seat) -> None:
        """Cut nobody off."""


def test_a_stop_ends_the_arrivals_and_waits_for_nobody_idle() -> None:
    with opened(plan(stages=(Stage(60, 50, 50),))) as (desk, _):
        desk.prepare()
        began = monotonic()
        threading.Timer(0.1, desk.stop).start()
        desk.run(began)
        assert desk.finish(in_time(30))

    assert monotonic() - began < 2
    assert total(desk, "due") == total(desk, "started") + total(desk, "dropped") < 50


def test_warm_up_and_drain_are_counted_apart() -> None:
    stages = (Stage(0.1, 100, 100, warmup=True), Stage(0.1, 100, 100), Stage(0.05, 0, 0))
    with opened(plan(stages=stages, pool=Pool(5, 5))) as (desk, _):
        desk.prepare()
        t0 = monotonic()
        desk.run(t0)
        ended = monotonic()

    assert total(desk, "due", measured=False) == 10
    assert total(desk, "due", measured=True) == 10
    assert 0.25 <= ended - t0 < 0.6


def test_a_mix_is_dealt_by_weight_the_same_for_every_number_of_shards() -> None:
    mix = (Part("a", 3), Part("b", 1))
    dealt: list[dict[int, int]] = []
    for shards in (1, 2):
        made = plan(mix=mix, shards=shards, pool=Pool(20, 40), seed=7)
        parts: dict[int, int] = {}
        for shard in range(shards):
            with opened(made, shard) as (desk, crew):
                desk.prepare()
                desk.run(monotonic())
                assert desk.finish(in_time())
            parts |= {ticket.n: part for part, ticket in crew.played}
        dealt.append(parts)

    assert dealt[0] == dealt[1]
    assert 20 < sum(part == 0 for part in dealt[0].values()) < 38


def test_so_many_users_are_there_as_the_stage_says() -> None:
    seen: list[int] = []

    def note(crew: Crew, seat: Seat, ticket: Ticket) -> None:
        assert crew.desk is not None
        seen.append(crew.desk.users)

    stages = (Stage(0.25, 4, 4), Stage(0.25, 1, 1))
    made = plan(model="closed", stages=stages, pace_s=0.02, mix=(Part("a", 3), Part("b", 1)))
    with opened(made, play=note) as (desk, crew):
        t0 = monotonic()
        desk.run(t0)
        last = desk.users
        assert desk.finish(in_time())

    assert max(seen) == 4
    assert last == 1
    # by weight: three of the four users are of the first part, and one of the other
    assert {part for part, _ in crew.played} == {0, 1}
    assert total(desk, "due") == total(desk, "started") == len(crew.played)
    # a pace of 20 ms: nobody begins more often
    assert len(crew.played) <= 4 * 14 + 14
    assert len({ticket.n for _, ticket in crew.played}) == len(crew.played)


def test_a_closed_user_that_nobody_answers_does_not_spin() -> None:
    def refused(crew: Crew, seat: Seat, ticket: Ticket) -> None:
        assert crew.desk is not None
        crew.desk.played(seat, is_idle=True)

    made = plan(model="closed", stages=(Stage(0.35, 1, 1),))
    with opened(made, play=refused) as (desk, crew):
        desk.run(monotonic())
        assert desk.finish(in_time())

    assert 2 <= len(crew.played) <= 0.35 / IDLE_WAIT_S + 1


@pytest.mark.parametrize(("users", "shards"), [(4, 1), (3, 2), (1, 3)])
def test_a_fixed_number_is_played_exactly(users: int, shards: int) -> None:
    made = plan(model="iterations", stages=(), users=users, shards=shards, iterations=50)
    numbers: list[int] = []
    for shard in range(shards):
        with opened(made, shard) as (desk, crew):
            desk.run(monotonic())
            assert desk.finish(in_time())
        numbers += [ticket.n for _, ticket in crew.played]
        assert desk.is_measured()

    assert sorted(numbers) == list(range(50))


def test_nobody_waits_for_users_that_never_come_past_their_set_up() -> None:
    """Once the iterations are played by the others."""
    made = plan(
        model="iterations", stages=(), users=4, iterations=20, mix=(Part("good"), Part("bad"))
    )
    with opened(made) as (desk, crew):
        crew.setup = lambda _, seat: seat.part == 0
        desk.run(monotonic())
        assert desk.finish(in_time())

    assert sorted(ticket.n for _, ticket in crew.played) == list(range(20))


@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=4), number=st.integers(1, 60))
def test_users_are_dealt_as_near_to_the_weights_as_whole_users_can_be(
    weights: list[int], number: int
) -> None:
    mix = tuple(Part(f"p{index}", weight) for index, weight in enumerate(weights))
    desk = DESKS["closed"](plan(model="closed", mix=mix), 0, Counts(), Crew())
    dealt = [0] * len(weights)
    for _ in range(number):
        part = desk._next_part()
        desk._sit(part)
        dealt[part] += 1

    for weight, found in zip(weights, dealt, strict=True):
        assert abs(found - number * weight / sum(weights)) <= len(weights)
