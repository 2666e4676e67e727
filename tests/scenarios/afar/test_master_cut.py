"""The network between master and worker is cut: a worker in a network namespace of its own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.scenarios.afar.processes import START_S, Delay, Process, crowd, free_port, write_file
from tests.scenarios.afar.test_master_rows import fleet_for
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(120)]
# of TEST-NET-2 and -3: nobody else has them
MASTER, MASTERS_GUEST = "198.51.100.1", "198.51.100.2"
TARGET, TARGETS_GUEST = "203.0.113.1", "203.0.113.2"
SPACE = f"sonde-{os.getpid()}"
WAYS = {
    f"sm{os.getpid()}": (MASTER, MASTERS_GUEST),
    f"st{os.getpid()}": (TARGET, TARGETS_GUEST),
}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def space() -> Iterator[str]:
    """A network namespace with a way to the master and one to the target; the first can be cut."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("want root and ip for a network namespace, got none")
    try:
        ip("netns", "add", SPACE)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"want a network namespace, got {error.stderr!r}")
    try:
        for way, (here, there) in WAYS.items():
            ip("link", "add", way, "type", "veth", "peer", "name", f"{way}p", "netns", SPACE)
            ip("addr", "add", f"{here}/30", "dev", way)
            ip("link", "set", way, "up")
            ip("-n", SPACE, "addr", "add", f"{there}/30", "dev", f"{way}p")
            ip("-n", SPACE, "link", "set", f"{way}p", "up")
        yield SPACE
    finally:
        # the pairs go with it
        ip("netns", "del", SPACE)


def test_workers_2_a_cut_network_is_known_within_6_s_and_ends_the_load(
    space: str, tmp_path: Path
) -> None:
    delay, port = Delay(TARGET), free_port()
    file = write_file(tmp_path / "cut", delay.url, delay.url, f"{TARGET}/32")

    async def play(worker: Process) -> tuple[float, float]:
        async with await asyncio.to_thread(fleet_for, file, f"{MASTER}:{port}", 1) as fleet:
            await fleet.ready(START_S)
            fleet.begin()
            await until(lambda: len(delay.came_at) >= 30, START_S)
            await asyncio.to_thread(ip, "link", "set", next(iter(WAYS)), "down")
            cut_at = monotonic()
            await until(lambda: bool(fleet.lost), 10)
            known_s = monotonic() - cut_at
            await asyncio.to_thread(worker.ends, 15.0)
            await fleet.ended()
            return cut_at, known_s

    with crowd() as them:
        words = ("load-worker", "--master", f"{MASTER}:{port}", "--config", str(file))
        prefix = ("ip", "netns", "exec", space)
        them.append(Process(file.parent, "worker", *words, prefix=prefix))
        try:
            cut_at, known_s = asyncio.run(play(them[0]))
        finally:
            delay.close()

    assert known_s < 6
    assert them[0].process.returncode == 3
    assert "want the master to be there to the end, got silence" in them[0].err
    # it could still reach the target
    assert max(delay.came_at) > cut_at + 1
    assert max(delay.came_at) < cut_at + 5
