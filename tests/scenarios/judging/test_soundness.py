"""Whether a verdict is true: books that lie, and what each of them must never be called."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from scenarios.book import Book, Key
from scenarios.judging.figures import Windows
from scenarios.judging.rules import Rule, implicit, judge_all
from scenarios.judging.verdict import Findings, judge
from scenarios.plan import Stage
from scenarios.report import Generator
from scenarios.thresholds import limits_of, parse

FINAL = Generator(0, state="final", seconds=100)
P95 = "p95(request.duration) < 400ms"
RATE = "rate(request.failed) < 1%"
LATENCY = "p95(iteration.latency) < 400ms"
BROKEN = "rate(iteration.failed) < 1%"


class Lies:
    """A book that is written line by line."""

    def __init__(self, *written: str) -> None:
        self.book = Book(limits_of(map(parse, written)))

    def requests(self, number: int, outcome: str = "up", code: str = "2xx", **more: Any) -> "Lies":
        """Write requests of 100 ms; `seconds`, `measured`, `step` and `journey` are asked of."""
        seconds = more.pop("seconds", 0.1)
        labels: dict[str, Any] = {"journey": "shop", "step": "home", "method": "GET", **more}
        key = Key("request.duration", code=code, outcome=outcome, **labels)
        for _ in range(number):
            self.book.time(key, seconds)
        if number and outcome in ("down", "unknown"):
            failed = key._replace(metric="request.failed", reason="status")
            self.book.count(failed, number)
        return self

    def iterations(self, number: int, outcome: str = "up", **more: Any) -> "Lies":
        """Write iterations of 200 ms that were due, begun, and came to *outcome*."""
        seconds, journey = more.pop("seconds", 0.2), more.pop("journey", "shop")
        measured = more.pop("measured", True)
        ended = "interrupted" if outcome == "interrupted" else "completed"
        words = ["due", "started", ended, *(["failed"] if outcome == "down" else [])]
        for word in words:
            self.book.count(Key(f"iteration.{word}", journey, measured=measured), number)
        for metric in ("iteration.duration", "iteration.latency"):
            for _ in range(number):
                self.book.time(Key(metric, journey, outcome=outcome, measured=measured), seconds)
        return self

    def count(self, metric: str, number: int, journey: str = "shop", **more: Any) -> "Lies":
        """Write a number."""
        self.book.count(Key(metric, journey, **more), number)
        return self


def lies(*written: str) -> Lies:
    return Lies(*written)


def row(
    title: str, book: Lies, written: Iterable[str], verdict: str, text: str, **more: Any
) -> Any:
    return pytest.param(book.book, list(written), verdict, text, more, id=title)


ROWS = [
    row("all is well", lies(P95).requests(9).iterations(9), [P95, RATE], "pass", ""),
    row("an empty book", lies(), [], "inconclusive", "want at least 1 request, got 0"),
    row("all failed and no rule asks", lies().requests(9, "down", "5xx").iterations(9, "down"),
        [], "inconclusive", "want at least 1 iteration to go well, got 0 of 9"),
    row("all failed, a trend of successes alone is asked",
        lies(P95).requests(9, "down", "5xx").iterations(9, "down"), [P95],
        "inconclusive", "no samples"),
    row("all failed and a rule asks", lies().requests(9, "down", "5xx").iterations(9, "down"),
        [RATE], "fail", f"want {RATE}, got 100%"),
    row("all failed in a way that a rule allows",
        lies().requests(9, "down", "5xx").iterations(9, "down"), ["rate(request.failed) <= 100%"],
        "inconclusive", "to go well"),
    row("the first step is up, the second never", lies().requests(9).requests(9, "down", step="pay")
        .iterations(9, "down"), [], "inconclusive", "to go well"),
    row("fast failures do not hide slow answers",
        lies(P95).requests(99, "down", seconds=0.001).requests(1, seconds=5).iterations(99, "down")
        .iterations(1), [P95], "fail", f"want {P95}, got 5"),
    row("slow failures do not blame fast answers",
        lies(P95).requests(9, "down", seconds=9).requests(9).iterations(9).iterations(9, "down"),
        [P95], "pass", "want a threshold such as rate(request.failed) < 1%, got none, and 9 of 18"),
    row("failures that a threshold allows", lies().requests(1, "down").requests(199).iterations(9),
        [RATE], "pass", ""),
    row("our own fault in every iteration, in one request of a hundred",
        lies().requests(990).requests(10, "unknown").iterations(10, "unknown"), [BROKEN],
        "inconclusive", f"want {BROKEN}, got no samples"),
    row("our own fault thins no rate", lies().requests(1990).requests(10, "unknown")
        .requests(10, "down").iterations(10, "unknown").iterations(90).iterations(10, "down"),
        ["rate(iteration.failed) < 9.5%"], "fail", "got 10%"),
    row("more of our own fault than 1 %", lies().requests(98).requests(2, "unknown").iterations(98),
        [RATE], "inconclusive", "our own fault, got 2%"),
    row("all of it warm-up", lies().requests(9, measured=False).iterations(9, measured=False),
        [], "inconclusive", "want at least 1 measured iteration, got 0"),
    row("a bad warm-up", lies(P95).requests(99, "down", measured=False, seconds=9)
        .iterations(99, "down", measured=False).requests(9).iterations(9), [P95, RATE], "pass", ""),
    row("every iteration hung and was cut off",
        lies(LATENCY).requests(9).iterations(9, "interrupted", seconds=30), [LATENCY],
        "inconclusive", "want at least 1 measured iteration, got 0"),
    row("most iterations hung and were cut off",
        lies(LATENCY).requests(9).iterations(8, "interrupted", seconds=30).iterations(1), [LATENCY],
        "fail", f"want {LATENCY}, got 29.95s"),
    row("arrivals were dropped, and those that came were fast",
        lies(P95).requests(9).iterations(9).count("iteration.dropped", 1), [P95], "fail",
        "want count(iteration.dropped) == 0, got 1"),
    row("drops of one journey are allowed, another dropped",
        lies().requests(9).iterations(9).iterations(9, journey="b")
        .count("iteration.dropped", 1, "b"), ['rate(iteration.dropped{journey="shop"}) < 50%'],
        "fail", 'want count(iteration.dropped{journey="b"}) == 0, got 1'),
    row("nobody of one journey could log in", lies().requests(9).iterations(9)
        .count("setup.failed", 5, "b", step="login"), [], "fail", "the set-up failed at 'login'"),
    row("nobody of one journey could log in, a rule looks at another",
        lies().requests(9).iterations(9).count("setup.done", 1)
        .count("setup.failed", 5, "b", step="login"), ['rate(setup.failed{journey="shop"}) < 9%'],
        "fail", "the set-up failed at 'login'"),
    row("a share among those that failed", lies().requests(9).iterations(9),
        ['rate(request.failed{code_class="5xx"}) < 1%'], "inconclusive", "no samples"),
    row("how many of those that failed", lies().requests(9).iterations(9),
        ['count(request.failed{code_class="5xx"}) == 0'], "pass", ""),
    row("one microsecond above in a bucket of thousands",
        lies("p100(request.duration) <= 400ms").requests(999).requests(1, seconds=0.400001)
        .iterations(1000), ["p100(request.duration) <= 400ms"], "fail", "0.400001s"),
    row("too few", lies().requests(9).iterations(9), [RATE], "inconclusive",
        "want at least 10 measured requests, got 9", min_samples=10),
    row("half of the load was lost", lies(P95).requests(9).iterations(9), [P95], "inconclusive",
        "want 2 shards, got word of 1", shards=2),
    row("a warning that is broken", lies(P95).requests(9, seconds=1).iterations(9), [P95], "pass",
        f"want {P95}, got 1s", level="warn"),
]  # fmt: skip


@pytest.mark.parametrize(("book", "written", "verdict", "text", "more"), ROWS)
def test_a_verdict_is_true(
    book: Book, written: list[str], verdict: str, text: str, more: dict[str, Any]
) -> None:
    rules = tuple(Rule(parse(it), more.get("level", "fail")) for it in written)
    every = (*rules, *implicit(rules, "open", book))
    judged = judge_all(every, book, Windows((Stage(20, 5, 5),)), 20.0)

    found = Findings(book=book, generators=(FINAL,), judged=judged)
    more = {key: it for key, it in more.items() if key != "level"}
    judgement = judge(replace(found, **more))

    told = [it.text for it in judgement.reasons]
    assert (judgement.verdict.value, bool(told)) == (verdict, bool(text)), told
    assert not text or any(text in it for it in told), told
