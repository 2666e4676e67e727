"""``data``: rows out of a CSV or JSON-lines file, dealt by the number of the iteration."""

from collections.abc import Mapping
from typing import Literal


class Feeder:
    """The rows of one file.

    ``columns`` are known at load, so that ``${row.nmae}`` is refused there. ``digest`` is the
    sha256 of the file.
    """

    __slots__ = ("columns", "digest", "length", "path", "pick", "seed")

    columns: frozenset[str]
    digest: str
    length: int
    path: str
    pick: Literal["sequential", "random", "unique"]
    seed: int | None

    def row(self, iteration: int, seed: int) -> Mapping[str, str] | None:
        """Return the row of an iteration; None: every row was used once (``unique``).

        Args:
            iteration: number of the play, from 0.
            seed: of the run, where the file gives none.
        """
        raise NotImplementedError
