"""One websocket through `tests.faults.rpc_proxy`: calls one way, answers and events the other.

Knows rules, and neither handshakes nor HTTP.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

from tests.faults.rpc_actions import Call, Exchange, Json
from tests.faults.rpc_rules import EVENT, Plan, Rules, alone, calls_in, parsed


class Tunnel:
    """One open websocket, and that to the node."""

    def __init__(
        self,
        rules: Rules,
        exchange: Exchange,
        ws: web.WebSocketResponse,
        node: aiohttp.ClientWebSocketResponse | None,
        headers: dict[str, str],
    ) -> None:
        self.rules = rules
        self.exchange = exchange
        self.ws = ws
        self.node = node
        self.headers = headers
        self._plans: dict[str, Plan] = {}
        self._fates: set[asyncio.Future[Any]] = set()

    async def run(self) -> None:
        pumps = [asyncio.ensure_future(self._calls()), asyncio.ensure_future(self._answers())]
        over = asyncio.ensure_future(self.exchange.over.wait())
        try:
            await asyncio.wait([*pumps, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything = [*pumps, over, *self._fates]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            with suppress(ConnectionError):
                code = self.node.close_code if self.node is not None else None
                await self.ws.close(code=code or aiohttp.WSCloseCode.OK)

    async def _calls(self) -> None:
        async for message in self.ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._call(message.data)

    async def _call(self, text: str) -> None:
        plans = [self.rules.note(c) for c in calls_in(parsed(text), "ws", self.headers)]
        for plan in plans:
            await plan.prepare()
        for plan in plans:
            if self._is_spoilt(plan):
                return
        if len(plans) == 1 and plans[0].main:
            await self._tell(plans[0].finish(plans[0].answer))
        elif self.node is None:
            await self.ws.send_str(json.dumps(alone(text)))
        else:
            await self._pass_on(text, plans)

    def _is_spoilt(self, plan: Plan) -> bool:
        """Tell whether a fate takes the place of the message; it goes on beside the others."""
        if plan.main is None or plan.main.send is None:
            return False
        fate = asyncio.ensure_future(plan.main.send(self.exchange, b""))
        self._fates.add(fate)
        fate.add_done_callback(self._fates.discard)
        return True

    async def _pass_on(self, text: str, plans: list[Plan]) -> None:
        assert self.node is not None
        if len(plans) == 1:
            plan = plans[0]
            self._plans[json.dumps(plan.call.id)] = plan
            if not plan.is_plain:
                text = json.dumps(plan.call.as_dict())
        await self.node.send_str(text)

    async def _answers(self) -> None:
        if self.node is None:
            await asyncio.Event().wait()
            return
        async for message in self.node:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._answered(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await self.ws.send_bytes(message.data)

    async def _answered(self, text: str) -> None:
        told = parsed(text)
        if not isinstance(told, dict):
            await self.ws.send_str(text)
            return
        plan = self._plans.pop(json.dumps(told.get("id")), None) if "id" in told else None
        if plan is None:
            event = Call(str(told.get("method", EVENT)), told.get("params"), None, "ws")
            plan = self.rules.plan(event, event.method, EVENT)
            await plan.prepare()
            if self._is_spoilt(plan):
                return
        if plan.is_plain:
            await self.ws.send_str(text)
        else:
            await self._tell(plan.finish(told))

    async def _tell(self, answer: Json) -> None:
        if answer is not None:
            await self.ws.send_str(json.dumps(answer))
