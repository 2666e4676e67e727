"""A CometBFT node made up for tests: JSON-RPC by POST, URIs, a websocket, and levers.

    async with comet_server(chain, "a") as server:      server.url, server.ws_url
        server.node.catching_up = True                  every attribute of it is a lever

What version 0.38 answers is answered alike, its oddities included: an error that belongs to no call
has no id, a batch of one is answered by an object, `abci_info` and what was asked by height may be
cached. What goes wrong on the wire is put in by `tests.faults.rpc_proxy`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from tests.servers.comet_chain import CometChain
from tests.servers.comet_node import CometNode, Refused

Json = Any
CACHED = {"Cache-Control": "public, max-age=86400"}
BY_HEIGHT = {"commit", "header", "block", "block_results", "blockchain", "validators"}
# Subscriptions of one websocket, of the configuration that CometBFT ships.
MAX_SUBSCRIPTIONS = 5
HEADER_QUERY = "tm.event='NewBlockHeader'"
LISTING = "<html><body><br>Available endpoints:<br><br></body></html>"


def error(code: int, message: str, data: str) -> Json:
    """Return an error that belongs to no call: it has no id."""
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message, "data": data}}


UNPARSED = error(
    -32700,
    "Parse error. Invalid JSON",
    "error unmarshaling request: invalid character looking for beginning of value",
)
TOO_MANY = "batch request exceeds maximum ({}) allowed number of requests"


class CometServer:
    """A node that listens; `node` has the levers."""

    def __init__(self, node: CometNode) -> None:
        self.node = node
        self.port = 0
        self._sockets: dict[web.WebSocketResponse, dict[str, Json]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket"

    @property
    def websockets(self) -> int:
        """Return how many are open."""
        return len(self._sockets)

    def told(self, number: Json, method: str, params: Json) -> tuple[int, Json]:
        """Return the answer to one call, and the status that it has as a URI."""
        try:
            answer = self.node.answer(method, params)
        except Refused as refused:
            status = 404 if refused.error["code"] == -32601 else 500
            return status, {"jsonrpc": "2.0", "id": number, "error": refused.error}
        return 200, {"jsonrpc": "2.0", "id": number, "result": answer}

    def headers(self, method: str, params: Json, answer: Json) -> dict[str, str]:
        """Return what a cache on the way reads: even an error about a height may be kept."""
        if "error" in answer and answer["error"]["code"] != -32603:
            return {}
        if method == "abci_info":
            age = self.node.cache_age_s
            return CACHED if age is None else CACHED | {"Age": str(age), "X-Cache": "HIT"}
        named = any(params.values()) if isinstance(params, dict) else params
        return CACHED if method == "genesis" or (named and method in BY_HEIGHT) else {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = request.path.strip("/")
        if method == "websocket":
            return await self._websocket(request)
        if method:
            return self._uri(method, dict(request.query))
        data = await request.read()
        if not data:
            return web.Response(text=LISTING, content_type="text/html")
        return self._post(data)

    def _uri(self, method: str, query: dict[str, str]) -> web.Response:
        if not self.node.offers(method):
            return web.Response(status=404, text="404 page not found\n")
        params = {word: value.strip('"') for word, value in query.items()}
        status, answer = self.told(-1, method, params)
        headers = self.headers(method, params, answer) if status == 200 else {}
        return web.json_response(answer, status=status, headers=headers)

    def _post(self, data: bytes) -> web.Response:
        try:
            parts = json.loads(data)
        except ValueError:
            return web.json_response(UNPARSED, status=500)
        calls = parts if isinstance(parts, list) else [parts]
        if not all(isinstance(call, dict) for call in calls):
            return web.json_response(UNPARSED, status=500)
        limit = self.node.batch_limit
        if 0 < limit < len(calls):
            return web.json_response(error(-32600, "Invalid Request", TOO_MANY.format(limit)))
        answers, headers = [], CACHED
        # a call without an id is a notification
        for call in (call for call in calls if call.get("id") is not None):
            method, params = str(call.get("method", "")), call.get("params")
            answers.append(self.told(call["id"], method, params)[1])
            # one answer that may not be kept forbids it for all
            headers = headers and self.headers(method, params, answers[-1])
        if not answers:
            return web.Response()
        return web.json_response(answers if len(answers) > 1 else answers[0], headers=headers)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=400, text="Bad Request\n")
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self._sockets[ws] = {}
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await ws.send_json(self._heard(ws, message.data))
        finally:
            del self._sockets[ws]
        return ws

    def _heard(self, ws: web.WebSocketResponse, text: str) -> Json:
        """Return the answer to a message of a websocket."""
        try:
            call = json.loads(text)
        except ValueError:
            return UNPARSED
        number, method, params = call.get("id"), call.get("method"), call.get("params") or {}
        subscribed = self._sockets[ws]
        self.node.calls[method] += method in {"subscribe", "unsubscribe", "unsubscribe_all"}
        if method == "subscribe":
            refusal = self._refusal(subscribed, params)
            if refusal:
                told = {"code": -32603, "message": "Internal error", "data": refusal}
                return {"jsonrpc": "2.0", "id": number, "error": told}
            subscribed[params["query"]] = number
        elif method == "unsubscribe":
            subscribed.pop(params.get("query", ""), None)
        elif method == "unsubscribe_all":
            subscribed.clear()
        else:
            return self.told(number, str(method), params)[1]
        return {"jsonrpc": "2.0", "id": number, "result": {}}

    def _refusal(self, subscribed: dict[str, Json], params: Json) -> str:
        query = params.get("query", "")
        if self.node.subscription_error:
            return self.node.subscription_error
        if query in subscribed:
            return "already subscribed"
        if len(subscribed) >= MAX_SUBSCRIPTIONS:
            return f"max_subscriptions_per_client {MAX_SUBSCRIPTIONS} reached"
        return "" if "=" in query else "failed to parse query: offset 3: EOF"

    def announce(self, height: int) -> None:
        """Send the header of *height* to who subscribed to headers."""
        if self.node.silent or self.node.height is not None:
            return
        for ws, subscribed in self._sockets.items():
            for query, number in subscribed.items():
                if query.replace(" ", "") == HEADER_QUERY:
                    self._send(ws, self._event(query, number, height))

    def _event(self, query: str, number: Json, height: int) -> Json:
        value = {"header": self.node.header_of(height)}
        data = {"type": "tendermint/event/NewBlockHeader", "value": value}
        told = {"query": query, "data": data, "events": {"tm.event": ["NewBlockHeader"]}}
        return {"jsonrpc": "2.0", "id": number, "result": told}

    def _send(self, ws: web.WebSocketResponse, message: Json) -> None:
        task = asyncio.ensure_future(ws.send_json(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def stop(self) -> None:
        """End every websocket, once what was announced is sent."""
        await asyncio.gather(*self._sending, return_exceptions=True)
        for ws in list(self._sockets):
            await ws.close(code=aiohttp.WSCloseCode.GOING_AWAY)


@asynccontextmanager
async def comet_server(
    chain: CometChain | None = None, moniker: str = "node"
) -> AsyncIterator[CometServer]:
    """Run a node of *chain*, of one of its own by default, on a free port."""
    chain = chain or CometChain()
    server = CometServer(CometNode(chain, moniker))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    chain.watchers.append(server.announce)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        chain.watchers.remove(server.announce)
        await server.stop()
        await runner.cleanup()
        # connections die a turn later; their transports must not outlive the test
        await asyncio.sleep(0)
