"""Who says where the chain is, and who is behind: chains.md 5.2, 5.3."""

from dataclasses import replace
from typing import Any

import pytest

from probes.chain.judge.blocktime import Pace
from probes.chain.judge.voters import gate_width
from probes.chain.model import Head, Observation, Syncing, Thresholds
from tests.probes.chain.judge.stage import START, Stage, detail, group, head, reasons, said, verdict


def test_three_are_believed_at_the_second_highest() -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(a=stage.height + 4, b=stage.height - 1)

    assert judgement.reference == verdict(judgement, "c").height
    assert [told.lag for told in judgement.endpoints] == [0, 1, 0]


def test_two_are_believed_at_the_higher_one() -> None:
    stage = Stage(group("ab"))
    stage.settle()

    judgement = stage.run(a=stage.height - 3)

    assert judgement.reference == verdict(judgement, "b").height
    assert said(judgement, "a") == "degraded lag_warn"
    assert detail(judgement, "a") == "3 blocks behind 1006, want at most 2"


def test_one_is_no_reference() -> None:
    stage = Stage(group("a"))

    assert stage.settle().reference is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"chain_id": "2"}, id="another chain"),
        pytest.param({"syncing": Syncing(is_syncing=True)}, id="syncing"),
        pytest.param({"not_started": True}, id="not started"),
        pytest.param({"head": None}, id="no head"),
        pytest.param({"head": Head(2**63)}, id="a height that cannot be"),
        pytest.param({"head": head(1006, timestamp=float("nan"))}, id="no time at all"),
        pytest.param({"head": head(1006, timestamp=12.0)}, id="a time before all chains"),
        pytest.param({"head": head(1006, timestamp=START.wall + 200)}, id="a time to come"),
        pytest.param({"head": head(1006, timestamp=1e300)}, id="a time after all chains"),
        pytest.param({"head": head(1100)}, id="a height that does not follow"),
    ],
)
def test_who_may_not_vote(changes: dict[str, Any]) -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(a=stage.honest("a", **changes))

    assert not verdict(judgement, "a").is_voter
    assert judgement.voters == 2


def test_one_without_a_timestamp_may_vote() -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(a=stage.honest("a", head=Head(1006, "0x1006")))

    assert verdict(judgement, "a").is_voter


def test_a_jump_is_ambiguous_and_not_believed() -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(a=stage.honest("a", head=head(1006 + 500, timestamp=START.wall + 60)))

    assert said(judgement, "a") == "degraded reference_ambiguous"
    assert detail(judgement, "a") == "want a height that follows the group's, got 1506"
    assert judgement.reference == 1006


def test_the_gate_opens_at_twice_the_speed_of_the_chain() -> None:
    pace = Pace(12, 12, 12)

    assert gate_width(None, 100, pace) == 5
    assert gate_width((1000, 100), 100, pace) == 5
    assert gate_width((1000, 100), 160, pace) == 15
    assert gate_width((1000, 100), 40, pace) == 5


def test_when_most_are_outside_the_gate_is_given_up() -> None:
    stage = Stage()
    stage.settle()

    jumped = {name: stage.honest(name, head=head(5000, timestamp=START.wall + 60)) for name in "ab"}
    judgement = stage.run(**jumped)

    assert judgement.voters == 3
    assert judgement.reference == 5000


def test_a_straggler_inside_does_not_keep_two_others_out() -> None:
    stage = Stage()
    stage.settle()

    stage.run(a=None, b=None, c=1005)
    stage.elapsed_s += 60
    now = {name: stage.honest(name, head=head(9000, timestamp=stage.now.wall)) for name in "ab"}
    judgement = stage.run(c=1005, **now)

    assert [said(judgement, name) for name in "ab"] == ["up", "up"]


def test_a_single_voter_keeps_one_that_jumped_outside() -> None:
    stage = Stage(group("ab"))
    stage.settle()

    for _ in range(200):
        jumped = head(10_000, timestamp=stage.now.wall, hash=f"0x{stage.runs}")
        judgement = stage.run(a=stage.honest("a", head=jumped))

        assert said(judgement, "b") == "up"
        assert "reference_ambiguous" in reasons(judgement, "a")


def test_two_that_are_far_apart_are_judged_by_age() -> None:
    stage = Stage(group("ab"))

    stage.run(a=500)
    judgement = stage.run(a=501)

    assert said(judgement, "a") == "down lag_down head_stale"
    assert said(judgement, "b") == "up"


@pytest.mark.parametrize("fresh", [True, False])
def test_two_that_are_far_apart_and_alike_are_ambiguous(fresh: bool) -> None:
    stage = Stage(group("ab"))
    stamp = START.wall if fresh else START.wall - 9000

    def split() -> dict[str, Observation]:
        low = head(500, timestamp=stamp + stage.elapsed_s)
        high = head(900, timestamp=stamp + stage.elapsed_s, hash=f"0x{stage.runs}")
        return {"a": stage.honest("a", head=low), "b": stage.honest("b", head=high)}

    first = stage.run(**split())
    judgement = stage.run(**split())

    assert not reasons(first, "a") or reasons(first, "a") == ["head_stale"]
    assert "reference_ambiguous" in reasons(judgement, "a")
    assert "reference_ambiguous" in reasons(judgement, "b")
    assert verdict(judgement, "a").lag is None
    worst = [one for one in verdict(judgement, "a").findings if "apart" in one.detail or one.detail]
    assert any(one.detail.endswith("got 500 and 900") for one in worst)


def test_two_that_are_apart_by_less_than_the_limit_of_lag_are_never_ambiguous() -> None:
    stage = Stage(group("ab"), block_s=0.25)
    stage.settle()

    judgement = stage.run(a=stage.height - 110)

    assert said(judgement, "a") == "degraded lag_warn"


def test_without_a_limit_of_age_nobody_is_implausible() -> None:
    stage = Stage(group("ab", thresholds=Thresholds(head_age_s="off")))

    stage.run(a=500)
    judgement = stage.run(a=501)

    assert said(judgement, "a") == "degraded reference_ambiguous"


def test_who_was_read_earlier_may_be_behind_by_as_much() -> None:
    stage = Stage(block_s=1.0)
    stage.settle()

    seen = stage.honest("a", behind=12)
    assert seen.head is not None
    early = replace(seen, head=replace(seen.head, seen=stage.now.mono - 4.95))
    judgement = stage.run(a=early)

    assert verdict(judgement, "a").lag == 7
    assert verdict(judgement, "a").lag_s == pytest.approx(7.0)


def test_who_was_read_later_is_not_ahead_of_its_height() -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(a=stage.honest("a", head=head(stage.height, seen=stage.now.mono + 20)))

    assert verdict(judgement, "a").lag == 0


def test_lag_is_not_judged_on_the_first_sample_of_an_endpoint() -> None:
    stage = Stage()
    stage.repeat(5, lambda: {"a": None})

    first = stage.run(a=stage.height - 8)
    second = stage.run(a=stage.height - 8)

    assert said(first, "a") == "up"
    assert verdict(first, "a").lag is None
    assert said(second, "a") == "down lag_down"


def test_a_jump_is_not_judged_on_the_first_sample_of_an_endpoint() -> None:
    stage = Stage()
    stage.repeat(5, lambda: {"a": None})
    high = head(5000, timestamp=stage.now.wall)

    assert said(stage.run(a=stage.honest("a", head=high)), "a") == "up"


def test_lag_that_is_off_is_told_and_not_judged() -> None:
    stage = Stage(group(thresholds=Thresholds(lag_warn="off", lag_down="off", head_age_s="off")))
    stage.settle()

    judgement = stage.run(a=stage.height - 100)

    assert verdict(judgement, "a").lag == 100
    assert said(judgement, "a") == "up"


def test_one_of_another_chain_has_no_lag() -> None:
    stage = Stage()
    stage.settle()

    assert verdict(stage.run(a=stage.honest("a", chain_id="2")), "a").lag is None
