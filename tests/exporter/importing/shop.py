"""A small shop, and a recorder that writes down as HAR what a browser would have."""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, CookieJar, web

PASSWORD = "correct-horse-battery"
TRACKER = "https://www.google-analytics.com/collect?v=1"


class Shop:
    """Gives a token, a cookie and a hidden field that are new each time, and wants them back."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.carts: dict[str, list[int]] = {}
        self.forms: set[str] = set()
        self.sessions: set[str] = set()
        self.paid: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self.home),
                web.get("/logo.png", self.logo),
                web.post("/signup", self.signup),
                web.get("/welcome", self.welcome),
                web.post("/api/login", self.login),
                web.get("/api/items", self.items),
                web.get("/api/items/{id}", self.item),
                web.post("/api/cart", self.cart),
                web.post("/api/cart/{id}/pay", self.pay),
            ]
        )
        return app

    async def home(self, request: web.Request) -> web.Response:
        field = secrets.token_hex(12)
        self.forms.add(field)
        page = f'<form><input type="hidden" name="csrf" value="{field}"></form>'
        return web.Response(text=page, content_type="text/html")

    async def logo(self, request: web.Request) -> web.Response:
        return web.Response(body=b"\x89PNG", content_type="image/png")

    async def signup(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("csrf") not in self.forms or form.get("password") != PASSWORD:
            return web.Response(status=403)
        answer = web.Response(status=302, headers={"Location": "/welcome"})
        session = secrets.token_hex(8)
        self.sessions.add(session)
        answer.set_cookie("sid", session)
        return answer

    async def welcome(self, request: web.Request) -> web.Response:
        if request.cookies.get("sid") not in self.sessions:
            return web.Response(status=403)
        return web.Response(text="<h1>Welcome</h1>", content_type="text/html")

    async def login(self, request: web.Request) -> web.Response:
        sent = await request.json()
        if sent != {"user": "ada@example.org", "password": PASSWORD}:
            return web.json_response({"error": "no"}, status=401)
        token = secrets.token_hex(20)
        self.tokens.add(token)
        return web.json_response({"token": token, "expires_in": 60})

    def _guard(self, request: web.Request) -> None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise web.HTTPUnauthorized

    async def items(self, request: web.Request) -> web.Response:
        self._guard(request)
        return web.json_response({"items": [{"id": 7, "name": "lamp"}], "total": 1})

    async def item(self, request: web.Request) -> web.Response:
        self._guard(request)
        return web.json_response({"id": int(request.match_info["id"]), "name": "lamp"})

    async def cart(self, request: web.Request) -> web.Response:
        self._guard(request)
        sent = await request.json()
        cart = secrets.token_hex(4)
        self.carts[cart] = [sent["item"]]
        return web.json_response({"id": cart, "items": [sent]}, status=201)

    async def pay(self, request: web.Request) -> web.Response:
        self._guard(request)
        if request.match_info["id"] not in self.carts:
            return web.json_response({"error": "no such cart"}, status=404)
        self.paid.append(request.match_info["id"])
        return web.Response(status=204)


@asynccontextmanager
async def served(shop: Shop) -> AsyncIterator[str]:
    runner = web.AppRunner(shop.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def recorded(url: str) -> dict[str, Any]:
    """Shop once, as a user with a browser, and return the HAR."""
    log: list[dict[str, Any]] = []
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:

        async def ask(method: str, path: str, **more: Any) -> Any:
            headers = {"User-Agent": "Firefox", "Accept": "*/*", **more.pop("headers", {})}
            async with session.request(
                method, url + path, headers=headers, allow_redirects=False, **more
            ) as came:
                body = await came.read()
                log.append(entry(came, body, more))
                return json.loads(body) if "json" in came.content_type and body else body.decode()

        page = await ask("GET", "/")
        field = page.partition('value="')[2].partition('"')[0]
        log.append(_other("GET", url + "/logo.png", "image/png"))
        log.append(_other("GET", TRACKER, "text/plain"))
        log.append(_other("OPTIONS", url + "/api/login", "", preflight=True))
        form = {"csrf": field, "email": "ada@example.org", "password": PASSWORD}
        await ask("POST", "/signup", data=form)
        await ask("GET", "/welcome")
        user = {"user": "ada@example.org", "password": PASSWORD}
        token = (await ask("POST", "/api/login", json=user))["token"]
        told = {"headers": {"Authorization": f"Bearer {token}"}}
        await ask("GET", "/api/items?q=lamp&_=1700000000", **told)
        await ask("GET", "/api/items/7", **told)
        cart = (await ask("POST", "/api/cart", json={"item": 7, "qty": 1}, **told))["id"]
        await ask("POST", f"/api/cart/{cart}/pay", **told)
    return {"log": {"version": "1.2", "creator": {"name": "test", "version": "1"}, "entries": log}}


def entry(came: Any, body: bytes, sent: dict[str, Any]) -> dict[str, Any]:
    """Return one exchange of aiohttp as an entry of a HAR."""
    request: dict[str, Any] = {
        "method": came.method,
        "url": str(came.url),
        "headers": [{"name": n, "value": v} for n, v in came.request_info.headers.items()],
    }
    if "json" in sent:
        text = json.dumps(sent["json"])
        request["postData"] = {"mimeType": "application/json; charset=utf-8", "text": text}
    if "data" in sent:
        params = [{"name": n, "value": v} for n, v in sent["data"].items()]
        request["postData"] = {"mimeType": "application/x-www-form-urlencoded", "params": params}
    content = {
        "mimeType": came.headers.get("Content-Type", ""),
        "text": base64.b64encode(body).decode(),
        "encoding": "base64",
    }
    headers = [{"name": n, "value": v} for n, v in came.headers.items()]
    return {
        "request": request,
        "response": {"status": came.status, "headers": headers, "content": content},
    }


def _other(method: str, url: str, type_: str, *, preflight: bool = False) -> dict[str, Any]:
    names = ["Access-Control-Request-Method"] if preflight else []
    return {
        "request": {
            "method": method, "url": url, "headers": [{"name": n, "value": "POST"} for n in names]
        },
        "response": {"status": 200, "headers": [], "content": {"mimeType": type_}},
    }  # fmt: skip
