"""The one place that knows what a secret looks like: every text that leaves passes here.

Two layers: *known* secrets (values of `Secret` fields, credentials inside targets) are replaced
wherever they stand, in every usual encoding; *shapes* (``user:password@``, query strings, bearer
tokens, ``password=``) are
replaced even when nobody declared them. Knows no outlet.
"""

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from probes.regular import NotRegular, TooLarge, read_regular

STARS = "***"
# How every text here says that it was cut (`probes.units.short`).
ELLIPSIS = "…"
# A shorter value would also star innocent words of every message.
MIN_SECRET_CHARACTERS = 3
# reliability.md 4: a key or password file is small; a larger one is the wrong file.
MAX_SECRET_FILE_BYTES = 64 * 1024
MAX_TARGET_BYTES = 200
# With 4096 texts kept: under 2 MB.
MAX_CACHED_CHARACTERS = 256
# Certificates of targets are told in 400 to 2,000 characters: 512 of those are under 2 MB, too.
MAX_LONG_CHARACTERS = 2048
MIN_TOKEN_CHARACTERS = 20
# `re` tries one after the other at each place: 14 ms for a line of the log with 10,000 secrets
# (2026-11). Beyond this they are looked up by their first characters: 0.1 ms, however many.
MAX_ALTERNATIVES = 256
# Spellings of what came up in one run: looked for one after the other, 0.1 us each.
MAX_BRIEF = 4096

# Every pattern below is linear in the text, whatever a target writes: each begins at a word that
# cannot stand inside its own match again, and gives nothing back (possessive quantifiers).
_USERINFO = re.compile(r"://[^\s/?#'\"<>]*@")
_QUERY = re.compile(r"(://[^\s?#'\"<>]*+)\?[^\s#'\"<>]++|://[^\s?#'\"<>]*+")
_SCHEMES = "bearer|basic|digest|negotiate|token"
# A plain word: "token endpoint", "basic authentication", "Bearer realm=...".
_WORD = r"(?:[A-Z]?[a-z]+|[A-Z]+)"
_PROSE = rf"{_WORD}(?:[-/.]{_WORD}){{0,3}}\.?(?![\w.~+/=-])|(?:realm|error|scope|charset)="
_SCHEME_AUTH = re.compile(
    rf"((?i:\bauthorization[\"']?\s*+[=:]\s*+[\"']?(?:{_SCHEMES})\s++))[^\s,;'\"]++"
    rf"|\b((?i:{_SCHEMES})\s++)(?:(?=[\w.~+/=-]{{{MIN_TOKEN_CHARACTERS}}})|(?!{_PROSE}))"
    r"[A-Za-z0-9._~+/=-]{6,}+"
)
# Before it, anything but a letter or digit: DB_PASSWORD, x-api-key. "want" begins our own messages.
_ASSIGNED = re.compile(
    r"(?<![a-z0-9])((?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|credential|signature|authorization|cookie)s?[\"']{0,2}\s*+[=:]\s*+)"
    rf"(?![\"']?(?:\*\*\*|(?:{_SCHEMES}|want)\s))"
    r"(?:(\")(?=[^\s,;&])[^\"]++|(')(?=[^\s,;&])[^']++|[^\s,;&'\"}{]++)",
    re.IGNORECASE,
)
_TOKEN_SEGMENT = re.compile(r"(?=.*[0-9])[A-Za-z0-9_-]{%d,}" % MIN_TOKEN_CHARACTERS)  # noqa: UP031 - braces
# Shorter words of a path (api, v1, health) are everybody's; starring them would hide the message.
_HIDDEN_PIECE = re.compile(r".{8,}|(?=.*[0-9]).{6,}", re.DOTALL)
SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|password|api-?key|auth|credential|signature|session",
    re.IGNORECASE,
)


# Of a value in a query; shorter than the names of headers.
_TELLING_NAME = re.compile(rf"{SECRET_HEADER.pattern}|key|sig|pass|pw|jwt|hash", re.IGNORECASE)


class Secret(SecretStr):
    """A value that no outlet shows. In YAML a string, ``{env: NAME}`` or ``{file: path}``."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            secret_of,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: STARS),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        def source(key: str) -> JsonSchemaValue:
            return {
                "type": "object", "properties": {key: {"type": "string"}},
                "required": [key], "additionalProperties": False,
            }  # fmt: skip

        return {"anyOf": [{"type": "string", "minLength": 1}, source("env"), source("file")]}


def secret_of(value: object, info: ValidationInfo) -> Secret:
    """Return the secret that *value* means, read by what the load's context says."""
    if isinstance(value, Secret):
        return value
    context = info.context or {}
    base = Path(context.get("directory", "."))
    text = read_secret(value, base, context.get("environ", os.environ))
    if not text:
        raise ValueError("want a secret that is not empty, got an empty one")
    if isinstance(value, Mapping) and "file" in value:
        # whoever loads the config looks at the modes of these files
        context.get("secret_files", set()).add(base / value["file"])
    return Secret(text)


def read_secret(value: object, base: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret: the text itself, ``{"env": NAME}``, or ``{"file": path}`` below *base*.

    Raises:
        ValueError: unset variable, unreadable or odd file. The message names it, never the value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((source, name),) = value.items()
        if source == "env" and isinstance(name, str):
            if name not in environ:
                raise ValueError(f"want the environment variable {name} to be set, got none")
            return environ[name]
        if source == "file" and isinstance(name, str):
            return _read_secret_file(base / name)
    if isinstance(value, int | float):
        raise ValueError("want a text, {env: NAME} or {file: path}, got a number: put it in quotes")  # noqa: TRY004 - pydantic reads ValueError
    raise ValueError("want a text, {env: NAME} or {file: path}, got something else")


def _read_secret_file(path: Path) -> str:
    try:
        return read_regular(path, MAX_SECRET_FILE_BYTES).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"want a readable secret file, got {path}: {error.strerror}") from error
    except NotRegular:
        raise ValueError(f"want a regular secret file, got {path}") from None
    except TooLarge:
        text = f"want a secret file of at most {MAX_SECRET_FILE_BYTES} bytes, got {path}"
        raise ValueError(text) from None
    except UnicodeDecodeError:
        raise ValueError(f"want a secret file in UTF-8, got {path}") from None


class Redactor:
    """Replaces known secrets and secret shapes in a text.

    What stands before an ellipsis was cut: there the beginning of a secret is one too.

    Args:
        secrets: values to hide; each also in its URL-quoted, base64, JSON and repr spelling.
    """

    __slots__ = ("_parts", "secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(s for s in secrets if len(s) >= MIN_SECRET_CHARACTERS)
        self._parts: tuple[_Known, ...] = (_Known(self.secrets),) if self.secrets else ()

    def __call__(self, text: str) -> str:
        """Return *text* without any secret."""
        if self._parts:
            text = self._star(text)
        return _without_shapes(text)

    def values(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return *texts*, name -> text, without any secret in a text; in one call for all."""
        has_known, found = bool(self._parts), dict(texts)
        for name, text in texts.items():
            found[name] = _without_shapes(self._star(text) if has_known else text)
        return found

    def __or__(self, more: Iterable[str]) -> "Redactor":
        """Return a redactor that hides *more* too; itself when there is nothing to add."""
        extra = frozenset(s for s in more if len(s) >= MIN_SECRET_CHARACTERS) - self.secrets
        if not extra:
            return self
        made = Redactor()
        made.secrets = self.secrets | extra
        made._parts = (*self._parts, _Known(extra, is_brief=True))
        return made

    def _star(self, text: str) -> str:
        spans = [span for part in self._parts for span in part.spans(text)]
        if spans:
            text = _starred(text, spans)
        if ELLIPSIS in text:
            *cut, rest = text.split(ELLIPSIS)
            text = ELLIPSIS.join([*map(self._without_half, cut), rest])
        return text

    def _without_half(self, text: str) -> str:
        """Star the end of *text* where a secret begins that goes on behind it."""
        for at in range(len(text) - MIN_SECRET_CHARACTERS + 1):
            begin = text[at : at + MIN_SECRET_CHARACTERS]
            for part in self._parts:
                if known := part.begins.get(begin):
                    rest = text[at:]
                    if any(one.startswith(rest) for one in known):
                        return text[:at] + STARS
        return text


NOTHING_KNOWN = Redactor()

Spans = list[tuple[int, int]]


class _Known:
    """Secrets in every spelling, and where they stand in a text.

    Args:
        secrets: values.
        is_brief: they are asked for in a few texts only: a pattern of all would cost more (a token
            of 900 characters 3 ms, 2026-11) than to look for one after the other.
    """

    def __init__(self, secrets: Iterable[str], *, is_brief: bool = False) -> None:
        # longest first: a secret that begins with another one is starred whole
        self._ordered = sorted({t for s in secrets for t in spellings(s)}, key=len, reverse=True)
        self.spans: Callable[[str], Spans]
        if is_brief and len(self._ordered) <= MAX_BRIEF:
            self.spans = partial(_spans_of_each, self._ordered)
        elif len(self._ordered) <= MAX_ALTERNATIVES:
            find = re.compile("|".join(map(re.escape, self._ordered))).finditer
            self.spans = lambda text: [found.span() for found in find(text)]
        else:
            lengths = {key: [*dict.fromkeys(map(len, it))] for key, it in self.begins.items()}
            self.spans = partial(_spans_by_begin, frozenset(self._ordered), lengths)

    @cached_property
    def begins(self) -> Mapping[str, Sequence[str]]:
        """The first characters -> what begins so, the longest first."""
        found: dict[str, list[str]] = {}
        for it in self._ordered:
            found.setdefault(it[:MIN_SECRET_CHARACTERS], []).append(it)
        return found


def _spans_of_each(ordered: Sequence[str], text: str) -> Spans:
    spans: Spans = []
    for it in ordered:
        at = text.find(it)
        while at >= 0:
            spans.append((at, at + len(it)))
            at = text.find(it, at + len(it))
    return spans


def _spans_by_begin(
    known: frozenset[str], lengths: Mapping[str, Sequence[int]], text: str
) -> Spans:
    spans: Spans = []
    at = 0
    while at <= len(text) - MIN_SECRET_CHARACTERS:
        for length in lengths.get(text[at : at + MIN_SECRET_CHARACTERS], ()):
            if text[at : at + length] in known:
                spans.append((at, at + length))
                at += length
                break
        else:
            at += 1
    return spans


def _starred(text: str, spans: Spans) -> str:
    """Star *spans*; those that overlap have stars once."""
    parts: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            parts += (text[done:start], STARS)
        done = max(done, end)
    return "".join((*parts, text[done:]))


def redact_shapes(text: str) -> str:
    """Star what looks like a secret although nobody declared it."""
    if "://" in text:
        text = _USERINFO.sub(f"://{STARS}@", text)
        text = _QUERY.sub(lambda found: f"{found[1]}?{STARS}" if found[1] else found[0], text)
    text = _SCHEME_AUTH.sub(rf"\1\2{STARS}", text)
    return _ASSIGNED.sub(rf"\1\2\3{STARS}", text)


# the facts of a probe are the same texts run after run
_shapes = lru_cache(maxsize=4096)(redact_shapes)
_long_shapes = lru_cache(maxsize=512)(redact_shapes)


def _without_shapes(text: str) -> str:
    size = len(text)
    if size <= MAX_CACHED_CHARACTERS:
        return _shapes(text)
    return _long_shapes(text) if size <= MAX_LONG_CHARACTERS else redact_shapes(text)


def spellings(secret: str) -> set[str]:
    """Return every usual way to write *secret*; none when it is too short to be one."""
    encoded = secret.encode("utf-8", "surrogateescape")
    quoted = quote(encoded, safe="")
    found = {
        secret,
        quoted,
        quoted.lower(),
        quote_plus(encoded),
        quote(encoded),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        repr(encoded)[2:-1],
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
    }
    return {text for text in found if len(text) >= MIN_SECRET_CHARACTERS}


def secrets_in_target(target: str) -> set[str]:
    """Return the parts of a target that must not be shown.

    These are the password, path segments that look like a token, and values of the query that have
    a telling name or are long enough to be a secret: starring "json" or "200" would hide every
    message.
    """
    found: set[str] = set()
    scheme, separator, rest = target.partition("://")
    if not separator:
        rest = target
    authority, _, tail = rest.partition("/")
    authority = authority.partition("?")[0].partition("#")[0] if not tail else authority
    userinfo, at, _ = authority.rpartition("@")
    if at:
        user, colon, password = userinfo.partition(":")
        if colon:
            found |= {password, base64.b64encode(unquote(userinfo).encode()).decode()}
        elif scheme.startswith("http") or not separator or _TOKEN_SEGMENT.fullmatch(user):
            # a database has users without a password, a web server has tokens
            found.add(user)
    _, _, query = rest.partition("?")
    for pair in query.partition("#")[0].split("&"):
        name, equals, value = pair.partition("=")
        if not equals:
            name, value = "", pair
        if _TELLING_NAME.search(name) or _HIDDEN_PIECE.fullmatch(unquote(value)):
            found.add(value)
    found.update(s for s in tail.partition("?")[0].split("/") if _TOKEN_SEGMENT.fullmatch(s))
    found |= {unquote(text) for text in found}
    return {text for text in found if len(text) >= MIN_SECRET_CHARACTERS}


def parts_of_target(target: str) -> set[str]:
    """Return what must not be shown of a target that is a secret as a whole.

    Scheme and host may be shown; a target that answers with a part of what it was asked must not
    give the rest away, so each piece of the path counts as well.
    """
    _, _, tail = target.partition("://")[2].partition("/")
    path = tail.partition("?")[0].partition("#")[0]
    pieces = {target, path, *path.split("/")}
    pieces |= {unquote(piece) for piece in pieces}
    return {piece for piece in pieces if _HIDDEN_PIECE.fullmatch(piece)} | secrets_in_target(target)


def display_target(target: str, *, host_only: bool = False) -> str:
    """Return the form of a target that may be shown, <= 200 bytes.

    User info, query and fragment are dropped, path segments that look like a token are starred.

    Args:
        target: URL, DSN or ``host:port``.
        host_only: show scheme and host alone, for a target that is a secret as a whole.
    """
    head = target.partition("#")[0].partition("?")[0]
    scheme, separator, rest = head.partition("://")
    if not separator:
        scheme, rest = "", head
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    if host_only:
        slash, path = "", ""
    segments = [
        STARS if _TOKEN_SEGMENT.fullmatch(segment) else segment for segment in path.split("/")
    ]
    shown = f"{scheme}{separator}{authority}{slash}{'/'.join(segments)}"
    return cut_bytes(shown, MAX_TARGET_BYTES)


def cut_bytes(text: str, limit: int) -> str:
    """Cut *text* to at most *limit* UTF-8 bytes, on a character boundary."""
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= limit:
        return encoded.decode("utf-8")
    return encoded[:limit].decode("utf-8", "ignore")
