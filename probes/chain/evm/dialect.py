"""How an EVM node is asked, and what its answers mean.

One block read in every run tells height, hash, parent, time and base fee; all else is asked now and
then. What a node offers beside its head stands in `probes.chain.evm.offers`, what is asked once per
group in `probes.chain.evm.oversight`. Pure: knows no wire and no verdict.

Source:
    https://ethereum.github.io/execution-apis/
"""

from collections.abc import Mapping
from typing import Any

from probes.chain.answer.inquiry import BATCH, ask_core, asked_all, complain
from probes.chain.evm.block import read_charges, read_head
from probes.chain.evm.fees import FeeNotes
from probes.chain.evm.newheads import NewHeads
from probes.chain.evm.offers import ArchiveCheck, LogsCheck, Offers, look_at
from probes.chain.evm.oversight import Oversight
from probes.chain.evm.state import BLOCK_METHOD, questions
from probes.chain.model import (
    Endpoint,
    Family,
    Fees,
    Group,
    Judgement,
    Now,
    Observation,
    Settled,
)
from probes.chain.talk import Answer, Ask, Common, Survey, Talk, Topic
from probes.kind import Metric

# What is tried unless the probe file says otherwise.
LOGS, ARCHIVE, OVERSIGHT = LogsCheck(), ArchiveCheck(), Oversight()


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"evm_{name}", text, ("chain", *labels))


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, text, ("chain", "contract", *labels), type="counter", lasting=True)


METRICS: tuple[Metric, ...] = (
    _gauge("gas_price_wei", "Price of gas by eth_gasPrice, in wei", "endpoint"),
    _gauge("base_fee_wei", "Base fee of the latest block, in wei", "endpoint"),
    _gauge("blob_base_fee_wei", "Blob base fee of the next block, in wei", "endpoint"),
    _gauge("block_gas_used_ratio", "Share of the gas limit used by the latest block", "endpoint"),
    _gauge("priority_fee_wei", "Priority fee of recent blocks, in wei", "endpoint", "percentile"),
    _gauge("txpool_transactions", "Transactions in the pool", "endpoint", "state"),
    _gauge("gas_spike_floor_wei", "Price of gas below which nothing is a spike, in wei"),
    _gauge("gas_price_ratio", "Price of gas by the mean of its past; absent while that is short"),
    _gauge("contract_scan_height", "Block up to which contracts have been read"),
    _gauge("contract_scan_lag_blocks", "Blocks that are final enough and have not been read yet"),
    Metric(
        "evm_contract_scan_reorgs_total",
        "Times that a block which had been read was no longer there",
        ("chain",),
        type="counter",
        lasting=True,
    ),
    _counter("evm_contract_transactions_total", "Transactions sent to the contract", "result"),
    _counter("evm_contract_gas_used_total", "Gas used by transactions sent to the contract"),
    _counter("evm_contract_events_total", "Events that the contract logged", "event"),
)
COMPAT_METRICS: tuple[Metric, ...] = (
    _counter("indexer_contract_tx_total", "As evm_contract_transactions_total", "status"),
    _counter("indexer_events_total", "As evm_contract_events_total", "event_type"),
    Metric("indexer_avg_gas_price", "Price of gas of the group, in wei", ("chain",)),
)


class EvmDialect:
    """See the module; a `probes.chain.talk.Dialect`.

    Args:
        txpool: whether the pool is asked for.
        logs: how logs are tried; None: not at all.
        archive: which old state is read; None: none.
        oversight: what is asked once per group.
    """

    family: Family = "evm"
    head_method = BLOCK_METHOD
    identity_method = "eth_chainId"
    metrics: tuple[Metric, ...] = (*METRICS, *COMPAT_METRICS)

    def __init__(
        self,
        *,
        txpool: bool = True,
        is_txpool_judged: bool = False,
        logs: LogsCheck | None = LOGS,
        archive: ArchiveCheck | None = ARCHIVE,
        oversight: Oversight = OVERSIGHT,
    ) -> None:
        self._offers = Offers(logs, archive)
        self._oversight = oversight
        # what is judged must be seen in every run: a verdict that comes and goes is none
        pool = Topic("txpool", "fast" if is_txpool_judged else "slow")
        self.topics: tuple[Topic, ...] = (
            Topic("head", "fast", is_core=True),
            Topic("syncing", "fast"),
            Topic("finalized", "second", cost=2),
            Topic("again", "slow"),
            Topic("identity", "identity", cost=2),
            Topic("client", "slow"),
            Topic("peers", "slow"),
            Topic("fees", "slow", cost=2),
            Topic("fork", "slow"),
            Topic("trace", "slow", cost=2),
            Topic(BATCH, "slow", cost=2),
            *([pool] if txpool else []),
            *([Topic("logs", "slow")] if logs else []),
            *([Topic("archive", "slow", cost=3)] if archive else []),
        )

    # --- round 1

    def look(
        self, group: Group, endpoint: Endpoint, due: frozenset[str], seen: Observation
    ) -> Talk[None]:
        if "head" in due:
            yield from _head(group, seen)
        if seen.fault is not None:
            return
        fees = FeeNotes(seen)
        wanted = (*questions(group, endpoint, seen), *fees.questions())
        yield from asked_all(question for question in wanted if question.ask.topic in due)
        fees.conclude()
        yield from look_at(self._offers, group, due, seen)

    # --- round 2

    def confirm(
        self,
        group: Group,
        endpoint: Endpoint,  # noqa: ARG002 - the same for every endpoint
        common: Common,
        seen: Observation,
    ) -> Talk[None]:
        heights = {height for height in (common.settled, common.finalized) if height is not None}
        asks = tuple(
            Ask("head", BLOCK_METHOD, (hex(height), False), allows_null=True)
            for height in sorted(heights)
        )
        answers: tuple[Answer, ...] = (yield asks) if asks else ()
        for ask, answer in zip(asks, answers, strict=True):
            if not answer.ok or answer.result is None:
                continue
            try:
                head = read_head(answer.result)
            except ValueError as error:
                complain(seen, ask, str(error))
                continue
            state = head.state if "archive" in group.require else ""
            seen.settled[head.height] = Settled(head.hash, state)

    # --- once per group

    def survey(
        self,
        group: Group,
        observations: Mapping[str, Observation],
        judgement: Judgement,
        now: Now,
        memory: object,
    ) -> Talk[Survey]:
        return (yield from self._oversight.survey(group, observations, judgement, now, memory))

    def hash_at(self, height: int) -> Talk[str | None]:
        answer: Answer = yield Ask("hash", BLOCK_METHOD, (hex(height), False), allows_null=True)
        try:
            head = read_head(answer.result)
        except ValueError:
            return None
        return head.hash if head.height == height else None

    def tongue(self) -> NewHeads:
        return NewHeads()

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        return self._oversight.durable(memory)

    def restored(self, kept: Mapping[str, Any]) -> object:
        return self._oversight.restored(kept)


# --- the head


def _head(group: Group, seen: Observation) -> Talk[None]:
    ask = Ask("head", BLOCK_METHOD, ("latest", False), core=True, timed=True, allows_null=True)
    yield from ask_core(group.family, seen, ask, lambda answer: _take_head(seen, answer))


def _take_head(seen: Observation, answer: Answer) -> None:
    if answer.result is None:
        raise ValueError("head_null: want the latest block, got null")
    head = read_head(answer.result, answer.ended)
    charges = read_charges(answer.result)
    seen.head = seen.tags["latest"] = head
    seen.latency_s = answer.seconds
    if charges.base is not None:
        seen.fees = Fees(base=charges.base)
        seen.gauge("head", "evm_base_fee_wei", charges.base)
    if charges.used is not None:
        seen.gauge("head", "evm_block_gas_used_ratio", charges.used)
