"""The connections of one visit: to the RPC, and to the REST service beside it."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest_asyncio
from aiohttp import web

from probes.chain.model import Endpoint, Group
from probes.chain.plan import Plan
from probes.chain.talk import Answer, Ask, Dialect, Talk
from probes.chain.visit import Access, Setup, Visit
from probes.recorder import Recorder
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.url import Url, parse_url

CALL_TIMEOUT_S = 0.1


class Rest:
    """A REST service: ``/hang`` never answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/hang":
            await self.over.wait()
        return web.json_response({"height": "1"})


@pytest_asyncio.fixture
async def rest() -> AsyncIterator[tuple[Rest, Url]]:
    it, app = Rest(), web.Application()
    app.router.add_get("/{path:.*}", it.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield it, parse_url(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    it.over.set()
    await runner.cleanup()


def visit_of(url: Url) -> Visit:
    endpoint = Endpoint("own", lcd=True)
    options = Options(alpn=HTTP1_ALPN, follow_redirects=False)
    access = Access(endpoint, url, options, lcd=url)
    setup = Setup(
        Group("cosmos", "it", (endpoint,)),
        cast("Dialect", None),
        {"own": access},
        CALL_TIMEOUT_S,
        retries=0,
    )
    return Visit(setup, access, Plan(calls=20), Recorder())


def get(*paths: str) -> Talk[list[str]]:
    kinds: list[str] = []
    for path in paths:
        answer: Answer = yield Ask("lcd", "lcd it", via="lcd", path=path)
        kinds.append(answer.kind)
    return kinds


async def test_a_rest_service_has_the_time_of_the_part_in_which_it_is_asked(
    rest: tuple[Rest, Url],
) -> None:
    """Asked in round 1, and again in the survey: that comes after the time of round 1."""
    loop, is_over = asyncio.get_running_loop(), asyncio.Event()
    visit = visit_of(rest[1])
    ends = loop.time() + 0.1
    try:
        visit.limit(ends)
        first = await visit.drive(get("/"))
        # another endpoint hangs until the part is over
        loop.call_at(ends, is_over.set)
        await is_over.wait()
        visit.limit(loop.time() + 5)
        second = await visit.drive(get("/"))
    finally:
        visit.close()

    assert (first, second) == (["ok"], ["ok"])


async def test_a_rest_service_that_hangs_costs_one_call(rest: tuple[Rest, Url]) -> None:
    """Round 2 waits for all of round 1."""
    service, url = rest
    visit = visit_of(url)
    try:
        kinds = await visit.drive(get("/hang", "/", "/"))
    finally:
        visit.close()

    assert kinds == ["transport"] * 3
    assert service.asked == ["/hang"]
    assert visit.lost is None


def test_no_host_of_an_endpoint_may_be_shown() -> None:
    """Some providers put the key into the name."""
    endpoint = Endpoint("own")
    hosts = ("k1.rpc.example", "k2.ws.example", "k3.lcd.example")
    url, ws, lcd = (parse_url(f"https://{host}/") for host in hosts)
    access = Access(endpoint, url, Options(), ws=ws, lcd=lcd)
    setup = Setup(Group("cosmos", "it", (endpoint,)), cast("Dialect", None), {}, 1.0, 0)

    visit = Visit(setup, access, Plan(), Recorder())

    assert set(hosts) <= set(visit.recorder.secrets)
