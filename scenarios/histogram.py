"""A histogram of durations that can be added to another: log-linear, with an error below 0.8 %.

    bucket of u microseconds:   u < 128: u;   else e = bits(u) - 8:  e * 256 + (u >> e)

Count, sum, least and greatest are exact, and so is how many lie above each of a few limits that are
known before. Pure. Knows neither what was timed nor who asks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Self

from probes.units import short

# load.md 7.2: 128 parts of each octave; from 0 to one hour.
_PARTS = 128
_BITS = 8
MAX_US = 3600 * 10**6
# Beyond this a number is no count, and too much for a float.
MAX_COUNT = 2**53
MAX_BUCKETS = (MAX_US.bit_length() - _BITS + 1 << _BITS) + 2 * _PARTS


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a duration that is >= 0."""
    if microseconds < _PARTS:
        return microseconds
    shift = microseconds.bit_length() - _BITS
    return (shift << _BITS) | (microseconds >> shift)


def middle_of(bucket: int) -> float:
    """Return the middle of a bucket, in microseconds."""
    shift = bucket >> _BITS
    low = (bucket & (2 * _PARTS - 1)) << shift
    return low + ((1 << shift) - 1) / 2


class Histogram:
    """Durations, counted.

    Args:
        limits: in microseconds: how many durations lie above each is counted exactly.
    """

    __slots__ = ("above", "buckets", "count", "greatest", "least", "total")

    def __init__(self, limits: Iterable[int] = ()) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        """Microseconds."""
        self.least = 0
        self.greatest = 0
        self.above: dict[int, int] = dict.fromkeys(limits, 0)

    def add(self, seconds: float) -> None:
        """Count one duration; it is taken for at least 0 and at most one hour."""
        u = min(max(int(seconds * 1e6 + 0.5), 0), MAX_US)
        bucket, buckets = bucket_of(u), self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        self.greatest = max(self.greatest, u)
        if u < self.least or not self.count:
            self.least = u
        self.count += 1
        self.total += u
        for limit in self.above:
            if u > limit:
                self.above[limit] += 1

    def merge(self, other: "Histogram") -> None:
        """Add what *other* has counted."""
        if not other.count:
            return
        buckets = self.buckets
        for bucket, number in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + number
        self.least = min(self.least, other.least) if self.count else other.least
        self.greatest = max(self.greatest, other.greatest)
        # exact is only what both have counted; of nothing, nothing lies above any limit
        if not self.count:
            self.above = dict(other.above)
        else:
            self.above = {it: n + other.above[it] for it, n in self.above.items()
                          if it in other.above}  # fmt: skip
        self.count += other.count
        self.total += other.total

    def quantile(self, share: float) -> float:
        """Return the duration, in seconds, below which *share* (0 to 1) of all lie.

        The middle of its bucket, within least and greatest; 0 when there is none.
        """
        return self.quantiles((share,))[0]

    def quantiles(self, shares: Sequence[float]) -> tuple[float, ...]:
        """Return the quantile of each of *shares*; the buckets are sorted once."""
        if not self.count:
            return (0.0,) * len(shares)
        order = sorted(self.buckets)
        seen = list(accumulate([self.buckets[bucket] for bucket in order]))
        # the smallest value that at least this share does not exceed
        ranks = [max(1, -int(-share * self.count // 1)) for share in shares]
        middles = [middle_of(order[bisect_left(seen, rank)]) for rank in ranks]
        return tuple([min(max(it, self.least), self.greatest) / 1e6 for it in middles])

    @property
    def mean(self) -> float:
        """Seconds; 0 when there is none."""
        return self.total / self.count / 1e6 if self.count else 0.0

    def count_above(self, limit_us: int) -> int | None:
        """Return how many lie above *limit_us*, exactly; None when nobody counted that."""
        return self.above.get(limit_us)

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready; `from_dict` reads it."""
        found: dict[str, Any] = {
            "count": self.count,
            "total": self.total,
            "least": self.least,
            "greatest": self.greatest,
            "buckets": {str(key): self.buckets[key] for key in sorted(self.buckets)},
        }
        if self.above:
            found["above"] = {str(key): self.above[key] for key in sorted(self.above)}
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` has written.

        Raises:
            ValueError: it contradicts itself, or something is missing.
        """
        made = cls()
        try:
            made.buckets = {int(key): _whole(it) for key, it in values["buckets"].items()}
            made.above = {int(key): _whole(it) for key, it in values.get("above", {}).items()}
            made.count = _whole(values["count"])
            made.total = _whole(values["total"])
            made.least = _whole(values["least"])
            made.greatest = _whole(values["greatest"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"want a histogram, got {short(repr(error))}") from None
        made._judge()
        return made

    def _judge(self) -> None:
        """Raise where numbers contradict each other, or are too great to be divided."""
        if any(not 0 <= bucket <= MAX_BUCKETS for bucket in self.buckets):
            raise ValueError(f"want buckets of 0 to {MAX_BUCKETS}, got others")
        if sum(self.buckets.values()) != self.count or self.least > self.greatest:
            raise ValueError("want a histogram whose buckets add up to its count, got another")
        if self.count > MAX_COUNT:
            raise ValueError(f"want numbers of at most {MAX_COUNT}, got {short(self.count)}")
        if self.greatest > MAX_US or self.total > self.count * self.greatest:
            raise ValueError(f"want durations of at most {MAX_US} us, got longer ones")
        if any(number > self.count for number in self.above.values()):
            raise ValueError("want at most all durations above a limit, got more")


def _whole(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"want a whole number >= 0, got {short(number)}")
    return number
