"""The charts of a load run: rate, latency, failures, users, and how the generators fared.

Pure. Knows no HTML.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from scenarios.outlets import words
from scenarios.outlets.charts import Chart, Frame, Series
from scenarios.outlets.figures import Bin, bins
from scenarios.report import LoadReport, Second

# A screen has no more pixels for a chart, and a page no more bytes.
MAX_BINS = 180
# load.md 10.1: a generator beyond these cannot measure.
BUSY_CPU = 0.85
BUSY_LAG_S = 0.05
# More limits than these hide the curve.
MAX_LIMITS = 2
_LIMIT = re.compile(r"(p[0-9.]{1,5}|max)\(request\.duration\) <=? .*", re.ASCII)


def frame_of(report: LoadReport) -> Frame:
    """Return the time axis of a run that has a timeline."""
    parts = bins(report.timeline, MAX_BINS)
    begin, end = parts[0].at, parts[-1].at + parts[-1].seconds
    return Frame(
        begin=begin,
        end=end,
        spans=[(it.at, it.at + it.seconds) for it in parts],
        shades=list(_shades(report.timeline)),
        edges=[it for it in _edges(report) if begin < it < end],
        marks=list(_marks(report)),
    )


def _shades(timeline: Sequence[Second]) -> Iterator[tuple[float, float, str]]:
    """Yield the stretches that are not measured."""
    begin: int | None = None
    for it in timeline:
        if it.is_measured and begin is not None:
            yield begin, it.at, "warm-up" if begin == timeline[0].at else "unmeasured"
            begin = None
        elif not it.is_measured and begin is None:
            begin = it.at
    if begin is not None:
        yield begin, timeline[-1].at + timeline[-1].seconds, "unmeasured"


def _edges(report: LoadReport) -> Iterator[float]:
    at = 0.0
    for stage in report.plan.stages[:-1] if report.plan else ():
        at += stage.seconds
        yield at


def _marks(report: LoadReport) -> Iterator[tuple[float, str]]:
    for it in report.generators:
        if it.state == "lost":
            yield float(it.seconds), f"generator {it.shard} lost"


def charts_of(report: LoadReport) -> list[Chart]:
    """Return the charts of a run that has a timeline."""
    parts = bins(report.timeline, MAX_BINS)
    is_open = report.plan is None or report.plan.model == "open"
    return [
        _rate(parts, is_open=is_open),
        _latency(parts, report, is_open=is_open),
        _failures(parts),
        _users(parts, is_open=is_open),
        _cpu(parts),
        _lag(parts),
    ]


def _each(parts: Sequence[Bin], of: Callable[[Bin], float | None]) -> list[float | None]:
    return [of(it) for it in parts]


def _rate(parts: Sequence[Bin], *, is_open: bool) -> Chart:
    if not is_open:
        series = [
            Series("requests", "c5", "dash", _each(parts, lambda it: it.requests)),
            Series("iterations ended", "c1", "line", _each(parts, lambda it: it.completed)),
        ]
        return Chart("rate", "Rate", "a second", series, words.rate)
    series = [
        Series("wanted", "c5", "area", _each(parts, lambda it: it.wanted)),
        Series("ended", "c3", "dash", _each(parts, lambda it: it.completed)),
        Series("started", "c1", "line", _each(parts, lambda it: it.started)),
        Series("dropped", "c2", "bars", _each(parts, lambda it: it.dropped)),
    ]
    return Chart("rate", "Rate", "iterations a second", series, words.rate)


def _latency(parts: Sequence[Bin], report: LoadReport, *, is_open: bool) -> Chart:
    p50, p95 = _each(parts, lambda it: it.p50), _each(parts, lambda it: it.p95)
    series = [
        Series("p99", "c1 faint", "band", _each(parts, lambda it: it.p99), p95),
        Series("p95", "c1", "band", p95, p50),
        Series("p50", "c1", "line", p50),
    ]
    if is_open:
        whole = _each(parts, lambda it: it.latency_p99)
        series.append(Series("iteration p99, from its due time", "c2", "dash", whole))
    limits = [
        # the curve is of each second, the limit of all together: it may be crossed and hold
        (f"limit of the run's {found[1]}", it.limit)
        for it in report.thresholds
        if it.level == "fail" and it.unit == "s" and (found := _LIMIT.fullmatch(it.expr))
    ]
    return Chart(
        "latency", "Latency", "good requests", series, words.delay, limits[:MAX_LIMITS],
        may_be_log=True,
    )  # fmt: skip


def _failures(parts: Sequence[Bin]) -> Chart:
    series = [Series("failed", "c2", "bars", _each(parts, lambda it: it.failures))]
    return Chart("failed", "Failed requests", "a second", series, words.rate, top=1.0)


def _users(parts: Sequence[Bin], *, is_open: bool) -> Chart:
    series = [
        Series("users", "c3", "area", _each(parts, lambda it: it.users)),
        Series("busy", "c3", "line", _each(parts, lambda it: it.busy)),
    ]
    if not is_open:
        series.append(Series("wanted", "c5", "dash", _each(parts, lambda it: it.wanted)))
    return Chart("users", "Virtual users", "", series, words.digits, top=4.0)


def _cpu(parts: Sequence[Bin]) -> Chart:
    series = [Series("CPU", "c4", "area", _each(parts, lambda it: it.cpu))]
    return Chart(
        "cpu", "Generator CPU", "busiest core", series, words.share,
        [("too busy", BUSY_CPU)], top=1.0,
    )  # fmt: skip


def _lag(parts: Sequence[Bin]) -> Chart:
    series = [Series("lag p99", "c4", "area", _each(parts, lambda it: it.lag_p99))]
    return Chart(
        "lag", "Generator lag", "how late its timers come", series, words.delay,
        [("too late", BUSY_LAG_S)], top=BUSY_LAG_S * 1.2,
    )  # fmt: skip
