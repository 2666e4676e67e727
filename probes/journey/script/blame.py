"""Whose fault an exception of the user's code is, with the line of his file. Pure.

CheckFailed       what a step or an expectation says: mostly the target's
AssertionError    `assert` is an expectation, too: down, ``value``
any other         a mistake in the code: ``config``, so unknown
"""

import traceback
from collections.abc import Iterator
from pathlib import Path

from probes.errors import CheckFailed
from probes.journey.playing.evidence import clean
from probes.result import Failure, Reason

MAX_MESSAGE_CHARACTERS = 500
MAX_TRACE_CHARACTERS = 2000


def one_line(text: str) -> str:
    """Return a text of the user's code as a message may show it."""
    line = " ".join(clean(text).split())
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else f"{line[:MAX_MESSAGE_CHARACTERS]}…"


def blame(error: BaseException, path: str) -> Failure:
    """Return what *error* says of the run.

    Args:
        error: that left the code.
        path: of the code.
    """
    if isinstance(error, CheckFailed):
        return Failure(error.reason, error.message, error.phase)
    where = f"{Path(path).name}:{_line(error, path)}"
    text = one_line(str(error))
    if isinstance(error, AssertionError):
        return Failure(
            Reason.VALUE, f"{where}: want what is asserted, got {text or 'something else'}"
        )
    name = type(error).__name__
    return Failure(
        Reason.CONFIG, f"{where}: want no exception, got {name}{': ' * bool(text)}{text}"
    )


def trace(error: BaseException, path: str) -> str:
    """Return the lines of the user's own code that led to *error*, the last one last."""
    rows = [f"{Path(path).name}:{frame.lineno} in {frame.name}" for frame in _frames(error, path)]
    return clean("\n".join(rows))[-MAX_TRACE_CHARACTERS:]


def _line(error: BaseException, path: str) -> int:
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 0
    lines = [frame.lineno for frame in _frames(error, path) if frame.lineno is not None]
    return lines[-1] if lines else 0


def _frames(error: BaseException, path: str) -> Iterator[traceback.FrameSummary]:
    # without the source: the file may have changed since it was read
    for frame in traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), lookup_lines=False
    ):
        if frame.filename == path:
            yield frame
