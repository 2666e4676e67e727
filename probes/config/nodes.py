"""Bytes to YAML nodes: one pass of the C parser, with limits while it works.

YAML 1.2 core and no more of YAML than that: no directive, no second document. Knows neither
values nor keys of ours.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import Node, ScalarNode, SequenceNode

from probes.units import format_size, short

# reliability.md 4. A hand-written file of 10,000 probes has 2 MB.
MAX_FILE_BYTES = 4 * 2**20
# The deepest sensible file (an expectation in a step of a journey) has 10 levels.
MAX_DEPTH = 32
# All files of one config together; 10,000 written-out probes have 200,000.
MAX_NODES = 1_000_000
# What aliases may add on top: ten anchors used in a hundred places, and never a bomb.
MAX_ALIAS_NODES = 10_000
# Tags of our own. No file can spell one: to libyaml a tag ends at NUL.
TEXT, INT, FLOAT, BOOL, NULL = "\0text", "\0int", "\0float", "\0bool", "\0null"
MERGE, PADDED, LIST, MAP = "\0merge", "\0padded", "\0list", "\0map"
_WORDS = {
    "": NULL, "~": NULL, "null": NULL, "Null": NULL, "NULL": NULL,
    "true": BOOL, "True": BOOL, "TRUE": BOOL, "false": BOOL, "False": BOOL, "FALSE": BOOL,
    "<<": MERGE,
}  # fmt: skip
_DIGITS = frozenset("+-.0123456789")
_INT_TEXT = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_PADDED_TEXT = re.compile(r"[-+]?0[0-9]+", re.ASCII)
_FLOAT_TEXT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
# YAML 1.2 section 5.1, without NUL, C0 and lone surrogates.
_UNPRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM = b"\xef\xbb\xbf"
# libyaml's directives are quadratic in their number, and no probe file needs one.
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)


@dataclass(slots=True)
class Budget:
    """What the files of one config may still use, together."""

    nodes: int = MAX_NODES
    alias_nodes: int = MAX_ALIAS_NODES


class Refused(Exception):
    """The text is not parsed any further."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def decode(data: bytes) -> str:
    """Return *data* as text.

    Raises:
        Refused: too large, not UTF-8, not printable, or with a directive.
    """
    if len(data) > MAX_FILE_BYTES:
        raise Refused(f"want a file of at most {format_size(MAX_FILE_BYTES)}, got a larger one")
    if data.startswith(_UTF16):
        raise Refused("want UTF-8, got UTF-16 (its byte order mark stands at byte 0)", 1, 1)
    body = data.removeprefix(_UTF8_BOM)
    shift = len(data) - len(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        bad, before = body[error.start], body[: error.start].decode("utf-8")
        raise Refused(
            f"want UTF-8, got 0x{bad:02x} at byte {error.start + shift}", *_end(before)
        ) from None
    found = _UNPRINTABLE.search(text)
    if found is not None:
        before = text[: found.start()]
        offset = len(before.encode()) + shift
        raise Refused(f"want printable text, got {short(found[0])} at byte {offset}", *_end(before))
    found = _DIRECTIVE.search(text)
    if found is not None:
        raise Refused("want no YAML directive, got '%'", *_end(text[: found.start()]))
    return text


def _end(text: str) -> tuple[int, int]:
    """Return line and column behind *text*."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")


class _Loader(yaml.CSafeLoader):
    """The C parser with our own idea of scalars, and with limits while it composes."""

    def __init__(self, text: str, budget: Budget) -> None:
        super().__init__(text)
        self.depth = 0
        self.budget = budget

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode:
            return _scalar_tag(value) if implicit[0] else TEXT
        return LIST if kind is SequenceNode else MAP

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:  # noqa: ARG002 - the parser calls it
        self.depth += 1
        self.budget.nodes -= 1
        if self.depth <= MAX_DEPTH and self.budget.nodes >= 0:
            return
        mark = current_node.start_mark if current_node is not None else None
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if self.depth > MAX_DEPTH:
            raise Refused(f"want at most {MAX_DEPTH} levels, got more", line, column)
        raise Refused(f"want at most {MAX_NODES} values in all files, got more", line, column)

    def ascend_resolver(self) -> None:
        self.depth -= 1


def _scalar_tag(text: str) -> str:
    known = _WORDS.get(text)
    if known is not None:
        return known
    if text[0] not in _DIGITS:
        return TEXT
    if _INT_TEXT.fullmatch(text):
        return INT
    if _PADDED_TEXT.fullmatch(text):
        return PADDED
    return FLOAT if _FLOAT_TEXT.fullmatch(text) else TEXT


def compose(text: str, budget: Budget, *, first_only: bool = False) -> Node | None:
    """Return the root node of *text*; None when there is none.

    Args:
        text: of a file.
        budget: is drawn down.
        first_only: whatever comes behind the first document is not looked at.

    Raises:
        Refused: not one valid document, too deep, or beyond *budget*.
    """
    loader = _Loader(text, budget)
    try:
        if not first_only:
            return loader.get_single_node()
        return loader.get_node() if loader.check_node() else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise Refused(_syntax(error, text, line, column), line + 1, column + 1) from None
    except yaml.YAMLError as error:
        raise Refused(f"want valid YAML, got {short(str(error))}", 1, 1) from None
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError, text: str, line: int, column: int) -> str:
    """Return our words for what libyaml says."""
    problem = error.problem or "a text that does not parse"
    if "cannot start any token" in problem:
        lines = text.splitlines()
        found = lines[line][column : column + 1] if line < len(lines) else ""
        if found == "\t":
            return "want spaces as indentation, got a tab"
        return f"want quotes around a text that begins with {found!r}, got none"
    if "another document" in problem:
        return "want one YAML document, got a second one"
    if problem == "mapping values are not allowed in this context":
        return "want quotes around a text with ': ' in it, or another indentation, got neither"
    if error.context and "duplicate anchor" in error.context:
        return "want each anchor once, got it again"
    where = f" ({error.context})" if error.context else ""
    return f"want valid YAML, got: {problem}{where}"
