"""The YAML of a blackbox.yml: scalars as they are written, and what each kind of field takes.

    text       the written text: 012, no, 1.1 stay as they are
    boolean    true, yes, on, y and their opposites
    integer    as YAML 1.1 wrote them: 0x1f, 017, 1_000
    duration   of Go: 1m30s, 1.5h
    size       base 2: 10KB is 10KiB

As Go's YAML reads them, because the files were written for that. Knows no option.
"""

import base64
import binascii
import re
from typing import Any, Literal, get_args

from yaml.nodes import MappingNode, Node, ScalarNode

from probes.config.document import Foreign, Walk
from probes.config.nodes import MERGE, NULL
from probes.units import parse_number, short

BINARY = "tag:yaml.org,2002:binary"
Prober = Literal["http", "tcp", "dns", "icmp", "grpc", "unix", "websocket"]
PROBERS: tuple[str, ...] = get_args(Prober)
# What makes a module one of upstream: a prober, or a section of one when that word is misspelt.
_MODULES, _TELLING = "modules", frozenset({"prober", *PROBERS})
# Keys that only a probe file of ours has on its first level.
_NATIVE = frozenset({"version", "include", "defaults", "journeys", "probes", "chains"})
_QUOTED = frozenset("'\"|>")

_TRUE = frozenset({"true", "yes", "on", "y"})
_FALSE = frozenset({"false", "no", "off", "n"})
# Go's YAML takes these in quotes, too, but for a boolean that is one by itself.
_QUOTED_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_QUOTED_FALSE = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_OLD_OCTAL = re.compile(r"([-+]?)0([0-7]+)", re.ASCII)
# A whole number above is none of our options.
MAX_DIGITS = 18
MAX_NUMBER = 2**63 - 1
_GO_DURATION = re.compile(r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_GO_PART = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNITS_S = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip
# A duration of Go is a whole number of nanoseconds in 64 bits.
MAX_GO_DURATION_S = 2**63 / 1e9
_BASE2 = re.compile(r"([-+]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)[A-Za-z]+)+)", re.ASCII)
_BASE2_PART = re.compile(r"([0-9]*\.?[0-9]*)([A-Za-z]+)", re.ASCII)
_BASE2_UNITS = {
    "B": 1,
    **{f"{letter}{end}": 1024**power
       for power, letter in enumerate("KMGTPE", 1) for end in ("B", "iB")},
}  # fmt: skip


class Written(str):
    """A scalar as it stands in the file.

    ``is_plain``: without quotes. ``octets``: of a ``!!binary``, else None.
    """

    __slots__ = ("is_plain", "octets")

    is_plain: bool
    octets: bytes | None

    @classmethod
    def of(cls, text: str, *, is_plain: bool = False, octets: bytes | None = None) -> "Written":
        """Return *text* with what is known about it."""
        made = cls(text)
        made.is_plain, made.octets = is_plain, octets
        return made


class Reading(Walk):
    """Nodes to mappings, lists, `Written` and None; no environment variable is ever expanded."""

    def value(self, node: Node) -> Any:
        if not isinstance(node, ScalarNode) or node.tag is MERGE:
            return super().value(node)
        self._visited += 1
        if node.tag == BINARY:
            return self._binary(node)
        if not node.tag.startswith("\0"):
            self._problem(node, f"want a value without a tag but !!binary, got {short(node.tag)}")
            return Written.of("")
        if node.tag is NULL:
            return None
        return Written.of(node.value, is_plain=node.style not in _QUOTED)

    def _binary(self, node: ScalarNode) -> Written:
        try:
            octets = base64.b64decode("".join(node.value.split()), validate=True)
        except (binascii.Error, ValueError):
            self._problem(node, f"want base64 behind !!binary, got {short(node.value)}")
            octets = b""
        return Written.of(octets.decode("utf-8", "replace"), octets=octets)


def is_blackbox(root: Node) -> bool:
    """Return whether a file is a blackbox.yml: its modules are upstream's, it has no version."""
    if not isinstance(root, MappingNode):
        return False
    top = {key.value: value for key, value in root.value if isinstance(key, ScalarNode)}
    modules = top.get(_MODULES)
    if not isinstance(modules, MappingNode) or not _NATIVE.isdisjoint(top):
        return False
    return any(
        isinstance(module, MappingNode) and _is_upstream(module) for _, module in modules.value
    )


def _is_upstream(module: MappingNode) -> bool:
    keys = {key.value for key, _ in module.value if isinstance(key, ScalarNode)}
    return not _TELLING.isdisjoint(keys) and "kind" not in keys


def _always(_: Node) -> bool:
    return True


IF_BLACKBOX = Foreign(is_blackbox, Reading)
ONLY_BLACKBOX = Foreign(_always, Reading)


def read_text(value: object) -> str:
    """Return a text field: the written text; empty for nothing.

    Raises:
        ValueError: a list or a mapping.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"want a text, got {_shown(value)}")


def read_octets(value: object) -> bytes:
    """Return a text field that may be ``!!binary``."""
    if isinstance(value, Written) and value.octets is not None:
        return value.octets
    return read_text(value).encode()


def read_bool(value: object) -> bool:
    """Return a boolean field.

    Raises:
        ValueError: any other word, ``"true"`` in quotes, and any number.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, Written) and value.is_plain:
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
    elif isinstance(value, str) and value in _QUOTED_TRUE | _QUOTED_FALSE:
        return value in _QUOTED_TRUE
    hint = ": without quotes" if value in ("true", "false") else ""
    raise ValueError(f"want true or false (yes, no, on, off), got {_shown(value)}{hint}")


def read_int(value: object) -> int:
    """Return an integer field; 0 for nothing. A fraction is cut off, as upstream does.

    Raises:
        ValueError: anything else, also a number in quotes.
    """
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Written) and value.is_plain:
        number = _number(value.replace("_", ""))
        if number is not None:
            return number
    is_quoted = isinstance(value, Written) and not value.is_plain and _INTEGER.fullmatch(value)
    hint = ": without quotes" if is_quoted else ""
    raise ValueError(f"want a whole number, got {_shown(value)}{hint}")


def _number(text: str) -> int | None:
    if len(text) > MAX_DIGITS:
        return None
    if _INTEGER.fullmatch(text):
        octal = _OLD_OCTAL.fullmatch(text)
        return int(f"{octal[1]}0o{octal[2]}" if octal else text, 0)
    if _FLOAT.fullmatch(text):
        number = parse_number(text)
        return int(number) if abs(number) <= MAX_NUMBER else None
    return None


def read_duration(value: object) -> float:
    """Return seconds; 0 when the duration is zero or negative, which means not set.

    Raises:
        ValueError: no duration of Go: a bare number, days.
    """
    if isinstance(value, float):
        return value
    text = str(value) if isinstance(value, Written) else ""
    if isinstance(value, Written) and text == "0" and not value.is_plain:
        return 0.0
    if _GO_DURATION.fullmatch(text):
        parts = _GO_PART.findall(text)
        seconds = sum(parse_number(number) * _GO_UNITS_S[unit] for number, unit in parts)
        if seconds < MAX_GO_DURATION_S:
            return 0.0 if text.startswith("-") else round(seconds, 9)
    raise ValueError(f"want a duration with its unit such as 5s or 1m30s, got {_shown(value)}")


def read_size(value: object) -> int:
    """Return bytes; 0 when the size is zero or negative, which means no limit.

    Raises:
        ValueError: no size in base 2: a bare number, a lower-case unit.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value) if isinstance(value, Written) else ""
    if text in ("0", "+0", "-0"):
        return 0
    found = _BASE2.fullmatch(text)
    if found is not None:
        size = 0
        for number, unit in _BASE2_PART.findall(found[2]):
            if unit not in _BASE2_UNITS:
                break
            size += int(parse_number(number) * _BASE2_UNITS[unit])
        else:
            if size <= MAX_NUMBER:
                return 0 if found[1] == "-" else size
    raise ValueError(f"want a size with its unit such as 10KB or 1MiB, got {_shown(value)}")


def read_any(value: object) -> Any:
    """Return YAML of any shape, with numbers and booleans where no quotes say otherwise."""
    if isinstance(value, dict):
        return {key: read_any(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(read_any, value))
    return _scalar(value) if isinstance(value, Written) else value


def _scalar(value: Written) -> Any:
    text = str(value)
    if not value.is_plain:
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return read_int(value) if len(text) <= MAX_DIGITS else text
    return parse_number(text) if _FLOAT.fullmatch(text) else text


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else short(value)
