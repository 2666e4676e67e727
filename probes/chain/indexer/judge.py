"""Indexers: how far they are behind their chain, whether on the same branch, whether well.

Pure: what a source said in, a verdict out. Knows neither how a source is asked nor its protocol.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from probes.chain.answer.quantity import quantity
from probes.chain.indexer.settings import Holds, IndexerKeys
from probes.chain.model import Limit, Now, Series, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.jsonpath import JsonPath
from probes.result import Outcome
from probes.units import format_duration, short

# How long a hash is believed before it is compared again: once a minute costs one call.
COMPARE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source said.

    Args:
        height: block; None when it did not say.
        hash: of that block, lower case; empty when it did not say.
        timestamp: Unix time of that block.
        healthy: its own word; None when it is not asked.
        finding: why it could not be read.
        detail: what it says is wrong.
    """

    height: int | None = None
    hash: str = ""
    timestamp: float | None = None
    healthy: bool | None = None
    finding: Finding | None = None
    detail: str = ""


def read_document(keys: IndexerKeys, document: Any) -> Reading:
    """Read a JSON document by the paths of *keys*.

    Raises:
        ValueError: there is no height, or one that is none.
    """
    height = _first(keys.told("height"), document)
    if height is None:
        raise ValueError(f"want a height at {keys.told('height')}, got none")
    moment, found = _first(keys.told("timestamp"), document), _first(keys.told("hash"), document)
    condition, fatal = keys.told("healthy"), _first(keys.fatal, document)
    miss = Holds(condition).miss(document) if condition else None
    healthy = None if not condition and fatal is None else miss is None and fatal is None
    detail = f"want {condition}, got {miss}" if miss is not None else ""
    return Reading(
        height=quantity(height),
        hash=found.lower() if isinstance(found, str) else "",
        timestamp=float(quantity(moment)) if moment is not None else None,
        healthy=healthy,
        detail=short(fatal) if fatal is not None else detail,
    )


def _first(path: str, document: Any) -> Any:
    if not path:
        return None
    found = JsonPath(path).select(document)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the chain stands.

    Args:
        height: that the lag is counted from; None: nothing to compare with.
        block_time_s: measured or prior.
        is_halted: whether the chain as a whole stands still.
    """

    height: int | None
    block_time_s: float
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What is remembered of an indexer.

    Args:
        height: last one.
        moved: monotonic seconds when that changed last.
        compared: monotonic seconds when its hash was compared last; None: never.
        is_fork: what that found.
    """

    height: int
    moved: float
    compared: float | None = None
    is_fork: bool = False


def wants_comparison(reading: Reading, before: Progress | None, now: Now) -> bool:
    """Return whether the hash should be compared with the chain's now."""
    if reading.height is None or not reading.hash:
        return False
    if before is None or before.compared is None:
        return True
    return now.mono - before.compared >= COMPARE_EVERY_S


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one indexer: its verdict, what to remember, what to show."""

    verdict: Verdict
    progress: Progress | None
    gauges: tuple[tuple[Series, float], ...]


def judge(
    keys: IndexerKeys,
    reading: Reading,
    before: Progress | None,
    chain: Tip,
    *,
    node_hash: str | None,
    now: Now,
) -> Judged:
    """Judge one indexer.

    Args:
        keys: of the file.
        reading: what its source said.
        before: what is remembered.
        chain: where the chain stands.
        node_hash: hash that the chain has at its height; None: not asked or not known.
        now: this moment.
    """
    labels = (("indexer", keys.name),)
    limit = keys.lag.warn
    gauges: list[tuple[Series, float]] = []
    if isinstance(limit, float):
        gauges.append((("chain_indexer_lag_threshold_blocks", labels), limit))
    if reading.finding is not None or reading.height is None:
        finding = reading.finding or Finding(
            ChainReason.INVALID_RESPONSE, Outcome.DOWN, "want a height, got none"
        )
        if finding.outcome is Outcome.DOWN:
            gauges.append((("chain_indexer_healthy", labels), 0.0))
        return Judged(_verdict(keys, [finding], None, None), before, tuple(gauges))
    progress = _moved(reading.height, before, now)
    if node_hash is not None:
        is_fork = node_hash.lower() != reading.hash
        progress = replace(progress, compared=now.mono, is_fork=is_fork)
    lag = None if chain.height is None else max(0, chain.height - reading.height)
    still_s = 0.0 if chain.is_halted or not lag else now.mono - progress.moved
    findings = _findings(keys, reading, lag, still_s, is_fork=progress.is_fork)
    gauges.append((("chain_indexer_height", labels), float(reading.height)))
    is_well = not any(finding.outcome is Outcome.DOWN for finding in findings)
    gauges.append((("chain_indexer_healthy", labels), float(is_well)))
    if lag is not None:
        lag_s = lag * chain.block_time_s
        if reading.timestamp is not None and lag:
            lag_s = max(0.0, now.wall - reading.timestamp)
        gauges += [
            (("chain_indexer_lag_blocks", labels), float(lag)),
            (("indexer_block_lag", labels), float(lag)),
            (("chain_indexer_lag_seconds", labels), lag_s),
        ]
    return Judged(_verdict(keys, findings, reading.height, lag), progress, tuple(gauges))


def _moved(height: int, before: Progress | None, now: Now) -> Progress:
    if before is None:
        return Progress(height, now.mono)
    if before.height != height:
        return replace(before, height=height, moved=now.mono)
    return before


def _findings(
    keys: IndexerKeys, reading: Reading, lag: int | None, still_s: float, *, is_fork: bool
) -> Sequence[Finding]:
    found: list[Finding] = []
    if reading.healthy is False:
        text = reading.detail or "want a healthy indexer, got one that says it is not"
        found.append(Finding(ChainReason.INDEXER_UNHEALTHY, Outcome.DOWN, text))
    if is_fork:
        text = f"want the chain's block {reading.height}, got one of another branch"
        found.append(Finding(ChainReason.INDEXER_FORK, Outcome.DOWN, text))
    if still_s >= keys.stalled_after:
        limit = format_duration(keys.stalled_after)
        text = f"stands at {reading.height} for {still_s:.0f} s, want at most {limit}"
        found.append(Finding(ChainReason.INDEXER_STALLED, Outcome.DOWN, text))
    bounds: tuple[tuple[Limit, Outcome], ...] = (
        (keys.lag.down, Outcome.DOWN),
        (keys.lag.warn, Outcome.DEGRADED),
    )
    for bound, outcome in bounds:
        if lag is not None and _is_above(lag, bound):
            text = f"{lag} blocks behind, want at most {bound:g}"
            found.append(Finding(ChainReason.INDEXER_LAG, outcome, text))
            break
    return found


def _is_above(lag: int, bound: Limit) -> bool:
    return isinstance(bound, float) and lag > bound


def _verdict(
    keys: IndexerKeys, findings: Sequence[Finding], height: int | None, lag: int | None
) -> Verdict:
    ranks = (Outcome.DOWN, Outcome.DEGRADED, Outcome.UNKNOWN)
    ordered = sorted(findings, key=lambda finding: ranks.index(finding.outcome))
    outcome = ordered[0].outcome if ordered else Outcome.UP
    return Verdict(keys.name, outcome, tuple(ordered), height=height, lag=lag)
