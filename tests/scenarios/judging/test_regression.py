"""This run beside earlier ones: worse by a share and by an amount, the median, no baseline."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.config.settings import BaselineKeys
from scenarios.judging.baseline import Found, Past
from scenarios.judging.regression import compare
from scenarios.report import Verdict, Why

AT = datetime(2026, 3, 14, tzinfo=UTC)
P95 = "p95(request.duration)"


def book_of(*seconds: float, failed: int = 0) -> Book:
    book = Book()
    key = Key("request.duration", "shop", "a", "GET", "2xx", "up")
    for it in seconds:
        book.time(key, it)
    for _ in range(failed):
        book.time(key._replace(outcome="down"), 1.0)
        book.count(Key("request.failed", *key[1:5], "down", "status"))
    return book


def found_of(*seconds: float, rate: float = 20.0) -> Found:
    """Return one run for each duration, the newest first."""
    return Found(
        tuple(
            Past(f"run-{at}", AT, "h", book=book_of(it), rates=({"shop": rate},))
            for at, it in enumerate(seconds)
        )
    )


def keys(**fail_on: str) -> BaselineKeys:
    return BaselineKeys.model_validate({"fail_on": [fail_on]})


def whys(
    wish: BaselineKeys, before: Found, book: Book, rates: tuple[Mapping[str, float], ...] = ()
) -> tuple[Why, ...]:
    return compare(wish, before, book, rates).whys


@pytest.mark.parametrize(
    ("now", "is_regression"),
    [
        pytest.param(0.110, False, id="worse by neither"),
        pytest.param(0.119, False, id="worse by 19 % but by 19 ms"),
        pytest.param(0.125, True, id="worse by 25 % and 25 ms"),
        pytest.param(0.050, False, id="better"),
    ],
)
def test_a_regression_is_worse_relatively_and_absolutely(now: float, is_regression: bool) -> None:
    wish = keys(stat=P95, worse_by="15%", and_at_least="20ms")

    found = whys(wish, found_of(0.100), book_of(now))

    assert bool(found) is is_regression
    # a share that is large of next to nothing
    assert whys(wish, found_of(0.001), book_of(0.003)) == ()
    # an amount that is large of a lot
    assert whys(wish, found_of(1.0), book_of(1.1)) == ()


def test_it_says_what_it_was_and_what_it_is() -> None:
    wish = keys(stat=P95, worse_by="15%", and_at_least="20ms")

    assert whys(wish, found_of(0.2), book_of(0.3)) == (
        Why(
            Verdict.FAIL,
            "regression",
            "want p95(request.duration) to be worse than the baseline by at most 15% and 20ms, "
            "got 300ms after 200ms (50% worse)",
        ),
    )


@pytest.mark.parametrize(("rate", "count"), [(17.0, 1), (19.0, 0), (25.0, 0)])
def test_less_throughput_is_worse(rate: float, count: int) -> None:
    wish = keys(stat="throughput", worse_by="10%")

    assert len(whys(wish, found_of(0.1), book_of(0.1), ({"shop": rate},))) == count


def test_less_work_done_is_worse_and_more_failures_are() -> None:
    done = keys(stat="count(request.duration)", worse_by="10%")
    failed = keys(stat="count(request.failed)", worse_by="10%")
    before = Found((Past("run-1", AT, "h", book=book_of(*[0.1] * 10, failed=4)),))

    assert [it.code for it in whys(done, before, book_of(*[0.1] * 5))] == ["regression"]
    assert whys(done, before, book_of(*[0.1] * 50)) == ()
    assert [it.code for it in whys(failed, before, book_of(0.1, failed=9))] == ["regression"]
    assert whys(failed, before, book_of(*[0.1] * 50, failed=1)) == ()


def test_a_journey_that_a_baseline_does_not_know_alone_is_told() -> None:
    wish = keys(stat='avg(throughput{journey="shop"})', worse_by="10%")
    before = Found((Past("run-1", AT, "h", rates=({"": 20.0},)),))

    beside = compare(wish, before, book_of(0.1), ({"shop": 1.0, "b": 1.0},))

    assert beside.whys == ()
    assert beside.notes == (
        'baseline: want avg(throughput{journey="shop"}) of it to compare with, got no samples',
    )


def test_worse_than_nothing_is_judged_by_the_amount() -> None:
    wish = keys(stat="rate(request.failed)", worse_by="10%", and_at_least="1%")

    few = compare(wish, found_of(0.1), book_of(*[0.1] * 99 + [0.1] * 100, failed=1), ())
    many = compare(wish, found_of(0.1), book_of(*[0.1] * 9, failed=1), ())

    assert few.whys == ()
    assert [it.code for it in many.whys] == ["regression"]
    assert many.comparison.stats[0].ratio is None


def test_the_median_of_several_runs_is_what_counts() -> None:
    wish = keys(stat=P95, worse_by="10%")
    before = found_of(0.1, 0.2, 9.0)

    beside = compare(wish, before, book_of(0.21), ())

    assert beside.whys == ()
    assert beside.comparison.run_id == "run-0, run-1, run-2"
    assert beside.comparison.stats[0].before == pytest.approx(0.2, rel=0.01)


def test_what_is_only_shown_fails_nothing() -> None:
    beside = compare(BaselineKeys(), found_of(0.1), book_of(9.0), ({"shop": 1.0},))

    assert beside.whys == ()
    assert [it.stat for it in beside.comparison.stats] == [
        "p50(request.duration)", P95, "p99(request.duration)", "avg(throughput)",
    ]  # fmt: skip
    assert not any(it.is_regression for it in beside.comparison.stats)


def test_no_samples_is_no_improvement() -> None:
    wish = keys(stat=P95, worse_by="15%")

    (why,) = whys(wish, found_of(0.1), book_of())

    assert (why.verdict, why.code) == (Verdict.INCONCLUSIVE, "no_data")
    assert why.text.endswith("got no samples")
    # and an earlier run without any is nothing to be worse than
    assert whys(wish, Found((Past("run-1", AT, "h"),)), book_of(0.1)) == ()


@pytest.mark.parametrize(
    ("missing", "verdicts", "notes"),
    [("warn", [], 1), ("fail", [Verdict.FAIL], 0), ("ignore", [], 0)],
)
def test_a_baseline_that_is_not_there(missing: str, verdicts: list[Verdict], notes: int) -> None:
    wish = BaselineKeys.model_validate({"missing": missing})

    beside = compare(wish, Found(missing="no run passed yet"), book_of(0.1), ())

    assert [it.verdict for it in beside.whys] == verdicts
    assert len(beside.notes) == notes
    assert beside.comparison.missing == "no run passed yet"
    for text in (*beside.notes, *(it.text for it in beside.whys)):
        assert text == "want the baseline last_pass, got none: no run passed yet"


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=20))
def test_a_run_is_never_worse_than_itself(seconds: list[float]) -> None:
    wish = BaselineKeys.model_validate(
        {"fail_on": [{"stat": f"{it}(request.duration)", "worse_by": "0%"}
                     for it in ("p50", "p99", "max", "avg")]}
    )  # fmt: skip
    book = book_of(*seconds)
    past = Past.from_json(Past("run-1", AT, "h", book=book).to_json())

    assert whys(wish, Found((past,)), book) == ()
