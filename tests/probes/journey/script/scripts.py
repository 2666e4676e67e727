"""Scripts for tests: written into a directory, compiled, played against a small server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from time import monotonic
from typing import Any

from aiohttp import web

from probes.journey.language.closures import Scope
from probes.journey.language.functions import chance
from probes.journey.loading.settings import World
from probes.journey.model import Played
from probes.journey.playing.stage import Context
from probes.journey.script.compile import Script, compile_script
from probes.journey.script.parent import play_script
from probes.journey.script.settings import ScriptKeys
from probes.wire.http.options import HTTP1_ALPN, Options

FILE = "journeys/shop.py"


def compiled(directory: Path, code: str, **keys: Any) -> Script:
    """Return the script *code*, whose function is called ``play``."""
    path = directory / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(dedent(code))
    python = {"file": FILE, "function": "play", **keys.pop("python", {})}
    made = ScriptKeys.model_validate({"timeout": "8s", "python": python, **keys})
    world = World(directory, environ={"REGION": "eu"})
    # off the loop, as the service does it: files are read
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(compile_script, "shop-py", made, world).result()


async def played(script: Script, url: str = "", **more: Any) -> Played:
    """Play it once."""
    scope = Scope("run-1", more.pop("iteration", 0), chance(None, 0), lambda: datetime.now(UTC), {})
    context = Context(scope, monotonic, base_url=url)
    options = Options(alpn=HTTP1_ALPN, follow_redirects=False)
    return await play_script(script, context, options, **more)


class Shop:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Mapping[str, str], str]] = []
        self.is_asked = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append((request.method, request.path_qs, dict(request.headers), text))
        self.is_asked.set()
        match request.path:
            case "/token":
                return web.json_response({"token": "t-0123456789", "n": 3})
            case "/feed":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                async for message in socket:
                    await socket.send_str(f"echo {message.data}")
                return socket
            case "/cookie":
                answer = web.Response()
                answer.set_cookie("sid", "s-42")
                return answer
            case "/broken":
                return web.Response(status=500, text="stack trace")
            case _:
                return web.Response(text="fine")

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]


@asynccontextmanager
async def served(shop: Shop) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", shop.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
