"""Contracts that are asked over REST, and what their answers mean.

What the service tells of its node is asked in `tests.probes.chain.cosmos.test_dialect`.
"""

import base64
from functools import partial
from typing import Any

import pytest

from probes.chain.cosmos.lcd import Contract, ask_contract, query_text
from probes.chain.model import Verdict
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer
from probes.chain.visit import NOBODY, SPENT
from probes.errors import CheckFailed
from probes.expect import Matcher, miss_in_json
from probes.result import Outcome, Reason
from tests.probes.chain.canned import Canned, status

QUERY = {"config": {"key": "a/b?"}}
EXPECT = {"$.paused": Matcher(False), "$.fee": Matcher({"lt": 5})}
SWAP = Contract("swap", "neutron1swap", query_text(QUERY), partial(miss_in_json, EXPECT))


def path(contract: Contract) -> str:
    encoded = base64.urlsafe_b64encode(contract.query.encode()).decode()
    return f"/cosmwasm/wasm/v1/contract/{contract.address}/smart/{encoded}"


def ask(answer: Any, contract: Contract = SWAP) -> Verdict | None:
    return Canned({path(contract): answer}).talk(ask_contract(contract))


def test_the_query_is_one_safe_segment_of_a_path() -> None:
    contract = Contract("swap", "neutron1swap", query_text({"a": "\u00ff\u00bf?>"}))
    node = Canned({})

    node.talk(ask_contract(contract))

    assert node.asks[0].via == "lcd"
    assert not set("+?>") & set(node.asks[0].path)
    assert node.asks[0].path.count("/") == path(contract).count("/") == 7


def test_an_answer_as_expected_is_up() -> None:
    assert ask({"data": {"paused": False, "fee": 4}}) == Verdict("contract swap", Outcome.UP)


def test_an_answer_without_expectation_only_has_to_come() -> None:
    contract = Contract("swap", "neutron1swap", "{}")

    assert ask({"data": None}, contract) == Verdict("contract swap", Outcome.UP)


@pytest.mark.parametrize(
    ("answer", "reason", "outcome", "detail"),
    [
        pytest.param(
            {"data": {"paused": True, "fee": 4}}, ChainReason.ASSERTION_FAILED, Outcome.DOWN,
            "$.paused: want false, got true", id="another value",
        ),
        pytest.param(
            {"data": {"paused": False, "fee": 9}}, ChainReason.ASSERTION_FAILED, Outcome.DOWN,
            "$.fee: want < 5, got 9", id="out of range",
        ),
        pytest.param(
            status(500, '{"code": 2, "message": "paused: query wasm contract failed"}'),
            ChainReason.ASSERTION_FAILED, Outcome.DOWN,
            "want status 200, got 500: 'paused: query wasm contract failed'", id="it refuses",
        ),
        pytest.param(
            status(404, '{"code": 5, "message": "no such contract: neutron1swap"}'),
            ChainReason.ASSERTION_FAILED, Outcome.DOWN,
            "want status 200, got 404: 'no such contract: neutron1swap'", id="it is not there",
        ),
        pytest.param(
            status(502, "<html>"), ChainReason.METHOD_ERRORS, Outcome.DEGRADED,
            "want status 200, got 502", id="the service fails",
        ),
        pytest.param(
            {"result": {}}, ChainReason.METHOD_ERRORS, Outcome.DEGRADED,
            "want data in the result, got {'result': {}}", id="no answer of wasmd",
        ),
        pytest.param(
            CheckFailed(Reason.REFUSED, "want a connection, got refused", phase="connect"),
            ChainReason.METHOD_ERRORS, Outcome.DEGRADED,
            "want a connection, got refused", id="the service is gone",
        ),
    ],
)  # fmt: skip
def test_other_answers(answer: Any, reason: ChainReason, outcome: Outcome, detail: str) -> None:
    verdict = ask(answer)

    assert verdict is not None
    assert (verdict.name, verdict.outcome) == ("contract swap", outcome)
    assert [(it.reason, it.outcome) for it in verdict.findings] == [(reason, outcome)]
    assert verdict.findings[0].detail == detail


@pytest.mark.parametrize(
    "answer", [pytest.param(NOBODY, id="nobody"), pytest.param(SPENT, id="budget used up")]
)
def test_who_was_not_asked_has_no_verdict(answer: Answer) -> None:
    assert ask(answer) is None
