"""A process with nothing but the schedule: 20 probes, some of them checked for true if asked.

    python -m tests.faults.schedule_driver EVERY_S SECONDS [HOST:PORT]

Says ``ready`` once all probes have run; at the end prints one JSON line with every start and the
counts. With HOST:PORT each run is a real `run_once` that waits for an answer there.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from exporter.schedule import Scheduler
from probes.errors import CheckFailed
from probes.kind import Kind
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.result import Reason
from probes.run import run_once

PROBES = 20
# Far more than a target needs on a crowded machine, far less than the freeze of the test.
TIMEOUT_S = 2.5


class Answer(Kind):
    """Up when a byte comes back."""

    name = "answer"

    async def run(self, target: str, recorder: Recorder) -> None:
        host, _, port = target.rpartition(":")
        with recorder.phase("connect"):
            reader, writer = await asyncio.open_connection(host, int(port))
        try:
            with recorder.phase("processing"):
                if not await reader.read(1):
                    raise CheckFailed(Reason.CLOSED, "want a byte, got none")
        finally:
            writer.close()


async def drive(every_s: float, seconds: float, target: str) -> dict[str, Any]:
    starts: dict[str, list[float]] = {f"p{number}": [] for number in range(PROBES)}
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    ready = False
    health = ProberHealth()

    async def run(name: str) -> None:
        nonlocal ready
        starts[name].append(time.monotonic())
        if not ready and all(starts.values()):
            ready = True
            sys.stdout.write("ready\n")
            sys.stdout.flush()
        if target:
            probe = Probe(name, Answer(), target, every_s=every_s, timeout_s=TIMEOUT_S)
            result = await run_once(probe, health=health)
            outcomes[result.outcome] += 1
            if result.failure is not None:
                reasons[result.failure.reason] += 1

    scheduler = Scheduler(run, capacity=100)
    scheduler.set_probes(dict.fromkeys(starts, every_s))
    beats: list[float] = []
    scheduler.every("beat", every_s, lambda: beats.append(time.monotonic()))
    health.start()
    scheduler.start()
    await asyncio.sleep(seconds)
    ended = time.monotonic()
    await scheduler.drain()
    await health.stop()
    stats = scheduler.stats
    return {
        "starts": starts, "beats": beats, "ended": ended, "outcomes": outcomes, "reasons": reasons,
        "due": stats.due, "started": stats.started, "missed": stats.missed,
        "clock_jumps": stats.clock_jumps, "job_errors": stats.job_errors,
    }  # fmt: skip


if __name__ == "__main__":
    found = asyncio.run(drive(float(sys.argv[1]), float(sys.argv[2]), "".join(sys.argv[3:])))
    sys.stdout.write(json.dumps(found))
