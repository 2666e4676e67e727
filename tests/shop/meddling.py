"""Faults that strike before the shop itself is asked: by path, the answer is slow, cut or another.

Knows nothing of items and carts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.shop.faults import Fault
from tests.shop.state import Shop, problem, shop_of

SLOW_S = 0.4
SLOW_PAGE_S = 1.5
DRIP_S = 0.05
HUGE_BYTES = 8 * 1024 * 1024
METADATA = "http://169.254.169.254/latest/meta-data/"
SORRY = "<!doctype html><title>Sorry</title><h1>Something went wrong</h1><p>We are on it."
TRACE = (
    "<!doctype html><title>Reading lamp</title><h1>Reading lamp</h1><pre>Traceback (most recent"
    ' call last):\n  File "/srv/shop/stock.py", line 41, in stock\nKeyError: 1</pre>'
)

Meddler = Callable[[web.Request, Shop], Awaitable[web.StreamResponse | None]]
"""Answers instead of the shop, or returns None: then the shop does."""


async def hang(shop: Shop) -> None:
    """Wait until another fault is switched on, or the shop ends."""
    await shop.switch.changed.wait()


async def _maintenance(request: web.Request, shop: Shop) -> web.StreamResponse:
    found = problem(503, "back in an hour")
    found.headers["Retry-After"] = "3600"
    return found


async def _slow(request: web.Request, shop: Shop) -> None:
    await asyncio.sleep(SLOW_S)


async def _slow_page(request: web.Request, shop: Shop) -> None:
    await asyncio.sleep(SLOW_PAGE_S)


async def _hangs(request: web.Request, shop: Shop) -> web.StreamResponse:
    await hang(shop)
    return problem(504, "somebody repaired it")


async def _drips(request: web.Request, shop: Shop) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    broken = shop.switch.changed
    while not broken.is_set():
        await response.write(b" ")
        await asyncio.sleep(DRIP_S)
    return response


async def _closed(request: web.Request, shop: Shop) -> web.StreamResponse:
    _cut_off(request)
    return web.Response()


async def _cut(request: web.Request, shop: Shop) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": "1000"}
    )
    await response.prepare(request)
    await response.write(b'{"items": [')
    _cut_off(request)
    return response


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


async def _garbled(request: web.Request, shop: Shop) -> web.StreamResponse:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    return web.Response(body=b'{"items": []}', headers=headers)


async def _huge(request: web.Request, shop: Shop) -> web.StreamResponse:
    return web.Response(body=b" " * HUGE_BYTES, content_type="application/json")


async def _sorry(request: web.Request, shop: Shop) -> web.StreamResponse:
    return web.Response(text=SORRY, content_type="text/html")


async def _trace(request: web.Request, shop: Shop) -> web.StreamResponse:
    return web.Response(text=TRACE, content_type="text/html")


async def _loop(request: web.Request, shop: Shop) -> web.StreamResponse:
    again = int(request.query.get("again", "0")) + 1
    raise web.HTTPFound(f"/account?again={again}")


async def _away(request: web.Request, shop: Shop) -> web.StreamResponse:
    raise web.HTTPFound(METADATA)


async def _no_picture(request: web.Request, shop: Shop) -> web.StreamResponse:
    raise web.HTTPNotFound


async def _no_cart(request: web.Request, shop: Shop) -> web.StreamResponse:
    return problem(503, "the carts are gone")


SEARCH, ACCOUNT = "/api/items", "/account"
# Fault -> beginnings of paths, what is done there.
MEDDLERS: Mapping[Fault, tuple[tuple[str, ...], Meddler]] = {
    Fault.MAINTENANCE: (("/",), _maintenance),
    Fault.REDIRECT_LOOP: ((ACCOUNT,), _loop),
    Fault.REDIRECT_AWAY: ((ACCOUNT,), _away),
    Fault.SLOW: ((SEARCH,), _slow),
    Fault.SEARCH_HANGS: ((SEARCH,), _hangs),
    Fault.SEARCH_DRIPS: ((SEARCH,), _drips),
    Fault.SEARCH_CLOSED: ((SEARCH,), _closed),
    Fault.SEARCH_CUT: ((SEARCH,), _cut),
    Fault.SEARCH_GARBLED: ((SEARCH,), _garbled),
    Fault.SEARCH_HUGE: ((SEARCH,), _huge),
    Fault.HTML_ERROR_PAGE: ((SEARCH,), _sorry),
    Fault.STACK_TRACE: (("/items/",), _trace),
    Fault.CART_REFUSED: (("/api/cart", "/cart"), _no_cart),
    Fault.SLOW_PAGE: (("/search", "/items/", "/login"), _slow_page),
    Fault.BROKEN_IMAGE: (("/pictures/",), _no_picture),
}
CONTROL = ("/_fault", "/health")


@web.middleware
async def meddle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the fault that is on strike where it does."""
    shop = shop_of(request)
    shop.requests += 1
    if request.path.startswith(CONTROL):
        return await handler(request)
    beginnings, meddler = MEDDLERS.get(shop.switch.fault, ((), _slow))
    if beginnings and request.path.startswith(beginnings):
        answer = await meddler(request, shop)
        if answer is not None:
            return answer
    return await handler(request)
