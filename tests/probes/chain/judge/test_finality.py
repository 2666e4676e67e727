"""Whether finality keeps up: chains.md 5.11."""

from typing import Any

import pytest

from probes.chain.judge.finality import LEARNT, NEW_NORMAL_MOVES
from probes.chain.model import Endpoint, Head, Judgement, Thresholds
from tests.probes.chain.judge.stage import Stage, detail, group, said, verdict


def alone(**keys: Any) -> Stage:
    return Stage(group("a", **keys), every_s=12)


def final(stage: Stage, height: int, name: str = "") -> Judgement:
    tags = {"finalized": Head(height, name or f"0x{height}")}
    return stage.run(a=stage.honest("a", tags=tags))


def normal(stage: Stage, runs: int = LEARNT, lag: int = 64) -> None:
    for _ in range(runs):
        final(stage, stage.height - lag)


def test_the_lag_is_told_where_it_was_told() -> None:
    stage = alone()

    judgement = final(stage, 900)

    assert verdict(judgement, "a").finality_lag == 100
    assert verdict(stage.run(), "a").finality_lag is None


def test_finality_ahead_of_the_head_is_no_lag() -> None:
    stage = alone()

    assert verdict(final(stage, 10**6), "a").finality_lag == 0


def test_the_limit_is_three_times_what_is_usual() -> None:
    stage = alone()
    normal(stage, lag=30)

    last = stage.height - 31
    stage.elapsed_s += 59 * 12
    good, bad = final(stage, last), final(stage, last)

    assert verdict(good, "a").finality_limit == 90
    assert said(good, "a") == "up"
    assert said(bad, "a") == "degraded finality_stalled"
    assert detail(bad, "a") == f"finality is 91 blocks behind {last + 91}, want at most 90"


def test_the_limit_is_at_least_two_epochs() -> None:
    stage = alone()
    normal(stage, lag=2)

    last = stage.height - 3
    stage.elapsed_s += 61 * 12
    good, bad = final(stage, last), final(stage, last)

    assert verdict(good, "a").finality_limit == 64
    assert (said(good, "a"), said(bad, "a")) == ("up", "degraded finality_stalled")


def test_a_rollup_that_is_always_far_behind_is_not_stalled() -> None:
    stage = alone()

    normal(stage, runs=40, lag=900)

    assert said(final(stage, stage.height - 900), "a") == "up"


def test_a_stall_does_not_raise_its_own_limit() -> None:
    stage = alone()
    normal(stage, lag=64)
    stuck = stage.height - 64

    told = [final(stage, stuck) for _ in range(400)]

    assert verdict(told[-1], "a").finality_limit == 192
    assert said(told[-1], "a") == "degraded finality_stalled"


def test_what_is_above_the_limit_does_not_raise_it() -> None:
    stage = alone()
    normal(stage, lag=30)
    stage.elapsed_s += 300 * 12

    told = [final(stage, stage.height - 300) for _ in range(NEW_NORMAL_MOVES - 1)]

    assert {verdict(judgement, "a").finality_limit for judgement in told} == {90}


def test_a_new_normal_is_believed_when_finality_moves_again_and_again() -> None:
    stage = alone()
    normal(stage, lag=64)

    stage.elapsed_s += 450 * 12
    first = final(stage, stage.height - 500)
    normal(stage, runs=NEW_NORMAL_MOVES + LEARNT, lag=500)

    assert said(first, "a") == "degraded finality_stalled"
    assert said(final(stage, stage.height - 500), "a") == "up"
    assert verdict(final(stage, stage.height - 500), "a").finality_limit == 1500


def test_finality_that_does_not_move_for_a_quarter_of_an_hour_is_stalled() -> None:
    stage = alone()
    final(stage, 990)

    told = [final(stage, 990) for _ in range(80)]

    assert said(told[73], "a") == "up"
    assert said(told[75], "a") == "degraded finality_stalled"
    assert detail(told[75], "a") == "finality has not moved for 912 s, want at most 900 s"


def test_a_halted_chain_has_no_stalled_finality() -> None:
    stage = alone(thresholds=Thresholds(head_age_s="off"))
    at = stage.height

    told = stage.repeat(100, lambda: {"a": stage.at("a", at, tags={"finalized": Head(at - 10)})})

    assert said(told, "a") == "up"


def test_the_verdict_stands_in_runs_that_do_not_ask_and_lapses_when_nobody_tells() -> None:
    stage = alone()
    normal(stage, lag=64)
    stage.elapsed_s += 450 * 12
    final(stage, stage.height - 500)

    told = [said(stage.run(), "a") for _ in range(6)]

    assert told == ["degraded finality_stalled"] * 4 + ["up"] * 2


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"thresholds": Thresholds(finality_lag="off")}, id="off"),
        pytest.param({"family": "cosmos"}, id="cosmos: immediate"),
    ],
)
def test_where_finality_is_not_judged(keys: dict[str, Any]) -> None:
    stage = alone(**keys)

    judgement = [final(stage, 900) for _ in range(100)][-1]

    assert said(judgement, "a") == "up"
    assert verdict(judgement, "a").finality_limit is None


def test_a_configured_limit_counts_at_once() -> None:
    stage = alone(thresholds=Thresholds(finality_lag=10))

    assert said(final(stage, stage.height - 11), "a") == "degraded finality_stalled"


def rare(stage: Stage, runs: int, blocks: int) -> list[str]:
    """Return what is said while finality moves by so many *blocks* at once."""
    told = []
    for _ in range(runs):
        height = (stage.height - blocks) // blocks * blocks
        told.append(said(final(stage, height), "a"))
    return told


def test_finality_that_moves_once_an_hour_is_not_stalled_in_between() -> None:
    stage = Stage(group("a"), every_s=60)

    rare(stage, runs=200, blocks=300)

    assert set(rare(stage, runs=200, blocks=300)) == {"up"}


def test_one_stall_does_not_make_the_next_one_wait_longer() -> None:
    stage = Stage(group("a", thresholds=Thresholds(finality_lag=2000.0)), every_s=12)
    rare(stage, runs=100, blocks=32)
    stuck = (stage.height - 32) // 32 * 32
    for _ in range(900):
        final(stage, stuck)
    rare(stage, runs=100, blocks=32)
    stuck, since = (stage.height - 32) // 32 * 32, stage.elapsed_s
    while said(final(stage, stuck), "a") == "up":
        assert stage.elapsed_s - since < 1000

    # 15 minutes from its last move, though the last stall lasted three hours
    assert stage.elapsed_s - since > 900 - 32 * 12


def test_what_is_final_before_it_is_there_teaches_nothing() -> None:
    stage = alone()
    for _ in range(3):
        final(stage, stage.height + 10)

    told = [said(final(stage, (stage.height - 64) // 32 * 32), "a") for _ in range(100)]

    assert set(told) == {"up"}


# --- taken back


def test_finality_that_goes_back_twice_is_a_fork() -> None:
    stage = alone()
    final(stage, 950)

    first, second = final(stage, 940), final(stage, 941)

    assert said(first, "a") == "up"
    assert said(second, "a") == "down fork_finalized"
    assert detail(second, "a") == "want block 950 to stay final, got it taken back"


def test_a_final_block_that_becomes_another_is_a_fork() -> None:
    stage = alone()
    final(stage, 950)

    final(stage, 950, "0xother")

    assert said(final(stage, 950, "0xother"), "a") == "down fork_finalized"


def test_finality_that_goes_on_is_none() -> None:
    stage = alone()
    final(stage, 950)
    final(stage, 940)
    final(stage, 941)

    assert said(final(stage, 951), "a") == "up"
    assert said(final(stage, 951), "a") == "up"


def test_a_chain_made_anew_takes_nothing_back() -> None:
    stage = alone()
    final(stage, 950)

    def anew() -> Judgement:
        low = Head(10 + stage.runs, f"0xnew{stage.runs}", "", stage.now.wall - 1)
        return stage.run(a=stage.honest("a", head=low, tags={"finalized": Head(stage.runs)}))

    assert [said(anew(), "a") for _ in range(4)] == ["up"] * 4


def test_two_nodes_of_a_balancer_finalise_one_after_the_other() -> None:
    stage = Stage(group("a", endpoints=(Endpoint("a", load_balanced=True),)), every_s=12)

    told = [said(final(stage, height), "a") for height in (950, 940, 940, 950, 940, 940, 960)]

    assert set(told) == {"up"}


def test_a_node_that_is_behind_and_finalised_less_takes_nothing_back() -> None:
    stage = Stage(group("abc"))

    def answer() -> Judgement:
        """Let one of two nodes, of which one is stuck, answer twice in a row."""
        height = min(stage.height, 1010) if stage.runs % 8 > 3 else stage.height
        seen = stage.at("a", height, tags={"finalized": Head(height - 64, f"0x{height - 64}")})
        return stage.run(a=seen)

    told = [said(answer(), "a") for _ in range(60)]

    assert any("lag_down" in it for it in told)
    assert not any("fork_finalized" in it for it in told)


@pytest.mark.parametrize("height", [-1, 2**63, 10**400])
def test_a_final_height_that_cannot_be_is_not_looked_at(height: int) -> None:
    stage = alone()

    assert verdict(final(stage, height), "a").finality_lag is None
