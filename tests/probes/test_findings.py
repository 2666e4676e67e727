"""What a run has found as its Result; runs that end in one are in test_run.py."""

from datetime import UTC, datetime

import pytest

from probes.findings import MAX_MESSAGE_CHARACTERS, result_of
from probes.kinds.tcp import Tcp
from probes.probe import Probe
from probes.recorder import Recorder
from probes.redact import Redactor
from probes.result import NO_FACTS, Failure, Outcome, Reason, Result

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "correct-horse"


def found(recorder: Recorder, failure: Failure | None = None) -> Result:
    probe = Probe(name="a", kind=Tcp(), target="127.0.0.1:1", redact=Redactor([SECRET]))
    return result_of(probe, recorder, failure, NOW, 0.5, 2)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        pytest.param(Reason.REFUSED, Outcome.DOWN, id="the target's fault"),
        pytest.param(Reason.OVERLOAD, Outcome.UNKNOWN, id="the prober's fault"),
    ],
)
def test_the_outcome_says_whose_fault_a_failure_is(reason: Reason, outcome: Outcome) -> None:
    assert found(Recorder(), Failure(reason, "want x, got y")).outcome is outcome


def test_a_warning_degrades_a_run_that_did_not_fail() -> None:
    recorder = Recorder()
    recorder.warn(Reason.LATENCY, "want latency <= 1s, got 2s")

    assert found(recorder).outcome is Outcome.DEGRADED
    assert found(recorder, Failure(Reason.REFUSED, "refused")).outcome is Outcome.DOWN


def test_a_run_that_found_nothing_is_up() -> None:
    result = found(Recorder())

    assert (result.outcome, result.facts, result.phases) == (Outcome.UP, NO_FACTS, ())
    assert (result.started_at, result.seconds, result.attempts) == (NOW, 0.5, 2)


def test_no_text_shows_a_secret_of_the_probe_or_of_the_run() -> None:
    recorder = Recorder()
    recorder.hide("battery-staple")
    for secret in (SECRET, "battery-staple"):
        recorder.fact(secret[:3], f"said {secret}")
        recorder.warn(Reason.VALUE, f"want x, got {secret}")
    step = found(recorder)._replace(facts={"body": f"is {SECRET}"})
    recorder.step(step._replace(steps=(step,)))

    result = found(recorder, Failure(Reason.BODY, f"want x, got {SECRET}"))

    told = repr(result)
    assert SECRET not in told
    assert "battery-staple" not in told
    assert result.facts["cor"].startswith("said ")


def test_a_long_message_is_cut_behind_its_secrets() -> None:
    message = "x" * (MAX_MESSAGE_CHARACTERS - 4) + SECRET

    result = found(Recorder(), Failure(Reason.BODY, message))

    assert result.failure is not None
    assert len(result.failure.message) <= MAX_MESSAGE_CHARACTERS
    assert "corr" not in result.failure.message
