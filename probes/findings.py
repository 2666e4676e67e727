"""What a run has found as its Result: the outcome by whose fault a failure is, texts redacted.

Knows neither how the run went about it, nor its deadline, nor who reads the Result.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from operator import attrgetter
from types import MappingProxyType

from probes.kind import Kind
from probes.probe import Probe
from probes.recorder import Recorder
from probes.redact import Redactor
from probes.result import NO_FACTS, TARGET_REASONS, Failure, Outcome, Reason, Result, Sample

MAX_MESSAGE_CHARACTERS = 2048
# Labels that hold a digest of our own making, by sample: a secret of three letters stands in one of
# seventy of them by chance, and the series would be another one then.
DIGESTS = frozenset(
    {("ssl_last_chain_info", "fingerprint_sha256"), ("ssh_host_key_info", "fingerprint")}
)
# The fact that says why a run with ``must_fail`` is up.
FAILED_AS_WANTED = "failed as wanted"


def turned(probe: Probe, recorder: Recorder, failure: Failure | None) -> Failure | None:
    """Return why a run is not up when its target must not work; None when it failed as it must.

    Args:
        probe: with ``must_fail``.
        recorder: gets what failed, as a fact.
        failure: of the run; the prober's own proves nothing and stays.
    """
    wanted = "want a run that fails"
    if probe.must_fail != TARGET_REASONS:
        wanted += f" by {' or '.join(sorted(probe.must_fail))}"
    if failure is None:
        return Failure(Reason.VALUE, f"{wanted}, got one that is up")
    if failure.reason.is_own_fault:
        return failure
    told = f"{failure.reason.value}: {failure.message}"
    if failure.reason not in probe.must_fail:
        return replace(failure, message=f"{wanted}, got {told}")
    recorder.fact(FAILED_AS_WANTED, told)
    for warning in recorder.warnings:
        recorder.excuse(warning.reason, "the run failed as it must")
    return None


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
    secrets = recorder.secrets
    facts, steps, warnings = recorder.found()
    redact = probe.redact | secrets if secrets else probe.redact
    outcome = Outcome.UP
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
        _shown(recorder.samples, redact, _declared(type(probe.kind))),
        redact.values(facts) if facts else NO_FACTS,
        tuple([_redacted(step, redact) for step in steps]) if steps else (),
    )


_NOTHING: Mapping[str, object] = MappingProxyType({})
_labels_of = attrgetter("labels")


@cache
def _declared(kind: type[Kind]) -> Mapping[str, object]:
    """Return the samples whose labels have words of the kind's own, as its declaration says."""
    return {metric.name: metric for metric in kind.metrics if not metric.dynamic}


def _shown(
    samples: tuple[Sample, ...], redact: Redactor, declared: Mapping[str, object]
) -> tuple[Sample, ...]:
    """Return *samples* with the labels that an answer has filled as they may be shown."""
    if not any(map(_labels_of, samples)):
        return samples
    return tuple(
        [
            it._replace(labels=tuple([_shown_label(it, pair, redact) for pair in it.labels]))
            if it.labels and it.name not in declared
            else it
            for it in samples
        ]
    )


def _shown_label(sample: Sample, pair: tuple[str, str], redact: Redactor) -> tuple[str, str]:
    name, text = pair
    return pair if (sample.name, name) in DIGESTS else (name, redact(text))


def _redacted(step: Result, redact: Redactor) -> Result:
    """Return *step* with its texts as they may be shown."""
    return step._replace(
        failure=step.failure and replace(step.failure, message=redact(step.failure.message)),
        warnings=tuple([replace(w, message=redact(w.message)) for w in step.warnings]),
        samples=_shown(step.samples, redact, _NOTHING),
        facts=redact.values(step.facts),
        steps=tuple([_redacted(inner, redact) for inner in step.steps]),
    )
