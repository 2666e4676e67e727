from dataclasses import replace
from typing import Any

import pytest

from probes.chain.evm.dialect import EvmDialect
from probes.chain.model import (
    Syncing,
    Thresholds,
)
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer
from tests.probes.chain.evm.evm_node import (
    FULL,
    GROUP,
    LOST,
    OWN,
    UNSUPPORTED,
    CannedNode,
    Params,
    block,
    error,
    gauges,
    look,
    ok,
)

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
