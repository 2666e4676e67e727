"""Does the schedule keep its promise? 10,000 HTTP probes at 10 s in one process (P1, L1, L2, L15).

    python -m bench.schedule [--probes 10000] [--every 10] [--seconds 60] [--hang] [--metrics]

Prints start lateness, missed runs, CPU and memory, and what this machine is worth: a figure without
the calibration line says nothing. Exit code 1 when a promise is broken.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass

import uvloop

from bench import server
from exporter.descriptors import plan_capacity
from exporter.exposition.options import MetricsOptions
from exporter.exposition.sink import MetricsSink
from exporter.metrics import SelfMetrics
from exporter.schedule import Scheduler
from exporter.service import GC_THRESHOLDS
from probes.kinds.http import Http
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.result import Result
from probes.run import run_once

CALIBRATION_LOOPS = 2_000_000
# reliability.md: P1, P9 and L2
MAX_LATE_P99_S = 0.25
MAX_RSS_MIB = 300
# The loop is judged when every probe has run once: a first Result makes the series of its probe.
WARM_UP_S = 12.0


@dataclass
class Figures:
    """What came out; seconds, MiB, shares of one core."""

    probes: int
    every_s: float
    seconds: float
    loop: str
    calibration_mloops: float
    others_load: float
    per_second: float
    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    loop_lag_max_s: float
    run_p50_s: float
    run_p99_s: float
    overshoot_max_s: float
    cpu_share: float
    cpu_us_per_run: float
    target_cpu_share: float
    rss_mib: float
    rss_max_mib: float
    due: int
    started: int
    missed: dict[str, int]
    outcomes: dict[str, int]
    reasons: dict[str, int]


def calibrate() -> float:
    """Return how many million turns of an empty loop this core makes in a second."""
    begin = time.perf_counter()
    for _ in range(CALIBRATION_LOOPS):
        pass
    return CALIBRATION_LOOPS / (time.perf_counter() - begin) / 1e6


def rss_mib() -> float:
    """Return the resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a bench, not ours
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def quantile(sorted_values: list[float], share: float) -> float:
    """Return the value that *share* of the values do not exceed."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def metrics_sink(probes: list[Probe]) -> Callable[[Result], None]:
    """Return what `sonde run` does with every Result to keep its page up to date."""
    sink = MetricsSink(SelfMetrics("bench"), MetricsOptions())
    sink.set_probes(probes, MetricsOptions())
    return lambda result: sink.publish(result, result.outcome)


async def measure(options: argparse.Namespace, target: server.Target) -> Figures:
    """Let the schedule run and return what was seen after the warm-up."""
    kind = Http()
    probes = [
        Probe(
            f"probe-{number}",
            kind,
            f"http://{server.ADDRESSES[number % 8]}:{target.port}/health",
            every_s=options.every,
            timeout_s=options.timeout,
        )
        for number in range(options.probes)
    ]
    by_name = {probe.name: probe for probe in probes}
    capacity = plan_capacity(probes)
    if capacity.warning:
        print(capacity.warning, file=sys.stderr)
    sink = metrics_sink(probes) if options.metrics else None
    health = ProberHealth()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    durations: list[float] = []
    delays: list[float] = []

    async def run(name: str) -> None:
        result = await run_once(by_name[name], health=health)
        outcomes[result.outcome] += 1
        if result.failure is not None:
            reasons[result.failure.reason] += 1
        durations.append(result.seconds)
        if sink is not None:
            sink(result)

    scheduler = Scheduler(run, capacity=capacity.limit, on_delay=delays.append)
    scheduler.set_probes({probe.name: probe.every_s for probe in probes})
    gc.collect()
    gc.freeze()
    gc.set_threshold(*options.gc)
    health.start()
    scheduler.start()
    await asyncio.sleep(options.warm_up)
    delays.clear()
    durations.clear()
    begin, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(options.seconds)
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    memory, lag = rss_mib(), health.worst_lag(seconds)
    late, ran = sorted(delays), sorted(durations)
    await scheduler.drain()
    await health.stop()
    target.stop()
    stats = scheduler.stats
    return Figures(
        probes=options.probes,
        every_s=options.every,
        seconds=seconds,
        loop=options.loop,
        calibration_mloops=options.calibration,
        others_load=os.getloadavg()[0],
        per_second=len(late) / seconds,
        late_p50_s=quantile(late, 0.5),
        late_p99_s=quantile(late, 0.99),
        late_max_s=late[-1] if late else 0.0,
        loop_lag_max_s=lag,
        run_p50_s=quantile(ran, 0.5),
        run_p99_s=quantile(ran, 0.99),
        overshoot_max_s=max(0.0, ran[-1] - options.timeout) if ran else 0.0,
        cpu_share=cpu / seconds,
        cpu_us_per_run=cpu / max(1, len(late)) * 1e6,
        target_cpu_share=target.cpu_s / (seconds + options.warm_up),
        rss_mib=memory,
        rss_max_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        due=stats.due,
        started=stats.started,
        missed={str(reason): runs for reason, runs in stats.missed.items()},
        outcomes=dict(outcomes),
        reasons=dict(reasons),
    )


def broken_promises(figures: Figures) -> list[str]:
    """Return what was promised and not kept."""
    broken = []
    if figures.due != figures.started + sum(figures.missed.values()):
        broken.append("P1: want due = started + missed")
    if figures.late_p99_s > MAX_LATE_P99_S:
        broken.append(f"P1: want starts <= {MAX_LATE_P99_S} s late, got {figures.late_p99_s:.3f} s")
    if figures.rss_max_mib > MAX_RSS_MIB:
        broken.append(f"P9: want <= {MAX_RSS_MIB} MiB, got {figures.rss_max_mib:.0f} MiB")
    return broken


def show(figures: Figures) -> None:
    """Print the figures for people."""
    print(
        f"machine      {figures.calibration_mloops:.0f} M empty loops/s, {os.cpu_count()} cores,"
        f" load average {figures.others_load:.1f} (about 0.5 is ours)"
    )
    print(f"load         {figures.probes} probes every {figures.every_s:g} s, loop {figures.loop}")
    print(f"started      {figures.per_second:.0f}/s for {figures.seconds:.0f} s")
    print(
        f"late         p50 {figures.late_p50_s * 1000:.2f} ms, p99 {figures.late_p99_s * 1000:.2f}"
        f" ms, max {figures.late_max_s * 1000:.1f} ms, lag {figures.loop_lag_max_s * 1000:.0f} ms"
    )
    print(
        f"run          p50 {figures.run_p50_s * 1000:.2f} ms, p99 {figures.run_p99_s * 1000:.2f} ms"
        f", over the timeout by {figures.overshoot_max_s * 1000:.0f} ms at most"
    )
    print(
        f"cpu          {figures.cpu_share:.0%} of a core, {figures.cpu_us_per_run:.0f} us a run; "
        f"the target {figures.target_cpu_share:.0%}"
    )
    print(f"memory       {figures.rss_mib:.0f} MiB, at most {figures.rss_max_mib:.0f} MiB")
    print(f"missed       {figures.missed} of {figures.due} due")
    print(f"outcomes     {figures.outcomes} {figures.reasons}")


def main() -> int:
    """Run the benchmark; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=10.0, help="seconds")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--hang", action="store_true", help="the target never answers (L2)")
    parser.add_argument("--metrics", action="store_true", help="record every Result as metrics")
    parser.add_argument("--gc", type=int, nargs=3, default=GC_THRESHOLDS, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.calibration = calibrate()
    target = server.start(hang=options.hang)
    factory = uvloop.new_event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        figures = runner.run(measure(options, target))
    if options.json:
        print(json.dumps(asdict(figures)))
    else:
        show(figures)
    broken = broken_promises(figures)
    print("\n".join(broken), file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
