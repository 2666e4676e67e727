"""Blocks and fees of the EVM, read out of what a node says.

Everything comes from a peer: what is not of its form is a ValueError. Knows no call. Pure.

Source:
    https://ethereum.github.io/execution-apis/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from probes.chain.answer.quantity import quantity
from probes.chain.evm.signature import parse_hash
from probes.chain.model import Head
from probes.units import short

PERCENTILES = (10, 50, 90)


@dataclass(frozen=True, slots=True)
class Charges:
    """What a block says about its price and its room.

    Args:
        base: base fee in wei; None before London.
        used: share of the gas limit; None when the chain has none.
    """

    base: int | None = None
    used: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What ``eth_feeHistory`` says.

    Args:
        priority: percentile -> wei, the median over blocks that held a transaction.
        blob: blob base fee of the next block, in wei; None where there are none.
    """

    priority: tuple[tuple[int, int], ...] = ()
    blob: int | None = None


def fields(result: object) -> Mapping[str, Any]:
    """Return an object of JSON.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(result, dict):
        raise ValueError(f"want an object, got {short(result)}")
    return result


def optional(document: Mapping[str, Any], name: str) -> int | None:
    """Return the number at *name*; None when it is not there.

    Raises:
        ValueError: it is no number.
    """
    value = document.get(name)
    return None if value is None else quantity(value)


def read_head(result: object, seen: float = 0.0) -> Head:
    """Return a block as a head.

    Args:
        result: block or header.
        seen: monotonic seconds.

    Raises:
        ValueError: it is none.
    """
    block = fields(result)
    root = block.get("stateRoot")
    time = optional(block, "timestamp")
    parent = block.get("parentHash")
    return Head(
        height=quantity(block.get("number")),
        hash=parse_hash(block.get("hash")),
        parent="" if parent is None else parse_hash(parent),
        timestamp=None if time is None else float(time),
        seen=seen,
        state=root.lower() if isinstance(root, str) else "",
    )


def read_charges(result: object) -> Charges:
    """Return what a block costs and how full it is.

    Raises:
        ValueError: its numbers are none.
    """
    block = fields(result)
    used, limit = optional(block, "gasUsed"), optional(block, "gasLimit")
    return Charges(
        base=optional(block, "baseFeePerGas"),
        used=used / limit if used is not None and limit else None,
    )


def read_history(result: object) -> History:
    """Return priority fees and the blob fee.

    Raises:
        ValueError: it is no fee history.
    """
    history = fields(result)
    rewards, ratios = _column(history, "reward"), _column(history, "gasUsedRatio")
    # an empty block gives 0 at every percentile, which is nobody's fee
    busy = [row for row, ratio in zip(rewards, ratios, strict=False) if ratio]
    columns: dict[int, list[int]] = {percentile: [] for percentile in PERCENTILES}
    for row in busy:
        if not isinstance(row, list) or len(row) != len(PERCENTILES):
            raise ValueError(f"want {len(PERCENTILES)} rewards a block, got {short(row)}")
        for percentile, reward in zip(PERCENTILES, row, strict=True):
            columns[percentile].append(quantity(reward))
    priority = [(name, median_low(values) if values else 0) for name, values in columns.items()]
    blobs = _column(history, "baseFeePerBlobGas")
    # 1 wei is the least it can be (EIP-4844); geth tells 0 of the time before
    blob = quantity(blobs[-1]) if blobs else 0
    return History(tuple(priority) if rewards else (), blob or None)


def _column(history: Mapping[str, Any], name: str) -> list[Any]:
    column = history.get(name)
    if column is None:
        return []
    if not isinstance(column, list):
        raise ValueError(f"want a list of {name}, got {short(column)}")
    return column
