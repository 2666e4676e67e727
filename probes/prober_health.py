"""The prober's own pulse: was it awake, fast enough and connected while a run was in flight?

A ticker notes every gap of the event loop; `verdict` tells whether a failure that happened
meanwhile may be blamed on a target. Knows no probe and no metric.
"""

import asyncio
import errno
import fcntl
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

from probes.result import Failure, Reason

# reliability.md 4: the lag ticker.
TICK_S = 0.1
# A gap below this is ordinary scheduling noise of a busy two-core host.
NOTICED_GAP_S = 0.05
# reliability.md E10: a gap of a second, or of a tenth of the timeout, may have caused any failure.
STALL_S = 1.0
STALL_SHARE = 0.1
# A tenth of a short timeout is within the noise of a loaded host: a smaller gap excuses nothing.
MIN_STALL_S = 0.1
# A run that lost this share of its time to small gaps was slowed by us, not by its target.
OVERLOAD_SHARE = 0.2
# P25: a lag of this share of the run makes its latency ours.
LATENCY_LAG_SHARE = 0.05
# metrics.md 4.5: sonde_event_loop_lag_seconds is the worst of the last 30 s.
LAG_WINDOW_S = 30.0
# How long a run may wait behind its deadline for the control targets to answer (P2 allows 250 ms).
CONTROL_WAIT_S = 0.15
CONTROL_EVERY_S = 2.0
# Thousands of failures a second must not become thousands of questions to the control targets.
CONTROL_SPACING_S = 0.05
# reliability.md 4: descriptors that stay free for the scrape and the health page.
DESCRIPTOR_RESERVE = 32

# What a prober that has lost its own name service or way out would see.
NETWORK_REASONS = frozenset(
    {
        Reason.DNS_NXDOMAIN, Reason.DNS_NO_ADDRESS, Reason.DNS_SERVFAIL, Reason.DNS_TIMEOUT,
        Reason.UNREACHABLE, Reason.TIMEOUT, Reason.REFUSED,
    }
)  # fmt: skip


# E18: what a run sees whose socket, or whose resolver's, could not be opened.
SHORTAGE_REASONS = frozenset({Reason.TIMEOUT, Reason.DNS_TIMEOUT})

Reach = Callable[[str], Awaitable[bool]]

log = logging.getLogger("sonde.prober")


@dataclass(frozen=True, slots=True)
class _Gap:
    ended: float
    seconds: float


class ProberHealth:
    """Watches the running event loop; one per process.

    Args:
        controls: ``host:port`` of things that answer, within `CONTROL_WAIT_S`, whenever the
            prober's own network is fine. When none of them answers, failures of the network kind
            are the prober's own (`Reason.NETWORK`).
        reach: asks one control target; true when anything answered, a refusal too. Must end by
            itself.
        clock: monotonic seconds; the same clock as the run times handed to `verdict`.
    """

    def __init__(
        self,
        controls: Sequence[str] = (),
        reach: Reach | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.controls = tuple(controls) if reach is not None else ()
        self._reach = reach
        self._clock = clock
        self._gaps: deque[_Gap] = deque(maxlen=4096)
        self._last_tick = clock()
        self._handle: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self._next: asyncio.Task[bool] | None = None
        # begin of each question to the controls that has no answer yet
        self._asking: dict[asyncio.Task[bool], float] = {}
        self._asked_at = float("-inf")
        self._answered_in_s = 0.0
        self._cut_off_since: float | None = None
        self._connected_at = clock()

    def start(self) -> None:
        """Begin ticking in the running loop, and watching the control targets if there are any."""
        self._last_tick = self._clock()
        self._handle = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self.controls:
            self._watch = asyncio.get_running_loop().create_task(self._watch_controls())

    def watch(self, controls: Sequence[str]) -> None:
        """Ask these control targets from now on."""
        wanted = tuple(controls) if self._reach is not None else ()
        if wanted == self.controls:
            return
        self.controls, self._cut_off_since = wanted, None
        if self._watch is not None and not self.controls:
            self._watch.cancel()
            self._watch = None
        elif self._watch is None and self.controls and self._handle is not None:
            self._watch = asyncio.get_running_loop().create_task(self._watch_controls())

    async def stop(self) -> None:
        """Stop ticking; leaves no handle and no task."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        tasks: list[asyncio.Task[Any]] = [*self._asking]
        tasks += [task for task in (self._watch, self._next) if task is not None]
        self._watch = self._next = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def last_tick(self) -> float:
        """When the loop last ran, on this object's clock; other threads may read it."""
        return self._last_tick

    def worst_lag(self, window_s: float = LAG_WINDOW_S) -> float:
        """Return the longest gap of the last *window_s* seconds, in seconds."""
        begin = self._clock() - window_s
        return max([self._open_gap(), *(gap.seconds for gap in self._gaps if gap.ended >= begin)])

    def gaps_since(self, start: float) -> tuple[float, float]:
        """Return the longest gap since *start* and the sum of all, in seconds."""
        worst = total = min(self._open_gap(), self._clock() - start)
        for gap in reversed(self._gaps):
            if gap.ended < start:
                break
            seconds = min(gap.seconds, gap.ended - start)
            worst, total = max(worst, seconds), total + seconds
        return worst, total

    def verdict(self, start: float, timeout_s: float) -> tuple[Reason, str] | None:
        """Return why a failed run cannot be blamed on its target; None if it can.

        Args:
            start: when the run began, on this object's clock.
            timeout_s: of the probe.
        """
        worst, total = self.gaps_since(start)
        seconds = max(self._clock() - start, 1e-6)
        if worst > max(MIN_STALL_S, min(STALL_S, STALL_SHARE * timeout_s)):
            message = f"want an awake prober, got a freeze of {worst:.2f} s during the run"
            return Reason.STALL, message
        if total > max(MIN_STALL_S, OVERLOAD_SHARE * seconds):
            message = f"want an unburdened prober, got {total:.2f} s of lag in {seconds:.2f} s"
            return Reason.OVERLOAD, message
        return None

    def why_asleep(self, start: float, timeout_s: float) -> str | None:
        """Return why what was seen since *start* proves nothing about a target; None: it does."""
        own = self.verdict(start, timeout_s)
        return own[1] if own is not None else None

    def latency_excused(self, start: float) -> bool:
        """Return whether lag since *start* forbids to fail a latency limit (P25)."""
        seconds = self._clock() - start
        return self.gaps_since(start)[0] > max(NOTICED_GAP_S, LATENCY_LAG_SHARE * seconds)

    async def cut_off(self, start: float) -> str | None:
        """Return why the prober itself had no network at some time since *start*; None if it had.

        Takes at most `CONTROL_WAIT_S`.
        """
        if not self.controls:
            return None
        if self._cut_off_since is not None or self._controls_are_silent():
            return self._controls_text()
        with suppress(TimeoutError):
            # an answer to an older question proves nothing: the network may have gone since
            connected = await asyncio.wait_for(
                asyncio.shield(self._next_question()), CONTROL_WAIT_S
            )
            return None if connected else self._controls_text()
        if self._answered_in_s < CONTROL_WAIT_S - CONTROL_SPACING_S:
            return self._controls_text()
        # controls that need longer than a run may wait: the last answer has to do
        return None if self._connected_at >= start else self._controls_text()

    @property
    def is_cut_off(self) -> bool:
        """Whether no control target answered when they were last asked."""
        return self._cut_off_since is not None

    def _controls_text(self) -> str:
        names = " or ".join(self.controls)
        return f"want an answer from {names}, got none: the prober has no network"

    def _open_gap(self) -> float:
        """After a freeze a run may be judged before the ticker has had its turn."""
        gap = self._clock() - self._last_tick - TICK_S if self._handle is not None else 0.0
        return gap if gap > NOTICED_GAP_S else 0.0

    def _tick(self) -> None:
        now = self._clock()
        gap = now - self._last_tick - TICK_S
        if gap > NOTICED_GAP_S:
            self._gaps.append(_Gap(now, gap))
        self._last_tick = now
        self._handle = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _controls_are_silent(self) -> bool:
        """Whether a question has gone unanswered for longer than answers have taken so far."""
        if not self._asking or self._answered_in_s >= CONTROL_WAIT_S - CONTROL_SPACING_S:
            return False
        return self._clock() - min(self._asking.values()) > CONTROL_WAIT_S

    def _next_question(self) -> asyncio.Task[bool]:
        """Return the question that is about to be asked; every failure until then shares it."""
        if self._next is None:
            # nobody's own: the target policy of a run that asks first is not for the controls
            self._next = asyncio.get_running_loop().create_task(self._ask(), context=Context())
        return self._next

    async def _watch_controls(self) -> None:
        while True:
            await asyncio.shield(self._next_question())
            await asyncio.sleep(CONTROL_EVERY_S)

    async def _ask(self) -> bool:
        """Ask every control, not sooner than `CONTROL_SPACING_S` after the last question."""
        await asyncio.sleep(max(0.0, self._asked_at + CONTROL_SPACING_S - self._clock()))
        begin = self._asked_at = self._clock()
        question, self._next = cast("asyncio.Task[bool]", asyncio.current_task()), None
        # without a way to ask there are no controls, and nobody comes here
        reach = cast("Reach", self._reach)
        self._asking[question] = begin
        try:
            answers = await asyncio.gather(*map(reach, self.controls), return_exceptions=True)
        finally:
            del self._asking[question]
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, OSError):
                log.error("asking a control target raised %s", answer, exc_info=answer)
        return self._conclude(begin, connected=True in answers)

    def _conclude(self, begin: float, *, connected: bool) -> bool:
        if connected:
            now = self._clock()
            # the slower of the last answer and a fading memory of the slowest
            self._answered_in_s = max(now - begin, 0.9 * self._answered_in_s)
            self._connected_at, self._cut_off_since = now, None
        elif self._cut_off_since is None:
            self._cut_off_since = begin
        return connected


def descriptors_are_scarce() -> bool:
    """Return whether fewer than `DESCRIPTOR_RESERVE` file descriptors may still be opened.

    Opens and closes that many: the lowest free number alone would be a gap that the failed run has
    just left behind.
    """
    taken: list[int] = []
    try:
        # not a copy of stdin: that may be closed
        taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        while len(taken) < DESCRIPTOR_RESERVE:
            taken.append(fcntl.fcntl(taken[0], fcntl.F_DUPFD_CLOEXEC, 0))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for descriptor in taken:
            os.close(descriptor)
    return False


async def whose_fault(
    failure: Failure, health: ProberHealth, started: float, timeout_s: float, *, network: bool
) -> Failure:
    """Return *failure*, or the prober's own fault that may have caused it.

    Args:
        failure: why a run is not up.
        health: the prober's own pulse.
        started: monotonic time at which the run began.
        timeout_s: that the run had.
        network: whether the target is reached over the network.
    """
    if failure.reason.is_own_fault:
        return failure
    own = health.verdict(started, timeout_s)
    if own is None and failure.reason is Reason.LATENCY and health.latency_excused(started):
        own = (Reason.OVERLOAD, "want a loop without lag to judge a latency, got some")
    if own is None and failure.reason in SHORTAGE_REASONS and descriptors_are_scarce():
        own = (Reason.RESOURCE, "want free file descriptors, got (almost) none")
    if own is None and failure.reason in NETWORK_REASONS and network:
        text = await health.cut_off(started)
        own = (Reason.NETWORK, text) if text else None
    if own is None:
        return failure
    return Failure(
        own[0], f"{own[1]} (it saw {failure.reason.value}: {failure.message})", failure.phase
    )
