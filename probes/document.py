"""JSON documents out of foreign bytes, in bounded time. Knows no path into them and no verdict."""

import json
from codecs import BOM_UTF8
from collections.abc import Callable
from math import isfinite
from typing import Any

from probes.units import short

# reliability.md 4: bounds of a document that a hostile target sends.
MAX_JSON_DEPTH = 64
MAX_NUMBER_DIGITS = 1000
# A search in a page of its own, where digits are one byte and all else another: a pattern would
# begin anew at each digit of each hash: two thirds of the time to read a block (2026-11).
_LONG_NUMBER = b"0" * (MAX_NUMBER_DIGITS + 1)
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))


def parse_json(data: bytes) -> Any:
    """Read a JSON document in bounded time.

    Raises:
        ValueError: not JSON, NaN or Infinity, deeper than 64, or a number of more than 1,000
            digits. The message says what was wanted and never shows the document.
    """
    # they may stand in a text, as the data of a contract do: then each number is looked at
    has_digits = len(data) > MAX_NUMBER_DIGITS and _LONG_NUMBER in data.translate(_DIGITS)
    return _parsed(data, _decode_warily if has_digits else _decode)


def parse_doubles(data: bytes) -> Any:
    """Read a JSON document as Go does: every number is a double, and none is beyond them.

    Raises:
        ValueError: as `parse_json`; a number beyond all doubles.
    """
    return _parsed(data, _decode_doubles)


def _parsed(data: bytes, decode: Callable[[str], Any]) -> Any:
    try:
        # decoded here: json would guess UTF-16 and UTF-32 too
        document = decode(data.decode("utf-8-sig" if data.startswith(BOM_UTF8) else "utf-8"))
    except UnicodeDecodeError:
        raise ValueError("want JSON in UTF-8, got other bytes") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"want JSON, got {error.msg} at byte {error.pos}: {short(data[:60])}"
        ) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if data.count(b"[") + data.count(b"{") > MAX_JSON_DEPTH and _is_deep(document):
        raise ValueError(_TOO_DEEP)
    return document


_TOO_DEEP = f"want JSON of at most {MAX_JSON_DEPTH} levels, got more"


def _refuse_constant(word: str) -> None:
    raise ValueError(f"want JSON, got the number {word}")


def _bounded(text: str) -> str:
    if len(text.lstrip("-")) > MAX_NUMBER_DIGITS:
        raise ValueError(f"want numbers of at most {MAX_NUMBER_DIGITS} digits, got a longer one")
    return text


def _decoded_by(decoder: json.JSONDecoder) -> Callable[[str], Any]:
    """Return ``decode`` of *decoder* without its two searches for spaces: a third of a small text.

    Only texts that begin with one go the long way, and those that are no JSON: for its errors.
    """

    def decode(text: str) -> Any:
        try:
            document, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            return decoder.decode(text)
        if end != len(text) and text[end:].strip(_SPACE):
            return decoder.decode(text)
        return document

    return decode


_SPACE = " \t\n\r"
_decode = _decoded_by(json.JSONDecoder(parse_constant=_refuse_constant))
_decode_warily = _decoded_by(
    json.JSONDecoder(
        parse_constant=_refuse_constant,
        parse_int=lambda text: int(_bounded(text)),
        parse_float=lambda text: float(_bounded(text)),
    )
)


def _double(text: str) -> float:
    value = float(_bounded(text))
    if not isfinite(value):
        raise ValueError(f"want numbers that a double can hold, got {short(text)}")
    return value


_decode_doubles = _decoded_by(
    json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_double, parse_float=_double)
)


def _is_deep(document: Any) -> bool:
    """Return whether the nesting is deeper than allowed.

    The parser's own guard ends what would overflow the stack; to look at the text beforehand costs
    ten times more than to parse it, for its strings must be skipped.
    """
    layer: list[Any] = [[document]]
    for _ in range(MAX_JSON_DEPTH + 1):
        inner: list[Any] = []
        for value in layer:
            inner += value.values() if isinstance(value, dict) else value
        layer = [value for value in inner if isinstance(value, dict | list)]
        if not layer:
            return False
    return True
