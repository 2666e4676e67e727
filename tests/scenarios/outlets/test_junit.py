"""The JUnit report of a load run, read as strictly as the strictest CI parser does."""

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from scenarios.outlets.junit import to_junit
from scenarios.report import LoadReport, Verdict, Why
from tests.scenarios.reports import EVERY, half_lost, judged, passed, refused, small, stalled

COUNTS = {"tests", "failures", "errors", "skipped", "time"}
# Element -> attributes it must have, and those it may have; of the common schema of Jenkins.
ATTRIBUTES = {
    "testsuites": (COUNTS | {"name"}, set()),
    "testsuite": (COUNTS | {"name"}, {"timestamp"}),
    "testcase": ({"name", "classname", "time"}, set()),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "system-out"},
    "testcase": {"failure", "error", "system-out"},
}


def strict(text: str) -> ElementTree.Element:
    """Return the root of what every parser reads alike."""
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ElementTree.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may = ATTRIBUTES[element.tag]
        assert must <= element.attrib.keys() <= must | may
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for suite in root:
        cases = suite.findall("testcase")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        assert len(cases) == int(suite.attrib["tests"]) > 0
        assert len(suite.findall(".//failure")) == int(suite.attrib["failures"])
        assert len(suite.findall(".//error")) == int(suite.attrib["errors"])
        names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
        assert len(names) == len(set(names))
        assert all(len(case) <= 1 for case in cases)
    for name in COUNTS - {"time"}:
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root)
    return root


@pytest.mark.parametrize(
    ("make", "cases", "failures", "errors"),
    [
        pytest.param(passed, 13, 0, 0, id="passed"),
        pytest.param(stalled, 13, 3, 0, id="failed: two thresholds and the verdict"),
        pytest.param(half_lost, 14, 0, 2, id="inconclusive: no data and the verdict"),
        pytest.param(refused, 1, 0, 1, id="refused"),
    ],
)
def test_there_is_a_case_for_each_threshold_and_each_step(
    make: Callable[[], LoadReport], cases: int, failures: int, errors: int
) -> None:
    root = strict(to_junit(make()))

    assert [int(root.attrib[name]) for name in ("tests", "failures", "errors")] == [
        cases,
        failures,
        errors,
    ]


def test_all_reports_of_the_tests_are_judged() -> None:
    assert len(EVERY) == 4


def test_a_refusal_word_for_word() -> None:
    assert (
        to_junit(refused())
        == """\
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sonde" tests="1" failures="0" errors="1" skipped="0" time="0.000">
  <testsuite name="load shop-evening" tests="1" failures="0" errors="1" skipped="0" time="0.000"\
 timestamp="2026-03-14T09:26:53">
    <testcase classname="load.shop-evening" name="verdict" time="0.000">
      <error type="protected" message="refused protected: want --yes-load shop.example for a\
 protected host, got none">refused protected: want --yes-load shop.example for a protected host,\
 got none</error>
    </testcase>
    <system-out>target: https://shop.example
run: 20260314T092653-0b0b</system-out>
  </testsuite>
</testsuites>
"""
    )


def test_a_step_says_its_numbers_and_fails_with_a_threshold_that_names_it() -> None:
    broken = judged('p95(request.duration{step="pay"}) < 50ms', 0.11, 0.05, "s")
    noted = judged('p95(request.duration{step="login"}) < 1ms', 0.11, 0.001, "s", level="warn")
    root = strict(to_junit(replace(passed(), thresholds=(broken, noted))))

    pay, login = (
        root.findall(".//testcase[@name='pay']")[0],
        root.findall(".//testcase[@name='login']")[0],
    )
    assert pay.findall("failure")[0].attrib["type"] == "breach"
    assert "2,398 requests, 3 failed" in (pay.findtext("failure") or "")
    assert "status: 3" in (pay.findtext("failure") or "")
    assert not login.findall("failure")
    notes = root.findall(".//testcase[@classname='load.shop-evening.thresholds']/system-out")
    assert [(note.text or "").split(":")[0] for note in notes] == ["warning"]


@pytest.mark.parametrize(
    ("verdict", "code", "tag"),
    [
        pytest.param(Verdict.PASS, 0, None, id="passed"),
        pytest.param(Verdict.FAIL, 1, "failure", id="failed"),
        pytest.param(Verdict.ABORTED, 1, "failure", id="a threshold ended it"),
        pytest.param(Verdict.ABORTED, 130, "error", id="a signal ended it"),
        pytest.param(Verdict.INCONCLUSIVE, 3, "error", id="inconclusive"),
        pytest.param(Verdict.REFUSED, 4, "error", id="refused"),
    ],
)
def test_the_verdict_is_a_case(verdict: Verdict, code: int, tag: str | None) -> None:
    made = replace(
        small(), verdict=verdict, exit_code=code, reasons=(Why(verdict, "word", "it is so"),)
    )

    case = strict(to_junit(made)).findall(".//testcase[@name='verdict']")[0]

    assert [child.tag for child in case] == [tag or "system-out"]
    assert case[0].get("type") == (tag and "word")


def test_two_equal_thresholds_have_names_of_their_own() -> None:
    twice = judged("p95(request.duration) < 1s", 0.1, 1.0, "s")

    root = strict(to_junit(replace(small(), thresholds=(twice, twice))))

    assert len(root.findall(".//testcase[@name='p95(request.duration) < 1s (2)']")) == 1
