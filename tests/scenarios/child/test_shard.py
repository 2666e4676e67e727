import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

import pytest

from scenarios.book import Book
from scenarios.child.counting import Asked
from scenarios.child.desks import DESKS
from scenarios.child.pulse import Pulse
from scenarios.child.shard import Gone, LogHandler, Orders, Shard, refuse
from scenarios.fleet.merge import read_result
from scenarios.plan import Plan
from scenarios.records import (
    Final,
    Hello,
    Log,
    Progress,
    Record,
    Secrets,
    Start,
    Stop,
)
from tests.scenarios.child.test_desks import Crew
from tests.scenarios.children import plan


class Link:
    """A link that takes what it is told to take."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self.is_full = False
        self.orders: SimpleQueue[Record | Exception | None] = SimpleQueue()

    def offer(self, record: Record) -> bool:
        if not self.is_full:
            self.taken.append(record)
        return not self.is_full

    def deliver(self, record: Record, within_s: float = 5.0) -> bool:
        self.taken.append(record)
        return True

    def listen(self) -> Iterator[Record]:
        while (order := self.orders.get()) is not None:
            if isinstance(order, Exception):
                raise order
            yield order


ASKED = Asked("shop", "home", "GET", 200, "up")


def shard(place: Path = Path(), made: Plan | None = None) -> tuple[Shard, Link]:
    link = Link()
    return Shard(made or plan(), 0, link, place), link


def test_what_could_not_be_said_is_said_the_next_time() -> None:
    it, link = shard()
    link.is_full = True
    it.counts.request(ASKED, 0.01)
    it.counts.error("home", "status", "got 500")
    it.progress()
    it.counts.request(ASKED, 0.01)
    it.counts.error("home", "status", "got 500")
    it.progress()
    link.is_full = False
    it.progress()
    it.progress()

    first, second = link.taken
    assert isinstance(first, Progress)
    assert isinstance(second, Progress)
    assert (first.seq, second.seq) == (1, 2)
    assert first.book.timed("request.duration").count == 2
    assert [(told.text, told.count) for told in first.errors] == [("got 500", 2)]
    assert not second.book
    assert first.vitals.rss_bytes > 2**20
    assert first.vitals.fds > 2


def test_the_last_word_is_true_to_the_file(tmp_path: Path) -> None:
    it, link = shard(tmp_path)
    it.counts.request(ASKED, 0.01)
    it.counts.ended("shop", "up", 0.1, 0.1, measured=True)
    it.progress()
    it.counts.request(ASKED, 0.01)
    it.counts.error("home", "status", "got 500")
    it.final()

    final = link.taken[-1]
    assert isinstance(final, Final)
    assert (final.seq, final.why, final.requests, final.iterations) == (2, "completed", 2, 1)
    result = read_result(tmp_path, final)
    assert result.book.timed("request.duration").count == 2
    assert [told.text for told in result.errors] == ["got 500"]
    assert [path.name for path in tmp_path.iterdir()] == ["result-0.json"]


def test_lines_are_bounded_each_second() -> None:
    it, link = shard()
    handler = LogHandler(it)
    for number in range(50):
        handler.handle(logging.LogRecord("x", 40, "f", 1, "line\n%s", (number,), None))
    refuse(link, 0, "no\nplan")

    *lines, final = link.taken
    assert len(lines) == 20
    assert lines[0] == Log(0, "error", "line 0")
    assert isinstance(final, Final)
    assert (final.seq, final.why, final.text) == (1, "plan_error", "no\ufffdplan")


def test_the_first_reason_stays_and_the_shorter_grace_counts() -> None:
    it, _ = shard()
    it.stop("stopped", 50.0, "SIGTERM")
    it.stop("internal", 0.2, "broke")

    assert it._why == "stopped"
    assert it._text == "SIGTERM"
    assert it._grace_at - monotonic() <= 0.2


def test_trouble_ends_the_run_within_a_second_or_two(tmp_path: Path) -> None:
    it, link = shard(tmp_path, plan(graceful_stop_s=30.0))
    it.trouble = lambda: "want no exception, got one"
    crew = Crew()
    crew.desk = desk = DESKS["open"](plan(), 0, it.counts, crew)
    start = Start(0.0)
    telling = threading.Thread(target=it.tell, args=(start,))
    it._desk = desk
    telling.start()
    it.run(desk, start)
    it.end(desk)
    telling.join(3)
    it.over()
    telling.join(3)
    it.final()

    final = link.taken[-1]
    assert isinstance(final, Final)
    assert (final.why, final.text) == ("internal", "want no exception, got one")


def listening(link: Link) -> tuple[Orders, threading.Thread]:
    orders = Orders(link)
    thread = threading.Thread(target=orders.listen, daemon=True)
    thread.start()
    return orders, thread


def test_orders_come_in_their_turn() -> None:
    _, link = shard()
    orders, thread = listening(link)
    link.orders.put(Secrets({"shop": {"pw": "x"}}, {}))
    assert orders.wait_for_secrets().values == {"shop": {"pw": "x"}}
    threading.Timer(0.05, link.orders.put, (Start(3.0),)).start()
    assert orders.wait_for_start() == Start(3.0)
    link.orders.put(None)
    thread.join(2)

    assert orders.is_gone


def test_nobody_left_is_an_end_of_its_own() -> None:
    _, link = shard()
    orders, thread = listening(link)
    link.orders.put(None)
    thread.join(2)

    with pytest.raises(Gone):
        orders.wait_for_secrets()
    with pytest.raises(Gone):
        orders.wait_for_start()


def test_a_stop_before_the_start_begins_nothing() -> None:
    it, link = shard()
    orders, thread = listening(link)
    threading.Timer(0.05, link.orders.put, (Stop("no", 0.0),)).start()

    assert orders.wait_for_start() is None
    died: list[bool] = []
    it.follow(orders, lambda: died.append(True))
    link.orders.put(Stop("later", 1.0))
    link.orders.put(None)
    thread.join(2)

    assert died
    assert it._text == "later"


def test_hello_says_what_it_is() -> None:
    it, link = shard()
    it.hello("text", {"python": "3"}, "ho\nst")

    (hello,) = link.taken
    assert isinstance(hello, Hello)
    assert hello.host == "ho\ufffdst"
    assert len(hello.plan) == 64


def test_a_late_timer_is_felt() -> None:
    pulse = Pulse()
    beats = iter([False, True])
    pulse.beat(lambda: next(beats))
    pulse._lags.append(0.5)
    vitals = pulse.take()

    assert vitals.lag_max_s == 0.5
    assert 0 <= vitals.cpu <= 1
    assert pulse.take().lag_max_s == 0


def test_a_result_can_be_read_as_json(tmp_path: Path) -> None:
    it, _ = shard(tmp_path)
    it.final()

    values = json.loads((tmp_path / "result-0.json").read_text())
    assert not Book.from_dict(values["book"])
