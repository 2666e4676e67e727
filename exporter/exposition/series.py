"""What a Result looks like as lines of metrics: the names of its samples, its phases, the caps.

Pure: a Result and the labels in, text by family out; what had to be left out is told by reason.
Knows neither the page, nor the life of a series, nor a registry.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

from exporter.exposition.blocks import decimal, label_text, number
from exporter.exposition.catalogue import (
    FAILURE_INFO,
    OUTCOME,
    PHASE,
    named_family,
    sample_family,
)
from exporter.exposition.histogram import SUFFIXES, histogram_lines, whole_sets
from exporter.exposition.phases import PhaseLines
from exporter.exposition.quirks import (
    CHAIN_EXPIRY,
    FREE_LABELS_FAMILY,
    NO_CHAIN,
    is_unverified,
    united,
)
from probes.families import ALWAYS_TOLD, BLACKBOX, BLACKBOX_BY_NAME, SHARED, Family
from probes.kind import Kind, Metric
from probes.probe import Probe
from probes.result import Result, Sample

# metrics.md 2.5: bytes of a value that a target supplied; a cut would change the series of a
# certificate.
MAX_TARGET_VALUE_BYTES = 128
MAX_CERTIFICATE_VALUE_BYTES = 4096
# metrics.md 2.6: label values of a dynamic family that is no info family.
MAX_DYNAMIC_VALUES = 32
# metrics.md 2.6: series of one probe.
MAX_SERIES_OF_ONE = 100
# Label texts that kinds write again and again (phase="connect"); the rest is not worth the memory.
CACHED_LABEL_TEXTS = 4096
# A kind, and each set of metrics that settings name: those of one file, and of the one before it.
KEPT_SHAPES = 1024

# What a broken sample of a third party's kind can raise.
RENDER_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one probe, rendered once: ``plain`` ends them, ``more`` lets others follow."""

    plain: str
    more: str


NO_LABELS = Labels(" ", "{")


def labels_of(probe: Probe, *, instance: bool = False) -> Labels:
    """Return the labels that every series of a probe has.

    Args:
        probe: whose.
        instance: also ``instance`` and ``job``, for scrape jobs without relabelling.
    """
    pairs = dict(probe.labels)
    pairs |= {"probe": probe.name, "kind": probe.kind.name, "target": probe.display}
    if instance:
        pairs |= {"instance": probe.display, "job": "sonde"}
    text = label_text(pairs.items())
    return Labels(f"{{{text}}} ", f"{{{text},")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the samples and phases of one kind become."""

    families: Mapping[str, Family]
    """Sample name -> family, in declared order; the parts of a histogram lead to one."""
    by_name: Mapping[str, Family]
    """The same families, and that of the phases, by their own name; in the order of the page."""
    phases: PhaseLines
    always: tuple[str, ...]
    """Families that are 0 when a run had nothing to tell."""
    grouped: frozenset[str]
    """Names of the samples whose family has more than one series, or may have."""
    lasting: frozenset[str]
    """Families that speak of the probe rather than of its last run."""
    named: tuple[Metric, ...] = ()
    """What the settings name beside them."""
    is_strict: bool = False
    """Whether quirks of blackbox_exporter are kept (blackbox.md 1: D4 and D10)."""


@lru_cache(KEPT_SHAPES)
def shape_of(kind: type[Kind], named: tuple[Metric, ...] = (), *, is_strict: bool = False) -> Shape:
    """Return the shape of a kind with some settings.

    Args:
        kind: whose samples they are.
        named: families that the settings name (``Kind.named_metrics``).
        is_strict: of a module with ``compat: strict``.

    Raises:
        ValueError: it declares a metric that may not be.
    """
    families: dict[str, Family] = {}
    for metric in kind.metrics:
        ends = SUFFIXES if metric.type == "histogram" else ("",)
        families |= dict.fromkeys((metric.name + end for end in ends), sample_family(metric))
    for family in BLACKBOX:  # the wire layer may record these for any kind
        families.setdefault(family.name.removeprefix("probe_"), family)
    for family in SHARED:
        families.setdefault(family.name.removeprefix("sonde_"), family)
    for metric in named:  # the load has refused what a sample of ours is called
        families.setdefault(metric.name, named_family(metric))
    phase_family = PHASE
    if kind.phase_family is not None:
        phase_family = BLACKBOX_BY_NAME[f"probe_{kind.phase_family}"]
    by_name = {family.name: family for family in (*families.values(), phase_family)}
    declared = {metric: sample_family(metric).name for metric in kind.metrics}
    told = PhaseLines(phase_family, kind.phases, kind.phase_folds, is_strict=is_strict)
    return Shape(
        families,
        by_name,
        told,
        always=tuple(name for name in declared.values() if name in ALWAYS_TOLD),
        grouped=_grouped(families),
        lasting=frozenset(name for metric, name in declared.items() if metric.lasting),
        named=named,
        is_strict=is_strict,
    )


def _grouped(families: Mapping[str, Family]) -> frozenset[str]:
    return frozenset(
        name
        for name, family in families.items()
        if family.labels or family.dynamic or family.type == "histogram"
    )


Report = Callable[[str, int], None]
"""Told the reason and the number of series that were left out."""


class _NotAValue(ValueError):
    """A number that no series may have."""


def sample_lines(result: Result, shape: Shape, labels: Labels, dropped: Report) -> dict[str, str]:
    """Return the lines of a judged run's samples and phases, by name of the family.

    Args:
        result: of a run that was judged.
        shape: of its kind.
        labels: of its probe.
        dropped: told what was left out.
    """
    groups: dict[str, list[Sample]] = {}
    lines = _plain_lines(result.samples, shape, labels, groups, dropped)
    for name, samples in groups.items():
        family = shape.by_name[name]
        if family.type == "histogram":
            text = histogram_lines(family, samples, labels.more, dropped)
        else:
            text = _labelled_lines(family, samples, labels, dropped)
        if text:
            lines.setdefault(name, text)
    for name in shape.always:
        if name not in lines:
            lines[name] = f"{name}{labels.plain}0\n"
    if text := shape.phases.text(result.phases, labels.more):
        lines[shape.phases.family.name] = text
    if shape.is_strict and is_unverified(result, lines):
        lines[CHAIN_EXPIRY] = f"{CHAIN_EXPIRY}{labels.plain}{NO_CHAIN}\n"
    return lines


def changed_lines(
    before: Result, result: Result, shape: Shape, labels: Labels
) -> dict[str, str] | None:
    """Return the lines in which a run differs from the one before it, by name of the family.

    None where they are not of one form: other samples, other phases, or a change in a sample that
    stands in a group; then all lines are to be made anew.
    """
    phases = shape.phases.renewed(before.phases, result.phases, labels.more)
    if phases is None:
        return None
    lines = {shape.phases.family.name: phases}
    if before.samples == result.samples:
        return lines
    if len(before.samples) != len(result.samples):
        return None
    for old, new in zip(before.samples, result.samples, strict=True):
        if old != new and not _add_changed(lines, old, new, shape, labels):
            return None
    return lines


def _add_changed(
    lines: dict[str, str], old: Sample, new: Sample, shape: Shape, labels: Labels
) -> bool:
    """Add the line of a sample that differs; false where that is not enough."""
    family = shape.families.get(new.name)
    if family is None or old.name != new.name or old.labels or new.labels:
        return False
    if new.name in shape.grouped:
        return False
    try:
        lines[family.name] = f"{family.name}{labels.plain}{_value(family, new.value)}\n"
    except RENDER_ERRORS:
        return False
    return True


def series_in(lines: Mapping[str, str]) -> int:
    """Return how many series these lines are."""
    return sum([text.count("\n") for text in lines.values()])


def series_by_family(lines: Mapping[str, str], names: Collection[str]) -> dict[str, int]:
    """Return how many series each of these families has, where it has any."""
    return {name: text.count("\n") for name, text in lines.items() if name in names and text}


def _plain_lines(
    samples: Sequence[Sample],
    shape: Shape,
    labels: Labels,
    groups: dict[str, list[Sample]],
    dropped: Report,
) -> dict[str, str]:
    """Return the lines of samples without labels, which are most; put the others into *groups*."""
    lines: dict[str, str] = {}
    for sample in samples:
        family = shape.families.get(sample.name)
        if family is None:
            dropped("encoding", 1)  # undeclared: the laws of kinds forbid it
            continue
        name = family.name
        if sample.labels or sample.name in shape.grouped:
            groups.setdefault(name, []).append(sample)
        elif name in lines:
            dropped("duplicate", 1)
        else:
            try:
                lines[name] = f"{name}{labels.plain}{_value(family, sample.value)}\n"
            except RENDER_ERRORS as error:
                dropped(_why(error), 1)
    return lines


def _why(error: Exception) -> str:
    return "not_finite" if isinstance(error, _NotAValue) else "encoding"


def _value(family: Family, value: float) -> str:
    if not isfinite(value) or (value < 0 and family.type == "counter"):
        raise _NotAValue
    if family.name.endswith("_seconds") and not family.of_user:
        return decimal(value)
    return number(value)


def _labelled_lines(
    family: Family, samples: Sequence[Sample], labels: Labels, dropped: Report
) -> str:
    """Return the lines of a family with labels of its own: no two alike, no more than its cap."""
    values: dict[str, str] = {}
    met: dict[str, set[str]] = {}
    is_free = family.name == FREE_LABELS_FAMILY
    for sample in _free(family, samples, labels, dropped) if is_free else samples:
        try:
            text, value = _own_labels(family, sample.labels, labels), _value(family, sample.value)
        except RENDER_ERRORS as error:
            dropped(_why(error), 1)
            continue
        if text in values:
            dropped("duplicate", 1)
        elif family.dynamic and family.name.endswith("_info") and not is_free:
            if values:
                dropped("label_limit", 1)
            values = {text: value}  # the newest replaces
        elif family.dynamic and not _has_room(met, sample):
            dropped("label_limit", 1)
        else:
            values[text] = value
    start = family.name + labels.more
    return "".join([f"{start}{text}}} {value}\n" for text, value in values.items()])


def _free(
    family: Family, samples: Sequence[Sample], labels: Labels, dropped: Report
) -> list[Sample]:
    """Return the samples whose labels may be, all with the same names."""
    good: list[Sample] = []
    for sample in samples:
        try:
            _own_labels(family, sample.labels, labels)
        except RENDER_ERRORS:
            dropped("encoding", 1)
        else:
            good.append(sample)
    return united(good)


def _has_room(met: dict[str, set[str]], sample: Sample) -> bool:
    """Return whether the values of a dynamic sample's labels are known or few enough; note them."""
    for name, value in sample.labels:
        known = met.setdefault(name, set())
        if value not in known and len(known) >= MAX_DYNAMIC_VALUES:
            return False
        known.add(value)
    return True


def _own_labels(family: Family, own: tuple[tuple[str, str], ...], labels: Labels) -> str:
    if not family.dynamic:
        return _declared_text(family.labels, own)
    is_free = family.name == FREE_LABELS_FAMILY
    if not is_free:
        _check_names(family.labels, own)
    if (is_free or family.of_user) and _are_taken(own, labels):
        raise ValueError("want label names that the probe does not use, got one that it does")
    is_certificate = family.name == "probe_ssl_last_chain_info"
    limit = MAX_CERTIFICATE_VALUE_BYTES if is_certificate else MAX_TARGET_VALUE_BYTES
    return label_text(own, limit)


def _are_taken(own: tuple[tuple[str, str], ...], labels: Labels) -> bool:
    return any(f'{before}{name}="' in labels.more for before in "{," for name, _ in own)


@lru_cache(CACHED_LABEL_TEXTS)
def _declared_text(names: tuple[str, ...], own: tuple[tuple[str, str], ...]) -> str:
    _check_names(names, own)
    return label_text(own)


def _check_names(names: tuple[str, ...], own: tuple[tuple[str, str], ...]) -> None:
    if sorted(names) != sorted(name for name, _ in own):
        raise ValueError(f"want the labels {names}, got {own}")


def cut(lines: Mapping[str, str], shape: Shape, room: int) -> dict[str, str]:
    """Return the first *room* series in declared order, but no part of a histogram."""
    kept: dict[str, str] = {}
    for name in shape.by_name:
        if name not in lines:
            continue
        series = lines[name].splitlines(keepends=True)
        fitting = series[: max(room, 0)]
        if len(fitting) < len(series) and shape.by_name[name].type == "histogram":
            fitting = whole_sets(name, fitting)
        if fitting:
            kept[name] = "".join(fitting)
        room -= len(series)
    return kept


def outcome_lines(result: Result, labels: Labels) -> dict[str, str]:
    """Return the lines that tell a run's outcome, and why it is not up."""
    told = {OUTCOME.name: f'{OUTCOME.name}{labels.more}outcome="{result.outcome.value}"}} 1\n'}
    cause = result.cause
    if cause is not None:
        own = label_text((("reason", cause.reason.value), ("phase", cause.phase or "")))
        told[FAILURE_INFO.name] = f"{FAILURE_INFO.name}{labels.more}{own}}} 1\n"
    return told
