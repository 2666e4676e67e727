"""Fleets of real children: Locust, gevent, a target that counts; load.md 13 and 14."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.arrivals import Arrivals
from scenarios.fleet.launch import Fleet
from scenarios.plan import Plan, Pool, Stage
from scenarios.records import Secrets
from tests.scenarios import children
from tests.scenarios.conftest import processes_in
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
READY_S = 40.0


def plan(url: str, seconds: float, rate: float = 60.0) -> Plan:
    stages = (Stage(seconds, rate, rate),)
    return children.plan(url, stages=stages, shards=2, pool=Pool(4, 120))


def worker_of(place: Path, shard: int) -> int:
    """Return the process of a shard."""
    for number in processes_in(place):
        if f"SONDE_SHARD={shard}\0".encode() in Path(f"/proc/{number}/environ").read_bytes():
            return number
    raise AssertionError(f"want shard {shard} in {place}, got none")


@ONE_LOOP
async def test_child_3_a_killed_shard_is_lost_and_the_other_makes_exactly_its_arrivals(
    place: Path,
) -> None:
    with children.target() as target:
        made = plan(target.url, 2.0)
        async with Fleet(made, Secrets(), place) as fleet:
            await fleet.ready(READY_S)
            t0 = fleet.begin()
            await until(lambda: time.monotonic() > t0 + 0.7)
            os.kill(worker_of(place, 1), signal.SIGKILL)
            killed_at = time.monotonic()
            await until(lambda: bool(fleet.lost))
            known_s = time.monotonic() - killed_at
            await fleet.ended()
            fleet.tally.settle(float("inf"))
        came_s = [at - t0 for at in target.came_at]

    assert known_s < 1.0
    assert "SIGKILL" in fleet.lost[0].text
    other, lost = fleet.tally.generators
    assert (other.state, lost.state) == ("final", "lost")
    # 120 arrivals: 60 each
    assert other.requests == 60
    assert lost.requests < 40
    after_s = [at for at in came_s if at > killed_at - t0 + 0.1]
    due_s = [at for _, at in Arrivals(made.stages, 0, 2) if at > killed_at - t0 + 0.1]
    # who was on its way across the line
    assert abs(len(after_s) - len(due_s)) <= 2
    # nobody is early; who is late is so by a machine that is shared
    assert min(came_s) > -0.005
    assert 1.95 < max(came_s) < 2.3
    assert {it.versions["locust"][:2] for it in fleet.hellos.values()} == {"2."}


PARENT = """
import asyncio, sys
from pathlib import Path
from scenarios.fleet.launch import Fleet
from scenarios.records import Secrets
from tests.scenarios.fleet.test_launch_worker import plan

async def main():
    async with Fleet(plan(sys.argv[1], 60.0), Secrets(), Path(sys.argv[2])) as fleet:
        await fleet.ready(40)
        fleet.begin()
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_parent_2_killed_its_load_stops_within_a_second_at_the_target(tmp_path: Path) -> None:
    with children.target() as target:
        command = [sys.executable, "-c", PARENT, target.url, str(tmp_path)]
        with subprocess.Popen(command) as parent:
            asyncio.run(until(lambda: len(target.came_at) >= 30, READY_S))
            workers = processes_in(tmp_path)
            parent.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            parent.wait()
        asyncio.run(until(lambda: not processes_in(tmp_path), 1.0))
        came_at = list(target.came_at)

    assert len(workers) == 2
    assert max(came_at) - killed_at < 1.0
    # it was under full load until then
    assert killed_at - max(at for at in came_at if at <= killed_at) < 0.2
