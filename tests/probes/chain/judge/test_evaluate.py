"""The failure cases of chains.md 17 that need no wire, and what one run means for the next."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from probes.chain.judge.evaluate import BLOCK_TIMES_S, common, conclude, evaluate, limits, trouble
from probes.chain.judge.views import View, Views
from probes.chain.model import (
    Endpoint,
    Fees,
    Head,
    Health,
    Judgement,
    Observation,
    Settled,
    Syncing,
    Thresholds,
    Verdict,
)
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Common
from probes.result import Outcome
from probes.wire.websocket.heads import News, Sighting
from tests.probes.chain.judge.stage import (
    DEGRADED,
    DOWN,
    START,
    UNKNOWN,
    UP,
    Stage,
    detail,
    fault,
    group,
    head,
    reasons,
    said,
    verdict,
)

Scene = Callable[[Stage], Judgement]


def transport(reason: ChainReason) -> Scene:
    return lambda stage: stage.run(a=stage.silent("a", reason))


def tells(**said_by_a: Any) -> Scene:
    """Return a scene in which all are settled and then *a* tells something else."""

    def scene(stage: Stage) -> Judgement:
        stage.settle()
        return stage.run(a=stage.honest("a", **said_by_a))

    return scene


def throttled(runs: int) -> Scene:
    def scene(stage: Stage) -> Judgement:
        stage.settle()
        silent = ChainReason.RATE_LIMITED
        return stage.repeat(runs, lambda: {"a": stage.silent("a", silent, DEGRADED)})

    return scene


def frozen(names: str, runs: int = 12) -> Scene:
    """Return a scene in which the heads of *names* stop."""

    def scene(stage: Stage) -> Judgement:
        stage.settle()
        at = stage.height
        return stage.repeat(runs, lambda: dict.fromkeys(names, at))

    return scene


def behind(blocks: int, runs: int = 2) -> Scene:
    def scene(stage: Stage) -> Judgement:
        return stage.repeat(runs, lambda: {"a": stage.at("a", stage.height - blocks)})

    return scene


def splits(runs: int, names: str = "a") -> Scene:
    def scene(stage: Stage) -> Judgement:
        stage.settle()
        return stage.repeat(runs, lambda: {"branches": dict.fromkeys(names, "fork")})

    return scene


def ahead(names: str) -> Scene:
    def scene(stage: Stage) -> Judgement:
        stage.settle()
        told = {}
        for name in names:
            seen = stage.honest(name)
            stamp = stage.now.wall + 60
            told[name] = replace(seen, head=replace(seen.head, timestamp=stamp))  # type: ignore[type-var]
        return stage.run(**told)

    return scene


def finality_stops(stage: Stage) -> Judgement:
    final = Head(stage.height - 40, "0xfinal")
    return stage.repeat(70, lambda: {"a": stage.honest("a", tags={"finalized": final})})


def hears(news: Callable[[Stage, int], News], runs: int) -> Scene:
    """Return a scene in which *a* has a websocket with *news* of the run."""

    def scene(stage: Stage) -> Judgement:
        stage.settle()
        said_last = None
        for run in range(runs):
            said_last = stage.run(a=stage.honest("a", news=news(stage, run)))
        assert said_last is not None
        return said_last

    return scene


def sighting(stage: Stage, height: int) -> Sighting:
    received = stage.now.mono - 1
    return Sighting(height, f"0x{height}", f"0x{height - 1}", None, stage.now.wall - 1, received)


def silent_news(stage: Stage, run: int) -> News:
    last = Sighting(1001, "0x1001", "0x1000", None, START.wall, START.mono + 14)
    return News(is_up=True, heads=1, sightings=(last,), up_since=4000, last_received=last.received)


def lively_news(stage: Stage, run: int) -> News:
    told = sighting(stage, stage.height)
    return News(
        is_up=True, heads=run + 2, sightings=(told,), up_since=4000, last_received=told.received
    )


def skipping_news(stage: Stage, run: int) -> News:
    return replace(lively_news(stage, run), missed=2 * run)


def broken_news(problem: Any) -> Callable[[Stage, int], News]:
    return lambda _stage, _run: News(problem=problem, detail=f"want it open, got {problem}")


EVM, COSMOS, SOLANA = group(), group(family="cosmos"), group(family="solana")
PAIR, ALONE = group("ab"), group("a")
REQUIRES = group(require=frozenset({"archive"}))
Row = tuple[Any, Scene, str]
ROWS = [
    pytest.param(EVM, transport(ChainReason.CONNECT_REFUSED), "down connect_refused", id="1"),
    pytest.param(EVM, transport(ChainReason.DNS_FAILED), "down dns_failed", id="2 one host"),
    pytest.param(
        EVM,
        lambda stage: stage.run(
            lost="no control answers",
            **{name: stage.silent(name, ChainReason.DNS_FAILED) for name in "abc"},
        ),
        "unknown probe_network",
        id="2 all hosts",
    ),
    pytest.param(EVM, transport(ChainReason.TIMEOUT), "down timeout", id="3, 6"),
    pytest.param(EVM, transport(ChainReason.TLS_INVALID), "down tls_invalid", id="4"),
    pytest.param(EVM, transport(ChainReason.CONNECTION_RESET), "down connection_reset", id="5"),
    pytest.param(EVM, transport(ChainReason.HTTP_5XX), "down http_5xx", id="7"),
    pytest.param(EVM, transport(ChainReason.INVALID_RESPONSE), "down invalid_response", id="8"),
    pytest.param(EVM, throttled(1), "degraded rate_limited", id="9, 10 first run"),
    pytest.param(EVM, throttled(2), "degraded rate_limited", id="9, 10 second run"),
    pytest.param(EVM, throttled(3), "down rate_limited", id="9, 10 third run"),
    pytest.param(EVM, transport(ChainReason.PLAN_EXHAUSTED), "down plan_exhausted", id="11"),
    pytest.param(EVM, transport(ChainReason.AUTH_FAILED), "down auth_failed", id="12"),
    pytest.param(EVM, transport(ChainReason.RPC_CORE_ERROR), "down rpc_core_error", id="13"),
    pytest.param(EVM, tells(capabilities={"finalized": False}), "up", id="18"),
    pytest.param(EVM, tells(unsupported={"peers"}, peers=None), "up", id="19"),
    pytest.param(
        REQUIRES, tells(capabilities={"archive": False}), "degraded capability_missing", id="20"
    ),
    pytest.param(EVM, tells(chain_id="999"), "down wrong_network", id="21"),
    pytest.param(
        group(genesis_hash="0xmain"), tells(genesis="0xdev"), "down wrong_network", id="22"
    ),
    pytest.param(EVM, transport(ChainReason.WRONG_FAMILY), "down wrong_family", id="23"),
    pytest.param(EVM, frozen("a"), "down head_stale lag_down", id="24"),
    pytest.param(PAIR, frozen("ab"), "degraded head_stale chain_halted", id="25"),
    pytest.param(EVM, behind(3), "degraded lag_warn", id="26"),
    pytest.param(EVM, behind(500), "down lag_down head_stale", id="27"),
    pytest.param(EVM, splits(1), "up", id="28 one run"),
    pytest.param(EVM, splits(2), "down fork", id="29"),
    pytest.param(PAIR, splits(2), "degraded fork_ambiguous", id="30"),
    pytest.param(EVM, finality_stops, "degraded finality_stalled", id="32"),
    pytest.param(EVM, tells(syncing=Syncing(True, 10**6)), "down syncing", id="33"),
    pytest.param(EVM, tells(syncing=Syncing(True, 2)), "up", id="34"),
    pytest.param(EVM, tells(syncing=Syncing(True)), "degraded syncing", id="35"),
    pytest.param(
        EVM,
        lambda stage: stage.run(
            a=stage.at("a", 900, syncing=Syncing(is_syncing=True)), b=None, c=None
        ),
        "down syncing head_stale",
        id="35 old head",
    ),
    pytest.param(
        COSMOS,
        lambda stage: stage.run(a=stage.at("a", 940, syncing=Syncing(is_syncing=False))),
        "down head_stale",
        id="36",
    ),
    pytest.param(COSMOS, tells(syncing=Syncing(True)), "degraded syncing", id="37"),
    pytest.param(
        COSMOS,
        lambda stage: stage.run(a=stage.honest("a", head=None, not_started=True)),
        "down not_started",
        id="38",
    ),
    pytest.param(COSMOS, tells(abci_lag=2), "up", id="39 at the limit"),
    pytest.param(COSMOS, tells(abci_lag=3), "degraded abci_lag", id="39 warn"),
    pytest.param(COSMOS, tells(abci_lag=11), "down abci_lag", id="39 down"),
    pytest.param(SOLANA, tells(health=Health(False, 213)), "down unhealthy", id="40"),
    pytest.param(
        SOLANA,
        tells(health=Health(False, 150)),
        "degraded unhealthy",
        id="40 near",
    ),
    pytest.param(SOLANA, frozen("a"), "down head_stale lag_down", id="41"),
    pytest.param(
        SOLANA,
        tells(shred_lag=400, health=Health(ok=True)),
        "down replay_stalled",
        id="42",
    ),
    pytest.param(EVM, ahead("a"), "degraded head_in_future", id="44 one"),
    pytest.param(EVM, ahead("abc"), "unknown local_clock", id="44 all"),
    pytest.param(EVM, hears(broken_news("unavailable"), 1), "degraded ws_unavailable", id="45"),
    pytest.param(
        EVM, hears(broken_news("subscribe_failed"), 1), "degraded ws_subscribe_failed", id="46"
    ),
    pytest.param(EVM, hears(broken_news("closed"), 1), "degraded ws_closed", id="46 closed"),
    pytest.param(EVM, hears(silent_news, 25), "degraded ws_silent", id="47"),
    pytest.param(EVM, hears(lively_news, 25), "up", id="47 none"),
    pytest.param(EVM, hears(skipping_news, 3), "degraded ws_missed_heads", id="49"),
    pytest.param(EVM, tells(capabilities={"archive": False}), "up", id="50 not required"),
    pytest.param(
        EVM,
        lambda stage: stage.run(a=Observation("a", shed={"head"})),
        "unknown budget_shed",
        id="56",
    ),
    pytest.param(EVM, tells(shed={"peers"}), "up", id="56 a slow value"),
    pytest.param(EVM, lambda stage: stage.run(), "up", id="57 with a timestamp"),
    pytest.param(
        EVM, lambda stage: stage.run(a=600), "down head_stale", id="57 old, far behind: by age only"
    ),
    pytest.param(
        EVM,
        lambda stage: stage.run(a=stage.honest("a", head=Head(1000, "0x1000"))),
        "unknown first_sample",
        id="57 without a timestamp",
    ),
]


@pytest.mark.parametrize(("who", "scene", "want"), ROWS)
def test_each_row_of_the_failure_cases(who: Any, scene: Scene, want: str) -> None:
    stage = Stage(who, block_s=BLOCK_TIMES_S[who.family])

    judgement = scene(stage)

    assert said(judgement, "a") == want
    honest = [name for name in "bc" if verdicts_of(judgement, name)]
    alone = "halted" not in want and "ambiguous" not in want and UNKNOWN not in want.split()
    assert not alone or all(verdict(judgement, name).outcome is not DOWN for name in honest)


def verdicts_of(judgement: Judgement, name: str) -> list[Verdict]:
    return [told for told in judgement.endpoints if told.name == name]


def test_row_25_a_halted_chain_is_one_reason_for_the_group() -> None:
    stage = Stage(PAIR)

    judgement = frozen("ab")(stage)

    assert judgement.is_halted
    assert (judgement.outcome, judgement.blamed) == (DOWN, "")
    assert judgement.finding == Finding(
        ChainReason.CHAIN_HALTED, DOWN, "want new blocks, got none for 165 s on any endpoint"
    )
    assert {told.outcome for told in judgement.endpoints} == {DEGRADED}


def test_row_28_a_reorg_at_the_tip_is_counted_and_nothing_else() -> None:
    stage = Stage()
    stage.settle()

    at = stage.height
    stage.run(a=at)
    reorg = head(at, hash="0xother", seen=stage.now.mono)
    judgement = stage.run(a=stage.honest("a", head=reorg))

    assert said(judgement, "a") == "up"
    assert (stage.view("a").reorgs, stage.view("a").reorg_blocks) == (1, 1)


def test_row_31_an_equal_block_with_another_state_is_a_fork_of_the_state() -> None:
    stage = Stage(COSMOS, block_s=6)
    stage.settle()

    def split() -> dict[str, Any]:
        seen = {name: stage.honest(name) for name in "abc"}
        shared = common(stage.group, stage.views, seen, slow=False)
        assert shared.settled is not None
        for name, told in seen.items():
            state = "odd" if name == "a" else "even"
            told.settled[shared.settled] = Settled("0xsame", state)
        return seen

    stage.run(**split())
    judgement = stage.run(**split())

    assert said(judgement, "a") == "down fork_state"
    assert [said(judgement, name) for name in "bc"] == ["up", "up"]


def test_row_48_a_silent_websocket_of_a_quiet_chain_is_no_fault() -> None:
    stage = Stage(group(thresholds=Thresholds(head_age_s="off")))
    stage.settle()
    at = stage.height
    stage.run(**dict.fromkeys("abc", at))
    news = News(is_up=True, up_since=stage.now.mono)

    judgement = stage.repeat(40, lambda: {"a": stage.at("a", at, news=news), "b": at, "c": at})

    assert [said(judgement, name) for name in "abc"] == ["up", "up", "up"]


def test_row_21_the_wrong_network_is_exported_at_once_and_does_not_vote() -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(a=stage.at("a", 10**6, chain_id="999"))

    told = verdict(judgement, "a")
    assert (told.exported, told.id_match, told.is_voter) == (DOWN, False, False)
    assert detail(judgement, "a") == "want chain id '1', got '999'"
    assert judgement.voters == 2
    assert verdict(judgement, "b").lag == 0


# --- one run after another


@pytest.mark.parametrize("family", ["evm", "cosmos", "solana"])
def test_an_honest_group_is_up_from_the_first_run_on(family: Any) -> None:
    stage = Stage(group(family=family), block_s=BLOCK_TIMES_S[family])

    judgements = [stage.run() for _ in range(30)]

    assert {judgement.outcome for judgement in judgements} == {UP}
    assert {said(judgement, name) for judgement in judgements for name in "abc"} == {"up"}
    assert judgements[-1].block_time_s == pytest.approx(BLOCK_TIMES_S[family], rel=0.02)
    assert (judgements[0].finding, judgements[0].blamed) == (None, "")


@pytest.mark.parametrize("block_s", [0.05, 0.25, 1.0, 2.0, 7.0, 12.0, 60.0])
@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_a_chain_of_unknown_speed_is_never_judged_by_the_prior(names: str, block_s: float) -> None:
    """Two reads of a fast chain are many blocks apart: no lag, whoever is asked a second late."""
    stage = Stage(group(names), block_s=block_s, every_s=20)

    for _ in range(5):
        late = stage.honest("a", behind=int(1.5 / block_s))
        judgement = stage.run(a=late)

        assert {said(judgement, name) for name in names} == {"up"}


def test_one_of_another_chain_does_not_tell_the_time_of_this_one() -> None:
    stage = Stage(PAIR)

    judgement = stage.repeat(
        8, lambda: {"a": stage.honest("a", chain_id="2", head=Head(9 * stage.runs, "", ""))}
    )

    assert judgement.block_time_s == pytest.approx(12)
    assert judgement.limits.lag_down == 6


def test_one_stale_endpoint_of_three_is_the_only_one_that_suffers() -> None:
    stage = Stage()

    frozen("b", runs=15)(stage)
    judgement = stage.run(b=1005)

    assert [said(judgement, name) for name in "ac"] == ["up", "up"]
    assert judgement.blamed == "b"
    assert judgement.finding is not None
    assert judgement.finding.detail == "head is 240 s old, want at most 120 s"


def test_a_chain_that_was_made_anew_is_believed_in_the_next_run() -> None:
    stage = Stage()
    stage.settle(20)

    reset = [
        stage.run(
            **{
                name: stage.honest(
                    name,
                    head=Head(5 + run, f"0xnew{run}", f"0xnew{run - 1}", stage.now.wall - 1),
                )
                for name in "abc"
            }
        )
        for run in range(4)
    ]

    assert [told.voters for told in reset] == [3, 3, 3, 3]
    assert said(reset[-1], "a") == "up"


def test_a_burst_after_a_halt_locks_nobody_out() -> None:
    stage = Stage()
    stage.settle(20)
    at = stage.height
    stage.repeat(20, lambda: dict.fromkeys("abc", at))
    burst = {
        name: stage.honest(name, head=Head(at + 5000, "0xburst", "", stage.now.wall - 1))
        for name in "abc"
    }

    judgement = stage.run(**burst)

    assert (judgement.outcome, judgement.voters, judgement.reference) == (UP, 3, at + 5000)


@pytest.mark.parametrize("error_s", [-3600.0, -60.0, 300.0, 3600.0, 10 * 365 * 86400.0])
@pytest.mark.parametrize("names", ["ab", "abc", "abcd"])
def test_a_wrong_clock_of_ours_makes_no_endpoint_look_bad(names: str, error_s: float) -> None:
    stage = Stage(group(names))
    stage.settle(10)

    stage.wall_error_s = error_s
    for _ in range(30):
        judgement = stage.run()

        assert judgement.outcome is UNKNOWN
        assert judgement.finding is not None
        assert judgement.finding.reason is ChainReason.LOCAL_CLOCK
        assert {said(judgement, name) for name in names} == {"unknown local_clock"}
        assert {told.exported for told in judgement.endpoints} == {UP}
    stage.wall_error_s = 0

    assert stage.run().outcome is UP


def test_a_wrong_clock_does_not_excuse_an_endpoint_that_does_not_answer() -> None:
    stage = Stage()
    stage.settle(10)
    stage.wall_error_s = 3600

    judgement = stage.run(a=stage.silent("a", ChainReason.CONNECT_REFUSED))

    assert said(judgement, "a") == "down connect_refused"
    assert said(judgement, "b") == "unknown local_clock"
    assert (judgement.outcome, judgement.blamed) == (DOWN, "a")


def test_nodes_that_replay_the_past_together_are_stale_whatever_our_clock_says() -> None:
    stage = Stage(PAIR)
    stage.settle(3)
    judgement = None

    for run in range(5):
        replayed = dict.fromkeys("ab", 500 + 20 * run)
        judgement = stage.run(**replayed)

    assert judgement is not None
    assert "head_stale" in reasons(judgement, "a")
    assert verdict(judgement, "a").outcome is DOWN


def test_a_halt_goes_on_to_be_one_when_our_clock_is_wrong() -> None:
    stage = Stage(PAIR)
    stage.settle(10)
    stage.wall_error_s = 3600
    at = stage.height

    judgement = stage.repeat(15, lambda: {"a": at, "b": at})

    assert judgement.is_halted


def test_a_prober_that_starts_during_a_halt_says_so_in_its_third_run() -> None:
    stage = Stage(PAIR, elapsed_s=86400)

    judgements = [stage.run(a=1005, b=1005) for _ in range(3)]

    assert [told.is_halted for told in judgements] == [False, False, True]


def test_one_of_another_chain_has_no_part_in_a_halt() -> None:
    stage = Stage()
    stage.settle()
    at = stage.height

    def stuck() -> dict[str, Any]:
        return {"a": stage.honest("a", chain_id="2"), "b": at, "c": at}

    judgement = stage.repeat(12, stuck)

    assert judgement.is_halted
    assert said(judgement, "a") == "down wrong_network"


def test_a_halt_ends_with_the_next_block() -> None:
    stage = Stage()
    frozen("abc")(stage)

    judgement = stage.run()

    assert not judgement.is_halted
    assert judgement.outcome is UP


def test_a_voter_that_goes_on_proves_that_the_chain_does() -> None:
    stage = Stage()

    judgement = frozen("ab")(stage)

    assert not judgement.is_halted
    assert "head_stale" in reasons(judgement, "a")
    assert said(judgement, "c") == "up"


def test_an_endpoint_that_left_the_group_leaves_the_memory() -> None:
    stage = Stage()
    stage.settle()
    stage.group = PAIR

    stage.run()

    assert set(stage.views.endpoints) == {"a", "b"}


def test_an_observation_of_a_stranger_is_not_looked_at() -> None:
    told, views = evaluate(PAIR, Views(), {"z": Observation("z")}, START)

    assert [verdict.name for verdict in told.endpoints] == ["a", "b"]
    assert views.runs == 1


# --- round 2


def test_the_settled_height_is_below_the_lowest_voter() -> None:
    stage = Stage()
    stage.settle()

    stage.run(a=stage.height - 2)

    assert stage.shared.settled == stage.height - 2 - 3 - 1


def test_one_that_pretends_to_be_at_the_first_block_ends_no_comparison() -> None:
    stage = Stage()
    stage.settle()

    stage.run(a=1)

    assert stage.shared.settled == 1006 - 3


def test_a_finalized_height_is_compared_at_slow_runs() -> None:
    stage = Stage()
    stage.settle(4)
    tags = {name: {"finalized": Head(900 + at)} for at, name in enumerate("abc")}
    seen = {name: stage.honest(name, tags=tags[name]) for name in "abc"}

    assert common(stage.group, stage.views, seen, slow=True).finalized == 901
    assert common(stage.group, stage.views, seen, slow=False).finalized is None


@pytest.mark.parametrize(
    ("who", "first"),
    [
        pytest.param(ALONE, 1000, id="one endpoint"),
        pytest.param(PAIR, 2, id="no room"),
        pytest.param(group(thresholds=Thresholds(fork_depth="off")), 1000, id="off"),
    ],
)
def test_without_two_voters_or_room_nothing_is_compared(who: Any, first: int) -> None:
    stage = Stage(who)
    seen = {endpoint.name: stage.at(endpoint.name, first) for endpoint in who.endpoints}

    assert common(who, Views(), seen, slow=True) == Common()


def test_blockhashes_are_shared_among_two_or_more() -> None:
    stage = Stage(SOLANA, block_s=0.4)
    seen = {name: stage.honest(name, blockhash=f"of {name}") for name in "ab"}

    assert common(SOLANA, Views(), seen, slow=False).blockhashes == (("a", "of a"), ("b", "of b"))
    assert common(SOLANA, Views(), {"a": seen["a"]}, slow=False) == Common()


# --- what the next run asks


@pytest.mark.parametrize(
    ("view", "asks"),
    [
        pytest.param(View(), True, id="never told"),
        pytest.param(View(chain_id="1"), False, id="told"),
        pytest.param(View(chain_id="1", failed=True), True, id="failed"),
        pytest.param(View(chain_id="1", peer_changed=True), True, id="another address"),
        pytest.param(View(chain_id="1", suspect=True), True, id="suspect"),
    ],
)
def test_the_identity_is_asked_again_after_trouble(view: View, asks: bool) -> None:
    assert trouble(view) is asks


def test_trouble_comes_and_goes() -> None:
    stage = Stage()
    stage.settle()
    assert not trouble(stage.view("a"))

    stage.run(a=stage.silent("a", ChainReason.TIMEOUT))
    assert trouble(stage.view("a"))
    stage.run()
    assert not trouble(stage.view("a"))
    stage.run(a=stage.honest("a", peer="192.0.2.9"))
    assert trouble(stage.view("a"))
    stage.run(a=stage.honest("a", peer="192.0.2.9"))
    assert not trouble(stage.view("a"))
    stage.run(a=stage.honest("a", peer="192.0.2.9", news=News(reconnects={"closed": 1})))
    assert trouble(stage.view("a"))
    stage.run(a=stage.honest("a", peer="192.0.2.9", chain_id="2"))
    assert trouble(stage.view("a"))


def test_one_that_was_left_alone_did_not_fail() -> None:
    stage = Stage()
    stage.settle()

    stage.run(a=Observation("a", left_alone=True))

    assert not stage.view("a").failed


# --- the group


def test_the_judgement_names_its_limits_and_the_reference() -> None:
    stage = Stage()
    judgement = stage.settle(6)

    assert judgement.reference == 1006
    assert judgement.voters == 3
    assert judgement.limits == limits(stage.group, stage.views)
    assert (judgement.limits.lag_warn, judgement.limits.lag_down) == (2, 6)


def test_steps_and_outliers_are_added_in_the_end() -> None:
    stage = Stage()
    judgement = stage.settle()
    gas = Verdict("gas", DEGRADED, (fault(ChainReason.GAS_SPIKE, DEGRADED, "four times"),))

    told = conclude(stage.group, judgement, (gas,), {"b": "10 times the others"})

    assert said(told, "b") == "degraded gas_oracle_outlier"
    assert verdict(told, "b").exported is DEGRADED
    assert (told.outcome, told.blamed, told.steps) == (DEGRADED, "b", (gas,))


def test_an_unused_field_of_an_observation_changes_nothing() -> None:
    stage = Stage()
    stage.settle()

    assert said(stage.run(a=stage.honest("a", fees=Fees(price=1))), "a") == "up"


def test_a_reference_endpoint_votes_and_never_counts() -> None:
    stage = Stage(group("abC"))
    stage.settle()

    judgement = stage.run(C=stage.silent("C", ChainReason.TIMEOUT))

    assert judgement.outcome is UP
    assert said(judgement, "C") == "down timeout"
    assert stage.run().voters == 3


def test_the_network_of_the_prober_excuses_only_those_that_were_not_reached() -> None:
    stage = Stage()
    stage.settle()

    judgement = stage.run(
        a=stage.silent("a", ChainReason.TIMEOUT),
        b=stage.silent("b", ChainReason.HTTP_5XX),
        lost="no control answers",
    )

    assert [said(judgement, name) for name in "abc"] == [
        "unknown probe_network",
        "down http_5xx",
        "up",
    ]
    assert (judgement.outcome, judgement.blamed) == (UNKNOWN, "")


def test_a_lost_network_goes_before_a_halt() -> None:
    stage = Stage()
    frozen("abc")(stage)

    judgement = stage.run(
        a=stage.silent("a", ChainReason.TIMEOUT), b=1005, c=1005, lost="no control answers"
    )

    assert not judgement.is_halted
    assert judgement.outcome is UNKNOWN


def test_a_lost_network_that_lost_nobody_is_no_fault() -> None:
    assert Stage().run(lost="no control answers").outcome is Outcome.UP


def test_an_endpoint_with_a_faulty_first_answer_is_down_at_once() -> None:
    stage = Stage(ALONE)

    judgement = stage.run(a=stage.silent("a", ChainReason.TIMEOUT))

    assert verdict(judgement, "a").exported is DOWN
    assert judgement.finding is not None
    assert judgement.finding.detail == "it failed"


def test_a_single_endpoint_is_judged_by_age_alone() -> None:
    stage = Stage(replace(ALONE, endpoints=(Endpoint("a"),)))

    judgement = stage.settle()

    assert (judgement.outcome, judgement.reference, judgement.voters) == (UP, None, 1)
    assert verdict(judgement, "a").lag is None
