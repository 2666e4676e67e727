"""The planner in virtual time: P1, P24, E11, E26, F27, F28, F47."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.planner import (
    AHEAD_S,
    EARLY_S,
    FIRST_RATE,
    FIRST_SPREAD_S,
    GATE_MIN_BURST,
    HEAP_SLACK,
    Planner,
    StartGate,
    Stats,
    phase_of,
)
from tests.exporter.virtual_loop import VirtualLoop, run_virtual

EPOCH = 1_790_000_000.0


@dataclass
class Start:
    name: str
    at: float
    delay: float = -1.0

    @property
    def due(self) -> float:
        return self.at - self.delay


@dataclass
class Stage:
    """A planner with a ticker, its clocks, and what it started."""

    capacity: int = 10_000
    duration: float = 0.01
    now: float = 1000.0
    wall_offset: float = EPOCH
    starts: list[Start] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)
    cancelled: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.loop = VirtualLoop(self.now)
        self.planner = Planner(
            self.run, self.loop, self.stats, self.capacity, lambda: self.loop.now + self.wall_offset
        )
        self.planner.on_delay = self.delayed
        self.loop.call_soon(self.tick)

    def tick(self) -> None:
        self.planner.tick()
        self.ticker = self.loop.call_later(1.0, self.tick)

    def run(self, name: str) -> Coroutine[Any, Any, None]:
        self.starts.append(Start(name, self.loop.now))
        self.begun.set()
        return self.body(name)

    async def body(self, name: str) -> None:
        try:
            await asyncio.sleep(self.duration)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    def delayed(self, seconds: float) -> None:
        self.starts[-1].delay = seconds

    def starts_of(self, name: str) -> list[Start]:
        return [start for start in self.starts if start.name == name]

    def check_identity(self) -> None:
        assert self.stats.due == self.stats.started + sum(self.stats.missed.values())
        assert self.stats.started == len(self.starts)

    async def close(self) -> None:
        self.ticker.cancel()
        tasks = self.planner.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.check_identity()

    def play(self, main: Coroutine[Any, Any, None]) -> None:
        async def all_of_it() -> None:
            await main
            await self.close()

        run_virtual(self.loop, all_of_it())


def spread_of(plan: Mapping[str, float]) -> float:
    """Over how many seconds the first runs of *plan* spread when all of it is new."""
    steady = sum(1 / min(every, FIRST_SPREAD_S) for every in plan.values())
    return min(FIRST_SPREAD_S, len(plan) / max(FIRST_RATE, steady))


def due_points(stage: Stage, plan: Mapping[str, float], name: str, end: float) -> int:
    """How many due times lie between 1000.0, where *plan* is new, and *end*.

    Told from the hash and the epoch alone.
    """
    begin, every = 1000.0, plan[name]
    phase, spread = phase_of(name, every), spread_of(plan)
    next_due, early = begin + (phase - begin - stage.wall_offset) % every, 0
    if next_due - begin > spread:
        first = begin + phase / every * spread
        early = int(first <= end)
        next_due += every if next_due - first < every / 2 else 0
    return early + max(0, int((end - next_due) // every) + 1)


# --- the plan


def test_the_phase_of_a_probe_is_the_same_after_a_restart() -> None:
    dues = []
    for now, wall_offset in ((1000.0, EPOCH), (77.7, EPOCH + 54_321.9)):
        stage = Stage(now=now, wall_offset=wall_offset)
        stage.planner.set_probes({"a": 10.0, "b": 30.0})

        stage.play(asyncio.sleep(61))

        dues.append(
            {name: (stage.starts_of(name)[-1].due + wall_offset) % 10 for name in ("a", "b")}
        )
    assert dues[0] == pytest.approx(dues[1], abs=1e-5)
    assert dues[0]["a"] == pytest.approx(phase_of("a", 10.0), abs=1e-5)


def test_the_phases_of_ten_thousand_names_fill_their_interval_evenly() -> None:
    slots = Counter(int(phase_of(f"probe-{number}", 100.0)) for number in range(10_000))

    assert len(slots) == 100
    assert max(slots.values()) < 2 * 100


def test_runs_start_on_the_grid_and_nothing_is_missed() -> None:
    stage = Stage()
    plan = {f"p{number}": every for number, every in enumerate((0.1, 0.5, 1.0, 7.0, 60.0))}
    stage.planner.set_probes(plan)

    stage.play(asyncio.sleep(600))

    for name, every in plan.items():
        starts = stage.starts_of(name)
        assert len(starts) == due_points(stage, plan, name, 1600.0)
        assert all(b.at - a.at == pytest.approx(every, abs=1e-6) for a, b in pairwise(starts[1:]))
        assert every / 2 <= starts[1].at - starts[0].at < 3 * every / 2 + 1e-6
    assert sum(stage.stats.missed.values()) == 0


def test_a_newcomer_sees_the_first_results_at_once() -> None:
    """P24: ten first runs a second are no herd, however small the plan."""
    stage = Stage()
    plan = {"health": 15.0, "metrics": 30.0, "port": 15.0, "machine": 3600.0}
    stage.planner.set_probes(plan)

    stage.play(asyncio.sleep(0.5))

    assert {start.name for start in stage.starts} == set(plan)


def test_a_probe_that_joins_runs_at_once() -> None:
    stage = Stage()
    plan = {f"p{number}": 30.0 for number in range(100)}
    stage.planner.set_probes(plan)

    async def main() -> None:
        await asyncio.sleep(90)
        stage.planner.set_probes({**plan, "new": 3600.0})
        await asyncio.sleep(0.2)

    stage.play(main())

    assert stage.starts_of("new")


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan",
    [
        pytest.param({f"p{n}": 15.0 for n in range(4)}, id="a handful"),
        pytest.param({f"p{n}": 60.0 for n in range(100)}, id="a hundred each minute"),
        pytest.param({f"p{n}": 10.0 for n in range(2000)}, id="two thousand each ten seconds"),
        pytest.param({f"p{n}": 3600.0 for n in range(3000)}, id="three thousand each hour"),
        pytest.param(
            {f"p{n}": 0.1 if n < 10 else 60.0 for n in range(1000)}, id="a few often, many rarely"
        ),
    ],
)
def test_no_second_of_a_start_has_more_than_twice_the_steady_starts(
    plan: Mapping[str, float],
) -> None:
    """P24: at most twice the steady rate, where that is more than a handful; none waits long."""
    stage = Stage()
    stage.planner.set_probes(plan)
    steady = sum(1 / min(every, FIRST_SPREAD_S) for every in plan.values())

    stage.play(asyncio.sleep(70))

    per_second = Counter(int(start.at - 1000.0) for start in stage.starts)
    # a hash is not a comb: three standard deviations of chance
    allowed = steady + max(FIRST_RATE, steady)
    assert max(per_second.values()) <= allowed + 3 * allowed**0.5
    over = 1000 + spread_of(plan) + 1
    assert {start.name for start in stage.starts if start.at <= over} == set(plan)
    assert sum(stage.stats.missed.values()) == 0


def test_a_rare_probe_runs_first_within_a_minute_and_then_on_its_grid() -> None:
    """P24: no probe waits an hour for its first run, and a start of the service is no herd."""
    stage = Stage(now=0.0)
    plan = {f"p{number}": 3600.0 for number in range(1200)}
    stage.planner.set_probes(plan)

    stage.play(asyncio.sleep(2 * 3600))

    first_minute = [start.at for start in stage.starts if start.at <= FIRST_SPREAD_S]
    assert len(first_minute) == len(plan)
    assert max(Counter(int(at / 6) for at in first_minute).values()) < 240
    for name in plan:
        first, second = stage.starts_of(name)[:2]
        assert 1800 <= second.due - first.due < 5400 + 1e-6
        assert (second.due + EPOCH) % 3600 == pytest.approx(phase_of(name, 3600.0), abs=1e-4)


def test_a_rare_probe_whose_turn_is_near_has_no_extra_run() -> None:
    wall_offset = EPOCH - EPOCH % 3600 + phase_of("a", 3600.0) - 1030.0
    stage = Stage(wall_offset=wall_offset)
    stage.planner.set_probes({"a": 3600.0} | {f"p{number}": 3600.0 for number in range(600)})

    stage.play(asyncio.sleep(100))

    assert [start.at for start in stage.starts_of("a")] == pytest.approx([1030.0], abs=1e-3)


def test_an_interval_that_is_not_positive_is_refused() -> None:
    stage = Stage()

    with pytest.raises(ValueError, match="want an interval > 0 s for 'a', got 0"):
        stage.planner.set_probes({"a": 0})

    stage.play(asyncio.sleep(0))


def test_a_tick_that_is_a_second_late_costs_nothing() -> None:
    stage = Stage()
    stage.planner.set_probes({"a": 0.5})

    async def main() -> None:
        stage.ticker.cancel()
        for _ in range(5):
            stage.planner.tick()
            await asyncio.sleep(AHEAD_S)

    async def begin() -> None:
        await asyncio.sleep(0)
        await main()

    stage.play(begin())

    assert max(start.delay for start in stage.starts) < 1e-6
    assert len(stage.starts) == due_points(stage, {"a": 0.5}, "a", 1010.0)


# --- what is missed, and why


def test_a_run_that_outlasts_its_interval_is_missed_as_overlap() -> None:
    stage = Stage(duration=2.5)
    stage.planner.set_probes({"a": 1.0})

    stage.play(asyncio.sleep(30))

    assert stage.stats.due == due_points(stage, {"a": 1.0}, "a", 1030.0) == 31
    assert stage.stats.missed["overlap"] == 20
    assert stage.stats.started == 11
    assert all(b.at - a.at >= 2.5 for a, b in pairwise(stage.starts))


def test_runs_over_the_in_flight_limit_are_missed_as_capacity() -> None:
    stage = Stage(capacity=3, duration=9.0)
    plan = {f"p{number}": 10.0 for number in range(10)}
    stage.planner.set_probes(plan)
    most = 0

    async def main() -> None:
        nonlocal most
        for _ in range(300):
            await asyncio.sleep(0.1)
            most = max(most, stage.planner.inflight)

    stage.play(main())

    assert most == 3
    assert stage.stats.missed["capacity"] > 0
    assert stage.stats.missed["overlap"] == 0
    assert stage.stats.due == sum(due_points(stage, plan, name, 1030.0) for name in plan)


def test_a_freeze_is_counted_and_never_replayed() -> None:
    """F27: SIGSTOP of 100 s: the periods that passed are missed, each probe runs once, no herd."""
    stage = Stage(duration=0.0)
    plan = {"a": 10.0, "b": 0.5}
    stage.planner.set_probes(plan)

    async def main() -> None:
        await asyncio.sleep(20)
        stage.loop.freeze(100)
        await asyncio.sleep(20)

    stage.play(main())

    assert stage.stats.missed["overlap"] == 0
    assert stage.stats.missed["late"] == pytest.approx(9 + 199, abs=2)
    assert stage.stats.due == sum(due_points(stage, plan, name, 1140.0) for name in plan)
    assert len({(start.name, round(start.due, 3)) for start in stage.starts}) == len(stage.starts)


def test_after_a_freeze_overdue_runs_come_in_at_twice_the_steady_rate() -> None:
    """E11: 2,000 probes at 10 s are 200 starts a second; never more than twice that."""
    stage = Stage(duration=0.0)
    plan = {f"p{number}": 10.0 for number in range(2000)} | {"fast": 0.5}
    stage.planner.set_probes(plan)
    steady = 202.0

    async def main() -> None:
        await asyncio.sleep(20)
        stage.loop.freeze(30)
        stage.check_identity()
        await asyncio.sleep(20)

    stage.play(main())

    after = [start for start in stage.starts if start.at >= 1050.0]
    assert sum(start.at < 1050.02 for start in after) <= 1.1 * steady
    for second in range(10):
        begin = 1050.02 + second
        assert sum(begin <= start.at < begin + 1 for start in after) <= 2 * steady + 1
    # the most urgent run is let in first: the queue of 2,000 does not starve a probe of 0.5 s
    fast = [start.at for start in after if start.name == "fast"]
    assert fast[0] <= 1050.5
    assert all(b - a <= 2 * 0.5 for a, b in pairwise(fast))
    # and nobody is silent for longer than an interval once the prober is back
    for name in plan:
        assert next(start.at for start in after if start.name == name) <= 1060.0 + 1e-6
    assert stage.planner.waiting == 0


def test_a_run_that_waits_until_its_next_is_due_is_late() -> None:
    stage = Stage(duration=0.0)
    stage.planner.set_probes({f"p{number}": 1.0 for number in range(100)})
    gate = stage.planner._gate
    gate.rate, gate.burst, gate._tokens = 2.0, 1.0, 0.0  # a gate far too narrow

    stage.play(asyncio.sleep(10.5))

    assert stage.stats.started == pytest.approx(21, abs=2)
    assert stage.stats.missed["late"] + stage.stats.missed["drain"] + stage.stats.started == (
        stage.stats.due
    )
    assert stage.stats.missed["late"] > 700
    assert stage.stats.missed["drain"] > 0


def test_runs_that_waited_through_a_freeze_are_late() -> None:
    stage = Stage(duration=0.0)
    stage.planner.set_probes({f"p{number}": 10.0 for number in range(200)})

    async def main() -> None:
        await asyncio.sleep(15)
        stage.loop.freeze(9.9)
        await asyncio.sleep(0.001)
        waiting, late = stage.planner.waiting, stage.stats.missed["late"]
        assert waiting > 50
        stage.loop.freeze(9.9)
        await asyncio.sleep(0.006)
        assert stage.stats.missed["late"] - late >= 50
        await asyncio.sleep(20)
        assert stage.planner.waiting == 0

    stage.play(main())


def test_a_waiting_run_does_not_pass_the_in_flight_limit() -> None:
    stage = Stage(duration=50.0, capacity=GATE_MIN_BURST + 5)
    stage.planner.set_probes({f"p{number}": 60.0 for number in range(100)})

    async def main() -> None:
        stage.loop.freeze(60)
        await asyncio.sleep(20)
        assert stage.planner.inflight == GATE_MIN_BURST + 5

    stage.play(main())

    assert stage.stats.missed["capacity"] > 0


def test_the_gate_lets_nobody_in_without_a_token() -> None:
    gate = StartGate(0.0)
    gate.resize(100.0, 0.0)

    taken = sum(gate.take(0.0) for _ in range(500))

    assert taken == 100
    assert gate.opens_in() == pytest.approx(1 / 200)
    assert gate.take(1 / 200)
    assert not gate.take(1 / 200)


# --- reload


def test_reload_keeps_the_due_times_of_unchanged_probes() -> None:
    """P8, F47: a hundred reloads neither double nor skip a run."""
    stage = Stage()
    plan = {"a": 1.0, "b": 7.0}

    async def main() -> None:
        for number in range(100):
            stage.planner.set_probes(plan | {f"extra-{number}": 5.0})
            await asyncio.sleep(0.37)

    stage.play(main())

    for name, every in plan.items():
        starts = stage.starts_of(name)
        assert len(starts) == due_points(stage, plan | {"extra-0": 5.0}, name, 1037.0)
        assert all(b.at - a.at == pytest.approx(every, abs=1e-6) for a, b in pairwise(starts[1:]))


def test_a_changed_interval_takes_a_new_grid_and_leaves_the_run_in_flight_alone() -> None:
    stage = Stage(duration=4.0)
    stage.planner.set_probes({"a": 10.0})

    async def main() -> None:
        await stage.begun.wait()
        await asyncio.sleep(0.01)
        stage.planner.set_probes({"a": 5.0})
        assert stage.planner.inflight == 1
        await asyncio.sleep(30)

    stage.play(main())

    later = stage.starts[-3:]
    assert all(
        (start.due + EPOCH) % 5 == pytest.approx(phase_of("a", 5), abs=1e-4) for start in later
    )
    assert stage.cancelled == [] or stage.planner.inflight == 0


def test_a_removed_probe_is_cancelled_and_starts_no_more() -> None:
    stage = Stage(duration=100.0)
    stage.planner.set_probes({"a": 1.0, "b": 50.0})

    async def main() -> None:
        await asyncio.sleep(0.25)
        stage.planner.set_probes({"b": 50.0})
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stage.cancelled == ["a"]
        await asyncio.sleep(10)

    stage.play(main())

    assert len(stage.starts_of("a")) == 1


def test_a_probe_that_comes_back_is_not_ended_by_its_old_run() -> None:
    stage = Stage(duration=100.0)
    stage.planner.set_probes({"a": 1.0})

    async def main() -> None:
        await stage.begun.wait()
        await asyncio.sleep(0.01)
        stage.planner.set_probes({})
        stage.planner.set_probes({"a": 1.0})
        await asyncio.sleep(3)
        assert len(stage.starts) == 2
        assert stage.planner.inflight == 1

    stage.play(main())

    assert stage.cancelled == ["a", "a"]


def test_many_reloads_leave_no_old_entries_behind() -> None:
    stage = Stage()

    async def main() -> None:
        for number in range(200):
            plan = {f"p{index}": 3600.0 + number for index in range(20)}
            stage.planner.set_probes(plan)
        assert len(stage.planner._heap) <= 2 * 20 + HEAP_SLACK

    stage.play(main())


# --- the end


def test_a_closed_planner_starts_nothing_and_has_no_timer() -> None:
    stage = Stage()
    stage.planner.set_probes({"a": 0.1})

    async def main() -> None:
        await asyncio.sleep(1)
        await stage.close()
        before = len(stage.starts)
        stage.planner.set_probes({"b": 0.1})
        stage.planner.tick()
        await asyncio.sleep(5)
        assert len(stage.starts) == before

    stage.play(main())

    assert stage.stats.missed["drain"] == 0


def test_a_run_that_raises_is_logged_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()

    async def broken(name: str) -> None:
        raise RuntimeError("a bug")

    stage.planner._run = broken
    stage.planner.on_delay = None
    stage.planner.set_probes({"a": 1.0})

    async def main() -> None:
        with caplog.at_level(logging.ERROR, "sonde.schedule"):
            await asyncio.sleep(5)
        assert stage.planner.inflight == 0
        stage.ticker.cancel()
        stage.planner.close()

    run_virtual(stage.loop, main())

    due = due_points(stage, {"a": 1.0}, "a", 1005.0)
    assert stage.stats.job_errors == stage.stats.started == due
    assert caplog.records[0].message == "the run of a probe raised RuntimeError"


# --- any clock, any load


EVERY = st.sampled_from([0.1, 0.25, 1.0, 3.0, 10.0, 61.0, 300.0])
PLANS = st.dictionaries(st.text(st.sampled_from("abcd"), min_size=1, max_size=2), EVERY, max_size=8)
SECONDS = st.floats(0, 40, allow_nan=False)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), SECONDS),
        st.tuples(st.just("freeze"), st.floats(0, 2000, allow_nan=False)),
        st.tuples(st.just("wall"), st.sampled_from([-3600.0, 86400.0, -0.3, 60.0])),
        st.tuples(st.just("slow"), st.sampled_from([0.0, 0.05, 1.5, 20.0])),
        st.tuples(st.just("limit"), st.sampled_from([0, 1, 3, 1000])),
        st.tuples(st.just("reload"), PLANS),
    ),
    max_size=12,
)


async def perform(stage: Stage, operations: list[tuple[str, Any]]) -> None:
    for word, value in operations:
        match word:
            case "pass":
                await asyncio.sleep(value)
            case "freeze":
                stage.loop.freeze(value)
            case "wall":
                stage.wall_offset += value
            case "slow":
                stage.duration = value
            case "limit":
                stage.planner.capacity = value
            case _:
                stage.planner.set_probes(value)
        stage.check_identity()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(PLANS, OPERATIONS)
def test_due_is_started_plus_missed_whatever_happens(
    plan: Mapping[str, float], operations: list[tuple[str, Any]]
) -> None:
    """P1: the identity holds over freezes, clock jumps, overload and reloads."""
    stage = Stage()
    stage.planner.set_probes(plan)

    stage.play(perform(stage, operations))

    seen = Counter((start.name, round(start.due, 4)) for start in stage.starts)
    reloads = sum(word == "reload" for word, _ in operations)
    assert all(count <= 1 + reloads for count in seen.values())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(PLANS, OPERATIONS)
def test_every_due_time_is_decided_exactly_once(
    plan: Mapping[str, float], operations: list[tuple[str, Any]]
) -> None:
    """P1, F28, F29: the number of decided runs is what the hash and the clocks alone foretell."""
    stage = Stage()
    plan = {name: every for name, every in plan.items() if every <= FIRST_SPREAD_S}
    stage.planner.set_probes(plan)
    offset = stage.wall_offset

    async def main() -> None:
        await perform(stage, [entry for entry in operations if entry[0] != "reload"])
        # time for the gate to empty
        await asyncio.sleep(GATE_MIN_BURST + 0.0123)
        assert stage.planner.waiting == 0
        due, stage.wall_offset = stage.stats.due, offset
        low, high = (
            sum(due_points(stage, plan, name, stage.loop.now + margin) for name in plan)
            for margin in (-1e-4, 1e-4)
        )
        assert low <= due <= high

    stage.play(main())

    assert len({(start.name, round(start.due, 4)) for start in stage.starts}) == len(stage.starts)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(PLANS, st.lists(st.sampled_from([-3600.0, 86400.0, 2_592_000.0, -0.4]), max_size=5))
def test_no_step_of_the_wall_clock_makes_a_silence_or_a_burst(
    plan: Mapping[str, float], steps: list[float]
) -> None:
    """F29: only the first due time is read from the wall clock."""
    stage = Stage()
    stage.planner.set_probes(plan)

    async def main() -> None:
        for step in steps:
            await asyncio.sleep(13.0)
            stage.wall_offset += step
        await asyncio.sleep(20.0)

    stage.play(main())

    for name, every in plan.items():
        starts = stage.starts_of(name)
        if every <= FIRST_SPREAD_S:
            after = pairwise(starts[1:])
            # the one timer starts whatever is due within EARLY_S of it
            assert all(b.at - a.at == pytest.approx(every, abs=EARLY_S + 1e-5) for a, b in after)
            assert all(b.at - a.at < 1.5 * every + 1e-5 for a, b in pairwise(starts[:2]))
    assert sum(stage.stats.missed.values()) == 0
