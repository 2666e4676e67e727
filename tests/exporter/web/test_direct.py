"""Requests for a run, which aiohttp does not see: the same rules, and nobody runs for nobody."""

import asyncio

import pytest

from exporter.on_demand.question import Refused
from exporter.web import server as server_module
from exporter.web.server import WebServer
from tests.exporter.web.conftest import Connect, Serve
from tests.exporter.web.support import FakeBackend, request
from tests.waiting import until

PROBE = "/probe?target=h:1"


@pytest.fixture
def gate(backend: FakeBackend) -> asyncio.Event:
    """Runs go on until it is set."""
    backend.ask_gate = asyncio.Event()
    return backend.ask_gate


async def test_one_connection_serves_runs_and_pages_in_turn(
    server: WebServer, connect: Connect
) -> None:
    client = await connect(server)

    paths = (PROBE, "/-/ready", PROBE, "/metrics", PROBE)
    statuses = [(await client.ask("GET", path)).status for path in paths]

    assert statuses == [200] * 5


async def test_requests_that_are_sent_ahead_are_answered_in_order(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    client = await connect(server)
    wanted = [f"/probe?target=h:{port}" for port in (1, 2, 3)]

    await client.send(b"".join(request("GET", path) for path in (*wanted, "/-/ready")))
    replies = [(await client.reply()).text for _ in range(4)]

    assert replies == ["probe_success 1\n"] * 3 + ["Ready"]
    assert [question.target for question in backend.asked] == ["h:1", "h:2", "h:3"]


async def test_who_sends_too_much_ahead_is_cut_off(
    server: WebServer, connect: Connect, backend: FakeBackend, gate: asyncio.Event
) -> None:
    client = await connect(server)
    await client.send(request("GET", PROBE))
    await until(lambda: backend.asked)

    await client.send(b"x" * 40_000)

    assert await client.ended()
    assert backend.given_up == 1


@pytest.mark.parametrize("first", [PROBE, "/-/ready"])
async def test_a_run_ends_when_its_client_has_gone(
    server: WebServer, connect: Connect, backend: FakeBackend, gate: asyncio.Event, first: str
) -> None:
    """Over both ways: a connection that aiohttp has begun with stays with it."""
    client = await connect(server)
    if first != PROBE:
        await client.ask("GET", first)
    await client.send(request("GET", PROBE))
    await until(lambda: backend.asked)

    await client.close()
    await until(lambda: backend.given_up)

    assert backend.requests["probe", "4xx"] == 1


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        pytest.param("1.1", "", True, id="as usual"),
        pytest.param("1.1", "close", False, id="not wanted"),
        pytest.param("1.0", "", False, id="an old client"),
        pytest.param("1.0", "keep-alive", True, id="an old client that asks for it"),
    ],
)
async def test_a_connection_stays_when_the_client_wants_it(
    server: WebServer, connect: Connect, version: str, connection: str, stays: bool
) -> None:
    client = await connect(server)
    head = request("GET", PROBE, connection=connection)
    await client.send(head.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))

    reply = await client.reply()

    assert (reply.status, reply.text) == (200, "probe_success 1\n")
    assert reply.headers["connection"] == ("keep-alive" if stays else "close")
    assert {"date", "content-security-policy", "cache-control"} <= reply.headers.keys()
    if stays:
        assert (await client.ask("GET", PROBE)).status == 200
    else:
        assert await client.ended()


async def test_a_connection_that_aiohttp_sees_nothing_of_stays(
    serve: Serve,
    connect: Connect,
    gate: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scraper's were cut 30 s after they had been opened, in the middle of a run."""
    monkeypatch.setattr(server_module, "KEEP_ALIVE_S", 0.02)
    client = await connect(await serve())
    asyncio.get_running_loop().call_later(0.15, gate.set)

    first = await client.ask("GET", PROBE)
    then = await client.ask("GET", PROBE)

    assert (first.status, then.status) == (200, 200)


async def test_a_head_has_the_length_and_no_body(server: WebServer, connect: Connect) -> None:
    client = await connect(server)

    reply = await client.ask("HEAD", PROBE)

    assert reply.headers["content-length"] == str(len("probe_success 1\n"))
    assert (await client.ask("GET", PROBE)).text == "probe_success 1\n"


async def test_a_bug_ends_the_connection_and_not_the_server(
    server: WebServer, connect: Connect, backend: FakeBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.ask_error = RuntimeError("bug")
    client = await connect(server)

    await client.send(request("GET", PROBE))

    assert await client.ended()
    assert "want an answer to a request, got RuntimeError" in caplog.text
    backend.ask_error = Refused(403, "no\n")
    assert (await (await connect(server)).ask("GET", PROBE)).status == 403


async def test_a_page_is_packed_for_who_takes_it(server: WebServer, connect: Connect) -> None:
    client = await connect(server)

    reply = await client.ask("GET", PROBE, accept_encoding="gzip")

    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["vary"] == "Accept-Encoding"
    assert reply.body[:2] == b"\x1f\x8b"


async def test_an_empty_line_between_two_requests_is_ignored(
    server: WebServer, connect: Connect
) -> None:
    """RFC 9112, 2.2: some clients send one behind a request."""
    client = await connect(server)

    await client.send(request("GET", PROBE) + b"\r\n")
    assert (await client.reply()).status == 200
    await client.send(request("GET", PROBE))

    assert (await client.reply()).status == 200


async def test_whoever_takes_no_answers_gets_no_more_of_them(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    """They would pile up in our memory: 300 requests fit into what may be sent ahead."""
    backend.ask_page = b"x" * 2**20
    client = await connect(server)
    await client.send(request("GET", PROBE) * 64)
    await until(lambda: any(one.stalled_since for one in server.connections.all()))
    for _ in range(200):  # as many turns of the loop as all would take
        await asyncio.sleep(0)

    assert len(backend.asked) < 32
    assert {len((await client.reply()).body) for _ in range(64)} == {2**20}
