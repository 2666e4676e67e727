"""``result.json``: as its schema says, complete, and read back as it was."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from scenarios.outlets.cleaning import cleaned
from scenarios.outlets.structure import from_json, to_json
from scenarios.report import LoadReport
from scripts.docs import ROOT
from tests.scenarios.outlets.hostile import spoilt
from tests.scenarios.reports import EVERY, closed, passed, small, stalled

SCHEMA = json.loads((ROOT / "docs/schema/load-report.schema.json").read_text(encoding="utf-8"))
# load.md 10.4, and what a refusal and a dry run tell.
KEYS = [
    "schema", "scenario", "run_id", "verdict", "reasons", "exit_code", "started_at", "ended_at",
    "seconds", "seed", "target", "config_hash", "git_ref", "versions", "plan", "totals", "series",
    "errors", "thresholds", "baseline", "generators", "timeline", "notes", "resolved",
]  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


MADE = [*EVERY.values(), small, closed, lambda: spoilt("a\ud800<b>\n")]


@pytest.mark.parametrize("make", MADE, ids=[*EVERY, "small", "closed", "spoilt"])
def test_every_report_is_as_its_schema_says(
    make: Callable[[], LoadReport], validator: Draft202012Validator
) -> None:
    document = json.loads(to_json(make()))

    mistakes = [f"{list(it.path)}: {it.message[:200]}" for it in validator.iter_errors(document)]
    assert mistakes == []
    assert list(document) == KEYS


@pytest.mark.parametrize("make", MADE, ids=[*EVERY, "small", "closed", "spoilt"])
def test_a_report_is_read_back_as_it_was(make: Callable[[], LoadReport]) -> None:
    wanted = cleaned(make())

    read = from_json(to_json(make()))

    assert replace(read, book=wanted.book) == replace(wanted, plan=read.plan)
    assert (read.plan is None) == (wanted.plan is None)
    assert not read.plan or not wanted.plan or read.plan.to_json() == wanted.plan.to_json()
    assert read.book.as_dict() == wanted.book.as_dict()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("verdict",), id="another verdict"),
        pytest.param(("timeline", 0, "at"), id="a word for a number"),
        pytest.param(("plan", "model"), id="another model"),
        pytest.param(("thresholds", 0, "result"), id="another result"),
        pytest.param(("series", 0, "histogram"), id="no histogram"),
        pytest.param(("more",), id="an unknown key"),
    ],
)
def test_a_slip_is_found_by_the_schema(
    path: tuple[str | int, ...], validator: Draft202012Validator
) -> None:
    document: Any = json.loads(to_json(small()))
    *parents, last = path
    place = document
    for name in parents:
        place = place[name]
    place[last] = "something"

    assert not validator.is_valid(document)


def test_the_totals_are_those_of_the_measured_stages() -> None:
    totals = json.loads(to_json(stalled()))["totals"]

    assert totals["measured_seconds"] == 110
    assert totals["iterations_due"] == totals["iterations_completed"] + 56
    assert totals["iterations_dropped"] == 56
    assert totals["requests_failed"] == 88
    assert totals["failed_share"] == pytest.approx(88 / totals["requests"])
    assert totals["requests_unmeasured"] > 100


def test_a_line_holds_one_element_so_that_lines_can_be_compared() -> None:
    lines = to_json(passed()).splitlines()

    assert sum('"metric": ' in line for line in lines) == len(
        json.loads(to_json(passed()))["series"]
    )
    assert sum('"is_measured": ' in line for line in lines) == 120


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[]", "want a load report, got", id="no object"),
        pytest.param("{}", "want a load report, got \"KeyError('schema')\"", id="empty"),
        pytest.param('{"schema": 2}', "want a load report of schema 1, got 2", id="a later one"),
        pytest.param('{"schema": 1}', "want a load report, got", id="nothing else"),
        pytest.param("{", "Expecting property name", id="no JSON"),
        pytest.param("[" * 100_000, "want a load report, got", id="too deep"),
    ],
)
def test_what_is_no_report_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        from_json(text)

    assert str(caught.value).startswith(message)


def test_a_time_without_its_zone_is_refused() -> None:
    document = json.loads(to_json(small()))
    document["started_at"] = "2026-03-14T09:26:53"

    with pytest.raises(ValueError, match="want a time with its zone, got '2026-03-14T09:26:53'"):
        from_json(json.dumps(document))


DOCUMENT = json.loads(to_json(small()))
JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KEYS), JUNK)
def test_any_value_for_any_key_is_read_or_refused(key: str, value: Any) -> None:
    document = deepcopy(DOCUMENT)
    document[key] = value

    try:
        found = from_json(json.dumps(document))
    except ValueError:
        return
    assert found.verdict
