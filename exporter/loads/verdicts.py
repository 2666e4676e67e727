"""What the last run of a scenario came to, as samples: its verdict, thresholds, quantiles.

Pure: a report in, samples by family out; read by the page of the service, and by what a single run
writes or pushes. Knows no page.
"""

from collections.abc import Iterable, Iterator, Mapping

from exporter.exposition.blocks import label_text, moment, number
from exporter.exposition.load_families import (
    BEFORE,
    CPU,
    ENDED,
    INFO,
    LAG,
    MEMORY,
    OPEN_FDS,
    QUANTILE,
    RATIO,
    SATURATED,
    SCENARIO,
    SHARDS,
    STARTED,
    THRESHOLD_LIMIT,
    THRESHOLD_OK,
    THRESHOLD_VALUE,
    VERDICT,
)
from probes.families import Family
from scenarios.histogram import Histogram
from scenarios.report import Generator, LoadReport, Verdict

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of the family's labels but the first, which is the scenario; the number."""

# load.md 7.3, 9.2: names and the normalised expression, cut.
MAX_VALUE_BYTES = 128
GOOD = frozenset({"up", "degraded"})
QUANTILES = (0.5, 0.9, 0.95, 0.99)
RUNNING = "running"
STATES: tuple[str, ...] = (RUNNING, "final", "lost", "never")


def lines_of(scenario: str, family: Family, samples: Samples) -> str:
    """Return the samples of a family as lines; of two with equal labels the first."""
    told: dict[str, str] = {}
    names = family.labels[1:]
    for values, value in samples:
        pairs = ((SCENARIO, scenario), *zip(names, values, strict=True))
        told.setdefault(label_text(pairs, MAX_VALUE_BYTES), _written(family, value))
    name = family.name
    return "".join([f"{name}{{{labels}}} {value}\n" for labels, value in told.items()])


def _written(family: Family, value: float) -> str:
    return moment(value) if family.name.endswith("_timestamp_seconds") else number(value)


def of_report(report: LoadReport) -> Iterator[tuple[Family, Samples]]:
    """Yield the verdict group of a run."""
    yield VERDICT, [((it.value,), float(it is report.verdict)) for it in Verdict]
    yield STARTED, [((), report.started_at.timestamp())]
    yield ENDED, [((), report.ended_at.timestamp())]
    yield INFO, [((report.run_id, report.git_ref, report.config_hash), 1.0)]
    told = {it.expr: it for it in reversed(report.thresholds)}
    judged = [((expr,), it) for expr, it in reversed(told.items())]
    yield THRESHOLD_VALUE, [(key, it.value) for key, it in judged if it.value is not None]
    yield THRESHOLD_LIMIT, [(key, it.limit) for key, it in judged]
    yield THRESHOLD_OK, [(key, float(it.result == "ok")) for key, it in judged]
    yield QUANTILE, list(_quantiles(report))
    stats = report.comparison.stats if report.comparison is not None else ()
    yield BEFORE, [((it.stat,), it.before) for it in stats if it.before is not None]
    yield RATIO, [((it.stat,), it.ratio) for it in stats if it.ratio is not None]


def _quantiles(report: LoadReport) -> Samples:
    found: dict[str, list[Histogram]] = {}
    for key, it in report.book.durations.items():
        if key.metric == "request.duration" and key.measured and key.outcome in GOOD and it.count:
            found.setdefault(key.step, []).append(it)
    for step, histograms in sorted(found.items()):
        whole = histograms[0]
        if len(histograms) > 1:
            whole = Histogram()
            for it in histograms:
                whole.merge(it)
        for share, value in zip(QUANTILES, whole.quantiles(QUANTILES), strict=True):
            yield (step, number(share)), value


def of_generators(
    generators: Iterable[Generator], *, is_active: bool
) -> Iterator[tuple[Family, Samples]]:
    """Yield how the generators of the last run fare, or have fared."""
    every = tuple(generators)
    heard = [((str(it.shard),), it) for it in every if it.seconds]
    yield CPU, [(key, it.cpu) for key, it in heard]
    yield LAG, [(key, it.lag_p99_s) for key, it in heard]
    yield MEMORY, [(key, it.rss_bytes) for key, it in heard]
    yield OPEN_FDS, [(key, it.fds) for key, it in heard]
    yield SATURATED, [((), float(any(it.is_saturated for it in every)))]
    states = states_of(every, is_active=is_active)
    yield SHARDS, [((state,), count) for state, count in states.items()]


def states_of(generators: Iterable[Generator], *, is_active: bool) -> Mapping[str, int]:
    """Return how many generators are in each of `STATES`."""
    states: dict[str, int] = dict.fromkeys(STATES, 0)
    for it in generators:
        is_running = is_active and it.state == "never" and it.seconds > 0
        states[RUNNING if is_running else it.state] += 1
    return states
