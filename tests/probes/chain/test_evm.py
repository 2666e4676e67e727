import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.evm import COMPAT_METRICS, METRICS, EvmDialect
from probes.chain.inquiry import UNKNOWN_METHOD
from probes.chain.model import (
    Endpoint,
    Fees,
    Group,
    Head,
    Observation,
    Settled,
    Syncing,
    Thresholds,
)
from probes.chain.offers import ArchiveCheck, LogsCheck
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Common
from probes.chain.visit import NOBODY
from probes.result import Outcome
from probes.wire.heads import Refused, Sighting
from tests.probes.chain.evm_node import (
    GROUP,
    LOST,
    NOW,
    OWN,
    UNSUPPORTED,
    Canned,
    CannedNode,
    Params,
    block,
    block_hash,
    error,
    judgement,
    ok,
)

DIALECT = EvmDialect()
EVERYTHING = frozenset(topic.name for topic in DIALECT.topics)
FULL: dict[str, Canned] = {
    "eth_chainId": ok("0x1"),
    "eth_syncing": ok(False),
    "eth_blockNumber": ok("0x64"),
    "net_peerCount": ok("0x19"),
    "web3_clientVersion": ok("Geth/v1.13.4-stable/linux-amd64/go1.21"),
    "txpool_status": ok({"pending": "0x5", "queued": "0x2"}),
    "eth_gasPrice": ok("0x77359400"),
    "eth_feeHistory": ok(
        {
            "oldestBlock": "0x1",
            "baseFeePerGas": ["0x1", "0x2", "0x3"],
            "gasUsedRatio": [0.5, 0.0],
            "reward": [["0x1", "0x2", "0x3"], ["0x0", "0x0", "0x0"]],
            "baseFeePerBlobGas": ["0x1", "0x7", "0x9"],
        }
    ),
    "eth_config": ok({"current": {}, "next": {"activationTime": 1_800_000_123}, "last": {}}),
    "eth_getLogs": ok([]),
    "eth_getBalance": ok("0x0"),
    "eth_call": ok("0x"),
    "debug_traceCall": ok({"type": "CALL"}),
}


def look(
    node: CannedNode,
    *topics: str,
    dialect: EvmDialect = DIALECT,
    group: Group = GROUP,
    endpoint: Endpoint = OWN,
) -> Observation:
    seen = Observation(endpoint.name)
    due = frozenset(topics) | {"head"} if topics else EVERYTHING
    node.drive(dialect.look(group, endpoint, due, seen))
    return seen


def gauges(seen: Observation) -> dict[str, float]:
    return {
        name + "".join(f" {value}" for _, value in labels): number
        for (name, labels), (number, _) in seen.gauges.items()
    }


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


# --- sync


@pytest.mark.parametrize(
    ("result", "syncing"),
    [
        pytest.param(False, Syncing(is_syncing=False), id="no"),
        pytest.param(True, Syncing(is_syncing=True), id="row 35: a bare true"),
        pytest.param(
            {"startingBlock": "0x0", "currentBlock": "0x1518", "highestBlock": "0x9567a3"},
            Syncing(is_syncing=True, distance=0x9567A3 - 0x1518),
            id="row 33: far",
        ),
        pytest.param(
            {"currentBlock": "0x10", "highestBlock": "0x12", "stages": []},
            Syncing(is_syncing=True, distance=2),
            id="row 34: near",
        ),
        pytest.param(
            {"currentBlock": "0x12", "highestBlock": "0x10"},
            Syncing(is_syncing=True, distance=0),
            id="ahead of what it knows",
        ),
        pytest.param(
            {"batchSeen": 7, "batchProcessed": 5, "messageOfLastBlock": 1},
            Syncing(is_syncing=True),
            id="row 35: nitro",
        ),
    ],
)
def test_syncing_is_read_in_all_its_forms(result: Any, syncing: Syncing) -> None:
    assert look(CannedNode(eth_syncing=ok(result)), "syncing").syncing == syncing


def test_nonsense_about_syncing_is_a_method_error() -> None:
    seen = look(CannedNode(eth_syncing=ok("yes")), "syncing")

    assert seen.syncing is None
    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]
    assert seen.findings[0].detail == "eth_syncing: want an object, got 'yes'"


def test_a_balanced_endpoint_reads_the_height_often_and_the_sync_seldom() -> None:
    balanced = replace(OWN, load_balanced=True)
    often, seldom = CannedNode(100, **FULL), CannedNode(100, **FULL)

    seen = look(often, "syncing", endpoint=balanced)
    look(seldom, "again", endpoint=balanced)

    assert often.methods == ["eth_getBlockByNumber", "eth_blockNumber"]
    assert seen.read_again == 100
    assert seldom.methods == ["eth_getBlockByNumber", "eth_syncing"]


# --- finality


@pytest.mark.parametrize(
    ("answer", "asked_on"),
    [
        pytest.param(ok(None), True, id="row 18: null, as ethereumjs"),
        pytest.param(error(-32602, "invalid argument 0"), False, id="row 18: -32602"),
        pytest.param(error(-32000, "finalized block not found"), True, id="row 18: not found"),
        pytest.param(error(-39001, "Unknown block"), True, id="row 18: geth"),
        pytest.param(UNSUPPORTED, False, id="not offered"),
    ],
)
def test_a_node_without_finality_is_up_and_lacks_a_capability(
    answer: Answer, asked_on: bool
) -> None:
    def by_number(params: Params) -> Answer:
        return ok(block(100)) if params[0] == "latest" else answer

    seen = look(CannedNode(eth_getBlockByNumber=by_number), "finalized")

    assert seen.fault is None
    assert seen.findings == []
    assert seen.capabilities == {"finalized": False}
    assert seen.asked == {"head", "finalized"}
    assert ("finalized" not in seen.unsupported) is asked_on


def test_a_connection_that_is_lost_says_nothing_about_finality() -> None:
    def by_number(params: Params) -> Answer:
        return ok(block(100)) if params[0] == "latest" else LOST

    seen = look(CannedNode(eth_getBlockByNumber=by_number), "finalized")

    assert seen.asked == {"head"}
    assert seen.capabilities == {}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(error(-32603, "Internal error"), id="an error"),
        pytest.param(ok({"number": "0x1"}), id="half a block"),
    ],
)
def test_an_error_about_finality_is_told_and_proves_nothing(answer: Answer) -> None:
    def by_number(params: Params) -> Answer:
        return ok(block(100)) if params[0] == "latest" else answer

    seen = look(CannedNode(eth_getBlockByNumber=by_number), "finalized")

    assert seen.capabilities == {}
    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]


def test_a_throttled_call_is_no_fault_of_its_method() -> None:
    throttled = Answer("rate_limited", outcome="rate_limited", detail="want status 200, got 429")
    node = CannedNode(100, **dict.fromkeys([*FULL, "eth_capabilities"], throttled))

    seen = look(node)

    assert seen.findings == []
    assert not {"logs", "archive", "trace", "txpool"} & set(seen.capabilities)
    assert not {"logs", "archive", "trace", "txpool", "fees", "fork"} & seen.asked


# --- identity, peers, pool, client, fork


def test_a_chain_id_and_a_genesis_that_a_node_dropped() -> None:
    def by_number(params: Params) -> Answer:
        return ok(None) if params[0] == "0x0" else ok(block(100))

    node = CannedNode(eth_getBlockByNumber=by_number, eth_chainId=ok("0x2105"))
    seen = look(node, "identity")

    assert seen.chain_id == "8453"
    assert seen.genesis is None
    assert seen.findings == []


@pytest.mark.parametrize(("told", "peers"), [("0x19", 25), (25, 25), ("0x0", 0)])
def test_peers_are_told_in_hex_or_not(told: Any, peers: int) -> None:
    assert look(CannedNode(net_peerCount=ok(told)), "peers").peers == peers


def test_a_full_pool_is_degraded_and_asked_for_in_every_run() -> None:
    group = replace(GROUP, thresholds=Thresholds(txpool_full=4))
    dialect = EvmDialect(is_txpool_judged=True)

    seen = look(CannedNode(100, **FULL), "txpool", group=group, dialect=dialect)

    assert [finding.detail for finding in seen.findings] == [
        "5 transactions are pending, want at most 4"
    ]
    assert seen.findings[0].reason is ChainReason.TXPOOL_FULL
    assert {topic.cadence for topic in dialect.topics if topic.name == "txpool"} == {"fast"}


def test_a_pool_that_tells_only_what_is_pending_is_a_pool() -> None:
    seen = look(CannedNode(100, txpool_status=ok({"pending": 3})), "txpool")

    assert seen.capabilities == {"txpool": True}
    assert gauges(seen)["evm_txpool_transactions pending"] == 3
    assert "evm_txpool_transactions queued" not in gauges(seen)


def test_a_pool_below_its_limit_is_fine() -> None:
    group = replace(GROUP, thresholds=Thresholds(txpool_full=5))

    assert look(CannedNode(100, **FULL), "txpool", group=group).findings == []


def test_what_is_switched_off_is_never_asked() -> None:
    dialect = EvmDialect(txpool=False, logs=None, archive=None)

    assert not {"txpool", "logs", "archive"} & {topic.name for topic in dialect.topics}


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(ok({"current": {}, "next": None, "last": None}), id="no fork is planned"),
        pytest.param(ok("0x"), id="nonsense"),
        pytest.param(error(-32000, "not configured"), id="an error of its own"),
    ],
)
def test_a_node_without_a_next_fork_is_not_blamed(told: Answer) -> None:
    seen = look(CannedNode(100, eth_config=told), "fork")

    assert "chain_next_fork_timestamp_seconds" not in gauges(seen)
    assert seen.findings == []


def test_a_client_that_cannot_be_read_is_other() -> None:
    assert look(CannedNode(100, web3_clientVersion=ok("???")), "client").client == "other"
    assert look(CannedNode(100), "client").client == ""


# --- fees


def test_without_a_price_it_is_the_base_fee_and_the_usual_tip() -> None:
    node = CannedNode(100, **{**FULL, "eth_gasPrice": UNSUPPORTED})

    seen = look(node, "fees")

    assert seen.fees == Fees(10**9 + 2, 10**9, ((10, 1), (50, 2), (90, 3)))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(error(-32602, "block not in range"), id="a young chain (ethereumjs)"),
        pytest.param(UNSUPPORTED, id="a chain without a base fee"),
        pytest.param(
            ok({"oldestBlock": "0x0", "baseFeePerGas": [], "gasUsedRatio": []}), id="no rewards"
        ),
        pytest.param(
            ok({"gasUsedRatio": None, "reward": None, "baseFeePerBlobGas": ["0x0"]}), id="nulls"
        ),
    ],
)
def test_without_a_history_there_is_still_a_price(history: Answer) -> None:
    seen = look(CannedNode(100, **{**FULL, "eth_feeHistory": history}), "fees")

    assert seen.fees == Fees(2 * 10**9, 10**9)
    assert seen.findings == []
    assert "evm_blob_base_fee_wei" not in gauges(seen)


def test_blocks_that_are_all_empty_have_no_tip() -> None:
    history = {"gasUsedRatio": [0, 0.0], "reward": [["0x5", "0x6", "0x7"], ["0x0", "0x0", "0x0"]]}

    seen = look(CannedNode(100, **{**FULL, "eth_feeHistory": ok(history)}), "fees")

    assert seen.fees == Fees(2 * 10**9, 10**9, ((10, 0), (50, 0), (90, 0)))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param({"gasUsedRatio": [0.5], "reward": [["0x1"]]}, id="too few percentiles"),
        pytest.param({"gasUsedRatio": [0.5], "reward": [7]}, id="no rows"),
        pytest.param({"gasUsedRatio": 7}, id="no list"),
        pytest.param([], id="no object"),
    ],
)
def test_a_history_that_is_none_is_a_method_error(history: Any) -> None:
    seen = look(CannedNode(100, **{**FULL, "eth_feeHistory": ok(history)}), "fees")

    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]
    assert seen.fees == Fees(2 * 10**9, 10**9)


# --- logs


def log(number: int, index: int) -> dict[str, Any]:
    return {"blockNumber": hex(number), "logIndex": hex(index), "topics": [], "data": "0x"}


def test_logs_are_asked_for_a_few_blocks_below_the_head() -> None:
    node = CannedNode(100, **FULL)
    dialect = EvmDialect(logs=LogsCheck(address="0x" + "ab" * 20, blocks=7))

    look(node, "logs", dialect=dialect)

    query = {"fromBlock": hex(93), "toBlock": hex(99), "address": "0x" + "ab" * 20}
    assert node.asked[-1].params == (query,)


def test_logs_below_a_young_head_begin_at_0() -> None:
    node = CannedNode(0, **FULL)

    look(node, "logs")

    assert node.asked[-1].params == ({"fromBlock": "0x0", "toBlock": "0x0"},)


@pytest.mark.parametrize(
    ("answer", "has", "complaint"),
    [
        pytest.param(ok([]), True, None, id="none"),
        pytest.param(ok([log(97, 0), log(97, 1), log(98, 0)]), True, None, id="in order"),
        pytest.param(
            ok([log(97, 1), log(97, 1)]),
            False,
            "eth_getLogs: want logs in rising order, got (97, 1) after (97, 1)",
            id="twice",
        ),
        pytest.param(ok({}), False, "eth_getLogs: want a list of logs, got {}", id="no list"),
        pytest.param(
            error(-32005, "query exceeds max block range 3", "eth_getLogs"), False, None, id="range"
        ),
        pytest.param(UNSUPPORTED, False, None, id="not offered"),
        pytest.param(error(-32000, "pruned history"), False, None, id="pruned"),
        pytest.param(
            error(-32603, "Internal error"),
            False,
            "eth_getLogs: error -32603 'Internal error'",
            id="an error",
        ),
    ],
)
def test_logs_are_a_capability(answer: Answer, has: bool, complaint: str | None) -> None:
    seen = look(CannedNode(100, eth_getLogs=answer), "logs")

    assert seen.capabilities == {"logs": has}
    assert [finding.detail for finding in seen.findings] == ([complaint] if complaint else [])


def test_fewer_logs_than_expected_are_a_complaint() -> None:
    dialect = EvmDialect(logs=LogsCheck(expect_min=2))

    seen = look(CannedNode(100, eth_getLogs=ok([log(97, 0)])), "logs", dialect=dialect)

    assert seen.findings[0].detail == "eth_getLogs: want at least 2 logs in 5 blocks, got 1"


def test_logs_beyond_our_own_limit_are_tried_with_one_block() -> None:
    def logs(params: Params) -> Answer:
        is_one = params[0]["fromBlock"] == params[0]["toBlock"]
        return ok([]) if is_one else Answer("too_large", detail="want at most 8 MiB")

    assert look(CannedNode(100, eth_getLogs=logs), "logs").capabilities == {"logs": True}


def test_logs_of_one_block_beyond_our_own_limit_prove_nothing() -> None:
    seen = look(CannedNode(100, eth_getLogs=Answer("too_large")), "logs")

    assert seen.capabilities == {}
    assert seen.asked == {"head", "logs"}


# --- old state


def test_capabilities_that_are_offered_save_the_reads() -> None:
    told = {"head": {}, "state": {"disabled": False, "oldestBlock": "0x5a"}, "blocks": {
        "oldestBlock": "0x0"}}  # fmt: skip
    node = CannedNode(100, **FULL, eth_capabilities=ok(told))

    seen = look(node, "archive")

    assert "eth_getBalance" not in node.methods
    assert seen.capabilities == {"archive": False}
    assert seen.earliest == {"state": 90, "block": 0}


@pytest.mark.parametrize(
    ("state", "has"),
    [
        pytest.param({"disabled": False, "oldestBlock": "0x0"}, True, id="all of it"),
        pytest.param({"disabled": True}, False, id="disabled"),
        pytest.param({"oldestBlock": "0x1"}, True, id="from the height that is asked for"),
    ],
)
def test_capabilities_tell_whether_old_state_is_there(state: Any, has: bool) -> None:
    node = CannedNode(100, eth_capabilities=ok({"state": state}))

    assert look(node, "archive").capabilities == {"archive": has}


@pytest.mark.parametrize(
    "told", [{"state": {}}, {"state": None}, [], {"state": {"oldestBlock": 1.5}}]
)
def test_capabilities_that_tell_nothing_are_not_believed(told: Any) -> None:
    node = CannedNode(100, **FULL, eth_capabilities=ok(told))

    assert look(node, "archive").capabilities == {"archive": True}
    assert "eth_getBalance" in node.methods


@pytest.mark.parametrize(
    ("canned", "has"),
    [
        pytest.param({}, True, id="both reads"),
        pytest.param(
            {"eth_getBalance": error(-32000, "missing trie node 8a0f"), "eth_call": ok("0x")},
            False,
            id="row 50: geth",
        ),
        pytest.param(
            {
                "eth_getBalance": error(
                    -32602, "BlockOutOfRangeError: block height is 41 but requested was 1"
                )
            },
            False,
            id="row 50: anvil",
        ),
        pytest.param(
            {"eth_getBalance": error(4444, "Pruned history unavailable")}, False, id="row 50: 4444"
        ),
        pytest.param({"eth_call": error(-32000, "missing trie node")}, False, id="half a state"),
        pytest.param({"eth_call": error(3, "execution reverted")}, True, id="it ran there"),
    ],
)
def test_old_state_is_a_capability(canned: dict[str, Canned], has: bool) -> None:
    seen = look(CannedNode(100, **{**FULL, **canned}), "archive")

    assert seen.capabilities == {"archive": has}
    assert seen.findings == []


@pytest.mark.parametrize("method", ["eth_getBalance", "eth_call"])
def test_a_connection_that_is_lost_says_nothing_about_old_state(method: str) -> None:
    node = CannedNode(100, **{**FULL, method: LOST})

    seen = look(node, "archive")

    assert seen.capabilities == {}
    assert seen.asked == {"head"}


def test_a_chain_too_young_to_have_an_old_state_proves_nothing() -> None:
    node = CannedNode(1, **FULL)

    seen = look(node, "archive")

    assert seen.capabilities == {}
    assert node.methods == ["eth_getBlockByNumber"]


def test_an_old_state_of_an_address_of_choice_is_read() -> None:
    node = CannedNode(100, **FULL)

    look(node, "archive", dialect=EvmDialect(archive=ArchiveCheck(50, "0x" + "cd" * 20)))

    assert node.asked[-2].params == ("0x" + "cd" * 20, "0x32")


# --- traces, batches


def test_a_node_that_traces_another_way_traces() -> None:
    seen = look(CannedNode(100, trace_call=ok({"trace": []})), "trace")

    assert seen.capabilities == {"trace": True}
    assert seen.unsupported == set()


def test_a_node_that_traces_in_no_way_is_asked_less_and_less() -> None:
    seen = look(CannedNode(100), "trace")

    assert seen.capabilities == {"trace": False}
    assert seen.unsupported == {"trace"}


def test_a_batch_is_not_tried_where_it_is_switched_off_unless_required() -> None:
    off, needed = CannedNode(100, **FULL), CannedNode(100, **FULL)

    look(off, "batch", group=replace(GROUP, batch=False))
    seen = look(needed, "batch", group=replace(GROUP, batch=False, require=frozenset({"batch"})))

    assert off.batches == []
    assert seen.capabilities == {"batch": True}


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


# --- the websocket


def test_a_new_head_is_read() -> None:
    message = json.dumps(
        {
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": {"subscription": "0x50", "result": block(127)},
        }
    )

    sighting = DIALECT.tongue().read(message)

    assert sighting == Sighting(127, block_hash(127), block_hash(126), 1_700_001_524.0)
    assert DIALECT.tongue().read(message.encode()) == sighting


def test_the_subscription_is_json_rpc() -> None:
    assert json.loads(DIALECT.tongue().subscribe) == {
        "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        pytest.param(
            {"code": -32601, "message": "Method not found"},
            "want heads, got the error 'Method not found'",
            id="row 46: not offered",
        ),
        pytest.param("busy", "want heads, got the error 'busy'", id="a bare text"),
        pytest.param({"code": 1}, "want heads, got the error {'code': 1}", id="no message"),
    ],
)
def test_a_refused_subscription_is_told(told: Any, detail: str) -> None:
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "error": told})

    assert DIALECT.tongue().read(message) == Refused(detail)


@pytest.mark.parametrize(
    "message",
    [
        '{"jsonrpc": "2.0", "id": 1, "result": "0x50"}',
        '{"method": "eth_subscription"}',
        '{"method": "eth_subscription", "params": {"result": null}}',
        "[]",
        "{",
        b"\xff",
    ],
)
def test_a_message_that_is_no_head_is_passed_over(message: str | bytes) -> None:
    assert DIALECT.tongue().read(message) is None


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
