"""The exceptions a caller reacts to: a verdict about a target, and mistakes in a config.

Knows the closed list of reasons and nothing else. Standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from probes.result import Reason


class CheckFailed(Exception):
    """A verdict, raised inside a kind; `probes.run` turns it into a Result.

    A reason of the prober's own (`Reason.is_own_fault`) makes the run unknown, any other makes it
    down. ``phase`` overrides the phase the recorder stood in.
    """

    def __init__(self, reason: Reason, message: str, *, phase: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.phase = phase


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a config. Lines and columns count from 1; 0 means the file as a whole."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"

    def with_column(self) -> str:
        """Return the form of ``sonde lint``: ``file:line:column: path: message``."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(Exception):
    """Every mistake of a config at once, in file order. Raised at load only."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
