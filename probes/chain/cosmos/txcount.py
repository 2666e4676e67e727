"""Transactions of a CometBFT chain, counted once per group: how many, and how many failed.

The newest blocks of each run are read, at most so many; finality is immediate, so what is counted
stays. Of a chain that makes more the counters hold a sample, and the share that fails is still
right. Whose contract it was is found by its address in the raw transaction. Knows no wire.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.chain.answer.inquiry import UNHEARD, at
from probes.chain.cosmos.lcd import Contract
from probes.chain.model import Group, Judgement, Series, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import MAX_SCAN_BODY_BYTES, Answer, Ask, Talk
from probes.result import Outcome
from probes.units import short

TOPIC = "transactions"
ALL, OF_CONTRACT = "cosmos_transactions_total", "cosmos_contract_transactions_total"
# A primary that lags makes the safe height fall: what was counted is not counted again. So far back
# no usable one is: it is a chain made anew.
MAX_AHEAD = 1000
# Its results, and itself where there are any.
CALLS_PER_BLOCK = 2
# What the endpoint itself tells, and what will be there in a moment.
_SILENT = UNHEARD | {"missing_data"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block that was counted."""

    height: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What one run of the count found.

    Args:
        counts: what is to be added to the counters.
        steps: a verdict where the node refuses.
        cursor: how far it came.
        spent: calls that were made.
    """

    counts: tuple[tuple[Series, float], ...] = ()
    steps: tuple[Verdict, ...] = ()
    cursor: Cursor | None = None
    spent: int = 0


class _Refused(Exception):
    """Why the scan ends; *detail* is empty where the endpoint itself tells it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def count_transactions(
    contracts: Sequence[Contract], max_blocks: int, safe: int, cursor: Cursor | None
) -> Talk[Counted]:
    """Count the newest blocks up to *safe* that came since *cursor*, at most *max_blocks*."""
    last = cursor.height if cursor is not None else safe
    if last > safe + MAX_AHEAD:
        last = safe
    counts: dict[Series, float] = dict.fromkeys(_all_series(contracts), 0)
    steps: tuple[Verdict, ...] = ()
    spent = 0
    try:
        for height in range(max(last, safe - max_blocks) + 1, safe + 1):
            spent += 1
            failed = _failed((yield from _ask("block_results", height)))
            if failed:
                spent += 1
                block = yield from _ask("block", height)
                for series in _found(contracts, failed, _raw(block)):
                    counts[series] += 1
            last = height
    except _Refused as refused:
        if refused.detail:
            finding = Finding(ChainReason.METHOD_ERRORS, Outcome.DEGRADED, refused.detail)
            steps = (Verdict(TOPIC, Outcome.DEGRADED, (finding,)),)
    return Counted(tuple(counts.items()), steps, Cursor(last), spent)


def safe_height(group: Group, judgement: Judgement) -> int | None:
    """Return the height that every usable primary has the results of; None: there is none."""
    primaries = {endpoint.name for endpoint in group.endpoints if endpoint.role == "primary"}
    heights = [
        verdict.height
        for verdict in judgement.endpoints
        if verdict.name in primaries
        and verdict.height is not None
        and verdict.outcome in (Outcome.UP, Outcome.DEGRADED)
    ]
    return max(0, min(heights) - 1) if heights else None


def _series(name: str, is_failed: bool, contract: str = "") -> Series:  # noqa: FBT001 - a value
    labels = (("contract", contract),) if contract else ()
    return name, (*labels, ("result", "failed" if is_failed else "success"))


def _all_series(contracts: Sequence[Contract]) -> list[Series]:
    names = [(ALL, ""), *((OF_CONTRACT, contract.name) for contract in contracts)]
    return [_series(name, failed, label) for name, label in names for failed in (False, True)]


def _found(
    contracts: Sequence[Contract], failed: Sequence[bool], raw: Sequence[bytes]
) -> list[Series]:
    """Return a series for each transaction of a block, and for each contract in it."""
    found = [_series(ALL, is_failed) for is_failed in failed]
    for text, is_failed in zip(raw, failed, strict=False):
        found += [
            _series(OF_CONTRACT, is_failed, contract.name)
            for contract in contracts
            if contract.address.encode() in text
        ]
    return found


def _ask(method: str, height: int) -> Talk[Any]:
    ask = Ask(TOPIC, method, {"height": str(height)}, max_body=MAX_SCAN_BODY_BYTES)
    answer: Answer = yield ask
    if not answer.ok:
        raise _Refused("" if answer.kind in _SILENT else f"{method}: {answer.detail}")
    return answer.result


def _failed(result: Any) -> list[bool]:
    """Return of each transaction whether it failed."""
    try:
        results = at(result, "txs_results") or []
        # Go leaves out what is 0
        return [bool(entry.get("code", 0)) for entry in results]
    except (ValueError, AttributeError, TypeError):
        raise _Refused(f"block_results: want a list of results, got {short(result)}") from None


def _raw(result: Any) -> list[bytes]:
    """Return the transactions of a block as bytes."""
    try:
        return [
            base64.b64decode(text, validate=True)
            for text in at(result, "block", "data", "txs") or []
        ]
    except (ValueError, TypeError):
        raise _Refused(f"block: want transactions in base64, got {short(result)}") from None


def durable(cursor: Cursor | None) -> dict[str, Any] | None:
    """Return *cursor* for a file; None: nothing to keep."""
    return {"height": cursor.height} if cursor is not None else None


def restored(kept: Mapping[str, Any]) -> Cursor | None:
    """Return what `durable` gave; None when it cannot be that."""
    height = kept.get("height")
    is_height = isinstance(height, int) and not isinstance(height, bool) and height >= 0
    return Cursor(height) if is_height and isinstance(height, int) else None
