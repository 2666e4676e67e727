"""An HTTP request and its answer as values, and the limits both codecs keep.

    Request     method, url, headers, body: what is to be sent
    Response    status, version, headers, Body: what has come so far, of the hop that came last
    Limits      what an answer may cost us

A `Response` is filled as bytes arrive, because an exchange that dies half-way must keep what it
found. Knows no socket, no codec and no verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from probes.errors import CheckFailed
from probes.wire.http.decode import MAX_DECODED_BYTES, Body, Decoding
from probes.wire.url import Url

# reliability.md 4 (E22: the parsers have no limits of their own); the usual limits of servers.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
MAX_LINE_BYTES = 8190
MAX_INFORMATIONAL = 10
MAX_WIRE_BYTES = 8 * 1024 * 1024
# blackbox.md 4.2: as curl, browsers and Go.
MAX_REDIRECTS = 10

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that send the client elsewhere (RFC 9110, 15.4); 300 and 304 do not."""

BODILESS = frozenset({204, 304})
"""Statuses of answers that have no body (RFC 9110, 6.4.1), whatever length they tell."""

MAX_CONTENT_LENGTH_DIGITS = 18
_NONE: Mapping[bytes, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent. The codecs write Host, Connection and Content-Length themselves.

    Args:
        url: where to.
        method: upper case.
        headers: names as they go out over HTTP/1.1, and values.
        body: empty means none.
        host: overrides the Host header (and the verified name of TLS) as long as redirects are
            relative.
        body_is_secret: the body never follows a redirect to another origin.
        private: lower-case names of headers whose values are secrets, whatever their names say.
    """

    url: Url
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    host: str = ""
    body_is_secret: bool = False
    private: frozenset[str] = frozenset()
    http1: bytes = field(init=False, default=b"", compare=False, repr=False)
    """What `probes.wire.http.http1` has made of it: a plan sends the same request for ever."""

    @property
    def authority(self) -> str:
        """Value of Host, or of ``:authority``."""
        return self.host or self.url.authority


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may cost.

    Args:
        max_body: decoded bytes; None: no cap but the deadline.
        max_wire: bytes on the wire of one hop, head included; None: no cap but the deadline.
        keep_body: hold the body for a judgement; else it is streamed and counted.
        decoding: see `probes.wire.http.decode`.
    """

    max_body: int | None = MAX_DECODED_BYTES
    max_wire: int | None = MAX_WIRE_BYTES
    keep_body: bool = True
    decoding: Decoding = "auto"


class Response:
    """What has come of an answer so far."""

    __slots__ = (
        "body",
        "failure",
        "first",
        "headers",
        "is_complete",
        "over_tls",
        "reason",
        "redirects",
        "status",
        "url",
        "version",
    )

    def __init__(self, url: Url, limits: Limits = Limits()) -> None:
        self.redirects = 0
        self.begin(url, limits)

    def begin(self, url: Url, limits: Limits) -> None:
        """Forget the hop before: from here on this is the answer of *url*."""
        self.url = url
        self.over_tls = False
        self.status = 0
        self.version = ""
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.first: Mapping[bytes, bytes] = _NONE
        """The first value of each header, by its lower-case name; since `take_head`."""
        self.body = Body(keep=limits.keep_body, limit=limits.max_body, decoding=limits.decoding)
        self.is_complete = False
        self.failure: CheckFailed | None = None
        """Why the body broke off behind a whole head, which can be judged first."""

    def take_head(self, status: int, version: str) -> None:
        """Take note that all `headers` of the final answer have come, and what else heads it."""
        self.status, self.version = status, version
        first = self.first = dict(reversed(self.headers))
        encodings = ""
        if b"content-encoding" in first:
            encodings = ", ".join(filter(None, self.values("content-encoding")))
        self.body.start(encodings)

    def values(self, name: str) -> list[str]:
        """Return every value of the header *name*, in order; the name in any case."""
        wanted = name.lower().encode("latin-1", "replace")
        return [text(value) for key, value in self.headers if key == wanted]

    @property
    def location(self) -> bytes | None:
        """Where a redirect points to; None: the answer is no redirect, or does not say.

        An empty ``Location`` says nothing: Go, and so blackbox_exporter, takes it for none.
        """
        return (self.first.get(b"location") or None) if self.status in REDIRECTS else None

    @property
    def content_length(self) -> int:
        """Content-Length of the answer; -1 when unknown or chunked, 0 without an answer."""
        if not self.status or self.status in BODILESS:
            return 0
        length = (
            b"" if b"transfer-encoding" in self.first else self.first.get(b"content-length", b"")
        )
        is_number = length.isdigit() and len(length) <= MAX_CONTENT_LENGTH_DIGITS
        return int(length) if is_number else -1

    @property
    def status_line(self) -> str:
        """Status line for people."""
        return f"HTTP/{self.version} {self.status} {text(self.reason)}".rstrip()

    def check(self) -> None:
        """Raise what broke the body off.

        Raises:
            CheckFailed: `failure`.
        """
        if self.failure is not None:
            raise self.failure


def text(raw: bytes) -> str:
    """Return foreign header bytes as text; never a surrogate (E8)."""
    return raw.decode("utf-8", "replace")
