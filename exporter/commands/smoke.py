"""``sonde smoke``: passes the gate on a stream and leaves its reports, complete at any moment.

Owns the signals, the deadline of the whole process and the files; the batch itself is
`probes.gate`.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import Literal

from exporter.commands.live import LiveTable
from probes.gate import Gate, Terms
from probes.junit import as_junit
from probes.kinds import release_kinds
from probes.markdown import as_markdown
from probes.pattern import offer
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.report import as_json, text_end, verdict
from probes.result import Result
from probes.run import prepare
from probes.units import parse_duration
from probes.wire.net import close_resolvers, reachable

INCONCLUSIVE = 3
# P17: wall time <= deadline + 1 s, also when a driver blocks the event loop.
HARD_EXIT_S = 0.6


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line; ``started`` is monotonic.

    Raises:
        ValueError: a deadline that is no duration, or ``wait`` without one.
    """

    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    deadline: str | None = None
    wait: bool = False
    retries: int = 0
    fail_on_degraded: bool = False
    output: Literal["text", "json"] = "text"
    junit: Path | None = None
    markdown: Path | None = None
    parallel: int = 50
    started: float = 0.0

    def __post_init__(self) -> None:
        if self.wait and self.deadline is None:
            raise ValueError("want --deadline together with --wait, got none")
        if self.deadline is not None:
            try:
                parse_duration(self.deadline)
            except ValueError as error:
                raise ValueError(f"--deadline: {error}") from None

    @property
    def ends(self) -> float | None:
        """Monotonic time of the deadline, counted from the start of the process."""
        return None if self.deadline is None else self.started + parse_duration(self.deadline)


def select(probes: Sequence[Probe], wish: Wish) -> list[Probe]:
    """Return the probes that the wish names.

    Raises:
        ValueError: a tag or a name that selects nothing; a gate over nothing is not green.
    """
    tags = {tag for probe in probes for tag in probe.tags}
    for tag in wish.tags:
        if tag not in tags:
            raise ValueError(f"want a tag that a probe has, got {tag!r}{offer(tag, sorted(tags))}")
    for name in wish.names:
        if not any(fnmatchcase(probe.name, name) for probe in probes):
            known = offer(name, [probe.name for probe in probes])
            raise ValueError(f"want a name that a probe has, got {name!r}{known}")
    chosen = [
        probe
        for probe in probes
        if (not wish.tags or not probe.tags.isdisjoint(wish.tags))
        and (not wish.names or any(fnmatchcase(probe.name, name) for name in wish.names))
    ]
    if not chosen:
        raise ValueError("want at least one probe, got none that has both the tag and the name")
    return chosen


class Passage:
    """One ``sonde smoke``, from the first run to the exit code."""

    def __init__(self, probes: Sequence[Probe], wish: Wish, controls: Sequence[str]) -> None:
        self._wish = wish
        self._health = ProberHealth(controls, reachable)
        terms = Terms(wish.ends, wish.retries, wish.wait, wish.fail_on_degraded, wish.parallel)
        # with JSON on stdout the table is for the person at the terminal, if there is one
        stream = sys.stdout if wish.output == "text" else sys.stderr
        quiet = wish.output == "json" and not sys.stderr.isatty()
        self._table = None if quiet else LiveTable(stream, [probe.name for probe in probes])
        self._gate = Gate(
            probes, terms, self._health, self._table.row if self._table else lambda _: None
        )
        self._signal: int | None = None
        self._told = threading.Lock()
        prepare(probes)  # here, not in the loop: imports and TLS contexts block it

    async def run(self) -> int:
        """Pass the gate, write the reports, return the exit code."""
        watchdog = self._watchdog()
        self._health.start()
        if self._table:
            self._table.begin(self._gate)
        task = asyncio.get_running_loop().create_task(self._gate.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number, task)
        with suppress(asyncio.CancelledError):
            await task
        if self._table:
            self._table.end()
        code = self._tell()
        await self._health.stop()
        await release_kinds()
        await close_resolvers()
        if watchdog is not None:
            watchdog.cancel()
        return code

    def _on_signal(self, number: int, task: asyncio.Task[list[Result]]) -> None:
        self._signal = number
        task.cancel()

    def _watchdog(self) -> threading.Timer | None:
        if self._wish.ends is None:
            return None
        timer = threading.Timer(max(0.0, self._wish.ends + HARD_EXIT_S - monotonic()), self._cut)
        timer.daemon = True
        timer.start()
        return timer

    def _cut(self) -> None:
        """End the process from a thread: a driver holds the event loop and nothing else can."""
        code = self._tell()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or INCONCLUSIVE)

    def _tell(self) -> int:
        """Write every report and the reason; return the exit code. Only the first call acts."""
        if not self._told.acquire(blocking=False):
            return INCONCLUSIVE
        results = self._gate.results()
        seconds = monotonic() - self._wish.started
        degraded = self._wish.fail_on_degraded
        code, why = verdict(results, fail_on_degraded=degraded)
        if self._signal is not None:
            code, why = 128 + self._signal, f"ended by {signal.Signals(self._signal).name}; {why}"
        broken = [
            _write(path, form(results, seconds=seconds, fail_on_degraded=degraded))
            for path, form in ((self._wish.junit, as_junit), (self._wish.markdown, as_markdown))
            if path is not None
        ]
        if self._wish.output == "json":
            sys.stdout.write(as_json(results, seconds=seconds, fail_on_degraded=degraded))
        elif self._table:
            sys.stdout.write(f"\n{text_end(results, seconds=seconds, fail_on_degraded=degraded)}\n")
        sys.stdout.flush()
        for text in filter(None, broken):
            code, why = code or INCONCLUSIVE, f"{text}; {why}"
        if code:
            sys.stderr.write(f"sonde: {why}\n")
        return code


Form = Callable[..., str]


def _write(path: Path, text: str) -> str | None:
    """Write a report; return why that failed."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return f"want to write {path}, got {error.strerror}"
    return None
