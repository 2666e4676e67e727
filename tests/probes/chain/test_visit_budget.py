"""A visit sends no more calls than its plan allows, whatever a talk wants."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest_asyncio
from aiohttp import web

from probes.chain.model import Endpoint, Group
from probes.chain.plan import Plan
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Ask, Dialect, Talk
from probes.chain.visit import Access, Setup, Visit
from probes.recorder import Recorder
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.url import Url, parse_url


@pytest_asyncio.fixture
async def url() -> AsyncIterator[Url]:
    """A node that answers everything, batches too."""

    async def answer(request: web.Request) -> web.Response:
        asked: Any = await request.json()
        if isinstance(asked, list):
            return web.json_response([{"id": one["id"], "result": 1} for one in asked])
        return web.json_response({"id": asked["id"], "result": 1})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield parse_url(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    await runner.cleanup()


async def driven(url: Url, plan: Plan, talk: Talk[list[str]]) -> tuple[list[str], Visit]:
    endpoint = Endpoint("own")
    access = Access(endpoint, url, Options(alpn=HTTP1_ALPN, follow_redirects=False))
    group = Group("evm", "it", (endpoint,))
    setup = Setup(group, cast("Dialect", None), {"own": access}, 2.0, 0)
    visit = Visit(setup, access, plan, Recorder())
    try:
        return await visit.drive(talk), visit
    finally:
        visit.close()


def scan(count: int, *, core: bool = False) -> Talk[list[str]]:
    kinds: list[str] = []
    for _ in range(count):
        answer: Answer = yield Ask("scan", "eth_getBlockByNumber", core=core)
        kinds.append(answer.reason.value if answer.reason else answer.kind)
    return kinds


async def test_a_scan_ends_where_the_budget_does(url: Url) -> None:
    """chains.md 2.1: never exceeded."""
    kinds, visit = await driven(url, Plan(calls=3), scan(5))

    assert kinds == ["ok"] * 3 + [ChainReason.BUDGET_SHED.value] * 2
    assert len(visit.seen.tries) == 3
    assert visit.seen.shed == {"scan"}
    assert visit.lost is None


async def test_a_batch_is_sent_whole_or_not_at_all(url: Url) -> None:
    def talk() -> Talk[list[str]]:
        first = yield (Ask("a", "m"), Ask("b", "m"))
        second = yield (Ask("c", "m"), Ask("d", "m"))
        return [answer.kind for answer in (*first, *second)]

    kinds, visit = await driven(url, Plan(calls=3, batch=True), talk())

    assert kinds == ["ok", "ok", "transport", "transport"]
    assert len(visit.seen.tries) == 2
    assert "c" in visit.seen.shed


async def test_a_core_method_is_asked_though_tries_have_used_up_the_budget(url: Url) -> None:
    kinds, visit = await driven(url, Plan(calls=1), scan(2, core=True))

    assert kinds == ["ok", "ok"]
    assert not visit.seen.shed
