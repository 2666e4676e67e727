"""Kind ``browser``: the steps of a user in a real Chromium, played once.

Knows how a run is ordered, judged and recorded; the browser lives in a process of its own, behind
`probes.browser.supervisor`. Playwright is never imported here.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from random import SystemRandom
from typing import Any, ClassVar

from probes.browser.artefacts import NotKept, keep
from probes.browser.journey import BrowserJourney
from probes.browser.notes import METRICS, SERIES, SERIES_PER_PAGE, Notes, samples, verdict
from probes.browser.plan import Action
from probes.browser.protocol import Begun, Ended, Record, Run, Values
from probes.browser.supervisor import Outcome, close_browsers, supervisor
from probes.browser.verdict import unobserved
from probes.errors import CheckFailed
from probes.journey.kind import JourneyKind
from probes.journey.language.expression import Scope, Unset
from probes.journey.language.functions import chance
from probes.journey.model import State
from probes.journey.playing.evidence import hideable, looks_secret, texts_in
from probes.journey.record import STEP_METRICS, Frame, step_result, step_samples
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.result import Failure, Reason, Sample
from probes.units import short
from probes.wire.blocking import BlockingCalls
from probes.wire.driver import load_driver
from probes.wire.policy import POLICY

# product.md 3.12: a run costs seconds of CPU and half a GB.
DEFAULT_EVERY_S = 300.0
# `Supervisor` ends what hangs 3.5 s behind the deadline and kills it in less than one.
CLEANUP_S = 5.0
KEEP_S = 2.0
# load.md 9.1: a step has its state three times, success, duration and status.
SERIES_PER_STEP = 6

_calls = BlockingCalls("artefacts")


@dataclass(frozen=True, slots=True)
class Memory:
    """What the next run of a probe must know.

    Args:
        runs: so far: the number of the next one.
        is_recording: the last run failed: trace and HAR are recorded until one is up.
    """

    runs: int = 0
    is_recording: bool = False


class Browser(JourneyKind):
    """Play the steps of a user in Chromium once, measure its pages, and tell which step fails.

    The steps stand under ``journeys``, in one with ``browser:``. Runs share one browser, each in a
    context of its own. Whatever is wrong with the browser itself makes a run unknown, never down.

    A browser starts with the first run (1 to 5 s of its time), is replaced after 50 runs or 30
    minutes, and ends when nobody has needed it for ten. With one page it is 13 processes that
    share half a GB. Its sandbox needs another user than root, and user namespaces.

    Target:
        the base URL ``http://host[:port]/path`` or ``https://...`` of relative addresses; by
        default the journey's ``base_url``

    Source:
        https://web.dev/articles/vitals, https://www.w3.org/TR/navigation-timing-2/
    """

    name = "browser"
    requires = "browser"
    driver = "playwright"
    phases = ("browser",)
    metrics: ClassVar[tuple[Metric, ...]] = (*METRICS, *STEP_METRICS)
    families = (BrowserJourney,)
    wanted = "a journey with browser:"
    named = "a journey with browser:"
    other = "for kind: journey"

    @property
    def playable(self) -> BrowserJourney | None:
        found: BrowserJourney | None = self._found
        return found

    @property
    def compiled(self) -> BrowserJourney:
        """The journey that is played.

        Raises:
            CheckFailed: ``config``: these settings were not read from a file.
        """
        if self.playable is None:
            text = f"want the journey {short(self.journey)} of a probe file, got none"
            raise CheckFailed(Reason.CONFIG, text)
        return self.playable

    @property
    def default_every_s(self) -> float | None:
        return DEFAULT_EVERY_S

    @property
    def cleanup_s(self) -> float:
        return CLEANUP_S

    @property
    def series_limit(self) -> int | None:
        steps = self.playable.plan.steps if self.playable is not None else ()
        pages = sum(1 for step in steps if step.action is Action.GOTO)
        return SERIES + SERIES_PER_STEP * len(steps) + SERIES_PER_PAGE * pages

    def advice(self, target: str) -> Iterable[str]:  # noqa: ARG002 - of the interface
        if self.playable is None:
            return
        if not self.playable.launch.sandbox:
            yield (
                f"journey {self.journey}: browser.sandbox is false: a page that breaks out of"
                " Chromium has every right of the prober"
            )
        elif os.geteuid() == 0:
            yield (
                f"journey {self.journey}: Chromium has no sandbox for root: run the prober as"
                " another user, or write browser: {sandbox: false}"
            )

    def prepare(self, target: str) -> None:
        """Do nothing: the driver is not for this process."""

    def first_memory(self, target: str, kept: Mapping[str, Any] | None) -> object:  # noqa: ARG002 - of the interface
        kept = kept or {}
        runs = kept.get("runs")
        number = runs if type(runs) is int and runs >= 0 else 0
        return Memory(number, kept.get("is_recording") is True)

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        if not isinstance(memory, Memory):
            return None
        return {"runs": memory.runs, "is_recording": memory.is_recording}

    @classmethod
    async def release(cls) -> None:
        await close_browsers()

    async def run(self, target: str, recorder: Recorder) -> None:
        await load_driver("playwright", "browser", recorder)
        journey = self.compiled
        memory = _memory(recorder)
        _remember(recorder, Memory(memory.runs + 1, memory.is_recording))
        run = Run(
            id="",
            plan=replace(journey.plan, base_url=target),
            values=_values(journey, recorder.run_id, memory.runs, Kind.secrets(self, target)),
            deadline_s=journey.timeout_s,
            policy=POLICY.get(),
            record=_record(journey, memory),
            artefacts="",
        )
        for text in run.values.hidden:
            recorder.hide(text)
        is_recording = memory.is_recording
        try:
            await self._play(run, target, recorder)
            is_recording = False
        except CheckFailed as failed:
            # the prober's own trouble is nothing that a trace would explain
            is_recording = is_recording or not failed.reason.is_own_fault
            raise
        finally:
            _remember(recorder, Memory(memory.runs + 1, is_recording))

    async def _play(self, run: Run, target: str, recorder: Recorder) -> None:
        """Have *run* played and write down what comes of it.

        Raises:
            CheckFailed: it failed.
        """
        notes = Notes(run.plan)
        frame = Frame(self.name, self.display_target(target), datetime.now(UTC), recorder.run_id)
        failed: CheckFailed | None = CheckFailed(Reason.INTERNAL, "want a whole run, got a stop")
        try:
            outcome = await self._outcome(run, notes, recorder)
            failed = await self._judge(run, outcome, recorder)
        except CheckFailed as broken:
            failed = CheckFailed(broken.reason, broken.message, phase=broken.phase or notes.where)
        finally:
            _write_steps(run, notes, failed, recorder, frame)
        if failed is not None:
            raise failed

    async def _outcome(self, run: Run, notes: Notes, recorder: Recorder) -> Outcome:
        journey = self.compiled
        until = recorder.deadline - CLEANUP_S
        recorder.enter("browser")
        return await supervisor().play(
            run, journey.launch, journey.limits, until, partial(_hear, notes, recorder)
        )

    async def _judge(self, run: Run, outcome: Outcome, recorder: Recorder) -> CheckFailed | None:
        """Write down what the last report says and return why the run is not up."""
        done = outcome.done
        for text in done.hidden:
            recorder.hide(text)
        browser = f"Chromium {outcome.browser.chromium}, Playwright {outcome.browser.playwright}"
        recorder.fact("browser", browser)
        for name, text in done.facts.items():
            recorder.fact(name, text)
        recorder.extend(samples(run.plan, done, outcome.processes, outcome.memory_bytes))
        missing = unobserved(run.plan.vitals, done.pages)
        if missing and done.fault is None:
            recorder.fact("not observed", ", ".join(missing))
        await self._keep_artefacts(outcome, recorder)
        return verdict(done.fault) if done.fault is not None else None

    async def _keep_artefacts(self, outcome: Outcome, recorder: Recorder) -> None:
        """Take what the run left in its directory, which ends with this."""
        artefacts, store = outcome.done.artefacts, self.compiled.artefacts
        keeping = partial(keep, outcome.files, artefacts, store, self.journey, recorder.run_id)
        try:
            kept = await _calls.call(recorder.run_id, keeping, KEEP_S)
        except (NotKept, TimeoutError, CheckFailed) as error:
            recorder.fact("artefacts", f"not kept: {error}")
            return
        for name, path in kept.items():
            recorder.fact(name, str(path))


def _hear(notes: Notes, recorder: Recorder, report: Begun | Ended) -> None:
    """Note a step; the first one ends the wait for a place and a browser."""
    if recorder.phase_name == "browser":
        recorder.leave()
    notes.hear(report)


def _write_steps(
    run: Run, notes: Notes, failed: CheckFailed | None, recorder: Recorder, frame: Frame
) -> None:
    broken = Failure(failed.reason, failed.message) if failed is not None else None
    for step in notes.steps(broken):
        if step.state is not State.SKIPPED:
            recorder.add_phase(step.step, step.seconds, complete=step.state is State.OK)
        recorder.step(step_result(step, frame))
        recorder.extend(step_samples(step))
    if failed is not None and failed.phase in {step.name for step in run.plan.steps}:
        labels = (("step", failed.phase), ("reason", failed.reason.value))
        recorder.extend([Sample("journey_failed_step_info", 1, labels)])


def _memory(recorder: Recorder) -> Memory:
    kept = recorder.keep.memory if recorder.keep is not None else None
    return kept if isinstance(kept, Memory) else Memory()


def _remember(recorder: Recorder, memory: Memory) -> None:
    if recorder.keep is not None:
        recorder.keep.memory = memory


def _record(journey: BrowserJourney, memory: Memory) -> Record:
    if journey.record == "never":
        return "never"
    return "full" if journey.record == "always" or memory.is_recording else "failure"


def _values(journey: BrowserJourney, run_id: str, iteration: int, hidden: Iterable[str]) -> Values:
    """Return what the expressions of a run may read, and what nobody else may.

    The child is told no secret but those of its journey: a page that breaks out finds no others.

    Raises:
        CheckFailed: ``config``: no row is left, or an expression in ``vars`` gives nothing.
    """
    seed = SystemRandom().getrandbits(32)
    secrets = {name: secret.get_secret_value() for name, secret in journey.secrets}
    scope = Scope(
        run_id=run_id,
        iteration=iteration,
        random=chance(None, 0),
        now=lambda: datetime.now(UTC),
        environ=journey.environ,
        secrets=secrets,
    )
    if journey.feeder is not None:
        scope.row = journey.feeder.row(iteration, seed)
        if scope.row is None:
            text = f"want a row of {journey.feeder.path} for each run, got all of them used"
            raise CheckFailed(Reason.CONFIG, f"{text} (pick: unique)")
    made: dict[str, Any] = {}
    scope.vars = made
    for name, tree in journey.vars:
        try:
            made[name] = scope.values[name] = tree.value(scope)
        except (Unset, ValueError) as error:
            raise CheckFailed(Reason.CONFIG, f"vars.{name}: {error}") from None
    return Values(
        run_id=run_id,
        iteration=iteration,
        seed=seed,
        vars=made,
        row=scope.row,
        secrets=secrets,
        environ=journey.environ,
        hidden=tuple(sorted({*hidden, *_telling({**made, **(scope.row or {})}), *scope.hidden})),
    )


def _telling(values: Mapping[str, Any]) -> Iterator[str]:
    """Give what variables and columns hold whose names say that it is a secret."""
    for name, value in values.items():
        if looks_secret(name):
            yield from hideable(texts_in(value))
