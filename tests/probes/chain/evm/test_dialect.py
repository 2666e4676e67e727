import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.answer.inquiry import UNKNOWN_METHOD
from probes.chain.evm.dialect import COMPAT_METRICS, METRICS
from probes.chain.model import (
    Fees,
    Head,
    Observation,
    Settled,
    Syncing,
)
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Common
from probes.chain.visit import NOBODY
from probes.result import Outcome
from tests.probes.chain.evm.evm_node import (
    DIALECT,
    EVERYTHING,
    FULL,
    GROUP,
    LOST,
    NOW,
    OWN,
    UNSUPPORTED,
    CannedNode,
    Params,
    block,
    block_hash,
    error,
    gauges,
    judgement,
    look,
    ok,
)


def test_one_block_tells_head_base_fee_and_room() -> None:
    node = CannedNode(100)

    seen = look(node, "head")

    assert node.methods == ["eth_getBlockByNumber"]
    assert node.asked[0].params == ("latest", False)
    assert node.asked[0].timed
    assert seen.head == Head(
        100, block_hash(100), block_hash(99), 1_700_001_200.0, 5.0, "0x" + "5a" * 32
    )
    assert seen.tags == {"latest": seen.head}
    assert seen.latency_s == 0.01
    assert seen.fees == Fees(base=10**9)
    assert gauges(seen) == {"evm_base_fee_wei": 10**9, "evm_block_gas_used_ratio": 0.5}


def test_a_node_that_offers_everything_tells_everything() -> None:
    seen = look(CannedNode(100, **FULL))

    assert seen.fault is None
    assert seen.findings == []
    assert seen.asked == EVERYTHING
    assert seen.chain_id == "1"
    assert seen.genesis == block_hash(0)
    assert seen.syncing == Syncing(is_syncing=False)
    assert seen.read_again == 100
    assert seen.peers == 25
    assert seen.client == "Geth/1.13"
    assert seen.tags["finalized"].height == 36
    assert seen.tags["safe"].height == 68
    assert seen.fees == Fees(2 * 10**9, 10**9, ((10, 1), (50, 2), (90, 3)))
    assert seen.capabilities == {
        "archive": True, "logs": True, "trace": True, "finalized": True, "txpool": True,
        "batch": True,
    }  # fmt: skip
    assert gauges(seen) == {
        "evm_base_fee_wei": 10**9,
        "evm_block_gas_used_ratio": 0.5,
        "evm_gas_price_wei": 2 * 10**9,
        "evm_blob_base_fee_wei": 9,
        "evm_priority_fee_wei 10": 1,
        "evm_priority_fee_wei 50": 2,
        "evm_priority_fee_wei 90": 3,
        "evm_txpool_transactions pending": 5,
        "evm_txpool_transactions queued": 2,
        "chain_next_fork_timestamp_seconds": 1_800_000_123,
    }


def test_a_node_that_offers_nothing_but_its_head_is_not_blamed() -> None:
    seen = look(CannedNode(100))

    assert seen.fault is None
    assert seen.findings == []
    assert seen.asked == EVERYTHING
    assert {name for name, has in seen.capabilities.items() if has} == {"finalized"}
    assert {"peers", "syncing", "fees", "trace", "logs", "txpool", "fork"} <= seen.unsupported
    assert seen.peers is None
    assert seen.syncing is None


def test_light_calls_may_travel_as_one_and_heavy_ones_go_alone() -> None:
    node = CannedNode(100, **FULL)

    look(node)

    assert [set(batch) for batch in node.batches[1:]] == [{"eth_chainId", UNKNOWN_METHOD}]
    assert {"eth_chainId", "eth_gasPrice", "net_peerCount"} <= set(node.batches[0])
    assert not {"eth_getLogs", "eth_getBalance", "debug_traceCall"} & set(node.batches[0])


def test_only_what_is_due_is_asked() -> None:
    node = CannedNode(100, **FULL)

    look(node, "peers", "txpool")

    assert node.methods == ["eth_getBlockByNumber", "net_peerCount", "txpool_status"]


def test_a_head_that_was_shed_does_not_keep_the_rest_from_being_asked() -> None:
    node, seen = CannedNode(100, **FULL), Observation("own")

    node.drive(DIALECT.look(GROUP, OWN, frozenset({"peers", "logs"}), seen))

    assert node.methods == ["net_peerCount"]
    assert "logs" not in seen.asked


def test_a_chain_before_london_has_no_base_fee() -> None:
    old = {**block(100), "baseFeePerGas": None, "gasLimit": "0x0"}

    seen = look(CannedNode(eth_getBlockByNumber=ok(old)), "head")

    assert seen.fees is None
    assert gauges(seen) == {}


# --- heads that are none


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        pytest.param(
            None, "head_null: want the latest block, got null", id="row 17: null for latest"
        ),
        pytest.param("0x64", "want an object, got '0x64'", id="a number"),
        pytest.param(
            {**block(1), "hash": "0x12"},
            "want a hash: 0x and 64 hex digits, got '0x12'",
            id="a short hash",
        ),
        pytest.param(
            {**block(1), "number": 1.5},
            "want a number of at most 256 bits such as 0x10, got 1.5",
            id="row 54: a float",
        ),
        pytest.param(
            {**block(1), "number": "-0x1"},
            "want a number of at most 256 bits such as 0x10, got '-0x1'",
            id="row 54: a negative number",
        ),
        pytest.param(
            {**block(1), "baseFeePerGas": "cheap"},
            "want a number of at most 256 bits such as 0x10, got 'cheap'",
            id="no base fee",
        ),
    ],
)
def test_a_head_that_is_none_is_an_invalid_response(result: Any, detail: str) -> None:
    seen = look(CannedNode(eth_getBlockByNumber=ok(result)))

    assert seen.head is None
    assert seen.fault is not None
    assert (seen.fault.reason, seen.fault.outcome) == (
        ChainReason.INVALID_RESPONSE,
        Outcome.DOWN,
    )
    assert seen.fault.detail == f"eth_getBlockByNumber: {detail}"


@pytest.mark.parametrize(
    ("number", "height"),
    [("0x", 0), ("0x0", 0), ("0x0064", 100), ("100", 100), (101, 101), ("0X64", 100)],
)
def test_numbers_are_read_in_all_their_spellings(number: Any, height: int) -> None:
    """Row 54."""
    seen = look(CannedNode(eth_getBlockByNumber=ok({**block(1), "number": number})), "head")

    assert seen.head is not None
    assert seen.head.height == height


def test_an_error_of_the_head_call_is_told_with_its_code() -> None:
    seen = look(CannedNode(eth_getBlockByNumber=error(-32603, "Internal error")))

    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.RPC_CORE_ERROR
    assert "-32603" in seen.fault.detail


@pytest.mark.parametrize(
    ("method", "hint"),
    [
        pytest.param("status", "this is a CometBFT endpoint, use kind: cosmos", id="row 23"),
        pytest.param("getVersion", "this is a Solana endpoint, use kind: solana", id="solana"),
    ],
)
def test_a_node_of_another_family_is_told_by_name(method: str, hint: str) -> None:
    node = CannedNode(eth_getBlockByNumber=UNSUPPORTED)
    node.canned[method] = ok({"version": "1"})

    seen = look(node)

    assert seen.fault is not None
    assert (seen.fault.reason, seen.fault.detail) == (ChainReason.WRONG_FAMILY, hint)


def test_nothing_is_asked_of_an_endpoint_without_a_head() -> None:
    node = CannedNode(eth_getBlockByNumber=replace(LOST, reason=ChainReason.TIMEOUT))

    seen = look(node)

    assert node.methods == ["eth_getBlockByNumber"]
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.TIMEOUT
    assert seen.asked == set()


# --- round 2


def test_settled_blocks_are_read_once_each() -> None:
    node, seen = CannedNode(100), Observation("own")

    node.drive(DIALECT.confirm(GROUP, OWN, Common(settled=97, finalized=36), seen))

    assert seen.settled == {97: Settled(block_hash(97)), 36: Settled(block_hash(36))}


def test_the_state_is_compared_where_an_archive_is_required() -> None:
    node, seen = CannedNode(100), Observation("own")
    group = replace(GROUP, require=frozenset({"archive"}))

    node.drive(DIALECT.confirm(group, OWN, Common(settled=97), seen))

    assert seen.settled == {97: Settled(block_hash(97), "0x" + "5a" * 32)}


@pytest.mark.parametrize("answer", [ok(None), UNSUPPORTED, LOST, NOBODY])
def test_a_settled_block_that_does_not_come_is_not_compared(answer: Answer) -> None:
    node, seen = CannedNode(eth_getBlockByNumber=answer), Observation("own")

    node.drive(DIALECT.confirm(GROUP, OWN, Common(settled=97), seen))

    assert seen.settled == {}
    assert seen.findings == []


def test_nonsense_instead_of_a_settled_block_is_a_method_error() -> None:
    node, seen = CannedNode(eth_getBlockByNumber=ok([])), Observation("own")

    node.drive(DIALECT.confirm(GROUP, OWN, Common(settled=97), seen))

    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]


def test_without_anything_to_compare_nothing_is_asked() -> None:
    node = CannedNode(100)

    node.drive(DIALECT.confirm(GROUP, OWN, Common(), Observation("own")))

    assert node.asked == []


def test_the_hash_at_a_height_is_told_or_not_known() -> None:
    assert CannedNode(100).drive(DIALECT.hash_at(7)) == block_hash(7)
    assert CannedNode(100).drive(DIALECT.hash_at(101)) is None
    assert CannedNode(eth_getBlockByNumber=ok(block(3))).drive(DIALECT.hash_at(7)) is None


def test_the_dialect_hands_on_what_is_asked_once_per_group() -> None:
    seen = {"own": look(CannedNode(100, **FULL))}
    talk = DIALECT.survey(GROUP, seen, judgement(), NOW, None)

    survey = CannedNode(100).drive(talk)

    assert dict(survey.gauges) == {("evm_gas_spike_floor_wei", ()): 1e9}
    assert DIALECT.durable(survey.memory) is None


# --- any answer at all


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["0x", "0x1", "latest", "0x" + "ab" * 32]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["number", "hash", "timestamp", "next", "state", "pending", "reward", "gasUsedRatio",
             "baseFeePerBlobGas", "currentBlock", "highestBlock", "activationTime", "oldestBlock"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
ANSWERS = st.builds(ok, JSON) | st.sampled_from(
    [UNSUPPORTED, LOST, error(-32603, "x"), error(3, "execution reverted"), Answer("too_large")]
)


@given(head=st.none() | JSON, answers=st.lists(ANSWERS, min_size=1, max_size=40))
def test_no_answer_breaks_a_look(head: Any, answers: list[Answer]) -> None:
    left = list(answers)

    def anything(params: Params) -> Answer:
        return left.pop() if left else UNSUPPORTED

    methods = [*FULL, "eth_capabilities", "trace_call", UNKNOWN_METHOD]
    node = CannedNode(100, **dict.fromkeys(methods, anything))
    if head is not None:
        node.canned["eth_getBlockByNumber"] = ok(head)

    seen = look(node)

    assert (seen.head is None) == (seen.fault is not None)
    assert len(seen.findings) <= 1
    assert all(isinstance(value, int | float) for value, _ in seen.gauges.values())
    declared = {metric.name for metric in (*METRICS, *COMPAT_METRICS)}
    assert {name for name, _ in seen.gauges} <= declared | {"chain_next_fork_timestamp_seconds"}


@given(st.binary(max_size=200) | st.text(max_size=200) | JSON.map(json.dumps))
def test_no_message_breaks_the_tongue(message: str | bytes) -> None:
    DIALECT.tongue().read(message)
