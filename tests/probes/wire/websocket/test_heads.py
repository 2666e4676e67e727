"""The listener of heads: what it remembers, how it comes back, what it leaves behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from probes.wire.http.options import Options
from probes.wire.url import parse_url
from probes.wire.websocket import heads
from probes.wire.websocket.heads import (
    KEPT_SIGHTINGS,
    Ended,
    Listener,
    News,
    Refused,
    Sighting,
    pause,
    prepare_listening,
)
from tests.faults.tcp import closed_port, silent, tcp_fault
from tests.harness import ours


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Off the loop, as a kind prepares itself."""
    prepare_listening()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.websocket.heads.FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("probes.wire.websocket.heads.LAST_PAUSE_S", 0.01)


class Plain:
    """A tongue in which a head is a number, and words are what they say."""

    subscribe = "subscribe"

    def read(self, message: str | bytes) -> Sighting | Refused | Ended | None:
        document = json.loads(message)
        if isinstance(document, int):
            return Sighting(document, hash=f"h{document}", timestamp=1000.0 + document)
        if isinstance(document, str) and document.startswith("no"):
            return Refused(document)
        if document == "over":
            return Ended(document)
        return None


class Node:
    """A server whose connections say what the test tells them to; None closes one."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.closed = 0
        self.subscribed: list[str | bytes] = []
        self.headers: list[str] = []
        self.says: asyncio.Queue[object] = asyncio.Queue()

    async def left(self, number: int) -> None:
        """Wait until *number* connections are known to have ended: they hear nothing more."""
        async with asyncio.timeout(5):
            while self.closed < number:  # noqa: ASYNC110 - the server of a test
                await asyncio.sleep(0)

    def tell(self, *said: object) -> None:
        for it in said:
            self.says.put_nowait(it)

    async def serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        assert connection.request is not None
        self.headers.append(connection.request.headers.get("X-Api-Key", ""))
        leaving = asyncio.ensure_future(connection.wait_closed())
        try:
            self.subscribed.append(await connection.recv())
            while not leaving.done():
                next_word = asyncio.ensure_future(self.says.get())
                await asyncio.wait({next_word, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not next_word.done():
                    next_word.cancel()
                elif next_word.result() is None:
                    break
                else:
                    await connection.send(json.dumps(next_word.result()))
        finally:
            self.closed += 1
            leaving.cancel()


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    found = Node()
    async with serve(found.serve, "127.0.0.1", 0) as server:
        (listener,) = server.sockets
        found.port = listener.getsockname()[1]
        yield found


def listener_to(port: int, name: str = "ethereum/own") -> Listener:
    url = parse_url(f"http://127.0.0.1:{port}/")
    return Listener(url, Options(), (("X-Api-Key", "k"),), Plain(), name)


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[Listener]:
    listener = listener_to(port)
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert not list(filter(ours, asyncio.all_tasks() - before))


async def until(listener: Listener, condition: Callable[[News], object]) -> News:
    async with asyncio.timeout(5):
        while not condition(listener.news):  # noqa: ASYNC110 - news have no event, runs read them
            await asyncio.sleep(0)
    return listener.news


async def test_heads_are_remembered_with_the_time_they_came() -> None:
    async with node() as server, listening(server.port) as listener:
        assert listener.news == News()
        server.tell({"ack": 1}, 10, 11)
        news = await until(listener, lambda news: news.heads == 2)
        assert (news.is_up, news.problem, news.missed, news.reconnects) == (True, None, 0, {})
        first, last = news.sightings
        assert (first.height, first.hash, first.timestamp) == (10, "h10", 1010.0)
        assert 1.7e9 < first.received_at <= last.received_at
        assert news.up_since <= first.received <= last.received == news.last_received
        assert server.subscribed == ["subscribe"]
        assert server.headers == ["k"]


async def test_a_subscription_without_heads_is_up_once_it_is_answered() -> None:
    async with node() as server, listening(server.port) as listener:
        async with asyncio.timeout(5):
            while not server.subscribed:  # noqa: ASYNC110 - the server of a test
                await asyncio.sleep(0)
        assert not listener.news.is_up
        server.tell({"ack": 1})
        news = await until(listener, lambda news: news.is_up)
        assert (news.heads, news.last_received) == (0, None)
        assert news.up_since > 0


async def test_the_last_sightings_are_kept_and_all_are_counted() -> None:
    async with node() as server, listening(server.port) as listener:
        server.tell(*range(100))
        news = await until(listener, lambda news: news.heads == 100)
    assert [s.height for s in news.sightings] == [*range(100 - KEPT_SIGHTINGS, 100)]


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "padding"), [("MESSAGES_PER_S", ""), ("BYTES_PER_S", "x" * 100)])
async def test_a_flood_of_heads_is_taken_at_its_pace(
    limit: str, padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one peer would have the whole loop; none of the heads is lost."""
    monkeypatch.setattr(heads, limit, 2000 if padding else 30)
    loop = asyncio.get_running_loop()
    async with node() as server, listening(server.port) as listener:
        server.tell({"ack": 1})
        await until(listener, lambda news: news.is_up)
        began = loop.time()
        server.tell(*(word for height in range(25) for word in (height, {"more": padding})))
        news = await until(listener, lambda news: news.heads == 25)
        assert loop.time() - began > 0.8
    assert news.missed == 0


@pytest.mark.parametrize(
    ("heights", "missed"),
    [
        pytest.param([10, 11, 14], 2, id="a gap"),
        pytest.param([10, 12, 11, 13], 2, id="a gap, then back, then a gap"),
        pytest.param([10, 11, 11, 12], 0, id="the same height again is a reorg"),
        pytest.param([10, 11, 9, 10, 11, 12], 0, id="back and up again"),
    ],
)
async def test_skipped_heights_are_counted(heights: list[int], missed: int) -> None:
    async with node() as server, listening(server.port) as listener:
        server.tell(*heights)
        news = await until(listener, lambda news: news.heads == len(heights))
    assert news.missed == missed


async def test_what_went_by_while_we_were_away_was_not_skipped() -> None:
    async with node() as server, listening(server.port) as listener:
        server.tell(10, None, 20, 21)
        news = await until(listener, lambda news: news.heads == 3)
    assert (news.missed, news.reconnects) == (0, {"closed": 1})
    assert [sighting.height for sighting in news.sightings] == [10, 20, 21]


async def test_a_closed_connection_is_told_until_another_one_is_up() -> None:
    async with node() as server, listening(server.port) as listener:
        server.tell(10, None)
        news = await until(listener, lambda news: news.problem)
        assert (news.is_up, news.problem) == (False, "closed")
        assert news.detail == "want a message, got close code 1000"
        server.tell(11)
        news = await until(listener, lambda news: news.is_up)
        assert (news.problem, news.detail) == (None, "")


async def test_a_refused_subscription_is_told_with_its_reason() -> None:
    async with node() as server, listening(server.port) as listener:
        server.tell("no such method")
        news = await until(listener, lambda news: news.problem)
        assert (news.problem, news.detail) == ("subscribe_failed", "no such method")
        assert news.reconnects == {"refused": 1}
        await server.left(1)
        server.tell(1)
        await until(listener, lambda news: news.is_up)


async def test_an_ended_subscription_is_made_anew() -> None:
    async with node() as server, listening(server.port) as listener:
        server.tell(1, "over")
        news = await until(listener, lambda news: news.problem)
        assert (news.problem, news.detail, news.reconnects) == ("closed", "over", {"closed": 1})
        await server.left(1)
        server.tell(2)
        await until(listener, lambda news: news.heads == 2)
        assert server.connections == 2


async def test_the_judge_may_ask_for_another_connection() -> None:
    async with node() as server, listening(server.port) as listener:
        listener.reconnect("silent")  # nothing to end yet
        server.tell(1)
        await until(listener, lambda news: news.is_up)
        listener.reconnect("silent")
        listener.reconnect("silent")
        await server.left(1)
        server.tell(2)
        news = await until(listener, lambda news: news.heads == 2)
        assert (news.reconnects, news.problem) == ({"silent": 1}, None)
        assert server.connections == 2


async def test_a_port_that_nobody_listens_on_is_unavailable() -> None:
    port = closed_port()
    async with listening(port) as listener:
        news = await until(listener, lambda news: news.reconnects.get("error", 0) > 3)
    assert (news.is_up, news.problem) == (False, "unavailable")
    assert news.detail == f"want a connection to 127.0.0.1:{port}, got a refusal"


async def test_a_refused_upgrade_is_unavailable() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with tcp_fault(handle) as port, listening(port) as listener:
        news = await until(listener, lambda news: news.problem)
    assert (news.problem, news.detail) == ("unavailable", "want status 101, got 404")


async def test_a_peer_that_never_upgrades_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.websocket.heads.OPENING_S", 0.02)
    async with tcp_fault(silent) as port, listening(port) as listener:
        news = await until(listener, lambda news: news.problem)
    assert (news.problem, news.detail) == (
        "unavailable",
        "want a websocket within 0.02 s, got none",
    )


async def test_a_peer_that_never_answers_the_subscription_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with node() as server:
        monkeypatch.setattr("probes.wire.websocket.heads.OPENING_S", 0.2)
        async with listening(server.port) as listener:
            news = await until(listener, lambda news: news.problem)
    assert news.problem == "subscribe_failed"
    assert news.detail == "want an answer to the subscription within 0.2 s, got none"


async def test_a_quiet_connection_is_kept_alive_by_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.websocket.heads.PING_EVERY_S", 0.02)
    monkeypatch.setattr("probes.wire.websocket.heads.DEAF_AFTER_S", 5.0)
    pinged = asyncio.Event()

    class Counting(Node):
        async def serve(self, connection: ServerConnection) -> None:
            # the library has no event for a ping that came
            take = connection.protocol.recv_frame

            def noticed(frame: Any) -> None:
                if frame.opcode.name == "PING":
                    pinged.set()
                take(frame)

            connection.protocol.recv_frame = noticed  # type: ignore[method-assign]
            await super().serve(connection)

    found = Counting()
    async with serve(found.serve, "127.0.0.1", 0) as server:
        (socket,) = server.sockets
        async with listening(socket.getsockname()[1]) as listener:
            found.tell(1)
            await asyncio.wait_for(pinged.wait(), 5)
            found.tell(2)
            news = await until(listener, lambda news: news.heads == 2)
    assert news.reconnects == {}


async def test_a_peer_that_answers_no_ping_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.websocket.heads.PING_EVERY_S", 0.02)
    monkeypatch.setattr("probes.wire.websocket.heads.DEAF_AFTER_S", 0.03)

    class Deaf(Node):
        async def serve(self, connection: ServerConnection) -> None:
            connection.transport.pause_reading()
            await connection.send("1")
            await super().serve(connection)

    found = Deaf()
    async with serve(found.serve, "127.0.0.1", 0, close_timeout=0.01) as server:
        (socket,) = server.sockets
        async with listening(socket.getsockname()[1]) as listener:
            news = await until(listener, lambda news: news.problem)
    assert (news.problem, news.reconnects) == ("closed", {"error": 1})
    assert news.detail == "want an answer to pings within 0.03 s, got none"


@pytest.mark.parametrize("when", ["connected", "subscribed", "pausing"])
async def test_a_cancelled_listener_leaves_no_socket(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "pausing":
        monkeypatch.setattr("probes.wire.websocket.heads.FIRST_PAUSE_S", 3600.0)
        monkeypatch.setattr("probes.wire.websocket.heads.LAST_PAUSE_S", 3600.0)
    async with node() as server:
        async with listening(server.port) as listener:
            if when == "subscribed":
                server.tell(1)
                await until(listener, lambda news: news.is_up)
            elif when == "pausing":
                server.tell(None)
                await until(listener, lambda news: news.problem)
            else:
                async with asyncio.timeout(5):
                    while not server.connections:  # noqa: ASYNC110 - the server of a test
                        await asyncio.sleep(0)
        await server.left(1)
        assert server.connections == 1
        assert not listener.news.is_up


async def test_a_flapping_peer_is_asked_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []

    def noting(name: str, tries: int) -> float:
        waits.append(tries)
        return 0.0

    monkeypatch.setattr("probes.wire.websocket.heads.pause", noting)
    async with node() as server, listening(server.port) as listener:
        server.tell({"ack": 1}, None, {"ack": 1}, None, 7, None, {"ack": 1}, None)
        await until(listener, lambda news: news.reconnects.get("closed", 0) == 4)
    # a head proves that it works
    assert waits[:4] == [0, 1, 0, 1]


@given(st.text(), st.integers(min_value=0, max_value=10_000))
def test_the_pause_doubles_up_to_a_minute(name: str, tries: int) -> None:
    whole = min(heads.FIRST_PAUSE_S * 2 ** min(tries, 20), heads.LAST_PAUSE_S)
    assert whole / 2 <= pause(name, tries) <= whole


def test_listeners_of_one_node_do_not_come_back_as_a_herd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = {round(pause(f"chain/{number}", 3), 1) for number in range(100)}
    assert len(found) > 20
