"""What a threshold looks at, out of a book; figures of the same threshold can be added up.

    Figure     trend (a histogram), or part of whole
    Windows    completed iterations per 10 s inside the measured stages: the throughput

So one function serves the end of a run, its first seconds and a window that slides. Pure. Knows no
clock and no rule.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from scenarios.book import GOOD, LATE, Book, Key
from scenarios.histogram import Histogram
from scenarios.plan import Stage
from scenarios.thresholds import THROUGHPUT, Label, Op, Threshold, edges_of

# load.md 5.4: unknown is the generator's own fault, it is in no rate and in no percentile.
UNKNOWN = "unknown"
_DEFAULT_OUTCOMES: Mapping[str, frozenset[str]] = {
    "request.duration": GOOD,
    "iteration.duration": GOOD,
    "iteration.latency": LATE,
}
# label of a threshold -> part of a key
_PARTS = {"code_class": "code", "probe": "journey"}
# They say where something happened, not how it went: whether there are samples is asked of these.
_PLACES = frozenset({"journey", "step", "method", "probe"})
_REQUESTS = "request.duration"
# What a rate is a share of.
_WHOLES: Mapping[str, tuple[str, ...]] = {
    "iteration.failed": ("iteration.completed",),
    "iteration.interrupted": ("iteration.started",),
    "iteration.dropped": ("iteration.due",),
    "setup.failed": ("setup.failed", "setup.done"),
}
_SETUP = "setup."
WINDOW_S = 10
_EPSILON_S = 1e-6

COMPARE: Mapping[Op, Callable[[float, float], bool]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "==": lambda value, limit: value == limit,
    "!=": lambda value, limit: value != limit,
}


@dataclass(slots=True)
class Figure:
    """What was seen of one threshold.

    Args:
        trend: durations.
        part: events, or bytes.
        whole: what they are a share of; 0: there were no samples.
    """

    trend: Histogram = field(default_factory=Histogram)
    part: int = 0
    whole: int = 0

    def merge(self, other: "Figure") -> None:
        """Add what *other* has seen."""
        self.trend.merge(other.trend)
        self.part += other.part
        self.whole += other.whole

    def remove(self, other: "Figure") -> None:
        """Take away what was merged before; least and greatest stay as they are."""
        trend, gone = self.trend, other.trend
        for bucket, number in gone.buckets.items():
            left = trend.buckets[bucket] - number
            if left:
                trend.buckets[bucket] = left
            else:
                del trend.buckets[bucket]
        for limit in trend.above:
            trend.above[limit] -= gone.above.get(limit, 0)
        trend.count -= gone.count
        trend.total -= gone.total
        self.part -= other.part
        self.whole -= other.whole

    def __bool__(self) -> bool:
        return bool(self.trend.count or self.part or self.whole)


def browser_key(probe: str, vital: str) -> Key:
    """Return where a book keeps ``lcp``, ``cls`` ... of a guard that is a browser."""
    return Key(f"browser.{vital}", journey=probe)


def unknown_in(book: Book, labels: Iterable[Label] = ()) -> int:
    """Count measured iterations that were completed and failed by our own fault."""
    labels = tuple(labels)
    return sum(
        it.count
        for key, it in book.durations.items()
        if key.metric == "iteration.duration"
        and key.outcome == UNKNOWN
        and key.measured
        and fits(key, labels)
    )


def figure_of(threshold: Threshold, book: Book) -> Figure:
    """Return what *book* holds about *threshold*."""
    if threshold.asks_prometheus:
        return Figure()
    if threshold.metric == THROUGHPUT:
        return Figure(part=_completed(threshold, book))
    if threshold.metric.startswith("data."):
        return Figure(
            part=_numbers(book, (threshold.metric,), threshold.labels),
            whole=_requests(book, threshold.labels),
        )
    if threshold.unit == "%" or threshold.metric.endswith((".failed", ".dropped", ".interrupted")):
        return _events(threshold, book)
    return _trend(threshold, book)


def value_of(threshold: Threshold, figure: Figure) -> float | None:
    """Return the value, in the threshold's unit; None: no samples, no data.

    Of a percentile it lies on the side of the limit that the exact counts say.
    """
    aggregate, trend = threshold.aggregate, figure.trend
    if aggregate == "count":
        return float(trend.count or figure.part) if figure.whole else None
    if aggregate == "rate":
        # an event of a stock client may come without a duration
        whole = max(figure.whole, figure.part)
        return 100.0 * figure.part / whole if whole else None
    if threshold.unit == "B":
        return _bytes(aggregate, figure)
    return _duration(threshold, trend) if trend.count else None


def is_met(threshold: Threshold, figure: Figure, value: float) -> bool:
    """Tell whether the limit is kept; of a percentile exact counts decide, if there are any."""
    exact = _is_met_exactly(threshold, figure.trend)
    return COMPARE[threshold.op](value, threshold.limit) if exact is None else exact


def _bytes(aggregate: str, figure: Figure) -> float | None:
    if not figure.whole:
        return None
    return figure.part / figure.whole if aggregate == "avg" else float(figure.part)


def _duration(threshold: Threshold, trend: Histogram) -> float:
    share = threshold.quantile
    if share is None:
        return {
            "min": trend.least / 1e6,
            "max": trend.greatest / 1e6,
            "avg": trend.mean,
            "sum": trend.total / 1e6,
        }[threshold.aggregate]
    value, met = trend.quantile(share), _is_met_exactly(threshold, trend)
    if met is None or COMPARE[threshold.op](value, threshold.limit) is met:
        return value
    # the middle of a bucket that the limit cuts: the nearest value on the true side
    return _true_side(threshold, value)


def _true_side(threshold: Threshold, value: float) -> float:
    step = 1e-6
    limit = threshold.limit
    near = [limit, round(limit - step, 6), round(limit + step, 6)]
    met = not COMPARE[threshold.op](value, limit)
    return next((it for it in near if COMPARE[threshold.op](it, limit) is met), value)


def _is_met_exactly(threshold: Threshold, trend: Histogram) -> bool | None:
    """Say whether the percentile keeps its limit, by how many samples lie above it."""
    share, edges = threshold.quantile, edges_of(threshold)
    if share is None or not edges or not trend.count:
        return None
    above = [trend.count_above(edge) for edge in edges]
    if None in above:
        return None
    # the smallest value that at least this share does not exceed; in decimals: 0.07 * 100 is 7.0…01
    rank = max(1, math.ceil(Decimal(repr(share)) * trend.count))
    upto = [trend.count - (it or 0) >= rank for it in above]
    match threshold.op:
        case "<" | "<=":
            return upto[0]
        case ">" | ">=":
            return not upto[0]
        case "==":
            return upto[1] and not upto[0]
        case "!=":
            return upto[0] or not upto[1]


def _trend(threshold: Threshold, book: Book) -> Figure:
    named = any(label.name == "outcome" for label in threshold.labels)
    outcomes = None if named else _DEFAULT_OUTCOMES.get(threshold.metric)
    places = _placed(threshold.labels)
    found = Figure(Histogram(book.limits.get(threshold.metric, ())))
    for key, histogram in book.durations.items():
        if key.metric != threshold.metric or not key.measured or key.outcome == UNKNOWN:
            continue
        if fits(key, places):
            found.whole += histogram.count
        if (outcomes is None or key.outcome in outcomes) and fits(key, threshold.labels):
            found.trend.merge(histogram)
    return found


def _events(threshold: Threshold, book: Book) -> Figure:
    metric, labels = threshold.metric, threshold.labels
    part = _numbers(book, (metric,), labels)
    # how many of nothing is no answer: who counts asks for samples at the same place
    around = _placed(labels) if threshold.aggregate == "count" else labels
    around = tuple(it for it in around if it.name != "reason")
    if metric in _WHOLES:
        # the first step that failed is only known of those that failed
        around = tuple(it for it in around if it.name != "step")
        whole = _numbers(book, _WHOLES[metric], around)
        if metric == "iteration.failed":
            whole -= unknown_in(book, around)
        return Figure(part=part, whole=whole)
    return Figure(part=part, whole=_requests(book, around))


def _numbers(book: Book, metrics: tuple[str, ...], labels: Iterable[Label]) -> int:
    labels = tuple(labels)
    return sum(
        number
        for key, number in book.numbers.items()
        if key.metric in metrics
        # users set up in a warm-up serve the measured stages too
        and (key.measured or key.metric.startswith(_SETUP))
        and key.outcome != UNKNOWN
        and fits(key, labels)
    )


def _requests(book: Book, labels: Iterable[Label]) -> int:
    labels = tuple(labels)
    return sum(
        it.count
        for key, it in book.durations.items()
        if key.metric == _REQUESTS and key.measured and key.outcome != UNKNOWN and fits(key, labels)
    )


def _completed(threshold: Threshold, book: Book) -> int:
    """Count what was completed, whenever it was due: a window of time does not ask."""
    return sum(
        number
        for key, number in book.numbers.items()
        if key.metric == "iteration.completed" and fits(key, threshold.labels)
    )


def fits(key: Key, labels: Iterable[Label]) -> bool:
    """Tell whether all *labels* hold for *key*."""
    return all(
        (getattr(key, _PARTS.get(it.name, it.name)) == it.value) is it.is_equal for it in labels
    )


def _placed(labels: Iterable[Label]) -> tuple[Label, ...]:
    return tuple(it for it in labels if it.name in _PLACES)


class Windows:
    """Completed iterations per 10 s, each window inside one measured stretch of the run.

    A rest shorter than a window is left out, unless there is nothing else: then it is the window.

    Args:
        stages: of the plan; none: the model ``iterations``, measured as long as it lasts.
    """

    __slots__ = ("_counts", "_stretches")

    def __init__(self, stages: Iterable[Stage] = ()) -> None:
        self._stretches = _stretches_of(stages)
        self._counts: dict[tuple[int, int], dict[str, int]] = {}

    def add(self, at_s: float, delta: Book) -> None:
        """Count what was completed in the second that began at *at_s*."""
        for key, number in delta.numbers.items():
            if key.metric == "iteration.completed":
                self.add_completed(at_s, key.journey, number)

    def add_completed(self, at_s: float, journey: str, number: int) -> None:
        """Count completed iterations of one journey."""
        place = self._place(at_s)
        if place is not None:
            counts = self._counts.setdefault(place, {})
            counts[journey] = counts.get(journey, 0) + number

    def is_inside(self, first_s: float, last_s: float) -> bool:
        """Tell whether all of this time is measured."""
        return any(
            first - _EPSILON_S <= first_s and last_s <= last + _EPSILON_S
            for first, last in self._stretches
        )

    def rates(self, ended_s: float, *, is_over: bool = True) -> tuple[Mapping[str, float], ...]:
        """Return journey -> iterations a second, of each window that was over at *ended_s*.

        Args:
            ended_s: of the run, or now.
            is_over: the run is; else a rest is a window that has only begun, and says nothing: in
                its first second hardly an iteration has ended.
        """
        found: list[Mapping[str, float]] = []
        rests: list[tuple[float, int]] = []
        for at, (first, last) in enumerate(self._stretches):
            seconds = min(last, ended_s) - first
            whole = int((seconds + _EPSILON_S) // WINDOW_S)
            found += [self._rate(at, number, WINDOW_S) for number in range(whole)]
            if not whole and seconds >= 1:
                rests.append((seconds, at))
        if found or not rests or not is_over:
            return tuple(found)
        seconds, at = max(rests)
        return (self._rate(at, 0, seconds),)

    def _place(self, at_s: float) -> tuple[int, int] | None:
        for at, (first, last) in enumerate(self._stretches):
            if first - _EPSILON_S <= at_s < last - _EPSILON_S:
                return at, int((at_s - first + _EPSILON_S) // WINDOW_S)
        return None

    def _rate(self, stretch: int, window: int, seconds: float) -> Mapping[str, float]:
        counts = self._counts.get((stretch, window), {})
        return {journey: number / seconds for journey, number in counts.items()}


def throughput(threshold: Threshold, rates: Iterable[Mapping[str, float]]) -> float | None:
    """Return ``min``, ``max`` or ``avg`` of what `Windows.rates` said; None: nothing was."""
    metric, labels = "iteration.completed", threshold.labels
    sums = [
        sum(rate for journey, rate in them.items() if fits(Key(metric, journey), labels))
        for them in rates
    ]
    if not sums:
        return None
    match threshold.aggregate:
        case "min":
            return min(sums)
        case "max":
            return max(sums)
        case _:
            return sum(sums) / len(sums)


def _stretches_of(stages: Iterable[Stage]) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    at, has_any = 0.0, False
    for stage in stages:
        has_any, end = True, at + stage.seconds
        if stage.is_measured:
            if found and abs(found[-1][1] - at) < _EPSILON_S:
                found[-1] = (found[-1][0], end)
            else:
                found.append((at, end))
        at = end
    return tuple(found) if has_any else ((0.0, math.inf),)
