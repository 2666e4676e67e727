"""Every way through a run ends in a report and in the exit code that it deserves.

The target and the disk are real, the children are fakes (`tests.scenarios.fake_child`): what is
shown is the order of a run, in a tenth of the time.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from probes.config.load import load
from probes.errors import ConfigError
from scenarios.config.section import SCENARIOS
from scenarios.course import run
from scenarios.course.filing import Filed, Wish, file_report
from scenarios.course.lock import RunLock, interrupted
from scenarios.course.readiness import Options
from scenarios.course.run import Course
from scenarios.course.vigil import Vigil
from scenarios.fleet.launch import Fleet
from scenarios.fleet.member import Crew
from scenarios.outlets.live import Live
from scenarios.plan import Plan
from scenarios.planning.make import Flags
from scenarios.report import Verdict
from tests.faults.http import FaultServer, fault_server
from tests.scenarios.conftest import FAKE

pytestmark = pytest.mark.slow

FILE = """
version: 1
journeys: {{home: {{base_url: {url}, steps: [{{name: home, get: /ok}}]}}}}
safety: {{targets: {{allow: [127.0.0.1/32]}}}}
scenarios:
  shop:
    journey: home
    load: {{model: closed, stages: [{{duration: {duration}, users: 2}}], graceful_stop: 1s}}
"""
DISK_IS_FULL = OSError(28, "No space left on device", "/there")


class Stand:
    """A scenario on a real disk, whose children behave as `mode` says."""

    def __init__(self, server: FaultServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.mode = "sane"
        self.begun = 0
        self.phases: list[str] = []
        self.course: Course | None = None

    async def make(
        self,
        tell: Callable[[str], None] = lambda _: None,
        duration: str = "200ms",
        more: str = "",
        **flags: Any,
    ) -> Course:
        file = self.directory / "probes.yaml"
        file.write_text(FILE.format(url=self.server.url(""), duration=duration) + more)
        wish = Wish(self.directory / "reports", ("json",))

        def told(live: Live) -> None:
            self.phases.append(live.phase)
            tell(live.phase)

        config = await asyncio.to_thread(load, file, further=(SCENARIOS,))
        options = Options(self.directory / "data", wish)
        self.course = Course(config, "shop", Flags(**flags), options, told)
        return self.course

    def interrupt_in(self, phase: str, number: int = 2) -> Callable[[str], None]:
        """Return a viewer that sends the signal when *phase* begins."""

        def tell(now: str) -> None:
            if now == phase and self.phases.count(phase) == 1:
                assert self.course is not None
                self.course.interrupt(number)

        return tell

    def fleet_of(self, plan: Plan, secrets: Any, place: Path, on_lost: Any, _: Any) -> Fleet:
        made = Fleet(plan, secrets, place, on_lost, [Crew((0,), (*FAKE, self.mode))])
        begin = made.begin

        def counted() -> float:
            self.begun += 1
            return begin()

        vars(made)["begin"] = counted
        return made

    def result(self, filed: Filed) -> dict[str, Any]:
        """Return the only report there is."""
        (path,) = self.directory.glob("reports/shop/*/result.json")
        assert path.parent == filed.directory
        found: dict[str, Any] = json.loads(path.read_text())
        assert found["exit_code"] == filed.report.exit_code
        assert found["run_id"]
        return found


@pytest.fixture
async def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(fault_server())
        made = Stand(server, tmp_path)
        monkeypatch.setattr(run, "fleet_of", made.fleet_of)
        yield made
        # whoever comes next may run, and finds nothing that was cut off
        assert await asyncio.to_thread(is_free, tmp_path / "data")


def is_free(data: Path) -> bool:
    with RunLock(data, "next", "1") as lock:
        return not lock.interrupted


async def test_a_run_that_is_all_well_passes(stand: Stand) -> None:
    filed = await (await stand.make()).run()

    assert (filed.report.reasons, filed.report.exit_code, stand.begun) == ((), 0, 1)
    assert stand.result(filed)["verdict"] == "pass"


@pytest.mark.parametrize(
    ("phase", "begun", "number"),
    [
        ("planning", 0, 2), ("preflight", 0, 15), ("starting", 0, 2), ("load", 1, 15),
        ("judging", 1, 2),
    ],
)  # fmt: skip
async def test_a_signal_in_any_phase_ends_the_run_and_is_told(
    stand: Stand, phase: str, begun: int, number: int
) -> None:
    duration = "30s" if phase == "load" else "200ms"

    course = await stand.make(stand.interrupt_in(phase, number), duration)
    filed = await course.run()

    assert (filed.report.verdict, filed.report.exit_code) == (Verdict.ABORTED, 128 + number)
    assert stand.begun == begun
    assert stand.result(filed)["reasons"][0]["code"] == "signal"


async def test_who_hurries_gets_what_was_measured_until_then(stand: Stand) -> None:
    stand.mode = "ignores-stop"
    interrupt, measured = stand.interrupt_in("load", 15), asyncio.Event()

    def tell(phase: str) -> None:
        interrupt(phase)
        tally = stand.course.tally if stand.course is not None else None
        if tally is not None and tally.book.total("iteration.completed"):
            measured.set()

    course = await stand.make(tell, "30s")
    running = asyncio.create_task(course.run())
    async with asyncio.timeout(10):
        await measured.wait()

    course.hurry()
    async with asyncio.timeout(5):
        filed = await running

    report = filed.report
    assert (report.verdict, report.exit_code) == (Verdict.ABORTED, 143)
    assert [it.code for it in report.reasons][:2] == ["signal", "shard_lost"]
    assert "want its end in time, got it still running" in report.reasons[1].text
    assert report.book.total("iteration.completed") > 0
    assert stand.result(filed)["verdict"] == "aborted"


@pytest.mark.parametrize("method", ["take", "start"])
async def test_a_signal_while_the_disk_is_waited_for_lets_no_load_begin(
    stand: Stand, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, loop = await stand.make(), asyncio.get_running_loop()
    real = getattr(RunLock, method)

    def slow(lock: RunLock) -> None:
        real(lock)
        loop.call_soon_threadsafe(course.interrupt, 2)

    monkeypatch.setattr(RunLock, method, slow)
    filed = await course.run()
    monkeypatch.undo()

    assert (filed.report.exit_code, stand.begun) == (130, 0)


@pytest.mark.parametrize(
    ("owner", "name", "error", "said"),
    [
        pytest.param(
            RunLock, "take", DISK_IS_FULL,
            "files: want to take the lock, got /there: No space left on device", id="lock",
        ),
        pytest.param(
            RunLock, "start", DISK_IS_FULL,
            "files: want to note the start, got /there: No space left on device", id="state",
        ),
        pytest.param(
            tempfile, "gettempdir", FileNotFoundError(2, "No usable temporary directory"),
            "start: want to start the load, got No usable temporary directory", id="tmp",
        ),
        pytest.param(
            run, "preflight", KeyError("a bug of ours"),
            "internal: want no error of our own, got KeyError", id="a bug before the load",
        ),
        pytest.param(
            Vigil, "settle", RuntimeError("a bug of ours"),
            "internal: want no error of our own, got RuntimeError", id="a bug during the load",
        ),
    ],
)  # fmt: skip
async def test_what_breaks_is_filed_as_inconclusive(
    stand: Stand, owner: Any, name: str, error: Exception, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def broken(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        filed = await (await stand.make()).run()

    assert (filed.report.verdict, filed.report.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert [f"{it.code}: {it.text}" for it in filed.report.reasons] == [said]
    assert stand.result(filed)["verdict"] == "inconclusive"


@pytest.mark.parametrize("mode", ["dies-early", "crash", "leaves"])
async def test_a_child_that_is_gone_is_never_green(stand: Stand, mode: str) -> None:
    stand.mode = mode

    filed = await (await stand.make()).run()

    assert (filed.report.verdict, filed.report.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert stand.result(filed)["reasons"][0]["code"] in ("shard_lost", "unready")


async def test_a_page_of_locust_that_is_not_there_is_told(stand: Stand) -> None:
    filed = await (await stand.make(more="    reports: {locust_html: true}\n")).run()

    assert "want Locust's own page of each of 1 shards, got none of 1" in filed.report.notes
    assert filed.report.verdict is Verdict.PASS


async def test_a_plan_that_a_child_cannot_play_is_a_mistake_in_the_file(stand: Stand) -> None:
    stand.mode = "bad-plan"

    with pytest.raises(ConfigError, match="invalid syntax"):
        await (await stand.make()).run()


async def test_a_run_is_held_until_its_files_are_written(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it writes them, it is told by the next one."""
    marked: list[list[bytes]] = []
    real = file_report

    def filing(*words: Any, **more: Any) -> Filed:
        files = (stand.directory / "data" / "load").glob("run-*.lock")
        marked.append([it.read_bytes() for it in files])
        assert not interrupted(stand.directory / "data")
        return real(*words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(run, "file_report", filing)
        await (await stand.make()).run()

    ((content,),) = marked
    claim = json.loads(content)
    assert (claim["started"], claim["pid"]) == (True, os.getpid())


async def test_refusals_before_there_is_a_plan_have_directories_of_their_own(stand: Stand) -> None:
    first = await (await stand.make(users=1000)).run()
    again = await (await stand.make(users=1000)).run()

    assert first.report.exit_code == again.report.exit_code == 4
    assert first.directory != again.directory
    assert len(list(stand.directory.glob("reports/shop/*/result.json"))) == 2
