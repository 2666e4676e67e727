"""The numbers that every outlet shows."""

from dataclasses import replace

import pytest

from scenarios.book import Book, Key
from scenarios.outlets.figures import StepRow, bins, steps, totals, worst
from scenarios.report import Second
from tests.scenarios.reports import passed, plan, refused, small

KEY = Key("request.duration", "j", "s", "GET", "2xx", "up")


def counted() -> Book:
    book = Book()
    for outcome, number in (("up", 6), ("degraded", 1), ("down", 2), ("unknown", 1)):
        for _ in range(number):
            book.time(KEY._replace(outcome=outcome), 0.1 if outcome == "up" else 2.0)
    book.count(KEY._replace(metric="request.failed", outcome="down", reason="timeout"), 2)
    book.time(KEY._replace(measured=False), 9.0)
    return book


def test_what_is_the_generators_own_fault_is_in_no_rate() -> None:
    found = totals(replace(small(), book=counted()))

    assert (found.requests, found.failed, found.unknown, found.unmeasured) == (10, 2, 1, 1)
    assert found.failed_share == pytest.approx(2 / 9)
    assert found.duration.count == 7
    assert found.duration.quantile(0.5) == pytest.approx(0.1, rel=0.01)
    assert found.seconds == 6
    assert found.request_rate == pytest.approx(10 / 6)


def test_a_step_has_the_same_numbers_and_its_reasons() -> None:
    (row,) = steps(replace(small(), book=counted()))

    assert (row.journey, row.step, row.method) == ("j", "s", "GET")
    assert (row.requests, row.failed, row.unknown) == (10, 2, 1)
    assert row.failed_share == pytest.approx(2 / 9)
    assert row.reasons == {"timeout": 2}


def test_iterations_show_the_number_that_a_threshold_looks_at() -> None:
    book = Book()
    for metric in ("iteration.latency", "iteration.duration"):
        for outcome, seconds in (("up", 0.2), ("down", 0.001), ("interrupted", 30.0)):
            for _ in range(10):
                book.time(Key(metric, "j", outcome=outcome), seconds)

    found = totals(replace(small(), book=book))

    assert (found.latency.count, found.latency.greatest) == (20, 30_000_000)
    assert (found.iteration.count, found.iteration.least, found.iteration.greatest) == (
        10,
        200_000,
        200_000,
    )


def test_of_too_many_steps_the_worst_are_shown_in_their_order() -> None:
    rows = [StepRow("j", f"s{at}", requests=10, failed=at == 1) for at in range(4)]
    for at, row in enumerate(rows):
        row.duration.add(1.0 if at == 2 else 0.1)

    assert [row.step for row in worst(rows, 2)] == ["s1", "s2"]
    assert worst(rows, 9) == rows


def test_nothing_is_no_number() -> None:
    found = totals(refused())

    assert (found.requests, found.failed_share, found.request_rate) == (0, None, 0.0)
    assert found.throughput == 0
    assert steps(refused()) == []
    assert bins((), 10) == []


@pytest.mark.parametrize(
    ("seconds", "measured"),
    [
        pytest.param(5.0, 0.0, id="stopped in the warm-up"),
        pytest.param(30.0, 20.0, id="stopped in between"),
        pytest.param(120.0, 110.0, id="to the end"),
        pytest.param(140.0, 110.0, id="with its drain"),
    ],
)
def test_measured_is_what_was_planned_as_far_as_the_run_came(
    seconds: float, measured: float
) -> None:
    assert totals(replace(passed(), seconds=seconds)).seconds == measured


def test_a_run_by_iterations_is_measured_as_long_as_it_took() -> None:
    made = replace(small(), seconds=3.0, plan=plan(model="iterations", stages=(), iterations=9))

    assert totals(made).seconds == 3.0


def test_a_bin_has_the_mean_of_rates_and_the_worst_of_delays() -> None:
    timeline = [
        Second(0, started=2, failures=1, users=3, idle=1, p50=0.1, p99=0.2, cpu=0.1),
        Second(1, started=4, users=2, p50=0.3, p99=0.9, lag_p99=0.01),
        Second(2, started=8),
    ]

    first, second = bins(timeline, 2)

    assert (first.at, first.seconds, first.started, first.failures) == (0, 2, 3, 0.5)
    assert (first.users, first.busy, first.cpu, first.lag_p99) == (3, 2, 0.1, 0.01)
    assert (first.p50, first.p99, first.p95) == (0.3, 0.9, None)
    assert (second.at, second.seconds, second.started, second.p50) == (2, 1, 8, None)
