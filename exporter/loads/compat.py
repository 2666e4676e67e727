"""What a load run shows under the names of locust_exporter and of k6: their dashboards work on.

Pure: a look at a run in, samples out. Knows no page.

Source:
    https://github.com/ContainerSolutions/locust_exporter,
    https://grafana.com/docs/k6/latest/results-output/real-time/prometheus-remote-write/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exporter.exposition.load_families import (
    DROPPED,
    ITERATIONS,
    K6_CHECKS,
    K6_DROPPED,
    K6_FAILED,
    K6_ITERATIONS,
    K6_P99,
    K6_REQUESTS,
    K6_VUS,
    LOCUST_AVERAGE,
    LOCUST_ERRORS,
    LOCUST_FAIL_RATIO,
    LOCUST_FAILURES,
    LOCUST_GREATEST,
    LOCUST_LEAST,
    LOCUST_MEDIAN,
    LOCUST_P50,
    LOCUST_P95,
    LOCUST_RATE,
    LOCUST_REQUESTS,
    LOCUST_RUNNING,
    LOCUST_USERS,
    LOCUST_WORKERS,
    LOCUST_WORKERS_MISSING,
    LOCUST_WORKERS_RUNNING,
    REQUESTS,
)
from exporter.loads.totals import Counted
from exporter.loads.verdicts import RUNNING, Samples, states_of
from probes.families import Family
from scenarios.book import Book
from scenarios.histogram import Histogram
from scenarios.outlets.live import Live
from scenarios.report import Generator

STOPPED, STARTING, UNDER_WAY = 0.0, 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Sight:
    """The run of now, or the last one.

    Args:
        is_active: whether it goes on.
        live: how it stands; None: nothing is known of now.
        book: what it has counted.
        generators: one a shard.
        totals: what all runs have counted.
    """

    is_active: bool = False
    live: Live | None = None
    book: Book = field(default_factory=Book)
    generators: tuple[Generator, ...] = ()
    totals: Counted = field(default_factory=Counted)


@dataclass(slots=True)
class _Asked:
    """The requests of one method and name."""

    times: Histogram = field(default_factory=Histogram)
    failures: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def _asked(book: Book) -> Mapping[tuple[str, str], _Asked]:
    found: dict[tuple[str, str], _Asked] = {}
    for key, histogram in book.durations.items():
        if key.metric == "request.duration":
            found.setdefault((key.method, key.step), _Asked()).times.merge(histogram)
    for key, number in book.numbers.items():
        if key.metric == "request.failed":
            it = found.setdefault((key.method, key.step), _Asked())
            it.failures += number
            it.reasons[key.reason] = it.reasons.get(key.reason, 0) + number
    return found


def locust_samples(sight: Sight) -> Iterator[tuple[Family, Samples]]:
    """Yield the families of locust_exporter."""
    live, asked = sight.live if sight.is_active else None, _asked(sight.book)
    yield LOCUST_USERS, [((), live.users if live else 0)]
    has_begun = live is not None and live.has_begun
    running = UNDER_WAY if has_begun else STARTING if sight.is_active else STOPPED
    yield LOCUST_RUNNING, [((), running)]
    yield LOCUST_REQUESTS, [(key, it.times.count) for key, it in asked.items()]
    yield LOCUST_FAILURES, [(key, it.failures) for key, it in asked.items()]
    yield LOCUST_AVERAGE, [(key, 1000 * it.times.mean) for key, it in asked.items()]
    yield LOCUST_MEDIAN, [(key, 1000 * it.times.quantile(0.5)) for key, it in asked.items()]
    yield LOCUST_LEAST, [(key, it.times.least / 1000) for key, it in asked.items()]
    yield LOCUST_GREATEST, [(key, it.times.greatest / 1000) for key, it in asked.items()]
    yield LOCUST_RATE, [((), live.requests if live else 0)]
    yield LOCUST_FAIL_RATIO, [((), _failed_share(asked))]
    yield LOCUST_P50, [((), 1000 * (live.p50 or 0) if live else 0)]
    yield LOCUST_P95, [((), 1000 * (live.p95 or 0) if live else 0)]
    yield (
        LOCUST_ERRORS,
        [((*key, why), n) for key, it in asked.items() for why, n in it.reasons.items()],
    )
    states = states_of(sight.generators, is_active=sight.is_active)
    yield LOCUST_WORKERS, [((), len(sight.generators))]
    yield LOCUST_WORKERS_RUNNING, [((), states[RUNNING])]
    yield LOCUST_WORKERS_MISSING, [((), states["lost"])]


def k6_samples(sight: Sight) -> Iterator[tuple[Family, Samples]]:
    """Yield the families of k6's output for Prometheus."""
    live, asked = sight.live if sight.is_active else None, _asked(sight.book)
    by_k6 = {(name, method): it for (method, name), it in asked.items()}
    counts: dict[tuple[str, ...], int] = {}
    iterations = dropped = 0
    for (family, labels), (first, *_) in sight.totals.items():
        if family == REQUESTS.name:
            key = labels[1:3]  # step and method
            counts[key] = counts.get(key, 0) + first
        elif family == ITERATIONS.name:
            iterations += first
        elif family == DROPPED.name:
            dropped = first
    yield K6_VUS, [((), live.users if live else 0)]
    yield K6_REQUESTS, list(counts.items())
    yield K6_P99, [(key, it.times.quantile(0.99)) for key, it in by_k6.items()]
    yield K6_FAILED, [(key, it.failures / max(it.times.count, 1)) for key, it in by_k6.items()]
    yield K6_ITERATIONS, [((), iterations)]
    yield K6_DROPPED, [((), dropped)]
    if asked:
        yield K6_CHECKS, [((), 1 - _failed_share(asked))]


def _failed_share(asked: Mapping[tuple[str, str], _Asked]) -> float:
    whole = sum(it.times.count for it in asked.values())
    return sum(it.failures for it in asked.values()) / whole if whole else 0.0
