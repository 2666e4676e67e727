"""Durations, sizes, rates and numbers as people write them, and the field types made of them.

Python numbers carry no unit: durations are seconds (float), sizes are bytes (int), rates are per
second (float). Knows no YAML and no kind.
"""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_UNITS_BYTES = {
    "B": 1,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
# A number and a unit, or several in falling order: 90s, 1m30s, 1.5h. ASCII digits only: float()
# takes "٣" too.
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII)
_RATIO = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)(%?)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?/ ?([smh])", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII
)
# Ten years: longer than any certificate a browser accepts, short enough for every clock call.
MAX_DURATION_S = 10 * 365 * 86400.0
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$"
RATE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?/ ?[smh]$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"


def parse_duration(text: object) -> float:
    """Read ``500ms``, ``10s``, ``1m30s``, ``21d`` as seconds, > 0.

    Raises:
        ValueError: no unit, zero, negative, or over ten years.
    """
    if isinstance(text, str):
        seconds, at, last = 0.0, 0, float("inf")
        for part in _DURATION_PART.finditer(text):
            unit = _UNITS_S[part[2]]
            if part.start() != at or unit >= last:
                break
            seconds, at, last = seconds + float(part[1]) * unit, part.end(), unit
        # to the nanosecond: 0.1 + 0.2 is not 0.3
        seconds = round(seconds, 9)
        if text and at == len(text) and 0 < seconds <= MAX_DURATION_S:
            return seconds
    raise ValueError(f"want a duration with its unit such as 500ms, 10s or 5m, got {short(text)}")


def parse_size(text: object) -> int:
    """Read ``64KiB``, ``1MiB``, ``10MB`` as bytes.

    Raises:
        ValueError: no unit, or not a whole number of bytes.
    """
    if isinstance(text, str) and (found := _SIZE.fullmatch(text)):
        size = float(found[1]) * _UNITS_BYTES[found[2]]
        if size == int(size):
            return int(size)
    raise ValueError(f"want a size with its unit such as 64KiB or 1MiB, got {short(text)}")


def parse_number(text: str) -> float:
    """Read a number out of foreign text: ASCII digits, finite; neither ``nan`` nor ``1_0``.

    Raises:
        ValueError: anything else.
    """
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value not in (float("inf"), float("-inf")):
            return value
    raise ValueError(f"want a finite decimal number, got {short(text)}")


def parse_ratio(text: object) -> float:
    """Read ``90%`` or ``0.9`` as 0.9, between 0 and 1.

    Raises:
        ValueError: out of range, or not a number.
    """
    if isinstance(text, str) and (found := _RATIO.fullmatch(text)):
        # in decimals: 99.9 / 100 is 0.9990000000000001
        ratio = float(Decimal(found[1]) / (100 if found[2] else 1))
    elif isinstance(text, int | float) and not isinstance(text, bool):
        ratio = float(text)
    else:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    raise ValueError(f"want a share such as 90% or 0.9, got {short(text)}")


def parse_rate(text: object) -> float:
    """Read ``20/s``, ``90/m``, ``0.5/h`` as times a second, >= 0.

    Raises:
        ValueError: no unit, or negative.
    """
    if isinstance(text, str) and (found := _RATE.fullmatch(text)):
        return float(found[1]) / _UNITS_S[found[2]]
    raise ValueError(f"want a rate with its unit such as 20/s, 90/m or 10/h, got {short(text)}")


def format_rate(rate: float) -> str:
    """Write a rate as people do, exactly where it can be: 20 -> 20/s, 0.5 -> 30/m."""
    for unit in ("s", "m", "h"):
        text = f"{_decimal(rate * _UNITS_S[unit])}/{unit}"
        if parse_rate(text) == rate:
            return text
    return f"{_decimal(rate)}/s"


def format_duration(seconds: float) -> str:
    """Write seconds as people do, exactly: 0.5 -> 500ms, 90 -> 1m30s."""
    whole = round(seconds)
    if whole < 1 or seconds != whole:
        return f"{_decimal(seconds * 1000)}ms" if seconds < 1 else f"{_decimal(seconds)}s"
    parts, rest = [], whole
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _decimal(number: float) -> str:
    """Write a number without exponent, as exactly as `parse_duration` reads it."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


def format_size(size: int) -> str:
    """Write bytes with the largest unit that keeps them exact: 1048576 -> 1MiB."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _UNITS_BYTES[unit] == 0:
            return f"{size // _UNITS_BYTES[unit]}{unit}"
    return f"{size}B"


_WORDS = {True: "true", False: "false", None: "null"}


def short(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` cut to *limit* characters, for messages; words as files write them."""
    text = _WORDS.get(value) if value is None or isinstance(value, bool) else None
    return cut_text(text or repr(value), limit)


def cut_text(text: str, limit: int) -> str:
    """Return at most *limit* characters; a mark tells that more stood there (`probes.redact`)."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _serialize_rate(rate: float | None) -> str | None:
    return None if rate is None else format_rate(rate)


def _serialize_duration(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(_serialize_duration, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "10s", "5m"]}
    ),
]
"""Seconds, > 0; written with a unit."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["64KiB", "1MiB"]}),
]
"""Bytes; written with a unit."""

Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?%|[01](\.[0-9]+)?)$"},
            ]
        }
    ),
]
"""A share from 0 to 1; written 0.9 or 90%."""

Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(_serialize_rate, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": RATE_PATTERN, "examples": ["20/s", "90/m", "10/h"]}
    ),
]
"""Times a second, >= 0; written with a unit."""
