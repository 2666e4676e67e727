"""Puts the reports of a run into files, whole or not at all, and keeps the last N runs.

    DIR/<scenario>/<started>-<run_id>/   result.json  junit.xml  report.md  report.html
                                         locust.html, of each shard, where it is asked for

Knows where files go and when they count as written; what stands in them is `scenarios.outlets`'.
Blocks (files): call it in a thread.
"""

# ruff: noqa: PLC0415 - a service that knows of loads and has run none need not load what draws them

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from scenarios.report import EXIT_CODES, LoadReport, Verdict, Why

Form = Callable[[LoadReport], str]

# load.md 10.4: what a report is called; `reports:` of a scenario names the keys.
FILES: Mapping[str, str] = {
    "json": "result.json",
    "junit": "junit.xml",
    "markdown": "report.md",
    "html": "report.html",
}
# Only what looks like ours is ever deleted.
_RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9-]{1,64}", re.ASCII)
CODE = "report"
NO_PAGES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which reports go where.

    Args:
        directory: gets one directory a scenario and in it one a run; None: none of them.
        forms: of `FILES`, those that are wanted there.
        keep: runs of a scenario; the oldest are deleted; 0: all.
        files: form -> a file of its own (``--junit FILE``).
    """

    directory: Path | None = None
    forms: tuple[str, ...] = tuple(FILES)
    keep: int = 0
    files: Mapping[str, Path] | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """What has become of it.

    Args:
        report: as it was written: one that could not be written turns exit 0 into 3.
        directory: of this run; None: there is none.
        broken: why a report was not written.
        odd: what else went wrong, and decides nothing.
    """

    report: LoadReport
    directory: Path | None
    broken: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


def outlets() -> Mapping[str, Form]:
    """Return what makes the text of each form."""
    from scenarios.outlets.junit import to_junit
    from scenarios.outlets.markdown import to_markdown
    from scenarios.outlets.page import to_html
    from scenarios.outlets.structure import to_json

    return {"json": to_json, "junit": to_junit, "markdown": to_markdown, "html": to_html}


def file_report(
    report: LoadReport,
    wish: Wish,
    forms: Mapping[str, Form] | None = None,
    pages: Mapping[str, str] = NO_PAGES,
) -> Filed:
    """Write what is wanted. A report that cannot be written is told, and the others are written.

    Args:
        report: what came of the run.
        wish: which reports go where.
        forms: what makes the text of each form; None: those of `outlets`.
        pages: name -> text of what somebody else has written about the run.
    """
    makers = outlets() if forms is None else forms
    directory = wish.directory and wish.directory / report.scenario / directory_name(report)
    broken = _write_all(report, wish, directory, makers)
    if directory is not None and not broken:
        broken = tuple(_write_pages(directory, pages))
    if broken:
        report = _told(report, broken)
        # what could be written says now that something could not
        _write_all(report, wish, directory, makers)
    if directory is None or not _holds_reports(directory):
        return Filed(report, None, broken)
    odd = tuple(_prune(directory, wish.keep)) if wish.keep else ()
    return Filed(report, directory, broken, odd)


def unfiled(report: LoadReport, text: str) -> Filed:
    """Return what is left of a report when no file could be written."""
    return Filed(_told(report, (text,)), None, (text,))


def directory_name(report: LoadReport) -> str:
    """Return the name of the directory of a run; names sort like their runs."""
    return f"{report.started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{report.run_id}"


def write_whole(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it: a reader sees all of it or nothing.

    Behind a link it is the file that is replaced; a pipe or a device (``/dev/stdout``) is written.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    if path.exists() and not path.is_file():
        # a rename would put a file in the place of /dev/null, for everybody
        with path.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _write_all(
    report: LoadReport, wish: Wish, directory: Path | None, makers: Mapping[str, Form]
) -> tuple[str, ...]:
    places: list[tuple[str, Path]] = list((wish.files or {}).items())
    if directory is not None:
        places += [(form, directory / FILES[form]) for form in wish.forms]
    broken: dict[tuple[Path, str], list[Path]] = {}
    for form, path in places:
        where = path
        try:
            if not path.parent.is_dir():
                where = path.parent
                where.mkdir(parents=True, exist_ok=True)
            where = path
            write_whole(path, makers[form](report))
        except OSError as error:
            those = broken.setdefault((where.parent, str(error.strerror)), [])
            those += [where] if where not in those else []
    return tuple(
        f"want to write {', '.join((str(first), *(it.name for it in others)))}, got {got}"
        for (_, got), (first, *others) in broken.items()
    )


def _holds_reports(directory: Path) -> bool:
    """Tell whether something was written there; an empty directory goes."""
    try:
        directory.rmdir()
    except OSError:
        return directory.is_dir()  # it is not empty
    return False


def _write_pages(directory: Path, pages: Mapping[str, str]) -> Iterator[str]:
    """Write them beside the reports; yield what could not be written."""
    for name, text in pages.items():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_whole(directory / name, text)
        except OSError as error:
            yield f"want to write {directory / name}, got {error.strerror}"


def _told(report: LoadReport, broken: tuple[str, ...]) -> LoadReport:
    whys = tuple(Why(Verdict.INCONCLUSIVE, CODE, text) for text in broken)
    if report.exit_code:
        return replace(report, reasons=(*report.reasons, *whys))
    code = EXIT_CODES[Verdict.INCONCLUSIVE]
    return replace(
        report, verdict=Verdict.INCONCLUSIVE, exit_code=code, reasons=(*whys, *report.reasons)
    )


def _prune(own: Path, keep: int) -> Iterator[str]:
    """Delete the oldest runs beside *own*, which stays; yield what could not be deleted."""
    try:
        runs = sorted(it for it in own.parent.iterdir() if _RUN.fullmatch(it.name) and it != own)
    except OSError as error:
        yield f"want to list {own.parent}, got {error.strerror}"
        return
    # a clock that was set back makes this run the oldest by name
    for run in runs[: max(0, len(runs) + 1 - keep)]:
        try:
            shutil.rmtree(run)
        except OSError as error:
            yield f"want to delete {run}, got {error.strerror}"
