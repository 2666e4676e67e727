"""Numbers out of an answer as metrics of the user: ``measure`` of a probe.

    measure:
      - {name: pool_used_ratio, json: $.pool.used_percent, scale: 0.01, fail: "> 0.9"}
      - {name: api_process_seconds, header: X-Process-Time}
      - {name: build_number, regex: "build (?P<value>[0-9]+) of (?P<of>.+)", labels: {branch: of}}
      - {name: app_events, each: $.by_category, label: category}       a series for each key
      - {name: queue_size, each: "$.queues[*]", json: $.size, labels: {queue: $.name}}

Families and their labels are declared by the settings, so that a page of metrics knows them before
the first run; only the values come out of the answer. Knows no protocol and no page.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import isfinite
from operator import ge, gt, le, lt
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from probes import families
from probes.errors import CheckFailed
from probes.expect import JsonPath, Pattern, parse_json, searchable
from probes.jsonpath import json_path
from probes.kind import Metric
from probes.matcher import MISSING
from probes.recorder import Recorder
from probes.result import Reason, Sample
from probes.settings import Settings
from probes.sourced import Sourced
from probes.units import cut_text, parse_number, short

# metrics.md 2.6, 4.10: series of one family, and families of one probe.
MAX_VALUES = 20
MAX_MEASURES = 32
MAX_NAME_BYTES = 100
OTHER = "other"
# A text that is longer tells nobody apart; the page cuts it in any case.
MAX_LABEL_CHARACTERS = 128

_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)
_LIMIT = re.compile(r"(>=|<=|>|<) ?([^ ].*)", re.ASCII)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
# metrics.md 1: names of ours, of stock dashboards and of other exporters.
_FOREIGN = (
    "probe_", "sonde_", "loadtest_", "locust_", "k6_", "blackbox_", "process_", "python_",
    "scrape_", "go_", "node_", "container_", "promhttp_", *families.OWN_NAMESPACES,
)  # fmt: skip
# Samples that any kind may record, by the name that they have in a Result.
_SAMPLES = frozenset(
    family.name.removeprefix("probe_").removeprefix("sonde_")
    for family in (*families.BLACKBOX, *families.SHARED)
)
# Labels of every series of a probe, and those that belong to its own ``labels`` for ever.
_TAKEN = frozenset({"probe", "kind", "target"}) | families.REFUSED_LABELS | families.FREE_LABELS
_SUFFIXES = ("_bucket", "_count", "_sum", "_created", "_info")


def _judge_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_BYTES or name == "up":
        raise ValueError(f"want a name such as queue_size, got {short(name)}")
    if name.startswith(_FOREIGN):
        raise ValueError(f"want a name with a prefix of your own, got {short(name)}")
    if name.endswith(_SUFFIXES):
        raise ValueError(f"want a name without the ending of a part of a metric, got {short(name)}")
    return name


def _judge_label(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise ValueError(f"want a label name such as 'queue', got {short(name)}")
    if name in _TAKEN or name.startswith(families.REFUSED_PREFIXES):
        raise ValueError(f"want a free label name, got {short(name)}")
    return name


LabelName = Annotated[str, AfterValidator(_judge_label)]


class Limit(Sourced):
    """A comparison that is a miss when it holds: ``> 0.9``.

    Raises:
        ValueError: no comparison with a number.
    """

    __slots__ = ("_holds", "_number", "_sign")

    def __init__(self, source: Any) -> None:
        found = _LIMIT.fullmatch(source) if isinstance(source, str) else None
        if found is None:
            raise ValueError(f"want a limit such as '> 0.9', got {short(source)}")
        super().__init__(source)
        self._sign, self._number = found[1], parse_number(found[2])
        self._holds = _SIGNS[self._sign]

    def miss(self, value: float) -> str | None:
        """Return ``<= 0.9, got 0.95`` when *value* is beyond the limit."""
        if not self._holds(value, self._number):
            return None
        return f"{_OPPOSITE[self._sign]} {self._number:g}, got {value:g}"

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^(>=|<=|>|<) ?[^ ].*$", "examples": ["> 0.9"]}


class Measure(Settings):
    """One metric and where its value stands in the answer."""

    name: Annotated[str, AfterValidator(_judge_name)]
    """Name of the metric, with a prefix of your own; a counter ends in ``_total``."""
    help: str = Field(default="", max_length=200)
    """What it is; for people."""
    type: Literal["gauge", "counter"] = "gauge"
    """``counter``: the target counts, and never down but at a restart."""
    unit: str = Field(default="", pattern=r"^([a-z][a-z0-9_]{0,31})?$")
    """Unit, such as ``seconds``; stands at the end of the name, where it is added if it is not."""
    json_: JsonPath | None = Field(default=None, alias="json")
    """JSONPath of the value: in the body, or in each node of ``each``."""
    header: str = Field(default="", max_length=256)
    """Header that is the value."""
    regex: Pattern | None = None
    """RE2 pattern for the body: its group ``value``, or its only group, is the value."""
    each: JsonPath | None = None
    """JSONPath of several nodes, each with a series; of one object, each of its keys."""
    label: LabelName | None = None
    """Label that has the key of the object that ``each`` is."""
    labels: dict[LabelName, str] = Field(default={}, max_length=4)
    """Label -> JSONPath of its value, in the body or in each node; or a group of ``regex``."""
    max: int = Field(default=MAX_VALUES, ge=1, le=MAX_VALUES)
    """Series at most; the values of all others are summed up under ``other``."""
    scale: float = 1.0
    """Factor to the base unit, such as ``0.001`` for milliseconds."""
    optional: bool = False
    """Whether the value may be missing; otherwise the run is down."""
    warn: Limit | None = None
    """A comparison such as ``> 0.8`` that degrades the run when it holds."""
    fail: Limit | None = None
    """A comparison such as ``> 0.9`` that fails the run when it holds."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = {"json": self.json_, "header": self.header, "regex": self.regex}
        given = [key for key, value in sources.items() if value]
        if len(given) > 1 or (not given and self.each is None):
            raise ValueError(
                f"want one of json, header, regex and each, got {' and '.join(given) or 'none'}"
            )
        if self.each is not None and given not in ([], ["json"]):
            raise ValueError(f"want each alone or with json, got it with {given[0]}")
        if self.family in _SAMPLES:
            raise ValueError(f"want a name that no sample of ours has, got {self.family!r}")
        if (self.type == "counter") != self.family.endswith("_total"):
            raise ValueError(f"want _total at the end of counters alone, got {self.family!r}")
        return self

    @model_validator(mode="after")
    def _labels_have_a_source(self) -> Self:
        if self.header and self.labels:
            raise ValueError("want labels beside json, each or regex, got them beside header")
        if self.label is not None and (self.each is None or self.json_ is not None):
            raise ValueError("want label beside each alone, got it elsewhere")
        if self.label is not None and self.label in self.labels:
            raise ValueError(f"want each label once, got {self.label!r} twice")
        if self.each is not None and self.label is None and not self.labels:
            raise ValueError("want label or labels beside each, got none")
        return self

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
        names = None if self.regex is None else self.regex.group_names
        for source in self.labels.values():
            if names is None:
                json_path(source)
            elif source not in names:
                raise ValueError(f"want the name of a group of regex, got {short(source)}")
        if self.regex is not None and not self.group:
            raise ValueError("want a group around the value, got a regex without one")
        return self

    @cached_property
    def family(self) -> str:
        """Name on the page of metrics: with the unit, and ``_total`` behind it."""
        stem = self.name.removesuffix("_total")
        total = self.name[len(stem) :]
        if self.unit and not stem.endswith(f"_{self.unit}"):
            stem = f"{stem}_{self.unit}"
        return stem + total

    @cached_property
    def metric(self) -> Metric:
        """The family and its labels, known before the first run."""
        labels = (*([self.label] if self.label else []), *self.labels)
        text = self.help or f"Out of the answer: {self.name}"
        return Metric(self.family, text, labels, self.type, dynamic=bool(labels))

    @property
    def reads_body(self) -> bool:
        """Whether it looks at the body."""
        return not self.header

    @cached_property
    def group(self) -> str | int:
        """The group of ``regex`` that is the value: that of this name, else the first; 0: none."""
        if self.regex is None:
            return 0
        return "value" if "value" in self.regex.group_names else min(self.regex.groups, 1)


def _each_once(measures: list[Measure]) -> list[Measure]:
    met: set[str] = set()
    for measure in measures:
        if measure.family in met:
            raise ValueError(f"want each metric once, got {measure.family!r} twice")
        met.add(measure.family)
    return measures


Measures = Annotated[list[Measure], Field(max_length=MAX_MEASURES), AfterValidator(_each_once)]


class _Found(NamedTuple):
    """One value, and the values of the labels that tell it apart."""

    labels: tuple[str, ...]
    value: Any


class Answer:
    """An answer as measures see it: its headers, and its body, which is read as JSON once.

    Args:
        header: name -> all values.
        body: decoded.
    """

    def __init__(self, header: Callable[[str], Sequence[str]], body: bytes) -> None:
        self.header = header
        self.body = body

    @cached_property
    def document(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return parse_json(self.body)

    @cached_property
    def text(self) -> bytes:
        """The body as patterns search it."""
        return searchable(self.body)


def record_measures(
    measures: Sequence[Measure], answer: Answer, recorder: Recorder
) -> CheckFailed | None:
    """Record the values of *measures*, warn of soft misses and return the first hard one."""
    missed: CheckFailed | None = None
    for measure in measures:
        try:
            values = _summed(measure, _values(measure, answer))
        except ValueError as error:
            if not measure.optional:
                missed = missed or CheckFailed(Reason.VALUE, f"{measure.family}: {error}")
            continue
        except CheckFailed as failure:  # a path that would look at too many values
            missed = missed or failure
            continue
        for labels, value in values.items():
            pairs = tuple(zip(measure.metric.labels, labels, strict=True))
            # not by keyword: a label may be called "name" or "value"
            recorder.extend([Sample(measure.family, value, pairs)])
            missed = missed or _judged(measure, value, recorder)
    return missed


def _judged(measure: Measure, value: float, recorder: Recorder) -> CheckFailed | None:
    for limit, is_hard in ((measure.fail, True), (measure.warn, False)):
        miss = None if limit is None else limit.miss(value)
        if miss is not None and is_hard:
            return CheckFailed(Reason.VALUE, f"want {measure.family} {miss}")
        if miss is not None:
            recorder.warn(Reason.VALUE, f"want {measure.family} {miss}")
    return None


def _summed(measure: Measure, found: Iterator[_Found]) -> dict[tuple[str, ...], float]:
    """Return at most so many values as may be; equal labels, and all beyond, are summed up."""
    values: dict[tuple[str, ...], float] = {}
    for labels, value in found:
        values[labels] = values.get(labels, 0.0) + value
    # by their labels: the same ones in each run, whatever the order of the answer
    kept = dict(sorted(values.items())[: measure.max]) if len(values) > measure.max else values
    rest = (OTHER,) * len(measure.metric.labels)
    for labels in values.keys() - kept.keys():
        kept[rest] = kept.get(rest, 0.0) + values[labels]
    if not all(map(isfinite, kept.values())):
        raise ValueError("want numbers that a float can hold, got a larger one")
    return kept


def _values(measure: Measure, answer: Answer) -> Iterator[_Found]:
    """Yield what stands in the answer, in base units.

    Raises:
        ValueError: it is not there or no number, and not optional.
    """
    for labels, raw in _raw(measure, answer):
        value = _number(raw)
        if value is not None:
            yield _Found(labels, value * measure.scale)
        elif not measure.optional:
            raise ValueError(f"want a number, got {short(raw)}")


def _raw(measure: Measure, answer: Answer) -> Iterator[_Found]:
    if measure.header:
        yield _Found((), next(iter(answer.header(measure.header)), MISSING))
    elif measure.regex is not None:
        yield _searched(measure, measure.regex, answer.text)
    elif measure.each is not None:
        nodes = measure.each.select(answer.document)
        if not nodes:
            # told as missing, unless that may be
            yield _Found((), MISSING)
        for node in nodes:
            yield from _of_node(measure, node, answer.document)
    else:
        document = answer.document
        yield _Found(_labels(measure, document), _one(measure.json_, document))


def _searched(measure: Measure, wanted: Pattern, body: bytes) -> _Found:
    found = wanted.search(body)
    if found is None:
        return _Found((), MISSING)
    labels = tuple(_label_of(_text(found.group(name))) for name in measure.labels.values())
    return _Found(labels, _text(found.group(measure.group)))


def _text(group: bytes | None) -> str:
    return (group or b"").decode("utf-8", "replace")


def _of_node(measure: Measure, node: Any, document: Any) -> Iterator[_Found]:
    if measure.label is None:
        yield _Found(_labels(measure, node), _one(measure.json_, node))
        return
    if not isinstance(node, Mapping):
        raise ValueError(f"want an object at {measure.each}, got {short(node)}")  # noqa: TRY004 - a miss
    rest = _labels(measure, document)
    for key, value in node.items():
        yield _Found((_label_of(key), *rest), value)


def _labels(measure: Measure, node: Any) -> tuple[str, ...]:
    return tuple(_label_of(_one(json_path(path), node)) for path in measure.labels.values())


def _one(path: JsonPath | None, node: Any) -> Any:
    """Return the first value at *path*; the node itself without one."""
    return node if path is None else next(iter(path.select(node)), MISSING)


def _label_of(value: Any) -> str:
    """Return the value of a label; empty, which is none, where there is nothing."""
    if value is MISSING or value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return cut_text(str(value), MAX_LABEL_CHARACTERS)
    raise ValueError(f"want a text for a label, got {short(value)}")


def _number(value: Any) -> float | None:
    """Return the number that *value* is or that it writes in decimals; None when it is none."""
    if isinstance(value, str):
        try:
            return parse_number(value.strip())
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None
