"""The functions of ``${...}``: one table, rendered into the docs too. There is no other code.

Knows neither variables nor steps: what a function needs of the play it runs in is `Surroundings`.
"""

import base64
import hashlib
import hmac
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Protocol
from urllib.parse import quote
from uuid import UUID

from probes.redact import SECRET_HEADER
from probes.units import parse_duration, short

# What one text may grow to: above any request a check should send, small beside the memory.
MAX_RESULT_CHARACTERS = 1024 * 1024
# What a value made of others may weigh: its characters, and so many for each part of it. Lists of
# lists of variables double with each one: forty of them are more than any memory holds.
MAX_WEIGHT = 8 * 1024 * 1024
PART_WEIGHT = 16
# The deepest answer inside the deepest body; json itself gives up at about a thousand.
MAX_LEVELS = 256
# RFC 4226, 5.3 wants at least six digits; a truncated HMAC has no more than ten, of which the
# first is not even: every authenticator stops at eight.
TOTP_DIGITS = (6, 8)
# RFC 6238, 5.2 recommends 30; a longer validity than ten minutes is no one-time password.
TOTP_PERIOD_S = (1, 600)
# Shorter texts are switches; starring them would hide the message. As probes.config.variables.
MIN_HIDDEN_CHARACTERS = 6
ALGORITHMS = ("sha256", "sha1", "sha384", "sha512")
ENCODINGS = ("hex", "base64")
# What every platform knows; others come out as they stand, or not at all.
_DIRECTIVES = frozenset("aAbBcdfHIjmMpSuUVwWxXyYzZG%")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
# More do not fit into 64 bits: such a number is an id, which is text.
MAX_WHOLE_DIGITS = 18
_WHOLE = re.compile(r"[+-]?[0-9]{1,%d}" % MAX_WHOLE_DIGITS, re.ASCII)  # noqa: UP031 - braces
_SHIFT = re.compile(r"([+-]?)(.{1,40})", re.DOTALL)
MAX_FORMAT_CHARACTERS = 200


class Surroundings(Protocol):
    """What of a play the functions see."""

    @property
    def iteration(self) -> int:
        """The number of the play."""
        ...

    @property
    def random(self) -> random.Random:
        """Where chance comes from."""
        ...

    @property
    def now(self) -> Callable[[], datetime]:
        """The wall clock, aware."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment."""
        ...

    @property
    def hidden(self) -> set[str]:
        """Texts that no outlet may show."""
        ...


def chance(seed: int | None, iteration: int) -> random.Random:
    """Return where the chance of one play comes from.

    Without a seed it is the system's: two shards that started from one state would hand out the
    same `uuid()` twice. With one it depends on seed and iteration alone, so a play can be repeated
    whatever was played before it, and on whichever shard.
    """
    if seed is None:
        return _SYSTEM
    return random.Random(f"{seed}:{iteration}")  # noqa: S311 - to be repeated, not to be secret


_SYSTEM = random.SystemRandom()


def text_of(value: Any) -> str:
    """Return *value* as text: ``true``, ``null``, ``1.5``; lists and mappings as JSON.

    Raises:
        ValueError: longer than a text may be, or no JSON value.
    """
    if isinstance(value, str):
        return value
    if value is True or value is False or value is None:
        return _WORDS[value]
    if isinstance(value, int):
        return str(value)
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"want a value of JSON, got {short(value)}") from None
    return bounded(text)


_WORDS: Mapping[bool | None, str] = {True: "true", False: "false", None: "null"}


def bounded(text: str) -> str:
    """Return *text*.

    Raises:
        ValueError: it is longer than a text may be.
    """
    if len(text) > MAX_RESULT_CHARACTERS:
        raise ValueError(
            f"want a text of at most {MAX_RESULT_CHARACTERS} characters, got {len(text)}"
        )
    return text


def bounded_whole(value: Any) -> Any:
    """Return a *value* that was made of others.

    Raises:
        ValueError: larger than anything that is sent, or too deep.
    """
    left = MAX_WEIGHT
    layer: list[Any] = [value]
    for _ in range(MAX_LEVELS):
        inner: list[Any] = []
        for one in layer:
            if isinstance(one, str):
                left -= len(one)
            elif isinstance(one, Mapping | list):
                left -= PART_WEIGHT * len(one)
                if left >= 0:
                    inner += one.values() if isinstance(one, Mapping) else one
            if left < 0:
                raise ValueError(f"want a value of at most {MAX_WEIGHT} characters, got a larger")
        if not inner:
            return value
        layer = inner
    raise ValueError(f"want a value of at most {MAX_LEVELS} levels, got more")


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Args:
        name: as it is written.
        arguments: as the docs show them, those that may be left out in brackets.
        summary: one line.
        call: takes the `Surroundings`, then the arguments.
        least: arguments at least.
        most: arguments at most.
        is_pure: the result depends on the arguments alone.
        is_tried: constant arguments are tried when the file is loaded.
    """

    name: str
    arguments: str
    summary: str
    call: Callable[..., Any]
    least: int = 1
    most: int = 1
    is_pure: bool = True
    is_tried: bool = True


def _uuid(around: Surroundings) -> str:
    return str(UUID(int=around.random.getrandbits(128), version=4))


def _now(around: Surroundings, form: Any = "iso", shift: Any = None) -> Any:
    at = around.now().astimezone(UTC)
    if shift is not None:
        at = _shifted(at, shift)
    if form == "iso":
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if form == "unix":
        return int(at.timestamp())
    if form == "unix_ms":
        return int(at.timestamp() * 1000)
    if not isinstance(form, str) or "%" not in form or len(form) > MAX_FORMAT_CHARACTERS:
        raise ValueError(f"want iso, unix, unix_ms or a format such as %Y-%m-%d, got {short(form)}")
    for found in _DIRECTIVE.finditer(form):
        if found[1] not in _DIRECTIVES or not found[1]:
            raise ValueError(f"want a format such as %Y-%m-%d, got {short(found[0])}")
    return at.strftime(form)


def _shifted(at: datetime, shift: Any) -> datetime:
    found = _SHIFT.fullmatch(shift) if isinstance(shift, str) else None
    if found is None:
        raise ValueError(f"want a shift such as 1d or -2h, got {short(shift)}")
    seconds = parse_duration(found[2])
    return at + timedelta(seconds=-seconds if found[1] == "-" else seconds)


def _random(around: Surroundings, items: Any) -> Any:
    if not isinstance(items, list | tuple) or not items:
        raise ValueError(f"want a list that is not empty, got {short(items)}")
    return around.random.choice(items)


def _randint(around: Surroundings, low: Any, high: Any) -> int:
    first, last = _whole(low), _whole(high)
    if first > last:
        raise ValueError(f"want randint(low, high), got {first} above {last}")
    return around.random.randint(first, last)


def _seq(around: Surroundings) -> int:
    return around.iteration


def _env(around: Surroundings, name: Any, default: Any = None) -> Any:
    value = around.environ.get(name) if isinstance(name, str) else None
    if value is None:
        if default is not None:
            return default
        raise ValueError(f"want the environment variable {short(name)} to be set, got none")
    value = value.encode("utf-8", "replace").decode()
    if len(value) >= MIN_HIDDEN_CHARACTERS and SECRET_HEADER.search(name):
        around.hidden.add(value)
    return value


def _bytes(value: Any) -> bytes:
    return text_of(value).encode("utf-8", "replace")


def _base64(_: Surroundings, value: Any) -> str:
    return bounded(base64.b64encode(_bytes(value)).decode())


def _sha256(_: Surroundings, value: Any) -> str:
    return hashlib.sha256(_bytes(value)).hexdigest()


def _hmac(
    _: Surroundings, key: Any, value: Any, algorithm: Any = "sha256", encoding: Any = "hex"
) -> str:
    if algorithm not in ALGORITHMS:
        raise ValueError(f"want one of {', '.join(ALGORITHMS)}, got {short(algorithm)}")
    if encoding not in ENCODINGS:
        raise ValueError(f"want one of {', '.join(ENCODINGS)}, got {short(encoding)}")
    digest = hmac.digest(_bytes(key), _bytes(value), algorithm)
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def _totp(around: Surroundings, secret: Any, digits: Any = 6, period: Any = 30) -> str:
    """Return the one-time password of this moment.

    Source:
        RFC 6238, with HMAC-SHA-1 as every authenticator.
    """
    length = _within("digits", digits, TOTP_DIGITS)
    seconds = _within("seconds", period, TOTP_PERIOD_S)
    clean = text_of(secret).replace(" ", "").replace("-", "").rstrip("=").upper()
    try:
        key = base64.b32decode(clean + "=" * (-len(clean) % 8))
    except ValueError:
        key = b""
    if not key:
        # without the value: it is a secret
        raise ValueError("want a secret in base32 (A to Z, 2 to 7), got another text")
    counter = int(around.now().timestamp()) // seconds
    digest = hmac.digest(key, counter.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**length).zfill(length)


def _within(what: str, value: Any, bounds: tuple[int, int]) -> int:
    number = _whole(value)
    if not bounds[0] <= number <= bounds[1]:
        raise ValueError(f"want {bounds[0]} to {bounds[1]} {what}, got {number}")
    return number


def _whole(value: Any) -> int:
    """Return a whole number; rows of a CSV are text, so their digits are taken too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise ValueError(f"want a whole number, got {short(value)}")


def _length(_: Surroundings, value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise ValueError(f"want a text, a list or a mapping, got {short(value)}")
    return len(value)


def _json(_: Surroundings, value: Any) -> str:
    return (
        bounded(json.dumps(value, ensure_ascii=False)) if isinstance(value, str) else text_of(value)
    )


_ALL = (
    Function("uuid", "", "a random UUID, version 4", _uuid, 0, 0, is_pure=False),
    Function(
        "now",
        "[format[, shift]]",
        "the time in UTC: 'iso' (default), 'unix', 'unix_ms' or such as '%Y-%m-%d';"
        " shifted by such as '1d' or '-2h'",
        _now, 0, 2, is_pure=False,
    ),
    Function("random", "list", "one element of a list", _random, is_pure=False),
    Function(
        "randint", "low, high", "a whole number, both ends included", _randint, 2, 2, is_pure=False
    ),
    Function("seq", "", "the number of the run, unique over all shards", _seq, 0, 0, is_pure=False),
    Function(
        "env",
        "name[, default]",
        "a variable of the environment",
        _env, 1, 2, is_pure=False, is_tried=False,
    ),
    Function("base64", "x", "as Base64 (RFC 4648)", _base64),
    Function("sha256", "x", "SHA-256 in hexadecimal digits", _sha256),
    Function(
        "hmac",
        "key, x[, algorithm[, encoding]]",
        "HMAC: 'sha256' (default), 'sha1', 'sha384', 'sha512'; 'hex' (default) or 'base64'",
        _hmac, 2, 4,
    ),
    Function(
        "totp",
        "secret[, digits[, period]]",
        "a one-time password (RFC 6238) of a base32 secret; 6 digits, 30 seconds",
        _totp, 1, 3, is_pure=False,
    ),
    Function("lower", "x", "in lower case", lambda _, x: text_of(x).lower()),
    Function("upper", "x", "in upper case", lambda _, x: text_of(x).upper()),
    Function(
        "urlencode",
        "x",
        "percent-encoded for a path or a query",
        lambda _, x: bounded(quote(_bytes(x), safe="")),
    ),
    Function("json", "x", "as JSON text", _json),
    Function("length", "x", "of a text in characters, of a list or mapping in elements", _length),
    Function("int", "x", "the whole number that a text says", lambda _, x: _whole(x)),
    Function("text", "x", "as text", lambda _, x: text_of(x)),
)  # fmt: skip
FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _ALL}
"""By name; the closed list."""
