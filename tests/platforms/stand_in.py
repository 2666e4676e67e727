"""A small server in place of a platform: its routes, a login, a switch that breaks any route.

    async with running(cf1.ROUTES) as platform:
        platform.break_it("POST /api/investments", status=503)

Knows nothing of any platform: what one answers stands in the module of its name.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import web

Route = Callable[["Platform", web.Request], Awaitable[web.StreamResponse]]
PASSWORD = "change-me"  # of examples/platforms.env
TOKEN = "of-probe"


@dataclass
class Platform:
    """A stand-in that listens, and what it has been told so far."""

    url: str = ""
    """Without a slash at the end."""
    state: dict[str, Any] = field(default_factory=dict)
    broken: dict[str, tuple[int, object]] = field(default_factory=dict)
    """Route -> status and body of its answer."""
    asked: list[str] = field(default_factory=list)
    numbers: Iterable[int] = field(default_factory=count)

    def break_it(self, route: str, status: int = 200, json: object = None) -> None:
        """Answer so to *route*, such as ``GET /health``, whatever is asked."""
        self.broken[route] = (status, json)

    def new_id(self) -> str:
        return f"id-{next(iter(self.numbers))}"


def ok(body: object, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def nothing(status: int = 204) -> web.Response:
    return web.Response(status=status)


def want_token(request: web.Request, token: str = TOKEN) -> None:
    if request.headers.get("Authorization") != f"Bearer {token}":
        raise web.HTTPUnauthorized


async def rpc_method(request: web.Request) -> tuple[str, Callable[[object], web.Response]]:
    """Return the method of a JSON-RPC call, and what makes its answer."""
    call = await request.json()
    return call["method"], lambda result: ok({"jsonrpc": "2.0", "id": call["id"], "result": result})


def bind(platform: Platform, name: str, route: Route) -> web.RouteDef:
    async def handle(request: web.Request) -> web.StreamResponse:
        platform.asked.append(name)
        if name not in platform.broken:
            return await route(platform, request)
        status, body = platform.broken[name]
        return ok(body, status)

    method, path = name.split()
    return web.route(method, path, handle)


@asynccontextmanager
async def running(routes: dict[str, Route]) -> AsyncIterator[Platform]:
    """Run a stand-in on 127.0.0.1."""
    platform = Platform()
    app = web.Application()
    app.add_routes([bind(platform, name, route) for name, route in routes.items()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        platform.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield platform
    finally:
        await runner.cleanup()
