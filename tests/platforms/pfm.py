"""The PFM community in small: a vote that is counted, a wallet, and the chain behind both."""

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

LAMPORTS = 5_000_000


async def log_in(platform: Platform, request: web.Request) -> web.Response:
    sent = await request.json()
    return ok({"token": TOKEN}) if sent["password"] == PASSWORD else nothing(401)


async def community(platform: Platform, request: web.Request) -> web.Response:
    return ok({"name": request.match_info["name"], "open_votes": [{"id": "v-1"}]})


async def vote(platform: Platform, request: web.Request) -> web.Response:
    """Count a ballot from the second look behind it on: the chain takes its time."""
    looks = platform.asked.count("GET /api/votes/{id}")
    is_counted = "ballot" in platform.state and looks > 2
    return ok({"id": "v-1", "tally": {"total": 41 + is_counted}})


async def cast(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    if "ballot" in platform.state:
        return nothing(409)
    platform.state["ballot"] = platform.new_id()
    return ok({"id": platform.state["ballot"]}, 201)


async def take_back(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return nothing(204 if platform.state.pop("ballot", None) else 404)


async def watch(platform: Platform, request: web.Request) -> web.Response:
    platform.state["wallet"] = (await request.json())["address"]
    return ok({"address": platform.state["wallet"]}, 201)


async def balance(platform: Platform, request: web.Request) -> web.Response:
    assert request.match_info["address"] == platform.state["wallet"]
    return ok({"lamports": LAMPORTS})


async def forget(platform: Platform, request: web.Request) -> web.Response:
    return nothing(204 if platform.state.pop("wallet", None) else 404)


async def solana(platform: Platform, request: web.Request) -> web.Response:
    method, answer = await rpc_method(request)
    assert method == "getBalance"
    return answer({"context": {"slot": 1}, "value": LAMPORTS})


ROUTES: dict[str, Route] = {
    "POST /api/auth/login": log_in,
    "GET /api/communities/{name}": community,
    "GET /api/votes/{id}": vote,
    "POST /api/votes/{id}/ballots": cast,
    "DELETE /api/votes/{id}/ballots/{ballot}": take_back,
    "POST /api/wallets": watch,
    "GET /api/wallets/{address}/balance": balance,
    "DELETE /api/wallets/{address}": forget,
    "POST /solana": solana,
}
