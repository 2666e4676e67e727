"""The lines of a histogram that a kind keeps itself: buckets in order, then sum and count.

    <name>_bucket{..., le="0.5"}   cumulative; le stands last and is written as a float
    <name>_sum, <name>_count

Pure: samples in, text out. A set of labels that lacks a part is left out as a whole: half a
histogram gives wrong quantiles. Knows no probe and no page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite

from exporter.exposition.blocks import label_text, number
from probes.families import Family
from probes.result import Sample
from probes.units import parse_number

SUFFIXES = ("_bucket", "_sum", "_count")
BOUND = "le"
INFINITE = "+Inf"
# What a broken sample of a third party's kind can raise.
_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class _Set:
    """The samples of one set of labels."""

    buckets: dict[float, float] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    count: int = 0

    @property
    def is_whole(self) -> bool:
        return self.others.keys() == {"_sum", "_count"} and float("inf") in self.buckets


def histogram_lines(
    family: Family, samples: Sequence[Sample], more: str, dropped: Callable[[str, int], None]
) -> str:
    """Return the lines of one family.

    Args:
        family: of the type histogram.
        samples: of it, in any order.
        more: the labels of the probe, open for more.
        dropped: told the reason and the number of series that were left out.
    """
    sets: dict[str, _Set] = {}
    for sample in samples:
        try:
            _sort_in(sets, family, sample)
        except _ERRORS:
            dropped("encoding", 1)
    parts: list[str] = []
    for text, found in sets.items():
        if found.is_whole:
            parts += _lines(family.name, more, text, found)
        else:
            dropped("encoding", found.count)
    return "".join(parts)


def _sort_in(sets: dict[str, _Set], family: Family, sample: Sample) -> None:
    own = dict(sample.labels)
    bound = own.pop(BOUND, None)
    suffix = f"_{sample.name.rpartition('_')[2]}"
    if own.keys() != set(family.labels) or (bound is not None) != (suffix == "_bucket"):
        raise ValueError(f"want the labels {family.labels}, got {sample.labels}")
    if not isfinite(sample.value):
        raise ValueError(f"want a finite number, got {sample.value}")
    limit = None
    if bound is not None:
        limit = float("inf") if bound == INFINITE else parse_number(bound)
    found = sets.setdefault(label_text(own.items()), _Set())
    found.count += 1
    if limit is None:
        found.others[suffix] = sample.value
    else:
        found.buckets[limit] = sample.value


def _lines(name: str, more: str, text: str, found: _Set) -> list[str]:
    start = f"{more}{text}," if text else more
    lines = [
        f'{name}_bucket{start}{BOUND}="{_bound(bound)}"}} {number(found.buckets[bound])}\n'
        for bound in sorted(found.buckets)
    ]
    end = f"{start[:-1]}}} " if start != "{" else " "
    total = round(found.others["_sum"], 6) if name.endswith("_seconds") else found.others["_sum"]
    lines.append(f"{name}_sum{end}{number(total)}\n")
    lines.append(f"{name}_count{end}{number(found.others['_count'])}\n")
    return lines


def _bound(bound: float) -> str:
    return repr(bound) if isfinite(bound) else INFINITE


def whole_sets(name: str, lines: Sequence[str]) -> list[str]:
    """Return *lines* up to the last set of labels that is complete."""
    ends = [at for at, line in enumerate(lines, start=1) if line.startswith(f"{name}_count")]
    return list(lines[: ends[-1]]) if ends else []
