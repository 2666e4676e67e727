"""Events of Locust whose texts are clean and bounded before any listener sees them: load.md 7.3.

Knows Locust by its events alone, which are handed in.
"""

from collections.abc import Callable
from typing import Any

from scenarios.child.counting import clean


class Cleaning:
    """An event that stands in the place of Locust's own.

    Args:
        original: whose listeners are told, with what is clean.
        names: makes the name of a request one of so many.
        methods: makes its method one of so many.
        texts: makes the text of an exception one of so many: Locust keeps each.
    """

    def __init__(
        self,
        original: Any,
        names: Callable[[str], str] = clean,
        methods: Callable[[str], str] = clean,
        texts: Callable[[str], str] = clean,
    ) -> None:
        self._original = original
        self._names, self._methods, self._texts = names, methods, texts

    def __getattr__(self, name: str) -> Any:
        # what an event of Locust can do besides, with `fire` of this one
        return getattr(type(self._original), name).__get__(self)

    @property
    def listeners(self) -> list[Any]:
        """Whoever is told, in this order."""
        found: list[Any] = self._original._handlers  # noqa: SLF001 - Locust has no other way
        return found

    @listeners.setter
    def listeners(self, them: list[Any]) -> None:
        self.listeners[:] = them

    def add_listener(self, listener: Any) -> Any:
        """Tell *listener* too."""
        return self._original.add_listener(listener)

    def remove_listener(self, listener: Any) -> None:
        """Tell *listener* no more."""
        self._original.remove_listener(listener)

    def fire(self, *, reverse: bool = False, **values: Any) -> None:
        """Tell all listeners."""
        if "name" in values:
            values["name"] = self._names(str(values["name"]))
        if "request_type" in values:
            values["request_type"] = self._methods(str(values["request_type"]))
        error = values.get("exception")
        if error is not None:
            text = str(error)
            cleaned = self._texts(text)
            if cleaned != text:
                values["exception"] = Cleaned(cleaned)
                values["exception"].original = error
                # who looks for what it was finds it
                values["exception"].__cause__ = error if isinstance(error, BaseException) else None
        self._original.fire(reverse=reverse, **values)


class Cleaned(Exception):
    """An exception whose text could not be shown as it was."""

    original: Any = None
    """What was raised."""
