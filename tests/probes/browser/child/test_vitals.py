"""What a page says of itself is foreign data: judged, bounded, and never invented."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.browser.child.vitals import MAX_SECONDS, read

NAVIGATION = {
    "domainLookupStart": 2, "domainLookupEnd": 2, "connectStart": 2, "secureConnectionStart": 12,
    "connectEnd": 32, "requestStart": 33, "responseStart": 133, "responseEnd": 143,
    "domContentLoadedEventEnd": 300, "domComplete": 393, "loadEventEnd": 400,
}  # fmt: skip
GOOD: dict[str, Any] = {
    "document": 1700000000000.5, "now": 900, "fcp": 200, "lcp": 250.5, "inp": 64, "cls": 0.25,
    "tasks": [[100, 80], [180, 100], [500, 150]], "navigation": NAVIGATION,
}  # fmt: skip


def test_milliseconds_become_seconds() -> None:
    seen = read(json.dumps(GOOD))

    assert seen.document == 1700000000000.5
    # the first task ended before the paint; of the second one 20 + 80 - 50 ms lie behind it
    assert seen.vitals == pytest.approx(
        {"ttfb": 0.133, "fcp": 0.2, "lcp": 0.2505, "inp": 0.064, "cls": 0.25, "tbt": 0.15}
    )
    assert seen.timing == pytest.approx(
        {
            "dns": 0.0, "connect": 0.01, "tls": 0.02, "request": 0.1, "response": 0.01,
            "processing": 0.25, "dom_content_loaded": 0.3, "load": 0.4,
        }
    )  # fmt: skip


def test_what_was_not_observed_is_not_there() -> None:
    seen = read(json.dumps({"document": 1, "fcp": None, "lcp": None, "inp": None, "cls": None}))

    assert (seen.vitals, seen.timing) == ({}, {})


def test_a_kept_connection_has_no_connect_and_a_page_under_way_no_load() -> None:
    marks = {"connectStart": 5, "connectEnd": 5, "requestStart": 6, "loadEventEnd": 0}

    assert read(json.dumps({"document": 1, "navigation": marks})).timing == {}


def test_blocking_is_zero_when_nothing_blocked_and_unknown_before_a_paint() -> None:
    assert read('{"document": 1, "fcp": 10, "tasks": []}').vitals["tbt"] == 0.0
    assert "tbt" not in read('{"document": 1, "tasks": [[1, 900]]}').vitals


@pytest.mark.parametrize(
    "value",
    ["1e999", "-5", '"200"', "true", "[]", "NaN", f"{int(MAX_SECONDS * 1000) + 1}", "1" * 400],
)
def test_a_number_that_cannot_be_is_dropped(value: str) -> None:
    text = f'{{"document": 1, "fcp": {value}, "lcp": 5}}'

    assert set(read(text).vitals) == {"lcp"}


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"document": "x"}', "x" * 200_000, "[" * 100_000]
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"document": st.floats(0, 1e13)},
        optional={
            **dict.fromkeys(("fcp", "lcp", "inp", "cls", "tasks"), JSON),
            "navigation": JSON | st.dictionaries(st.sampled_from(sorted(NAVIGATION)), JSON),
        },
    )
)
def test_any_report_gives_finite_numbers_in_bounds(report: dict[str, Any]) -> None:
    seen = read(json.dumps(report))

    for value in (*seen.vitals.values(), *seen.timing.values()):
        assert 0 <= value <= MAX_SECONDS
