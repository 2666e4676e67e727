"""The numbers of a LoadReport that every outlet shows, computed once and in one way.

    report ── totals      Totals: requests, failures, iterations, of the measured stages
           ├─ steps       StepRow, ...: one for each step of each journey
           └─ bins        Bin, ...: the timeline in at most so many parts

Pure. Knows no outlet.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from scenarios.book import GOOD, LATE, Book
from scenarios.histogram import Histogram
from scenarios.report import LoadReport, Second


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the measured stages.

    Args:
        seconds: measured; 0: nothing was.
        requests: with every outcome.
        failed: of them down.
        unknown: of them the generator's own fault.
        duration: of the good ones.
        completed: iterations that ended.
        is_open: iterations were due at times of their own, so that some may be dropped.
        due: iterations that should have begun.
        latency: of iterations that went well or were cut off, from the intended start; empty in a
            closed model.
        iteration: durations of those that went well.
        unmeasured: requests of warm-up, setup and drain.
    """

    seconds: float = 0.0
    requests: int = 0
    failed: int = 0
    unknown: int = 0
    duration: Histogram = field(default_factory=Histogram)
    is_open: bool = True
    due: int = 0
    completed: int = 0
    iterations_failed: int = 0
    dropped: int = 0
    interrupted: int = 0
    setup_failed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    iteration: Histogram = field(default_factory=Histogram)
    sent: int = 0
    received: int = 0
    users: int = 0
    unmeasured: int = 0

    @property
    def failed_share(self) -> float | None:
        """0 to 1 of the requests that say something about the target; None: there is none."""
        judged = self.requests - self.unknown
        return self.failed / judged if judged else None

    @property
    def request_rate(self) -> float:
        """A second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def throughput(self) -> float:
        """Completed iterations a second."""
        return self.completed / self.seconds if self.seconds else 0.0


def totals(report: LoadReport) -> Totals:
    """Return the totals of the measured stages."""
    book = report.book
    number = Counter[str]()
    for outcome, histogram in _measured(book, "request.duration"):
        number[outcome] += histogram.count
    return Totals(
        seconds=_measured_seconds(report),
        requests=number.total(),
        failed=number["down"],
        unknown=number["unknown"],
        duration=_of(book, "request.duration", GOOD),
        is_open=report.plan is None or report.plan.model == "open",
        due=book.total("iteration.due", measured=True),
        completed=book.total("iteration.completed", measured=True),
        iterations_failed=book.total("iteration.failed", measured=True),
        dropped=book.total("iteration.dropped", measured=True),
        interrupted=book.total("iteration.interrupted", measured=True),
        setup_failed=book.total("setup.failed"),
        latency=_of(book, "iteration.latency", LATE),
        iteration=_of(book, "iteration.duration", GOOD),
        sent=book.total("data.sent", measured=True),
        received=book.total("data.received", measured=True),
        users=max((it.users for it in report.timeline), default=0),
        unmeasured=book.timed("request.duration", measured=False).count,
    )


def _measured(book: Book, metric: str) -> list[tuple[str, Histogram]]:
    """Return the measured durations of *metric* with their outcomes."""
    return [
        (key.outcome, it)
        for key, it in book.durations.items()
        if key.metric == metric and key.measured
    ]


def _of(book: Book, metric: str, outcomes: Collection[str]) -> Histogram:
    """Return what a threshold over *metric* looks at, so that both tell the same number."""
    found = Histogram()
    for outcome, histogram in _measured(book, metric):
        if outcome in outcomes:
            found.merge(histogram)
    return found


def _measured_seconds(report: LoadReport) -> float:
    """Return how long was measured: what was planned, as far as the run came."""
    plan = report.plan
    if plan is None or not plan.stages:
        return report.seconds
    begin = found = 0.0
    for stage in plan.stages:
        end = min(begin + stage.seconds, report.seconds)
        if stage.is_measured:
            found += max(0.0, end - begin)
        begin += stage.seconds
    return found


@dataclass(slots=True)
class StepRow:
    """One step of one journey, measured requests only.

    Args:
        duration: of the good ones.
        reasons: why the others failed -> how many.
    """

    journey: str
    step: str
    methods: set[str] = field(default_factory=set)
    requests: int = 0
    failed: int = 0
    unknown: int = 0
    duration: Histogram = field(default_factory=Histogram)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def failed_share(self) -> float | None:
        """0 to 1; None: no request says anything about the target."""
        judged = self.requests - self.unknown
        return self.failed / judged if judged else None

    @property
    def method(self) -> str:
        """Of all its requests; empty where nobody said it."""
        return "/".join(sorted(self.methods))


def steps(report: LoadReport) -> list[StepRow]:
    """Return the steps in the order of the plan's journeys, else by name."""
    found: dict[tuple[str, str], StepRow] = {}
    for key, histogram in report.book.durations.items():
        if key.metric != "request.duration" or not key.measured:
            continue
        row = found.setdefault((key.journey, key.step), StepRow(key.journey, key.step))
        row.requests += histogram.count
        row.methods |= {key.method} - {""}
        if key.outcome in GOOD:
            row.duration.merge(histogram)
        elif key.outcome == "unknown":
            row.unknown += histogram.count
        else:
            row.failed += histogram.count
    for key, number in report.book.numbers.items():
        it = found.get((key.journey, key.step))
        if it and key.metric == "request.failed" and key.measured and key.reason:
            it.reasons[key.reason] = it.reasons.get(key.reason, 0) + number
    order = _order(report)
    return sorted(
        found.values(), key=lambda it: (*order.get((it.journey, it.step), _LAST), it.step)
    )


def worst(rows: Sequence[StepRow], most: int) -> list[StepRow]:
    """Return at most *most* steps in their order: those that failed most, then the slowest."""
    order = sorted(
        range(len(rows)),
        key=lambda at: (rows[at].failed_share or 0.0, rows[at].duration.quantile(0.95)),
        reverse=True,
    )
    return [rows[at] for at in sorted(order[:most])]


_LAST = (10**6, 10**6)


def _order(report: LoadReport) -> dict[tuple[str, str], tuple[int, int]]:
    plan = report.plan
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for major, part in enumerate(plan.mix if plan else ()):
        keys = plan.journeys.get(part.name) if plan else None
        minor = 0
        for block in ("setup", "steps", "cleanup"):
            written = keys.get(block) if isinstance(keys, dict) else None
            for it in written if isinstance(written, list) else []:
                if isinstance(it, dict) and isinstance(it.get("name"), str):
                    found.setdefault((part.name, it["name"]), (major, minor))
                minor += 1
    return found


@dataclass(frozen=True, slots=True)
class Bin:
    """Some seconds of the timeline: rates are means, delays are the worst.

    Args:
        at: begin.
        seconds: its length.
    """

    at: float
    seconds: float
    wanted: float
    started: float
    completed: float
    dropped: float
    requests: float
    failures: float
    users: int
    busy: int
    p50: float | None
    p95: float | None
    p99: float | None
    latency_p99: float | None
    lag_p99: float
    cpu: float


def bins(timeline: Sequence[Second], most: int) -> list[Bin]:
    """Return the timeline in at most *most* parts of equally many seconds."""
    if not timeline:
        return []
    width = -(-len(timeline) // most)
    return [_bin(timeline[at : at + width]) for at in range(0, len(timeline), width)]


def _bin(some: Sequence[Second]) -> Bin:
    seconds = sum(it.seconds for it in some)

    def mean(name: str) -> float:
        return float(sum(getattr(it, name) for it in some)) / seconds

    def greatest(name: str) -> float | None:
        found = [value for it in some if (value := getattr(it, name)) is not None]
        return max(found, default=None)

    # the median of medians: the worst of them would lie above the p95 of the others
    medians = sorted(it.p50 for it in some if it.p50 is not None)
    return Bin(
        at=float(some[0].at),
        seconds=float(seconds),
        wanted=sum(it.rate * it.seconds for it in some) / seconds,
        started=mean("started"),
        completed=mean("completed"),
        dropped=mean("dropped"),
        requests=mean("requests"),
        failures=mean("failures"),
        users=max(it.users for it in some),
        busy=max(it.users - it.idle for it in some),
        p50=medians[len(medians) // 2] if medians else None,
        p95=greatest("p95"),
        p99=greatest("p99"),
        latency_p99=greatest("latency_p99"),
        lag_p99=max(it.lag_p99 for it in some),
        cpu=max(it.cpu for it in some),
    )
