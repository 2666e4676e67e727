"""The schedule in a process of its own whose wall clock moves, or which is frozen."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clock import WallClock

ROOT = Path(__file__).parents[2]
EVERY_S = 0.5
DAY_S = 86_400
# On two shared cores another process may take the turn; a silence of the schedule is far longer.
NOISE_S = 0.4

# the loop under test is the child's
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_factories=["asyncio"])]


async def start_driver(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start the schedule in a child and wait until every probe has run."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.schedule_driver", *arguments,
        cwd=ROOT, env=os.environ | environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def result_of(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(await process.stdout.read())
    assert await process.wait() == 0
    assert found["due"] == found["started"] + sum(found["missed"].values())
    assert found["started"] == sum(map(len, found["starts"].values()))
    return found


async def test_a_moved_wall_clock_and_a_freeze_each_of_its_own_process(tmp_path: Path) -> None:
    """Side by side: either one waits most of the time."""
    async with asyncio.TaskGroup() as both:
        both.create_task(moved(tmp_path))
        both.create_task(frozen())


async def moved(tmp_path: Path) -> None:
    """E1-E3, F28, F29: -1 h and then +1 day while probes run every 0.5 s, none silent or twice."""
    clock = WallClock.build(tmp_path)
    process = await start_driver(str(EVERY_S), "8", **clock.environment)

    clock.shift(-3600)
    await asyncio.sleep(3)  # the clock under test is the real one: the armed two seconds must pass
    clock.shift(DAY_S)

    found = await result_of(process)
    assert found["clock_jumps"] == 2
    for starts in (*found["starts"].values(), found["beats"]):
        gaps = [b - a for a, b in pairwise([*starts, found["ended"]])]
        assert max(gaps) <= 2 * EVERY_S + NOISE_S, gaps
        # as many as there are intervals: none twice
        assert len(starts) <= (found["ended"] - starts[0]) / EVERY_S + 2
    assert sum(found["missed"].values()) <= 2
    assert found["job_errors"] == 0


async def frozen() -> None:
    """E10, F27: SIGSTOP while targets that answer after 0.3 s are being probed: 0 `down`."""
    served = 0

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await asyncio.sleep(0.3)
        with suppress(ConnectionError):
            writer.write(b"!")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_late, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    process = await start_driver(str(EVERY_S), "8", f"{host}:{port}")

    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(4)  # the length of the freeze is what is tested
    process.send_signal(signal.SIGCONT)

    found = await result_of(process)
    server.close()
    await server.wait_closed()
    assert found["outcomes"].get("down", 0) == 0, found["reasons"]
    assert found["outcomes"]["up"] > 100
    assert set(found["reasons"]) <= {"stall"}
    # 20 probes, 4 s, 0.5 s: what could not run is counted, and did not come back as a herd
    assert found["missed"]["late"] + found["missed"]["overlap"] >= 20 * 6
    for starts in found["starts"].values():
        assert all(b - a >= 0.3 for a, b in pairwise(starts))
