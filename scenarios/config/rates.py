"""Ramps as people write them, ``1/s -> 20/s`` and ``0 -> 50``, and the field types made of them.

A ramp is its value at the begin and at the end, rates per second. Pure. Knows no stage.
"""

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from probes.settings import Word
from probes.units import Rate, format_rate, parse_rate, short

__all__ = [
    "MAX_USERS",
    "Rate",
    "RateRamp",
    "UsersRamp",
    "format_ramp",
    "format_rate",
    "format_users",
    "parse_ramp",
    "parse_rate",
    "parse_users",
]

ARROW = "->"
# More threads of control than one machine's ports can serve: a slip of the finger.
MAX_USERS = 1_000_000
_RATE = r"[0-9]+(\.[0-9]+)? ?/ ?[smh]"
_USERS = r"[0-9]{1,7}"

Ramp = tuple[float, float]


def parse_ramp(text: object) -> Ramp:
    """Read ``20/s`` or ``1/s -> 20/s`` as the rates at the begin and at the end.

    Raises:
        ValueError: no rates.
    """
    try:
        return _ends(text, parse_rate)
    except ValueError:
        want = "want a rate such as 20/s or 1/s -> 20/s"
        raise ValueError(f"{want}, got {short(text)}") from None


def parse_users(value: object) -> Ramp:
    """Read ``50`` or ``0 -> 50`` as the users at the begin and at the end.

    Raises:
        ValueError: no whole numbers, or too many users.
    """
    try:
        return _ends(value, _users)
    except ValueError:
        want = f"want users such as 50 or 0 -> 50, at most {MAX_USERS}"
        raise ValueError(f"{want}, got {short(value)}") from None


def format_ramp(ramp: Ramp) -> str:
    """Write rates as `parse_ramp` reads them."""
    return _joined(*map(format_rate, ramp))


def format_users(ramp: Ramp) -> str:
    """Write users as `parse_users` reads them."""
    return _joined(*(f"{users:.0f}" for users in ramp))


def _joined(first: str, last: str) -> str:
    return first if first == last else f"{first} {ARROW} {last}"


def _ends(value: object, read: Callable[[object], float]) -> Ramp:
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - was read before
        return value
    if not isinstance(value, str) or ARROW not in value:
        return (read(value), read(value))
    first, _, last = value.partition(ARROW)
    return (read(first.strip()), read(last.strip()))


def _users(value: object) -> float:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= len("1000000")
    ):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_USERS:
        raise ValueError("want a whole number of users, got another")
    return float(value)


def _serialize_ramp(ramp: Ramp | None) -> str | None:
    return None if ramp is None else format_ramp(ramp)


def _serialize_users(ramp: Ramp | None) -> str | None:
    return None if ramp is None else format_users(ramp)


RateRamp = Annotated[
    Ramp,
    BeforeValidator(parse_ramp),
    Word("rate or ramp of rates"),
    PlainSerializer(_serialize_ramp, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_RATE}( *{ARROW} *{_RATE})?$",
            "examples": ["20/s", "1/s -> 20/s"],
        }
    ),
]
"""Times a second at the begin and at the end."""

UsersRamp = Annotated[
    Ramp,
    BeforeValidator(parse_users),
    Word("users or ramp of users"),
    PlainSerializer(_serialize_users, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_USERS},
                {"type": "string", "pattern": f"^{_USERS}( *{ARROW} *{_USERS})?$"},
            ],
            "examples": [50, "0 -> 50"],
        }
    ),
]
"""Users at the begin and at the end."""
