"""The text of a load run, for a terminal."""

from dataclasses import replace

from scenarios.outlets.text import to_text
from scenarios.report import Verdict, Why
from tests.scenarios.reports import closed, half_lost, passed, refused, small, stalled


def test_a_refusal_word_for_word() -> None:
    assert (
        to_text(refused())
        == """\
load shop-evening   https://shop.example

REFUSED: want --yes-load shop.example for a protected host, got none
"""
    )


def test_a_passed_run_is_aligned_and_ends_with_its_verdict() -> None:
    lines = to_text(passed()).splitlines()

    assert lines[:4] == [
        "load shop-evening   https://shop.test",
        "  open: 20/s for 1:00 min, 20 to 40/s for 20 s, 40/s for 30 s",
        "  10,796 requests (98.1/s), 0.03 % failed",
        "  3,000 iterations (27.3/s), 0 dropped, at most 16 users",
    ]
    head = next(line for line in lines if line.startswith("JOURNEY"))
    rows = [line for line in lines if line.startswith(("checkout ", "search "))]
    assert len(rows) == 6
    assert {line.index("  ", 15) > 0 and len(line) for line in rows} == {len(head)}
    assert lines[-1] == "PASSED: all thresholds hold"


def test_all_reasons_are_told_the_first_at_the_end() -> None:
    lines = to_text(stalled()).splitlines()

    assert lines[-4:] == [
        "also:",
        "  threshold: want count(iteration.dropped) == 0, got 56",
        "  regression: p99(iteration.latency): want at most 15 % more than 402 ms, got 6.6 s",
        "FAILED: want p99(iteration.latency) < 1s, got 6.603s",
    ]


def test_generators_that_could_not_measure_are_told() -> None:
    found = to_text(half_lost())

    assert "generator 1: lost, killed by signal 9 (no memory?)\n" in found
    assert "generator 1: too busy in 9 of 71 s (cpu 88 %, lag 71 ms)\n" in found
    assert "generator 0" not in found


def test_a_closed_run_drops_nothing_and_says_so_by_silence() -> None:
    found = to_text(closed())

    assert "closed: 4 users for 1:50 min" in found
    assert "dropped" not in found.split("THRESHOLD")[0]


def test_what_was_not_asked_for_and_not_counted_is_not_told() -> None:
    made = replace(passed(), thresholds=(), timeline=(), reasons=())

    found = to_text(made)

    assert "at most" not in found
    assert found.endswith("\nPASSED: no threshold was asked for\n")


def test_colours_are_only_there_when_they_are_wanted() -> None:
    plain, coloured = to_text(stalled()), to_text(stalled(), colour=True)

    assert "\x1b" not in plain
    assert coloured.count("\x1b[31m") == 4
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[35m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_a_run_that_was_stopped_by_a_signal_says_it() -> None:
    made = replace(
        small(),
        verdict=Verdict.ABORTED,
        exit_code=130,
        reasons=(Why(Verdict.ABORTED, "signal", "stopped by SIGINT after 8 s"),),
    )

    assert to_text(made).endswith("\nABORTED: stopped by SIGINT after 8 s\n")
