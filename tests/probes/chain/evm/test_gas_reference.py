"""The judgement of gas against one that keeps every second of the past and forgets nothing."""

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.chain.evm.gas import EXCLUDED_S, Baseline, Rules, judge
from probes.chain.model import Now

START = 1_800_000_030
EVERY_S = 30
HELD_S = 180
RULES = Rules(window_s=1200, factor=2.0, floor_wei=5, min_samples=3, for_s=120)


@dataclass
class Reference:
    """See the module; all times are whole seconds."""

    minutes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of each minute, how many seconds have a price, and their sum."""
    last: tuple[int, int] | None = None
    dear_since: int | None = None

    def judge(self, price: int | None, now: int) -> tuple[Fraction | None, bool]:
        """Return the mean, and whether the price is a spike."""
        if price is None:
            return None, False
        is_held = self.last is not None and now - self.last[0] <= HELD_S
        if self.last is not None and is_held:
            for second in range(self.last[0], now):
                count, total = self.minutes.get(second // 60, (0, 0))
                self.minutes[second // 60] = count + 1, total + self.last[1]
        self.last = now, price
        mean = self._mean(now)
        if mean is None or not mean or price <= RULES.factor * mean or price <= RULES.floor_wei:
            self.dear_since = None
            return mean or None, False
        if self.dear_since is None or not is_held:
            self.dear_since = now
        return mean, now - self.dear_since >= RULES.for_s

    def _mean(self, now: int) -> Fraction | None:
        ends = Fraction(now - int(EXCLUDED_S), 60)
        begins = ends - Fraction(int(RULES.window_s), 60)
        # a minute counts as a whole, once all of it is past
        counted = [it for at, it in self.minutes.items() if begins <= at <= ends - 1]
        seconds = sum(count for count, _ in counted)
        if seconds < RULES.min_samples * 60:
            return None
        return Fraction(sum(total for _, total in counted), seconds)


RUN = st.tuples(
    st.sampled_from([EVERY_S, EVERY_S, EVERY_S, 29, 31, 60, HELD_S, HELD_S + 1, 700]),
    st.none() | st.sampled_from([0, 1, 4, 5, 6, 10, 40]) | st.integers(0, 100),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(RUN, st.integers(1, 12)), min_size=1, max_size=25))
def test_means_and_spikes_are_those_of_the_reference(
    several: list[tuple[tuple[int, int | None], int]],
) -> None:
    baseline, reference, now = Baseline(), Reference(), START
    for (passed, price), times in several:
        for _ in range(times):
            now += passed
            told = None if price is None else float(price)
            # another origin, as monotonic clocks have
            moment = Now(float(now - START + 1000), float(now))
            verdict, baseline = judge(RULES, baseline, told, moment, EVERY_S)
            mean, is_spike = reference.judge(price, now)

            assert verdict.mean == (None if mean is None else pytest.approx(float(mean)))
            assert verdict.is_spike == is_spike
