"""What is said before TLS: eight protocols, word by word."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.dialog.starttls import (
    MAX_LINES,
    PRESETS,
    PROTOCOLS,
    Exactly,
    Line,
    Protocol,
    Upto,
    negotiate,
)
from probes.wire.net import dial
from tests.faults.tcp import ending, tcp_fault

XMPP_OURS = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams' to=\"a&amp;b.example\" version='1.0'>"
)
XMPP_HEAD = b"<?xml version='1.0'?><stream:stream id='1' xmlns='jabber:client'>"
MYSQL_HEAD = b"\x0a8.0.36\0" + bytes(4) + b"12345678" + b"\0"


def mysql(flags: int, greeting: bytes = MYSQL_HEAD) -> bytes:
    body = greeting + flags.to_bytes(2, "little") + bytes(20)
    return len(body).to_bytes(3, "little") + b"\0" + body


def ldap(code: bytes = b"\x0a\1\0") -> bytes:
    operation = code + b"\4\0\4\0"
    message = b"\2\1\1\x78" + bytes((len(operation),)) + operation
    return b"\x30" + bytes((len(message),)) + message


# protocol -> what the server says, and what it must have heard
TALKS: dict[Protocol, tuple[bytes, bytes]] = {
    "smtp": (
        b"220-mx.example\r\n220 hi\r\n250-mx hello\r\n250-SIZE 1\r\n250 starttls\r\n220 go\r\n",
        b"EHLO sonde.invalid\r\nSTARTTLS\r\n",
    ),
    "imap": (
        b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n* CAPABILITY x\r\na1 OK begin\r\n",
        b"a1 STARTTLS\r\n",
    ),
    "pop3": (b"+OK ready\r\n+OK begin\r\n", b"STLS\r\n"),
    "ftp": (b"220-hello\r\n  230 no code\r\n220 ready\r\n234 go\r\n", b"AUTH TLS\r\n"),
    "xmpp": (
        XMPP_HEAD + b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>"
        b"<required/></starttls></stream:features><proceed xmlns='urn:x'></proceed>",
        XMPP_OURS + b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ),
    "ldap": (ldap(), bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"),
    "postgres": (b"S", bytes.fromhex("0000000804d2162f")),
    "mysql": (mysql(0xFFFF), bytes.fromhex("20000001008a00000000000121") + bytes(23)),
}  # fmt: skip


def play(protocol: Protocol, said: bytes) -> tuple[bytes, bytes]:
    """Return what the preset sends, and what of *said* it leaves.

    Raises:
        EOFError: it wants to hear more.
    """
    sent, rest = b"", said
    course = PRESETS[protocol]("a&b.example")
    answer = None
    while True:
        try:
            wish = next(course) if answer is None else course.send(answer)
        except StopIteration:
            return sent, rest
        answer = b""
        if isinstance(wish, bytes):
            sent += wish
            continue
        size = rest.find(b"\n") + 1 if isinstance(wish, Line) else 0
        if isinstance(wish, Upto):
            size = rest.find(wish.end) + len(wish.end) if wish.end in rest else 0
        if isinstance(wish, Exactly):
            size = wish.size if wish.size <= len(rest) else 0
        if not size:
            raise EOFError
        answer, rest = rest[:size], rest[size:]
        if isinstance(wish, Line):
            answer = answer.rstrip(b"\r\n")


# The same said in another way.
LONG = ldap()[2:]
VARIANTS: dict[str, tuple[Protocol, bytes]] = {
    "LDAP of a long length": ("ldap", b"\x30\x84" + len(LONG).to_bytes(4, "big") + LONG),
    "LDAP of a long length inside": ("ldap", b"\x30\x0d\2\1\1\x78\x81\7\x0a\1\0\4\0\4\0"),
    "XMPP with a closed tag": (
        "xmpp",
        TALKS["xmpp"][0].replace(b"<proceed xmlns='urn:x'></proceed>", b"<proceed xmlns='urn:x'/>"),
    ),
}


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        *(pytest.param(protocol, TALKS[protocol][0], id=protocol) for protocol in PROTOCOLS),
        *(pytest.param(*VARIANTS[name], id=name) for name in VARIANTS),
    ],
)
def test_a_willing_server_is_heard_to_the_last_byte_and_no_further(
    protocol: Protocol, said: bytes
) -> None:
    _, sent = TALKS[protocol]

    assert play(protocol, said + b"\x16") == (sent, b"\x16")
    with pytest.raises(EOFError):
        play(protocol, said[:-1])


@pytest.mark.parametrize(
    ("protocol", "said", "reason", "message"),
    [
        pytest.param(
            "smtp", b"220 x\r\n250-mx\r\n250 SIZE 1\r\n", Reason.TLS,
            "want an SMTP server that offers STARTTLS, got 'SIZE'", id="SMTP without",
        ),
        pytest.param(
            "smtp", b"220 x\r\n250-mx\r\n250 STARTTLS\r\n454 not now\r\n", Reason.TLS,
            "want an SMTP server that is ready for TLS, got '454 not now'", id="SMTP not now",
        ),
        pytest.param(
            "smtp", b"554 go away\r\n", Reason.PROTOCOL,
            "want the greeting of an SMTP server, got '554 go away'", id="SMTP refuses",
        ),
        pytest.param(
            "smtp", b"220 x\r\n502 no EHLO\r\n", Reason.PROTOCOL,
            "want what an SMTP server can do, got '502 no EHLO'", id="SMTP of 1982",
        ),
        pytest.param(
            "smtp", b"SSH-2.0-OpenSSH\r\n", Reason.PROTOCOL,
            "want the greeting of an SMTP server, got 'SSH-2.0-OpenSSH'", id="no SMTP",
        ),
        pytest.param(
            "smtp", b"220-x\r\n" * (MAX_LINES + 1), Reason.TOO_LARGE,
            "want the greeting of an SMTP server of at most 100 lines, got more",
            id="SMTP without end",
        ),
        pytest.param(
            "ftp", b"220 x\r\n500 what?\r\n", Reason.TLS,
            "want an FTP server that is ready for TLS, got '500 what?'", id="FTP without",
        ),
        pytest.param(
            "ftp", b"421 full\r\n", Reason.PROTOCOL,
            "want the greeting of an FTP server, got '421 full'", id="FTP is full",
        ),
        pytest.param(
            "imap", b"* OK x\r\na1 NO never\r\n", Reason.TLS,
            "want an IMAP server that is ready for TLS, got 'a1 NO never'", id="IMAP without",
        ),
        pytest.param(
            "imap", b"* BYE x\r\n", Reason.PROTOCOL,
            "want the greeting of an IMAP server, got '* BYE x'", id="IMAP leaves",
        ),
        pytest.param(
            "imap", b"* OK x\r\n" + b"* x\r\n" * MAX_LINES, Reason.TOO_LARGE,
            "want an answer of at most 100 lines, got more", id="IMAP without end",
        ),
        pytest.param(
            "pop3", b"+OK x\r\n-ERR no\r\n", Reason.TLS,
            "want a POP3 server that is ready for TLS, got '-ERR no'", id="POP3 without",
        ),
        pytest.param(
            "pop3", b"-ERR x\r\n", Reason.PROTOCOL,
            "want the greeting of a POP3 server, got '-ERR x'", id="POP3 refuses",
        ),
        pytest.param(
            "xmpp", XMPP_HEAD + b"<stream:features/>", Reason.TLS,
            "want an XMPP server that offers STARTTLS, got '<stream:features/>'",
            id="XMPP without",
        ),
        pytest.param(
            "xmpp", XMPP_HEAD + b"<stream:features><starttls/></stream:features><failure/>",
            Reason.TLS, "want an XMPP server that is ready for TLS, got '<failure/>'",
            id="XMPP not now",
        ),
        pytest.param(
            "xmpp", b"<a><stream:error>\n<host-unknown xmlns='x'/><text/></stream:error>",
            Reason.PROTOCOL, "want an XMPP server of a&b.example, got 'host-unknown'",
            id="XMPP error",
        ),
        pytest.param(
            "xmpp", b"<a><stream:error>>", Reason.PROTOCOL,
            "want an XMPP server of a&b.example, got ''", id="XMPP error without a name",
        ),
        pytest.param(
            "xmpp", b"<a></stream:stream>", Reason.PROTOCOL,
            "want an XMPP server of a&b.example, got '<a></stream:stream>'", id="XMPP goodbye",
        ),
        pytest.param(
            "xmpp", b"+OK <x>", Reason.PROTOCOL, "want an XMPP server, got '+OK <x>'",
            id="no XMPP",
        ),
        pytest.param(
            "xmpp", b"<x>" * 1001, Reason.TOO_LARGE,
            "want features of at most 65536 bytes and 1000 tags, got more", id="XMPP without end",
        ),
        pytest.param(
            "xmpp", b"<" + b"x" * 65_536 + b">", Reason.TOO_LARGE,
            "want features of at most 65536 bytes and 1000 tags, got more", id="XMPP too large",
        ),
        pytest.param(
            "ldap", ldap(b"\x0a\1\x34"), Reason.TLS,
            "want an LDAP server that is ready for TLS, got 'result code 52'", id="LDAP without",
        ),
        pytest.param(
            "ldap", b"220 hello", Reason.PROTOCOL, "want an LDAP server, got '22'", id="no LDAP"
        ),
        pytest.param(
            "ldap", b"\x30\x88", Reason.PROTOCOL, "want an LDAP server, got '0\ufffd'",
            id="LDAP of any size",
        ),
        pytest.param(
            "ldap", b"\x30\x83\xff\xff\xff", Reason.PROTOCOL,
            "want an answer of an LDAP server of at most 16384 bytes, got '16777215'",
            id="LDAP too large",
        ),
        pytest.param(
            "ldap", b"\x30\x03\2\1\1", Reason.PROTOCOL,
            "want an answer of an LDAP server, got '\\x02\\x01\\x01'", id="LDAP cut short",
        ),
        pytest.param(
            "ldap", b"\x30\3\4\1\1", Reason.PROTOCOL,
            "want an answer of an LDAP server, got '\\x04\\x01\\x01'", id="LDAP without a number",
        ),
        pytest.param(
            "ldap", b"\x30\x08\2\1\1\x65\3\x0a\1\0", Reason.PROTOCOL,
            "want an answer of an LDAP server, got '\\x02\\x01\\x01e\\x03\\n\\x01\\x00'",
            id="LDAP of another operation",
        ),
        pytest.param(
            "ldap", b"\x30\x08\2\1\1\x78\3\2\1\0", Reason.PROTOCOL,
            "want an answer of an LDAP server, got '\\x02\\x01\\x01x\\x03\\x02\\x01\\x00'",
            id="LDAP without a result",
        ),
        pytest.param(
            "ldap", b"\x30\7\2\1\1\x78\2\x0a\0", Reason.PROTOCOL,
            "want an answer of an LDAP server, got '\\x02\\x01\\x01x\\x02\\n\\x00'",
            id="LDAP with an empty result",
        ),
        pytest.param(
            "postgres", b"N", Reason.TLS,
            "want a PostgreSQL server that speaks TLS, got 'N'", id="PostgreSQL without",
        ),
        pytest.param(
            "postgres", b"H", Reason.PROTOCOL, "want a PostgreSQL server, got 'H'",
            id="no PostgreSQL",
        ),
        pytest.param(
            "mysql", mysql(0xF7FF), Reason.TLS,
            "want a MySQL server that speaks TLS, got '8.0.36'", id="MySQL without",
        ),
        pytest.param(
            "mysql", b"\x0c\0\0\0\xff\x15\x04Too many ", Reason.PROTOCOL,
            "want the greeting of a MySQL server, got 'Too many '", id="MySQL refuses",
        ),
        pytest.param(
            "mysql", b"SSH-2.0", Reason.PROTOCOL,
            "want the greeting of a MySQL server, got 'SSH-'", id="no MySQL",
        ),
        pytest.param(
            "mysql", b"\3\0\0\0\x0a8\0", Reason.PROTOCOL,
            "want the greeting of a MySQL server, got '\\n8\\x00'", id="MySQL cut short",
        ),
    ],
)  # fmt: skip
def test_each_way_to_say_no_is_told(
    protocol: Protocol, said: bytes, reason: Reason, message: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        play(protocol, said)

    assert caught.value.message == message
    assert caught.value.reason is reason


def pieces() -> Iterator[bytes]:
    for said, _ in TALKS.values():
        yield from (said[start : start + 5] for start in range(0, len(said), 5))


@given(st.sampled_from(PROTOCOLS), st.lists(st.binary(max_size=9) | st.sampled_from([*pieces()])))
def test_no_server_breaks_it(protocol: Protocol, said: Sequence[bytes]) -> None:
    try:
        play(protocol, b"".join(said))
    except (CheckFailed, EOFError):
        return


async def test_over_a_connection_the_end_of_the_stream_is_told() -> None:
    async with (
        tcp_fault(ending(b"+OK hello\r\n")) as port,
        dial(Address("127.0.0.1", port, "127.0.0.1", 4), Recorder()) as connection,
    ):
        with pytest.raises(CheckFailed) as caught:
            await negotiate("pop3", "x", connection)

    assert caught.value.reason is Reason.CLOSED
