"""The websocket protocol without I/O: any bytes never crash, and no flood goes unnoticed."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.utils import accept_key

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.http.message import Response
from probes.wire.url import parse_url
from probes.wire.websocket.frames import MAX_FRAGMENTS, Frames, Upgrade

URL = parse_url("http://node.example:8546/ws?key=k")
ACCEPTED = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


def headers_of(request: bytes) -> dict[str, str]:
    _, *lines = request.decode().rstrip("\r\n").split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


def shaken(
    *more: tuple[bytes, bytes], subprotocols: tuple[str, ...] = (), status: int = 101
) -> str:
    """Answer an upgrade with these headers, and return what was agreed upon."""
    upgrade = Upgrade(subprotocols)
    key = headers_of(upgrade.encode(URL))["Sec-WebSocket-Key"]
    response = Response(URL)
    response.status = status
    given = {name for name, _ in more}
    right = (*ACCEPTED, (b"sec-websocket-accept", accept_key(key).encode()))
    response.headers = [pair for pair in right if pair[0] not in given] + [
        pair for pair in more if pair[1] != b"(none)"
    ]
    return upgrade.judge(response)


def test_the_request_is_that_of_the_standard() -> None:
    upgrade = Upgrade(("a", "b"))
    request = upgrade.encode(URL, (("Origin", "https://x.example"), ("user-agent", "mine")))
    assert request.startswith(b"GET /ws?key=k HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n")
    headers = headers_of(request)
    assert len(headers.pop("Sec-WebSocket-Key")) == 24
    assert headers == {
        "Host": "node.example:8546",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "a, b",
        "Origin": "https://x.example",
        "user-agent": "mine",
    }


def test_no_extension_is_offered_and_every_key_is_fresh() -> None:
    one, other = (headers_of(Upgrade().encode(URL)) for _ in range(2))
    assert "Sec-WebSocket-Extensions" not in one
    assert one["Sec-WebSocket-Key"] != other["Sec-WebSocket-Key"]


def test_a_user_in_the_url_becomes_basic_auth() -> None:
    request = Upgrade().encode(parse_url("http://me:hunter2@node.example/"))
    assert headers_of(request)["Authorization"] == "Basic bWU6aHVudGVyMg=="


def test_a_right_answer_is_taken() -> None:
    assert shaken() == ""
    assert shaken((b"sec-websocket-protocol", b"b"), subprotocols=("a", "b")) == "b"
    assert shaken((b"upgrade", b"WebSocket"), (b"connection", b"keep-alive, Upgrade")) == ""
    assert shaken((b"server", "café".encode()), (b"x-odd", b"\xff\xfe")) == ""


@pytest.mark.parametrize(
    ("header", "value", "got"),
    [
        (b"upgrade", b"(none)", "no header Upgrade"),
        (b"upgrade", b"h2c", "a wrong header Upgrade"),
        (b"connection", b"close", "a wrong header Connection"),
        (b"sec-websocket-accept", b"(none)", "no header Sec-WebSocket-Accept"),
        (b"sec-websocket-accept", b"c2VjcmV0", "a wrong header Sec-WebSocket-Accept"),
        (b"sec-websocket-extensions", b"permessage-deflate", "no extensions supported"),
        (b"sec-websocket-protocol", b"x", "no subprotocols supported"),
        (b"connection", b"\xff(", "a wrong header Connection"),
        (b"connection", b"\x00", "a wrong header connection"),
    ],
)
def test_a_wrong_answer_is_told(header: bytes, value: bytes, got: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        shaken((header, value))
    assert caught.value.reason is Reason.PROTOCOL
    assert str(caught.value) == f"want a websocket's upgrade, got {got}"


def test_another_status_is_told() -> None:
    with pytest.raises(CheckFailed, match="status 101") as caught:
        shaken(status=403)
    assert str(caught.value) == "want status 101, got 403"
    assert caught.value.reason is Reason.STATUS


# --- frames


@given(
    st.lists(st.text() | st.binary(), max_size=20),
    st.integers(min_value=1, max_value=50),
    st.integers(min_value=1, max_value=50),
)
def test_messages_arrive_as_they_were_sent_however_they_are_cut(
    messages: list[str | bytes], fragment: int, piece: int
) -> None:
    peer, frames = Protocol(Side.SERVER), Frames(2**20)
    for message in messages:
        data = message.encode() if isinstance(message, str) else message
        parts = [data[at : at + fragment] for at in range(0, len(data), fragment)] or [b""]
        send = peer.send_text if isinstance(message, str) else peer.send_binary
        send(parts[0], fin=len(parts) == 1)
        for number, part in enumerate(parts[1:], 2):
            peer.send_continuation(part, fin=number == len(parts))
    wire = b"".join(peer.data_to_send())
    for at in range(0, len(wire), piece):
        frames.feed(wire[at : at + piece])
    assert list(frames.messages) == messages
    assert frames.end is None


@given(st.lists(st.text() | st.binary(), max_size=20))
def test_what_is_said_can_be_read(messages: list[str | bytes]) -> None:
    peer, frames = Protocol(Side.SERVER), Frames(2**20)
    for message in messages:
        frames.say(message)
    peer.receive_data(frames.outgoing)
    read = [event.data for event in peer.events_received() if isinstance(event, Frame)]
    assert [bytes(data) for data in read] == [
        message.encode() if isinstance(message, str) else message for message in messages
    ]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_end_in_messages_or_in_a_verdict(pieces: list[bytes]) -> None:
    frames = Frames(100)
    for piece in pieces:
        frames.feed(piece)
    assert frames.end is None or frames.end.reason is not Reason.INTERNAL
    assert all(len(message) <= 100 for message in frames.messages)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        pytest.param(
            frame(Opcode.TEXT, b"x", mask=True),
            Reason.PROTOCOL,
            "want frames of a websocket, got incorrect masking",
            id="masked",
        ),
        pytest.param(
            b"\xc1\x00", Reason.PROTOCOL,
            "want frames of a websocket, got reserved bits must be 0", id="compressed",
        ),
        pytest.param(
            b"\x83\x00", Reason.PROTOCOL, "want frames of a websocket, got invalid opcode",
            id="opcode",
        ),
        pytest.param(
            frame(Opcode.CONT, b"x"), Reason.PROTOCOL,
            "want frames of a websocket, got unexpected continuation frame", id="out of order",
        ),
        pytest.param(
            b"\x89\x7e\x00\x7e" + b"x" * 126, Reason.PROTOCOL,
            "want frames of a websocket, got control frame too long", id="a long ping",
        ),
        pytest.param(
            frame(Opcode.TEXT, b"\xff\xfe"), Reason.PROTOCOL,
            "want a text in UTF-8, got b'\\xff\\xfe'", id="no text",
        ),
        pytest.param(
            frame(Opcode.TEXT, b"x" * 101), Reason.TOO_LARGE,
            "want a message of at most 100B, got a larger one", id="one large frame",
        ),
        pytest.param(
            b"\x82\x7f" + struct.pack("!Q", 2**63 - 1), Reason.TOO_LARGE,
            "want a message of at most 100B, got a larger one", id="an announced giant",
        ),
        pytest.param(
            frame(Opcode.TEXT, b"x" * 60, fin=False) + frame(Opcode.CONT, b"x" * 60),
            Reason.TOO_LARGE, "want a message of at most 100B, got a larger one", id="in pieces",
        ),
        pytest.param(
            frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * MAX_FRAGMENTS,
            Reason.TOO_LARGE, "want a message of at most 1024 frames, got more",
            id="a flood of nothing",
        ),
        pytest.param(
            frame(Opcode.CLOSE, Close(1008, "policy").serialize()), Reason.CLOSED,
            "want a message, got close code 1008 ('policy')", id="closed for a reason",
        ),
        pytest.param(
            frame(Opcode.CLOSE, b""), Reason.CLOSED,
            "want a message, got close code 1005", id="closed without a word",
        ),
        pytest.param(
            frame(Opcode.CLOSE, b"\x03"), Reason.PROTOCOL,
            "want frames of a websocket, got close frame too short", id="half a close",
        ),
    ],
)  # fmt: skip
def test_the_end_is_told_and_answered(data: bytes, reason: Reason, message: str) -> None:
    frames = Frames(100)
    frames.feed(frame(Opcode.TEXT, b"before") + data + frame(Opcode.TEXT, b"behind"))
    assert frames.end is not None
    assert (frames.end.reason, frames.end.message) == (reason, message)
    assert list(frames.messages) == ["before"]
    assert not frames.is_open
    peer = Protocol(Side.SERVER)
    peer.receive_data(frames.outgoing)
    assert peer.close_rcvd is not None
    frames.feed(b"more")  # a peer that talks on is not heard


def test_pings_are_answered_and_no_messages() -> None:
    frames = Frames(100)
    frames.feed(frame(Opcode.PING, b"alive?") + frame(Opcode.PONG, b""))
    peer = Protocol(Side.SERVER)
    peer.receive_data(frames.outgoing)
    (pong,) = peer.events_received()
    assert isinstance(pong, Frame)
    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"alive?")
    assert not frames.messages


def test_a_ping_between_two_parts_is_no_part_of_the_message() -> None:
    frames = Frames(100)
    frames.feed(frame(Opcode.TEXT, b"x" * 99, fin=False))
    frames.feed(frame(Opcode.PING, b"p" * 125))
    frames.feed(frame(Opcode.CONT, b"x"))
    assert list(frames.messages) == ["x" * 100]


def test_a_ping_and_a_goodbye_go_out() -> None:
    peer, frames = Protocol(Side.SERVER), Frames(100)
    frames.ping()
    frames.say_goodbye(1001)
    peer.receive_data(frames.outgoing)
    events = [event for event in peer.events_received() if isinstance(event, Frame)]
    assert [event.opcode for event in events] == [Opcode.PING, Opcode.CLOSE]
    assert peer.close_rcvd == Close(1001, "")
    assert not frames.is_open
