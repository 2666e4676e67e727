"""What runs have counted: by the bounds of the page, and never less than before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.load_families import BUCKETS, ERRORS, ITERATIONS, REQUEST_SECONDS, REQUESTS
from exporter.loads.totals import Reader, Totals, numbers_of, zeros
from scenarios.book import Book, Key
from scenarios.histogram import Histogram
from scenarios.report import Generator


def book(*requests: tuple[str, float], reason: str = "") -> Book:
    made = Book()
    for outcome, seconds in requests:
        key = Key("request.duration", "shop", "search", "GET", "2xx", outcome)
        made.time(key, seconds)
        if outcome == "down":
            made.count(key._replace(metric="request.failed", reason=reason))
        made.time(Key("iteration.duration", "shop", outcome=outcome), seconds)
    return made


@given(st.lists(st.floats(0, 200), max_size=50))
def test_a_bound_counts_what_lies_within_it_but_for_the_error_of_a_bucket(
    them: list[float],
) -> None:
    histogram = Histogram()
    for seconds in them:
        histogram.add(seconds)

    *counts, total = numbers_of(histogram)

    assert counts == sorted(counts)
    assert counts[-1] == len(them)
    assert total == histogram.total
    # the last one is of those beyond every bound
    for bound, count in zip(BUCKETS, counts[:-1], strict=True):
        assert sum(it <= bound * 0.99 for it in them) <= count
        assert count <= sum(it <= bound * 1.01 + 1e-6 for it in them)


def test_failures_are_counted_and_have_no_part_in_the_durations() -> None:
    read = Reader().read(book(("up", 0.1), ("degraded", 0.3), ("down", 9), reason="timeout"), ())

    times = read[REQUEST_SECONDS.name, ("shop", "search")]
    assert times[-2:] == (2, 400_000)
    assert read[REQUESTS.name, ("shop", "search", "GET", "2xx", "down")] == (1,)
    assert read[ERRORS.name, ("search", "timeout")] == (1,)
    assert read[ITERATIONS.name, ("shop", "down")] == (1,)


def test_a_second_run_counts_on_from_the_first() -> None:
    totals, key = Totals(zeros(["shop"])), (REQUEST_SECONDS.name, ("shop", "search"))
    totals.show(Reader().read(book(("up", 0.1)), ()))
    totals.close()

    changed = totals.show(Reader().read(book(("up", 0.1), ("up", 2)), ()))

    assert key in changed
    assert totals.shown[key][-2:] == (3, 2_200_000)
    assert totals.shown[ITERATIONS.name, ("shop", "up")] == (3,)
    assert totals.shown[ITERATIONS.name, ("shop", "interrupted")] == (0,)


def test_what_a_lost_shard_takes_back_stays_told() -> None:
    totals = Totals({})
    totals.show(Reader().read(book(("up", 0.1), ("up", 0.2)), ()))

    changed = totals.show(Reader().read(book(("up", 0.2)), ()))

    assert totals.shown[REQUESTS.name, ("shop", "search", "GET", "2xx", "up")] == (2,)
    assert not changed


def test_a_histogram_that_has_grown_is_read_anew() -> None:
    reader, it = Reader(), book(("up", 0.1))
    before = reader.read(it, ())[REQUEST_SECONDS.name, ("shop", "search")]
    it.merge(book(("up", 0.1)))

    after = reader.read(it, (Generator(0, records_lost=2, overflow=3),))

    assert (before[-2], after[REQUEST_SECONDS.name, ("shop", "search")][-2]) == (1, 2)
    assert after["loadtest_records_lost_total", ()] == (2,)


@pytest.mark.parametrize("text", ["a\nb", "\udcff", 'q"', "é" * 500])
def test_odd_names_are_cleaned_and_cut_before_they_are_told_apart(text: str) -> None:
    made = Book()
    made.time(Key("request.duration", "shop", text, "GET", "2xx", "up"), 0.1)

    ((_, labels),) = [key for key in Reader().read(made, ()) if key[0] == REQUEST_SECONDS.name]

    labels[1].encode()
    assert len(labels[1].encode()) <= 128
    assert "\n" not in labels[1]
