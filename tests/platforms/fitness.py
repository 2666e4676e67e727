"""The booking of fitness events in small: bookings, payments in test mode, health, live numbers."""

from aiohttp import web

from tests.platforms.stand_in import PASSWORD, TOKEN, Platform, Route, nothing, ok, want_token

EVENT = {"id": "e-1", "category": "yoga", "price": 12.5}
HEALTHY = {
    "status": "healthy",
    "database": {"healthy": True, "connection_test": True, "response_time_ms": 3},
    "redis": {"healthy": True, "response_time_ms": 1},
    "file_system": {"healthy": True, "accessible": True, "uploads_size_mb": 80},
    "memory": {"healthy": True, "percent_used": 41.5, "status": "healthy"},
}
NUMBERS = {"active_connections": 1, "memory_usage": {"memory_percent": 40.0}, "error_count": 0}


async def health(platform: Platform, request: web.Request) -> web.Response:
    return ok(HEALTHY)


async def token(platform: Platform, request: web.Request) -> web.Response:
    sent = await request.post()
    return ok({"access_token": TOKEN}) if sent["password"] == PASSWORD else nothing(401)


async def events(platform: Platform, request: web.Request) -> web.Response:
    return ok({"events": [EVENT]})


async def book(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    booking = {"id": platform.new_id(), "state": "reserved", "total": EVENT["price"]}
    platform.state["booking"] = booking
    return ok(booking, 201)


async def pay(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    sent = await request.json()
    assert request.headers["Idempotency-Key"] == request.match_info["id"]
    platform.state["booking"] |= {"state": "paid", "test_mode": sent["test_mode"]}
    return ok(platform.state["booking"])


async def booking(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return ok(platform.state["booking"])


async def cancel(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return nothing(204 if platform.state.pop("booking", None) else 404)


async def pool(platform: Platform, request: web.Request) -> web.Response:
    want_token(request)
    return ok({"pool_size": 100})


async def live(platform: Platform, request: web.Request) -> web.WebSocketResponse:
    """Send the numbers twice: of the first message and the next one."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    for _ in range(2):
        await socket.send_json(platform.state.get("numbers", NUMBERS))
    await socket.receive()
    return socket


ROUTES: dict[str, Route] = {
    "GET /health": health,
    "POST /auth/token": token,
    "GET /events": events,
    "POST /bookings": book,
    "POST /bookings/{id}/payment": pay,
    "GET /bookings/{id}": booking,
    "DELETE /bookings/{id}": cancel,
    "GET /admin/db-pool-status": pool,
    "GET /ws/metrics": live,
}
