"""``${...}`` inside a journey: variables and calls, compiled once. There is no other code.

`probes.journey.grammar` reads the text; here it becomes closures over a `Scope`. Knows no step.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from probes.journey.comparison import OPERATORS, is_true, parse_condition
from probes.journey.functions import MIN_HIDDEN_CHARACTERS, bounded, chance, text_of
from probes.journey.grammar import SPACES, Call, Items, Join, Literal, Node, Read, parse
from probes.units import short

# Deeper than any body a person writes; as deep as a document may be.
MAX_TREE_DEPTH = 64


class Unset(LookupError):
    """A variable without a value at run time: only a skipped step could have set it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class Scope:
    """Where the expressions of one play find their values. One play owns it; it changes.

    Args:
        run_id: of the play.
        iteration: ``seq()``: number of the play over all that share the journey.
        random: for ``random``, ``randint`` and ``uuid``: see `probes.journey.functions.chance`.
        now: for ``now()`` and ``totp()``: the wall clock, aware.
        environ: for ``env(name)``.
        values: by name, the latter wins: ``vars``, ``--var``, columns of the row, what was
            extracted.
        row: of the data; None: there is none.
        vars: ``vars.name``: the journey's own and ``--var``.
        secrets: ``secrets.name``.
        hidden: texts that no outlet may show: what functions made of secrets. Grows.
    """

    run_id: str
    iteration: int
    random: Random
    now: Callable[[], datetime]
    environ: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    row: Mapping[str, Any] | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)


Getter = Callable[[Scope], Any]


class Template:
    """One text of a journey.

    ``reads`` holds the names it needs: ``token``, ``row.user``, ``vars.currency``,
    ``secrets.password``; functions and ``run_id`` are none.
    """

    __slots__ = ("_get", "_text", "is_constant", "reads", "source")

    def __init__(self, source: str) -> None:
        node = parse(source)
        self.source = source
        self.reads = frozenset(_reads(node))
        self._get = _compile(node)
        self.is_constant = isinstance(node, Literal)
        self._text = _as_text(self._get)

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

    __slots__ = ("_get", "is_constant", "reads", "source")

    def __init__(self, source: Any) -> None:
        reads: set[str] = set()
        get = _branch(source, reads, 0)
        self.source = source
        self.reads = frozenset(reads)
        self.is_constant = not callable(get)
        self._get: Getter = get if callable(get) else _constant(get)

    def value(self, scope: Scope) -> Any:
        """Return the value with every expression replaced; who gets it does not change it.

        Raises:
            Unset, ValueError: as `Template.value`.
        """
        return self._get(scope)

    def __repr__(self) -> str:
        return f"Tree({self.source!r})"


class Condition:
    """``if``: one comparison, or the truth of a bare expression."""

    __slots__ = ("_holds", "reads", "source")

    def __init__(self, source: str) -> None:
        parsed = parse_condition(source)
        self.source = source
        if isinstance(parsed, tuple):
            left, sign, right = parsed
            self.reads = frozenset([*_reads(left), *_reads(right)])
            self._holds = _comparison(_compile(left), OPERATORS[sign], _compile(right))
        else:
            self.reads = frozenset(_reads(parsed))
            self._holds = _truth(_compile(parsed))

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


def _constant(value: Any) -> Getter:
    return lambda _: value


def _as_text(get: Getter) -> Callable[[Scope], str]:
    def text(scope: Scope) -> str:
        value = get(scope)
        return value if value.__class__ is str else text_of(value)

    return text


def _reads(node: Node) -> Iterator[str]:
    if isinstance(node, Read):
        if node.name != "run_id":
            yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from _reads(argument)
    elif isinstance(node, Items | Join):
        for part in node.items if isinstance(node, Items) else node.parts:
            yield from _reads(part)


def _compile(node: Node) -> Getter:
    if isinstance(node, Literal):
        return _constant(node.value)
    if isinstance(node, Read):
        return _along(_lookup(node.name), node) if node.path else _lookup(node.name)
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Items):
        items = tuple(map(_compile, node.items))
        return lambda scope: [item(scope) for item in items]
    return _joined(node)


def _lookup(name: str) -> Getter:
    space, _, member = name.partition(".")
    if name == "run_id":
        return lambda scope: scope.run_id
    if space not in SPACES:

        def value(scope: Scope) -> Any:
            try:
                return scope.values[name]
            except KeyError:
                raise Unset(name) from None

        return value

    def inside(scope: Scope) -> Any:
        values: Mapping[str, Any] | None = getattr(scope, space)
        if values is None or member not in values:
            raise Unset(name)
        return values[member]

    return inside


def _along(get: Getter, node: Read) -> Getter:
    path: tuple[Any, ...] = node.path

    def value(scope: Scope) -> Any:
        value: Any = get(scope)
        for step in path:
            if isinstance(step, str):
                is_there = isinstance(value, Mapping) and step in value
            else:
                is_there = isinstance(value, list) and -len(value) <= step < len(value)
            if not is_there:
                raise ValueError(f"want {step!r} in ${{{node.name}}}, got {_kind(value)}")
            value = value[step]
        return value

    return value


def _kind(value: Any) -> str:
    """Name what a value is, without it: it may be a secret."""
    if isinstance(value, Mapping):
        return f"a mapping with {short(list(value))}"
    return f"a list of {len(value)}" if isinstance(value, list) else "a single value"


def _joined(node: Join) -> Getter:
    parts: tuple[Any, ...] = tuple(
        part.value if isinstance(part, Literal) else _as_text(_compile(part)) for part in node.parts
    )

    def value(scope: Scope) -> str:
        text = "".join([part if part.__class__ is str else part(scope) for part in parts])
        return text if len(text) < MIN_CHECKED else bounded(text)

    return value


# Below this no bound is near.
MIN_CHECKED = 64 * 1024


def _call(node: Call) -> Getter:
    name, call = node.function.name, node.function.call
    arguments = tuple(map(_compile, node.arguments))

    def value(scope: Scope) -> Any:
        try:
            return call(scope, *[argument(scope) for argument in arguments])
        except ValueError as error:
            raise _of_function(name, error) from None

    if all(isinstance(argument, Literal) for argument in node.arguments):
        tried = _tried(node, value)
        if node.function.is_pure:
            return _constant(tried)
    if any(read.startswith("secrets.") for read in _reads(node)):
        return _hiding(value)
    return value


class _CallFailed(ValueError):
    """A refusal that names its function already."""


def _of_function(name: str, error: ValueError) -> ValueError:
    return error if isinstance(error, _CallFailed) else _CallFailed(f"{name}(): {error}")


def _tried(node: Call, value: Getter) -> Any:
    """Call it now: what is wrong for ever is told when the file is loaded."""
    if not node.function.is_tried:
        return None
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        return value(Scope("", 0, chance(0, 0), lambda: epoch, {}))
    except ValueError as error:
        raise ValueError(f"{error}{node.where}") from None


def _hiding(get: Getter) -> Getter:
    """What is made of a secret is one: the Base64 of a password, a signature, a code."""

    def value(scope: Scope) -> Any:
        made = get(scope)
        if isinstance(made, str) and len(made) >= MIN_HIDDEN_CHARACTERS:
            scope.hidden.add(made)
        return made

    return value


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
    getters = [item if callable(item) else _constant(item) for item in items]
    return lambda scope: [get(scope) for get in getters]


def _leaf(source: str, reads: set[str]) -> Any:
    node = parse(source)
    if isinstance(node, Literal):
        return node.value
    reads.update(_reads(node))
    return _compile(node)


def _mapping(source: Mapping[Any, Any], reads: set[str], depth: int) -> Any:
    pairs = [
        (_leaf(key, reads) if isinstance(key, str) else key, _branch(value, reads, depth + 1))
        for key, value in source.items()
    ]
    if not any(callable(key) or callable(value) for key, value in pairs):
        return dict(pairs)
    getters = [
        (_as_text(key) if callable(key) else _constant(key),
         value if callable(value) else _constant(value))
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
