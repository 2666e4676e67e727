"""A LoadReport as it may leave: every text that came from outside is starred, shown and cut.

Names of steps come from locust files, errors from targets, notes from both. After this no text has
a character that steers a terminal, a parser or a page, and none is longer than its limit; whoever
writes a page still escapes what its own syntax means. Cleaning what is clean changes nothing.

Pure. Knows no outlet.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from probes.redact import ELLIPSIS, SECRET_HEADER, STARS, redact_shapes
from probes.report import printable
from scenarios.book import Book, Key
from scenarios.plan import SCHEMA, Plan
from scenarios.records import Told
from scenarios.report import Compared, Generator, Judged, LoadReport, Why

# A name of 10,000 characters is a URL that somebody took for one; a table has no room for it.
MAX_NAME = 120
# Enough for the longest message of `probes.wire.failures` and an expression of a threshold.
MAX_TEXT = 500
# load.md 7.3 caps what is kept; a report shows what is frequent.
MAX_ERRORS = 100
MAX_NOTES = 50

Hide = Callable[[str], str]


def cleaned(report: LoadReport, hide: Hide = redact_shapes) -> LoadReport:
    """Return *report* with clean texts.

    Args:
        report: as it came.
        hide: stars secrets; a `probes.redact.Redactor` knows those of this run too.
    """

    def name(text: str) -> str:
        return cut(printable(hide(text)), MAX_NAME)

    def line(text: str) -> str:
        return cut(printable(hide(text)), MAX_TEXT)

    comparison = report.comparison
    return replace(
        report,
        scenario=name(report.scenario),
        run_id=name(report.run_id),
        reasons=tuple(Why(it.verdict, name(it.code), line(it.text)) for it in report.reasons),
        plan=_plan(report.plan, hide, name) if report.plan else None,
        target=line(report.target),
        config_hash=name(report.config_hash),
        git_ref=name(report.git_ref),
        versions={name(key): name(it) for key, it in report.versions.items()},
        book=_book(report.book, name),
        errors=tuple(_told(it, name, line) for it in report.errors[:MAX_ERRORS]),
        thresholds=tuple(_judged(it, line) for it in report.thresholds),
        comparison=comparison
        and replace(
            comparison,
            source=name(comparison.source),
            run_id=name(comparison.run_id),
            missing=line(comparison.missing),
            stats=tuple(_compared(it, line) for it in comparison.stats),
        ),
        generators=tuple(_generator(it, name, line) for it in report.generators),
        notes=tuple(map(line, report.notes[:MAX_NOTES])),
        resolved={name(key): tuple(map(name, it)) for key, it in report.resolved.items()},
    )


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return the begin of a text that is too long."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def _told(it: Told, name: Hide, line: Hide) -> Told:
    return Told(name(it.step), name(it.reason), line(it.text), it.count)


def _judged(it: Judged, line: Hide) -> Judged:
    return replace(it, expr=line(it.expr), unit=line(it.unit))


def _compared(it: Compared, line: Hide) -> Compared:
    return replace(it, stat=line(it.stat), unit=line(it.unit))


def _generator(it: Generator, name: Hide, line: Hide) -> Generator:
    return replace(it, host=name(it.host), why=line(it.why))


def _book(book: Book, name: Hide) -> Book:
    """Return the book under clean names; what has become one name is added up."""
    made = Book(book.limits)
    known: dict[str, str] = {}

    def key_of(key: Key) -> Key:
        for text in key[:-1]:
            if text not in known:
                known[text] = name(text)
        return Key._make((*(known[text] for text in key[:-1]), key.measured))

    for key, histogram in book.durations.items():
        part = Book(book.limits)
        part.durations[key_of(key)] = histogram
        made.merge(part)
    for key, number in book.numbers.items():
        made.count(key_of(key), number)
    return made


def _plan(plan: Plan, hide: Hide, name: Hide) -> Plan:
    """Return the plan without what people write into a file although it is secret."""
    values = _value(asdict(plan), "", hide)
    journeys = {name(key): it for key, it in values["journeys"].items()}
    mix = [{**it, "name": name(it["name"])} for it in values["mix"]]
    whole = {**values, "schema": SCHEMA, "journeys": journeys, "mix": mix}
    return Plan.from_json(json.dumps(whole))


def _value(value: Any, key: str, hide: Hide) -> Any:
    if isinstance(value, Mapping):
        return {
            printable(hide(str(name))): _value(it, str(name), hide) for name, it in value.items()
        }
    if isinstance(value, list | tuple):
        return [_value(it, key, hide) for it in value]
    if not isinstance(value, str):
        return value
    # `${name}` tells where a secret comes from, not what it is
    if value and "${" not in value and _is_telling(key):
        return STARS
    return printable(hide(value))


def _is_telling(key: str) -> bool:
    """Return whether what has this name is a secret."""
    return bool(SECRET_HEADER.search(key)) or STARS in redact_shapes(f"{key}=x")
