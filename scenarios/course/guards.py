"""Kill switch of a load run: probes that run while it does, and end it when they are down.

    Guard      probe, failures, action, every_s
    Guards     runs them; tells what tripped

Unknown does not count: it is our own fault. Knows no load; what a browser measured goes into a
`Book`, where thresholds find it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Keep
from probes.result import Outcome, Result
from probes.run import run_once
from scenarios.book import Book
from scenarios.course.preflight import told
from scenarios.judging.figures import browser_key
from scenarios.report import Verdict, Why

Action = Literal["abort", "warn"]
CODE = "guard"
# load.md 10.1: what a browser measures, as thresholds call it.
VITALS: Mapping[str, str] = {
    "browser_web_vital_lcp_seconds": "lcp",
    "browser_web_vital_fcp_seconds": "fcp",
    "browser_web_vital_inp_seconds": "inp",
    "browser_web_vital_ttfb_seconds": "ttfb",
    "browser_web_vital_cls": "cls",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """A probe that watches.

    Args:
        probe: what runs.
        failures: down results in a row that trip it.
        action: what that does.
        every_s: from one begin to the next.
    """

    probe: Probe
    failures: int = 2
    action: Action = "abort"
    every_s: float = 30.0


class Guards:
    """Runs every guard until it is stopped.

    Args:
        guards: what runs.
        health: the prober's own pulse: it is the machine of the load that is asked to judge.
        seen: gets each Result, for what a browser has measured.
    """

    def __init__(
        self,
        guards: Sequence[Guard],
        health: ProberHealth,
        seen: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self._guards = tuple(guards)
        self._health = health
        self._seen = seen
        self._tasks: list[asyncio.Task[None]] = []
        self.tripped = asyncio.Event()
        """Set when a guard ends the run."""
        self.whys: list[Why] = []
        """Why it does."""
        self.notes: list[str] = []
        """What guards with ``action: warn`` have to say."""

    def start(self) -> None:
        """Begin: each guard runs at once, then at its own pace."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch(guard)) for guard in self._guards]

    async def stop(self) -> None:
        """End all runs; leaves no task."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for task in self._tasks:
            if not task.cancelled():
                task.result()  # a bug of ours must not look like a quiet guard
        self._tasks = []

    async def _watch(self, guard: Guard) -> None:
        loop = asyncio.get_running_loop()
        kind = guard.probe.kind
        memory = kind.first_memory(guard.probe.target, None)
        keep = Keep(memory, every_s=guard.every_s)
        due, streak = loop.time(), 0
        while True:
            result = await run_once(guard.probe, health=self._health, keep=keep)
            self._seen(result)
            if result.outcome is Outcome.DOWN:
                streak += 1
                if streak == guard.failures:
                    self._trip(guard, result)
            elif result.outcome is not Outcome.UNKNOWN:
                streak = 0
            # a run that took longer than its interval leaves turns out, it makes up for none
            late = max(0.0, loop.time() - due)
            due += guard.every_s * (1 + late // guard.every_s)
            await asyncio.sleep(due - loop.time())

    def _trip(self, guard: Guard, result: Result) -> None:
        times = f"{guard.failures} times in a row" if guard.failures > 1 else "once"
        text = f"guard {guard.probe.name}: {times} {told(result)}"
        if guard.action == "warn":
            self.notes.append(text)
            return
        self.whys.append(Why(Verdict.ABORTED, CODE, text))
        self.tripped.set()


def note_vitals(result: Result, book: Book, *, is_measured: bool) -> None:
    """Count what a guard of kind ``browser`` has measured, one value for each page."""
    for sample in result.samples:
        vital = VITALS.get(sample.name)
        if vital is not None:
            book.time(browser_key(result.probe, vital)._replace(measured=is_measured), sample.value)
