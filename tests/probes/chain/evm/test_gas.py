from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.evm.gas import (
    MAX_MINUTES,
    NO_TIPS,
    TIP_AGE_S,
    Baseline,
    GasVerdict,
    Minute,
    Rules,
    confirmed,
    durable,
    group_price,
    gwei,
    judge,
    outliers,
    prices,
    restored,
)
from probes.chain.model import Fees, Head, Now, Observation

GWEI = 1e9
RULES = Rules()
START = 1_800_000_000.0
EVERY_S = 15.0


class Clock:
    """Runs of a probe, one every interval."""

    def __init__(self, rules: Rules = RULES, every_s: float = EVERY_S) -> None:
        self.rules, self.every_s = rules, every_s
        self.now = Now(1000.0, START)
        self.baseline = Baseline()
        self.verdict = GasVerdict()

    def runs(self, price: float | None, seconds: float) -> "Clock":
        for _ in range(int(seconds / self.every_s)):
            self.now = Now(self.now.mono + self.every_s, self.now.wall + self.every_s)
            self.verdict, self.baseline = judge(
                self.rules, self.baseline, price, self.now, self.every_s
            )
        return self


def test_nothing_is_judged_before_an_hour_of_prices_has_settled() -> None:
    clock = Clock().runs(20 * GWEI, 3600)
    assert clock.verdict == GasVerdict()

    clock.runs(20 * GWEI, 11 * 60)

    assert clock.verdict.ratio == pytest.approx(1.0)
    assert clock.verdict.mean == pytest.approx(20 * GWEI)
    assert not clock.verdict.is_spike


def test_three_times_the_mean_for_five_minutes_is_a_spike() -> None:
    clock = Clock().runs(20 * GWEI, 7200)

    assert not clock.runs(61 * GWEI, 300).verdict.is_spike
    assert clock.runs(61 * GWEI, 15).verdict.is_spike
    assert clock.verdict.ratio == pytest.approx(3.05)


def test_a_spike_does_not_raise_its_own_baseline_for_ten_minutes() -> None:
    clock = Clock().runs(20 * GWEI, 7200).runs(200 * GWEI, 600)

    assert clock.verdict.mean == pytest.approx(20 * GWEI)


def test_a_dip_in_between_starts_the_wait_again() -> None:
    clock = Clock().runs(20 * GWEI, 7200).runs(100 * GWEI, 285).runs(20 * GWEI, 15)

    assert not clock.runs(100 * GWEI, 285).verdict.is_spike
    assert clock.runs(100 * GWEI, 30).verdict.is_spike


def test_below_the_floor_nothing_is_a_spike() -> None:
    cheap = Clock().runs(0.001 * GWEI, 7200).runs(0.5 * GWEI, 600)

    assert cheap.verdict.ratio == pytest.approx(500)
    assert not cheap.verdict.is_spike


def test_a_price_that_is_not_heard_of_does_not_count_as_time() -> None:
    clock = Clock().runs(20 * GWEI, 7200)
    known = sum(minute.seconds for minute in clock.baseline.minutes)

    clock.runs(None, 3600).runs(20 * GWEI, 15)

    assert sum(minute.seconds for minute in clock.baseline.minutes) == known


def test_a_spike_that_was_last_seen_long_ago_waits_anew() -> None:
    clock = Clock().runs(20 * GWEI, 7200).runs(100 * GWEI, 240).runs(None, 600)

    assert not clock.runs(100 * GWEI, 15).verdict.is_spike


def test_a_mean_is_weighted_by_time_not_by_samples() -> None:
    # one price for two thirds of the time in long intervals, the other in short ones
    clock = Clock(every_s=60).runs(30 * GWEI, 4800)
    clock.every_s = 10
    clock.runs(60 * GWEI, 2400)
    clock.runs(60 * GWEI, 600)

    assert clock.verdict.mean == pytest.approx(40 * GWEI, rel=0.02)


def test_a_window_of_an_hour_forgets_what_is_older() -> None:
    clock = Clock(Rules(window_s=3600, min_samples=30)).runs(90 * GWEI, 3600).runs(20 * GWEI, 4500)

    assert clock.verdict.mean == pytest.approx(20 * GWEI)


def test_a_free_chain_has_no_ratio() -> None:
    assert Clock().runs(0.0, 7200).verdict == GasVerdict()


def test_a_clock_that_was_ahead_does_not_stop_the_baseline() -> None:
    clock = Clock().runs(20 * GWEI, 600)
    clock.now = replace(clock.now, wall=clock.now.wall + 86_400)
    clock.runs(20 * GWEI, 60)
    clock.now = replace(clock.now, wall=clock.now.wall - 86_400)

    clock.runs(20 * GWEI, 5400)

    assert clock.verdict.mean == pytest.approx(20 * GWEI)


def test_time_before_the_last_known_minute_is_not_counted_twice() -> None:
    clock = Clock().runs(20 * GWEI, 120)
    known = sum(minute.seconds for minute in clock.baseline.minutes)
    # set back by less than a minute: the past keeps what it has
    clock.now = Now(clock.now.mono + 90, clock.now.wall + 15)

    _, after = judge(RULES, clock.baseline, 20 * GWEI, clock.now, EVERY_S)

    assert sum(minute.seconds for minute in after.minutes) < known + 90


@given(
    steps=st.lists(
        st.tuples(
            st.floats(0, 1e12) | st.none(), st.floats(0, 100_000), st.floats(-100_000, 100_000)
        ),
        max_size=30,
    ),
    every_s=st.floats(1, 900),
)
def test_the_baseline_is_bounded_and_its_mean_lies_among_its_prices(
    steps: list[tuple[float | None, float, float]], every_s: float
) -> None:
    now, baseline, heard = Now(0.0, START), Baseline(), [0.0]
    rules = Rules(min_samples=1)
    for price, passed, jump in steps:
        now = Now(now.mono + passed, max(0.0, now.wall + passed + jump))
        verdict, baseline = judge(rules, baseline, price, now, every_s)
        heard += [price] if price is not None else []
        numbers = [minute.number for minute in baseline.minutes]

        assert numbers == sorted(set(numbers))
        assert len(numbers) <= MAX_MINUTES + 11
        assert verdict.mean is None or verdict.mean <= max(heard) * 1.000001


# --- restart


def test_the_past_survives_a_restart_by_whole_hours() -> None:
    clock = Clock().runs(20 * GWEI, 7200).runs(40 * GWEI, 3600 + 60)
    kept = durable(clock.baseline)

    again = Clock()
    again.now = clock.now
    again.baseline = restored(kept)
    again.runs(40 * GWEI, 900)

    assert [seconds for _, _, seconds in kept] == [pytest.approx(3600, abs=EVERY_S)] * 3
    assert again.verdict.mean == pytest.approx(clock.runs(40 * GWEI, 900).verdict.mean, rel=0.05)
    assert again.verdict.mean == pytest.approx(27 * GWEI, rel=0.05)


def test_what_is_kept_changes_once_an_hour() -> None:
    clock = Clock().runs(20 * GWEI, 7200)
    kept, changes = durable(clock.baseline), 0

    for _ in range(240):
        clock.runs(20 * GWEI, 15)
        changes += durable(clock.baseline) != kept
        kept = durable(clock.baseline)

    assert changes == 1


def test_nothing_is_kept_of_an_empty_past() -> None:
    assert durable(Baseline()) == []
    assert restored([]) == Baseline()


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(None, id="nothing"),
        pytest.param("x", id="text"),
        pytest.param([[1, 2]], id="too short"),
        pytest.param([[1, "2", 3]], id="text for a number"),
        pytest.param([[float("nan"), 2.0, 3.0]], id="not a number"),
        pytest.param([[1, float("inf"), 3.0]], id="infinite"),
        pytest.param([[1, 2.0, 7200.0]], id="an hour of two hours"),
        pytest.param([{"hour": 1}], id="an object"),
    ],
)
def test_what_is_not_of_the_form_is_left_out(kept: object) -> None:
    assert restored(kept) == Baseline()


def test_hours_come_back_in_order_and_once() -> None:
    kept = [[3, 2.0, 60.0], [1, 5.0, 60.0], [3, 4.0, 60.0]]

    assert restored(kept).minutes == (Minute(119, 300.0, 60.0), Minute(239, 240.0, 60.0))


# --- prices


def seen(name: str, *, height: int | None = 5, fees: Fees | None = None) -> Observation:
    head = None if height is None else Head(height)
    return Observation(name, head=head, fees=fees)


def test_the_price_follows_the_base_fee_of_every_run() -> None:
    first = {"a": seen("a", fees=Fees(price=30, base=20))}
    tips = confirmed(NO_TIPS, first, Now(100.0, START))

    later = {"a": seen("a", fees=Fees(base=80))}

    assert prices(tips, first) == {"a": 30.0}
    assert prices(confirmed(tips, later, Now(200.0, START)), later) == {"a": 90.0}


def test_a_chain_without_a_base_fee_keeps_its_last_price() -> None:
    tips = confirmed(NO_TIPS, {"a": seen("a", fees=Fees(price=30))}, Now(100.0, START))

    assert prices(tips, {"a": seen("a")}) == {"a": 30.0}


def test_a_price_below_the_base_fee_is_not_negative() -> None:
    tips = confirmed(NO_TIPS, {"a": seen("a", fees=Fees(price=10, base=50))}, Now(1.0, START))

    assert prices(tips, {"a": seen("a", fees=Fees(base=20))}) == {"a": 0.0}


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({}, id="gone from the group"),
        pytest.param({"a": seen("a", height=None)}, id="without a head"),
        pytest.param({"a": seen("a", fees=Fees(base=20))}, id="with a base fee of a sudden"),
    ],
)
def test_an_endpoint_that_cannot_be_compared_has_no_price(later: dict[str, Observation]) -> None:
    tips = confirmed(NO_TIPS, {"a": seen("a", fees=Fees(price=30))}, Now(100.0, START))

    assert prices(tips, later) == {}


def test_a_tip_of_long_ago_is_forgotten() -> None:
    tips = confirmed(NO_TIPS, {"a": seen("a", fees=Fees(price=30))}, Now(100.0, START))

    assert confirmed(tips, {}, Now(100.0 + TIP_AGE_S, START)) == tips
    assert confirmed(tips, {}, Now(101.0 + TIP_AGE_S, START)) == {}


def test_one_odd_oracle_of_two_does_not_raise_the_price_of_the_group() -> None:
    assert group_price([20.0, 900.0]) == 20.0
    assert group_price([20.0, 21.0, 900.0]) == 21.0
    assert group_price([]) is None


# --- outliers


def test_an_oracle_five_times_off_is_named() -> None:
    found = outliers({"a": 20 * GWEI, "b": 22 * GWEI, "c": 250 * GWEI}, GWEI)

    text = "gas price is 250 gwei, want it within 5 times the others' 22 gwei"
    assert found == (("c", text),)


def test_an_oracle_that_is_far_too_cheap_is_named() -> None:
    found = outliers({"a": 20 * GWEI, "b": 22 * GWEI, "c": 1 * GWEI}, 0)

    assert [name for name, _ in found] == ["c"]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"a": 20 * GWEI, "b": 900 * GWEI}, id="two: nobody knows which"),
        pytest.param(
            {"a": 20 * GWEI, "b": 20 * GWEI, "c": 900 * GWEI, "d": 900 * GWEI}, id="two against two"
        ),
        pytest.param({"a": 0.001 * GWEI, "b": 0.001 * GWEI, "c": 0.9 * GWEI}, id="cheap chain"),
        pytest.param({"a": 20 * GWEI, "b": 20 * GWEI, "c": 99 * GWEI}, id="less than five times"),
        pytest.param({"a": 1 * GWEI, "b": 20 * GWEI, "c": 900 * GWEI}, id="all three differ"),
    ],
)
def test_no_oracle_is_named_where_it_cannot_be_told(told: dict[str, float]) -> None:
    assert outliers(told, GWEI) == ()


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1e15), max_size=20))
def test_fewer_than_half_of_the_endpoints_are_outliers(told: dict[str, float]) -> None:
    assert len(outliers(told, GWEI)) <= max(0, len(told) - 1) / 2


def test_wei_are_told_as_gwei() -> None:
    assert gwei(1_234_567_890) == "1.235 gwei"
