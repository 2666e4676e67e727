"""``${...}`` inside a journey: variables and calls, compiled once. There is no other code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any


class Unset(LookupError):
    """A variable without a value at run time: only a skipped step could have set it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class Scope:
    """Where the expressions of one play find their values. One play owns it; it changes.

    Args:
        values: by name: ``vars``, ``--var``, and what was extracted, the latter wins.
        row: of the data; None: there is none.
        vars: ``vars.name``: the journey's own and ``--var``.
        secrets: ``secrets.name``.
        run_id: of the play.
        iteration: ``seq()``: number of the play over all that share the journey.
        random: for ``random``, ``randint`` and ``uuid``.
        now: for ``now()`` and ``totp()``: the wall clock, aware.
        environ: for ``env(name)``.
    """

    run_id: str
    iteration: int
    random: Random
    now: Callable[[], datetime]
    environ: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    row: Mapping[str, str] | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


class Template:
    """One text of a journey.

    ``reads`` holds the names it needs: ``token``, ``row.user``, ``vars.currency``,
    ``secrets.password``; functions are none.
    """

    __slots__ = ("is_constant", "reads", "source")

    source: str
    reads: frozenset[str]
    is_constant: bool

    def value(self, scope: Scope) -> Any:
        """Return the value itself where the text is exactly one expression, else a text.

        Raises:
            Unset: a variable has no value.
            ValueError: a function refuses its argument.
        """
        raise NotImplementedError

    def text(self, scope: Scope) -> str:
        """Return it as text: ``true``, ``null``, ``1.5``; lists and mappings as JSON.

        Raises:
            Unset, ValueError: as `value`.
        """
        raise NotImplementedError


class Tree:
    """Any value of a journey with texts in it, such as a JSON body; constant parts are shared."""

    __slots__ = ("is_constant", "reads", "source")

    source: Any
    reads: frozenset[str]
    is_constant: bool

    def value(self, scope: Scope) -> Any:
        """Return the value with every expression replaced.

        Raises:
            Unset, ValueError: as `Template.value`.
        """
        raise NotImplementedError


class Condition:
    """``if``: one comparison, or the truth of a bare expression."""

    __slots__ = ("reads", "source")

    source: str
    reads: frozenset[str]

    def holds(self, scope: Scope) -> bool:
        """Return whether it holds; a variable without a value is false in a bare expression.

        Raises:
            Unset, ValueError: as `Template.value`.
        """
        raise NotImplementedError


def template(source: str) -> Template:
    """Compile one text.

    Raises:
        ValueError: a syntax error, an unknown function or a wrong number of arguments.
    """
    raise NotImplementedError


def tree(source: Any) -> Tree:
    """Compile a value; keys of mappings are texts too.

    Raises:
        ValueError: as `template`.
    """
    raise NotImplementedError


def condition(source: str) -> Condition:
    """Compile a condition.

    Raises:
        ValueError: as `template`, or not one comparison.
    """
    raise NotImplementedError
