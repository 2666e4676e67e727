"""What a run has found as its Result: the outcome by whose fault a failure is, texts redacted.

Knows neither how the run went about it, nor its deadline, nor who reads the Result.
"""

from dataclasses import replace
from datetime import datetime

from probes.probe import Probe
from probes.recorder import Recorder
from probes.redact import Redactor
from probes.result import NO_FACTS, Failure, Outcome, Result

MAX_MESSAGE_CHARACTERS = 2048


def result_of(
    probe: Probe,
    recorder: Recorder,
    failure: Failure | None,
    started_at: datetime,
    seconds: float,
    attempts: int,
) -> Result:
    """Return the Result of a run.

    Args:
        probe: that was run.
        recorder: of the attempt that counts.
        failure: why the run failed; None: it did not.
        started_at: point in time.
        seconds: that all attempts took.
        attempts: how many there were.
    """
    secrets, facts, steps = recorder.secrets, recorder.facts, recorder.steps
    redact = probe.redact | secrets if secrets else probe.redact
    outcome, warnings = Outcome.UP, recorder.warnings
    if failure is not None:
        outcome = Outcome.UNKNOWN if failure.reason.is_own_fault else Outcome.DOWN
        failure = replace(failure, message=redact(failure.message)[:MAX_MESSAGE_CHARACTERS])
    elif warnings:
        outcome = Outcome.DEGRADED
    return Result(
        probe.name,
        probe.kind.name,
        probe.display,
        outcome,
        started_at,
        seconds,
        recorder.run_id,
        attempts,
        failure,
        tuple([replace(w, message=redact(w.message)) for w in warnings]) if warnings else (),
        recorder.phases,
        recorder.samples,
        redact.values(facts) if facts else NO_FACTS,
        tuple([_redacted(step, redact) for step in steps]) if steps else (),
    )


def _redacted(step: Result, redact: Redactor) -> Result:
    """Return *step* with its texts as they may be shown."""
    return step._replace(
        failure=step.failure and replace(step.failure, message=redact(step.failure.message)),
        warnings=tuple([replace(w, message=redact(w.message)) for w in step.warnings]),
        facts=redact.values(step.facts),
        steps=tuple([_redacted(inner, redact) for inner in step.steps]),
    )
