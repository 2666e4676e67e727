"""The head of a request, judged before any server library sees it.

Pure: bytes in, a verdict out. Knows no socket, no route and no configuration.

    Head(method, target, version, headers)     a complete head that may be served
    Refusal(status, message)                   what is answered instead
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from probes.units import short

# reliability.md 4: query 8 KiB, 100 headers, body 64 KiB.
MAX_QUERY_BYTES = 8192
MAX_HEADERS = 100
MAX_BODY_BYTES = 65536
# A path holds one probe name at most; every octet of a name of 1 KiB may be written %XX.
MAX_PATH_BYTES = 4096
MAX_LINE_BYTES = MAX_PATH_BYTES + MAX_QUERY_BYTES + 64
# A quarter of what Go's server takes (1 MiB would let 1,000 connections hold a gigabyte).
MAX_HEAD_BYTES = 32768
# Of those together: 2 MB at most.
CACHED_HEADS = 1024
MAX_CACHED_BYTES = 2048
END_OF_HEAD = b"\r\n\r\n"
# First byte of a TLS record that carries a handshake (RFC 8446, 5.1).
TLS_HANDSHAKE = b"\x16"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]+) HTTP/1\.([01])")
_HEADER_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)"
)
_BARE_LF = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is answered without being served."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and the headers; names in lower case, in the order sent."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    path: str = field(init=False, compare=False)
    """As it is routed: percent-decoded once, without the query."""
    first: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """The first header of each name."""

    def __post_init__(self) -> None:
        # a scraper's head is judged once and looked into a thousand times
        object.__setattr__(self, "path", decode_path(self.target))
        object.__setattr__(self, "first", dict(reversed(self.headers)))

    def get(self, name: str) -> str | None:
        """Return the first header of that lower-case name."""
        return self.first.get(name)


def decode_path(target: str) -> str:
    """Return the path of a request target, percent-decoded once; of an absolute URI too."""
    path = target.partition("?")[0]
    if not path.startswith("/"):
        rest = path.partition("://")[2]
        path = "/" + rest.partition("/")[2] if rest else path
    return path if "%" not in path else unquote(path, errors="replace")


def read_head(received: bytes | bytearray) -> tuple[Head, int] | Refusal | None:
    """Judge the bytes received so far.

    Returns:
        The head and its length, None while it is incomplete, or what is wrong with it.
    """
    end = received.find(END_OF_HEAD)
    if end < 0 or end > MAX_HEAD_BYTES:
        return _judge_incomplete(received)
    block = bytes(received[:end])
    head = _again(block) if end <= MAX_CACHED_BYTES else _judge_block(block)
    return head if isinstance(head, Refusal) else (head, end + len(END_OF_HEAD))


def _judge_block(block: bytes) -> Head | Refusal:
    """Judge a head that is here as a whole."""
    if _BARE_LF.search(block):
        return Refusal(400, "want lines that end in CR LF, got a bare LF")
    lines = block.split(b"\r\n")
    if len(lines[0]) > MAX_LINE_BYTES:
        return _TOO_LONG
    line = _REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        return _judge_line(lines[0])
    return _judge_parts(line, lines[1:])


@lru_cache(CACHED_HEADS)
def _again(block: bytes) -> Head | Refusal:
    """Judge a head that may have been here before: a scraper sends the same bytes each time."""
    return _judge_block(block)


_TOO_LONG = Refusal(414, f"want a query of at most {MAX_QUERY_BYTES} bytes, got more")
_TOO_MANY = Refusal(431, f"want at most {MAX_HEADERS} headers, got more")
_TOO_LARGE = Refusal(431, f"want at most {MAX_HEAD_BYTES} bytes of headers, got more")


def _judge_incomplete(received: bytes | bytearray) -> Refusal | None:
    """Return why the rest need not be waited for; None when it may still come."""
    if received[:1] == TLS_HANDSHAKE:
        return Refusal(400, "want HTTP, got a TLS handshake: this port speaks plain HTTP")
    first = received.find(b"\n", 0, MAX_LINE_BYTES + 2)
    if first < 0 and len(received) > MAX_LINE_BYTES:
        return _TOO_LONG
    if first == 0 or (first > 0 and received[first - 1] != ord("\r")):
        return Refusal(400, "want lines that end in CR LF, got a bare LF")
    if len(received) > MAX_HEAD_BYTES:
        return _TOO_LARGE
    if received.count(b"\n") > MAX_HEADERS + 1:
        return _TOO_MANY
    return None


def _judge_parts(line: re.Match[bytes], lines: list[bytes]) -> Head | Refusal:
    target = line[2].decode("ascii")
    path, _, query = target.partition("?")
    if len(query) > MAX_QUERY_BYTES or len(path) > MAX_PATH_BYTES:
        return _TOO_LONG
    headers = _headers(lines)
    if isinstance(headers, Refusal):
        return headers
    head = Head(line[1].decode("ascii"), target, f"1.{line[3].decode('ascii')}", headers)
    return _judge_framing(head) or head


def _judge_line(line: bytes) -> Refusal:
    shown = short(line.decode("latin-1"))
    if line.startswith(b"PRI * HTTP/2"):
        return Refusal(505, "want HTTP/1.1, got HTTP/2")
    return Refusal(400, f"want a request line such as GET / HTTP/1.1, got {shown}")


def _headers(lines: list[bytes]) -> tuple[tuple[str, str], ...] | Refusal:
    if len(lines) > MAX_HEADERS:
        return _TOO_MANY
    found: list[tuple[str, str]] = []
    for line in lines:
        header = _HEADER_LINE.fullmatch(line)
        if header is None:
            # the line itself may hold a password
            return Refusal(
                400, "want headers such as Host: example.org, got a line of another form"
            )
        found.append((header[1].decode("ascii").lower(), header[2].decode("latin-1").rstrip(" \t")))
    return tuple(found)


def _judge_framing(head: Head) -> Refusal | None:
    """Refuse what two servers in a row may read as two requests (RFC 9112, 3.2 and 6.3)."""
    names = [name for name, _ in head.headers]
    hosts = names.count("host")
    if hosts > 1 or (hosts == 0 and head.version == "1.1"):
        return Refusal(400, f"want one Host header, got {hosts}")
    length = head.get("content-length")
    if names.count("content-length") + names.count("transfer-encoding") > 1:
        return Refusal(400, "want one Content-Length or Transfer-Encoding header, got several")
    if length is None:
        return None
    if not (length.isascii() and length.isdigit()):
        return Refusal(400, f"want a Content-Length in digits, got {short(length)}")
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        return Refusal(413, f"want a body of at most {MAX_BODY_BYTES} bytes, got {short(length)}")
    return None
