"""What the budget leaves for what is asked once per group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.model import Endpoint, Group
from probes.chain.plan import CONFIRM_CALLS, most_saved, own_calls, saved_calls
from probes.chain.talk import Topic

TOPICS = (
    Topic("head", "fast", is_core=True),
    Topic("finalized", "second", cost=2),
    Topic("identity", "identity", cost=4),
    Topic("peers", "slow"),
)


def group(count: int = 1, budget: int = 60, every_s: float = 15.0) -> Group:
    endpoints = tuple(Endpoint(f"e{at}") for at in range(count))
    return Group("evm", "it", endpoints, calls_per_minute=budget, every_s=every_s)


@pytest.mark.parametrize(
    ("every_s", "runs"), [pytest.param(15.0, 20, id="runs"), pytest.param(60.0, 5, id="minutes")]
)
def test_a_topic_costs_its_share_of_every_run(every_s: float, runs: int) -> None:
    assert own_calls(group(every_s=every_s), TOPICS) == pytest.approx(1 + 1 + 5 / runs)


def test_several_endpoints_are_asked_twice() -> None:
    single = own_calls(group(1), TOPICS)

    assert own_calls(group(2), TOPICS) == single + CONFIRM_CALLS


def test_the_first_run_may_be_the_only_one() -> None:
    assert saved_calls(group(), 6, None) == most_saved(60) == 30


def test_what_is_left_is_saved_up_to_half_a_minute() -> None:
    saved = 0.0
    for expected in (9, 18, 27, 30, 30):
        saved = saved_calls(group(), 6, saved)
        assert saved == expected


def test_a_budget_that_leaves_nothing_saves_nothing() -> None:
    assert saved_calls(group(budget=20), 6, 0.0) == 0.0


@given(
    st.integers(1, 600),
    st.floats(1, 300),
    st.floats(0, 20),
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
)
def test_with_the_endpoints_own_calls_the_budget_is_kept(
    budget: int, every_s: float, own: float, shares: list[float]
) -> None:
    several, saved, spent = group(budget=budget, every_s=every_s), 0.0, 0.0
    for share in shares:
        saved = saved_calls(several, own, saved)
        spent += share * saved
        saved -= share * saved

    spare = max(0.0, budget * every_s / 60 - own)
    assert spent <= spare * len(shares) * (1 + 1e-9)
