"""Rates and ramps as people write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.config.rates import (
    format_ramp,
    format_rate,
    format_users,
    parse_ramp,
    parse_rate,
    parse_users,
)

# What people write: nine digits before the point, and as many behind it as there are nanoseconds.
RATES = st.decimals(min_value=0, max_value=999_999, places=3).map(float)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/s", 20.0),
        ("90/m", 1.5),
        ("0.5/s", 0.5),
        ("7200/h", 2.0),
        ("1/h", 1 / 3600),
        ("0/s", 0.0),
        ("10 / m", 1 / 6),
    ],
)
def test_a_rate_is_read_per_second(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["20", "-1/s", "1e3/s", "1/d", "/s", "٣/s", "1_0/s", "nan/s", "inf/s", "", 21, None, True],
)
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"^want a rate with its unit such as 20/s, 90/m or 10/h"):
        parse_rate(text)


@given(RATES)
def test_a_rate_that_is_written_is_read_as_the_same(rate: float) -> None:
    assert parse_rate(format_rate(rate)) == pytest.approx(rate, abs=1e-9)


@given(RATES, RATES)
def test_a_ramp_that_is_written_is_read_as_the_same(first: float, last: float) -> None:
    assert parse_ramp(format_ramp((first, last))) == pytest.approx((first, last), abs=1e-9)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_users_that_are_written_are_read_as_the_same(first: int, last: int) -> None:
    assert parse_users(format_users((first, last))) == (first, last)


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.booleans()))
def test_anything_is_a_ramp_or_a_mistake(value: Any) -> None:
    for read in (parse_ramp, parse_users):
        try:
            first, last = read(value)
        except ValueError as error:
            assert str(error).startswith("want ")  # noqa: PT017 - either is right
        else:
            assert first >= 0
            assert last >= 0


@pytest.mark.parametrize(
    ("rate", "text"), [(20, "20/s"), (0.5, "0.5/s"), (1 / 3600, "1/h"), (1 / 6, "10/m"), (0, "0/s")]
)
def test_a_rate_is_written_with_the_unit_that_keeps_it(rate: float, text: str) -> None:
    assert format_rate(rate) == text


def test_a_ramp_is_a_rate_or_two() -> None:
    assert parse_ramp("1/s -> 20/s") == (1, 20)
    assert parse_ramp("60/m->2/s") == (1, 2)
    assert parse_ramp("3/s") == (3, 3)
    assert parse_users("0 -> 50") == (0, 50)
    assert parse_users(7) == (7, 7)
