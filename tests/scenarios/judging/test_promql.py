"""One number of Prometheus: from the real server, from one that is broken, and from none."""

import json
from collections.abc import AsyncIterator, Callable

import pytest

from scenarios.judging.promql import Answer, ask, ask_all
from scenarios.judging.rules import Rule, judge_value, why_of
from scenarios.report import Verdict
from scenarios.thresholds import parse
from tests.faults.http import Call, FaultServer, fault_server
from tests.servers.prometheus import Prometheus


@pytest.fixture
async def faults() -> AsyncIterator[FaultServer]:
    async with fault_server() as server:
        yield server


@pytest.mark.service
@pytest.mark.slow
async def test_the_real_prometheus_is_asked(
    prometheus: Callable[[str], Prometheus],
) -> None:
    url = f"http://127.0.0.1:{prometheus('global: {}').port}"
    rows = {
        "vector(42)": (42.0, ""),
        "scalar(vector(1.5))": (1.5, ""),
        "1 + 1": (2.0, ""),
        "absent(nothing_at_all) * 3": (3.0, ""),
        "nothing_at_all": (None, "want one series, got 0"),
        "label_replace(vector(1), 'a', 'x', '', '') or vector(2)": (
            None, "want one series, got 2"),
        "vector(1) / vector(0) * 0": (None, "want a finite decimal number, got 'NaN'"),
        "vector(1) / vector(0)": (None, "want a finite decimal number, got '+Inf'"),
        "vector(1)[5m:1m]": (None, "want a vector or a scalar, got 'matrix'"),
        "'a text'": (None, "want a vector or a scalar, got 'string'"),
        "sum((": (None, "parse error: unclosed left parenthesis"),
    }  # fmt: skip

    answers = await ask_all(f"{url}/", rows, 5.0)

    for answer, (query, (value, why)) in zip(answers, rows.items(), strict=True):
        assert (answer.query, answer.value) == (query, value), answer
        assert why in answer.why


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        pytest.param({"status": "success"}, 200, "want a vector or a scalar, got null", id="empty"),
        pytest.param([1], 200, "want a result, got HTTP/1.1 200 It", id="no object"),
        pytest.param("down", 502, "want status 200, got HTTP/1.1 502 Bad", id="a proxy's page"),
        pytest.param("<html>", 200, "want JSON, got", id="no JSON"),
        pytest.param({"status": "error", "error": "query timed out"}, 503,
                     "want a result, got 'query timed out'", id="a query that took too long"),
        pytest.param({"status": "success", "data": {"resultType": "vector", "result": [{}]}}, 200,
                     "want a time and a value, got null", id="a series without a value"),
        pytest.param({"status": "success",
                      "data": {"resultType": "scalar", "result": [1, 2]}}, 200,
                     "want a time and a value, got [1, 2]", id="a bare number"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_says_why(
    faults: FaultServer, body: object, status: int, why: str
) -> None:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def answer(call: Call) -> None:
        await call.answer(data, f"{status} {'Bad' if status == 502 else 'It'}")

    faults.faults["api"] = answer

    found = await ask(faults.url(""), "up", 5.0)

    assert found.value is None
    assert why in found.why


async def test_thresholds_6_prometheus_down_is_no_data(faults: FaultServer) -> None:
    silent = await ask(f"{faults.url('/hang')}", "up", 0.1)
    async with fault_server() as other:
        gone = other.url("")
    refused = await ask(gone, "up", 5.0)
    odd = await ask("prometheus:9090", "up", 5.0)

    assert silent == Answer(
        "up", None, f"want an answer of http://127.0.0.1:{faults.port} within 100ms, got none"
    )
    assert (
        refused.why
        == f"{gone.rstrip('/')}: want a connection to {gone[7:].rstrip('/')}, got a refusal"
    )
    assert "want an http:// or https:// URL" in odd.why
    for level, verdict in (("fail", Verdict.INCONCLUSIVE), ("warn", Verdict.PASS)):
        why = why_of(judge_value(Rule(parse("promql(up) == 1"), level), refused.value))  # type: ignore[arg-type]
        assert why is not None
        assert why.verdict is verdict


async def test_a_password_of_the_url_goes_out_as_such_and_into_no_text(
    faults: FaultServer,
) -> None:
    heads: list[str] = []

    async def answer(call: Call) -> None:
        heads.append(call.headers["authorization"])
        await call.answer(b"no", "401 Unauthorized")

    faults.faults["api"] = answer

    found = await ask(f"http://me:canary@127.0.0.1:{faults.port}", "up", 5.0)

    assert heads == ["Basic bWU6Y2FuYXJ5"]
    assert "canary" not in repr(found)
