"""Takumi in small: profiles whose creation is a transaction, a node, an indexer over its events."""

from aiohttp import web

from tests.platforms.stand_in import (
    PASSWORD,
    TOKEN,
    Platform,
    Route,
    nothing,
    ok,
    rpc_method,
    want_token,
)

TRANSACTION = "0x" + "ab" * 32
VERSION = "0x" + f"{32:064x}" + f"{1:064x}" + b"1".hex().ljust(64, "0")  # the text "1", as ABI


async def log_in(platform: Platform, request: web.Request) -> web.Response:
    sent = await request.json()
    return ok({"token": TOKEN}) if sent["password"] == PASSWORD else nothing(401)


async def create(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    profile = {"id": platform.new_id(), "handle": (await request.json())["handle"]}
    platform.state["profile"] = profile
    return ok(profile | {"transaction": TRANSACTION}, 201)


async def profile(platform: Platform, request: web.Request) -> web.Response:
    return ok(platform.state["profile"])


async def remove(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return nothing(204 if platform.state.pop("profile", None) else 404)


async def node(platform: Platform, request: web.Request) -> web.Response:
    method, answer = await rpc_method(request)
    if method == "eth_call":
        return answer(platform.state.get("version", VERSION))
    assert method == "eth_getTransactionReceipt"
    return answer({"status": platform.state.get("receipt", "0x1"), "transactionHash": TRANSACTION})


async def indexer(platform: Platform, request: web.Request) -> web.Response:
    """Show the event from the second look on."""
    assert (await request.json())["variables"] == {"tx": TRANSACTION}
    is_there = platform.asked.count("POST /indexer/graphql") > 1
    event = {"contract": "Profile", "name": "ProfileCreated"}
    return ok({"data": {"events": [event] if is_there else []}})


ROUTES: dict[str, Route] = {
    "POST /auth/login": log_in,
    "POST /profiles": create,
    "GET /profiles/{id}": profile,
    "DELETE /profiles/{id}": remove,
    "POST /node": node,
    "POST /indexer/graphql": indexer,
}
