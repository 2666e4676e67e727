"""The load runs of a service: due by their cron expressions, never twice at a time, never made up.

    schedule ── due ──> Course ── Live, counts ──> board ──> /metrics
                         └── Filed ──> board, data directory
    every 15 s: results of other processes in the data directory ──> board

What a run needs it takes from the config in force when it begins: a reload changes nothing for it.
Knows the parts, not how a run is made.
"""

# ruff: noqa: PLC0415 - a service without a run imports nothing of one (stack.md 15)

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from exporter.loads.board import Board
from exporter.loads.results import Results
from exporter.loads.sheet import Known
from exporter.schedule import Scheduler
from probes.config.load import Config
from probes.errors import CheckFailed, ConfigError
from probes.prober_health import ProberHealth
from probes.wire.blocking import BlockingCalls
from scenarios.config.cron import Cron, parse_cron
from scenarios.config.section import scenarios_of
from scenarios.report import EXIT_CODES, LoadReport, Verdict, Why

if TYPE_CHECKING:
    from scenarios.config.settings import ScenarioKeys
    from scenarios.course.run import Course

log = logging.getLogger("sonde.load")
T = TypeVar("T")

# load.md 12.
MISFIRE_S = 30
# Somebody who has run `sonde load` looks at the next scrape or two.
LOOK_EVERY_S = 15.0
LOOK_JOB = "load results"
# Reading the results of every scenario at the start, importing what a run needs.
FILES_S = 30.0
# P26 gives the whole end 10 s. Iterations that run have so much of it, their clean-ups 3.5 s more
# (`scenarios.child.pool`); then nothing is waited for, and a second is left to judge and to file.
GRACE_S = 3.0
HURRY_S = 7.0
STOP_S = 8.0
CANCEL_S = 0.5


class LoadRuns:
    """The scheduled load runs of one service.

    Args:
        board: what shows them.
        scheduler: tells when they are due.
        data: directory of locks, baselines and reports.
        health: of the service.
        standing: which of the states of ``skip_if`` hold.
    """

    def __init__(
        self,
        board: Board,
        scheduler: Scheduler,
        data: Path,
        health: ProberHealth,
        standing: Callable[[], frozenset[str]],
    ) -> None:
        self._board = board
        self._scheduler = scheduler
        self._data = data
        self._health = health
        self._standing = standing
        self._results = Results(data)
        self._calls = BlockingCalls("load-files")
        self._config: Config | None = None
        self._times: dict[str, tuple[Cron, ZoneInfo]] = {}
        self._courses: dict[str, Course] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    @property
    def active(self) -> tuple[str, ...]:
        """The scenarios that run now."""
        return tuple(self._courses)

    async def put(self, config: Config) -> None:
        """Put the scenarios of *config* in force; runs under way go on as they began.

        The first time tell of runs that were cut off, and show the last ones.
        """
        scenarios = scenarios_of(config)
        times: dict[str, tuple[Cron, ZoneInfo]] = {}
        cut_off: Sequence[LoadReport] | None = None
        if scenarios and self._config is None:
            cut_off = await self._in_thread("find runs cut off", lambda: self._cut_off(scenarios))
        if self._config is None:
            self._scheduler.every(LOOK_JOB, LOOK_EVERY_S, self.look, first_s=LOOK_EVERY_S)
        if scenarios:
            # a first run would keep the loop from the probes while Python reads its modules
            await self._in_thread("load what runs need", lambda: _prepare(scenarios, times))
        self._config = config
        drop = frozenset(config.metrics.drop)
        self._board.set_scenarios({name: _known(it) for name, it in scenarios.items()}, drop)
        for name in self._times.keys() - times.keys():
            self._scheduler.remove(_job(name))
        for name, at in times.items():
            if self._times.get(name) != at:
                self._schedule(name, *at)
        self._times = times
        await self.look()
        for report in cut_off or ():
            _tell(report)
            self._board.found(report.scenario, report, is_new=True)

    async def look(self) -> None:
        """Show what has come into the data directory, and when the next runs are due."""
        config = self._config
        if config is None or not scenarios_of(config):
            return
        names = [name for name in scenarios_of(config) if name not in self._courses]
        found = await self._in_thread("look for results", lambda: self._results.news(names))
        for name, (reports, is_new) in (found or {}).items():
            for report in reports:
                self._board.found(name, report, is_new=is_new)
        now = datetime.now(UTC)
        for name in scenarios_of(config):
            at = self._times.get(name)
            self._board.expect(name, at and at[0].next_after(now, at[1]))

    async def stop(self, number: int) -> None:
        """End the runs under way, as a signal does, within what is left of the drain."""
        self._is_stopping = True
        for course in self._courses.values():
            course.interrupt(number, GRACE_S)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=HURRY_S)
        if late:
            log.warning("want load runs to end within %g s, got %d that wait", HURRY_S, len(late))
            for course in self._courses.values():
                course.hurry()
            _, late = await asyncio.wait(late, timeout=STOP_S - HURRY_S)
        for task in late:
            task.cancel()
        if late:
            log.error("want load runs to end within %g s, cut off %d", STOP_S, len(late))
            await asyncio.wait(late, timeout=CANCEL_S)

    # --- one run

    def _schedule(self, name: str, cron: Cron, zone: ZoneInfo) -> None:
        async def due() -> None:
            if self._is_stopping:
                return
            task = asyncio.get_running_loop().create_task(self._run(name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            # the drain cancels jobs at once; a run has its grace
            await asyncio.shield(task)

        def following(after: datetime) -> datetime | None:
            return cron.next_after(after, zone)

        self._scheduler.at_times(_job(name), following, due, MISFIRE_S)

    async def _run(self, name: str) -> None:
        from scenarios.course.readiness import Options, wish_of
        from scenarios.course.run import Course
        from scenarios.planning.make import Flags

        config = self._config
        if config is None or name not in scenarios_of(config):
            return
        wish = wish_of(scenarios_of(config)[name], self._results.directory, {})
        options = Options(self._data, wish, standing=self._standing, health=self._health)
        flags = Flags(variables=config.variables)
        course = self._courses[name] = Course(
            config, name, flags, options,
            lambda live: self._board.look(name, live, course.tally),
        )  # fmt: skip
        log.info("the load %s begins", name)
        self._board.begin(name)
        report: LoadReport | None = None
        try:
            filed = await course.run()
            report = filed.report
            if filed.directory is not None:
                self._results.note(filed.directory)
            for text in (*filed.broken, *filed.odd):
                log.warning("the load %s: %s", name, text)
        except ConfigError as error:
            report = _unmade(name, "; ".join(map(str, error.problems)))
        finally:
            del self._courses[name]
            self._board.end(name, report)
        _tell(report)
        await self.look()

    def _cut_off(self, scenarios: "Mapping[str, ScenarioKeys]") -> Sequence[LoadReport]:
        """File a report of each run that was cut off; nobody else is told of them."""
        from scenarios.config.settings import ScenarioKeys
        from scenarios.course.cutoff import report_of
        from scenarios.course.filing import file_report
        from scenarios.course.lock import interrupted
        from scenarios.course.readiness import wish_of

        reports = [report_of(claim) for claim in interrupted(self._data)]
        for report in reports:
            keys = scenarios.get(report.scenario, ScenarioKeys())
            filed = file_report(report, wish_of(keys, self._results.directory, {}))
            if filed.directory is not None:
                self._results.note(filed.directory)
        return reports

    async def _in_thread(self, what: str, function: Callable[[], T]) -> T | None:
        try:
            return await self._calls.call(what, function, FILES_S)
        except (OSError, TimeoutError, CheckFailed) as error:
            log.error("want to %s, got %s", what, error)  # noqa: TRY400 - told, no bug
            return None


def _prepare(
    scenarios: "Mapping[str, ScenarioKeys]", times: dict[str, tuple[Cron, ZoneInfo]]
) -> None:
    """Find the times of all schedules, and import what their runs need; blocks."""
    for name, keys in scenarios.items():
        if keys.schedule is not None:
            times[name] = (parse_cron(keys.schedule), ZoneInfo(keys.timezone))
    if times:
        import_module("scenarios.course.run")
        if find_spec("locust") is None:
            log.error("want the extra sonde[load] for the schedules of loads, got no locust")


def _job(name: str) -> str:
    return f"load {name}"


def _known(keys: "ScenarioKeys") -> Known:
    return Known(tuple(part.name for part in keys.mix), keys.load.pool.max, keys.compat)


def _unmade(name: str, text: str) -> LoadReport:
    """Return the report of a run that could not be planned although the file was good."""
    now = datetime.now(UTC)
    code = EXIT_CODES[Verdict.INCONCLUSIVE]
    why = Why(Verdict.INCONCLUSIVE, "config", text)
    return LoadReport(name, "none", Verdict.INCONCLUSIVE, code, (why,), now, now)


def _tell(report: LoadReport | None) -> None:
    if report is None:
        return
    level = logging.INFO if report.verdict is Verdict.PASS else logging.WARNING
    why = f": {report.reasons[0].text}" if report.reasons else ""
    log.log(
        level, "the load %s: %s%s", report.scenario, report.verdict.value, why,
        extra={"event": "load", "scenario": report.scenario, "run_id": report.run_id,
               "verdict": report.verdict.value},
    )  # fmt: skip
