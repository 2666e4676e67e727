"""The browsers of this process: shared, counted, replaced when worn out, ended when they hang.

    Supervisor
    ├── Slots             how many runs at a time
    └── BrowserProcess    one for each way to launch; worn out ones finish their runs and go

A run ends in a `Heard`, or in `CheckFailed` with a reason of the prober's own, some seconds behind
its deadline at most. Knows no journey and no Result.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from probes.browser import room
from probes.browser.process import CHILD, BrowserProcess, Heard, Launch
from probes.browser.protocol import STOP_S, Begun, Done, Ended, Fault, Ready, Run, Trouble
from probes.browser.slots import Slots
from probes.errors import CheckFailed
from probes.journey.safety import BrowserSafety
from probes.result import Reason
from probes.units import format_size
from probes.wire.blocking import BlockingCalls

log = logging.getLogger("sonde.browser")

# load.md 4.2: a browser grows by some MB a run, and an update of the package must come in some day.
MAX_RUNS = 50
MAX_AGE_S = 30 * 60.0
# A browser that nobody needs holds half a GB: a probe of every hour gives it back.
IDLE_S = 10 * 60.0
# The child ends a run at its deadline and takes a screenshot of what hangs; then it is told to.
LATE_S = 1.5
# A journey that had less of its time and was cut off says nothing about the target.
FAIR_SHARE = 0.75
# Counting processes for a metric holds nobody up.
MEASURE_S = 1.0
FILES_S = 2.0

_calls = BlockingCalls("browser-files")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Args:
        done: the child's last report.
        browser: that played it.
        processes: it had while the run went on; 0: not counted.
        memory_bytes: that they shared.
        files: directory of the run's artefacts; whoever takes them removes it.
    """

    done: Done
    browser: Ready
    processes: int
    memory_bytes: int
    files: Path


@dataclass(slots=True, eq=False)
class _Held:
    """A browser, and who needs it.

    Args:
        browser: that runs.
        born: time of the loop when it was started.
        stays: runs that use it, or are about to.
        idle: ends it when nobody comes; None: somebody is there.
    """

    browser: BrowserProcess
    born: float
    stays: int = 0
    idle: asyncio.TimerHandle | None = None


class Supervisor:
    """The browsers of one event loop.

    Args:
        command: of the child.
        free: tells the bytes of memory that may still be taken.
    """

    def __init__(
        self, command: Sequence[str] = CHILD, free: Callable[[], int | None] = room.free_bytes
    ) -> None:
        self._command = command
        self._free = free
        self._slots = Slots()
        self._browsers: dict[Launch, _Held] = {}
        self._held: dict[BrowserProcess, _Held] = {}
        self._starts: dict[Launch, asyncio.Task[_Held]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs = 0

    async def play(
        self, run: Run, launch: Launch, limits: BrowserSafety, until: float, heard: Heard
    ) -> Outcome:
        """Play a run and tell its steps as they come.

        Args:
            run: its id, deadline and directory are filled in here.
            launch: which browser.
            limits: of all runs together.
            until: time of the loop when the run must be over; waiting for a place, for memory and
                for the browser count.
            heard: is told each step that begins or ends.

        Raises:
            CheckFailed: with a reason of the prober's own.
        """
        asked_at = asyncio.get_running_loop().time()
        await self._slots.take(limits.max_parallel, until)
        try:
            browser = await self._browser(launch, limits, until)
        except BaseException:
            self._slots.give_back()
            raise
        self._runs += 1
        order = replace(run, id=str(self._runs))
        loop = asyncio.get_running_loop()
        began = loop.time()
        playing = loop.create_task(self._play(browser, order, until, heard))
        is_cancelled = False
        try:
            outcome = await asyncio.shield(playing)
            return _excused(outcome, until - asked_at, until - began)
        except asyncio.CancelledError:
            is_cancelled = True
            # it is stopped behind its back: its Result need not wait for that
            playing.cancel()
            self._keep(self._wind_up(browser, order.id, playing))
            raise
        finally:
            if not is_cancelled:
                self._leave(browser)

    async def _wind_up(
        self, browser: BrowserProcess, number: str, playing: "asyncio.Task[Outcome]"
    ) -> None:
        await asyncio.wait([playing])
        if not playing.cancelled():
            playing.exception()  # retrieved: nobody asks any more
        try:
            if browser.is_playing(number) and await browser.stop(number, STOP_S) is None:
                await self._drop(browser, "it did not stop a run")
        finally:
            self._leave(browser)

    async def _play(self, browser: BrowserProcess, run: Run, until: float, heard: Heard) -> Outcome:
        loop = asyncio.get_running_loop()
        files = browser.work / "runs" / run.id
        try:
            await _calls.call(str(files), partial(files.mkdir, 0o700, parents=True), FILES_S)
        except (OSError, TimeoutError) as error:
            message = f"want a directory for the files of a run, got {error}"
            raise CheckFailed(Reason.RESOURCE, message) from None
        census = _Census(browser, heard)
        try:
            left_s = max(0.1, until - loop.time())
            order = replace(run, deadline_s=left_s, artefacts=str(files))
            ended = await self._ended(browser, order, until, census.heard)
            processes, memory = await census.counted()
        finally:
            census.stop()
        if isinstance(ended, Trouble):
            raise CheckFailed(ended.reason, ended.message)
        return Outcome(ended, browser.greeting, processes, memory, files)

    async def _ended(
        self, browser: BrowserProcess, run: Run, until: float, heard: Heard
    ) -> Done | Trouble:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until + LATE_S):
                return await browser.play(run, heard)
        ended = await browser.stop(run.id, STOP_S)
        if ended is None:
            message = f"want the browser to end a run within {STOP_S:g} s, got silence: killed"
            ended = Trouble(run.id, Reason.RESOURCE, message)
            await self._drop(browser, "it hung in a run")
        return ended

    async def _browser(self, launch: Launch, limits: BrowserSafety, until: float) -> BrowserProcess:
        """Return a browser that takes runs; several who want the same wait for one start."""
        held = self._browsers.get(launch)
        if held is not None and _is_worn(held):
            self._retire(held.browser)
            held = None
        if held is None:
            held = await self._new(launch, limits, until)
        held.stays += 1
        if held.idle is not None:
            held.idle.cancel()
            held.idle = None
        return held.browser

    async def _new(self, launch: Launch, limits: BrowserSafety, until: float) -> _Held:
        start = self._starts.get(launch)
        if start is None:
            start = asyncio.get_running_loop().create_task(self._start(launch, limits))
            self._starts[launch] = start
            start.add_done_callback(lambda done: self._started(launch, done))
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(start)
        except TimeoutError:
            message = "want a browser before the deadline, got it still starting"
            raise CheckFailed(Reason.OVERLOAD, message) from None

    async def _start(self, launch: Launch, limits: BrowserSafety) -> _Held:
        miss = await _calls.call("preflight", partial(self._miss, launch, limits), FILES_S)
        if miss is not None:
            raise CheckFailed(*miss)
        browser = BrowserProcess(launch, self._command, broken=self._retire)
        await browser.start()
        held = _Held(browser, asyncio.get_running_loop().time())
        self._browsers[launch] = self._held[browser] = held
        return held

    def _miss(self, launch: Launch, limits: BrowserSafety) -> tuple[Reason, str] | None:
        """Return what speaks against a start; it reads files."""
        path, wanted, free = launch.executable, limits.min_free_memory, self._free()
        if not os.access(path, os.X_OK):
            return Reason.CONFIG, (
                f"want Chromium at {path}, got no such program: apt install chromium, or name"
                " another one in browser.executable"
            )
        if free is not None and free < wanted:
            return Reason.RESOURCE, (
                f"want {format_size(wanted)} of free memory to start a browser, got"
                f" {free // 2**20}MiB: give the prober more, or lower"
                " safety.browser.min_free_memory"
            )
        return None

    def _started(self, launch: Launch, start: "asyncio.Task[_Held]") -> None:
        self._starts.pop(launch, None)
        if not start.cancelled():
            start.exception()  # whoever waits is told; nobody may be

    def _retire(self, browser: BrowserProcess) -> None:
        """Give *browser* no more runs; it goes with its last one."""
        held = self._held.get(browser)
        if held is None:
            return
        if self._browsers.get(browser.launch) is held:
            del self._browsers[browser.launch]
        if held.stays == 0:
            self._forget(held)
            ending = browser.close() if browser.trouble is None else browser.kill("it broke")
            self._keep(ending)

    def _forget(self, held: _Held) -> None:
        self._held.pop(held.browser, None)
        if self._browsers.get(held.browser.launch) is held:
            del self._browsers[held.browser.launch]
        if held.idle is not None:
            held.idle.cancel()

    async def _drop(self, browser: BrowserProcess, why: str) -> None:
        """End *browser* at once, with every run in it."""
        held = self._held.get(browser)
        if held is not None:
            log.warning("ended a browser: %s", why)
            self._forget(held)
        await browser.kill(why)

    def _leave(self, browser: BrowserProcess) -> None:
        """End a run's stay."""
        self._slots.give_back()
        held = self._held.get(browser)
        if held is None:
            return
        held.stays -= 1
        if held.stays:
            return
        if _is_worn(held) or self._browsers.get(browser.launch) is not held:
            self._retire(browser)
        else:
            loop = asyncio.get_running_loop()
            held.idle = loop.call_later(IDLE_S, self._retire, browser)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every browser and wait until nothing is left of them."""
        starts = list(self._starts.values())
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        for held in list(self._held.values()):
            self._retire(held.browser)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for held in list(self._held.values()):
            await self._drop(held.browser, "the prober ends")


def _is_worn(held: _Held) -> bool:
    age_s = asyncio.get_running_loop().time() - held.born
    return held.browser.trouble is not None or held.browser.runs >= MAX_RUNS or age_s >= MAX_AGE_S


class _Census:
    """Counts a browser's processes once in a run, when the first step has ended: a page is open."""

    __slots__ = ("_browser", "_counting", "_heard")

    def __init__(self, browser: BrowserProcess, heard: Heard) -> None:
        self._browser = browser
        self._heard = heard
        self._counting: asyncio.Task[tuple[int, int]] | None = None

    def heard(self, report: Begun | Ended) -> None:
        self._heard(report)
        if self._counting is None and isinstance(report, Ended):
            self._counting = asyncio.get_running_loop().create_task(_counted(self._browser))

    async def counted(self) -> tuple[int, int]:
        return await self._counting if self._counting is not None else (0, 0)

    def stop(self) -> None:
        if self._counting is not None:
            self._counting.cancel()


def _excused(outcome: Outcome, whole_s: float, left_s: float) -> Outcome:
    """Return what came of a run that was cut off: no verdict when it never had its time."""
    fault = outcome.done.fault
    if not outcome.done.is_cut or fault is None or left_s >= FAIR_SHARE * whole_s:
        return outcome
    message = (
        f"want {whole_s:.3g} s for the journey, got {max(0.0, left_s):.3g} s: the others went into"
        " waiting for a place and a browser"
    )
    excuse = Fault(Reason.OVERLOAD, message, fault.step)
    return replace(outcome, done=replace(outcome.done, fault=excuse))


async def _counted(browser: BrowserProcess) -> tuple[int, int]:
    """Return processes and memory of a browser, zeros when they cannot be told soon."""
    with suppress(TimeoutError, CheckFailed):
        async with asyncio.timeout(MEASURE_S):
            return await browser.measure()
    return 0, 0


_supervisors: "WeakKeyDictionary[asyncio.AbstractEventLoop, Supervisor]" = WeakKeyDictionary()


def supervisor() -> Supervisor:
    """Return the one of the running loop."""
    return _supervisors.setdefault(asyncio.get_running_loop(), Supervisor())


async def close_browsers() -> None:
    """End every browser of the running loop; the next run may start one again."""
    found = _supervisors.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()
