"""Rules at the end of a run: breach, ok and no data, the implicit ones, and their sentences."""

import pytest

from scenarios.book import Book, Key
from scenarios.config.settings import ThresholdKeys
from scenarios.judging.figures import Windows
from scenarios.judging.rules import (
    Rule,
    implicit,
    in_words,
    judge,
    judge_all,
    judge_value,
    rules_of,
    why_of,
)
from scenarios.plan import Stage
from scenarios.report import Judged, Verdict, Why
from scenarios.thresholds import limits_of, parse

STAGES = (Stage(20, 5, 5),)


def book_of(*seconds: float, failed: int = 0) -> Book:
    book = Book(limits_of([parse("p95(request.duration) < 400ms")]))
    key = Key("request.duration", "shop", "search", "GET", "2xx", "up")
    for it in seconds:
        book.time(key, it)
    for _ in range(failed):
        book.time(key._replace(outcome="down"), 1.0)
        book.count(Key("request.failed", *key[1:5], "down", "status"))
    return book


def judged(text: str, book: Book, **options: object) -> Judged:
    return judge(Rule(parse(text), **options), book, Windows(STAGES), 20.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "book", "result", "sentence"),
    [
        pytest.param("p95(request.duration) < 400ms", book_of(0.1, 0.2), "ok", None, id="kept"),
        pytest.param("p95(request.duration) < 400ms", book_of(0.1, 0.6), "breach",
                     "want p95(request.duration) < 400ms, got 600ms", id="broken"),
        pytest.param("p95(request.duration) < 400ms", book_of(0.4), "breach",
                     "want p95(request.duration) < 400ms, got 400ms", id="exactly at the limit"),
        pytest.param("avg(request.duration) <= 400ms", book_of(0.400021), "breach",
                     "want avg(request.duration) <= 400ms, got 400ms (0.400021s)",
                     id="a little above the limit"),
        pytest.param("p95(request.duration) < 400ms", book_of(), "no_data",
                     "want p95(request.duration) < 400ms, got no samples", id="Thresholds 1"),
        pytest.param("rate(request.failed) < 1%", book_of(0.1, 0.1, failed=1), "breach",
                     "want rate(request.failed) < 1%, got 33.33%", id="a share"),
        pytest.param("rate(request.failed) < 1%", book_of(failed=2), "breach",
                     "want rate(request.failed) < 1%, got 100%", id="Data 4 all failed"),
        pytest.param("p95(request.duration) < 400ms", book_of(failed=2), "no_data",
                     "want p95(request.duration) < 400ms, got no samples", id="Data 4 no trend"),
        pytest.param("min(throughput) >= 18/s", book_of(0.1), "breach",
                     "want min(throughput) >= 18/s, got 0/s", id="nothing came through"),
    ],
)  # fmt: skip
def test_a_rule_is_judged_and_says_what_it_saw(
    text: str, book: Book, result: str, sentence: str | None
) -> None:
    found = judged(text, book)

    why = why_of(found)

    assert found.result == result
    assert (why and why.text) == sentence


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_thresholds_1_no_number_is_no_data_and_never_ok(value: float | None) -> None:
    for op in ("<", "<=", ">", ">=", "==", "!="):
        found = judge_value(Rule(parse(f"promql(up) {op} 1")), value)

        assert (found.result, found.value) == ("no_data", None)
        assert why_of(found) == Why(
            Verdict.INCONCLUSIVE, "no_data", f"want promql(up) {op} 1, got no answer"
        )


def test_what_a_threshold_means_for_the_verdict() -> None:
    broken = judged("p95(request.duration) < 400ms", book_of(0.6))
    warned = judged("p95(request.duration) < 400ms", book_of(0.6), level="warn")
    nothing = judged("p95(request.duration) < 400ms", book_of(), level="warn")

    whys = [why_of(it) for it in (broken, warned, nothing)]

    assert [(it.verdict, it.code) for it in whys if it] == [
        (Verdict.FAIL, "threshold"),
        (Verdict.PASS, "warning"),
        (Verdict.PASS, "warning"),
    ]


def test_what_is_written_becomes_rules() -> None:
    keys = ThresholdKeys.model_validate(
        {"expr": "rate(request.failed)<20%", "abort": True, "window": "15s", "after": "20s",
         "for": 3, "level": "warn"}
    )  # fmt: skip

    (rule,) = rules_of([keys])

    assert rule == Rule(parse("rate(request.failed) < 20%"), "warn", True, 15.0, 20.0, 3)


def test_a_dropped_arrival_fails_an_open_run_though_nobody_wrote_it() -> None:
    book = book_of(0.1)
    book.count(Key("iteration.due", "shop"), 100)
    book.count(Key("iteration.dropped", "shop"), 2)

    rules = implicit((), "open", book)
    (found,) = judge_all(rules, book, Windows(STAGES), 20.0)

    assert (found.result, found.level, found.is_implicit) == ("breach", "fail", True)
    assert why_of(found) == Why(
        Verdict.FAIL, "threshold", "want count(iteration.dropped) == 0, got 2"
    )
    assert implicit((), "closed", book) == ()
    named = Rule(parse("rate(iteration.dropped) < 5%"))
    assert implicit((named,), "open", book) == ()


def test_data_2_a_set_up_that_failed_for_all_users_names_its_step() -> None:
    book = Book()
    book.count(Key("setup.failed", "shop", 'log "in"'), 7)
    book.count(Key("setup.done", "other"), 7)

    rules = implicit((), "closed", book)
    (found,) = judge_all(rules, book, Windows(STAGES), 20.0)
    why = why_of(found, book)

    assert why == Why(
        Verdict.FAIL,
        "threshold",
        'want rate(setup.failed{journey="shop"}) < 100%, got 100%: '
        "the set-up failed at 'log \"in\"'",
    )
    book.count(Key("setup.done", "shop"))
    assert judge_all(rules, book, Windows(STAGES), 20.0)[0].result == "ok"


def test_what_ended_the_run_stands_however_well_it_went_on() -> None:
    rule = Rule(parse("p95(request.duration) < 400ms"), level="warn", abort=True)
    ended = Judged(rule.threshold.expr, "fail", 0.9, 0.4, "s", "breach", aborted=True)

    (found,) = judge_all([rule], book_of(0.1), Windows(STAGES), 20.0, {ended.expr: ended})

    why = why_of(found)
    assert why == Why(Verdict.ABORTED, "threshold", "want p95(request.duration) < 400ms, got 900ms")


def test_prometheus_is_asked_for_its_own_alone() -> None:
    rules = [Rule(parse("promql(up) == 1")), Rule(parse("promql(down) == 1"))]

    found = judge_all(rules, Book(), Windows(), 1.0, {"promql(up) == 1": 1.0})

    assert [it.result for it in found] == ["ok", "no_data"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0123456, "s", "12.35ms"), (1.5, "s", "1.5s"), (12345.6, "s", "12346s"), (0.0, "s", "0ms"),
     (33.3333, "%", "33.33%"), (2048.0, "B", "2KiB"), (1234567.0, "", "1234567"),
     (0.00001, "", "1e-05"), (17.96, "/s", "17.96/s"), (1e-9, "s", "1e-06ms")],
)  # fmt: skip
def test_values_are_written_for_people(value: float, unit: str, text: str) -> None:
    assert in_words(value, unit) == text
