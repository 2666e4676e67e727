"""Chains.md 17, rows 13 to 23, 50 to 52 and 54: answers that are none, or not of this chain."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from probes.kinds.evm import Evm
from probes.result import Reason
from tests.faults.rpc_actions import Action, body, edit, error, reply, result, rewrite
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.probes.chain.rig import CHAIN_ID, Clock, Devnet, Rig, cosmos, devnet, evm, solana
from tests.servers.comet import comet_server
from tests.servers.nodes import RECEIVER, Node
from tests.servers.nodes_fixtures import StartAnvil
from tests.servers.nodes_solana import Surfpool

pytestmark = [pytest.mark.service, pytest.mark.slow]
HEAD = "eth_getBlockByNumber"
REQUESTS = "chain_rpc_requests_total"
ERRORS = "chain_rpc_errors_total"
GENESIS_GAP_S = 7


def rig_of(clock: Clock, proxy: RpcProxy, **keys: Any) -> Rig:
    return Rig(clock, evm({"own": proxy.url}, **keys))


def of_tag(tag: str) -> Callable[[Any], bool]:
    return lambda params: params[0] == tag


def without(*words: str) -> Action:
    """Leave these words out of the answer."""
    return rewrite(lambda answer: {k: v for k, v in answer.items() if k not in words})


def quantity(name: str, value: Any) -> Action:
    """Write one number of a block in another way."""
    return edit(lambda block: {**block, name: value(block[name]) if callable(value) else value})


# --- one answer of the head


@pytest.mark.parametrize(
    ("action", "reason", "detail"),
    [
        pytest.param(
            lambda: error(-32603, "Internal error"), "rpc_core_error", "-32603",
            id="row 13 an error inside 200",
        ),
        pytest.param(
            lambda: body('{"request_id":"r1","error":"no node"}'), "invalid_response", "",
            id="row 14 a foreign schema",
        ),
        pytest.param(
            lambda: reply({"error": {"code": -32600, "message": "Only"}, "id": None}),
            "rpc_core_error", "-32600", id="row 15 an error without jsonrpc",
        ),
        pytest.param(
            lambda: without("result"), "invalid_response", "", id="row 16 neither result nor error"
        ),
        pytest.param(
            lambda: rewrite(lambda it: {**it, "error": {"code": 1, "message": "x"}}),
            "invalid_response", "", id="row 16 both",
        ),
        pytest.param(
            lambda: result(None), "invalid_response", "head_null", id="row 17 null for latest"
        ),
        pytest.param(
            lambda: quantity("number", 12.5), "invalid_response", "12.5", id="row 54 a float"
        ),
        pytest.param(
            lambda: quantity("timestamp", "0x1.8p3"), "invalid_response", "0x1.8p3",
            id="row 54 a float in hex",
        ),
        pytest.param(
            lambda: quantity("number", -3), "invalid_response", "-3", id="row 54 a negative number"
        ),
        pytest.param(
            lambda: quantity("number", "-0x3"), "invalid_response", "-0x3",
            id="row 54 a negative one in hex",
        ),
        pytest.param(
            lambda: quantity("number", True), "invalid_response", "true", id="row 54 a bool"
        ),
    ],
)  # fmt: skip
async def test_a_head_that_is_none(
    action: Callable[[], Action], reason: str, detail: str, clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy)
    proxy.on(HEAD, action())

    result = await rig.run()

    assert rig.said("own") == f"down {reason}"
    assert rig.group == f"down {reason} own"
    assert detail in rig.detail("own")
    assert result.failure is not None
    assert result.failure.reason is Reason.PROTOCOL
    assert proxy.calls[HEAD] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("number", lambda it: int(it, 16), id="row 54 a number"),
        pytest.param("number", lambda it: str(int(it, 16)), id="row 54 its digits"),
        pytest.param("timestamp", lambda it: str(int(it, 16)), id="row 54 digits of a time"),
        pytest.param("number", lambda it: "0x000" + it[2:].upper(), id="row 54 zeros in front"),
        pytest.param("baseFeePerGas", "0x", id="row 54 0x for nothing"),
    ],
)
async def test_numbers_in_other_spellings_are_read(
    name: str, value: Any, clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy)
    proxy.on(HEAD, quantity(name, value), when=of_tag("latest"))

    await rig.run()

    assert rig.said("own") == "up"
    assert rig.value("chain_head_height", tag="latest") == 20


# --- what is not offered


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(lambda: result(None), id="row 18 null"),
        pytest.param(lambda: error(-32602, "invalid block tag"), id="row 18 bad parameters"),
        pytest.param(lambda: error(-39001, "unknown block"), id="row 18 unknown block"),
        pytest.param(
            lambda: error(-32000, "finalized block not found"), id="row 18 finalized not found"
        ),
    ],
)
async def test_without_finality_a_node_is_up(
    action: Callable[[], Action], clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy)
    for tag in ("safe", "finalized"):
        proxy.on(HEAD, action(), when=of_tag(tag))

    await rig.alone()

    assert rig.said("own") == rig.group == "up"
    assert rig.can("own", "finalized") == 0
    assert rig.value("chain_finality_lag_blocks") is None


def old_chain(node: Node, chain_id: int, **keys: Any) -> Evm:
    """A node whose clock is that of this machine, not that of the test."""
    limits = {"head_age": "off", "latency": {"warn": "off"}}
    return evm({"own": node.url}, chain_id=chain_id, thresholds=limits, **keys)


async def test_row_18_a_client_without_finality(clock: Clock, ethereumjs: Node) -> None:
    chain_id = int(await ethereumjs.rpc("eth_chainId"), 16)
    rig = Rig(clock, old_chain(ethereumjs, chain_id))

    await rig.alone()

    assert rig.group.split()[0] in ("up", "degraded"), rig.detail("own")
    assert rig.can("own", "finalized") == 0
    assert rig.value("chain_peers", endpoint="own") == 0
    assert rig.value("chain_id_match") == 1


async def test_row_19_peers_are_not_offered(clock: Clock, net: Devnet) -> None:
    rig = Rig(clock, evm({"own": net.nodes[0].url}, latency_methods=["net_peerCount"]))

    await rig.alone()

    assert rig.said("own") == rig.group == "up"
    assert rig.value("chain_peers") is None
    assert rig.value(REQUESTS, method="net_peerCount", outcome="unsupported") == 1
    assert rig.value(ERRORS, method="net_peerCount") is None
    assert [rig.can("own", it) for it in ("logs", "archive", "batch", "trace", "finalized")] == [
        1, 1, 1, 1, 1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "chain_id", "missing", "method"),
    [
        pytest.param("hardhat", 31338, "txpool", "txpool_status", id="row 19 hardhat"),
        pytest.param("ganache", 1337, "txpool", "txpool_status", id="row 19 ganache"),
    ],
)
async def test_odd_words_for_what_is_not_offered(
    name: str, chain_id: int, missing: str, method: str, clock: Clock,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    node: Node = request.getfixturevalue(name)
    rig = Rig(clock, old_chain(node, chain_id, latency_methods=[method]))

    await rig.alone()

    assert rig.said("own") == "up"
    assert rig.can("own", missing) == 0
    assert rig.value(REQUESTS, method=method, outcome="unsupported") == 1
    assert rig.value("chain_id_match") == 1


async def test_row_20_what_is_required_and_missing(clock: Clock, proxy: RpcProxy) -> None:
    rig = rig_of(clock, proxy, require=["txpool", "logs"])
    proxy.on("txpool_status", error(-32601, "Method not found"))

    result = await rig.alone()

    assert rig.said("own") == "degraded capability_missing"
    assert rig.group == "degraded capability_missing own"
    assert "txpool" in rig.detail("own")
    assert rig.can("own", "txpool") == 0
    assert rig.can("own", "logs") == 1
    assert result.warnings[0].reason is Reason.VALUE


async def test_row_20_a_real_node_without_a_pool(clock: Clock, ganache: Node) -> None:
    rig = Rig(clock, old_chain(ganache, 1337, require=["txpool"]))

    await rig.alone()

    assert rig.said("own") == "degraded capability_missing"


# --- another chain


async def test_row_21_a_node_that_changes_its_chain_is_down_at_once(
    clock: Clock, trio: Devnet
) -> None:
    own, *others = trio.nodes
    rig = Rig(clock, evm({"own": own.url, "b": others[0].url, "c": others[1].url}))
    assert await rig.follow(trio, 3) == "up"
    assert rig.value("chain_voters") == 3

    await own.rpc("anvil_setChainId", 999)
    # its identity is asked slowly, but at once by who has just begun to look
    fresh = Rig(clock, rig.kind)
    await fresh.run()

    assert fresh.said("own") == "down wrong_network"
    assert fresh.group == "down wrong_network own"
    assert fresh.value("chain_id_match", endpoint="own") == 0
    assert fresh.value("chain_rpc_up", endpoint="own") == 0
    assert fresh.value("chain_voters") == 2
    assert (fresh.said("b"), fresh.said("c")) == ("up", "up")
    await rig.follow(trio, 20)
    assert rig.said("own") == "down wrong_network"
    await own.rpc("anvil_setChainId", CHAIN_ID)
    await rig.follow(trio, 1)
    assert rig.said("own") == "up"


async def test_row_21_another_network_of_cosmos(clock: Clock) -> None:
    async with comet_server() as server:
        server.node.network = "pion-1"
        rig = Rig(clock, cosmos({"own": server.url}))
        await rig.run()

    assert rig.said("own").startswith("down wrong_network")
    assert rig.group == "down wrong_network own"
    assert "'pion-1'" in rig.detail("own")


async def test_row_21_another_cluster_of_solana(clock: Clock, shared_surfpool: Surfpool) -> None:
    rig = Rig(clock, solana({"own": shared_surfpool.url}, chain_id="devnet"))

    await rig.run()

    assert rig.said("own").startswith("down wrong_network")
    assert rig.group == "down wrong_network own"


async def test_row_22_another_genesis_under_the_same_chain_id(
    clock: Clock, trio: Devnet, anvil: StartAnvil
) -> None:
    stranger = anvil(timestamp=int(clock.wall) - GENESIS_GAP_S, no_mining=True)
    await trio.mine(on=[stranger])
    genesis = (await trio.nodes[0].block(0))["hash"]
    urls = {"own": trio.nodes[0].url, "other": stranger.url}
    rig = Rig(clock, evm(urls, genesis_hash=genesis))

    await rig.run()

    assert (rig.said("own"), rig.said("other")) == ("up", "down wrong_network")
    assert "genesis" in rig.detail("other")
    assert rig.value("chain_id_match", endpoint="other") == 0
    assert rig.value("chain_voters") == 1


async def test_row_22_the_majority_knows_the_genesis(
    clock: Clock, trio: Devnet, anvil: StartAnvil
) -> None:
    stranger = anvil(timestamp=int(clock.wall) - GENESIS_GAP_S, no_mining=True)
    a, b, _ = trio.nodes
    pair = Rig(clock, evm({"a": a.url, "other": stranger.url}))
    three = Rig(clock, evm({"a": a.url, "b": b.url, "other": stranger.url}))

    await three.run()
    await pair.run()

    assert three.said("other") == "down wrong_network"
    assert (three.said("a"), three.said("b")) == ("up", "up")
    # one against one: nobody knows
    assert pair.said("a") == "degraded reference_ambiguous"
    assert "reference_ambiguous" in pair.said("other")


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        pytest.param(evm, "kind: cosmos", id="row 23 evm asks cometbft"),
        pytest.param(solana, "kind: cosmos", id="row 23 solana asks cometbft"),
    ],
)
async def test_a_cometbft_node_is_told(kind: Callable[..., Any], hint: str, clock: Clock) -> None:
    async with comet_server() as server:
        rig = Rig(clock, kind({"own": server.url}))
        result = await rig.run()

    assert rig.said("own") == "down wrong_family"
    assert rig.group == "down wrong_family own"
    assert hint in rig.detail("own")
    assert result.failure is not None
    assert result.failure.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        pytest.param(cosmos, "kind: evm", id="row 23 cosmos asks anvil"),
        pytest.param(solana, "kind: evm", id="row 23 solana asks anvil"),
    ],
)
async def test_an_evm_node_is_told(
    kind: Callable[..., Any], hint: str, clock: Clock, net: Devnet
) -> None:
    rig = Rig(clock, kind({"own": net.nodes[0].url}))

    await rig.run()

    assert rig.said("own") == "down wrong_family"
    assert hint in rig.detail("own")


async def test_row_23_a_solana_node_is_told(clock: Clock, shared_surfpool: Surfpool) -> None:
    rig = Rig(clock, evm({"own": shared_surfpool.url}))

    await rig.run()

    assert rig.said("own") == "down wrong_family"
    assert "kind: solana" in rig.detail("own")


# --- old state, contracts, batches


@pytest.mark.parametrize(
    ("require", "said"),
    [
        pytest.param([], "up", id="row 50 pruned state"),
        pytest.param(["archive"], "degraded capability_missing", id="row 50 which is required"),
    ],
)
async def test_a_pruned_node(
    require: list[str], said: str, clock: Clock, anvil: StartAnvil
) -> None:
    net = devnet(clock, anvil, prune_history=2)
    await net.grow()
    rig = Rig(clock, evm({"own": net.nodes[0].url}, require=require))

    await rig.alone()

    assert rig.said("own") == said
    assert rig.can("own", "archive") == 0
    assert rig.can("own", "logs") == 1


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(
            lambda: error(-32000, "missing trie node 1a2b (path )"), id="row 50 missing trie node"
        ),
        pytest.param(lambda: error(4444, "Pruned history unavailable"), id="row 50 code 4444"),
        pytest.param(
            lambda: error(-32000, "historical state 0x1 is not available"), id="row 50 of geth"
        ),
    ],
)
async def test_words_for_pruned_state(
    action: Callable[[], Action], clock: Clock, proxy: RpcProxy
) -> None:
    rig = rig_of(clock, proxy)
    proxy.on("eth_getBalance", action())

    await rig.alone()

    assert rig.said("own") == rig.group == "up"
    assert rig.can("own", "archive") == 0


async def test_row_51_a_reverted_call_is_not_the_nodes_fault(clock: Clock, net: Devnet) -> None:
    node = net.nodes[0]
    await node.rpc("anvil_setCode", RECEIVER, "0x60006000fd")
    call = {"name": "owner", "to": RECEIVER, "data": "0x8da5cb5b", "uint_min": 1}
    rig = Rig(clock, evm({"own": node.url}, calls=[call]))

    result = await rig.run()

    assert rig.said("own") == "up"
    assert rig.said("call owner") == "down assertion_failed"
    assert rig.group == "down assertion_failed call owner"
    assert result.failure is not None
    assert result.failure.reason is Reason.VALUE


async def test_row_51_a_call_that_the_node_cannot_answer(clock: Clock, proxy: RpcProxy) -> None:
    call = {"name": "owner", "to": RECEIVER, "data": "0x8da5cb5b", "uint_min": 1}
    rig = rig_of(clock, proxy, calls=[call])
    proxy.on("eth_call", error(-32603, "Internal error"))

    await rig.run()

    assert rig.said("call owner") == "degraded method_errors"


async def test_row_52_solana_without_batches(clock: Clock, shared_surfpool: Surfpool) -> None:
    """The answer is that of row 15, of a real node: an error without jsonrpc, and one object."""
    async with rpc_proxy(shared_surfpool.url) as proxy:
        limits = {"head_age": "off", "lag": "off"}
        rig = Rig(clock, solana({"own": proxy.url}, thresholds=limits))
        await rig.alone()
        assert proxy.batches == 1
        assert rig.can("own", "batch") == 0
        assert rig.said("own") == "up", rig.detail("own")
        assert rig.value(ERRORS, endpoint="own", code="-32600") is not None
        await rig.run(19)

    assert rig.said("own") == "up", rig.detail("own")
    # it is tried again now and then, and nothing else travels in one
    assert proxy.batches == 2


async def test_row_52_a_batch_answered_by_an_object(clock: Clock) -> None:
    async with comet_server() as server, rpc_proxy(server.url) as proxy:
        server.node.batch_limit = 1
        clock.wall = server.node.chain.head_at.timestamp()
        rig = Rig(clock, cosmos({"own": proxy.url}))
        await rig.alone()

        assert rig.can("own", "batch") == 0
        assert rig.said("own") == "up", rig.detail("own")


async def test_row_52_a_batch_refused_by_the_status(clock: Clock, proxy: RpcProxy) -> None:
    rig = rig_of(clock, proxy)
    proxy.on("batch", body("batches are not supported", "text/plain"))

    await rig.alone()

    assert rig.said("own") == rig.group == "up"
    assert rig.can("own", "batch") == 0


async def test_what_is_proven_travels_as_one(clock: Clock, net: Devnet) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(rpc_proxy(net.nodes[0].url))
        rig = rig_of(clock, proxy)
        await rig.run(20)

        assert rig.can("own", "batch") == 1
        assert proxy.batches > 1
