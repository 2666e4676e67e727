"""What came of a load run, as one frozen value that every outlet reads.

    LoadReport
    ├── verdict, reasons          what decided, and all that was found
    ├── book, errors              what was counted, of all shards
    ├── thresholds                Judged, ...
    ├── baseline                  Comparison or None
    ├── generators                Generator, ...: one a shard
    └── timeline                  Second, ...

Pure. Knows no outlet and no child.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from scenarios.book import Book
from scenarios.plan import Plan
from scenarios.records import Told

SCHEMA = 1
# load.md 10.1: a generator that was too busy in more of its seconds has measured itself.
SATURATED_SHARE = 0.10


class Verdict(StrEnum):
    """How a run ended."""

    PASS = "pass"  # noqa: S105 - no password, the word of product.md
    FAIL = "fail"
    ABORTED = "aborted"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


# product.md, load.md 10.3; a signal exits with 130 or 143.
EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.PASS: 0,
    Verdict.FAIL: 1,
    Verdict.ABORTED: 1,
    Verdict.INCONCLUSIVE: 3,
    Verdict.REFUSED: 4,
}

Level = Literal["fail", "warn"]
Outcome = Literal["ok", "breach", "no_data"]


@dataclass(frozen=True, slots=True)
class Why:
    """One thing that was found, in one sentence.

    Args:
        verdict: that it would mean by itself.
        code: one word for labels: ``threshold``, ``zero_requests``, ``shard_lost``, ``denied`` ...
        text: for people: want X, got Y.
    """

    verdict: Verdict
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold and what it was held against.

    Args:
        expr: normalised.
        level: whether a breach fails the run.
        value: in the unit of ``unit``; None: no data.
        limit: in the same unit.
        unit: s, %, /s, B or empty.
        result: ok, breach or no_data.
        aborted: it ended the run.
        is_implicit: nobody wrote it.
    """

    expr: str
    level: Level
    value: float | None
    limit: float
    unit: str
    result: Outcome
    aborted: bool = False
    is_implicit: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """One statistic beside that of the baseline.

    Args:
        stat: ``p95(request.duration)`` ...
        value: of this run; None: no data.
        before: of the baseline.
        unit: s, %, /s, B or empty.
        ratio: of the worsening: 0.15 is 15 % worse, negative is better.
        is_regression: worse by both tolerances.
        worse_by: relative tolerance; None: it is shown, not judged.
        and_at_least: absolute tolerance, in ``unit``.
    """

    stat: str
    value: float | None
    before: float | None
    unit: str
    ratio: float | None = None
    is_regression: bool = False
    worse_by: float | None = None
    and_at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run beside a baseline.

    Args:
        source: ``last_pass``, ``ref:main`` ...
        run_id: of the baseline; empty: there is none.
        missing: why there is none; empty: there is one.
        stats: side by side.
    """

    source: str
    run_id: str = ""
    missing: str = ""
    stats: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class Generator:
    """A shard, and how it fared.

    Args:
        shard: number.
        host: its machine.
        state: ``final``, ``lost`` or ``never`` (it never said hello).
        why: it was lost, or what its `Final` said.
        cpu: greatest of a second.
        lag_p99_s: greatest of a second.
        rss_bytes: greatest.
        fds: greatest.
        saturated_seconds: of them it was too busy to measure.
        seconds: that it was heard of.
        requests: that it made.
        records_lost: gaps in what it said.
        overflow: labels that became ``other``.
    """

    shard: int
    host: str = ""
    state: Literal["final", "lost", "never"] = "never"
    why: str = ""
    cpu: float = 0.0
    lag_p99_s: float = 0.0
    rss_bytes: int = 0
    fds: int = 0
    saturated_seconds: int = 0
    seconds: int = 0
    requests: int = 0
    records_lost: int = 0
    overflow: int = 0

    @property
    def is_saturated(self) -> bool:
        """Whether too many of its seconds were too busy to measure."""
        return bool(self.seconds) and self.saturated_seconds / self.seconds > SATURATED_SHARE


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a run, of all shards; ``at`` counts from the start.

    A long run has wider steps, of so many ``seconds``: counts are of all of them, the rest is the
    worst. Durations are seconds, those of requests that were up or degraded; None: there was none.
    """

    at: int
    due: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    dropped: int = 0
    requests: int = 0
    failures: int = 0
    users: int = 0
    idle: int = 0
    rate: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    latency_p99: float | None = None
    lag_p99: float = 0.0
    cpu: float = 0.0
    is_measured: bool = True
    seconds: int = 1


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came of a run.

    Args:
        scenario: its name.
        run_id: unique.
        verdict: the one that won (load.md 10.3).
        exit_code: of ``sonde load``.
        reasons: everything that was found, what decided first.
        started_at: when the first request could go out; of a refused run, when it was refused.
        ended_at: aware, UTC.
        seconds: by the monotonic clock, from start to the end of the last stage or the stop.
        plan: what was to be done; None: it was refused before there was one.
        target: for people, secrets starred.
        config_hash: see load.md 10.2.
        git_ref: of the probe file's directory; empty: no repository.
        versions: of sonde, locust, python.
        book: what was counted.
        errors: distinct ones, the most frequent first.
        thresholds: implicit ones last.
        comparison: with a baseline.
        generators: one a shard.
        timeline: one a second; of a long run one for several.
        notes: warnings that decide nothing.
        resolved: host -> addresses, of ``--dry-run`` and refusals.
    """

    scenario: str
    run_id: str
    verdict: Verdict
    exit_code: int
    reasons: tuple[Why, ...]
    started_at: datetime
    ended_at: datetime
    seconds: float = 0.0
    plan: Plan | None = None
    target: str = ""
    config_hash: str = ""
    git_ref: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    errors: tuple[Told, ...] = ()
    thresholds: tuple[Judged, ...] = ()
    comparison: Comparison | None = None
    generators: tuple[Generator, ...] = ()
    timeline: tuple[Second, ...] = ()
    notes: tuple[str, ...] = ()
    resolved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
