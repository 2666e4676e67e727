"""Answers as values, from bytes of any kind."""

import struct
from itertools import pairwise

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.dns.answer import Answer
from probes.wire.dns.message import MAX_LABELS, decode
from probes.wire.dns.question import Question
from tests.probes.wire.dns.made import answer_to

QUERY = Question("www.example", 1).encode(7)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param("A 192.0.2.1", "IN A 192.0.2.1", id="A"),
        pytest.param("AAAA 2001:DB8::1", "IN AAAA 2001:db8::1", id="AAAA"),
        pytest.param('TXT "a b" c', 'IN TXT "a b" "c"', id="TXT"),
        pytest.param("MX 10 Mail.example.", "IN MX 10 Mail.example.", id="MX"),
        pytest.param(
            "DS 1 13 2 " + "ab" * 32, "IN DS 1 13 2 " + "AB" * 32, id="digest in capitals"
        ),
        pytest.param(
            "DNSKEY 257 3 13 " + "A" * 88, "IN DNSKEY 257 3 13 " + "A" * 88, id="key in one piece"
        ),
        pytest.param(
            "NSEC3 1 0 5 abcd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
            "IN NSEC3 1 0 5 ABCD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A",
            id="hash in capitals",
        ),
        pytest.param(
            "LOC 42 1 54 N 71 6 18 W -24m 30m",
            "IN LOC 42 01 54.000 N 71 06 18.000 W -24m 30m 10000m 10m",
            id="place",
        ),
        pytest.param(r"TYPE65000 \# 2 ab01", r"CLASS1 TYPE65000 \# 2 ab01", id="unknown type"),
    ],
)
def test_a_record_has_the_text_of_blackbox_exporter(line: str, text: str) -> None:
    """Compared with the real one of version 0.23 on 2026-11-22."""
    answer = decode(answer_to(QUERY, f"www.example. 300 IN {line}"))

    class_, kind, rdata = text.split(" ", 2)
    assert answer.answer[0].text == f"www.example.\t300\t{class_}\t{kind}\t{rdata}"


def test_every_record_is_told_in_its_place_with_its_own_ttl() -> None:
    lines = [f"www.example. {ttl} IN A 192.0.2.{last}" for ttl, last in ((5, 1), (6, 2), (5, 1))]

    answer = decode(answer_to(QUERY, *lines, authority=["example. 1 IN NS ns.example."]))

    assert [(record.ttl, record.rdata) for record in answer.answer] == [
        (5, "192.0.2.1"), (6, "192.0.2.2"), (5, "192.0.2.1"),
    ]  # fmt: skip
    assert len(answer.sense) == 2
    assert answer.authority[0].sense == ("example.", 2, "ns.example.")


def opt(ttl: int, options: bytes) -> bytes:
    return b"\0" + struct.pack("!HHIH", 41, 1232, ttl, len(options)) + options


def test_edns_tells_more_of_the_code_and_why() -> None:
    options = struct.pack("!HHH", 15, 2, 6) + struct.pack("!HH", 3, 2) + b"me"
    message = QUERY[:2] + b"\x81\x80\0\1\0\0\0\0\0\1" + QUERY[12:] + opt(0x01008000, options)

    answer = decode(message)

    assert answer.code == "BADVERS"
    assert (answer.explanation, answer.nsid) == ("EDE 6 DNSSEC bogus", "me")
    assert "flags: do; udp: 1232" in answer.additional[0].text


def test_words_of_a_server_are_cut_and_clean() -> None:
    options = struct.pack("!HHH", 15, 302, 0) + b"\n" * 300
    message = QUERY[:2] + b"\x81\x80\0\1\0\0\0\0\0\1" + QUERY[12:] + opt(0, options)

    explanation = decode(message).explanation

    assert len(explanation) < 100
    assert explanation.isprintable()


def test_names_that_unpack_without_end_are_refused_at_once() -> None:
    """64 KiB that point to one name of 127 labels again and again: seconds of work."""
    name = b"\x01a" * 126 + b"\0"
    body = name + struct.pack("!HHIH", 1, 1, 1, 4) + b"\1\2\3\4"
    record = b"\xc0\x0c" + struct.pack("!HHIH", 2, 1, 1, 2) + b"\xc0\x0c"
    count = (65535 - 12 - len(body)) // len(record)
    message = struct.pack("!6H", 1, 0x8180, 0, count + 1, 0, 0) + body + record * count

    with pytest.raises(CheckFailed, match=f"want at most {MAX_LABELS} labels") as caught:
        decode(message)

    assert caught.value.reason is Reason.TOO_LARGE


def read(message: bytes) -> Answer | CheckFailed:
    try:
        return decode(message)
    except CheckFailed as failure:
        return failure


MESSAGES = [
    QUERY,
    answer_to(QUERY, "www.example. 1 IN A 192.0.2.1", 'www.example. 1 IN TXT "x"'),
    answer_to(QUERY, "www.example. 1 IN NSEC a.example. A NS", authority=["e. 1 IN NS x.e."]),
    answer_to(QUERY, "www.example. 1 IN SVCB 1 . alpn=h2 port=53", "e. 1 IN CAA 0 issue x"),
]


@given(st.sampled_from(MESSAGES), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255))))
def test_any_bytes_are_an_answer_or_a_protocol_error(
    message: bytes, changes: list[tuple[int, int]]
) -> None:
    wire = bytearray(message)
    for at, octet in changes:
        wire[at % len(wire)] = octet
    answer = read(bytes(wire))
    if isinstance(answer, CheckFailed):
        assert answer.reason in (Reason.PROTOCOL, Reason.TOO_LARGE)
        assert answer.phase == "request"
        return
    for record in (*answer.answer, *answer.authority, *answer.additional):
        record.text.encode()


@given(st.binary(max_size=60), st.integers(0, 70), st.sampled_from([1, 2, 5, 6, 15, 16, 33, 43]))
def test_any_data_of_a_record_is_read_or_refused(data: bytes, size: int, kind: int) -> None:
    record = b"\0" + struct.pack("!HHIH", kind, 1, 1, size) + data
    message = struct.pack("!6H", 1, 0x8180, 0, 1, 0, 0) + record
    answer = read(message)
    assert isinstance(answer, Answer) or answer.reason is Reason.PROTOCOL


def test_half_a_message_is_no_answer() -> None:
    whole = MESSAGES[1]

    for size, _ in pairwise(range(12, len(whole))):
        with pytest.raises(CheckFailed, match="want an answer that can be read, got"):
            decode(whole[:size])


def test_dnspython_reads_the_same() -> None:
    for message in MESSAGES[1:]:
        theirs = [rrset.to_text() for rrset in dns.message.from_wire(message).answer]

        assert [r.text.replace("\t", " ") for r in decode(message).answer] == theirs
