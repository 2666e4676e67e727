"""The CometBFT simulator: its levers, and that it answers in the shapes of a real node."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.servers.comet import CometServer, comet_server
from tests.servers.comet_chain import ABSENT, CometChain, go_time
from tests.servers.comet_four import Four
from tests.servers.nodes import Reply, RpcRefused, eventually, payload, result_of
from tests.servers.nodes_comet import together
from tests.servers.nodes_fixtures import StartComet, StartNetwork

QUERY = "tm.event='NewBlockHeader'"


@pytest.fixture
async def server() -> AsyncIterator[CometServer]:
    async with comet_server() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
        yield client


async def post(client: aiohttp.ClientSession, url: str, data: bytes) -> Reply:
    async with client.post(url, data=data) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, headers, await answer.read())


async def get(client: aiohttp.ClientSession, url: str, path: str) -> Reply:
    async with client.get(URL(url + path, encoded=True)) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, headers, await answer.read())


async def send(client: aiohttp.ClientSession, url: str, asked: Any) -> Reply:
    """Send a body, or ask for a path."""
    return await (post if isinstance(asked, bytes) else get)(client, url, asked)


def is_json(reply: Reply) -> bool:
    return reply.headers.get("content-type", "").startswith("application/json")


def seen(reply: Reply) -> Any:
    """Return what makes two replies equal."""
    body = shape(reply.json()) if is_json(reply) else reply.body
    return reply.status, reply.headers.get("cache-control"), body


async def ask(
    client: aiohttp.ClientSession, server: CometServer, method: str, **params: Any
) -> Any:
    return result_of((await post(client, server.url, payload(method, params))).json())


async def sync_info(client: aiohttp.ClientSession, server: CometServer) -> Any:
    return (await ask(client, server, "status"))["sync_info"]


def shape(value: Any) -> Any:
    """Return the names and types in *value*; a list by what it holds first."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def call(method: str, params: Any, number: Any = 1) -> bytes:
    words = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(words).encode()


HEALTH = {"jsonrpc": "2.0", "id": 1, "method": "health"}
ASKED = [
    pytest.param(call("status", {}), id="status"),
    pytest.param(call("health", {}), id="health"),
    pytest.param(call("net_info", {}), id="net_info"),
    pytest.param(call("abci_info", {}), id="abci_info"),
    pytest.param(call("commit", {}), id="the latest commit"),
    pytest.param(call("commit", {"height": "2"}), id="a commit"),
    pytest.param(call("commit", ["2"]), id="a commit by an array"),
    pytest.param(call("commit", []), id="too short an array"),
    pytest.param(call("commit", {"height": 2}), id="a height that is no string"),
    pytest.param(call("commit", {"height": "x"}), id="a height that is no number"),
    pytest.param(call("commit", {"height": "0"}), id="height 0"),
    pytest.param(call("commit", {"height": "9999"}), id="a height to come"),
    pytest.param(call("header", {"height": "2"}), id="header"),
    pytest.param(call("block", {"height": "2"}), id="block"),
    pytest.param(call("blockchain", {"minHeight": "1", "maxHeight": "2"}), id="blockchain"),
    pytest.param(call("validators", {"height": "2"}), id="validators"),
    pytest.param(call("num_unconfirmed_txs", {}), id="num_unconfirmed_txs"),
    pytest.param(call("nope", {}), id="no such method"),
    pytest.param(call("eth_blockNumber", []), id="a method of another family"),
    pytest.param(call("subscribe", {"query": QUERY}), id="subscribe without a websocket"),
    pytest.param(call("health", {}, None), id="a notification"),
    pytest.param(call("health", {}, "a"), id="an id in letters"),
    pytest.param(b"{not json", id="no json"),
    pytest.param(b"7", id="a number"),
    pytest.param(b"[]", id="an empty batch"),
    pytest.param(json.dumps([HEALTH, HEALTH]).encode(), id="a batch"),
    pytest.param(json.dumps([HEALTH]).encode(), id="a batch of one"),
    pytest.param(json.dumps([HEALTH] * 10).encode(), id="a batch of ten"),
    pytest.param(json.dumps([HEALTH] * 11).encode(), id="a batch of eleven"),
    pytest.param("/status", id="URI status"),
    pytest.param("/commit?height=2", id="URI commit"),
    pytest.param("/commit?height=%222%22", id="URI commit, quoted"),
    pytest.param("/commit?height=9999", id="URI commit to come"),
    pytest.param("/nope", id="URI of nothing"),
    pytest.param("/subscribe?query=1", id="URI subscribe"),
    pytest.param("/websocket", id="URI of the websocket"),
]


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_the_simulator_answers_like_a_real_node(
    cometbft: StartComet, server: CometServer, client: aiohttp.ClientSession
) -> None:
    real = cometbft()
    server.node.peers = 0
    differences = {}
    await real.until(3)
    for row in ASKED:
        want, told = [
            seen(await send(client, url, row.values[0])) for url in (real.url, server.url)
        ]
        if told != want:
            differences[row.id] = f"want {want}, got {told}"

    assert not differences


@pytest.mark.parametrize("asked", ASKED)
async def test_every_answer_has_its_kind_of_body(
    server: CometServer, client: aiohttp.ClientSession, asked: bytes | str
) -> None:
    reply = await send(client, server.url, asked)

    assert reply.status in (200, 400, 404, 500)
    assert is_json(reply) == reply.body.startswith((b"{", b"["))


async def test_a_chain_grows_when_it_is_told_to(client: aiohttp.ClientSession) -> None:
    chain = CometChain(head=7)
    async with comet_server(chain, "a") as a, comet_server(chain, "b") as b:
        before = await sync_info(client, a)
        chain.advance(2)
        first, second = await sync_info(client, a), await sync_info(client, b)

    assert before["latest_block_height"] == "7"
    assert first == second
    assert first["latest_block_height"] == "9"
    assert first["latest_block_time"] > before["latest_block_time"]


async def test_a_node_lags(client: aiohttp.ClientSession) -> None:
    chain = CometChain(head=700)
    async with comet_server(chain) as server:
        server.node.height = 200
        info = await sync_info(client, server)
        late = await ask(client, server, "commit", height="200")

    assert info["latest_block_height"] == "200"
    assert info["latest_block_time"] == go_time(chain.head_at - timedelta(seconds=500))
    assert late["canonical"] is False


async def test_a_chain_may_have_stopped(server: CometServer, client: aiohttp.ClientSession) -> None:
    """Chapter 17, row 36: catching_up false, and a head of ten minutes ago."""
    server.node.chain.head_at = datetime.now(UTC) - timedelta(minutes=10)

    info = await sync_info(client, server)

    age = datetime.now(UTC) - datetime.fromisoformat(info["latest_block_time"][:26] + "+00:00")
    assert timedelta(seconds=599) < age < timedelta(seconds=605)
    assert info["catching_up"] is False


async def test_a_node_before_its_first_block(
    server: CometServer, client: aiohttp.ClientSession
) -> None:
    """Chapter 17, row 38."""
    server.node.started = False

    info = await sync_info(client, server)

    assert info["latest_block_height"] == "0"
    assert info["latest_block_time"] == "1970-01-01T00:00:00Z"
    assert info["latest_block_hash"] == ""
    assert await ask(client, server, "commit") is None
    told = await ask(client, server, "abci_info")
    assert "last_block_height" not in told["response"]


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_real_node_before_its_first_block(
    cometbft: StartComet, server: CometServer, client: aiohttp.ClientSession
) -> None:
    real = cometbft()
    info = (await real.status())["sync_info"]
    server.node.started = False

    assert info["catching_up"] is False
    assert info["latest_block_height"] in {"0", "1"}
    if info["latest_block_height"] == "0":
        assert info == await sync_info(client, server)


async def test_nodes_fork(client: aiohttp.ClientSession) -> None:
    """Chapter 17, row 29: the blocks differ from a height on."""
    chain = CometChain(head=10)
    async with comet_server(chain, "a") as a, comet_server(chain, "b") as b:
        b.node.fork(8)
        mine = [await ask(client, a, "commit", height=height) for height in ("7", "8")]
        other = [await ask(client, b, "commit", height=height) for height in ("7", "8")]

    hashes = [
        [told["signed_header"]["commit"]["block_id"]["hash"] for told in side]
        for side in (mine, other)
    ]
    assert hashes[0][0] == hashes[1][0]
    assert hashes[0][1] != hashes[1][1]


async def test_states_fork_under_equal_blocks(client: aiohttp.ClientSession) -> None:
    """Chapter 17, row 31."""
    chain = CometChain(head=10)
    async with comet_server(chain, "a") as a, comet_server(chain, "b") as b:
        b.node.fork_state(8)
        mine, other = [await ask(client, one, "commit", height="8") for one in (a, b)]

    mine, other = mine["signed_header"], other["signed_header"]
    assert mine["commit"]["block_id"] == other["commit"]["block_id"]
    assert mine["header"]["app_hash"] != other["header"]["app_hash"]


async def said(
    client: aiohttp.ClientSession, four: Four, name: str, method: str, **asked: Any
) -> Any:
    return result_of((await post(client, four.urls[name], payload(method, asked))).json())


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_node_that_lost_its_blocks_says_that_it_catches_up(
    four: Four, client: aiohttp.ClientSession
) -> None:
    await four.lose_blocks()

    info = (await said(client, four, "d", "status"))["sync_info"]
    app = (await said(client, four, "d", "abci_info"))["response"]
    state = (await said(client, four, "d", "consensus_state"))["round_state"]

    assert (info["latest_block_height"], info["catching_up"]) == ("3", True)
    assert app["last_block_height"] == "2"
    # consensus waits at the block with which this node began
    assert state["height/round/step"].startswith("1/0/")
    await four.catch_up()
    info = (await said(client, four, "d", "status"))["sync_info"]
    assert int(info["latest_block_height"]) > 3
    assert info["catching_up"] is False


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_node_with_another_state_stands_still_and_only_its_application_tells(
    four: Four, client: aiohttp.ClientSession
) -> None:
    await four.until(4)
    await four.diverge()

    info = (await said(client, four, "d", "status"))["sync_info"]
    last = int(info["latest_block_height"])
    mine, others = [
        (await said(client, four, name, "commit", height=str(last)))["signed_header"]
        for name in "da"
    ]
    following = await said(client, four, "a", "commit", height=str(last + 1))
    told = (await said(client, four, "d", "abci_info"))["response"]

    assert info["catching_up"] is False
    assert await said(client, four, "d", "health") == {}
    assert mine["header"] == others["header"]
    assert mine["commit"]["block_id"] == others["commit"]["block_id"]
    assert told["last_block_height"] == str(last)
    came_to = base64.b64decode(told["last_block_app_hash"]).hex().upper()
    agreed = following["signed_header"]["header"]["app_hash"]
    assert len(came_to) == len(agreed)
    assert came_to != agreed
    with pytest.raises(RpcRefused) as refused:
        await said(client, four, "d", "commit", height=str(last + 1))
    assert refused.value.data == (
        f"height {last + 1} must be less than or equal to the current blockchain height {last}"
    )


async def test_levers_of_a_node(server: CometServer, client: aiohttp.ClientSession) -> None:
    node = server.node
    node.network, node.peers = "pion-1", 5
    node.abci_height, node.unconfirmed, node.round = 88, (31, 82, 19974), 4
    node.chain.validators[1].flag = ABSENT

    state = await ask(client, server, "consensus_state")
    node.catching_up = True
    status = await ask(client, server, "status")
    commit = (await ask(client, server, "commit"))["signed_header"]

    assert status["node_info"]["network"] == commit["header"]["chain_id"] == "pion-1"
    assert status["sync_info"]["catching_up"] is True
    peers = await ask(client, server, "net_info")
    assert (peers["n_peers"], len(peers["peers"])) == ("5", 5)
    assert (await ask(client, server, "abci_info"))["response"]["last_block_height"] == "88"
    assert (await ask(client, server, "num_unconfirmed_txs"))["total_bytes"] == "19974"
    assert state["round_state"]["height/round/step"] == "101/4/1"
    waiting = await ask(client, server, "consensus_state")
    assert waiting["round_state"]["height/round/step"] == "1/0/1"
    flags = [vote["block_id_flag"] for vote in commit["commit"]["signatures"]]
    assert flags == [2, 1, 2, 2]
    validators = await ask(client, server, "validators", per_page="3")
    assert (validators["count"], validators["total"]) == ("3", "4")


async def test_errors_are_canned(server: CometServer, client: aiohttp.ClientSession) -> None:
    server.node.fail("status", -32603, "Internal error", "no")

    reply = await post(client, server.url, payload("status", {}))
    uri = await get(client, server.url, "/status")

    assert reply.status == 200
    assert uri.status == 500
    assert reply.json()["error"] == {"code": -32603, "message": "Internal error", "data": "no"}
    assert server.node.calls["status"] == 2


async def test_pruned_blocks_are_not_available(
    server: CometServer, client: aiohttp.ClientSession
) -> None:
    server.node.earliest = 50

    told = (await post(client, server.url, payload("commit", {"height": "1"}))).json()

    assert told["error"]["data"] == "height 1 is not available, lowest height is 50"
    assert (await sync_info(client, server))["earliest_block_height"] == "50"


async def test_an_answer_comes_from_a_cache(
    server: CometServer, client: aiohttp.ClientSession
) -> None:
    server.node.cache_age_s = 4000

    reply = await post(client, server.url, payload("abci_info", {}))

    assert reply.headers["age"] == "4000"
    assert reply.headers["x-cache"] == "HIT"


async def test_transactions_stand_in_blocks_and_results(
    server: CometServer, client: aiohttp.ClientSession
) -> None:
    server.node.chain.transactions[99] = [(b"neutron1contract", 0), (b"x", 5)]

    block = await ask(client, server, "block", height="99")
    results = await ask(client, server, "block_results", height="99")

    assert block["block"]["data"]["txs"][0] == "bmV1dHJvbjFjb250cmFjdA=="
    assert [told["code"] for told in results["txs_results"]] == [0, 5]


async def test_new_headers_come_under_the_id_of_the_subscription(
    server: CometServer, client: aiohttp.ClientSession
) -> None:
    async with client.ws_connect(server.ws_url) as ws:
        await ws.send_bytes(b"ignored")
        await ws.send_str(call("subscribe", {"query": QUERY}, 7).decode())
        subscribed = await ws.receive_json(timeout=2)
        server.node.chain.advance()
        event = await ws.receive_json(timeout=2)
        await ws.send_str(call("subscribe", {"query": QUERY}, 8).decode())
        again = await ws.receive_json(timeout=2)
        await ws.send_str("{bad")
        unparsed = await ws.receive_json(timeout=2)
        await ws.send_str(call("unsubscribe_all", {}, 9).decode())
        await ws.receive_json(timeout=2)
        server.node.chain.advance()
        await ws.send_str(call("health", {}, 10).decode())
        last = await ws.receive_json(timeout=2)

    assert subscribed == {"jsonrpc": "2.0", "id": 7, "result": {}}
    assert event["id"] == 7
    assert event["result"]["data"]["value"]["header"]["height"] == "101"
    assert again["error"]["data"] == "already subscribed"
    assert "id" not in unparsed
    assert last == {"jsonrpc": "2.0", "id": 10, "result": {}}


@pytest.mark.parametrize("lever", ["silent", "stuck", "rejected"])
async def test_a_subscription_gets_nothing(
    server: CometServer, client: aiohttp.ClientSession, lever: str
) -> None:
    """Chapter 17, rows 46 and 47."""
    server.node.silent = lever == "silent"
    server.node.height = 90 if lever == "stuck" else None
    if lever == "rejected":
        server.node.subscription_error = "max_subscription_clients 100 reached"
    async with client.ws_connect(server.ws_url) as ws:
        await ws.send_str(call("subscribe", {"query": QUERY}, 1).decode())
        answer = await ws.receive_json(timeout=2)
        server.node.chain.advance()
        await ws.send_str(call("health", {}, 2).decode())
        after = await ws.receive_json(timeout=2)

    assert ("error" in answer) == (lever == "rejected")
    assert after["id"] == 2


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_an_event_looks_like_that_of_a_real_node(
    cometbft: StartComet, server: CometServer, client: aiohttp.ClientSession
) -> None:
    shapes = []
    for url in (cometbft().ws_url, server.ws_url):
        async with client.ws_connect(url) as ws:
            await ws.send_str(call("subscribe", {"query": QUERY}).decode())
            answer = await ws.receive_json(timeout=5)
            server.node.chain.advance()
            shapes.append((answer, shape(await ws.receive_json(timeout=5))))

    assert shapes[0] == shapes[1]


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_network_halts_without_two_thirds_and_catches_up(
    comet_network: StartNetwork,
) -> None:
    nodes = comet_network()
    await together(nodes, 2)

    async def lacks_votes() -> bool:
        state = (await nodes[0].rpc("consensus_state"))["round_state"]
        return "20/40 = 0.50" in state["height_vote_set"][0]["prevotes_bit_array"]

    for node in nodes[2:]:
        node.pause()
    await eventually(lacks_votes)
    halted = await nodes[0].height()
    for node in nodes[2:]:
        node.resume()
    await nodes[0].until(halted + 2)
    nodes[3].stop()
    await nodes[0].until(halted + 4)
    back = nodes[3].again()
    try:
        await back.until(halted + 4)
        told = [await node.rpc("commit", height="2") for node in (nodes[0], back)]
    finally:
        back.stop()

    first, second = [one["signed_header"]["header"]["app_hash"] for one in told]
    assert first == second
    assert (await nodes[0].rpc("net_info"))["n_peers"] in {"2", "3"}
