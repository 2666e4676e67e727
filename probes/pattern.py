"""Patterns of users, in RE2, and the nearest known word. Knows no expectation."""

import difflib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import re2
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from probes.units import short

# A pattern of a megabyte is an accident (T10); RE2 itself refuses programs beyond its 8 MiB.
MAX_PATTERN_CHARACTERS = 16 * 1024
# Below this likeness a suggestion puzzles more than it helps.
SUGGESTION_CUTOFF = 0.6
# Names of a list that is shown to somebody who has typed none of them: a line of a terminal.
OFFERED = 6

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # RE2 would write to stderr


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'status'?`` for a misspelt word, or the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=SUGGESTION_CUTOFF)
    return f"; did you mean {close[0]!r}?" if close else ""


def offer(word: str, known: Iterable[str]) -> str:
    """Return which of *known* was meant by *word*, or else what there is to choose from."""
    names = list(dict.fromkeys(known))
    if hint := suggest(word, names):
        return hint
    more = f" and {len(names) - OFFERED} more" if len(names) > OFFERED else ""
    return f" (known: {', '.join(names[:OFFERED])}{more})" if names else " (none is known)"


class Pattern:
    """A regular expression of a user: RE2, so the time is linear in the text.

    Raises:
        ValueError: not RE2; look-around and back-references are not.
    """

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN_CHARACTERS:
            raise ValueError(
                f"want a pattern of at most {MAX_PATTERN_CHARACTERS} characters, got {len(text)}"
            )
        if r"\C" in text.replace(r"\\", ""):
            raise ValueError(rf"want an RE2 pattern without \C, got {short(text)}")
        try:
            self._compiled = re2.compile(text, options=_OPTIONS)
        except (re2.error, UnicodeEncodeError) as error:
            detail = error.args[0] if isinstance(error, re2.error) else "not Unicode text"
            reason = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
            raise ValueError(f"want an RE2 pattern, got {short(text)}: {reason}") from None
        self.text = text

    @property
    def groups(self) -> int:
        """How many groups it has."""
        return int(self._compiled.groups)

    @property
    def group_names(self) -> tuple[str, ...]:
        """The names of those that have one."""
        return tuple(self._compiled.groupindex)

    def search(self, data: bytes) -> Any:
        """Return the first match in *data* (groups are bytes), or None.

        `searchable` prepares foreign bytes.
        """
        return self._compiled.search(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _to_pattern, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "description": "RE2 pattern"}


def _to_pattern(value: object) -> Pattern:
    if isinstance(value, Pattern):
        return value
    if not isinstance(value, str):
        raise ValueError(f"want an RE2 pattern, got {short(value)}")  # noqa: TRY004 - pydantic reads ValueError
    return pattern(value)


@lru_cache(maxsize=4096)
def pattern(text: str) -> Pattern:
    """Return the compiled pattern; equal texts share one."""
    return Pattern(text)


def searchable(body: bytes) -> bytes:
    """Return *body* in valid UTF-8.

    RE2's ``.`` does not match other bytes, where Go's engine sees U+FFFD.
    """
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode()
    return body
