"""When load runs of a service begin, and when not: skipped, missed, reloaded, made elsewhere."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import pytest
import time_machine

from exporter.exposition.scrape import PageQuery
from exporter.loads.board import Board
from exporter.loads.runs import MISFIRE_S, LoadRuns
from exporter.schedule import Scheduler
from probes.config.load import Config, load
from probes.prober_health import ProberHealth
from probes.wire.blocking import BlockingCalls
from scenarios.config.section import SCENARIOS
from scenarios.course.filing import Wish, file_report
from tests.exporter.test_schedule import nothing
from tests.scenarios import reports
from tests.waiting import until

T = TypeVar("T")
FILE = """
version: 1
journeys:
  home: {{base_url: "http://127.0.0.1:9", steps: [{{name: home, get: /}}]}}
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_users: 100, max_rate: 50/s, max_duration: 2m}}
scenarios: {{{scenarios}}}
"""
SHOP = "{journey: home, rate: 5/s, duration: 1s, preflight: {attempts: 1}"
# Half a second before a minute: so long may a config take, and a schedule to be taken up.
DUE = datetime(2026, 11, 21, 3, 0, 59, 500_000, tzinfo=UTC)
MINUTE = DUE + timedelta(seconds=0.5)


async def off_the_loop(function: Callable[[], T]) -> T:
    return await BlockingCalls("test").call("it", function, 10)


async def config(directory: Path, **scenarios: str) -> Config:
    file = directory / "probes.yaml"
    written = ", ".join(f"{name}: {SHOP}{more}}}" for name, more in scenarios.items())
    return await read(file, FILE.format(scenarios=written))


async def read(file: Path, text: str) -> Config:
    def written() -> Config:
        file.write_text(text)
        return load(file, environ={}, further=(SCENARIOS,))

    return await off_the_loop(written)


class Service:
    """The parts of one that load runs need."""

    def __init__(self, directory: Path, standing: frozenset[str]) -> None:
        self.data = directory / "data"
        self.board = Board()
        self.scheduler = Scheduler(nothing, capacity=1)
        health = ProberHealth((), lambda _target: asyncio.sleep(0, True))
        self.runs = LoadRuns(self.board, self.scheduler, self.data, health, lambda: standing)

    def value(self, sample: str) -> float | None:
        for line in self.board.text(PageQuery()).decode().splitlines():
            name, _, number = line.rpartition(" ")
            if name == sample:
                return float(number)
        return None

    async def until(self, sample: str, wanted: float) -> None:
        await until(lambda: self.value(sample) == wanted, 15)


@asynccontextmanager
async def running(directory: Path, *standing: str) -> AsyncIterator[Service]:
    made = Service(directory, frozenset(standing))
    made.scheduler.start()
    yield made
    await made.runs.stop(15)
    await made.scheduler.drain()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    import_module("scenarios.course.run")  # a second of its own, with the first schedule
    with time_machine.travel(DUE, tick=True) as traveller:
        yield traveller


MINUTELY = ', schedule: "* * * * *"'


@pytest.mark.slow
async def test_an_open_incident_skips_a_run_that_does_not_want_one(
    tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with running(tmp_path, "incident_open") as service:
        await service.runs.put(await config(tmp_path, shop=f"{MINUTELY}, skip_if: [incident_open]"))

        await service.until('loadtest_runs_total{scenario="shop",verdict="refused"}', 1)

        assert service.value('loadtest_refused_total{reason="incident_open",scenario="shop"}') == 1
        assert service.value('loadtest_run_active{scenario="shop"}') == 0


@pytest.mark.slow
async def test_a_target_that_is_down_fails_the_run_and_its_reports_are_kept(
    tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with running(tmp_path) as service:
        await service.runs.put(await config(tmp_path, shop=MINUTELY))

        await service.until('loadtest_last_run_verdict{scenario="shop",verdict="fail"}', 1)
        await service.runs.look()

        # it is on the disk too, and counted once
        assert service.value('loadtest_runs_total{scenario="shop",verdict="fail"}') == 1
        place = service.data / "reports" / "shop"
        files = await off_the_loop(lambda: [it.name for it in place.glob("*/*")])
        assert sorted(files) == ["junit.xml", "report.html", "report.md", "result.json"]
        following = service.value('loadtest_next_run_timestamp_seconds{scenario="shop"}')
        assert following == (MINUTE + timedelta(seconds=60)).timestamp()


async def test_a_scenario_that_leaves_the_file_ends_its_schedule(
    tmp_path: Path, clock: time_machine.Traveller
) -> None:
    async with running(tmp_path) as service:
        await service.runs.put(await config(tmp_path, shop=MINUTELY, other=""))
        await service.runs.put(await config(tmp_path, other=""))

        jobs = {job.id for job in service.scheduler._apscheduler.get_jobs()}
        assert "load shop" not in jobs
        assert 'scenario="shop"' not in service.board.text(PageQuery()).decode()
        assert service.value('loadtest_run_active{scenario="other"}') == 0


async def test_a_reload_that_leaves_a_schedule_as_it_is_touches_it_not(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.runs.put(await config(tmp_path, shop=MINUTELY))
        before = service.scheduler._apscheduler.get_job("load shop")
        await service.runs.put(await config(tmp_path, shop=f"{MINUTELY}, min_samples: 5"))
        same = service.scheduler._apscheduler.get_job("load shop")
        await service.runs.put(await config(tmp_path, shop=', schedule: "*/5 * * * *"'))

        assert same.trigger is before.trigger
        assert service.scheduler._apscheduler.get_job("load shop").trigger is not before.trigger


async def test_a_run_that_was_missed_is_not_made_up_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """load.md 14, load control 8: the machine slept through it."""
    calls: list[datetime] = []
    scheduler = Scheduler(nothing, capacity=1)
    with time_machine.travel(DUE, tick=True) as clock, caplog.at_level(logging.WARNING):

        def following(after: datetime) -> datetime | None:
            return MINUTE if after < MINUTE else None

        scheduler.start()
        scheduler.at_times("load it", following, lambda: calls.append(MINUTE), MISFIRE_S)
        clock.shift(MISFIRE_S + 60)
        await until(lambda: not scheduler._apscheduler.get_job("load it"))
        await scheduler.drain()

    assert calls == []


async def test_daylight_saving_has_one_run_a_day_at_the_local_time(tmp_path: Path) -> None:
    """load.md 14, data 7: nobody waits for it, the times are asked for."""
    night = ', schedule: "30 2 * * *", timezone: Europe/Berlin'
    async with running(tmp_path) as service:
        with time_machine.travel(datetime(2026, 10, 24, tzinfo=UTC), tick=False):
            await service.runs.put(await config(tmp_path, shop=night))
        trigger = service.scheduler._apscheduler.get_job("load shop").trigger
        now, found = datetime(2026, 10, 24, tzinfo=UTC), []
        for _ in range(3):
            now = trigger.get_next_fire_time(now, now)
            found.append(now.strftime("%d %H:%M"))

    assert found == ["24 00:30", "25 00:30", "26 01:30"]


async def test_a_run_of_the_command_line_in_the_same_directory_is_seen(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.runs.put(await config(tmp_path, shop=""))
        wish = Wish(service.data / "reports", ("json",))
        report = replace(reports.stalled(), scenario="shop")
        await off_the_loop(lambda: file_report(report, wish))

        await service.runs.look()
        await service.runs.look()

        assert service.value('loadtest_last_run_verdict{scenario="shop",verdict="fail"}') == 1
        assert service.value('loadtest_runs_total{scenario="shop",verdict="fail"}') == 1
        # its requests were not made now: a rate over them would be none
        assert "loadtest_requests_total{" not in service.board.text(PageQuery()).decode()


async def test_a_result_that_is_none_is_told_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as service:
        broken = service.data / "reports" / "shop" / "20260101T000000Z-x" / "result.json"

        def write() -> None:
            broken.parent.mkdir(parents=True)
            broken.write_text('{"schema": 1')

        await off_the_loop(write)
        await service.runs.put(await config(tmp_path, shop=""))

        assert service.value('loadtest_run_active{scenario="shop"}') == 0
        assert "want to read the run in" in caplog.text


async def test_a_file_without_scenarios_costs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        text = "version: 1\nprobes: [{name: a, kind: tcp, target: '127.0.0.1:9'}]\n"
        loaded = await read(tmp_path / "probes.yaml", text)
        await service.runs.put(loaded)

        assert service.board.text(PageQuery()) == b""
        assert not await off_the_loop(service.data.exists)
