"""When each iteration is to begin, and of which shard it is.

    stages  ──integral──>  how many are due by t     C(t)
    n       ──inverse──>   when the n-th is due      C(t) = n, at a rate above 0

    n = 0 1 2 3 4 5 ...    one sequence of the whole run; number n is of shard n modulo shards

Rates and durations become whole numbers first (millionths of an iteration an hour, microseconds),
so that 1/m for 3 minutes is 3 and not 3.0000000000000004, and the sum over any number of shards is
the plan. Pure. Knows no clock: seconds count from the start of the run.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

from scenarios.plan import Stage

_US = 10**6
# A rate is a decimal number a second, a minute or an hour: of an hour all three are whole numbers
# of millionths, up to 8 decimals of a number a second.
_PER_SECOND = 3600 * 10**6
# Twice the area below a rate, so that the triangle of a ramp stays a whole number.
_ONE = 2 * _PER_SECOND * _US


class _Line:
    """Stages in whole numbers.

    Args:
        stages: in their order.
    """

    __slots__ = ("areas", "begins_s", "begins_us", "heights", "lengths", "stages", "total")

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.lengths = [round(stage.seconds * _US) for stage in stages]
        self.heights = [
            (round(stage.first * _PER_SECOND), round(stage.last * _PER_SECOND)) for stage in stages
        ]
        pairs = zip(self.heights, self.lengths, strict=True)
        areas = accumulate(((first + last) * length for (first, last), length in pairs), initial=0)
        *self.areas, self.total = areas
        *self.begins_us, end_us = accumulate(self.lengths, initial=0)
        self.begins_s = [begin / _US for begin in (*self.begins_us, end_us)]

    def index_at(self, at_s: float) -> int:
        """Return which stage runs at *at_s*; -1 before the first, their number after the last."""
        return bisect_right(self.begins_s, at_s) - 1

    def index_of(self, n: int) -> int:
        """Return the stage in which *n* is due; it is one with a rate."""
        return bisect_right(self.areas, n * _ONE) - 1

    def due(self, n: int, index: int) -> float:
        """Return when *n* is due, which is in stage *index*."""
        length, (first, last) = self.lengths[index], self.heights[index]
        area = n * _ONE - self.areas[index]
        # the root of a whole number, in the form that never subtracts two large ones
        square = (first * length) ** 2 + (last - first) * length * area
        offset_us = area * length / (first * length + math.sqrt(square)) if area else 0.0
        return (self.begins_us[index] + offset_us) / _US


@lru_cache(maxsize=16)
def _line(stages: tuple[Stage, ...]) -> _Line:
    return _Line(stages)


def count(stages: Sequence[Stage]) -> int:
    """Return how many iterations are due in all stages."""
    return -(-_line(tuple(stages)).total // _ONE)


def due(stages: Sequence[Stage], n: int) -> float | None:
    """Return when iteration *n* (0, 1, 2 ...) is due; None: there is none."""
    line = _line(tuple(stages))
    if n < 0 or n * _ONE >= line.total:
        return None
    return line.due(n, line.index_of(n))


class Arrivals(Iterator[tuple[int, float]]):
    """The intended starts of one shard, in their order: (n, seconds since the start).

    Args:
        stages: of rates.
        shard: 0 ... shards - 1.
        shards: how many share the run.
    """

    __slots__ = ("_end", "_index", "_line", "_n", "_step")

    def __init__(self, stages: Sequence[Stage], shard: int = 0, shards: int = 1) -> None:
        self._line = _line(tuple(stages))
        self._end = count(stages)
        self._index = 0
        self._n = shard
        self._step = shards

    def __next__(self) -> tuple[int, float]:
        n, line = self._n, self._line
        if n >= self._end:
            raise StopIteration
        self._n = n + self._step
        area, last = n * _ONE, len(line.areas) - 1
        while self._index < last and line.areas[self._index + 1] <= area:
            self._index += 1
        return n, line.due(n, self._index)


def stage_at(stages: Sequence[Stage], at_s: float) -> Stage | None:
    """Return the stage that runs at *at_s*; at its end the next one does. None: outside of all."""
    index = _line(tuple(stages)).index_at(at_s)
    return stages[index] if 0 <= index < len(stages) else None


def rate_at(stages: Sequence[Stage], at_s: float) -> float:
    """Return the rate, or the users, that are wanted at *at_s*; 0 outside of all stages."""
    line = _line(tuple(stages))
    index = line.index_at(at_s)
    if not 0 <= index < len(stages):
        return 0.0
    stage = stages[index]
    return stage.first + (stage.last - stage.first) * (at_s - line.begins_s[index]) / stage.seconds


def users_at(stages: Sequence[Stage], at_s: float) -> int:
    """Return how many users there are at *at_s*.

    A ramp up has its next user when it is whole, a ramp down loses one when it is gone.
    """
    line = _line(tuple(stages))
    index = line.index_at(at_s)
    if not 0 <= index < len(stages):
        return 0
    length, (first, last) = line.lengths[index], line.heights[index]
    passed_us = round(at_s * _US) - line.begins_us[index]
    height, one = first * length + (last - first) * passed_us, _PER_SECOND * length
    return height // one if last >= first else -(-height // one)


def share(total: int, shard: int, shards: int) -> int:
    """Return how many of *total* are of one shard; those of all shards add up to *total*."""
    return (total - shard + shards - 1) // shards


def choose(seed: int, n: int, weights: Sequence[int]) -> int:
    """Return which of *weights* iteration *n* takes: by chance, the same in every shard.

    Raises:
        ValueError: none of several is above 0.
    """
    if len(weights) == 1:
        return 0
    digest = hashlib.blake2b(b"mix:%d:%d" % (seed, n), digest_size=8).digest()
    rest = int.from_bytes(digest) * sum(weights) >> 64
    for index, weight in enumerate(weights):
        rest -= weight
        if rest < 0:
            return index
    raise ValueError(f"want weights above 0, got {list(weights)!r}")
