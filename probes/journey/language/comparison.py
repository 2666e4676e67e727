"""``if``: one comparison, or a bare expression, read and judged. Knows no variable's value.

condition := operand ( operator operand )?
operand   := 'text' | "text" | list | number | true | false | null | text with ${...}
operator  := == | != | < | <= | > | >= | in | contains
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from probes.journey.language.functions import text_of
from probes.journey.language.grammar import (
    Items,
    Join,
    Literal,
    Node,
    Reader,
    check_text,
    number,
    parse,
)
from probes.matcher import same
from probes.units import parse_number, short

_OPERATOR = re.compile(r"==|!=|<=|>=|<|>|(?<=[ \t\r\n])(?:in|contains)(?=[ \t\r\n])")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\"""", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}
_SPACE = " \t\r\n"
# A column of a CSV is text: what says no in a file, says no here.
_FALSE_TEXTS = frozenset({"", "false", "0", "null"})

Comparison = tuple[Node, str, Node]


def parse_condition(source: str) -> Comparison | Node:
    """Read a condition: a comparison, or one expression.

    Raises:
        ValueError: neither.
    """
    check_text(source)
    # what does not fit is told by its column: it may be the end of a value of the environment
    left, at = _operand(source, 0)
    found = _OPERATOR.match(source, at)
    if found is None:
        if at < len(source):
            raise ValueError(f"want an operator, got another text at column {at + 1}")
        if isinstance(left, Literal | Items | Join):
            raise ValueError(
                "want one ${expression}, or a comparison such as ${a} == 1"
                f" ({', '.join(OPERATORS)}), got another text"
            )
        return left
    right, end = _operand(source, found.end())
    if end < len(source):
        raise ValueError(f"want one comparison, got more of the text at column {end + 1}")
    if isinstance(left, Literal) and isinstance(right, Literal):
        raise ValueError("want a ${variable} in the comparison, got two fixed values")
    return left, found[0], right


def _operand(source: str, at: int) -> tuple[Node, int]:
    at = _skip(source, at)
    if found := _QUOTED.match(source, at):
        reader = Reader(source, at, at)
        return reader.expression(), _skip(source, found.end())
    if source.startswith("[", at):
        reader = Reader(source, at, at)
        return reader.expression(), _skip(source, reader.at)
    end = _end_of_text(source, at)
    raw = source[at:end].strip(_SPACE)
    if not raw:
        raise ValueError(f"want a value on both sides, got none at column {at + 1}")
    if raw in _WORDS:
        return Literal(_WORDS[raw]), end
    if _NUMBER.fullmatch(raw):
        return Literal(number(raw)), end
    return parse(raw), end


def _end_of_text(source: str, at: int) -> int:
    while at < len(source):
        if source.startswith("$${", at):
            at += 3
        elif source.startswith("${", at):
            reader = Reader(source, at, at + 2)
            reader.expression()
            at = reader.close()
        elif _OPERATOR.match(source, at):
            break
        else:
            at += 1
    return at


def _skip(source: str, at: int) -> int:
    while at < len(source) and source[at] in _SPACE:
        at += 1
    return at


def is_true(value: Any) -> bool:
    """Return the truth of a bare expression; as text it is ``false``, ``0``, ``null`` or empty."""
    if isinstance(value, str):
        return value not in _FALSE_TEXTS
    return bool(value)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left) == text_of(right)
    return same(left, right)


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(left: Any, right: Any) -> bool:
        numbers = _number_of(left), _number_of(right)
        if numbers[0] is not None and numbers[1] is not None:
            return holds(*numbers)
        if isinstance(left, str) or isinstance(right, str):
            return holds(text_of(left), text_of(right))
        raise ValueError(
            f"want numbers or texts to compare, got {short(left, 40)} and {short(right, 40)}"
        )

    return test


def _number_of(value: Any) -> float | None:
    """Return a number, or the one that a text says: "10" from a CSV is more than 9."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    try:
        return parse_number(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _in(left: Any, right: Any) -> bool:
    if isinstance(right, list | tuple):
        return any(_equal(left, item) for item in right)
    if isinstance(right, Mapping):
        return text_of(left) in right
    if isinstance(right, str):
        return text_of(left) in right
    raise ValueError(f"want a list or a text to look in, got {short(right)}")


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _in,
    "contains": lambda left, right: _in(right, left),
}
"""Where one side is text both are compared as text; ordered by number where both say one."""
