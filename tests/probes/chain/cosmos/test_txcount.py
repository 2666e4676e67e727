"""Counting the transactions of a CometBFT chain: cursor, attribution, refusals."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.cosmos.lcd import Contract
from probes.chain.cosmos.txcount import (
    MAX_AHEAD,
    Cursor,
    count_transactions,
    durable,
    restored,
    safe_height,
)
from probes.chain.judge.thresholds import limits
from probes.chain.judge.views import Views
from probes.chain.model import Endpoint, Judgement, Verdict
from probes.chain.talk import MAX_SCAN_BODY_BYTES, Ask
from probes.result import Outcome
from tests.probes.chain.canned import TIMEOUT, Canned, Turns, group_of, refused

SWAP, VAULT = Contract("swap", "neutron1swap"), Contract("vault", "neutron1vault")
# raw transaction, code
Block = list[tuple[bytes, int]]


def chain(blocks: dict[int, Block]) -> Canned:
    def height(ask: Ask) -> int:
        assert ask.max_body == MAX_SCAN_BODY_BYTES
        return int(dict(ask.params)["height"])

    def results(ask: Ask) -> Any:
        codes = [{"code": code} for _, code in blocks.get(height(ask), [])]
        return {"txs_results": codes or None}

    def block(ask: Ask) -> Any:
        raw = [base64.b64encode(text).decode() for text, _ in blocks.get(height(ask), [])]
        return {"block": {"data": {"txs": raw}}}

    return Canned({"block_results": results, "block": block})


def count(
    node: Canned, safe: int, cursor: Cursor | None, max_blocks: int = 4
) -> tuple[dict[str, float], tuple[Verdict, ...], Cursor | None]:
    asked = len(node.asks)
    found = node.talk(count_transactions((SWAP, VAULT), max_blocks, safe, cursor))
    assert found.spent == len(node.asks) - asked
    shown = {
        "/".join([name, *(value for _, value in labels)]): n for (name, labels), n in found.counts
    }
    return {name: number for name, number in shown.items() if number}, found.steps, found.cursor


def heights(node: Canned) -> list[int]:
    return [int(dict(params)["height"]) for params in node.params("block_results")]


def test_the_first_survey_counts_nothing_and_begins_at_the_head() -> None:
    node = chain({100: [(b"x", 0)]})

    counts, steps, cursor = count(node, 100, None)

    assert (counts, steps, cursor) == ({}, (), Cursor(100))
    assert node.methods == []


def test_every_counter_is_there_from_the_beginning() -> None:
    found = chain({}).talk(count_transactions((SWAP,), 4, 100, None))

    assert {(name, labels): number for (name, labels), number in found.counts} == {
        ("cosmos_transactions_total", (("result", "success"),)): 0,
        ("cosmos_transactions_total", (("result", "failed"),)): 0,
        ("cosmos_contract_transactions_total", (("contract", "swap"), ("result", "success"))): 0,
        ("cosmos_contract_transactions_total", (("contract", "swap"), ("result", "failed"))): 0,
    }


def test_transactions_are_counted_by_result_and_by_contract() -> None:
    blocks: dict[int, Block] = {
        101: [(b"..neutron1swap..", 0), (b"..neutron1swap..neutron1vault", 5), (b"other", 0)],
        102: [],
        103: [(b"..neutron1vault", 0)],
    }

    counts, steps, cursor = count(chain(blocks), 103, Cursor(100))

    assert counts == {
        "cosmos_transactions_total/success": 3,
        "cosmos_transactions_total/failed": 1,
        "cosmos_contract_transactions_total/swap/success": 1,
        "cosmos_contract_transactions_total/swap/failed": 1,
        "cosmos_contract_transactions_total/vault/success": 1,
        "cosmos_contract_transactions_total/vault/failed": 1,
    }
    assert (steps, cursor) == ((), Cursor(103))


def test_an_empty_block_costs_one_call() -> None:
    node = chain({101: []})

    count(node, 101, Cursor(100))

    assert node.methods == ["block_results"]


def test_of_a_fast_chain_the_newest_blocks_are_counted() -> None:
    node = chain({})

    _, _, cursor = count(node, 150, Cursor(100), max_blocks=3)

    assert heights(node) == [148, 149, 150]
    assert cursor == Cursor(150)


def test_a_primary_that_lags_lets_nothing_be_counted_twice() -> None:
    node = chain({})

    _, _, cursor = count(node, 90, Cursor(100))

    assert node.methods == []
    assert cursor == Cursor(100)


def test_a_chain_made_anew_is_begun_anew() -> None:
    node = chain({})

    _, _, cursor = count(node, 5, Cursor(5 + MAX_AHEAD + 1))

    assert node.methods == []
    assert cursor == Cursor(5)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(
            refused(-32603, "Internal error", "node is not persisting abci responses"),
            "node is not persisting abci responses", id="not kept",
        ),
        pytest.param({"txs_results": 5}, "want a list of results", id="number"),
        pytest.param({"txs_results": [7]}, "want a list of results", id="no objects"),
        pytest.param([], "want a list of results", id="list"),
    ],
)  # fmt: skip
def test_a_node_that_refuses_is_told_and_asked_again_from_there(answer: Any, detail: str) -> None:
    node = Canned({"block_results": Turns({"txs_results": None}, answer)})

    _, steps, cursor = count(node, 103, Cursor(100))

    assert cursor == Cursor(101)
    assert steps[0].name == "transactions"
    assert steps[0].outcome is Outcome.DEGRADED
    assert detail in steps[0].findings[0].detail


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(TIMEOUT, id="silence"),
        pytest.param(refused(429, "Too many requests"), id="throttled"),
        pytest.param(
            refused(-32603, "Internal error", "height 1 is not available, lowest height is 9"),
            id="not there",
        ),
    ],
)
def test_what_the_endpoint_tells_itself_is_not_told_again(answer: Any) -> None:
    _, steps, cursor = count(Canned({"block_results": answer}), 103, Cursor(100))

    assert steps == ()
    assert cursor == Cursor(100)


def test_a_block_counts_whole_or_not_at_all() -> None:
    results = {"txs_results": [{"code": 0}]}
    node = Canned({"block_results": results, "block": {"block": {"data": {"txs": ["%"]}}}})

    counts, steps, cursor = count(node, 101, Cursor(100))

    assert counts == {}
    assert cursor == Cursor(100)
    assert "want transactions in base64" in steps[0].findings[0].detail


def test_the_safe_height_is_one_below_the_lowest_usable_primary() -> None:
    names = (Endpoint("a"), Endpoint("b"), Endpoint("c"), Endpoint("r", role="reference"))
    group = group_of("cosmos", endpoints=names)
    verdicts = (
        Verdict("a", Outcome.UP, height=100),
        Verdict("b", Outcome.DEGRADED, height=98),
        Verdict("c", Outcome.DOWN, height=3),
        Verdict("r", Outcome.UP, height=2),
    )
    judgement = Judgement(Outcome.UP, None, "", verdicts, limits(group, Views()), 1.0)

    assert safe_height(group, judgement) == 97


def test_without_a_usable_primary_there_is_no_safe_height() -> None:
    group = group_of("cosmos")
    down = (Verdict("own", Outcome.DOWN, height=100),)
    judgement = Judgement(Outcome.DOWN, None, "", down, limits(group, Views()), 1.0)

    assert safe_height(group, judgement) is None


def test_a_cursor_survives_a_restart() -> None:
    assert restored(durable(Cursor(7)) or {}) == Cursor(7)
    assert durable(None) is None


@pytest.mark.parametrize("kept", [{}, {"height": "7"}, {"height": -1}, {"height": True}])
def test_what_cannot_be_a_cursor_is_none(kept: dict[str, Any]) -> None:
    assert restored(kept) is None


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 5))
def test_no_block_is_counted_twice(safes: list[int], max_blocks: int) -> None:
    node = chain({})
    cursor: Cursor | None = None
    for safe in safes:
        _, _, cursor = count(node, safe, cursor, max_blocks)

    assert len(heights(node)) == len(set(heights(node)))
