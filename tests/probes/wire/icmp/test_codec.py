"""Packets of ICMP: built, read, and never believed."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.icmp.codec import (
    Complaint,
    Echo,
    bouncer,
    checksum,
    complaint,
    echo,
    payload_of,
    quoted,
    request,
)

families = st.sampled_from([4, 6])
numbers = st.integers(0, 0xFFFF)
IP_HEADER = bytes([0x45]) + bytes(19)


def slow_checksum(data: bytes) -> int:
    """RFC 1071, 4.1, word by word."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.binary(max_size=100))
def test_the_checksum_is_that_of_the_standard(data: bytes) -> None:
    assert checksum(data) == slow_checksum(data)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        # the example of RFC 1071, 3
        pytest.param(bytes.fromhex("0001f203f4f5f6f7"), 0xFFFF - 0xDDF2, id="RFC 1071"),
        pytest.param(b"", 0xFFFF, id="nothing"),
        pytest.param(b"\0\0", 0xFFFF, id="zero"),
        pytest.param(b"\xff\xff", 0, id="the other zero"),
        pytest.param(b"\xff\xff\xff\xff", 0, id="the other zero twice"),
    ],
)
def test_checksums_at_the_edges(data: bytes, want: int) -> None:
    assert checksum(data) == want


@given(families, numbers, numbers, st.binary(max_size=64))
def test_what_comes_back_is_what_was_sent(
    family: int, identifier: int, sequence: int, payload: bytes
) -> None:
    sent = request(family, identifier, sequence, payload)

    assert quoted(sent, family) == (identifier, sequence)
    assert echo(sent, family, is_raw=False) is None
    assert family == 6 or checksum(sent) == 0
    came = bytes([{4: 0, 6: 129}[family], *sent[1:]])
    assert echo(came, family, is_raw=False) == Echo(identifier, sequence, payload)


def answered(payload: bytes) -> bytes:
    bare = struct.pack("!BBHHH", 0, 0, 0, 7, 9) + payload
    return struct.pack("!BBHHH", 0, 0, checksum(bare), 7, 9) + payload


def test_a_raw_socket_of_ipv4_gives_a_header_of_any_length() -> None:
    long_header = bytes([0x46]) + bytes(23)

    assert echo(IP_HEADER + answered(b"x"), 4, is_raw=True) == Echo(7, 9, b"x")
    assert echo(long_header + answered(b"x"), 4, is_raw=True) == Echo(7, 9, b"x")


def test_a_raw_reply_with_a_wrong_checksum_is_none() -> None:
    damaged = answered(b"abc")[:-1] + b"d"

    assert echo(IP_HEADER + damaged, 4, is_raw=True) is None


@given(st.binary(max_size=80), families, st.booleans())
def test_no_bytes_of_strangers_break_it(data: bytes, family: int, is_raw: bool) -> None:
    echo(data, family, is_raw=is_raw)
    quoted(data, family)
    complaint(data, family)


@given(st.integers(0, 1500))
def test_a_payload_is_as_long_as_one_wants(size: int) -> None:
    payload = payload_of("0123456789abcdef", size)

    assert len(payload) == size
    assert payload.startswith(b"sonde echo 0123456789abcdef "[:size])
    assert not payload[28:].strip(b"\0")


V4 = struct.pack("=HH4s", 2, 0, bytes([10, 0, 0, 1]))
V6 = struct.pack("=HHI16s", 10, 0, 0, bytes.fromhex("20010db8" + "00" * 11 + "01"))


def told(number: int, origin: int, kind: int, code: int, info: int = 0) -> bytes:
    return struct.pack("=IBBBBII", number, origin, kind, code, 0, info, 0)


@pytest.mark.parametrize(
    ("data", "family", "want", "text"),
    [
        pytest.param(
            told(errno.EHOSTUNREACH, 2, 3, 1) + V4, 4,
            Complaint(errno.EHOSTUNREACH, "host unreachable", "10.0.0.1"),
            "'host unreachable' from 10.0.0.1", id="host",
        ),
        pytest.param(
            told(errno.EHOSTUNREACH, 2, 11, 0) + V4, 4,
            Complaint(errno.EHOSTUNREACH, "TTL exceeded", "10.0.0.1"),
            "'TTL exceeded' from 10.0.0.1", id="too many hops",
        ),
        pytest.param(
            told(errno.EMSGSIZE, 2, 3, 4, 1400) + V4, 4,
            Complaint(
                errno.EMSGSIZE, "too large for the way, and it may not be fragmented",
                "10.0.0.1", 1400,
            ),
            "'too large for the way, and it may not be fragmented' from 10.0.0.1"
            " (at most 1400 bytes fit)", id="too large",
        ),
        pytest.param(
            told(errno.EACCES, 3, 1, 1) + V6, 6,
            Complaint(errno.EACCES, "prohibited by a filter", "2001:db8::1"),
            "'prohibited by a filter' from 2001:db8::1", id="IPv6",
        ),
        pytest.param(
            told(errno.EPROTO, 2, 77, 3) + V4, 4,
            Complaint(errno.EPROTO, "ICMP type 77, code 3", "10.0.0.1"),
            "'ICMP type 77, code 3' from 10.0.0.1", id="unknown",
        ),
        pytest.param(
            told(errno.EMSGSIZE, 1, 0, 0, 1500), 4,
            Complaint(errno.EMSGSIZE, "message too long", "", 1500),
            "'message too long' from this host (at most 1500 bytes fit)", id="our own",
        ),
    ],
)  # fmt: skip
def test_what_the_kernel_tells_of_an_error_is_read(
    data: bytes, family: int, want: Complaint, text: str
) -> None:
    assert complaint(data, family) == want
    assert want.text == text


def accepts(program: bytes, data: bytes) -> bool:
    """Run a filter as bpf(4) describes it; a load beyond the end drops the packet."""
    at = x = accumulator = k = 0
    while True:
        code, if_true, if_false, k = map(int, struct.unpack_from("=HBBI", program, at * 8))
        at += 1
        size = {0x50: 1, 0x48: 2}.get(code, 0)
        if code == 0x06:
            return k != 0
        if size and x + k + size > len(data):
            return False
        if size:
            accumulator = int.from_bytes(data[x + k : x + k + size], "big")
        elif code == 0xB1:
            x = (data[k] & 15) * 4
        elif code == 0x01:
            x = k
        elif code == 0x15:
            at += if_true if accumulator == k else if_false
        else:
            raise AssertionError(code)


@pytest.mark.parametrize("family", [4, 6])
def test_the_filter_lets_pass_our_replies_only(family: int) -> None:
    kind = {4: 0, 6: 129}[family]
    header = b"" if family == 6 else bytes([0x46]) + bytes(23)
    program = bouncer(family, 0x1234)

    assert accepts(program, header + struct.pack("!BBHHH", kind, 0, 0, 0x1234, 5))
    assert not accepts(program, header + struct.pack("!BBHHH", kind, 0, 0, 0x1235, 5))
    assert not accepts(program, header + request(family, 0x1234, 5, b""))
    assert not accepts(program, header + bytes([kind, 0]))
