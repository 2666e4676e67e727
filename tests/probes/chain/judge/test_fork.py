"""Who is on another branch: chains.md 5.5, and the blockhash row of 10."""

from typing import Any

import pytest

from probes.chain.judge.evaluate import common
from probes.chain.judge.fork import finalized_height, settled_height
from probes.chain.model import Head, Observation, Settled, Thresholds
from tests.probes.chain.judge.stage import Stage, came_to, detail, group, reasons, said, verdict

# --- which block


@pytest.mark.parametrize(
    ("heights", "depth", "want"),
    [
        pytest.param([100, 105, 103], 3, 97, id="below the lowest"),
        pytest.param([100], 3, None, id="nobody to compare with"),
        pytest.param([], 3, None, id="nobody"),
        pytest.param([4, 9], 3, 1, id="the first block"),
        pytest.param([3, 9], 3, None, id="no room"),
    ],
)
def test_the_settled_height(heights: list[int], depth: int, want: int | None) -> None:
    assert settled_height(heights, depth) == want


@pytest.mark.parametrize(
    ("told", "want"),
    [
        pytest.param([90, 80], 80, id="the lower of two"),
        pytest.param([90, 80, 85], 85, id="the second lowest of three: one may lie"),
        pytest.param([90], None, id="nobody to compare with"),
        pytest.param([0, -5, 90], None, id="no block"),
        pytest.param([2**63, 90, 80], 80, id="above the heads"),
    ],
)
def test_the_finalized_height(told: list[int], want: int | None) -> None:
    seen = [Observation("x", tags={"finalized": Head(height)}) for height in told]

    assert finalized_height([*seen, Observation("silent")], 100) == want


# --- settled blocks


def split(stage: Stage, runs: int, names: str = "a") -> Any:
    return stage.repeat(runs, lambda: {"branches": dict.fromkeys(names, "fork")})


def test_one_lost_comparison_is_no_verdict() -> None:
    stage = Stage()

    judgement = split(stage, 1)

    assert said(judgement, "a") == "up"
    assert verdict(judgement, "a").disagrees is False


def test_two_in_a_row_are() -> None:
    stage = Stage()

    judgement = split(stage, 2)

    assert said(judgement, "a") == "down fork"
    assert [told.disagrees for told in judgement.endpoints] == [True, False, False]
    assert detail(judgement, "a").startswith("want block 99")
    assert "as 2 of 3 say, got '0x99" in detail(judgement, "a")


def test_two_with_one_won_between_are_not() -> None:
    stage = Stage()
    split(stage, 1)
    stage.run()

    assert said(split(stage, 1), "a") == "up"


def test_a_comparison_that_is_won_acquits_at_once() -> None:
    stage = Stage()
    split(stage, 3)

    assert said(stage.run(), "a") == "up"


def without_comparison(stage: Stage) -> Any:
    """Run while nobody answers in round 2."""
    seen = {name: stage.honest(name) for name in "abc"}
    shared = common(stage.group, stage.views, seen, slow=True)
    for told in seen.values():
        told.settled = {(shared.settled or 0) - 1: Settled("0xold")}
    original, stage.shared = stage.group, shared
    stage.group = group(thresholds=Thresholds(fork_depth="off"))
    judgement = stage.run(**seen)
    stage.group = original
    return judgement


def test_a_fork_stands_for_some_runs_without_a_comparison_and_then_lapses() -> None:
    stage = Stage()
    split(stage, 2)

    told = [said(without_comparison(stage), "a") for _ in range(5)]

    assert told == ["down fork"] * 3 + ["up"] * 2


def test_one_against_one_is_ambiguous_and_nobody_is_down() -> None:
    stage = Stage(group("ab"))

    judgement = split(stage, 2)

    assert [said(judgement, name) for name in "ab"] == ["degraded fork_ambiguous"] * 2
    assert [told.disagrees for told in judgement.endpoints] == [False, False]
    assert detail(judgement, "a").startswith("want one block ")


def test_two_against_two_are_ambiguous() -> None:
    judgement = split(Stage(group("abcd")), 2, "ab")

    assert {said(judgement, name) for name in "abcd"} == {"degraded fork_ambiguous"}


def test_two_against_three_are_forks() -> None:
    judgement = split(Stage(group("abcde")), 2, "ab")

    assert [said(judgement, name) for name in "abcde"] == ["down fork"] * 2 + ["up"] * 3


def test_one_of_another_chain_is_not_compared() -> None:
    stage = Stage()

    judgement = stage.repeat(
        3, lambda: {"a": stage.honest("a", chain_id="2"), "branches": {"a": "fork"}}
    )

    assert reasons(judgement, "a") == ["wrong_network"]
    assert verdict(judgement, "a").disagrees is None


def test_off_is_off() -> None:
    stage = Stage(group(thresholds=Thresholds(fork_depth="off")))

    assert said(split(stage, 3), "a") == "up"


def test_a_final_block_that_differs_is_worse() -> None:
    stage = Stage()

    def told() -> dict[str, Any]:
        tags = {"finalized": Head(900 + 2 * stage.runs, "")}
        return {
            **{name: stage.honest(name, tags=dict(tags)) for name in "abc"},
            "branches": {"a": "fork"},
        }

    stage.run(**told())
    stage.runs = 0  # each run is a slow one
    judgement = stage.run(**told())

    assert "fork_finalized" in reasons(judgement, "a")
    assert said(judgement, "b") == "up"


def test_states_that_differ_without_a_majority_are_ambiguous() -> None:
    stage = Stage(group("ab", family="cosmos"), block_s=6)

    def told() -> dict[str, Observation]:
        seen = {name: stage.honest(name) for name in "ab"}
        height = common(stage.group, stage.views, seen, slow=False).settled or 0
        for name, one in seen.items():
            one.settled[height] = Settled("0xsame", f"state of {name}")
        return seen

    stage.run(**told())
    judgement = stage.run(**told())

    assert {said(judgement, name) for name in "ab"} == {"degraded fork_ambiguous"}


# --- applications

PATIENT = Thresholds(lag_warn="off", lag_down="off", head_age_s="off")


class Standing:
    """A Cosmos group of which some stand at one height; their applications came to some state."""

    def __init__(self, names: str, standing: str, state: str) -> None:
        self.stage = Stage(group(names, family="cosmos", thresholds=PATIENT), block_s=6)
        self.stage.settle()
        self.standing, self.state, self.at = standing, state, self.stage.height

    def run(self, runs: int = 1, *, told: bool = True, **others: Any) -> list[str]:
        """Run; only if *told* do they say to which state they came."""
        app = (self.at, self.state) if told else None

        def answers() -> dict[str, Any]:
            stuck = {name: self.stage.at(name, self.at, app=app) for name in self.standing}
            return {**stuck, **others}

        self.judgement = self.stage.repeat(runs, answers)
        return [said(self.judgement, known.name) for known in self.judgement.endpoints]


def test_one_that_stands_at_another_state_than_the_next_header_tells_is_down() -> None:
    group = Standing("abc", "a", "odd")

    # the first run at its last block shows nothing: it may go on
    assert group.run(2) == ["up", "up", "up"]
    assert group.stage.shared.state == group.at + 1
    assert group.run() == ["down fork_state", "up", "up"]

    want = f"want the state after block {group.at} to be '{came_to(group.at)}' as 2 headers say"
    assert detail(group.judgement, "a") == f"{want}, got 'odd'"
    assert [known.disagrees for known in group.judgement.endpoints] == [True, False, False]


def test_what_its_application_said_counts_as_long_as_it_stands() -> None:
    """The application is asked in every second run only."""
    group = Standing("abc", "a", "odd")
    group.run()

    assert group.run(6, told=False) == ["down fork_state", "up", "up"]


def test_one_that_goes_on_with_another_block_is_up_again() -> None:
    group = Standing("abc", "a", "odd")
    group.run(4)
    group.standing = ""

    assert group.run(2) == ["up", "up", "up"]
    assert group.stage.view("a").app is None


def test_one_that_stands_at_the_right_state_is_no_fork() -> None:
    group = Standing("abc", "a", "")
    group.state = came_to(group.at)

    assert group.run(5) == ["up", "up", "up"]


@pytest.mark.parametrize("standing", ["ab", "abc"], ids=["as many", "more"])
def test_headers_are_right_however_many_applications_differ(standing: str) -> None:
    group = Standing("abcde"[: len(standing) + 2], standing, "odd")

    assert group.run(3) == ["down fork_state"] * len(standing) + ["up"] * 2


@pytest.mark.parametrize(("names", "standing"), [("ab", "a"), ("abc", "ab")])
def test_one_header_alone_proves_nothing(names: str, standing: str) -> None:
    group = Standing(names, standing, "odd")

    assert set(group.run(5)) == {"up"}
    assert group.stage.shared.state is None


def test_headers_that_differ_prove_nothing() -> None:
    group = Standing("abc", "a", "odd")

    for _ in range(4):
        lie = group.stage.honest("c", settled={group.at + 1: Settled("0xsame", "lie")})
        assert group.run(c=lie) == ["up", "up", "up"]

    assert group.stage.shared.state == group.at + 1


def test_a_chain_that_stands_has_no_next_header() -> None:
    group = Standing("abc", "abc", "odd")

    assert group.run(4) == ["up", "up", "up"]
    assert group.stage.shared.state is None


# --- blockhashes


def solana(names: str = "abc") -> Stage:
    return Stage(group(names, family="solana"), block_s=0.4)


def rejects(stage: Stage, pairs: str, **keys: Any) -> dict[str, Observation]:
    """Return answers in which, for each pair ``ab``, *a* does not know the blockhash of *b*."""
    names = [endpoint.name for endpoint in stage.group.endpoints]
    denied = pairs.split()
    return {
        name: stage.honest(
            name,
            behind=keys.get(name, 0),
            blockhash=f"of {name}",
            rejected={other: name + other in denied for other in names if other != name},
        )
        for name in names
    }


def told(stage: Stage, pairs: str, runs: int, **keys: Any) -> list[str]:
    judgement = stage.repeat(runs, lambda: rejects(stage, pairs, **keys))
    return [said(judgement, known.name) for known in judgement.endpoints]


@pytest.mark.parametrize("pairs", ["ba ca", "ab ac", "ab ba ac ca", "ba ac"])
def test_an_endpoint_at_odds_with_most_is_on_a_fork(pairs: str) -> None:
    assert told(solana(), pairs, 2) == ["up", "up", "up"]
    assert told(solana(), pairs, 3) == ["down fork", "up", "up"]


def test_two_that_do_not_know_each_other_are_ambiguous() -> None:
    assert told(solana("ab"), "ab ba", 3) == ["degraded fork_ambiguous"] * 2


def test_all_that_do_not_know_each_other_are_ambiguous() -> None:
    assert told(solana(), "ab ba ac ca bc cb", 3) == ["degraded fork_ambiguous"] * 3


def test_two_against_two_of_blockhashes_are_ambiguous() -> None:
    assert told(solana("abcd"), "ac ad bc bd", 3) == ["degraded fork_ambiguous"] * 4


def test_one_that_is_behind_cannot_deny() -> None:
    assert told(solana(), "ba ca", 5, b=20, c=20) == ["up", "up", "up"]


def test_one_that_lags_has_a_reason_of_its_own() -> None:
    assert told(solana(), "ba ca ab ac", 5, a=60) == ["degraded lag_warn", "up", "up"]


def test_agreement_is_agreement() -> None:
    assert told(solana(), "", 5) == ["up", "up", "up"]
