"""A section of named entries, such as ``journeys:``: by a name that is unique in all files.

Knows what a name may look like, and nothing of what an entry says.
"""

import re
from collections.abc import Iterator
from typing import Any

from probes.config.mistakes import Mistakes, Place
from probes.config.wording import got
from probes.units import short

# load.md 2.2: a name stands in other names, in paths and on command lines.
NAME = r"[a-z][a-z0-9-]{0,62}"
_NAME = re.compile(NAME, re.ASCII)


class Named:
    """Reads one section of all files, entry by entry.

    Args:
        mistakes: where they go.
        word: for one entry, such as ``journey``; with ``s`` for several.
        example: of a name.
        content: that an entry must have, for people, such as ``steps``.
        most: entries at most.
    """

    def __init__(
        self, mistakes: Mistakes, word: str, *, example: str, content: str, most: int
    ) -> None:
        self.places: dict[str, Place] = {}
        """Where each name stands first, of those with mistakes too."""
        self._mistakes = mistakes
        self._word = word
        self._example = example
        self._content = content
        self._most = most

    def entries(self, raw: Any, place: Place) -> Iterator[tuple[str, dict[str, Any], Place]]:
        """Return what one file holds at *place*: the entries that can be looked into."""
        if not isinstance(raw, dict):
            text = f"want a mapping of names to {self._word}s, got {got(raw)}"
            self._mistakes.add(place, text)
            return
        for name, values in raw.items():
            if not self._may_stand(name, place / name):
                continue
            if isinstance(values, dict):
                yield name, values, place / name
            else:
                text = f"want a mapping with {self._content}, got {got(values)}"
                self._mistakes.add(place / name, text)

    def _may_stand(self, name: str, place: Place) -> bool:
        """Judge a name; one of a wrong form is told, and what it names is judged all the same."""
        mistakes = self._mistakes
        if not _NAME.fullmatch(name):
            text = f"want a name of a-z, 0-9 and '-' such as {self._example!r}, got {short(name)}"
            mistakes.add(place, text, at_key=True)
        if name in self.places:
            text = f"want a unique name of a {self._word}, got {short(name)} again"
            mistakes.add(place, f"{text} (first at {self.places[name]})", at_key=True)
            return False
        self.places[name] = place
        if len(self.places) == self._most + 1:
            text = f"want at most {self._most} {self._word}s, got more"
            mistakes.add(place, text, at_key=True)
        return len(self.places) <= self._most
