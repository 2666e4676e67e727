"""HTTP/2: the codec against h2's own server side, and a whole exchange over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.exchange import exchange
from probes.wire.http.h2 import MAX_EVENTS, TURN_FRAMES, WINDOW_BYTES, Http2
from probes.wire.http.message import Request, Response
from probes.wire.http.options import HTTP2_ALPN, Options
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url

URL = parse_url("https://localhost:8443/path?q=1")
HEAD = [(":status", "200"), ("server", "x"), ("content-type", "text/plain")]
Play = Callable[["Peer"], None]


class Peer:
    """The server's side of one connection, without I/O."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.events: list[h2.events.Event] = []

    def take(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.RequestReceived):
                self.headers = {str(name): str(value) for name, value in event.headers or []}
            elif isinstance(event, h2.events.DataReceived):
                self.body += event.data or b""
                self.connection.acknowledge_received_data(event.flow_controlled_length or 0, 1)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True

    def answer(self, *pieces: bytes, head: list[tuple[str, str]] | None = None) -> None:
        self.connection.send_headers(1, head or HEAD, end_stream=not pieces)
        for number, piece in enumerate(pieces, 1):
            self.connection.send_data(1, piece, end_stream=number == len(pieces))

    def say(self) -> bytes:
        return self.connection.data_to_send()


def converse(
    request: Request, play: Play, response: Response | None = None, *, early: bool = False
) -> tuple[Http2, Response, Peer]:
    """Let both sides talk until nobody has anything more to say; *early*: ahead of the body."""
    response = response or Response(request.url)
    codec, peer, played = Http2(request, response), Peer(), False
    outgoing, codec.outgoing = codec.outgoing, b""
    while (outgoing or not played) and not (codec.failure or codec.is_complete):
        peer.take(outgoing)
        if not played and (peer.ended or early):
            play(peer)
            played = True
        outgoing = b""
        if said := peer.say():
            codec.feed(said)
            while codec.pending:
                codec.pump()
            outgoing, codec.outgoing = codec.outgoing, b""
    return codec, response, peer


def test_a_request_and_its_answer() -> None:
    request = Request(URL, headers=(("User-Agent", "sonde"), ("TE", "gzip"), ("Connection", "x")))
    codec, response, peer = converse(request, lambda peer: peer.answer(b"all is ", b"well"))
    assert codec.failure is None
    assert codec.is_complete
    assert (response.status, response.version, response.body.data) == (200, "2", b"all is well")
    assert response.status_line == "HTTP/2 200"
    assert response.values("Content-Type") == ["text/plain"]
    assert list(peer.headers.items()) == [
        (":method", "GET"), (":scheme", "https"), (":authority", "localhost:8443"),
        (":path", "/path?q=1"), ("user-agent", "sonde"),
    ]  # fmt: skip


def test_trailers_stand_behind_the_body() -> None:
    def play(peer: Peer) -> None:
        peer.connection.send_headers(1, HEAD)
        peer.connection.send_data(1, b"body")
        peer.connection.send_headers(1, [("grpc-status", "0"), ("x", "y")], end_stream=True)

    codec, response, _ = converse(Request(URL), play)
    assert codec.is_complete
    assert codec.trailers == [(b"grpc-status", b"0"), (b"x", b"y")]
    assert response.body.data == b"body"
    assert len(response.headers) == len(HEAD) - 1


def test_the_code_of_a_reset_is_kept() -> None:
    def play(peer: Peer) -> None:
        peer.connection.reset_stream(1, h2.errors.ErrorCodes.CANCEL)

    codec, _, _ = converse(Request(URL), play)
    assert codec.reset_code == h2.errors.ErrorCodes.CANCEL
    assert codec.failure is not None


def test_push_is_refused_and_the_window_is_wide() -> None:
    _, _, peer = converse(Request(URL), lambda peer: peer.answer())
    settings = peer.connection.remote_settings
    assert settings.enable_push == 0
    assert settings.initial_window_size == WINDOW_BYTES
    assert settings.max_header_list_size == 65536


@pytest.mark.parametrize("size", [10, 300_000], ids=["small", "over-the-window"])
def test_a_body_goes_out_as_the_windows_allow(size: int) -> None:
    request = Request(URL, "POST", (("Content-Type", "x/y"),), b"x" * size)
    codec, _, peer = converse(request, lambda peer: peer.answer(b"ok"))
    assert codec.is_complete
    assert len(peer.body) == size
    assert peer.headers["content-length"] == str(size)


def test_an_answer_ahead_of_the_whole_body_is_an_answer() -> None:
    """RFC 9113, 8.1: then the server resets the stream, for it wants no more of the body."""

    def play(peer: Peer) -> None:
        peer.answer(b"too much")
        peer.connection.reset_stream(1, h2.errors.ErrorCodes.NO_ERROR)

    codec, response, _ = converse(Request(URL, "POST", body=b"x" * 300_000), play, early=True)
    assert codec.failure is None
    assert (codec.is_complete, response.body.data) == (True, b"too much")


def test_a_large_answer_is_read_to_its_end() -> None:
    def play(peer: Peer) -> None:
        peer.answer(*[b"x" * 10_000] * 60)

    codec, response, _ = converse(Request(URL), play)
    assert codec.failure is None
    assert (codec.is_complete, response.body.size) == (True, 600_000)


def test_informational_answers_are_not_the_answer() -> None:
    def play(peer: Peer) -> None:
        peer.connection.send_headers(1, [(":status", "103"), ("link", "</x>")])
        peer.answer(b"ok")

    codec, response, _ = converse(Request(URL), play)
    assert codec.failure is None
    assert (response.status, response.values("link")) == (200, [])


def test_too_many_informational_answers_are_refused() -> None:
    def play(peer: Peer) -> None:
        for _ in range(11):
            peer.connection.send_headers(1, [(":status", "103")])

    codec, _, _ = converse(Request(URL), play)
    assert codec.failure is not None
    assert codec.failure.message == "want at most 10 informational answers, got more"


def test_a_reset_names_its_code() -> None:
    codec, _, _ = converse(
        Request(URL), lambda peer: peer.connection.reset_stream(1, h2.errors.ErrorCodes(2))
    )
    assert codec.failure is not None
    assert codec.failure.reason is Reason.CLOSED
    assert codec.failure.message == (
        "want an HTTP/2 answer, got a reset of the stream (INTERNAL_ERROR)"
    )
    assert not codec.wants_http1


def test_a_reset_behind_the_head_breaks_the_body_off() -> None:
    def play(peer: Peer) -> None:
        peer.connection.send_headers(1, [(":status", "200")])
        peer.connection.reset_stream(1, h2.errors.ErrorCodes(2))

    codec, _, _ = converse(Request(URL), play)
    assert codec.failure is not None
    assert codec.failure.message == "want a whole body, got a reset of the stream (INTERNAL_ERROR)"


def test_a_server_may_ask_for_http1() -> None:
    codec, _, _ = converse(
        Request(URL),
        lambda peer: peer.connection.reset_stream(1, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED),
    )
    assert codec.wants_http1


def test_a_goaway_behind_our_stream_does_not_disturb() -> None:
    # nginx says so with the last request that keepalive_requests admits
    response = Response(URL)
    codec, peer = Http2(Request(URL), response), Peer()
    peer.take(codec.outgoing)
    peer.connection.send_headers(1, HEAD)
    peer.connection.close_connection(last_stream_id=1)
    last_data = bytes.fromhex("000002000100000001") + b"ok"
    codec.feed(peer.say() + last_data)
    assert codec.failure is None
    assert (codec.is_complete, response.body.data) == (True, b"ok")


def test_a_goaway_before_our_stream_is_closed() -> None:
    codec, _, _ = converse(
        Request(URL), lambda peer: peer.connection.close_connection(last_stream_id=0)
    )
    assert codec.failure is not None
    assert codec.failure.message == "want an HTTP/2 answer, got GOAWAY (NO_ERROR)"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ([("x-many", "1")] * 129, "want at most 128 headers, got more"),
        ([("x-long", "x" * 9000)], "want header lines of at most 8190 bytes, got a longer one"),
        (
            [(f"x-{n}", "x" * 8000) for n in range(9)],
            "want a head of at most 65536 bytes, got more",
        ),
    ],
    ids=["many", "long", "large"],
)
def test_the_head_has_its_limits(head: list[tuple[str, str]], message: str) -> None:
    codec, _, _ = converse(Request(URL), lambda peer: peer.answer(head=[(":status", "200"), *head]))
    assert codec.failure is not None
    assert (codec.failure.reason, codec.failure.message) == (Reason.TOO_LARGE, message)


def test_a_flood_of_pings_is_stopped() -> None:
    codec, peer = Http2(Request(URL), Response(URL)), Peer()
    peer.take(codec.outgoing)
    codec.feed(peer.say())
    peer.connection.ping(b"12345678")
    codec.feed(peer.say() * (MAX_EVENTS + 1))
    turns = 1
    while codec.pending:
        codec.pump()
        turns += 1
    assert turns >= MAX_EVENTS // TURN_FRAMES
    assert codec.failure is not None
    assert codec.failure.message == f"want at most {MAX_EVENTS} HTTP/2 frames, got more"


def test_a_body_of_another_length_than_announced_is_refused() -> None:
    def play(peer: Peer) -> None:
        peer.answer(b"four", head=[*HEAD, ("content-length", "5")])

    codec, _, _ = converse(Request(URL), play)
    assert codec.failure is not None
    assert codec.failure.reason is Reason.PROTOCOL


@given(data=st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_a_failure(data: bytes) -> None:
    codec, peer = Http2(Request(URL), Response(URL)), Peer()
    peer.take(codec.outgoing)
    codec.feed(peer.say())
    codec.feed(data)
    codec.eof()
    assert codec.is_complete != (codec.failure is not None)


# --- a whole exchange over TLS


@asynccontextmanager
async def h2_server(context: ssl.SSLContext, play: Play) -> AsyncIterator[int]:
    """Serve *play* over HTTP/2, and a plain answer over HTTP/1.1; give the port."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
                await _serve_http2(reader, writer, play)
            else:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the prober has gone
        finally:
            writer.transport.abort()

    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        running = [task for task in tasks if task is not None and not task.done()]
        if running:
            await asyncio.wait(running)
        await asyncio.sleep(0)


async def _serve_http2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, play: Play
) -> None:
    peer, played = Peer(), False
    writer.write(peer.say())
    while data := await reader.read(65536):
        peer.take(data)
        if peer.ended and not played:
            play(peer)
            played = True
        writer.write(peer.say())
        await writer.drain()


@pytest.fixture
def options(ca_file: Path) -> Options:
    """Trust the authority of the session."""
    return Options(tls=TlsOptions(ca_file=str(ca_file)))


async def fetch(port: int, options: Options, recorder: Recorder) -> Response:
    request = Request(parse_url(f"https://127.0.0.1:{port}/"))
    return await exchange(request, recorder, options)


async def test_http2_is_taken_when_the_server_offers_it(
    server_context: ssl.SSLContext, options: Options
) -> None:
    recorder = Recorder()
    async with h2_server(server_context, lambda peer: peer.answer(b"new")) as port:
        response = await fetch(port, options, recorder)
    assert (response.version, response.body.data, response.over_tls) == ("2", b"new", True)
    assert [phase.name for phase in recorder.phases] == [
        "resolve", "connect", "tls", "processing", "transfer",
    ]  # fmt: skip
    assert all(phase.complete for phase in recorder.phases)


async def test_http11_required_is_asked_again_over_http11(
    server_context: ssl.SSLContext, options: Options
) -> None:
    def play(peer: Peer) -> None:
        peer.connection.reset_stream(1, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)

    recorder = Recorder()
    async with h2_server(server_context, play) as port:
        response = await fetch(port, options, recorder)
        assert (response.version, response.body.data) == ("1.1", b"old")
        assert recorder.facts["http_fallback"] == "HTTP_1_1_REQUIRED"
        with pytest.raises(CheckFailed, match="HTTP_1_1_REQUIRED"):
            await fetch(port, replace(options, alpn=HTTP2_ALPN), Recorder())
