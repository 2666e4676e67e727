"""One grammar for what a value must be: ``healthy``, ``{gt: 3}``, ``{any_of: [...]}``. Pure.

A bare value means ``eq``; several operators in one mapping must all hold. Comparison is typed:
``"1"`` is not 1, ``true`` is not 1. Knows neither where the value came from nor what a miss means
for a run.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from probes.pattern import Pattern, pattern, searchable, suggest
from probes.sourced import Sourced
from probes.units import short

# A matcher is written by hand; deeper nesting is an accident or an attack on the recursion.
MAX_MATCHER_DEPTH = 16


class _Missing:
    """The value that is not there; differs from null."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


class Nodes(list[Any]):
    """The values that a path with several nodes selected; empty means that nothing is there."""


_Test = Callable[[Any], bool]
# A pair, made once: ``int | float`` would be made anew for each value that is judged.
_NUMBERS = (int, float)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")


class Matcher(Sourced):
    """What a value must be.

    Raises:
        ValueError: an unknown operator, or an argument that does not fit it.
    """

    __slots__ = ("_tests",)

    def __init__(self, source: Any) -> None:
        if _deeper_than(source, MAX_MATCHER_DEPTH):
            raise ValueError(f"want matchers of at most {MAX_MATCHER_DEPTH} levels, got more")
        super().__init__(source)
        operators = source if isinstance(source, Mapping) else {"eq": source}
        if not operators:
            raise ValueError("want a value or an operator such as {gt: 3}, got an empty mapping")
        self._tests: list[tuple[str, _Test]] = []
        for name, argument in operators.items():
            make = OPERATORS.get(name)
            if make is None:
                known = suggest(str(name), OPERATORS) or f" ({', '.join(OPERATORS)})"
                raise ValueError(f"want an operator, got {short(name)}{known}")
            self._tests.append(make(argument))

    def miss(self, value: Any) -> str | None:
        """Return ``want X, got Y`` when *value* is not as wanted, else None.

        `MISSING` is the absent value.
        """
        for wanted, holds in self._tests:
            if not holds(value):
                return f"want {wanted}, got {short(value)}"
        return None

    def __str__(self) -> str:
        return " and ".join(wanted for wanted, _ in self._tests)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        operators: dict[str, Any] = {name: {} for name in OPERATORS}
        return {
            "anyOf": [
                {"type": ["string", "number", "boolean", "null", "array"]},
                {
                    "type": "object", "properties": operators,
                    "additionalProperties": False, "minProperties": 1,
                },
            ]
        }  # fmt: skip


def _deeper_than(source: Any, levels: int) -> bool:
    layer = [source]
    for _ in range(levels):
        inner: list[Any] = []
        for value in layer:
            if isinstance(value, Mapping):
                inner.extend(value.values())
            elif isinstance(value, list | tuple):
                inner.extend(value)
        if not inner:
            return False
        layer = inner
    return True


def same(left: Any, right: Any) -> bool:
    """Compare as JSON does: numbers by value, but never a bool with a number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return (type(left) is type(right) and bool(left == right)) or (
        _is_number(left) and _is_number(right) and left == right
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _eq(argument: Any) -> tuple[str, _Test]:
    return short(argument), lambda value: same(value, argument)


def _ne(argument: Any) -> tuple[str, _Test]:
    return f"anything but {short(argument)}", lambda value: not same(value, argument)


def _ordered(sign: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any], tuple[str, _Test]]:
    def make(argument: Any) -> tuple[str, _Test]:
        if not _is_number(argument) and not isinstance(argument, str):
            raise ValueError(f"want a number or a text to compare with, got {short(argument)}")
        number = _is_number(argument)

        def test(value: Any) -> bool:
            comparable = _is_number(value) if number else isinstance(value, str)
            return comparable and holds(value, argument)

        return f"{sign} {short(argument)}", test

    return make


def _list(argument: Any) -> list[Any]:
    if not isinstance(argument, list | tuple) or not argument:
        raise ValueError(f"want a list that is not empty, got {short(argument)}")
    return list(argument)


def _in(argument: Any) -> tuple[str, _Test]:
    items = _list(argument)
    return f"one of {short(items)}", lambda value: any(same(value, item) for item in items)


def _not_in(argument: Any) -> tuple[str, _Test]:
    items = _list(argument)
    return f"none of {short(items)}", lambda value: not any(same(value, item) for item in items)


def _holds(value: Any, item: Any) -> bool:
    if isinstance(value, str):
        return isinstance(item, str) and item in value
    if isinstance(value, list):
        return any(same(part, item) for part in value)
    return isinstance(value, Mapping) and isinstance(item, str) and item in value


def _contains(argument: Any) -> tuple[str, _Test]:
    return f"something with {short(argument)}", lambda value: _holds(value, argument)


def _not_contains(argument: Any) -> tuple[str, _Test]:
    def test(value: Any) -> bool:
        return isinstance(value, str | list | Mapping) and not _holds(value, argument)

    return f"something without {short(argument)}", test


def _text(argument: Any) -> str:
    if not isinstance(argument, str):
        raise ValueError(f"want a text, got {short(argument)}")  # noqa: TRY004 - for pydantic
    return argument


def _matches(argument: Any) -> tuple[str, _Test]:
    compiled: Pattern = pattern(_text(argument))

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        return compiled.search(searchable(value.encode("utf-8", "replace"))) is not None

    return f"a text like {short(argument)}", test


def _starts_with(argument: Any) -> tuple[str, _Test]:
    text = _text(argument)
    return (
        f"a text that starts with {text!r}",
        lambda value: isinstance(value, str) and value.startswith(text),
    )


def _ends_with(argument: Any) -> tuple[str, _Test]:
    text = _text(argument)
    return (
        f"a text that ends with {text!r}",
        lambda value: isinstance(value, str) and value.endswith(text),
    )


def _exists(argument: Any) -> tuple[str, _Test]:
    if not isinstance(argument, bool):
        raise ValueError(f"want true or false, got {short(argument)}")  # noqa: TRY004 - for pydantic

    def there(value: Any) -> bool:
        return bool(value) if isinstance(value, Nodes) else value is not MISSING

    return ("something", there) if argument else ("nothing", lambda value: not there(value))


TYPES: dict[str, _Test] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
}


def _type(argument: Any) -> tuple[str, _Test]:
    test = TYPES.get(argument) if isinstance(argument, str) else None
    if test is None:
        raise ValueError(
            f"want a type ({', '.join(TYPES)}), got {short(argument)}"
            f"{suggest(str(argument), TYPES)}"
        )
    return f"a value of type {argument}", test


def _size(argument: Any) -> tuple[str, _Test]:
    inner = Matcher(argument)

    def test(value: Any) -> bool:
        return isinstance(value, str | list | Mapping) and inner.miss(len(value)) is None

    return f"a size of {inner}", test


def _is_date(value: str) -> bool:
    datetime.fromisoformat(value)
    return True


def _is_url(value: str) -> bool:
    parts = urlsplit(value)
    return bool(parts.scheme and parts.hostname)


FORMATS: dict[str, Callable[[str], bool]] = {
    "iso_date": _is_date,
    "uuid": lambda value: bool(UUID(value)) or True,
    "url": _is_url,
    "email": lambda value: _EMAIL.fullmatch(value) is not None,
    "ip": lambda value: bool(ipaddress.ip_address(value)) or True,
}


def _is(argument: Any) -> tuple[str, _Test]:
    valid = FORMATS.get(argument) if isinstance(argument, str) else None
    if valid is None:
        raise ValueError(
            f"want a format ({', '.join(FORMATS)}), got {short(argument)}"
            f"{suggest(str(argument), FORMATS)}"
        )

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and valid(value)
        except ValueError:
            return False

    return f"a text that is {'an' if argument[0] in 'aei' else 'a'} {argument}", test


def _any_of(argument: Any) -> tuple[str, _Test]:
    inner = [Matcher(item) for item in _list(argument)]
    return f"any of ({' or '.join(map(str, inner))})", lambda value: any(
        m.miss(value) is None for m in inner
    )


def _all(argument: Any) -> tuple[str, _Test]:
    inner = [Matcher(item) for item in _list(argument)]
    return f"({' and '.join(map(str, inner))})", lambda value: all(
        m.miss(value) is None for m in inner
    )


OPERATORS: dict[str, Callable[[Any], tuple[str, _Test]]] = {
    "eq": _eq,
    "ne": _ne,
    "gt": _ordered(">", lambda value, limit: value > limit),
    "gte": _ordered(">=", lambda value, limit: value >= limit),
    "lt": _ordered("<", lambda value, limit: value < limit),
    "lte": _ordered("<=", lambda value, limit: value <= limit),
    "in": _in,
    "not_in": _not_in,
    "contains": _contains,
    "not_contains": _not_contains,
    "matches": _matches,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "exists": _exists,
    "type": _type,
    "size": _size,
    "is": _is,
    "any_of": _any_of,
    "all": _all,
}
"""Name -> what it means and the test; the closed list of load and probes."""
