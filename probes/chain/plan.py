"""What an endpoint is asked in this run, as cadence, budget and its own wishes allow. Pure.

    Quota ── due ──> Plan ── the run ──> Observation ── settle_quota ──> Quota

Fast topics come in every run, some in every second, slow ones every 5 minutes or 20 runs: never all
at once, and not the same ones at every endpoint. The budget is a bucket of one minute's calls; what
it does not allow is shed, slow topics first. Knows no method and no wire.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import ceil

from probes.chain.model import Endpoint, Group, Now, Observation
from probes.chain.talk import Topic

# chains.md 4
SLOW_S = 300.0
SLOW_RUNS = 20
SECOND_RUNS = 2
MAX_FAILURES = 10
MAX_LEFT_ALONE_S = 300.0
UNTOLD_INTERVALS = 2
# Round 2 asks for a settled and, now and then, for a finalized block.
CONFIRM_CALLS = 2
# A run may begin a little early: half an interval decides which run is nearest.
NEAR = 0.5
# A slow topic that got no answer although the endpoint has a head is asked again after this share
# of its period: not in every run, where a call that hangs would cost each its time.
RETRY_SHARE = 0.2
# Backlog (after a back-off) is caught up with at this multiple of the ordinary pace.
CATCH_UP = 2
# What is asked once per group may save up so much of a minute's budget.
SAVED_SHARE = 0.5
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Quota:
    """What is remembered of asking one endpoint.

    Args:
        tokens: calls that the budget allows; below 0 after tries again; None: all of a minute.
        refilled: monotonic seconds of `tokens`.
        asked: topic -> monotonic seconds and number of the run when it was last answered.
        unsupported: topic -> times in a row that its method was not offered.
        offered: topics whose method was offered once.
        left_alone_until: monotonic seconds; it asked for that.
        throttled: runs in a row that asked and were throttled.
        batch: whether it has proven that it takes batches; None: not known.
        is_down: whether it had no head when it was last asked.
    """

    tokens: float | None = None
    refilled: float = 0.0
    asked: Mapping[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])
    unsupported: Mapping[str, int] = field(default_factory=dict[str, int])
    offered: frozenset[str] = frozenset()
    left_alone_until: float = 0.0
    throttled: int = 0
    batch: bool | None = None
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an endpoint is asked in one run.

    Args:
        topics: that are asked about.
        shed: topics that are due and that the budget does not allow.
        left_alone: it throttled, and nothing is asked.
        batch: whether several calls may travel as one.
        may_confirm: whether the budget allows round 2.
        calls: that the budget allows in this run, all in all.
    """

    topics: frozenset[str] = frozenset()
    shed: frozenset[str] = frozenset()
    left_alone: bool = False
    batch: bool = False
    may_confirm: bool = False
    calls: int = 0


def fast_calls_per_minute(group: Group, topics: Iterable[Topic]) -> float:
    """Return the calls a minute that the topics of every run cost one endpoint."""
    cost = sum(topic.cost for topic in topics if topic.cadence == "fast")
    return cost * MINUTE_S / group.every_s


def own_calls(group: Group, topics: Iterable[Topic]) -> float:
    """Return the calls a run that an endpoint itself is worth: its topics, and round 2."""
    shares = (topic.cost * group.every_s / period_s(group, topic) for topic in topics)
    return sum(shares) + (CONFIRM_CALLS if len(group.endpoints) > 1 else 0)


def most_saved(calls_per_minute: int) -> int:
    """Return the calls that what is asked once per group may make at once."""
    return int(calls_per_minute * SAVED_SHARE)


def saved_calls(group: Group, own: float, before: float | None) -> float:
    """Return the calls that what is asked once per group may make in this run.

    It lives on what the endpoints' own calls leave of the budget.

    Args:
        group: with the interval and the budget.
        own: calls a run that come first.
        before: what was left of the run before; None: there was none, and this may be the only one.
    """
    most = most_saved(group.calls_per_minute)
    if before is None:
        return most
    spare = group.calls_per_minute * group.every_s / MINUTE_S - own
    return min(most, max(spare, 0.0) + max(before, 0.0))


def slow_runs(group: Group) -> int:
    """Return after how many runs a slow topic is asked again: 20, or fewer in 5 minutes."""
    return max(1, min(SLOW_RUNS, int(SLOW_S / group.every_s)))


def period_s(group: Group, topic: Topic | None) -> float:
    """Return how often *topic* is asked, in seconds; None is one that nobody knows: slow."""
    if topic is None or topic.cadence in ("slow", "identity"):
        return slow_runs(group) * group.every_s
    return group.every_s * (SECOND_RUNS if topic.cadence == "second" else 1)


def due(  # noqa: PLR0913 - the contract with the course of a run
    group: Group,
    endpoint: Endpoint,
    topics: Sequence[Topic],
    quota: Quota,
    now: Now,
    *,
    trouble: bool,
    run: int,
    everything: bool = False,
) -> Plan:
    """Return what *endpoint* is asked in this run.

    Args:
        group: with the interval and the budget.
        endpoint: who is asked.
        topics: of the dialect.
        quota: of the endpoint.
        now: when.
        trouble: the identity must be asked again.
        run: number of the run.
        everything: whatever there is, at once: the run stands alone.
    """
    if now.mono < quota.left_alone_until:
        return Plan(left_alone=True)
    moment = _Moment(group, endpoint, quota, now, run, trouble or not quota.asked)
    wanted = sorted(topics, key=moment.order) if everything else moment.wanted(topics)
    tokens = _tokens(group, quota, now)
    chosen, shed, left = _afford(wanted, tokens, moment)
    return Plan(
        frozenset(topic.name for topic in chosen),
        frozenset(topic.name for topic in shed),
        batch=group.batch and quota.batch is True,
        may_confirm=left >= CONFIRM_CALLS,
        calls=max(0, int(tokens)),
    )


@dataclass(frozen=True, slots=True)
class _Moment:
    """One endpoint at one run."""

    group: Group
    endpoint: Endpoint
    quota: Quota
    now: Now
    run: int
    is_doubtful: bool
    """Whether its identity must be asked at once."""

    def wanted(self, topics: Sequence[Topic]) -> list[Topic]:
        """Return the topics that are due, the most important first."""
        slow = [topic for topic in topics if self._is_slow(topic)]
        regular = [topic for topic in topics if topic not in slow and self._is_due(topic)]
        waiting = sorted(filter(self._is_due, slow), key=self.order)
        # they are told as shed, in nobody's way
        hopeless = [topic for topic in waiting if not self.can_ever(topic)]
        waiting = [topic for topic in waiting if topic not in hopeless]
        room = ceil(CATCH_UP * len(slow) / slow_runs(self.group))
        return sorted((*regular, *waiting[:room], *hopeless), key=self.order)

    def order(self, topic: Topic) -> tuple[int, int, bytes]:
        """Return where *topic* stands among all: by rank, then by who has waited longest."""
        _, run = self.quota.asked.get(topic.name, (0.0, -1))
        return (self._rank(topic), run, self._phase(topic))

    def kept_back(self, topic: Topic) -> int:
        """Return the calls that must be left for round 2."""
        return CONFIRM_CALLS if len(self.group.endpoints) > 1 and not topic.is_core else 0

    def can_ever(self, topic: Topic) -> bool:
        """Return whether a full bucket would be enough for *topic*."""
        return topic.cost + self.kept_back(topic) <= self.group.calls_per_minute

    def is_pressing(self, topic: Topic) -> bool:
        """Return whether *topic* is worth more than what comes after it."""
        return self._rank(topic) <= _FAST_RANK

    def _rank(self, topic: Topic) -> int:
        if topic.is_core:
            return 0
        if topic.cadence == "identity":
            return 1 if self.is_doubtful else _SLOW_RANK
        return _RANKS[topic.cadence]

    def _phase(self, topic: Topic) -> bytes:
        """Return what spreads the topics: always the same for one topic of one endpoint."""
        text = f"{self.endpoint.name}\0{topic.name}".encode()
        return blake2b(text, digest_size=8).digest()

    def _is_slow(self, topic: Topic) -> bool:
        """Return whether *topic* waits for its turn among the slow ones."""
        if topic.is_core or (topic.cadence == "identity" and self.is_doubtful):
            return False
        return topic.cadence in ("slow", "identity") or topic.name in self.quota.unsupported

    def _is_due(self, topic: Topic) -> bool:
        quota = self.quota
        if quota.unsupported.get(topic.name, 0) >= MAX_FAILURES and not topic.is_core:
            return topic.name in quota.offered and self._is_over(topic, slow_runs(self.group))
        if not self._is_slow(topic):
            runs = SECOND_RUNS if topic.cadence == "second" else 1
            return topic.cadence == "identity" or self._is_over(topic, runs)
        return self._is_over(topic, slow_runs(self.group))

    def _is_over(self, topic: Topic, runs: int) -> bool:
        asked = self.quota.asked.get(topic.name)
        if asked is None:
            return True
        mono, run = asked
        every_s = self.group.every_s
        # runs that were skipped count by the clock
        return self.run - run >= runs or self.now.mono - mono >= (runs - NEAR) * every_s


_FAST_RANK, _SLOW_RANK = 2, 4
_RANKS: Mapping[str, int] = {"fast": _FAST_RANK, "second": 3, "slow": _SLOW_RANK}


def _tokens(group: Group, quota: Quota, now: Now) -> float:
    capacity = float(group.calls_per_minute)
    if quota.tokens is None:
        return capacity
    gained = max(0.0, now.mono - quota.refilled) * capacity / MINUTE_S
    return min(capacity, quota.tokens + gained)


def _afford(
    wanted: Iterable[Topic], tokens: float, moment: _Moment
) -> tuple[list[Topic], list[Topic], float]:
    """Return the topics that the budget allows, those that it does not, and what is left.

    What is not pressing waits behind the first that found no room, so that the costly ones have
    their turn; one that costs more than the whole budget is in nobody's way.
    """
    chosen: list[Topic] = []
    shed: list[Topic] = []
    is_blocked = False
    for topic in wanted:
        is_pressing = moment.is_pressing(topic)
        if topic.cost + moment.kept_back(topic) <= tokens and (is_pressing or not is_blocked):
            chosen.append(topic)
            tokens -= topic.cost
        else:
            shed.append(topic)
            is_blocked = is_blocked or (not is_pressing and moment.can_ever(topic))
    return chosen, shed, tokens


def settle_quota(  # noqa: PLR0913, PLR0917 - the contract with the course of a run
    group: Group,
    endpoint: Endpoint,  # noqa: ARG001 - as `due`
    topics: Sequence[Topic],
    quota: Quota,
    seen: Observation,
    plan: Plan,
    now: Now,
    run: int,
) -> Quota:
    """Return what is remembered after a run.

    Args:
        group: with the interval and the budget.
        endpoint: who was asked.
        topics: of the dialect.
        quota: before the run.
        seen: what it answered.
        plan: what it was to be asked.
        now: end of the run.
        run: its number.
    """
    if plan.left_alone:
        return quota
    is_throttled = seen.retry_after_s is not None
    # one that throttles is there
    is_down = quota.is_down if is_throttled else seen.head is None
    # back again: perhaps another node, or the same with other options
    forgets = quota.is_down and not is_down
    unsupported = {} if forgets else dict(quota.unsupported)
    answered = seen.asked - seen.unsupported
    for topic in answered:
        unsupported.pop(topic, None)
    for topic in seen.unsupported:
        unsupported[topic] = min(unsupported.get(topic, 0) + 1, MAX_FAILURES)
    known = frozenset(topic.name for topic in topics)
    return Quota(
        tokens=_tokens(group, quota, now) - len(seen.tries),
        refilled=now.mono,
        asked=_asked(group, topics, quota, (seen, plan, now, run)),
        unsupported={name: count for name, count in unsupported.items() if name in known},
        offered=(quota.offered | answered) & known,
        left_alone_until=_left_alone_until(group, seen, now),
        throttled=quota.throttled + 1 if is_throttled else 0,
        batch=seen.capabilities.get("batch", quota.batch),
        is_down=is_down,
    )


def _asked(
    group: Group,
    topics: Sequence[Topic],
    quota: Quota,
    ran: tuple[Observation, Plan, Now, int],
) -> dict[str, tuple[float, int]]:
    seen, plan, now, run = ran
    kept: dict[str, tuple[float, int]] = {}
    for topic in topics:
        before = quota.asked.get(topic.name)
        if topic.name in seen.asked or topic.name in seen.unsupported:
            kept[topic.name] = (now.mono, run)
        elif topic.name in plan.topics and seen.head is not None:
            runs = ceil(period_s(group, topic) / group.every_s * (1 - RETRY_SHARE))
            kept[topic.name] = (now.mono - runs * group.every_s, run - runs)
        elif before is not None:
            kept[topic.name] = before
    return kept


def _left_alone_until(group: Group, seen: Observation, now: Now) -> float:
    if seen.retry_after_s is None:
        return 0.0
    if seen.retry_after_s > 0:
        return now.mono + min(seen.retry_after_s, MAX_LEFT_ALONE_S)
    # two intervals: the run that begins about then is the first that asks again
    return now.mono + min((UNTOLD_INTERVALS - NEAR) * group.every_s, MAX_LEFT_ALONE_S)
