"""Numbers as people read them."""

import math
from dataclasses import replace

import pytest

from scenarios.outlets import words
from scenarios.plan import Stage
from scenarios.report import Compared
from tests.scenarios.reports import judged, passed, plan

DASH = words.NOTHING


@pytest.mark.parametrize(
    ("got", "want"),
    [
        pytest.param(words.digits(0), "0", id="nothing"),
        pytest.param(words.digits(0.00042), "< 0.001", id="next to nothing"),
        pytest.param(words.digits(0.0042), "0.004", id="thousandths"),
        pytest.param(words.digits(0.314), "0.31", id="hundredths"),
        pytest.param(words.digits(31.44), "31.4", id="tens"),
        pytest.param(words.digits(3144.4), "3144", id="thousands"),
        pytest.param(words.digits(math.nan), DASH, id="no number"),
        pytest.param(words.delay(0.0004), "0.4 ms", id="microseconds"),
        pytest.param(words.delay(0.9997), "1 s", id="nearly a second"),
        pytest.param(words.delay(61.04), "61 s", id="a minute"),
        pytest.param(words.delay(None), DASH, id="no delay"),
        pytest.param(words.clock(59.4), "59 s", id="seconds"),
        pytest.param(words.clock(125), "2:05 min", id="minutes"),
        pytest.param(words.clock(3725), "1:02:05 h", id="hours"),
        pytest.param(words.share(0), "0 %", id="none"),
        pytest.param(words.share(0.000001), "< 0.01 %", id="not none"),
        pytest.param(words.share(0.99999), "> 99.9 %", id="not all"),
        pytest.param(words.share(1), "100 %", id="all"),
        pytest.param(words.share(None), DASH, id="of nothing"),
        pytest.param(words.size(1536), "1.5 KiB", id="kibibytes"),
        pytest.param(words.size(5e15), "4547 TiB", id="tebibytes"),
        pytest.param(words.value(math.inf, "s"), DASH, id="endless"),
        pytest.param(words.value(2.0, "/s"), "2/s", id="a rate"),
        pytest.param(words.value(2048.0, "B"), "2 KiB", id="bytes"),
        pytest.param(words.value(0.1, ""), "0.1", id="no unit"),
        pytest.param(words.plural(1, "user"), "1 user", id="one"),
        pytest.param(words.plural(1234, "user"), "1,234 users", id="many"),
    ],
)
def test_a_number_reads_so(got: str, want: str) -> None:
    assert got == want


@pytest.mark.parametrize(
    ("ratio", "is_regression", "want"),
    [
        pytest.param(None, False, DASH, id="nothing to compare"),
        pytest.param(0.001, False, "the same", id="the same"),
        pytest.param(0.2, True, "20 % worse: regression", id="worse"),
        pytest.param(-0.2, False, "20 % better", id="better"),
        pytest.param(2.5, False, "3.5 times as bad", id="much worse"),
    ],
)
def test_a_comparison_reads_so(ratio: float | None, is_regression: bool, want: str) -> None:
    assert words.compared(Compared("p50", 1, 1, "s", ratio, is_regression)) == want


def test_a_threshold_ends_in_a_word() -> None:
    assert words.result(judged("a", 2, 1, "s", aborted=True)) == "breach, aborted"
    assert words.result(judged("a", 2, 1, "s", level="warn")) == "warning"
    assert words.result(judged("a", None, 1, "s")) == "no data"


def test_load_reads_so() -> None:
    iterations = plan(model="iterations", stages=(), iterations=500, users=5)
    users = plan(model="closed", stages=(Stage(60, 0, 10), Stage(30, 10, 10)))
    many = plan(stages=tuple(Stage(1, at, at) for at in range(1, 8)))

    assert words.load(iterations) == "500 iterations by 5 users"
    assert words.load(users) == "closed: 0 to 10 users for 1:00 min, 10 users for 30 s"
    assert words.load(many).endswith(", 4/s for 1 s and 3 more stages")


def test_a_run_that_was_ended_before_its_time_reads_so() -> None:
    whole = passed()
    assert whole.plan is not None

    assert words.cut_short(whole) == ""
    assert words.cut_short(replace(whole, seconds=8.2)) == "; ended after 8 s of 2:00 min"
    assert words.cut_short(replace(whole, seconds=whole.plan.seconds - 0.5)) == ""
    assert words.cut_short(replace(whole, seconds=0.0)) == "", "no load was sent"
    counted = plan(model="iterations", stages=(), iterations=500, users=5)
    assert words.cut_short(replace(whole, plan=counted, seconds=8.2)) == ""
