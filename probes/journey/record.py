"""What became of a play, as what a run leaves behind: phases, steps, samples, warnings, facts.

    Played ── record ──> Recorder      one phase and one nested Result for each step, samples
           └─ verdict ──> CheckFailed  ``step search: want status 200, got 500``, or None

Whoever played, over HTTP or in a language of his own, is recorded alike. Pure. Knows no driver.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from probes.errors import CheckFailed
from probes.journey.model import Part, Played, State, StepResult
from probes.kind import Metric
from probes.recorder import Recorder
from probes.result import Failure, Outcome, Result, Sample

STEP = ("step",)
# Of a step of any family: over HTTP, in a browser, in a language of its own.
STEP_METRICS = (
    Metric(
        "journey_step_duration_seconds",
        "Time of a step that was played, all its requests together, in seconds",
        STEP,
    ),
    Metric("journey_step_success", "1 if a step that was played went through", STEP),
    Metric(
        "journey_step_status_code",
        "Status code of the last answer to a step; 0 if there was none",
        STEP,
    ),
    Metric(
        "journey_step_state",
        "1 for the state in which a step ended: ok, failed or skipped",
        ("step", "state"),
    ),
    Metric("journey_failed_step_info", "The step that failed the run, and why", ("step", "reason")),
)
METRICS = (
    *STEP_METRICS,
    Metric(
        "journey_phase_seconds",
        "Time of all requests by phase: resolve, connect, tls, processing, transfer; in seconds",
        ("phase",),
    ),
    Metric(
        "journey_expectations",
        "Number of expectations by what they look at and whether they passed, failed or warned",
        ("expect", "result"),
    ),
    Metric("journey_requests", "Number of requests by how they ended: good or bad", ("outcome",)),
    Metric("journey_bytes", "Bytes of bodies by direction: sent or received", ("direction",)),
)
STATES = (State.OK, State.FAILED, State.SKIPPED)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the Results of all steps share.

    Args:
        kind: name of the kind.
        target: redacted.
        started_at: of the run.
        run_id: of the run.
    """

    kind: str
    target: str
    started_at: datetime
    run_id: str


def record(played: Played, recorder: Recorder, frame: Frame) -> None:
    """Write what became of a play into *recorder*."""
    for text in sorted(played.hidden):
        recorder.hide(text)
    for name, text in played.logs:
        recorder.fact(name, text)
    for step in played.steps:
        if step.state is not State.SKIPPED:
            recorder.add_phase(step.step, step.seconds, complete=step.state is State.OK)
        recorder.step(step_result(step, frame))
    recorder.extend(_samples(played))
    for warning in _warnings(played):
        recorder.warn(warning.reason, warning.message, phase=warning.phase)


def verdict(played: Played) -> CheckFailed | None:
    """Return why the run is not up, with the step as its phase; None: it went through."""
    failure = played.failure
    if failure is None:
        return None
    name = failed_step(played)
    if name is None:
        return CheckFailed(failure.reason, failure.message, phase=failure.phase)
    return CheckFailed(failure.reason, f"step {name}: {failure.message}", phase=name)


def untidy(played: Played) -> list[Failure]:
    """Return why steps of the clean-up failed: what was made may still be there."""
    return [
        Failure(step.failure.reason, f"step {step.step}: {step.failure.message}", step.step)
        for step in played.steps
        if step.part is Part.CLEANUP and step.failure is not None
    ]


def failed_step(played: Played) -> str | None:
    """Return the name of the step that failed the run; None: none did, or it has no name."""
    if played.failure is None:
        return None
    for step in played.steps:
        if step.state is State.FAILED and step.part is not Part.CLEANUP:
            return step.step
    return None


def step_result(step: StepResult, frame: Frame) -> Result:
    """Return what became of one step, as a nested Result."""
    is_skipped = step.state is State.SKIPPED
    facts = dict(step.facts)
    if step.part is not Part.STEPS:
        facts = {"part": step.part.value, **facts}
    if step.rounds > 1:
        facts = {"rounds": str(step.rounds), **facts}
    return Result(
        probe=step.step,
        kind=frame.kind,
        target=frame.target,
        outcome=_outcome(step),
        started_at=frame.started_at,
        seconds=step.seconds,
        run_id=frame.run_id,
        attempts=0 if is_skipped else 1,
        failure=step.failure,
        warnings=step.warnings,
        phases=step.phases,
        facts=facts,
    )


def _outcome(step: StepResult) -> Outcome:
    if step.failure is not None:
        return Outcome.UNKNOWN if step.failure.reason.is_own_fault else Outcome.DOWN
    if step.state is State.SKIPPED:
        # with no attempt: not run, and nobody's fault
        return Outcome.UNKNOWN
    return Outcome.DEGRADED if step.warnings else Outcome.UP


def _warnings(played: Played) -> Iterator[Failure]:
    """Yield the warnings of steps with the step as phase, then those of the run itself."""
    told: list[Failure] = []
    for step in played.steps:
        told += step.warnings
        for warning in step.warnings:
            text = f"step {step.step}: {warning.message}"
            yield Failure(warning.reason, text, step.step)
    for warning in played.warnings:
        if warning not in told:
            yield warning


def _samples(played: Played) -> Iterator[Sample]:
    for step in played.steps:
        yield from step_samples(step)
    yield from _sums(played.steps)
    name = failed_step(played)
    if name is not None and played.failure is not None:
        labels = (("step", name), ("reason", played.failure.reason.value))
        yield Sample("journey_failed_step_info", 1, labels)


def step_samples(step: StepResult) -> Iterator[Sample]:
    """Yield the numbers of one step."""
    label = (("step", step.step),)
    for state in STATES:
        labels = (*label, ("state", state.value))
        yield Sample("journey_step_state", 1 if step.state is state else 0, labels)
    if step.state is State.SKIPPED:
        return
    yield Sample("journey_step_duration_seconds", step.seconds, label)
    yield Sample("journey_step_success", 1 if step.state is State.OK else 0, label)
    if step.status or sum(step.requests):
        yield Sample("journey_step_status_code", step.status, label)


def _sums(steps: Iterable[StepResult]) -> Iterator[Sample]:
    phases: dict[str, float] = {}
    expectations: dict[tuple[str, str], int] = {}
    good = bad = sent = received = 0
    for step in steps:
        for name, seconds, _ in step.phases:
            phases[name] = phases.get(name, 0.0) + seconds
        for key, number in step.expectations.items():
            expectations[key] = expectations.get(key, 0) + number
        good, bad = good + step.requests[0], bad + step.requests[1]
        sent, received = sent + step.sent, received + step.received
    for name, seconds in phases.items():
        yield Sample("journey_phase_seconds", seconds, (("phase", name),))
    for (expect, result), number in expectations.items():
        labels = (("expect", expect), ("result", result))
        yield Sample("journey_expectations", number, labels)
    yield Sample("journey_requests", good, (("outcome", "good"),))
    yield Sample("journey_requests", bad, (("outcome", "bad"),))
    yield Sample("journey_bytes", sent, (("direction", "sent"),))
    yield Sample("journey_bytes", received, (("direction", "received"),))
