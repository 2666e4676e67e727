"""Reports word for word, and what a hostile target cannot do to them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.report import (
    as_json,
    as_junit,
    as_markdown,
    as_text,
    describe,
    is_unfinished,
    json_text,
    name_column,
    printable,
    text_row,
    totals,
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


def test_the_junit_report_word_for_word() -> None:
    assert (
        as_junit(BATCH, seconds=5.2)
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sonde" tests="4" failures="1" errors="1" skipped="0" time="5.200">
  <testsuite name="probes" tests="4" failures="1" errors="1" skipped="0" time="5.200"\
 timestamp="2026-01-02T03:04:05">
    <testcase classname="http" name="frontend" time="0.012">
      <system-out>target: https://h/
address: 192.0.2.1:443</system-out>
    </testcase>
    <testcase classname="http" name="orders-db" time="1.200">
      <system-out>target: https://h/
warning: latency: want at most 1s, got 1.2s</system-out>
    </testcase>
    <testcase classname="http" name="cache" time="5.001">
      <failure type="timeout" message="want an answer within 5 s, got none">\
timeout in connect: want an answer within 5 s, got none</failure>
      <system-out>target: https://h/</system-out>
    </testcase>
    <testcase classname="http" name="disk" time="0.000">
      <error type="evidence" message="want a Result before the deadline, got none">\
evidence: want a Result before the deadline, got none</error>
      <system-out>target: https://h/</system-out>
    </testcase>
  </testsuite>
</testsuites>
"""
    )


def test_junit_counts_degraded_as_a_failure_on_demand() -> None:
    root = ElementTree.fromstring(as_junit([SLOW], fail_on_degraded=True))

    assert root.attrib["failures"] == "1"
    assert root.findall(".//failure")[0].attrib["type"] == "latency"


def test_junit_without_a_time_of_the_batch_adds_up_the_runs() -> None:
    assert ElementTree.fromstring(as_junit([SLOW, DOWN])).attrib["time"] == "6.201"


@pytest.mark.slow
@given(st.lists(any_results, max_size=3), st.booleans())
def test_any_batch_is_well_formed_xml_and_json(batch: list[Result], strict: bool) -> None:
    root = ElementTree.fromstring(as_junit(batch, fail_on_degraded=strict).encode())
    code, _ = verdict(batch, fail_on_degraded=strict)

    assert len(root.findall(".//testcase")) == len(batch)
    assert int(root.attrib["failures"]) == len(root.findall(".//failure"))
    assert int(root.attrib["errors"]) == len(root.findall(".//error"))
    assert (root.attrib["failures"] == root.attrib["errors"] == "0") == (code == 0 or not batch)
    assert json.loads(as_json(batch))["totals"] == totals(batch)


def test_the_markdown_report_word_for_word() -> None:
    assert (
        as_markdown(BATCH, seconds=5.2)
        == """\
### sonde: FAILED

`1 of 4 probes failed: cache (timeout); 1 more without a verdict`

4 probes in 5.200 s: 1 up, 1 degraded, 1 down, 1 unknown

| Outcome | Time | Probe | Why |
| --- | ---: | --- | --- |
| up | 12.3 ms | `frontend` | |
| degraded | 1.200 s | `orders-db` | `latency: want at most 1s, got 1.2s` |
| down | 5.001 s | `cache` | `timeout in connect: want an answer within 5 s, got none` |
| unknown | not run | `disk` | `evidence: want a Result before the deadline, got none` |
"""
    )


def test_markdown_of_a_hostile_target_stays_in_its_cell() -> None:
    hostile = result("a|`b", Outcome.DOWN, failure=Failure(Reason.BODY, "`x` | <b>\n| @all"))

    row = as_markdown([hostile]).splitlines()[-1]

    assert row == "| down | 12.3 ms | `a\\|'b` | `body: 'x' \\| <b>\\n\\| @all` |"


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


def test_junit_tells_every_step_in_the_notes_of_its_probe() -> None:
    suite = ElementTree.fromstring(as_junit([group()]))

    assert suite.get("tests") == "1"
    notes = (suite.findtext(".//system-out") or "").splitlines()
    assert notes[2:] == [
        "step own: up in 12.3 ms",
        "step provider: degraded in 12.3 ms: value: lag_warn: 3 blocks behind, want at most 2",
        "step third: up in 12.3 ms",
        "step fourth: up in 12.3 ms",
        "step public: down in 12.3 ms: refused in connect: connect_refused: want a connection",
    ]


def test_markdown_has_a_row_for_each_step_that_is_not_up() -> None:
    rows = as_markdown([group()]).splitlines()[-3:]

    started = "| degraded | 12.3 ms | `ethereum`"
    lag = "3 blocks behind, want at most 2"
    refused = "refused in connect: connect_refused: want a connection"
    assert rows == [
        f"{started} | `value: lag_warn: provider: {lag}` |",
        f"{started}: `provider` | `value: lag_warn: {lag}` |",
        f"| down | 12.3 ms | `ethereum`: `public` | `{refused}` |",
    ]


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
