"""Thresholds as people write them: ``p95(request.duration{step="search"}) < 400ms``.

    Threshold     aggregate ( metric { label="value", label!="value" } ) op number unit
                  promql ( any expression of PromQL ) op number

The limit is kept in the base unit of what is compared (seconds, per cent, a second, bytes), and the
text in one normal form, so that it can be a label. Pure. Knows no book and no run: see
`scenarios.judging.figures`; no scenario but the names that `misfits` is given.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from probes.pattern import suggest
from probes.units import parse_number, short
from scenarios.dialects import translated

Op = Literal["<", "<=", ">", ">=", "==", "!="]
Unit = Literal["s", "%", "/s", "B", ""]

PROMQL = "promql"
THROUGHPUT = "throughput"
QUANTILE = "p"

# load.md 10.1: longer is no expression that a person reads in a report.
MAX_CHARACTERS = 2000
_WHOLE = 100
_QUANTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9])?)", re.ASCII)
_SHAPE = re.compile(
    r"\s*(?P<aggregate>[A-Za-z0-9_.]+)\s*\(\s*(?P<metric>[A-Za-z0-9_.]+)\s*(?:\{(?P<labels>.*)\}\s*)?\)"
    r"\s*(?P<op>[<>=!]{1,3})\s*(?P<number>[^\s<>=!]+)\s*",
    re.ASCII | re.DOTALL,
)
_PROMQL = re.compile(
    r"\s*promql\s*\((?P<query>.*)\)\s*(?P<op>[<>=!]{1,3})\s*(?P<number>[^\s<>=!]+)\s*",
    re.ASCII | re.DOTALL,
)
_LABEL = re.compile(
    r'\s*(?P<name>[A-Za-z_]+)\s*(?P<op>!?=)\s*(?P<value>"(?:[^"\\\x00-\x1f]|\\.)*")\s*(?:,|$)',
    re.ASCII,
)
_LIMIT = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([^0-9.]*)", re.ASCII)
_OPS: tuple[Op, ...] = ("<", "<=", ">", ">=", "==", "!=")
_EXAMPLE = "p95(request.duration) < 400ms"

# word -> (base unit, what one of it is worth there)
_TIMES = {"ms": Decimal("0.001"), "s": Decimal(1)}
_SHARES = {"%": Decimal(1)}
_RATES = {"/s": Decimal(1), "/m": Decimal(1) / 60, "/h": Decimal(1) / 3600}
_SIZES = {"B": Decimal(1), "KiB": Decimal(2**10), "MiB": Decimal(2**20)}
_NO_UNIT: dict[str, Decimal] = {"": Decimal(1)}
_WORDS: Mapping[Unit, Mapping[str, Decimal]] = {
    "s": _TIMES,
    "%": _SHARES,
    "/s": _RATES,
    "B": _SIZES,
    "": _NO_UNIT,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What can be held against a limit.

    Args:
        name: as people write it.
        unit: of its values; of rates always ``%``, of counts none.
        labels: that narrow it.
        aggregates: ``p`` stands for every percentile.
    """

    name: str
    unit: Unit
    labels: tuple[str, ...]
    aggregates: tuple[str, ...]


_REQUEST = ("journey", "step", "method", "code_class", "outcome")
_TRENDS = (QUANTILE, "min", "max", "avg", "count")
_EVENTS = ("rate", "count")
METRICS: Mapping[str, Metric] = {
    it.name: it
    for it in (
        Metric("request.duration", "s", _REQUEST, (*_TRENDS, "sum")),
        Metric("request.failed", "%", (*_REQUEST, "reason"), _EVENTS),
        Metric("iteration.duration", "s", ("journey", "outcome"), _TRENDS),
        Metric("iteration.latency", "s", ("journey", "outcome"), _TRENDS),
        Metric("start.delay", "s", ("journey",), _TRENDS),
        Metric("iteration.failed", "%", ("journey",), _EVENTS),
        Metric("iteration.interrupted", "%", ("journey",), _EVENTS),
        Metric("iteration.dropped", "%", ("journey",), _EVENTS),
        Metric("setup.failed", "%", ("journey", "step"), _EVENTS),
        Metric(THROUGHPUT, "/s", ("journey",), ("min", "avg", "max")),
        Metric("data.sent", "B", ("journey", "step"), ("sum", "avg")),
        Metric("data.received", "B", ("journey", "step"), ("sum", "avg")),
        *(
            Metric(f"browser.{vital}", "s", ("probe",), _TRENDS)
            for vital in ("lcp", "fcp", "inp", "ttfb")
        ),
        Metric("browser.cls", "", ("probe",), _TRENDS),
    )
}


@dataclass(frozen=True, slots=True)
class Label:
    """``name="value"``, or ``name!="value"``."""

    name: str
    value: str
    is_equal: bool = True

    def __str__(self) -> str:
        op = "=" if self.is_equal else "!="
        return f"{self.name}{op}{json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """An expression, read.

    Args:
        metric: one of `METRICS`; of ``promql`` the query.
        aggregate: ``p95``, ``avg`` ..., or ``promql``.
        labels: all of them must hold; sorted.
        op: how value and limit compare when it is ok.
        limit: in ``unit``.
        unit: s, %, /s, B or empty; 1 % is 1.0.
        expr: in the normal form.
    """

    metric: str
    aggregate: str
    labels: tuple[Label, ...]
    op: Op
    limit: float
    unit: Unit
    expr: str

    @property
    def asks_prometheus(self) -> bool:
        """Whether a Prometheus server knows the value, not the run."""
        return self.aggregate == PROMQL

    @property
    def quantile(self) -> float | None:
        """0 to 1; None: it is no percentile."""
        found = _QUANTILE.fullmatch(self.aggregate)
        return float(Decimal(found[1]) / _WHOLE) if found else None

    @property
    def stat(self) -> str:
        """What is compared, without the comparison."""
        return stat_text(self.aggregate, self.metric, self.labels)


def parse(text: object) -> Threshold:
    """Read a threshold.

    Raises:
        ValueError: it is none; the message names the part that is wrong, or shows how ours is
            written where it is one of another tool.
    """
    try:
        return _parse(text)
    except ValueError:
        ours = _ours(text)
        if ours is None:
            raise
        raise ValueError(f"want a threshold such as {ours}, got {short(text)}") from None


def _ours(text: object) -> str | None:
    """Return what stands in another tool's words as a threshold that can be read."""
    found = translated(text) if isinstance(text, str) else None
    try:
        return found and _parse(found).expr
    except ValueError:
        return None


def _parse(text: object) -> Threshold:
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise ValueError(f"want a threshold such as {_EXAMPLE}, got {short(text)}")
    if found := _PROMQL.fullmatch(text):
        return _parse_promql(found)
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"want a threshold such as {_EXAMPLE}, got {short(text)}")
    aggregate, metric, labels = _parse_stat(found["aggregate"], found["metric"], found["labels"])
    unit = _unit_of(metric, aggregate)
    op = _parse_op(found["op"])
    limit, written = _parse_limit(found["number"], unit)
    stat = stat_text(aggregate, metric.name, labels)
    return Threshold(metric.name, aggregate, labels, op, limit, unit, f"{stat} {op} {written}")


def parse_stat(text: object) -> Threshold:
    """Read what a baseline compares: ``p95(request.duration)``, ``throughput``.

    Returns:
        A threshold whose limit means nothing; `Threshold.stat` is its normal form.

    Raises:
        ValueError: it is none.
    """
    # throughput alone: its mean
    written = f"avg({text})" if text == THROUGHPUT else text
    found = _SHAPE.fullmatch(f"{written} < 0") if isinstance(written, str) else None
    if found is None or found["number"] != "0":
        raise ValueError(f"want a statistic such as p95(request.duration), got {short(text)}")
    aggregate, metric, labels = _parse_stat(found["aggregate"], found["metric"], found["labels"])
    stat = stat_text(aggregate, metric.name, labels)
    return Threshold(metric.name, aggregate, labels, "<", 0.0, _unit_of(metric, aggregate), stat)


def parse_amount(text: object, unit: Unit) -> float:
    """Read ``20ms``, ``1%``, ``5/s``: how much of *unit*.

    Raises:
        ValueError: another unit, or no number.
    """
    # a bare number of YAML has no unit, and so has its text
    return _parse_limit(str(text).strip(), unit)[0]


def stat_text(aggregate: str, metric: str, labels: tuple[Label, ...] = ()) -> str:
    """Write what is compared in its normal form."""
    inside = f"{{{','.join(map(str, labels))}}}" if labels else ""
    return f"{aggregate}({metric}{inside})"


def misfits(threshold: Threshold, names: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Say which label values the scenario does not have.

    Args:
        threshold: what was written.
        names: label -> every value it can have; a label that is absent is not judged.
    """
    for label in threshold.labels:
        known = names.get(label.name)
        if known is not None and label.value not in known:
            listed = ", ".join(sorted(known)[:10]) or "none"
            hint = suggest(label.value, known)
            yield f"want {label.name} to be one of {listed}, got {short(label.value)}{hint}"


def edges_of(threshold: Threshold) -> tuple[int, ...]:
    """Return the microseconds above which samples are to be counted for an exact decision.

    ``<= L`` asks who is above L; ``< L`` who is above the last microsecond before it.
    """
    if threshold.quantile is None or threshold.unit != "s":
        return ()
    limit = Decimal(repr(threshold.limit)) * 1_000_000
    below, upto = math.ceil(limit) - 1, math.floor(limit)
    return {"<": (below,), ">=": (below,), "<=": (upto,), ">": (upto,)}.get(
        threshold.op, (below, upto)
    )


def limits_of(thresholds: Iterable[Threshold]) -> dict[str, tuple[int, ...]]:
    """Return what a plan has to count exactly: metric -> microseconds."""
    found: dict[str, set[int]] = {}
    for threshold in thresholds:
        if edges := edges_of(threshold):
            found.setdefault(threshold.metric, set()).update(edges)
    return {metric: tuple(sorted(found[metric])) for metric in sorted(found)}


def _parse_promql(found: re.Match[str]) -> Threshold:
    query = found["query"].strip()
    if not query:
        raise ValueError("want promql(...) with a query, got none")
    op = _parse_op(found["op"])
    limit, written = _parse_limit(found["number"], "")
    expr = f"{PROMQL}({' '.join(query.split())}) {op} {written}"
    return Threshold(query, PROMQL, (), op, limit, "", expr)


def _parse_stat(
    aggregate: str, name: str, labels: str | None
) -> tuple[str, Metric, tuple[Label, ...]]:
    metric = METRICS.get(name)
    if metric is None:
        hint = suggest(name, METRICS)
        raise ValueError(f"want one of {', '.join(METRICS)}, got {short(name)}{hint}")
    return _parse_aggregate(aggregate, metric), metric, _parse_labels(labels, metric)


def _parse_aggregate(word: str, metric: Metric) -> str:
    found = _QUANTILE.fullmatch(word)
    if found and QUANTILE in metric.aggregates:
        if Decimal(found[1]) > _WHOLE:
            raise ValueError(f"want a percentile of p0 to p100, got {short(word)}")
        return f"p{_plain(Decimal(found[1]))}"
    if word in metric.aggregates and word != QUANTILE:
        return word
    listed = ["p95" if it == QUANTILE else it for it in metric.aggregates]
    wanted = f"{', '.join(listed[:-1])} or {listed[-1]}"
    hint = suggest(word, listed)
    raise ValueError(f"want {wanted} of {metric.name}, got {short(word)}{hint}")


def _parse_labels(text: str | None, metric: Metric) -> tuple[Label, ...]:
    labels: set[Label] = set()
    rest = (text or "").strip()
    while rest:
        found = _LABEL.match(rest)
        if found is None:
            raise ValueError(f'want labels such as step="search", got {short(rest)}')
        if found["name"] not in metric.labels:
            hint = suggest(found["name"], metric.labels)
            raise ValueError(
                f"want a label of {metric.name} ({', '.join(metric.labels)}), "
                f"got {short(found['name'])}{hint}"
            )
        labels.add(Label(found["name"], _unquote(found["value"]), found["op"] == "="))
        rest = rest[found.end() :]
    return tuple(sorted(labels, key=lambda it: (it.name, it.value, it.is_equal)))


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise ValueError(f"want a text in double quotes, got {short(text)}") from None


def _parse_op(text: str) -> Op:
    for op in _OPS:
        if text == op:
            return op
    raise ValueError(f"want {', '.join(_OPS[:-1])} or {_OPS[-1]}, got {short(text)}")


def _unit_of(metric: Metric, aggregate: str) -> Unit:
    return "" if aggregate == "count" else metric.unit


def _parse_limit(text: str, unit: Unit) -> tuple[float, str]:
    """Return the limit in its base unit, and how it is written in the normal form."""
    found = _LIMIT.fullmatch(text)
    words = _WORDS[unit]
    # nothing is nothing in every unit
    word = found[2] if found else ""
    is_zero = found is not None and not word and parse_number(found[1]) == 0
    if found is None or (word not in words and not is_zero):
        raise ValueError(f"want a number {_words(unit)}, got {short(text)}")
    parse_number(found[1])
    number = Decimal(found[1]) * words.get(word, Decimal(1))
    if unit == "%" and not 0 <= number <= _WHOLE:
        raise ValueError(f"want a share of 0% to 100%, got {short(text)}")
    if unit and number < 0:
        raise ValueError(f"want a number >= 0, got {short(text)}")
    return float(number), _written(number, unit)


def _words(unit: Unit) -> str:
    if not unit:
        return "without a unit"
    words = list(_WORDS[unit])
    return f"with the unit {words[0]}" if len(words) == 1 else f"with a unit ({', '.join(words)})"


def _written(number: Decimal, unit: Unit) -> str:
    if unit == "s" and number < 1:
        return f"{_plain(number * 1000)}ms"
    if unit == "B":
        for word in ("MiB", "KiB"):
            if number and number % _SIZES[word] == 0:
                return f"{_plain(number / _SIZES[word])}{word}"
    return f"{_plain(number)}{unit}"


def _plain(number: Decimal) -> str:
    """Write a number without exponent and without zeros at its end."""
    text = f"{number:.9f}" if number.as_tuple().exponent else f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
