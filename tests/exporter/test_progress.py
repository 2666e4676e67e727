"""Progress of a load on a terminal and on a pipe."""

import io

from exporter.progress import Progress
from scenarios.outlets.live import Live

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
    rows = stream.getvalue().count("\n")
    progress.end()

    assert rows > 1
    assert stream.getvalue().endswith(f"\x1b[{rows}F\x1b[J")


def test_nobody_looks_and_nothing_is_written() -> None:
    stream = Terminal()
    progress = Progress(stream, is_quiet=True)

    progress.show(LIVE)
    progress.end()

    assert stream.getvalue() == ""
