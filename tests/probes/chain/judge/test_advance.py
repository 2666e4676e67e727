"""Two samples of a run that stands alone: did the heads move?"""

import pytest

from probes.chain.judge.advance import advanced, judge_advance
from probes.chain.model import Judgement, Thresholds
from probes.result import Outcome
from tests.probes.chain.judge.stage import Stage, detail, group, said


def two(
    stage: Stage, first: dict[str, int], second: dict[str, int], wait_s: float
) -> tuple[Judgement, Judgement]:
    earlier = stage.run(**first)
    stage.elapsed_s += wait_s - stage.every_s
    return earlier, stage.run(**second)


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [
        pytest.param(37, "degraded head_stale", id="three blocks are due"),
        pytest.param(35, "up", id="two blocks are due"),
    ],
)
def test_a_head_that_stands_still_and_is_due_degrades(age_s: int, verdict: str) -> None:
    stage = Stage(group("a", block_time_s=12.0), elapsed_s=float(age_s - 20))
    earlier, later = two(stage, {"a": 1000}, {"a": 1000}, 20.0)

    judged = judge_advance(stage.group, earlier, later, 20.0)

    assert said(judged, "a") == verdict
    assert judged.outcome.value == verdict.split(maxsplit=1)[0]


def test_the_message_says_how_long_and_what_was_wanted() -> None:
    stage = Stage(group("a", block_time_s=12.0), elapsed_s=30.0)
    earlier, later = two(stage, {"a": 1000}, {"a": 1000}, 20.0)

    judged = judge_advance(stage.group, earlier, later, 20.0)

    assert detail(judged, "a") == "no new block in 20 s, head is 50 s old, want one every 12 s"


def test_a_head_that_moves_is_up() -> None:
    stage = Stage(group("a", block_time_s=12.0), elapsed_s=48.0)
    earlier, later = two(stage, {"a": 1000}, {"a": 1001}, 20.0)

    assert advanced(earlier, later) == {"a": 1}
    assert judge_advance(stage.group, earlier, later, 20.0) is later


def test_a_chain_that_mines_on_demand_is_not_judged() -> None:
    quiet = Thresholds(head_age_s="off")
    stage = Stage(group("a", block_time_s=12.0, thresholds=quiet), elapsed_s=600.0)
    earlier, later = two(stage, {"a": 1000}, {"a": 1000}, 20.0)

    assert judge_advance(stage.group, earlier, later, 20.0).outcome is Outcome.UP


def test_only_who_stands_still_is_told() -> None:
    stage = Stage(group("ab", block_time_s=12.0), elapsed_s=24.0)
    earlier, later = two(stage, {"a": 1000}, {"a": 1000}, 20.0)

    judged = judge_advance(stage.group, earlier, later, 20.0)

    assert said(judged, "b") == "up"
    assert said(judged, "a") != "up"
