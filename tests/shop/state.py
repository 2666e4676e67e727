"""What every handler of the shop finds on its application: the store, the switch, who asks.

Knows no path and no page.
"""

from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiohttp import web

from tests.shop.faults import Fault, Switch
from tests.shop.store import Session, Store

TOKEN_S = 900.0
# How long a cart waits for its price; a journey polls meanwhile.
PRICING_S = 0.3
COOKIE = "sid"


@dataclass
class Shop:
    """One shop.

    Attributes:
        store: what it knows.
        switch: what is broken.
        pricing_s: seconds until a new cart has its price.
        requests: how many came, for who looks.
    """

    store: Store
    switch: Switch = field(default_factory=Switch)
    pricing_s: float = PRICING_S
    requests: int = 0

    def is_broken(self, *faults: Fault) -> bool:
        return self.switch.is_on(*faults)


SHOP = web.AppKey("shop", Shop)


def shop_of(request: web.Request) -> Shop:
    return request.app[SHOP]


def problem(status: int, text: str) -> web.Response:
    """Return an error of the API (RFC 9457)."""
    body: dict[str, Any] = {"status": status, "title": text}
    return web.json_response(body, status=status, content_type="application/problem+json")


async def visitor(request: web.Request) -> Session | None:
    """Return who asks, by token or cookie; None: nobody, or a session that is over."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    sid = request.cookies.get(COOKIE, "")
    shop = shop_of(request)
    if kind.lower() == "bearer":
        if shop.is_broken(Fault.TOKEN_EXPIRY):
            return None
        session = await shop.store.session(token=token)
    else:
        session = await shop.store.session(sid=sid) if sid else None
    return session if session is not None and session.ends > monotonic() else None


async def customer(request: web.Request) -> Session:
    """Return the customer who asks.

    Raises:
        HTTPException: 401, as a problem of the API.
    """
    session = await visitor(request)
    if session is None or not session.user:
        raise refused("want a valid token")
    return session


def refused(text: str) -> web.HTTPUnauthorized:
    found = problem(401, text)
    return web.HTTPUnauthorized(
        text=found.text, content_type=found.content_type, headers={"WWW-Authenticate": "Bearer"}
    )


async def open_session(shop: Shop, user: str) -> Session:
    """Return a new session of *user*; empty: of nobody."""
    return await shop.store.open_session(user, monotonic() + TOKEN_S)


async def payload(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that was sent.

    Raises:
        HTTPException: 400, as a problem of the API.
    """
    try:
        found = await request.json()
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    text = problem(400, "want a JSON object").text
    raise web.HTTPBadRequest(text=text, content_type="application/problem+json")
