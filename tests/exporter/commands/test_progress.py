"""Progress of a load on a terminal and on a pipe."""

import io
import os
import pty
import threading
from contextlib import suppress
from time import monotonic

import pytest

from exporter.commands.progress import Progress
from scenarios.outlets.live import Display, Live

LIVE = Live("shop", "load", at_s=1.0, of_s=10.0, users=3)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no descriptor")


def test_a_pipe_gets_a_line_and_nothing_to_take_away() -> None:
    stream = io.StringIO()
    progress = Progress(stream)

    progress.show(LIVE)
    progress.show(Live("shop", "load", at_s=2.0, of_s=10.0, users=3))
    progress.end()

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("load shop: load 1 s/10 s")
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_block_that_goes_away() -> None:
    stream = Terminal()
    progress = Progress(stream)

    progress.show(LIVE)
    progress.end()

    rows = stream.getvalue().count("\n")
    assert rows > 1
    assert stream.getvalue().endswith(f"\x1b[{rows}F\x1b[J")


@pytest.mark.parametrize("is_terminal", [True, False], ids=["a stopped terminal", "a full pipe"])
def test_a_run_never_waits_for_its_reader(is_terminal: bool) -> None:
    reader, writer = pty.openpty() if is_terminal else os.pipe()
    read: list[bytes] = []
    reading = threading.Thread(target=drain, args=(reader, read))
    with os.fdopen(writer, "w") as stream:
        fill(writer)
        progress = Progress(stream)

        began = monotonic()
        for at in range(40):
            progress.show(Live("shop", f"phase {at}", at_s=at))
        assert monotonic() - began < 0.25

        reading.start()
        progress.end()
    reading.join()
    assert b"load shop" in b"".join(read)


def fill(writer: int) -> None:
    """Write until nothing more goes in."""
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)


def drain(reader: int, read: list[bytes]) -> None:
    """Read to the end."""
    with suppress(OSError):  # a terminal ends with EIO
        while found := os.read(reader, 4096):
            read.append(found)
    os.close(reader)


def test_a_reader_that_leaves_breaks_no_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    progress = Progress(stream)

    progress.show(LIVE)
    progress.end()
    progress.show(Live("shop", "judging"))
    progress.end()

    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_terminal_that_becomes_narrower_loses_no_line_above_the_block() -> None:
    display = Display(is_terminal=True, columns=200)
    rows = display.show(LIVE).splitlines()

    display.columns = 40

    wanted = sum(max(1, -(-len(row) // 40)) for row in rows)
    assert wanted > len(rows)
    assert display.clear() == f"\x1b[{wanted}F\x1b[J"
    assert max(map(len, display.show(LIVE).splitlines())) == 39


def test_nobody_looks_and_nothing_is_written() -> None:
    stream = Terminal()
    progress = Progress(stream, is_quiet=True)

    progress.show(LIVE)
    progress.end()

    assert stream.getvalue() == ""
