"""What PostgreSQL answered, in plain values: rows as in JSON, errors as verdicts. Pure.

Knows no driver and no expectation.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from probes.errors import CheckFailed
from probes.matcher import MISSING
from probes.result import Reason
from probes.units import short

# Arrays and composites nest; what is deeper is shown as text.
MAX_DEPTH = 8
# SQLSTATE -> reason, the longest prefix wins.
# Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
_REASONS = {
    "28": Reason.AUTH,  # invalid authorisation; 28P01 invalid password
    "42501": Reason.AUTH,  # insufficient privilege
    "57014": Reason.TIMEOUT,  # query cancelled: statement_timeout
    "55P03": Reason.TIMEOUT,  # lock not available
    "08003": Reason.CLOSED,  # the driver's word for a connection that is gone
    "08006": Reason.CLOSED,
    "08P01": Reason.PROTOCOL,
    "42601": Reason.CONFIG,  # syntax error: the query of the probe file is no SQL
    "25006": Reason.CONFIG,  # the query writes, the transaction only reads
    "": Reason.STATUS,
}
_WANTED = {
    Reason.AUTH: "access",
    Reason.TIMEOUT: "an answer in time",
    Reason.CONFIG: "a query that only reads",
    Reason.CLOSED: "a connection that stays open",
}


@dataclass(slots=True)
class Answer:
    """What came back: number of rows, first value, first row, role, numbers about the server."""

    rows: int = 0
    value: Any = MISSING
    first: dict[str, Any] = field(default_factory=dict)
    is_replica: bool | None = None
    told: dict[str, float] = field(default_factory=dict)


def server_failure(sqlstate: str | None, text: str) -> CheckFailed:
    """Return the verdict on an error of the server."""
    state = sqlstate or ""
    prefixes = (state[:length] for length in range(len(state), -1, -1))
    reason = next(_REASONS[prefix] for prefix in prefixes if prefix in _REASONS)
    wanted = _WANTED.get(reason, "an answer without error")
    return CheckFailed(reason, f"want {wanted}, got {state}: {short(text)}")


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value of the database as JSON would hold it, so that matchers can compare it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple) and depth < MAX_DEPTH:
        return [plain(item, depth + 1) for item in value]
    convert = next((how for kind, how in _CONVERSIONS if isinstance(value, kind)), str)
    return convert(value)


def _number(value: Decimal) -> int | float:
    is_whole = value.is_finite() and value == value.to_integral_value()
    # a numeric may have 131,072 digits: as an integer that would take a second to print
    return int(value) if is_whole and value.adjusted() < MAX_DIGITS else float(value)


MAX_DIGITS = 1000
_CONVERSIONS: tuple[tuple[Any, Any], ...] = (
    (Decimal, _number),
    (datetime | date | time, lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (bytes, bytes.hex),
)
