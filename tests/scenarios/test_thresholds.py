"""Thresholds as people write them: what is read, what is refused and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.thresholds import (
    METRICS,
    Threshold,
    edges_of,
    limits_of,
    misfits,
    parse,
    parse_amount,
    parse_stat,
)


@pytest.mark.parametrize(
    ("text", "expr", "limit", "unit"),
    [
        pytest.param("p95(request.duration) < 400ms", "p95(request.duration) < 400ms", 0.4, "s",
                     id="as the manual writes it"),
        pytest.param(" p99.90 (request.duration)<1.5s".replace("90", "9"),
                     "p99.9(request.duration) < 1.5s", 1.5, "s", id="one decimal, no spaces"),
        pytest.param("p050(request.duration) < 0.4s", "p50(request.duration) < 400ms", 0.4, "s",
                     id="one way to write a number"),
        pytest.param('rate(request.failed{reason="timeout"}) == 0',
                     'rate(request.failed{reason="timeout"}) == 0%', 0.0, "%",
                     id="nothing needs no unit"),
        pytest.param('rate( request.failed { step != "a}b, c" , journey="x" } ) <= 0.5%',
                     'rate(request.failed{journey="x",step!="a}b, c"}) <= 0.5%', 0.5, "%",
                     id="labels are sorted, values may hold anything"),
        pytest.param('count(request.failed{step="say \\"hi\\" ü"}) < 3',
                     'count(request.failed{step="say \\"hi\\" ü"}) < 3', 3.0, "",
                     id="quotes in a value"),
        pytest.param("min(throughput) >= 18/s", "min(throughput) >= 18/s", 18.0, "/s", id="a rate"),
        pytest.param("avg(throughput) > 600/m", "avg(throughput) > 10/s", 10.0, "/s",
                     id="a minute's rate"),
        pytest.param("avg(data.received) < 2048B", "avg(data.received) < 2KiB", 2048.0, "B",
                     id="bytes"),
        pytest.param("max(browser.cls) < .1", "max(browser.cls) < 0.1", 0.1, "", id="no unit"),
        pytest.param("promql( sum(rate(x[1m])) > bool 1 ) < 1e0",
                     "promql(sum(rate(x[1m])) > bool 1) < 1", 1.0, "", id="a query of Prometheus"),
    ],
)  # fmt: skip
def test_a_threshold_is_read_and_has_one_form(
    text: str, expr: str, limit: float, unit: str
) -> None:
    found = parse(text)

    assert (found.expr, found.limit, found.unit) == (expr, limit, unit)
    assert parse(found.expr) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("p95 request.duration < 1s",
                     "want a threshold such as p95(request.duration) < 400ms, "
                     "got 'p95 request.duration < 1s'", id="no brackets"),
        pytest.param("p95(request.durations) < 1s", "got 'request.durations'; did you mean "
                     "'request.duration'?", id="misspelt metric"),
        pytest.param("rat(request.failed) < 1%", "want rate or count of request.failed, "
                     "got 'rat'; did you mean 'rate'?", id="misspelt aggregate"),
        pytest.param("p95(request.failed) < 1%", "want rate or count of request.failed, got 'p95'",
                     id="percentile of a rate"),
        pytest.param("p101(request.duration) < 1s", "want a percentile of p0 to p100, got 'p101'",
                     id="percentile above all"),
        pytest.param("p99.99(request.duration) < 1s",
                     "want p95, min, max, avg, count or sum of request.duration, got 'p99.99'",
                     id="two decimals"),
        pytest.param('p95(request.duration{stepp="x"}) < 1s',
                     "want a label of request.duration (journey, step, method, code_class, "
                     "outcome), got 'stepp'; did you mean 'step'?", id="misspelt label"),
        pytest.param("p95(request.duration{step=x}) < 1s",
                     "want labels such as step=\"search\", got 'step=x'", id="bare value"),
        pytest.param("p95(request.duration) =< 1s",
                     "want <, <=, >, >=, == or !=, got '=<'", id="odd comparison"),
        pytest.param("p95(request.duration) < 400",
                     "want a number with a unit (ms, s), got '400'", id="no unit"),
        pytest.param("p95(request.duration) < 4%",
                     "want a number with a unit (ms, s), got '4%'", id="unit that does not fit"),
        pytest.param("rate(request.failed) < 0.01",
                     "want a number with the unit %, got '0.01'", id="share without a unit"),
        pytest.param("rate(request.failed) < 101%", "want a share of 0% to 100%, got '101%'",
                     id="share that nothing exceeds"),
        pytest.param("count(request.failed) < 5/s", "want a number without a unit, got '5/s'",
                     id="count with a unit"),
        pytest.param("p95(request.duration) < nan",
                     "want a number with a unit (ms, s), got 'nan'", id="B1 not a number"),
        pytest.param("p95(request.duration) < -1s", "want a number >= 0, got '-1s'",
                     id="negative time"),
        pytest.param("p95(request.duration) < 1e999s",
                     "want a finite decimal number, got '1e999'", id="infinite"),
        pytest.param("promql() < 1", "want promql(...) with a query, got none", id="no query"),
        pytest.param("promql(up) < 1 < 2", "want a threshold such as", id="two comparisons"),
        pytest.param(7, "want a threshold such as p95(request.duration) < 400ms, got 7",
                     id="no text"),
    ],
)  # fmt: skip
def test_what_is_no_threshold_is_told_by_its_wrong_part(text: object, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its text is judged
        parse(text)

    assert message in str(raised.value)


@given(st.text(alphabet='p95(request.duration{step="x"}) <=!>.400ms%/\\,\x00٣ü', max_size=60))
def test_any_text_is_a_threshold_or_a_value_error(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert isinstance(found, Threshold)


def test_a_hostile_text_costs_no_time() -> None:
    for text in ("promql(" * 280, "p95(request.duration{" + 'a="' * 600, "p9(" + " " * 1900 + "!"):
        with pytest.raises(ValueError, match="want"):
            parse(text)


def test_label_values_are_held_against_the_scenario() -> None:
    names = {"journey": ["checkout"], "step": ["search", "pay"]}
    threshold = parse('p95(request.duration{step="serch",journey="checkout",method="GET"}) < 1s')

    assert list(misfits(threshold, names)) == [
        "want step to be one of pay, search, got 'serch'; did you mean 'search'?"
    ]


def test_a_statistic_of_a_baseline_has_no_comparison() -> None:
    assert parse_stat("throughput").stat == "avg(throughput)"
    assert parse_stat('p95(request.duration{step="a"})').stat == 'p95(request.duration{step="a"})'
    assert (parse_amount("20ms", "s"), parse_amount("5/m", "/s")) == (0.02, 5 / 60)
    for text in ("p95(request.duration) < 1s", "throughputs", "p95(request.duration) < 0", None):
        with pytest.raises(ValueError, match="want"):
            parse_stat(text)


@pytest.mark.parametrize(
    ("op", "edges"),
    [("<", (399_999,)), (">=", (399_999,)), ("<=", (400_000,)), (">", (400_000,)),
     ("==", (399_999, 400_000))],
)  # fmt: skip
def test_what_decides_is_counted_at_the_microsecond(op: str, edges: tuple[int, ...]) -> None:
    assert edges_of(parse(f"p95(request.duration) {op} 400ms")) == edges


def test_a_plan_counts_what_its_percentiles_need() -> None:
    texts = ["p95(request.duration) < 400ms", 'p99(request.duration{step="a"}) <= 900ms',
             "avg(request.duration) < 1s", "rate(request.failed) < 1%",
             "p99(iteration.latency) < 6s", "p95(browser.cls) < 0.1"]  # fmt: skip

    assert limits_of(map(parse, texts)) == {
        "iteration.latency": (5_999_999,),
        "request.duration": (399_999, 900_000),
    }


def test_every_metric_of_the_manual_is_known() -> None:
    manual = """
        request.duration request.failed iteration.duration iteration.latency start.delay
        iteration.failed iteration.interrupted iteration.dropped setup.failed throughput
        data.sent data.received browser.lcp browser.fcp browser.inp browser.ttfb browser.cls
    """

    assert set(manual.split()) == METRICS.keys()
