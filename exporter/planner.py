"""Which probe starts when: a heap of due times on the monotonic clock, armed two seconds ahead.

    name -> _Entry          its interval; a name without entry is not planned
    heap                    (due, number, entry, until): the next due time of each entry
    timer                   one, for the first of the heap: a timer each costs more than a start
    queue                   (until, seq, name, due): due runs that wait for the start gate
    Stats                   due = started + missed, exactly, at every instant

Knows no wall clock but for the phase of a new probe, no library and no Result: what `run` does is
not its business.
"""

import asyncio
import heapq
import logging
import zlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, get_args

log = logging.getLogger("sonde.schedule")

MissedReason = Literal["overlap", "late", "capacity", "drain"]
# reliability.md 4: planned this far ahead, so that a tick may be one second late at no cost.
AHEAD_S = 2.0
# uvloop rounds timers to a millisecond and may fire that much early.
EARLY_S = 0.0005
# P24: the first run of a new probe comes within a minute, however rare the probe is.
FIRST_SPREAD_S = 60.0
# So many more starts a second are no herd on any host, and show a newcomer at once that it works.
FIRST_RATE = 10.0
# E11: beside the steady starts as many again, no more: first runs, and what a freeze held back.
GATE_BURST_S = 1.0
GATE_MIN_BURST = 20
# One timer for several waiting runs: at 2,000 starts a second a timer each costs more than a start.
GATE_STEP_S = 0.005
# Entries of removed probes may stay in the heap until they come up, but not outnumber the living.
HEAP_SLACK = 64


@dataclass(slots=True)
class Stats:
    """What the schedule has done since the start of the process; only ever counts up.

    A run is counted due in the instant that decides it: due = started + missed at every instant.
    """

    due: int = 0
    started: int = 0
    missed: dict[MissedReason, int] = field(
        default_factory=lambda: dict.fromkeys(get_args(MissedReason), 0)
    )
    clock_jumps: int = 0
    job_errors: int = 0


class _Entry:
    """One probe's place in the schedule; a changed interval makes a new one."""

    __slots__ = ("every", "name", "number")

    def __init__(self, name: str, every: float, number: int) -> None:
        self.name = name
        self.every = every
        self.number = number


class StartGate:
    """A token bucket: how many runs may start now.

    Args:
        now: monotonic seconds.
    """

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, now: float) -> None:
        self.rate = 0.0
        self.burst = self._tokens = float(GATE_MIN_BURST)
        self._at = now

    def resize(self, steady_rate: float, now: float) -> None:
        """Fit the gate to a plan of *steady_rate* starts a second."""
        self._refill(now)
        burst = max(GATE_MIN_BURST, steady_rate * GATE_BURST_S)
        self._tokens = max(0.0, self._tokens + burst - self.burst)
        self.rate, self.burst = steady_rate + extra_rate(steady_rate), burst

    def take(self, now: float) -> bool:
        """Take the right to start one run; false when there is none at present."""
        if now != self._at:
            self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def opens_in(self) -> float:
        """Return after how many seconds there will be a token; asked only while runs wait."""
        return max(0.0, 1 - self._tokens) / self.rate

    def _refill(self, now: float) -> None:
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now


def extra_rate(steady_rate: float) -> float:
    """Return how many starts a second there may be beside the steady ones."""
    return max(FIRST_RATE, steady_rate)


def phase_of(name: str, every_s: float) -> float:
    """Return where in its interval a probe runs, in seconds: the same everywhere, for ever."""
    return zlib.crc32(name.encode()) / 2**32 * every_s


class Planner:
    """Starts the runs of all probes.

    Args:
        run: makes one run of the named probe; it must not raise.
        loop: whose clock and timers are used.
        stats: counted here.
        capacity: runs in flight at most.
        wall: seconds since the epoch, for the phase of a new probe.
    """

    def __init__(
        self,
        run: Callable[[str], Coroutine[Any, Any, None]],
        loop: asyncio.AbstractEventLoop,
        stats: Stats,
        capacity: int,
        wall: Callable[[], float],
    ) -> None:
        self.capacity = capacity
        self.on_delay: Callable[[float], None] | None = None
        self._run = run
        self._loop = loop
        self._stats = stats
        self._wall = wall
        self._sequence = count()
        self._live: dict[str, _Entry] = {}
        self._heap: list[tuple[float, int, _Entry, float]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[str, int] = {}
        self._queue: list[tuple[float, int, str, float]] = []
        self._gate = StartGate(loop.time())
        self._gate_timer: asyncio.TimerHandle | None = None
        self._inflight: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def inflight(self) -> int:
        """How many runs go now."""
        return len(self._inflight)

    @property
    def waiting(self) -> int:
        """How many due runs wait for the start gate."""
        return len(self._waiting)

    def set_probes(self, plan: Mapping[str, float]) -> None:
        """Plan exactly these probes, name -> seconds between runs.

        Who keeps name and interval keeps its due times and its run in flight; the run of a probe
        that has left is cancelled.

        Raises:
            ValueError: an interval that is not positive.
        """
        for name, every in plan.items():
            if not every > 0:
                raise ValueError(f"want an interval > 0 s for {name!r}, got {every!r}")
        if self._closed:
            return
        for name in [name for name in self._live if name not in plan]:
            self._forget(name)
        # first runs come within a minute however rare the probe is: they must pass the gate too
        steady_rate = sum(1 / min(every, FIRST_SPREAD_S) for every in plan.values())
        self._gate.resize(steady_rate, self._loop.time())
        count_of_new = len(plan) - len(self._live)
        spread_s = min(FIRST_SPREAD_S, count_of_new / extra_rate(steady_rate))
        for name, every in plan.items():
            self._keep_or_add(name, every, spread_s)
        if len(self._heap) > 2 * len(self._live) + HEAP_SLACK:
            self._heap = [
                place for place in self._heap if self._live.get(place[2].name) is place[2]
            ]
            heapq.heapify(self._heap)
        self.tick()

    def tick(self) -> None:
        """Start what is due, and arm the next start if it comes within `AHEAD_S`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        heap, now = self._heap, self._loop.time()
        latest = now + EARLY_S
        while heap and heap[0][0] <= latest:
            due, number, entry, until = heap[0]
            if self._live.get(entry.name) is not entry:
                heapq.heappop(heap)
                continue
            if until <= now:
                # the run's successor is due already: skip, never replay
                periods = int((now - until) // entry.every)
                self._miss("late", 1 + periods)
                due = until + periods * entry.every
                until = due + entry.every
            heapq.heapreplace(heap, (until, number, entry, until + entry.every))
            self._decide(entry.name, due, until, now)
        if heap and heap[0][0] <= now + AHEAD_S:
            self._timer = self._loop.call_at(heap[0][0], self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.tick()

    def close(self) -> set[asyncio.Task[None]]:
        """Start nothing any more and return the runs that still go."""
        self._closed = True
        self._miss("drain", len(self._waiting))
        for kept in (self._waiting, self._live, self._heap, self._queue):
            kept.clear()
        for timer in (self._timer, self._gate_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._gate_timer = None
        return self._leaving | set(self._inflight.values())

    def _forget(self, name: str) -> None:
        del self._live[name]
        self._waiting.pop(name, None)
        if (task := self._inflight.pop(name, None)) is not None:
            self._leaving.add(task)
            task.cancel()

    def _keep_or_add(self, name: str, every: float, spread_s: float) -> None:
        entry = self._live.get(name)
        if entry is None:
            self._add(name, every, spread_s)
        elif entry.every != every:
            self._waiting.pop(name, None)
            # it has run before: nobody waits for its first Result
            self._add(name, every, FIRST_SPREAD_S)

    def _add(self, name: str, every: float, spread_s: float) -> None:
        """Plan a probe on its grid; should that be later than *spread_s*, with a run before."""
        now = self._loop.time()
        phase = phase_of(name, every)
        due = now + (phase - self._wall()) % every
        until = due + every
        if due - now > spread_s:
            first = now + phase / every * spread_s
            until = due if due - first >= every / 2 else due + every
            due = first
        entry = self._live[name] = _Entry(name, every, next(self._sequence))
        heapq.heappush(self._heap, (due, entry.number, entry, until))

    def _decide(self, name: str, due: float, until: float, now: float) -> None:
        """Decide what becomes of the run that is due now; *until* is when the next one will be."""
        if self._waiting and self._waiting.pop(name, None) is not None:
            self._miss("late")
        if name in self._inflight:
            self._miss("overlap")
        elif len(self._inflight) >= self.capacity:
            self._miss("capacity")
        elif not self._waiting and self._gate.take(now):
            self._start(name, due, now)
        else:
            sequence = self._waiting[name] = next(self._sequence)
            heapq.heappush(self._queue, (until, sequence, name, due))
            self._wait_for_gate()

    def _wait_for_gate(self) -> None:
        if self._gate_timer is None:
            delay = max(GATE_STEP_S, self._gate.opens_in())
            self._gate_timer = self._loop.call_later(delay, self._let_in)

    def _let_in(self) -> None:
        """Start waiting runs in the order in which their periods end: none may starve."""
        self._gate_timer = None
        now = self._loop.time()
        while self._queue:
            until, sequence, name, due = self._queue[0]
            if self._waiting.get(name) == sequence:
                if until <= now:
                    self._miss("late")
                elif len(self._inflight) >= self.capacity:
                    self._miss("capacity")
                elif self._gate.take(now):
                    self._start(name, due, now)
                else:
                    self._wait_for_gate()
                    return
                del self._waiting[name]
            heapq.heappop(self._queue)

    def _start(self, name: str, due: float, now: float) -> None:
        self._stats.due += 1
        self._stats.started += 1
        task = self._loop.create_task(self._run(name), name=name)
        self._inflight[name] = task
        task.add_done_callback(self._ended)
        if self.on_delay is not None:
            self.on_delay(max(0.0, now - due))

    def _miss(self, reason: MissedReason, runs: int = 1) -> None:
        self._stats.due += runs
        self._stats.missed[reason] += runs

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = task.get_name()
        self._leaving.discard(task)
        if self._inflight.get(name) is task:
            del self._inflight[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stats.job_errors += 1
            log.error(
                "the run of a probe raised %s",
                type(error).__name__,
                extra={"probe": name},
                exc_info=error,
            )
