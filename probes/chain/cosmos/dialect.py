"""How a CometBFT chain (Cosmos, Neutron) is asked, and what its answers mean.

One ``status`` a run tells height, hash, time, identity and whether the node catches up; what it
says of itself is not believed alone. Finality is immediate. Pure: knows no wire and no verdict.

Source:
    https://docs.cometbft.com/v0.38/rpc/
"""

from collections.abc import Mapping
from typing import Any

from probes.chain.answer.announcements import HeaderTongue
from probes.chain.answer.inquiry import (
    BATCH,
    Question,
    ask_core,
    asked_all,
    at,
    heard,
    prove_batch,
    text_at,
    understand,
)
from probes.chain.answer.quantity import client_name, comet_time, decimal
from probes.chain.cosmos.comet import FIRST_HEIGHT, app_lag, beside, old_state, signed_power
from probes.chain.cosmos.lcd import TOPICS as LCD_TOPICS
from probes.chain.cosmos.lcd import Contract, look_at_lcd
from probes.chain.cosmos.oversight import Notes, Oversight, durable, restored
from probes.chain.cosmos.txcount import ALL, OF_CONTRACT
from probes.chain.model import (
    Endpoint,
    Family,
    Group,
    Head,
    Judgement,
    Now,
    Observation,
    Settled,
    Syncing,
)
from probes.chain.plan import own_calls, saved_calls
from probes.chain.talk import Answer, Ask, Common, Survey, Talk, Topic
from probes.kind import Metric

STATUS = Ask("head", "status", {}, core=True, timed=True)
ON = "on"
TOPICS = (
    Topic("head", "fast", is_core=True),
    Topic("app", "second"),
    Topic("round", "second"),
    Topic("mempool", "second"),
    Topic("again", "second"),
    Topic("peers", "slow"),
    Topic("power", "slow", cost=3),
    Topic("archive", "slow"),
    Topic(BATCH, "slow", cost=2),
)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"cosmos_{name}", text, ("chain", "endpoint", *labels))


METRICS: tuple[Metric, ...] = (
    _gauge("abci_lag_blocks", "Blocks that the application is behind the block store"),
    _gauge("mempool_transactions", "Transactions that wait"),
    _gauge("mempool_bytes", "Size of the transactions that wait"),
    _gauge("signed_power_ratio", "Share of the power that signed the last block but one"),
    _gauge("upgrade_plan_height", "Height of the planned upgrade; 0 without one"),
    _gauge("lcd_lag_blocks", "Blocks that the REST service is behind the RPC"),
    _gauge("min_gas_price", "Lowest price of gas that the node takes", "denom"),
    Metric(
        ALL,
        "Transactions of the blocks that were read since the start",
        ("chain", "result"),
        type="counter",
        lasting=True,
    ),
    Metric(
        OF_CONTRACT,
        "Transactions with the address of a contract in the blocks that were read",
        ("chain", "contract", "result"),
        type="counter",
        lasting=True,
    ),
)


class CosmosDialect:
    """See the module; a `probes.chain.talk.Dialect`.

    Args:
        denom: of the gas price; empty: not asked for.
        check_upgrade: whether upgrades are asked for.
        contracts: that are queried, and whose transactions are counted.
        max_blocks: that are counted in a run.
        has_lcd: whether any endpoint has a REST address.
    """

    family: Family = "cosmos"
    head_method = "status"
    identity_method = "status"
    metrics: tuple[Metric, ...] = METRICS

    def __init__(
        self,
        *,
        denom: str = "",
        check_upgrade: bool = True,
        contracts: tuple[Contract, ...] = (),
        max_blocks: int = 4,
        has_lcd: bool = False,
    ) -> None:
        self._denom = denom
        self._oversight = Oversight(contracts, max_blocks)
        left_out = set() if check_upgrade else {"upgrade"}
        left_out |= set() if denom else {"gas_price"}
        self.topics: tuple[Topic, ...] = (
            *TOPICS,
            *(topic for topic in LCD_TOPICS if has_lcd and topic.name not in left_out),
        )

    # --- round 1

    def look(
        self, group: Group, endpoint: Endpoint, due: frozenset[str], seen: Observation
    ) -> Talk[None]:
        earliest_time = 0.0
        if "head" in due:
            earliest_time = yield from _status(group, seen)
        head = seen.head
        if head is None:
            return
        questions = beside(seen, head)
        yield from asked_all(question for question in questions if question.ask.topic in due)
        if "power" in due:
            yield from signed_power(seen, head)
        if "archive" in due:
            yield from old_state(seen, head, earliest_time)
        if BATCH in due:
            yield from prove_batch(group, seen, self.identity_method)
        yield from self._elsewhere(endpoint, due, seen, head)

    def _elsewhere(
        self, endpoint: Endpoint, due: frozenset[str], seen: Observation, head: Head
    ) -> Talk[None]:
        """Ask what only some endpoints have."""
        if endpoint.lcd:
            yield from look_at_lcd(due, seen, head, self._denom)
        else:
            seen.asked |= due & {topic.name for topic in LCD_TOPICS}
        # behind a balancer two answers of two nodes cannot be subtracted, but compared
        seen.asked |= due & {"app" if endpoint.load_balanced else "again"}
        if "again" in due and endpoint.load_balanced:
            yield from asked_all([_again(seen)])
        if "app" in due and not endpoint.load_balanced:
            yield from app_lag(seen, head)

    # --- round 2

    def confirm(
        self,
        group: Group,  # noqa: ARG002 - the same for every group
        endpoint: Endpoint,  # noqa: ARG002 - the protocol
        common: Common,
        seen: Observation,
    ) -> Talk[None]:
        heights = {common.settled, common.finalized}
        if common.state is not None and seen.head and seen.head.height >= common.state:
            heights.add(common.state)
        for height in heights - {None}:
            if height is not None and height >= FIRST_HEIGHT:
                settled = yield from _settled(height, seen)
                if settled is not None:
                    seen.settled[height] = settled

    # --- once per group

    def survey(
        self,
        group: Group,
        observations: Mapping[str, Observation],  # noqa: ARG002 - the judgement says enough
        judgement: Judgement,
        now: Now,
        memory: object,
    ) -> Talk[Survey]:
        if not self._oversight.contracts:
            return Survey()
        notes = memory if isinstance(memory, Notes) else Notes()
        calls = saved_calls(group, own_calls(group, self.topics), notes.saved)
        return (yield from self._oversight.survey(group, judgement, now, notes, calls))

    def hash_at(self, height: int) -> Talk[str | None]:
        settled = yield from _settled(height, Observation(""))
        return settled.hash if settled is not None else None

    def tongue(self) -> HeaderTongue:
        return HeaderTongue()

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        return durable(memory)

    def restored(self, kept: Mapping[str, Any]) -> object:
        return restored(kept)


def _status(group: Group, seen: Observation) -> Talk[float]:
    """Ask for the head; return when the earliest block was made."""
    earliest_times: list[float] = []

    def take(answer: Answer) -> None:
        _take_node(seen, at(answer.result, "node_info"))
        earliest_times.append(_take_blocks(group, seen, answer, at(answer.result, "sync_info")))

    yield from ask_core("cosmos", seen, STATUS, take)
    if seen.fault is not None:
        seen.head, seen.not_started = None, False
    return earliest_times[0] if earliest_times else 0.0


def _take_node(seen: Observation, node: Any) -> None:
    seen.chain_id = text_at(node, "network")
    seen.client = client_name(f"cometbft/{text_at(node, 'version')}")
    other = node.get("other")
    if isinstance(other, dict) and "tx_index" in other:
        seen.capabilities["tx_index"] = other["tx_index"] == ON


def _take_blocks(group: Group, seen: Observation, answer: Answer, sync: Any) -> float:
    height, time = (
        decimal(at(sync, "latest_block_height")),
        comet_time(at(sync, "latest_block_time")),
    )
    catching_up = at(sync, "catching_up")
    if not isinstance(catching_up, bool):
        raise ValueError("want catching_up as true or false, got another")
    seen.latency_s = answer.seconds
    seen.syncing = Syncing(catching_up)
    if height < FIRST_HEIGHT or time <= 0:
        seen.not_started = True
        return 0.0
    seen.head = Head(
        height,
        hash=text_at(sync, "latest_block_hash").lower(),
        timestamp=time,
        seen=answer.ended,
        state=text_at(sync, "latest_app_hash").lower(),
    )
    seen.tags["latest"] = seen.head
    seen.capabilities["finalized"] = True
    return _take_earliest(group, seen, sync)


def _take_earliest(group: Group, seen: Observation, sync: Any) -> float:
    """Read the lowest block; where that is the first one, it is the genesis too."""
    earliest = decimal(at(sync, "earliest_block_height"))
    if earliest < FIRST_HEIGHT:
        return 0.0
    seen.earliest["block"] = earliest
    first = text_at(sync, "earliest_block_hash").lower()
    # a chain that goes on from an older one begins above 1
    if earliest == FIRST_HEIGHT or first == group.genesis_hash:
        seen.genesis = first
    return comet_time(at(sync, "earliest_block_time"))


def _again(seen: Observation) -> Question:
    def take(result: Any) -> None:
        seen.read_again = decimal(at(result, "sync_info", "latest_block_height"))

    return Question.plain(seen, Ask("again", "status", {}), take)


def _settled(height: int, seen: Observation) -> Talk[Settled | None]:
    ask = Ask("settled", "commit", {"height": str(height)})
    answer: Answer = yield ask
    found: list[Settled] = []

    def take(result: Any) -> None:
        header = at(result, "signed_header", "header")
        if decimal(at(header, "height")) != height:
            raise ValueError(f"want height {height}, got {at(header, 'height')!r:.40}")
        block = text_at(result, "signed_header", "commit", "block_id", "hash")
        found.append(Settled(block.lower(), text_at(header, "app_hash").lower()))

    if heard(seen, ask, answer) and understand(seen, ask, take, answer):
        return found[0]
    return None
