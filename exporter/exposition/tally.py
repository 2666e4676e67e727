"""What is counted about one probe over the life of the process, and its lines.

Pure run state: Results in, text by family out. Knows no page and no registry.
"""

from bisect import bisect_left
from collections.abc import Sequence

from exporter.exposition.blocks import decimal, moment
from exporter.exposition.catalogue import (
    CONSECUTIVE,
    DEGRADED,
    FAILURES,
    LAST_RUN,
    LAST_SUCCESS,
    LATENCY,
    REASONS,
    RETRIES,
    RUNS,
    SLOW,
    UNKNOWN,
)
from exporter.exposition.series import Labels
from probes.families import Family
from probes.probe import Probe
from probes.result import Outcome, Reason, Result

_OUTCOME_COUNTERS = {
    Outcome.DOWN: FAILURES,
    Outcome.DEGRADED: DEGRADED,
    Outcome.UNKNOWN: UNKNOWN,
}


class Tally:
    """The counters of one probe.

    Args:
        buckets: upper bounds of the latency histogram; empty: sum and count alone.
    """

    __slots__ = (
        "_bucket_counts", "_buckets", "_counts", "_latency_count", "_latency_sum", "_reasons",
        "consecutive", "last_run", "last_success", "reasons",
    )  # fmt: skip

    def __init__(self, buckets: Sequence[float] = ()) -> None:
        self.consecutive = 0
        self.last_run: float | None = None
        self.last_success: float | None = None
        self.reasons = 0
        """How many reasons have been met."""
        self._counts: dict[str, int] = {}
        self._reasons: dict[Reason, int] = {}
        self._latency_sum = 0.0
        self._latency_count = 0
        self._buckets: tuple[float, ...] = ()
        self._bucket_counts: list[int] = []
        self.set_buckets(buckets)

    def set_buckets(self, buckets: Sequence[float]) -> None:
        """Change the buckets of the latency; their counts begin anew."""
        if tuple(buckets) != self._buckets:
            self._buckets = tuple(buckets)
            self._bucket_counts = [0] * (len(buckets) + 1)
            self._latency_sum, self._latency_count = 0.0, 0

    def count(self, result: Result, probe: Probe, labels: Labels) -> dict[str, str]:
        """Count a run and return the lines that changed by it."""
        outcome = result.outcome
        self.last_run = result.started_at.timestamp() + result.seconds
        ended = f"{labels.plain}{moment(self.last_run)}\n"
        changed = {LAST_RUN.name: LAST_RUN.name + ended}
        counters: list[Family] = []
        if outcome is not Outcome.UNKNOWN:
            counters.append(RUNS)
            self.consecutive = self.consecutive + 1 if outcome is Outcome.DOWN else 0
        if outcome in _OUTCOME_COUNTERS:
            counters.append(_OUTCOME_COUNTERS[outcome])
        if result.ok:
            self.last_success = self.last_run
            changed[LAST_SUCCESS.name] = LAST_SUCCESS.name + ended
            changed[LATENCY.name] = self._observe(result.seconds, labels)
            limit = probe.slo.latency_s if probe.slo is not None else None
            if limit is not None and result.seconds > limit:
                counters.append(SLOW)
        elif result.failure is not None:
            reason = result.failure.reason
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
            self.reasons = len(self._reasons)
            changed[REASONS.name] = self._reason_lines(labels)
        for family in counters:
            changed[family.name] = self._add(family, 1, labels)
        if result.attempts > 1:
            changed[RETRIES.name] = self._add(RETRIES, result.attempts - 1, labels)
        return changed

    def lines(self, probe: Probe, labels: Labels) -> dict[str, str]:
        """Return the lines of everything that is counted."""
        families = [RUNS, FAILURES, DEGRADED, UNKNOWN]
        if probe.slo is not None and probe.slo.latency_s is not None:
            families.append(SLOW)
        if probe.retries:
            families.append(RETRIES)
        lines = {family.name: self._add(family, 0, labels) for family in families}
        lines[LATENCY.name] = self._latency_lines(labels)
        if self._reasons:
            lines[REASONS.name] = self._reason_lines(labels)
        if self.last_run is not None:
            lines[LAST_RUN.name] = _line(LAST_RUN, labels, moment(self.last_run))
        if self.last_success is not None:
            lines[LAST_SUCCESS.name] = _line(LAST_SUCCESS, labels, moment(self.last_success))
        return lines

    def consecutive_line(self, labels: Labels) -> str:
        """Return the line of the runs down in a row."""
        return _line(CONSECUTIVE, labels, str(self.consecutive))

    def _add(self, family: Family, more: int, labels: Labels) -> str:
        total = self._counts[family.name] = self._counts.get(family.name, 0) + more
        return f"{family.name}{labels.plain}{total}\n"

    def _observe(self, seconds: float, labels: Labels) -> str:
        self._latency_sum += seconds
        self._latency_count += 1
        if self._buckets:
            self._bucket_counts[bisect_left(self._buckets, seconds)] += 1
        return self._latency_lines(labels)

    def _latency_lines(self, labels: Labels) -> str:
        name, plain, count = LATENCY.name, labels.plain, self._latency_count
        ends = f"{name}_sum{plain}{decimal(self._latency_sum)}\n{name}_count{plain}{count}\n"
        if not self._buckets:
            return ends
        parts: list[str] = []
        total = 0
        bounds = [repr(float(bound)) for bound in self._buckets] + ["+Inf"]
        for bound, counted in zip(bounds, self._bucket_counts, strict=True):
            total += counted
            parts.append(f'{name}_bucket{labels.more}le="{bound}"}} {total}\n')
        return "".join([*parts, ends])

    def _reason_lines(self, labels: Labels) -> str:
        start = f"{REASONS.name}{labels.more}"
        return "".join(f'{start}reason="{r.value}"}} {n}\n' for r, n in self._reasons.items())


def _line(family: Family, labels: Labels, value: str) -> str:
    return f"{family.name}{labels.plain}{value}\n"
