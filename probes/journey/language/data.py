"""``data``: rows out of a CSV or JSON file, dealt by the number of the iteration.

    users.csv       a header line, then one row a line; every value is text
    users.jsonl     one JSON object a line (.ndjson too)
    users.json      a list of JSON objects

All rows have the same columns, so a misspelt one is told at load. Knows no journey.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from probes.journey.language.grammar import MEMBER
from probes.journey.language.view import read_json
from probes.regular import NotRegular, TooLarge, read_regular
from probes.settings import Settings
from probes.units import short

# Held in memory for as long as the service runs.
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_ROWS = 1_000_000
MAX_COLUMNS = 1000
# One value of a CSV; the library's own bound is 128 KiB.
MAX_CELL_CHARACTERS = 1024 * 1024

Pick = Literal["sequential", "random", "unique"]


class DataKeys(Settings):
    """Rows of a file, one for each run: ``${row.column}``."""

    file: str = Field(min_length=1)
    """CSV with a header line, JSON lines or a JSON list; inside the directory of this file."""

    pick: Pick = "sequential"
    """``sequential``: row n for run n, then again from the first; ``random``: any, by the seed;
    ``unique``: each row once."""

    seed: int | None = None
    """For ``random``: the same seed deals the same rows; by default drawn for each start."""


class Feeder:
    """The rows of one file.

    ``columns`` are known at load, so that ``${row.missing}`` is refused there. ``digest`` is the
    sha256 of the file.
    """

    __slots__ = ("_names", "_rows", "columns", "digest", "length", "path", "pick", "seed")

    def __init__(self, table: "Table", *, path: str, digest: str, keys: DataKeys) -> None:
        self._names = table.names
        self._rows = table.rows
        self.columns = frozenset(table.names)
        self.digest = digest
        self.length = len(table.rows)
        self.path = path
        self.pick: Pick = keys.pick
        self.seed = keys.seed

    def row(self, iteration: int, seed: int) -> Mapping[str, Any] | None:
        """Return the row of an iteration; None: every row was used once (``unique``).

        Args:
            iteration: number of the play, from 0.
            seed: of the run, where the file gives none.
        """
        if self.pick == "unique":
            if iteration >= self.length:
                return None
            at = iteration
        elif self.pick == "random":
            at = _drawn(seed if self.seed is None else self.seed, iteration) % self.length
        else:
            at = iteration % self.length
        return dict(zip(self._names, self._rows[at], strict=True))

    def __repr__(self) -> str:
        return f"Feeder({self.path!r}, {self.pick!r}, {self.length} rows)"


def _drawn(seed: int, iteration: int) -> int:
    """Return a number that depends on both alone: each shard deals the rows of its own part."""
    digest = hashlib.blake2b(b"%d:%d" % (seed, iteration), digest_size=8).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows, each row with a value for each column."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def read_data(keys: DataKeys, directory: Path) -> Feeder:
    """Read the rows of a file inside *directory*.

    Raises:
        ValueError: what is wrong with it, with the line.
    """
    read = _READERS.get(Path(keys.file).suffix.lower())
    if read is None:
        raise ValueError(f"want a file {', '.join(_READERS)}, got {short(keys.file)}")
    content = _content(keys.file, directory)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{keys.file}:{line}: want UTF-8, got other bytes") from None
    table = read(keys.file, text)
    if not table.rows:
        raise ValueError(f"{keys.file}: want at least one row, got none")
    digest = hashlib.sha256(content).hexdigest()
    return Feeder(table, path=keys.file, digest=digest, keys=keys)


def _content(file: str, directory: Path) -> bytes:
    home = directory.resolve()
    if "\0" in file:
        raise ValueError(f"want a file name without a zero byte, got {short(file)}")
    try:
        path = (home / file).resolve()
        if not path.is_relative_to(home):
            raise ValueError(f"want a file inside {short(str(home))}, got {short(file)}")
        return read_regular(path, MAX_FILE_BYTES)
    except NotRegular:
        raise ValueError(f"want a regular file, got {short(file)}") from None
    except TooLarge:
        raise ValueError(f"{file}: want at most {MAX_FILE_BYTES} bytes, got more") from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a loop of links"
        raise ValueError(f"want a readable file, got {short(file)}: {reason}") from None


def _read_csv(file: str, text: str) -> Table:
    before = csv.field_size_limit(MAX_CELL_CHARACTERS)
    try:
        return _table(file, text)
    finally:
        # it is the whole process's
        csv.field_size_limit(before)


def _table(file: str, text: str) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    try:
        for cells in reader:
            where = f"{file}:{reader.line_num}"
            if not cells:
                continue
            if not names:
                names = _checked(where, [cell.strip() for cell in cells])
                continue
            if len(cells) != len(names):
                raise ValueError(f"{where}: want {len(names)} values, got {len(cells)}")
            _add(where, rows, tuple(cells))
    except csv.Error as error:
        raise ValueError(f"{file}:{reader.line_num}: want CSV, got {error}") from None
    if not names:
        raise ValueError(f"{file}: want a header line, got an empty file")
    return Table(names, rows)


def _read_lines(file: str, text: str) -> Table:
    def documents() -> Iterator[tuple[str, Any]]:
        # not splitlines(): U+2028 may stand in a JSON text
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"{file}:{number}", _json(f"{file}:{number}", line)

    return _objects(documents())


def _read_json(file: str, text: str) -> Table:
    document = _json(file, text)
    if not isinstance(document, list):
        raise ValueError(f"{file}: want a list of objects, got {_KINDS[type(document)]}")
    return _objects((f"{file}: row {number}", row) for number, row in enumerate(document, 1))


def _json(where: str, text: str) -> Any:
    try:
        return read_json(text.encode())
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _objects(documents: Iterator[tuple[str, Any]]) -> Table:
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    for where, row in documents:
        if not isinstance(row, dict):
            raise ValueError(f"{where}: want an object, got {_KINDS[type(row)]}")
        names = names or _checked(where, list(row))
        if row.keys() != set(names):
            odd = sorted(row.keys() ^ set(names))
            raise ValueError(f"{where}: want the keys of the first row, got a difference in {odd}")
        _add(where, rows, tuple(row[name] for name in names))
    return Table(names, rows)


def _checked(where: str, names: list[str]) -> tuple[str, ...]:
    if not names:
        raise ValueError(f"{where}: want a name for each column, got none")
    if len(names) > MAX_COLUMNS:
        raise ValueError(f"{where}: want at most {MAX_COLUMNS} columns, got {len(names)}")
    for at, name in enumerate(names):
        if not MEMBER.fullmatch(name):
            raise ValueError(f"{where}: want a column name such as user_id, got {short(name)}")
        if name in names[:at]:
            raise ValueError(f"{where}: want column names that differ, got {short(name)} twice")
    return tuple(names)


def _add(where: str, rows: list[tuple[Any, ...]], row: tuple[Any, ...]) -> None:
    if len(rows) >= MAX_ROWS:
        raise ValueError(f"{where}: want at most {MAX_ROWS} rows, got more")
    rows.append(row)


_KINDS = {
    dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null",
    int: "a number", float: "a number",
}  # fmt: skip
_READERS = {".csv": _read_csv, ".jsonl": _read_lines, ".ndjson": _read_lines, ".json": _read_json}
