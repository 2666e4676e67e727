"""What the runs of one scenario have counted since the service began, as numbers that never fall.

    before     sum of the runs that have ended
    of_book()  what the run of now has counted
    shown      before + now, and no less than was shown already

A number is a tuple: one of a counter; of a histogram how many lie within each bound, how many there
are, and their sum in microseconds. Pure. Knows no page and no clock.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import ceil

from exporter.exposition.blocks import clean
from exporter.exposition.load_families import (
    BUCKETS,
    DROPPED,
    ERRORS,
    ITERATION_SECONDS,
    ITERATIONS,
    LATENCY,
    OVERFLOW,
    RECEIVED,
    RECORDS_LOST,
    REQUEST_SECONDS,
    REQUESTS,
    SENT,
    START_DELAY,
)
from exporter.loads.verdicts import GOOD, MAX_VALUE_BYTES
from probes.families import Family
from scenarios.book import Book, Key
from scenarios.histogram import Histogram, bucket_of, middle_of
from scenarios.report import Generator

Labels = tuple[str, ...]
Numbers = tuple[int, ...]
Counted = dict[tuple[str, Labels], Numbers]
"""(family, its labels without the scenario) -> numbers."""

OUTCOMES = ("up", "degraded", "down", "unknown", "interrupted")
_TIMED: Mapping[str, Family] = {
    "iteration.duration": ITERATION_SECONDS,
    "iteration.latency": LATENCY,
    "start.delay": START_DELAY,
}
_SUMMED: Mapping[str, Family] = {
    "data.sent": SENT,
    "data.received": RECEIVED,
    "iteration.dropped": DROPPED,
}
_NO_TIMES: Numbers = (0,) * (len(BUCKETS) + 2)


def _last_bucket(bound_us: int) -> int:
    """Return the last bucket that counts as within a bound: its middle is."""
    bucket = bucket_of(bound_us)
    return bucket if middle_of(bucket) <= bound_us else bucket - 1


# a bucket straddles a bound by less than 0.8 % of it
_LAST = tuple(_last_bucket(ceil(bound * 1e6)) for bound in BUCKETS)


def numbers_of(histogram: Histogram) -> Numbers:
    """Return a histogram by the bounds of the page."""
    counts = [0] * (len(BUCKETS) + 1)
    for bucket, count in histogram.buckets.items():
        counts[bisect_left(_LAST, bucket)] += count
    return (*accumulate(counts), histogram.total)


def zeros(journeys: Iterable[str]) -> Counted:
    """Return what a scenario shows before its first run: `increase()` sees the first that counts.

    Steps, codes and reasons are known when they come.
    """
    made: Counted = {
        (family.name, ()): (0,) for family in (SENT, RECEIVED, DROPPED, RECORDS_LOST, OVERFLOW)
    }
    for journey in journeys:
        made |= {(ITERATIONS.name, (journey, outcome)): (0,) for outcome in OUTCOMES}
        for family in (ITERATION_SECONDS, LATENCY, START_DELAY):
            made[family.name, (journey,)] = _NO_TIMES
    return made


class Reader:
    """Reads the books of one run, again and again; what has not changed is not counted anew."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[int, Numbers]] = {}

    def read(self, book: Book, generators: Iterable[Generator]) -> Counted:
        """Return what a run has counted so far, warm-up and set-up included."""
        found: Counted = {}
        for key, histogram in book.durations.items():
            self._add_times(found, key, histogram)
        for key, number in book.numbers.items():
            if key.metric == "request.failed":
                _add(found, ERRORS, _clean(key.step, key.reason), (number,))
            elif family := _SUMMED.get(key.metric):
                _add(found, family, (), (number,))
        for it in generators:
            _add(found, RECORDS_LOST, (), (it.records_lost,))
            _add(found, OVERFLOW, (), (it.overflow,))
        return found

    def _add_times(self, found: Counted, key: Key, histogram: Histogram) -> None:
        if key.metric == "request.duration":
            labels = _clean(key.journey, key.step, key.method, key.code, key.outcome)
            _add(found, REQUESTS, labels, (histogram.count,))
            if key.outcome in GOOD:
                _add(found, REQUEST_SECONDS, labels[:2], self._numbers(key, histogram))
        elif family := _TIMED.get(key.metric):
            _add(found, family, _clean(key.journey), self._numbers(key, histogram))
            if family is ITERATION_SECONDS:
                _add(found, ITERATIONS, _clean(key.journey, key.outcome), (histogram.count,))

    def _numbers(self, key: Key, histogram: Histogram) -> Numbers:
        known = self._known.get(key)
        if known is None or known[0] != histogram.count:
            known = self._known[key] = (histogram.count, numbers_of(histogram))
        return known[1]


def _clean(*values: str) -> Labels:
    return tuple([clean(value, MAX_VALUE_BYTES) for value in values])


def _add(found: Counted, family: Family, labels: Labels, more: Numbers) -> None:
    key = (family.name, labels)
    known = found.get(key)
    if known is not None:
        more = tuple(map(int.__add__, known, more))
    found[key] = more


class Totals:
    """The numbers of one scenario.

    Args:
        first: what is there before the first run.
    """

    def __init__(self, first: Counted) -> None:
        self.shown: Counted = dict(first)
        self._before: Counted = {}

    def show(self, now: Counted) -> set[tuple[str, Labels]]:
        """Show what the run of now has counted so far; return what has changed."""
        changed: set[tuple[str, Labels]] = set()
        for key, numbers in now.items():
            before, shown = self._before.get(key), self.shown.get(key)
            total = numbers if before is None else tuple(map(int.__add__, before, numbers))
            if shown is not None:
                # a shard that is lost takes back nothing that was told
                total = tuple(map(max, shown, total))
            if shown != total:
                self.shown[key] = total
                changed.add(key)
        return changed

    def close(self) -> None:
        """End the run: the next one counts on."""
        self._before = dict(self.shown)
