"""What an endpoint says of itself: chains.md 4, 5.10, 10, 11."""

from typing import Any

import pytest

from probes.chain.judge.selfreport import held_s
from probes.chain.model import Endpoint, Health, Observation, Syncing, Thresholds
from probes.chain.reasons import ChainReason
from probes.wire.websocket.heads import News
from tests.probes.chain.judge.stage import DEGRADED, Stage, detail, group, said, verdict


def alone(**keys: Any) -> Stage:
    return Stage(group("a", **keys))


def tell(stage: Stage, **answers: Any) -> str:
    return said(stage.run(a=stage.honest("a", **answers)), "a")


# --- throttled


def throttle(stage: Stage) -> str:
    seen = stage.silent("a", ChainReason.RATE_LIMITED, DEGRADED)
    return said(stage.run(a=seen), "a")


def leave_alone(stage: Stage) -> str:
    return said(stage.run(a=Observation("a", left_alone=True)), "a")


def test_only_runs_that_asked_count_and_those_between_change_nothing() -> None:
    stage = alone()
    stage.settle()

    told = [
        step(stage)
        for step in (throttle, leave_alone, leave_alone, throttle, leave_alone, throttle)
    ]

    assert told == ["degraded rate_limited"] * 5 + ["down rate_limited"]
    assert leave_alone(stage) == "down rate_limited"


def test_an_answer_begins_the_count_anew() -> None:
    stage = alone()
    for _ in range(5):
        throttle(stage)
    stage.run()

    assert throttle(stage) == "degraded rate_limited"


def test_another_failure_does_not() -> None:
    stage = alone()
    throttle(stage)
    throttle(stage)
    stage.run(a=stage.silent("a", ChainReason.TIMEOUT))

    assert throttle(stage) == "down rate_limited"


def test_one_that_throttles_its_slow_calls_is_impaired() -> None:
    assert tell(alone(), retry_after_s=0.0) == "degraded rate_limited"


# --- syncing


FAR, NEAR, VAGUE = Syncing(True, 10**6), Syncing(True, 2), Syncing(True)
CLEAR = Syncing(is_syncing=False)


def test_four_answers_in_a_row_clear_it() -> None:
    stage = alone()

    told = [tell(stage, syncing=word) for word in (FAR, CLEAR, NEAR, CLEAR, FAR, *[CLEAR] * 4)]

    assert told == ["down syncing"] * 8 + ["up"]


def test_what_was_said_lapses_when_nothing_is_said() -> None:
    stage = alone()
    tell(stage, syncing=FAR)

    told = stage.settle(70)

    assert said(told, "a") == "up"


def test_a_balancer_is_never_judged_from_one_answer() -> None:
    stage = alone(endpoints=(Endpoint("a", load_balanced=True),))

    told = [tell(stage, syncing=word) for word in (FAR, CLEAR, FAR, FAR, CLEAR)]

    assert told == ["up", "up", "up", "down syncing", "up"]


def test_a_distance_is_told() -> None:
    stage = alone()

    judgement = stage.run(a=stage.honest("a", syncing=FAR))

    assert detail(judgement, "a") == "syncing, 1000000 blocks to go, want at most 6"


@pytest.mark.parametrize(
    ("behind", "want"),
    [
        pytest.param(0, "degraded syncing", id="recent"),
        pytest.param(9, "degraded syncing", id="within the limits"),
        pytest.param(12, "down syncing head_stale", id="old"),
    ],
)
def test_a_cosmos_node_that_catches_up_is_judged_by_its_head(behind: int, want: str) -> None:
    stage = Stage(group("a", family="cosmos"), block_s=6)

    judgement = stage.run(a=stage.honest("a", behind, syncing=VAGUE))

    assert said(judgement, "a") == want


def test_a_cosmos_node_that_catches_up_from_afar_is_down() -> None:
    stage = Stage(group(family="cosmos", thresholds=Thresholds(head_age_s="off")), block_s=6)
    stage.settle()

    judgement = stage.run(a=stage.honest("a", 20, syncing=VAGUE))

    assert said(judgement, "a") == "down lag_down syncing"


def test_a_cosmos_node_has_caught_up_when_it_says_so() -> None:
    stage = Stage(group("a", family="cosmos"), block_s=6)
    tell(stage, syncing=VAGUE)

    assert tell(stage, syncing=CLEAR) == "up"


# --- solana


def solana(**keys: Any) -> Stage:
    return Stage(group(family="solana", **keys), block_s=0.4)


@pytest.mark.parametrize(
    ("health", "want"),
    [
        pytest.param(Health(ok=True), "up", id="ok"),
        pytest.param(Health(ok=None), "up", id="it means nothing"),
        pytest.param(Health(False, 150), "degraded unhealthy", id="some slots"),
        pytest.param(Health(False, 151), "down unhealthy", id="many slots"),
        pytest.param(Health(False, 10**400), "down unhealthy", id="absurd"),
        pytest.param(Health(ok=False), "down unhealthy", id="it cannot say"),
    ],
)
def test_what_an_unhealthy_node_says(health: Health, want: str) -> None:
    assert tell(solana(), health=health) == want


def test_a_distance_is_judged_only_by_a_limit() -> None:
    stage = solana(thresholds=Thresholds(lag_down="off"))

    judgement = stage.run(a=stage.honest("a", health=Health(False, 999)))

    assert said(judgement, "a") == "degraded unhealthy"
    assert detail(judgement, "a") == "says it is 999 slots behind"


def test_all_of_them_unhealthy_and_unable_to_say_is_a_halt() -> None:
    stage = solana()
    vague = Health(ok=False)

    def all_vague() -> dict[str, Observation]:
        return {name: stage.honest(name, health=vague) for name in "abc"}

    first, second = stage.run(**all_vague()), stage.run(**all_vague())

    assert not first.is_halted
    assert second.is_halted
    assert said(second, "a") == "degraded unhealthy chain_halted"


def test_one_of_them_that_is_well_is_no_halt() -> None:
    stage = solana()
    vague = Health(ok=False)

    judgement = stage.repeat(5, lambda: {n: stage.honest(n, health=vague) for n in "ab"})

    assert not judgement.is_halted
    assert said(judgement, "a") == "down unhealthy"


@pytest.mark.parametrize(
    ("lag", "want"), [(100, "up"), (101, "down replay_stalled"), (10**400, "down replay_stalled")]
)
def test_replay_may_lag_by_a_hundred_slots(lag: int, want: str) -> None:
    assert tell(solana(), shred_lag=lag) == want


# --- latency


@pytest.mark.parametrize(
    ("seconds", "want"),
    [(1.0, "up"), (1.5, "degraded latency_high"), (4.5, "down latency_high")],
)
def test_latency_has_two_limits(seconds: float, want: str) -> None:
    stage = alone(thresholds=Thresholds(latency_down_s=4.0))

    assert tell(stage, latency_s=seconds) == want


def test_latency_is_told_in_milliseconds() -> None:
    stage = alone()

    judgement = stage.run(a=stage.honest("a", latency_s=1.23456))

    assert detail(judgement, "a") == "head took 1.235 s, want at most 1 s"


# --- slow answers


def test_few_peers_are_told_until_the_next_answer() -> None:
    stage = alone(thresholds=Thresholds(min_peers=3))

    judgement = stage.run(a=stage.honest("a", peers=2))

    assert detail(judgement, "a") == "want at least 3 peers, got 2"
    assert [said(stage.run(), "a") for _ in range(3)] == ["degraded peers_low"] * 3
    assert tell(stage, peers=3) == "up"


def test_an_answer_that_is_too_old_lapses() -> None:
    stage = alone(thresholds=Thresholds(min_peers=3))
    tell(stage, peers=0)

    stage.elapsed_s += held_s(stage.group) - 2 * stage.every_s
    assert said(stage.run(), "a") == "degraded peers_low"
    stage.elapsed_s += 2 * stage.every_s
    assert said(stage.run(), "a") == "up"


def test_slow_answers_count_for_three_slow_rounds() -> None:
    assert held_s(group(every_s=15)) == 900
    assert held_s(group(every_s=5)) == 300


def test_an_endpoint_without_a_head_has_greater_worries() -> None:
    stage = alone(thresholds=Thresholds(min_peers=3))
    tell(stage, peers=0)

    assert said(stage.run(a=stage.silent("a", ChainReason.TIMEOUT)), "a") == "down timeout"


def test_the_application_may_be_two_blocks_behind_its_store() -> None:
    stage = Stage(group(family="cosmos"), block_s=6)

    judgement = stage.run(a=stage.honest("a", abci_lag=11))

    assert (
        detail(judgement, "a") == "the application is 11 blocks behind its store, want at most 10"
    )


def test_consensus_may_need_a_second_round_now_and_then() -> None:
    stage = Stage(group("a", family="cosmos"), block_s=6)

    told = [tell(stage, consensus_round=number) for number in (1, 1, 1, 0, 1, 2, 1, 1, 0)]

    assert told == ["up"] * 7 + ["degraded consensus_round", "up"]


def test_rounds_that_were_not_asked_do_not_interrupt() -> None:
    stage = Stage(group("a", family="cosmos"), block_s=6)
    for _ in range(3):
        tell(stage, consensus_round=1)
        stage.run()

    judgement = stage.run(a=stage.honest("a", consensus_round=3))

    assert detail(judgement, "a") == (
        "want consensus in round 0, got round 3, over 0 for 4 answers"
    )


@pytest.mark.parametrize(
    ("answers", "want"),
    [
        pytest.param({}, "up", id="not told"),
        pytest.param({"capabilities": {"archive": True}}, "up", id="it can"),
        pytest.param(
            {"capabilities": {"archive": False}}, "degraded capability_missing", id="it cannot"
        ),
        pytest.param({"news": News(is_up=True)}, "up", id="websocket up"),
        pytest.param({"news": News()}, "up", id="websocket not yet up"),
        pytest.param(
            {"news": News(problem="unavailable")},
            "degraded capability_missing ws_unavailable",
            id="no websocket",
        ),
    ],
)
def test_what_is_required_must_be_there(answers: dict[str, Any], want: str) -> None:
    stage = alone(require=frozenset({"archive", "websocket"}))

    assert tell(stage, **answers) == want


def test_all_that_is_missing_is_named() -> None:
    stage = alone(require=frozenset({"trace", "logs"}))

    told = stage.run(a=stage.honest("a", capabilities={"trace": False, "logs": False}))

    assert detail(told, "a") == "want logs, trace, got an endpoint without"
    assert verdict(told, "a").height == 1000
