"""The fault proxy does what its rules say, over HTTP and websockets, with and without a node."""

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import trustme

from tests.faults.rpc_actions import (
    Action,
    body,
    bomb,
    close,
    delay,
    drop,
    edit,
    error,
    hang,
    html,
    huge,
    params,
    reply,
    reset,
    result,
    rewrite,
    skip,
    status,
    throttled,
    trickle,
    truncated,
)
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.faults.rpc_rules import BATCH, EVENT, UPGRADE
from tests.faults.tls import bad_certificate

HEAD = {"number": "0x7", "hash": "0xaa", "timestamp": "0x6b01b002"}


@pytest.fixture
async def node() -> AsyncIterator[RpcProxy]:
    """A node: a proxy with nothing behind it."""
    async with rpc_proxy() as proxy:
        proxy.on("eth_blockNumber", result("0x7"))
        proxy.on("eth_chainId", result("0x1"))
        proxy.on("eth_getBlockByNumber", result(lambda p: HEAD | {"asked": p[0]}))
        proxy.on("eth_subscribe", result("0x50"))
        proxy.on("GET /health", status(200, "ok"))
        yield proxy


@pytest.fixture
async def proxy(node: RpcProxy) -> AsyncIterator[RpcProxy]:
    async with rpc_proxy(node.url, node.ws_url) as proxy:
        yield proxy


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    limit = aiohttp.ClientTimeout(total=5)
    # a session that reads gzip by itself would hide the bomb
    async with aiohttp.ClientSession(timeout=limit, auto_decompress=False) as client:
        yield client


def call(method: str, *values: Any, number: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(values)}


async def ask(client: aiohttp.ClientSession, proxy: RpcProxy, data: Any) -> Any:
    async with client.post(proxy.url, json=data) as answer:
        return json.loads(await answer.read())


async def test_a_call_without_a_rule_passes(
    node: RpcProxy, proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    answer = await ask(client, proxy, call("eth_blockNumber", number="a"))

    assert answer == {"jsonrpc": "2.0", "id": "a", "result": "0x7"}
    assert proxy.calls == node.calls == {"eth_blockNumber": 1}
    assert proxy.requests == 1


async def test_what_is_no_json_passes_as_it_is(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    async with client.post(proxy.url, data=b"{not json") as answer:
        told = json.loads(await answer.read())

    assert told["error"]["code"] == -32700


async def test_a_proxy_without_a_node_knows_no_method(client: aiohttp.ClientSession) -> None:
    async with rpc_proxy() as proxy:
        answer = await ask(client, proxy, call("eth_blockNumber"))

    assert answer["error"] == {"code": -32601, "message": "Method not found"}


async def test_a_node_that_is_gone_gives_a_502(client: aiohttp.ClientSession) -> None:
    async with rpc_proxy("http://127.0.0.1:1") as proxy, client.post(proxy.url, json={}) as answer:
        assert answer.status == 502


@pytest.mark.parametrize(
    ("action", "want"),
    [
        pytest.param(result("0x9"), {"result": "0x9"}, id="result"),
        pytest.param(result(lambda p: p), {"result": [1]}, id="result of the parameters"),
        pytest.param(result(None), {"result": None}, id="null"),
        pytest.param(
            error(-32005, "limit", {"see": 1}),
            {"error": {"code": -32005, "message": "limit", "data": {"see": 1}}},
            id="error",
        ),
        pytest.param(edit(lambda old: old + "0"), {"result": "0x70"}, id="edit"),
    ],
)
async def test_an_answer_is_replaced(
    proxy: RpcProxy, client: aiohttp.ClientSession, action: Action, want: dict[str, Any]
) -> None:
    proxy.on("eth_blockNumber", action)

    answer = await ask(client, proxy, call("eth_blockNumber", 1))

    assert answer == {"jsonrpc": "2.0", "id": 1} | want


async def test_a_whole_answer_is_replaced(proxy: RpcProxy, client: aiohttp.ClientSession) -> None:
    proxy.on("eth_blockNumber", reply({"request_id": 4, "error": "no node"}))
    proxy.on("eth_chainId", rewrite(lambda answer: answer | {"id": 77}))

    assert await ask(client, proxy, call("eth_blockNumber")) == {
        "request_id": 4,
        "error": "no node",
    }
    assert (await ask(client, proxy, call("eth_chainId")))["id"] == 77


async def test_parameters_are_seen_and_replaced(
    node: RpcProxy, proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_getBlockByNumber", params(lambda old: ["0x1", *old[1:]]))

    answer = await ask(client, proxy, call("eth_getBlockByNumber", "latest", False))

    assert answer["result"]["asked"] == "0x1"
    assert node.seen[-1].params == ["0x1", False]


async def test_a_rule_fits_by_its_parameters(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_getBlockByNumber", result(None), when=lambda p: p[0] == "finalized")

    latest = await ask(client, proxy, call("eth_getBlockByNumber", "latest"))
    finalized = await ask(client, proxy, call("eth_getBlockByNumber", "finalized"))

    assert latest["result"]["number"] == "0x7"
    assert finalized["result"] is None


async def test_a_rule_fires_so_often_and_can_be_ended(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    once = proxy.on("eth_blockNumber", result("0x1"), times=1)
    always = proxy.on("eth_chainId", result("0x2"))

    numbers = [await ask(client, proxy, call("eth_blockNumber")) for _ in range(3)]
    first = await ask(client, proxy, call("eth_chainId"))
    always.off()
    second = await ask(client, proxy, call("eth_chainId"))

    assert [n["result"] for n in numbers] == ["0x1", "0x7", "0x7"]
    assert once.hits == 1
    assert (first["result"], second["result"]) == ("0x2", "0x1")


async def test_the_newest_rule_decides_and_the_older_one_does_not_count(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    older = proxy.on("*", result("old"))
    proxy.on("eth_blockNumber", result("new"))

    answer = await ask(client, proxy, call("eth_blockNumber"))

    assert answer["result"] == "new"
    assert older.hits == 0


@pytest.mark.parametrize(
    ("action", "code", "kind", "text"),
    [
        pytest.param(status(503, "later"), 503, "text/plain", b"later", id="status"),
        pytest.param(html(), 502, "text/html", b"<!DOCTYPE html>", id="html of a gateway"),
        pytest.param(html(200), 200, "text/html", b"<!DOCTYPE html>", id="html of a portal"),
        pytest.param(body("oops"), 200, "application/json", b"oops", id="no json"),
        pytest.param(throttled(7), 429, "text/plain", b"Too Many Requests", id="throttled"),
    ],
)
async def test_a_response_is_replaced(
    proxy: RpcProxy,
    client: aiohttp.ClientSession,
    action: Action,
    code: int,
    kind: str,
    text: bytes,
) -> None:
    proxy.on("eth_blockNumber", action)

    async with client.post(proxy.url, json=call("eth_blockNumber")) as answer:
        assert answer.status == code
        assert answer.content_type == kind
        assert (await answer.read()).startswith(text)
        assert answer.headers.get("Retry-After") == ("7" if code == 429 else None)


@pytest.mark.parametrize(
    ("action", "failure"),
    [
        pytest.param(hang(), TimeoutError, id="hang"),
        pytest.param(trickle(), TimeoutError, id="trickle"),
        pytest.param(reset(), OSError, id="reset"),
        pytest.param(close(), aiohttp.ServerDisconnectedError, id="close"),
        pytest.param(truncated(), aiohttp.ClientPayloadError, id="truncated"),
        pytest.param(truncated(rst=True), (OSError, aiohttp.ClientPayloadError), id="cut by RST"),
    ],
)
async def test_a_response_never_ends_well(
    proxy: RpcProxy, client: aiohttp.ClientSession, action: Action, failure: type[Exception]
) -> None:
    proxy.on("eth_blockNumber", action)

    with pytest.raises(failure):
        async with asyncio.timeout(0.2):
            await ask(client, proxy, call("eth_blockNumber"))

    assert (await ask(client, proxy, call("eth_chainId")))["result"] == "0x1"


async def test_a_trickle_sends_bytes_all_the_time(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_blockNumber", trickle(0.001))

    async with client.post(proxy.url, json=call("eth_blockNumber")) as answer:
        assert await answer.content.readexactly(20) == b'{"jsonrpc": "2.0", "'


async def test_a_delay_adds_to_what_comes(proxy: RpcProxy, client: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    proxy.on("eth_blockNumber", result("late"))
    proxy.on("eth_blockNumber", delay(0.1))
    began = loop.time()

    answer = await ask(client, proxy, call("eth_blockNumber"))

    assert answer["result"] == "late"
    assert loop.time() - began >= 0.099


@pytest.mark.parametrize("sized", [True, False])
async def test_a_huge_body_comes_whole_or_is_left(
    proxy: RpcProxy, client: aiohttp.ClientSession, sized: bool
) -> None:
    proxy.on("eth_blockNumber", huge(1 << 20, sized=sized))

    answer = await ask(client, proxy, call("eth_blockNumber"))
    proxy.on("eth_blockNumber", huge(1 << 30, sized=sized))
    async with client.post(proxy.url, json=call("eth_blockNumber")) as left:
        await left.content.readexactly(65536)
        left.close()

    assert len(answer["result"]) == 1 << 20


async def test_a_bomb_is_small_until_it_is_read(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_blockNumber", bomb(1 << 22))

    async with client.post(proxy.url, json=call("eth_blockNumber")) as answer:
        packed = await answer.read()

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 1 << 14
    assert len(gzip.decompress(packed)) > 1 << 22
    with pytest.raises(zlib.error):
        zlib.decompress(packed)


async def test_a_batch_is_counted_and_spoilt_call_by_call(
    node: RpcProxy, proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_blockNumber", error(-32603, "broken"))
    batch = [call("eth_chainId", number=1), call("eth_blockNumber", number=2), call("x", number=3)]

    answers = await ask(client, proxy, batch)

    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert answers[0]["result"] == "0x1"
    assert answers[1]["error"]["code"] == -32603
    assert answers[2]["error"]["code"] == -32601
    assert (proxy.batches, proxy.requests) == (1, 1)
    assert proxy.calls == {"eth_chainId": 1, "eth_blockNumber": 1, "x": 1}
    assert "eth_blockNumber" not in node.calls


async def test_a_fate_of_one_call_is_that_of_its_batch(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_blockNumber", throttled())

    async with client.post(proxy.url, json=[call("eth_chainId"), call("eth_blockNumber")]) as told:
        assert told.status == 429


async def test_a_batch_is_answered_by_one_object(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    told = {"error": {"code": -32600, "message": "Only method calls are supported"}, "id": None}
    proxy.on(BATCH, reply(told))

    assert await ask(client, proxy, [call("eth_chainId"), call("eth_blockNumber")]) == told


async def test_a_batch_is_answered_in_another_order(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on(BATCH, rewrite(lambda answers: answers[::-1]))

    answers = await ask(client, proxy, [call("eth_chainId"), call("eth_blockNumber", number=2)])

    assert [answer["id"] for answer in answers] == [2, 1]


async def test_a_batch_is_refused_by_a_status(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on(BATCH, status(400, "no batches here"))

    async with client.post(proxy.url, json=[call("eth_chainId")]) as refused:
        assert refused.status == 400
    assert (await ask(client, proxy, call("eth_chainId")))["result"] == "0x1"


async def test_a_path_is_asked_and_spoilt(proxy: RpcProxy, client: aiohttp.ClientSession) -> None:
    async with client.get(proxy.url + "/health") as passed:
        assert await passed.read() == b"ok"
    proxy.on("GET /health", result("behind"), when=lambda query: query == {"a": "1"})
    async with client.get(proxy.url + "/health?a=1") as spoilt:
        assert json.loads(await spoilt.read()) == {"jsonrpc": "2.0", "id": -1, "result": "behind"}
    assert proxy.calls == {"GET /health": 2}


async def test_connections_are_kept_and_ended(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    for _ in range(3):
        await ask(client, proxy, call("eth_chainId"))
    kept = proxy.connections
    proxy.keep_alive = False
    for _ in range(3):
        await ask(client, proxy, call("eth_chainId"))
    proxy.keep_alive = True
    after = proxy.connections
    async with client.post(
        proxy.url, json=call("eth_chainId"), headers={"Connection": "close"}
    ) as last:
        await last.read()

    assert (kept, after) == (1, 3)
    assert last.headers["Connection"] == "close"


async def test_a_kept_connection_may_die_idle(proxy: RpcProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    data = json.dumps(call("eth_chainId")).encode()
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    await reader.readuntil(b'"0x1"}')

    proxy.close_idle()

    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_certificate_is_bad(ca: trustme.CA, client: aiohttp.ClientSession) -> None:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with rpc_proxy(context=bad_certificate(ca, "expired")) as proxy:
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match="expired"):
            await client.post(proxy.url, json={}, ssl=context)


async def test_until_waits_for_a_call(proxy: RpcProxy, client: aiohttp.ClientSession) -> None:
    waiting = asyncio.ensure_future(proxy.until(lambda: proxy.calls["eth_chainId"] == 2))

    await ask(client, proxy, call("eth_chainId"))
    assert not waiting.done()
    await ask(client, proxy, call("eth_chainId"))

    await waiting
    proxy.reset_counts()
    assert (proxy.requests, proxy.calls) == (0, {})


async def test_a_websocket_carries_calls_and_events(
    node: RpcProxy, proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    async with client.ws_connect(proxy.ws_url) as ws:
        await ws.send_json(call("eth_subscribe", "newHeads"))
        subscribed = await ws.receive_json(timeout=2)
        await node.push(event(8))
        told = await ws.receive_json(timeout=2)

        assert subscribed["result"] == "0x50"
        assert told == event(8)
        assert (proxy.upgrades, proxy.websockets) == (1, 1)
        assert proxy.seen[-1].over == "ws"
    await proxy.until(lambda: proxy.websockets == 0)


def event(height: int) -> dict[str, Any]:
    head = {"subscription": "0x50", "result": {"number": hex(height)}}
    return {"jsonrpc": "2.0", "method": "eth_subscription", "params": head}


async def test_events_are_withheld_and_changed(
    node: RpcProxy, proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on(EVENT, skip(2))
    proxy.on("eth_subscription", edit(lambda head: head | {"hash": "0xbad"}))
    silence = proxy.on(EVENT, drop(), times=1)
    async with client.ws_connect(proxy.ws_url) as ws:
        await ws.send_json(call("eth_subscribe", "newHeads"))
        await ws.receive_json(timeout=2)
        for height in range(1, 6):
            await node.push(event(height))
        heads = [(await ws.receive_json(timeout=2))["params"]["result"] for _ in range(2)]

    assert silence.hits == 1
    assert [head["number"] for head in heads] == ["0x2", "0x4"]
    assert {head["hash"] for head in heads} == {"0xbad"}


@pytest.mark.parametrize("code", [403, 404])
async def test_an_upgrade_is_refused(
    proxy: RpcProxy, client: aiohttp.ClientSession, code: int
) -> None:
    proxy.on(UPGRADE, status(code), times=1)

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(proxy.ws_url)
    async with client.ws_connect(proxy.ws_url) as second:
        assert not second.closed

    assert refused.value.status == code


async def test_an_upgrade_that_the_node_refuses_is_refused(client: aiohttp.ClientSession) -> None:
    async with rpc_proxy() as node, rpc_proxy(node.url, node.ws_url) as proxy:
        node.on(UPGRADE, status(401))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(proxy.ws_url)

    assert refused.value.status == 401


async def test_a_subscription_is_rejected(proxy: RpcProxy, client: aiohttp.ClientSession) -> None:
    proxy.on("eth_subscribe", error(-32602, "max_subscription_clients 100 reached"))
    async with client.ws_connect(proxy.ws_url) as ws:
        await ws.send_json(call("eth_subscribe", "newHeads"))
        rejected = await ws.receive_json(timeout=2)

    assert rejected["error"]["code"] == -32602


async def test_a_call_over_a_websocket_hangs_alone(
    proxy: RpcProxy, client: aiohttp.ClientSession
) -> None:
    proxy.on("eth_chainId", hang())
    async with client.ws_connect(proxy.ws_url) as ws:
        await ws.send_json(call("eth_chainId", number=1))
        await ws.send_json(call("eth_blockNumber", number=2))
        answer = await ws.receive_json(timeout=2)

    assert answer["id"] == 2


@pytest.mark.parametrize("how", ["reset by a call", "reset by an event", "cut"])
async def test_a_websocket_breaks(
    node: RpcProxy, proxy: RpcProxy, client: aiohttp.ClientSession, how: str
) -> None:
    proxy.on("eth_chainId", reset())
    proxy.on(EVENT, reset())
    async with client.ws_connect(proxy.ws_url) as ws:
        await proxy.until(lambda: proxy.websockets == 1)
        match how:
            case "reset by a call":
                await ws.send_json(call("eth_chainId"))
            case "reset by an event":
                await node.push(event(1))
            case _:
                proxy.cut()
        ended = await ws.receive(timeout=2)

    assert ended.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_websocket_of_no_node_takes_rules_and_pushes(
    client: aiohttp.ClientSession,
) -> None:
    async with rpc_proxy() as proxy:
        proxy.on("subscribe", result({}))
        async with client.ws_connect(proxy.ws_url) as ws:
            await ws.send_json(call("subscribe"))
            assert (await ws.receive_json(timeout=2))["result"] == {}
            await ws.send_json(call("other"))
            assert (await ws.receive_json(timeout=2))["error"]["code"] == -32601
            await proxy.push("text as it is")
            assert await ws.receive_str(timeout=2) == "text as it is"
