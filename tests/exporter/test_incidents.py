from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.incidents import State, step
from probes.probe import IncidentPolicy
from probes.result import Outcome

LETTERS = {"U": Outcome.UP, "G": Outcome.DEGRADED, "D": Outcome.DOWN, "?": Outcome.UNKNOWN}
POLICY = IncidentPolicy(open_after=3, close_after=2)
RUNS = st.lists(st.sampled_from(list(Outcome)), max_size=60)
POLICIES = st.builds(IncidentPolicy, st.integers(1, 5), st.integers(1, 5))


def states(outcomes: Sequence[Outcome], policy: IncidentPolicy = POLICY) -> list[State]:
    """Return the state before the first run and after each."""
    found = [State()]
    for outcome in outcomes:
        found.append(step(found[-1], outcome, policy))
    return found


@pytest.mark.parametrize(
    ("runs", "confirmed"),
    [
        pytest.param("", "-", id="nothing before the first run"),
        pytest.param("U", "-U", id="the first pass is believed at once"),
        pytest.param("G", "-G", id="also a degraded one"),
        pytest.param("D", "--", id="one failure says nothing"),
        pytest.param("DDD", "---D", id="open_after failures do"),
        pytest.param("UDDU", "-UUUU", id="two failures are forgotten"),
        pytest.param("UDDDUU", "-UUUDDU", id="close_after passes close"),
        pytest.param("UDDDUDUU", "-UUUDDDDU", id="a failure in between begins anew"),
        pytest.param("UDDDGG", "-UUUDDG", id="closed into degraded"),
        pytest.param("UGGG", "-UUUG", id="degraded needs as many"),
        pytest.param("UGGGUU", "-UUUGGU", id="and its end as many as an incident's"),
        pytest.param("UGDG", "-UUUG", id="failures and warnings mixed are trouble"),
        pytest.param("UD?DD", "-UUUUD", id="unknown breaks no streak"),
        pytest.param("U??U", "-UUUU", id="two unknown runs change nothing"),
        pytest.param("U???U", "-UUU?U", id="open_after of them in a row do"),
        pytest.param("U?U?U?", "-UUUUUU", id="but only in a row"),
        pytest.param("UDDD???U", "-UUUDDD?D", id="an incident outlives unknown"),
        pytest.param("UDDD???UU", "-UUUDDD?DU", id="and closes by passes"),
        pytest.param("???", "---?", id="unknown from the start"),
    ],
)
def test_the_confirmed_state_follows_runs_in_a_row(runs: str, confirmed: str) -> None:
    found = states([LETTERS[letter] for letter in runs])

    names = {outcome: letter for letter, outcome in LETTERS.items()}
    assert "".join("-" if s.confirmed is None else names[s.confirmed] for s in found) == confirmed


@given(RUNS, POLICIES)
def test_unknown_opens_and_closes_nothing(runs: list[Outcome], policy: IncidentPolicy) -> None:
    for (before, after), outcome in zip(pairwise(states(runs, policy)), runs, strict=True):
        if outcome is Outcome.UNKNOWN:
            assert (after.is_open, after.judged) == (before.is_open, before.judged)


@given(RUNS, POLICIES)
def test_unknown_runs_do_not_count_towards_an_incident(
    runs: list[Outcome], policy: IncidentPolicy
) -> None:
    judged = [outcome for outcome in runs if outcome is not Outcome.UNKNOWN]

    assert states(runs, policy)[-1].is_open == states(judged, policy)[-1].is_open
    assert states(runs, policy)[-1].judged == states(judged, policy)[-1].judged


@given(RUNS, POLICIES)
def test_an_incident_opens_by_open_after_failures_and_closes_by_close_after_passes(
    runs: list[Outcome], policy: IncidentPolicy
) -> None:
    found = states(runs, policy)
    for at, (before, after) in enumerate(pairwise(found), 1):
        judged = [outcome for outcome in runs[:at] if outcome is not Outcome.UNKNOWN]
        if after.is_open and not before.is_open:
            assert set(judged[-policy.open_after :]) == {Outcome.DOWN}
            assert len(judged) >= policy.open_after
        if before.is_open and not after.is_open:
            last = judged[-policy.close_after :]
            assert Outcome.DOWN not in last
            assert len(last) == policy.close_after
        assert after.is_open == (after.judged is Outcome.DOWN)


@given(RUNS, POLICIES)
def test_no_incident_outlives_passes_in_a_row(runs: list[Outcome], policy: IncidentPolicy) -> None:
    passes = [Outcome.UP] * policy.close_after

    final = states(runs + passes, policy)[-1]

    assert (final.confirmed, final.is_open) == (Outcome.UP, False)
