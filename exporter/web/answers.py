"""An answer as a value, and the headers that every answer carries.

Knows no route; the bytes of a whole answer are for those who have no server library at hand (the
door, the guard).
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
# The colour of Prometheus' own landing pages.
STYLE = (
    "body{font-family:sans-serif;margin:0;color:#222}"
    "header{background:#e6522c;color:#fff;padding:1rem 2rem}h1{margin:0;font-size:1.5rem}"
    "main{padding:1rem 2rem}a{color:#b53a18}li{margin:.4rem 0}code{font-size:1rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# No script, no foreign resource, no frame; the one style sheet is named by its hash, so nothing
# inline is allowed.
_STYLE_ONLY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'"


def policy_header(forms: str = "'none'") -> tuple[str, str]:
    """Return the header that says what a page may do; *forms*: where its forms may lead."""
    rest = f"base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    return "Content-Security-Policy", f"{_STYLE_ONLY}; {rest}"


SECURITY_HEADERS = (
    policy_header(),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("Server", "sonde"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def text(cls, status: int, text: str, *headers: tuple[str, str]) -> "Answer":
        """Return an answer of one line of text."""
        return cls(status, text.encode("utf-8", "replace"), TEXT, headers)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is made while it is sent. ``chunks`` is not called for HEAD."""

    status: int
    content_type: str
    chunks: Callable[[], AsyncIterator[bytes]]
    headers: tuple[tuple[str, str], ...] = ()


def headers_of(answer: Answer | Stream, extra: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    """Return the headers of *answer*; those of the web config file replace ours."""
    found = dict(SECURITY_HEADERS)
    found["Content-Type"] = answer.content_type
    found.update(answer.headers)
    found.update(extra)
    return found


def encode(answer: Answer, extra: tuple[tuple[str, str], ...] = (), *, body: bool = True) -> bytes:
    """Return *answer* as HTTP/1.1 bytes, with the end of the connection announced.

    Args:
        answer: what is said.
        extra: headers of the web config file.
        body: false for HEAD.
    """
    headers = headers_of(answer, extra)
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head + (answer.body if body else b"")
