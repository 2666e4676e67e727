"""What an EVM node offers beside its head: logs, old state, traces, batches.

Each is tried once in a while with a call that costs the node little; what fails is a capability of
0 and no fault of the endpoint, unless the group requires it. Pure: knows no wire and no verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from probes.chain.answer.inquiry import BATCH, UNHEARD, complain, prove_batch, understand
from probes.chain.answer.quantity import quantity
from probes.chain.evm.block import fields, optional
from probes.chain.model import Group, Observation
from probes.chain.talk import MAX_SCAN_BODY_BYTES, Answer, Ask, Class, Talk
from probes.units import short

ZERO_ADDRESS = "0x" + 40 * "0"
# Something on the way broke, a gateway or our own limit: that says nothing about the node.
_BROKEN: frozenset[Class] = frozenset({"http_error", "invalid", "too_large"})


@dataclass(frozen=True, slots=True)
class LogsCheck:
    """How logs are tried.

    Args:
        address: of the contract; None: all logs.
        expect_min: logs there must be.
        blocks: below the head.
    """

    address: str | None = None
    expect_min: int = 0
    blocks: int = 5


@dataclass(frozen=True, slots=True)
class ArchiveCheck:
    """Which old state is read."""

    height: int = 1
    address: str = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class Offers:
    """What is tried; None: not at all."""

    logs: LogsCheck | None
    archive: ArchiveCheck | None


def look_at(offers: Offers, group: Group, due: frozenset[str], seen: Observation) -> Talk[None]:
    """Try what is due, one after the other: each may be slow, and must not spoil the others."""
    if "archive" in due and offers.archive is not None:
        if seen.head is not None and seen.head.height <= offers.archive.height:
            # a chain too young to have an old state
            seen.asked.add("archive")
        else:
            yield from _archive(offers.archive, seen)
    if "logs" in due and offers.logs is not None and seen.head is not None:
        yield from _logs(offers.logs, seen.head.height, seen)
    if "trace" in due:
        yield from _trace(seen)
    # at last, for there are endpoints that hang up on it
    if BATCH in due:
        yield from prove_batch(group, seen, "eth_chainId")


def _proves(seen: Observation, ask: Ask, answer: Answer) -> bool:
    """Return whether *answer* says what the node offers; complain of what broke on the way."""
    if answer.kind in _BROKEN:
        seen.asked.add(ask.topic)
        complain(seen, ask, answer.detail)
    return answer.kind not in UNHEARD | _BROKEN


# --- logs


def _logs(check: LogsCheck, head: int, seen: Observation) -> Talk[None]:
    last = max(0, head - 1)
    first = max(0, head - check.blocks)
    answer: Answer = yield (ask := _logs_ask(check, first, last))
    if answer.kind == "too_large" and first < last:
        # our own limit: fewer blocks tell the same
        answer = yield (ask := _logs_ask(check, last, last))
    if answer.kind == "too_large":
        seen.asked.add("logs")
        return
    if not _proves(seen, ask, answer):
        return
    seen.asked.add("logs")
    if answer.ok:
        seen.capabilities["logs"] = understand(seen, ask, _judge_logs(check), answer)
        return
    seen.capabilities["logs"] = False
    if answer.kind == "unsupported":
        seen.unsupported.add("logs")
    elif answer.kind not in ("range_limited", "missing_data"):
        complain(seen, ask, answer.detail)


def _logs_ask(check: LogsCheck, first: int, last: int) -> Ask:
    query: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last)}
    if check.address is not None:
        query["address"] = check.address
    return Ask("logs", "eth_getLogs", (query,), max_body=MAX_SCAN_BODY_BYTES)


def _judge_logs(check: LogsCheck) -> Callable[[Any], None]:
    def judge(result: Any) -> None:
        if not isinstance(result, list):
            raise ValueError(f"want a list of logs, got {short(result)}")
        places = [
            (quantity(log.get("blockNumber")), quantity(log.get("logIndex")))
            for log in map(fields, result)
        ]
        for before, after in pairwise(places):
            if before >= after:
                raise ValueError(f"want logs in rising order, got {after} after {before}")
        if len(places) < check.expect_min:
            want = f"want at least {check.expect_min} logs in {check.blocks} blocks"
            raise ValueError(f"{want}, got {len(places)}")

    return judge


# --- old state


def _archive(check: ArchiveCheck, seen: Observation) -> Talk[None]:
    answer: Answer = yield Ask("archive", "eth_capabilities")
    if answer.kind in UNHEARD:
        return
    if answer.ok and _take_capabilities(check, answer.result, seen):
        seen.asked.add("archive")
        return
    at = hex(check.height)
    call = {"to": check.address, "data": "0x"}
    has_state = False
    for ask in (
        Ask("archive", "eth_getBalance", (check.address, at)),
        Ask("archive", "eth_call", (call, at)),
    ):
        answer = yield ask
        if not _proves(seen, ask, answer):
            return
        # who reverts has run on that state
        has_state = answer.ok or answer.kind == "reverted"
        if not has_state:
            break
    seen.asked.add("archive")
    seen.capabilities["archive"] = has_state


def _take_capabilities(check: ArchiveCheck, result: object, seen: Observation) -> bool:
    """Note what ``eth_capabilities`` tells of old state; False when it tells nothing of it.

    Source:
        https://github.com/ethereum/execution-apis/pull/755
    """
    try:
        told = fields(result)
        state = fields(told.get("state"))
        blocks = told.get("blocks")
        oldest = optional(state, "oldestBlock")
        oldest_block = optional(fields(blocks), "oldestBlock") if blocks is not None else None
    except ValueError:
        return False
    is_disabled = state.get("disabled") is True
    if oldest is None and not is_disabled:
        return False
    seen.capabilities["archive"] = not is_disabled and oldest is not None and oldest <= check.height
    if oldest is not None and not is_disabled:
        seen.earliest["state"] = oldest
    if oldest_block is not None:
        seen.earliest["block"] = oldest_block
    return True


# --- traces


def _trace(seen: Observation) -> Talk[None]:
    """Trace a call that does nothing: of a whole block it would be megabytes."""
    call = {"to": ZERO_ADDRESS}
    asks = (
        Ask("trace", "debug_traceCall", (call, "latest", {"tracer": "callTracer"})),
        Ask("trace", "trace_call", (call, ["trace"], "latest")),
    )
    kinds = set()
    for ask in asks:
        answer: Answer = yield ask
        if not _proves(seen, ask, answer):
            return
        kinds.add(answer.kind)
        if answer.ok:
            break
    seen.asked.add("trace")
    seen.capabilities["trace"] = "ok" in kinds
    if kinds == {"unsupported"}:
        seen.unsupported.add("trace")
