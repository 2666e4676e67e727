"""The New Fuse in small: a login with a second factor, workflows and tasks that take a moment."""

import re

from aiohttp import web

from tests.platforms.stand_in import PASSWORD, Platform, Route, nothing, ok, want_token

SERVICE = PASSWORD  # FUSE_TOKEN of examples/platforms.env: the same harmless word


async def health(platform: Platform, request: web.Request) -> web.Response:
    return ok({"status": "healthy"})


async def log_in(platform: Platform, request: web.Request) -> web.Response:
    sent = await request.json()
    if sent["password"] != PASSWORD or not re.fullmatch("[0-9]{6}", sent["code"]):
        return nothing(401)
    platform.state |= {"token": "first", "email": sent["email"]}
    return ok({"access_token": "first", "refresh_token": "again"})


async def me(platform: Platform, request: web.Request) -> web.Response:
    want_token(request, platform.state["token"])
    return ok({"email": platform.state["email"]})


async def refresh(platform: Platform, request: web.Request) -> web.Response:
    if (await request.json())["refresh_token"] != "again":
        return nothing(401)
    platform.state["token"] = "second"
    return ok({"access_token": "second"})


async def log_out(platform: Platform, request: web.Request) -> web.Response:
    want_token(request, platform.state["token"])
    platform.state["token"] = "none any more"
    return nothing()


async def create(platform: Platform, request: web.Request) -> web.Response:
    want_token(request, SERVICE)
    platform.state["workflow"] = await request.json()
    return ok({"id": platform.new_id()}, 201)


async def run(platform: Platform, request: web.Request) -> web.Response:
    want_token(request, SERVICE)
    return ok({"id": platform.new_id()}, 202)


async def execution(platform: Platform, request: web.Request) -> web.Response:
    """Run at the first look, done at the second."""
    want_token(request, SERVICE)
    if platform.asked.count("GET /api/v1/executions/{id}") == 1:
        return ok({"status": "running", "steps": []})
    (step,) = platform.state["workflow"]["steps"]
    return ok({"status": "succeeded", "steps": [{"output": step["input"]}]})


async def delete(platform: Platform, request: web.Request) -> web.Response:
    want_token(request, SERVICE)
    return nothing(204 if platform.state.pop("workflow", None) else 404)


async def queue(platform: Platform, request: web.Request) -> web.Response:
    want_token(request, SERVICE)
    platform.state["task"] = await request.json()
    return ok({"id": platform.new_id()}, 202)


async def task(platform: Platform, request: web.Request) -> web.Response:
    """Wait at the first look, done at the second."""
    want_token(request, SERVICE)
    if platform.asked.count("GET /api/v1/tasks/{id}") == 1:
        return ok({"status": "queued"})
    return ok({"status": "completed", "result": platform.state["task"]["payload"]})


ROUTES: dict[str, Route] = {
    "GET /health": health,
    "POST /api/v1/auth/login": log_in,
    "GET /api/v1/me": me,
    "POST /api/v1/auth/refresh": refresh,
    "POST /api/v1/auth/logout": log_out,
    "POST /api/v1/workflows": create,
    "POST /api/v1/workflows/{id}/executions": run,
    "GET /api/v1/executions/{id}": execution,
    "DELETE /api/v1/workflows/{id}": delete,
    "POST /api/v1/tasks": queue,
    "GET /api/v1/tasks/{id}": task,
}
