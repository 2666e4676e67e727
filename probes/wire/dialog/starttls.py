"""How eight protocols turn plain text into TLS: what is said and heard before the handshake.

    smtp imap pop3 ftp     lines                     RFC 3207, 9051, 2595, 4217
    xmpp                   XML                       RFC 6120
    ldap                   one message in BER        RFC 4511
    postgres mysql         packets of their own      postgresql.org, dev.mysql.com

Each preset is a generator without I/O: it yields bytes to send or a wish for what comes next, and
is sent that. `negotiate` plays one over a connection; the handshake itself is the caller's. A
server that says no is a failure of TLS, one that speaks something else one of protocol.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args
from xml.sax.saxutils import quoteattr

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.stream import Connection

Protocol = Literal["smtp", "imap", "pop3", "ftp", "xmpp", "ldap", "postgres", "mysql"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

# RFC 5321, 4.5.3.1.5 wants 512; some servers say more.
MAX_LINE_BYTES = 4096
# A greeting has a handful; a server that talks on and on says something else.
MAX_LINES = 100
# RFC 6120 sets none; a list of features takes a few KB.
MAX_XML_BYTES = 64 * 1024
# They have a few dozen; judging so many takes 2 ms.
MAX_TAGS = 1000
# A greeting or an answer takes a hundred bytes.
MAX_PACKET_BYTES = 16 * 1024
# RFC 2606: a name that is nobody's; servers want one to be greeted with.
OUR_NAME = "sonde.invalid"


@dataclass(frozen=True, slots=True)
class Line:
    """A wish for the next line, without its end."""


@dataclass(frozen=True, slots=True)
class Exactly:
    """A wish for so many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Upto:
    """A wish for all up to and with these bytes."""

    end: bytes


Wish = bytes | Line | Exactly | Upto
Course = Generator[Wish, bytes, None]


async def negotiate(protocol: Protocol, host: str, connection: Connection) -> None:
    """Talk until the server is ready for the handshake.

    Args:
        protocol: that the server speaks.
        host: as the server knows itself; XMPP wants to be told.
        connection: in plain text; a handshake may follow at once.

    Raises:
        CheckFailed: ``tls``: it does not want to; ``protocol``: it speaks another one;
            ``too_large``, ``closed``.
    """
    course = PRESETS[protocol](host)
    answer = b""
    try:
        wish = next(course)
        while True:
            if isinstance(wish, bytes):
                connection.write(wish)
                answer = b""
            else:
                answer = await _heard(wish, connection)
            wish = course.send(answer)
    except StopIteration:
        return


async def _heard(wish: Line | Exactly | Upto, connection: Connection) -> bytes:
    if isinstance(wish, Exactly):
        return await connection.read_exactly(wish.size)
    if isinstance(wish, Upto):
        return await connection.read_until(wish.end, MAX_XML_BYTES)
    line = await connection.read_line(MAX_LINE_BYTES)
    if line is None:
        raise CheckFailed(Reason.CLOSED, "want a line, got the end of the stream")
    return line


def _other(wanted: str, got: bytes) -> NoReturn:
    text = short(got.decode("utf-8", "replace"))
    raise CheckFailed(Reason.PROTOCOL, f"want {wanted}, got {text}")


def _refused(wanted: str, got: bytes) -> NoReturn:
    text = short(got.decode("utf-8", "replace"))
    raise CheckFailed(Reason.TLS, f"want {wanted}, got {text}")


def _reply(wanted: str) -> Generator[Wish, bytes, tuple[int, list[bytes]]]:
    """Read a reply of SMTP or FTP, which may have several lines; give code and texts."""
    texts: list[bytes] = []
    code = b""
    for _ in range(MAX_LINES):
        line = yield Line()
        if not code:
            code = line[:3]
            if not (code.isdigit() and line[3:4] in (b"", b" ", b"-")):
                _other(wanted, line)
        texts.append(line[4:])
        # FTP may write anything between the first and the last line
        if line[:3] == code and line[3:4] != b"-":
            return int(code), texts
    raise CheckFailed(Reason.TOO_LARGE, f"want {wanted} of at most {MAX_LINES} lines, got more")


# RFC 5321, 4.2.1 and RFC 959, 4.2: 2xx is a yes
_READY, _DONE, _FTP_YES = 220, 250, 234


def _smtp(_: str) -> Course:
    code, texts = yield from _reply("the greeting of an SMTP server")
    if code != _READY:
        _other("the greeting of an SMTP server", b"%d %s" % (code, texts[0]))
    yield f"EHLO {OUR_NAME}\r\n".encode()
    code, texts = yield from _reply("what an SMTP server can do")
    if code != _DONE:
        _other("what an SMTP server can do", b"%d %s" % (code, texts[0]))
    offers = [text.split(b" ")[0].upper() for text in texts[1:]]
    if b"STARTTLS" not in offers:
        _refused("an SMTP server that offers STARTTLS", b", ".join(offers))
    yield b"STARTTLS\r\n"
    code, texts = yield from _reply("an SMTP server that is ready for TLS")
    if code != _READY:
        _refused("an SMTP server that is ready for TLS", b"%d %s" % (code, texts[0]))


def _ftp(_: str) -> Course:
    code, texts = yield from _reply("the greeting of an FTP server")
    if code != _READY:
        _other("the greeting of an FTP server", b"%d %s" % (code, texts[0]))
    yield b"AUTH TLS\r\n"
    code, texts = yield from _reply("an FTP server that is ready for TLS")
    if code != _FTP_YES:
        _refused("an FTP server that is ready for TLS", b"%d %s" % (code, texts[0]))


def _imap(_: str) -> Course:
    greeting = yield Line()
    if not greeting.upper().startswith((b"* OK", b"* PREAUTH")):
        _other("the greeting of an IMAP server", greeting)
    yield b"a1 STARTTLS\r\n"
    for _line in range(MAX_LINES):
        line = yield Line()
        if line.upper().startswith(b"A1 OK"):
            return
        if not line.startswith(b"*"):
            _refused("an IMAP server that is ready for TLS", line)
    raise CheckFailed(Reason.TOO_LARGE, f"want an answer of at most {MAX_LINES} lines, got more")


def _pop3(_: str) -> Course:
    greeting = yield Line()
    if not greeting.startswith(b"+OK"):
        _other("the greeting of a POP3 server", greeting)
    yield b"STLS\r\n"
    line = yield Line()
    if not line.startswith(b"+OK"):
        _refused("a POP3 server that is ready for TLS", line)


def _features(host: str) -> Generator[Wish, bytes, bytes]:
    """Read up to the end of the features, and return them with what stands before them."""
    wanted = f"an XMPP server of {host}"
    pieces: list[bytes] = []
    size = 0
    for _ in range(MAX_TAGS):
        # RFC 6120, 11.3: no comments, no sections: a ">" is the end of a tag
        piece = yield Upto(b">")
        if not pieces and not piece.lstrip().startswith(b"<"):
            _other("an XMPP server", piece)
        if b"<stream:error" in piece:
            # RFC 6120, 4.9.2: the first tag in it names what is wrong, such as host-unknown
            condition = yield Upto(b">")
            _other(wanted, condition.strip(b"</>\r\n\t ").partition(b" ")[0])
        if b"</stream:stream>" in piece:
            _other(wanted, b"".join((*pieces, piece)))
        pieces.append(piece)
        size += len(piece)
        if size > MAX_XML_BYTES:
            break
        if piece.endswith((b"</stream:features>", b"<stream:features/>")):
            return b"".join(pieces)
    limits = f"{MAX_XML_BYTES} bytes and {MAX_TAGS} tags"
    raise CheckFailed(Reason.TOO_LARGE, f"want features of at most {limits}, got more")


def _xmpp(host: str) -> Course:
    yield (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams' "
        f"to={quoteattr(host)} version='1.0'>"
    ).encode()
    said = yield from _features(host)
    if b"<starttls" not in said:
        _refused("an XMPP server that offers STARTTLS", said[said.find(b"<stream:features") :])
    yield b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    said = yield Upto(b">")
    if b"<proceed" not in said:
        _refused("an XMPP server that is ready for TLS", said)
    if not said.endswith(b"/>"):
        yield Upto(b">")


# RFC 4511, 4.14: an extended request, [APPLICATION 23], with the name of StartTLS
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_LDAP_REQUEST = (
    bytes((0x30, len(_START_TLS) + 7, 2, 1, 1, 0x77, len(_START_TLS) + 2, 0x80, len(_START_TLS)))
    + _START_TLS
)
_SEQUENCE, _INTEGER, _ENUMERATED, _EXTENDED_RESPONSE = 0x30, 2, 0x0A, 0x78
# X.690, 8.1.3: the top bit says how many bytes of length follow
_LONG = 0x80
_MAX_LENGTH_BYTES = 4


def _ldap(_: str) -> Course:
    yield _LDAP_REQUEST
    head = yield Exactly(2)
    size = head[1]
    if head[0] != _SEQUENCE:
        _other("an LDAP server", head)
    if size >= _LONG:
        if not 0 < size - _LONG <= _MAX_LENGTH_BYTES:
            _other("an LDAP server", head)
        size = int.from_bytes((yield Exactly(size - _LONG)), "big")
    if not 0 < size <= MAX_PACKET_BYTES:
        _other(f"an answer of an LDAP server of at most {MAX_PACKET_BYTES} bytes", b"%d" % size)
    body = yield Exactly(size)
    code = _result_code(body)
    if code:
        _refused("an LDAP server that is ready for TLS", b"result code %d" % code)


def _result_code(body: bytes) -> int:
    """Return the result code in an LDAP message: identifier, then an extended response."""
    kind, _, rest = _element(body)
    if kind == _INTEGER:
        kind, content, _ = _element(rest)
        if kind == _EXTENDED_RESPONSE:
            kind, content, _ = _element(content)
            if kind == _ENUMERATED and content:
                return int.from_bytes(content, "big")
    _other("an answer of an LDAP server", body)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element in BER, and what follows; zeros for nonsense."""
    if len(data) < 2:  # noqa: PLR2004 - a tag and a length
        return 0, b"", b""
    tag, size, at = data[0], data[1], 2
    if size >= _LONG:
        at += size - _LONG
        size = int.from_bytes(data[2:at], "big")
    return tag, data[at : at + size], data[at + size :]


# https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def _postgres(_: str) -> Course:
    yield _SSL_REQUEST
    answer = yield Exactly(1)
    if answer == b"N":
        _refused("a PostgreSQL server that speaks TLS", answer)
    if answer != b"S":
        _other("a PostgreSQL server", answer)


# https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
_MYSQL_VERSION, _MYSQL_ERROR = 10, 0xFF
_CLIENT_PROTOCOL_41, _CLIENT_SSL, _CLIENT_SECURE = 0x0200, 0x0800, 0x8000
_UTF8_GENERAL = 33
# thread, 8 bytes of challenge, filler: what stands between the name of the version and the flags
_BEFORE_FLAGS = 4 + 8 + 1


def _mysql(_: str) -> Course:
    head = yield Exactly(4)
    size = int.from_bytes(head[:3], "little")
    if not 0 < size <= MAX_PACKET_BYTES or head[3]:
        _other("the greeting of a MySQL server", head)
    greeting = yield Exactly(size)
    if greeting[0] == _MYSQL_ERROR:
        _other("the greeting of a MySQL server", greeting[3:])
    end = greeting.find(b"\0", 1) + 1
    flags = greeting[end + _BEFORE_FLAGS : end + _BEFORE_FLAGS + 2]
    if greeting[0] != _MYSQL_VERSION or not end or len(flags) < 2:  # noqa: PLR2004 - 16 bits
        _other("the greeting of a MySQL server", greeting)
    if not int.from_bytes(flags, "little") & _CLIENT_SSL:
        _refused("a MySQL server that speaks TLS", greeting[1 : end - 1])
    ours = _CLIENT_PROTOCOL_41 | _CLIENT_SSL | _CLIENT_SECURE
    body = ours.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little")
    body += bytes((_UTF8_GENERAL,)) + bytes(23)
    yield len(body).to_bytes(3, "little") + b"\1" + body


PRESETS: Mapping[Protocol, Callable[[str], Course]] = {
    "smtp": _smtp, "imap": _imap, "pop3": _pop3, "ftp": _ftp, "xmpp": _xmpp, "ldap": _ldap,
    "postgres": _postgres, "mysql": _mysql,
}  # fmt: skip
