"""A hello of our own, and what a server says to it in plain text."""

import ssl
from contextlib import suppress
from itertools import pairwise

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.net import dial
from probes.wire.tls.staple import MAX_FLIGHT_BYTES, Flight, hello, look_for_staple
from tests.faults.tcp import Handler, ending, silent, talking, tcp_fault

RANDOM = bytes(32)


def record(content: bytes, kind: int = 22) -> bytes:
    return bytes((kind, 3, 3)) + len(content).to_bytes(2, "big") + content


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


HELLO, CERTIFICATE, DONE = message(2, b"h" * 70), message(11, b"c" * 900), message(14, b"")
STAPLE = message(22, b"\1" + (5).to_bytes(3, "big") + b"stapl")
KEYS = message(12, b"k" * 100)


@pytest.mark.parametrize(
    ("flight", "staple"),
    [
        pytest.param(record(HELLO) + record(CERTIFICATE) + record(STAPLE), b"stapl", id="stapled"),
        pytest.param(record(HELLO + CERTIFICATE + KEYS + DONE), None, id="not stapled"),
        pytest.param(record(HELLO + DONE), None, id="no certificate"),
        pytest.param(
            record(HELLO + CERTIFICATE[:9]) + record(CERTIFICATE[9:] + STAPLE), b"stapl",
            id="across records",
        ),
        pytest.param(
            record(HELLO + CERTIFICATE + message(22, b"\2other")), None, id="another status"
        ),
    ],
)  # fmt: skip
@given(cuts=st.lists(st.integers(0, 1200), max_size=4))
def test_a_flight_is_read_however_it_is_cut(
    flight: bytes, staple: bytes | None, cuts: list[int]
) -> None:
    read = Flight()
    borders = [0, *sorted(cuts), len(flight)]
    for start, end in pairwise(borders):
        read.feed(flight[start:end])

    assert read.is_over
    assert read.staple == staple


@pytest.mark.parametrize(
    ("said", "reason", "message"),
    [
        pytest.param(
            record(b"\2\x46", 21), Reason.TLS, "want a flight of TLS 1.2, got the alert 70",
            id="alert",
        ),
        pytest.param(
            record(b"", 21), Reason.TLS, "want a flight of TLS 1.2, got the alert 0", id="no alert"
        ),
        pytest.param(
            b"220 hello\r\n", Reason.PROTOCOL, "want a TLS record, got b'220 hello\\r\\n'",
            id="plain text",
        ),
        pytest.param(
            b"\x16\3\3\xff\xff", Reason.PROTOCOL,
            "want a TLS record, got b'\\x16\\x03\\x03\\xff\\xff'", id="too long a record",
        ),
        pytest.param(
            record(message(2, bytes(16_000))) * 9, Reason.TOO_LARGE,
            "want a first flight of at most 131072 bytes, got more", id="without end",
        ),
    ],
)  # fmt: skip
def test_what_is_no_flight_is_told(said: bytes, reason: Reason, message: str) -> None:
    flight = Flight()
    with pytest.raises(CheckFailed) as caught:
        for start in range(0, len(said), 9000):
            flight.feed(said[start : start + 9000])

    assert (caught.value.reason, caught.value.message) == (reason, message)


@given(st.lists(st.binary(max_size=30) | st.sampled_from([HELLO, record(HELLO), CERTIFICATE])))
def test_no_server_breaks_it(said: list[bytes]) -> None:
    flight = Flight()
    with suppress(CheckFailed):
        for data in said:
            flight.feed(data)
    assert len(flight._records) <= MAX_FLIGHT_BYTES


@pytest.mark.parametrize(
    ("name", "is_told"),
    [("www.example.org", True), ("127.0.0.1", False), ("::1", False), ("", False)],
)
def test_an_address_is_no_server_name(name: str, is_told: bool) -> None:
    said = hello(name, RANDOM)

    assert (name.encode() in said and bool(name)) is is_told
    assert int.from_bytes(said[3:5], "big") == len(said) - 5


async def ask(handler: Handler, context: ssl.SSLContext | None = None) -> bytes | None:
    async with tcp_fault(handler, context=context) as port:
        address = Address("127.0.0.1", port, "127.0.0.1", 4)
        async with dial(address, Recorder()) as connection:
            found = await look_for_staple(connection, "localhost")
            connection.abort()
        return found


async def test_over_a_connection_a_staple_is_found() -> None:
    flight = record(HELLO) + record(CERTIFICATE) + record(STAPLE)

    assert await ask(talking(flight)) == b"stapl"
    with pytest.raises(CheckFailed) as caught:
        await ask(ending(flight[:-1]))
    assert caught.value.reason is Reason.CLOSED


@pytest.mark.parametrize("suites", ["ECDHE", "kRSA"])
async def test_openssl_understands_our_hello_whatever_it_prefers(
    suites: str,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA(key_type=trustme.KeyType.RSA).issue_cert(
        "localhost", key_type=trustme.KeyType.RSA
    ).configure_cert(context)
    context.set_ciphers(suites)

    assert await ask(silent, context) is None
