# pyright: basic, reportMissingTypeStubs=false
"""Drives the planner and our own periodic jobs: the only home of APScheduler.

APScheduler compares due times with the wall clock. So probes never are its jobs: it only wakes the
planner each second, and a watchdog wakes it when the wall clock has been moved. Knows no Result, no
metric and no probe file.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from time import monotonic
from typing import Any, cast
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from exporter.planner import Planner, Stats
from probes.units import short

log = logging.getLogger("sonde.schedule")

# reliability.md 4: planner tick, drift watchdog and its threshold.
TICK_S = 1.0
WATCH_S = 0.5
STEP_S = 0.5
# Three ticks that did not come: the timers of APScheduler are lost, wake it.
LAST_TICK_S = 3.0
# P26 gives the whole end 10 s: so long runs in flight may go on; then they are cancelled and get a
# second to clean up.
DRAIN_S = 7.0
CANCEL_S = 1.0
NO_TIDYING: Mapping[str, float] = {}
PLANNER = "planner"
INSTANT = timedelta(microseconds=1)
# Minute, hour, day, month, weekday.
CRON_FIELDS = 5
# Cron counts days from Sunday, APScheduler 3 from Monday (agronholm/apscheduler#286): take names.
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

Job = Callable[[], Awaitable[None] | None]
Following = Callable[[datetime], datetime | None]
"""Returns the first time after another, both aware; None: there is none."""


class FromNow(BaseTrigger):  # type: ignore[misc]  # ships no types
    """Next = now + period: never a backlog, whatever the wall clock did.

    ``due`` is the next fire time on the monotonic clock; after a step it gives the new wall time.
    """

    __slots__ = ("_clock", "due", "period")

    def __init__(self, period_s: float, clock: Callable[[], float]) -> None:
        self.period = timedelta(seconds=period_s)
        self.due = clock()
        self._clock = clock

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the next fire time; asked when the job is added and each time it fires."""
        if previous is None:
            self.due = self._clock()
            return now
        self.due = self._clock() + self.period.total_seconds()
        return now + self.period


class AsTold(BaseTrigger):  # type: ignore[misc]  # ships no types
    """The time that *following* tells of now: a step of a month is no month of minutes."""

    __slots__ = ("_following",)

    def __init__(self, following: Following) -> None:
        self._following = following

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """Return the next fire time."""
        return self._following(now - INSTANT if previous is None else max(now, previous))


def _epoch_s() -> float:
    return datetime.now(UTC).timestamp()


class Scheduler:
    """The schedule of the service; lives in one event loop.

    Args:
        run: makes one run of the named probe and publishes it; a cancelled run publishes nothing.
        capacity: runs in flight at most; may be changed at any time.
        on_delay: told the seconds between due time and start of each started run.
        clock: monotonic seconds, for the watchdog and the health page.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        run: Callable[[str], Coroutine[Any, Any, None]],
        *,
        capacity: int,
        on_delay: Callable[[float], None] | None = None,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = _epoch_s,
    ) -> None:
        self.stats = Stats()
        self.on_delay = on_delay
        self.last_tick = clock()
        self._run = run
        self._capacity = capacity
        self._clock = clock
        self._wall = wall
        self._plan: Mapping[str, float] = {}
        self._planner: Planner | None = None
        self._drift = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._drained: asyncio.Task[int] | None = None
        # what befalls our jobs comes back as events, see _on_event: two lines for one help nobody
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)
        self._apscheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._apscheduler.add_listener(
            self._on_event, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
        )

    @property
    def inflight(self) -> int:
        """How many runs go now."""
        return self._planner.inflight if self._planner else 0

    @property
    def waiting(self) -> int:
        """How many due runs wait for the start gate."""
        return self._planner.waiting if self._planner else 0

    @property
    def capacity(self) -> int:
        """Runs in flight at most."""
        return self._capacity

    @capacity.setter
    def capacity(self, limit: int) -> None:
        self._capacity = limit
        if self._planner is not None:
            self._planner.capacity = limit

    def set_probes(self, plan: Mapping[str, float]) -> None:
        """Plan exactly these probes, name -> seconds between runs; also the way to reload.

        Who keeps name and interval keeps its due times and its run in flight; the run of a probe
        that has left is cancelled. Before `start` the plan is only remembered.
        """
        self._plan = dict(plan)
        if self._planner is not None:
            self._planner.set_probes(self._plan)

    def start(self) -> None:
        """Begin, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._planner = Planner(self._run, loop, self.stats, self._capacity, self._wall)
        self._planner.on_delay = self.on_delay
        self._planner.set_probes(self._plan)
        self.last_tick = self._clock()
        self._drift = self._wall() - self._clock()
        self._apscheduler.start()
        self._apscheduler.add_job(
            self._tick, FromNow(TICK_S, self._clock), id=PLANNER, next_run_time=datetime.now(UTC)
        )
        self._watchdog = loop.call_later(WATCH_S, self._watch)

    def every(self, job_id: str, seconds: float, function: Job, *, first_s: float = 0.0) -> None:
        """Call *function* every *seconds* whatever the wall clock does, first after *first_s*.

        A call that outlasts its period skips the next one. The same *job_id* replaces the job.
        """
        trigger = FromNow(seconds, self._clock)
        trigger.due = self._clock() + first_s
        first = datetime.now(UTC) + timedelta(seconds=first_s)
        self._apscheduler.add_job(
            self._call, trigger, (function,), id=job_id, next_run_time=first, replace_existing=True
        )

    def add_cron(
        self, job_id: str, expression: str, function: Job, timezone: str | tzinfo = UTC
    ) -> None:
        """Call *function* at the times of a five-field cron *expression*, as *timezone* has them.

        The same *job_id* replaces the job. A zone by name is read from a file: in a running
        service hand over the `tzinfo` that was read with the config.

        Raises:
            ValueError: no such expression or time zone.
        """
        trigger = AsTold(_following(_cron(expression, _zone(timezone))))
        self._apscheduler.add_job(
            self._call, trigger, (function,), id=job_id, replace_existing=True
        )

    def at_times(self, job_id: str, following: Following, function: Job, grace_s: int) -> None:
        """Call *function* at the times of *following*; what is missed is never made up for.

        A call that outlasts the next time skips it. The same *job_id* replaces the job, and ends no
        call under way.

        Args:
            job_id: of the job.
            following: tells the times.
            function: is called.
            grace_s: how late, by the wall clock, a call may begin.
        """
        self._apscheduler.add_job(
            self._call, AsTold(following), (function,), id=job_id, replace_existing=True,
            misfire_grace_time=grace_s,
        )  # fmt: skip

    def remove(self, job_id: str) -> None:
        """Forget a job of `every` or `add_cron`; an unknown one is forgotten already."""
        if self._apscheduler.get_job(job_id) is not None:
            self._apscheduler.remove_job(job_id)

    async def drain(
        self, timeout_s: float = DRAIN_S, tidy_s: Mapping[str, float] = NO_TIDYING
    ) -> int:
        """Start nothing more, wait for the runs in flight, cancel those that end too late.

        Leaves neither task nor handle. A second call waits for the first.

        Args:
            timeout_s: that the runs have.
            tidy_s: name -> seconds of them in which a run tidies up: it is told that much earlier.

        Returns:
            How many runs were cancelled.
        """
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_task(self._drain(timeout_s, tidy_s))
        return await asyncio.shield(self._drained)

    async def _drain(self, timeout_s: float, tidy_s: Mapping[str, float]) -> int:
        if self._planner is None:
            return 0
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._apscheduler.pause()
        runs = self._planner.close()
        loop = asyncio.get_running_loop()
        early = [
            loop.call_later(max(0.0, timeout_s - seconds), run.cancel)
            for run in runs
            if (seconds := tidy_s.get(run.get_name(), 0.0))
        ]
        late = (await asyncio.wait(runs, timeout=timeout_s))[1] if runs else set()
        for timer in early:
            timer.cancel()
        # our own jobs do not hold up the stop: purge and reports come again after the restart
        ending = late | self._jobs
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=CANCEL_S)
        if late:
            log.warning(
                "want every run to end within %g s of the stop, cancelled %d", timeout_s, len(late)
            )
        self._apscheduler.remove_all_jobs()
        self._apscheduler.shutdown(wait=False)
        # it shuts down by a callback of the loop's next turn
        await asyncio.sleep(0)
        return len(late)

    async def _tick(self) -> None:
        self.last_tick = self._clock()
        if self._planner is not None:
            self._planner.tick()

    def _watch(self) -> None:
        """Wake APScheduler after a step of the wall clock, and when its ticks stay away."""
        now, drift = self._clock(), self._wall() - self._clock()
        if abs(drift - self._drift) > STEP_S:
            self.stats.clock_jumps += 1
            log.warning("the wall clock moved by %+.1f s", drift - self._drift)
            self._realign()
        elif now - self.last_tick > LAST_TICK_S:
            self._realign()
        self._drift = drift
        self._watchdog = asyncio.get_running_loop().call_later(WATCH_S, self._watch)

    def _realign(self) -> None:
        """Find the wall time of each job's next call again; cron jobs follow the wall clock."""
        now, wall = self._clock(), datetime.now(UTC)
        for job in self._apscheduler.get_jobs():
            if isinstance(job.trigger, FromNow):
                wait_s = max(0.0, job.trigger.due - now)
                job.modify(next_run_time=wall + timedelta(seconds=wait_s))
            else:
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, wall))

    async def _call(self, function: Job) -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._jobs.add(task)
        try:
            result = function()
            if result is not None:
                await result
        except asyncio.CancelledError:
            # only the drain cancels, and APScheduler would log it as an error
            log.debug("a job was cut off by the stop")
        finally:
            self._jobs.discard(task)

    def _on_event(self, event: Any) -> None:
        self.stats.job_errors += 1
        error = getattr(event, "exception", None)
        if error is not None:
            log.error("the job %s raised %s", event.job_id, type(error).__name__, exc_info=error)
        elif event.code == EVENT_JOB_MISSED:
            log.warning("the job %s was missed, it is not made up for", event.job_id)
        else:
            log.warning("the job %s was skipped: its last call still goes", event.job_id)


def _zone(name: str | tzinfo) -> tzinfo:
    if isinstance(name, tzinfo):
        return name
    with suppress(KeyError, ValueError, OSError):
        return ZoneInfo(name)
    raise ValueError(f"want a time zone such as Europe/Berlin, got {short(name)}")


def _cron(expression: str, timezone: tzinfo) -> BaseTrigger:
    """Read five cron fields as cron means them.

    When both day fields are restricted, either suffices.

    Source:
        https://man7.org/linux/man-pages/man5/crontab.5.html
    """
    fields = expression.split()
    if len(fields) != CRON_FIELDS:
        raise ValueError(f"want five cron fields such as '0 3 * * 1-5', got {short(expression)}")
    minute, hour, day, month, weekday = fields
    times = {"minute": minute, "hour": hour, "month": month, "timezone": timezone}
    try:
        if day.startswith("*") or weekday.startswith("*"):
            return CronTrigger(day=day, day_of_week=_weekdays(weekday), **times)
        either = {"day": day}, {"day_of_week": _weekdays(weekday)}
        return OrTrigger([CronTrigger(**days, **times) for days in either])
    except ValueError as error:
        raise ValueError(f"want a cron expression, got {short(expression)}: {error}") from None


def _following(trigger: BaseTrigger) -> Following:
    def following(after: datetime) -> datetime | None:
        return cast("datetime | None", trigger.get_next_fire_time(None, after + INSTANT))

    return following


def _weekdays(field: str) -> str:
    """Return a weekday field as the names it means: ``1-5`` -> ``mon,tue,wed,thu,fri``."""
    days: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = 0, 6
        else:
            begin, _, end = span.partition("-")
            first = _weekday(begin)
            last = _weekday(end) if end else (6 if step else first)
        # Sunday is 7 as well, and a span may run over the week's end: fri-mon
        last += 7 if last < first else 0
        days.update(number % 7 for number in range(first, last + 1, _step(step)))
    return ",".join(_WEEKDAYS[day] for day in sorted(days))


def _weekday(text: str) -> int:
    if text.lower() in _WEEKDAYS:
        return _WEEKDAYS.index(text.lower())
    if len(text) == 1 and text in "01234567":
        return int(text)
    raise ValueError(f"want a weekday 0-7 or sun-sat, got {short(text)}")


def _step(text: str) -> int:
    if not text:
        return 1
    if len(text) == 1 and text in "1234567":
        return int(text)
    raise ValueError(f"want a step 1-7, got {short(text)}")
