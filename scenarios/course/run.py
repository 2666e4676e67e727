"""One load run, from the first rail to the last file: every way through it ends in a `Filed`.

    plan ── rails ── lock ── preflight ── children ── load ── verdict ── baseline ── files
     └────────┴────────┴─────────┴───────────┴── a report that says why no load was sent

Knows the order and who is asked; what a rail, a threshold or a verdict is, is told elsewhere. Files
are read and written in threads: the loop belongs to the load's clock and to the guards.
"""

import asyncio
import logging
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

from probes.config.load import Config
from probes.errors import ConfigError, Problem
from probes.kinds import release_kinds
from probes.prober_health import ProberHealth
from probes.result import Result
from probes.wire.net import close_resolvers, reachable
from scenarios.arrivals import stage_at
from scenarios.book import Book
from scenarios.config.section import scenarios_of
from scenarios.course.capacities import note_capacity
from scenarios.course.cutoff import report_of
from scenarios.course.filing import Filed, file_report, unfiled
from scenarios.course.guards import Guards, note_vitals
from scenarios.course.lock import Claim, RunLock
from scenarios.course.patience import NoLoad, Patience, settled, told_of
from scenarios.course.preflight import preflight
from scenarios.course.questions import asker, last_answers
from scenarios.course.readiness import Options, Ready, make_ready
from scenarios.course.remains import last_words, read_pages
from scenarios.course.revision import git_ref, versions
from scenarios.course.vigil import Vigil
from scenarios.course.workers import fleet_of
from scenarios.fleet.launch import Fleet, Unready
from scenarios.fleet.merge import Tally
from scenarios.judging.baseline import Found, Shelf
from scenarios.judging.figures import Windows
from scenarios.judging.regression import compare
from scenarios.judging.rules import implicit, judge_all, rules_of
from scenarios.judging.verdict import Findings, judge
from scenarios.judging.watch import Watch
from scenarios.outlets.cleaning import cleaned
from scenarios.outlets.live import Live
from scenarios.plan import Plan
from scenarios.planning.make import Flags
from scenarios.planning.sizing import capacity_of
from scenarios.rails.fences import Refused, policy_of, resolve_and_judge
from scenarios.report import LoadReport, Verdict, Why

log = logging.getLogger("sonde.load")

# A disk that takes longer to give or to take a few files is broken.
FILES_S = 30.0
# Importing pydantic's models, compiling a few hundred journeys and hashing their data.
PLAN_S = 60.0


class Course:
    """One run.

    Args:
        config: of the probe file.
        name: of the scenario; it is there.
        flags: of the command line.
        options: how it is made.
        tell: gets each `Live`; must not block.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        flags: Flags,
        options: Options,
        tell: Callable[[Live], None],
    ) -> None:
        self._config = config
        self._name = name
        self._keys = scenarios_of(config)[name]
        self._flags = flags
        self._options = options
        self._tell = tell
        self._patience = Patience()
        self._shelf = Shelf(options.data, name)
        self._windows: Windows | None = None
        self._pages: Mapping[str, str] = {}
        self._health = options.health or ProberHealth(config.prober.connectivity, reachable)
        self._fleet: Fleet | None = None
        self._vigil: Vigil | None = None
        now = datetime.now(UTC)
        self._report = LoadReport(name, token_hex(8), Verdict.INCONCLUSIVE, 3, (), now, now)

    @property
    def tally(self) -> Tally | None:
        """What its children have counted so far; None: there are none yet."""
        return None if self._fleet is None else self._fleet.tally

    def interrupt(self, number: int, grace_s: float | None = None) -> None:
        """End the run because of a signal: first with its grace, the second time at once.

        Args:
            number: of the signal.
            grace_s: at most so much of it; None: all that the scenario grants.
        """
        if self._patience.signal:
            grace_s = 0.0
        self._patience.interrupt(number)
        if self._vigil is not None:
            self._vigil.stop(signal.Signals(number).name)
        if self._fleet is not None and grace_s is not None:
            self._fleet.stop("signal", grace_s)

    def hurry(self) -> None:
        """Wait for nothing any more: what is known is judged and filed.

        Children end by force, and what they have said counts; Prometheus is not asked.
        """
        self._patience.hurry()
        if self._fleet is not None:
            self._fleet.cut()

    async def run(self) -> Filed:
        """Run, judge and file it.

        Raises:
            ConfigError: the scenario or a flag cannot be; nothing was sent and nothing is filed.
        """
        # held until the files are written: a run that is cut off before is told by the next one
        async with AsyncExitStack() as held:
            if self._options.health is None:
                # else what kinds and resolvers hold is its owner's
                self._health.start()
                for close in (close_resolvers, release_kinds, self._health.stop):
                    held.push_async_callback(close)
            ended = await settled(self._findings(held))
            if (error := ended.exception()) is None:
                return await self._filed(ended.result())
            if isinstance(error, ConfigError):
                raise error
            log.error("a load run broke", exc_info=error)
            text = f"want no error of our own, got {type(error).__name__}"
            why = Why(Verdict.INCONCLUSIVE, "internal", text)
            return await self._filed(Findings((why,), self._patience.signal, was_sent=False))

    async def _findings(self, held: AsyncExitStack) -> Findings:
        """Return all that was found; on the way `_report` gets what is known."""
        try:
            ready = await self._made_ready()
            if self._options.is_dry:
                return Findings(was_sent=False)
            lock = await held.enter_async_context(self._locked(ready.plan))
            await self._looked_before(ready)
            return await self._loaded(ready, lock)
        except Refused as refused:
            self._note(resolved=refused.addresses)
            return Findings(refused.whys, self._patience.signal, was_sent=False)
        except NoLoad as ended:
            return Findings(ended.whys, self._patience.signal, was_sent=False)

    async def _made_ready(self) -> Ready:
        """Return the plan, judged by every rail but the lock."""
        self._show("planning")
        planned = await self._patience.unless_interrupted(
            self._patience.call("make the plan", self._make, PLAN_S)
        )
        plan = planned.plan
        self._note(
            run_id=plan.run_id, plan=plan, target=plan.target, config_hash=plan.config_hash,
            notes=planned.notes,
        )  # fmt: skip
        standing = self._options.standing() if self._options.standing is not None else frozenset()
        for state in self._keys.skip_if:
            if state in standing:
                text = f"want no {state.replace('_', ' ')} (skip_if), got one"
                raise Refused(Why(Verdict.REFUSED, state, text))
        confirmed = self._options.confirmed | frozenset(self._keys.confirm)
        resolved = await self._patience.unless_interrupted(
            resolve_and_judge(plan, self._config.safety.load, confirmed)
        )
        self._note(
            plan=resolved.plan, resolved=resolved.addresses,
            notes=(*planned.notes, *resolved.notes),
        )  # fmt: skip
        return replace(planned, plan=resolved.plan)

    @asynccontextmanager
    async def _locked(self, plan: Plan) -> AsyncIterator[RunLock]:
        most = self._config.safety.load.max_concurrent_runs
        lock = RunLock(self._options.data, self._name, plan.run_id, most)
        try:
            await self._patience.call("take the lock", lock.take, FILES_S)
            await self._told_of(lock.interrupted)
            yield lock
        finally:
            # the kernel takes it back with our process at the latest
            with suppress(OSError, TimeoutError):
                await self._patience.calls.call("unlock", lock.release, FILES_S)

    async def _told_of(self, claims: Sequence[Claim]) -> None:
        """File a report of each run that was cut off before this one."""
        wish = replace(self._options.wish, files=None)
        for report in map(report_of, claims):
            self._remark(
                f"the run {report.run_id} of {report.scenario} was cut off before this one"
            )

            def file(report: LoadReport = report) -> Filed:
                return file_report(report, wish)

            await self._patience.call(f"file the run {report.run_id}", file, FILES_S)

    async def _looked_before(self, ready: Ready) -> None:
        self._show("preflight")
        attempts = self._keys.preflight.attempts
        whys = await self._patience.unless_interrupted(
            preflight(ready.before, attempts, self._health, policy_of(ready.plan.fences))
        )
        if whys:
            raise NoLoad(*whys)

    async def _loaded(self, ready: Ready, lock: RunLock) -> Findings:
        """Return what came of the load; leaves no child."""
        self._show("starting")
        on_lost, workers = self._keys.load.on_lost_shard, self._options.workers
        async with AsyncExitStack() as stack:
            try:
                place = Path(await self._patience.calls.call("tmp", tempfile.gettempdir, FILES_S))
                fleet = fleet_of(ready.plan, ready.secrets, place, on_lost, workers)
                await stack.enter_async_context(fleet)
                self._fleet = fleet
                await self._patience.unless_interrupted(fleet.ready(self._options.ready_s))
                await self._patience.call("note the start", lock.start, FILES_S)
            except Unready as unready:
                if unready.is_plan:
                    where = str(self._config.path)
                    raise ConfigError([Problem(where, 0, 0, self._name, str(unready))]) from None
                raise NoLoad(Why(Verdict.INCONCLUSIVE, "unready", str(unready))) from None
            except OSError as error:
                text = f"want to start the load, got {told_of(error)}"
                raise NoLoad(Why(Verdict.INCONCLUSIVE, "start", text)) from None
            return await self._watched(fleet, ready)

    async def _watched(self, fleet: Fleet, ready: Ready) -> Findings:
        plan, rules = ready.plan, rules_of(self._keys.thresholds)
        watch, vitals = Watch(rules, plan.stages), Book(plan.limits)
        began = [0.0]

        def seen(result: Result) -> None:
            stage = stage_at(plan.stages, monotonic() - began[0])
            is_measured = stage.is_measured if stage is not None else not plan.stages
            note_vitals(result, vitals, is_measured=is_measured)

        guards = Guards(ready.guards, self._health, seen)
        vigil = self._vigil = Vigil(plan, fleet.tally, watch, guards, fleet.stop, self._tell)
        for hello in fleet.hellos.values():
            self._note(versions={**self._report.versions, **hello.versions})
        self._note(started_at=datetime.now(UTC))
        began[0] = fleet.begin()
        guards.start()
        ended = asyncio.get_running_loop().create_task(fleet.ended())
        try:
            await vigil.keep(ended, began[0], asker(self._keys.prometheus, watch))
            ended.result()
        finally:
            await self._patience.unless_hurried(guards.stop())
        await self._take_pages(fleet)
        ended_s = vigil.ended_s(monotonic() - began[0])
        self._show("judging")
        book = fleet.tally.book
        book.merge(vitals)
        self._note(
            ended_at=datetime.now(UTC), seconds=ended_s, book=book, errors=fleet.tally.errors,
            generators=fleet.tally.generators, timeline=fleet.tally.timeline,
            notes=(*self._report.notes, *guards.notes),
        )  # fmt: skip
        every = (*rules, *implicit(rules, plan.model, book))
        told, notes = await last_answers(self._keys.prometheus, rules, watch, self._patience)
        judged = judge_all(every, book, watch.windows, ended_s, told)
        self._note(thresholds=judged, notes=(*self._report.notes, *notes))
        found = (
            *vigil.whys, *guards.whys, *last_words(fleet), *await self._beside(book, watch.windows)
        )  # fmt: skip
        self._windows = watch.windows
        return Findings(
            found, self._patience.signal, book=book, generators=fleet.tally.generators,
            shards=plan.shards, min_samples=self._keys.min_samples, judged=judged,
        )  # fmt: skip

    async def _take_pages(self, fleet: Fleet) -> None:
        """Take the reports of Locust itself along before their directory goes."""
        if not fleet.plan.locust_html:
            return
        try:
            self._pages = await self._patience.calls.call(
                "read pages", lambda: read_pages(fleet.directory, fleet.plan.shards), FILES_S
            )
        except (OSError, TimeoutError) as error:
            self._remark(f"want Locust's own page, got {_reason(error)}")
            return
        if missing := fleet.plan.shards - len(self._pages):
            every = fleet.plan.shards
            self._remark(f"want Locust's own page of each of {every} shards, got none of {missing}")

    def _make(self) -> Ready:
        config = self._config
        ref = git_ref(config.path.parent)
        self._note(git_ref=ref, versions=versions())
        return make_ready(config, self._name, self._keys, self._flags, self._options)

    async def _beside(self, book: Book, windows: Windows) -> tuple[Why, ...]:
        """Hold the run against earlier ones."""
        keys, report = self._keys.baseline, self._report
        if keys is None:
            return ()
        beside = self._config.path.parent
        try:
            found = await self._patience.calls.call(
                "baseline",
                lambda: self._shelf.find(keys.compare_to, report.config_hash, beside),
                FILES_S,
            )
        except TimeoutError:
            found = Found(missing="a disk that hangs")
        made = compare(keys, found, book, windows.rates(report.seconds))
        self._note(comparison=made.comparison, notes=(*report.notes, *made.notes))
        return made.whys

    async def _keep(self, windows: Windows) -> None:
        """Keep what the next run asks for: of one that passed its numbers, of each what it cost."""
        report, data = self._report, self._options.data

        def keep() -> None:
            self._shelf.save(report, windows)
            if (requests := capacity_of(report)) is not None:
                note_capacity(data, report.config_hash, requests)

        try:
            await self._patience.calls.call("keep", keep, FILES_S)
        except (OSError, TimeoutError) as error:
            self._remark(f"want to keep the run as a baseline, got {_reason(error)}")

    async def _filed(self, findings: Findings) -> Filed:
        """Return the report, judged, clean and in its files."""
        if self._options.is_dry and not findings.found and not findings.signal:
            self._note(verdict=Verdict.PASS, exit_code=0)
        else:
            judgement = judge(findings)
            self._note(
                verdict=judgement.verdict, exit_code=judgement.exit_code, reasons=judgement.reasons
            )
        if not findings.was_sent:
            self._note(ended_at=datetime.now(UTC))
        if self._windows is not None:
            await self._keep(self._windows)
        self._report = cleaned(self._report, self._config.redact)
        if self._options.is_dry:
            return Filed(self._report, None)
        wish, report = self._options.wish, self._report
        try:
            return await self._patience.calls.call(
                "file", lambda: file_report(report, wish, pages=self._pages), FILES_S
            )
        except TimeoutError:
            text = f"want the reports written within {FILES_S:g} s, got a disk that hangs"
            return unfiled(report, text)

    def _note(self, **values: Any) -> None:
        self._report = replace(self._report, **values)

    def _remark(self, text: str) -> None:
        self._note(notes=(*self._report.notes, text))

    def _show(self, phase: str) -> None:
        self._tell(Live(self._name, phase))


def _reason(error: OSError | TimeoutError) -> str:
    return getattr(error, "strerror", "") or "a disk that hangs"
