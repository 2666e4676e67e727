"""What targets do to a load, row by row of the list of failures in its design.

Played by the driver of loads in a thread; rows of the wire that the check driver shares stand in
`tests.probes.journey.test_hostile`.
"""

import asyncio
import ssl
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.journey.model import Dialog, Heard, Part, Pause, Played, Query, Request, Response, Rows
from probes.result import Reason
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from scenarios.child.driver import LoadDriver
from scenarios.child.resolver import Resolver
from tests.faults.http import NO_ANSWERS, fault_server
from tests.faults.kept import CLOSE, OK, STAY, answer, kept_server
from tests.faults.tcp import closed_port, dripping, tcp_fault
from tests.faults.tls import BAD_CERTIFICATES, bad_certificate
from tests.scenarios.driving import by_load, in_thread, written

QUICK = "250ms"
FLAT_BYTES = 24 * 2**20
BEFORE = {"name": "before", "get": "/ok"}
AFTER = {"name": "after", "get": "/ok"}


def ask(path: str, **more: Any) -> dict[str, Any]:
    return {"name": "ask", "get": path, **more}


async def play(base: str, *steps: dict[str, Any], **keys: Any) -> Played:
    journey = written({"steps": list(steps), **keys})
    return await in_thread(lambda: by_load(journey, base))


def judge(played: Played, reason: Reason) -> str:
    assert played.failure is not None
    assert played.failure.reason is reason
    assert {step.step: step.state for step in played.steps}.get("after", "skipped") == "skipped"
    return played.failure.message


async def test_target_4_nobody_listens() -> None:
    text = judge(await play(f"http://127.0.0.1:{closed_port()}", ask("/"), AFTER), Reason.REFUSED)

    assert text.endswith("got a refusal")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        *(pytest.param(path, reason, id=f"Target {row}") for row, path, reason in NO_ANSWERS),
        pytest.param("/1xx", Reason.PROTOCOL, id="Target 8 endless provisional answers"),
        pytest.param("/bomb/gzip", Reason.TOO_LARGE, id="Target 9 gzip bomb"),
        pytest.param("/infinite", Reason.TOO_LARGE, id="Target 12 endless"),
    ],
)
async def test_a_target_that_misbehaves(path: str, reason: Reason) -> None:
    async with fault_server() as server:
        judge(await play(server.url(""), BEFORE, ask(path, timeout="30s"), AFTER), reason)


async def test_target_12_memory_stays_flat() -> None:
    async with fault_server() as server:
        tracemalloc.start()
        try:
            judge(await play(server.url(""), ask("/bomb/gzip", timeout="30s")), Reason.TOO_LARGE)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak < FLAT_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/dripbody", "/dripheaders", "/hang"])
async def test_target_7_the_time_is_total(path: str) -> None:
    async with fault_server() as server:
        started = time.monotonic()
        text = judge(await play(server.url(""), ask(path, timeout=QUICK), AFTER), Reason.TIMEOUT)

    assert time.monotonic() - started < 1.5
    assert "want an answer within 0.25 s, got none in phase" in text


@pytest.mark.slow
async def test_target_7_the_time_of_a_handshake_is_total() -> None:
    """A server that says its hello byte by byte."""
    async with tcp_fault(dripping(b"\x16\x03\x03\x40\x00" + b"\x02" * 999)) as port:
        base = f"https://127.0.0.1:{port}"
        text = judge(await play(base, ask("/", timeout=QUICK)), Reason.TIMEOUT)

    assert text.endswith("got none in phase tls")


@pytest.mark.parametrize(("fault", "reason"), BAD_CERTIFICATES.items())
async def test_target_6_a_bad_certificate(
    fault: str, reason: Reason, ca: trustme.CA, ca_file: Path
) -> None:
    tls = {"http": {"tls": {"ca_file": str(ca_file)}}}
    async with fault_server(bad_certificate(ca, fault)) as server:
        judge(await play(server.url(""), ask("/ok"), AFTER, **tls), reason)
        assert not server.requests


async def test_a_connection_over_tls_is_kept(server_context: ssl.SSLContext, ca_file: Path) -> None:
    """Tickets of TLS 1.3 that come behind the handshake spoil nothing."""
    tls = {"http": {"tls": {"ca_file": str(ca_file)}}}
    async with kept_server(
        [OK, OK, answer(b"x" * 300_000), STAY], context=server_context
    ) as server:
        played = await play(
            server.url, *(ask(f"/{n}") | {"name": f"s{n}"} for n in range(3)), **tls
        )

        assert played.failure is None
        assert [step.received for step in played.steps] == [2, 2, 300_000]
        assert server.connections == 1


async def test_target_13_a_redirect_to_where_nobody_may_go() -> None:
    async with fault_server() as server:
        path = "/to/302?http%3A%2F%2F169.254.169.254%2Flatest"
        text = judge(await play(server.url(""), ask(path), AFTER), Reason.BLOCKED)

    assert text.endswith("got one to 169.254.169.254:80")


@pytest.mark.parametrize(
    ("verb", "sent", "reason"),
    [
        pytest.param("get", 2, None, id="a GET goes out again"),
        pytest.param("post", 1, Reason.CLOSED, id="a POST does not"),
    ],
)
async def test_target_15_closed_between_requests(
    verb: str, sent: int, reason: Reason | None
) -> None:
    async with kept_server([OK, CLOSE], [OK, STAY]) as server:
        played = await play(server.url, BEFORE, {"name": "ask", verb: "/again"})
        asked = [line for line, _, _ in server.requests if "/again" in line]

    assert len(asked) == sent
    assert (played.failure and played.failure.reason) == reason


async def test_target_15_a_connection_known_to_be_dead_is_not_used() -> None:
    """A POST goes over a new one: it has not been sent yet."""
    async with kept_server([OK], [OK, STAY]) as server:
        wait = {"wait": "50ms"}
        played = await play(server.url, BEFORE, wait, {"name": "ask", "post": "/again"})

        assert played.failure is None
        assert (server.connections, len(server.requests)) == (2, 2)


async def test_what_came_unasked_answers_nobody() -> None:
    """Here a timeout that was told to an idle connection."""
    late = answer(b"", "408 Request Timeout", "Connection: close")
    async with kept_server([OK + late, STAY], [OK, STAY]) as server:
        played = await play(server.url, BEFORE, {"wait": "20ms"}, ask("/next"))

        assert played.failure is None
        assert server.connections == 2


async def test_target_16_a_provisional_answer_is_none() -> None:
    async with fault_server() as server:
        assert (await play(server.url(""), ask("/one1xx"), AFTER)).failure is None


@pytest.mark.parametrize(
    "came",
    [
        pytest.param(answer("Fehler: Überlast".encode("latin-1"), "500 No"), id="Target 10 body"),
        pytest.param(b"HTTP/1.1 500 \xdcber\r\nContent-Length: 0\r\n\r\n", id="Target 10 phrase"),
        pytest.param(b"HTTP/1.1 500 No\r\nX: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
                     id="Target 10 header"),
        pytest.param(answer(b'{"a": "\xff\xed\xa0\x80"}', "500 No"), id="Target 10 JSON"),
    ],
)  # fmt: skip
async def test_what_is_no_text_is_counted_and_told_as_text(came: bytes) -> None:
    async with kept_server([came]) as server:
        message = judge(await play(server.url, ask("/"), AFTER), Reason.STATUS)

    assert message.encode("utf-8")
    assert message.isprintable()


async def test_target_11_no_body_where_json_is_wanted() -> None:
    said = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with kept_server([said]) as server:
        wanted = {"status": 204, "json": {"$.id": {"exists": True}}}
        judge(await play(server.url, ask("/", expect=wanted), AFTER), Reason.BODY)


async def test_target_14_nobody_waits_for_a_retry_after() -> None:
    """And nothing else is asked: the plan of arrivals is not the target's to change."""
    busy = answer(b"", "429 Too Many Requests", "Retry-After: 30")
    async with kept_server([busy]) as server:
        started = time.monotonic()
        judge(await play(server.url, ask("/"), AFTER), Reason.STATUS)

        assert time.monotonic() - started < 10
        assert len(server.requests) == 1


async def test_who_refuses_a_large_body_at_once_is_heard() -> None:
    """The answer to an upload comes before its end."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"no", "413 Too Large", "Connection: close"))
        await reader.read()

    async with tcp_fault(refuse) as port:
        sent = to(f"http://127.0.0.1:{port}/", body=b"x" * 900_000)._replace(method="POST")
        came = await in_thread(lambda: fetch(sent))

    assert (came.status, came.body, came.failure) == (413, b"no", None)


def fetch(request: Request) -> Response:
    driver = LoadDriver(TlsOptions(), Resolver())
    try:
        return driver.fetch(request)
    finally:
        driver.close()


# --- one request at a time


def to(url: str, **more: Any) -> Request:
    return Request("a", "GET", parse_url(url), part=Part.STEPS, **more)


async def test_what_is_told_of_a_request() -> None:
    driver = LoadDriver(TlsOptions(), Resolver())

    def both(url: str) -> list[Any]:
        try:
            return [
                driver.fetch(to(url, body=b"hello")._replace(method="POST")),
                driver.fetch(to(url)),
            ]
        finally:
            driver.close()

    async with kept_server([answer(b"one"), answer(b"three"), STAY]) as server:
        first, second = await in_thread(lambda: both(server.url))

    assert [p.name for p in first.phases] == ["resolve", "connect", "processing", "transfer"]
    assert [p.name for p in second.phases] == ["processing", "transfer"]
    assert (first.sent, first.received, first.body) == (5, 3, b"one")
    assert (second.sent, second.received, second.body) == (0, 5, b"three")
    assert (first.reused, second.reused) == (False, True)
    assert first.seconds >= sum(phase.seconds for phase in first.phases)
    assert first.facts["address"] == second.facts["address"]


def test_other_effects() -> None:
    driver = LoadDriver(TlsOptions(), Resolver())
    url = parse_url("http://127.0.0.1/")

    assert driver.answer(Pause(0.0)) is None
    heard, rows = driver.answer(Dialog("a", url)), driver.answer(Query("a", "postgres", "x", "y"))
    assert isinstance(heard, Heard)
    assert isinstance(rows, Rows)
    for it in (heard, rows):
        assert it.failure is not None
        assert it.failure.reason is Reason.CONFIG
