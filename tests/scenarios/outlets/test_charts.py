"""Axes and paths of the charts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.outlets.charts import Axis, Chart, Frame, Series, axis_of, figure
from scenarios.outlets.words import digits

FRAME = Frame(0, 4, [(0, 1), (1, 2), (2, 3), (3, 4)])


def paths(*series: Series, frame: Frame = FRAME, top: float = 0.0) -> list[str]:
    page = figure(Chart("k", "Title", "unit", series, digits, top=top), frame)
    return re.findall(r' d="([^"]*)"/>', page)


@pytest.mark.parametrize(
    ("values", "top", "ticks"),
    [
        pytest.param([0.0, 40.0], 0.0, [0, 10, 20, 30, 40], id="round"),
        pytest.param([37.0], 0.0, [0, 10, 20, 30, 40], id="up to the next"),
        pytest.param([0.9], 1.0, [0, 0.25, 0.5, 0.75, 1], id="at least the top"),
        pytest.param([], 0.0, [0, 0.25, 0.5, 0.75, 1], id="nothing"),
        pytest.param([-3.0], 0.0, [0, 0.25, 0.5, 0.75, 1], id="nothing above zero"),
        pytest.param([0.0023], 0.0, [0, 0.001, 0.002, 0.003], id="small"),
    ],
)
def test_ticks_are_round(values: list[float], top: float, ticks: list[float]) -> None:
    assert axis_of(values, top).ticks == pytest.approx(ticks)


def test_a_worst_value_that_dwarfs_all_others_makes_a_log_axis() -> None:
    axis = axis_of([0.02, 0.03, 0.04, 2.9], 0, may_be_log=True)

    assert axis.is_log
    assert axis.ticks == pytest.approx([0.01, 0.1, 1, 10])
    assert axis.y(0.1) == pytest.approx(1 / 3)
    assert axis.y(0.0) == 0
    assert not axis_of([0.02, 0.03, 0.04, 2.9], 0).is_log
    assert not axis_of([0.02, 0.03, 0.2], 0, may_be_log=True).is_log


@given(
    st.lists(st.floats(0, 1e9), max_size=20), st.floats(0, 1e6), st.booleans(), st.floats(0, 1e9)
)
def test_every_axis_has_room_for_every_value(
    values: list[float], top: float, may_be_log: bool, other: float
) -> None:
    axis = axis_of(values, top, may_be_log=may_be_log)

    assert 2 <= len(axis.ticks) <= 7
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert all(value <= axis.high * 1.001 for value in (*values, top))
    assert 0 <= axis.y(other) <= 1


def test_a_line_breaks_where_there_is_no_value() -> None:
    assert paths(Series("", "c1", "line", [0.0, 1.0, None, 1.0])) == ["M125 200l250-200M875 0h1"]


def test_an_area_stands_on_the_ground() -> None:
    assert paths(Series("", "c1", "area", [1.0, 1.0, None, None])) == ["M125 0l250 0l0 200l-250 0z"]


def test_a_band_lies_between_two_lines() -> None:
    band = Series("", "c1", "band", [1.0, 1.0, None, None], [0.5, 0.25, None, None])

    assert paths(band) == ["M125 0l250 0l0 150l-250-50z"]


def test_bars_are_as_wide_as_their_seconds() -> None:
    assert paths(Series("", "c1", "bars", [0.0, 1.0, None, 0.5])) == [
        "M250 200V0H499V200M750 200V100H999V200"
    ]


def test_what_is_beyond_the_axis_lies_on_its_edge() -> None:
    assert Axis(0, 1).y(7) == 1
    assert FRAME.x(-5) == 0
    assert FRAME.x(9) == 1


def test_the_columns_tell_the_worst_of_their_seconds() -> None:
    spans = [(float(at), at + 1.0) for at in range(100)]
    frame = Frame(0, 100, spans, marks=[(90, "lost <1>")], shades=[(0, 10, "warm & up")])
    series = Series("a<b", "c1", "line", [float(at == 4) for at in range(100)])

    page = figure(Chart("k", "T", "", [series], digits), frame)

    told = re.findall(r"<b[^>]*><span>([^<]*)</span></b>", page)
    assert len(told) == 34
    assert told[1] == "0:03\na&lt;b 1"
    assert "lost &lt;1&gt;" in page
    assert "warm &amp; up" in page


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        pytest.param(8, ["0:00", "0:02", "0:04", "0:06", "0:08"], id="seconds"),
        pytest.param(240, ["0:00", "1:00", "2:00", "3:00", "4:00"], id="minutes"),
        pytest.param(7200, ["0:00", "30:00", "1:00:00", "1:30:00", "2:00:00"], id="hours"),
    ],
)
def test_times_are_round(seconds: int, labels: list[str]) -> None:
    frame = Frame(0, seconds, [(0, seconds)])

    page = figure(Chart("k", "T", "", [Series("a", "c1", "line", [1.0])], digits), frame)

    assert re.findall(r'<i class="x[^>]*>([^<]*)</i>', page) == labels
