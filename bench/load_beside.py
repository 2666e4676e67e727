"""Do probes start in time while a load runs beside them, and does the load end in time?

    python -m bench.load_beside [--probes 500] [--every 5] [--seconds 8] [--rate 200] [--shards 2]

Probes alone, then the same beside a load of our own children; then how far the end of the load is
from its plan. Prints a machine's share too: with all cores taken by others no figure says anything.
Exit code 1 when a promise is broken.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench import server
from bench.schedule import calibrate, quantile
from exporter.descriptors import plan_capacity
from exporter.schedule import Scheduler
from probes.kinds.http import Http
from probes.probe import Probe
from probes.run import run_once
from scenarios.arrivals import count
from scenarios.fleet.launch import Fleet
from scenarios.plan import Fences, Part, Plan, Pool, Stage
from scenarios.records import Secrets

# reliability.md P1 holds beside a load too; load.md 13
MAX_LATE_P99_S = 0.25
MAX_DURATION_ERROR_S = 0.05


@dataclass
class Figures:
    """What came out; seconds."""

    alone: list[float] = field(default_factory=list)
    starting: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    duration_error_s: float = 0.0
    due: int = 0
    begun: int = 0
    requests: int = 0
    merge_s: list[float] = field(default_factory=list)
    cpu: tuple[float, ...] = ()
    lag_s: tuple[float, ...] = ()


def plan_of(options: argparse.Namespace, port: int) -> Plan:
    return Plan(
        run_id="bench",
        scenario="bench",
        target=f"http://127.0.0.1:{port}",
        model="open",
        stages=(Stage(options.seconds, options.rate, options.rate),),
        mix=(Part("home"),),
        pool=Pool(10, 200),
        graceful_stop_s=5.0,
        shards=options.shards,
        journeys={"home": {"steps": [{"name": "home", "get": "/"}]}},
        fences=Fences(("127.0.0.1/32",)),
    )


async def load(plan: Plan, figures: Figures, delays: list[float]) -> None:
    """Run the load, and put what was late before and during it where it belongs."""
    with tempfile.TemporaryDirectory() as place:
        async with Fleet(plan, Secrets(), Path(place)) as fleet:
            await fleet.ready(60)
            figures.starting = sorted(delays)
            delays.clear()
            t0 = fleet.begin()
            while len(fleet.finals) + len(fleet.lost) < plan.shards:
                fleet.changed.clear()
                await fleet.changed.wait()
                begin = time.perf_counter()
                fleet.tally.settle(time.monotonic() - t0)
                figures.merge_s.append(time.perf_counter() - begin)
            figures.duration_error_s = time.monotonic() - t0 - plan.seconds
            figures.beside = sorted(delays)
            await fleet.ended()
            book, generators = fleet.tally.book, fleet.tally.generators
        for it in fleet.lost:
            print(f"lost         shard {it.shard}: {it.text}")
        figures.due = book.total("iteration.due")
        figures.begun = book.total("iteration.started") + book.total("iteration.dropped")
        figures.requests = sum(it.requests for it in generators)
        figures.cpu = tuple(it.cpu for it in generators)
        figures.lag_s = tuple(it.lag_p99_s for it in generators)


async def measure(options: argparse.Namespace, target: server.Target) -> Figures:
    """Let probes run alone, and then beside a load."""
    probes = [
        Probe(
            f"probe-{number}",
            Http(),
            f"http://{server.ADDRESSES[number % 8]}:{target.port}/",
            every_s=options.every,
            timeout_s=options.every,
        )
        for number in range(options.probes)
    ]
    by_name = {probe.name: probe for probe in probes}
    delays: list[float] = []

    async def run(name: str) -> None:
        await run_once(by_name[name])

    scheduler = Scheduler(run, capacity=plan_capacity(probes).limit, on_delay=delays.append)
    scheduler.set_probes({probe.name: probe.every_s for probe in probes})
    scheduler.start()
    await asyncio.sleep(options.every + 1)
    delays.clear()
    await asyncio.sleep(options.seconds)
    figures = Figures(alone=sorted(delays))
    delays.clear()
    await load(plan_of(options, target.port), figures, delays)
    await scheduler.drain()
    return figures


def line(name: str, late: list[float]) -> None:
    """Print how late the starts of a phase were."""
    p50, p99 = (quantile(late, share) * 1000 for share in (0.5, 0.99))
    most = late[-1] * 1000 if late else 0.0
    print(f"{name:12} {len(late)} starts, late p50 {p50:.2f}, p99 {p99:.2f}, max {most:.1f} ms")


def show(figures: Figures, options: argparse.Namespace) -> None:
    """Print the figures for people."""
    print(
        f"machine      {calibrate():.0f} M empty loops/s, {os.cpu_count()} cores, load average"
        f" {os.getloadavg()[0]:.1f} (about 1.5 is ours)"
    )
    line("alone", figures.alone)
    line("starting", figures.starting)
    line("beside", figures.beside)
    cpu = ", ".join(f"{it:.0%}" for it in figures.cpu)
    lag = ", ".join(f"{it * 1000:.1f}" for it in figures.lag_s)
    print(
        f"load         {figures.requests} requests at {options.rate:g}/s; cpu {cpu}; lag {lag} ms"
    )
    print(f"arrivals     {figures.begun} begun or dropped of {figures.due} due")
    print(f"end          {figures.duration_error_s * 1000:+.1f} ms beside the plan")
    merge = sorted(figures.merge_s)
    print(f"settle       p99 {quantile(merge, 0.99) * 1000:.2f} ms of the loop")


def broken_promises(figures: Figures, planned: int) -> list[str]:
    """Return what was promised and not kept."""
    broken: list[str] = []
    p99 = quantile(figures.beside, 0.99)
    if p99 > MAX_LATE_P99_S:
        broken.append(f"want starts <= {MAX_LATE_P99_S} s late beside a load, got {p99:.3f} s")
    if not figures.begun == figures.due == planned:
        broken.append(f"want {planned} arrivals, got {figures.begun} of {figures.due}")
    if abs(figures.duration_error_s) > MAX_DURATION_ERROR_S:
        broken.append(f"want the end in +- 50 ms, got {figures.duration_error_s * 1000:+.0f} ms")
    return broken


def main() -> int:
    """Run the benchmark; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", type=int, default=500)
    parser.add_argument("--every", type=float, default=5.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--shards", type=int, default=2)
    options = parser.parse_args()
    target = server.start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(options, target))
    target.stop()
    show(figures, options)
    broken = broken_promises(figures, count(plan_of(options, target.port).stages))
    print("\n".join(broken), file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
