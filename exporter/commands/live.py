"""The gate on a stream: rows as they come, and on a terminal a line that says what still runs.

Knows how text reaches a stream, not what a verdict means.
"""

import asyncio
import os
from time import monotonic
from typing import TextIO

from exporter.log import wants_colour
from probes.gate import Gate
from probes.report import name_column, printable, text_head, text_row
from probes.result import Result

# Often enough to look alive, seldom enough to cost nothing.
REFRESH_S = 0.1
# Names shown on the line of what still runs; the longest first.
MAX_RUNNING = 3
_CLEAR = "\r\x1b[K"


class LiveTable:
    """Shows a gate while it runs.

    Args:
        stream: where rows go; a terminal gets colours and the line of what still runs.
        names: of all probes, for the width of the column.
    """

    def __init__(self, stream: TextIO, names: list[str]) -> None:
        self._stream = stream
        self._width = name_column(names)
        self._colour = wants_colour(stream)
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._handle: asyncio.TimerHandle | None = None
        self._gate: Gate | None = None

    def begin(self, gate: Gate) -> None:
        """Write the head of the table and, on a terminal, keep the last line up to date."""
        self._write(text_head(self._width) + "\n")
        self._gate = gate
        if self._terminal:
            self._refresh()

    def row(self, result: Result) -> None:
        """Write the row of a Result that has come."""
        clear = _CLEAR if self._terminal else ""
        self._write(f"{clear}{text_row(result, self._width, colour=self._colour)}\n")

    def end(self) -> None:
        """Stop, and take the last line away."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._terminal:
            self._write(_CLEAR)

    def _refresh(self) -> None:
        gate = self._gate
        if gate is not None:
            self._write(_CLEAR + self._line(gate))
        self._handle = asyncio.get_running_loop().call_later(REFRESH_S, self._refresh)

    def _line(self, gate: Gate) -> str:
        now = monotonic()
        oldest = sorted(gate.running.items(), key=lambda item: item[1])
        running = ", ".join(f"{printable(n)} {now - at:.0f}s" for n, at in oldest[:MAX_RUNNING])
        more = f" and {len(oldest) - MAX_RUNNING} more" if len(oldest) > MAX_RUNNING else ""
        left = gate.terms.deadline
        until = f", {max(0.0, left - now):.0f}s left" if left is not None else ""
        again = f", round {gate.round + 1}" if gate.round else ""
        line = f"{gate.ended}/{len(gate.probes)} done{until}{again}: {running}{more}"
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            columns = 80
        return line[: columns - 1]

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
