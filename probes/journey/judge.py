"""What the answer to a step should be, and where it is not: ``expect``, ``warn`` and ``until``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from probes.journey.expression import Scope
from probes.journey.view import View
from probes.result import Failure


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an expectation says of an answer.

    Args:
        failure: the first miss; None when all hold. Its phase is None.
        counts: ``(expect, "passed" | "failed") -> number``.
    """

    failure: Failure | None = None
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Expect:
    """Status, headers, body, JSON and duration that are wanted, compiled once."""

    __slots__ = ("reads",)

    reads: frozenset[str]

    @classmethod
    def status_2xx(cls) -> Self:
        """Return what a step expects that says nothing."""
        raise NotImplementedError

    @classmethod
    def anything(cls) -> Self:
        """Return what is met by everything."""
        raise NotImplementedError

    def judge(self, view: View, scope: Scope, seconds: float) -> Judgement:
        """Judge an answer that took *seconds*.

        Raises:
            Unset, ValueError: of an expression in it.
        """
        raise NotImplementedError
