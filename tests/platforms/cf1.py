"""CF1 in small: a login, proposals, investments in a sandbox, wallets that must sign."""

from aiohttp import web

from tests.platforms.stand_in import PASSWORD, TOKEN, Platform, Route, nothing, ok, want_token

PROPOSAL = {"id": "p-1", "funding": {"goal": 1000, "raised": 10}}


async def log_in(platform: Platform, request: web.Request) -> web.Response:
    sent = await request.json()
    if sent["password"] != PASSWORD:
        return nothing(401)
    return ok({"token": TOKEN, "user": {"email": sent["email"]}})


async def proposals(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return ok({"proposals": [PROPOSAL]})


async def proposal(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return ok(PROPOSAL)


async def invest(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    sent = await request.json()
    assert request.headers["Idempotency-Key"]
    made = {"id": platform.new_id(), "proposal": sent["proposal"], "sandbox": sent["sandbox"]}
    platform.state["investment"] = made
    return ok(made, 201)


async def portfolio(platform: Platform, request: web.Request) -> web.Response:
    """Show an investment from the second look on: the ledger is behind."""
    want_token(request)
    is_there = platform.asked.count("GET /api/portfolio") > 1
    return ok({"investments": [platform.state["investment"]] if is_there else []})


async def withdraw(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return nothing(204 if platform.state.pop("investment", None) else 404)


async def challenge(platform: Platform, request: web.Request) -> web.Response:
    address = (await request.json())["address"]
    return ok({"message": f"CF1 asks {address}", "nonce": "n-1"})


async def refuse(platform: Platform, request: web.Request) -> web.Response:
    return nothing(401)


ROUTES: dict[str, Route] = {
    "POST /api/auth/login": log_in,
    "GET /api/proposals": proposals,
    "GET /api/proposals/{id}": proposal,
    "POST /api/investments": invest,
    "GET /api/portfolio": portfolio,
    "DELETE /api/investments/{id}": withdraw,
    "POST /api/wallet/challenge": challenge,
    "POST /api/wallet/connect": refuse,
    "GET /api/admin/users": refuse,
}
