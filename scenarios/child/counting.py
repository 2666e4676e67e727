"""Counts what users do, cheaply: the hot path of a load.

    Counts        what is new since it was last taken, and all of it
    ├── request   one hop, one attempt
    ├── iteration begun, ended, dropped, interrupted
    └── setup     done, failed

Names and texts are cleaned and bounded here, whoever they come from (load.md 7.3). Knows no user,
no clock and no plan.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from probes.journey.model import Played
from probes.result import Outcome
from scenarios.book import MAX_STEPS, NO_CODE, OTHER, Book, Key
from scenarios.histogram import Histogram
from scenarios.records import Told

# load.md 7.3
MAX_CHARACTERS = 128
MAX_ERRORS = 50
# Texts that came up, with what they are when they are clean: most requests bear few names.
_MAX_REMEMBERED = 4096
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
INTERRUPTED = "interrupted"
_CODES = (NO_CODE, "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx")
_STATUSES = 100 * len(_CODES)
# HTTP's methods and those of other clients are few: more come out of a user's loop.
_MAX_METHODS = 32


def clean(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return *text* as a label or a message may hold it: no control character, no half one."""
    text = text[: limit + 1].encode("utf-8", "backslashreplace").decode()
    text = _CONTROL.sub("\ufffd", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Asked(NamedTuple):
    """What a request was, for counting.

    Args:
        journey: label.
        step: label; any text.
        method: label; any text.
        status: 0 when no answer came.
        outcome: of it.
        reason: why it is neither up nor degraded.
        measured: whether thresholds count it.
    """

    journey: str
    step: str
    method: str
    status: int
    outcome: str
    reason: str = ""
    measured: bool = True


class _Slot(NamedTuple):
    """Where requests that are alike are counted."""

    durations: Histogram
    failed: Key | None
    sent: Key
    received: Key


class _Names:
    """At most so many different names; what comes after them is ``other``, and counted."""

    __slots__ = ("_known", "_limit", "_names", "overflow")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: set[str] = set()
        self._known: dict[str, str] = {}
        self.overflow = 0

    def __call__(self, text: str) -> str:
        known = self._known.get(text)
        if known is not None:
            return known
        name = clean(text)
        if name not in self._names:
            if len(self._names) >= self._limit:
                self.overflow += 1
                return OTHER
            self._names.add(name)
        if len(self._known) < _MAX_REMEMBERED and len(text) <= MAX_CHARACTERS:
            self._known[text] = name
        return name


class Taken(NamedTuple):
    """What is new since the last time."""

    book: Book
    errors: tuple[Told, ...]
    overflow: int


class Counts:
    """What one shard counts.

    Args:
        limits: see `Book`.
    """

    def __init__(self, limits: Mapping[str, Iterable[int]] | None = None) -> None:
        self.book = Book(limits)
        """What is new."""
        self.total = Book(limits)
        """What was new before."""
        self.requests = 0
        self.iterations = 0
        """Completed ones."""
        self._names = _Names(MAX_STEPS)
        self._methods = _Names(_MAX_METHODS)
        self._texts = _Names(MAX_ERRORS)
        self._slots: dict[Asked, _Slot] = {}
        self._errors: dict[tuple[str, str, str], int] = {}
        self._all_errors: dict[tuple[str, str, str], int] = {}
        self._overflow = 0

    # --- requests

    def request(self, asked: Asked, seconds: float, sent: int = 0, received: int = 0) -> None:
        """Count a request."""
        self.requests += 1
        slot = self._slots.get(asked) or self._slot(asked)
        slot.durations.add(seconds)
        numbers = self.book.numbers
        if slot.failed is not None:
            numbers[slot.failed] = numbers.get(slot.failed, 0) + 1
        if sent:
            numbers[slot.sent] = numbers.get(slot.sent, 0) + sent
        if received:
            numbers[slot.received] = numbers.get(slot.received, 0) + received

    def _slot(self, asked: Asked) -> _Slot:
        """Return where a request is counted, which is looked up once for each that is alike."""
        step, method = self._names(asked.step), self._methods(asked.method)
        code = _CODES[asked.status // 100] if 0 <= asked.status < _STATUSES else NO_CODE
        is_bad = asked.outcome in (Outcome.DOWN, Outcome.UNKNOWN)
        labels = (asked.journey, step, method, code, asked.outcome)
        key = Key("request.duration", *labels, "", asked.measured)
        found = self.book.durations.get(key)
        if found is None:
            limits = self.book.limits.get(key.metric, ())
            found = self.book.durations[key] = Histogram(limits)
        slot = _Slot(
            found,
            Key("request.failed", *labels, asked.reason, asked.measured) if is_bad else None,
            Key("data.sent", asked.journey, step, measured=asked.measured),
            Key("data.received", asked.journey, step, measured=asked.measured),
        )
        if len(self._slots) < _MAX_REMEMBERED:
            self._slots[asked] = slot
        return slot

    def error(self, step: str, reason: str, text: str) -> None:
        """Count a failure, for people."""
        key = (self._names(step), reason, clean(text))
        if key not in self._all_errors and len(self._all_errors) >= MAX_ERRORS:
            self._overflow += 1
            key = (OTHER, reason, OTHER)
        self._all_errors[key] = self._all_errors.get(key, 0) + 1
        self._errors[key] = self._errors.get(key, 0) + 1

    # --- iterations

    def due(self, journey: str, *, measured: bool, number: int = 1) -> None:
        """Count arrivals whose time has come."""
        self._count("iteration.due", journey, measured=measured, number=number)

    def dropped(self, journey: str, *, measured: bool, number: int = 1) -> None:
        """Count arrivals that nobody was there for."""
        self._count("iteration.dropped", journey, measured=measured, number=number)

    def started(self, journey: str, *, measured: bool, delay_s: float | None = None) -> None:
        """Count an iteration that begins.

        Args:
            journey: label.
            measured: whether thresholds count it.
            delay_s: behind its intended start; None: nobody intended one.
        """
        self._count("iteration.started", journey, measured=measured)
        if delay_s is not None:
            self.book.time(Key("start.delay", journey, measured=measured), delay_s)

    def ended(
        self, journey: str, outcome: str, seconds: float, latency_s: float | None, *, measured: bool
    ) -> None:
        """Count an iteration that is over.

        Args:
            journey: label.
            outcome: up, degraded, down, unknown or `INTERRUPTED`.
            seconds: from its begin.
            latency_s: from its intended start; None: nobody intended one.
            measured: whether thresholds count it.
        """
        if outcome == INTERRUPTED:
            self._count("iteration.interrupted", journey, measured=measured)
        else:
            self.iterations += 1
            self._count("iteration.completed", journey, measured=measured)
        if outcome == Outcome.DOWN:
            self._count("iteration.failed", journey, measured=measured)
        key = Key("iteration.duration", journey, outcome=outcome, measured=measured)
        self.book.time(key, seconds)
        if latency_s is not None:
            self.book.time(key._replace(metric="iteration.latency"), latency_s)

    def setup(self, journey: str, failed_step: str | None) -> None:
        """Count a set-up; None: it went well, else the first step that failed.

        They are measured, unlike their requests: a threshold asks for them.
        """
        if failed_step is None:
            self.book.count(Key("setup.done", journey))
        else:
            self.book.count(Key("setup.failed", journey, self._names(failed_step)))

    def _count(self, metric: str, journey: str, *, measured: bool, number: int = 1) -> None:
        self.book.count(Key(metric, journey, measured=measured), number)

    def name_of(self, text: str) -> str:
        """Return the name of a request as it is counted."""
        return self._names(text)

    def method_of(self, text: str) -> str:
        """Return the method of a request as it is counted."""
        return self._methods(text)

    def text_of(self, text: str) -> str:
        """Return the text of a failure as Locust may keep it."""
        return self._texts(text)

    # --- what is told

    @property
    def has_news(self) -> bool:
        """Whether anything was counted since it was last taken."""
        return bool(self.book.durations or self.book.numbers or self._errors)

    def take(self) -> Taken:
        """Return what is new, and count on from nothing."""
        book, errors = self.book, self._errors
        self.book, self._errors, self._slots = Book(book.limits), {}, {}
        self.total.merge(book)
        overflow, self._overflow = self._overflow, 0
        for names in (self._names, self._methods, self._texts):
            overflow, names.overflow = overflow + names.overflow, 0
        return Taken(book, _told(errors), overflow)

    def everything(self) -> tuple[Book, tuple[Told, ...]]:
        """Return all that was counted since the beginning."""
        self.take()
        return self.total, _told(self._all_errors)


def _told(errors: Mapping[tuple[str, str, str], int]) -> tuple[Told, ...]:
    most = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Told(*key, number) for key, number in most[:MAX_ERRORS])


def outcome_of(played: Played) -> str:
    """Return how a play ended, as a label."""
    failure = played.failure
    if failure is not None:
        return Outcome.UNKNOWN.value if failure.reason.is_own_fault else Outcome.DOWN.value
    return Outcome.DEGRADED.value if played.warnings else Outcome.UP.value
