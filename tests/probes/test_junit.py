"""The JUnit report: a case for each probe, and one for each step of a play."""

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.junit import as_junit
from probes.report import as_json, totals, verdict
from probes.result import Outcome, Result
from tests.probes.test_report import BATCH, DOWN, PLAYED, SLOW, UP, group, played
from tests.probes.test_result import results as any_results


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


def test_a_play_is_a_suite_with_a_case_for_each_step() -> None:
    assert (
        as_junit([UP, PLAYED], seconds=1)
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sonde" tests="4" failures="1" errors="0" skipped="1" time="1.000">
  <testsuite name="probes" tests="1" failures="0" errors="0" skipped="0" time="1.000"\
 timestamp="2026-01-02T03:04:05">
    <testcase classname="http" name="frontend" time="0.012">
      <system-out>target: https://h/
address: 192.0.2.1:443</system-out>
    </testcase>
  </testsuite>
  <testsuite name="journey checkout" tests="3" failures="1" errors="0" skipped="1" time="0.012"\
 timestamp="2026-01-02T03:04:05">
    <testcase classname="journey.checkout" name="login" time="0.250">
    </testcase>
    <testcase classname="journey.checkout" name="pay" time="0.012">
      <failure type="status" message="want status 2xx, got 500">\
status: want status 2xx, got 500
  request
    POST https://h/pay
    Accept: */*
  response: status 500</failure>
    </testcase>
    <testcase classname="journey.checkout" name="bye" time="0.000">
      <skipped/>
    </testcase>
    <system-out>target: https://h/</system-out>
  </testsuite>
</testsuites>
"""
    )


@pytest.mark.parametrize(
    ("play", "strict", "cases", "failures", "errors"),
    [
        pytest.param(played(outcome=Outcome.UP, failure=None), False, 3, 0, 0, id="up"),
        pytest.param(
            played(outcome=Outcome.DEGRADED, failure=None), False, 3, 0, 0, id="a failed clean-up"
        ),
        pytest.param(
            played(outcome=Outcome.DEGRADED, failure=None), True, 3, 1, 0, id="that fails on demand"
        ),
        pytest.param(played(UP, outcome=Outcome.UNKNOWN), False, 2, 0, 1, id="no step tells why"),
        pytest.param(played(UP), False, 2, 1, 0, id="no step tells why it is down"),
    ],
)
def test_a_play_fails_as_its_gate_does(
    play: Result, strict: bool, cases: int, failures: int, errors: int
) -> None:
    root = ElementTree.fromstring(as_junit([play], fail_on_degraded=strict))

    assert len(root.findall(".//testcase")) == int(root.attrib["tests"]) == cases
    assert len(root.findall(".//failure")) == int(root.attrib["failures"]) == failures
    assert len(root.findall(".//error")) == int(root.attrib["errors"]) == errors


def test_what_a_step_warns_of_stands_in_its_case() -> None:
    root = ElementTree.fromstring(as_junit([played(SLOW, outcome=Outcome.DEGRADED, failure=None)]))

    assert root.findtext(".//testcase/system-out") == "latency: want at most 1s, got 1.2s"
