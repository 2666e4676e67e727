"""What an EVM node says of itself beside its head: sync, identity, finality, peers, pool.

Nodes differ in all of it: what one does not say is absent, and no fault. Knows no wire and no
verdict.
"""

from typing import Any

from probes.chain.answer.inquiry import UNHEARD, Question, complain, heard, understand
from probes.chain.answer.quantity import client_name, quantity
from probes.chain.evm.block import fields, optional, read_head
from probes.chain.evm.signature import parse_hash
from probes.chain.model import Endpoint, Group, Observation, Syncing
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Answer, Ask
from probes.result import Outcome
from probes.units import short

BLOCK_METHOD = "eth_getBlockByNumber"
UNKNOWN_BLOCK = -39001
"""Error code of geth."""
# A node that has no such block says so in one of these ways (chains.md 9.1).
_NOT_FINAL = frozenset({"unsupported", "bad_params", "missing_data"})


def questions(group: Group, endpoint: Endpoint, seen: Observation) -> list[Question]:
    """Return everything there is to ask, each under its topic."""
    return [
        *_state(endpoint, seen),
        *_identity(seen),
        *_finality(seen),
        *_company(seen),
        *_fork(seen),
        *_pool(group, seen),
    ]


def _state(endpoint: Endpoint, seen: Observation) -> list[Question]:
    """Return the question after the sync, and that for a second head.

    Of several nodes behind one URL one answer about syncing says little, but the height may fall
    between two reads: there the two topics change places.
    """
    of_sync, of_height = "syncing", "again"
    if endpoint.load_balanced:
        of_sync, of_height = of_height, of_sync

    def take_syncing(result: Any) -> None:
        seen.syncing = _read_syncing(result)

    def take_height(result: Any) -> None:
        seen.read_again = quantity(result)

    return [
        Question.plain(seen, Ask(of_sync, "eth_syncing"), take_syncing),
        Question.plain(seen, Ask(of_height, "eth_blockNumber"), take_height),
    ]


def _read_syncing(result: Any) -> Syncing:
    """Read ``eth_syncing``: false, true, or an object whose form depends on the client.

    Raises:
        ValueError: none of them.
    """
    if isinstance(result, bool):
        return Syncing(result)
    status = fields(result)
    current, highest = optional(status, "currentBlock"), optional(status, "highestBlock")
    if current is None or highest is None:
        # Nitro tells batches, which are no blocks
        return Syncing(is_syncing=True)
    return Syncing(is_syncing=True, distance=max(0, highest - current))


def _identity(seen: Observation) -> list[Question]:
    def take_id(result: Any) -> None:
        seen.chain_id = str(quantity(result))

    def take_genesis(result: Any) -> None:
        # a node may have dropped it
        if result is not None:
            seen.genesis = parse_hash(fields(result).get("hash"))

    genesis = Ask("identity", BLOCK_METHOD, ("0x0", False), allows_null=True)
    return [
        Question.plain(seen, Ask("identity", "eth_chainId"), take_id),
        Question.plain(seen, genesis, take_genesis),
    ]


def _finality(seen: Observation) -> list[Question]:
    def take_safe(ask: Ask, answer: Answer) -> None:
        _take_tag("safe", seen, ask, answer)

    def take_finalized(ask: Ask, answer: Answer) -> None:
        is_offered = _take_tag("finalized", seen, ask, answer)
        if is_offered is not None:
            seen.capabilities["finalized"] = is_offered
        # null and "not found" are the words of a young chain, too: it is asked on
        if answer.kind in ("unsupported", "bad_params"):
            seen.unsupported.add(ask.topic)

    return [
        Question(Ask("finalized", BLOCK_METHOD, ("safe", False), allows_null=True), take_safe),
        Question(
            Ask("finalized", BLOCK_METHOD, ("finalized", False), allows_null=True), take_finalized
        ),
    ]


def _take_tag(tag: str, seen: Observation, ask: Ask, answer: Answer) -> bool | None:
    """Note the head at *tag*; return whether there is one, None when nothing can be said."""
    if answer.kind in UNHEARD:
        return None
    seen.asked.add(ask.topic)
    if not answer.ok:
        if answer.kind in _NOT_FINAL or answer.code == UNKNOWN_BLOCK:
            return False
        complain(seen, ask, answer.detail)
        return None
    if answer.result is None:
        return False
    try:
        seen.tags[tag] = read_head(answer.result, answer.ended)
    except ValueError as error:
        complain(seen, ask, str(error))
        return None
    return True


def _company(seen: Observation) -> list[Question]:
    """Return the questions after peers and client."""

    def take_peers(result: Any) -> None:
        seen.peers = quantity(result)

    def take_client(ask: Ask, answer: Answer) -> None:
        if answer.kind not in UNHEARD:
            seen.asked.add(ask.topic)
        if answer.ok:
            seen.client = client_name(answer.result)
            seen.facts["client"] = short(answer.result)

    return [
        Question.plain(seen, Ask("peers", "net_peerCount"), take_peers),
        Question(Ask("client", "web3_clientVersion"), take_client),
    ]


def _fork(seen: Observation) -> list[Question]:
    """Return the question after the next fork: few offer it, and refuse it in many ways."""

    def take(ask: Ask, answer: Answer) -> None:
        if answer.kind in UNHEARD:
            return
        seen.asked.add(ask.topic)
        if answer.kind == "unsupported":
            seen.unsupported.add(ask.topic)
        coming = answer.result.get("next") if isinstance(answer.result, dict) else None
        if isinstance(coming, dict):
            understand(seen, ask, take_next, answer)

    def take_next(result: Any) -> None:
        time = quantity(result["next"].get("activationTime"))
        seen.gauge("fork", "chain_next_fork_timestamp_seconds", time)

    return [Question(Ask("fork", "eth_config"), take)]


def _pool(group: Group, seen: Observation) -> list[Question]:
    limit = group.thresholds.txpool_full

    def take(ask: Ask, answer: Answer) -> None:
        if heard(seen, ask, answer) and understand(seen, ask, take_counts, answer):
            seen.capabilities["txpool"] = True
        elif answer.kind == "unsupported":
            seen.capabilities["txpool"] = False

    def take_counts(result: Any) -> None:
        status = fields(result)
        pending = quantity(status.get("pending"))
        seen.gauge("txpool", "evm_txpool_transactions", pending, state="pending")
        queued = optional(status, "queued")
        if queued is not None:
            seen.gauge("txpool", "evm_txpool_transactions", queued, state="queued")
        if isinstance(limit, int | float) and pending > limit:
            detail = f"{pending} transactions are pending, want at most {limit:g}"
            seen.findings.append(Finding(ChainReason.TXPOOL_FULL, Outcome.DEGRADED, detail))

    return [Question(Ask("txpool", "txpool_status"), take)]
