"""The children of one load run: started, heard, watched, stopped; nothing is left of them.

    Fleet
    ├── Child, ...     processes and their sockets
    ├── Roll           which shard said what, and which is lost
    └── Tally          what they counted

    async with Fleet(plan, secrets, place) as fleet:
        await fleet.ready(30)
        t0 = fleet.begin()
        ...                          fleet.changed, fleet.tally, fleet.lost
        fleet.stop("why", grace_s)   or the plan ends
        await fleet.ended()

Knows no threshold and no verdict.
"""

import asyncio
import hashlib
import logging
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Literal, Self

from probes.browser import workplace
from probes.units import short
from scenarios.fleet.errands import Errands
from scenarios.fleet.member import Child, Crew, Ears, Spawned, spawn
from scenarios.fleet.merge import Result, Tally, read_result
from scenarios.fleet.roll import Lost, Report, Roll
from scenarios.plan import Plan
from scenarios.records import Bye, Final, Hello, Log, Progress, Record, Secrets, Start, Stop

log = logging.getLogger("sonde.load")

PREFIX = "sonde-load-"
# load.md 7.1, 7.2
AHEAD_S = 0.3
WATCH_S = 0.1
OVERTIME_S = 5.0
# A watch that comes so late was held up by our own loop: nobody was listened to meanwhile.
STALL_S = 0.5
# Directories, files of a plan, a start of 0.01 s each: beyond this a disk hangs.
FILES_S = 10.0
# A million buckets take 0.1 s.
RESULT_S = 60.0
# A killed process is gone at once; one that hangs in the kernel is left to it.
KILL_S = 5.0
# load.md 7.2 allows a shard 20 lines a second, and one record, of parts.
MAX_RECORDS = 1000
MAX_LINES = 20
MAX_LINE = 1024
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class Unready(Exception):
    """The children cannot begin: zero load.

    Args:
        text: why.
        is_plan: a child found a mistake in what it was to do: of the user, not of the machine.
    """

    def __init__(self, text: str, *, is_plan: bool = False) -> None:
        super().__init__(text)
        self.is_plan = is_plan


class Fleet:
    """The children of one run.

    Args:
        plan: what they do.
        secrets: what the plan does not say.
        place: an existing directory for the private one of the run.
        on_lost: ``stop``: a lost shard ends the run.
        crews: the children, which share the shards of the plan; None: one a shard.
    """

    overtime_s = OVERTIME_S
    """From the time that something should be over by to its end by force; a test is in a hurry."""

    def __init__(
        self,
        plan: Plan,
        secrets: Secrets,
        place: Path,
        on_lost: Literal["continue", "stop"] = "continue",
        crews: Sequence[Crew] | None = None,
    ) -> None:
        self.plan = plan
        self.tally = Tally(plan)
        self.changed = asyncio.Event()
        """Set whenever something has happened; whoever waits for it clears it."""
        self.stopped = ""
        """Why the first `stop` came; empty: there was none."""
        self._secrets = secrets
        self._above = place
        self._on_lost = on_lost
        self.crews = crews or [Crew((number,)) for number in range(plan.shards)]
        self._text = plan.to_json()
        self.roll = Roll(plan.shards, hashlib.sha256(self._text.encode()).hexdigest())
        self._children: list[Child] = []
        self._ears = Ears(self._heard, self._strayed, self._gone)
        self._errands = Errands()
        self._work: workplace.Workplace | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ticks = 0
        self._lines: dict[int, int] = {}
        self._idle: dict[Child, float] = {}
        self._t0: float | None = None
        self._until = float("inf")
        self._is_settled = False

    @property
    def lost(self) -> list[Lost]:
        """The shards that are lost, in the order of their loss."""
        return self.roll.lost

    @property
    def hellos(self) -> dict[int, Hello]:
        """What each shard said of itself, by number."""
        shards = self.roll.shards.values()
        return {it.number: it.hello for it in shards if it.hello is not None}

    @property
    def finals(self) -> dict[int, Final]:
        """The last word of each shard that said one, by number."""
        shards = self.roll.shards.values()
        return {it.number: it.final for it in shards if it.final is not None}

    @property
    def directory(self) -> Path:
        """The private one of the run; only while it runs."""
        if self._work is None:
            raise RuntimeError("want a fleet that was entered, got one that was not")
        return self._work.path

    @property
    def is_over(self) -> bool:
        """Whether every child is gone."""
        return all(child.gone.is_set() for child in self._children)

    async def __aenter__(self) -> Self:
        try:
            await self._launch()
        except BaseException:
            await self._close()
            raise
        return self

    async def _launch(self) -> None:
        self._work = await self._errands.call(self._make_place, FILES_S, workplace.Workplace.remove)
        for crew in self.crews:
            start = partial(spawn, crew, self.directory)
            spawned = await self._errands.call(start, FILES_S, Spawned.destroy)
            child = Child(crew.shards, spawned, self._ears)
            self._children.append(child)
            child.send(self._secrets)
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    def _make_place(self) -> workplace.Workplace:
        made = workplace.make(self._above, PREFIX)
        descriptor = os.open(made.path / "plan.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self._text)
        return made

    async def ready(self, seconds: float) -> None:
        """Wait until every shard has said hello.

        Raises:
            Unready: one does not.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self.roll.is_ready:
                    self._refuse_broken()
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            silent = [it.number for it in self.roll.shards.values() if it.state == "waiting"]
            text = f"want all shards ready within {seconds:g} s, got none of {str(silent)[1:-1]}"
            if any(crew.relays for crew in self.crews):
                count = self.plan.shards
                text = f"want {count} workers within {seconds:g} s, got {count - len(silent)}"
            raise Unready(text) from None

    def _refuse_broken(self) -> None:
        for shard, final in self.finals.items():
            text = f"want shard {shard} ready, got {final.why}: {final.text}"
            raise Unready(text, is_plan=final.why == "plan_error")
        for it in self.lost:
            raise Unready(f"want shard {it.shard} ready, got it lost: {it.text}")

    def begin(self) -> float:
        """Let all shards begin at one time of the monotonic clock, and return it."""
        self._t0 = t0 = monotonic() + AHEAD_S
        self.roll.begin(t0)
        if self.plan.model != "iterations":
            self._until = t0 + self.plan.seconds + self.plan.graceful_stop_s + self.overtime_s
        for child in self._children:
            child.send(Start(t0))
        return t0

    def stop(self, why: str, grace_s: float | None = None) -> None:
        """Let no iteration begin any more, and end those that run within the grace.

        Args:
            why: for the children and the log.
            grace_s: None: that of the plan.
        """
        self.stopped = self.stopped or why
        grace = self.plan.graceful_stop_s if grace_s is None else grace_s
        self._until = min(self._until, monotonic() + grace + self.overtime_s)
        for child in self._children:
            child.send(Stop(why, grace_s))
            child.signal_group(signal.SIGTERM)

    def cut(self) -> None:
        """End by force whoever is still there; what was said until now stays."""
        self._until = monotonic()

    async def ended(self) -> None:
        """Wait until every child is gone, and take what they wrote in the place of what they said.

        Afterwards `tally` is final.
        """
        while not self.is_over:
            await self._next_end()
        if self._is_settled:
            return
        results: dict[int, Result] = {}
        for number, final in self.finals.items():
            if self.roll.shards[number].state != "final":
                continue
            try:
                results[number] = await self._errands.call(
                    partial(read_result, self.directory, final), RESULT_S
                )
            except (OSError, ValueError) as error:
                self._lose(number, str(error) or "want its result file, got a disk that hangs")
        await self._errands.call(partial(self.tally.finish, results), RESULT_S)
        self._is_settled = True
        self.changed.set()

    async def _next_end(self) -> None:
        """Wait for the end of a child, or of the watch: without one nobody is safe to run."""
        loop = asyncio.get_running_loop()
        left = [child for child in self._children if not child.gone.is_set()]
        waits = {loop.create_task(child.gone.wait()) for child in left}
        watch = {self._watching} if self._watching is not None else set[asyncio.Task[None]]()
        try:
            await asyncio.wait({*waits, *watch}, return_when=asyncio.FIRST_COMPLETED)
            for task in watch:
                if task.done():
                    task.result()
        finally:
            for wait in waits:
                wait.cancel()

    def _heard(self, child: Child, record: Record) -> None:
        if not isinstance(record, Report) or record.shard not in child.shards:
            raise ValueError(f"want records of shards {child.shards}, got {short(record)}")
        if self.roll.shards[record.shard].state == "lost":
            return
        try:
            self.roll.hear(record, monotonic())
        except ValueError as error:
            self._lose(record.shard, str(error))
        else:
            self._note(record)
            self.changed.set()

    def _note(self, record: Report) -> None:
        if isinstance(record, Hello):
            self.tally.greet(record.shard, record.host)
        elif isinstance(record, Progress):
            self.tally.add(record)
        elif isinstance(record, Final):
            self.tally.end(record.shard, "final", f"{record.why}: {record.text}".rstrip(": "))
        elif isinstance(record, Log):
            self._write(record)

    def _write(self, line: Log) -> None:
        self._lines[line.shard] = count = self._lines.get(line.shard, 0) + 1
        if count <= MAX_LINES:
            text = short(line.text, MAX_LINE)
            log.log(_LEVELS.get(line.level, logging.INFO), "shard %d: %s", line.shard, text)

    def _strayed(self, child: Child, text: str) -> None:
        for number in self.roll.open_ones(child.shards):
            self._lose(number, text)
        child.signal_group(signal.SIGKILL)

    def _gone(self, child: Child) -> None:
        for number in self.roll.open_ones(child.shards):
            self._lose(number, f"want a final record, got its process ended: {child.end_text}")
        self.changed.set()

    def _lose(self, number: int, text: str) -> None:
        if not self.roll.lose(number, text):
            return
        level = logging.WARNING if self._watching else logging.DEBUG
        log.log(level, "lost shard %d: %s", number, text)
        self.tally.end(number, "lost", text, self.roll.shards[number].missing)
        for child in self._children:
            if number in child.shards and not self.roll.open_ones(child.shards):
                child.signal_group(signal.SIGKILL)
            elif number in child.shards:
                # a child that relays for others goes on for them
                child.send(Bye(number, text))
        self.changed.set()
        if self._on_lost == "stop" and not self.stopped:
            self.stop(f"shard {number} is lost")

    async def _watch(self) -> None:
        """See every 100 ms who is silent, lives too long, says or writes too much."""
        before = monotonic()
        while not self.is_over:
            await asyncio.sleep(WATCH_S)
            # what waits is heard first: our own delay is nobody's silence
            for child in self._children:
                child.read()
            now = monotonic()
            if now - before > STALL_S:
                self.roll.excuse(now - before, now)
            before = now
            self._judge(now)
            self._ticks += 1
            if self._ticks % round(1 / WATCH_S) == 0:
                self._each_second()

    def _judge(self, now: float) -> None:
        for number in self.roll.silent(now):
            self._lose(
                number, f"want a record every second, got none for {self.roll.silence_s:g} s"
            )
        for child in self._children:
            if child.gone.is_set():
                continue
            if self.roll.open_ones(child.shards):
                self._idle.pop(child, None)
            else:
                self._idle.setdefault(child, now)
            if now >= min(self._until, self._idle.get(child, now) + self.overtime_s):
                self._strayed(child, "want its end in time, got it still running")

    def _each_second(self) -> None:
        self._lines.clear()
        for child in self._children:
            if child.records > MAX_RECORDS * len(child.shards):
                self._strayed(child, f"want {MAX_RECORDS} records a second at most, got more")
            child.records = 0
            if not child.gone.is_set():
                self._errands.order(child.spawned.trim)

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        """End and remove all there is of it, to the end, however often it is cancelled."""
        closing = asyncio.get_running_loop().create_task(self._tidy())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.wait([closing])
            except asyncio.CancelledError as error:
                cancelled = error
        closing.result()
        if cancelled is not None:
            raise cancelled

    async def _tidy(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        for child in self._children:
            child.signal_group(signal.SIGKILL)
        waits = [asyncio.get_running_loop().create_task(it.gone.wait()) for it in self._children]
        if waits:
            await asyncio.wait(waits, timeout=KILL_S)
        for child, wait in zip(self._children, waits, strict=True):
            if not wait.done():
                log.error("want every child of a load run to end, got one that hangs")
                wait.cancel()
                child.forget()
            self._errands.order(child.spawned.release)
        work, self._work = self._work, None
        if work is not None:
            try:
                await self._errands.call(work.remove, FILES_S)
            except TimeoutError:
                log.exception("want %s removed, got a disk that hangs", work.path)
        self._errands.close()
