"""What an endpoint is asked, when: cadence, spread, budget, back-off."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.model import Endpoint, Group, Head, Now, Observation, Try
from probes.chain.plan import (
    MAX_FAILURES,
    Plan,
    Quota,
    due,
    fast_calls_per_minute,
    period_s,
    settle_quota,
    slow_runs,
)
from probes.chain.talk import Topic

HEAD = Topic("head", "fast", is_core=True)
SYNCING = Topic("syncing", "fast")
FINALIZED = Topic("finalized", "second")
IDENTITY = Topic("identity", "identity", cost=2)
SLOW = tuple(Topic(f"slow{number}", "slow") for number in range(8))
TOPICS = (*SLOW, IDENTITY, FINALIZED, SYNCING, HEAD)
OWN, OTHER = Endpoint("own"), Endpoint("other")


def group(**keys: Any) -> Group:
    return Group(**{"family": "evm", "chain": "x", "endpoints": (OWN, OTHER)} | keys)


@dataclass
class Life:
    """An endpoint from run to run; `run` gives the plan and answers all of it."""

    group: Group
    topics: Sequence[Topic] = TOPICS
    endpoint: Endpoint = OWN
    quota: Quota = field(default_factory=Quota)
    mono: float = 1000.0
    runs: int = 0
    plans: list[Plan] = field(default_factory=list)
    calls: list[tuple[float, int]] = field(default_factory=list)
    unsupported: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    is_up: bool = True
    retry_after_s: float | None = None

    def run(self, *, trouble: bool = False, everything: bool = False) -> frozenset[str]:
        self.runs += 1
        now = Now(self.mono, self.mono)
        plan = due(
            self.group, self.endpoint, self.topics, self.quota, now,
            trouble=trouble, run=self.runs, everything=everything,
        )  # fmt: skip
        seen = self.answer(plan)
        self.calls.append((self.mono, len(seen.tries)))
        self.quota = settle_quota(
            self.group, self.endpoint, self.topics, self.quota, seen, plan, now, self.runs
        )
        self.plans.append(plan)
        self.mono += self.group.every_s
        return plan.topics

    def answer(self, plan: Plan) -> Observation:
        seen = Observation("own", left_alone=plan.left_alone, retry_after_s=self.retry_after_s)
        if plan.left_alone:
            return seen
        cost = {topic.name: topic.cost for topic in self.topics}
        calls = sum(cost[name] for name in plan.topics) + 2 * (
            plan.may_confirm and len(self.group.endpoints) > 1
        )
        seen.tries += [Try("m", "ok")] * calls
        if self.is_up:
            seen.head = Head(1)
            seen.asked |= plan.topics - self.silent
            seen.unsupported |= plan.topics & self.unsupported
        return seen


def test_the_first_run_asks_who_it_is_and_where_but_not_everything() -> None:
    first = Life(group()).run()

    assert {"head", "syncing", "finalized", "identity"} <= first
    assert len(first & {topic.name for topic in SLOW}) == 1


def test_fast_topics_come_in_every_run_and_some_in_every_second() -> None:
    life = Life(group())
    runs = [life.run() for _ in range(10)]

    assert all({"head", "syncing"} <= topics for topics in runs)
    assert [("finalized" in topics) for topics in runs] == [True, False] * 5


@pytest.mark.parametrize(
    ("every_s", "runs"), [(1, 20), (10, 20), (15, 20), (20, 15), (45, 6), (60, 5), (600, 1)]
)
def test_slow_topics_come_every_five_minutes_or_twenty_runs_whichever_is_first(
    every_s: float, runs: int
) -> None:
    life = Life(group(every_s=every_s, calls_per_minute=600))

    plans = [life.run() for _ in range(5 * runs)]

    assert slow_runs(life.group) == runs
    for topic in SLOW:
        asked = [number for number, topics in enumerate(plans) if topic.name in topics]
        assert asked[0] <= len(SLOW)
        # two that are due in one run: one of them comes in the next
        assert {later - earlier for earlier, later in pairwise(asked)} <= {runs, runs + 1}
    identity = [number for number, topics in enumerate(plans) if "identity" in topics]
    assert identity[0] == 0
    assert {later - earlier for earlier, later in pairwise(identity)} <= {runs, runs + 1}


def test_slow_topics_never_come_all_at_once_and_differ_between_endpoints() -> None:
    lives = [Life(group(), endpoint=endpoint) for endpoint in (OWN, OTHER)]
    slow = {topic.name for topic in SLOW}

    orders = [[life.run() & slow for _ in range(60)] for life in lives]

    assert max(len(topics) for order in orders for topics in order) == 1
    assert orders[0] != orders[1]
    assert orders[0] == [Life.run(again) & slow for again in [Life(group())] for _ in range(60)]


def test_after_a_pause_slow_topics_are_caught_up_with_in_turn() -> None:
    life = Life(group())
    for _ in range(30):
        life.run()
    life.mono += 3600
    slow = {topic.name for topic in SLOW}

    backlog = [life.run() & slow for _ in range(10)]

    assert max(map(len, backlog)) == 1
    assert set().union(*backlog) == slow


def test_a_run_that_stands_alone_asks_everything_at_once() -> None:
    life = Life(group())

    assert life.run(everything=True) == {topic.name for topic in TOPICS}
    assert life.run() == {"head", "syncing"}


def test_trouble_asks_for_the_identity_again() -> None:
    life = Life(group())
    life.run()

    assert "identity" not in life.run()
    assert "identity" in life.run(trouble=True)
    assert "identity" not in life.run()


def test_an_answer_that_did_not_come_is_asked_for_again_but_not_in_every_run() -> None:
    """A method that hangs would cost each run its time."""
    life = Life(group(), silent=frozenset({"slow3"}))
    asked = [number for number in range(60) if "slow3" in life.run()]

    assert {later - earlier for earlier, later in pairwise(asked)} <= {4, 5}


def test_nothing_is_taken_for_asked_while_the_endpoint_has_no_head() -> None:
    life = Life(group(), is_up=False)
    life.run()

    assert not life.quota.asked
    assert "identity" in life.run()


def test_what_is_not_offered_is_asked_for_slowly_and_in_the_end_not_at_all() -> None:
    """chains.md 4; the endpoint may come back as another one."""
    life = Life(group(), unsupported=frozenset({"syncing", "slow1"}))
    runs = [life.run() for _ in range(400)]
    for topic in ("syncing", "slow1"):
        asked = [number for number, topics in enumerate(runs) if topic in topics]
        assert len(asked) == MAX_FAILURES
        assert min(later - earlier for earlier, later in pairwise(asked)) >= 20

    life.is_up = False
    life.run()
    life.is_up = True
    life.run()

    after = [life.run() for _ in range(40)]
    assert any("syncing" in topics for topics in after)
    assert any("slow1" in topics for topics in after)


def test_what_was_offered_once_is_asked_for_at_a_slow_pace_for_ever() -> None:
    life = Life(group())
    for _ in range(30):
        life.run()
    life.unsupported = frozenset({"slow1"})

    asked = [number for number in range(600) if "slow1" in life.run()]

    assert len(asked) > MAX_FAILURES + 5


def test_a_core_topic_is_asked_for_even_if_it_is_not_offered() -> None:
    life = Life(group(), unsupported=frozenset({"head"}))

    assert all("head" in life.run() for _ in range(30))


@pytest.mark.parametrize(
    ("retry_after_s", "skipped"),
    [
        pytest.param(0.0, 1, id="it does not say: two intervals"),
        pytest.param(10.0, 0, id="less than an interval"),
        pytest.param(30.0, 1, id="row 9"),
        pytest.param(46.0, 3, id="a little more than three"),
        pytest.param(9000.0, 19, id="five minutes at most"),
    ],
)
def test_one_that_throttles_is_left_alone_as_long_as_it_wants(
    retry_after_s: float, skipped: int
) -> None:
    life = Life(group(), retry_after_s=retry_after_s)
    life.run()
    life.retry_after_s = None

    runs = [life.run() for _ in range(25)]

    assert [plan.left_alone for plan in life.plans[1:]] == [True] * skipped + [False] * (
        25 - skipped
    )
    assert runs[:skipped] == [frozenset()] * skipped
    assert "head" in runs[skipped]


def test_only_runs_that_really_asked_count_as_throttled() -> None:
    life = Life(group(), retry_after_s=30.0)
    for _ in range(5):
        life.run()
    assert life.quota.throttled == 3

    life.retry_after_s = None
    life.run()
    life.run()
    assert life.quota.throttled == 0


def test_batches_are_sent_once_they_are_proven_and_wanted() -> None:
    proven = Quota(batch=True)
    now = Now(0.0, 0.0)

    def plan(quota: Quota, **keys: Any) -> Plan:
        return due(group(**keys), OWN, TOPICS, quota, now, trouble=False, run=1)

    assert plan(proven).batch
    assert not plan(Quota()).batch
    assert not plan(proven, batch=False).batch
    seen = Observation("own", capabilities={"batch": False})
    after = settle_quota(group(), OWN, TOPICS, proven, seen, Plan(), now, 1)
    assert after.batch is False
    silent = settle_quota(group(), OWN, TOPICS, proven, Observation("own"), Plan(), now, 1)
    assert silent.batch is True


def test_the_calls_of_every_run_can_be_compared_with_the_budget() -> None:
    assert fast_calls_per_minute(group(every_s=15.0), TOPICS) == 8
    assert fast_calls_per_minute(group(every_s=0.5), TOPICS) == 240


def test_a_period_is_that_of_the_cadence() -> None:
    of = group(every_s=15.0)

    assert period_s(of, HEAD) == 15
    assert period_s(of, FINALIZED) == 30
    assert period_s(of, IDENTITY) == period_s(of, SLOW[0]) == period_s(of, None) == 300


def test_slow_calls_are_shed_first_and_core_calls_last() -> None:
    tight = replace(group(), calls_per_minute=5)
    plan = due(tight, OWN, TOPICS, Quota(), Now(0, 0), trouble=False, run=1)
    # head 1, kept back for round 2: 2, identity 2
    assert plan.topics == {"head", "identity"}
    assert {"syncing", "finalized"} <= plan.shed
    assert plan.may_confirm
    assert plan.calls == 5

    nearly_none = Quota(tokens=1.0)
    plan = due(tight, OWN, TOPICS, nearly_none, Now(0, 0), trouble=False, run=1)
    assert plan.topics == {"head"}
    assert not plan.may_confirm


def test_a_single_endpoint_needs_nothing_for_a_second_round() -> None:
    single = group(endpoints=(OWN,), calls_per_minute=4)

    plan = due(single, OWN, TOPICS, Quota(), Now(0, 0), trouble=False, run=1)

    assert plan.topics == {"head", "identity", "syncing"}


def test_a_costly_topic_has_its_turn_and_one_beyond_the_budget_is_in_nobodys_way() -> None:
    costly = Topic("costly", "slow", cost=12)
    absurd = Topic("absurd", "slow", cost=99)
    life = Life(group(calls_per_minute=20, every_s=15.0), (HEAD, costly, absurd, *SLOW))

    runs = [life.run() for _ in range(200)]

    assert sum("costly" in topics for topics in runs) >= 8
    assert not any("absurd" in topics for topics in runs)
    assert all(any(slow.name in topics for topics in runs[:60]) for slow in SLOW)


TOPIC_LISTS = st.lists(
    st.builds(
        Topic,
        name=st.sampled_from([f"t{number}" for number in range(12)]),
        cadence=st.sampled_from(["fast", "second", "slow", "identity"]),
        cost=st.integers(1, 5),
        is_core=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda topic: topic.name,
)
STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 400.0),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, None, None, 0.0, 20.0, 900.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(
    TOPIC_LISTS, STEPS, st.integers(1, 100), st.floats(0.5, 700.0), st.integers(1, 3),
    st.sets(st.sampled_from([f"t{number}" for number in range(12)])),
)  # fmt: skip
def test_whatever_happens_the_budget_is_never_exceeded(
    topics: list[Topic],
    steps: list[tuple[float, bool, bool, float | None, bool]],
    calls_per_minute: int,
    every_s: float,
    endpoints: int,
    unsupported: set[str],
) -> None:
    """Of any window, no more calls than the bucket holds and what flowed into it meanwhile."""
    names = tuple(Endpoint(f"e{number}") for number in range(endpoints))
    made = group(endpoints=names, calls_per_minute=calls_per_minute, every_s=every_s)
    life = Life(made, topics, names[0], unsupported=frozenset(unsupported))
    for pause, trouble, is_up, retry_after_s, everything in steps:
        life.mono += pause - every_s
        life.mono = max(life.mono, 1000.0, *(mono for mono, _ in life.calls))
        life.is_up, life.retry_after_s = is_up, retry_after_s
        chosen = life.run(trouble=trouble, everything=everything)
        plan = life.plans[-1]
        assert not chosen & plan.shed
        assert not (plan.left_alone and (chosen or plan.shed))

    for start in range(len(life.calls)):
        spent = 0
        for mono, calls in life.calls[start:]:
            spent += calls
            elapsed = mono - life.calls[start][0]
            assert spent <= calls_per_minute * (1 + elapsed / 60) + 1e-6


@given(st.integers(1, 25), st.floats(1.0, 300.0), st.text(min_size=1, max_size=8))
def test_when_the_budget_allows_every_slow_topic_is_asked_in_its_time(
    count: int, every_s: float, name: str
) -> None:
    """At least every 5 minutes or 20 runs, and what the spread takes."""
    topics = (HEAD, *(Topic(f"slow{number}", "slow") for number in range(count)))
    life = Life(group(every_s=every_s, calls_per_minute=6000), topics, Endpoint(name))
    period = slow_runs(life.group)

    runs = [life.run() for _ in range(4 * period + 2)]

    for topic in topics[1:]:
        asked = [number for number, chosen in enumerate(runs) if topic.name in chosen]
        assert asked[0] <= period / 2 + 1
        gaps = [later - earlier for earlier, later in pairwise([*asked, len(runs)])]
        assert max(gaps) <= period + period / 2 + 1
    assert max(map(len, runs)) <= 1 + 2 * count / period + 1
    assert not any(plan.shed for plan in life.plans)


@given(st.lists(st.sampled_from(["ok", "down", "throttle"]), max_size=30))
def test_what_is_remembered_is_bounded(steps: list[str]) -> None:
    life = Life(group(), unsupported=frozenset({"slow1", "never heard of"}))
    for step in steps:
        life.is_up = step != "down"
        life.retry_after_s = 0.0 if step == "throttle" else None
        life.run()

    known = {topic.name for topic in TOPICS}
    assert set(life.quota.asked) <= known
    assert set(life.quota.unsupported) <= known
    assert life.quota.offered <= known
    assert all(count <= MAX_FAILURES for count in life.quota.unsupported.values())
