"""Earlier runs that passed, and how this one does beside them.

    <data>/baselines/<scenario>/<ended>-<hash>-<ref>-<run_id>.json      one a passing run

    Past       what is kept of a run: its book, the rates of its windows, hash and ref
    Shelf      the files of one scenario

Only runs with the same hash are compared. A file that is missing, corrupt, of another hash or of a
run that did not pass is as if it were not there, and that is said. How two runs
compare is `scenarios.judging.regression`'s.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from probes.units import short
from scenarios.book import Book
from scenarios.histogram import MAX_COUNT
from scenarios.judging.figures import Windows
from scenarios.outlets.structure import from_json
from scenarios.report import LoadReport, Verdict

SCHEMA = 1
PRIVATE = 0o600
PRIVATE_DIRECTORY = 0o700
# Runs that are kept of the same plan on the same branch, at least: a median wants a few.
KEEP = 10
# Of all plans and branches together: a file is about 100 KB.
KEEP_IN_ALL = 100
# A book of 2,000 series with 1,400 buckets each is 40 MB.
MAX_FILE_BYTES = 128 * 1024 * 1024
_HASH_CHARACTERS = 12
_NAME = re.compile(
    r"([0-9]{14})-([0-9a-f]{12})-([0-9a-f]{8})-([A-Za-z0-9._-]{1,64})\.json", re.ASCII
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of a run.

    Args:
        run_id: unique.
        ended_at: aware, UTC.
        config_hash: of its plan, see load.md 10.2.
        git_ref: where its probe file stood; empty: nobody knows.
        book: what was counted and measured.
        rates: see `Windows.rates`.
    """

    run_id: str
    ended_at: datetime
    config_hash: str
    git_ref: str = ""
    book: Book = field(default_factory=Book)
    rates: tuple[Mapping[str, float], ...] = ()

    @classmethod
    def of(cls, report: LoadReport, windows: Windows) -> Self:
        """Return what is to be kept of a run."""
        return cls(
            run_id=report.run_id,
            ended_at=report.ended_at,
            config_hash=report.config_hash,
            git_ref=report.git_ref,
            book=_measured(report.book),
            rates=windows.rates(report.seconds),
        )

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(
            {
                "baseline": SCHEMA,
                "run_id": self.run_id,
                "ended_at": self.ended_at.astimezone(UTC).isoformat(),
                "config_hash": self.config_hash,
                "git_ref": self.git_ref,
                "rates": [dict(it) for it in self.rates],
                "book": self.book.as_dict(),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` has written, or what a ``result.json`` says of a run that passed.

        Raises:
            ValueError: it is neither.
        """
        try:
            values = json.loads(text)
            if "verdict" in values:
                return cls._of_result(from_json(text))
            if values["baseline"] != SCHEMA:
                raise ValueError(f"want a baseline of schema {SCHEMA}, got another")
            ended_at = datetime.fromisoformat(values["ended_at"])
            if ended_at.tzinfo is None:
                raise ValueError("want a time with its zone, got one without")
            return cls(
                _text(values["run_id"]),
                ended_at,
                _text(values["config_hash"]),
                _text(values["git_ref"]),
                Book.from_dict(values["book"]),
                tuple(_rates(it) for it in values["rates"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"want a baseline, got {short(repr(error))}") from None

    @classmethod
    def _of_result(cls, report: LoadReport) -> Self:
        if report.verdict is not Verdict.PASS:
            raise ValueError(f"want the result of a run that passed, got {report.verdict.value}")
        plan = report.plan
        windows = Windows(plan.stages if plan else ())
        # a report does not say of which journey the completed iterations of a second were
        journey = plan.mix[0].name if plan and len(plan.mix) == 1 else ""
        for second in report.timeline:
            windows.add_completed(second.at, journey, second.completed)
        return cls.of(report, windows)


@dataclass(frozen=True, slots=True)
class Found:
    """Earlier runs to compare with.

    Args:
        pasts: the newest first; more than one: their median counts.
        missing: why there is none.
        notes: what was passed over.
    """

    pasts: tuple[Past, ...] = ()
    missing: str = ""
    notes: tuple[str, ...] = ()


class Shelf:
    """The passing runs of one scenario. Blocks (files): call it in a thread.

    Args:
        data: the data directory.
        scenario: name.
    """

    def __init__(self, data: Path, scenario: str) -> None:
        # a name that had to be changed must not meet another one
        mark = hashlib.sha256(scenario.encode()).hexdigest()[:8]
        safe = _UNSAFE.sub("_", scenario)[:64]
        name = safe if safe == scenario and safe.strip(".") else f"{safe}-{mark}"
        self.directory = data / "baselines" / name
        self._keep = KEEP

    def save(self, report: LoadReport, windows: Windows) -> Path | None:
        """Keep a run that passed; others are not kept.

        Returns:
            The file; None: it did not pass.

        Raises:
            OSError: it could not be written; nothing is left behind.
        """
        if report.verdict is not Verdict.PASS or not report.config_hash:
            return None
        past = Past.of(report, windows)
        self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        path = self.directory / _name_of(past)
        _write(path, past.to_json())
        self._prune()
        return path

    def find(self, compare_to: str, hash_: str, beside: Path) -> Found:
        """Return the runs that ``compare_to`` names.

        Args:
            compare_to: ``last_pass``, ``median_of_passes(5)``, ``file:PATH`` or ``ref:NAME``.
            hash_: of this run.
            beside: what a relative PATH is relative to.
        """
        if compare_to.startswith("file:"):
            return _from_file(beside / compare_to.removeprefix("file:"), hash_)
        ref = compare_to.removeprefix("ref:") if compare_to.startswith("ref:") else None
        wanted = 1
        if found := re.fullmatch(r"median_of_passes\(([0-9]{1,3})\)", compare_to, re.ASCII):
            wanted = int(found[1])
            # what is asked for is kept
            self._keep = max(KEEP, wanted)
        return self._newest(wanted, hash_, ref)

    def _newest(self, wanted: int, hash_: str, ref: str | None) -> Found:
        pasts: list[Past] = []
        notes: list[str] = []
        files = self._files()
        same = [it for it in files if it[1] == hash_[:_HASH_CHARACTERS]]
        for path, _, of_ref in same:
            if len(pasts) == wanted:
                break
            if ref is None or of_ref == _digest(ref):
                past = _read(path, hash_)
                if isinstance(past, str):
                    notes.append(past)
                else:
                    pasts.append(past)
        if pasts:
            return Found(tuple(pasts), notes=tuple(notes))
        what = "no run passed yet" if ref is None else f"no run passed yet on {short(ref)}"
        if others := len(files) - len(same):
            what += f" with this plan, {others} with another"
        return Found(missing="; ".join((what, *notes)))

    def _files(self) -> list[tuple[Path, str, str]]:
        """Return path, hash and ref of what is kept, the newest first."""
        try:
            names = sorted((it.name for it in self.directory.iterdir()), reverse=True)
        except OSError:
            return []  # there is none yet
        found = [(name, _NAME.fullmatch(name)) for name in names]
        return [(self.directory / name, it[2], it[3]) for name, it in found if it]

    def _prune(self) -> None:
        counts: dict[tuple[str, str], int] = {}
        for at, (path, hash_, ref) in enumerate(self._files()):
            number = counts[hash_, ref] = counts.get((hash_, ref), 0) + 1
            if number > self._keep or at >= max(self._keep, KEEP_IN_ALL):
                with suppress(OSError):
                    path.unlink()


def _from_file(path: Path, hash_: str) -> Found:
    past = _read(path, hash_)
    return Found(missing=past) if isinstance(past, str) else Found((past,))


def _read(path: Path, hash_: str) -> Past | str:
    """Return what a file holds, or why it is as if it were not there."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return f"{path.name} is too large for a baseline"
        past = Past.from_json(data.decode())
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    except ValueError as error:
        return f"{path.name} is no baseline: {error}"
    if past.config_hash != hash_:
        return f"{path.name} is of a run with another plan"
    return past


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, PRIVATE), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _name_of(past: Past) -> str:
    ended = f"{past.ended_at.astimezone(UTC):%Y%m%d%H%M%S}"
    run_id = _UNSAFE.sub("_", past.run_id)[:64] or "_"
    return f"{ended}-{past.config_hash[:_HASH_CHARACTERS]}-{_digest(past.git_ref)}-{run_id}.json"


def _digest(ref: str) -> str:
    return hashlib.sha256(ref.encode()).hexdigest()[:8]


def _measured(book: Book) -> Book:
    kept = Book(book.limits)
    kept.durations = {key: it for key, it in book.durations.items() if key.measured}
    kept.numbers = {key: it for key, it in book.numbers.items() if key.measured}
    return kept


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"want a text, got {short(value)}")


def _rates(values: Mapping[str, Any]) -> Mapping[str, float]:
    for value in values.values():
        if type(value) not in (int, float) or not 0 <= value <= MAX_COUNT:
            raise ValueError(f"want a rate >= 0, got {short(value)}")
    return dict(values)
