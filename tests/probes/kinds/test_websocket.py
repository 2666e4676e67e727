"""Kind websocket: against real servers, and against those that upgrade by hand or not at all."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from pydantic import ValidationError
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from probes.kinds.websocket import Websocket
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from tests.faults.tcp import Handler, closed_port, ending, silent, talking, tcp_fault
from tests.harness import Check, Law
from tests.servers.websocket_proxy import WebsocketProxy, start_websocket_proxy


def websocket(**keys: Any) -> Websocket:
    return Websocket.model_validate(keys)


LAW = Law(
    kind=Websocket(),
    target="ws://{host}:{port}/",
    secret=lambda canary: websocket(
        headers={"X-Any": ["a", Secret(canary)], "X-Api-Key": canary},
        basic_auth={"username": "me", "password": Secret(canary)},
        proxy={"url": "http://127.0.0.1:1", "no_proxy": "*", "connect_headers": {"X": canary}},
        dialog=[{"send": Secret(canary)}, {"expect": "^never"}],
        tls={"cert": "x", "key": Secret(canary)},
    ),
    secret_target="ws://me:{canary}@{host}:{port}/?token={canary}",
)
CHATS = [
    pytest.param([], id="no talk"),
    pytest.param([{"expect": "^hello"}], id="the first message"),
    pytest.param([{"expect": "^hello"}, {"send": "a b"}, {"expect": "^a b$"}], id="an echo"),
    pytest.param(
        [{"expect": r"(?P<who>w\w+) (\d+)", "send": "<${who}|$2|$$|$nobody>"},
         {"expect": r"^<world\|42\|\$\|>$"}],
        id="words of the match",
    ),
    pytest.param([{"send": {"hex": "00ff"}}, {"expect": "\\x00", "skip": 1}], id="bytes"),
    pytest.param([{"send": "$1"}, {"expect": "^\\$1$", "skip": 3}], id="nothing to expand"),
]  # fmt: skip


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


def flags(result: Result) -> tuple[float, float, float]:
    """Status code, upgraded, failed due to regex."""
    found = values(result)
    names = ("status_code", "connection_upgraded", "failed_due_to_regex")
    return tuple(found[f"websocket_{name}"] for name in names)  # type: ignore[return-value]


def phases(result: Result) -> list[str]:
    return [phase.name for phase in result.phases if phase.complete]


async def echo(connection: ServerConnection) -> None:
    await connection.send("hello world 42")
    async for message in connection:
        if isinstance(message, str) and message.startswith("close "):
            await connection.close(int(message[6:]), "as you wish")
        else:
            await connection.send(message)


@asynccontextmanager
async def library(handler: Any = echo, port: int = 0, **how: Any) -> AsyncIterator[str]:
    """Run a server of the library `websockets`; gives its address."""
    async with serve(handler, "127.0.0.1", port, **how) as running:
        (listener,) = running.sockets
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def aiohttp_server(seen: list[web.Request]) -> AsyncIterator[str]:
    """Run a server of aiohttp that says hello and echoes; gives its address."""

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        await socket.send_str("hello world 42")
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/ws", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def upgrading(
    *frames: bytes, then: Handler = silent, lines: tuple[str, ...] = (), key: str = ""
) -> Handler:
    """Upgrade by hand, say *frames* in the same breath, then do *then*."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        theirs = head.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        usual = ("Upgrade: websocket", "Connection: Upgrade")
        accept = f"Sec-WebSocket-Accept: {key or accept_key(theirs)}"
        answer = ("HTTP/1.1 101 Switching Protocols", *(lines or usual), accept, "\r\n")
        writer.write("\r\n".join(answer).encode() + b"".join(frames))
        await then(reader, writer)

    return handle


async def half_closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await asyncio.Event().wait()


def text(message: str, *, mask: bool = False, fin: bool = True) -> bytes:
    return Frame(Opcode.TEXT, message.encode(), fin=fin).serialize(mask=mask)


async def look(check: Check, handler: Handler, timeout_s: float = 5, **keys: Any) -> Result:
    async with tcp_fault(handler) as port:
        return await check(websocket(**keys), f"ws://127.0.0.1:{port}/", timeout_s)


# --- servers that behave


@pytest.mark.parametrize("dialog", CHATS)
async def test_a_talk_with_the_library_websockets(check: Check, dialog: list[Any]) -> None:
    async with library() as address:
        result = await check(websocket(dialog=dialog), f"ws://{address}/")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "upgrade", *(["transfer"] if dialog else [])]
    assert flags(result) == (101, 1, 0)


@pytest.mark.parametrize("dialog", CHATS)
async def test_a_talk_with_aiohttp(check: Check, dialog: list[Any]) -> None:
    async with aiohttp_server([]) as address:
        result = await check(websocket(dialog=dialog, ping=True), f"ws://{address}/ws")

    assert result.outcome is Outcome.UP, result.failure
    assert 0 < values(result)["websocket_ping_seconds"] < 5


async def test_headers_credentials_and_subprotocols_go_out(check: Check) -> None:
    seen: list[web.Request] = []
    headers = {"X-Many": ["a", Secret("bcd")], "X-Number": 7, "User-Agent": "me", "Host": "h:9"}
    async with aiohttp_server(seen) as address:
        for login in (
            {"basic_auth": {"username": "u", "password": "pass-1"}},
            {"bearer": "token-2"},
            {"authorization": {"type": "Token", "credentials": "cred-3"}},
        ):
            keys = {"subprotocols": ["x", "chat"], "expect": {"subprotocol": "chat"}, **login}
            result = await check(websocket(headers=headers, **keys), f"ws://{address}/ws?a=b")
            assert result.outcome is Outcome.UP, result.failure
        await check(Websocket(), f"ws://u:p@{address}/ws")

    sent = seen[0].headers
    assert (sent.getall("X-Many"), sent["X-Number"]) == (["a", "bcd"], "7")
    assert (sent["User-Agent"], sent["Host"], seen[0].path_qs) == ("me", "h:9", "/ws?a=b")
    assert sent["Sec-WebSocket-Protocol"] == "x, chat"
    assert "Sec-WebSocket-Extensions" not in sent
    pair = base64.b64encode(b"u:pass-1").decode()
    said = [request.headers["Authorization"] for request in seen]
    assert said == [f"Basic {pair}", "Bearer token-2", "Token cred-3", "Basic dTpw"]


async def test_a_credential_is_read_for_every_run(check: Check, tmp_path: Path) -> None:
    seen: list[web.Request] = []
    token = tmp_path / "token"
    token.write_text("first-one\n")
    kind = websocket(
        basic_auth={"username": "u", "password": {"file": str(token), "every_run": True}}
    )
    async with aiohttp_server(seen) as address:
        await check(kind, f"ws://{address}/ws")
        token.write_text("second\n")
        await check(kind, f"ws://{address}/ws")
        token.unlink()
        result = await check(kind, f"ws://{address}/ws", unknown=True)

    said = [base64.b64decode(r.headers["Authorization"].split()[1]) for r in seen]
    assert said == [b"u:first-one", b"u:second"]
    assert result.failure is not None
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.CONFIG)


async def test_tls_is_verified_and_tells_about_the_peer(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    good = websocket(
        tls={"ca_file": str(ca_file)},
        expect={"certificate": {"expires_in": "1d"}, "latency": "5s", "ping": "5s"},
    )
    async with library(ssl=server_context) as address:
        result = await check(good, f"wss://{address}/")
        untrusted = await check(Websocket(), f"wss://{address}/")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "tls", "upgrade", "transfer"]
    told = {"ssl_earliest_cert_expiry", "ssl_last_chain_info", "tls_version_info"}
    assert told <= set(values(result))
    assert told <= set(values(untrusted))
    assert verdict(untrusted) == (Reason.CERTIFICATE_UNTRUSTED, "tls")
    assert flags(untrusted) == (0, 0, 0)


async def test_the_server_hears_a_proper_goodbye(check: Check) -> None:
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with library(handler) as address:
        result = await check(websocket(ping=True), f"ws://{address}/")
        missed = await check(websocket(expect={"ping": "0.000001ms"}), f"ws://{address}/")

    assert result.outcome is Outcome.UP, result.failure
    assert missed.outcome is Outcome.DOWN
    assert codes == [1000, 1000]


async def test_an_expected_close_code(check: Check) -> None:
    dialog = [{"expect": "^hello"}, {"send": "close 4321"}]
    async with library() as address:
        right = await check(
            websocket(dialog=dialog, expect={"close_code": 4321}), f"ws://{address}"
        )
        wrong = await check(
            websocket(dialog=dialog, expect={"close_code": 1000}), f"ws://{address}"
        )

    assert right.outcome is Outcome.UP, right.failure
    assert verdict(wrong) == (Reason.STATUS, "transfer")
    assert wrong.failure is not None
    assert wrong.failure.message == "want close code 1000, got 4321"


@pytest.fixture(scope="module")
def proxy(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebsocketProxy]:
    """A real nginx in front of a websocket."""
    server = start_websocket_proxy(tmp_path_factory.mktemp("proxy"), certificates)
    yield server
    server.stop()


@pytest.mark.service
async def test_a_talk_through_nginx_and_its_redirects(
    check: Check, proxy: WebsocketProxy, ca_file: Path
) -> None:
    dialog = [{"expect": "^hello"}, {"send": "x"}, {"expect": "^x$"}]
    follows = websocket(dialog=dialog, tls={"ca_file": str(ca_file)}, follow_redirects=True)
    async with library(port=proxy.behind):
        straight = await check(follows, f"wss://127.0.0.1:{proxy.tls_port}/ws")
        moved = await check(follows, f"ws://{proxy.address}/moved")
        away = await check(follows, f"ws://{proxy.address}/away")
    stays = await check(Websocket(), f"ws://{proxy.address}/moved")
    lost = await check(follows, f"ws://{proxy.address}/round")
    page = await check(Websocket(), f"ws://{proxy.address}/page")

    for result in (straight, moved, away):
        assert result.outcome is Outcome.UP, result.failure
        assert flags(result) == (101, 1, 0)
    assert phases(away) == ["resolve", "connect", "upgrade", "tls", "transfer"]
    assert (verdict(stays), flags(stays)) == ((Reason.STATUS, "upgrade"), (302, 0, 0))
    assert (verdict(lost), flags(lost)) == ((Reason.REDIRECT, "upgrade"), (302, 0, 0))
    assert (verdict(page), flags(page)) == ((Reason.STATUS, "upgrade"), (200, 0, 0))
    assert page.failure is not None
    assert page.failure.message == "want status 101, got 200"


async def test_what_is_secret_stays_at_home(check: Check) -> None:
    seen: list[web.Request] = []
    async with aiohttp_server(seen) as address:
        there = f"HTTP/1.1 302 Found\r\nLocation: ws://{address}/ws\r\n\r\n"
        keys = {"headers": {"X-Api-Key": "k", "User-Agent": "me"}, "bearer": "token-1"}
        async with tcp_fault(talking(there.encode())) as port:
            kind = websocket(follow_redirects=True, **keys)
            result = await check(kind, f"ws://127.0.0.1:{port}/")

    assert result.outcome is Outcome.UP, result.failure
    sent = seen[0].headers
    assert {"Authorization", "X-Api-Key", "Referer"}.isdisjoint(sent)
    assert (sent["User-Agent"], sent["Host"]) == ("me", address)


async def piping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


def tunnelling(asked: list[str]) -> Handler:
    """Be an HTTP proxy that knows CONNECT."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        host, _, port = asked[-1].split()[1].partition(":")
        there, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        back = asyncio.ensure_future(piping(there, writer))
        try:
            await piping(reader, out)
        finally:
            back.cancel()
            out.close()

    return handle


async def test_the_way_goes_through_a_proxy(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    """D5."""
    asked: list[str] = []
    dialog = [{"expect": "^hello"}, {"send": "x"}, {"expect": "^x$"}]
    async with library(ssl=server_context) as address, tcp_fault(tunnelling(asked)) as port:
        proxy = {"url": f"http://me:secret-7@127.0.0.1:{port}"}
        kind = websocket(dialog=dialog, proxy=proxy, tls={"ca_file": str(ca_file)})

        result = await check(kind, f"wss://{address}/")

    assert result.outcome is Outcome.UP, result.failure
    assert asked[0].startswith(f"CONNECT {address} HTTP/1.1")
    assert "Proxy-Authorization: Basic" in asked[0]
    assert phases(result) == ["resolve", "connect", "tls", "upgrade", "transfer"]


async def test_a_token_is_fetched_first(check: Check) -> None:
    """D5."""
    seen: list[web.Request] = []
    token = b'{"access_token": "token-9", "expires_in": 3600}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    async with (
        aiohttp_server(seen) as address,
        tcp_fault(talking(head % len(token) + token)) as port,
    ):
        oauth2 = {"client_id": "me", "client_secret": "you"}
        kind = websocket(oauth2={**oauth2, "token_url": f"http://127.0.0.1:{port}/"})

        result = await check(kind, f"ws://{address}/ws")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result)[0] == "auth"
    assert seen[0].headers["Authorization"] == "Bearer token-9"


# --- servers that do not


@pytest.mark.parametrize(
    ("handler", "reason", "phase", "message", "told"),
    [
        pytest.param(
            ending(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), Reason.STATUS,
            "upgrade", "want status 101, got 403", (403, 0, 0), id="no 101",
        ),
        pytest.param(
            upgrading(key="bm90IGl0"), Reason.PROTOCOL, "upgrade",
            "want a websocket's upgrade, got a wrong header Sec-WebSocket-Accept", (101, 0, 0),
            id="another key",
        ),
        pytest.param(
            upgrading(lines=("Connection: Upgrade",)), Reason.PROTOCOL, "upgrade",
            "want a websocket's upgrade, got no header Upgrade", (101, 0, 0), id="no upgrade",
        ),
        pytest.param(
            upgrading(text("hi", mask=True)), Reason.PROTOCOL, "transfer",
            "want frames of a websocket, got incorrect masking", (101, 1, 1), id="masked",
        ),
        pytest.param(
            upgrading(b"\xc1\x01x"), Reason.PROTOCOL, "transfer",
            "want frames of a websocket, got reserved bits must be 0", (101, 1, 1),
            id="compressed",
        ),
        pytest.param(
            upgrading(text("x", fin=False), *([b"\x00\x01x"] * 2000)), Reason.TOO_LARGE,
            "transfer", "want a message of at most 1024 frames, got more", (101, 1, 1),
            id="endless fragments",
        ),
        pytest.param(
            upgrading(b"\x81\x7f" + (2**20 + 126).to_bytes(8, "big")), Reason.TOO_LARGE,
            "transfer", "want a message of at most 1MiB, got a larger one", (101, 1, 1),
            id="a huge message",
        ),
        pytest.param(
            upgrading(b"\x88\x05\x03\xf3bye"), Reason.CLOSED, "transfer",
            "want a message, got close code 1011 ('bye')", (101, 1, 1), id="close 1011",
        ),
        pytest.param(
            upgrading(then=half_closing), Reason.CLOSED, "transfer",
            "want a message, got the end of the stream (1006)", (101, 1, 1), id="half-close",
        ),
        pytest.param(
            upgrading(text("good morning")), Reason.BODY, "transfer",
            "want a message that matches '^hello', got 'good morning'", (101, 1, 1),
            id="another message",
        ),
        pytest.param(
            upgrading(b"\x82\x02\xff\xfe"), Reason.BODY, "transfer",
            "want a message that matches '^hello', got '\ufffd\ufffd'", (101, 1, 1), id="bytes",
        ),
    ],
)  # fmt: skip
async def test_a_server_that_does_wrong_is_told(
    check: Check,
    handler: Handler,
    reason: Reason,
    phase: str,
    message: str,
    told: tuple[float, float, float],
) -> None:
    result = await look(check, handler, dialog=[{"expect": "^hello"}])

    assert verdict(result) == (reason, phase)
    assert result.failure is not None
    assert result.failure.message == message
    assert flags(result) == told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        pytest.param({"dialog": [{"expect": "x"}]}, (101, 1, 1), id="a message"),
        pytest.param({"ping": True}, (101, 1, 0), id="the answer to a ping"),
        pytest.param({"expect": {"close_code": 1000}}, (101, 1, 0), id="a goodbye"),
    ],
)
async def test_silence_after_the_upgrade_ends_with_the_deadline(
    check: Check, keys: dict[str, Any], told: tuple[float, float, float]
) -> None:
    """D5."""
    result = await look(check, upgrading(), 0.1, **keys)

    assert verdict(result) == (Reason.TIMEOUT, "transfer")
    assert flags(result) == told


@pytest.mark.parametrize(
    ("steps", "failure"),
    [
        pytest.param([{"expect": "^c$"}], (Reason.BODY, "transfer"), id="no skipping"),
        pytest.param([{"expect": "^c$", "skip": 1}], (Reason.BODY, "transfer"), id="one too few"),
        pytest.param([{"expect": "^c$", "skip": 2}], None, id="enough"),
        pytest.param([{"expect": "^a$", "skip": 9}, {"expect": "^b$"}], None, id="only those"),
    ],
)
async def test_messages_are_skipped_only_where_it_is_said(
    check: Check, steps: list[Any], failure: tuple[Reason, str] | None
) -> None:
    result = await look(check, upgrading(text("a"), text("b"), text("c")), dialog=steps)

    assert verdict(result) == failure


async def test_a_ping_is_timed_among_messages_and_other_pongs(check: Check) -> None:
    async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(2 + 4 + 8)
        mask, payload = head[2:6], head[6:]
        plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        writer.write(b"\x8a\x02no" + text("more than may wait") * 200)
        writer.write(Frame(Opcode.PONG, plain).serialize(mask=False))
        await reader.read()

    result = await look(check, upgrading(then=pong), ping=True)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["websocket_ping_seconds"] > 0


async def test_a_slow_ping_is_a_matter_of_latency(check: Check) -> None:
    async with library() as address:
        result = await check(websocket(expect={"ping": "0.000001ms"}), f"ws://{address}/")

    assert verdict(result) == (Reason.LATENCY, "transfer")


async def test_a_message_cannot_be_blown_up(check: Check) -> None:
    steps = [{"expect": ".*", "send": "$0" * 20}]

    result = await look(check, upgrading(text("x" * 100_000)), dialog=steps)

    assert verdict(result) == (Reason.TOO_LARGE, "transfer")


async def test_an_end_without_a_goodbye_has_no_close_code(check: Check) -> None:
    result = await look(check, upgrading(then=half_closing), expect={"close_code": 1000})

    assert verdict(result) == (Reason.CLOSED, "transfer")
    assert result.failure is not None
    assert result.failure.message == "want close code 1000, got the end of the stream (1006)"


async def test_what_is_wrong_with_the_frames_is_told_whatever_is_waited_for(check: Check) -> None:
    result = await look(check, upgrading(b"\x83\0"), expect={"close_code": 1000})

    assert verdict(result) == (Reason.PROTOCOL, "transfer")
    assert result.failure is not None
    assert result.failure.message == "want frames of a websocket, got invalid opcode"


async def test_a_dollar_in_a_secret_is_no_reference(check: Check) -> None:
    steps = [{"expect": "(hello)", "send": Secret("pass$1")}, {"expect": r"^pass\$1$"}]
    async with library() as address:
        result = await check(websocket(dialog=steps), f"ws://{address}/")

    assert result.outcome is Outcome.UP, result.failure


async def test_another_subprotocol_than_expected(check: Check) -> None:
    kind = websocket(subprotocols=["chat", "b"], expect={"subprotocol": "b"})
    async with aiohttp_server([]) as address:
        result = await check(kind, f"ws://{address}/ws")

    assert verdict(result) == (Reason.PROTOCOL, "upgrade")
    assert result.failure is not None
    assert result.failure.message == "want subprotocol 'b', got 'chat'"


async def test_the_flags_are_told_without_a_connection(check: Check) -> None:
    result = await check(Websocket(), f"ws://127.0.0.1:{closed_port()}/")

    assert verdict(result) == (Reason.REFUSED, "connect")
    assert flags(result) == (0, 0, 0)


# --- settings


@pytest.mark.parametrize(
    "target", ["", "http://x/", "x:80", "ws:/x", "ws://", "wss://a@b@c/", "ws://h:0/", "ws://a b/"]
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match=r"^want "):
        Websocket().check_target(target)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({"headers": {"Sec-WebSocket-Key": "x"}}, "does not write itself", id="own"),
        pytest.param({"headers": {"X": "a\nb"}}, "want a text of one line", id="lines"),
        pytest.param({"headers": {"Host": "a b"}}, "want a host name", id="host"),
        pytest.param(
            {"bearer": "x", "headers": {"authorization": "y"}}, "want one of basic_auth", id="two"
        ),
        pytest.param({"subprotocols": ["a b"]}, "want a subprotocol such as", id="subprotocol"),
        pytest.param(
            {"expect": {"subprotocol": "x"}}, "want 'x' among the subprotocols", id="not offered"
        ),
        pytest.param({"dialog": [{}]}, "want expect or send, got neither", id="empty step"),
        pytest.param({"dialog": [{"send": "x", "skip": 1}]}, "got skip alone", id="skip"),
        pytest.param({"dialog": [{"send": {"hex": "0"}}]}, "want bytes in hex", id="hex"),
        pytest.param({"expect": {"close_code": 99}}, "greater than or equal to 1000", id="code"),
        pytest.param({"dialog": [{"expect": "("}]}, "want an RE2 pattern", id="pattern"),
    ],
)
def test_mistakes_in_settings(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        websocket(**keys)


def test_a_certificate_is_judged_over_tls_only() -> None:
    kind = websocket(expect={"certificate": {"expires_in": "1d"}})

    kind.check_target("wss://example.org/")
    with pytest.raises(ValueError, match="want a wss:// URL to judge a certificate"):
        kind.check_target("ws://example.org/")


def test_what_upstream_takes_at_load_is_taken() -> None:
    settings = {"dialog": [{}, {"send": ""}], "headers": {"Upgrade": ["x"], "X": ["y"]}}

    kind = Websocket.model_validate(settings, context={"dialect": "blackbox"})

    assert len(kind.dialog) == 2
    assert list(kind.headers) == ["X"]
