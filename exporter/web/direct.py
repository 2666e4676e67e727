"""Whole answers as bytes for a connection that may stay: what a scraper asks for a thousand times.

A request for them needs nothing of a server library, which would cost as much as half a run. Knows
no route and no socket.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from time import monotonic

from exporter.web.answers import Answer, headers_of
from exporter.web.head import Head

# A handful of statuses and content types; the rest is not worth the memory.
CACHED_HEADS = 128

Pairs = tuple[tuple[str, str], ...]


def keeps_open(head: Head) -> bool:
    """Return whether the client wants the connection to stay (RFC 9112, 9.3)."""
    words = (head.get("connection") or "").lower()
    return "keep-alive" in words if head.version == "1.0" else "close" not in words


def pack(answer: Answer, extra: Pairs, head: Head) -> bytes:
    """Return *answer* to a request as bytes.

    Args:
        answer: what is said.
        extra: headers of the web config file.
        head: of the request.
    """
    connection = "keep-alive" if keeps_open(head) else "close"
    start = _start(answer.status, answer.content_type, answer.headers, extra, connection)
    length = len(answer.body)
    body = b"" if head.method == "HEAD" else answer.body
    return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (start, _date(int(monotonic())), length, body)


@lru_cache(CACHED_HEADS)
def _start(status: int, content_type: str, headers: Pairs, extra: Pairs, connection: str) -> bytes:
    """Return the head of an answer up to the value of Date."""
    found = headers_of(Answer(status, b"", content_type, headers), extra)
    found["Connection"] = connection
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in found.items()]
    return "\r\n".join([*lines, "Date: "]).encode("latin-1")


@lru_cache(1)
def _date(_: int) -> bytes:
    """Return the date, made once a second."""
    return format_datetime(datetime.now(UTC), usegmt=True).encode()
