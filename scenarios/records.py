"""What parent and child of a load run say to each other, as frozen values: load.md 7.2.

    child -> parent    Hello, Progress (every second), Log, Final; Offer, Left of other machines
    parent -> child    Secrets, Start, Stop; Bye

The same records travel through a socket pair on one machine and in Locust's messages past it.
Pure. Knows no socket and no process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scenarios.book import Book

Why = Literal["completed", "stopped", "parent_gone", "plan_error", "internal"]


@dataclass(frozen=True, slots=True)
class Hello:
    """The shard is ready, and what it is.

    Args:
        shard: 0 ... shards - 1.
        pid: of the child.
        plan: sha256 of the plan as text.
        versions: of sonde, locust and python.
        host: name of its machine.
    """

    shard: int
    pid: int
    plan: str
    versions: Mapping[str, str] = field(default_factory=dict)
    host: str = ""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the generator itself is, over the last second.

    Args:
        lag_p99_s: by how much a timer of 100 ms came late.
        lag_max_s: at most.
        cpu: cores, 0 to 1.
        rss_bytes: resident memory.
        fds: open descriptors.
    """

    lag_p99_s: float = 0.0
    lag_max_s: float = 0.0
    cpu: float = 0.0
    rss_bytes: int = 0
    fds: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """One distinct error: for people, cleaned, never a label."""

    step: str
    reason: str
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What is new since the record before.

    Args:
        shard: who says it.
        seq: 1, 2, 3 ... without a gap.
        at_s: seconds since the start.
        users: virtual users there are.
        idle: of these wait for work.
        rate: wanted now, of this shard: iterations a second, or users.
        book: what was counted.
        errors: the most frequent ones.
        vitals: of the generator.
        overflow: labels that became ``other``.
    """

    shard: int
    seq: int
    at_s: float
    users: int = 0
    idle: int = 0
    rate: float = 0.0
    book: Book = field(default_factory=Book)
    errors: tuple[Told, ...] = ()
    vitals: Vitals = Vitals()
    overflow: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """A line of the child's log."""

    shard: int
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Final:
    """The last word of a shard: it wrote all it counted into a file, then this.

    Args:
        shard: who says it.
        seq: one more than that of the last `Progress`.
        why: it ended.
        file: of the result, JSON: `Book.as_dict` below ``book``, and ``errors``.
        sha256: of the file.
        requests: in all, to compare with the file.
        iterations: completed, in all.
        text: what a ``plan_error`` or ``internal`` was.
        exit_code: that a locust file asked for (``environment.process_exit_code``).
    """

    shard: int
    seq: int
    why: Why
    file: str = ""
    sha256: str = ""
    requests: int = 0
    iterations: int = 0
    text: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the plan does not say.

    Args:
        values: name of a journey -> name of a secret -> its value.
        environ: what ``${env(...)}`` of the journeys may read.
    """

    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Start:
    """Begin: at this time of the monotonic clock of the machine; 0: now (another machine)."""

    t0: float


@dataclass(frozen=True, slots=True)
class Stop:
    """No new arrivals; running iterations may end within the grace."""

    why: str
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A master of another machine offers a share of its run; the child of a worker says so.

    Args:
        shard: that it is to be.
        plan: as text, without journeys.
    """

    shard: int
    plan: str


@dataclass(frozen=True, slots=True)
class Left:
    """A shard plays no more, or never will: the child of a master or of a worker says so."""

    shard: int
    text: str


@dataclass(frozen=True, slots=True)
class Bye:
    """A shard is to leave, or not to begin: whatever it says from now on is not heard."""

    shard: int
    text: str = ""


Record = Hello | Progress | Log | Final | Secrets | Start | Stop | Offer | Left | Bye
