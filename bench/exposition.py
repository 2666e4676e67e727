"""What a scrape costs: CPU, loop lag, memory; beside the client library's in the same run.

    python -m bench.exposition [--probes 10000] [--rounds 5] [--json]

Budgets (metrics.md 7.3, goals in brackets): 10,000 probes x 20 series 0.6 s [0.3 s] CPU a scrape,
50 ms [30 ms] loop lag, 150 MB; an update 60 us. Exits 1 when one is missed. Knows no network: what
a socket costs is the web server's business.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from exporter.exposition.scrape import PageQuery
from exporter.exposition.sink import MetricsSink
from exporter.exposition.stream import Exposition
from exporter.metrics import SelfMetrics
from probes.kind import Kind, Metric
from probes.probe import Probe
from probes.result import Outcome, Phase, Result, Sample

TICK_S = 0.005
PUBLISHED_PER_TICK = 5
BUDGETS = {
    "cpu_s": 0.6,
    "lag_ms": 50.0,
    "store_mb": 150.0,
    "update_us": 60.0,
}
# The constant series of a probe are 19; with these two numbers and one phase there are about 20.
SMALL = 1
# An HTTP probe over TLS: about 40.
LARGE = 14


def kind_with(samples: int) -> type[Kind]:
    """Return a kind that records so many numbers."""

    class Measured(Kind):
        name = "measured"
        metrics = tuple(Metric(f"measured_{n}_bytes", f"Number {n}") for n in range(samples))

    return Measured


def result(name: str, samples: int, value: float) -> Result:
    phases = tuple(Phase(phase, value / 5) for phase in ("resolve", "connect", "tls", "transfer"))
    return Result(
        probe=name,
        kind="measured",
        target="https://www.example.org/health",
        outcome=Outcome.UP,
        started_at=datetime.now(UTC),
        seconds=value,
        phases=phases if samples > SMALL else (),
        samples=tuple(Sample(f"measured_{n}_bytes", value * n) for n in range(samples)),
    )


def spread(n: int, turn: int) -> float:
    """Return seconds that differ from probe to probe and from turn to turn, as real ones do."""
    return 0.01 + n * 7919 % 10_007 / 10_007 + turn / 7


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def store(probes: int, samples: int) -> tuple[MetricsSink, list[str], dict[str, float]]:
    """Return a filled sink, the names of its probes, and what filling it cost."""
    kind = kind_with(samples)()
    gc.collect()
    names = [f"frontend-{n:05d}" for n in range(probes)]
    given = [
        Probe(
            name=name,
            kind=kind,
            target=f"https://host-{n * 7919 % 65536:x}.example.org/health",
            labels={"service": f"service-{n % 97}", "team": f"team-{n % 13}"},
        )
        for n, name in enumerate(names)
    ]
    before = rss_mb()
    own = SelfMetrics("0")
    sink = MetricsSink(own)
    own.bind_sink(sink)
    started = process_time()
    sink.set_probes(given)
    registered = process_time() - started
    costs: list[float] = []
    for turn in range(3):
        results = [result(name, samples, spread(n, turn)) for n, name in enumerate(names)]
        started = process_time()
        for each in results:
            sink.publish(each, Outcome.UP)
        costs.append((process_time() - started) / probes * 1e6)
        del results
    gc.collect()
    # the joins of a page are part of the store
    pieces = [piece for family in sink.blocks.families.values() for piece in family.pieces()]
    return (
        sink,
        names,
        {
            "register_us": registered / probes * 1e6,
            "update_us": min(costs[1:]),
            "store_mb": rss_mb() - before,
            "series": sink.blocks.series,
            "page_mb": sum(map(len, pieces)) / 1e6,
        },
    )


async def scrape(sink: MetricsSink, query: PageQuery) -> int:
    """Make a page that nobody has asked for within the second, and read it."""
    pages = Exposition(sink)
    size = 0
    async for chunk in pages.page(query).chunks():
        size += len(chunk)
    pages.close()
    return size


async def scrapes(
    sink: MetricsSink, names: list[str], samples: int, rounds: int, *, packed: bool
) -> dict[str, float]:
    """Scrape while probes publish; every block has changed since the scrape before."""
    lags: list[float] = []
    cpu: list[float] = []
    wall: list[float] = []
    running = True
    published = 0.0

    async def probing() -> None:
        nonlocal published
        at, due = 0, perf_counter()
        while running:
            due += TICK_S
            await asyncio.sleep(max(0.0, due - perf_counter()))
            now = perf_counter()
            lags.append(now - due)
            due = max(due, now - TICK_S)
            started = thread_time()  # the other thread packs meanwhile
            for _ in range(PUBLISHED_PER_TICK):
                at += 1
                sink.publish(result(names[at % len(names)], samples, 0.2 + at / 1e6), Outcome.UP)
            published += thread_time() - started

    quiet: list[float] = []
    for turn in range(rounds):
        for n, name in enumerate(names):
            sink.publish(result(name, samples, spread(n, turn)), Outcome.UP)
        gc.collect()
        running = True
        task = asyncio.create_task(probing())
        await asyncio.sleep(0.1)
        quiet += lags
        lags.clear()
        published, started, began = 0.0, process_time(), perf_counter()
        await scrape(sink, PageQuery(gzip=packed, openmetrics=bool(turn % 2)))
        cpu.append(process_time() - started - published)
        wall.append(perf_counter() - began)
        await asyncio.sleep(2 * TICK_S)
        running = False
        await task
    return {
        "cpu_s": median(cpu),
        "wall_s": median(wall),
        "lag_ms": max(lags) * 1e3,
        "lag_p50_ms": median(lags) * 1e3,
        "quiet_lag_ms": max(quiet) * 1e3,
    }


def client_library(probes: int, series: int) -> float:
    """Return the CPU seconds of one page of the client library."""
    registry = CollectorRegistry(auto_describe=False)
    labels = ["probe", "kind", "target", "service", "team"]
    for number in range(series):
        gauge = Gauge(f"measured_{number}_bytes", "Number", labels, registry=registry)
        for n in range(probes):
            target = "https://www.example.org/health"
            gauge.labels(f"frontend-{n:05d}", "http", target, "frontend", "web").set(n / 7)
    return cpu_of(lambda: generate_latest(registry))


def cpu_of(work: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(3):
        started = process_time()
        work()
        times.append(process_time() - started)
    return median(times)


def measure(probes: int, samples: int, rounds: int) -> dict[str, Any]:
    sink, names, found = store(probes, samples)
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)

    async def both() -> tuple[dict[str, float], dict[str, float]]:
        packed = await scrapes(sink, names, samples, rounds, packed=True)
        plain = await scrapes(sink, names, samples, rounds, packed=False)
        sink.close()
        return packed, plain

    packed, plain = uvloop.run(both())
    gc.unfreeze()
    return {"probes": probes, **found, "gzip": packed, "plain": plain}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--probes", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    large = measure(given.probes, SMALL, given.rounds)
    small = measure(1000, SMALL, given.rounds)
    wide = measure(given.probes, LARGE, 2)
    series = round(small["series"] / 1000)
    library_s = client_library(1000, series)
    ratio = library_s / max(small["gzip"]["cpu_s"], 1e-6)
    found = {
        "rated": large,
        "thousand": small,
        "wide": wide,
        "client_library_1000": {"cpu_s": library_s, "series": series, "ratio": ratio},
    }
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    missed = misses(large)
    for line in missed:
        print(line, file=sys.stderr)
    return bool(missed)


def misses(rated: dict[str, Any]) -> list[str]:
    """Return a line for each budget that is missed."""
    values = {**rated, **{key: rated["gzip"][key] for key in ("cpu_s", "lag_ms")}}
    return [
        f"want {name} <= {limit}, got {values[name]:.3g}"
        for name, limit in BUDGETS.items()
        if values[name] > limit
    ]


def show(found: dict[str, Any]) -> None:
    for name in ("thousand", "rated", "wide"):
        case = found[name]
        print(
            f"{name}: {case['probes']} probes, {case['series']} series, {case['page_mb']:.1f} MB;"
            f" register {case['register_us']:.0f} us, update {case['update_us']:.0f} us,"
            f" store {case['store_mb']:.0f} MB"
        )
        for form in ("gzip", "plain"):
            cost = case[form]
            print(
                f"  {form}: {cost['cpu_s']:.3f} s CPU, {cost['wall_s']:.3f} s, lag max"
                f" {cost['lag_ms']:.1f} ms, p50 {cost['lag_p50_ms']:.2f} ms"
                f" (quiet: max {cost['quiet_lag_ms']:.1f} ms)"
            )
    library = found["client_library_1000"]
    print(
        f"client library: 1000 probes x {library['series']}: {library['cpu_s']:.3f} s CPU a page,"
        f" {library['ratio']:.1f} times ours with gzip"
    )


if __name__ == "__main__":
    sys.exit(main())
