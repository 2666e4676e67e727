"""The log: its fields, its limits, and that nobody who reads it can hold the process up."""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import log as log_module
from exporter.log import (
    LINES_PER_SECOND,
    MAX_MESSAGES,
    MAX_QUEUE,
    MAX_TEXT_BYTES,
    PROBE,
    LogHandle,
    RateLimit,
    configure,
    wants_colour,
)
from probes.redact import Redactor

log = logging.getLogger("sonde.test")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def handle(stream: io.StringIO) -> Iterator[LogHandle]:
    handle = configure("debug", "json", stream)
    yield handle
    handle.close()


def entries(handle: LogHandle, stream: io.StringIO) -> list[dict[str, Any]]:
    """Close the log and return its lines."""
    handle.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_the_fields_of_the_preset(handle: LogHandle, stream: io.StringIO) -> None:
    extra = {"event": "run_failed", "probe": "shop", "outcome": "down", "duration_ms": 12.5, "n": 3}
    log.warning("want %s, got %s", 200, 503, extra=extra)

    (entry,) = entries(handle, stream)
    assert list(entry) == [
        "timestamp", "level", "service", "event", "message", "probe", "outcome", "duration_ms",
        "context",
    ]  # fmt: skip
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "level": "WARN",
        "service": "sonde",
        "event": "run_failed",
        "message": "want 200, got 503",
        "probe": "shop",
        "outcome": "down",
        "duration_ms": 12.5,
        "context": {"n": 3},
    }


def test_a_line_without_an_event_names_its_logger(handle: LogHandle, stream: io.StringIO) -> None:
    log.info("x")
    logging.getLogger("aiohttp.server").error("y")

    assert [entry["event"] for entry in entries(handle, stream)] == ["test", "aiohttp.server"]


def test_the_levels_are_four_words(handle: LogHandle, stream: io.StringIO) -> None:
    for number, level in enumerate((10, 20, 30, 40, 50)):
        log.log(level, f"{number}")  # noqa: G004 - five messages, so that none is limited

    levels = [entry["level"] for entry in entries(handle, stream)]
    assert levels == ["DEBUG", "INFO", "WARN", "ERROR", "ERROR"]


def test_our_own_level_is_as_asked_and_libraries_only_warn(stream: io.StringIO) -> None:
    handle = configure("info", "json", stream)

    log.debug("ours, too low")
    log.info("ours")
    logging.getLogger("a.library").info("theirs, too low")
    logging.getLogger("a.library").warning("theirs")

    messages = [entry["message"] for entry in entries(handle, stream)]
    assert messages == ["ours", "theirs"]


def test_closing_gives_the_root_logger_back(stream: io.StringIO) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("sonde").level)

    handle = configure("error", "json", stream)
    handle.close()
    handle.close()

    assert (root.level, root.handlers, logging.getLogger("sonde").level) == before


def test_a_line_names_the_probe_that_its_task_works_for(
    handle: LogHandle, stream: io.StringIO
) -> None:
    async def run(name: str) -> None:
        PROBE.set(name)
        await asyncio.sleep(0)
        log.info("ran")

    async def both() -> None:
        await asyncio.gather(run("a"), run("b"))

    asyncio.run(both())
    log.info("no probe")
    log.info("another", extra={"probe": "c"})

    assert [entry.get("probe") for entry in entries(handle, stream)] == ["a", "b", None, "c"]


def test_no_secret_leaves_in_any_field(handle: LogHandle, stream: io.StringIO) -> None:
    """P15, T62."""
    handle.set_redactor(Redactor(["hunter2", "424242"]))
    extra = {"pin": 424242, "reason": ["hunter2"]}
    log.error("failed: %s", "hunter2", exc_info=ValueError("with hunter2"), extra=extra)

    handle.close()
    assert "hunter2" not in stream.getvalue()
    assert "424242" not in stream.getvalue()
    (entry,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert entry["message"] == "failed: ***"
    assert entry["reason"] == "['***']"
    assert entry["context"]["pin"] == "***"


def test_a_reload_replaces_what_is_hidden(handle: LogHandle, stream: io.StringIO) -> None:
    handle.set_redactor(Redactor(["swordfish"]))
    log.info("a swordfish")
    handle.set_redactor(Redactor(["hunter2"]))
    log.info("b hunter2")

    assert [entry["message"] for entry in entries(handle, stream)] == ["a ***", "b ***"]


def test_a_secret_that_stands_at_the_cut_does_not_show_its_first_half(
    handle: LogHandle, stream: io.StringIO
) -> None:
    handle.set_redactor(Redactor(["hunter2-hunter2"]))
    log.info("%shunter2-hunter2", "x" * (MAX_TEXT_BYTES - 10))

    (entry,) = entries(handle, stream)
    assert "hunt" not in entry["message"]


def test_a_text_is_cut_at_its_limit(handle: LogHandle, stream: io.StringIO) -> None:
    """T47: a text has 2 KiB at most."""
    log.info("ö" * MAX_TEXT_BYTES, extra={"body": "y" * 100_000})

    (entry,) = entries(handle, stream)
    assert len(entry["message"].encode()) <= MAX_TEXT_BYTES
    assert entry["message"].endswith("ö…")
    assert len(entry["context"]["body"].encode()) <= MAX_TEXT_BYTES


def fails(depth: int) -> None:
    """Raise from deep below; a traceback of this is longer than a text may be."""
    local_variable = "-".join(["quite", "secret"])
    if depth:
        fails(depth - len(local_variable.split("-")))
    raise KeyError("the end")


def test_a_traceback_keeps_its_end_and_no_local_variable(
    handle: LogHandle, stream: io.StringIO
) -> None:
    try:
        fails(depth=100)
    except KeyError:
        log.exception("failed")

    (entry,) = entries(handle, stream)
    assert entry["context"]["traceback"].endswith("KeyError: 'the end'")
    assert len(entry["context"]["traceback"].encode()) <= MAX_TEXT_BYTES
    assert "quite-secret" not in stream.getvalue()


def test_a_log_call_that_does_not_fit_its_template_is_told_and_not_raised(
    handle: LogHandle, stream: io.StringIO
) -> None:
    log.error("want %d", "a number")

    (entry,) = entries(handle, stream)
    assert entry["message"] == "want %d ('a number',)"


@given(st.text(), st.text())
def test_any_text_is_one_line_of_valid_json(message: str, value: str) -> None:
    stream = io.StringIO()
    handle = configure("debug", "json", stream)
    handle.set_redactor(Redactor())

    log.info("%s", message, extra={"value": value})

    handle.close()
    assert len(stream.getvalue().splitlines()) == 1
    (entry,) = [json.loads(stream.getvalue())]
    assert isinstance(entry["context"]["value"], str)


@pytest.mark.parametrize("fmt", ["json", "text"])
def test_no_text_can_steer_a_terminal_or_forge_a_line(fmt: log_module.Format) -> None:
    """T47: ANSI escapes, CRLF, forged lines."""
    stream = io.StringIO()
    handle = configure("debug", fmt, stream)
    record = logging.makeLogRecord(
        {
            "name": "sonde.test",
            "levelname": "ERROR",
            "msg": "\x1b[2J\r\n\x9b\u202e\ud800",
            "exc_info": (ValueError, ValueError("a\n2026-01-01 00:00:00.000Z INFO  forged"), None),
            "event": "a\nb",
            "x": "\x07",
        }
    )
    # to our handler alone: a terminal cannot show a lone surrogate that pytest captured
    logging.getLogger().handlers[-1].handle(record)
    handle.close()

    shown = stream.getvalue()
    assert not set(shown) & set("\x1b\r\x9b\u202e\ud800\x07")
    assert all(line.startswith(("20", "{", "    | ")) for line in shown.splitlines())
    assert shown.count("\n") == (1 if fmt == "json" else len(shown.splitlines()))
    assert len([line for line in shown.splitlines() if line.startswith(("20", "{"))]) == 1


def test_a_line_for_people_word_for_word() -> None:
    stream = io.StringIO()
    handle = configure("info", "text", stream)
    log.warning("want a, got b", extra={"probe": "shop", "reason": "status", "note": "two words"})
    handle.close()

    stamp, rest = stream.getvalue().split("Z ")
    assert len(stamp) == len("2026-01-02 03:04:05.678")
    assert rest == 'WARN  test: want a, got b probe=shop reason=status note="two words"\n'


@pytest.mark.parametrize(
    ("environment", "stream", "coloured"),
    [
        pytest.param({}, Terminal(), True, id="terminal"),
        pytest.param({"NO_COLOR": "1"}, Terminal(), False, id="NO_COLOR"),
        pytest.param({"NO_COLOR": ""}, Terminal(), True, id="NO_COLOR is empty"),
        pytest.param({"TERM": "dumb"}, Terminal(), False, id="dumb terminal"),
        pytest.param({}, io.StringIO(), False, id="file"),
        pytest.param({}, None, False, id="closed"),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    stream: io.StringIO | None,
    coloured: bool,
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert wants_colour(stream) is coloured


def test_a_level_is_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    handle = configure("info", "text", stream)
    log.error("x")
    log.info("y")
    handle.close()

    first, second = stream.getvalue().splitlines()
    assert "\x1b[31mERROR\x1b[0m" in first
    assert "\x1b" not in second


def test_ten_lines_a_second_pass_and_the_rest_is_counted() -> None:
    clock = Clock()
    limit = RateLimit(clock)

    passed = sum(limit.admit("x") for _ in range(35))

    assert passed == LINES_PER_SECOND
    assert limit.admit("another message")
    assert limit.holds
    assert limit.left_out() == []
    clock.now += 1
    assert limit.left_out() == [("x", 25)]
    assert limit.admit("x")
    assert not limit.holds


def test_a_quiet_message_starts_anew_each_second() -> None:
    clock = Clock()
    limit = RateLimit(clock)

    for _ in range(5):
        assert all(limit.admit("x") for _ in range(LINES_PER_SECOND))
        clock.now += 1
    assert not limit.holds


def test_the_limit_itself_stays_small() -> None:
    clock = Clock()
    limit = RateLimit(clock)

    passed = sum(limit.admit(f"message {number}") for number in range(MAX_MESSAGES + 500))

    assert passed == MAX_MESSAGES + LINES_PER_SECOND
    clock.now += 1
    assert limit.left_out() == [("(other messages)", 500 - LINES_PER_SECOND)]
    assert limit.admit("a new one")


def test_what_was_left_out_is_told_at_the_end(handle: LogHandle, stream: io.StringIO) -> None:
    for number in range(30):
        log.info("probe %d failed", number)

    messages = [entry["message"] for entry in entries(handle, stream)]
    assert len(messages) == LINES_PER_SECOND + 1
    assert (
        messages[-1]
        == f"left out {30 - LINES_PER_SECOND} more like: probe {LINES_PER_SECOND - 1} failed"
    )


def test_a_closed_stream_costs_lines_and_nothing_else(stream: io.StringIO) -> None:
    """F35: stdout closed."""
    handle = configure("info", "json", stream)
    stream.close()

    log.info("x")
    handle.close()

    assert handle.dropped() == 1


def test_without_a_stream_every_line_is_counted() -> None:
    handle = configure("info", "json", None)

    log.info("x")
    handle.close()

    assert handle.dropped() == 1


@pytest.mark.slow
def test_a_reader_that_hangs_never_holds_the_caller_up() -> None:
    """F35: stdout blocked."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as stream:
        handle = configure("info", "json", stream)
        before = time.perf_counter()
        for number in range(MAX_QUEUE * 3):
            log.info(f"{number % 500} %s", "x" * 1500)  # noqa: G004 - 500 messages, 6 times
        seconds = time.perf_counter() - before
        dropped = handle.dropped()
        handle.close()

    assert dropped > MAX_QUEUE
    assert handle.dropped() > dropped
    # about 0.1 ms a line; a pipe that blocks would never return
    assert seconds < 5


def test_lines_reach_a_pipe_that_somebody_made_non_blocking() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        handle = configure("info", "json", stream)
        # more than the 64 KiB that the pipe holds; what is left after the read fits
        for number in range(60):
            log.info(f"{number} %s", "x" * 1500)  # noqa: G004 - 60 messages
        received = reader.read(60_000)
        handle.close()

    assert received.startswith(b'{"timestamp":')
    assert handle.dropped() == 0


PROGRAM = """
import logging, sys
from exporter.log import configure
handle = configure("info", "json", sys.stdout)
for number in range(5):
    logging.getLogger("sonde").info("line %d", number)
if sys.argv[1:] == ["close"]:
    handle.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [pytest.param(["close"], id="closed"), pytest.param([], id="just ended")]
)
def test_every_line_arrives_before_the_process_ends(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=True, timeout=15
    )

    assert [json.loads(line)["message"] for line in ended.stdout.splitlines()] == [
        f"line {number}" for number in range(5)
    ]
    assert ended.stderr == b""


@pytest.mark.slow
def test_a_broken_pipe_changes_neither_exit_code_nor_stderr() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "close"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=15,
    )
    os.close(writing)

    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.slow
def test_a_process_without_stdout_starts_and_ends_well() -> None:
    ended = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -c '{PROGRAM}' close >&-"],
        stderr=subprocess.PIPE,
        check=False,
        timeout=15,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
