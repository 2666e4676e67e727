"""Whether gas is dear: against its own past, and one endpoint's price against the others'.

    Baseline   minutes of the past, each with its time-weighted mean; bounded, frozen
    Rules      what the probe file says
    judge      (rules, baseline, price, now) -> what it means, and the next baseline

The baseline ends ten minutes ago: a spike must not raise what it is measured by. Knows no method.
Standard library only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_high, median_low
from types import MappingProxyType
from typing import Any

from probes.chain.model import Now, Observation

MINUTE_S = 60.0
MINUTES_PER_HOUR = 60
# chains.md 9.2
EXCLUDED_S = 600.0
MAX_MINUTES = 1440
MAX_WINDOW_S = MAX_MINUTES * MINUTE_S
OUTLIER_FACTOR = 5.0
# With two prices nobody knows which of them is odd.
MIN_PRICES = 3
# A price that is not heard of again holds for so many intervals, and at least for so long.
HELD_RUNS, MIN_HELD_S = 3, 180.0
# Three times the slow cadence: a tip that was not confirmed since means nothing.
TIP_AGE_S = 900.0
WEI_PER_GWEI = 1e9


@dataclass(frozen=True, slots=True)
class Rules:
    """When gas is too dear.

    Args:
        window_s: length of the past that counts, <= 24 h.
        factor: times the mean of that past.
        floor_wei: and above this.
        min_samples: minutes that must be known, before anything is judged.
        for_s: and for so long.
        is_degraded: whether it changes the outcome.
    """

    window_s: float = MAX_WINDOW_S
    factor: float = 3.0
    floor_wei: float = 1e9
    min_samples: int = 60
    for_s: float = 300.0
    is_degraded: bool = False


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of the past; after a restart an hour of it, at its last minute.

    Args:
        number: minutes since 1970.
        area: wei times seconds.
        seconds: that are known of it.
    """

    number: int
    area: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """What gas cost.

    Args:
        minutes: oldest first, at most `MAX_MINUTES` and those that do not count yet.
        price: the last one; None before the first.
        seen: when it was heard, monotonic.
        dear_since: when it became too dear, monotonic; None: it is not.
    """

    minutes: tuple[Minute, ...] = ()
    price: float | None = None
    seen: float = 0.0
    dear_since: float | None = None


@dataclass(frozen=True, slots=True)
class Tip:
    """What an endpoint asks above the base fee; the base fee is told in every run, this is not.

    Args:
        wei: may be below 0; the whole price where there is no base fee.
        seen: monotonic seconds.
        has_base: whether there was a base fee.
    """

    wei: int
    seen: float
    has_base: bool


NO_TIPS: Mapping[str, Tip] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GasVerdict:
    """What a price means.

    Args:
        ratio: price by mean; None while too little is known.
        mean: wei; None as above.
        is_spike: whether it has been too dear for long enough.
    """

    ratio: float | None = None
    mean: float | None = None
    is_spike: bool = False


def judge(
    rules: Rules, baseline: Baseline, price: float | None, now: Now, every_s: float
) -> tuple[GasVerdict, Baseline]:
    """Judge *price* by the past and make it part of the past to come.

    Args:
        rules: when it is too dear.
        baseline: of the runs before.
        price: of the group, in wei; None: not known in this run.
        now: of this run.
        every_s: seconds between two runs.
    """
    if price is None:
        return GasVerdict(), baseline
    held_s = max(HELD_RUNS * every_s, MIN_HELD_S)
    minutes = _extended(baseline, now, held_s)
    mean = _mean(rules, minutes, now)
    if mean is None or mean <= 0:
        return GasVerdict(), Baseline(minutes, price, now.mono)
    is_dear = price > rules.factor * mean and price > rules.floor_wei
    was_heard = now.mono - baseline.seen <= held_s
    since = baseline.dear_since if was_heard and baseline.dear_since is not None else now.mono
    verdict = GasVerdict(price / mean, mean, is_dear and now.mono - since >= rules.for_s)
    return verdict, Baseline(minutes, price, now.mono, since if is_dear else None)


def confirmed(
    tips: Mapping[str, Tip], observations: Mapping[str, Observation], now: Now
) -> dict[str, Tip]:
    """Return *tips* with those that were told in this run, without those of long ago."""
    known = {name: tip for name, tip in tips.items() if now.mono - tip.seen <= TIP_AGE_S}
    for name, seen in observations.items():
        if seen.fees is not None and seen.fees.price is not None:
            base = seen.fees.base
            known[name] = Tip(seen.fees.price - (base or 0), now.mono, base is not None)
    return known


def prices(tips: Mapping[str, Tip], observations: Mapping[str, Observation]) -> dict[str, float]:
    """Return what gas costs now by each endpoint that has a head: its base fee and its tip."""
    found = {}
    for name, tip in tips.items():
        seen = observations.get(name)
        if seen is None or seen.head is None:
            continue
        base = seen.fees.base if seen.fees is not None else None
        if tip.has_base == (base is not None):
            found[name] = float(max(0, tip.wei + (base or 0)))
    return found


def group_price(prices: Iterable[float]) -> float | None:
    """Return what gas costs by several endpoints; the lower of two in the middle.

    One odd oracle beside one that is sound must not make a spike.
    """
    known = list(prices)
    return median_low(known) if known else None


def outliers(prices: Mapping[str, float], floor_wei: float) -> tuple[tuple[str, str], ...]:
    """Return the endpoints whose price is far from the group's, and why.

    A distance below *floor_wei* is none: an L2 at a thousandth of a gwei rounds as it likes.
    """
    if len(prices) < MIN_PRICES:
        return ()
    low, high = median_low(prices.values()), median_high(prices.values())
    found = []
    for name, price in prices.items():
        usual = high if price > high else low
        is_far = max(price, usual) > OUTLIER_FACTOR * min(price, usual)
        if not low <= price <= high and is_far and abs(price - usual) > floor_wei:
            want = f"within {OUTLIER_FACTOR:g} times the others' {gwei(usual)}"
            found.append((name, f"gas price is {gwei(price)}, want it {want}"))
    # where most are odd, nobody is
    return tuple(found) if 2 * len(found) < len(prices) else ()


def gwei(wei: float) -> str:
    """Write an amount as people speak of it."""
    return f"{wei / WEI_PER_GWEI:.4g} gwei"


def durable(baseline: Baseline) -> list[list[float]]:
    """Return the past by whole hours, JSON-ready: it changes once an hour."""
    if not baseline.minutes:
        return []
    open_hour = baseline.minutes[-1].number // MINUTES_PER_HOUR
    hours: dict[int, tuple[float, float]] = {}
    for minute in baseline.minutes:
        hour = minute.number // MINUTES_PER_HOUR
        if hour < open_hour:
            area, seconds = hours.get(hour, (0.0, 0.0))
            hours[hour] = area + minute.area, seconds + minute.seconds
    return [[hour, area / seconds, seconds] for hour, (area, seconds) in hours.items() if seconds]


def restored(kept: object) -> Baseline:
    """Return the past that `durable` gave; what is not of its form is left out."""
    hours = [_restored_hour(hour) for hour in kept] if isinstance(kept, list) else []
    minutes = {minute.number: minute for minute in hours if minute is not None}
    return Baseline(tuple(minutes[number] for number in sorted(minutes))[-MAX_MINUTES:])


def _restored_hour(kept: Any) -> Minute | None:
    match kept:
        case [int() | float() as hour, int() | float() as mean, int() | float() as seconds]:
            # NaN fails every comparison
            is_sane = 0 <= hour < 1e9 and 0 <= mean < 1e30 and 0 < seconds <= 3600  # noqa: PLR2004 - bounds
            last = int(hour) * MINUTES_PER_HOUR + MINUTES_PER_HOUR - 1 if is_sane else 0
            return Minute(last, mean * seconds, seconds) if is_sane else None
        case _:
            return None


def _extended(baseline: Baseline, now: Now, held_s: float) -> tuple[Minute, ...]:
    """Return the minutes with the last price held until *now*."""
    present = int(now.wall // MINUTE_S)
    # a clock that was ahead and has been set right leaves minutes that are yet to come
    minutes = [minute for minute in baseline.minutes if minute.number <= present]
    lasted = now.mono - baseline.seen
    if baseline.price is not None and 0 < lasted <= held_s:
        _hold(minutes, baseline.price, now.wall - lasted, now.wall)
    oldest = present - int((MAX_WINDOW_S + EXCLUDED_S) // MINUTE_S)
    return tuple(minute for minute in minutes if minute.number >= oldest)


def _hold(minutes: list[Minute], price: float, start: float, end: float) -> None:
    """Add *price* from *start* to *end* to *minutes*, in place."""
    at = start
    while at < end:
        number = int(at // MINUTE_S)
        until = min(end, (number + 1) * MINUTE_S)
        seconds = until - at
        at = until
        last = minutes[-1] if minutes else None
        if last is None or number > last.number:
            minutes.append(Minute(number, price * seconds, seconds))
        elif number == last.number:
            area, known = last.area + price * seconds, last.seconds + seconds
            minutes[-1] = Minute(number, area, known)


def _mean(rules: Rules, minutes: tuple[Minute, ...], now: Now) -> float | None:
    """Return the mean of the window; None while too little of it is known."""
    ends = (now.wall - EXCLUDED_S) / MINUTE_S
    begins = ends - rules.window_s / MINUTE_S
    counted = [minute for minute in minutes if begins <= minute.number <= ends - 1]
    seconds = sum(minute.seconds for minute in counted)
    if seconds < rules.min_samples * MINUTE_S:
        return None
    return sum(minute.area for minute in counted) / seconds
