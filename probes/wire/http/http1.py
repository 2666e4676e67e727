"""HTTP/1.1 without I/O: a request as bytes, an answer into a `Response`. The home of httptools.

httptools has no limits of its own (reliability.md E22: one 50 MiB header line costs 18 s), so
everything is counted before it is fed. Its callbacks never raise: they note a verdict. Knows no
socket, no clock and no redirect.
"""

from functools import lru_cache

import httptools

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.http.message import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INFORMATIONAL,
    MAX_LINE_BYTES,
    REDIRECTS,
    Request,
    Response,
)

SWITCHING_PROTOCOLS = 101
FIRST_FINAL = 200
# How much of a wrong answer a message shows (stack.md 5.5).
SHOWN_BYTES = 40
TLS_ALERT = b"\x15\x03"
HEAD_END = b"\r\n\r\n"
CLEAN_END = "the end of the stream"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose empty body is told (RFC 9110, 8.6)."""
FRAMING = frozenset({b"content-length", b"transfer-encoding"})
# Larger heads are not kept: the cookies of one hostile server would fill 400 MB (2026-11).
MAX_KEPT_HEAD_CHARACTERS = 2048
STATUS_AT = len("HTTP/1.1 ")


def encode(request: Request) -> bytes:
    """Return *request* as it goes out, head and body in one piece; made once."""
    if not request.http1:
        object.__setattr__(request, "http1", _encode(request))
    return request.http1


def encode_absolute(request: Request, further: tuple[tuple[str, str], ...]) -> bytes:
    """Return *request* for a proxy: the whole URL in its first line (RFC 9112, 3.2.2).

    The name stands there, even if its address is known: a proxy writes Host anew from it.

    Args:
        request: by http://.
        further: headers for the proxy alone.
    """
    return _encode(request, str(request.url), further)


def encode_kept(request: Request) -> bytes:
    """Return *request* for a connection that stays open, which is what HTTP/1.1 takes for granted.

    Paths and bodies differ from request to request, the lines between them do not.
    """
    size = sum([len(value) for _, value in request.headers])
    make = _kept_lines if size <= MAX_KEPT_HEAD_CHARACTERS else _lines
    lines = make(request.host or request.url.authority, request.headers)
    first = f"{request.method} {request.url.path_query} HTTP/1.1\r\n".encode()
    body = request.body
    if body or request.method in WITH_BODY:
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (first, lines, len(body), body)
    return b"%b%b\r\n" % (first, lines)


def _encode(request: Request, where: str = "", further: tuple[tuple[str, str], ...] = ()) -> bytes:
    lines = _lines(request.authority, (*further, *request.headers))
    length = b""
    if request.body or request.method in WITH_BODY:
        length = b"Content-Length: %d\r\n" % len(request.body)
    first = f"{request.method} {where or request.url.path_query} HTTP/1.1\r\n".encode()
    return b"%b%b%bConnection: close\r\n\r\n%b" % (first, lines, length, request.body)


def _lines(authority: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"Host: {authority}", *[f"{name}: {value}" for name, value in headers], ""]
    return "\r\n".join(lines).encode()


_kept_lines = lru_cache(maxsize=1024)(_lines)


class Http1:
    """Reads one answer.

    Args:
        response: where it is written to.
        head_only: the request was HEAD: a length without a body is right.
        reads_redirects: the body of a redirect is read too: the connection is to be kept.
    """

    __slots__ = (
        "_body_size",
        "_head_bytes",
        "_head_only",
        "_idle",
        "_in_head",
        "_informational",
        "_line",
        "_lines",
        "_parser",
        "_reads_redirects",
        "_response",
        "_seen",
        "_until_close",
        "failure",
        "is_complete",
        "outgoing",
        "pending",
        "rest",
        "waiting",
    )

    def __init__(
        self, response: Response, *, head_only: bool = False, reads_redirects: bool = False
    ) -> None:
        self._response = response
        self._head_only = head_only
        self._reads_redirects = reads_redirects
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._in_head = True
        self._until_close = False
        self._informational = 0
        self._seen = 0
        self._head_bytes = self._lines = self._line = self._idle = self._body_size = 0
        self.waiting = True
        """No byte of the final answer has come."""
        self.is_complete = False
        self.failure: CheckFailed | None = None
        self.outgoing = b""
        self.pending = False
        self.rest = b""
        """What came behind the head of a 101: the first bytes of another protocol."""

    @property
    def has_head(self) -> bool:
        """Whether the head of the final answer is whole."""
        return not self._in_head

    def begins(self, data: bytes) -> bool:
        """Guess whether the final answer begins with *data*: no informational status."""
        return data[STATUS_AT : STATUS_AT + 1] != b"1"

    def feed(self, data: bytes) -> None:
        """Take bytes of the answer. Never raises: the verdict is in `failure` or `is_complete`."""
        is_first = not self._seen
        if is_first:
            self.waiting = False
            if not self._is_http(data):
                return
        self._seen += len(data)
        at = self._feed_heads(data, is_first=is_first) if self._in_head else 0
        if at < len(data) and not self.is_complete and self._parse(data[at:] if at else data):
            self._count_idle(len(data) - at)

    def pump(self) -> None:
        """Do nothing: `feed` has parsed everything, the parser takes 256 KiB in a millisecond."""

    def eof(self, how: str = CLEAN_END) -> None:
        """Take the end of the stream; *how* says which one to people."""
        if self.is_complete or self.failure is not None:
            return
        if self._until_close and how == CLEAN_END:
            self._finish()
        elif not self._seen or self.waiting:
            self.failure = CheckFailed(Reason.CLOSED, f"want an HTTP answer, got {how}")
        elif self._in_head:
            got = f"got {how} after {self._seen} bytes"
            self.failure = CheckFailed(Reason.CLOSED, f"want a whole HTTP head, {got}")
        else:
            want = self._response.content_length
            what = f"a body of {want} bytes" if want >= 0 else "a whole body"
            got = f"got {how} after {self._response.body.wire_size}"
            self.failure = CheckFailed(Reason.CLOSED, f"want {what}, {got}")

    def close(self) -> None:
        """Take nothing more. Parser and codec hold each other: work for the collector, else."""
        self._parser = None

    # --- called by httptools; they never raise

    def on_status(self, status: bytes) -> None:
        """Take a piece of the reason phrase."""
        if self._in_head:
            self._response.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers, which come behind the body, are left alone."""
        if self._in_head:
            self._response.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Judge the head and learn where the body ends."""
        response, parser = self._response, self._parser
        if not self._in_head or parser is None:
            return
        status, version = parser.get_status_code(), parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self.failure = CheckFailed(
                Reason.PROTOCOL, f"want HTTP/1.0 or HTTP/1.1, got {short('HTTP/' + version)}"
            )
            return
        if status < FIRST_FINAL and status != SWITCHING_PROTOCOLS:
            return
        self._in_head = False
        response.take_head(status, version)
        self._until_close = FRAMING.isdisjoint(response.first)
        if self._head_only or (is_bodiless(response) and not self._is_read(status)):
            self._finish()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if not self.is_complete:
            self._body_size += len(data)
            self._response.body.feed(data)

    def on_message_complete(self) -> None:
        """Take the end of a message: the next one begins after an informational one only."""
        if not self._in_head:
            self._finish()
            return
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            self.failure = CheckFailed(
                Reason.PROTOCOL, f"want at most {MAX_INFORMATIONAL} informational answers, got more"
            )
        response = self._response
        response.headers.clear()
        response.reason = b""
        self._head_bytes = self._lines = self._line = 0
        self.waiting = True

    # ---

    def _is_read(self, status: int) -> bool:
        return self._reads_redirects and status in REDIRECTS

    def _finish(self) -> None:
        self.is_complete = self._response.is_complete = True

    def _is_http(self, data: bytes) -> bool:
        """Refuse at once what cannot be HTTP: such a peer may wait for us for ever."""
        if data.startswith(b"HTTP/"[: len(data)]):
            return True
        hint = (
            " (the port speaks TLS: want an https:// target)" if data.startswith(TLS_ALERT) else ""
        )
        got = short(data[:SHOWN_BYTES])
        self.failure = CheckFailed(Reason.PROTOCOL, f"want an HTTP/1.1 answer, got {got}{hint}")
        return False

    def _count_head(self, data: bytes, at: int) -> int:
        """Count head lines from *at* on; return where the head ends, at most the length."""
        if not at and not self._head_bytes:
            # nearly every head comes in one piece, and is shorter than the longest line
            end = data.find(HEAD_END, 0, MAX_LINE_BYTES)
            if end > 0 and data.count(b"\n", 0, end) <= MAX_HEADERS:
                return end + len(HEAD_END)
        size = len(data)
        while at < size:
            end = data.find(b"\n", at) + 1
            step = (end or size) - at
            self._line += step
            self._head_bytes += step
            if self._line > MAX_LINE_BYTES or self._head_bytes > MAX_HEAD_BYTES:
                break
            if not end:
                return size
            at = end
            # a line of two bytes that is not the empty one is refused by the parser
            if self._line <= len(b"\r\n"):
                self._line = 0
                return at
            self._line = 0
            self._lines += 1
            if self._lines > MAX_HEADERS + 1:
                break
        else:
            return size
        self._refuse_head()
        return size

    def _refuse_head(self) -> None:
        if self._line > MAX_LINE_BYTES:
            text = f"want header lines of at most {MAX_LINE_BYTES} bytes, got a longer one"
        elif self._head_bytes > MAX_HEAD_BYTES:
            text = f"want a head of at most {MAX_HEAD_BYTES} bytes, got more"
        else:
            text = f"want at most {MAX_HEADERS} headers, got more"
        self.failure = CheckFailed(Reason.TOO_LARGE, text)

    def _feed_heads(self, data: bytes, *, is_first: bool) -> int:
        """Feed heads up to the final one's end; return how much of *data* has been dealt with."""
        at, size = 0, len(data)
        while at < size and self._in_head:
            end = self._count_head(data, at)
            self.waiting = False
            if self.failure is not None:
                return size
            if is_first and self.begins(data):
                # nearly every answer: its only head, and what came with it of the body
                if self._parse(data) and end < size:
                    self._count_idle(size - end)
                return size
            if not self._parse(data[at:end] if at or end < size else data):
                if self._response.status == SWITCHING_PROTOCOLS:
                    self.rest = data[end:]
                return size
            at = end
        return at

    def _count_idle(self, size: int) -> None:
        """Count *size* bytes behind the head: extensions of chunks and trailers are no body."""
        if self._body_size:
            self._idle = self._body_size = 0
            return
        self._idle += size
        if self._idle > MAX_HEAD_BYTES:
            self.failure = CheckFailed(
                Reason.TOO_LARGE,
                f"want chunk extensions and trailers of at most {MAX_HEAD_BYTES} bytes, got more",
            )

    def _parse(self, data: bytes) -> bool:
        """Feed the parser; return whether to go on with this answer."""
        parser = self._parser
        if parser is None:
            return False
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError as error:
            # after the end there may be anything: a second answer, garbage
            if not self.is_complete and self.failure is None:
                got = f"got {short(str(error))} in {short(data[:SHOWN_BYTES])}"
                self.failure = CheckFailed(Reason.PROTOCOL, f"want an HTTP/1.1 answer, {got}")
        if self.is_complete or self.failure is not None:
            self.close()
            return False
        return True


class Http1Kept(Http1):
    """`Http1` that notices whether the connection can carry another answer."""

    __slots__ = ("keeps",)

    def __init__(
        self, response: Response, *, head_only: bool = False, reads_redirects: bool = False
    ) -> None:
        super().__init__(response, head_only=head_only, reads_redirects=reads_redirects)
        self.keeps = False

    def on_message_begin(self) -> None:
        """Take the first byte of a message: behind the final answer it is one too many."""
        if self.is_complete:
            self.keeps = False

    def _finish(self) -> None:
        parser, response = self._parser, self._response
        if not self.is_complete and parser is not None:
            # the body of a redirect is not read
            self.keeps = (
                parser.should_keep_alive()
                and response.version == "1.1"
                and (response.status not in REDIRECTS or self._reads_redirects)
                and response.status != SWITCHING_PROTOCOLS
            )
        super()._finish()


def is_bodiless(response: Response) -> bool:
    """Tell whether a body is not read: there is none, or it only points elsewhere."""
    if response.status in REDIRECTS:
        return response.location is not None
    return response.status in (SWITCHING_PROTOCOLS, 204, 304)
