"""Families that the settings of probes name: on one page each has one help, one type, one meaning.

Judges what concerns several probes, or a probe and its kind. Knows no answer and no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from probes.config.entries import Entry
from probes.config.mistakes import Mistakes, Place
from probes.kind import Metric
from probes.units import short


def judge_measures(entries: Sequence[Entry], mistakes: Mistakes) -> None:
    """Refuse families that could not stand on the page of metrics beside the others."""
    known = _Known(mistakes)
    judged: set[tuple[int, frozenset[str]]] = set()
    for entry in entries:
        metrics = entry.probe.kind.named_metrics
        if not metrics:
            continue
        # the probes of one module share their settings
        key = (id(entry.probe.kind), frozenset(entry.probe.labels))
        if key in judged:
            continue
        judged.add(key)
        samples = {metric.name for metric in entry.probe.kind.metrics}
        for index, metric in enumerate(metrics):
            place = entry.data.place_of(("measure", index, "name"))
            if metric.name in samples:
                text = f"want a name that no sample of {entry.probe.kind.name} has"
                mistakes.add(place, f"{text}, got {metric.name!r}")
            elif taken := sorted(entry.probe.labels.keys() & set(metric.labels)):
                text = "want labels that the probe does not have itself"
                mistakes.add(place, f"{text}, got {taken[0]!r} for {metric.name!r}")
            else:
                known.judge(metric, place)


@dataclass(slots=True)
class _Known:
    """Every family so far, and where it was first named."""

    mistakes: Mistakes
    first: dict[str, tuple[Metric, Place]] = field(default_factory=dict[str, tuple[Metric, Place]])

    def judge(self, metric: Metric, place: Place) -> None:
        """Compare *metric* with the first of its name."""
        # OpenMetrics names a counter without its ending
        stem = metric.name.removesuffix("_total")
        before, where = self.first.setdefault(stem, (metric, place))
        if before == metric:
            return
        if before.name != metric.name:
            text = f"want a name that differs by more than _total, got {metric.name!r} beside"
            self.mistakes.add(place, f"{text} {before.name!r} (first at {where})")
        for what, wanted, got in (
            ("help", before.help, metric.help),
            ("labels", list(before.labels), list(metric.labels)),
        ):
            if wanted != got and before.name == metric.name:
                text = f"want the {what} {short(wanted)} for {metric.name!r} (as at {where})"
                self.mistakes.add(place, f"{text}, got {short(got)}")
