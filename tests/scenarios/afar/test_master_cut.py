"""The network between master and worker is cut: each is in a network namespace of its own.

The namespaces have no names: they end with the processes in them, and what a killed run leaves
behind can't take the addresses from the next one.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.scenarios.afar.processes import START_S, Delay, Process, crowd, write_file
from tests.scenarios.afar.test_master_rows import fleet_for
from tests.servers.network import own_network
from tests.servers.process import free_port
from tests.waiting import until, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(120)]
# of TEST-NET-2 and -3
MASTER, MASTERS_GUEST = "198.51.100.1", "198.51.100.2"
TARGET, TARGETS_GUEST = "203.0.113.1", "203.0.113.2"
WAYS = {"to-master": (MASTER, MASTERS_GUEST), "to-target": (TARGET, TARGETS_GUEST)}


def ip(words: str, prefix: tuple[str, ...] = ()) -> None:
    subprocess.run([*prefix, "ip", *words.split()], check=True, capture_output=True)


@pytest.fixture
def inside() -> Iterator[tuple[str, ...]]:
    """The words before a command that put it into a network with a way to ours for the master
    and one for the target.
    """
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("want root and ip for a network namespace, got none")
    with own_network():
        # it holds the other network, and ends by itself if nobody ends it
        holder = subprocess.Popen(["unshare", "--net", "sleep", "150"])
        try:
            enter = ("nsenter", "--target", str(holder.pid), "--net")
            theirs, ours = Path(f"/proc/{holder.pid}/ns/net"), Path("/proc/thread-self/ns/net")
            wait_until(lambda: theirs.readlink() != ours.readlink())
            for way, (here, there) in WAYS.items():
                ip(f"link add {way} type veth peer name {way} netns {holder.pid}")
                for prefix, address in ((), here), (enter, there):
                    ip(f"addr add {address}/30 dev {way}", prefix)
                    ip(f"link set {way} up", prefix)
            yield enter
        finally:
            holder.kill()
            holder.wait()


def test_workers_2_a_cut_network_is_known_within_6_s_and_ends_the_load(
    inside: tuple[str, ...], tmp_path: Path
) -> None:
    delay, port = Delay(TARGET), free_port()
    file = write_file(tmp_path / "cut", delay.url, delay.url, f"{TARGET}/32")

    async def play(worker: Process) -> tuple[float, float]:
        async with await asyncio.to_thread(fleet_for, file, f"{MASTER}:{port}", 1) as fleet:
            await fleet.ready(START_S)
            fleet.begin()
            await until(lambda: len(delay.came_at) >= 30, START_S)
            await asyncio.to_thread(ip, "link set to-master down")
            cut_at = monotonic()
            await until(lambda: bool(fleet.lost), 10)
            known_s = monotonic() - cut_at
            await asyncio.to_thread(worker.ends, 15.0)
            await fleet.ended()
            return cut_at, known_s

    with crowd() as them:
        words = ("load-worker", "--master", f"{MASTER}:{port}", "--config", str(file))
        them.append(Process(file.parent, "worker", *words, prefix=inside))
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
