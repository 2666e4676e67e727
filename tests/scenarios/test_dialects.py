"""Thresholds of other tools are refused in a way that shows how ours are written."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.dialects import translated
from scenarios.thresholds import METRICS, parse


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        pytest.param("p(95)<200", "p95(request.duration) < 200ms", id="k6, a bare percentile"),
        pytest.param("http_req_duration: ['p(99.9)<=1500']", "p99.9(request.duration) <= 1.5s",
                     id="k6 in a mapping"),
        pytest.param("http_req_duration: avg<200", "avg(request.duration) < 200ms", id="k6 mean"),
        pytest.param("http_req_waiting: med < 200", "p50(request.duration) < 200ms",
                     id="k6 median"),
        pytest.param("http_req_failed: rate<0.01", "rate(request.failed) < 1%", id="k6 share"),
        pytest.param("checks: rate>0.99", "rate(request.failed) < 1%", id="k6 checks"),
        pytest.param("iteration_duration: max<4000", "max(iteration.duration) < 4s",
                     id="k6 iterations"),
        pytest.param("http_reqs: rate>100", "avg(throughput) > 100/s", id="k6 rate"),
        pytest.param("dropped_iterations: count==0", "count(iteration.dropped) == 0",
                     id="k6 dropped"),
        pytest.param("p95(http_req_duration) < 400ms", "p95(request.duration) < 400ms",
                     id="a word of k6 in our grammar"),
        pytest.param("global().responseTime().percentile(95).lt(500)",
                     "p95(request.duration) < 500ms", id="Gatling, a percentile"),
        pytest.param("global.responseTime.percentile3.lte(1200)",
                     "p95(request.duration) <= 1.2s", id="Gatling, a numbered percentile"),
        pytest.param("global.successfulRequests.percent.gt(95)", "rate(request.failed) < 5%",
                     id="Gatling, good ones"),
        pytest.param("global.failedRequests.percent.lt(5)", "rate(request.failed) < 5%",
                     id="Gatling, bad ones"),
        pytest.param("fail_ratio < 0.01", "rate(request.failed) < 1%", id="Locust"),
    ],
)  # fmt: skip
def test_what_another_tool_writes_is_shown_as_ours(foreign: str, ours: str) -> None:
    with pytest.raises(ValueError, match="want a threshold") as refused:
        parse(foreign)

    assert f"want a threshold such as {ours}, got {foreign!r}" in str(refused.value)


@given(st.sampled_from(sorted(METRICS)), st.text("p95()<>=.%ms0 \x00٣", max_size=20))
def test_our_own_words_are_never_taken_for_those_of_others(metric: str, rest: str) -> None:
    text = f"p95({metric}{rest}"

    assert "p(" in text or translated(text) is None


@given(st.text("p(95)<.checks:http_req_failedrate%gt\x00٣ ", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse(parse(text).expr).expr
