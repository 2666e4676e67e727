"""The service: publish, reload, shutdown, what it tells the web server and the metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition.scrape import PageQuery
from exporter.log import LogHandle, configure
from exporter.reload import Reloads
from exporter.service import Options, Service
from probes.config.load import Config, load
from probes.errors import ConfigError
from probes.result import Outcome, Result
from tests.waiting import until


@pytest.fixture
def log_handle() -> Iterator[LogHandle]:
    handle = configure("debug", "json", None)
    yield handle
    handle.close()


def text_of(*probes: str) -> str:
    return "version: 1\nprobes:\n" + "".join(f"  - {{{probe}}}\n" for probe in probes)


@asynccontextmanager
async def serving(path: Path, handle: LogHandle, **wish: object) -> AsyncIterator[Service]:
    options = Options(("127.0.0.1:0",), **wish)  # type: ignore[arg-type]
    # reading files blocks; the command does it before there is a loop
    service = await asyncio.to_thread(lambda: Service(load(path), options, handle))
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


async def values(service: Service, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    page = b"".join([piece async for piece in service.metrics.page(PageQuery()).chunks()])
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
async def target() -> AsyncIterator[int]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


pytestmark = pytest.mark.slow


async def test_results_reach_the_page_and_the_api(
    tmp_path: Path, log_handle: LogHandle, target: int
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        text_of(
            f"name: up, kind: tcp, target: '127.0.0.1:{target}', every: 300ms, timeout: 200ms",
            "name: down, kind: tcp, target: '127.0.0.1:1', every: 300ms, timeout: 200ms",
        )
    )
    async with serving(path, log_handle) as service:
        await until(lambda: len(service._results) == 2)

        success = await values(service, "probe_success")
        states = await values(service, "sonde_probe_state")
        last = service.last_result("down")

    by_probe = {dict(labels)["probe"]: value for labels, value in success.items()}
    assert by_probe == {"up": 1.0, "down": 0.0}
    assert len(states) == 8
    assert last is not None
    assert last.outcome is Outcome.DOWN


async def test_a_broken_sink_stops_neither_the_next_nor_the_probe(
    tmp_path: Path, log_handle: LogHandle, target: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        text_of(f"name: up, kind: tcp, target: '127.0.0.1:{target}', every: 1s, timeout: 1s")
    )
    seen: list[Result] = []

    def broken(result: Result) -> None:
        raise RuntimeError("sink")

    with caplog.at_level(logging.ERROR):
        async with serving(path, log_handle) as service:
            service.sinks = (broken, *service.sinks, seen.append)
            await until(lambda: len(seen) > 0)

    assert "a sink broke on a Result of up" in caplog.text


async def test_a_reload_keeps_counters_and_forgets_the_removed(
    tmp_path: Path, log_handle: LogHandle, target: int
) -> None:
    """P8, F46."""
    path = tmp_path / "p.yaml"
    kept = f"name: kept, kind: tcp, target: '127.0.0.1:{target}', every: 200ms, timeout: 200ms"
    path.write_text(
        text_of(kept, "name: gone, kind: tcp, target: '127.0.0.1:1', every: 1s, timeout: 1s")
    )
    async with serving(path, log_handle) as service:
        await until(lambda: len(service._results) == 2)
        runs = (await values(service, "sonde_probe_runs_total")).values()
        path.write_text(
            text_of(kept, "name: new, kind: tcp, target: '127.0.0.1:1', every: 1m, timeout: 1s")
        )

        await service.reload()

        after = {
            dict(k)["probe"]: v
            for k, v in (await values(service, "sonde_probe_runs_total")).items()
        }
        assert set(after) == {"kept", "new"}
        assert after["kept"] >= max(1, min(runs))
        assert after["new"] == 0
        assert [probe.name for probe in service.probes] == ["kept", "new"]
        assert service.last_result("gone") is None
        assert await values(service, "sonde_config_reloads_total") == {(): 1.0}


async def test_a_reload_forgets_what_another_target_was_found_to_be(
    tmp_path: Path, log_handle: LogHandle, target: int
) -> None:
    """And two runs of one kind in the same words are the same: none of them is dropped."""
    path = tmp_path / "p.yaml"
    kept = f"name: kept, kind: tcp, target: '127.0.0.1:{target}', every: 200ms, timeout: 200ms"
    moved = "name: moved, kind: tcp, every: 1h, timeout: 1s, incident: {open_after: 1}, target: "
    path.write_text(text_of(kept, f"{moved} '127.0.0.1:1'"))
    async with serving(path, log_handle) as service:
        await until(lambda: len(service._results) == 2)
        assert service.state("moved") is Outcome.DOWN
        path.write_text(text_of(kept, f"{moved} '127.0.0.1:{target}'"))

        await service.reload()

        assert service.last_result("moved") is None
        assert service.state("moved") is None
        assert service.state("kept") is Outcome.UP


async def test_a_reload_of_many_probes_lets_the_loop_turn(
    tmp_path: Path, log_handle: LogHandle
) -> None:
    """10,000 new probes take 0.3 s: in one go every run in flight would be late by that."""
    path = tmp_path / "p.yaml"
    path.write_text(text_of("name: a, kind: tcp, target: '127.0.0.1:1', every: 1h, timeout: 1s"))
    many = [f"name: p{n}, kind: tcp, target: '127.0.0.1:1', every: 1h" for n in range(2000)]
    async with serving(path, log_handle) as service:
        path.write_text(text_of(*many))
        config = await asyncio.to_thread(load, path)
        put = asyncio.get_running_loop().create_task(service._put(config))
        turns = 0
        while not put.done():
            await asyncio.sleep(0)
            turns += 1

        assert turns >= 3
        assert [probe.name for probe in service.probes] == [f"p{n}" for n in range(2000)]


async def test_a_reload_changes_controls_and_compatible_names_too(
    tmp_path: Path, log_handle: LogHandle
) -> None:
    path = tmp_path / "p.yaml"
    probes = text_of("name: a, kind: tcp, target: '127.0.0.1:1', every: 1h, timeout: 1s")
    path.write_text(probes)
    stock = "blackbox_exporter_config_last_reload_successful"
    async with serving(path, log_handle) as service:
        assert await values(service, stock) == {}
        path.write_text(
            probes + "prober: {connectivity: ['127.0.0.1:1']}\nmetrics: {compat: [blackbox]}\n"
        )

        await service.reload()

        assert service.health.controls == ("127.0.0.1:1",)
        assert await values(service, stock) == {(): 1.0}


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, log_handle: LogHandle
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text_of("name: a, kind: tcp, target: '127.0.0.1:1', every: 1h, timeout: 1s"))
    reloads = await asyncio.to_thread(lambda: Reloads(load(path), 1))

    async def write_meanwhile(_: Config) -> None:
        await asyncio.to_thread(path.write_text, "version: 1\n")

    await reloads.renew(write_meanwhile)

    assert await reloads.has_changed()
    reloads.close()


async def test_a_bad_file_changes_nothing_and_is_counted(
    tmp_path: Path, log_handle: LogHandle, target: int
) -> None:
    """P8, F45."""
    path = tmp_path / "p.yaml"
    path.write_text(
        text_of(f"name: a, kind: tcp, target: '127.0.0.1:{target}', every: 1s, timeout: 1s")
    )
    async with serving(path, log_handle) as service:
        path.write_text("version: 1\nprobes:\n  - {name: a, kind: tpc}\n")

        with pytest.raises(ConfigError, match="did you mean 'tcp'"):
            await service.reload()

        assert [probe.name for probe in service.probes] == ["a"]
        assert await values(service, "sonde_config_last_reload_successful") == {(): 0.0}
        assert await values(service, "sonde_config_reload_failures_total") == {(): 1.0}


async def test_what_is_odd_about_a_new_file_is_told_once(
    tmp_path: Path, log_handle: LogHandle, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "p.yaml"
    probe = "name: a, kind: tcp, target: '127.0.0.1:1', every: 1h, timeout: 1s"
    path.write_text(text_of(probe))

    def told() -> list[str]:
        # of the probe it may be told as well that it is down
        texts = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
        return [text for text in texts if text.startswith(str(path))]

    async with serving(path, log_handle) as service:
        path.write_text(text_of(probe) + "include: ['more-*.yaml']\n")
        first = await service.reload()
        path.write_text(text_of(probe, probe.replace("a,", "b,", 1)) + "include: ['more-*.yaml']\n")
        again = await service.reload()
        path.write_text(text_of(probe))
        mended = await service.reload()

    (news,) = first
    assert news.message == "want at least one file, got none like 'more-*.yaml'"
    assert told() == [str(news)]
    assert (again, mended) == ((), ())


async def test_a_changed_file_is_found_by_the_watch(
    tmp_path: Path, log_handle: LogHandle, target: int
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text_of("name: a, kind: tcp, target: '127.0.0.1:1', every: 1s, timeout: 1s"))
    async with serving(path, log_handle, reload_every_s=0.2) as service:
        path.write_text(
            text_of("name: b, kind: tcp, target: '127.0.0.1:1', every: 1s, timeout: 1s")
        )

        await until(lambda: [probe.name for probe in service.probes] == ["b"])


@pytest.mark.parametrize("name", ["rows.csv", "secret"])
async def test_what_is_read_beside_the_file_is_watched_too(
    tmp_path: Path, log_handle: LogHandle, name: str
) -> None:
    path = tmp_path / "p.yaml"
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "rows.csv").write_text("user\nbob\n")
    (beside / "secret").write_text("s3cretpw")
    path.write_text(
        "version: 1\n"
        "journeys: {a: {base_url: 'http://127.0.0.1:1', data: {file: beside/rows.csv},"
        " secrets: {pw: {file: beside/secret}},"
        " steps: [{name: s, get: '/${row.user}/${secrets.pw}'}]}}\n"
        "probes: [{name: a, kind: journey, journey: a, every: 60s}]\n"
    )
    async with serving(path, log_handle, reload_every_s=0.2) as service:
        before = service.probes[0].kind
        (beside / name).write_text("user\nalice\n")

        await until(lambda: service.probes[0].kind != before)


async def test_a_storm_of_hangups_makes_few_reloads(tmp_path: Path, log_handle: LogHandle) -> None:
    """F45: 50 SIGHUP."""
    path = tmp_path / "p.yaml"
    path.write_text(text_of("name: a, kind: tcp, target: '127.0.0.1:1', every: 1s, timeout: 1s"))
    async with serving(path, log_handle) as service:
        for _ in range(50):
            service._on_hangup()
        await until(lambda: service._reloads.count == 2)
        path.write_text(
            text_of("name: b, kind: tcp, target: '127.0.0.1:1', every: 1s, timeout: 1s")
        )
        service._on_hangup()
        # the second one may still go, and may have read this file already
        await until(lambda: service._reloads.count == 3)
        await until(lambda: [probe.name for probe in service.probes] == ["b"])

        assert service._reloads.count == 3


async def test_the_end_leaves_no_task(tmp_path: Path, log_handle: LogHandle, target: int) -> None:
    """P26: a run in flight makes no Result; nothing of ours is left."""
    path = tmp_path / "p.yaml"
    path.write_text(
        text_of(f"name: a, kind: tcp, target: '127.0.0.1:{target}', every: 200ms, timeout: 100ms")
    )
    before = asyncio.all_tasks()

    async with serving(path, log_handle) as service:
        await until(lambda: len(service._results) == 1)

    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
    assert service.readiness() == (False, "draining")


async def test_a_shard_runs_its_share(tmp_path: Path, log_handle: LogHandle) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        text_of(
            *(
                f"name: p{n}, kind: tcp, target: '127.0.0.1:1', every: 9s, timeout: 1s"
                for n in range(20)
            )
        )
    )
    async with serving(path, log_handle, shard=(1, 2)) as service:
        names = {probe.name for probe in service.probes}

    assert 0 < len(names) < 20
