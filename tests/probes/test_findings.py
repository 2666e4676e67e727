"""What a run has found as its Result; runs that end in one are in test_run.py."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from probes.findings import MAX_MESSAGE_CHARACTERS, result_of
from probes.kind import Metric
from probes.kinds.tcp import Tcp
from probes.probe import Probe
from probes.recorder import Recorder
from probes.redact import Redactor
from probes.result import NO_FACTS, Failure, Outcome, Reason, Result, Sample

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


class Answering(Tcp):
    """A kind with each sort of label: its own words, a peer's, and those that settings name."""

    metrics = (
        Metric("tcp_parts", "Parts", ("part",)),
        Metric("tcp_said", "What was said", ("text",), dynamic=True),
    )

    @property
    def named_metrics(self) -> tuple[Metric, ...]:
        return (Metric("shop_depth", "Jobs", ("queue",), dynamic=True),)


@pytest.mark.parametrize("name", ["tcp_said", "expect_info", "shop_depth", "ssl_last_chain_info"])
@pytest.mark.parametrize("written", [SECRET, "battery-staple", "a " + quote(SECRET), "a" * 127])
def test_no_label_out_of_an_answer_shows_a_secret(name: str, written: str) -> None:
    secrets = [SECRET, "a" * 300]
    recorder = Recorder()
    recorder.hide("battery-staple")
    text = written if len(written) < 127 else written + "…"
    recorder.sample(name, 1, queue=text)
    recorder.sample("tcp_parts", 2, part=SECRET)
    recorder.step(found(recorder))
    probe = Probe(name="a", kind=Answering(), target="127.0.0.1:1", redact=Redactor(secrets))

    result = result_of(probe, recorder, None, NOW, 0.5, 1)

    for one in (result, *result.steps):
        assert written not in str(one.samples[0].labels)
        assert "***" in one.samples[0].labels[0][1]
    # a word of ours is a word of ours, whatever the password is
    assert result.samples[1] == Sample("tcp_parts", 2, (("part", SECRET),))


def test_a_digest_of_our_own_making_keeps_letters_that_are_a_secret_elsewhere() -> None:
    recorder = Recorder()
    labels = {"fingerprint_sha256": "2c27" + "abc" * 20, "subject": "CN=abc.test"}
    recorder.sample("ssl_last_chain_info", 1.0, **labels)
    probe = Probe(name="a", kind=Tcp(), target="127.0.0.1:1", redact=Redactor(["abc"]))

    shown = dict(result_of(probe, recorder, None, NOW, 0.5, 1).samples[0].labels)

    assert shown == {**labels, "subject": "CN=***.test"}
