"""Kind host: the machine of the test, and sources that hang."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.errors import CheckFailed
from probes.kinds import host as module
from probes.kinds.host import TCP_STATES, Host, stuck_calls
from probes.recorder import Recorder
from probes.result import Outcome, Reason, Result
from probes.wire.blocking import MAX_THREADS, BlockingCalls
from tests.harness import Check, Law


def host(**keys: Any) -> Host:
    return Host.model_validate(keys)


LAW = Law(kind=host(), target="local", network=False)


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def labels(result: Result, name: str) -> list[dict[str, str]]:
    return [dict(sample.labels) for sample in result.samples if sample.name == name]


@pytest.fixture(autouse=True)
def an_earlier_reading() -> None:
    """Spare each run the wait of the very first one."""
    module._readings.clear()
    module._readings.append(module._Cpu(time.monotonic() - 60, 0.0, 0.0))


async def test_the_machine_tells_about_itself(check: Check) -> None:
    result = await check(host(), "local")

    found = values(result)
    assert result.outcome is Outcome.UP, result.failure
    assert 0 <= found["host_cpu_usage_ratio"] <= 1
    assert 0 < found["host_memory_usage_ratio"] < 1
    assert found["host_memory_available_bytes"] < found["host_memory_total_bytes"]
    assert found["host_load1"] >= 0
    assert found["host_uptime_seconds"] > 1
    assert {"mount": "/"} in labels(result, "host_disk_usage_ratio")
    assert {"interface": "lo", "direction": "receive"} in labels(result, "host_network_bytes_total")
    states = {label["state"] for label in labels(result, "host_network_connections")}
    assert states == set(TCP_STATES.values())
    assert [phase.name for phase in result.phases] == ["cpu", "system", "mounts"]


async def test_what_the_machine_does_not_tell_is_absent(check: Check) -> None:
    """T61: never 0."""
    result = await check(host(), "local")

    assert ("host_swap_usage_ratio" in values(result)) is (psutil.swap_memory().total > 0)
    sensors = psutil.sensors_temperatures()
    assert ("host_temperature_celsius" in values(result)) is bool(sensors)


async def test_a_run_stays_within_the_series_of_a_probe(check: Check) -> None:
    result = await check(host(), "local")

    assert len(result.samples) <= 100
    keys = [(sample.name, sample.labels) for sample in result.samples]
    assert len(set(keys)) == len(keys)


async def test_sockets_are_counted_by_state(check: Check) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)

    result = await check(host(), "local")

    listening = [s.value for s in result.samples if s.labels == (("state", "listen"),)]
    assert listening[0] >= 1
    server.close()


async def test_a_second_run_measures_the_cpu_since_the_first(check: Check) -> None:
    module._readings.clear()
    first = await check(host(), "local")
    module._readings[-1] = module._Cpu(module._readings[-1].at - 60, 0.0, 0.0)

    second = await check(host(), "local")

    assert first.phases[0].seconds >= module.CPU_WINDOW_S
    assert second.phases[0].seconds < module.CPU_WINDOW_S


async def test_an_old_reading_is_forgotten(check: Check) -> None:
    module._readings.clear()
    module._readings.append(module._Cpu(-1e9, 0.0, 0.0))

    result = await check(host(), "local")

    assert result.phases[0].seconds >= module.CPU_WINDOW_S
    assert len(module._readings) == 1


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        pytest.param({"memory": "0.0001%"}, "want memory in use <= 0.0001%, got ", id="memory"),
        pytest.param({"disk": 0}, "want disk in use at / <= 0%, got ", id="disk"),
        pytest.param({"inodes": "0%", "mounts": ["/"]}, "want inodes in use at /", id="inodes"),
        pytest.param({"load": -1}, "want load <= -1, got ", id="load"),
    ],
)
async def test_a_value_above_its_limit_is_down(
    keys: dict[str, Any], text: str, check: Check
) -> None:
    if "inodes" in keys and not os.statvfs("/").f_files:
        pytest.skip("a file system without inodes")

    result = await check(host(**keys), "local")

    assert result.failure is not None
    assert result.failure.reason is Reason.VALUE
    assert text in result.failure.message


async def test_every_miss_is_told_and_every_number_kept(check: Check) -> None:
    result = await check(host(memory="0.0001%", load=-1, disk={"warn": "0%"}), "local")

    assert result.failure is not None
    assert "memory" in result.failure.message
    assert "; want load" in result.failure.message
    assert any("disk in use" in warning.message for warning in result.warnings)
    assert "host_disk_free_bytes" in values(result)


async def test_a_mount_that_is_not_there_is_down(tmp_path: Path, check: Check) -> None:
    plain = str(tmp_path)
    result = await check(host(mounts=["/", plain, f"{plain}/none"]), "local")

    assert result.failure is not None
    assert result.failure.reason is Reason.VALUE
    assert f"mounted at {plain!r}, got a directory of another file system" in result.failure.message
    assert "No such file or directory" in result.failure.message
    assert labels(result, "host_disk_free_bytes") == [{"mount": "/"}]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mounts": ["data"]}, "want an absolute path of a mount, got 'data'"),
        ({"cpu": {"warn": "90%", "fail": "80%"}}, "want warn to come before fail"),
        ({"mounts": ["/"] * 9}, "at most 8 items"),
        ({"disk": "900%"}, "want a share such as 90% or"),
    ],
)
def test_a_wrong_setting_is_refused_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        host(**keys)


def test_the_only_target_is_local() -> None:
    with pytest.raises(ValueError, match=r"^want the target 'local', got 'db1'"):
        host().check_target("db1")


# ---- reads that hang


@pytest.fixture
def dead_mount() -> Iterator[threading.Event]:
    """Something that blocks a thread until the end of the test."""
    gone = threading.Event()
    yield gone
    gone.set()


async def test_a_read_that_hangs_is_given_up_and_not_repeated(
    dead_mount: threading.Event,
) -> None:
    """F22, T61."""
    calls = BlockingCalls("test")

    with pytest.raises(TimeoutError):
        await calls.call("/mnt/nfs", dead_mount.wait, 0.02)
    with pytest.raises(TimeoutError):
        await calls.call("/mnt/nfs", lambda: pytest.fail("a second call of a key"), 0.02)
    other = await calls.call("/", lambda: 42, 2)

    assert other == 42
    assert calls.stuck == 1
    dead_mount.set()
    async with asyncio.timeout(2):
        while calls.stuck:  # noqa: ASYNC110 - a thread ends without telling the loop
            await asyncio.sleep(0)
    assert await calls.call("/mnt/nfs", lambda: 1, 2) == 1


async def test_threads_that_hang_have_a_limit(dead_mount: threading.Event) -> None:
    calls = BlockingCalls("test")
    waits = [calls.call(str(n), dead_mount.wait, 0.02) for n in range(MAX_THREADS)]
    given_up = await asyncio.gather(*waits, return_exceptions=True)

    with pytest.raises(CheckFailed) as failure:
        await calls.call("one more", lambda: 1, 1)

    assert all(isinstance(error, TimeoutError) for error in given_up)
    assert failure.value.reason is Reason.RESOURCE


async def test_an_error_of_a_read_reaches_the_caller() -> None:
    def fail() -> int:
        raise PermissionError(13, "no")

    with pytest.raises(PermissionError):
        await BlockingCalls("test").call("x", fail, 2)


async def test_a_cancelled_read_leaves_no_task(dead_mount: threading.Event) -> None:
    calls = BlockingCalls("test")
    task = asyncio.get_running_loop().create_task(calls.call("x", dead_mount.wait, 10))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert calls.stuck == 1


class Reads(BlockingCalls):
    """Reads of which one hangs; the rest is real."""

    def __init__(self, hanging: str) -> None:
        super().__init__("test")
        self._hanging = hanging

    async def call(self, key: str, function: Any, seconds: float) -> Any:
        if key == self._hanging:
            raise TimeoutError(key)
        return await super().call(key, function, seconds)


@pytest.mark.parametrize(
    ("keys", "outcome"),
    [
        pytest.param({"mounts": ["/"]}, Outcome.DOWN, id="asked for"),
        pytest.param({}, Outcome.DEGRADED, id="found"),
    ],
)
async def test_a_dead_mount_is_named_and_the_rest_is_measured(
    keys: dict[str, Any], outcome: Outcome, check: Check
) -> None:
    """F22: only what was asked for brings the probe down."""
    kind = host(**keys)
    kind._reads = Reads("/")

    result = await check(kind, "local")

    assert result.outcome is outcome
    assert result.cause is not None
    assert result.cause.reason is Reason.TIMEOUT
    assert result.cause.message == "want an answer of the file system at '/', got none"
    assert "host_memory_usage_ratio" in values(result)


async def test_a_source_that_hangs_costs_its_own_numbers_only(check: Check) -> None:
    kind = host()
    kind._reads = Reads("temperatures")

    result = await check(kind, "local")

    assert result.outcome is Outcome.UP, result.failure
    assert result.facts["temperatures"].startswith("not told: TimeoutError")
    assert "host_load1" in values(result)


async def test_the_time_of_a_source_is_a_share_of_what_is_left() -> None:
    recorder = Recorder(asyncio.get_running_loop().time() + 5)

    await host().run("local", recorder)

    assert stuck_calls() == 0
