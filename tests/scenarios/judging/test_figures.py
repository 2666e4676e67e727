"""What a threshold finds in a book: exact decisions, who counts in what, windows of throughput."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.judging.figures import (
    COMPARE,
    Windows,
    browser_key,
    figure_of,
    is_met,
    throughput,
    value_of,
)
from scenarios.plan import Stage
from scenarios.thresholds import limits_of, parse


def book_of(text: str, *requests: tuple[str, float]) -> Book:
    """Return a book with requests of the given outcome and seconds."""
    book = Book(limits_of([parse(text)]))
    for outcome, seconds in requests:
        book.time(Key("request.duration", "shop", "search", "GET", "2xx", outcome), seconds)
    return book


def value(text: str, book: Book) -> float | None:
    threshold = parse(text)
    return value_of(threshold, figure_of(threshold, book))


def met(text: str, book: Book) -> bool:
    threshold = parse(text)
    figure = figure_of(threshold, book)
    found = value_of(threshold, figure)
    assert found is not None
    return is_met(threshold, figure, found)


@given(
    st.lists(st.integers(390_000, 410_000), min_size=1, max_size=60),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(0, 1000),
)
def test_a_percentile_is_judged_as_if_every_sample_had_been_kept(
    samples: list[int], op: str, tenths: int
) -> None:
    text = f"p{tenths / 10:g}(request.duration) {op} 400ms"
    book = book_of(text, *(("up", it / 1e6) for it in samples))
    # the definition: the smallest value that at least this share does not exceed
    rank = max(1, -int(-Fraction(tenths, 1000) * len(samples) // 1))
    truth = sorted(samples)[rank - 1]

    expected = COMPARE[parse(text).op](truth, 400_000)

    assert met(text, book) is expected
    # what is shown never contradicts what is said
    shown = value(text, book)
    assert shown is not None
    assert COMPARE[parse(text).op](shown, 0.4) is expected
    assert shown == pytest.approx(truth / 1e6, rel=0.01)


@given(st.lists(st.tuples(st.sampled_from(["up", "down", "unknown"]), st.floats(0, 9)), max_size=9),
       st.integers(0, 9))  # fmt: skip
def test_figures_of_parts_add_up_to_that_of_the_whole(
    requests: list[tuple[str, float]], cut: int
) -> None:
    for text in ("p95(request.duration) < 2s", "count(request.duration) < 4"):
        parts = figure_of(parse(text), book_of(text, *requests[:cut]))
        parts.merge(figure_of(parse(text), book_of(text, *requests[cut:])))

        whole = figure_of(parse(text), book_of(text, *requests))

        assert value_of(parse(text), parts) == value_of(parse(text), whole)


def failing() -> Book:
    """8 up, 1 degraded, 1 down (timeout), 5 of our own fault, 100 in the warm-up."""
    book = book_of("p95(request.duration) < 1s", *[("up", 0.1)] * 8, ("degraded", 0.2),
                   ("down", 5.0), *[("unknown", 9.0)] * 5)  # fmt: skip
    labels = ("shop", "search", "GET", "2xx")
    book.count(Key("request.failed", *labels, "down", "timeout"))
    book.count(Key("request.failed", *labels, "unknown", "internal"), 5)
    warm = Key("request.duration", *labels, "down", measured=False)
    for _ in range(100):
        book.time(warm, 30.0)
    book.count(warm._replace(metric="request.failed", reason="timeout"), 100)
    return book


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("max(request.duration) < 1s", 0.2, id="trends are of success"),
        pytest.param('max(request.duration{outcome="down"}) < 1s', 5.0, id="unless asked"),
        pytest.param('max(request.duration{outcome!="up"}) < 1s', 5.0, id="never our own fault"),
        pytest.param("min(request.duration) < 1s", 0.1, id="min"),
        pytest.param("avg(request.duration) < 1s", 1.0 / 9, id="avg"),
        pytest.param("sum(request.duration) < 1s", 1.0, id="sum"),
        pytest.param("count(request.duration) > 1", 9.0, id="count"),
        pytest.param("rate(request.failed) < 1%", 10.0, id="rate of what was judged"),
        pytest.param("count(request.failed) < 1", 1.0, id="count of failures"),
        pytest.param('rate(request.failed{reason="timeout"}) < 1%', 10.0,
                     id="a reason narrows the numerator"),
        pytest.param('rate(request.failed{reason="status"}) < 1%', 0.0, id="no event is 0"),
        pytest.param('rate(request.failed{step="pay"}) < 1%', None,
                     id="Thresholds 1 other labels narrow both sides: no samples"),
        pytest.param('rate(request.failed{step!="pay"}) < 1%', 10.0, id="not equal"),
        pytest.param('count(request.failed{code_class="5xx"}) == 0', 0.0, id="count of no class"),
        pytest.param('count(request.failed{step="pay"}) == 0', None,
                     id="Thresholds 1 a count of nothing at all is no 0"),
        pytest.param('p95(request.duration{step="pay"}) < 1s', None, id="Thresholds 1 no samples"),
        pytest.param("avg(data.sent) < 1KiB", 0.0, id="bytes a request"),
        pytest.param("rate(iteration.failed) < 1%", None, id="Thresholds 1 no iteration"),
        pytest.param("p95(iteration.latency) < 1s", None, id="Thresholds 1 no latency"),
    ],
)  # fmt: skip
def test_who_counts_in_what(text: str, expected: float | None) -> None:
    assert value(text, failing()) == (None if expected is None else pytest.approx(expected))


def test_iterations_setups_and_bytes() -> None:
    book = failing()
    for name, number in (("due", 50), ("started", 40), ("completed", 38), ("failed", 19),
                         ("interrupted", 2), ("dropped", 10)):  # fmt: skip
        book.count(Key(f"iteration.{name}", "shop"), number)
    book.count(Key("setup.done", "shop"), 3)
    book.count(Key("setup.failed", "shop", "login"), 1)
    book.count(Key("data.received", "shop", "search"), 5000)
    for outcome, seconds in (("up", 1.0), ("interrupted", 20.0), ("down", 30.0)):
        book.time(Key("iteration.latency", "shop", outcome=outcome), seconds)
        book.time(Key("iteration.duration", "shop", outcome=outcome), seconds)

    assert value("rate(iteration.failed) < 1%", book) == 50.0
    assert value("rate(iteration.interrupted) < 1%", book) == 5.0
    assert value("rate(iteration.dropped) < 1%", book) == 20.0
    assert value('rate(setup.failed{step="login"}) < 1%', book) == 25.0
    assert value('count(setup.failed{step="other"}) < 1', book) == 0.0
    assert value("avg(data.received) < 1KiB", book) == 500.0
    assert value("sum(data.received) < 1KiB", book) == 5000.0
    # those cut off were at least this slow; failed ones may have ended early
    assert value("max(iteration.latency) < 1s", book) == 20.0
    assert value("max(iteration.duration) < 1s", book) == 1.0


def test_data_5_an_event_without_a_duration_is_no_more_than_all() -> None:
    book = Book()
    book.count(Key("request.failed", "ApiUser", "login", "POST", "none", "down", "closed"), 3)

    assert value("rate(request.failed) < 1%", book) == 100.0


def test_what_a_browser_saw_is_a_figure_of_its_probe() -> None:
    book = Book()
    book.time(browser_key("signup", "cls"), 0.12)
    book.time(browser_key("signup", "lcp"), 2.4)

    assert value('max(browser.cls{probe="signup"}) < 0.1', book) == 0.12
    assert value('p95(browser.lcp{probe="signup"}) < 2.5s', book) == pytest.approx(2.4, rel=0.01)
    assert value('max(browser.lcp{probe="other"}) < 2.5s', book) is None


STAGES = (Stage(5, 1, 9, warmup=True), Stage(15, 10, 10), Stage(10, 20, 20), Stage(5, 0, 0))


def rates_of(seconds: int, stages: tuple[Stage, ...], ended_s: float) -> list[float]:
    """Return the throughput of windows when second *n* completes *n* iterations."""
    windows = Windows(stages)
    for at in range(seconds):
        windows.add_completed(at, "shop", at)
    return [them.get("shop", 0.0) for them in windows.rates(ended_s)]


def test_windows_lie_inside_the_measured_stages_and_a_rest_is_left_out() -> None:
    # measured: 5 to 30; the rest from 25 to 30 is no window
    assert rates_of(35, STAGES, 35.0) == [sum(range(5, 15)) / 10, sum(range(15, 25)) / 10]


@pytest.mark.parametrize(
    ("stages", "ended_s", "expected"),
    [
        pytest.param(STAGES, 14.0, [sum(range(5, 14)) / 9], id="a run cut off in its first window"),
        pytest.param(STAGES, 5.5, [], id="less than a second"),
        pytest.param((Stage(4, 1, 1),), 4.0, [1.5], id="a short run is one window"),
        pytest.param((), 20.0, [4.5, 14.5], id="the model of fixed iterations has no stages"),
        pytest.param((Stage(9, 1, 1, warmup=True),), 9.0, [], id="nothing measured"),
    ],
)
def test_where_no_window_fits_the_rest_is_one(
    stages: tuple[Stage, ...], ended_s: float, expected: list[float]
) -> None:
    assert rates_of(30 if not stages else int(ended_s), stages, ended_s) == expected


def test_throughput_adds_up_the_journeys_that_are_meant() -> None:
    rates = ({"a": 1.0, "b": 4.0}, {"a": 3.0})

    assert throughput(parse("min(throughput) > 1/s"), rates) == 3.0
    assert throughput(parse("max(throughput) > 1/s"), rates) == 5.0
    assert throughput(parse('avg(throughput{journey="a"}) > 1/s'), rates) == 2.0
    assert throughput(parse('min(throughput{journey!="a"}) > 1/s'), rates) == 0.0
    assert throughput(parse("min(throughput) > 1/s"), ()) is None
