"""A websocket against servers that behave and servers that do not: phases, floods, ends."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.options import Options
from probes.wire.policy import POLICY, Policy
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url, parse_url
from probes.wire.websocket.channel import MAX_WAITING
from probes.wire.websocket.connection import Socket, load_library, open_websocket
from tests.faults.tcp import closed_port, ending, full_backlog, silent, talking, tcp_fault
from tests.faults.tls import HALF_RECORD
from tests.probes.wire.readings import labels, phases

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PLAIN = [("resolve", True), ("connect", True), ("upgrade", True)]


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Off the loop, as a kind prepares itself."""
    load_library()


@pytest.fixture
def trusting(ca_file: Path) -> Options:
    return Options(tls=TlsOptions(ca_file=str(ca_file)))


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            await connection.close(int(message[6:]), "as you wish")
        else:
            await connection.send(message)


@asynccontextmanager
async def server(handler: Any = echo, **how: Any) -> AsyncIterator[Url]:
    """Run a real server; gives its URL."""
    async with serve(handler, "127.0.0.1", 0, max_size=None, **how) as running:
        (listener,) = running.sockets
        scheme = "https" if how.get("ssl") else "http"
        yield parse_url(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/ws")


@asynccontextmanager
async def upgrading(then: Raw, rest: bytes = b"") -> AsyncIterator[Url]:
    """Run a server that upgrades by hand, says *rest* in the same breath, then does *then*."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        lines = (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
            "\r\n",
        )
        writer.write("\r\n".join(lines).encode() + rest)
        await then(reader, writer)

    async with tcp_fault(handle) as port:
        yield parse_url(f"http://127.0.0.1:{port}/")


async def staying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def text(message: str) -> bytes:
    return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)


async def dial(url: Url, recorder: Recorder | None = None, **how: Any) -> Socket:
    return await open_websocket(url, recorder or Recorder(), how.pop("options", Options()), **how)


async def failing(awaitable: Awaitable[Any]) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        async with asyncio.timeout(5):
            await awaitable
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


# --- a server that behaves


async def test_messages_go_both_ways_whatever_their_size() -> None:
    recorder = Recorder()
    async with server() as url:
        socket = await dial(url, recorder)
        for message in ("", "hi", b"\x00\xff", "é" * 1000, b"x" * 65536, "y" * 1_048_576):
            await socket.send(message)
            assert await socket.receive() == message
        await socket.close()
    assert phases(recorder) == PLAIN
    assert recorder.phase_name is None


async def test_the_same_over_tls(server_context: ssl.SSLContext, trusting: Options) -> None:
    recorder = Recorder()
    async with server(ssl=server_context) as url:
        socket = await dial(url, recorder, options=trusting)
        await socket.send("x" * 100_000)
        assert await socket.receive() == "x" * 100_000
        await socket.close()
    assert phases(recorder) == [PLAIN[0], PLAIN[1], ("tls", True), PLAIN[2]]
    assert labels(recorder, "tls_version_info") == {"version": "TLS 1.3"}


async def test_headers_and_subprotocols_are_offered() -> None:
    seen: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        seen.append(connection.request)

    async with server(handler, subprotocols=["b"]) as url:
        socket = await dial(url, headers=(("X-Api-Key", "k"),), subprotocols=("a", "b"))
        assert socket.subprotocol == "b"
        assert (await failing(socket.receive())).reason is Reason.CLOSED
    assert (seen[0].path, seen[0].headers["X-Api-Key"]) == ("/ws", "k")
    assert "Sec-WebSocket-Extensions" not in seen[0].headers


async def test_pings_go_both_ways() -> None:
    ponged = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await (await connection.ping())
        ponged.set()
        await connection.wait_closed()

    async with server(handler) as url:
        socket = await dial(url)
        receiving = asyncio.ensure_future(socket.receive())
        await asyncio.wait_for(ponged.wait(), 5)
        heard = socket.last_heard
        await socket.ping()
        await until(lambda: socket.last_heard > heard)
        socket.abort()
        await failing(receiving)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 4999])
async def test_the_peers_goodbye_is_told_with_its_code(code: int) -> None:
    async with server() as url:
        socket = await dial(url)
        await socket.send(f"close {code}")
        for _ in range(2):
            failure = await failing(socket.receive())
            assert failure.reason is Reason.CLOSED
            assert str(failure) == f"want a message, got close code {code} ('as you wish')"
        assert (await failing(socket.send("more"))).reason is Reason.CLOSED
        await socket.close()


async def test_an_end_without_goodbye_is_told_as_1006() -> None:
    async with upgrading(ending(text("last"))) as url:
        socket = await dial(url)
        assert await socket.receive() == "last"
        failure = await failing(socket.receive())
    assert (failure.reason, str(failure)) == (
        Reason.CLOSED,
        "want a message, got the end of the stream (1006)",
    )


async def test_closing_says_goodbye_and_waits_for_the_peers() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        said.append((connection.close_code, connection.close_reason))

    said: list[object] = []
    async with server(handler) as url:
        socket = await dial(url)
        await socket.close(1001)
        await socket.close()
        failure = await failing(socket.receive())
        assert str(failure) == "want a message, got close code 1001"
    assert said == [(1001, "")]


async def test_a_peer_that_says_no_goodbye_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.websocket.channel.GOODBYE_S", 0.01)
    left = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        left.set()

    async with upgrading(deaf) as url:
        socket = await dial(url)
        await socket.close()
        await asyncio.wait_for(left.wait(), 5)
        failure = await failing(socket.send("x"))
        assert str(failure) == "want an open websocket, got a closed one"


# --- the upgrade


@pytest.mark.parametrize(
    ("said", "reason", "message"),
    [
        pytest.param(
            b"HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n<html>", Reason.STATUS,
            "want status 101, got 403", id="403 with a body that never ends",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Reason.STATUS,
            "want status 101, got 200", id="200",
        ),
        pytest.param(
            b"HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", Reason.STATUS,
            "want status 101, got 302", id="a redirect",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 429 Slow\r\n\r\n", Reason.STATUS,
            "want status 101, got 429", id="after hints",
        ),
        pytest.param(
            b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: c2VjcmV0\r\n\r\n", Reason.PROTOCOL,
            "want a websocket's upgrade, got a wrong header Sec-WebSocket-Accept", id="wrong key",
        ),
        pytest.param(
            b"HTTP/1.1 101 Go\r\n\r\n", Reason.PROTOCOL,
            "want a websocket's upgrade, got no header Connection", id="101 and nothing else",
        ),
        pytest.param(
            b"SSH-2.0-x\r\n", Reason.PROTOCOL,
            "want an HTTP/1.1 answer, got b'SSH-2.0-x\\r\\n'", id="no HTTP",
        ),
        pytest.param(
            b"HTTP/1.1 101 Go\r\nX: " + b"x" * 70_000, Reason.TOO_LARGE,
            "want header lines of at most 8190 bytes, got a longer one", id="a long header",
        ),
    ],
)  # fmt: skip
async def test_a_refused_upgrade_is_told(said: bytes, reason: Reason, message: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await reader.read()

    async with tcp_fault(handle) as port:
        failure = await failing(dial(parse_url(f"http://127.0.0.1:{port}/")))
    assert (failure.reason, failure.phase, str(failure)) == (reason, "upgrade", message)


async def test_a_peer_that_ends_instead_of_upgrading_is_told() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    recorder = Recorder()
    async with tcp_fault(handle) as port:
        failure = await failing(dial(parse_url(f"http://127.0.0.1:{port}/"), recorder))
    assert (failure.reason, failure.phase) == (Reason.CLOSED, "upgrade")
    assert phases(recorder)[-1] == ("upgrade", False)


async def test_a_peer_that_speaks_first_is_no_websocket() -> None:
    async with tcp_fault(talking(b"220 smtp\r\n" * 10_000)) as port:
        failure = await failing(dial(parse_url(f"http://127.0.0.1:{port}/")))
    assert failure.reason is Reason.PROTOCOL


async def test_a_closed_port_is_refused() -> None:
    failure = await failing(dial(parse_url(f"http://127.0.0.1:{closed_port()}/")))
    assert (failure.reason, failure.phase) == (Reason.REFUSED, "connect")


async def test_a_target_outside_of_the_policy_is_not_dialled() -> None:
    with POLICY.set(Policy(trusts_first=False, allow=())):
        failure = await failing(dial(parse_url(f"http://127.0.0.1:{closed_port()}/")))
    assert failure.reason is Reason.POLICY


async def test_a_wrong_certificate_is_told(server_context: ssl.SSLContext, ca_file: Path) -> None:
    options = Options(tls=TlsOptions(ca_file=str(ca_file), server_name="elsewhere.example"))
    async with server(ssl=server_context) as url:
        failure = await failing(dial(url, options=options))
    assert (failure.reason, failure.phase) == (Reason.CERTIFICATE_NAME, "tls")


# --- floods


async def test_what_comes_with_the_upgrade_is_not_lost() -> None:
    async with upgrading(staying, text("one") + text("two")) as url:
        socket = await dial(url)
        assert [await socket.receive(), await socket.receive()] == ["one", "two"]
        socket.abort()


async def test_a_peer_that_sends_faster_than_we_take_is_stopped() -> None:
    """Nothing is lost, and little is kept."""
    sent = 0
    total = 300
    payload = "x" * 1000

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for number in range(total):
            writer.write(text(f"{number} {payload}"))
            await writer.drain()
            sent += 1
        await reader.read()

    async with upgrading(flood) as url:
        socket = await dial(url)
        await until(lambda: sent > MAX_WAITING)
        channel: Any = socket._channel
        await until(lambda: channel._is_waiting)
        assert len(channel._frames.messages) <= 2 * MAX_WAITING
        found = [await socket.receive() for _ in range(total)]
        assert [str(message).partition(" ")[0] for message in found] == [*map(str, range(total))]
        socket.abort()


async def test_large_messages_that_nobody_takes_stop_the_peer_sooner() -> None:
    """64 of a MiB each would be a lot for one socket of many."""
    payload, total, sent = "x" * 60_000, 200, 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for _ in range(total):
            writer.write(text(payload))
            await writer.drain()
            sent += 1
        await reader.read()

    with patch("probes.wire.websocket.channel.MAX_WAITING_BYTES", 4 * len(payload)):
        async with upgrading(flood) as url:
            socket = await dial(url)
            channel: Any = socket._channel
            await until(lambda: channel._is_waiting)
            assert len(channel._frames.messages) == 4
            assert [await socket.receive() for _ in range(total)] == [payload] * total
            socket.abort()


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        pytest.param(b"\x00\x00" * 5000, Reason.PROTOCOL, id="pieces of nothing that began"),
        pytest.param(b"\x01\x00" + b"\x00\x00" * 100_000, Reason.TOO_LARGE, id="empty fragments"),
        pytest.param(b"\x02\x7f" + b"\x7f" * 8, Reason.TOO_LARGE, id="a giant"),
    ],
)
async def test_a_flood_of_frames_ends_the_connection(piece: bytes, reason: Reason) -> None:
    left = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(piece)
        with suppress(ConnectionError):
            await reader.read()
        left.set()

    async with upgrading(handle) as url:
        socket = await dial(url)
        assert (await failing(socket.receive())).reason is reason
        await asyncio.wait_for(left.wait(), 5)
        socket.abort()


@pytest.mark.slow
async def test_pings_that_nobody_reads_the_answers_of_fill_no_memory() -> None:
    stuck = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        flooding = asyncio.ensure_future(flood(writer))
        await stuck.wait()
        flooding.cancel()

    async def flood(writer: asyncio.StreamWriter) -> None:
        ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=False)
        while True:
            writer.write(ping * 100)
            await writer.drain()
            await asyncio.sleep(0)

    async with upgrading(handle) as url:
        socket = await dial(url)
        channel: Any = socket._channel
        await until(lambda: channel._drained is not None)
        assert channel._transport.get_write_buffer_size() < 1_000_000
        # a sender waits too; its deadline ends that
        sending = asyncio.ensure_future(socket.send("x"))
        await asyncio.sleep(0)
        assert not sending.done()
        socket.abort()
        await sending
        stuck.set()


async def test_a_text_that_is_none_ends_the_connection() -> None:
    said = Frame(Opcode.TEXT, b"ok \xff").serialize(mask=False)
    async with upgrading(staying, said) as url:
        socket = await dial(url)
        failure = await failing(socket.receive())
    assert str(failure) == "want a text in UTF-8, got b'ok \\xff'"


async def test_a_goodbye_behind_much_is_not_overtaken_by_the_end() -> None:
    """The stream ends while we still unframe what came before."""
    much = b"".join(text("x" * 4000) for _ in range(50))
    goodbye = Frame(Opcode.CLOSE, b"\x03\xe9away").serialize(mask=False)
    async with upgrading(ending(much + goodbye)) as url:
        socket = await dial(url)
        found = [await socket.receive() for _ in range(50)]
        failure = await failing(socket.receive())
    assert found == ["x" * 4000] * 50
    assert str(failure) == "want a message, got close code 1001 ('away')"


# --- the law: no socket is left


@pytest.mark.parametrize(
    ("said", "scheme", "phase"),
    [
        pytest.param(HALF_RECORD, "https", "tls", id="in the handshake"),
        pytest.param(b"", "http", "upgrade", id="in the upgrade"),
        pytest.param(b"HTTP/1.1 101 Go\r\n", "http", "upgrade", id="in the head of the upgrade"),
    ],
)
async def test_a_cancelled_dial_leaves_no_socket(
    said: bytes, scheme: str, phase: str, trusting: Options
) -> None:
    left, came = asyncio.Event(), asyncio.Event()

    async def watching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with suppress(ConnectionError):
            await reader.read(1)
            came.set()
            await reader.read()
        left.set()

    recorder = Recorder()
    trusting.prepare()
    async with tcp_fault(watching) as port:
        url = parse_url(f"{scheme}://127.0.0.1:{port}/")
        dialling = asyncio.ensure_future(dial(url, recorder, options=trusting))
        await asyncio.wait_for(came.wait(), 5)
        assert recorder.phase_name == phase
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await asyncio.wait_for(left.wait(), 5)


async def test_a_cancelled_connect_leaves_no_socket() -> None:
    async with full_backlog() as port:
        recorder = Recorder()
        dialling = asyncio.ensure_future(dial(parse_url(f"http://127.0.0.1:{port}/"), recorder))
        await until(lambda: recorder.phase_name == "connect")
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling


async def test_a_cancelled_receive_loses_no_message() -> None:
    go = asyncio.Event()

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(text("one"))
        await reader.read()

    async with upgrading(later) as url:
        socket = await dial(url)
        receiving = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        go.set()
        assert await socket.receive() == "one"
        socket.abort()


async def test_a_cancelled_close_leaves_no_socket() -> None:
    left, came = asyncio.Event(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(1)
            came.set()
            await reader.read()
        left.set()

    async with upgrading(deaf) as url:
        socket = await dial(url)
        closing = asyncio.ensure_future(socket.close())
        await asyncio.wait_for(came.wait(), 5)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.wait_for(left.wait(), 5)


async def test_a_silent_peer_waits_for_the_callers_deadline() -> None:
    async with tcp_fault(silent) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await dial(parse_url(f"http://127.0.0.1:{port}/"))


# --- a ping that is timed, an end that is waited for, a goodbye that is not


async def test_a_round_trip_is_that_of_its_own_ping() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.pong(b"not asked for")
        await connection.send("meanwhile")
        await connection.wait_closed()

    async with server(handler) as url:
        socket = await dial(url)
        first, second = await socket.round_trip(), await socket.round_trip()
        await socket.close()
    assert 0 < first < 5
    assert 0 < second < 5


async def test_a_peer_that_leaves_ends_a_round_trip_and_is_heard_with_its_code() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        for _ in range(2 * MAX_WAITING):
            await connection.send("nobody takes this")
        await connection.close(4001, "gone")

    async with server(handler) as url:
        socket = await dial(url)
        await socket.send("go")
        code, end = await asyncio.wait_for(socket.ended(), 5)
        failure = await failing(socket.round_trip())
        socket.abort()
    assert (code, end.reason) == (4001, Reason.CLOSED)
    assert failure.reason is Reason.CLOSED


async def test_a_connection_that_breaks_off_has_no_code() -> None:
    async with upgrading(ending(b"")) as url:
        socket = await dial(url)
        code, end = await asyncio.wait_for(socket.ended(), 5)
        socket.abort()
    assert (code, end.message) == (None, "want a message, got the end of the stream (1006)")


async def test_whoever_leaves_says_goodbye_and_waits_for_nobody() -> None:
    codes: list[int | None] = []
    over = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)
        over.set()

    async with server(handler) as url:
        socket = await dial(url)
        socket.leave()
        assert (await failing(socket.receive())).reason is Reason.INTERNAL
        await asyncio.wait_for(over.wait(), 5)
    assert codes == [1000]


async def test_a_peer_that_takes_nothing_does_not_hold_whoever_leaves() -> None:
    async with upgrading(silent) as url:
        socket = await dial(url)
        sending = asyncio.ensure_future(socket.send("x" * 20_000_000))
        channel: Any = socket._channel
        await until(lambda: channel._drained is not None)
        socket.leave()
        await asyncio.wait_for(asyncio.gather(sending, return_exceptions=True), 5)
        assert channel._transport.is_closing()
