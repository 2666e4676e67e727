"""What real nodes do, starter by starter and lever by lever: what other tests build on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.faults.rpc_actions import (
    Action,
    bomb,
    close,
    delay,
    drop,
    edit,
    error,
    hang,
    html,
    huge,
    reset,
    result,
    skip,
    status,
    throttled,
    trickle,
    truncated,
)
from tests.faults.rpc_proxy import rpc_proxy
from tests.faults.rpc_rules import EVENT, UPGRADE
from tests.servers.nodes import (
    RECEIVER,
    REVERTING,
    Anvil,
    Node,
    RpcRefused,
    eventually,
    payload,
    result_of,
)
from tests.servers.nodes_fixtures import StartAnvil, StartSurfpool
from tests.servers.nodes_solana import Surfpool
from tests.servers.process import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow]

# Nodes know no loop: that both carry the proxy is what its own tests show.
ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
GENESIS_S = 1_700_000_000
SUBSCRIBE = {"id": 1, "jsonrpc": "2.0", "method": "eth_subscribe", "params": ["newHeads"]}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
        yield client


def refusal(node: Node, method: str, *params: Any) -> tuple[Any, str]:
    with pytest.raises(RpcRefused) as refused:
        node.call(method, *params)
    return refused.value.code, str(refused.value.message)


# 16.1: anvil


def test_an_anvil_takes_its_options(anvil: StartAnvil) -> None:
    node = anvil(chain_id=5, timestamp=GENESIS_S, no_mining=True)

    assert node.call("eth_chainId") == "0x5"
    assert int(node.call("eth_getBlockByNumber", "0x0", False)["timestamp"], 16) == GENESIS_S
    assert node.call("eth_blockNumber") == "0x0"


@pytest.mark.parametrize("method", ["net_peerCount", "admin_peers", "rpc_modules"])
def test_anvil_lacks_some_methods(shared_anvil: Anvil, method: str) -> None:
    assert refusal(shared_anvil, method)[0] == -32601


@pytest.mark.parametrize(
    ("method", "params"),
    [
        pytest.param("eth_getBlockByNumber", ["safe", False], id="safe"),
        pytest.param("eth_getBlockByNumber", ["finalized", False], id="finalized"),
        pytest.param("eth_getBlockByNumber", ["pending", False], id="pending"),
        pytest.param("eth_feeHistory", ["0x5", "latest", [10, 50, 90]], id="fee history"),
        pytest.param("txpool_status", [], id="pool"),
        pytest.param("eth_getBlockReceipts", ["0x1"], id="receipts"),
        pytest.param("eth_getProof", [RECEIVER, [], "latest"], id="proof"),
        pytest.param("debug_traceBlockByNumber", ["0x1", {}], id="trace by debug"),
        pytest.param("trace_block", ["0x1"], id="trace"),
        pytest.param("eth_config", [], id="config"),
        pytest.param("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x5"}], id="logs"),
    ],
)
def test_anvil_offers(shared_anvil: Anvil, method: str, params: list[Any]) -> None:
    assert shared_anvil.call(method, *params) is not None


def test_anvil_has_no_block_that_does_not_exist(shared_anvil: Anvil) -> None:
    assert shared_anvil.call("eth_getBlockByNumber", "0xffffff", False) is None


def test_anvil_answers_odd_requests_oddly(shared_anvil: Anvil) -> None:
    notification = shared_anvil.ask(b'{"jsonrpc":"2.0","method":"eth_chainId","params":[]}')
    unparsed = shared_anvil.ask(b"{not json")
    plain = shared_anvil.ask(payload("eth_chainId", []), kind="text/plain")
    page = shared_anvil.ask(verb="GET")
    health = shared_anvil.ask(verb="GET", path="/health")

    assert (notification.status, notification.body) == (204, b"")
    assert (unparsed.status, unparsed.json()["error"]["code"]) == (200, -32600)
    assert (plain.status, plain.json()["error"]["code"]) == (200, -32600)
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (400, "text/plain")
    assert (health.status, health.body) == (404, b"")


def test_anvil_takes_batches(shared_anvil: Anvil) -> None:
    calls = [json.loads(payload("eth_chainId", [], number)) for number in (1, 2, 3)]

    answers = shared_anvil.ask(json.dumps(calls).encode()).json()

    assert [answer["id"] for answer in answers] == [1, 2, 3]


async def heads(client: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    """Return a websocket that subscribed to heads."""
    ws = await client.ws_connect(url)
    await ws.send_json(SUBSCRIBE)
    subscribed = await ws.receive_json(timeout=5)
    if "result" not in subscribed:
        await ws.close()
        raise RpcRefused(subscribed["error"])
    return ws


async def next_head(ws: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message = await ws.receive_json(timeout=5)
    head: dict[str, Any] = message["params"]["result"]
    return head


@ONE_LOOP
async def test_a_frozen_anvil_keeps_its_websocket(
    anvil: StartAnvil, client: aiohttp.ClientSession
) -> None:
    node = anvil(block_time=0.1)
    ws = await heads(client, node.ws_url)
    await next_head(ws)

    await node.freeze()
    height = await node.height()
    await ws.send_json(SUBSCRIBE | {"method": "eth_chainId", "params": [], "id": 9})
    while (message := await ws.receive_json(timeout=5)).get("id") != 9:
        pass

    assert message["result"] == "0x7a69"
    assert await node.height() == height
    await ws.close()


@ONE_LOOP
async def test_a_reorganisation_repeats_heights_with_other_hashes(
    anvil: StartAnvil, client: aiohttp.ClientSession
) -> None:
    node = anvil(no_mining=True)
    ws = await heads(client, node.ws_url)
    await node.mine(4)
    before = [await next_head(ws) for _ in range(4)]

    await node.reorg(2)
    after = [await next_head(ws) for _ in range(2)]

    assert [head["number"] for head in after] == [head["number"] for head in before[2:]]
    assert {head["hash"] for head in after}.isdisjoint(head["hash"] for head in before)
    await ws.close()


@ONE_LOOP
async def test_equal_anvils_agree_until_one_block_differs(anvil: StartAnvil) -> None:
    nodes = [anvil(timestamp=GENESIS_S, no_mining=True) for _ in range(3)]
    for node, second in zip(nodes, (24, 24, 25), strict=True):
        await node.mine_at(GENESIS_S + 12, GENESIS_S + second)
        await node.mine()

    hashes = [[(await node.block(height))["hash"] for node in nodes] for height in range(4)]

    assert [len(set(row)) for row in hashes] == [1, 1, 2, 2]
    assert hashes[3][0] == hashes[3][1]


@ONE_LOOP
async def test_a_chain_id_changes_while_it_runs(anvil: StartAnvil) -> None:
    node = anvil()

    await node.rpc("anvil_setChainId", 999)

    assert await node.rpc("eth_chainId") == "0x3e7"


@ONE_LOOP
async def test_gas_becomes_dear(anvil: StartAnvil) -> None:
    node = anvil()

    await node.rpc("anvil_setNextBlockBaseFeePerGas", "0x174876e800")
    await node.mine()

    assert (await node.block())["baseFeePerGas"] == "0x174876e800"


@ONE_LOOP
async def test_a_transaction_reverts(anvil: StartAnvil) -> None:
    node = anvil()

    sent = await node.send(data=REVERTING, gas="0x186a0")

    assert (await node.rpc("eth_getTransactionReceipt", sent))["status"] == "0x0"


@ONE_LOOP
async def test_old_state_is_pruned_and_blocks_stay(anvil: StartAnvil) -> None:
    node = anvil(prune_history=2, no_mining=True)
    await node.mine(40)

    with pytest.raises(RpcRefused, match="BlockOutOfRange"):
        await node.rpc("eth_getBalance", RECEIVER, "0x1")
    assert (await node.block(1))["number"] == "0x1"


@ONE_LOOP
async def test_a_live_front_has_a_dead_backend(anvil: StartAnvil) -> None:
    backend = anvil()
    front = anvil(fork_url=backend.url)

    backend.pause()

    assert await front.rpc("eth_chainId") == "0x7a69"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            # a state that it has to fetch
            await front.rpc("eth_getBalance", "0x" + "77" * 20, "latest")


@ONE_LOOP
# uvloop 0.23 waited for ever in `Loop.close` behind it, once in ten runs on a busy machine
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_stopped_process_accepts_and_says_nothing(anvil: StartAnvil) -> None:
    node = anvil()

    node.pause()
    reader, writer = await asyncio.open_connection(node.host, node.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(1)
    node.resume()

    assert await reader.read(1) == b"H"
    writer.close()
    await writer.wait_closed()


# 16.2: other clients


def test_what_ganache_says_to_a_method_that_it_lacks(ganache: Node) -> None:
    told = ganache.ask(payload("net_nope", [])).json()["error"]

    assert told["code"] == -32700
    assert told["message"].endswith("does not exist/is not available")
    assert "node_modules" in told["stack"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        pytest.param("txpool_status", [], id="pool"),
        pytest.param("eth_getBlockReceipts", ["0x0"], id="receipts"),
    ],
)
def test_ganache_lacks_some_methods(ganache: Node, method: str, params: list[Any]) -> None:
    assert refusal(ganache, method, *params)[0] == -32700


def test_ganache_is_odd(ganache: Node) -> None:
    unparsed = ganache.ask(b"{not json")
    nothing = ganache.ask(b"[]")
    notification = ganache.ask(b'{"jsonrpc":"2.0","method":"eth_chainId","params":[]}')

    assert ganache.call("eth_chainId") == "0x539"
    assert int(ganache.call("net_version")) > 10**12
    assert refusal(ganache, "eth_getBalance", RECEIVER, "0xffffff") == (-32700, "header not found")
    assert (unparsed.status, unparsed.headers["content-type"][:10]) == (400, "text/plain")
    assert nothing.json() == []
    assert notification.json() == {"jsonrpc": "2.0", "result": "0x539"}


def test_hardhat_is_odd(hardhat: Node) -> None:
    unparsed = hardhat.ask(b"{not json")

    assert hardhat.call("eth_chainId") == "0x7a6a"
    assert refusal(hardhat, "net_nope") == (-32004, "Method net_nope is not supported")
    assert (unparsed.status, unparsed.json()["error"]["code"]) == (200, -32700)
    assert hardhat.call("net_peerCount") == "0x0"


def test_a_client_with_peers_is_odd(ethereumjs: Node) -> None:
    unparsed = ethereumjs.ask(b"{not json")

    assert ethereumjs.call("net_peerCount") == "0x0"
    assert ethereumjs.call("eth_getBlockByNumber", "safe", False) is None
    assert ethereumjs.call("eth_getBlockByNumber", "finalized", False) is None
    assert refusal(ethereumjs, "eth_maxPriorityFeePerGas")[0] == -32601
    assert refusal(ethereumjs, "eth_feeHistory", "0xffff", "latest", [])[0] == -32602
    assert unparsed.status == 400
    assert unparsed.body.startswith(b"<!DOCTYPE html>")


# 16.3: surfpool


@ONE_LOOP
async def test_solana_slots_move_stop_and_jump(surfpool: StartSurfpool) -> None:
    node = surfpool(slot_ms=50)
    first = await node.slot()

    async def moved() -> bool:
        return await node.slot() > first

    await eventually(moved)
    await node.freeze()
    frozen = await node.slot()
    assert await node.rpc("getHealth") == "ok"
    assert await node.slot() == frozen
    await node.travel(5000)
    assert await node.slot() >= 5000
    await node.go_on()
    first = await node.slot()
    await eventually(moved)


@ONE_LOOP
async def test_a_manual_solana_never_moves(surfpool: StartSurfpool) -> None:
    node = surfpool(mode="manual")

    slots = {await node.slot() for _ in range(3)}

    assert len(slots) == 1
    assert len(await node.rpc("getGenesisHash")) in {43, 44}


def test_solana_is_odd(shared_surfpool: Surfpool) -> None:
    calls = [json.loads(payload("getSlot", [])) for _ in range(2)]
    batch = shared_surfpool.ask(json.dumps(calls).encode())

    assert batch.json() == {
        "error": {"code": -32600, "message": "Only method calls are supported"},
        "id": None,
    }
    assert shared_surfpool.ask(verb="GET").status == 405
    assert shared_surfpool.ask(payload("getSlot", []), kind="text/plain").status == 415

    def tells_the_time() -> bool:
        slot = shared_surfpool.call("getSlot", {"commitment": "confirmed"})
        return isinstance(shared_surfpool.call("getBlockTime", slot), int)

    assert wait_until(tells_the_time) is None
    # it begins near slot 31, and knows no time of an earlier one
    assert shared_surfpool.call("getBlockTime", 1) is None


@ONE_LOOP
async def test_solana_tells_slots_and_refuses_roots(
    shared_surfpool: Surfpool, client: aiohttp.ClientSession
) -> None:
    async with client.ws_connect(shared_surfpool.ws_url) as ws:
        await ws.send_str(payload("rootSubscribe", []).decode())
        rejected = await ws.receive_json(timeout=5)
        await ws.send_str(payload("slotSubscribe", []).decode())
        accepted = await ws.receive_json(timeout=5)
        event = await ws.receive_json(timeout=5)

    assert rejected["error"]["code"] == -32091
    assert isinstance(accepted["result"], int)
    assert event["method"] == "slotNotification"
    assert event["params"]["result"].keys() == {"parent", "root", "slot"}


# 16.5: the proxy in front of a real node


@pytest.mark.parametrize(
    ("action", "want"),
    [
        pytest.param(delay(0.05), {"result": "0x7a69"}, id="delay"),
        pytest.param(result("0x1"), {"result": "0x1"}, id="result"),
        pytest.param(edit(lambda old: old + "0"), {"result": "0x7a690"}, id="edit"),
        pytest.param(error(-32005, "x"), {"error": {"code": -32005, "message": "x"}}, id="error"),
        pytest.param(status(503), 503, id="status"),
        pytest.param(html(), 502, id="html"),
        pytest.param(throttled(), 429, id="throttled"),
        pytest.param(reset(), OSError, id="reset"),
        pytest.param(close(), aiohttp.ClientError, id="close"),
        pytest.param(truncated(), aiohttp.ClientError, id="truncated"),
        pytest.param(trickle(), TimeoutError, id="trickle"),
        pytest.param(hang(), TimeoutError, id="hang"),
        pytest.param(bomb(1 << 20), ValueError, id="bomb"),
        pytest.param(huge(1 << 18), {"result": "x" * (1 << 18)}, id="huge"),
    ],
)
@ONE_LOOP
async def test_a_call_of_a_real_node_is_spoilt(
    shared_anvil: Anvil, client: aiohttp.ClientSession, action: Action, want: Any
) -> None:
    async def ask() -> Any:
        async with asyncio.timeout(0.5), client.post(proxy.url, json=words) as answer:
            body = await answer.read()
            return answer.status if answer.status != 200 else json.loads(body)

    words = json.loads(payload("eth_chainId", []))
    async with rpc_proxy(shared_anvil.url) as proxy:
        proxy.on("eth_chainId", action, times=1)
        if isinstance(want, type):
            with pytest.raises(want):
                await ask()
        else:
            told = await ask()
            assert told == (want if isinstance(want, int) else {"jsonrpc": "2.0", "id": 1} | want)
        assert result_of(await ask()) == "0x7a69"
        assert proxy.calls == {"eth_chainId": 2}


@ONE_LOOP
async def test_heads_of_a_real_node_are_spoilt(
    anvil: StartAnvil, client: aiohttp.ClientSession
) -> None:
    node = anvil(no_mining=True)
    async with rpc_proxy(node.url, node.ws_url) as proxy:
        ws = await heads(client, proxy.ws_url)
        await node.mine()
        seen = [await next_head(ws)]
        silence = proxy.on(EVENT, drop())
        await node.mine(2)
        await asyncio.wait_for(eventually_hits(silence, 2), 5)
        silence.off()
        proxy.on("eth_subscription", skip(2))
        await node.mine(3)
        seen += [await next_head(ws) for _ in range(2)]
        await ws.close()
        proxy.on(UPGRADE, status(403))
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(proxy.ws_url)
        proxy.clear()
        proxy.on("eth_subscribe", error(-32601, "no"))
        with pytest.raises(RpcRefused, match="-32601"):
            await heads(client, proxy.ws_url)

    assert [int(head["number"], 16) for head in seen] == [1, 4, 6]


async def eventually_hits(rule: Any, hits: int) -> None:
    async def reached() -> bool:
        return bool(rule.hits >= hits)

    await eventually(reached)
