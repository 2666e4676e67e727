"""The life of one shard: orders in, a record every second, a result file, the last word.

    Orders     what was said to it: secrets, start, stop
    Shard      hello ── prepare ── t0 ── run ── grace ── result file ── final

The same in each role: a `Link` leads to the parent on this machine, or to the master of another.
Knows neither Locust nor what a user does.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from threading import Event
from time import monotonic

from scenarios.child.channel import Link
from scenarios.child.counting import Counts, Taken, clean
from scenarios.child.pool import Desk
from scenarios.child.pulse import Pulse
from scenarios.plan import Plan
from scenarios.records import Final, Hello, Log, Progress, Record, Secrets, Start, Stop, Why

# load.md 7.1; the parent asks for hellos within 30 s.
ORDERS_S = 60.0
PROGRESS_S = 1.0
# load.md 7.2
MAX_LINES = 20
MAX_LINE_CHARACTERS = 1024


class Gone(Exception):
    """Nobody is left who could give an order."""


class Orders:
    """What was said to a shard so far.

    Args:
        link: where it comes from.
    """

    def __init__(self, link: Link) -> None:
        self.secrets: Secrets | None = None
        self.start: Start | None = None
        self.wrong = ""
        """What came and is no order."""
        self.is_gone = False
        self.on_stop: Callable[[str, float | None], None] = self._note
        self.is_stopped = False
        """It was told to stop before anybody asked to be told."""
        self._link = link
        self._news = Event()

    def listen(self) -> None:
        """Take orders until nobody is left who could give one, or one makes no sense."""
        try:
            for record in self._link.listen():
                self.take(record)
        except ValueError as error:
            self.wrong = str(error)
            self.on_stop("wrong", 0.0)
        else:
            self.is_gone = True
            self.on_stop("gone", 0.0)
        self._news.set()

    def take(self, record: Record) -> None:
        """Take one order."""
        if isinstance(record, Secrets):
            self.secrets = record
        elif isinstance(record, Start):
            self.start = record
        elif isinstance(record, Stop):
            self.on_stop(record.why, record.grace_s)
        self._news.set()

    def _note(self, why: str, grace_s: float | None) -> None:  # noqa: ARG002 - a listener
        self.is_stopped = True
        self._news.set()

    def wait_for_secrets(self) -> Secrets:
        """Return what the plan does not say.

        Raises:
            Gone: nobody is left, or nothing comes.
        """
        self._wait(lambda: self.secrets is not None, ORDERS_S)
        if self.secrets is None:
            raise Gone(self.wrong or "want secrets, got none")
        return self.secrets

    def wait_for_start(self) -> Start | None:
        """Return when to begin; None: there is nothing to begin any more.

        Raises:
            Gone: nobody is left.
        """
        self._wait(lambda: self.start is not None, float("inf"))
        return None if self.is_stopped else self.start

    def _wait(self, is_here: Callable[[], bool], seconds: float) -> None:
        until = monotonic() + seconds
        while not self._has_news(is_here):
            left = until - monotonic()
            if left <= 0:
                return
            self._news.clear()
            # between the first look and this one something may have come
            if not self._has_news(is_here):
                self._news.wait(min(left, ORDERS_S))
        if self.is_gone:
            raise Gone

    def _has_news(self, is_here: Callable[[], bool]) -> bool:
        return is_here() or self.is_stopped or self.is_gone or bool(self.wrong)


class Shard:
    """One shard of a run.

    Args:
        plan: of the run.
        number: 0 ... shards - 1.
        link: to whoever leads the run.
        place: where the result file goes.
    """

    def __init__(self, plan: Plan, number: int, link: Link, place: Path) -> None:
        self.plan = plan
        self.number = number
        self.counts = Counts(plan.limits)
        self.exit_code: int | None = None
        """That a locust file asked for."""
        self.trouble: Callable[[], str] = _no_trouble
        """Asked each second whether something broke that nobody has told of."""
        self._link = link
        self.place = place
        self._pulse = Pulse()
        self._desk: Desk | None = None
        self._t0 = 0.0
        self._seq = 0
        self._kept: Taken | None = None
        self._why: Why = "completed"
        self._text = ""
        self._grace_at = float("inf")
        self._is_over = Event()
        self._lines = 0

    # --- what it says

    def hello(self, plan_text: str, versions: Mapping[str, str], host: str) -> None:
        """Say that it is ready."""
        digest = hashlib.sha256(plan_text.encode()).hexdigest()
        self._link.deliver(Hello(self.number, os.getpid(), digest, versions, clean(host)))

    def log(self, level: str, text: str) -> None:
        """Say a line, unless there were too many of this second."""
        if self._lines < MAX_LINES:
            self._lines += 1
            self._link.offer(Log(self.number, level, clean(text, MAX_LINE_CHARACTERS)))

    def progress(self) -> None:
        """Say what is new; what cannot be said now is said the next time."""
        taken = self.counts.take()
        if self._kept is not None:
            taken = _together(self._kept, taken)
        at_s = max(0.0, monotonic() - self._t0)
        desk = self._desk
        record = Progress(
            self.number,
            self._seq + 1,
            at_s,
            users=desk.users if desk else 0,
            idle=desk.idle if desk else 0,
            rate=float(desk.rate(at_s)) if desk else 0.0,
            book=taken.book,
            errors=taken.errors,
            vitals=self._pulse.take(),
            overflow=taken.overflow,
        )
        if self._link.offer(record):
            self._seq += 1
            self._kept = None
        else:
            self._kept = taken

    def final(self) -> None:
        """Write all that was counted into a file, and say the last word."""
        if self._t0 and self.counts.has_news:
            self.progress()  # what came after the last whole second has its place in time too
        book, errors = self.counts.everything()
        values = {"book": book.as_dict(), "errors": [astuple(it) for it in errors]}
        text = json.dumps(values, separators=(",", ":")).encode()
        path = self.place / f"result-{self.number}.json"
        begun = path.with_suffix(".part")
        begun.write_bytes(text)
        begun.replace(path)
        self._link.deliver(
            Final(
                self.number,
                self._seq + 1,
                self._why,
                path.name,
                hashlib.sha256(text).hexdigest(),
                self.counts.requests,
                self.counts.iterations,
                clean(self._text, MAX_LINE_CHARACTERS),
                self.exit_code,
            )
        )

    # --- what it is told

    def stop(self, why: Why, grace_s: float | None = None, text: str = "") -> None:
        """Let no iteration begin any more; the first reason stays, the shorter grace counts."""
        if self._why == "completed":
            self._why, self._text = why, text
        grace = self.plan.graceful_stop_s if grace_s is None else grace_s
        self._grace_at = min(self._grace_at, monotonic() + grace)
        if self._desk is not None:
            self._desk.stop()
            self._desk.hurry()

    def follow(self, orders: Orders, die: Callable[[], object]) -> None:
        """Do what is said from now on, and what was said before.

        Args:
            orders: that come.
            die: called when nobody is left: there is no one to tell anything to.
        """

        def stop(why: str, grace_s: float | None) -> None:
            if orders.is_gone:
                die()
            elif orders.wrong:
                self.stop("internal", 0.0, orders.wrong)
            else:
                self.stop("stopped", grace_s, why)

        orders.on_stop = stop
        if orders.is_gone or orders.wrong:
            stop("", 0.0)

    # --- its life

    def run(self, desk: Desk, start: Start, begin: Callable[[], None] = lambda: None) -> None:
        """Play the plan.

        Args:
            desk: hands out the tickets.
            start: when.
            begin: called when the first users are there.
        """
        self._desk = desk
        self._t0 = self._t0 or start.t0 or monotonic()
        self._pulse.take()
        if self._why != "completed":
            desk.stop()
        desk.prepare()
        begin()
        desk.run(self._t0)

    def end(self, desk: Desk) -> None:
        """Send the users home, in the time that the iterations are given."""
        if self._why == "completed":
            self._grace_at = min(self._grace_at, monotonic() + self.plan.graceful_stop_s)
        if not desk.finish(lambda: self._grace_at):
            self.log("warning", f"want all users gone, got {desk.users} that do not end")

    def over(self) -> None:
        """Say nothing more every second."""
        self._is_over.set()

    def tell(self, start: Start) -> None:
        """Say every second what is new, from the start until `over`."""
        at = self._t0 = start.t0 or monotonic()
        while not self._is_over.is_set():
            at += PROGRESS_S
            # whole seconds of the run; those that were missed are gone
            while at < monotonic():
                at += PROGRESS_S
            if self._is_over.wait(at - monotonic()):
                return
            self._lines = 0
            self.progress()
            if text := self.trouble():
                self.stop("internal", 0.0, text)

    def beat(self) -> None:
        """Feel the pulse until `over`."""
        self._pulse.beat(self._is_over.is_set)


def _no_trouble() -> str:
    return ""


def _together(before: Taken, now: Taken) -> Taken:
    before.book.merge(now.book)
    counts = {(it.step, it.reason, it.text): it for it in before.errors}
    for it in now.errors:
        known = counts.get((it.step, it.reason, it.text))
        key = (it.step, it.reason, it.text)
        counts[key] = it if known is None else type(it)(*key, known.count + it.count)
    return Taken(before.book, tuple(counts.values()), before.overflow + now.overflow)


def refuse(link: Link, number: int, text: str) -> None:
    """Say that a shard cannot play the plan: zero load."""
    link.deliver(Final(number, 1, "plan_error", text=clean(text, MAX_LINE_CHARACTERS)))


class LogHandler(logging.Handler):
    """Says what a locust file logs; its own lines of the standard error stay there too.

    Args:
        shard: says it.
    """

    def __init__(self, shard: Shard) -> None:
        super().__init__(logging.WARNING)
        self._shard = shard

    def emit(self, record: logging.LogRecord) -> None:
        # what is wrong with a line of a locust file is no reason to break the file
        with suppress(ValueError, TypeError, LookupError, AttributeError):
            self._shard.log(record.levelname.lower(), " ".join(record.getMessage().split()))
