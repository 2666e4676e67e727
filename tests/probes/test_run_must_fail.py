"""Targets that must not work: ``must_fail``, from the file to the Result."""

import asyncio
from pathlib import Path

import pytest
import yaml

from probes.config.explain import explain
from probes.config.load import load
from probes.errors import CheckFailed, ConfigError
from probes.kind import Kind
from probes.kinds.tcp import Tcp
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.result import TARGET_REASONS, Outcome, Reason, Result
from probes.run import run_once
from tests.faults.tcp import closed_port

REFUSED = frozenset({Reason.REFUSED})


class Told(Kind):
    """A kind that ends as its target says."""

    name = "told"

    async def run(self, target: str, recorder: Recorder) -> None:
        recorder.warn(Reason.LATENCY, "want latency <= 1s, got 2s")
        if target == "silence":
            await asyncio.get_running_loop().create_future()
        if target != "up":
            raise CheckFailed(Reason(target), "want a, got b", phase="connect")


async def ran(target: str, must_fail: frozenset[Reason], **fields: int) -> Result:
    probe = Probe("it", Told(), target, timeout_s=2, must_fail=must_fail, **fields)  # type: ignore[arg-type]
    return await run_once(probe)


async def test_a_run_that_fails_as_it_must_is_up_and_tells_why() -> None:
    result = await ran("refused", REFUSED)

    assert (result.outcome, result.failure, result.warnings) == (Outcome.UP, None, ())
    assert result.facts["failed as wanted"] == "refused: want a, got b"


@pytest.mark.parametrize(
    ("target", "must_fail", "outcome", "reason", "message"),
    [
        pytest.param(
            "up", TARGET_REASONS, Outcome.DOWN, Reason.VALUE,
            "want a run that fails, got one that is up", id="it works",
        ),
        pytest.param(
            "up", REFUSED | {Reason.TLS}, Outcome.DOWN, Reason.VALUE,
            "want a run that fails by refused or tls, got one that is up", id="it works, of two",
        ),
        pytest.param(
            "timeout", REFUSED, Outcome.DOWN, Reason.TIMEOUT,
            "want a run that fails by refused, got timeout: want a, got b", id="by another reason",
        ),
        pytest.param(
            "permission", TARGET_REASONS, Outcome.UNKNOWN, Reason.PERMISSION, "want a, got b",
            id="our own fault",
        ),
    ],
)  # fmt: skip
async def test_a_run_that_does_not_fail_as_it_must_is_no_success(
    target: str, must_fail: frozenset[Reason], outcome: Outcome, reason: Reason, message: str
) -> None:
    result = await ran(target, must_fail)

    assert result.outcome is outcome
    assert result.failure is not None
    assert (result.failure.reason, result.failure.message) == (reason, message)


class CutOff(ProberHealth):
    """A prober without a network."""

    async def cut_off(self, started: float) -> str | None:
        return "want a network, got none"


async def test_a_failure_that_the_prober_may_have_caused_proves_nothing() -> None:
    probe = Probe("it", Told(), "unreachable", must_fail=TARGET_REASONS)

    result = await run_once(probe, health=CutOff())

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.NETWORK


async def test_silence_is_a_success_at_the_timeout_alone() -> None:
    probe = Probe("it", Told(), "silence", timeout_s=0.05, must_fail=frozenset({Reason.TIMEOUT}))

    whole = await run_once(probe)
    cut = await run_once(probe, until=asyncio.get_running_loop().time() + 0.01)

    assert whole.outcome is Outcome.UP
    assert (cut.outcome, cut.attempts) == (Outcome.UNKNOWN, 0)


async def test_a_target_that_works_is_asked_again_before_it_is_told() -> None:
    result = await ran("up", REFUSED, retries=1, retry_every_s=0)

    assert (result.outcome, result.attempts) == (Outcome.DOWN, 2)


async def test_a_closed_port_must_be_closed() -> None:
    probe = Probe("it", Tcp(), f"127.0.0.1:{closed_port()}", must_fail=REFUSED)

    assert (await run_once(probe)).outcome is Outcome.UP


HEAD = "version: 1\nprobes: [{name: a, kind: tcp, target: 'localhost:1', must_fail: "


@pytest.mark.parametrize(
    ("text", "reasons", "shown"),
    [
        ("true", TARGET_REASONS, True),
        ("false", frozenset(), None),
        ("[refused, tls]", frozenset({Reason.REFUSED, Reason.TLS}), ["refused", "tls"]),
    ],
)
def test_the_file_says_it_and_explain_shows_it(
    tmp_path: Path, text: str, reasons: frozenset[Reason], shown: object
) -> None:
    (tmp_path / "probes.yaml").write_text(HEAD + text + "}]")

    (probe,) = load(tmp_path / "probes.yaml").probes

    assert probe.must_fail == reasons
    assert yaml.safe_load(explain(probe)).get("must_fail") == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("refused", "want true, false or a list of reasons, got 'refused'"),
        ("[]", "want true, false or a list of reasons, got []"),
        ("[resource]", "want a reason that blames the target, got 'resource'"),
        ("[refusd]", "want a reason that blames the target, got 'refusd'; did you mean 'refused'?"),
        ("[[refused]]", "want a reason that blames the target, got ['refused']"),
    ],
)
def test_a_mistake_in_it_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "probes.yaml").write_text(HEAD + text + "}]")

    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "probes.yaml")

    (problem,) = caught.value.problems
    assert (problem.message, problem.line, problem.path) == (message, 2, "probes.0.must_fail")
