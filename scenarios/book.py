"""What a load run has counted so far: histograms and counters by `Key`, which can be added up.

    Key      metric, journey, step, method, code, outcome, reason, measured
    Book     Key -> Histogram of durations, Key -> number

A shard keeps one and sends what is new in it; the parent adds up those of all shards. The metrics
and their labels are those of load.md 10.1:

    durations  request.duration                  journey step method code outcome
               iteration.duration, .latency      journey outcome
               start.delay                       journey
    numbers    request.failed                    journey step method code outcome reason
               iteration.due .started .completed .failed .dropped .interrupted   journey
               setup.done, setup.failed          journey (step: the first that failed)
               data.sent, data.received          journey step

Pure. Knows no plan, no clock and no threshold.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from probes.units import short
from scenarios.histogram import MAX_COUNT, Histogram

# load.md 7.3: more names than this come from a URL or a user's loop.
MAX_STEPS = 200
OTHER = "other"
NO_CODE = "none"
# load.md 5.4: success and failure never share a percentile; who was cut off was at least this slow.
GOOD = frozenset({"up", "degraded"})
LATE = GOOD | {"interrupted"}


class Key(NamedTuple):
    """What a number is about; empty: does not apply.

    Args:
        metric: one of those above.
        journey: its name; of a locust file its user class.
        step: its name; of a locust file the name of the request.
        method: upper case.
        code: ``2xx`` ...; ``none`` without an answer.
        outcome: up, degraded, down or unknown; of iterations also interrupted.
        reason: why it failed.
        measured: false in a warm-up, a drain and a set-up: it reaches no threshold.
    """

    metric: str
    journey: str = ""
    step: str = ""
    method: str = ""
    code: str = ""
    outcome: str = ""
    reason: str = ""
    measured: bool = True


class Book:
    """Everything that was counted.

    Args:
        limits: metric -> microseconds above which its durations are counted exactly.
    """

    __slots__ = ("durations", "limits", "numbers")

    def __init__(self, limits: Mapping[str, Iterable[int]] | None = None) -> None:
        self.limits = {metric: tuple(them) for metric, them in (limits or {}).items()}
        self.durations: dict[Key, Histogram] = {}
        self.numbers: dict[Key, int] = {}

    def time(self, key: Key, seconds: float) -> None:
        """Count a duration."""
        found = self.durations.get(key)
        if found is None:
            found = self.durations[key] = Histogram(self.limits.get(key.metric, ()))
        found.add(seconds)

    def count(self, key: Key, number: int = 1) -> None:
        """Add to a number."""
        self.numbers[key] = self.numbers.get(key, 0) + number

    def merge(self, other: "Book") -> None:
        """Add what *other* holds."""
        for key, histogram in other.durations.items():
            found = self.durations.get(key)
            if found is None:
                found = self.durations[key] = Histogram(self.limits.get(key.metric, ()))
            found.merge(histogram)
        for key, number in other.numbers.items():
            self.numbers[key] = self.numbers.get(key, 0) + number

    def __bool__(self) -> bool:
        return bool(self.durations or self.numbers)

    def total(self, metric: str, **labels: str | bool) -> int:
        """Return the sum of the numbers of *metric* whose labels are as wanted."""
        return sum(it for key, it in self.numbers.items() if _is_meant(key, metric, labels))

    def timed(self, metric: str, **labels: str | bool) -> Histogram:
        """Return the histograms of *metric* whose labels are as wanted, added up."""
        found = Histogram(self.limits.get(metric, ()))
        for key, histogram in self.durations.items():
            if _is_meant(key, metric, labels):
                found.merge(histogram)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready; `from_dict` reads it."""
        return {
            "durations": [[list(key), it.as_dict()] for key, it in sorted(self.durations.items())],
            "numbers": [[list(key), it] for key, it in sorted(self.numbers.items())],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` has written.

        Raises:
            ValueError: it is none.
        """
        made = cls()
        try:
            for key, histogram in values["durations"]:
                made.durations[_key(key)] = Histogram.from_dict(histogram)
            for key, number in values["numbers"]:
                if type(number) is not int or number < 0:
                    raise ValueError(f"want a whole number >= 0, got {short(number)}")
                if number > MAX_COUNT:
                    raise ValueError(f"want numbers of at most {MAX_COUNT}, got {short(number)}")
                made.numbers[_key(key)] = number
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"want a book of a load run, got {short(repr(error))}") from None
        return made


def _is_meant(key: Key, metric: str, labels: Mapping[str, str | bool]) -> bool:
    return key.metric == metric and all(getattr(key, name) == it for name, it in labels.items())


def _key(values: Any) -> Key:
    *texts, measured = values
    if len(texts) != len(Key._fields) - 1 or type(measured) is not bool:
        raise ValueError(f"want the {len(Key._fields)} parts of a key, got {short(values)}")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"want texts in a key, got {short(values)}")
    return Key(*values)
