"""Reports word for word, and what a hostile target cannot do to them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.report import (
    as_json,
    as_text,
    describe,
    is_unfinished,
    json_text,
    name_column,
    printable,
    text_row,
    verdict,
    why,
)
from probes.result import Failure, Outcome, Phase, Reason, Result, Sample
from tests.probes.test_result import results as any_results

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def result(probe: str, outcome: Outcome, **changes: Any) -> Result:
    """A Result of a kind and target that do not matter."""
    whole: dict[str, Any] = {"kind": "http", "target": "https://h/", "started_at": AT}
    return Result(probe=probe, outcome=outcome, **(whole | {"seconds": 0.0123} | changes))


UP = result("frontend", Outcome.UP, facts={"address": "192.0.2.1:443"})
SLOW = result(
    "orders-db",
    Outcome.DEGRADED,
    seconds=1.2,
    warnings=(Failure(Reason.LATENCY, "want at most 1s, got 1.2s"),),
)
DOWN = result(
    "cache",
    Outcome.DOWN,
    seconds=5.001,
    attempts=2,
    failure=Failure(Reason.TIMEOUT, "want an answer within 5 s, got none", "connect"),
    phases=(Phase("resolve", 0.001), Phase("connect", 5.0, complete=False)),
)
CUT = result(
    "disk",
    Outcome.UNKNOWN,
    seconds=0.0,
    attempts=0,
    failure=Failure(Reason.EVIDENCE, "want a Result before the deadline, got none"),
)
BROKEN = result("x", Outcome.UNKNOWN, failure=Failure(Reason.INTERNAL, "KeyError: 1"))
BATCH = (UP, SLOW, DOWN, CUT)


@pytest.mark.parametrize(
    ("batch", "strict", "expected"),
    [
        pytest.param([UP], False, (0, "1 probe passed"), id="all up"),
        pytest.param(
            [UP, SLOW],
            False,
            (0, "2 probes passed, 1 degraded: orders-db (latency)"),
            id="degraded passes",
        ),
        pytest.param(
            [UP, SLOW],
            True,
            (1, "1 of 2 probes failed: orders-db (latency)"),
            id="degraded fails on demand",
        ),
        pytest.param(
            [UP, DOWN], False, (1, "1 of 2 probes failed: cache (timeout)"), id="one down"
        ),
        pytest.param(
            [UP, BROKEN],
            False,
            (3, "1 of 2 probes without a verdict: x (internal)"),
            id="the prober's own fault is never green",
        ),
        pytest.param(
            [DOWN, CUT],
            False,
            (1, "1 of 2 probes failed: cache (timeout); 1 more without a verdict"),
            id="down outweighs unknown",
        ),
        pytest.param(
            [DOWN] * 4,
            False,
            (
                1,
                f"4 of 4 probes failed: {', '.join(['cache (timeout)'] * 3)} and 1 more",
            ),
            id="three names are enough",
        ),
        pytest.param([], False, (3, "want at least one probe, got none"), id="nothing ran"),
    ],
)
def test_the_verdict_is_an_exit_code_and_one_line(
    batch: Sequence[Result], strict: bool, expected: tuple[int, str]
) -> None:
    """P17: never 0 if any selected probe did not run to its end."""
    assert verdict(batch, fail_on_degraded=strict) == expected


@pytest.mark.slow
@given(st.lists(any_results, max_size=4), st.booleans())
def test_a_green_batch_has_nothing_but_results_that_passed(
    batch: list[Result], strict: bool
) -> None:
    code, line = verdict(batch, fail_on_degraded=strict)

    assert "\n" not in line
    assert (code == 0) == (
        bool(batch)
        and all(r.ok for r in batch)
        and not (strict and any(r.outcome is Outcome.DEGRADED for r in batch))
    )


def test_the_text_report_word_for_word() -> None:
    assert (
        as_text(BATCH, seconds=5.2)
        == """\
OUTCOME         TIME  PROBE      WHY
up           12.3 ms  frontend
degraded     1.200 s  orders-db  latency: want at most 1s, got 1.2s
down         5.001 s  cache      timeout in connect: want an answer within 5 s, got none
unknown      not run  disk       evidence: want a Result before the deadline, got none

4 probes in 5.200 s: 1 up, 1 degraded, 1 down, 1 unknown
not finished: disk
FAILED: 1 of 4 probes failed: cache (timeout); 1 more without a verdict
"""
    )


def test_the_text_report_of_an_empty_batch_is_not_green() -> None:
    assert (
        as_text([])
        == """\
OUTCOME         TIME  PROBE  WHY

0 probes
INCONCLUSIVE: want at least one probe, got none
"""
    )


def test_a_row_may_be_coloured_and_keeps_its_columns() -> None:
    assert text_row(UP, 8, colour=True) == "\x1b[32mup       \x1b[0m    12.3 ms  frontend"


def test_the_column_of_names_has_a_limit() -> None:
    assert name_column([]) == 0
    assert name_column(["a", "abc"]) == 3
    assert name_column(["x" * 99]) == 40


def test_the_json_report_has_everything() -> None:
    report = json.loads(as_json(BATCH, seconds=5.2))

    assert report["exit_code"] == 1
    assert report["why"] == "1 of 4 probes failed: cache (timeout); 1 more without a verdict"
    assert report["totals"] == {"up": 1, "degraded": 1, "down": 1, "unknown": 1}
    assert report["unfinished"] == ["disk"]
    assert report["seconds"] == 5.2
    assert [Result.from_dict(entry) for entry in report["results"]] == list(BATCH)


def test_numbers_that_json_lacks_become_null() -> None:
    odd = result("a", Outcome.UP, samples=(Sample("x", float("nan")), Sample("y", float("inf"))))

    samples = json.loads(as_json([odd]))["results"][0]["samples"]

    assert [sample["value"] for sample in samples] == [None, None]
    assert json_text({"a": [1.5, float("-inf")]}) == '{\n  "a": [\n    1.5,\n    null\n  ]\n}\n'


def group() -> Result:
    """A chain of five endpoints, two of them not up."""
    return result(
        "ethereum",
        Outcome.DEGRADED,
        kind="evm",
        target="ethereum",
        warnings=(Failure(Reason.VALUE, "lag_warn: provider: 3 blocks behind, want at most 2"),),
        steps=(
            result("own", Outcome.UP),
            result(
                "provider",
                Outcome.DEGRADED,
                warnings=(Failure(Reason.VALUE, "lag_warn: 3 blocks behind, want at most 2"),),
            ),
            result("third", Outcome.UP),
            result("fourth", Outcome.UP),
            result(
                "public",
                Outcome.DOWN,
                failure=Failure(Reason.REFUSED, "connect_refused: want a connection", "connect"),
            ),
        ),
    )


def played(*steps: Result, **changes: Any) -> Result:
    """A play whose step ``pay`` has failed."""
    refused = Failure(Reason.STATUS, "want status 2xx, got 500")
    told = Failure(Reason.STATUS, f"step pay: {refused.message}", "pay")
    facts = {"request": "POST https://h/pay\nAccept: */*", "response": "status 500"}
    usual = (
        result("login", Outcome.UP, kind="journey", seconds=0.25),
        result("pay", Outcome.DOWN, kind="journey", failure=refused, facts=facts),
        result("bye", Outcome.UNKNOWN, kind="journey", seconds=0.0, attempts=0),
    )
    whole: dict[str, Any] = {"failure": told} | changes
    outcome = whole.pop("outcome", Outcome.DOWN)
    return result("checkout", outcome, kind="journey", steps=steps or usual, **whole)


PLAYED = played()


def test_a_play_has_rows_for_failed_steps_and_none_for_skipped_ones() -> None:
    assert as_text([PLAYED]).splitlines()[1:3] == [
        "down         12.3 ms  checkout  status in pay: step pay: want status 2xx, got 500",
        " down        12.3 ms    pay     status: want status 2xx, got 500",
    ]


def test_one_play_in_full_has_its_steps_and_the_evidence() -> None:
    assert (
        describe(PLAYED).partition("\nsteps\n")[2]
        == """\
  ok          250.0 ms  login
  failed       12.3 ms  pay    status: want status 2xx, got 500
  skipped               bye

evidence of step pay
  request
    POST https://h/pay
    Accept: */*
  response: status 500
"""
    )


def test_the_states_of_a_play_may_be_coloured() -> None:
    assert "\x1b[31mfailed" in describe(PLAYED, colour=True)
    assert "\x1b[35mskipped" not in describe(PLAYED, colour=True)


def test_evidence_makes_no_line_of_its_own() -> None:
    forged = "x\r\nstep pay\n\x1b[2Jup"
    step = result("pay", Outcome.DOWN, failure=PLAYED.failure, facts={"a\nb": forged})

    lines = describe(played(step)).split("\n")

    assert "  a\\nb" in lines
    assert "    step pay" in lines
    assert not any(line.startswith(("up", "step pay", "\x1b")) for line in lines)


def test_the_steps_that_are_not_up_stand_below_their_probe() -> None:
    assert (
        as_text([group(), result("frontend", Outcome.UP)])
        == """\
OUTCOME         TIME  PROBE     WHY
degraded     12.3 ms  ethereum  value: lag_warn: provider: 3 blocks behind, want at most 2
 degraded    12.3 ms    provider  value: lag_warn: 3 blocks behind, want at most 2
 down        12.3 ms    public    refused in connect: connect_refused: want a connection
up           12.3 ms  frontend

2 probes: 1 up, 1 degraded
PASSED: 2 probes passed, 1 degraded: ethereum (value)
"""
    )


def test_json_has_every_step() -> None:
    (told,) = json.loads(as_json([group()]))["results"]

    assert [step["probe"] for step in told["steps"]] == [
        "own", "provider", "third", "fourth", "public",
    ]  # fmt: skip


def test_one_result_in_full_word_for_word() -> None:
    whole = result(
        "shop",
        Outcome.DEGRADED,
        phases=(Phase("resolve", 0.001), Phase("connect", 0.004)),
        warnings=(Failure(Reason.LATENCY, "want at most 1ms, got 5ms", "connect"),),
        facts={"address": "192.0.2.1:443", "http version": "1.1"},
        samples=(Sample("http_status_code", 200.0), Sample("ratio", 0.1, (("mount", "/"),))),
        steps=(UP,),
    )

    assert (
        describe(whole)
        == """\
shop: degraded
  warning: latency in connect: want at most 1ms, got 5ms

  kind     http
  target   https://h/
  started  2026-01-02 03:04:05 UTC
  took     12.3 ms

phases
  resolve     1.0 ms  ##
  connect     4.0 ms  ##########

facts
  address       192.0.2.1:443
  http version  1.1

samples
  http_status_code 200
  ratio{mount="/"} 0.1

steps
  up           12.3 ms  frontend
"""
    )


def test_one_result_says_where_it_broke_off_and_how_often_it_was_tried() -> None:
    assert (
        describe(DOWN)
        == """\
cache: down
  timeout in connect: want an answer within 5 s, got none

  kind     http
  target   https://h/
  started  2026-01-02 03:04:05 UTC
  took     5.001 s in 2 attempts

phases
  resolve     1.0 ms  #
  connect    5.000 s  ##############################  broke off here
"""
    )


def test_the_outcome_of_one_result_may_be_coloured() -> None:
    assert describe(DOWN, colour=True).startswith("cache: \x1b[31mdown\x1b[0m\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("plain ö €", "plain ö €", id="text"),
        pytest.param("\x1b[31mred", "\\x1b[31mred", id="terminal colour"),
        pytest.param("a\r\nb", "a\\r\\nb", id="line ends"),
        pytest.param("a\u202eb", "a\\u202eb", id="right to left"),
        pytest.param("a\u2028b", "a\\u2028b", id="line separator"),
        pytest.param("\ud800\uffff", "\\ud800\\uffff", id="no characters of XML"),
    ],
)
def test_what_would_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.slow
@given(any_results)
def test_no_report_has_a_line_that_a_target_made(whole: Result) -> None:
    plain = result(
        "x", whole.outcome, failure=whole.failure, warnings=whole.warnings, facts=whole.facts
    )

    lines = describe(plain).split("\n")

    assert len(lines) == len(describe(plain).splitlines()) + 1
    assert "\x1b" not in "".join(lines)
    assert len(as_text([plain]).split("\n")) == 6


def test_only_a_run_that_never_ended_is_unfinished() -> None:
    assert is_unfinished(CUT)
    assert not is_unfinished(BROKEN)
    assert why(UP) == ""
