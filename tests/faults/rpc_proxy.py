"""A JSON-RPC proxy that misbehaves by method: HTTP and websocket, in front of a node or of none.

    async with rpc_proxy(node.url, node.ws_url) as proxy:
        rule = proxy.on("eth_blockNumber", delay(0.2), times=1)

    method      "eth_blockNumber" · "*" every call · "GET /status" · BATCH a JSON array
                UPGRADE the handshake · EVENT what a subscription sends, or "eth_subscription"

What may happen stands in `tests.faults.rpc_actions`. The newest rule decides the answer; delays and
edits add up. A call without a rule goes to the node as it is; where there is no node it is answered
with -32601. Counts what it sees, for tests of call budgets. Speaks keep-alive and Connection:
close. Judges nothing, and knows no chain.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.faults.rpc_actions import JSON_TYPE, Call, Exchange, Json
from tests.faults.rpc_rules import BATCH, UPGRADE, Plan, Rules, alone, calls_in, merged, parsed
from tests.faults.rpc_tunnel import Tunnel

# Bytes: a batch of any test fits many times over, and so does an answer.
MAX_BYTES = 64 * 1024 * 1024
# Headers that belong to one connection, or to a body that is decoded here.
OWN_HEADERS = {
    "connection", "content-encoding", "content-length", "date", "host", "keep-alive",
    "transfer-encoding",
}  # fmt: skip


@dataclass
class Passed:
    """An HTTP response on its way back."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON_TYPE})
    body: bytes = b""

    def response(self) -> web.Response:
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class RpcProxy(Rules):
    """A running proxy.

    Attributes:
        keep_alive: false: it closes each connection after one response.
    """

    def __init__(self, upstream: str | None, ws_upstream: str | None) -> None:
        super().__init__()
        self.upstream = upstream
        self.ws_upstream = ws_upstream
        self.port = 0
        self.scheme = "http"
        self.over = asyncio.Event()
        self._sockets: dict[web.WebSocketResponse, web.BaseRequest] = {}
        self.keep_alive = True
        self._peers: dict[Any, asyncio.Transport | None] = {}
        self._client: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"{self.scheme.replace('http', 'ws')}://127.0.0.1:{self.port}/ws"

    @property
    def connections(self) -> int:
        """Return how many TCP connections brought a request."""
        return len(self._peers)

    @property
    def websockets(self) -> int:
        """Return how many are open."""
        return len(self._sockets)

    def close_idle(self) -> None:
        """End every connection, kept alive or at work, with FIN."""
        for transport in self._peers.values():
            if transport is not None:
                transport.close()

    async def push(self, message: Json) -> None:
        """Send *message* to every open websocket, as if the node had."""
        text = message if isinstance(message, str) else json.dumps(message)
        for ws in list(self._sockets):
            await ws.send_str(text)

    def cut(self) -> None:
        """End every websocket with RST."""
        for request in list(self._sockets.values()):
            Exchange(request, self.over).end(rst=True)

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Hold connections to the node."""
        limit = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=limit) as self._client:
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._peers[request.transport.get_extra_info("peername")] = request.transport
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("upgrade", "").lower() == "websocket":
            return await self._upgrade(request, headers)
        self.requests += 1
        exchange = Exchange(request, self.over)
        if request.method == "POST":
            response = await self._post(exchange, await request.read(), headers)
        else:
            response = await self._get(exchange, headers)
        if not self.keep_alive:
            response.force_close()
        return response

    async def _get(self, exchange: Exchange, headers: dict[str, str]) -> web.StreamResponse:
        request = exchange.request
        # CometBFT answers a call in the path under this id
        call = Call(f"{request.method} {request.path}", dict(request.query), -1, "get", headers)
        plan = self.note(call)
        await plan.prepare()
        if plan.main and plan.main.answer:
            return Passed(body=json.dumps(plan.answer).encode()).response()
        if plan.main and plan.main.send and not plan.main.needs_body:
            return await plan.main.send(exchange, b"")
        passed = await self._forward(b"", headers, request.method, request.path_qs)
        if plan.main and plan.main.send:
            return await plan.main.send(exchange, passed.body)
        return passed.response()

    async def _post(
        self, exchange: Exchange, data: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        parts = parsed(data)
        is_batch = isinstance(parts, list)
        plans = [self.note(call) for call in calls_in(parts, "batch" * is_batch or "http", headers)]
        if is_batch:
            self.batches += 1
            whole = Call(BATCH, parts, None, "batch", headers)
            plans.insert(0, self.plan(whole, BATCH))
            self.changed()
        for plan in plans:
            await plan.prepare()
        send = next((p.main for p in plans if p.main and p.main.send), None)
        if send and send.send and not send.needs_body:
            return await send.send(exchange, b"")
        passed = await self._answer(parts, data, plans, headers)
        if send and send.send:
            return await send.send(exchange, passed.body)
        return passed.response()

    async def _answer(
        self, parts: Json, data: bytes, plans: list[Plan], headers: dict[str, str]
    ) -> Passed:
        """Return the response to *data*: from the node, from the rules, or from both."""
        if all(plan.is_plain for plan in plans):
            return await self._forward(data, headers)
        own = [p for p in plans if p.main and p.main.answer]
        left = [p.call for p in plans if p not in own and p.call.method != BATCH]
        passed = Passed()
        answers: list[Json] = []
        if left:
            words = [call.as_dict() for call in left]
            text = json.dumps(words if isinstance(parts, list) else words[0]).encode()
            passed = await self._forward(text, headers)
            told = parsed(passed.body)
            if told is None or (isinstance(parts, list) and not isinstance(told, list)):
                return passed
            answers = told if isinstance(told, list) else [told]
        passed.body = json.dumps(merged(plans, answers, isinstance(parts, list))).encode()
        return passed

    async def _forward(
        self, data: bytes, headers: dict[str, str], verb: str = "POST", path: str = ""
    ) -> Passed:
        """Return what the node answers to *data*."""
        if self.upstream is None or self._client is None:
            return Passed(body=json.dumps(alone(data)).encode())
        passed_on = {name: value for name, value in headers.items() if name not in OWN_HEADERS}
        try:
            async with self._client.request(
                verb, self.upstream + path, data=data or None, headers=passed_on,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in OWN_HEADERS}
                return Passed(answer.status, kept, await answer.read())
        except aiohttp.ClientError as error:
            return Passed(502, {"Content-Type": "text/plain"}, repr(error).encode())

    async def _upgrade(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        self.upgrades += 1
        exchange = Exchange(request, self.over)
        plan = self.plan(Call(UPGRADE, None, None, "ws", headers), UPGRADE)
        self.changed()
        await plan.prepare()
        if plan.main and plan.main.send:
            return await plan.main.send(exchange, b"")
        async with AsyncExitStack() as stack:
            node = None
            if self.ws_upstream is not None and self._client is not None:
                connected = self._client.ws_connect(self.ws_upstream, max_msg_size=MAX_BYTES)
                try:
                    node = await stack.enter_async_context(connected)
                except aiohttp.WSServerHandshakeError as error:
                    return web.Response(status=error.status)
                except aiohttp.ClientError as error:
                    return web.Response(status=502, text=repr(error))
            ws = web.WebSocketResponse(max_msg_size=MAX_BYTES)
            await ws.prepare(request)
            self._sockets[ws] = request
            self.changed()
            try:
                await Tunnel(self, exchange, ws, node, headers).run()
            finally:
                del self._sockets[ws]
                self.changed()
            return ws


@asynccontextmanager
async def rpc_proxy(
    upstream: str | None = None,
    ws_upstream: str | None = None,
    *,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[RpcProxy]:
    """Run a proxy on a free port, over TLS with a *context*; None: there is no node behind it."""
    proxy = RpcProxy(upstream, ws_upstream)
    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    # a request whose client went away has no claim on time
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        async with proxy.talking():
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            proxy.port = runner.addresses[0][1]
            proxy.scheme = "https" if context else "http"
            yield proxy
            # who hangs goes before the connections to the node do
            proxy.over.set()
    finally:
        proxy.over.set()
        await runner.cleanup()
        # connections die a turn later; their transports must not outlive the test
        await asyncio.sleep(0)
