"""What all shards of a load run have counted, added up while it runs and made final at its end.

    Progress ──> Tally ──> settle()     the book of each second, once, for thresholds that abort
                           book         everything so far
                           timeline     Second, ...
                           generators   Generator, ...: how each shard fared
                           errors       the most frequent texts
    Result   ──> finish()  book, errors of a shard, in the place of the sum of its records

Pure, but for `read_result`. Knows no process and no threshold.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from probes.journey.codec import decode
from probes.regular import NotRegular, TooLarge, read_regular
from probes.units import short
from scenarios.arrivals import stage_at
from scenarios.book import OTHER, Book
from scenarios.codec import check_counts, read_book
from scenarios.fleet.timeline import Timeline
from scenarios.histogram import Histogram
from scenarios.plan import Plan
from scenarios.records import Final, Progress, Told, Vitals
from scenarios.report import Generator, Second

# load.md 7.3: more texts than this come from a URL or an id in them.
MAX_ERRORS = 50
# A text is for people, and for a page.
MAX_TEXT = 1024
# A second that a shard owes is waited for so long; what comes later counts in a later second.
LATE_S = 2.0
# A record that comes so much later than the whole second before it is of what came after: the last.
REST_S = 0.1
# Of less than this nobody can tell how busy a generator was.
SHORT_S = 0.5
# Seconds that nobody has settled yet: beyond this the oldest ones become one.
MAX_OPEN = 120
# load.md 10.1: a generator that is busier, or whose timers are later, measures itself.
SATURATED_CPU = 0.85
SATURATED_LAG_S = 0.05
# The result of 2,000 series with 1,400 buckets each is 40 MB.
MAX_FILE_BYTES = 128 * 1024 * 1024
_FOR_GOOD = ("up", "degraded")


@dataclass(frozen=True, slots=True)
class Result:
    """What the result file of a shard holds."""

    book: Book
    errors: tuple[Told, ...]


class _Errors:
    """Distinct errors and how often each came.

    Args:
        limit: of distinct ones; the others are counted by their reason.
    """

    __slots__ = ("_counts", "_limit", "_others")

    def __init__(self, limit: int = MAX_ERRORS) -> None:
        self._limit = limit
        self._counts: dict[tuple[str, str, str], int] = {}
        self._others: dict[str, int] = {}

    def add(self, told: Iterable[Told]) -> None:
        counts = self._counts
        for it in told:
            key = (it.step[:MAX_TEXT], it.reason[:MAX_TEXT], it.text[:MAX_TEXT])
            if it.text == OTHER or (key not in counts and len(counts) >= self._limit):
                self._add_other(key[1], it.count)
            else:
                counts[key] = counts.get(key, 0) + it.count

    def _add_other(self, reason: str, count: int) -> None:
        known = reason in self._others or len(self._others) < MAX_ERRORS
        reason = reason if known else OTHER
        self._others[reason] = self._others.get(reason, 0) + count

    @property
    def told(self) -> tuple[Told, ...]:
        """The most frequent ones first, at most `MAX_ERRORS`; what is beyond, last, by reason."""
        every = [Told(*key, count) for key, count in self._counts.items()]
        every.sort(key=lambda it: (-it.count, it.step, it.reason, it.text))
        rest = _Errors(0)
        rest.add(every[MAX_ERRORS:])
        for reason, count in self._others.items():
            rest._add_other(reason, count)
        others = sorted(rest._others.items(), key=lambda item: (-item[1], item[0]))
        kept = every[:MAX_ERRORS]
        return (*kept, *(Told(OTHER, reason, OTHER, count) for reason, count in others))


@dataclass(slots=True)
class _Shard:
    """What is known of one shard."""

    generator: Generator
    book: Book
    errors: _Errors = field(default_factory=_Errors)
    last: Progress | None = None
    spoken: int = -1
    """The last second that it has told of."""

    @property
    def is_awaited(self) -> bool:
        """Whether more may come of it."""
        return self.last is not None and self.generator.state == "never"


@dataclass(slots=True)
class _Open:
    """A second that is not settled."""

    book: Book
    told: dict[int, Progress] = field(default_factory=dict)


class Tally:
    """The sums of one run.

    Args:
        plan: of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._shards = {
            number: _Shard(Generator(number), Book(plan.limits)) for number in range(plan.shards)
        }
        self._open: dict[int, _Open] = {}
        self._next = 0
        self.book = Book(plan.limits)
        """Everything so far; after `finish` that of the result files."""
        self._timeline = Timeline()

    @property
    def timeline(self) -> tuple[Second, ...]:
        """The seconds that are settled."""
        return self._timeline.steps

    @property
    def latest(self) -> Second:
        """The last one of them."""
        return self._timeline.latest

    def greet(self, shard: int, host: str) -> None:
        """Note on which machine a shard is."""
        it = self._shards[shard]
        it.generator = replace(it.generator, host=short(host).strip("'\""))

    def add(self, progress: Progress) -> None:
        """Add what a shard counted since its last record."""
        it = self._shards[progress.shard]
        before_s = it.last.at_s if it.last is not None else 0.0
        it.last = progress
        it.book.merge(progress.book)
        it.errors.add(progress.errors)
        it.generator = _watched(it.generator, progress, progress.at_s - before_s)
        self.book.merge(progress.book)
        # a record of the end of second 3 comes at 4.0, give or take
        at = max(self._next, round(progress.at_s) - 1)
        if at == it.spoken and progress.at_s >= at + 1 + REST_S:
            at += 1
        it.spoken = max(it.spoken, at)
        second = self._open.get(at)
        if second is None:
            second = self._open[at] = _Open(Book(self._plan.limits))
            self._fold()
        second.book.merge(progress.book)
        second.told[progress.shard] = progress

    def end(self, shard: int, state: Literal["final", "lost"], why: str, missing: int = 0) -> None:
        """Note the end of a shard, and how many records never came; what is lost stays lost."""
        it = self._shards[shard]
        if it.generator.state != "lost":
            it.generator = replace(
                it.generator, state=state, why=why[:MAX_TEXT], records_lost=missing
            )

    def settle(self, now_s: float) -> list[tuple[int, Book]]:
        """Return the seconds that are complete, each once and in order, with what was counted.

        A second without a record of any shard has an empty book.

        Args:
            now_s: seconds since the start; infinite: all there are.
        """
        settled: list[tuple[int, Book]] = []
        last = max(self._open, default=-1)
        while self._is_complete(self._next, now_s, last):
            settled.append((self._next, self._close(self._next)))
            self._next += 1
        return settled

    def _is_complete(self, at: int, now_s: float, last: int) -> bool:
        if now_s == float("inf"):
            return at <= last
        if now_s < at + 1:
            return False
        awaited = (it for it in self._shards.values() if it.is_awaited)
        return now_s >= at + 1 + LATE_S or (at <= last and all(it.spoken >= at for it in awaited))

    def _close(self, at: int) -> Book:
        second = self._open.pop(at, None) or _Open(Book(self._plan.limits))
        stage = stage_at(self._plan.stages, at + 0.5)
        is_measured = stage.is_measured if stage is not None else not self._plan.stages
        now = [told for number in self._shards if (told := self._word_of(number, second))]
        counted = _second(at, second.book)
        self._timeline.add(
            replace(
                counted,
                users=sum(told.users for told in now),
                idle=sum(told.idle for told in now),
                rate=sum(told.rate for told in now),
                lag_p99=max((told.vitals.lag_p99_s for told in now), default=0.0),
                cpu=max((told.vitals.cpu for told in now), default=0.0),
                is_measured=is_measured,
            )
        )
        return second.book

    def _word_of(self, number: int, second: _Open) -> Progress | None:
        """Return what a shard said in a second, else what it said last, if it is still there."""
        it = self._shards[number]
        return second.told.get(number) or (it.last if it.is_awaited else None)

    def _fold(self) -> None:
        """Hold the memory of a run that nobody settles."""
        while len(self._open) > MAX_OPEN:
            oldest, second, *_ = sorted(self._open)
            self._open[second].book.merge(self._open.pop(oldest).book)

    def finish(self, results: Mapping[int, Result]) -> None:
        """Take result files, by shard, in the place of the sums of their records.

        A shard without one keeps the sum. It takes some 0.1 s for a million buckets.
        """
        book = Book(self._plan.limits)
        for number, it in self._shards.items():
            result = results.get(number)
            if result is not None:
                it.book, it.errors = result.book, _Errors()
                it.errors.add(result.errors)
                it.generator = replace(it.generator, requests=count_requests(it.book))
            book.merge(it.book)
        self.book = book

    @property
    def generators(self) -> tuple[Generator, ...]:
        """How each shard fared, by number."""
        return tuple(it.generator for it in self._shards.values())

    @property
    def errors(self) -> tuple[Told, ...]:
        """Distinct errors of all shards, the most frequent first; what is beyond by reason."""
        every = _Errors(len(self._shards) * MAX_ERRORS)
        for it in self._shards.values():
            every.add(it.errors.told)
        return every.told


def _watched(before: Generator, progress: Progress, seconds: float) -> Generator:
    is_whole = seconds >= SHORT_S
    now = progress.vitals if is_whole else Vitals()
    is_busy = now.cpu > SATURATED_CPU or now.lag_p99_s > SATURATED_LAG_S
    return replace(
        before,
        cpu=max(before.cpu, now.cpu),
        lag_p99_s=max(before.lag_p99_s, now.lag_p99_s),
        rss_bytes=max(before.rss_bytes, now.rss_bytes),
        fds=max(before.fds, now.fds),
        saturated_seconds=before.saturated_seconds + is_busy,
        seconds=before.seconds + is_whole,
        requests=before.requests + count_requests(progress.book),
        overflow=before.overflow + progress.overflow,
    )


def count_requests(book: Book) -> int:
    """Return how many requests a book holds, measured or not."""
    return sum(it.count for key, it in book.durations.items() if key.metric == "request.duration")


def _second(at: int, book: Book) -> Second:
    """Return what a second counted."""
    good = Histogram()
    for outcome in _FOR_GOOD:
        good.merge(book.timed("request.duration", outcome=outcome))
    latency = book.timed("iteration.latency")
    return Second(
        at,
        due=book.total("iteration.due"),
        started=book.total("iteration.started"),
        completed=book.total("iteration.completed"),
        failed=book.total("iteration.failed"),
        dropped=book.total("iteration.dropped"),
        requests=count_requests(book),
        failures=book.total("request.failed"),
        p50=good.quantile(0.5) if good.count else None,
        p95=good.quantile(0.95) if good.count else None,
        p99=good.quantile(0.99) if good.count else None,
        latency_p99=latency.quantile(0.99) if latency.count else None,
    )


def read_result(directory: Path, final: Final) -> Result:
    """Read the result file of a shard; it blocks.

    Args:
        directory: where it must lie; its child is believed nothing.
        final: what the shard said of it.

    Raises:
        ValueError: it is none, or contradicts *final*.
        OSError: it cannot be read.
    """
    path = (directory / final.file).resolve()
    is_inside = bool(final.file) and path.parent == directory.resolve()
    try:
        # resolved already: a link that is there now, the child has just put there
        text = read_regular(path, MAX_FILE_BYTES, os.O_NOFOLLOW) if is_inside else None
    except (FileNotFoundError, NotRegular):
        text = None
    except TooLarge:
        raise ValueError(f"want a result of at most {MAX_FILE_BYTES} bytes, got more") from None
    if text is None:
        raise ValueError(f"want a result file in {directory.name}, got {short(final.file)}")
    if hashlib.sha256(text).hexdigest() != final.sha256:
        raise ValueError(f"want a result with the sha256 {short(final.sha256)}, got another")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"want a result as JSON, got {short(text)}") from None
    result = _result(values)
    for name, said, found in (
        ("requests", final.requests, count_requests(result.book)),
        ("iterations", final.iterations, result.book.total("iteration.completed")),
    ):
        if said != found:
            raise ValueError(f"want a result of {said} {name}, got {found}")
    return result


def _result(values: object) -> Result:
    if not isinstance(values, Mapping) or not {"book", "errors"} <= values.keys():
        raise ValueError(f"want a result with book and errors, got {short(values)}")
    told: list[tuple[str, str, str, int]]
    told = decode(list[tuple[str, str, str, int]], values["errors"])
    errors = tuple(Told(*it) for it in told)
    check_counts(errors)
    return Result(read_book(values["book"]), errors)
