"""The JSON API of the shop.

POST   /api/login {user, password}      token, cookie; 401
POST   /api/logout                      204
GET    /api/items?q=lamp                items that fit
POST   /api/cart {item, quantity}       201 with its id; its price comes a moment later
GET    /api/cart/{id}                   priced, total
POST   /api/cart/{id}/pay {card}        the order; 402, 409
DELETE /api/cart/{id}                   204; 404
GET    /api/orders                      those of the customer
DELETE /api/orders/{id}                 204; 404
"""

from time import monotonic
from typing import Any

from aiohttp import web

from tests.shop.faults import Fault
from tests.shop.meddling import hang
from tests.shop.state import (
    COOKIE,
    TOKEN_S,
    customer,
    open_session,
    payload,
    problem,
    refused,
    shop_of,
    visitor,
)
from tests.shop.store import Row

MAX_QUANTITY = 99
CARD_DIGITS = 12


def priced(row: Row) -> dict[str, Any]:
    """Return an item as the API shows it."""
    keys = ("id", "name", "kind", "stock", "about")
    return {**{key: row[key] for key in keys}, "price": row["cents"] / 100, "currency": "EUR"}


async def login(request: web.Request) -> web.Response:
    shop, sent = shop_of(request), await payload(request)
    if shop.is_broken(Fault.BROKEN_LOGIN):
        return problem(500, "connection to database lost")
    found = await shop.store.customer(str(sent.get("user")), str(sent.get("password")))
    if found is None or shop.is_broken(Fault.LOGIN_REFUSED):
        raise refused("want a known user and password")
    session = await open_session(shop, found["name"])
    body = {"token": session.token, "user": found["name"], "expires_in": TOKEN_S}
    if shop.is_broken(Fault.LOGIN_WITHOUT_TOKEN):
        del body["token"]
    response = web.json_response(body)
    response.set_cookie(COOKIE, session.sid, httponly=True, samesite="Lax")
    return response


async def logout(request: web.Request) -> web.Response:
    session = await visitor(request)
    if session is not None:
        await shop_of(request).store.end_session(session.sid)
    return web.Response(status=204)


async def items(request: web.Request) -> web.Response:
    shop = shop_of(request)
    rows = await shop.store.search(request.query.get("q", ""))
    if shop.is_broken(Fault.SEARCH_EMPTY):
        rows = []
    return web.json_response({"items": [priced(row) for row in rows], "total": len(rows)})


async def open_cart(request: web.Request) -> web.Response:
    shop, session, sent = shop_of(request), await customer(request), await payload(request)
    number, quantity = sent.get("item"), sent.get("quantity", 1)
    if not isinstance(quantity, int) or not 1 <= quantity <= MAX_QUANTITY:
        return problem(422, f"want a quantity from 1 to {MAX_QUANTITY}, got {quantity!r}")
    item = await shop.store.item(number) if isinstance(number, int) else None
    if item is None:
        return problem(422, f"want the id of an item, got {number!r}")
    at = monotonic() + shop.pricing_s
    cart = await shop.store.open_cart(session.user, item["id"], quantity, at)
    return web.json_response({"id": cart}, status=201, headers={"Location": f"/api/cart/{cart}"})


async def _cart(request: web.Request) -> tuple[Row, bool] | None:
    """Return the cart that is meant, and whether it has its price by now."""
    shop, session = shop_of(request), await customer(request)
    found = await shop.store.cart(request.match_info["id"], session.user)
    if found is None:
        return None
    if shop.is_broken(Fault.WRONG_TOTAL):
        found["cents"] += 1
    is_priced = found["priced_at"] <= monotonic() and not shop.is_broken(Fault.CART_NEVER_PRICED)
    return found, is_priced


async def cart(request: web.Request) -> web.Response:
    found = await _cart(request)
    if found is None:
        return problem(404, "want a cart of yours")
    row, is_priced = found
    lines = [{key: line[key] for key in ("id", "name", "quantity")} for line in row["lines"]]
    body: dict[str, Any] = {"id": row["id"], "lines": lines, "priced": is_priced}
    if is_priced:
        body |= {"total": row["cents"] / 100, "currency": "EUR"}
    return web.json_response(body)


async def pay(request: web.Request) -> web.Response:
    shop, session, sent = shop_of(request), await customer(request), await payload(request)
    found = await _cart(request)
    if found is None:
        return problem(404, "want a cart of yours")
    row, is_priced = found
    if not is_priced:
        return problem(409, "want a cart with a price")
    if shop.is_broken(Fault.PAY_HANGS):
        await hang(shop)
    card = str(sent.get("card", ""))
    if shop.is_broken(Fault.PAY_DECLINED) or not card.isdigit() or len(card) < CARD_DIGITS:
        return problem(402, "card declined")
    order = await shop.store.open_order(session.user, row["cents"])
    await shop.store.close_cart(row["id"], session.user)
    return web.json_response({"order": order, "paid": True, "total": row["cents"] / 100})


async def close_cart(request: web.Request) -> web.Response:
    session = await customer(request)
    closed = await shop_of(request).store.close_cart(request.match_info["id"], session.user)
    return web.Response(status=204) if closed else problem(404, "want a cart of yours")


async def orders(request: web.Request) -> web.Response:
    shop, session = shop_of(request), await customer(request)
    rows = await shop.store.orders(session.user)
    if shop.is_broken(Fault.ORDER_LOST):
        rows = rows[1:]
    told = [{"id": row["id"], "total": row["cents"] / 100} for row in rows]
    return web.json_response({"orders": told})


async def cancel(request: web.Request) -> web.Response:
    shop, session = shop_of(request), await customer(request)
    if shop.is_broken(Fault.CANCEL_FAILS):
        return problem(500, "the warehouse does not answer")
    gone = await shop.store.cancel_order(request.match_info["id"], session.user)
    return web.Response(status=204) if gone else problem(404, "want an order of yours")


ROUTES = (
    web.post("/api/login", login),
    web.post("/api/logout", logout),
    web.get("/api/items", items),
    web.post("/api/cart", open_cart),
    web.get("/api/cart/{id}", cart),
    web.post("/api/cart/{id}/pay", pay),
    web.delete("/api/cart/{id}", close_cart),
    web.get("/api/orders", orders),
    web.delete("/api/orders/{id}", cancel),
)
