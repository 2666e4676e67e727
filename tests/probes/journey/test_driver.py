"""The check driver against servers that behave and servers that do not."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from probes.errors import CheckFailed
from probes.journey.driver import Driver, drive
from probes.journey.keeping import MAX_CONNECTIONS
from probes.journey.model import Answer, Effect, Pause, Played, Query, Request, Response
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.options import Options
from probes.wire.policy import POLICY, Policy, Rule
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.faults.kept import CLOSE, HANG, OK, STAY, KeptServer, kept_server
from tests.faults.kept import answer as framed
from tests.faults.tcp import Handler, closed_port, dripping, resetting, talking, tcp_fault
from tests.harness import ours

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"


@pytest_asyncio.fixture
async def driver() -> AsyncIterator[Driver]:
    before = asyncio.all_tasks()
    async with Driver(Options()) as driver:
        yield driver
    assert not list(filter(ours, asyncio.all_tasks() - before))


def to(server: KeptServer | str, method: str = "GET", **more: Any) -> Request:
    url = server if isinstance(server, str) else server.url
    return Request("ask", method, parse_url(url), **more)


async def asked(driver: Driver, handler: Handler, **more: Any) -> Response:
    async with tcp_fault(handler) as port:
        return await driver.fetch(to(f"http://127.0.0.1:{port}/", **more))


async def test_each_request_has_its_own_phases_and_bytes(driver: Driver) -> None:
    async with kept_server([framed(b"one"), framed(b"three"), STAY]) as server:
        first = await driver.fetch(to(server, "POST", body=b"12345"))
        second = await driver.fetch(to(server))

    assert [p.name for p in first.phases] == ["resolve", "connect", "processing", "transfer"]
    assert [p.name for p in second.phases] == ["processing", "transfer"]
    assert (first.sent, first.received, first.body) == (5, 3, b"one")
    assert (second.sent, second.received, second.body) == (0, 5, b"three")
    assert (first.reused, second.reused) == (False, True)
    assert first.seconds >= sum(phase.seconds for phase in first.phases)
    # the connection is told of wherever it is used
    assert first.facts["address"] == second.facts["address"]


async def test_a_redirect_is_an_answer_and_keeps_its_connection(driver: Driver) -> None:
    gone = framed(b"there", "303 See", "Location: /in", "Set-Cookie: a=1", "Set-Cookie: b=2")
    async with kept_server([gone, OK, STAY]) as server:
        first = await driver.fetch(to(server))
        second = await driver.fetch(to(server, hop=1))
        assert server.connections == 1

    assert first.status == 303
    assert [v for name, v in first.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert second.status == 200


@pytest.mark.parametrize(
    ("handler", "reason", "phase"),
    [
        pytest.param(resetting, Reason.CLOSED, "processing", id="reset"),
        pytest.param(talking(b"junk\r\n\r\n"), Reason.PROTOCOL, "transfer", id="junk"),
        pytest.param(dripping(HEAD), Reason.TIMEOUT, "transfer", id="the head drips"),
        pytest.param(dripping(b"x" * 3 + HEAD), Reason.PROTOCOL, "transfer", id="junk drips"),
    ],
)
async def test_what_is_no_answer_is_a_failure(
    handler: Handler, reason: Reason, phase: str, driver: Driver
) -> None:
    response = await asked(driver, handler, timeout_s=0.2)

    assert response.failure is not None
    assert response.failure.reason is reason
    assert response.status == 0
    assert response.failure.phase == phase
    assert not response.phases[-1].complete


@pytest.mark.parametrize(
    ("said", "reason", "body"),
    [
        pytest.param([HEAD + b"half", HANG], Reason.TIMEOUT, b"half", id="it stalls"),
        pytest.param([HEAD + b"half"], Reason.CLOSED, b"half", id="cut off"),
        pytest.param([framed(b"x" * 5000)], Reason.TOO_LARGE, b"x" * 1000, id="large"),
        pytest.param(
            [framed(gzip.compress(bytes(10**7)), "200 OK", "Content-Encoding: gzip")],
            Reason.TOO_LARGE, bytes(1000), id="a bomb",
        ),
        pytest.param(
            [framed(b"\x1f\x8bjunk and junk", "200 OK", "Content-Encoding: gzip")],
            Reason.PROTOCOL, b"", id="corrupt gzip",
        ),
    ],
)  # fmt: skip
async def test_a_body_that_breaks_off_leaves_what_came(
    said: list[bytes], reason: Reason, body: bytes, driver: Driver
) -> None:
    async with kept_server(said) as server:
        response = await driver.fetch(to(server, timeout_s=0.3, max_body=1000))

    assert response.failure is not None
    assert (response.failure.reason, response.failure.phase) == (reason, "transfer")
    assert (response.status, response.body) == (200, body)


async def test_a_closed_port_is_refused(driver: Driver) -> None:
    response = await driver.fetch(to(f"http://127.0.0.1:{closed_port()}/", body=b"never"))

    assert response.failure is not None
    assert (response.failure.reason, response.failure.phase) == (Reason.REFUSED, "connect")
    assert (response.sent, response.received) == (0, 0)


async def test_compressed_bodies_come_decoded_and_are_counted_on_the_wire(driver: Driver) -> None:
    packed = gzip.compress(b"hello " * 100)
    async with kept_server([framed(packed, "200 OK", "Content-Encoding: gzip"), STAY]) as server:
        response = await driver.fetch(to(server))
        (_, headers, _), *_ = server.requests

    assert response.body == b"hello " * 100
    assert response.received == len(packed)
    assert headers["accept-encoding"] == "gzip, deflate"


async def test_foreign_bytes_in_headers_come_as_clean_text(driver: Driver) -> None:
    async with kept_server([framed(b"", "500 \xff", "X-Odd: caf\xe9"), STAY]) as server:
        response = await driver.fetch(to(server))

    assert response.status == 500
    for name, value in response.headers:
        assert f"{name}{value}".encode()


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "a\r\nX-B: c"), ("X-A", "a\0"), ("X-A", "\ud800"), ("X A", "a"), ("", "a"),
        ("X-A\r\nX-B", "a"), ("Host", "a..b"), ("hOST", "x" * 300),
    ],
)  # fmt: skip
async def test_a_header_that_is_two_is_not_sent(header: tuple[str, str], driver: Driver) -> None:
    async with kept_server([OK, STAY]) as server:
        response = await driver.fetch(to(server, headers=(header,)))
        assert not server.connections

    assert response.failure is not None
    assert response.failure.reason is Reason.CONFIG


async def test_user_and_password_of_a_url_are_basic_auth_and_of_a_redirect_are_not(
    driver: Driver,
) -> None:
    async with kept_server([OK, OK, OK, STAY]) as server:
        url = server.url.replace("//", "//ann:pw@")
        await driver.fetch(to(url))
        await driver.fetch(to(url, hop=1))
        await driver.fetch(to(url, headers=(("authorization", "Bearer x"),)))
        sent = [headers.get("authorization") for _, headers, _ in server.requests]

    assert sent == ["Basic YW5uOnB3", None, "Bearer x"]


async def test_a_host_of_its_own_is_another_connection(driver: Driver) -> None:
    async with kept_server([OK, OK, STAY]) as server:
        for _ in range(2):
            await driver.fetch(to(server, headers=(("Host", "shop.test"),)))
        await driver.fetch(to(server))
        assert server.connections == 2
        assert server.requests[1][1]["host"] == "shop.test"


async def test_few_connections_are_kept_and_the_longest_unused_goes(driver: Driver) -> None:
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(kept_server([OK, OK, OK, STAY]))
            for _ in range(MAX_CONNECTIONS + 1)
        ]
        for server in (*servers, servers[1], servers[0]):
            await driver.fetch(to(server))
        await servers[2].left.wait()
        assert [server.connections for server in servers] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("method", "asked_again"), [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)]
)
async def test_only_what_may_be_repeated_is(method: str, asked_again: bool, driver: Driver) -> None:
    async with kept_server([OK, CLOSE], [OK, STAY]) as server:
        await driver.fetch(to(server))
        response = await driver.fetch(to(server, method))
        assert len(server.requests) == 2 + asked_again

    assert (response.failure is None) is asked_again


@pytest.mark.parametrize(("hop", "reason"), [(0, Reason.POLICY), (1, Reason.BLOCKED)])
async def test_every_address_is_judged(hop: int, reason: Reason, driver: Driver) -> None:
    policy = Policy(trusts_first=False, deny=(Rule(host="127.0.0.1"),))
    async with kept_server([OK, STAY]) as server:
        with POLICY.set(policy):
            response = await driver.fetch(to(server, hop=hop))
        assert not server.connections

    assert response.failure is not None
    assert response.failure.reason is reason


async def test_a_client_certificate_is_for_whom_the_journey_names(
    certificates: Path, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    server_context.verify_mode = ssl.CERT_OPTIONAL
    server_context.load_verify_locations(ca_file)
    shown: list[object] = []

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        shown.append(writer.get_extra_info("peercert"))
        writer.write(OK)

    tls = TlsOptions(
        ca_file=str(ca_file),
        cert_file=str(certificates / "client.pem"),
        key_file=str(certificates / "client.key"),
    )
    async with (
        tcp_fault(notice, context=server_context) as own,
        tcp_fault(notice, context=server_context) as other,
        Driver(Options(tls=tls)) as driver,
    ):
        for port, hop in ((own, 0), (other, 1)):
            response = await driver.fetch(to(f"https://127.0.0.1:{port}/", hop=hop))
            assert response.failure is None

    assert [bool(certificate) for certificate in shown] == [True, False]


# --- other effects


async def test_a_query_is_asked_of_whoever_is_handed_in() -> None:
    async def ask(query: Query, recorder: Recorder) -> tuple[Mapping[str, Any], ...]:
        left_s = recorder.remaining(asyncio.get_running_loop().time())
        # the clock counts since the start of the host: a difference of two readings is rounded
        assert left_s <= query.timeout_s + 1e-6
        with recorder.phase("query"):
            if query.query == "hang":
                await asyncio.Event().wait()
        if query.query == "fail":
            raise CheckFailed(Reason.AUTH, "want access, got none", phase="auth")
        return ({"n": 1},)

    def query(text: str) -> Query:
        return Query("rows", "postgres", "postgresql://u:pw-4711@h/d", text, timeout_s=0.1)

    async with Driver(Options(), ask) as driver:
        good, refused, late = [await driver.query(query(text)) for text in ("1", "fail", "hang")]

    assert (good.rows, good.failure) == (({"n": 1},), None)
    assert refused.failure is not None
    assert (refused.failure.reason, refused.failure.phase) == (Reason.AUTH, "auth")
    assert late.failure is not None
    assert (late.failure.reason, late.failure.phase) == (Reason.TIMEOUT, "query")
    assert "pw-4711" in driver.hidden


async def test_without_somebody_to_ask_a_query_is_a_mistake(driver: Driver) -> None:
    rows = await driver.query(Query("rows", "postgres", "x", "SELECT 1"))

    assert rows.failure is not None
    assert rows.failure.reason is Reason.CONFIG


# --- drive


def play(*effects: Effect, heard: list[Answer]) -> Generator[Effect, Answer, Played]:
    for effect in effects:
        answer = yield effect
        heard.append(answer)
    return Played(values={"asked": len(heard)})


async def test_a_play_is_driven_to_its_end(driver: Driver) -> None:
    heard: list[Answer] = []
    async with kept_server([OK, STAY]) as server:
        played = await drive(
            play(to(server), Pause(0.0), heard=heard), driver, stop=lambda: pytest.fail("stopped")
        )

    assert played.values == {"asked": 2}
    assert isinstance(heard[0], Response)
    assert heard[1] is None


async def test_a_stop_is_told_and_what_there_was_is_saved(driver: Driver) -> None:
    heard, stopped, saved = list[Answer](), list[bool](), list[Played]()
    async with kept_server([HANG], [OK, STAY]) as server:
        steps = play(to(server, "POST"), to(server), heard=heard)
        task = asyncio.create_task(drive(steps, driver, lambda: stopped.append(True), saved.append))
        await server.asked.wait()
        task.cancel("the end")
        with pytest.raises(asyncio.CancelledError, match="the end"):
            await task

    first, second = heard
    assert isinstance(first, Response)
    assert first.failure is not None
    assert isinstance(second, Response)
    assert second.status == 200
    assert (stopped, saved) == ([True], [Played(values={"asked": 2})])


async def test_a_second_stop_ends_it_at_once(driver: Driver) -> None:
    heard = list[Answer]()
    async with kept_server([HANG]) as server:
        steps = play(to(server), to(server), heard=heard)
        task = asyncio.create_task(drive(steps, driver, lambda: None))
        for _ in range(2):
            await server.asked.wait()
            server.asked.clear()
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        driver.close()
        await server.left.wait()

    assert len(heard) == 1
    with pytest.raises(StopIteration):
        next(steps)
