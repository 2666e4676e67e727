"""Expressions as closures over a `Scope`: what is decided once is decided at load.

Knows no text and no step: `probes.journey.language.grammar` reads, its neighbour `expression`
composes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeGuard

from probes.journey.language.functions import (
    MIN_HIDDEN_CHARACTERS,
    bounded,
    bounded_whole,
    chance,
    text_of,
)
from probes.journey.language.grammar import SPACES, Call, Items, Join, Literal, Node, Read
from probes.matcher import MISSING
from probes.units import short

# Characters. Below this no bound is near, and a comparison is cheaper than a call.
MIN_CHECKED = 64 * 1024


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
        random: for ``random``, ``randint`` and ``uuid``: see `chance` of the functions.
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


def constant(value: Any) -> Getter:
    """Return what is *value* in every play."""
    return lambda _: value


def as_text(get: Getter) -> Callable[[Scope], str]:
    """Return what gives the text of what *get* gives."""

    def text(scope: Scope) -> str:
        value = get(scope)
        return value if value.__class__ is str else text_of(value)

    return text


def reads_of(node: Node) -> Iterator[str]:
    """Name the variables that *node* needs; ``run_id`` is always there."""
    if isinstance(node, Read):
        if node.name != "run_id":
            yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from reads_of(argument)
    elif isinstance(node, Items | Join):
        for part in node.items if isinstance(node, Items) else node.parts:
            yield from reads_of(part)


def closure(node: Node) -> Getter:
    """Compile one expression.

    Raises:
        ValueError: a call whose fixed arguments can never be right.
    """
    if isinstance(node, Literal):
        return constant(node.value)
    if isinstance(node, Read):
        return _along(_lookup(node.name), node) if node.path else _lookup(node.name)
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Items):
        items = tuple(map(closure, node.items))
        return lambda scope: bounded_whole([item(scope) for item in items])
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
            inner = _member(value, step)
            if inner is MISSING:
                raise ValueError(f"want {step!r} in ${{{node.name}}}, got {_kind(value)}")
            value = inner
        return value

    return value


def _member(value: Any, step: Any) -> Any:
    if isinstance(step, str):
        return value.get(step, MISSING) if isinstance(value, Mapping) else MISSING
    is_there = isinstance(value, list) and -len(value) <= step < len(value)
    return value[step] if is_there else MISSING


def _kind(value: Any) -> str:
    """Name what a value is, without it: it may be a secret."""
    if isinstance(value, Mapping):
        return f"a mapping with {short(list(value))}"
    return f"a list of {len(value)}" if isinstance(value, list) else "a single value"


def _joined(node: Join) -> Getter:
    parts: tuple[Any, ...] = tuple(
        part.value if _is_text(part) else closure(part) for part in node.parts
    )

    def value(scope: Scope) -> str:
        # one loop: two comprehensions take half as long again (2026-11)
        made: list[str] = []
        for part in parts:
            one = part if part.__class__ is str else part(scope)
            made.append(one if one.__class__ is str else text_of(one))
        text = "".join(made)
        return text if len(text) < MIN_CHECKED else bounded(text)

    return value


def _is_text(node: Node) -> TypeGuard[Literal]:
    return isinstance(node, Literal) and isinstance(node.value, str)


def _call(node: Call) -> Getter:
    name, call = node.function.name, node.function.call
    arguments = tuple(map(closure, node.arguments))

    def value(scope: Scope) -> Any:
        try:
            return call(scope, *[argument(scope) for argument in arguments])
        except ValueError as error:
            raise _of_function(name, error) from None

    if all(isinstance(argument, Literal) for argument in node.arguments):
        tried = _tried(node, value)
        if node.function.is_pure:
            return constant(tried)
    if any(read.startswith("secrets.") for read in reads_of(node)):
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
