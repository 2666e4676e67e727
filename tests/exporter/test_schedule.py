"""APScheduler as we drive it: our own jobs, steps of the wall clock, the drain."""

import asyncio
import logging
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from apscheduler.triggers.cron import CronTrigger

from exporter.schedule import LAST_TICK_S, AsTold, FromNow, Scheduler, _cron, _following

WAIT_S = 10.0


class Calls:
    """Counts calls by name; the tests wait for them."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self._more = asyncio.Event()

    def __call__(self, name: str = "") -> None:
        self.count[name] += 1
        self._more.set()

    async def run(self, name: str) -> None:
        self(name)

    async def until(self, wanted: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.count.total() < wanted:
                self._more.clear()
                await self._more.wait()


async def nothing(name: str) -> None:
    """A run that ends at once."""


async def test_probes_run_and_the_drain_leaves_no_task() -> None:
    calls, delays = Calls(), list[float]()
    before = asyncio.all_tasks()
    scheduler = Scheduler(calls.run, capacity=10, on_delay=delays.append)
    scheduler.set_probes({"a": 0.1, "b": 0.1})
    assert scheduler.inflight == scheduler.waiting == 0

    scheduler.start()
    await calls.until(4)
    assert await scheduler.drain() == 0

    assert asyncio.all_tasks() == before
    assert set(calls.count) == {"a", "b"}
    assert scheduler.stats.due == scheduler.stats.started == len(delays)
    assert scheduler.stats.missed == {"overlap": 0, "late": 0, "capacity": 0, "drain": 0}
    assert scheduler.inflight == scheduler.waiting == 0
    done = calls.count.total()
    await asyncio.sleep(0.25)  # twice the interval: what was armed must not start
    assert calls.count.total() == done


async def test_a_reload_adds_and_removes_probes() -> None:
    calls = Calls()
    scheduler = Scheduler(calls.run, capacity=1)
    scheduler.start()
    scheduler.set_probes({"a": 0.1})
    scheduler.capacity = 5
    await calls.until(1)

    scheduler.set_probes({"b": 0.1})
    before = calls.count["a"]
    await calls.until(before + 3)
    await scheduler.drain()

    assert calls.count["a"] == before
    assert calls.count["b"] >= 3
    assert scheduler.capacity == 5


# --- the end


async def test_the_drain_waits_for_runs_in_flight() -> None:
    """P26, F54."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), list[str]()

    async def run(name: str) -> None:
        begun.set()
        await may_end.wait()
        ended.append(name)

    scheduler = Scheduler(run, capacity=10)
    scheduler.set_probes({"a": 0.1})
    scheduler.start()
    await begun.wait()

    first = asyncio.create_task(scheduler.drain())
    second = asyncio.create_task(scheduler.drain())
    await asyncio.sleep(0)
    may_end.set()

    assert list(await asyncio.gather(first, second)) == [0, 0]
    assert ended == ["a"]


async def test_the_drain_cancels_what_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    """P26, F54: a cancelled run makes no Result."""
    begun, cancelled = asyncio.Event(), list[str]()

    async def run(name: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    before = asyncio.all_tasks()
    scheduler = Scheduler(run, capacity=10)
    scheduler.set_probes({"a": 0.1})
    scheduler.start()
    await begun.wait()

    assert await scheduler.drain(0.05) == 1

    assert cancelled == ["a"]
    assert asyncio.all_tasks() == before
    assert "want every run to end within 0.05 s of the stop, cancelled 1" in caplog.messages
    assert scheduler.stats.due == scheduler.stats.started + sum(scheduler.stats.missed.values())


async def test_a_run_that_tidies_up_is_told_before_the_others() -> None:
    begun, tidied = asyncio.Event(), list[str]()

    async def run(name: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            tidied.append(name)
            raise

    scheduler = Scheduler(run, capacity=10)
    scheduler.set_probes({"a": 0.1})
    scheduler.start()
    await begun.wait()

    async with asyncio.timeout(2):
        assert await scheduler.drain(30, {"a": 30}) == 0

    assert tidied == ["a"]


async def test_a_scheduler_that_never_started_drains_at_once() -> None:
    assert await Scheduler(nothing, capacity=1).drain() == 0


# --- our own jobs


async def test_jobs_may_be_functions_or_coroutines_and_can_be_replaced_and_removed() -> None:
    calls = Calls()
    scheduler = Scheduler(nothing, capacity=1)
    scheduler.every("plain", 0.05, lambda: calls("plain"))
    scheduler.every("async", 0.05, lambda: calls.run("async"))
    scheduler.every("late", 0.05, lambda: calls("late"), first_s=600)
    scheduler.start()
    scheduler.every("replaced", 600, lambda: calls("old"), first_s=600)
    scheduler.every("replaced", 0.05, lambda: calls("new"))

    await calls.until(9)
    scheduler.remove("plain")
    scheduler.remove("plain")
    plain = calls.count["plain"]
    await calls.until(calls.count.total() + 4)
    await scheduler.drain()

    assert calls.count["plain"] == plain
    assert calls.count["async"] >= 2
    assert calls.count["new"] >= 2
    assert calls.count["old"] == calls.count["late"] == 0


async def test_a_job_that_raises_is_counted_logged_once_and_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = Calls()

    def broken() -> None:
        calls()
        raise RuntimeError("a bug")

    scheduler = Scheduler(nothing, capacity=1)
    scheduler.every("purge", 0.05, broken)
    scheduler.start()
    await calls.until(2)
    await scheduler.drain()

    assert scheduler.stats.job_errors >= 1
    messages = [record.message for record in caplog.records if "purge" in record.message]
    assert messages == ["the job purge raised RuntimeError"] * scheduler.stats.job_errors


async def test_a_job_that_outlasts_its_period_is_skipped_and_cut_off_by_the_drain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = Calls()

    async def slow() -> None:
        begun()
        await asyncio.Event().wait()

    def skipped() -> list[str]:
        return [text for text in caplog.messages if "its last call still goes" in text]

    before = asyncio.all_tasks()
    scheduler = Scheduler(nothing, capacity=1)
    scheduler.every("report", 0.02, slow)
    seen = Calls()
    scheduler.every("seen", 0.02, seen)
    scheduler.start()
    await seen.until(5)
    await scheduler.drain()

    assert begun.count.total() == 1
    assert len(skipped()) == scheduler.stats.job_errors >= 2
    assert asyncio.all_tasks() == before


# --- clocks


@pytest.mark.slow
@pytest.mark.asyncio(
    loop_factories=["uvloop"]
)  # the loop of the service; the other is in test_clock
async def test_a_step_of_the_wall_clock_neither_silences_nor_repeats() -> None:
    """Control 8, E1-E3: APScheduler alone would be silent, or make up for every missed call."""
    calls, jobs, cron = Calls(), Calls(), Calls()
    scheduler = Scheduler(calls.run, capacity=100)
    scheduler.set_probes({f"p{number}": 0.2 for number in range(5)})
    scheduler.every("job", 0.2, jobs)
    scheduler.add_cron("midnight", "0 0 * * *", cron)
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=True) as traveller:
        scheduler.start()
        await calls.until(5)
        # back: the two seconds that are planned ahead, and half a one that is not; forth: one
        for number, (step_s, rounds) in enumerate(((-3600, 13), (86_400, 5)), start=1):
            traveller.shift(step_s)
            await calls.until(calls.count.total() + 5 * rounds)
            assert scheduler.stats.clock_jumps == number
        await scheduler.drain()

    assert jobs.count.total() == pytest.approx(calls.count.total() / 5, abs=6)
    assert scheduler.stats.due == scheduler.stats.started + sum(scheduler.stats.missed.values())
    # a day's step is one midnight, not two
    assert cron.count.total() == 1


async def test_ticks_that_stay_away_are_called_back() -> None:
    """The watchdog wakes APScheduler when its timer is lost, whatever the reason."""
    now, ticked = 1000.0, Calls()
    scheduler = Scheduler(nothing, capacity=1, clock=lambda: now, wall=lambda: 5000.0 + now)
    scheduler.start()
    planner = scheduler._planner
    assert planner is not None
    planner.tick = ticked  # type: ignore[method-assign]
    await ticked.until(1)
    scheduler._apscheduler.get_job("planner").modify(
        next_run_time=datetime.now(UTC) + timedelta(days=1)
    )
    assert scheduler.last_tick == 1000.0

    now += LAST_TICK_S + 0.1
    await ticked.until(2)

    assert scheduler.last_tick == now
    assert scheduler.stats.clock_jumps == 0
    await scheduler.drain()


def test_the_next_time_is_from_now_however_far_the_clock_went() -> None:
    now = 50.0
    trigger = FromNow(10, lambda: now)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert trigger.get_next_fire_time(None, noon) == noon
    now = 60.0
    much_later = noon + timedelta(days=30)
    assert trigger.get_next_fire_time(noon, much_later) == much_later + timedelta(seconds=10)
    assert trigger.due == 70.0


def test_a_cron_job_lists_no_backlog() -> None:
    """E26: a minute's job and a step of 30 days is one call, not 43,200 times to look at."""
    asked = list[Any]()

    class Inner(CronTrigger):  # type: ignore[misc]
        def get_next_fire_time(self, previous: Any, now: datetime) -> Any:
            asked.append(previous)
            return super().get_next_fire_time(previous, now)

    trigger = AsTold(_following(Inner(minute="*", timezone=UTC)))
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert trigger.get_next_fire_time(None, noon) == noon
    assert trigger.get_next_fire_time(noon, noon) == noon + timedelta(minutes=1)
    later = noon + timedelta(days=30, seconds=1)
    assert trigger.get_next_fire_time(noon, later) == later + timedelta(seconds=59)
    assert asked == [None, None, None]


# --- cron

# a Sunday
BEGIN = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def next_times(expression: str, zone: str = "UTC") -> str:
    trigger, found = AsTold(_following(_cron(expression, ZoneInfo(zone)))), list[str]()
    now: datetime | None = BEGIN
    while now is not None and len(found) < 3:
        now = trigger.get_next_fire_time(now, now)
        if now is not None:
            found.append(now.astimezone(ZoneInfo(zone)).strftime("%a %-d %H:%M"))
    return ", ".join(found)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        pytest.param("*/20 * * * *", "Sun 1 12:20, Sun 1 12:40, Sun 1 13:00", id="minutes"),
        pytest.param("0 3 * * 0", "Sun 8 03:00, Sun 15 03:00, Sun 22 03:00", id="0 is Sunday"),
        pytest.param("0 3 * * 7", "Sun 8 03:00, Sun 15 03:00, Sun 22 03:00", id="7 is Sunday"),
        pytest.param("0 3 * * 1-5", "Mon 2 03:00, Tue 3 03:00, Wed 4 03:00", id="1 is Monday"),
        pytest.param("0 3 * * 6,sun", "Sat 7 03:00, Sun 8 03:00, Sat 14 03:00", id="list"),
        pytest.param("0 3 * * fri-mon/3", "Mon 2 03:00, Fri 6 03:00, Mon 9 03:00", id="weekend"),
        pytest.param("0 3 * * 4/2", "Thu 5 03:00, Sat 7 03:00, Thu 12 03:00", id="stepwise"),
        pytest.param("0 3 10 * 1", "Mon 2 03:00, Mon 9 03:00, Tue 10 03:00", id="either day field"),
        pytest.param("0 3 */2 * 1", "Mon 9 03:00, Mon 23 03:00, Mon 13 03:00", id="starred day"),
    ],
)
def test_cron_expressions_mean_what_cron_means(expression: str, times: str) -> None:
    assert next_times(expression) == times


def test_a_cron_job_follows_its_zone_over_the_change_to_summer_time() -> None:
    """F60."""
    times = next_times("30 3 28-30 3 *", "Europe/Berlin")

    assert times == "Sat 28 03:30, Sun 29 03:30, Mon 30 03:30"


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        pytest.param(
            "* * * *",
            "UTC",
            "want five cron fields such as '0 3 * * 1-5', got '* * * *'",
            id="four fields",
        ),
        pytest.param(
            "61 * * * *", "UTC", "want a cron expression, got '61 * * * *': ", id="minute"
        ),
        pytest.param("0 3 * * 8", "UTC", "want a weekday 0-7 or sun-sat, got '8'", id="weekday"),
        pytest.param("0 3 * * */0", "UTC", "want a step 1-7, got '0'", id="step"),
        pytest.param(
            "0 3 * * *",
            "Mars/Base",
            "want a time zone such as Europe/Berlin, got 'Mars/Base'",
            id="zone",
        ),
        pytest.param("0 3 * * *", "../../etc/passwd", "want a time zone", id="zone with a path"),
    ],
)
def test_mistakes_in_cron_jobs_are_named(expression: str, zone: str, message: str) -> None:
    scheduler = Scheduler(nothing, capacity=1)

    with pytest.raises(ValueError, match=re.escape(message)):
        scheduler.add_cron("it", expression, lambda: None, zone)


def test_apscheduler_says_nothing_but_errors() -> None:
    Scheduler(nothing, capacity=1)

    assert not logging.getLogger("apscheduler").isEnabledFor(logging.WARNING)
