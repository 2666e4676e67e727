"""The gate: rounds, deadlines, results that are complete at any moment."""

import asyncio
from collections.abc import Callable
from time import monotonic

import pytest

from probes.errors import CheckFailed
from probes.gate import Gate, Terms
from probes.kind import Kind
from probes.probe import Probe
from probes.recorder import Recorder
from probes.result import Outcome, Reason, Result


class Scripted(Kind):
    """Answers what its script says, one word a run: up, degraded, down, hang."""

    name = "scripted"
    script: Callable[[], str]

    async def run(self, target: str, recorder: Recorder) -> None:
        word = self.script()
        with recorder.phase("work"):
            if word == "hang":
                await asyncio.Event().wait()
            if word == "degraded":
                recorder.warn(Reason.VALUE, "want more, got less")
            if word == "down":
                raise CheckFailed(Reason.STATUS, "want 200, got 500")


def scripted(name: str, *words: str) -> Probe:
    """Return a probe whose runs answer *words*; the last one for ever."""
    left = list(words)
    return Probe(name, Scripted(script=lambda: left.pop(0) if len(left) > 1 else left[0]), "t")


def outcomes(results: list[Result]) -> list[str]:
    return [result.outcome.value for result in results]


async def test_each_probe_runs_once_and_results_keep_the_order() -> None:
    seen: list[Result] = []
    gate = Gate([scripted("a", "up"), scripted("b", "down", "up")], Terms(), finished=seen.append)

    results = await gate.run()

    assert [result.probe for result in results] == ["a", "b"]
    assert outcomes(results) == ["up", "down"]
    assert sorted(result.probe for result in seen) == ["a", "b"]
    assert gate.running == {}


@pytest.mark.slow
async def test_a_retry_runs_only_what_did_not_pass() -> None:
    runs: list[str] = []
    gate = Gate(
        [scripted("a", "up"), scripted("b", "down", "up")],
        Terms(retries=3),
        finished=lambda result: runs.append(result.probe),
    )

    assert outcomes(await gate.run()) == ["up", "up"]
    assert sorted(runs) == ["a", "b", "b"]
    assert gate.round == 2


@pytest.mark.slow
async def test_degraded_passes_unless_told_otherwise() -> None:
    assert outcomes(await Gate([scripted("a", "degraded")], Terms(retries=1)).run()) == ["degraded"]

    strict = Gate([scripted("a", "degraded", "up")], Terms(retries=1, fail_on_degraded=True))
    assert outcomes(await strict.run()) == ["up"]


@pytest.mark.slow
async def test_waiting_ends_when_all_pass() -> None:
    gate = Gate([scripted("a", "down", "down", "up")], Terms(deadline=monotonic() + 30, wait=True))

    assert outcomes(await gate.run()) == ["up"]
    assert gate.round == 3


@pytest.mark.slow
async def test_the_deadline_cuts_a_run_and_tells_its_phase(lost_s: Callable[[], float]) -> None:
    started = monotonic()
    gate = Gate([scripted("a", "up"), scripted("b", "hang")], Terms(deadline=started + 0.3))

    up, cut = await gate.run()

    assert monotonic() - started < 0.8 + lost_s()
    assert up.outcome is Outcome.UP
    assert (cut.outcome, cut.attempts) == (Outcome.UNKNOWN, 0)
    assert cut.failure is not None
    assert (cut.failure.reason, cut.failure.phase) == (Reason.EVIDENCE, "work")
    assert cut.failure.message == "want a Result before the deadline of all, got none in phase work"


@pytest.mark.slow
async def test_a_round_that_is_cut_off_does_not_hide_the_verdict_before_it() -> None:
    gate = Gate([scripted("a", "down", "hang")], Terms(deadline=monotonic() + 1.6, wait=True))

    (result,) = await gate.run()

    assert result.failure is not None
    assert result.failure.reason is Reason.STATUS


async def test_a_gate_that_is_cancelled_still_tells_every_probe() -> None:
    ended = asyncio.Event()
    gate = Gate(
        [scripted("a", "up"), scripted("b", "hang")], Terms(), finished=lambda _: ended.set()
    )
    task = asyncio.get_running_loop().create_task(gate.run())
    await ended.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert outcomes(gate.results()) == ["up", "unknown"]
    assert gate.results()[1].attempts == 0


async def test_probes_run_at_most_so_many_at_a_time() -> None:
    flying: list[int] = []
    gate = Gate([scripted(str(n), "up") for n in range(20)], Terms(parallel=3))
    gate._finished = lambda _: flying.append(len(gate.running))

    await gate.run()

    assert len(flying) == 20
    assert max(flying) < 3
