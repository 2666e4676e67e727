"""Durations, sizes and numbers: what is read, what is refused, and the way back."""

import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from probes.units import (
    MAX_DURATION_S,
    Duration,
    Ratio,
    Size,
    format_duration,
    format_size,
    parse_duration,
    parse_number,
    parse_ratio,
    parse_size,
    short,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("500ms", 0.5, id="milliseconds"),
        pytest.param("10s", 10.0, id="seconds"),
        pytest.param("1.5h", 5400.0, id="a fraction"),
        pytest.param("1m30s", 90.0, id="several units"),
        pytest.param("1w2d3h4m5s6ms", 788645.006, id="all units in falling order"),
        pytest.param("0m1s", 1.0, id="one part may be zero"),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("10", id="no unit"),
        pytest.param(10, id="a number"),
        pytest.param(True, id="a bool"),
        pytest.param(None, id="nothing"),
        pytest.param("", id="empty"),
        pytest.param("0s", id="zero"),
        pytest.param("-5s", id="negative"),
        pytest.param("30s1m", id="rising order"),
        pytest.param("1s1s", id="the same unit twice"),
        pytest.param("1 s", id="a space"),
        pytest.param("1s ", id="a space at the end"),
        pytest.param("1s\n", id="a line end"),
        pytest.param("٣s", id="digits that are not ASCII"),
        pytest.param("1e3s", id="an exponent"),
        pytest.param("3651d", id="over ten years"),
        pytest.param("1y", id="years"),
    ],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"^want a duration with its unit such as 500ms, 10s or 5m, got "
    ):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("0B", 0, id="zero"),
        pytest.param("64KiB", 65536, id="binary"),
        pytest.param("10MB", 10_000_000, id="decimal"),
        pytest.param("1.5 KiB", 1536, id="a fraction and a space"),
        pytest.param("2TiB", 2 * 2**40, id="the largest unit"),
    ],
)
def test_a_size_is_read_as_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("64", id="no unit"),
        pytest.param(64, id="a number"),
        pytest.param("1.0001B", id="part of a byte"),
        pytest.param("1KB", id="a unit that means two things"),
        pytest.param("-1B", id="negative"),
        pytest.param("1kB\n", id="a line end"),
        pytest.param("٣B", id="digits that are not ASCII"),
    ],
)
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^want a size with its unit such as 64KiB or 1MiB, got "):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("0", 0.0, id="zero"),
        pytest.param("-1.5e-3", -0.0015, id="exponent"),
        pytest.param("+.5", 0.5, id="no digit before the point"),
        pytest.param("5.", 5.0, id="no digit behind the point"),
    ],
)
def test_a_number_is_read(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("nan", id="nan"),
        pytest.param("inf", id="inf"),
        pytest.param("1e999", id="too large for a float"),
        pytest.param("1_0", id="an underscore"),
        pytest.param("٣", id="digits that are not ASCII"),
        pytest.param("0x10", id="hexadecimal"),
        pytest.param(" 1", id="a space"),
        pytest.param("1\n", id="a line end"),
        pytest.param("", id="empty"),
        pytest.param(".", id="a point alone"),
        pytest.param("1" * 301, id="endless digits"),
    ],
)
def test_what_float_would_take_and_we_do_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"^want a finite decimal number, got "):
        parse_number(text)


@pytest.mark.parametrize(
    ("value", "ratio"),
    [
        pytest.param("90%", 0.9, id="percent"),
        pytest.param("0.9", 0.9, id="a text"),
        pytest.param(0.9, 0.9, id="a number"),
        pytest.param(1, 1.0, id="one"),
        pytest.param("99.95%", 0.9995, id="a fraction of a percent"),
    ],
)
def test_a_share_is_read(value: object, ratio: float) -> None:
    assert parse_ratio(value) == pytest.approx(ratio)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("101%", id="over the whole"),
        pytest.param(90, id="a percentage without its sign"),
        pytest.param(-0.1, id="negative"),
        pytest.param(True, id="a bool"),
        pytest.param(math.nan, id="nan"),
        pytest.param("x%", id="no number"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^want a share such as 90% or 0\.9, got "):
        parse_ratio(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0.5, "500ms", id="below a second"),
        pytest.param(90, "1m30s", id="two units"),
        pytest.param(86400 * 21, "21d", id="days"),
        pytest.param(1.5, "1.5s", id="a fraction"),
        pytest.param(0.0005, "0.5ms", id="below a millisecond"),
    ],
)
def test_a_duration_is_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(1, int(MAX_DURATION_S)))
def test_whole_seconds_survive_the_way_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(1, 999_999))
def test_milliseconds_survive_the_way_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 2**49))
def test_sizes_survive_the_way_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text(), st.sampled_from([parse_duration, parse_size, parse_number, parse_ratio]))
def test_any_text_is_a_value_or_a_value_error(text: str, parse: Callable[[str], float]) -> None:
    with suppress(ValueError):
        assert math.isfinite(parse(text))


def test_a_quoted_value_is_cut_at_eighty_characters() -> None:
    assert short("a") == "'a'"
    assert short("x" * 500) == "'" + "x" * 78 + "…"
    assert len(short("x" * 500)) == 80


def test_the_field_types_read_and_write_units() -> None:
    duration, size = TypeAdapter(Duration | None), TypeAdapter(Size)

    assert duration.validate_python("1m") == 60.0
    assert duration.dump_python(60.0, mode="json") == "1m"
    assert duration.dump_python(None, mode="json") is None
    assert size.validate_python("1KiB") == 1024
    assert size.dump_python(1024, mode="json") == "1KiB"
    assert TypeAdapter(Ratio).validate_python("5%") == pytest.approx(0.05)


def test_the_field_types_refuse_with_our_words() -> None:
    with pytest.raises(ValidationError, match="want a duration with its unit"):
        TypeAdapter(Duration).validate_python(10)


def test_the_schema_of_a_duration_is_a_pattern_that_editors_know() -> None:
    schema = TypeAdapter(Duration).json_schema()

    assert schema["type"] == "string"
    assert "500ms" in schema["examples"]


@pytest.mark.parametrize(
    ("text", "again"),
    [
        pytest.param("1000.3ms", "1.0003s", id="three parts in ten thousand"),
        pytest.param("1234567.5s", "1234567.5s", id="no exponent of a long one"),
        pytest.param("0.00001ms", "0.00001ms", id="no exponent of a short one"),
        pytest.param("90s", "1m30s", id="whole seconds"),
    ],
)
def test_a_duration_is_written_as_it_can_be_read(text: str, again: str) -> None:
    assert format_duration(parse_duration(text)) == again
    assert parse_duration(again) == parse_duration(text)


def test_less_than_a_nanosecond_is_no_duration() -> None:
    with pytest.raises(ValueError, match="want a duration"):
        parse_duration("0.0000001ms")


@given(st.floats(1e-9, MAX_DURATION_S))
def test_any_duration_is_written_as_it_can_be_read(seconds: float) -> None:
    nanoseconds = round(seconds, 9)

    assert parse_duration(format_duration(nanoseconds)) == pytest.approx(nanoseconds, rel=1e-12)
