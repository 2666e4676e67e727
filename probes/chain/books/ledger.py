"""The numbers of one endpoint, or of a group: counters, histograms, gauges that end.

    Ledger ── Page (one run is entered) ──> Ledger

Counters never fall and gauges end three of their intervals after their last success, so nothing
stale is shown. Frozen values in and out. Knows no family and no chain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite

from probes.chain.books.hearing import Heard
from probes.chain.books.metrics import BUCKETS_S
from probes.chain.model import Series
from probes.result import Sample

# chains.md 8.2
LIFETIMES = 3
# chains.md 8.2 wants about 60 of an endpoint, and contracts, programs and events come from the
# file (20 contracts with 50 events each, under two names, are 2140): this is for a dialect that
# lets a peer name its series.
MAX_SERIES = 3000

Labels = tuple[tuple[str, str], ...]
_LE = (*map(str, BUCKETS_S), "+Inf")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is shown for a while.

    Args:
        value: finite.
        renewed: monotonic seconds of its last success.
        ends: monotonic seconds after which it is not shown.
        topic: what found it; empty: it stands alone.
    """

    value: float
    renewed: float
    ends: float
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket (not cumulative, the last one beyond all bounds), and the sum."""

    counts: tuple[int, ...] = (0,) * len(_LE)
    total: float = 0.0

    def __add__(self, seconds: float) -> "Histogram":
        at = next((at for at, bound in enumerate(BUCKETS_S) if seconds <= bound), len(BUCKETS_S))
        counts = (*self.counts[:at], self.counts[at] + 1, *self.counts[at + 1 :])
        return Histogram(counts, self.total + seconds)

    def samples(self, name: str, labels: Labels) -> Iterator[Sample]:
        """Give what `Metric` wants of a histogram: cumulative buckets, sum, count."""
        for bound, count in zip(_LE, accumulate(self.counts), strict=True):
            yield Sample(f"{name}_bucket", count, (*labels, ("le", bound)))
        yield Sample(f"{name}_sum", self.total, labels)
        yield Sample(f"{name}_count", sum(self.counts), labels)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is kept of one endpoint, or of the group.

    Args:
        counts: absolute.
        histograms: the same by bucket.
        gauges: some may have ended.
        reasons: every reason that ever held.
        heard: what its websocket brought.
    """

    counts: Mapping[Series, float] = field(default_factory=dict[Series, float])
    histograms: Mapping[Series, Histogram] = field(default_factory=dict[Series, Histogram])
    gauges: Mapping[Series, Gauge] = field(default_factory=dict[Series, Gauge])
    reasons: frozenset[str] = frozenset()
    heard: Heard = field(default_factory=Heard)

    def samples(self, where: Labels, mono: float) -> Iterator[Sample]:
        """Give every series, with the labels *where* before its own."""
        for (name, own), gauge in self.gauges.items():
            if gauge.ends > mono:
                yield Sample(name, gauge.value, (*where, *own))
        for (name, own), count in self.counts.items():
            yield Sample(name, count, (*where, *own))
        for (name, own), histogram in self.histograms.items():
            yield from histogram.samples(name, (*where, *own))


class Page:
    """A ledger while a run is entered.

    Args:
        ledger: before the run.
        mono: monotonic seconds of now.
        every_s: between two runs.
    """

    def __init__(self, ledger: Ledger, mono: float, every_s: float) -> None:
        self.reasons = ledger.reasons
        self.heard = ledger.heard
        self._mono = mono
        self._every_s = every_s
        self._counts = dict(ledger.counts)
        self._histograms = dict(ledger.histograms)
        self._gauges = {key: gauge for key, gauge in ledger.gauges.items() if gauge.ends > mono}

    def close(self) -> Ledger:
        """Return the ledger after the run."""
        return Ledger(self._counts, self._histograms, self._gauges, self.reasons, self.heard)

    def renew(
        self, name: str, value: float, every_s: float | None = None, topic: str = "", **own: str
    ) -> None:
        """Show a number anew, for three of its intervals; by default that is one of the runs."""
        self.renew_series((name, tuple(own.items())), value, every_s, topic)

    def renew_series(
        self, series: Series, value: float, every_s: float | None = None, topic: str = ""
    ) -> None:
        """Do the same for a series that exists already."""
        number = _finite(value)
        if number is not None and self._has_room(series, self._gauges):
            ends = self._mono + LIFETIMES * (every_s or self._every_s)
            self._gauges[series] = Gauge(number, self._mono, ends, topic)

    def show_once(self, name: str, value: float) -> None:
        """Show a number until the next run."""
        ends = self._mono + self._every_s / 2
        self._gauges[name, ()] = Gauge(float(value), self._mono, ends)

    def since(self, series: Series) -> float | None:
        """Return the seconds since a number was renewed; None when it is not shown."""
        gauge = self._gauges.get(series)
        return None if gauge is None else self._mono - gauge.renewed

    def strike(self, *, name: str = "", topics: frozenset[str] = frozenset()) -> Labels | None:
        """End the gauges of a name, or those that some topics found; return labels of the last."""
        labels: Labels | None = None
        for series, gauge in list(self._gauges.items()):
            if series[0] == name or gauge.topic in topics:
                labels = series[1]
                del self._gauges[series]
        return labels

    def add(self, name: str, gained: float, **own: str) -> None:
        """Add to a counter; what would make it fall is left out."""
        self.add_to((name, tuple(own.items())), gained)

    def add_to(self, series: Series, gained: float) -> None:
        """Do the same for a series that exists already."""
        number = _finite(gained)
        if number is not None and number >= 0 and self._has_room(series, self._counts):
            self._counts[series] = self._counts.get(series, 0.0) + number

    def raise_to(self, name: str, count: float, **own: str) -> None:
        """Bring a counter to what is counted elsewhere; it never falls."""
        series = (name, tuple(own.items()))
        number = _finite(count)
        if number is not None and self._has_room(series, self._counts):
            self._counts[series] = max(self._counts.get(series, 0.0), number)

    def time(self, name: str, seconds: float, **own: str) -> None:
        """Enter a duration >= 0 into a histogram."""
        series = (name, tuple(own.items()))
        if isfinite(seconds) and self._has_room(series, self._histograms):
            self._histograms[series] = self._histograms.get(series, Histogram()) + seconds

    def _has_room(self, series: Series, kept: Mapping[Series, object]) -> bool:
        return len(kept) < MAX_SERIES or series in kept


def _finite(value: float) -> float | None:
    """Return what can be shown of a number; a peer may send one of a thousand digits."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None
