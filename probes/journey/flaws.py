"""What is wrong with a journey as it is written: each flaw with its path, all of them at once.

Knows no file: whoever reads one turns a path into line and column.
"""

from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One mistake.

    Args:
        path: keys and indices below the journey, such as ``("steps", 2, "extract", "token")``.
        message: ``want X, got Y``, without a secret.
        at_key: it is the key that is wrong, not its value.
        is_alone: it is one only where the journey is played by itself; one that includes its steps
            may bring what is missing.
    """

    path: Path
    message: str
    at_key: bool = False
    is_alone: bool = False


class Flawed(ValueError):
    """A journey that cannot be played.

    Args:
        flaws: every mistake, in the order of the text.
    """

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, f.path))}: {f.message}" for f in flaws))
        self.flaws = flaws
