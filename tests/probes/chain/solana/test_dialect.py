"""The Solana dialect, asked without a wire."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.answer.quantity import whole
from probes.chain.model import Endpoint, Group, Head, Health, Observation
from probes.chain.reasons import ChainReason
from probes.chain.solana.cluster import Vote
from probes.chain.solana.dialect import METRICS, SolanaDialect
from probes.chain.solana.programs import Mark, Marks
from probes.chain.talk import Answer, Ask, Common
from probes.errors import CheckFailed
from probes.result import Outcome, Reason
from tests.probes.chain.canned import (
    ENDED,
    SECONDS,
    TIMEOUT,
    Canned,
    Turns,
    gauges,
    group_of,
    refused,
    status,
)

GROUP = group_of("solana")
OWN = Endpoint("own")
EPOCH = {
    "absoluteSlot": 1000, "blockHeight": 900, "epoch": 2, "slotIndex": 108_000,
    "slotsInEpoch": 432_000, "transactionCount": 77,
}  # fmt: skip
FINAL = EPOCH | {"absoluteSlot": 968}
TIME = 1_795_216_987


def first_param(ask: Ask) -> Any:
    return next(iter(ask.params))


def epochs(ask: Ask) -> Any:
    return FINAL if first_param(ask)["commitment"] == "finalized" else EPOCH


HEALTHY: dict[str, Any] = {
    "getEpochInfo": epochs,
    "getHealth": "ok",
    "getMaxShredInsertSlot": 1003,
    "getBlockTime": TIME,
    "getLatestBlockhash": {"context": {"slot": 998}, "value": {"blockhash": "Hash1"}},
    "getGenesisHash": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "getVersion": {"feature-set": 3345198602, "solana-core": "4.1.2"},
    "getFirstAvailableBlock": 0,
    "minimumLedgerSlot": 500,
    "getRecentPerformanceSamples": [
        {"slot": 9, "numSlots": 150, "numTransactions": 300, "numNonVoteTransactions": 120,
         "samplePeriodSecs": 60},
        {"slot": 8, "numSlots": 150, "numTransactions": 300, "numNonVoteTransactions": 60,
         "samplePeriodSecs": 60},
    ],
    "getRecentPrioritizationFees": [
        {"slot": slot, "prioritizationFee": fee} for slot, fee in enumerate([0, 40, 10, 30, 20])
    ],
}  # fmt: skip


def look(
    node: Canned,
    *topics: str,
    dialect: SolanaDialect | None = None,
    endpoint: Endpoint = OWN,
    group: Group = GROUP,
) -> Observation:
    dialect = dialect or SolanaDialect()
    due = frozenset(topics or (topic.name for topic in dialect.topics))
    seen = Observation("own")
    node.talk(dialect.look(group, endpoint, due, seen))
    return seen


def solana(**changes: Any) -> Canned:
    return Canned({**HEALTHY, **changes}, "solana")


def only(node: Canned, *topics: str, **keys: Any) -> Observation:
    return look(node, "head", *topics, **keys)


# --- the head


def test_a_head_is_a_slot_and_never_a_block_height() -> None:
    seen = only(solana())

    assert seen.head == Head(1000, seen=ENDED)
    assert seen.tags == {"processed": seen.head}
    assert seen.latency_s == SECONDS
    assert seen.asked == {"head"}
    assert gauges(seen) == {
        "solana_slot commitment=processed": 1000,
        "solana_block_height": 900,
        "solana_skipped_slots": 100,
        "solana_epoch": 2,
        "solana_epoch_progress_ratio": 0.25,
    }


def test_the_head_is_asked_first_and_timed() -> None:
    node = solana()

    look(node)

    assert node.asks[0].method == "getEpochInfo"
    assert node.asks[0].timed
    assert node.asks[0].core
    assert not any(ask.timed for ask in node.asks[1:])


def test_all_that_is_asked_in_every_run_are_four_calls() -> None:
    dialect = SolanaDialect()
    node = solana()

    look(node, *(topic.name for topic in dialect.topics if topic.cadence == "fast"))

    assert node.methods == ["getEpochInfo", "getHealth", "getMaxShredInsertSlot", "getBlockTime"]


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        pytest.param([], "want absoluteSlot in the result, got []", id="list"),
        pytest.param({}, "want absoluteSlot in the result, got {}", id="empty"),
        pytest.param(EPOCH | {"absoluteSlot": "12"}, "want a whole number, got '12'", id="text"),
        pytest.param(EPOCH | {"absoluteSlot": 1.5}, "want a whole number, got 1.5", id="float"),
        pytest.param(EPOCH | {"absoluteSlot": True}, "want a whole number, got true", id="bool"),
        pytest.param(EPOCH | {"absoluteSlot": -1}, "want a whole number, got -1", id="negative"),
        pytest.param(EPOCH | {"absoluteSlot": 2**64}, f"want a whole number, got {2**64}", id="65"),
        pytest.param(EPOCH | {"epoch": "0"}, "want a whole number, got '0'", id="epoch"),
    ],
)
def test_a_head_that_is_none_is_an_invalid_response(told: Any, detail: str) -> None:
    seen = only(solana(getEpochInfo=told), "health")

    assert seen.head is None
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.INVALID_RESPONSE
    assert seen.fault.outcome is Outcome.DOWN
    assert seen.fault.detail == f"getEpochInfo: {detail}"


def test_integers_beyond_floats_stay_exact() -> None:
    seen = only(solana(getEpochInfo=EPOCH | {"absoluteSlot": 2**53 + 1}))

    assert seen.head is not None
    assert seen.head.height == 2**53 + 1


def test_a_core_error_ends_the_look_and_shows_health_0() -> None:
    node = solana(getEpochInfo=refused(-32603, "boom"))

    seen = look(node)

    assert node.methods == ["getEpochInfo"]
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.RPC_CORE_ERROR
    assert "boom" in seen.fault.detail
    assert gauges(seen) == {"solana_rpc_health": 0}


def test_a_throttled_head_says_nothing_of_health() -> None:
    seen = look(solana(getEpochInfo=refused(429, "Too many requests")))

    assert seen.fault is not None
    assert (seen.fault.reason, seen.fault.outcome) == (
        ChainReason.RATE_LIMITED, Outcome.DEGRADED,
    )  # fmt: skip
    assert not seen.gauges


def test_an_unhealthy_core_method_tells_how_far_behind() -> None:
    error = refused(-32005, "Node is behind by 213 slots", {"numSlotsBehind": 213})

    seen = look(solana(getEpochInfo=error))

    assert seen.health == Health(ok=False, behind=213)
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.UNHEALTHY


def test_a_node_of_another_family_is_told_with_a_hint() -> None:
    """Row 23."""
    node = Canned({"status": {"node_info": {}}}, "solana")

    seen = look(node)

    assert node.methods == ["getEpochInfo", "eth_chainId", "status"]
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.WRONG_FAMILY
    assert seen.fault.detail == "this is a CometBFT endpoint, use kind: cosmos"


def test_a_stranger_of_no_family_is_a_core_error() -> None:
    seen = look(Canned({}, "solana"))

    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.RPC_CORE_ERROR


# --- health


@pytest.mark.parametrize(
    ("told", "health", "shown"),
    [
        pytest.param("ok", Health(ok=True), {"rpc_health": 1, "slots_behind": 0}, id="ok"),
        pytest.param(
            refused(-32005, "Node is behind by 213 slots", {"numSlotsBehind": 213}),
            Health(ok=False, behind=213), {"rpc_health": 0, "slots_behind": 213}, id="behind",
        ),
        pytest.param(
            refused(-32005, "Node is behind by 42 slots"),
            Health(ok=False, behind=42), {"rpc_health": 0, "slots_behind": 42}, id="by message",
        ),
        pytest.param(
            refused(-32005, "Node is unhealthy", {"numSlotsBehind": None}),
            Health(ok=False), {"rpc_health": 0}, id="does not know",
        ),
        pytest.param("fine", Health(ok=None), {}, id="another word"),
        pytest.param(["ok"], Health(ok=None), {}, id="no word"),
        pytest.param(refused(-32601), None, {}, id="not offered"),
    ],
)  # fmt: skip
def test_health(told: Any, health: Health | None, shown: dict[str, float]) -> None:
    """Rows 40 and 41."""
    seen = only(solana(getHealth=told), "health")

    assert seen.health == health
    assert "health" in seen.asked
    found = {name: value for name, value in gauges(seen).items() if "health" in name}
    found |= {name: value for name, value in gauges(seen).items() if "behind" in name}
    assert found == {f"solana_{name}": value for name, value in shown.items()}
    assert seen.findings == []


@pytest.mark.parametrize(
    ("body", "ok"),
    [
        pytest.param("ok", True, id="ok"),
        pytest.param("ok\n", True, id="with a line end"),
        pytest.param("behind", False, id="behind"),
        pytest.param("unknown", False, id="unknown"),
        pytest.param("transaction status behind", False, id="newer"),
        pytest.param("<html>", None, id="a page"),
        pytest.param('{"status": "ok"}', None, id="JSON"),
    ],
)
def test_health_as_text_is_judged_by_its_body(body: str, ok: bool | None) -> None:
    node = Canned({**HEALTHY, "/health": status(200, body)}, "solana")

    seen = only(node, "health", endpoint=Endpoint("own", health_text=True))

    assert node.methods == ["getEpochInfo", "/health"]
    assert seen.health == Health(ok=ok)


def test_health_as_text_that_is_refused_is_told() -> None:
    node = Canned({**HEALTHY, "/health": status(500, "no")}, "solana")

    seen = only(node, "health", endpoint=Endpoint("own", health_text=True))

    assert seen.health is None
    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]


# --- replay, age, finality


@pytest.mark.parametrize(
    ("shred", "lag"),
    [
        pytest.param(1400, 400, id="stalled"),
        pytest.param(1000, 0, id="level"),
        pytest.param(990, 0, id="its own block"),
    ],
)
def test_replay(shred: int, lag: int) -> None:
    """Row 42."""
    seen = only(solana(getMaxShredInsertSlot=shred), "replay")

    assert seen.shred_lag == lag
    assert gauges(seen)["solana_shred_insert_lag_slots"] == lag


def test_replay_that_is_not_offered_is_absent() -> None:
    seen = only(solana(getMaxShredInsertSlot=refused(-32601)), "replay")

    assert seen.shred_lag is None
    assert seen.unsupported == {"replay"}
    assert seen.findings == []


def test_the_age_is_that_of_a_final_block_and_the_slots_since() -> None:
    node = solana()

    seen = only(node, "age", "finalized")

    assert node.params("getBlockTime") == [(968,)]
    assert seen.head == Head(1000, timestamp=TIME + 32 * 0.4, seen=ENDED)
    assert seen.tags["finalized"] == Head(968, timestamp=float(TIME))
    assert seen.tags["processed"] == seen.head
    assert seen.capabilities["finalized"]
    assert gauges(seen)["solana_transactions_total"] == 77


def test_the_age_needs_no_word_of_finality() -> None:
    node = solana()

    seen = only(node, "age")

    assert node.params("getBlockTime") == [(968,)]
    assert seen.head is not None
    assert seen.head.timestamp == TIME + 32 * 0.4
    assert "finalized" not in seen.tags


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(None, id="null"),
        pytest.param(refused(-32004, "Block not available for slot 968"), id="-32004"),
        pytest.param(refused(-32007, "Slot 968 was skipped"), id="-32007"),
        pytest.param(refused(-32009, "Slot 968 was skipped, or missing"), id="-32009"),
    ],
)
def test_a_slot_without_a_block_lets_its_neighbours_speak(empty: Any) -> None:
    """Row 43."""
    node = solana(getBlockTime=Turns(empty, empty, TIME))

    seen = only(node, "age")

    assert node.params("getBlockTime") == [(968,), (967,), (966,)]
    assert seen.head is not None
    assert seen.head.timestamp == TIME + 32 * 0.4
    assert seen.findings == []


def test_after_six_slots_the_age_is_left_to_our_own_clock() -> None:
    node = solana(getBlockTime=None)

    seen = only(node, "age")

    assert node.params("getBlockTime") == [(slot,) for slot in range(968, 962, -1)]
    assert seen.head == Head(1000, seen=ENDED)


def test_a_young_ledger_is_not_asked_below_zero() -> None:
    node = solana(getEpochInfo=EPOCH | {"absoluteSlot": 2, "blockHeight": 2}, getBlockTime=None)

    only(node, "age")

    assert node.params("getBlockTime") == [(0,)]


@pytest.mark.parametrize(
    ("told", "complaints"),
    [
        pytest.param("soon", 1, id="text"),
        pytest.param(refused(-32603, "boom"), 1, id="error"),
        pytest.param(refused(-32601), 0, id="not offered"),
        pytest.param(TIMEOUT, 0, id="silence"),
    ],
)
def test_a_time_that_is_none_leaves_the_head(told: Any, complaints: int) -> None:
    node = solana(getBlockTime=told)

    seen = only(node, "age")

    assert seen.head == Head(1000, seen=ENDED)
    assert len(node.params("getBlockTime")) == 1
    assert len(seen.findings) == complaints


def test_behind_a_balancer_the_count_of_transactions_is_left_out() -> None:
    seen = only(solana(), "finalized", endpoint=Endpoint("own", load_balanced=True))

    assert seen.tags["finalized"].height == 968
    assert "solana_transactions_total" not in gauges(seen)


def test_an_older_node_counts_no_transactions() -> None:
    final = {name: value for name, value in FINAL.items() if name != "transactionCount"}

    seen = only(solana(getEpochInfo=Turns(EPOCH, final)), "finalized")

    assert seen.tags["finalized"].height == 968
    assert "solana_transactions_total" not in gauges(seen)


def test_behind_a_balancer_the_slot_is_read_twice() -> None:
    node = solana(getSlot=998)

    seen = only(node, "again", endpoint=Endpoint("own", load_balanced=True))

    assert seen.read_again == 998


def test_one_node_is_not_read_twice() -> None:
    node = solana(getSlot=998)

    seen = only(node, "again")

    assert node.methods == ["getEpochInfo"]
    assert seen.read_again is None
    assert "again" in seen.asked


# --- what is slow


def test_identity_is_the_genesis_hash() -> None:
    seen = only(solana(), "identity")

    assert seen.chain_id == HEALTHY["getGenesisHash"]


@pytest.mark.parametrize("told", [pytest.param(7, id="number"), pytest.param("", id="empty")])
def test_an_identity_that_is_none_is_told(told: Any) -> None:
    seen = only(solana(getGenesisHash=told), "identity")

    assert seen.chain_id is None
    assert seen.findings[0].detail == f"getGenesisHash: want a genesis hash, got {told!r}"


def test_the_client_is_cut_to_what_may_be_a_label() -> None:
    assert only(solana(), "client").client == "solana-core/4.1"


def test_the_confirmed_slot_comes_with_the_blockhash() -> None:
    seen = only(solana(), "blockhash")

    assert seen.blockhash == "Hash1"
    assert seen.tags["confirmed"].height == 998
    assert gauges(seen)["solana_slot commitment=confirmed"] == 998


def test_a_finalized_blockhash_does_not_hide_the_finalized_head() -> None:
    node = solana()

    seen = only(node, "blockhash", "finalized", "age", dialect=SolanaDialect("finalized"))

    assert node.params("getLatestBlockhash") == [({"commitment": "finalized"},)]
    assert seen.tags["finalized"].height == 968


@pytest.mark.parametrize(
    ("first", "archive"),
    [
        pytest.param(0, True, id="genesis"),
        pytest.param(1, True, id="the one after"),
        pytest.param(31, False, id="cut"),
    ],
)
def test_history(first: int, archive: bool) -> None:
    seen = only(solana(getFirstAvailableBlock=first), "history")

    assert seen.earliest == {"block": first}
    assert seen.capabilities["archive"] is archive
    assert gauges(seen)["solana_ledger_first_available_slot"] == 500


def test_a_private_node_tells_no_lowest_slot() -> None:
    seen = only(solana(minimumLedgerSlot=refused(-32601)), "history")

    assert seen.earliest == {"block": 0}
    assert "solana_ledger_first_available_slot" not in gauges(seen)


def test_throughput_leaves_votes_out() -> None:
    assert gauges(only(solana(), "throughput"))["solana_tps"] == 1.5


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([], id="none"),
        pytest.param(
            [{"samplePeriodSecs": 60, "numNonVoteTransactions": None}], id="an older node"
        ),
    ],
)
def test_throughput_that_is_not_told_is_absent(told: Any) -> None:
    seen = only(solana(getRecentPerformanceSamples=told), "throughput")

    assert "solana_tps" not in gauges(seen)
    assert seen.findings == []


def test_fees_are_told_by_percentile() -> None:
    found = gauges(only(solana(), "fees"))

    assert [
        found[f"solana_priority_fee_micro_lamports percentile={it}"] for it in (10, 50, 90)
    ] == [0, 20, 40]


def test_no_recent_block_has_no_fee() -> None:
    seen = only(solana(getRecentPrioritizationFees=[]), "fees")

    assert not [name for name in gauges(seen) if "fee" in name]


@pytest.mark.parametrize(
    "method",
    [
        "getRecentPrioritizationFees", "getRecentPerformanceSamples", "getVersion",
        "getFirstAvailableBlock", "getLatestBlockhash",
    ],
)  # fmt: skip
@pytest.mark.parametrize("told", [{"a": 1}, [[]], "no", 1.5, [1], True])
def test_nonsense_is_one_complaint_and_no_crash(method: str, told: Any) -> None:
    seen = look(solana(**{method: told}))

    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]
    assert seen.head is not None


def test_several_errors_are_one_finding() -> None:
    error = refused(-32603, "boom")

    seen = look(solana(getVersion=error, getFirstAvailableBlock=error, getHealth=error))

    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]
    assert seen.findings[0].outcome is Outcome.DEGRADED
    assert seen.findings[0].detail.startswith("getHealth: ")


def test_what_got_no_answer_was_not_asked() -> None:
    seen = look(solana(getVersion=TIMEOUT), "head", "client")

    assert seen.asked == {"head"}
    assert seen.findings == []


def test_slow_calls_may_travel_as_one() -> None:
    node = solana()

    look(node, "head", "identity", "client", "history", "throughput", "fees")

    assert node.tuples == [6]


# --- votes


def vote_stake(stake: int, epochs_kept: int = 1) -> Any:
    raw = epochs_kept.to_bytes(8, "little") + (700).to_bytes(8, "little")
    raw += stake.to_bytes(8, "little") + bytes(16)
    return {"context": {}, "value": {"data": [base64.b64encode(raw).decode(), "base64"]}}


DIALECT = SolanaDialect(votes=(Vote("mine", "Vote1"), Vote("other", "Vote2")))


def votes(ask: Ask) -> Any:
    entry = {"votePubkey": first_param(ask)["votePubkey"], "activatedStake": 250}
    lists: dict[str, list[Any]] = {"current": [], "delinquent": []}
    lists["current" if entry["votePubkey"] == "Vote1" else "delinquent"].append(entry)
    return lists


def test_votes_are_asked_by_account_for_the_whole_list_is_megabytes() -> None:
    node = solana(getVoteAccounts=votes, getAccountInfo=vote_stake(1000))

    seen = only(node, "votes", dialect=DIALECT)

    assert node.params("getVoteAccounts") == [
        ({"votePubkey": "Vote1"},),
        ({"votePubkey": "Vote2"},),
    ]
    found = gauges(seen)
    assert found["solana_vote_delinquent vote=mine"] == 0
    assert found["solana_vote_delinquent vote=other"] == 1
    assert found["solana_vote_stake_ratio vote=mine"] == 0.25


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(
            {"value": {"data": ["AAAAAAAAAAA=", "base64"]}}, id="a cluster without history"
        ),
        pytest.param(refused(-32601), id="not offered"),
    ],
)
def test_without_the_history_of_stake_there_is_no_share(told: Any) -> None:
    seen = only(solana(getVoteAccounts=votes, getAccountInfo=told), "votes", dialect=DIALECT)

    assert not [name for name in gauges(seen) if "stake" in name]
    assert gauges(seen)["solana_vote_delinquent vote=mine"] == 0
    assert seen.findings == []


@pytest.mark.parametrize("told", [{"value": None}, {"value": {"data": ["%", "base64"]}}, {}])
def test_a_history_of_stake_that_is_none_is_told(told: Any) -> None:
    seen = only(solana(getVoteAccounts=votes, getAccountInfo=told), "votes", dialect=DIALECT)

    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]


def test_a_vote_account_that_is_not_there_is_told_by_its_name() -> None:
    node = solana(
        getVoteAccounts={"current": [], "delinquent": []}, getAccountInfo=vote_stake(1000)
    )

    seen = only(node, "votes", dialect=DIALECT)

    assert seen.findings[0].detail == (
        "getVoteAccounts: want a vote account with stake for mine, got none"
    )


# --- batches


@pytest.mark.parametrize(
    ("answers", "proven"),
    [
        pytest.param({}, True, id="both answered"),
        pytest.param({"getVersion": refused(-32600, "Only method calls")}, False, id="an object"),
        pytest.param({"sonde_unknown": {"a": 1}}, False, id="a node that knows everything"),
    ],
)
def test_batches_are_proven_by_a_call_and_a_refusal(answers: Any, proven: bool) -> None:
    """Row 52."""
    node = solana(**answers)

    seen = only(node, "batch")

    assert node.tuples[-1] == 2
    assert seen.capabilities["batch"] is proven


def test_batches_that_nobody_wants_are_not_proven() -> None:
    node = solana()

    seen = only(node, "batch", group=group_of("solana", batch=False))

    assert node.methods == ["getEpochInfo"]
    assert "batch" in seen.asked


# --- round 2


def shown(node: Canned, blockhashes: tuple[tuple[str, str], ...], name: str = "own") -> Observation:
    seen = Observation(name)
    common = Common(blockhashes=blockhashes)
    node.talk(SolanaDialect().confirm(GROUP, Endpoint(name), common, seen))
    return seen


def test_the_blockhash_of_another_endpoint_is_shown_and_not_its_own() -> None:
    node = Canned({"isBlockhashValid": {"context": {"slot": 1}, "value": False}}, "solana")

    seen = shown(node, (("own", "mine"), ("other", "theirs")))

    assert node.params("isBlockhashValid") == [("theirs", {"commitment": "processed"})]
    assert seen.rejected == {"other": True}


def test_a_hash_that_several_have_is_shown_once() -> None:
    node = Canned({"isBlockhashValid": {"value": True}}, "solana")

    seen = shown(node, (("own", "x"), ("b", "x"), ("c", "x")))

    assert len(node.asks) == 1
    assert seen.rejected == {"b": False, "c": False}


def test_with_many_endpoints_each_hash_has_two_witnesses() -> None:
    names = [f"e{number}" for number in range(20)]
    hashes = tuple((name, f"hash of {name}") for name in names)
    witnesses: dict[str, int] = dict.fromkeys(names, 0)

    for name in names:
        for other in shown(Canned({"isBlockhashValid": {"value": True}}), hashes, name).rejected:
            witnesses[other] += 1

    assert set(witnesses.values()) == {2}


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(refused(-32601), id="not offered"),
        pytest.param({"value": "yes"}, id="no bool"),
        pytest.param([], id="no object"),
        pytest.param(TIMEOUT, id="silence"),
    ],
)
def test_who_cannot_tell_rejects_nobody(told: Any) -> None:
    seen = shown(Canned({"isBlockhashValid": told}, "solana"), (("own", "x"), ("b", "y")))

    assert seen.rejected == {}


# --- the rest


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param({"blockhash": "Abc", "parentSlot": 4}, "Abc", id="there"),
        pytest.param(None, None, id="skipped"),
        pytest.param(refused(-32007, "Slot 5 was skipped"), None, id="-32007"),
        pytest.param({"blockhash": 5}, None, id="nonsense"),
    ],
)
def test_the_hash_of_a_slot(told: Any, found: str | None) -> None:
    assert Canned({"getBlock": told}, "solana").talk(SolanaDialect().hash_at(5)) == found


def test_what_is_shown_is_declared() -> None:
    seen = look(solana(getVoteAccounts=votes, getAccountInfo=vote_stake(1000)), dialect=DIALECT)
    declared = {
        metric.name: set(metric.labels) - {"chain", "endpoint"}
        for metric in METRICS
        if "endpoint" in metric.labels and metric.type != "histogram"
    }

    assert {name: {key for key, _ in labels} for name, labels in seen.gauges} == declared


def test_every_topic_that_is_due_is_answered() -> None:
    dialect = DIALECT
    seen = look(solana(getVoteAccounts=votes, getAccountInfo=vote_stake(1000)), dialect=dialect)

    assert seen.asked == {topic.name for topic in dialect.topics}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(HEALTHY)), JSON))
def test_whatever_a_node_answers_is_a_finding_and_no_crash(answers: dict[str, Any]) -> None:
    told = {name: Answer("ok", result=value) for name, value in answers.items()}

    seen = look(solana(**told))

    assert (seen.head is None) == (seen.fault is not None)


def test_a_whole_number_is_told_by_its_value() -> None:
    assert whole(0) == 0
    assert whole(2**64 - 1) == 2**64 - 1
    with pytest.raises(ValueError, match="want a whole number, got null"):
        whole(None)


def test_a_transport_that_breaks_is_told_with_its_phase() -> None:
    failure = CheckFailed(Reason.TIMEOUT, "want an answer within 5 s, got none", phase="processing")

    seen = look(solana(getEpochInfo=failure))

    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.TIMEOUT
    assert seen.fault.phase == "response"
    assert seen.fault.detail == "want an answer within 5 s, got none"


def test_without_its_head_the_rest_is_asked_all_the_same() -> None:
    node = solana()
    seen = Observation("own")

    due = frozenset({"health", "replay", "age"})
    node.talk(SolanaDialect().look(GROUP, OWN, due, seen))

    assert node.methods == ["getHealth"]
    assert seen.health == Health(ok=True)
    assert seen.shred_lag is None


def test_an_epoch_without_slots_has_no_progress() -> None:
    seen = only(solana(getEpochInfo=EPOCH | {"slotsInEpoch": 0}))

    assert "solana_epoch_progress_ratio" not in gauges(seen)


def test_the_marks_of_programs_survive_a_restart() -> None:
    dialect = SolanaDialect()
    marks = Marks({"mine": Mark("sig", 5)})

    assert dialect.restored(dialect.durable(marks) or {}) == marks
