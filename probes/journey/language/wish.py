"""Matchers of a journey: those of every check, with ``${}`` in them, over times and over HTML.

    Wish           {eq: "${user}"}      a matcher; one with expressions is made for each answer
    CssWish        {size: {gte: 3}}     over the texts of the elements that a selector found
    DurationWish   {lt: 800ms}          over seconds

A value that an answer brought is only ever compared: it never becomes an operator or a pattern.
Knows no answer.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from probes.expect import Matcher, suggest
from probes.journey.language.expression import Scope, Tree, tree
from probes.matcher import MAX_MATCHER_DEPTH, MISSING, OPERATORS
from probes.sourced import Sourced
from probes.units import (
    DURATION_PATTERN,
    format_duration,
    parse_duration,
    short,
)
from probes.wire.http_check.answer import miss_in_header

# Constant texts read nothing of it.
_NOTHING = Scope("", 0, SystemRandom(), lambda: datetime.now(UTC), {})
# They ask how many elements there are; every other operator asks what they say.
_ABOUT_NUMBER = frozenset({"size", "exists"})
# True of a page only when true of each element: one good element does not excuse a bad one.
_OF_EACH = frozenset({"ne", "not_in", "not_contains"})
_SIGNS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "lt": ("<", lambda seconds, limit: seconds < limit),
    "lte": ("<=", lambda seconds, limit: seconds <= limit),
    "gt": (">", lambda seconds, limit: seconds > limit),
    "gte": (">=", lambda seconds, limit: seconds >= limit),
}


class Wish(Sourced):
    """What a value must be.

    Raises:
        ValueError: as `probes.expect.Matcher`; an expression that is none, or where a pattern or an
            operator is wanted.
    """

    __slots__ = ("_matcher", "_tree", "reads")

    reads: frozenset[str]

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self._tree: Tree = tree(_spelled_out(source, MAX_MATCHER_DEPTH))
        self.reads = self._tree.reads
        self._matcher = Matcher(self._tree.value(_NOTHING)) if self._tree.is_constant else None

    def matcher(self, scope: Scope) -> Matcher:
        """Return the matcher with every expression filled in.

        Raises:
            Unset, ValueError: of an expression, or what it gives is no argument of its operator.
        """
        return self._matcher or Matcher(self._tree.value(scope))

    def bound(self, scope: Scope) -> "Wish":
        """Return it without expressions.

        Raises:
            Unset, ValueError: as `matcher`.
        """
        if self._matcher is not None:
            return self
        made = Wish(None)
        made.source, made._matcher = self.source, self.matcher(scope)
        return made

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return Matcher.__get_pydantic_json_schema__(schema, handler)


def _spelled_out(source: Any, levels: int) -> dict[str, Any]:
    """Return *source* with ``eq`` before every bare value, so that no answer can be an operator."""
    if not levels:
        raise ValueError(f"want matchers of at most {MAX_MATCHER_DEPTH} levels, got more")
    if not isinstance(source, Mapping):
        return {"eq": source}
    if not source:
        raise ValueError("want a value or an operator such as {gt: 3}, got an empty mapping")
    for name, argument in source.items():
        _judge_operator(name, argument)
    return {name: _argument(name, argument, levels - 1) for name, argument in source.items()}


def _judge_operator(name: object, argument: Any) -> None:
    if name not in OPERATORS:
        known = suggest(str(name), OPERATORS) or f" ({', '.join(OPERATORS)})"
        raise ValueError(f"want an operator, got {short(name)}{known}")
    if name == "matches" and isinstance(argument, str) and not tree(argument).is_constant:
        # a program of RE2 for each answer, written by whoever answers
        raise ValueError(
            f"want a pattern without ${{}}, got {short(argument)}; "
            "contains, starts_with and eq take one"
        )


def _argument(name: str, argument: Any, levels: int) -> Any:
    if name == "size":
        return _spelled_out(argument, levels)
    if name in ("any_of", "all") and isinstance(argument, list | tuple):
        return [_spelled_out(item, levels) for item in argument]
    return argument


class CssWish(Wish):
    """What the texts of the elements must be that a selector found."""

    __slots__ = ("_parts",)

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        operators = source if isinstance(source, Mapping) else {"eq": source}
        self._parts = [(name, Wish({name: argument})) for name, argument in operators.items()]

    def bound(self, scope: Scope) -> "CssWish":
        made = CssWish(None)
        made.source, made._matcher = self.source, self.matcher(scope)
        made._parts = [(name, wish.bound(scope)) for name, wish in self._parts]
        return made

    def miss(self, texts: list[str], scope: Scope) -> str | None:
        """Return ``want X, got Y`` when *texts* are not as wanted, else None.

        Raises:
            Unset, ValueError: as `matcher`.
        """
        for name, wish in self._parts:
            miss = _miss_in_texts(name, wish.matcher(scope), texts)
            if miss is not None:
                return miss
        return None


def _miss_in_texts(name: str, matcher: Matcher, texts: list[str]) -> str | None:
    if name in _ABOUT_NUMBER:
        return matcher.miss(texts if texts or name == "size" else MISSING)
    if name not in _OF_EACH:
        return miss_in_header(matcher, texts)
    values: list[Any] = [*texts] or [MISSING]
    misses = [matcher.miss(value) for value in values]
    return next((miss for miss in misses if miss is not None), None)


class DurationWish(Sourced):
    """How long something may take; a bare duration is the most it may.

    Raises:
        ValueError: another operator, or no duration.
    """

    __slots__ = ("_limits",)

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        limits = source if isinstance(source, Mapping) else {"lte": source}
        unknown = [name for name in limits if name not in _SIGNS]
        if unknown or not limits:
            got = short(unknown[0]) if unknown else "none"
            hint = suggest(str(unknown[0]), _SIGNS) if unknown else ""
            raise ValueError(f"want a duration or {', '.join(_SIGNS)} of one, got {got}{hint}")
        self._limits = [(name, parse_duration(text)) for name, text in limits.items()]

    def miss(self, seconds: float) -> str | None:
        """Return ``want duration < 800ms, got 1.2s`` when *seconds* are not as wanted."""
        for name, limit in self._limits:
            sign, holds = _SIGNS[name]
            if not holds(seconds, limit):
                got = format_duration(round(seconds, 4))
                return f"want duration {sign} {format_duration(limit)}, got {got}"
        return None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        one: JsonSchemaValue = {"type": "string", "pattern": DURATION_PATTERN}
        some = {"type": "object", "properties": dict.fromkeys(_SIGNS, one)}
        return {"anyOf": [one, {**some, "additionalProperties": False, "minProperties": 1}]}
