"""What else the shop speaks: GraphQL for its stock, JSON-RPC of a payment chain, a feed of orders.

POST /graphql   query Stock($q: String!) { items(q: $q) { name stock } }
POST /rpc       eth_chainId, eth_blockNumber, eth_getBalance
GET  /ws        {"subscribe": "orders"}: the orders of the customer, the newest first

Each understands what the journeys of the shop ask, and says so when asked for something else.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from aiohttp import WSMsgType, web

from tests.shop.faults import Fault
from tests.shop.meddling import hang
from tests.shop.state import customer, payload, shop_of

CHAIN_ID = 31337
BLOCK_S = 12
# The height of a chain that began long ago: a block number is never small.
FIRST_BLOCK = 19_000_000
METHOD_NOT_FOUND, INVALID_REQUEST = -32601, -32600
FEED_S = 30.0


async def graphql(request: web.Request) -> web.Response:
    shop, sent = shop_of(request), await payload(request)
    variables = sent.get("variables")
    words = variables.get("q") if isinstance(variables, Mapping) else None
    if shop.is_broken(Fault.GRAPHQL_ERRORS):
        return web.json_response({"data": None, "errors": [{"message": "stock is unavailable"}]})
    if "items" not in str(sent.get("query")) or not isinstance(words, str):
        message = "want a query of items with a variable q"
        return web.json_response({"errors": [{"message": message}]}, status=400)
    rows = await shop.store.search(words)
    told = [{"name": row["name"], "stock": row["stock"]} for row in rows]
    return web.json_response({"data": {"items": told}})


async def rpc(request: web.Request) -> web.Response:
    shop, sent = shop_of(request), await payload(request)
    head = {"jsonrpc": "2.0", "id": sent.get("id")}
    if shop.is_broken(Fault.RPC_ERROR):
        return web.json_response({**head, "error": {"code": -32000, "message": "header not found"}})
    results: dict[str, Any] = {
        "eth_chainId": hex(CHAIN_ID),
        "eth_blockNumber": hex(FIRST_BLOCK + int(monotonic() // BLOCK_S)),
        "eth_getBalance": hex(10**18),
    }
    method = sent.get("method")
    if sent.get("jsonrpc") != "2.0" or method not in results:
        code = METHOD_NOT_FOUND if method else INVALID_REQUEST
        error = {"code": code, "message": f"the method {method} does not exist"}
        return web.json_response({**head, "error": error})
    return web.json_response({**head, "result": results[method]})


async def feed(request: web.Request) -> web.StreamResponse:
    shop, session = shop_of(request), await customer(request)
    socket = web.WebSocketResponse(timeout=1.0, heartbeat=FEED_S, protocols=("orders.v1",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        try:
            wanted = message.json()
        except ValueError:
            wanted = None
        if wanted != {"subscribe": "orders"}:
            await socket.send_json({"error": 'want {"subscribe": "orders"}'})
            continue
        await socket.send_json({"subscribed": "orders"})
        if shop.is_broken(Fault.FEED_SILENT):
            await hang(shop)
        for row in await shop.store.orders(session.user):
            order = "o-somebody" if shop.is_broken(Fault.FEED_OTHER) else row["id"]
            await socket.send_json({"order": order, "total": row["cents"] / 100})
    return socket


ROUTES = (
    web.post("/graphql", graphql),
    web.post("/rpc", rpc),
    web.get("/ws", feed),
)
