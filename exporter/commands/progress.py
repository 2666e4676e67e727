"""A load run on a stream while it lasts. What is shown is `scenarios.outlets.live`'s.

Whoever looks on decides nothing: a pipe that nobody reads, one whose reader has left and a terminal
that was stopped (Ctrl-S) hold up a thread of this module, never the run.
"""

import os
import queue
import threading
from typing import TextIO

from exporter.log import wants_colour
from scenarios.outlets.live import Display, Live

DEFAULT_COLUMNS = 80
# What waits for a reader; who reads again after that has missed some seconds.
MOST_WAITING = 8
# For the last line to get out, before the summary begins.
END_S = 1.0


class Progress:
    """Shows a run.

    Args:
        stream: where it goes.
        is_quiet: nobody looks.
    """

    def __init__(self, stream: TextIO, *, is_quiet: bool = False) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._display = Display(is_terminal=self._is_terminal, colour=wants_colour(stream))
        self._waiting: queue.Queue[Live | None] = queue.Queue(MOST_WAITING)
        self._writer = threading.Thread(target=self._write_all, name="progress", daemon=True)

    def show(self, live: Live) -> None:
        """Show how the run stands; called every second, never waits."""
        if self._is_quiet:
            return
        if self._writer.ident is None:
            self._writer.start()
        try:
            self._waiting.put_nowait(live)
        except queue.Full:
            return  # nobody has read for seconds

    def end(self) -> None:
        """Take away what is not to stay."""
        if self._writer.is_alive():
            try:
                self._waiting.put(None, timeout=END_S)
            except queue.Full:
                return
            self._writer.join(END_S)

    def _write_all(self) -> None:
        try:
            while (live := self._waiting.get()) is not None:
                if self._is_terminal:
                    self._display.columns = _columns(self._stream)
                self._write(self._display.show(live))
            self._write(self._display.clear())
        except (OSError, ValueError):
            # the reader has left, or the stream is closed: who prints the summary will say so
            self._is_quiet = True

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS
    except OSError:
        return DEFAULT_COLUMNS
