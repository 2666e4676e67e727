"""SOCKS5: what Chromium says is understood however it is cut, all else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.browser.socks import Destination, Handshake, Refused, Reply, reply

GREETING = b"\x05\x01\x00"


def connect(address: bytes, port: int = 443) -> bytes:
    return b"\x05\x01\x00" + address + port.to_bytes(2)


def named(name: bytes) -> bytes:
    return b"\x03" + bytes((len(name),)) + name


@pytest.mark.parametrize(
    ("address", "host"),
    [
        pytest.param(named(b"shop.example"), "shop.example", id="name"),
        pytest.param(named(b"SHOP.example"), "shop.example", id="upper case"),
        pytest.param(named(b"127.0.0.1"), "127.0.0.1", id="IPv4 as a name"),
        pytest.param(named(b"[::1]"), "::1", id="IPv6 as a name in brackets"),
        pytest.param(b"\x01\xa9\xfe\xa9\xfe", "169.254.169.254", id="IPv4"),
        pytest.param(b"\x04" + bytes(15) + b"\x01", "::1", id="IPv6"),
    ],
)
def test_a_connect_is_read_whatever_names_the_host(address: bytes, host: str) -> None:
    handshake = Handshake()

    assert handshake.feed(GREETING) is None
    assert handshake.outgoing == b"\x05\x00"
    assert handshake.feed(connect(address, 8443)) == Destination(host, 8443)


@given(st.lists(st.integers(1, 40), max_size=8))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    data = GREETING + connect(named(b"shop.example")) + b"hello"
    handshake, found, sent = Handshake(), None, b""
    for size in [*cuts, len(data)]:
        piece, data = data[:size], data[size:]
        if found is None and piece:
            found = handshake.feed(piece)
            sent += handshake.outgoing
        else:
            handshake.rest += piece

    assert (found, sent, handshake.rest) == (
        Destination("shop.example", 443),
        b"\x05\x00",
        b"hello",
    )


@pytest.mark.parametrize(
    ("data", "message", "answer"),
    [
        pytest.param(
            b"GET / HTTP/1.1\r\n", "want SOCKS version 5, got b'GET / HT'", b"", id="HTTP"
        ),
        pytest.param(
            b"\x05\x01\x02",
            "want the method without a password, got [2]",
            b"\x05\xff",
            id="password",
        ),
        pytest.param(
            GREETING + b"\x05\x03\x00\x01\x00",
            "want CONNECT, got command 3",
            reply(Reply.NO_SUCH_COMMAND),
            id="UDP",
        ),
        pytest.param(
            GREETING + connect(b"\x09abcdef"),
            "want an address or a name, got type 9",
            reply(Reply.NO_SUCH_ADDRESS),
            id="type",
        ),
        pytest.param(
            GREETING + connect(named(b"0x7f.1")),
            "want a host name or an address, got b'0x7f.1'",
            reply(Reply.NO_SUCH_ADDRESS),
            id="odd spelling",
        ),
        pytest.param(
            GREETING + connect(named(b"")),
            "want a host name or an address, got b''",
            reply(Reply.NO_SUCH_ADDRESS),
            id="no name",
        ),
        pytest.param(
            GREETING + connect(named(b"a\xff")),
            "want a host name or an address, got b'a\\xff'",
            reply(Reply.NO_SUCH_ADDRESS),
            id="bytes",
        ),
        pytest.param(
            GREETING + connect(named(b"a"), 0),
            "want a port from 1 to 65535, got 0",
            reply(Reply.NO_SUCH_ADDRESS),
            id="port 0",
        ),
    ],
)
def test_what_no_browser_says_is_refused(data: bytes, message: str, answer: bytes) -> None:
    with pytest.raises(Refused) as caught:
        Handshake().feed(data)

    assert (str(caught.value), caught.value.answer) == (message, answer)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_destination_a_refusal_or_not_enough(data: bytes) -> None:
    handshake = Handshake()
    try:
        found = handshake.feed(data)
    except Refused:
        return
    assert found is None or (found.host and 0 < found.port < 65536)
