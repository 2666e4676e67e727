"""Values and errors of PostgreSQL in plain form."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.result import Reason
from probes.wire.postgres.answer import plain, server_failure

NIL = UUID(int=0)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        (True, True),
        (7, 7),
        ("x", "x"),
        (Decimal("1.50"), 1.5),
        (Decimal(10), 10),
        (Decimal("1E+2000"), float("inf")),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2), "01:02:00"),
        (timedelta(minutes=2), 120.0),
        (b"\x00\xff", "00ff"),
        ([Decimal(1), (b"\x01",)], [1, ["01"]]),
        (NIL, str(NIL)),
    ],
)
def test_a_value_is_shown_as_in_json(value: Any, wanted: Any) -> None:
    found = plain(value)

    assert found == wanted
    assert type(found) is type(wanted)


def test_deep_nesting_ends_as_text() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]

    assert "[" in str(plain(value))


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimal_is_a_number(value: Decimal) -> None:
    if value.is_snan():
        return

    assert isinstance(plain(value), int | float)


@pytest.mark.parametrize(
    ("sqlstate", "reason"),
    [
        ("28000", Reason.AUTH), ("42501", Reason.AUTH), ("42P01", Reason.STATUS),
        ("57014", Reason.TIMEOUT), ("57P01", Reason.STATUS), ("08003", Reason.CLOSED),
        ("", Reason.STATUS), (None, Reason.STATUS), ("?", Reason.STATUS),
    ],
)  # fmt: skip
def test_the_longest_prefix_of_a_sqlstate_counts(sqlstate: str | None, reason: Reason) -> None:
    failure = server_failure(sqlstate, "no")

    assert failure.reason is reason
    assert failure.message.endswith(f"got {sqlstate or ''}: 'no'")
