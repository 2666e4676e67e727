"""What the REST service of a Cosmos node tells: its height, upgrades, prices, contracts.

Knows no verdict of an endpoint: a REST service that fails is told as ``method_errors``.

Source:
    https://docs.cosmos.network/api, https://github.com/CosmWasm/wasmd,
    https://github.com/skip-mev/feemarket
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from probes.chain.answer.inquiry import (
    Question,
    asked_all,
    at,
    complain,
    heard,
    text_at,
    understand,
    was_sent,
)
from probes.chain.answer.quantity import decimal
from probes.chain.model import Head, Observation, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Answer, Ask, Talk, Topic
from probes.result import Outcome
from probes.units import parse_number, short

TOPICS = (
    Topic("lcd", "second", cost=2),
    Topic("lcd_identity", "slow"),
    Topic("upgrade", "slow"),
    Topic("gas_price", "slow", cost=2),
)
# cosmos-sdk from 0.50; 200 bytes, where a whole block may be megabytes.
STATUS = "/cosmos/base/node/v1beta1/status"
LATEST_BLOCK = "/cosmos/base/tendermint/v1beta1/blocks/latest"
NODE_INFO = "/cosmos/base/tendermint/v1beta1/node_info"
CURRENT_PLAN = "/cosmos/upgrade/v1beta1/current_plan"
NODE_CONFIG = "/cosmos/base/node/v1beta1/config"
FEE_MARKET = "/feemarket/v1/gas_price/"
SMART_QUERY = "/cosmwasm/wasm/v1/contract/{address}/smart/{query}"
COIN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z][a-zA-Z0-9/:._-]{2,127})", re.ASCII)
# How wasmd tells that the contract itself refused: as a revert does.
REFUSALS = ("wasm contract failed", "no such contract")
_NOT_OFFERED = frozenset({"unsupported", "missing_data"})


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract that is watched.

    Args:
        name: its label.
        address: bech32.
        query: what it is asked, as JSON; empty: nothing.
        judge: returns what is wrong with its answer; None: nothing is.
    """

    name: str
    address: str
    query: str = ""
    judge: Callable[[Any], str | None] | None = None


def _get(topic: str, path: str) -> Ask:
    return Ask(topic, f"lcd {topic}", via="lcd", path=path)


def look_at_lcd(due: frozenset[str], seen: Observation, head: Head, denom: str) -> Talk[None]:
    """Ask the REST service about the topics *due*."""
    if "lcd" in due:
        yield from _height(seen, head)
    yield from asked_all(question for question in _rarely(seen) if question.ask.topic in due)
    if "gas_price" in due:
        seen.asked.add("gas_price")
        if denom:
            yield from _gas_price(seen, denom)


def _heard(seen: Observation, ask: Ask, answer: Answer) -> bool:
    """Note what came; that the service cannot be reached is told too, for nothing else tells it."""
    if heard(seen, ask, answer):
        return True
    if answer.kind not in _NOT_OFFERED and was_sent(answer):
        seen.asked.add(ask.topic)
        complain(seen, ask, answer.detail)
    return False


def _question(seen: Observation, ask: Ask, read: Callable[[Any], None]) -> Question:
    def take(ask: Ask, answer: Answer) -> None:
        if _heard(seen, ask, answer):
            understand(seen, ask, read, answer)

    return Question(ask, take)


def _height(seen: Observation, head: Head) -> Talk[None]:
    ask = _get("lcd", STATUS)
    answer: Answer = yield ask
    if answer.kind in _NOT_OFFERED:
        ask = _get("lcd", LATEST_BLOCK)
        answer = yield ask
    if not _heard(seen, ask, answer):
        return
    # a service without `STATUS` is told by the other: no method is missing
    seen.unsupported.discard("lcd")

    def take(result: Any) -> None:
        if ask.path == STATUS:
            seen.lcd_height = decimal(at(result, "height"))
            seen.earliest["state"] = decimal(at(result, "earliest_store_height"))
        else:
            seen.lcd_height = decimal(at(result, "block", "header", "height"))
        seen.gauge("lcd", "cosmos_lcd_lag_blocks", max(0, head.height - seen.lcd_height))

    understand(seen, ask, take, answer)


def _rarely(seen: Observation) -> Iterator[Question]:
    def take_network(result: Any) -> None:
        network = text_at(result, "default_node_info", "network")
        if seen.chain_id is not None and network != seen.chain_id:
            raise ValueError(f"want the network {seen.chain_id!r} of the RPC, got {short(network)}")

    def take_plan(result: Any) -> None:
        plan = at(result, "plan")
        height = 0 if plan is None else decimal(at(plan, "height"))
        # 0: there is none, and what was planned before is gone
        seen.gauge("upgrade", "cosmos_upgrade_plan_height", height)
        if plan is not None:
            seen.facts["upgrade"] = f"{short(at(plan, 'name'))} at {height}"

    yield _question(seen, _get("lcd_identity", NODE_INFO), take_network)
    yield _question(seen, _get("upgrade", CURRENT_PLAN), take_plan)


def _gas_price(seen: Observation, denom: str) -> Talk[None]:
    """Ask for the price: of the market where the chain has one, else that of the node's config."""
    ask = _get("gas_price", FEE_MARKET + denom)
    answer: Answer = yield ask
    if answer.ok:

        def read(result: Any) -> None:
            _price(seen, denom, text_at(result, "price", "amount"))

    else:
        ask = _get("gas_price", NODE_CONFIG)
        answer = yield ask

        def read(result: Any) -> None:
            _price(seen, denom, _of_config(text_at(result, "minimum_gas_price"), denom))

    if _heard(seen, ask, answer):
        understand(seen, ask, read, answer)


def _of_config(text: str, denom: str) -> str:
    for coin in text.split(","):
        found = COIN.fullmatch(coin.strip())
        if found and found[2] == denom:
            return found[1]
    raise ValueError(f"want a price in {denom}, got {short(text)}")


def _price(seen: Observation, denom: str, amount: str) -> None:
    seen.gauge("gas_price", "cosmos_min_gas_price", parse_number(amount), denom=denom)


# --- contracts


def ask_contract(contract: Contract) -> Talk[Verdict | None]:
    """Ask a contract that has a query, and judge its answer; None when nobody was asked."""
    query = base64.urlsafe_b64encode(contract.query.encode()).decode()
    path = SMART_QUERY.format(address=contract.address, query=query)
    answer: Answer = yield _get("contracts", path)
    return _judge(contract, answer) if was_sent(answer) else None


def _judge(contract: Contract, answer: Answer) -> Verdict:
    # an endpoint may have the same name
    name = f"contract {contract.name}"
    reason, detail = ChainReason.METHOD_ERRORS, answer.detail
    if answer.ok:
        try:
            data = at(answer.result, "data")
        except ValueError as error:
            detail = str(error)
        else:
            miss = contract.judge(data) if contract.judge else None
            if miss is None:
                return Verdict(name, Outcome.UP)
            reason, detail = ChainReason.ASSERTION_FAILED, miss
    elif any(phrase in answer.message for phrase in REFUSALS):
        reason = ChainReason.ASSERTION_FAILED
    is_wrong = reason is ChainReason.ASSERTION_FAILED
    outcome = Outcome.DOWN if is_wrong else Outcome.DEGRADED
    return Verdict(name, outcome, (Finding(reason, outcome, detail),))


def query_text(query: Mapping[str, Any]) -> str:
    """Return *query* as it is sent."""
    return json.dumps(query, separators=(",", ":"))
