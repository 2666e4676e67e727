"""What happens to a real Chromium, and that a run has an end whatever happens."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web

from probes.browser import tree, workplace
from probes.browser.plan import Action, Locator, Plan, Step
from probes.browser.process import Launch
from probes.browser.protocol import Begun, Done, Ended, Fault, Run, Values
from probes.browser.supervisor import Supervisor
from probes.errors import CheckFailed
from probes.journey.safety import BrowserSafety
from probes.result import Reason
from probes.wire.policy import Policy
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.service,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_factories=["uvloop"]),
]

CHROMIUM = Launch("/usr/bin/chromium", sandbox=False)
ROOMY = BrowserSafety(min_free_memory="200MiB")
PAGE = "<!doctype html><title>Shop</title><link rel=icon href=data:,><h1>Shop</h1>"
SEEN = Step("shop", Action.SEE, Locator("text", "Shop"))
# waits for what never comes
NEVER = Step("never", Action.SEE, Locator("text", "Never"), timeout_s=60)
T = TypeVar("T")
NOTHING: Mapping[str, Any] = {}
# load.md 13: behind the deadline
GONE_S = 5.0


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if not Path(CHROMIUM.executable).exists():
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("want chromium, got none")
        pytest.skip("needs chromium")
    # a path as long as pytest's is too long for the sockets of Chromium
    with tempfile.TemporaryDirectory(prefix="sb-") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        yield Path(path)


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/"
    await runner.cleanup()


class Stage:
    """A supervisor of the real child."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.supervisor = Supervisor()
        self.ended: list[str] = []
        self.waiting = asyncio.Event()

    def hear(self, report: Begun | Ended) -> None:
        if isinstance(report, Ended):
            self.ended.append(report.step)
        elif report.step == NEVER.name:
            self.waiting.set()

    async def play(
        self, *steps: Step, seconds: float = 30.0, vitals: Mapping[str, Any] = NOTHING
    ) -> Done:
        home = Step("home", Action.GOTO, text="/")
        plan = Plan("shop", self.base_url, (home, *steps), vitals=vitals)
        run = Run("", plan, Values(run_id="r"), seconds, Policy(), "failure", "")
        until = asyncio.get_running_loop().time() + seconds
        return (await self.supervisor.play(run, CHROMIUM, ROOMY, until, self.hear)).done

    async def members(self) -> list[tree.Process]:
        (browser,) = self.supervisor._held
        return await off_loop(tree.members, str(browser.work))


async def off_loop(call: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


def command_line(process: tree.Process) -> bytes:
    return tree._read(process.id, "cmdline")


def is_renderer(process: tree.Process) -> bool:
    return b"--type=renderer" in command_line(process)


def is_chromium(process: tree.Process) -> bool:
    line = command_line(process)
    return b"chromium" in line.split(b"\0")[0] and b"--type=" not in line and b"crash" not in line


def is_node(process: tree.Process) -> bool:
    return command_line(process).split(b"\0")[0].endswith(b"/node")


def is_child(process: tree.Process) -> bool:
    return b"probes.browser.child" in command_line(process)


def strike(
    found: list[tree.Process], victim: Callable[[tree.Process], bool], number: signal.Signals
) -> None:
    victims = [process for process in found if victim(process)]
    assert victims
    for process in victims:
        os.kill(process.id, number)


def alive(found: list[tree.Process]) -> list[tree.Process]:
    """Return those of *found* that still run, whoever their parents are now."""
    return [now for it in found if (now := tree._same(it)) is not None and not now.is_zombie]


def works(place: Path) -> list[Path]:
    return list(place.glob(f"{workplace.PREFIX}*"))


def left_over(place: Path, found: list[tree.Process]) -> list[object]:
    return [*works(place), *alive(found)]


def seconds_until_gone(place: Path, found: list[tree.Process], limit_s: float) -> float:
    began = time.monotonic()
    wait_until(lambda: not left_over(place, found), limit_s)
    return time.monotonic() - began


async def fault_of(playing: "asyncio.Task[Done]") -> Fault | CheckFailed:
    """Return why a run failed, in whosever words."""
    (ended,) = await asyncio.gather(playing, return_exceptions=True)
    fault = ended.fault if isinstance(ended, Done) else ended
    assert isinstance(fault, Fault | CheckFailed), fault
    return fault


@pytest.fixture
async def stage(base_url: str) -> AsyncIterator[Stage]:
    it = Stage(base_url)
    try:
        yield it
    finally:
        await it.supervisor.close()


async def test_runs_share_a_browser_that_leaves_nothing(stage: Stage, place: Path) -> None:
    for _ in range(2):
        done = await stage.play(SEEN)
        assert done.fault is None
        assert done.pages[0].vitals["ttfb"] > 0
    slow = await stage.play(SEEN, vitals={"ttfb": {"lt": "30s"}, "fcp": {"lt": "1ms"}})
    assert slow.fault is not None
    assert slow.fault.reason is Reason.LATENCY
    assert slow.fault.message.startswith("fcp of page home: want duration < 1ms, got ")
    assert "screenshot" in {artefact.kind for artefact in slow.artefacts}
    found = await stage.members()
    assert len(found) > 5
    assert (await off_loop(tree.memory_bytes, found)) > 100 * 2**20
    assert len(stage.supervisor._held) == 1
    await stage.supervisor.close()
    assert await off_loop(left_over, place, found) == []


async def under_way(stage: Stage, seconds: float = 30.0) -> "asyncio.Task[Done]":
    """Return a run that waits for what never comes."""
    stage.waiting.clear()
    playing = asyncio.get_running_loop().create_task(stage.play(NEVER, seconds=seconds))
    async with asyncio.timeout(30):
        await stage.waiting.wait()
    return playing


async def test_a_process_that_is_killed_ends_the_run_and_not_the_next(
    stage: Stage, place: Path
) -> None:
    """Each run is the next one of the one before: a browser for each victim."""
    loop = asyncio.get_running_loop()
    for victim in (is_chromium, is_renderer, is_node, is_child):
        playing = await under_way(stage)
        found = await stage.members()
        await off_loop(strike, found, victim, signal.SIGKILL)
        began = loop.time()
        fault = await fault_of(playing)
        assert loop.time() - began < GONE_S, victim
        assert fault.reason.is_own_fault, (victim, fault)
        assert stage.ended[0] == "home", victim
        # a browser with a page that crashed is asked to quit, which it may do a little later
        await off_loop(seconds_until_gone, place, found, 2 * GONE_S)
        stage.ended.clear()
    assert (await stage.play(SEEN)).fault is None


async def test_whoever_stands_still_is_ended(stage: Stage, place: Path) -> None:
    loop, last = asyncio.get_running_loop(), ""
    for victim in (lambda it: not is_child(it), lambda _: True):
        # a browser that has started takes no part of the deadline
        assert (await stage.play(SEEN)).fault is None
        playing = await under_way(stage, 2.0)
        until = loop.time() + 2.0
        found = await stage.members()
        await off_loop(strike, found, victim, signal.SIGSTOP)
        fault = await fault_of(playing)
        assert loop.time() < until + GONE_S
        await off_loop(seconds_until_gone, place, found, GONE_S)
        # the child may tell of a timeout: Chromium gave no answer, as with a page that hangs
        assert fault.reason in (Reason.TIMEOUT, Reason.RESOURCE)
        last = fault.message
    assert last.startswith("want the browser to end a run within 2 s, got silence")


PROBER = """
import asyncio, sys
from tests.probes.browser.test_supervisor_chromium import NEVER, Stage

async def main():
    stage = Stage(sys.argv[1])
    playing = asyncio.create_task(stage.play(NEVER, seconds=60))
    await stage.waiting.wait()
    print("waiting", flush=True)
    await playing

asyncio.run(main())
"""


async def test_a_prober_that_is_killed_takes_its_browser_along(base_url: str, place: Path) -> None:
    """load.md 4.2: measured 0.4 s; the profile goes too."""
    prober = subprocess.Popen(  # noqa: ASYNC220 - once
        [sys.executable, "-c", PROBER, base_url],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(place)},
    )
    assert prober.stdout is not None
    try:
        assert await off_loop(prober.stdout.readline) == b"waiting\n"
        (work,) = await off_loop(works, place)
        found = await off_loop(tree.members, str(work))
        assert len(found) > 5
    finally:
        prober.kill()
        prober.wait()
        prober.stdout.close()
    await off_loop(seconds_until_gone, place, found, GONE_S)
