"""One browser: the child that holds it, the pipe to it, its end.

The child is believed nothing: a line that is no report, or a flood of them, ends it. Whatever
happens to it, everyone who waits for a run is told. Knows no queue and no schedule.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from probes.browser import tree
from probes.browser.protocol import (
    MARKER,
    MAX_LINE_BYTES,
    PROTOCOL,
    Begun,
    Done,
    Ended,
    Hello,
    Order,
    Quit,
    Ready,
    Run,
    Stop,
    Trouble,
    line,
    read_report,
)
from probes.browser.workplace import Workplace, make
from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.blocking import BlockingCalls

log = logging.getLogger("sonde.browser")

# Measured: 2 s on a loaded two-core machine; beyond this something is wrong.
START_S = 30.0
# A browser that was asked to quit is gone in 0.3 s.
QUIT_S = 2.0
# Reading /proc of a machine with thousands of processes, killing, removing a profile.
TIDY_S = 5.0
# 200 steps of two reports each, and as many again.
MAX_REPORTS = 1000
# A sane child reads at once; a pipe holds 64 KiB.
SEND_S = 2.0
# From the end of a child to the end of what it wrote.
LAST_WORDS_S = 0.2
# The last words of a child that died.
MAX_STDERR_BYTES = 4096
# What Chromium and Python need of our environment; a page that breaks out finds no secret there.
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TZ", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
# Ours may lie beside the child's working directory and not among the installed packages.
PACKAGES = str(Path(__file__).resolve().parents[2])
CHILD = (sys.executable, "-m", "probes.browser.child")

Heard = Callable[[Begun | Ended], None]
_calls = BlockingCalls("browser")


@dataclass(frozen=True, slots=True)
class Launch:
    """Which browser; runs that want the same share one."""

    executable: str = "/usr/bin/chromium"
    sandbox: bool = True


@dataclass(slots=True, eq=False)
class _Playing:
    """A run that is under way."""

    heard: Heard
    end: "asyncio.Future[Done | Trouble]"
    reports: int = 0


@dataclass(slots=True, eq=False)
class BrowserProcess:
    """A child and its browser.

    Args:
        launch: which browser.
        command: of the child.
    """

    launch: Launch
    command: Sequence[str] = CHILD
    ready: Ready | None = None
    runs: int = 0
    trouble: Trouble | None = None
    """Why it takes no more runs; None: it does."""
    _process: "asyncio.subprocess.Process | None" = None
    _workplace: Workplace | None = None
    broken: Callable[["BrowserProcess"], None] = lambda _: None
    """Told once, when it takes no more runs: whoever owns it ends it."""
    _started: "asyncio.Future[Ready | None]" = field(init=False)
    _playing: dict[str, _Playing] = field(default_factory=dict)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _last_words: bytes = b""
    # of its processes, as they were seen in a run: the dead show nothing else
    _sessions: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        self._started = asyncio.get_running_loop().create_future()

    @property
    def greeting(self) -> Ready:
        """What it said of itself; only of one that was started."""
        if self.ready is None:
            raise RuntimeError("want a browser that was started, got one that was not")
        return self.ready

    @property
    def work(self) -> Path:
        """Its directory; only of one that was started."""
        if self._workplace is None:
            raise RuntimeError("want a browser that was started, got one that was not")
        return self._workplace.path

    async def start(self) -> None:
        """Start it and wait until it can be used.

        Raises:
            CheckFailed: it cannot; the reason is the prober's own. Nothing is left of it.
        """
        try:
            await self._spawn()
            async with asyncio.timeout(START_S):
                # shielded: a future that many await must not be cancelled with one of them
                self.ready = await asyncio.shield(self._started)
        except TimeoutError:
            message = f"want a browser within {START_S:g} s, got none"
            self._break(Trouble("", Reason.OVERLOAD, message))
        except OSError as error:
            self._break(Trouble("", Reason.RESOURCE, f"want to start a browser, got {error}"))
        except BaseException:
            await self.kill("it was not waited for")
            raise
        if self.trouble is not None:
            await self.kill("it did not start")
            raise CheckFailed(self.trouble.reason, self.trouble.message)

    async def _spawn(self) -> None:
        self._workplace = await _calls.call(f"make {id(self)}", make, TIDY_S)
        loop = asyncio.get_running_loop()
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(self.work),
            cwd=self.work,
            start_new_session=True,
            limit=MAX_LINE_BYTES,
        )
        self._tasks = [
            loop.create_task(self._listen(self._process)),
            loop.create_task(self._hear_stderr(self._process)),
            loop.create_task(self._attend(self._process)),
        ]
        launch = self.launch
        await self._send(Hello(PROTOCOL, launch.executable, launch.sandbox, str(self.work)))

    async def play(self, run: Run, heard: Heard) -> Done | Trouble:
        """Have a run played; it ends by itself at its deadline, if the child is sane.

        Args:
            run: with an id of its own.
            heard: is told each step that begins or ends; raises nothing.
        """
        if self.trouble is not None:
            return self.trouble
        end: asyncio.Future[Done | Trouble] = asyncio.get_running_loop().create_future()
        self._playing[run.id] = _Playing(heard, end)
        self.runs += 1
        await self._send(run)
        # shielded: `stop` waits for it too
        return await asyncio.shield(end)

    def is_playing(self, number: str) -> bool:
        """Return whether a run is under way."""
        return number in self._playing

    async def stop(self, number: str, seconds: float) -> Done | Trouble | None:
        """End a run early and wait for its last report; None: it does not come."""
        playing = self._playing.get(number)
        if playing is None:
            return None
        await self._send(Stop(number))
        await asyncio.wait([playing.end], timeout=seconds)
        return playing.end.result() if playing.end.done() else None

    async def measure(self) -> tuple[int, int]:
        """Return how many processes it has and the bytes of memory they share.

        Raises:
            TimeoutError: the kernel does not tell in time.
        """
        found = await _calls.call(
            f"measure {id(self)}", partial(tree.members, str(self.work)), TIDY_S
        )
        self._sessions |= {it.session for it in found}
        return await _calls.call(f"measure {id(self)}", partial(_measured, found), TIDY_S)

    async def close(self) -> None:
        """Ask it to quit, then end what is left of it."""
        await self._send(Quit())
        if self._process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIT_S):
                    await _exit_of(self._process.pid)
        await self.kill("it was asked to quit")

    async def kill(self, why: str) -> None:
        """End every process of it and remove its directory. Twice is once."""
        self._break(Trouble("", Reason.RESOURCE, f"want the browser to go on, got it ended: {why}"))
        place, self._workplace = self._workplace, None
        process = self._process
        if place is not None:
            child = process.pid if process is not None else 0
            ending = partial(_end, place, child, frozenset(self._sessions))
            await _tidy(f"end {id(self)}", ending)
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._tasks:
            # they end with the process: a task that is cancelled would leave its pipe open
            _, late = await asyncio.wait(self._tasks, timeout=QUIT_S)
            for task in late:
                task.cancel()

    async def _send(self, order: Order) -> None:
        """Write an order; a child that is gone, or takes nothing, is told by its reader."""
        stdin = self._process.stdin if self._process is not None else None
        if stdin is None or stdin.is_closing():
            return
        stdin.write(line(order))
        try:
            async with asyncio.timeout(SEND_S):
                await stdin.drain()
        except TimeoutError:
            message = "want the browser's process to take orders, got a full pipe"
            self._break(Trouble("", Reason.RESOURCE, message))
        except OSError:
            log.debug("the browser's process has closed its end: its reader tells")

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Read reports until the child ends or loses its mind, and then what it still writes."""
        stdout = process.stdout
        try:
            while stdout is not None and (text := await stdout.readline()):
                self._take(text)
        except ValueError as error:
            message = f"want reports of the browser's process, got nonsense: {error}"
            self._break(Trouble("", Reason.RESOURCE, message))
        while stdout is not None and await stdout.read(MAX_LINE_BYTES):
            pass

    async def _attend(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end of the child: its pipe may live on in what it has started."""
        await _exit_of(process.pid)
        # what it said last is heard first
        await asyncio.wait(self._tasks[:2], timeout=LAST_WORDS_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await process.wait()
        code = process.returncode
        words = self._last_words.decode("utf-8", "replace").strip().rpartition("\n")[2]
        message = f"want a browser that lives, got its process ended with {code}"
        message += f": {short(words)}" if words else ""
        self._break(Trouble("", Reason.RESOURCE, message))

    def _take(self, text: bytes) -> None:
        """Hand a report to whom it belongs.

        Raises:
            ValueError: nonsense.
        """
        report = read_report(text)
        if isinstance(report, Ready):
            if report.version != PROTOCOL or self._started.done():
                raise ValueError(f"want one greeting of version {PROTOCOL}, got {report!r}")
            self._started.set_result(report)
            return
        if isinstance(report, Trouble) and not report.id:
            self._break(report)
            return
        playing = self._playing.get(report.id)
        if playing is None:
            raise ValueError(f"want a report of a run that is played, got {short(report.id)}")
        playing.reports += 1
        if playing.reports > MAX_REPORTS:
            raise ValueError(f"want at most {MAX_REPORTS} reports of a run, got more")
        if isinstance(report, Begun | Ended):
            playing.heard(report)
        else:
            self._finish(report.id, report)

    def _finish(self, number: str, end: Done | Trouble) -> None:
        playing = self._playing.pop(number)
        if not playing.end.done():
            playing.end.set_result(end)

    def _break(self, trouble: Trouble) -> None:
        """Take no more runs, and tell those that are under way."""
        if self.trouble is not None:
            return
        self.trouble = trouble
        if not self._started.done():
            self._started.set_result(None)
        for number in list(self._playing):
            self._finish(number, Trouble(number, trouble.reason, trouble.message))
        self.broken(self)

    async def _hear_stderr(self, process: asyncio.subprocess.Process) -> None:
        stream = process.stderr
        while stream is not None and (some := await stream.read(MAX_LINE_BYTES)):
            self._last_words = (self._last_words + some)[-MAX_STDERR_BYTES:]


def _environment(work: Path) -> Mapping[str, str]:
    """Return the environment of the child: nothing of ours but what it cannot live without."""
    home = str(work)
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"HOME": home, "TMPDIR": home, MARKER: home, "LANG": "C.UTF-8", "PYTHONPATH": PACKAGES}
    return passed | own


async def _exit_of(child: int) -> None:
    """Wait for the end of a child; asyncio's own way also waits for the end of its pipes."""
    try:
        handle = os.pidfd_open(child)
    except OSError:
        return  # gone, and its exit code taken
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _measured(members: Sequence[tree.Process]) -> tuple[int, int]:
    return len(members), tree.memory_bytes(members)


def _end(place: Workplace, child: int, sessions: Collection[int]) -> None:
    left = tree.kill(str(place.path), awaited=child)
    tree.reap_orphans(sessions, awaited=child)
    if left:
        log.error("want every process of a browser to end, got %d that hang", left)
    place.remove()


async def _tidy(key: str, call: Callable[[], None]) -> None:
    try:
        await _calls.call(key, call, TIDY_S)
    except (TimeoutError, CheckFailed):
        log.exception("want a browser tidied up within %g s, got it not", TIDY_S)
