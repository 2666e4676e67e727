"""The service hands each run what its probe keeps, and lets kinds listen between the runs."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from exporter import reload
from exporter.log import LogHandle, configure
from exporter.service import Options, Service
from exporter.store import StoreRefused
from probes.config.load import Config, load
from probes.kind import Kind
from probes.probe import Probe
from probes.recorder import Keep, Recorder
from probes.result import Result
from tests.waiting import until

pytestmark = pytest.mark.slow


class Ear:
    """Has one piece of news."""

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    def news(self) -> object:
        return "news"


class Counting(Kind):
    """Counts its runs."""

    name = "counting"
    network = False
    seen: ClassVar[list[Keep | None]] = []

    def watch(self, target: str) -> Ear:
        return Ear()

    def first_memory(self, target: str, kept: Mapping[str, Any] | None) -> object:
        return kept["count"] if kept is not None else 0

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        return {"count": memory}

    async def run(self, target: str, recorder: Recorder) -> None:
        keep = recorder.keep
        self.seen.append(keep)
        assert keep is not None
        assert isinstance(keep.memory, int)
        keep.memory += 1
        recorder.fact("count", str(keep.memory))


@pytest.fixture
def log_handle() -> Iterator[LogHandle]:
    handle = configure("debug", "json", None)
    yield handle
    handle.close()


def config_of(path: Path, *probes: Probe) -> Config:
    path.write_text("version: 1\n")
    return replace(load(path), probes=probes)


def counting(**fields: Any) -> Probe:
    fields.setdefault("every_s", 0.2)
    return Probe(name="it", kind=Counting(), target="there", timeout_s=0.2, **fields)


@asynccontextmanager
async def serving(config: Config, handle: LogHandle, **wish: Any) -> AsyncIterator[Service]:
    options = Options(("127.0.0.1:0",), **wish)
    # reading files blocks; the command does it before there is a loop
    service = await asyncio.to_thread(Service, config, options, handle)
    task = asyncio.get_running_loop().create_task(service.run())
    while not service.readiness()[0]:
        await asyncio.wait({task}, timeout=0.01)
        if task.done():
            task.result()
    try:
        yield service
    finally:
        service._stop.set()
        assert await task == 0


def count(result: Result | None) -> int:
    return int(result.facts["count"]) if result is not None else 0


async def test_memory_and_news_reach_the_runs_and_survive_a_reload(
    tmp_path: Path, log_handle: LogHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    Counting.seen.clear()
    config = await asyncio.to_thread(config_of, tmp_path / "p.yaml", counting())
    async with serving(config, log_handle) as service:
        await until(lambda: count(service.last_result("it")) >= 2)
        monkeypatch.setattr(
            reload, "load", lambda *_, **__: replace(config, probes=(counting(every_s=0.25),))
        )
        await service.reload()
        now = count(service.last_result("it"))
        await until(lambda: count(service.last_result("it")) > now)

        assert now >= 2
        keep = Counting.seen[-1]
        assert keep is not None
        assert keep.news() == "news"
        assert keep.every_s == 0.25
    assert not [task for task in asyncio.all_tasks() if "Listener" in repr(task)]


async def test_what_must_survive_is_there_after_a_restart(
    tmp_path: Path, log_handle: LogHandle
) -> None:
    config = await asyncio.to_thread(config_of, tmp_path / "p.yaml", counting())
    async with serving(config, log_handle, data=tmp_path / "data") as service:
        await until(lambda: count(service.last_result("it")) >= 3)
        with pytest.raises(StoreRefused, match="want a data directory of its own"):
            await asyncio.to_thread(Service, config, service._options, log_handle)
    last = count(service.last_result("it"))

    async with serving(config, log_handle, data=tmp_path / "data") as service:
        await until(lambda: service.last_result("it") is not None)

        assert count(service.last_result("it")) > last
