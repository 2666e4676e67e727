"""A WebSocket's talk: said and heard in turn, bounded in messages and time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from probes.journey.dialog import hold
from probes.journey.model import Dialog, Hear, Heard, Say, Wanted
from probes.result import Reason
from probes.wire.http.options import Options
from probes.wire.url import Url, parse_url
from probes.wire.websocket.connection import load_library
from tests.faults.tcp import closed_port, silent, tcp_fault
from tests.harness import ours

Handler = Callable[[ServerConnection], Awaitable[None]]


class Is(Wanted):
    """Wants one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def miss(self, message: str | bytes) -> str | None:
        return None if message == self.text else f"want {self.text!r}, got {message!r}"


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Off the loop, as the kind prepares itself."""
    load_library()


@asynccontextmanager
async def server(handler: Handler, **how: Any) -> AsyncIterator[Url]:
    async with serve(handler, "127.0.0.1", 0, **how) as running:
        (listener,) = running.sockets
        yield parse_url(f"http://127.0.0.1:{listener.getsockname()[1]}/ws?a=b")


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def counting(connection: ServerConnection) -> None:
    for number in range(3):
        await connection.send(str(number))
    await connection.wait_closed()


async def talked(url: Url, *turns: Say | Hear, **more: Any) -> Heard:
    before = asyncio.all_tasks()
    heard = await hold(Dialog("talk", url, turns=turns, **more), Options())
    assert not list(filter(ours, asyncio.all_tasks() - before))
    return heard


async def test_what_is_said_and_heard_in_turn() -> None:
    async with server(echo) as url:
        heard = await talked(url, Say("one"), Hear(Is("one")), Say("two"), Hear(Is("two")))

    assert heard.failure is None
    assert (heard.messages, heard.status) == (("one", "two"), 101)
    assert [(p.name, p.complete) for p in heard.phases] == [
        ("resolve", True), ("connect", True), ("upgrade", True), ("transfer", True),
    ]  # fmt: skip
    assert heard.seconds > 0


async def test_headers_and_subprotocol_go_along() -> None:
    async def tell(connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        await connection.send(json.dumps([request.headers["X-Key"], connection.subprotocol]))
        await connection.wait_closed()

    async with server(tell, subprotocols=["shop"]) as url:
        heard = await talked(
            url, Hear(Is('["k", "shop"]')), headers=(("X-Key", "k"),), subprotocol="shop"
        )

    assert heard.failure is None


async def test_others_may_come_before_the_one_that_is_wanted() -> None:
    async with server(counting) as url:
        heard = await talked(url, Hear(Is("2"), within=3))

    assert heard.messages == ("2",)


@pytest.mark.parametrize(
    ("turn", "reason", "message"),
    [
        (Hear(Is("9")), Reason.BODY, "want '9', got '0'"),
        (Hear(Is("9"), within=2), Reason.BODY, "want '9', got '1' in the last of 2 messages"),
        (
            Hear(Is("9"), within=9, timeout_s=0.1),
            Reason.BODY,
            "want '9', got '2' (no other within 0.1 s) in the last of 3 messages",
        ),
    ],
)
async def test_a_message_that_does_not_come_is_told(
    turn: Hear, reason: Reason, message: str
) -> None:
    async with server(counting) as url:
        heard = await talked(url, turn)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.message) == (reason, message)
    assert (heard.failure.phase, heard.messages) == ("transfer", ())


async def test_silence_is_a_timeout_of_the_turn() -> None:
    async with server(echo) as url:
        heard = await talked(url, Hear(Is("x"), timeout_s=0.05))

    assert heard.failure is not None
    assert heard.failure.reason is Reason.TIMEOUT
    assert heard.failure.message == "want a message within 0.05 s, got none"


async def test_all_of_it_has_a_time_too() -> None:
    async with server(echo) as url:
        heard = await talked(url, Hear(Is("x")), timeout_s=0.1)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.phase) == (Reason.TIMEOUT, "transfer")


async def test_a_refused_upgrade_tells_its_status() -> None:
    def refuse(connection: ServerConnection, _: Any) -> Any:
        return connection.respond(403, "not you")

    async with server(echo, process_request=refuse) as url:
        heard = await talked(url, Say("x"))

    assert heard.status == 403
    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.phase) == (Reason.STATUS, "upgrade")


async def test_a_server_that_says_nothing_is_a_timeout_of_the_upgrade() -> None:
    async with tcp_fault(silent) as port:
        heard = await talked(parse_url(f"http://127.0.0.1:{port}/"), timeout_s=0.1)

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.phase) == (Reason.TIMEOUT, "upgrade")


async def test_a_closed_port_is_refused() -> None:
    heard = await talked(parse_url(f"http://127.0.0.1:{closed_port()}/"), Say("x"))

    assert heard.failure is not None
    assert (heard.failure.reason, heard.failure.phase) == (Reason.REFUSED, "connect")
    assert heard.status == 0


async def test_a_header_that_is_two_is_not_sent() -> None:
    heard = await talked(
        parse_url(f"http://127.0.0.1:{closed_port()}/"), headers=(("X", "a\r\nY: b"),)
    )

    assert heard.failure is not None
    assert heard.failure.reason is Reason.CONFIG


async def test_a_large_message_is_too_large() -> None:
    async with server(echo) as url:
        heard = await talked(url, Say("x" * 100), Hear(Is("x")), max_message=10)

    assert heard.failure is not None
    assert heard.failure.reason is Reason.TOO_LARGE
