"""Which shards of a load run there are, and what each has done: said hello, told, ended, got lost.

    waiting ──Hello──> ready ──Progress, ...──> final
       └──────────────────┴─────────────────────> lost     whatever else: it stays so

A shard is believed only while its records follow each other. Pure: the time is given. Knows no
process and no socket.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from probes.units import short
from scenarios.records import Final, Hello, Left, Log, Progress

# load.md 7.2: a shard says something every second.
SILENCE_S = 5.0
# A clock of another machine that has run ahead so far is no clock.
AHEAD_S = 5.0

Report = Hello | Progress | Log | Final | Left
State = Literal["waiting", "ready", "final", "lost"]


@dataclass(frozen=True, slots=True)
class Lost:
    """A shard that is lost, and why."""

    shard: int
    text: str


@dataclass(slots=True)
class Shard:
    """One shard.

    Args:
        number: 0, 1, ...
    """

    number: int
    state: State = "waiting"
    hello: Hello | None = None
    final: Final | None = None
    seq: int = 0
    missing: int = 0
    """Records before the one that was refused that never came."""
    heard_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether more is to come of it."""
        return self.state in ("waiting", "ready")


class Roll:
    """All shards of one run.

    Args:
        shards: how many.
        plan: sha256 of the plan that each must have.
    """

    silence_s = SILENCE_S

    def __init__(self, shards: int, plan: str) -> None:
        self.shards = {number: Shard(number) for number in range(shards)}
        self.lost: list[Lost] = []
        self._plan = plan
        self._t0: float | None = None

    def begin(self, t0: float) -> None:
        """Note when the run begins: silence counts from there."""
        self._t0 = t0
        for shard in self.shards.values():
            shard.heard_at = max(shard.heard_at, t0)

    def hear(self, record: Report, now: float) -> None:
        """Note a record of a shard that is not lost.

        Raises:
            ValueError: it does not follow what was said before, or says that the shard is gone.
        """
        if isinstance(record, Left):
            raise ValueError(record.text)  # noqa: TRY004 - of whoever says it
        shard = self.shards[record.shard]
        shard.heard_at = max(shard.heard_at, now)
        if isinstance(record, Hello):
            self._greet(shard, record)
        elif isinstance(record, Progress):
            self._follow(shard, record.seq)
            self._check_time(record, now)
        elif isinstance(record, Final):
            self._finish(shard, record)

    def _greet(self, shard: Shard, hello: Hello) -> None:
        if shard.state != "waiting":
            raise ValueError("want one hello, got another")
        if hello.plan != self._plan:
            raise ValueError(f"want the plan {self._plan[:12]}, got {short(hello.plan, 14)}")
        shard.state, shard.hello = "ready", hello

    def _finish(self, shard: Shard, final: Final) -> None:
        if shard.state == "waiting":
            # it could not even begin: its plan, its locust file
            shard.state = "ready"
        self._follow(shard, final.seq)
        shard.state, shard.final = "final", final

    def _follow(self, shard: Shard, seq: int) -> None:
        if shard.state != "ready":
            raise ValueError(f"want no more of a shard that is {shard.state}, got a record")
        if seq != shard.seq + 1:
            shard.missing = max(0, seq - shard.seq - 1)
            raise ValueError(f"want record {shard.seq + 1}, got {seq}")
        shard.seq = seq

    def _check_time(self, record: Progress, now: float) -> None:
        latest = now - self._t0 + AHEAD_S if self._t0 is not None else 0.0
        if record.at_s > latest:
            raise ValueError(f"want a record of second {latest:.0f} at most, got {record.at_s:g}")

    def lose(self, number: int, text: str) -> bool:
        """Note that a shard is lost; false: it was before."""
        shard = self.shards[number]
        if shard.state == "lost":
            return False
        shard.state = "lost"
        self.lost.append(Lost(number, text))
        return True

    def excuse(self, seconds: float, now: float) -> None:
        """Take *seconds* from every silence: they were the listener's own."""
        for shard in self.shards.values():
            shard.heard_at = min(now, shard.heard_at + seconds)

    def silent(self, now: float) -> list[int]:
        """Return the shards that should have said something by *now*."""
        if self._t0 is None or now < self._t0:
            return []
        late = now - self.silence_s
        return [it.number for it in self.shards.values() if it.is_open and it.heard_at < late]

    def open_ones(self, among: Iterable[int]) -> list[int]:
        """Return those of *among* of which more is to come."""
        return [number for number in among if self.shards[number].is_open]

    @property
    def is_ready(self) -> bool:
        """Whether all have said hello."""
        return all(it.state == "ready" for it in self.shards.values())
