"""What a play leaves behind in a run's notebook."""

from datetime import UTC, datetime
from typing import Any

import pytest

from probes.journey.model import Part, Played, State, StepResult
from probes.journey.record import METRICS, Frame, failed_step, record, verdict
from probes.recorder import Recorder
from probes.result import Failure, Outcome, Phase, Reason
from tests.probes.wire.readings import values

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FRAME = Frame("journey", "http://shop.test/", AT, "run-1")
NO = Failure(Reason.STATUS, "want status 2xx, got 500", "transfer")
SLOW = Failure(Reason.LATENCY, "want at most 1s, got 2s")
PHASES = (Phase("connect", 0.25), Phase("transfer", 0.5))


def step(name: str, state: State = State.OK, **more: Any) -> StepResult:
    return StepResult(name, more.pop("part", Part.STEPS), state, **more)


LOGIN = step(
    "login", seconds=1.0, phases=PHASES, status=200, requests=(2, 0), sent=10, received=20,
    expectations={("status", "passed"): 2, ("duration", "warned"): 1}, warnings=(SLOW,), rounds=2,
    part=Part.SETUP,
)  # fmt: skip
PAY = step(
    "pay", State.FAILED, failure=NO, seconds=0.5, phases=PHASES, status=500, requests=(0, 1),
    expectations={("status", "failed"): 1}, facts={"response": "status 500"}, received=5,
)  # fmt: skip
BYE = step("bye", State.SKIPPED)
TIDY = step("tidy", State.FAILED, part=Part.CLEANUP, failure=NO, seconds=0.25)
LEFT = Failure(NO.reason, f"step tidy: {NO.message}", "tidy")
PLAYED = Played(
    (LOGIN, PAY, BYE, TIDY), NO, (SLOW, LEFT), (("note", "seen"),), {}, frozenset({"t-0815"})
)


def recorded(played: Played) -> Recorder:
    recorder = Recorder()
    record(played, recorder, FRAME)
    return recorder


def test_the_run_has_a_phase_for_each_step_that_was_played() -> None:
    assert recorded(PLAYED).phases == (
        Phase("login", 1.0), Phase("pay", 0.5, complete=False), Phase("tidy", 0.25, complete=False),
    )  # fmt: skip


def test_each_step_is_a_result_of_its_own() -> None:
    login, pay, bye, tidy = recorded(PLAYED).steps

    assert [s.outcome for s in (login, pay, bye, tidy)] == [
        Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN, Outcome.DOWN,
    ]  # fmt: skip
    assert (pay.probe, pay.failure, pay.phases, pay.facts) == ("pay", NO, PHASES, PAY.facts)
    assert (bye.attempts, bye.failure) == (0, None)
    assert (login.attempts, login.facts) == (1, {"rounds": "2", "part": "setup"})
    assert {(s.kind, s.target, s.started_at, s.run_id) for s in (login, pay, bye)} == {
        ("journey", "http://shop.test/", AT, "run-1")
    }


def test_the_fault_of_the_prober_is_unknown_in_the_step_too() -> None:
    own = step("ask", State.FAILED, failure=Failure(Reason.POLICY, "want a target, got none"))

    assert recorded(Played((own,), own.failure)).steps[0].outcome is Outcome.UNKNOWN


def test_warnings_name_their_step_and_are_told_once() -> None:
    assert [(w.message, w.phase) for w in recorded(PLAYED).warnings] == [
        ("step login: want at most 1s, got 2s", "login"),
        ("step tidy: want status 2xx, got 500", "tidy"),
    ]


def test_texts_to_hide_and_logs_are_handed_on() -> None:
    recorder = recorded(PLAYED)

    assert recorder.secrets == ["t-0815"]
    assert recorder.facts == {"note": "seen"}


def test_the_samples_are_those_that_are_declared() -> None:
    declared = {metric.name: set(metric.labels) for metric in METRICS}
    samples = recorded(PLAYED).samples

    assert {sample.name for sample in samples} == set(declared)
    for sample in samples:
        assert {name for name, _ in sample.labels} == declared[sample.name]
    assert len({(sample.name, sample.labels) for sample in samples}) == len(samples)


def test_the_numbers_of_a_play() -> None:
    found = {
        (s.name.removeprefix("journey_"), *(v for _, v in s.labels)): s.value
        for s in recorded(PLAYED).samples
    }

    assert found["step_duration_seconds", "login"] == 1.0
    assert found["step_success", "login"] == 1
    assert found["step_success", "pay"] == 0
    assert ("step_success", "bye") not in found
    assert found["step_status_code", "pay"] == 500
    # nothing was sent: it has no status, not the status 0
    assert ("step_status_code", "tidy") not in found
    assert [found["step_state", "bye", state] for state in ("ok", "failed", "skipped")] == [0, 0, 1]
    assert found["phase_seconds", "transfer"] == 1.0
    assert found["failed_step_info", "pay", "status"] == 1
    assert found["expectations", "status", "passed"] == 2
    assert found["expectations", "duration", "warned"] == 1
    assert (found["requests", "good"], found["requests", "bad"]) == (2, 1)
    assert (found["bytes", "sent"], found["bytes", "received"]) == (10, 25)


def test_an_empty_play_has_sums_alone() -> None:
    assert set(values(recorded(Played()))) <= {"journey_requests", "journey_bytes"}


def test_the_verdict_names_the_step() -> None:
    failure = verdict(PLAYED)

    assert failure is not None
    assert (failure.reason, failure.phase) == (Reason.STATUS, "pay")
    assert failure.message == "step pay: want status 2xx, got 500"


@pytest.mark.parametrize(
    ("played", "message", "phase"),
    [
        pytest.param(Played((BYE,), SLOW), SLOW.message, None, id="before any step"),
        pytest.param(Played((TIDY,), SLOW), SLOW.message, None, id="a clean-up is not it"),
    ],
)
def test_a_failure_of_no_step_names_none(played: Played, message: str, phase: str | None) -> None:
    failure = verdict(played)

    assert failure is not None
    assert (failure.message, failure.phase) == (message, phase)
    assert failed_step(played) is None


def test_a_play_that_went_through_has_no_verdict() -> None:
    assert verdict(Played((LOGIN, TIDY))) is None
