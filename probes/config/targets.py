"""``target`` and ``targets``: what is checked, and the names of the probes that come of a list.

Knows no kind; the form of a target is judged by a function that is handed in.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.config.judge import has_control
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.wording import got
from probes.redact import Redactor, read_secret, secrets_in_target
from probes.units import short

# A list this long comes from a program, and the run budget allows no more anyway.
MAX_TARGETS = 100_000
# Enough to tell the targets of one list apart; two that collide get the longer form, so that a
# name depends on nothing but the set of targets.
SHORT_DIGITS, LONG_DIGITS = 8, 16

Check = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """One target; a secret one came from ``{env:}`` or ``{file:}`` and is never shown whole."""

    text: str
    is_secret: bool
    place: Place


class Targets:
    """Reads targets.

    Args:
        mistakes: where they go.
        directory: what relative paths of secret files begin at.
        environ: for ``{env: NAME}``.
    """

    def __init__(self, mistakes: Mistakes, directory: Path, environ: Mapping[str, str]) -> None:
        self.secret_files: set[Path] = set()
        """Files that targets were read from."""
        self._mistakes = mistakes
        self._directory = directory
        self._environ = environ

    def read(self, own: Layered, check: Check) -> list[Target]:
        """Return the targets of one entry; *check* raises ValueError for one it refuses."""
        one, several, place = own.values.get("target"), own.values.get("targets"), own.places[0]
        if (one is None) == (several is None):
            shown = "neither" if one is None else "both"
            self._mistakes.add(place, f"want the key 'target' or 'targets', got {shown}")
            return []
        if isinstance(one, list):
            self._mistakes.add(place / "target", "want one target, got a list: that is 'targets'")
            return []
        if one is not None:
            return list(self._one(one, place / "target", check))
        place = place / "targets"
        if not isinstance(several, list) or not 0 < len(several) <= MAX_TARGETS:
            shown = f"{len(several)}" if isinstance(several, list) else got(several)
            self._mistakes.add(place, f"want a list of 1 to {MAX_TARGETS} targets, got {shown}")
            return []
        found: dict[str, Target] = {}
        for index, value in enumerate(several):
            for target in self._one(value, place / index, check):
                first = found.setdefault(target.text, target)
                if first is not target:
                    text = f"want each target once, got one again (first at {first.place})"
                    self._mistakes.add(target.place, text)
        return list(found.values())

    def _one(self, value: Any, place: Place, check: Check) -> Iterator[Target]:
        is_secret = isinstance(value, Mapping)
        hidden: set[str] = set()
        try:
            text = read_secret(value, self._directory, self._environ)
            hidden = {text} if is_secret else secrets_in_target(text)
            _check_text(text)
            check(text)
        except ValueError as error:
            redact = Redactor(hidden | self._mistakes.redact.secrets)
            self._mistakes.add(place, redact(str(error)))
            return
        if is_secret and "file" in value:
            self.secret_files.add(self._directory / value["file"])
        yield Target(text, is_secret, place)


def _check_text(text: str) -> None:
    if not text:
        raise ValueError("want a target, got an empty text")
    if has_control(text):
        raise ValueError(f"want a target without control characters, got {short(text)}")


def titles(name: str, targets: list[Target], *, expand: bool) -> Iterator[tuple[str, Target]]:
    """Yield each target with the name of its probe.

    Args:
        name: as written.
        targets: of the entry, each once.
        expand: whether they came as a list: then each name ends in digits of its target.
    """
    if not expand:
        yield from ((name, target) for target in targets)
        return
    digests = [hashlib.sha256(target.text.encode()).hexdigest() for target in targets]
    seen = Counter(digest[:SHORT_DIGITS] for digest in digests)
    for target, digest in zip(targets, digests, strict=True):
        digits = SHORT_DIGITS if seen[digest[:SHORT_DIGITS]] == 1 else LONG_DIGITS
        yield f"{name}/{digest[:digits]}", target
