"""One run and a batch: deadline, retries, whose fault it is, and nothing left behind."""

import asyncio
import gc
import io
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar

import pytest

from probes.errors import CheckFailed
from probes.kind import Kind
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Failure, Outcome, Reason, Result
from probes.run import ABANDON_AFTER_S, prepare, run_all, run_once, stuck_runs, unfinished
from probes.wire.policy import POLICY, Policy

Body = Callable[[str, Recorder], Coroutine[Any, Any, None]]
AT = datetime(2026, 1, 2, tzinfo=UTC)
# Seconds: a run that must reach its timeout should do so soon.
SOON = 0.05


class Scripted(Kind):
    """A kind whose run is whatever a test says."""

    name: ClassVar[str] = "scripted"
    network: ClassVar[bool] = True
    password: Secret | None = None
    _body: Body

    async def run(self, target: str, recorder: Recorder) -> None:
        await self._body(target, recorder)


class Prompt(Scripted):
    """The same, of a kind whose clean-up awaits nothing."""

    ends_at_once: ClassVar[bool] = True


@pytest.fixture(
    params=[pytest.param(Scripted, id="a task of its own"), pytest.param(Prompt, id="the caller's")]
)
def form(request: pytest.FixtureRequest) -> Iterator[type[Scripted]]:
    """Let `probe` make probes of kinds whose runs have a task of their own, and of others."""
    global _form  # noqa: PLW0603 - else each test would hand it to each probe
    before, _form = _form, request.param
    yield _form
    _form = before


_form: type[Scripted] = Scripted
in_both_forms = pytest.mark.usefixtures("form")


def probe(body: Body, name: str = "it", timeout_s: float = 5.0, **changes: Any) -> Probe:
    """A probe of `Scripted` that runs *body*."""
    kind = _form(password=changes.pop("password", None))
    object.__setattr__(kind, "__pydantic_private__", {"_body": body})
    return Probe(name=name, kind=kind, target="h:1", timeout_s=timeout_s, **changes)


class Calm(ProberHealth):
    """A prober whose verdict about itself a test decides."""

    def __init__(
        self,
        own: tuple[Reason, str] | None = None,
        *,
        excused: bool = False,
        cut: str | None = None,
    ) -> None:
        super().__init__()
        self._own, self._excused, self._cut = own, excused, cut

    def verdict(self, start: float, timeout_s: float) -> tuple[Reason, str] | None:
        assert timeout_s > 0
        assert start <= monotonic()
        return self._own

    def latency_excused(self, start: float) -> bool:
        assert start <= monotonic()
        return self._excused

    async def cut_off(self, start: float) -> str | None:
        assert start <= monotonic()
        return self._cut


async def passes(target: str, recorder: Recorder) -> None:
    with recorder.phase("query"):
        recorder.sample("x", 1)
    recorder.fact("target", target)


async def hangs(target: str, recorder: Recorder) -> None:
    with recorder.phase("query"):
        await asyncio.Event().wait()


def fails(reason: Reason, message: str = "want a, got b") -> Body:
    async def body(target: str, recorder: Recorder) -> None:
        raise CheckFailed(reason, message)

    return body


def raises(error: BaseException) -> Body:
    async def body(target: str, recorder: Recorder) -> None:
        raise error

    return body


@in_both_forms
async def test_a_run_that_returns_is_up_with_everything_it_found() -> None:
    result = await run_once(probe(passes), wall=lambda: AT)

    assert (result.outcome, result.failure, result.attempts) == (Outcome.UP, None, 1)
    assert (result.probe, result.kind, result.target) == ("it", "scripted", "h:1")
    assert result.started_at == AT
    assert [phase.name for phase in result.phases] == ["query"]
    assert [sample.name for sample in result.samples] == ["x"]
    assert result.facts == {"target": "h:1"}
    assert len(result.run_id) == 16


async def test_two_runs_have_different_ids() -> None:
    assert (await run_once(probe(passes))).run_id != (await run_once(probe(passes))).run_id


@in_both_forms
async def test_a_warning_makes_it_degraded() -> None:
    async def warns(target: str, recorder: Recorder) -> None:
        recorder.warn(Reason.LATENCY, "want at most 1s, got 2s")

    result = await run_once(probe(warns))

    assert result.outcome is Outcome.DEGRADED
    assert result.warnings[0].message == "want at most 1s, got 2s"


@in_both_forms
async def test_a_failed_expectation_is_down_and_outweighs_warnings() -> None:
    async def both(target: str, recorder: Recorder) -> None:
        recorder.warn(Reason.LATENCY, "slow")
        with recorder.phase("judge"):
            raise CheckFailed(Reason.STATUS, "want 2xx, got 503")

    result = await run_once(probe(both))

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.as_dict() == {
        "reason": "status",
        "message": "want 2xx, got 503",
        "phase": "judge",
    }
    assert len(result.warnings) == 1


async def test_a_verdict_may_name_its_own_phase() -> None:
    async def late(target: str, recorder: Recorder) -> None:
        raise CheckFailed(Reason.TLS, "x", phase="tls")

    result = await run_once(probe(late))

    assert result.failure is not None
    assert result.failure.phase == "tls"


@in_both_forms
@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.is_own_fault])
async def test_a_reason_of_our_own_is_unknown(reason: Reason) -> None:
    assert (await run_once(probe(fails(reason)))).outcome is Outcome.UNKNOWN


@in_both_forms
async def test_any_other_exception_is_unknown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    result = await run_once(probe(raises(ZeroDivisionError("oops"))))

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.INTERNAL
    assert result.failure.message == "ZeroDivisionError: oops"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_no_secret_leaves_in_any_text_of_a_result() -> None:
    async def leaks(target: str, recorder: Recorder) -> None:
        recorder.hide("granted-token")
        recorder.fact("header", "hunter2 granted-token")
        recorder.warn(Reason.LATENCY, "slow with hunter2")
        raise CheckFailed(Reason.AUTH, "want in, got out with hunter2 and granted-token")

    result = await run_once(probe(leaks, password=Secret("hunter2")))

    shown = str(result.as_dict())
    assert "hunter2" not in shown
    assert "granted-token" not in shown
    assert "***" in shown


async def test_no_secret_leaves_in_the_message_of_an_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    result = await run_once(probe(raises(OSError("hunter2")), password=Secret("hunter2")))

    assert result.failure is not None
    assert result.failure.message == "OSError: ***"
    assert "hunter2" not in caplog.messages[0]


async def test_an_endless_message_is_cut() -> None:
    result = await run_once(probe(fails(Reason.BODY, "x" * 10_000)))

    assert result.failure is not None
    assert len(result.failure.message) == 2048


@in_both_forms
async def test_silence_is_a_timeout_in_the_phase_that_waited(lost_s: Callable[[], float]) -> None:
    """P2: every run ends within its timeout and 250 ms."""
    result = await run_once(probe(hangs, timeout_s=SOON))

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "query")
    assert result.failure.message == "want an answer within 0.05 s, got none in phase query"
    assert [(phase.name, phase.complete) for phase in result.phases] == [("query", False)]
    assert SOON <= result.seconds < SOON + 0.25 + lost_s()


@in_both_forms
async def test_silence_of_a_name_server_is_a_timeout_of_the_lookup() -> None:
    async def resolves(target: str, recorder: Recorder) -> None:
        with recorder.phase("resolve"):
            await asyncio.Event().wait()

    result = await run_once(probe(resolves, timeout_s=SOON))

    assert result.failure is not None
    assert result.failure.reason is Reason.DNS_TIMEOUT


@in_both_forms
async def test_a_timeout_of_a_driver_at_the_deadline_is_ours() -> None:
    async def driver(target: str, recorder: Recorder) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise TimeoutError from None

    result = await run_once(probe(driver, timeout_s=SOON))

    assert result.failure is not None
    assert result.failure.reason is Reason.TIMEOUT


async def late_return(target: str, recorder: Recorder) -> None:
    with suppress(asyncio.CancelledError):
        await hangs(target, recorder)


async def late_verdict(target: str, recorder: Recorder) -> None:
    try:
        await hangs(target, recorder)
    except asyncio.CancelledError:
        raise CheckFailed(Reason.CLOSED, "want an answer, got the end") from None


@in_both_forms
@pytest.mark.parametrize("body", [late_return, late_verdict])
async def test_what_a_kind_says_after_its_deadline_is_a_timeout(body: Body) -> None:
    """P2: a cancellation that was swallowed is no pass, and its echo no finding."""
    result = await run_once(probe(body, timeout_s=SOON))

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "query")


@in_both_forms
async def test_a_shortage_that_shows_at_the_deadline_stays_our_fault() -> None:
    async def short_of_files(target: str, recorder: Recorder) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise CheckFailed(Reason.RESOURCE, "want a descriptor, got none") from None

    result = await run_once(probe(short_of_files, timeout_s=SOON))

    assert result.outcome is Outcome.UNKNOWN


@in_both_forms
async def test_a_run_that_ended_in_the_moment_of_its_deadline_keeps_its_verdict() -> None:
    async def busy(target: str, recorder: Recorder) -> None:
        # the loop finds the expiry and the end of the run in the same turn
        while asyncio.get_running_loop().time() < recorder.deadline:
            pass

    result = await run_once(probe(busy, timeout_s=SOON))

    assert result.outcome is Outcome.UP


async def test_a_clean_up_that_hangs_does_not_hold_the_result_back(
    lost_s: Callable[[], float],
) -> None:
    """P2: a run that ignores its cancellation is left behind, counted, and forgotten at its end."""
    release = asyncio.Event()

    async def stubborn(target: str, recorder: Recorder) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()

    before = stuck_runs()
    result = await run_once(probe(stubborn, timeout_s=SOON))

    assert result.failure is not None
    assert result.failure.reason is Reason.TIMEOUT
    assert result.seconds < SOON + 0.25 + lost_s()
    assert stuck_runs() == before + 1
    release.set()
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert stuck_runs() == before


@in_both_forms
async def test_a_run_that_is_cancelled_from_inside_is_our_fault() -> None:
    result = await run_once(probe(raises(asyncio.CancelledError())))

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.INTERNAL


@in_both_forms
async def test_a_cancelled_run_makes_no_result_and_leaves_no_task() -> None:
    """P26: no Result is written by cancellation."""
    began, cleaned = asyncio.Event(), asyncio.Event()

    async def body(target: str, recorder: Recorder) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    task = asyncio.create_task(run_once(probe(body)))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert cleaned.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_run_stays_cancelled_when_its_clean_up_fails() -> None:
    began = asyncio.Event()

    async def body(target: str, recorder: Recorder) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("while closing")

    task = asyncio.create_task(run_once(probe(body)))
    await began.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_run_does_not_wait_for_a_clean_up_that_hangs() -> None:
    """P26: shutdown does not wait for a kind that ignores its cancellation."""
    began, release = asyncio.Event(), asyncio.Event()

    async def body(target: str, recorder: Recorder) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await release.wait()

    task = asyncio.create_task(run_once(probe(body)))
    await began.wait()
    task.cancel()

    done, _ = await asyncio.wait({task}, timeout=ABANDON_AFTER_S + 1)
    release.set()
    assert done == {task}
    assert task.cancelled()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


@in_both_forms
async def test_a_failure_is_tried_again_and_the_last_try_counts() -> None:
    tries = []

    async def second_time(target: str, recorder: Recorder) -> None:
        tries.append(recorder)
        if len(tries) == 1:
            recorder.fact("try", "first")
            raise CheckFailed(Reason.STATUS, "want 2xx, got 503")

    result = await run_once(probe(second_time, retries=3, retry_every_s=0.001))

    assert (result.outcome, result.attempts) == (Outcome.UP, 2)
    assert result.facts == {}


async def test_a_failure_that_stays_is_down_after_all_tries() -> None:
    result = await run_once(probe(fails(Reason.STATUS), retries=2, retry_every_s=0.001))

    assert (result.outcome, result.attempts) == (Outcome.DOWN, 3)


async def test_our_own_fault_is_not_tried_again() -> None:
    result = await run_once(probe(fails(Reason.PERMISSION), retries=2, retry_every_s=0.001))

    assert result.attempts == 1


async def test_there_is_no_try_that_would_begin_behind_the_deadline() -> None:
    result = await run_once(probe(fails(Reason.STATUS), retries=2, retry_every_s=60))

    assert (result.outcome, result.attempts) == (Outcome.DOWN, 1)


class Tidy(Scripted):
    """Keeps seconds of its deadline for tidying up."""

    name = "tidy"

    @property
    def cleanup_s(self) -> float:
        return 5.0


def tidy(body: Body, **changes: Any) -> Probe:
    kind = Tidy()
    object.__setattr__(kind, "__pydantic_private__", {"_body": body})
    return Probe("it", kind, "h:1", **changes)


async def test_the_seconds_of_the_clean_up_are_for_no_further_try() -> None:
    result = await run_once(tidy(fails(Reason.STATUS), retries=2, retry_every_s=2.0, timeout_s=1.0))

    assert (result.outcome, result.attempts) == (Outcome.DOWN, 1)


async def test_a_try_that_found_its_time_used_up_does_not_replace_a_verdict() -> None:
    """It ends by itself, so that it can tidy up: nobody has to cut it off."""
    tries = []

    async def fails_then_waits(target: str, recorder: Recorder) -> None:
        tries.append(recorder)
        if len(tries) > 1:
            left = recorder.remaining(asyncio.get_running_loop().time()) - Tidy().cleanup_s
            await asyncio.sleep(left)
            raise CheckFailed(Reason.TIMEOUT, "want all steps in time, got no time left")
        raise CheckFailed(Reason.STATUS, "want 2xx, got 503")

    result = await run_once(tidy(fails_then_waits, retries=3, retry_every_s=0.001, timeout_s=0.2))

    assert result.failure is not None
    assert (result.failure.reason, result.attempts) == (Reason.STATUS, 2)


@in_both_forms
# the first try must end before a busy machine lets the deadline pass
@pytest.mark.parametrize(("timeout_s", "until_s"), [(0.2, None), (5.0, 0.2)])
async def test_a_try_without_time_left_does_not_replace_a_verdict(
    timeout_s: float, until_s: float | None
) -> None:
    """A second try that hangs had less than its timeout: what the first one saw is truer."""
    tries = []

    async def fails_then_hangs(target: str, recorder: Recorder) -> None:
        tries.append(recorder)
        if len(tries) > 1:
            await hangs(target, recorder)
        recorder.fact("server", "nginx")
        raise CheckFailed(Reason.STATUS, "want 2xx, got 503")

    now = asyncio.get_running_loop().time()
    result = await run_once(
        probe(fails_then_hangs, retries=3, retry_every_s=0.001, timeout_s=timeout_s),
        until=None if until_s is None else now + until_s,
    )

    assert result.failure is not None
    assert (result.outcome, result.attempts) == (Outcome.DOWN, 2)
    assert (result.failure.reason, result.failure.phase) == (Reason.STATUS, None)
    assert result.facts == {"server": "nginx"}


@pytest.mark.parametrize(
    ("reason", "health", "expected"),
    [
        pytest.param(Reason.STATUS, Calm(), Reason.STATUS, id="a calm prober"),
        pytest.param(Reason.STATUS, Calm((Reason.STALL, "x")), Reason.STALL, id="a freeze"),
        pytest.param(Reason.LATENCY, Calm(excused=True), Reason.OVERLOAD, id="lag and a latency"),
        pytest.param(Reason.STATUS, Calm(excused=True), Reason.STATUS, id="lag and a status"),
        pytest.param(Reason.REFUSED, Calm(cut="no net"), Reason.NETWORK, id="no network"),
        pytest.param(Reason.STATUS, Calm(cut="no net"), Reason.STATUS, id="an answer came"),
        pytest.param(
            Reason.POLICY, Calm((Reason.STALL, "x")), Reason.POLICY, id="known to be ours"
        ),
    ],
)
async def test_a_failure_is_blamed_on_who_caused_it(
    reason: Reason, health: ProberHealth, expected: Reason
) -> None:
    """P4: no false alarm by the prober's own fault."""
    result = await run_once(probe(fails(reason)), health=health)

    assert result.failure is not None
    assert result.failure.reason is expected
    assert (result.outcome is Outcome.UNKNOWN) == expected.is_own_fault
    if expected is not reason:
        assert f"(it saw {reason.value}: want a, got b)" in result.failure.message


async def test_a_latency_that_the_prober_made_degrades_nothing() -> None:
    """P25."""

    async def slow(target: str, recorder: Recorder) -> None:
        recorder.warn(Reason.LATENCY, "want latency <= 1ms, got 60ms")

    async def slow_and_old(target: str, recorder: Recorder) -> None:
        await slow(target, recorder)
        recorder.warn(Reason.CERTIFICATE_EXPIRING, "want 21d, got 3d")

    calm = await run_once(probe(slow), health=Calm())
    lagged = await run_once(probe(slow), health=Calm(excused=True))
    both = await run_once(probe(slow_and_old), health=Calm(excused=True))

    assert calm.outcome is Outcome.DEGRADED
    assert (lagged.outcome, lagged.warnings) == (Outcome.UP, ())
    assert lagged.facts == {"not judged": "latency: the prober itself lagged"}
    assert [warning.reason for warning in both.warnings] == [Reason.CERTIFICATE_EXPIRING]


async def test_a_run_that_passed_is_up_whatever_the_prober_went_through() -> None:
    result = await run_once(probe(passes), health=Calm((Reason.STALL, "x"), cut="no net"))

    assert result.outcome is Outcome.UP


@in_both_forms
async def test_a_policy_holds_for_the_run_and_not_longer() -> None:
    seen = []
    policy = Policy()

    async def looks(target: str, recorder: Recorder) -> None:
        seen.append(POLICY.get())

    with POLICY.set(policy):
        await run_once(probe(looks))

    assert seen[0] is policy
    assert POLICY.get() is not policy


async def test_no_text_of_a_step_shows_a_secret() -> None:
    inner = Result(
        probe="inner",
        kind="http",
        target="t",
        outcome=Outcome.DOWN,
        started_at=AT,
        seconds=0.0,
        failure=Failure(Reason.STATUS, "want 200, got s3cr3t-token"),
    )

    async def tells(target: str, recorder: Recorder) -> None:
        recorder.hide("s3cr3t-token")
        outer = inner._replace(
            warnings=(Failure(Reason.VALUE, "s3cr3t-token is odd"),),
            facts={"answer": "s3cr3t-token"},
            steps=(inner,),
        )
        recorder.step(outer)

    result = await run_once(probe(tells))

    assert "s3cr3t-token" not in str(result.as_dict())
    assert str(result.as_dict()).count("***") == 4


class Patient(Kind):
    """Has timeouts of its own, made of the time there is."""

    name = "patient"

    @property
    def settle_s(self) -> float:
        return 20.0

    async def run(self, target: str, recorder: Recorder) -> None:
        raise CheckFailed(Reason.TIMEOUT, "want time for a call, got none left")


@pytest.mark.parametrize(
    ("until_s", "outcome", "attempts"),
    [
        pytest.param(4.0, Outcome.UNKNOWN, 0, id="less than its timeout"),
        pytest.param(6.0, Outcome.DOWN, 1, id="its timeout, but no second look"),
        pytest.param(60.0, Outcome.DOWN, 1, id="all it wants"),
    ],
)
async def test_a_timeout_of_its_own_proves_nothing_when_the_run_was_cut(
    until_s: float, outcome: Outcome, attempts: int
) -> None:
    patient = Probe(name="it", kind=Patient(), target="t", timeout_s=5.0)

    result = await run_once(patient, until=asyncio.get_running_loop().time() + until_s)

    assert (result.outcome, result.attempts) == (outcome, attempts)


async def test_a_batch_returns_in_the_order_of_its_probes() -> None:
    first_may_end = asyncio.Event()

    async def waits(target: str, recorder: Recorder) -> None:
        await first_may_end.wait()

    async def releases(target: str, recorder: Recorder) -> None:
        first_may_end.set()

    ended: list[Result] = []
    results = await run_all([probe(waits, "a"), probe(releases, "b")], finished=ended.append)

    assert [result.probe for result in results] == ["a", "b"]
    assert [result.probe for result in ended] == ["b", "a"]


async def test_a_batch_runs_no_more_than_it_may_at_a_time() -> None:
    running, most = 0, 0

    async def counts(target: str, recorder: Recorder) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    began: list[str] = []
    results = await run_all(
        [probe(counts, str(number)) for number in range(20)],
        parallel=3,
        started=lambda it: began.append(it.name),
    )

    assert most == 3
    assert len(results) == len(began) == 20


async def test_an_empty_batch_is_empty() -> None:
    assert await run_all([]) == []


@in_both_forms
async def test_what_did_not_finish_is_unknown_and_told() -> None:
    """P17: a batch that is cut off is complete in its report."""
    ended: list[Result] = []

    results = await run_all(
        [probe(passes, "a"), probe(hangs, "b"), probe(passes, "c")],
        parallel=2,
        deadline_s=SOON,
        finished=ended.append,
    )

    assert [result.outcome for result in results] == [Outcome.UP, Outcome.UNKNOWN, Outcome.UP]
    assert sorted(result.probe for result in ended) == ["a", "b", "c"]
    assert results[1].failure is not None
    assert results[1].failure.reason is Reason.EVIDENCE
    assert results[1].failure.message == (
        "want a Result before the deadline of all, got none in phase query"
    )
    assert results[1].attempts == 0
    assert [phase.name for phase in results[1].phases] == ["query"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_both_forms
async def test_a_run_that_ends_by_itself_before_the_common_deadline_keeps_its_verdict() -> None:
    until = asyncio.get_running_loop().time() + 1

    passed = await run_once(probe(passes), until=until)
    failed = await run_once(probe(fails(Reason.STATUS)), until=until)
    late = await run_once(probe(hangs, timeout_s=SOON), until=until)

    assert [result.outcome for result in (passed, failed, late)] == [
        Outcome.UP,
        Outcome.DOWN,
        Outcome.DOWN,
    ]
    assert late.failure is not None
    assert late.failure.reason is Reason.TIMEOUT


async def test_a_bug_in_a_callback_is_not_a_green_batch() -> None:
    def broken(result: Result) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_all([probe(passes)], finished=broken)


def test_an_unfinished_run_blames_nobody_but_the_evidence() -> None:
    result = unfinished(probe(passes), "want a run, got none")

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.EVIDENCE
    assert (result.attempts, result.phases) == (0, ())
    assert result._replace(seconds=0.0) == result


@in_both_forms
async def test_a_batch_that_is_cancelled_leaves_no_run_behind() -> None:
    """130: Ctrl-C ends the gate and everything it started."""
    began = asyncio.Event()

    async def body(target: str, recorder: Recorder) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run_all([probe(body, "a"), probe(body, "b")]))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_kind_that_breaks_while_preparing_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    prepared: list[str] = []

    class Preparing(Kind):
        """Prepares."""

        name = "preparing"

        def prepare(self, target: str) -> None:
            prepared.append(target)
            if target == "bad":
                raise RuntimeError("x")

    prepare([Probe(target, Preparing(), target) for target in ("bad", "good")])

    assert prepared == ["bad", "good"]
    assert "the kind preparing could not prepare" in caplog.text


def test_preparing_imports_the_driver_of_a_kind() -> None:
    class Driven(Kind):
        """Has a driver of the standard library."""

        name = "driven"
        driver = "this"

    class Lacking(Kind):
        """Has a driver that is not installed: its run will say so."""

        name = "lacking"
        driver = "no_such_module_anywhere"

    with redirect_stdout(io.StringIO()):
        prepare([Probe("a", Driven(), "t"), Probe("b", Lacking(), "t")])

    assert "this" in sys.modules


@in_both_forms
async def test_a_failed_run_leaves_nothing_for_the_collector() -> None:
    """P9: thousands of targets that fail are thousands of cycles a second, else."""

    async def held(_: str, recorder: Recorder) -> None:
        failure = CheckFailed(Reason.CLOSED, "want an answer, got a reset")
        raise failure  # whose traceback names this frame, which names it

    scripted = probe(held)
    await run_once(scripted)
    gc.collect()
    gc.disable()
    try:
        result = await run_once(scripted)
        left = gc.collect()
    finally:
        gc.enable()

    assert result.outcome is Outcome.DOWN
    assert left == 0


@in_both_forms
async def test_a_run_that_was_cut_off_leaves_its_caller_uncancelled() -> None:
    task = asyncio.current_task()
    assert task is not None

    result = await run_once(probe(hangs, timeout_s=SOON))

    assert result.failure is not None
    assert result.failure.reason is Reason.TIMEOUT
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_kind_that_ends_at_once_has_no_task_of_its_own(form: type[Scripted]) -> None:
    seen = []

    async def looks(target: str, recorder: Recorder) -> None:
        seen.append(asyncio.current_task())

    await run_once(probe(looks))

    assert (seen[0] is asyncio.current_task()) is form.ends_at_once


@in_both_forms
async def test_a_caller_that_is_cancelled_at_the_deadline_stays_cancelled() -> None:
    async def both(target: str, recorder: Recorder) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task.cancel()
            raise

    task = asyncio.ensure_future(run_once(probe(both, timeout_s=SOON)))
    await asyncio.wait({task})

    assert task.cancelled()
