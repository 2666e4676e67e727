"""Who serves the chain that is meant: chains.md 5.1."""

import pytest

from probes.chain.model import Observation
from probes.chain.reasons import ChainReason
from tests.probes.chain.judge.stage import (
    DEGRADED,
    DOWN,
    Stage,
    detail,
    group,
    reasons,
    said,
    verdict,
)


def unset(names: str = "abc") -> Stage:
    return Stage(group(names, chain_id=None))


def answers(stage: Stage, **ids: str | None) -> dict[str, Observation]:
    return {name: stage.honest(name, chain_id=told) for name, told in ids.items()}


def test_the_right_chain_matches() -> None:
    judgement = Stage().run()

    assert [told.id_match for told in judgement.endpoints] == [True, True, True]


def test_who_has_not_told_is_not_judged() -> None:
    stage = Stage()

    judgement = stage.run(**answers(stage, a=None))

    assert verdict(judgement, "a").id_match is None
    assert said(judgement, "a") == "up"


def test_the_latest_word_counts_until_the_next() -> None:
    stage = Stage()
    stage.settle()

    stage.run(**answers(stage, a="2"))
    silent = stage.run(**answers(stage, a=None))
    back = stage.run(**answers(stage, a="1"))

    assert reasons(silent, "a") == ["wrong_network"]
    assert said(back, "a") == "up"


def test_an_endpoint_that_fails_stays_one_of_the_wrong_chain() -> None:
    stage = Stage()
    stage.run(**answers(stage, a="2"))

    judgement = stage.run(a=Observation("a", asked={"head"}))

    assert verdict(judgement, "a").id_match is False


def test_without_a_chain_id_the_majority_is_believed() -> None:
    stage = unset()

    judgement = stage.run(**answers(stage, a="2"))

    assert said(judgement, "a") == "down wrong_network"
    assert detail(judgement, "a") == "want chain id '1' as learnt, got '2'"


def test_one_that_answers_first_teaches_nothing() -> None:
    stage = unset()

    stage.run(**answers(stage, a="2", b=None, c=None))
    judgement = stage.run(**answers(stage, a="2", b="1", c="1"))

    assert [said(judgement, name) for name in "abc"] == ["down wrong_network", "up", "up"]


def test_what_most_endpoints_once_told_is_learnt_for_good() -> None:
    stage = unset()
    stage.settle()

    judgement = stage.run(**answers(stage, a="2", b="2", c="2"))

    assert {verdict(judgement, name).outcome for name in "abc"} == {DOWN}


def test_a_single_endpoint_is_judged_by_its_own_past() -> None:
    stage = unset("a")
    stage.settle()

    judgement = stage.run(**answers(stage, a="999"))

    assert said(judgement, "a") == "down wrong_network"
    assert verdict(judgement, "a").exported is DOWN


def test_one_against_one_is_ambiguous() -> None:
    stage = unset("ab")

    judgement = stage.run(**answers(stage, a="2"))

    assert [said(judgement, name) for name in "ab"] == ["degraded reference_ambiguous"] * 2
    assert [told.id_match for told in judgement.endpoints] == [None, None]
    assert detail(judgement, "a") == (
        "want one chain id for the group, got 2 without a majority: here '2'"
    )


def test_a_majority_of_those_that_answer_is_enough_for_a_verdict() -> None:
    stage = unset("abcde")
    down = {name: Observation(name, asked={"head"}) for name in "de"}

    judgement = stage.run(**answers(stage, a="2"), **down)

    assert said(judgement, "a") == "down wrong_network"
    assert stage.views.chain_id is None
    assert detail(judgement, "a") == "want chain id '1' of the majority, got '2'"


@pytest.mark.parametrize("configured", [True, False])
def test_another_first_block_is_another_chain(configured: bool) -> None:
    stage = Stage(group(genesis_hash="0xmain" if configured else None))
    told = {name: stage.honest(name, genesis="0xmain") for name in "bc"}

    judgement = stage.run(a=stage.honest("a", genesis="0xdev"), **told)

    assert said(judgement, "a") == "down wrong_network"
    assert verdict(judgement, "a").id_match is False
    assert verdict(judgement, "b").id_match is True


def test_a_development_chain_that_is_made_anew_is_the_same_for_all() -> None:
    stage = Stage()
    stage.run(**{name: stage.honest(name, genesis="0xold") for name in "abc"})

    judgement = stage.run(**{name: stage.honest(name, genesis="0xnew") for name in "abc"})

    assert [said(judgement, name) for name in "abc"] == ["up", "up", "up"]


def test_a_chain_id_of_a_megabyte_is_shown_and_kept_in_part() -> None:
    stage = Stage()

    judgement = stage.run(a=stage.honest("a", chain_id="x" * 10**6))

    assert len(detail(judgement, "a")) < 120
    assert len(stage.view("a").chain_id or "") == 130


def test_one_that_cannot_be_reached_is_not_on_the_wrong_network_any_more() -> None:
    stage = Stage(group("abc"))
    stage.settle()
    wrong = stage.run(a=stage.honest("a", chain_id="999"))
    gone = stage.run(a=stage.silent("a", ChainReason.CONNECT_REFUSED))

    assert said(wrong, "a") == "down wrong_network"
    assert (said(gone, "a"), verdict(gone, "a").id_match) == ("down connect_refused", None)
    # it is back and has not said who it is: its last word counts
    assert said(stage.run(a=stage.honest("a", chain_id=None)), "a") == "down wrong_network"


def test_one_that_throttles_is_still_on_the_wrong_network() -> None:
    stage = Stage(group("abc"))
    stage.run(a=stage.honest("a", chain_id="999"))
    throttled = stage.silent("a", ChainReason.RATE_LIMITED, DEGRADED)

    assert said(stage.run(a=throttled), "a") == "down wrong_network rate_limited"
    left = Observation("a", left_alone=True)
    assert said(stage.run(a=left), "a") == "down wrong_network rate_limited"
