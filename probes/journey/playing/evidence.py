"""What a failed step shows to people, and which texts of a play nobody may see.

    request          POST https://shop.example/login + headers
    request body     first 4 KiB
    response         status 500 + headers
    response body    first 4 KiB

Clean text: no control character, no half character, no value of a secret header; a secret is never
cut in two, for then nobody would know the half. Pure; redaction at the outlets comes on top.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from probes.journey.model import Request, Response

# load.md 3.1
MAX_EVIDENCE_BYTES = 4096
# A shorter text is a word of everybody's: starring it would hide the message, not the secret.
MIN_HIDDEN_CHARACTERS = 4
# A value without a telling name is hidden when nobody can mean something else by it.
MIN_TELLING_CHARACTERS = 8
MAX_HIDDEN_CHARACTERS = 4096
MAX_HIDDEN = 200
# Sixteen of the longest: looking for more in every text would hold the loop.
MAX_HIDDEN_CHARACTERS_OF_ALL = 64 * 1024

_SECRET = re.compile(
    r"token|secret|passw|session|csrf|xsrf|credential|authori[sz]ation|api[_-]?key|jwt|cookie"
    r"|signature|(?<![a-z])(?:sid|key|pin|otp|auth|bearer)(?![a-z])",
    re.IGNORECASE,
)
# Everything that a terminal or a page may obey; tabs and ends of lines may stay.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_STARS = "***"


@lru_cache(maxsize=4096)
def looks_secret(name: str) -> bool:
    """Tell whether a variable, header or cookie of this name holds what nobody may see."""
    return _SECRET.search(name) is not None


def clean(text: str) -> str:
    """Return *text* with control characters spelled out."""
    text = text.replace("\r\n", "\n")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def evidence(
    request: Request | None, response: Response | None, hidden: Iterable[str]
) -> dict[str, str]:
    """Return facts about the last exchange of a failed step.

    Args:
        request: None: nothing was sent.
        response: what came.
        hidden: texts that must not be cut in two.
    """
    if request is None or response is None:
        return {}
    secrets = [text.encode("utf-8", "replace") for text in hidden if text]
    facts = {"request": _head(f"{request.method} {request.url}", request.headers, secrets)}
    if request.body:
        facts["request body"] = _cut(request.body, secrets)
    if response.status:
        facts["response"] = _head(f"status {response.status}", response.headers, secrets)
    if response.body:
        facts["response body"] = _cut(response.body, secrets)
    return facts


def _head(first: str, headers: tuple[tuple[str, str], ...], hidden: list[bytes]) -> str:
    rows = [first]
    rows += [f"{name}: {_STARS if looks_secret(name) else value}" for name, value in headers]
    return _cut("\n".join(rows).encode("utf-8", "backslashreplace"), hidden)


def _cut(raw: bytes, hidden: list[bytes]) -> str:
    end = min(len(raw), MAX_EVIDENCE_BYTES)
    if end == len(raw):
        return clean(raw.decode("utf-8", "backslashreplace"))
    before = -1
    while before != end:
        before = end
        for secret in hidden:
            # one that begins before the cut and ends behind it
            at = raw.find(secret, max(0, end - len(secret) + 1), end + len(secret) - 1)
            if 0 <= at < end:
                end = at
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    return clean(decoder.decode(raw[:end])) + "…"


def secrets_in(request: Request, response: Response) -> Iterator[str]:
    """Give the values of secret headers, also where they are part of one."""
    for name, value in request.headers:
        lower = name.lower()
        if lower == "cookie":
            for pair in value.split(";"):
                yield from secrets_of_cookie(*_split(pair))
        elif looks_secret(lower):
            yield value
            yield value.rpartition(" ")[2]
    for name, value in response.headers:
        if name == "set-cookie":
            yield from secrets_of_cookie(*_split(value.partition(";")[0]))
        elif looks_secret(name):
            yield value


def _split(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name.strip(), value.strip()


def secrets_of_cookie(name: str, value: str) -> Iterator[str]:
    """Give the value of a cookie that is more than a switch."""
    if looks_secret(name) or len(value) >= MIN_TELLING_CHARACTERS:
        yield value


def texts_in(value: Any) -> Iterator[str]:
    """Give every text and number in a value that was extracted as a secret."""
    layer = [value]
    while layer:
        inner: list[Any] = []
        for one in layer:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str | int | float) and not isinstance(one, bool):
                yield str(one)
        layer = inner[:MAX_HIDDEN]


def hideable(texts: Iterable[str]) -> Iterator[str]:
    """Give those that can be hidden without hiding everything else.

    Of a very long one its beginning is enough: nothing that is shown has room for more.
    """
    for text in texts:
        if len(text) >= MIN_HIDDEN_CHARACTERS:
            yield text[:MAX_HIDDEN_CHARACTERS]
