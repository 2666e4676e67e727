"""How Solana is asked, and what its answers mean.

Heads are slots, never block heights: they differ by all skipped slots. ``getHealth`` alone decides
nothing; a slot has no hash, so forks are found by showing the blockhash of one endpoint to the
others. Pure: knows no wire and no verdict.

Source:
    https://solana.com/docs/rpc
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from probes.chain.answer.announcements import SlotTongue
from probes.chain.answer.inquiry import (
    BATCH,
    Question,
    ask_core,
    asked_all,
    at,
    complain,
    heard,
    prove_batch,
)
from probes.chain.answer.quantity import whole
from probes.chain.books.metrics import SOLANA_LATENCY
from probes.chain.model import (
    Endpoint,
    Family,
    Group,
    Head,
    Health,
    Judgement,
    Now,
    Observation,
)
from probes.chain.plan import own_calls, saved_calls
from probes.chain.solana.cluster import Vote, blockhash, look_at_votes, now_and_then
from probes.chain.solana.programs import (
    METRIC,
    Marks,
    Program,
    count_programs,
    durable,
    restored,
)
from probes.chain.talk import Answer, Ask, Common, Survey, Talk, Topic
from probes.kind import Metric
from probes.result import Outcome

GENESIS: Mapping[str, str] = {
    "mainnet-beta": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
}
"""https://solana.com/docs/references/clusters"""
PROCESSED, FINALIZED = "processed", "finalized"
# chains.md 10: a slot without a block has no time; one of its neighbours has.
NEIGHBOURS = 5
# Each blockhash is shown to so many others: round 2 may cost that much.
WITNESSES = 2
# https://docs.anza.xyz/consensus/commitments: a slot is final when 31 more were built on it.
FINAL_DEPTH = 32
# The nominal time of a slot: what the head is younger than the block whose time is read.
SLOT_S = 0.4
BEHIND = re.compile(r"behind by ([0-9]{1,18}) slots", re.ASCII)
# What GET /health says when it is not ok (agave, rpc_service.rs); none of them says by how much.
SICK = frozenset({"behind", "unknown", "transaction status behind"})


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"solana_{name}", text, ("chain", "endpoint", *labels))


METRICS: tuple[Metric, ...] = (
    SOLANA_LATENCY,
    _gauge("rpc_health", "1 if getHealth says ok, 0 if not or if the endpoint is down"),
    _gauge("slots_behind", "Slots behind the cluster as getHealth says; absent while it does not"),
    _gauge("slot", "Latest slot", "commitment"),
    _gauge("block_height", "Blocks below the processed slot"),
    _gauge("skipped_slots", "Slots without a block since genesis"),
    _gauge("shred_insert_lag_slots", "Slots received but not replayed yet"),
    _gauge("epoch", "Epoch of the processed slot"),
    _gauge("epoch_progress_ratio", "Share of the epoch that has passed, 0 to 1"),
    _gauge("tps", "Transactions a second without votes, mean of five minutes"),
    _gauge("ledger_first_available_slot", "Lowest slot in the node's own ledger"),
    _gauge("priority_fee_micro_lamports", "Priority fee of recent blocks", "percentile"),
    _gauge("vote_delinquent", "1 if the vote account has stopped voting", "vote"),
    _gauge("vote_stake_ratio", "Share of the cluster's stake at the end of the last epoch", "vote"),
    Metric(
        "solana_transactions_total",
        "Finalized transactions since genesis, votes included; not for load balanced endpoints",
        ("chain", "endpoint"),
        type="counter",
    ),
    Metric(
        METRIC,
        "Transactions of a program since the start; at most 1000 are counted in a run",
        ("chain", "program", "result"),
        type="counter",
        lasting=True,
    ),
)


class SolanaDialect:
    """See the module; a `probes.chain.talk.Dialect`.

    Args:
        commitment: of the reads that are not the fast ones: confirmed or finalized.
        programs: whose transactions are counted.
        votes: whose delinquency is told.
    """

    family: Family = "solana"
    head_method = "getEpochInfo"
    identity_method = "getVersion"
    metrics: tuple[Metric, ...] = METRICS

    def __init__(
        self,
        commitment: str = "confirmed",
        programs: tuple[Program, ...] = (),
        votes: tuple[Vote, ...] = (),
    ) -> None:
        self._commitment = commitment
        self._programs = programs
        self._votes = votes
        self.topics: tuple[Topic, ...] = (
            Topic("head", "fast", is_core=True),
            Topic("health", "fast"),
            Topic("replay", "fast"),
            # a slot without a block is the exception: few more calls, few times
            Topic("age", "fast", cost=2),
            Topic("finalized", "second"),
            Topic("blockhash", "second"),
            Topic("again", "second"),
            Topic("identity", "identity"),
            Topic("client", "slow"),
            Topic("history", "slow", cost=2),
            Topic("throughput", "slow"),
            Topic("fees", "slow"),
            Topic(BATCH, "slow", cost=2),
            *([Topic("votes", "slow", cost=1 + len(votes))] if votes else []),
        )

    # --- round 1

    def look(
        self,
        group: Group,
        endpoint: Endpoint,
        due: frozenset[str],
        seen: Observation,
    ) -> Talk[None]:
        if "head" in due:
            yield from _head(seen)
        if seen.fault is not None:
            return
        yield from _pulse(endpoint, due, seen)
        if "finalized" in due:
            yield from asked_all([_finalized(endpoint, seen)])
        if "age" in due and seen.head is not None:
            yield from _age(seen, seen.head)
        slow = (blockhash(seen, self._commitment), *now_and_then(seen))
        yield from asked_all(question for question in slow if question.ask.topic in due)
        if "votes" in due:
            yield from look_at_votes(seen, self._votes)
        if BATCH in due:
            yield from prove_batch(group, seen, self.identity_method)

    # --- round 2

    def confirm(
        self,
        group: Group,  # noqa: ARG002 - the same for every group
        endpoint: Endpoint,
        common: Common,
        seen: Observation,
    ) -> Talk[None]:
        verdicts: dict[str, bool] = {}
        for name, shown in _to_witness(common.blockhashes, endpoint.name):
            if shown not in verdicts:
                # processed: the widest view that the node has
                params = (shown, {"commitment": PROCESSED})
                ask = Ask("blockhash", "isBlockhashValid", params)
                answer: Answer = yield ask
                valid = answer.result.get("value") if isinstance(answer.result, dict) else None
                if not heard(seen, ask, answer) or not isinstance(valid, bool):
                    return
                verdicts[shown] = valid
            seen.rejected[name] = not verdicts[shown]

    # --- once per group

    def survey(
        self,
        group: Group,
        observations: Mapping[str, Observation],  # noqa: ARG002 - the mark is all that is needed
        judgement: Judgement,  # noqa: ARG002 - the protocol
        now: Now,  # noqa: ARG002 - the protocol
        memory: object,
    ) -> Talk[Survey]:
        if not self._programs:
            return Survey()
        saved = memory.saved if isinstance(memory, Marks) else None
        calls = saved_calls(group, own_calls(group, self.topics), saved)
        return (yield from count_programs(self._programs, self._commitment, memory, calls))

    def hash_at(self, height: int) -> Talk[str | None]:
        options = {
            "transactionDetails": "none", "rewards": False, "commitment": self._commitment,
            "maxSupportedTransactionVersion": 0,
        }  # fmt: skip
        ask = Ask("hash", "getBlock", (height, options), allows_null=True)
        answer: Answer = yield ask
        found = answer.result.get("blockhash") if isinstance(answer.result, dict) else None
        return found if isinstance(found, str) else None

    def tongue(self) -> SlotTongue:
        return SlotTongue()

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        return durable(memory)

    def restored(self, kept: Mapping[str, Any]) -> object:
        return restored(kept)


# --- what is fast


def _head(seen: Observation) -> Talk[None]:
    ask = Ask("head", "getEpochInfo", ({"commitment": PROCESSED},), core=True, timed=True)
    answer = yield from ask_core("solana", seen, ask, lambda answer: _take_epoch(seen, answer))
    if answer.kind == "node_unhealthy":
        seen.health = Health(ok=False, behind=_behind(answer))
    if not answer.ok and seen.fault is not None and seen.fault.outcome is Outcome.DOWN:
        # who looks at this number wants to see 0 for a node that is gone
        seen.gauge("health", "solana_rpc_health", 0)


def _take_epoch(seen: Observation, answer: Answer) -> None:
    result = answer.result
    slot, height = whole(at(result, "absoluteSlot")), whole(at(result, "blockHeight"))
    index, size = whole(at(result, "slotIndex")), whole(at(result, "slotsInEpoch"))
    epoch = whole(at(result, "epoch"))
    head = Head(slot, seen=answer.ended)
    seen.head, seen.latency_s = head, answer.seconds
    seen.tags[PROCESSED] = head
    seen.gauge("head", "solana_slot", slot, commitment=PROCESSED)
    seen.gauge("head", "solana_block_height", height)
    seen.gauge("head", "solana_skipped_slots", max(0, slot - height))
    seen.gauge("head", "solana_epoch", epoch)
    if size:
        seen.gauge("head", "solana_epoch_progress_ratio", index / size)


def _pulse(endpoint: Endpoint, due: frozenset[str], seen: Observation) -> Talk[None]:
    """Ask what is asked beside the head in every run, or nearly so."""
    if "health" in due:
        yield from _health(endpoint, seen)
    if "replay" in due and seen.head is not None:
        yield from asked_all([_replay(seen, seen.head.height)])
    if "again" in due:
        seen.asked.add("again")
        if endpoint.load_balanced:
            yield from asked_all([_again(seen)])


def _health(endpoint: Endpoint, seen: Observation) -> Talk[None]:
    if endpoint.health_text:
        ask = Ask("health", "health", via="get", path="/health")
    else:
        ask = Ask("health", "getHealth")
    answer: Answer = yield ask
    if answer.kind == "node_unhealthy":
        seen.asked.add("health")
        seen.health = Health(ok=False, behind=_behind(answer))
    elif heard(seen, ask, answer):
        seen.health = _told_health(answer.result)
    if seen.health is None or seen.health.ok is None:
        return
    seen.gauge("health", "solana_rpc_health", float(seen.health.ok))
    behind = 0 if seen.health.ok else seen.health.behind
    if behind is not None:
        seen.gauge("health", "solana_slots_behind", behind)


def _told_health(result: object) -> Health:
    word = result.strip() if isinstance(result, str) else ""
    if word == "ok":
        return Health(ok=True)
    return Health(ok=False if word in SICK else None)


def _behind(answer: Answer) -> int | None:
    """Return the slots that an unhealthy node says it is behind; None when it does not know."""
    told = answer.data.get("numSlotsBehind") if isinstance(answer.data, dict) else None
    try:
        return whole(told)
    except ValueError:
        found = BEHIND.search(answer.message)
        return int(found[1]) if found else None


def _replay(seen: Observation, processed: int) -> Question:
    def take(result: Any) -> None:
        # it was read after the slot, and shreds of the leader's own block may be missing
        seen.shred_lag = max(0, whole(result) - processed)
        seen.gauge("replay", "solana_shred_insert_lag_slots", seen.shred_lag)

    return Question.plain(seen, Ask("replay", "getMaxShredInsertSlot"), take)


def _again(seen: Observation) -> Question:
    def take(result: Any) -> None:
        seen.read_again = whole(result)

    return Question.plain(seen, Ask("again", "getSlot", ({"commitment": PROCESSED},)), take)


# --- finality and age


def _finalized(endpoint: Endpoint, seen: Observation) -> Question:
    def take(result: Any) -> None:
        slot = whole(at(result, "absoluteSlot"))
        seen.tags[FINALIZED] = Head(slot)
        seen.capabilities["finalized"] = True
        seen.gauge("finalized", "solana_slot", slot, commitment=FINALIZED)
        count = result.get("transactionCount")
        if count is not None and not endpoint.load_balanced:
            # behind a balancer it would fall now and then, which rate() takes for a restart
            seen.gauge("finalized", "solana_transactions_total", whole(count))

    return Question.plain(
        seen, Ask("finalized", "getEpochInfo", ({"commitment": FINALIZED},)), take
    )


def _age(seen: Observation, head: Head) -> Talk[None]:
    """Find out when the head was made: by a final block, for not every node times a newer one.

    In every run, or a node that replays an old ledger would look stale in every second run only.
    """
    final = seen.tags.get(FINALIZED)
    slot = min(final.height if final else head.height - FINAL_DEPTH, head.height)
    time = yield from _time_near(max(0, slot), seen)
    if time is None:
        return
    if final is not None:
        seen.tags[FINALIZED] = replace(final, timestamp=time)
    seen.head = replace(head, timestamp=time + (head.height - slot) * SLOT_S)
    seen.tags[PROCESSED] = seen.head


def _time_near(slot: int, seen: Observation) -> Talk[float | None]:
    """Return the time of the block at *slot*, or of one just before it."""
    for near in range(slot, max(-1, slot - NEIGHBOURS - 1), -1):
        ask = Ask("age", "getBlockTime", (near,), allows_null=True)
        answer: Answer = yield ask
        if not heard(seen, ask, answer) and answer.kind != "missing_data":
            return None
        if answer.result is not None:
            try:
                return float(whole(answer.result))
            except ValueError as error:
                complain(seen, ask, str(error))
                return None
    return None


def _to_witness(blockhashes: tuple[tuple[str, str], ...], name: str) -> tuple[tuple[str, str], ...]:
    """Return whose blockhashes *name* is shown: those of the next endpoints in the order."""
    order = [other for other, _ in blockhashes]
    start = order.index(name) + 1 if name in order else 0
    ring = blockhashes[start:] + blockhashes[:start]
    return tuple(pair for pair in ring if pair[0] != name)[:WITNESSES]
