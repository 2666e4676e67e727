"""A page of ``/probe`` as what can be compared: types, and series with the values that last.

Knows the text format as far as both programs write it, and no row.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.exporter.blackbox.rows import NEWER, NEWER_LABELS

Labels = tuple[tuple[str, str], ...]
# What nobody can say twice.
_TIMES = re.compile("probe_.*duration_seconds|probe_dns_lookup_time_seconds|probe_timeout_seconds")


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says, without the families that only we have.

    Attributes:
        types: of the families.
        values: of the series; of a time: that there is one.
        zeros: series of times that are 0.
        own: names of families that are ours.
    """

    types: Mapping[str, str]
    values: Mapping[str, float]
    zeros: frozenset[str]
    own: frozenset[str]


def read(page: str, *, ours: bool) -> Page:
    """Read *page*; of *ours*, what 0.23 cannot have is taken out."""
    types: dict[str, str] = {}
    values: dict[str, float] = {}
    zeros: set[str] = set()
    own: set[str] = set()
    for family in text_string_to_metric_families(page):
        if family.name.startswith("sonde_") or (ours and family.name in NEWER):
            own.add(family.name)
            continue
        types[family.name] = family.type
        for sample in family.samples:
            labels = dict(sample.labels)
            if ours and family.name in NEWER_LABELS:
                assert labels.pop(NEWER_LABELS[family.name])
            text = ",".join(f"{name}={value!r}" for name, value in sorted(labels.items()))
            series = f"{sample.name}{{{text}}}" if text else sample.name
            assert series not in values, f"{series} is told twice"
            is_time = _TIMES.fullmatch(sample.name)
            values[series] = True if is_time else sample.value
            if is_time and not sample.value:
                zeros.add(series)
    return Page(types, values, frozenset(zeros), frozenset(own))
