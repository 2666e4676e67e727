"""Runs that somebody asks for over ``/probe``: who may, when they end, what they say.

    answer ── judge ── a free slot ── plan (a thread, once) ── run_once ──> page

A target that the probe file names may be asked for as it is; any other only within
``probe_policy.allow``, never by a kind that looks at this machine. Scheduled probes have their own
limit and keep their schedule. Whoever goes away meanwhile has asked for nothing: its run is
cancelled and not noted. Knows no HTTP but the status of a refusal.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from exporter.aside import Aside, HeldUp
from exporter.descriptors import room_for_requests
from exporter.on_demand.account import Level, account_of, page_of
from exporter.on_demand.plans import BUILT_IN, Draft, Plan, Plans, Unknown, built_in
from exporter.on_demand.question import (
    FORBIDDEN,
    OFFSET_S,
    UNAVAILABLE,
    Question,
    Refused,
    effective_s,
)
from exporter.on_demand.recent import DEFAULT_LIMIT, Recent
from exporter.on_demand.slots import Full, Slots
from probes.config.load import Config
from probes.config.sections import MAX_IN_FLIGHT
from probes.findings import turned
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.result import Failure, Outcome, Reason, Result
from probes.run import run_once
from probes.units import short
from probes.wire.policy import POLICY

T = TypeVar("T")

log = logging.getLogger("sonde.asked")

# So much must be left beside the pause of a run that looks twice; else it looks once.
MIN_LOOK_S = 5.0
# So long a scraper waits that leaves no time for a run: enough to tell it so.
NO_TIME_S = 0.5
# So long the code of a built-in module may take to come from a slow disk.
IMPORT_S = 5.0
# A run that waited no longer than this has all of its time: it needs no timer of its own.
AT_ONCE_S = 0.002
NO_SLOT = "want a free slot before the deadline, got none\n"
NO_TIME = "want time for a run before the scrape ends, got none"


@dataclass(frozen=True, slots=True)
class Asking:
    """How requests are answered.

    Args:
        offset_s: what the way back to the scraper takes.
        history: runs that are kept for people.
        level: lowest line in the account of a run.
    """

    offset_s: float = OFFSET_S
    history: int = DEFAULT_LIMIT
    level: Level = "info"


class Asked:
    """Everything that ``/probe`` runs.

    Args:
        health: the prober's own pulse.
        asking: how requests are answered.
    """

    def __init__(self, health: ProberHealth, asking: Asking | None = None) -> None:
        self.abandoned = 0
        """Runs that went out before their clean-up had ended."""
        self.unknown = 0
        """Requests for a module that there is not."""
        self.asking = asking or Asking()
        self.recent = Recent(self.asking.history)
        self._health = health
        self._slots = Slots(MAX_IN_FLIGHT, MAX_IN_FLIGHT)
        # imports of drivers, TLS contexts, the texts of 10,000 targets: nothing for the loop
        self._aside = Aside("sonde-asked")
        self._plans: Plans | None = None

    @property
    def in_flight(self) -> int:
        """Runs that go on now."""
        return self._slots.taken

    @property
    def queued(self) -> int:
        """Requests that wait for one of them to end."""
        return self._slots.waiting

    @property
    def is_stuck(self) -> bool:
        """Whether what requests need has been in the making for longer than a disk may take."""
        return self._aside.is_stuck

    async def answer(self, config: Config, question: Question) -> bytes:
        """Return the page of one run, or the account of it.

        Args:
            config: in force.
            question: what is asked for.

        Raises:
            Refused: it is not run.
        """
        began = asyncio.get_running_loop().time()
        plans = self._plans
        if plans is None or plans.config is not config:
            plans = self._begin(config)
        found = plans.known(question) or await self._judged(plans, question, began)
        limit_s = effective_s(question.timeout, self.asking.offset_s, found.source.timeout_s)
        ends = began + (limit_s if limit_s > 0 else NO_TIME_S)
        if not self._slots.take():
            await self._queue(ends)
        try:
            plan = found
            if isinstance(plan, Draft):
                plan = await self._made(_words(plan), partial(plans.make, plan), ends)
            result = await self._result(plan, began, limit_s)
        finally:
            self._slots.give_back()
        if result.failure is not None and result.failure.reason is Reason.POLICY:
            raise Refused(FORBIDDEN, plans.refusal)
        run = self.recent.add(plan, result, limit_s)
        return account_of(run, self.asking.level) if question.debug else page_of(run)

    async def aside(self, work: Callable[[], T]) -> T:
        """Do *work* off the loop: a page for people must not hold up a run."""
        return await self._aside.do("a page for people", work)

    def close(self) -> None:
        """Plan nothing more."""
        self._aside.close()

    def _begin(self, config: Config) -> Plans:
        """Answer by another config from now on."""
        options = config.probe_policy
        places = min(options.max_in_flight, room_for_requests())
        if places < options.max_in_flight:
            wanted = options.max_in_flight
            log.warning("want %d runs of /probe at a time, got descriptors for %d", wanted, places)
        self._slots.resize(places, options.max_queue)
        self._plans = Plans(config)
        return self._plans

    async def _judged(self, plans: Plans, question: Question, began: float) -> Draft:
        """Return what is run, as far as texts tell."""
        if question.probe:
            await self._read(plans, began + NO_TIME_S)
        if question.module in BUILT_IN:
            # what it imports is nothing for the loop
            what = f"module {short(question.module)} (its code)"
            await self._made(what, partial(built_in, question.module), began + IMPORT_S)
        try:
            source = plans.source(question)
        except Unknown:
            self.unknown += 1
            raise
        limit_s = effective_s(question.timeout, self.asking.offset_s, source.timeout_s)
        await self._read(plans, began + (limit_s if limit_s > 0 else NO_TIME_S))
        return plans.judge(question, source)

    async def _read(self, plans: Plans, ends: float) -> None:
        """Have the targets of the file read, once for each config."""
        if not plans.is_ready:
            await self._made("the targets of the probe file", plans.read_names, ends)

    async def _made(self, what: str, work: Callable[[], T], ends: float) -> T:
        try:
            return await self._aside.do(what, work, ends)
        except HeldUp as error:
            raise Refused(UNAVAILABLE, f"{error}\n") from None

    async def _queue(self, ends: float) -> None:
        try:
            await self._slots.wait(ends)
        except Full:
            text = f"want at most {self._slots.queue} requests that wait, got more\n"
            raise Refused(UNAVAILABLE, text) from None
        except TimeoutError:
            # whoever waits for a plan has a slot: a disk that hangs takes them all
            why = f"{self._aside.complaint('a free slot')}\n" if self.is_stuck else NO_SLOT
            raise Refused(UNAVAILABLE, why) from None

    async def _result(self, plan: Plan, began: float, limit_s: float) -> Result:
        if plan.mistake is not None or limit_s <= 0:
            return _not_run(plan.probe, plan.mistake or NO_TIME)
        now, ends = asyncio.get_running_loop().time(), began + limit_s
        if ends <= now:
            raise Refused(UNAVAILABLE, NO_SLOT)
        probe, kind = plan.within(limit_s), plan.probe.kind
        until: float | None = ends
        if kind.settle_s or kind.cleanup_s:
            probe, until = _shortened(probe, ends - now, now)
        elif now - began <= AT_ONCE_S and not self._health.controls:
            until = None
        with POLICY.set(plan.policy):
            result = await run_once(
                probe, health=self._health, until=until, abandoned=self._note_abandoned
            )
        return result if result.attempts else self._timed_out(probe, result, limit_s)

    def _note_abandoned(self) -> None:
        self.abandoned += 1

    def _timed_out(self, probe: Probe, result: Result, limit_s: float) -> Result:
        """Return a run that was cut off as what it is: the target did not answer in time."""
        phase = result.failure.phase if result.failure is not None else None
        where = f" in phase {phase}" if phase else ""
        text = f"want an answer within {limit_s:.3g} s, got none{where}"
        if self._health.is_cut_off:
            failure = Failure(Reason.NETWORK, f"{text}: the prober has no network", phase)
            return result._replace(outcome=Outcome.UNKNOWN, attempts=1, failure=failure)
        reason = Reason.DNS_TIMEOUT if phase == "resolve" else Reason.TIMEOUT
        found = Failure(reason, text, phase)
        if not probe.must_fail:
            return result._replace(outcome=Outcome.DOWN, attempts=1, failure=found)
        # here, and not in a gate that is cut off, the time was the target's own: it proves that
        notes = Recorder()
        left = turned(probe, notes, found)
        outcome = Outcome.UP if left is None else Outcome.DOWN
        facts = {**result.facts, **notes.facts}
        return result._replace(
            outcome=outcome, attempts=1, failure=left, warnings=(), facts=MappingProxyType(facts)
        )


def _words(draft: Draft) -> str:
    """Return what is made of *draft*; the name of a probe helps to guess, so it is not told."""
    kind, name = draft.kind.name, draft.source.name
    who = f"module {short(name)}" if name else "a probe"
    return f"{who} (code and files of kind {kind})"


def _shortened(probe: Probe, left_s: float, now: float) -> tuple[Probe, float | None]:
    """Return *probe* so that its run ends in time, and when it is cut off; None: by itself.

    A run that stands alone takes longer than its timeout: to look twice, and to tidy up.
    """
    settle_s, extra_s = probe.kind.settle_s, probe.kind.settle_s + probe.kind.cleanup_s
    if left_s >= extra_s + MIN_LOOK_S:
        return replace(probe, timeout_s=left_s - extra_s), now + left_s
    if settle_s:
        # a kind that has no more than its pause looks once; to the point, rounding would decide
        left_s = min(left_s, settle_s * 0.99)
        # a little less: then a timeout within the run is its own, and tells more
        return replace(probe, timeout_s=left_s * 0.99), now + left_s
    return replace(probe, timeout_s=left_s / 2), now + left_s


def _not_run(probe: Probe, text: str) -> Result:
    return Result(
        probe=probe.name,
        kind=probe.kind.name,
        target=probe.display,
        outcome=Outcome.UNKNOWN,
        started_at=datetime.now(UTC),
        seconds=0.0,
        failure=Failure(Reason.CONFIG, probe.redact(text)),
    )
