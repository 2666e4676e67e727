"""The shop as a server: every route, the switch for what is broken, start and stop.

    async with shop_server() as shop: ...       # shop.url, shop.break_it(Fault.PAY_DECLINED)

POST /_fault mode=pay_declined      as a form, JSON or the whole body; GET lists what there is
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tests.shop import api, pages, pictures, protocols
from tests.shop.faults import Fault, read_fault
from tests.shop.meddling import meddle
from tests.shop.state import PRICING_S, SHOP, Shop, problem, shop_of
from tests.shop.store import Store

MAX_BODY = 64 * 1024


@dataclass
class RunningShop:
    """A shop that listens."""

    shop: Shop
    url: str
    """Without a slash at the end."""

    def break_it(self, fault: Fault) -> None:
        self.shop.switch.turn(fault)


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "fault": shop_of(request).switch.fault.value})


async def faults(request: web.Request) -> web.Response:
    on = shop_of(request).switch.fault
    lines = [f"{'*' if it is on else ' '} {it.value:20} {it.told}" for it in Fault]
    return web.Response(text="\n".join(lines) + "\n")


async def break_it(request: web.Request) -> web.Response:
    """Switch a fault on: ``mode=x``, ``{"mode": "x"}`` or ``x``."""
    text = (await request.text()).strip()
    try:
        mode = json.loads(text)["mode"] if text.startswith("{") else text.removeprefix("mode=")
        fault = read_fault(str(mode))
    except (ValueError, KeyError) as error:
        return problem(422, str(error))
    shop_of(request).switch.turn(fault)
    return web.Response(text=f"{fault.value}: {fault.told}\n")


def make_app(shop: Shop) -> web.Application:
    app = web.Application(middlewares=[meddle], client_max_size=MAX_BODY)
    app[SHOP] = shop
    control = (
        web.get("/health", health),
        web.get("/_fault", faults),
        web.post("/_fault", break_it),
        web.static("/static", pages.STATIC),
    )
    for routes in (control, api.ROUTES, pages.ROUTES, protocols.ROUTES, pictures.ROUTES):
        app.add_routes(routes)

    async def leave(_: web.Application) -> None:
        shop.switch.changed.set()

    end: Callable[[web.Application], Awaitable[None]] = leave
    app.on_shutdown.append(end)
    return app


@asynccontextmanager
async def shop_server(port: int = 0, *, pricing_s: float = PRICING_S) -> AsyncIterator[RunningShop]:
    """Run a shop on 127.0.0.1."""
    async with Store() as store:
        shop = Shop(store, pricing_s=pricing_s)
        runner = web.AppRunner(make_app(shop), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            bound = runner.addresses[0][1]
            yield RunningShop(shop, f"http://127.0.0.1:{bound}")
        finally:
            shop.switch.changed.set()
            await runner.cleanup()
