import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from probes.browser import process, supervisor, tree, workplace
from probes.browser.plan import Action, Plan, Step
from probes.browser.process import Launch
from probes.browser.protocol import Begun, Ended, Run, Values
from probes.browser.supervisor import Outcome, Supervisor
from probes.errors import CheckFailed
from probes.journey.safety import BrowserSafety
from probes.result import Reason
from probes.wire.policy import Policy
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

FAKE = Path(__file__).with_name("fake_child.py")
HERE = Launch("/bin/true")
ROOMY = BrowserSafety(min_free_memory="1MiB")
PLAN = Plan("signup", "http://x/", (Step("home", Action.GOTO, text="/"),))


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a child that has lost its mind need not wait as long as in production."""
    monkeypatch.setattr(supervisor, "STOP_S", 0.3)
    monkeypatch.setattr(supervisor, "LATE_S", 0.1)
    monkeypatch.setattr(process, "QUIT_S", 0.3)


def run(seconds: float = 5.0) -> Run:
    return Run("", PLAN, Values(run_id="r"), seconds, Policy(), "never", "")


class Stage:
    """A supervisor over fake children."""

    def __init__(self, mode: str, free: Callable[[], int | None] = lambda: None) -> None:
        self.supervisor = Supervisor((sys.executable, str(FAKE), mode), free)
        self.heard: list[Begun | Ended] = []
        self._begun = asyncio.Event()

    async def play(self, seconds: float = 5.0, limits: BrowserSafety = ROOMY) -> Outcome:
        until = asyncio.get_running_loop().time() + seconds
        return await self.supervisor.play(run(), HERE, limits, until, self.hear)

    def hear(self, report: Begun | Ended) -> None:
        self.heard.append(report)
        self._begun.set()

    async def begun(self) -> None:
        """Wait for the next report."""
        self._begun.clear()
        async with asyncio.timeout(5):
            await self._begun.wait()

    def browsers(self) -> list[process.BrowserProcess]:
        return list(self.supervisor._held)


@asynccontextmanager
async def stage(mode: str, free: Callable[[], int | None] = lambda: None) -> AsyncIterator[Stage]:
    it = Stage(mode, free)
    try:
        yield it
    finally:
        await it.supervisor.close()


def remains(place: Path) -> list[object]:
    """Return every directory of a browser, and every process that belongs to one."""
    paths = list(place.glob(f"{workplace.PREFIX}*"))
    marked = [
        found
        for found in tree.processes().values()
        if str(place).encode() in tree._read(found.id, "environ")
    ]
    return [*paths, *(it for it in marked if not it.is_zombie and it.id != os.getpid())]


async def off_loop(call: Callable[..., object], *arguments: object) -> object:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


async def gone(place: Path) -> None:
    """Wait until nothing of a browser is left."""
    await off_loop(lambda: wait_until(lambda: not remains(place)))


async def test_a_run_is_played_and_its_steps_are_told(own_directory: Path) -> None:
    async with stage("ok") as it:
        outcome = await it.play()
        assert outcome.done.fault is None
        assert outcome.done.pages[0].vitals == {"lcp": 0.5}
        assert [type(report) for report in it.heard] == [Begun, Ended]
        assert outcome.browser.chromium == "156.0.1"
        # the child and the two sleepers that it started
        assert outcome.processes == 3
        assert outcome.memory_bytes > 2**20
        assert outcome.files.is_dir()
    assert await off_loop(remains, own_directory) == []


async def test_runs_share_a_browser_until_it_is_worn_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_RUNS", 2)
    async with stage("ok") as it:
        await it.play()
        first = it.browsers()
        await it.play()
        assert it.browsers() == []
        await it.play()
        assert it.browsers() != first


async def test_a_browser_that_is_too_old_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage("ok") as it:
        await it.play()
        first = it.browsers()
        monkeypatch.setattr(supervisor, "MAX_AGE_S", 0.0)
        await it.play()
        assert first[0] not in it.browsers()
        assert first[0].trouble is not None


async def test_a_browser_that_nobody_needs_goes(
    own_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "IDLE_S", 0.0)
    async with stage("ok") as it:
        await it.play()
        await gone(own_directory)
        assert it.browsers() == []


async def test_two_runs_at_once_wait_for_one_start() -> None:
    async with stage("ok") as it:
        await asyncio.gather(it.play(), it.play())
        assert len(it.browsers()) == 1


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        pytest.param("crash", "got its process ended with -9", id="killed"),
        pytest.param("garbage", "one JSON text a line, got b'Segmentation fault", id="garbage"),
        pytest.param("endless-line", "nonsense: ", id="a line without an end"),
        pytest.param("flood", "want at most 1000 reports of a run, got more", id="many reports"),
        pytest.param("stranger", "got 'no such run'", id="a run that is not played"),
    ],
)
async def test_a_child_that_lost_its_mind_is_ended_and_replaced(
    mode: str, text: str, own_directory: Path
) -> None:
    async with stage(mode) as it:
        with pytest.raises(CheckFailed) as failed:
            await it.play()
        assert failed.value.reason is Reason.RESOURCE
        assert text in failed.value.message
        assert isinstance(it.heard[0], Begun)
        await gone(own_directory)
        it.supervisor._command = (sys.executable, str(FAKE), "ok")
        assert (await it.play()).done.fault is None


async def test_a_run_that_hangs_is_ended_with_its_browser(own_directory: Path) -> None:
    loop = asyncio.get_running_loop()
    async with stage("hang") as it:
        began = loop.time()
        with pytest.raises(CheckFailed) as failed:
            await it.play(1.0)
        assert loop.time() - began < 1.0 + 0.1 + 0.3 + 2
        assert failed.value.reason is Reason.RESOURCE
        assert failed.value.message == (
            "want the browser to end a run within 0.3 s, got silence: killed"
        )
        assert await off_loop(remains, own_directory) == []


async def test_a_run_that_only_overstays_is_stopped_and_its_browser_stays() -> None:
    async with stage("stoppable") as it:
        outcome = await it.play(1.0)
        assert outcome.done.fault is not None
        assert outcome.done.fault.reason is Reason.TIMEOUT
        assert len(it.browsers()) == 1


async def test_a_run_in_trouble_says_why_and_harms_no_other() -> None:
    async with stage("trouble") as it:
        with pytest.raises(CheckFailed, match="want the page to live, got it crashed"):
            await it.play()
        assert len(it.browsers()) == 1


async def test_a_hanging_run_takes_the_others_along_who_are_told_why() -> None:
    async with stage("hang") as it:
        with pytest.raises(CheckFailed):
            await it.play(0.5)
        late = asyncio.create_task(it.play(30.0))
        await it.begun()
        with pytest.raises(CheckFailed):
            await it.play(0.1)
        with pytest.raises(CheckFailed, match="got it ended: it hung in a run"):
            await late


@pytest.mark.parametrize(
    ("mode", "reason", "text"),
    [
        pytest.param(
            "dies-at-start",
            Reason.RESOURCE,
            "got its process ended with 1: 'playwright: cannot find its node'",
            id="its last words are told",
        ),
        pytest.param("denied", Reason.PERMISSION, "want user namespaces", id="its own words"),
        pytest.param("silent", Reason.OVERLOAD, "want a browser within 0.5 s", id="silence"),
    ],
)
async def test_a_browser_that_does_not_start_is_nobody_elses_fault(
    mode: str, reason: Reason, text: str, own_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "silent":
        monkeypatch.setattr(process, "START_S", 0.5)
    async with stage(mode) as it:
        with pytest.raises(CheckFailed) as failed:
            await it.play()
        assert failed.value.reason is reason
        assert text in failed.value.message
        assert await off_loop(remains, own_directory) == []


async def test_a_start_that_outlasts_the_deadline_serves_the_next_run() -> None:
    async with stage("ok") as it:
        with pytest.raises(CheckFailed) as failed:
            await it.play(0.01)
        assert failed.value.reason is Reason.OVERLOAD
        assert (await it.play()).done.fault is None
        assert it.browsers()[0].runs == 1


async def test_without_chromium_the_remedy_is_named() -> None:
    async with stage("ok") as it:
        until = asyncio.get_running_loop().time() + 5
        with pytest.raises(CheckFailed) as failed:
            await it.supervisor.play(run(), Launch("/no/chromium"), ROOMY, until, it.heard.append)
    assert failed.value.reason is Reason.CONFIG
    assert failed.value.message == (
        "want Chromium at /no/chromium, got no such program: apt install chromium, or name another"
        " one in browser.executable"
    )


async def test_without_memory_no_browser_starts() -> None:
    async with stage("ok", lambda: 300 * 2**20) as it:
        with pytest.raises(CheckFailed) as failed:
            await it.play(limits=BrowserSafety())
        assert it.browsers() == []
    assert failed.value.reason is Reason.RESOURCE
    assert failed.value.message == (
        "want 750MiB of free memory to start a browser, got 300MiB: give the prober more, or lower"
        " safety.browser.min_free_memory"
    )


async def test_waiting_for_a_place_counts_against_the_deadline() -> None:
    async with stage("hang") as it:
        first = asyncio.create_task(it.play(2.0, BrowserSafety(max_parallel=1)))
        await it.begun()
        with pytest.raises(CheckFailed) as failed:
            await it.play(0.1, BrowserSafety(max_parallel=1))
        assert failed.value.reason is Reason.OVERLOAD
        assert failed.value.message.startswith("want one of 1 places for a browser journey, got")
        with pytest.raises(CheckFailed):
            await first


@pytest.mark.parametrize(
    ("share", "reason"), [(0.0, Reason.TIMEOUT), (2.0, Reason.OVERLOAD)], ids=["fair", "unfair"]
)
async def test_a_run_that_never_had_its_time_is_no_verdict(
    share: float, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FAIR_SHARE", share)
    async with stage("cut") as it:
        fault = (await it.play(5.0)).done.fault
    assert fault is not None
    assert (fault.reason, fault.step) == (reason, "home")
    if reason is Reason.OVERLOAD:
        assert fault.message.startswith("want 5 s for the journey, got ")
        assert fault.message.endswith("went into waiting for a place and a browser")


@pytest.mark.parametrize("mode", ["stoppable", "hang"])
async def test_a_cancelled_run_is_wound_up_behind_its_back(mode: str, own_directory: Path) -> None:
    async with stage(mode) as it:
        playing = asyncio.create_task(it.play(30))
        await it.begun()
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        if mode == "hang":
            await gone(own_directory)
        await asyncio.gather(*it.supervisor._tasks)
        assert it.supervisor._slots.taken == 0
        assert len(it.browsers()) == (mode == "stoppable")


async def test_what_does_not_quit_is_killed(own_directory: Path) -> None:
    async with stage("stubborn") as it:
        await it.play()
        await it.supervisor.close()
        assert await off_loop(remains, own_directory) == []


async def test_the_supervisor_of_a_loop_is_one_and_can_be_closed() -> None:
    one = supervisor.supervisor()
    assert supervisor.supervisor() is one
    await supervisor.close_browsers()
    await supervisor.close_browsers()
    assert supervisor.supervisor() is not one


async def test_nothing_of_our_environment_reaches_the_browser(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy")
    found = process._environment(tmp_path)
    assert found["HOME"] == found["TMPDIR"] == str(tmp_path)
    assert "SHOP_PASSWORD" not in found
    assert "HTTPS_PROXY" not in found
