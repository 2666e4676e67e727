"""The list of mistakes of one load: every one with its file, line and column, none twice.

A value may come from several places at once (probe, module, defaults); the place that holds most
of the path to a mistake is the one that is told. Knows no rule of the config.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from probes.config.document import Document
from probes.config.wording import findings
from probes.errors import ConfigError, Problem
from probes.redact import NOTHING_KNOWN, Redactor

Path = tuple[str | int, ...]
# A file with more is broken in one place, not in many.
MAX_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file."""

    document: Document
    path: Path = ()

    def __truediv__(self, step: str | int) -> "Place":
        return Place(self.document, (*self.path, step))

    def problem(self, message: str, *, at_key: bool = False) -> Problem:
        """Return *message* with this place."""
        spot = self.document.locate(self.path, key=at_key)
        path = ".".join(map(str, self.path))
        return Problem(self.document.name, spot.line, spot.column, path, message)

    def __str__(self) -> str:
        return f"{self.document.name}:{self.document.locate(self.path).line}"


@dataclass(frozen=True, slots=True)
class Layered:
    """Values merged out of several places, the most particular first."""

    values: Mapping[str, Any]
    places: tuple[Place, ...]

    def place_of(self, path: Path) -> Place:
        """Return the place that holds most of *path*."""
        best = max(self.places, key=lambda place: _held(place, path))
        return Place(best.document, best.path + path)

    def is_own(self, path: Path) -> bool:
        """Return whether the most particular place holds all of *path*."""
        return _held(self.places[0], path) == len(path)


def _held(place: Place, path: Path) -> int:
    """Return how many steps of *path* are written at *place*."""
    return place.document.locate(place.path + path).depth - len(place.path)


class Mistakes:
    """Collects what is wrong; `raise_if_any` ends a load."""

    def __init__(self) -> None:
        self.redact: Redactor = NOTHING_KNOWN
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}
        self._faults: dict[Problem, None] = {}
        self._files: dict[str, int] = {}
        # what a document has told about a value need not be told again by whoever reads the value
        self._told: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is odd but works, in file order."""
        return self._sorted(self._warnings)

    @property
    def faults(self) -> tuple[Problem, ...]:
        """What loads and fails in every run, in file order."""
        return self._sorted(self._faults)

    def read(self, document: Document) -> None:
        """Take over the problems of a document; documents are told in the order of these calls."""
        self._files.setdefault(document.name, len(self._files))
        for problem in document.problems:
            self._problems[problem] = None
            self._told.add((problem.file, problem.path))

    def add(self, place: Place, message: str, *, at_key: bool = False) -> None:
        """Note a mistake."""
        problem = place.problem(self.redact(message), at_key=at_key)
        if (problem.file, problem.path) not in self._told:
            self._problems[problem] = None

    def warn(self, place: Place, message: str, *, at_key: bool = False) -> None:
        """Note what is odd but works."""
        self._warnings[place.problem(self.redact(message), at_key=at_key)] = None

    def fault(self, place: Place, message: str, *, at_key: bool = False) -> None:
        """Note what loads because another program loads it, and fails in every run."""
        self._faults[place.problem(self.redact(message), at_key=at_key)] = None

    def refuse(
        self,
        error: ValidationError,
        data: Layered,
        model: type[BaseModel],
        *,
        known: Iterable[str] = (),
        ignore_missing: bool = False,
    ) -> bool:
        """Note every mistake that *error* tells; return whether there was one that counts.

        Args:
            error: of validating ``data.values`` by *model*.
            data: what was validated, and where it stands.
            model: to suggest its keys for a misspelt one.
            known: more keys to suggest.
            ignore_missing: a key that is not there may still come from elsewhere.
        """
        missing = {d["loc"][:-1] for d in error.errors() if d["type"] == "missing" and d["loc"]}
        counted = False
        for finding in findings(error, data.values, model, known):
            if ignore_missing and finding.path in missing and finding.message.startswith(_MISSING):
                continue
            counted = True
            self.add(data.place_of(finding.path), finding.message, at_key=finding.at_key)
        return counted

    def raise_if_any(self) -> None:
        """End the load.

        Raises:
            ConfigError: with every mistake, in file order.
        """
        if self._problems:
            raise ConfigError(self._sorted(self._problems)[:MAX_PROBLEMS])

    def _sorted(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        def order(problem: Problem) -> tuple[int, int, int]:
            last = len(self._files)
            return (self._files.get(problem.file, last), problem.line, problem.column)

        return tuple(sorted(problems, key=order))


_MISSING = "want the key "
