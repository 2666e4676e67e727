"""The codec of SMTP: one line, a list of capabilities; whatever comes, it judges."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.wire.net import dial
from probes.wire.smtp import Reply, Session, capabilities, parse_line
from tests.faults.tcp import answering, tcp_fault


@pytest.mark.parametrize(
    ("line", "read"),
    [
        pytest.param(b"250 OK", (250, True, "OK"), id="the last line"),
        pytest.param(b"250-SIZE 1", (250, False, "SIZE 1"), id="one of several"),
        pytest.param(b"354", (354, True, ""), id="no text"),
        pytest.param(b"250-", (250, False, ""), id="an empty line"),
        pytest.param(b"220 \xc3\xa9\xff", (220, True, "é\ufffd"), id="text in any encoding"),
    ],
)
def test_a_line_of_a_reply_is_read(line: bytes, read: tuple[int, bool, str]) -> None:
    assert parse_line(line) == read


@pytest.mark.parametrize("line", [b"", b"25", b"+22 x", b"150 x", b"650 x", b"250_x", b"2500 x"])
def test_what_is_no_line_of_a_reply_is_told(line: bytes) -> None:
    with pytest.raises(CheckFailed, match="want a reply of SMTP, got b'"):
        parse_line(line)


@given(line=st.binary(max_size=40))
def test_any_bytes_are_a_line_or_a_failure(line: bytes) -> None:
    with suppress(CheckFailed):
        code, _, _ = parse_line(line)
        assert 200 <= code < 600


def test_capabilities_are_what_stands_behind_the_greeting() -> None:
    reply = Reply(250, ("mail greets you", "SIZE 42", "auth PLAIN LOGIN", "STARTTLS", ""))

    assert capabilities(reply) == {"SIZE": "42", "AUTH": "PLAIN LOGIN", "STARTTLS": ""}
    assert str(reply) == "250 mail greets you / SIZE 42 / auth PLAIN LOGIN"


async def test_a_dot_at_the_start_of_a_line_is_doubled() -> None:
    """RFC 5321, 4.5.2: a message could else end itself, and go on with commands."""
    handler = answering({b"DATA\r\n": b"354 go\r\n", b"a\r\n..\r\n..b\r\n.\r\n": b"250 ok\r\n"})

    async with tcp_fault(handler) as port, dial(f"127.0.0.1:{port}", Recorder()) as connection:
        reply = await Session(connection, Recorder()).message(b"a\r\n.\r\n.b\r\n")

    assert reply.code == 250
