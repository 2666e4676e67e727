"""A real child with a real Chromium over its pipes, and a site to browse, for tests without a loop.

Not a test. One child a module: it starts in a second or two. Runs are played one after the other.
"""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from probes.browser.child.actions import act
from probes.browser.child.launch import launch
from probes.browser.child.pages import source
from probes.browser.child.play import scope_of
from probes.browser.child.room import Room
from probes.browser.child.stage import Miss, Stage
from probes.browser.plan import Action, Plan, Step
from probes.browser.protocol import (
    MARKER,
    PROTOCOL,
    Done,
    Ended,
    Hello,
    Quit,
    Ready,
    Run,
    Stop,
    Trouble,
    Values,
    line,
    read_report,
)
from probes.browser.protocol import Record as Recording
from probes.browser.proxy import Outlet
from probes.wire.policy import Policy
from tests.servers.process import find_program

ROOT = Path(__file__).resolve().parents[4]
# Its own page for an address that failed took 100 ms at most (Chromium 156, two busy cores).
LATE_S = 1.0
Handler = Callable[[web.Request], Any]


@dataclass
class Played:
    """What came of one run."""

    done: Done
    ended: list[Ended]
    files: Path

    @property
    def last(self) -> Ended:
        return self.ended[-1]

    @property
    def said(self) -> tuple[str, str]:
        """Reason and message of the failure."""
        assert self.done.fault is not None, "want a failure, got none"
        return self.done.fault.reason.value, self.done.fault.message


@dataclass
class Child:
    """The child's other side."""

    process: "subprocess.Popen[bytes]"
    work: Path
    runs: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    def say(self, message: Hello | Run | Stop | Quit) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line(message))
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        assert text, "want a report, got the end"
        return read_report(text)

    def play(
        self,
        base_url: str,
        *steps: Step,
        deadline_s: float = 15.0,
        record: Recording = "failure",
        policy: Policy | None = None,
        values: Values | None = None,
        stop_in: str = "",
        **how: Any,
    ) -> Played:
        """Play *steps*; ``stop_in`` ends the run when that step begins.

        What is left in *how* is of the plan, but for ``files``: a directory that need not exist.
        """
        self.runs += 1
        number = str(self.runs)
        files = how.pop("files", None) or Path(tempfile.mkdtemp(dir=self.work))
        plan = Plan("it", base_url, steps, **how)
        policy = policy or Policy()
        values = values or Values()
        self.say(Run(number, plan, values, deadline_s, policy, record, str(files)))
        return self.played({number: files}, stop_in)[0]

    def played(self, files: Mapping[str, Path], stop_in: str = "") -> list[Played]:
        """Hear until each run of *files* has ended."""
        ended: dict[str, list[Ended]] = {number: [] for number in files}
        done: dict[str, Played] = {}
        while len(done) < len(files):
            report = self.hear()
            if isinstance(report, Trouble) and report.id not in files:
                self.troubles.append(report)
            elif isinstance(report, Ended):
                ended[report.id].append(report)
            elif stop_in and getattr(report, "step", "") == stop_in:
                self.say(Stop(report.id))
            elif isinstance(report, Done | Trouble):
                assert isinstance(report, Done), report
                done[report.id] = Played(report, ended[report.id], files[report.id])
        return [done[number] for number in files]


@contextmanager
def child(*, sandbox: bool = False, heap: int = 512 * 2**20) -> Iterator[tuple[Child, Any]]:
    """Start a child; the block gets it and its first report."""
    chromium = find_program("chromium")
    work = Path(tempfile.mkdtemp(prefix="sonde-browser-"))
    home = {name: str(work) for name in ("HOME", "TMPDIR", MARKER)}
    process = subprocess.Popen(
        [sys.executable, "-m", "probes.browser.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **home},
        start_new_session=True,
    )
    it = Child(process, work)
    try:
        it.say(Hello(PROTOCOL, chromium, sandbox, str(work), heap))
        yield it, it.hear()
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.poll() is None:
            process.stdin.close()
            process.wait(10)
        process.stdout.close()


def started(it: tuple[Child, Any]) -> Child:
    """Return the child; fail when it has no browser."""
    assert isinstance(it[1], Ready), it[1]
    return it[0]


@contextmanager
def in_a_thread() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a loop in a thread; the block gets what runs a coroutine there to its end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@contextmanager
def studio(base_url: str) -> Iterator[Callable[[Step], tuple[str, str] | None]]:
    """Open one page in this process; the block gets what tries a step on the home page of it.

    It returns reason and message of the failure, None: it went well. A run ends with its first
    failure and has a context of its own, which costs a second: here the next step is tried at once.
    """
    from playwright.async_api import Error, async_playwright

    work = Path(tempfile.mkdtemp(prefix="sonde-browser-"))
    hello = Hello(PROTOCOL, find_program("chromium"), False, str(work))
    run = Run("1", Plan("it", base_url, ()), Values(), 60, Policy(), "never", str(work))
    home = Step("home", Action.GOTO, text="/", timeout_s=30)

    with in_a_thread() as do:

        async def begin() -> tuple[Any, Outlet, Room]:
            playwright, void, room = (
                await async_playwright().start(),
                Outlet(None),
                Room(run, source()),
            )
            await room.open(await launch(playwright, hello, await void.open()), {}, None)
            return playwright, void, room

        async def shoot() -> bool:
            return True

        async def attempt(room: Room, step: Step) -> tuple[str, str] | None:
            watch = room.watch
            watch.console_errors = 0
            ledger = room.outlet.ledger
            stage = Stage(room.page, run.plan, scope_of(run), watch, ledger, room.pages, shoot)
            await act(stage, home)
            try:
                await act(stage, step)
            except Miss as miss:
                if step.action is Action.GOTO and not stage.status:
                    # Chromium's own page comes a moment later, and would break off the next row
                    with suppress(Error):
                        await room.page.wait_for_url("chrome-error://**", timeout=LATE_S * 1000)
                return miss.fault.reason.value, miss.fault.message
            return None

        async def end(playwright: Any, void: Outlet, room: Room) -> None:
            await room.close()
            await playwright.stop()
            await void.close()

        opened = do(begin())
        try:
            yield lambda step: do(attempt(opened[2], step))
        finally:
            do(end(*opened))
            shutil.rmtree(work)


@contextmanager
def site(
    pages: Mapping[str, str | Handler], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve *pages* (HTML, or a handler) on 127.0.0.1 in a thread; give the base URL."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    for path, page in pages.items():
        app.router.add_route("*", path, page if callable(page) else _html(page))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return int(runner.addresses[0][1])

    port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def _html(text: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    return handle
