"""Invented load reports as real runs leave them: passed, failed by a stall, half lost, refused.

Each is built from its seconds, so that book, timeline and verdict tell the same story.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from scenarios.book import Book, Key
from scenarios.histogram import Histogram
from scenarios.plan import Fences, Part, Plan, Pool, Stage
from scenarios.records import Told
from scenarios.report import (
    Compared,
    Comparison,
    Generator,
    Judged,
    LoadReport,
    Second,
    Verdict,
    Why,
)

STARTED = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
# (step, method, typical seconds)
CHECKOUT = (
    ("login", "POST", 0.060),
    ("catalogue", "GET", 0.024),
    ("add-to-cart", "POST", 0.035),
    ("pay", "POST", 0.110),
)
SEARCH = (("search", "GET", 0.045), ("product", "GET", 0.018))
LIMITS = {"request.duration": (300_000,), "iteration.latency": (1_000_000,)}


def plan(**changes: object) -> Plan:
    """Return an open plan of two minutes over two journeys."""
    made = Plan(
        run_id="20260314T092653-7c1e",
        scenario="shop-evening",
        target="https://shop.test",
        model="open",
        stages=(
            Stage(10, 0, 20, warmup=True),
            Stage(60, 20, 20),
            Stage(20, 20, 40),
            Stage(30, 40, 40),
        ),
        mix=(Part("checkout", 4), Part("search", 1)),
        pool=Pool(10, 200),
        shards=2,
        seed=42,
        variables={"currency": "EUR"},
        journeys={
            "checkout": {"steps": [{"name": name, "url": f"/{name}"} for name, *_ in CHECKOUT]},
            "search": {"steps": [{"name": name, "url": f"/{name}"} for name, *_ in SEARCH]},
        },
        directory="/srv/shop",
        fences=Fences(allow=("shop.test",)),
        limits=LIMITS,
        requests_per_iteration=3.6,
        config_hash="b1946ac92492d2347c6235b4d2611184",
    )
    return replace(made, **changes)  # type: ignore[arg-type] # rows of tests


@dataclass
class Now:
    """What one second of a story has counted."""

    left: int = 0
    requests: Histogram = field(default_factory=Histogram)
    latency: Histogram = field(default_factory=Histogram)
    counted: Counter[str] = field(default_factory=Counter)


@dataclass
class Story:
    """What happens in one run, second by second."""

    plan: Plan
    seed: int = 7
    stall: range = range(0)
    lost_at: int = 10**6
    book: Book = field(default_factory=lambda: Book(LIMITS))
    timeline: list[Second] = field(default_factory=list)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - no secret

    def tell(self, seconds: int | None = None) -> None:
        for at in range(round(self.plan.seconds) if seconds is None else seconds):
            self._second(at)

    def _stage(self, at: int) -> tuple[Stage, float]:
        begin = 0.0
        for stage in self.plan.stages:
            if at < begin + stage.seconds:
                done = (at + 0.5 - begin) / stage.seconds
                return stage, stage.first + (stage.last - stage.first) * done
            begin += stage.seconds
        raise AssertionError("past the end")

    def _second(self, at: int) -> None:
        stage, rate = self._stage(at)
        lost = at >= self.lost_at
        due = round(rate * (0.5 if lost else 1))
        stalled = at in self.stall
        left = self.stall.stop - at if stalled else 0
        now = Now(left)
        dropped = max(0, due - 6) if stalled and at - self.stall.start > 3 else 0
        for _ in range(due - dropped):
            name, steps = ("search", SEARCH) if self.dice.random() < 0.2 else ("checkout", CHECKOUT)
            self._iteration(name, steps, stage.is_measured, now)
        measured = stage.is_measured
        for metric, number in (("due", due), ("started", due - dropped), ("dropped", dropped)):
            self.book.count(Key(f"iteration.{metric}", "checkout", measured=measured), number)
        users = 10 if not self.timeline else self.timeline[-1].users
        busy = min(200, round(rate * 0.35) + (at - self.stall.start + 1) * 18 * stalled)
        users = max(users, busy + 2)
        self.timeline.append(
            Second(
                at=at,
                due=due,
                started=due - dropped,
                completed=0 if stalled and left > 1 else due - dropped,
                failed=now.counted["failed"],
                dropped=dropped,
                requests=now.counted["requests"] // (1 + 3 * stalled),
                failures=now.counted["failures"],
                users=users,
                idle=max(0, users - busy),
                rate=rate,
                p50=now.requests.quantile(0.5) if now.requests.count else None,
                p95=now.requests.quantile(0.95) if now.requests.count else None,
                p99=now.requests.quantile(0.99) if now.requests.count else None,
                latency_p99=now.latency.quantile(0.99) if now.latency.count else None,
                lag_p99=0.0015 + self.dice.random() ** 4 * 0.012 + 0.004 * stalled,
                cpu=min(0.95, 0.06 + rate * 0.008 * (1 + lost) + self.dice.random() * 0.03),
                is_measured=measured,
            )
        )

    def _iteration(
        self, name: str, steps: tuple[tuple[str, str, float], ...], measured: bool, now: Now
    ) -> None:
        took, outcome = 0.0, "up"
        wait = max(0.0, now.left - self.dice.random())
        for step, method, typical in steps:
            seconds = typical * self.dice.lognormvariate(0, 0.35)
            if step == "pay" and self.dice.random() < 0.01:
                seconds += 0.25
            seconds, wait = seconds + wait, 0.0
            outcome, code, reason = self._outcome(step, seconds)
            key = Key("request.duration", name, step, method, code, outcome, "", measured)
            self.book.time(key, seconds)
            now.counted["requests"] += 1
            took += seconds
            if outcome == "down":
                now.counted["failures"] += 1
                self.book.count(key._replace(metric="request.failed", reason=reason), 1)
                self.reasons[(step, reason)] += 1
                break
            now.requests.add(seconds)
            self.book.count(Key("data.received", name, step, measured=measured), 4200)
            self.book.count(Key("data.sent", name, step, measured=measured), 610)
        now.latency.add(took)
        key = Key("iteration.duration", name, outcome=outcome, measured=measured)
        self.book.time(key, took)
        self.book.time(key._replace(metric="iteration.latency"), took + 0.0004)
        self.book.time(Key("start.delay", name, measured=measured), 0.0004)
        self.book.count(Key("iteration.completed", name, measured=measured))
        if outcome == "down":
            now.counted["failed"] += 1
            self.book.count(Key("iteration.failed", name, measured=measured))

    def _outcome(self, step: str, seconds: float) -> tuple[str, str, str]:
        if seconds > 3.0:
            return "down", "none", "timeout"
        if seconds > 1.2 and step == "pay":
            return "down", "5xx", "status"
        if step == "pay" and self.dice.random() < 0.002:
            return "down", "4xx", "status"
        return "up", "2xx", ""


TEXTS = {
    ("pay", "status"): "want status 2xx, got 402",
    ("login", "timeout"): "want an answer within 3 s, got none",
    ("search", "timeout"): "want an answer within 3 s, got none",
}


def errors(story: Story) -> tuple[Told, ...]:
    return tuple(
        Told(step, reason, TEXTS.get((step, reason), "want status 2xx, got 503"), number)
        for (step, reason), number in story.reasons.most_common()
    )


def judged(expr: str, value: float | None, limit: float, unit: str, **changes: object) -> Judged:
    result = "no_data" if value is None else "ok" if value < limit else "breach"
    made = Judged(expr, "fail", value, limit, unit, result)  # type: ignore[arg-type] # of three
    return replace(made, **changes)  # type: ignore[arg-type] # rows of tests


def thresholds(story: Story) -> tuple[Judged, ...]:
    book = story.book
    good = book.timed("request.duration", outcome="up", measured=True)
    pay = book.timed("request.duration", step="pay", outcome="up", measured=True)
    failed = book.total("request.failed", measured=True)
    dropped = book.total("iteration.dropped", measured=True)
    latency = book.timed("iteration.latency", measured=True)
    every = good.count + failed
    return (
        judged("p95(request.duration) < 300ms", good.quantile(0.95), 0.3, "s"),
        judged('p99(request.duration{step="pay"}) < 800ms', pay.quantile(0.99), 0.8, "s"),
        judged("p99(iteration.latency) < 1s", latency.quantile(0.99), 1.0, "s"),
        judged("rate(request.failed) < 1%", 100 * failed / every if every else None, 1.0, "%"),
        judged("p99(start.delay) < 5ms", 0.0004, 0.005, "s", level="warn"),
        judged(
            "count(iteration.dropped) == 0",
            float(dropped),
            0.0,
            "",
            is_implicit=True,
            result="breach" if dropped else "ok",
        ),
    )


BEFORE = (
    ("p50(request.duration)", 0.5, 0.042),
    ("p95(request.duration)", 0.95, 0.139),
    ("p99(request.duration)", 0.99, 0.207),
    ("p99(iteration.latency)", 0.99, 0.402),
)


def comparison(story: Story) -> Comparison:
    stats = []
    for stat, quantile, was in BEFORE:
        metric = stat[4:-1]
        now = story.book.timed(metric, outcome="up", measured=True).quantile(quantile)
        if metric == "iteration.latency":
            now = story.book.timed(metric, measured=True).quantile(quantile)
        ratio = now / was - 1
        stats.append(
            Compared(
                stat,
                now,
                was,
                "s",
                ratio,
                ratio > 0.15 and now - was > 0.02,
                0.15,
                0.02,
            )
        )
    stats.append(Compared("rate(request.failed)", 0.19, 0.21, "%", -0.095, False, 0.1, 0.5))
    stats.append(Compared("avg(throughput)", 25.0, 24.9, "/s", -0.004))
    return Comparison("last_pass", "20260313T092651-19af", "", tuple(stats))


def generators(story: Story, **second: object) -> tuple[Generator, ...]:
    requests = story.book.timed("request.duration").count
    one = Generator(
        0, "ci-runner-4", "final", "completed", 0.41, 0.0134, 71_000_000, 88, 0, 120, requests // 2
    )
    other = Generator(
        1, "ci-runner-4", "final", "completed", 0.43, 0.0121, 70_400_000, 91, 0, 120,
        requests - requests // 2,
    )  # fmt: skip
    return one, replace(other, **second)  # type: ignore[arg-type] # rows of tests


def report(
    story: Story, verdict: Verdict, code: int, *reasons: Why, **changes: object
) -> LoadReport:
    seconds = float(len(story.timeline))
    made = LoadReport(
        scenario=story.plan.scenario,
        run_id=story.plan.run_id,
        verdict=verdict,
        exit_code=code,
        reasons=reasons,
        started_at=STARTED,
        ended_at=STARTED + timedelta(seconds=seconds, milliseconds=412),
        seconds=seconds,
        plan=story.plan,
        target=story.plan.target,
        config_hash=story.plan.config_hash,
        git_ref="main",
        versions={"sonde": "1.0.0", "locust": "2.47.0", "python": "3.11.7"},
        book=story.book,
        errors=errors(story),
        thresholds=thresholds(story),
        generators=generators(story),
        timeline=tuple(story.timeline),
    )
    return replace(made, **changes)  # type: ignore[arg-type] # rows of tests


@cache
def passed() -> LoadReport:
    """A good run with a baseline and a little failure that is allowed."""
    story = Story(plan())
    story.tell()
    return report(
        story,
        Verdict.PASS,
        0,
        comparison=comparison(story),
        notes=("journey search: step like is left out (load: skip)",),
    )


@cache
def stalled() -> LoadReport:
    """The target stands still for eight seconds: arrivals go on, so everybody sees it."""
    story = Story(plan(), stall=range(62, 70))
    story.tell()
    made = report(story, Verdict.FAIL, 1, comparison=comparison(story))
    reasons = tuple(
        Why(Verdict.FAIL, "threshold", f"want {it.expr}, got {it.value:.4g}{it.unit}")
        for it in made.thresholds
        if it.result == "breach" and it.value is not None
    )
    regression = Why(
        Verdict.FAIL,
        "regression",
        "p99(iteration.latency): want at most 15 % more than 402 ms, got 6.6 s",
    )
    return replace(made, reasons=(*reasons, regression))


@cache
def half_lost() -> LoadReport:
    """One of two generators was killed in the middle."""
    story = Story(plan(), lost_at=71)
    story.tell()
    return report(
        story,
        Verdict.INCONCLUSIVE,
        3,
        Why(
            Verdict.INCONCLUSIVE,
            "shard_lost",
            "shard 1: want a final record, got none: killed by signal 9 after 71 s",
        ),
        generators=generators(
            story, state="lost", why="killed by signal 9 (no memory?)", seconds=71, requests=3101,
            cpu=0.88, lag_p99_s=0.071, saturated_seconds=9, records_lost=2,
        ),
        comparison=Comparison("ref:main", missing="no passing run with this config hash"),
        thresholds=(
            *thresholds(story),
            judged('p95(request.duration{step="refund"}) < 1s', None, 1.0, "s"),
        ),
    )  # fmt: skip


@cache
def refused() -> LoadReport:
    """Nothing was sent: the target is protected."""
    return LoadReport(
        scenario="shop-evening",
        run_id="20260314T092653-0b0b",
        verdict=Verdict.REFUSED,
        exit_code=4,
        reasons=(
            Why(
                Verdict.REFUSED,
                "protected",
                "want --yes-load shop.example for a protected host, got none",
            ),
        ),
        started_at=STARTED,
        ended_at=STARTED,
        target="https://shop.example",
        resolved={"shop.example": ("192.0.2.10", "2001:db8::10")},
        versions={"sonde": "1.0.0"},
    )


@cache
def small() -> LoadReport:
    """Eight seconds, with something in every part: for tests that make many."""
    story = Story(plan(stages=(Stage(2, 4, 4, warmup=True), Stage(6, 4, 4))), stall=range(4, 7))
    story.tell()
    return report(
        story,
        Verdict.FAIL,
        1,
        Why(Verdict.FAIL, "threshold", "want p99(iteration.latency) < 1s, got 2.6s"),
        comparison=comparison(story),
        errors=(Told("login", "timeout", "want an answer within 3 s, got none", 3),),
        generators=generators(story, state="lost", why="killed by signal 9", seconds=5),
        notes=("one note",),
        resolved={"shop.test": ("192.0.2.1",)},
    )


@cache
def closed() -> LoadReport:
    """Four users without a pause: no arrivals are due, so none is dropped."""
    made = passed()
    assert made.plan is not None
    users = replace(
        made.plan, model="closed", users=4, stages=(Stage(10, 0, 4, warmup=True), Stage(110, 4, 4))
    )
    book = Book(LIMITS)
    for key, histogram in made.book.durations.items():
        if key.metric != "iteration.latency":
            book.durations[key] = histogram
    for key, number in made.book.numbers.items():
        if key.metric != "iteration.dropped":
            book.numbers[key] = number
    seconds = tuple(
        replace(it, due=0, rate=min(4.0, it.at * 0.4), users=4, idle=0, latency_p99=None)
        for it in made.timeline
    )
    return replace(made, plan=users, book=book, timeline=seconds)


EVERY = {"passed": passed, "stalled": stalled, "half_lost": half_lost, "refused": refused}
