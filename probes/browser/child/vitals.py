"""Web vitals and navigation timing out of what a page says of itself: judged as foreign data. Pure.

The script is `vitals.js`; `read` makes of its text what a `Page` holds. What was not observed is
not there: INP without an interaction, a paint that never came. Knows no browser.

Source:
    https://web.dev/articles/vitals; https://www.w3.org/TR/navigation-timing-2/
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

# A text with 1,000 long tasks is shorter.
MAX_REPORT_CHARACTERS = 128 * 1024
# No page of a run is older than the longest run; CLS adds up shares of the window.
MAX_SECONDS = 24 * 3600.0
MAX_CLS = 1000.0
# https://web.dev/articles/tbt: what a task takes beyond 50 ms blocks whoever wants to do something.
LONG_TASK_MS = 50.0
SCRIPT = Path(__file__).with_name("vitals.js")

# what it is called -> from, to; seconds between the two marks of the navigation
_SPANS: Mapping[str, tuple[str, str]] = {
    "dns": ("domainLookupStart", "domainLookupEnd"),
    "tls": ("secureConnectionStart", "connectEnd"),
    "request": ("requestStart", "responseStart"),
    "response": ("responseStart", "responseEnd"),
    "processing": ("responseEnd", "domComplete"),
}
_MOMENTS: Mapping[str, str] = {
    "dom_content_loaded": "domContentLoadedEventEnd",
    "load": "loadEventEnd",
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What one document said last.

    Args:
        document: its time origin, which tells documents apart.
        vitals: seconds; ``cls`` a number.
        timing: seconds.
    """

    document: float
    vitals: Mapping[str, float] = field(default_factory=dict[str, float])
    timing: Mapping[str, float] = field(default_factory=dict[str, float])


def read(text: str) -> Observed:
    """Read what the script told.

    Raises:
        ValueError: it is no such text.
    """
    if len(text) > MAX_REPORT_CHARACTERS:
        raise ValueError(f"want a report of a page, got {len(text)} characters")
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("want a report of a page, got a deeper one") from None
    document = _number(data.get("document")) if isinstance(data, dict) else None
    if document is None:
        raise ValueError("want a report of a page, got something else")
    navigation = data.get("navigation")
    marks = navigation if isinstance(navigation, dict) else {}
    return Observed(document, _vitals(data, marks), _timing(marks))


def _number(value: object, limit: float = float("inf")) -> float | None:
    """Return *value* as a number from 0 to *limit*; None: it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) and 0 <= number <= limit else None


def _seconds(value: object) -> float | None:
    """Return milliseconds as seconds; a mark that was not reached is 0, which is none."""
    number = _number(value, MAX_SECONDS * 1000)
    return number / 1000 if number else None


def _vitals(data: Mapping[str, Any], marks: Mapping[str, Any]) -> dict[str, float]:
    found = {
        "ttfb": _seconds(marks.get("responseStart")),
        "fcp": _seconds(data.get("fcp")),
        "lcp": _seconds(data.get("lcp")),
        "inp": _seconds(data.get("inp")),
        "cls": _number(data.get("cls"), MAX_CLS),
        "tbt": _blocking(data),
    }
    return {name: value for name, value in found.items() if value is not None}


def _blocking(data: Mapping[str, Any]) -> float | None:
    """Return the seconds beyond 50 ms of each long task after the first paint; None before it."""
    painted = _number(data.get("fcp"))
    tasks = data.get("tasks")
    if painted is None or not isinstance(tasks, list):
        return None
    total = 0.0
    for task in tasks:
        if not isinstance(task, list) or len(task) != 2:  # noqa: PLR2004 - start and duration
            continue
        start, took = (_number(value, MAX_SECONDS * 1000) for value in task)
        if start is not None and took is not None:
            # what lies before the paint does not count
            blocked = start + took - max(start + LONG_TASK_MS, painted)
            total += max(0.0, blocked)
    return min(total / 1000, MAX_SECONDS)


def _timing(marks: Mapping[str, Any]) -> dict[str, float]:
    found = {name: _seconds(marks.get(mark)) for name, mark in _MOMENTS.items()}
    for name, (begin, end) in _SPANS.items():
        found[name] = _span(marks, begin, end)
    found["connect"] = _connect(marks)
    return {name: value for name, value in found.items() if value is not None}


def _span(marks: Mapping[str, Any], begin: str, end: str) -> float | None:
    first, last = _seconds(marks.get(begin)), _seconds(marks.get(end))
    return last - first if first is not None and last is not None and last >= first else None


def _connect(marks: Mapping[str, Any]) -> float | None:
    """Return the seconds of the connection without its TLS; None: it was there already."""
    if marks.get("connectStart") == marks.get("connectEnd"):
        return None
    secure = _seconds(marks.get("secureConnectionStart"))
    return _span(marks, "connectStart", "secureConnectionStart" if secure else "connectEnd")
