"""A LoadReport as JSON for programs, and back: ``result.json``, schema 1.

    to_json     LoadReport -> text; one element of a list a line, so that it can be compared
    from_json   text -> LoadReport

``docs/schema/load-report.schema.json`` says what it looks like. Durations are seconds, except in
``histogram``: microseconds, by bucket (`scenarios.histogram`). Pure. Knows no file.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from probes.redact import redact_shapes
from probes.units import short
from scenarios.book import Book, Key
from scenarios.histogram import Histogram
from scenarios.outlets.cleaning import Hide, cleaned
from scenarios.outlets.figures import Totals, totals
from scenarios.plan import SCHEMA as PLAN_SCHEMA
from scenarios.plan import Plan
from scenarios.records import Told
from scenarios.report import (
    SCHEMA,
    Compared,
    Comparison,
    Generator,
    Judged,
    LoadReport,
    Second,
    Verdict,
    Why,
)

# Label of the report -> field of a Key: outside, a class of codes says that it is one.
_LABELS = {
    "journey": "journey",
    "step": "step",
    "method": "method",
    "code_class": "code",
    "outcome": "outcome",
    "reason": "reason",
}
# Field of a Generator -> key of load.md 10.4.
_SHORTER = {"lag_p99_s": "lag_p99", "rss_bytes": "rss"}
_LONGER = {key: name for name, key in _SHORTER.items()}
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def to_json(report: LoadReport, hide: Hide = redact_shapes) -> str:
    """Return the report as JSON in ASCII."""
    clean = cleaned(report, hide)
    return _lines(_finite(_document(clean))) + "\n"


def _document(report: LoadReport) -> dict[str, Any]:
    plan, comparison = report.plan, report.comparison
    return {
        "schema": SCHEMA,
        "scenario": report.scenario,
        "run_id": report.run_id,
        "verdict": report.verdict.value,
        "reasons": [asdict(it) for it in report.reasons],
        "exit_code": report.exit_code,
        "started_at": report.started_at.astimezone(UTC).isoformat(),
        "ended_at": report.ended_at.astimezone(UTC).isoformat(),
        "seconds": report.seconds,
        "seed": plan.seed if plan else None,
        "target": report.target,
        "config_hash": report.config_hash,
        "git_ref": report.git_ref,
        "versions": dict(report.versions),
        "plan": json.loads(plan.to_json()) if plan else None,
        "totals": _totals(totals(report)),
        "series": _series(report.book),
        "errors": [asdict(it) for it in report.errors],
        "thresholds": [asdict(it) for it in report.thresholds],
        "baseline": asdict(comparison) if comparison else None,
        "generators": [_generator(it) for it in report.generators],
        "timeline": [asdict(it) for it in report.timeline],
        "notes": list(report.notes),
        "resolved": {host: list(them) for host, them in report.resolved.items()},
    }


def _generator(it: Generator) -> dict[str, Any]:
    return {_SHORTER.get(name, name): value for name, value in asdict(it).items()}


def _totals(it: Totals) -> dict[str, Any]:
    return {
        "measured_seconds": it.seconds,
        "requests": it.requests,
        "requests_failed": it.failed,
        "requests_unknown": it.unknown,
        "requests_unmeasured": it.unmeasured,
        "failed_share": it.failed_share,
        "requests_per_second": it.request_rate,
        "iterations_due": it.due,
        "iterations_completed": it.completed,
        "iterations_failed": it.iterations_failed,
        "iterations_dropped": it.dropped,
        "iterations_interrupted": it.interrupted,
        "iterations_per_second": it.throughput,
        "setup_failed": it.setup_failed,
        "users_max": it.users,
        "bytes_sent": it.sent,
        "bytes_received": it.received,
    }


def _series(book: Book) -> list[dict[str, Any]]:
    found = [
        {**_named(key), **_statistics(histogram)}
        for key, histogram in sorted(book.durations.items())
    ]
    found += [{**_named(key), "count": number} for key, number in sorted(book.numbers.items())]
    return found


def _named(key: Key) -> dict[str, Any]:
    labels = {label: it for label, name in _LABELS.items() if (it := getattr(key, name))}
    return {"metric": key.metric, "labels": labels, "measured": key.measured}


def _statistics(histogram: Histogram) -> dict[str, Any]:
    return {
        "count": histogram.count,
        "sum": histogram.total / 1e6,
        "min": histogram.least / 1e6,
        "max": histogram.greatest / 1e6,
        **{name: histogram.quantile(it) for name, it in _QUANTILES.items()},
        "histogram": histogram.as_dict(),
    }


def _finite(value: Any) -> Any:
    """Return *value* without the numbers that JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _lines(document: Mapping[str, Any]) -> str:
    """Return an object with a line for each key and for each element of its lists."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            text = "[\n    " + ",\n    ".join(map(_compact, value)) + "\n  ]"
        else:
            text = _compact(value)
        parts.append(f"  {_compact(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}"


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))


def from_json(text: str) -> LoadReport:
    """Return what `to_json` has written.

    Raises:
        ValueError: it is no report, or one of another version.
    """
    try:
        values = json.loads(text)
        if values["schema"] != SCHEMA:
            raise ValueError(
                f"want a load report of schema {SCHEMA}, got {short(values['schema'])}"
            )
        return _report(values)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"want a load report, got {short(repr(error))}") from None


def _report(values: Mapping[str, Any]) -> LoadReport:
    plan = values["plan"]
    read = Plan.from_json(json.dumps({"schema": PLAN_SCHEMA, **plan})) if plan is not None else None
    return LoadReport(
        scenario=values["scenario"],
        run_id=values["run_id"],
        verdict=Verdict(values["verdict"]),
        exit_code=values["exit_code"],
        reasons=tuple(
            Why(Verdict(it["verdict"]), it["code"], it["text"]) for it in values["reasons"]
        ),
        started_at=_moment(values["started_at"]),
        ended_at=_moment(values["ended_at"]),
        seconds=values["seconds"],
        plan=read,
        target=values["target"],
        config_hash=values["config_hash"],
        git_ref=values["git_ref"],
        versions=dict(values["versions"]),
        book=_book(values["series"], read.limits if read else {}),
        errors=tuple(Told(**it) for it in values["errors"]),
        thresholds=tuple(Judged(**it) for it in values["thresholds"]),
        comparison=_comparison(values["baseline"]),
        generators=tuple(
            Generator(**{_LONGER.get(str(key), str(key)): value for key, value in it.items()})
            for it in values["generators"]
        ),
        timeline=tuple(Second(**it) for it in values["timeline"]),
        notes=tuple(values["notes"]),
        resolved={host: tuple(them) for host, them in values["resolved"].items()},
    )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"want a time with its zone, got {short(text)}")
    return found


def _comparison(values: Mapping[str, Any] | None) -> Comparison | None:
    if values is None:
        return None
    stats = tuple(Compared(**it) for it in values["stats"])
    rest = {key: it for key, it in values.items() if key != "stats"}
    return Comparison(**rest, stats=stats)


def _book(series: list[Mapping[str, Any]], limits: Mapping[str, tuple[int, ...]]) -> Book:
    """Return the book; that of its parts is read strictly by `Book.from_dict`."""
    durations: list[Any] = []
    numbers: list[Any] = []
    for it in series:
        labels = {_LABELS[name]: text for name, text in it["labels"].items()}
        key = list(Key(it["metric"], measured=it["measured"], **labels))
        if "histogram" in it:
            durations.append([key, it["histogram"]])
        else:
            numbers.append([key, it["count"]])
    made = Book(limits)
    made.merge(Book.from_dict({"durations": durations, "numbers": numbers}))
    return made
