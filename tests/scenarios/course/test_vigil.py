"""A run is looked at each second: what is broken ends it, and it is told how it stands."""

import asyncio
from dataclasses import replace
from time import monotonic

import pytest

from probes.prober_health import ProberHealth
from scenarios.book import Book, Key
from scenarios.course.guards import Guards
from scenarios.course.vigil import Vigil
from scenarios.fleet.merge import Tally
from scenarios.judging.rules import Rule
from scenarios.judging.watch import Watch
from scenarios.outlets.live import Live
from scenarios.plan import Part, Plan, Stage
from scenarios.records import Progress
from scenarios.report import Verdict
from scenarios.thresholds import parse

PLAN = Plan(
    "r1", "shop", "", "open", (Stage(2, 1, 1, warmup=True), Stage(10, 10, 10)), (Part("a"),)
)


COUNTED = replace(PLAN, model="iterations", stages=(), users=4, iterations=100, max_seconds=60.0)


class Stand:
    """A vigil over a run that nobody loads.

    Args:
        rules: thresholds that abort.
        plan: of the run.
    """

    def __init__(self, *rules: str, plan: Plan = PLAN) -> None:
        self.tally = Tally(plan)
        self.guards = Guards((), ProberHealth())
        self.stops: list[str] = []
        self.told: list[Live] = []
        self.seen = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watch = Watch((Rule(parse(it), abort=True) for it in rules), plan.stages)
        self.vigil = Vigil(plan, self.tally, watch, self.guards, self.stops.append, self.tell)

    def tell(self, live: Live) -> None:
        self.told.append(live)
        self.seen.set()

    def count(self, second: int, *, failed: int = 0) -> None:
        book = Book()
        for at in range(10):
            outcome = "down" if at < failed else "up"
            book.time(Key("request.duration", "a", "s", "GET", "2xx", outcome), 0.1)
        book.count(Key("request.failed", "a", "s", "GET", "2xx", "down", "status"), failed)
        book.count(Key("iteration.started", "a"), 10)
        self.tally.add(Progress(0, second + 1, second + 1.0, users=5, idle=3, rate=10.0, book=book))

    async def look(self, at_s: float) -> Live:
        """Keep the vigil for one look, *at_s* seconds after the start."""
        task = asyncio.create_task(self.vigil.keep(self.ended, monotonic() - at_s, None))
        # it looks a little after each second
        await asyncio.wait_for(self.seen.wait(), 5)
        self.ended.set_result(None)
        await task
        return self.told[-1]


async def test_a_look_tells_the_last_second_and_all_that_failed_so_far() -> None:
    stand = Stand()
    for second in range(4):
        stand.count(second, failed=second)

    live = await stand.look(3.95)

    assert (live.name, live.phase, live.of_s) == ("shop", "load", 12.0)
    assert (live.rate, live.wanted, live.users, live.busy) == (10.0, 10.0, 5, 2)
    assert live.failed_share == pytest.approx(6 / 40)
    assert live.p95 == pytest.approx(0.1, 0.01)
    assert not stand.stops


async def test_a_broken_threshold_that_aborts_ends_the_run_once() -> None:
    stand = Stand("rate(request.failed) < 10%")
    for second in range(4):
        stand.count(second, failed=9)

    live = await stand.look(3.95)

    assert (stand.stops, live.phase) == (["threshold"], "stopping (threshold)")
    assert live.broken == ("rate(request.failed) < 10%",)
    stand.vigil.stop("SIGINT")
    assert stand.stops == ["threshold"]
    assert stand.vigil.ended_s(8.0) == pytest.approx(4.0, abs=0.5)


async def test_a_guard_that_tripped_ends_the_run() -> None:
    stand = Stand()
    stand.guards.tripped.set()

    await stand.look(0.97)

    assert stand.stops == ["guard"]


async def test_a_run_that_nobody_stopped_took_as_long_as_its_stages() -> None:
    stand = Stand()
    live = await stand.look(11.98)

    assert live.phase == "draining"
    assert stand.vigil.ended_s(15.0) == 12.0
    assert stand.vigil.ended_s(3.0) == 3.0


@pytest.mark.parametrize(
    ("at_s", "failed", "done", "started", "why"),
    [
        pytest.param(59.0, 0, 4, 50, "", id="in time"),
        pytest.param(60.0, 0, 4, 50, "ceiling", id="over the ceiling of durations"),
        pytest.param(9.0, 19, 0, 0, "", id="four users have not tried five times each"),
        pytest.param(9.0, 20, 0, 0, "setup", id="nobody came past the set-up"),
        pytest.param(9.0, 99, 1, 3, "", id="one did"),
    ],
)
async def test_a_run_that_no_stage_ends_is_ended(
    at_s: float, failed: int, done: int, started: int, why: str
) -> None:
    stand = Stand(plan=COUNTED)
    book = Book()
    book.count(Key("setup.failed", "a", "login"), failed)
    book.count(Key("setup.done", "a"), done)
    book.count(Key("iteration.started", "a"), started)
    book.count(Key("iteration.completed", "a"), started)
    stand.tally.add(Progress(0, 1, 1.0, book=book))

    await stand.look(at_s - 0.05)

    assert stand.stops == [why] * bool(why)
    told = "want 100 iterations within 1m (safety.load.max_duration), got 50"
    assert [it.text for it in stand.vigil.whys] == [told] * (why == "ceiling")
    assert {it.verdict for it in stand.vigil.whys} <= {Verdict.ABORTED}
