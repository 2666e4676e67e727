"""Which names a step reads: they tell whose fault it is when they give nothing of use. Pure."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from probes.journey.steps import Step, Turn


def reads_of(step: Step) -> Iterator[str]:
    """Give the names in every text of *step*, of the steps inside it too."""
    yield from _names(step)


def names_in(turn: Turn) -> Iterator[str]:
    """Give the names in every text of one turn of a talk."""
    yield from _names(turn)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, tuple):
        for one in value:
            yield from _names(one)
    elif isinstance(names := getattr(value, "reads", None), frozenset):
        yield from names
    elif is_dataclass(value):
        for field in fields(value):
            yield from _names(getattr(value, field.name))
