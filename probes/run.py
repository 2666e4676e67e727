"""Run a probe once, or a batch of them: the only place where an exception becomes a Result.

Owns the one absolute deadline of a run, its retries, and the question whose fault a failure is.
Knows no kind, no schedule and no reader of Results.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from random import getrandbits
from time import monotonic
from typing import Any

from probes.deadline import Lane, lane_of
from probes.errors import CheckFailed
from probes.findings import MAX_MESSAGE_CHARACTERS, result_of, turned
from probes.probe import Probe
from probes.prober_health import ProberHealth, whose_fault
from probes.recorder import Keep, Recorder
from probes.result import Failure, Outcome, Reason, Result

log = logging.getLogger("sonde.run")

# P2 gives a run 250 ms behind its deadline, blackbox.md 8.5 gives an answer of /probe 100; a
# clean-up that takes longer than this is left behind.
ABANDON_AFTER_S = 0.05
# A gate of many probes must not start them as one herd (E11).
DEFAULT_PARALLEL = 50

_TIMEOUTS = frozenset({Reason.TIMEOUT, Reason.DNS_TIMEOUT})

_stuck: set[asyncio.Task[None]] = set()


def stuck_runs() -> int:
    """Return how many runs ignored their cancellation and still have not ended."""
    return len(_stuck)


async def run_once(
    probe: Probe,
    *,
    health: ProberHealth | None = None,
    keep: Keep | None = None,
    until: float | None = None,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    abandoned: Callable[[], None] = lambda: None,
) -> Result:
    """Run *probe* once, within its timeout, and return what was found.

    Args:
        probe: what to check.
        health: the prober's own pulse; failures under its own freeze or lost network are unknown.
        keep: what outlives this run; None: it stands alone, and has ``Kind.settle_s`` more time.
        until: time of the loop when the run is cut off although its timeout has not come; then
            the Result is unfinished: unknown, no attempt, with the phase it stood in.
        wall: point in time for ``started_at``.
        abandoned: called when the run goes out although its clean-up has not ended.
    """
    loop = asyncio.get_running_loop()
    started_at, started, now = wall(), monotonic(), loop.time()
    timeout_s = probe.timeout_s + probe.kind.cleanup_s
    allowed_s = timeout_s if keep is not None else timeout_s + probe.kind.settle_s
    deadline = now + allowed_s
    # a kind with timeouts of its own made them of what was left: they prove nothing
    is_short = until is not None and until < now + timeout_s
    is_cut = until is not None and until < deadline
    if until is not None and is_cut:
        deadline = until
    run_id = f"{getrandbits(64):016x}"  # no secret; a child by fork gets another seed

    def recorder() -> Recorder:
        notes = Recorder(deadline)
        notes.run_id, notes.keep = run_id, keep
        if health is not None:
            notes.cut_off = partial(health.cut_off, started)
            notes.asleep = partial(health.why_asleep, started, probe.timeout_s)
        return notes

    lane = Lane(loop) if is_cut else lane_of(loop, allowed_s)
    attempt, attempts = _Attempt(probe, recorder(), lane), 1
    attempt.abandoned, attempt.is_cut, attempt.is_short = abandoned, is_cut, is_short
    if probe.must_fail and health is not None:
        excuse = partial(_excused, attempt=attempt, health=health, started=started)
        attempt.excuse = lambda failure: _in_time(excuse(failure), failure, until)
    failure = await attempt.failure()
    if failure is not None and probe.retries:
        attempt, failure, attempts = await _try_again(attempt, failure, recorder)
    seconds = monotonic() - started
    if failure is not None and attempt.is_late(failure):
        failure, attempts = _cut_off(failure), 0
    elif health is not None and (failure is not None or attempt.recorder.warnings):
        failure = await _in_time(_excused(failure, attempt, health, started), failure, until)
    return result_of(probe, attempt.recorder, failure, started_at, seconds, attempts)


async def _in_time(
    excused: Coroutine[Any, Any, Failure | None], failure: Failure | None, until: float | None
) -> Failure | None:
    """Return what *excused* finds, or *failure* when that takes too long: *until* and a little."""
    if until is None:
        return await excused
    left_s = until + ABANDON_AFTER_S - asyncio.get_running_loop().time()
    try:
        return await asyncio.wait_for(excused, left_s)
    except TimeoutError:
        return failure


def _cut_off(failure: Failure) -> Failure:
    where = f" in phase {failure.phase}" if failure.phase else ""
    message = f"want a Result before the deadline of all, got none{where}"
    return Failure(Reason.EVIDENCE, message, failure.phase)


async def _try_again(
    attempt: "_Attempt", failure: Failure | None, recorder: Callable[[], Recorder]
) -> tuple["_Attempt", Failure | None, int]:
    """Return the attempt that counts, why it failed, and how many there were."""
    probe, loop, attempts = attempt.probe, asyncio.get_running_loop(), 1
    # a clean-up has its time when a try has used up its own
    last_at = attempt.recorder.deadline - probe.kind.cleanup_s - probe.retry_every_s
    while failure is not None and not failure.reason.is_own_fault and attempts <= probe.retries:
        if loop.time() >= last_at:
            break
        before = attempt, failure
        await asyncio.sleep(probe.retry_every_s)
        attempts += 1
        # it has less time than whoever begins now: a lane of its own
        attempt = _Attempt(probe, recorder(), Lane(loop))
        attempt.follow(before[0])
        failure = await attempt.failure()
        is_late = failure is not None and failure.reason in _TIMEOUTS and loop.time() >= last_at
        if attempt.expired or is_late:
            # it had what the others left of the timeout: that it got no answer proves less
            return *before, attempts
    return attempt, failure, attempts


def prepare(probes: Iterable[Probe]) -> None:
    """Let each kind do off the loop what is costly before its first run. Blocks."""
    for probe in probes:
        try:
            probe.kind.prepare(probe.target)
        except Exception:
            # the run will tell the same, with a Result
            log.exception("the kind %s could not prepare", probe.kind.name)


class _Attempt:
    """One try of a kind, cancelled at its deadline."""

    __slots__ = (
        "_done", "_lane", "_task", "abandoned", "excuse", "expired", "is_cut", "is_short", "probe",
        "recorder",
    )  # fmt: skip

    def __init__(self, probe: Probe, recorder: Recorder, lane: Lane) -> None:
        self.probe = probe
        self.recorder = recorder
        self.expired = False
        self.abandoned: Callable[[], None] = lambda: None
        self.excuse: Callable[[Failure], Awaitable[Failure | None]] | None = None
        """Asked whether the prober is to blame before a failure proves what it must."""
        self.is_cut = self.is_short = False
        self._lane = lane
        self._task: asyncio.Task[Any]
        self._done: asyncio.Future[None] | None = None

    def failure(self) -> Coroutine[Any, Any, Failure | None]:
        """Run the kind, at most until the deadline and a little; return why it failed."""
        run = self._here() if self.probe.kind.ends_at_once else self._apart()
        return self._turned(run) if self.probe.must_fail else run

    def is_late(self, failure: Failure) -> bool:
        """Whether *failure* comes of the end that others have set: it proves nothing."""
        return self.is_cut and (self.expired or (self.is_short and failure.reason in _TIMEOUTS))

    def follow(self, before: "_Attempt") -> None:
        """Take over what holds for all attempts of a run."""
        self.abandoned, self.excuse = before.abandoned, before.excuse
        self.is_cut, self.is_short = before.is_cut, before.is_short

    def expire(self) -> None:
        """Cut the run off: its deadline has come."""
        # a run that has ended in this very turn of the loop keeps its verdict
        self.expired = self._task.cancel()
        if self._done is not None:
            self._lane.loop.call_later(ABANDON_AFTER_S, self._abandon)
            # one that had not even begun does not tell its end itself
            self._task.add_done_callback(lambda _: self._end())

    async def _turned(self, run: Coroutine[Any, Any, Failure | None]) -> Failure | None:
        """Return why a target that must not work does, or fails otherwise than it must."""
        failure = await run
        if failure is not None and self.is_late(failure):
            return failure
        if failure is not None and self.excuse is not None:
            failure = await self.excuse(failure)
        return turned(self.probe, self.recorder, failure)

    async def _here(self) -> Failure | None:
        """Run the kind in the task of the caller: one of its own would cost a tenth of the run."""
        task: Any = asyncio.current_task(self._lane.loop)
        self._task = task
        cancels = task.cancelling()
        self._lane.enter(self, self.recorder.deadline)
        try:
            await self.probe.kind.run(self.probe.target, self.recorder)
        except asyncio.CancelledError:
            # the deadline's own is taken back; any other one is the caller's
            if task.cancelling() > cancels + self.expired:
                raise
            return self._cancelled()
        except Exception as error:
            return self._failure_of(error)
        finally:
            self._lane.leave(self)
            if self.expired:
                task.uncancel()
        return self._timeout() if self.expired else None

    async def _apart(self) -> Failure | None:
        """Run the kind in a task of its own: a clean-up that hangs holds no Result back."""
        loop = self._lane.loop
        done = self._done = loop.create_future()
        task = self._task = loop.create_task(_check(self.probe, self.recorder, done))
        self._lane.enter(self, self.recorder.deadline)
        try:
            await done
        except asyncio.CancelledError:
            task.cancel()
            # wait() raises nothing of the task's own, and a clean-up that hangs holds nobody up
            tidy_s = ABANDON_AFTER_S + self.probe.kind.cleanup_s
            _, hanging = await asyncio.wait({task}, timeout=tidy_s)
            _stuck.update(hanging)
            task.add_done_callback(_forget)
            raise
        finally:
            self._lane.leave(self)
        if not task.done():
            return self._timeout()
        if task.cancelled():
            return self._cancelled()
        error = task.exception()
        if error is None:
            return self._timeout() if self.expired else None
        return self._failure_of(error)

    def _end(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _abandon(self) -> None:
        if not self._task.done():
            _stuck.add(self._task)
            self._task.add_done_callback(_forget)
            self.abandoned()
            self._end()

    def _timeout(self) -> Failure:
        phase = self.recorder.phase_name
        where = f" in phase {phase}" if phase else ""
        reason = Reason.DNS_TIMEOUT if phase == "resolve" else Reason.TIMEOUT
        message = f"want an answer within {self.probe.timeout_s:g} s, got none{where}"
        return Failure(reason, message, phase)

    def _cancelled(self) -> Failure:
        if self.expired:
            return self._timeout()
        message = "want a run to its end, got cancelled"
        return Failure(Reason.INTERNAL, message, self.recorder.phase_name)

    def _failure_of(self, error: BaseException) -> Failure:
        """Return what it means that a run raised *error*."""
        probe, phase = self.probe, self.recorder.phase_name
        if isinstance(error, CheckFailed):
            # they lead to frames that hold the error: work for the collector in each failed run
            error.__traceback__ = error.__context__ = None
            if not self.expired or error.reason.is_own_fault:
                return Failure(error.reason, error.message, error.phase or phase)
        if self.expired and isinstance(error, CheckFailed | TimeoutError):
            # what a kind says about a target after its cancellation is an echo of that
            return self._timeout()
        redact = probe.redact | self.recorder.secrets
        text = redact(f"{type(error).__name__}: {error}")[:MAX_MESSAGE_CHARACTERS]
        name = probe.kind.name
        log.error("the kind %s raised %s", name, text, extra={"probe": probe.name}, exc_info=error)
        return Failure(Reason.INTERNAL, text, phase)


async def _check(probe: Probe, recorder: Recorder, done: asyncio.Future[None]) -> None:
    try:
        await probe.kind.run(probe.target, recorder)
    finally:
        # not by a callback of the task: that is one more turn of the loop in each run
        if not done.done():
            done.set_result(None)


def _forget(task: asyncio.Task[None]) -> None:
    _stuck.discard(task)
    if not task.cancelled():
        task.exception()  # retrieved: the Result has gone out long ago


async def _excused(
    failure: Failure | None, attempt: "_Attempt", health: ProberHealth, started: float
) -> Failure | None:
    """Return what is left of *failure* and of the warnings when the prober was to blame."""
    if failure is not None:
        timeout_s, network = attempt.probe.timeout_s, attempt.probe.kind.network
        return await whose_fault(failure, health, started, timeout_s, network=network)
    if health.latency_excused(started):
        attempt.recorder.excuse(Reason.LATENCY, "the prober itself lagged")
    return None


def unfinished(probe: Probe, message: str) -> Result:
    """Return the Result of a probe whose run was never started or was cut off by the batch."""
    return Result(
        probe=probe.name,
        kind=probe.kind.name,
        target=probe.display,
        outcome=Outcome.UNKNOWN,
        started_at=datetime.now(UTC),
        seconds=0.0,
        attempts=0,
        failure=Failure(Reason.EVIDENCE, message),
    )


async def run_all(
    probes: Sequence[Probe],
    *,
    parallel: int = DEFAULT_PARALLEL,
    deadline_s: float | None = None,
    health: ProberHealth | None = None,
    started: Callable[[Probe], None] = lambda _: None,
    finished: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run each probe once, at most *parallel* at a time; return the Results in the same order.

    Args:
        probes: what to check.
        parallel: runs in flight at most.
        deadline_s: seconds for all of them; a probe that has no Result by then is `unfinished`.
            None: no limit but the probes' own timeouts.
        health: the prober's own pulse.
        started: called when a run begins.
        finished: called with each Result as it comes.
    """
    results: dict[str, Result] = {}
    waiting = iter(probes)
    loop = asyncio.get_running_loop()
    until = None if deadline_s is None else loop.time() + deadline_s

    def end(result: Result) -> None:
        results[result.probe] = result
        finished(result)

    async def work() -> None:
        for probe in waiting:
            if until is not None and loop.time() >= until:
                return
            started(probe)
            end(await run_once(probe, health=health, until=until))

    workers = [loop.create_task(work()) for _ in range(min(parallel, len(probes)))]
    tidy_s = max((probe.kind.cleanup_s for probe in probes), default=0.0)
    await _finish(workers, deadline_s, ABANDON_AFTER_S + tidy_s)
    for probe in probes:
        if probe.name not in results:
            end(unfinished(probe, "want a Result before the deadline, got none"))
    return [results[probe.name] for probe in probes]


async def _finish(
    workers: Sequence[asyncio.Task[None]], deadline_s: float | None, tidy_s: float
) -> None:
    """Wait for *workers*, at most *deadline_s*, and cancel the rest; cut off they have *tidy_s*."""
    if not workers:
        return
    try:
        # runs end by themselves at the deadline; what ignores that is abandoned a little later
        timeout_s = None if deadline_s is None else deadline_s + 2 * ABANDON_AFTER_S
        done, late = await asyncio.wait(workers, timeout=timeout_s)
    except asyncio.CancelledError:
        for task in workers:
            task.cancel()
        await asyncio.wait(workers, timeout=tidy_s)
        raise
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=ABANDON_AFTER_S)
    for task in done:
        task.result()  # a bug in a callback must not look like a green gate
