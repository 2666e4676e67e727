"""A step of the journey as the request that it is in this play: URL, headers, body.

Whatever comes out of answers is only text here: it cannot leave the origin of the base URL, add a
header line or break the form of a body. Pure; knows no answer.
"""

import base64
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from probes.journey.language.expression import Scope
from probes.journey.language.functions import text_of
from probes.journey.steps import Body, HttpStep
from probes.units import short
from probes.wire.http.message import MAX_HEAD_BYTES, MAX_LINE_BYTES
from probes.wire.url import Url, parse_url, split_host_port

# Far above what a journey uploads, far below what a loop of templates could make of an answer.
MAX_SENT_BYTES = 8 * 1024 * 1024

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
# A line break is a second header, NUL is the end of it for some; a lone surrogate is no text.
_NO_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_NAMES_OF_TYPE = frozenset({"content-type", "Content-Type", "Content-type", "CONTENT-TYPE"})

_NAMES_OF_HOST = frozenset({"host", "Host", "HOST"})


class Asked(NamedTuple):
    """What a step asks for in this play, without the cookies of the jar."""

    url: Url
    headers: list[tuple[str, str]]
    body: bytes


def ask(step: HttpStep, base: Url | None, scope: Scope) -> Asked:
    """Return what *step* asks for.

    Args:
        step: with expressions.
        base: what relative URLs are put behind; None: there is none.
        scope: where expressions find their values.

    Raises:
        Unset: a variable has no value.
        ValueError: what came out of an expression cannot be sent.
    """
    url = address(step.url.text(scope), base)
    if step.params:
        url = _with_query(url, step, scope)
    headers = lines(step, scope)
    body = b""
    if step.body is not None:
        body = _body(step.body, headers, scope)
    if url.user or url.password:
        _authorize(url, headers)
    return Asked(url, headers, body)


def address(text: str, base: Url | None) -> Url:
    """Return an absolute URL, or a path behind the *base*.

    Raises:
        ValueError: neither.
    """
    if text[:1] != "/" and _ABSOLUTE.match(text):
        return parse_url(text)
    if base is None:
        raise ValueError(f"want an absolute URL where there is no base_url, got {short(text)}")
    path = base.path_query.rstrip("/")
    if text and text[0] not in "/?":
        text = f"/{text}"
    return base.at(path + text)


def lines(step: "HttpStep", scope: Scope) -> list[tuple[str, str]]:
    """Return the headers of a step.

    Raises:
        Unset, ValueError: as `ask`.
    """
    made: list[tuple[str, str]] = []
    size = 0
    for name, template in step.headers:
        value = template.text(scope)
        if len(value) > MAX_LINE_BYTES or not value.isprintable():
            judge_line(name, value)
        if name in _NAMES_OF_HOST:
            # the name that TLS verifies: it may have come out of an answer
            split_host_port(value, 443)
        size += len(value)
        made.append((name, value))
    if size > MAX_HEAD_BYTES:
        raise ValueError(f"want headers of at most {MAX_HEAD_BYTES} bytes, got {size}")
    return made


def judge_line(name: str, value: str) -> None:
    """Judge the value of a header.

    Raises:
        ValueError: more than a line, or too long.
    """
    if _NO_LINE.search(value):
        raise ValueError(f"want one line of text for the header {name}, got control characters")
    if len(value) > MAX_LINE_BYTES:
        raise ValueError(
            f"want at most {MAX_LINE_BYTES} characters for the header {name}, got {len(value)}"
        )


def _with_query(url: Url, step: HttpStep, scope: Scope) -> Url:
    pairs = pairs_of(((name, tree.value(scope)) for name, tree in step.params))
    if not pairs:
        return url
    sign = "&" if "?" in url.path_query else "?"
    return url.at(f"{url.path_query}{sign}{_joined(pairs)}")


def pairs_of(items: Any) -> list[tuple[str, str]]:
    """Return names and texts: a list stands for its name once for each element, null for none."""
    pairs: list[tuple[str, str]] = []
    for name, value in items:
        some = value if isinstance(value, list) else [value]
        pairs += [(name, text_of(one)) for one in some if one is not None]
    return pairs


def _joined(pairs: list[tuple[str, str]]) -> str:
    try:
        return "&".join(f"{quote(name, '')}={quote(text, '')}" for name, text in pairs)
    except UnicodeEncodeError:
        raise ValueError("want text that UTF-8 can carry, got half a character") from None


def _body(body: Body, headers: list[tuple[str, str]], scope: Scope) -> bytes:
    made, kind = _FORMS[body.form](body.tree.value(scope))
    if len(made) > MAX_SENT_BYTES:
        raise ValueError(f"want a body of at most {MAX_SENT_BYTES} bytes, got {len(made)}")
    if not any(name in _NAMES_OF_TYPE or name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", kind))
    return made


_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def to_json(value: Any) -> str:
    """Return *value* as JSON.

    Raises:
        ValueError: a number that JSON has none for, such as what 1e400 is read as.
    """
    try:
        return _compact(value)
    except ValueError:
        raise ValueError("want numbers that JSON can write, got one beyond all bounds") from None


def _json(value: Any) -> tuple[bytes, str]:
    text = to_json(value)
    try:
        return text.encode(), "application/json"
    except UnicodeEncodeError:
        # half a character came out of an answer: it goes back as it came
        return _escaped(value).encode(), "application/json"


def _form(value: Any) -> tuple[bytes, str]:
    if not isinstance(value, dict):
        raise ValueError(f"want a mapping to send as a form, got {short(value)}")
    joined = _joined(pairs_of(value.items())).replace("%20", "+")
    return joined.encode(), "application/x-www-form-urlencoded"


def _text(value: Any) -> tuple[bytes, str]:
    try:
        return text_of(value).encode(), "text/plain; charset=utf-8"
    except UnicodeEncodeError:
        raise ValueError("want text that UTF-8 can carry, got half a character") from None


_FORMS: dict[str, Callable[[Any], tuple[bytes, str]]] = {
    "json": _json,
    "form": _form,
    "text": _text,
}


def _authorize(url: Url, headers: list[tuple[str, str]]) -> None:
    """Say who asks, as the URL has it; a header of the journey wins (RFC 7617)."""
    if any(name.lower() == "authorization" for name, _ in headers):
        return
    pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
    headers.append(("Authorization", f"Basic {pair}"))
