"""A value that is made of what a file says, and is told as that: equal by source, read by pydantic.

Knows nothing of what is made of the source.
"""

from collections.abc import Hashable, Mapping
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Sourced:
    """What a subclass makes of its source in its constructor, which refuses by ValueError."""

    __slots__ = ("source",)

    def __init__(self, source: Any) -> None:
        self.source = source
        """As the file says it."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _form(other.source) == _form(self.source)

    def __hash__(self) -> int:
        return hash(_form(self.source))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    @classmethod
    def read(cls, value: Any) -> Self:
        """Return it made of *value*, which may be one already."""
        return value if isinstance(value, cls) else cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.read,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda it: it.source),
        )


def _form(source: Any) -> Hashable:
    """Return *source* such that it compares as JSON does: 1 is 1.0, but true is not 1."""
    if isinstance(source, Mapping):
        return frozenset((key, _form(value)) for key, value in source.items())
    if isinstance(source, list | tuple):
        return tuple(map(_form, source))
    return (bool, source) if isinstance(source, bool) else source
