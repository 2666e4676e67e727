"""The prober's own pulse: was it awake, fast enough and connected while a run was in flight?

A ticker notes every gap of the event loop; `verdict` tells whether a failure that happened meanwhile may be
blamed on a target. Knows no probe and no metric.
"""

import asyncio
import errno
import fcntl
import os
import resource
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from probes.result import Reason

# reliability.md 4: the lag ticker.
TICK_S = 0.1
# A gap below this is ordinary scheduling noise of a busy two-core host.
NOTICED_GAP_S = 0.05
# reliability.md E10: a gap of one second, or of a tenth of the timeout, may have caused any failure.
STALL_S = 1.0
STALL_SHARE = 0.1
# A tenth of a short timeout is within the noise of a loaded host; below this a gap never excuses anything.
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
# reliability.md 4: descriptors that stay free for the scrape and the health page.
DESCRIPTOR_RESERVE = 32

# What a prober that has lost its own name service or way out would see.
NETWORK_REASONS = frozenset(
    {
        Reason.DNS_NXDOMAIN, Reason.DNS_NO_ADDRESS, Reason.DNS_SERVFAIL, Reason.DNS_TIMEOUT,
        Reason.UNREACHABLE, Reason.TIMEOUT, Reason.REFUSED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Gap:
    ended: float
    seconds: float


class ProberHealth:
    """Watches the running event loop; one per process.

    Args:
        controls: ``host:port`` of things that answer whenever the prober's own network is fine. When none of them
            answers, failures of the network kind are the prober's own (`Reason.NETWORK`).
        reach: asks one control target; true when anything answered, a refusal too. Must end by itself.
        clock: monotonic seconds; the same clock as the run times handed to `verdict`.
    """

    def __init__(
        self,
        controls: Sequence[str] = (),
        reach: Callable[[str], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.controls = tuple(controls) if reach is not None else ()
        self._reach = reach
        self._clock = clock
        self._gaps: deque[_Gap] = deque(maxlen=4096)
        self._last_tick = clock()
        self._handle: asyncio.TimerHandle | None = None
        self._check: asyncio.Task[bool] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cut_off_since: float | None = None
        self._connected_at = clock()

    def start(self) -> None:
        """Begin ticking in the running loop, and watching the control targets if there are any."""
        self._last_tick = self._clock()
        self._handle = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self.controls:
            self._watch = asyncio.get_running_loop().create_task(self._watch_controls())

    async def stop(self) -> None:
        """Stop ticking; leaves no handle and no task."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        tasks = [task for task in (self._watch, self._check) if task is not None]
        self._watch = self._check = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def last_tick(self) -> float:
        """When the loop last ran, on this object's clock; read by the thread that answers ``/-/healthy``."""
        return self._last_tick

    def worst_lag(self, window_s: float = LAG_WINDOW_S) -> float:
        """Return the longest gap of the last *window_s* seconds, in seconds."""
        return self.gaps_since(self._clock() - window_s)[0]

    def gaps_since(self, start: float) -> tuple[float, float]:
        """Return the longest and the sum of the gaps since *start*, in seconds, the present one included."""
        now = self._clock()
        # after a freeze the run may be judged before the ticker has had its turn
        present = now - self._last_tick - TICK_S if self._handle is not None else 0.0
        worst = total = present if present > NOTICED_GAP_S else 0.0
        for gap in reversed(self._gaps):
            if gap.ended < start:
                break
            seconds = min(gap.seconds, gap.ended - start)
            worst, total = max(worst, seconds), total + seconds
        return worst, total

    def verdict(self, start: float, timeout_s: float) -> tuple[Reason, str] | None:
        """Return why a run that began at *start* and did not pass cannot be blamed on its target; None if it can."""
        worst, total = self.gaps_since(start)
        seconds = max(self._clock() - start, 1e-6)
        if worst > max(MIN_STALL_S, min(STALL_S, STALL_SHARE * timeout_s)):
            return Reason.STALL, f"want an awake prober, got a freeze of {worst:.2f} s during the run"
        if total > max(MIN_STALL_S, OVERLOAD_SHARE * seconds):
            return Reason.OVERLOAD, f"want an unburdened prober, got {total:.2f} s of lag in {seconds:.2f} s"
        return None

    def latency_excused(self, start: float) -> bool:
        """Return whether lag since *start* forbids to fail a latency limit (P25)."""
        seconds = self._clock() - start
        return self.gaps_since(start)[0] > max(NOTICED_GAP_S, LATENCY_LAG_SHARE * seconds)

    async def cut_off(self, start: float) -> str | None:
        """Return why the prober itself had no network at some time since *start*; None when it had.

        Takes at most `CONTROL_WAIT_S`.
        """
        if not self.controls:
            return None
        if self._cut_off_since is not None:
            return self._controls_text()
        if self._check is None or self._check.done():
            self._check = asyncio.get_running_loop().create_task(self._any_control_answers())
        with suppress(TimeoutError):
            if not await asyncio.wait_for(asyncio.shield(self._check), CONTROL_WAIT_S):
                return self._controls_text()
        # no answer yet: connected only if a control has answered since the run began
        return None if self._connected_at >= start else self._controls_text()

    @property
    def is_cut_off(self) -> bool:
        """Whether no control target answered when they were last asked."""
        return self._cut_off_since is not None

    def _controls_text(self) -> str:
        return f"want an answer from {' or '.join(self.controls)}, got none: the prober has no network"

    def _tick(self) -> None:
        now = self._clock()
        gap = now - self._last_tick - TICK_S
        if gap > NOTICED_GAP_S:
            self._gaps.append(_Gap(now, gap))
        self._last_tick = now
        self._handle = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    async def _watch_controls(self) -> None:
        while True:
            await self._any_control_answers()
            await asyncio.sleep(CONTROL_EVERY_S)

    async def _any_control_answers(self) -> bool:
        reach = self._reach
        if reach is None:
            return True
        if any(await asyncio.gather(*map(reach, self.controls))):
            self._connected_at, self._cut_off_since = self._clock(), None
            return True
        if self._cut_off_since is None:
            self._cut_off_since = self._clock()
        return False


def descriptors_are_scarce() -> bool:
    """Return whether fewer than `DESCRIPTOR_RESERVE` file descriptors may still be opened.

    The kernel hands out the lowest free number, so one ``dup`` tells without listing them all.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        lowest = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 0)
    except OSError as error:
        # stdin may be closed (EBADF): then number 0 is free
        return error.errno in (errno.EMFILE, errno.ENFILE)
    os.close(lowest)
    return lowest >= soft - DESCRIPTOR_RESERVE
