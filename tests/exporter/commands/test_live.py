"""The table of a gate while it runs: on a terminal, in a file."""

import asyncio
import io
import os
import pty
import termios
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import TextIO

import pytest

from exporter.commands.live import LiveTable
from probes.gate import Gate, Terms
from probes.kind import Kind
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.result import Outcome, Result

CLEAR = "\r\x1b[K"


class Held(Kind):
    """Runs until it is let go. Target: anything."""

    async def run(self, target: str, recorder: Recorder) -> None:
        await asyncio.Event().wait()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - a gate has no event for what runs
            await asyncio.sleep(0)


async def control(name: str) -> bool:
    return True


def gate_over(count: int, deadline: float | None = None) -> Gate:
    probes = [Probe(name=f"p{n}", kind=Held(), target="x", timeout_s=60) for n in range(count)]
    terms = Terms(deadline, 0, False, False, count)
    return Gate(probes, terms, ProberHealth((), control), lambda _: None)


def a_result() -> Result:
    return Result("p0", "held", "x", Outcome.UP, datetime.now(UTC), 0.25)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A real terminal of 60 columns: what is written to, and the descriptor to read from."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 60))
    with os.fdopen(slave, "w") as stream:
        yield stream, master
    os.close(master)


def test_a_file_gets_rows_and_nothing_else() -> None:
    stream = io.StringIO()
    table = LiveTable(stream, ["p0"])

    table.begin(gate_over(1))
    table.row(a_result())
    table.end()

    assert stream.getvalue().splitlines() == [
        "OUTCOME         TIME  PROBE  WHY",
        "up          250.0 ms  p0",
    ]


def said_on(master: int) -> str:
    """Read what a table has written from its first clearing of the line to its last."""
    said = b""
    # a terminal hands over what it has so far
    while said.count(CLEAR.encode()) < 2 or not said.endswith(CLEAR.encode()):
        said += os.read(master, 4096)
    return said.decode()


async def test_a_terminal_sees_what_still_runs_and_for_how_long(
    terminal: tuple[TextIO, int],
) -> None:
    stream, master = terminal
    gate = gate_over(5, deadline=monotonic() + 100)
    running = asyncio.create_task(gate.run())
    await until(lambda: len(gate.running) == 5)
    table = LiveTable(stream, [probe.name for probe in gate.probes])

    table.begin(gate)
    table.row(a_result())
    table.end()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    said = said_on(master)
    line = said.split(CLEAR)[1]
    assert line == "0/5 done, 100s left: p0 0s, p1 0s, p2 0s and 2 more"
    assert "\x1b[32mup" in said
    assert said.endswith(CLEAR)


async def test_the_line_never_wraps(terminal: tuple[TextIO, int]) -> None:
    stream, master = terminal
    gate = gate_over(3)
    gate.running.update({"a" * 50: monotonic(), "b" * 50: monotonic()})

    table = LiveTable(stream, ["p0"])
    table.begin(gate)
    table.end()

    line = said_on(master).split(CLEAR)[1]
    assert len(line) == 59


async def test_the_line_is_written_again_until_the_end(terminal: tuple[TextIO, int]) -> None:
    stream, master = terminal
    os.set_blocking(master, False)
    table = LiveTable(stream, ["p0"])
    said: list[bytes] = []
    table.begin(gate_over(1))
    asyncio.get_running_loop().add_reader(master, lambda: said.append(os.read(master, 4096)))

    await until(lambda: b"".join(said).count(b"0/1 done") >= 3)
    table.end()
    asyncio.get_running_loop().remove_reader(master)

    assert table._handle is None


def test_a_dumb_terminal_gets_no_control_characters(
    terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, master = terminal
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    table = LiveTable(stream, ["p0"])

    table.begin(gate_over(1))
    table.row(a_result())
    table.end()

    assert b"\x1b" not in os.read(master, 4096)
