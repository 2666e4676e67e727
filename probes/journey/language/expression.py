"""``${...}`` inside a journey: variables and calls, compiled once. There is no other code.

`probes.journey.language.grammar` reads the text; here it becomes closures over a `Scope`. Knows no
step.
"""

from collections.abc import Callable, Mapping
from typing import Any

from probes.journey.language.closures import (
    Getter,
    Scope,
    Unset,
    as_text,
    closure,
    constant,
    reads_of,
)
from probes.journey.language.comparison import OPERATORS, is_true, parse_condition
from probes.journey.language.functions import bounded_whole
from probes.journey.language.grammar import Literal, parse

__all__ = [
    "Condition", "Scope", "Template", "Tree", "Unset", "condition", "literal", "template", "tree",
]  # fmt: skip

# Deeper than any body a person writes; as deep as a document may be.
MAX_TREE_DEPTH = 64


class Template:
    """One text of a journey.

    ``reads`` holds the names it needs: ``token``, ``row.user``, ``vars.currency``,
    ``secrets.password``; functions and ``run_id`` are none.
    """

    __slots__ = ("_get", "_text", "is_constant", "reads", "source")

    def __init__(self, source: str) -> None:
        node = parse(source)
        self.source = source
        self.reads = frozenset(reads_of(node))
        self._get = closure(node)
        self.is_constant = isinstance(node, Literal)
        self._text = as_text(self._get)

    def value(self, scope: Scope) -> Any:
        """Return the value itself where the text is exactly one expression, else a text.

        Raises:
            Unset: a variable has no value.
            ValueError: a function refuses its argument.
        """
        return self._get(scope)

    def text(self, scope: Scope) -> str:
        """Return it as text: ``true``, ``null``, ``1.5``; lists and mappings as JSON.

        Raises:
            Unset, ValueError: as `value`.
        """
        return self._text(scope)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"


class Tree:
    """Any value of a journey with texts in it, such as a JSON body; constant parts are shared."""

    __slots__ = ("_get", "_is_made", "is_constant", "reads", "source")

    def __init__(self, source: Any) -> None:
        reads: set[str] = set()
        get = _branch(source, reads, 0)
        self.source = source
        self.reads = frozenset(reads)
        self.is_constant = not callable(get)
        self._get: Getter = get if callable(get) else constant(get)
        self._is_made = callable(get) and not isinstance(source, str)

    def value(self, scope: Scope) -> Any:
        """Return the value with every expression replaced; who gets it does not change it.

        Raises:
            Unset: as `Template.value`.
            ValueError: as `Template.value`, or too large altogether.
        """
        value = self._get(scope)
        return bounded_whole(value) if self._is_made else value

    def __repr__(self) -> str:
        return f"Tree({self.source!r})"


class Condition:
    """``if``: one comparison, or the truth of a bare expression."""

    __slots__ = ("_holds", "is_bare", "reads", "source")

    def __init__(self, source: str) -> None:
        parsed = parse_condition(source)
        self.is_bare = not isinstance(parsed, tuple)
        self.source = source
        if isinstance(parsed, tuple):
            left, sign, right = parsed
            self.reads = frozenset([*reads_of(left), *reads_of(right)])
            self._holds = _comparison(closure(left), OPERATORS[sign], closure(right))
        else:
            self.reads = frozenset(reads_of(parsed))
            self._holds = _truth(closure(parsed))

    def holds(self, scope: Scope) -> bool:
        """Return whether it holds; a variable without a value is false in a bare expression.

        Raises:
            Unset, ValueError: as `Template.value`.
        """
        return self._holds(scope)

    def __repr__(self) -> str:
        return f"Condition({self.source!r})"


def template(source: str) -> Template:
    """Compile one text.

    Raises:
        ValueError: a syntax error, an unknown function or a wrong number of arguments.
    """
    return Template(source)


def tree(source: Any) -> Tree:
    """Compile a value; keys of mappings are texts too.

    Raises:
        ValueError: as `template`.
    """
    return Tree(source)


def condition(source: str) -> Condition:
    """Compile a condition.

    Raises:
        ValueError: as `template`, or not one comparison.
    """
    return Condition(source)


def literal(text: str) -> str:
    """Return the source of a template that says *text*, whatever stands in it and behind it."""
    escaped = text.replace("${", "$${")
    return escaped[:-1] + "${'$'}" if escaped.endswith("$") else escaped


def _branch(source: Any, reads: set[str], depth: int) -> Any:
    """Return a constant, or a function of the scope."""
    if depth > MAX_TREE_DEPTH:
        raise ValueError(f"want a value of at most {MAX_TREE_DEPTH} levels, got more")
    if isinstance(source, str):
        return _leaf(source, reads)
    if isinstance(source, Mapping):
        return _mapping(source, reads, depth)
    if not isinstance(source, list | tuple):
        return source
    items = [_branch(item, reads, depth + 1) for item in source]
    if not any(map(callable, items)):
        return items
    getters = [item if callable(item) else constant(item) for item in items]
    return lambda scope: [get(scope) for get in getters]


def _leaf(source: str, reads: set[str]) -> Any:
    node = parse(source)
    if isinstance(node, Literal):
        return node.value
    reads.update(reads_of(node))
    return closure(node)


def _mapping(source: Mapping[Any, Any], reads: set[str], depth: int) -> Any:
    pairs = [
        (_leaf(key, reads) if isinstance(key, str) else key, _branch(value, reads, depth + 1))
        for key, value in source.items()
    ]
    if not any(callable(key) or callable(value) for key, value in pairs):
        return dict(pairs)
    getters = [
        (as_text(key) if callable(key) else constant(key),
         value if callable(value) else constant(value))
        for key, value in pairs
    ]  # fmt: skip

    def value(scope: Scope) -> dict[Any, Any]:
        made = {key(scope): value(scope) for key, value in getters}
        if len(made) < len(getters):
            raise ValueError("want keys that differ, got one twice")
        return made

    return value


def _comparison(
    left: Getter, holds: Callable[[Any, Any], bool], right: Getter
) -> Callable[[Scope], bool]:
    return lambda scope: holds(left(scope), right(scope))


def _truth(get: Getter) -> Callable[[Scope], bool]:
    def holds(scope: Scope) -> bool:
        try:
            return is_true(get(scope))
        except Unset:
            return False

    return holds
