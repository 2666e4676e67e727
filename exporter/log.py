"""What the process says about itself: a line per event, JSON or text, that never blocks a probe.

    record -> rate limit -> redact -> cut -> escape -> bounded queue -> thread -> file descriptor

A full pipe, a closed stdout or a slow disk costs lines, which are counted, and never time of the
event loop. Knows neither probes nor who reads the lines.
"""

import io
import json
import logging
import os
import re
import select
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from time import monotonic
from typing import Any, Literal, TextIO

from probes.redact import NOTHING_KNOWN, STARS, Redactor, cut_bytes
from probes.report import printable

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

SERVICE = "sonde"
# stack.md 15: a target that fails in a new way every millisecond must not fill the disk.
LINES_PER_SECOND = 10
WINDOW_S = 1.0
# Templates are constants of the code; more at a time would be a bug, and must not become a leak.
MAX_MESSAGES = 1000
# About 2 MB of lines at most while nobody reads them.
MAX_QUEUE = 1000
# reliability.md 4: log text.
MAX_TEXT_BYTES = 2048
# Redaction needs whole secrets, so it comes before the cut; what is beyond this is never read.
MAX_RAW_CHARACTERS = 16 * MAX_TEXT_BYTES
MAX_CONTEXT = 20
# P26 leaves 10 s for the whole shutdown; whoever does not read for this long reads no more.
FLUSH_S = 1.0

PROBE: ContextVar[str | None] = ContextVar("probe", default=None)
"""Name of the probe that the running task works for; lines without one of their own get it."""

# platforms.md 0.6, preset sonde: these stand at the top of an object, all else in its context.
FIELDS = (
    "probe", "kind", "run_id", "outcome", "reason", "phase", "duration_ms",
    "incident_id", "trace_id",
)  # fmt: skip
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
_COLOURS = {"DEBUG": "\x1b[2m", "WARN": "\x1b[33m", "ERROR": "\x1b[31m"}
_PLAIN = "\x1b[0m"
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "event"}
# JSON escapes C0 by itself; these would still steer a terminal or break UTF-8.
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class _Line:
    """One record, redacted and cut, before it is given its form."""

    at: datetime
    level: str
    event: str
    message: str
    fields: Mapping[str, Any]
    context: Mapping[str, Any]
    traceback: str


class RateLimit:
    """Lets `LINES_PER_SECOND` lines of each message pass; a message is its template."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def admit(self, template: str) -> bool:
        """Count one line and return whether it may pass."""
        with self._lock:
            now = self._clock()
            if template not in self._windows and not self._has_room(now):
                template = "(other messages)"
            window = self._windows.setdefault(template, _Window(now))
            if now - window.started >= WINDOW_S and not window.held_back:
                window.started, window.passed = now, 0
            if window.passed < LINES_PER_SECOND:
                window.passed += 1
                return True
            window.held_back += 1
            return False

    def note(self, template: str, message: str) -> None:
        """Remember *message* as an example of what passed."""
        with self._lock:
            if window := self._windows.get(template):
                window.example = message

    @property
    def holds(self) -> bool:
        """Whether lines are held back that `left_out` has not told."""
        with self._lock:
            return any(window.held_back for window in self._windows.values())

    def left_out(self, *, everything: bool = False) -> list[tuple[str, int]]:
        """Return an example and the number of the lines held back in windows that are over."""
        with self._lock:
            now = self._clock()
            over = {
                template: window
                for template, window in self._windows.items()
                if window.held_back and (everything or now - window.started >= WINDOW_S)
            }
            for template in over:
                del self._windows[template]
            return [(one.example or template, one.held_back) for template, one in over.items()]

    def _has_room(self, now: float) -> bool:
        if len(self._windows) >= MAX_MESSAGES:
            self._windows = {
                template: window
                for template, window in self._windows.items()
                if window.held_back or now - window.started < WINDOW_S
            }
        return len(self._windows) < MAX_MESSAGES


@dataclass(slots=True)
class _Window:
    started: float
    passed: int = 0
    held_back: int = 0
    example: str = ""


class _Texts:
    """Turns a record into a `_Line` whose every text is redacted and short."""

    def __init__(self) -> None:
        self.redact: Redactor = NOTHING_KNOWN

    def line(self, record: logging.LogRecord) -> _Line:
        extra = {
            name: self._value(value)
            for name, value in list(vars(record).items())
            if name not in _OWN and value is not None
        }
        if (probe := PROBE.get()) and "probe" not in extra:
            extra["probe"] = self.text(probe)
        fields = {name: extra.pop(name) for name in FIELDS if name in extra}
        return _Line(
            at=datetime.fromtimestamp(record.created, UTC),
            level=_LEVELS.get(record.levelname, record.levelname),
            event=self.text(getattr(record, "event", record.name.removeprefix(f"{SERVICE}."))),
            message=self.text(_message(record)),
            fields=fields,
            context=dict(list(extra.items())[:MAX_CONTEXT]),
            traceback=self._traceback(record),
        )

    def text(self, value: object) -> str:
        raw = value if isinstance(value, str) else repr(value)
        clean = self.redact(raw[:MAX_RAW_CHARACTERS])
        if len(clean.encode("utf-8", "backslashreplace")) <= MAX_TEXT_BYTES:
            return clean
        return cut_bytes(clean, MAX_TEXT_BYTES - 3) + "…"  # which takes three bytes

    def _value(self, value: object) -> object:
        if isinstance(value, bool) or (isinstance(value, float) and isfinite(value)):
            return value
        if isinstance(value, int):
            # a known secret of digits alone
            return value if self.redact(str(value)) == str(value) else STARS
        return self.text(value)

    def _traceback(self, record: logging.LogRecord) -> str:
        parts = traceback.format_exception(*record.exc_info) if record.exc_info else []
        raw = "".join(parts) + (record.stack_info or "")
        # the end says what was raised, and where
        clean = self.redact(raw[-MAX_RAW_CHARACTERS:]).encode("utf-8", "backslashreplace")
        return clean[-MAX_TEXT_BYTES:].decode("utf-8", "ignore").rstrip("\n")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (KeyError, TypeError, ValueError):  # a log call whose values do not fit its template
        return f"{record.msg} {record.args!r}"


def as_json_line(line: _Line) -> str:
    """Return the preset ``sonde``: one JSON object, in UTF-8."""
    context = {**line.context, **({"traceback": line.traceback} if line.traceback else {})}
    whole = {
        "timestamp": line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": line.level,
        "service": SERVICE,
        "event": line.event,
        "message": line.message,
        **line.fields,
        **({"context": context} if context else {}),
    }
    encoded = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded)


def as_text_line(line: _Line, *, colour: bool) -> str:
    """Return a line for people; a traceback follows behind a bar, so that no line can be forged."""
    stamp = line.at.isoformat(" ", timespec="milliseconds").removesuffix("+00:00")
    level = f"{line.level:<5}"
    if colour and line.level in _COLOURS:
        level = f"{_COLOURS[line.level]}{level}{_PLAIN}"
    pairs = [f" {name}={_word(value)}" for name, value in {**line.fields, **line.context}.items()]
    head = f"{stamp}Z {level} {printable(line.event)}: {printable(line.message)}{''.join(pairs)}"
    return "\n".join([head, *(f"    | {printable(row)}" for row in line.traceback.splitlines())])


def _word(value: object) -> str:
    text = printable(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


class _Handler(logging.Handler):
    """Forms lines in the caller's task and writes them in a thread of its own."""

    def __init__(self, form: Callable[[_Line], str], write: Callable[[bytes], bool]) -> None:
        super().__init__()
        self.texts = _Texts()
        self.dropped = 0
        self._form = form
        self._write = write
        self._limit = RateLimit()
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="sonde-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        template = str(record.msg)
        if self._limit.admit(template):
            line = self.texts.line(record)
            self._limit.note(template, line.message)
            self._put(line)
        else:
            with self._changed:
                self._changed.notify()

    def close(self) -> None:
        """Write what waits, for at most `FLUSH_S`; the rest counts as dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(FLUSH_S)
        with self._changed:
            self.dropped += len(self._lines)
            self._lines.clear()
        super().close()

    def _put(self, line: _Line) -> None:
        data = self._form(line).encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if len(self._lines) >= MAX_QUEUE or self._closing:
                self.dropped += 1
            else:
                self._lines.append(data)
                self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._lines and not self._closing:
                    self._changed.wait(WINDOW_S if self._limit.holds else None)
                data = self._lines.popleft() if self._lines else None
                closing = self._closing
            if data is not None:
                self._say(data)
                continue
            for summary in self._summaries(everything=closing):
                self._say(summary)
            if closing:
                return

    def _say(self, data: bytes) -> None:
        if not self._write(data):
            with self._changed:
                self.dropped += 1

    def _summaries(self, *, everything: bool) -> list[bytes]:
        summaries = []
        for example, count in self._limit.left_out(everything=everything):
            message = self.texts.text(f"left out {count} more like: {example}")
            line = _Line(
                datetime.now(UTC), "WARN", "log_limited", message, {}, {"left_out": count}, ""
            )
            summaries.append(self._form(line).encode("utf-8", "backslashreplace") + b"\n")
        return summaries


class LogHandle:
    """The configured log of the process; `close` gives the root logger back as it was."""

    def __init__(self, handler: _Handler, level: str) -> None:
        self._handler = handler
        self._root, self._own = logging.getLogger(), logging.getLogger(SERVICE)
        self._before = (self._root.level, self._own.level)
        self._root.addHandler(handler)
        # libraries speak up when something is wrong, at any level of ours
        self._root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
        self._own.setLevel(level.upper())

    def set_redactor(self, redact: Redactor) -> None:
        """Hide the secrets of the config that is now in force; called at every reload."""
        self._handler.texts.redact = redact

    def dropped(self) -> int:
        """Return how many lines nobody could read: the queue was full or the output broken."""
        return self._handler.dropped

    def close(self) -> None:
        """Write what waits, within `FLUSH_S`, and stop; a second call does nothing."""
        if self._handler not in self._root.handlers:
            return
        self._root.removeHandler(self._handler)
        self._root.setLevel(self._before[0])
        self._own.setLevel(self._before[1])
        self._handler.close()


def configure(level: Level, fmt: Format, stream: TextIO | None) -> LogHandle:
    """Send every log record of the process to *stream*.

    Args:
        level: lowest level shown of our own loggers; libraries show warnings and errors.
        fmt: ``text`` is coloured on a terminal unless NO_COLOR is set.
        stream: usually ``sys.stdout``; None (closed before the start) counts every line as dropped.
    """
    logging.raiseExceptions = False  # stack.md 15: a broken log call must not write to stderr
    colour = fmt == "text" and wants_colour(stream)
    form = as_json_line if fmt == "json" else partial(as_text_line, colour=colour)
    return LogHandle(_Handler(form, _writer(stream)), level)


def wants_colour(stream: TextIO | None) -> bool:
    """Return whether *stream* is a terminal that shows colours and nobody forbade them."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def _writer(stream: TextIO | None) -> Callable[[bytes], bool]:
    """Return what writes one line, and tells whether it arrived."""
    if stream is None:
        return lambda _: False
    try:
        # A descriptor of our own: number 1 may be closed and given to a target's socket. And
        # past Python's buffer: what stays in it fails again at exit, with exit code 120.
        return partial(_write_all, os.dup(stream.fileno()))
    except io.UnsupportedOperation:
        return partial(_write_text, stream)


def _write_all(descriptor: int, data: bytes) -> bool:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # somebody made the shared terminal or pipe non-blocking
            waiter = select.poll()
            waiter.register(descriptor, select.POLLOUT)
            waiter.poll()
        except OSError:
            return False
    return True


def _write_text(stream: TextIO, data: bytes) -> bool:
    try:
        stream.write(data.decode())
        stream.flush()
    except (OSError, ValueError):  # ValueError: closed
        return False
    return True
