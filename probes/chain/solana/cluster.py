"""What a Solana node tells now and then: who it is, what it keeps, what its cluster does.

Each function gives a call and what its result means for an `Observation`. Knows no slot that is
judged and no verdict.

Source:
    https://solana.com/docs/rpc
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from probes.chain.answer.inquiry import Question, asked_all, at, text_at
from probes.chain.answer.quantity import client_name, whole
from probes.chain.model import Head, Observation
from probes.chain.talk import Ask, Talk
from probes.units import short

# Newest minutes, one sample each: what the slow cadence of five minutes covers.
PERFORMANCE_SAMPLES = 5
PERCENTILES = (10, 50, 90)
STAKE_HISTORY = "SysvarStakeHistory1111111111111111111111111"
# A count of 64 bits, then entries, newest first: epoch, effective, activating, deactivating stake.
STAKE_BYTES, STAKE_FROM, STAKE_TO = 40, 16, 24
# Genesis slot and the one after: who has these has all.
FIRST_SLOT = 1


@dataclass(frozen=True, slots=True)
class Vote:
    """A vote account; *name* is its label."""

    name: str
    account: str


def now_and_then(seen: Observation) -> Iterator[Question]:
    """Give what is asked at the slow cadence: one question, one answer."""
    yield _identity(seen)
    yield _client(seen)
    yield from _history(seen)
    yield _throughput(seen)
    yield _fees(seen)


def look_at_votes(seen: Observation, votes: tuple[Vote, ...]) -> Talk[None]:
    """Ask which of *votes* still vote, and how much stake they have."""
    stakes: dict[str, int] = {}
    total: list[int] = []
    options = {"encoding": "base64", "dataSlice": {"offset": 0, "length": STAKE_BYTES}}
    of_all = Question.plain(
        seen,
        Ask("votes", "getAccountInfo", (STAKE_HISTORY, options)),
        lambda result: total.extend(_total_stake(result)),
    )
    yield from asked_all((*(_vote(seen, vote, stakes) for vote in votes), of_all))
    for name, stake in stakes.items():
        if total:
            seen.gauge("votes", "solana_vote_stake_ratio", stake / total[0], vote=name)


def _identity(seen: Observation) -> Question:
    def take(result: Any) -> None:
        if not isinstance(result, str) or not result:
            raise ValueError(f"want a genesis hash, got {short(result)}")
        seen.chain_id = result

    return Question.plain(seen, Ask("identity", "getGenesisHash"), take)


def blockhash(seen: Observation, commitment: str) -> Question:
    """Ask for the latest blockhash, for the others to confirm."""

    def take(result: Any) -> None:
        seen.blockhash = text_at(result, "value", "blockhash")
        slot = whole(at(result, "context", "slot"))
        if commitment not in seen.tags:
            seen.tags[commitment] = Head(slot)
            seen.gauge("blockhash", "solana_slot", slot, commitment=commitment)

    return Question.plain(
        seen, Ask("blockhash", "getLatestBlockhash", ({"commitment": commitment},)), take
    )


def _client(seen: Observation) -> Question:
    def take(result: Any) -> None:
        seen.client = client_name(f"solana-core/{text_at(result, 'solana-core')}")

    return Question.plain(seen, Ask("client", "getVersion"), take)


def _history(seen: Observation) -> Iterator[Question]:
    def take_first(result: Any) -> None:
        # with long-term storage this is 0, whatever the own ledger still has
        seen.earliest["block"] = whole(result)
        seen.capabilities["archive"] = seen.earliest["block"] <= FIRST_SLOT

    def take_lowest(result: Any) -> None:
        seen.gauge("history", "solana_ledger_first_available_slot", whole(result))

    yield Question.plain(seen, Ask("history", "getFirstAvailableBlock"), take_first)
    yield Question.plain(seen, Ask("history", "minimumLedgerSlot"), take_lowest)


def _throughput(seen: Observation) -> Question:
    def take(result: Any) -> None:
        if not isinstance(result, list):
            raise ValueError(f"want a list of samples, got {short(result)}")
        seconds = sum(whole(at(sample, "samplePeriodSecs")) for sample in result)
        counts = [at(sample, "numNonVoteTransactions") for sample in result]
        if seconds and None not in counts:
            seen.gauge("throughput", "solana_tps", sum(map(whole, counts)) / seconds)

    return Question.plain(
        seen, Ask("throughput", "getRecentPerformanceSamples", (PERFORMANCE_SAMPLES,)), take
    )


def _fees(seen: Observation) -> Question:
    def take(result: Any) -> None:
        if not isinstance(result, list):
            raise ValueError(f"want a list of fees, got {short(result)}")
        fees = sorted(whole(at(entry, "prioritizationFee")) for entry in result)
        for percent in PERCENTILES if fees else ():
            fee = fees[ceil(percent * len(fees) / 100) - 1]
            name = "solana_priority_fee_micro_lamports"
            seen.gauge("fees", name, fee, percentile=str(percent))

    return Question.plain(seen, Ask("fees", "getRecentPrioritizationFees"), take)


def _vote(seen: Observation, vote: Vote, stakes: dict[str, int]) -> Question:
    def take(result: Any) -> None:
        for group, delinquent in (("current", 0), ("delinquent", 1)):
            for entry in at(result, group) or ():
                seen.gauge("votes", "solana_vote_delinquent", delinquent, vote=vote.name)
                stakes[vote.name] = whole(at(entry, "activatedStake"))
                return
        raise ValueError(f"want a vote account with stake for {vote.name}, got none")

    # without the filter the answer is megabytes
    return Question.plain(
        seen, Ask("votes", "getVoteAccounts", ({"votePubkey": vote.account},)), take
    )


def _total_stake(result: Any) -> list[int]:
    """Return the effective stake of the last epoch; empty on a cluster without history."""
    match at(result, "value"):
        case {"data": [str(data), "base64"]}:
            raw = base64.b64decode(data, validate=True)
            stake = int.from_bytes(raw[STAKE_FROM:STAKE_TO], "little")
            return [stake] if len(raw) == STAKE_BYTES and stake else []
        case value:
            raise ValueError(f"want data in base64, got {short(value)}")
