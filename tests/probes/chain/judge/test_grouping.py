"""What verdicts mean for the group: chains.md 6.2."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.judge.grouping import conclude, outcome_of, sentence, worst_first
from probes.chain.model import Judgement, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome
from tests.probes.chain.judge.stage import DEGRADED, DOWN, UNKNOWN, UP, Stage, group, said, verdict

REASONS = {
    DOWN: ChainReason.TIMEOUT,
    DEGRADED: ChainReason.LAG_WARN,
    UNKNOWN: ChainReason.FIRST_SAMPLE,
}
NETWORK = Finding(ChainReason.PROBE_NETWORK, UNKNOWN, "no control answers")
CLOCK = Finding(ChainReason.LOCAL_CLOCK, UNKNOWN, "an hour")
outcomes = st.sampled_from(list(Outcome))


def of(name: str, outcome: Outcome) -> Verdict:
    if outcome is UP:
        return Verdict(name, outcome)
    return Verdict(name, outcome, (Finding(REASONS[outcome], outcome, f"{name} it is"),))


def told(
    names: str, said_of: list[Outcome], own: Finding | None = None, **keys: Any
) -> tuple[Outcome, str]:
    verdicts = [of(name, outcome) for name, outcome in zip(names, said_of, strict=True)]
    found = sentence(group(names, **keys), verdicts, (), own)
    assert (found.finding is None) is (found.outcome is UP)
    assert found.finding is None or found.finding.outcome is found.outcome
    return found.outcome, found.blamed


@pytest.mark.parametrize(
    ("names", "said_of", "keys", "want"),
    [
        pytest.param("ab", [UP, UP], {}, (UP, ""), id="all up"),
        pytest.param("ab", [UP, DOWN], {}, (DOWN, "b"), id="one down of all"),
        pytest.param("ab", [DOWN, DOWN], {}, (DOWN, "a"), id="the first of two"),
        pytest.param("ab", [DEGRADED, DOWN], {}, (DOWN, "b"), id="the worst of two"),
        pytest.param("ab", [DOWN, UP], {"min_up": 1}, (DEGRADED, "a"), id="one is enough"),
        pytest.param("ab", [DOWN, DOWN], {"min_up": 1}, (DOWN, "a"), id="none is not"),
        pytest.param("abc", [UP, DOWN, DOWN], {"min_up": 2}, (DOWN, "b"), id="one of two needed"),
        pytest.param("ab", [UNKNOWN, UP], {}, (UNKNOWN, "a"), id="unknown before up"),
        pytest.param("ab", [UNKNOWN, DEGRADED], {}, (DEGRADED, "b"), id="degraded before unknown"),
        pytest.param("ab", [UNKNOWN, UNKNOWN], {"min_up": 1}, (UNKNOWN, "a"), id="nothing known"),
        pytest.param("aB", [UP, DOWN], {}, (UP, ""), id="a reference never counts"),
        pytest.param("aB", [DOWN, UP], {}, (DOWN, "a"), id="a reference never saves"),
    ],
)
def test_the_worst_counts_unless_enough_are_left(
    names: str, said_of: list[Outcome], keys: dict[str, Any], want: tuple[Outcome, str]
) -> None:
    assert told(names, said_of, **keys) == want


def test_the_probers_own_fault_goes_before_all() -> None:
    assert told("ab", [DOWN, DOWN], NETWORK) == (UNKNOWN, "")
    assert told("ab", [UP, DEGRADED], CLOCK) == (UNKNOWN, "")


def test_a_wrong_clock_says_nothing_of_those_that_do_not_answer() -> None:
    assert told("ab", [UNKNOWN, DOWN], CLOCK) == (DOWN, "b")
    assert told("ab", [UNKNOWN, DOWN], CLOCK, min_up=1) == (UNKNOWN, "")


@given(st.lists(outcomes, min_size=1, max_size=5), st.none() | st.integers(1, 5))
def test_the_outcome_does_not_depend_on_the_order(
    said_of: list[Outcome], least: int | None
) -> None:
    names = "abcde"[: len(said_of)]
    least = None if least is None else min(least, len(said_of))

    forward = told(names, said_of, min_up=least)[0]
    backward = told(names, said_of[::-1], min_up=least)[0]

    assert forward is backward


@given(st.lists(outcomes, max_size=6))
def test_the_worst_finding_is_the_first(said_of: list[Outcome]) -> None:
    found = [Finding(ChainReason.TIMEOUT, outcome) for outcome in said_of if outcome is not UP]

    ordered = worst_first(found)

    assert outcome_of(found) is (ordered[0].outcome if ordered else UP)
    assert sorted(map(id, ordered)) == sorted(map(id, found))


# --- steps


def concluded(stage: Stage, step: Verdict, **outliers: str) -> Judgement:
    return conclude(stage.group, stage.run(), (step,), outliers)


@pytest.mark.parametrize("outcome", [DOWN, DEGRADED, UNKNOWN])
def test_a_step_changes_the_group_and_no_endpoint(outcome: Outcome) -> None:
    judgement = concluded(Stage(), of("subgraph", outcome))

    assert (judgement.outcome, judgement.blamed) == (outcome, "subgraph")
    assert [said(judgement, name) for name in "abc"] == ["up"] * 3
    assert judgement.steps == (of("subgraph", outcome),)


def test_a_step_that_is_up_changes_nothing() -> None:
    judgement = concluded(Stage(), of("subgraph", UP))

    assert (judgement.outcome, judgement.finding, judgement.blamed) == (UP, None, "")


def test_a_step_cannot_hide_an_endpoint() -> None:
    stage = Stage()
    down = stage.run(a=stage.silent("a", ChainReason.TIMEOUT))

    judgement = conclude(stage.group, down, (of("subgraph", DOWN),), {})

    assert judgement.blamed == "a"


def test_a_halted_chain_has_one_reason_whatever_the_steps_say() -> None:
    stage = Stage()
    at = stage.height
    halted = stage.repeat(15, lambda: dict.fromkeys("abc", at))

    judgement = conclude(stage.group, halted, (of("subgraph", DOWN),), {})

    assert judgement.finding is not None
    assert judgement.finding.reason is ChainReason.CHAIN_HALTED
    assert judgement.steps


def test_the_probers_own_fault_outlives_the_steps() -> None:
    stage = Stage()
    lost = stage.run(
        lost="no control answers",
        **{name: stage.silent(name, ChainReason.TIMEOUT) for name in "abc"},
    )

    judgement = conclude(stage.group, lost, (of("subgraph", DOWN),), {})

    assert (judgement.outcome, judgement.blamed) == (UNKNOWN, "")


def test_an_odd_gas_oracle_is_that_of_its_endpoint() -> None:
    judgement = concluded(Stage(), of("gas", UP), b="8 times the others")

    assert said(judgement, "b") == "degraded gas_oracle_outlier"
    assert (judgement.outcome, judgement.blamed) == (DEGRADED, "b")
    assert verdict(judgement, "a").exported is UP


def test_an_odd_gas_oracle_makes_nothing_better() -> None:
    stage = Stage()
    judgement = stage.run(a=stage.silent("a", ChainReason.TIMEOUT), b=None)

    judgement = conclude(stage.group, judgement, (), {"a": "8 times", "b": "8 times"})

    assert said(judgement, "a") == "down timeout gas_oracle_outlier"
    assert verdict(judgement, "a").exported is DOWN
    assert said(judgement, "b") == "unknown budget_shed"
