"""What an error object of JSON-RPC says: its class by phrase, then by code, for one family.

Tables as data, most specific first. The same number means different things in different families
(-32005: a limit on evm, a sick node on solana), and providers put their own texts behind any
number, so texts go first. Knows neither HTTP nor the shape around the error.
"""

import re
from collections.abc import Mapping
from typing import Any

from probes.chain.model import Family
from probes.chain.talk import Class
from probes.units import short

# Of an error's text; what tells which error it is stands at its beginning.
MAX_TEXT_CHARACTERS = 512
LOGS_METHOD = "eth_getLogs"

_Phrase = tuple[str, ...]
"""Pieces of a text in lower case, in this order."""
_RANGE_PHRASES: tuple[_Phrase, ...] = (
    ("block range",),
    ("returned more than",),
    ("query exceeds",),
    ("response too large",),
    ("is too big",),
)
_PHRASES: tuple[tuple[Class, _Phrase], ...] = (
    # a contract may give any text as its reason: this goes before all others
    ("reverted", ("execution reverted",)),
    ("node_unhealthy", ("node is behind by",)),
    ("node_unhealthy", ("node is unhealthy",)),
    ("plan_exhausted", ("monthly capacity limit",)),
    ("plan_exhausted", ("reached the free tier",)),
    ("plan_exhausted", ("limit for your current plan",)),
    ("rate_limited", ("rate limit",)),
    ("rate_limited", ("too many requests",)),
    ("rate_limited", ("request limit reached",)),
    ("rate_limited", ("exceeded the quota",)),
    ("rate_limited", ("under too much load",)),
    ("auth_failed", ("invalid api key",)),
    ("auth_failed", ("unauthorized",)),
    ("auth_failed", ("key is inactive",)),
    ("missing_data", ("missing trie node",)),
    ("missing_data", ("header not found",)),
    ("missing_data", ("block not found",)),
    ("missing_data", ("historical state", "not available")),
    ("missing_data", ("state already discarded",)),
    ("missing_data", ("pruned",)),
    ("missing_data", ("is not available, lowest height is",)),
    ("missing_data", ("must be less than or equal to the current blockchain height",)),
    ("missing_data", ("blockoutofrange",)),
    ("unsupported", ("method", "does not exist")),
    ("unsupported", ("method", "is not available")),
    ("unsupported", ("not whitelisted",)),
    ("unsupported", ("not included in your current plan",)),
    ("unsupported", ("is disabled",)),
)

_RANGE_CODES = frozenset({-32005, -32602})
_PARSE_ERROR = -32700
_CODES: Mapping[int, Class] = {
    -32601: "unsupported",
    -32029: "rate_limited",
    429: "rate_limited",
    4444: "missing_data",
    3: "reverted",
    -32602: "bad_params",
    -32600: "bad_params",
    -32603: "server_error",
    -32000: "server_error",
}
_FAMILY_CODES: Mapping[Family, Mapping[int, Class]] = {
    "evm": {-32005: "rate_limited", -32004: "unsupported"},
    # https://github.com/anza-xyz/agave/blob/master/rpc-client-api/src/custom_error.rs
    "solana": {
        -32001: "missing_data",
        -32002: "bad_params",
        -32004: "missing_data",
        -32005: "node_unhealthy",
        -32007: "missing_data",
        -32008: "missing_data",
        -32009: "missing_data",
        -32010: "unsupported",
        -32011: "missing_data",
        -32014: "missing_data",
        -32015: "bad_params",
        -32016: "missing_data",
        -32019: "server_error",
    },
    "cosmos": {},
}
KNOWN_CODES = frozenset(_CODES).union((_PARSE_ERROR,), *_FAMILY_CODES.values())
"""Codes that may be the value of a label."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://\S+", re.ASCII)


def error_class(family: Family | None, method: str, code: int | None, text: str) -> Class:
    """Return what an error is.

    Args:
        family: of the chain; None: any.
        method: that was called.
        code: of the error; None when it has none.
        text: `error_text` of it.
    """
    words = text.lower()
    if method == LOGS_METHOD and any(_has(words, phrase) for phrase in _RANGE_PHRASES):
        return "range_limited"
    for kind, phrase in _PHRASES:
        if _has(words, phrase):
            return kind
    if code is None:
        return "server_error"
    if method == LOGS_METHOD and code in _RANGE_CODES:
        return "range_limited"
    if code == _PARSE_ERROR:
        # ganache says so of a method that it does not know; else it is we who cannot write JSON
        return "unsupported" if "does not exist" in words else "bad_params"
    own = _FAMILY_CODES[family] if family is not None else {}
    return own.get(code) or _CODES.get(code, "server_error")


def _has(text: str, phrase: _Phrase) -> bool:
    at = 0
    for piece in phrase:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def error_code(error: Mapping[str, Any]) -> int | None:
    """Return the code of an error object; None when it is no number."""
    code = error.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def error_message(error: Mapping[str, Any]) -> str:
    """Return the message of an error object, cut and without URLs; empty when it has none."""
    message = error.get("message")
    return clean(message) if isinstance(message, str) else ""


def error_text(error: Mapping[str, Any]) -> str:
    """Return message and data of an error object; CometBFT tells what is wrong in the data."""
    data = error.get("data")
    parts = (error_message(error), clean(data) if isinstance(data, str) else "")
    return ": ".join(filter(None, parts))


def clean(text: str) -> str:
    """Return a foreign text as it may be told: cut, without URLs, which may hold keys."""
    cut = text[:MAX_TEXT_CHARACTERS]
    # a lone surrogate would break whoever writes it out
    return _URL.sub("a URL", cut).encode("utf-8", "replace").decode()


def told(code: int | None, text: str) -> str:
    """Return an error for people: ``error -32603 'Internal error'``."""
    number = "" if code is None else f" {short(code)}"
    return f"error{number}" + (f" {short(text)}" if text else "")
