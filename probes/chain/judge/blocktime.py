"""How long the chain takes for a block: measured per endpoint, believed as a group.

No list of block times is right for long (chains.md decision 4), so the time is measured: the median
of what an endpoint tells, then the median over the endpoints, so that one that lies moves nothing.

Until an endpoint has told three values the configuration or the family's prior counts; and where
nothing was configured that prior may be wrong by a factor of fifty. Therefore a `Pace` is a range:
limits in blocks are made of its fast end and limits in seconds of its slow end, so that doubt is
never held against an endpoint.

The slow end is never below the mean: a chain that makes blocks when there is something to write has
a median of a second and quiet minutes, which would else each be a halt. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median
from types import MappingProxyType

from probes.chain.judge.views import KEPT, Views
from probes.chain.model import Family, Group, Head

# chains.md 5.8
BLOCK_TIMES_S: Mapping[Family, float] = MappingProxyType(
    {"evm": 12.0, "solana": 0.4, "cosmos": 6.0}
)
MIN_BLOCK_TIME_S, MAX_BLOCK_TIME_S = 0.01, 120.0
NEEDED = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds per block.

    Args:
        usual: measured, or what is taken for it.
        fast: no more than it.
        slow: no less than it.
    """

    usual: float
    fast: float
    slow: float


def block_time(earlier: Head, later: Head) -> float | None:
    """Return seconds per block between two heads of one endpoint; None when they cannot tell.

    By the timestamps of the chain; by our own clock where they tie (chains with more than one block
    in a second) or are missing.
    """
    blocks = later.height - earlier.height
    if blocks <= 0:
        return None
    took = _between(earlier.timestamp, later.timestamp)
    if not took:
        took = later.seen - earlier.seen
    if took <= 0:
        return None
    return min(max(took / blocks, MIN_BLOCK_TIME_S), MAX_BLOCK_TIME_S)


def _between(earlier: float | None, later: float | None) -> float:
    return later - earlier if earlier is not None and later is not None else 0.0


def added(values: tuple[float, ...], value: float | None) -> tuple[float, ...]:
    """Return *values* with one more; the oldest goes."""
    return values if value is None else (*values, value)[-KEPT:]


def pace(group: Group, views: Views) -> Pace:
    """Return how fast the chain is, as far as that is known."""
    seen = [view for view in views.endpoints.values() if view.samples and not view.is_foreign]
    told = [view.block_times for view in seen if view.block_times]
    ready = [values for values in told if len(values) >= NEEDED]
    # half of those that answer: one that is early with three values is not yet the chain
    if ready and 2 * len(ready) >= len(seen):
        usual, mean = _range(map(median, ready)), _range(map(fmean, ready))
        return replace(usual, slow=max(usual.slow, mean.slow))
    configured = group.block_time_s
    if configured is not None:
        return Pace(configured, configured, configured)
    prior = BLOCK_TIMES_S[group.family]
    hints = _range(map(median, told)) if told else Pace(prior, prior, prior)
    return Pace(prior, min(prior, hints.fast), max(prior, hints.slow))


def _range(values: Iterable[float]) -> Pace:
    """Return the median; of an even number, both middle values: neither can be preferred."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return Pace((low + high) / 2, low, high)
