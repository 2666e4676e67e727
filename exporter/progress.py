"""A load run on a stream while it lasts. What is shown is `scenarios.outlets.live`'s."""

import os
from typing import TextIO

from exporter.log import wants_colour
from scenarios.outlets.live import Display, Live

DEFAULT_COLUMNS = 80


class Progress:
    """Shows a run.

    Args:
        stream: where it goes.
        is_quiet: nobody looks.
    """

    def __init__(self, stream: TextIO, *, is_quiet: bool = False) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        columns = _columns(stream) if is_terminal else DEFAULT_COLUMNS
        self._display = Display(
            is_terminal=is_terminal, columns=columns, colour=wants_colour(stream)
        )

    def show(self, live: Live) -> None:
        """Show how the run stands; called every second."""
        if not self._is_quiet:
            self._write(self._display.show(live))

    def end(self) -> None:
        """Take away what is not to stay."""
        if not self._is_quiet:
            self._write(self._display.clear())

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS
    except OSError:
        return DEFAULT_COLUMNS
