"""The pages of the shop: catalogue, login, cart, checkout, receipt, over forms and one cookie."""

from pathlib import Path
from time import monotonic

from aiohttp import web

from tests.shop import markup
from tests.shop.faults import Fault
from tests.shop.meddling import hang
from tests.shop.state import COOKIE, Shop, open_session, shop_of, visitor
from tests.shop.store import Session

STATIC = Path(__file__).parent / "static"
CART = "cart"
CARD_DIGITS = 12


async def _answer(
    request: web.Request, title: str, body: str, status: int = 200, session: Session | None = None
) -> web.Response:
    """Return a page; a visitor without a session gets the one that the page was made for."""
    shop = shop_of(request)
    known = await visitor(request)
    user = known.user if known else ""
    text = markup.page(title, body, user=user, fault=shop.switch.fault)
    response = web.Response(text=text, content_type="text/html", status=status)
    if session is not None and known is None:
        _set(response, COOKIE, session.sid)
    return response


def _set(response: web.StreamResponse, name: str, value: str) -> None:
    response.set_cookie(name, value, httponly=True, samesite="Lax", path="/")


async def _session(request: web.Request) -> Session:
    """Return the session of who looks; a new one of nobody when there is none."""
    return await visitor(request) or await open_session(shop_of(request), "")


async def _sorry(
    request: web.Request, status: int, title: str, text: str = "Please try again."
) -> web.Response:
    return await _answer(request, title, markup.sorry(title, text), status)


async def home(request: web.Request) -> web.Response:
    return await _answer(request, "Home", markup.home())


async def search(request: web.Request) -> web.Response:
    shop, words = shop_of(request), request.query.get("q", "")
    rows = [] if shop.is_broken(Fault.SEARCH_EMPTY) else await shop.store.search(words)
    return await _answer(request, "Search", markup.results(words, rows))


async def product(request: web.Request) -> web.Response:
    row = await shop_of(request).store.item(int(request.match_info["id"]))
    if row is None:
        return await _sorry(request, 404, "Not found", "There is no such thing here.")
    session = await _session(request)
    body = markup.product(row, session.csrf)
    return await _answer(request, row["name"], body, session=session)


async def login_form(request: web.Request) -> web.Response:
    session = await _session(request)
    csrf = "" if shop_of(request).is_broken(Fault.CSRF_MISSING) else session.csrf
    return await _answer(request, "Log in", markup.login(csrf), session=session)


async def login(request: web.Request) -> web.StreamResponse:
    shop, form, session = shop_of(request), await request.post(), await visitor(request)
    if session is None or form.get("csrf") != session.csrf:
        return await _sorry(request, 403, "Forbidden", "The form is too old.")
    if shop.is_broken(Fault.BROKEN_LOGIN):
        return await _sorry(request, 500, "Something went wrong")
    found = await shop.store.customer(str(form.get("user")), str(form.get("password")))
    if found is None or shop.is_broken(Fault.LOGIN_REFUSED):
        body = markup.login(session.csrf, "Wrong user or password.")
        return await _answer(request, "Log in", body, 401)
    response = web.Response(status=303, headers={"Location": "/account"})
    if not shop.is_broken(Fault.SESSION_LOST):
        await shop.store.end_session(session.sid)
        _set(response, COOKIE, (await open_session(shop, found["name"])).sid)
    return response


async def logout(request: web.Request) -> web.StreamResponse:
    session = await visitor(request)
    if session is not None:
        await shop_of(request).store.end_session(session.sid)
    response = web.Response(status=303, headers={"Location": "/"})
    response.del_cookie(COOKIE)
    return response


def _to_login() -> web.Response:
    return web.Response(status=303, headers={"Location": "/login"})


async def account(request: web.Request) -> web.StreamResponse:
    shop, session = shop_of(request), await visitor(request)
    if session is None or not session.user:
        return _to_login()
    rows = await shop.store.orders(session.user)
    name = await shop.store.full_name(session.user)
    return await _answer(request, "Account", markup.account(name, rows))


async def cart(request: web.Request) -> web.StreamResponse:
    shop, session = shop_of(request), await visitor(request)
    if session is None or not session.user:
        return _to_login()
    row = await shop.store.cart(request.cookies.get(CART, ""), session.user)
    return await _answer(request, "Cart", markup.cart(row, session.csrf))


async def add(request: web.Request) -> web.StreamResponse:
    shop, form, session = shop_of(request), await request.post(), await visitor(request)
    if session is None or not session.user:
        return _to_login()
    if form.get("csrf") != session.csrf:
        return await _sorry(request, 403, "Forbidden", "The form is too old.")
    item, quantity = str(form.get("item")), str(form.get("quantity"))
    if not item.isdecimal() or not quantity.isdecimal() or not await shop.store.item(int(item)):
        return await _sorry(request, 422, "What is that?")
    at = monotonic() + shop.pricing_s
    made = await shop.store.open_cart(session.user, int(item), int(quantity), at)
    response = web.Response(status=303, headers={"Location": "/cart"})
    _set(response, CART, made)
    return response


async def checkout(request: web.Request) -> web.StreamResponse:
    shop, form, session = shop_of(request), await request.post(), await visitor(request)
    if session is None or not session.user:
        return _to_login()
    row = await shop.store.cart(str(form.get("cart")), session.user)
    if form.get("csrf") != session.csrf or row is None:
        return await _sorry(request, 403, "Forbidden", "The form is too old.")
    if shop.is_broken(Fault.PAY_HANGS):
        await hang(shop)
    card = str(form.get("card", "")).replace(" ", "")
    if not _is_paid(shop, card):
        return await _sorry(request, 402, "Payment declined", "Please try another card.")
    order = await shop.store.open_order(session.user, row["cents"])
    await shop.store.close_cart(row["id"], session.user)
    return web.Response(status=303, headers={"Location": f"/receipt/{order}"})


def _is_paid(shop: Shop, card: str) -> bool:
    return card.isdigit() and len(card) >= CARD_DIGITS and not shop.is_broken(Fault.PAY_DECLINED)


async def receipt(request: web.Request) -> web.StreamResponse:
    shop, session = shop_of(request), await visitor(request)
    if session is None or not session.user:
        return _to_login()
    rows = [] if shop.is_broken(Fault.ORDER_LOST) else await shop.store.orders(session.user)
    for row in rows:
        if row["id"] == request.match_info["id"]:
            return await _answer(request, "Thank you", markup.receipt(row))
    return await _sorry(request, 404, "Not found", "There is no such order.")


ROUTES = (
    web.get("/", home),
    web.get("/search", search),
    web.get(r"/items/{id:\d{1,9}}", product),
    web.get("/login", login_form),
    web.post("/login", login),
    web.post("/logout", logout),
    web.get("/account", account),
    web.get("/cart", cart),
    web.post("/cart", add),
    web.post("/checkout", checkout),
    web.get("/receipt/{id}", receipt),
)
