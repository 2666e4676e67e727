"""When iterations begin: the sum, the order, the exact time, and whose they are."""

import math
import time
from fractions import Fraction
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.arrivals import (
    Arrivals,
    choose,
    count,
    due,
    rate_at,
    share,
    stage_at,
    users_at,
)
from scenarios.plan import Stage

# a nightly run: warm-up by a ramp, a plateau, a drain without arrivals, a ramp down
NIGHTLY = (Stage(30, 1, 20, warmup=True), Stage(180, 20, 20), Stage(20, 0, 0), Stage(10, 20, 0))


def rates() -> st.SearchStrategy[float]:
    """Rates as a file says them: 12.5/s, 7/m, 100/h, 0/s."""
    number = st.integers(0, 5000).map(lambda it: it / 100)
    return st.builds(lambda it, per: it / per, number, st.sampled_from([1, 60, 3600]))


def all_stages() -> st.SearchStrategy[tuple[Stage, ...]]:
    seconds = st.integers(1, 20_000).map(lambda it: it / 1000)
    flat = rates().flatmap(lambda it: st.builds(Stage, seconds, st.just(it), st.just(it)))
    nothing = st.builds(Stage, seconds, st.just(0.0), st.just(0.0))
    return st.lists(st.one_of(st.builds(Stage, seconds, rates(), rates()), flat, nothing),
                    min_size=1, max_size=5).map(tuple)  # fmt: skip


def integral(stages: tuple[Stage, ...], until: Fraction) -> Fraction:
    """Return how many iterations were due before *until*: by definition, not by code of ours."""
    total = begin = Fraction(0)
    for stage in stages:
        length = Fraction(stage.seconds).limit_denominator(10**6)
        first, last = (Fraction(it).limit_denominator(10**7) for it in (stage.first, stage.last))
        passed = min(max(until - begin, Fraction(0)), length)
        total += first * passed + (last - first) * passed**2 / (2 * length)
        begin += length
    return total


@given(all_stages())
def test_as_many_are_due_as_the_area_below_the_rates(stages: tuple[Stage, ...]) -> None:
    assert count(stages) == math.ceil(integral(stages, Fraction(10**6)))


@given(all_stages(), st.integers(1, 17))
def test_the_parts_of_all_shards_are_the_plan_for_every_number_of_shards(
    stages: tuple[Stage, ...], shards: int
) -> None:
    """Load control 4: more shards than arrivals a second, and an uneven split too."""
    whole = list(Arrivals(stages))

    parts = [list(Arrivals(stages, shard, shards)) for shard in range(shards)]

    assert sorted(it for part in parts for it in part) == whole
    assert [n for n, _ in whole] == list(range(count(stages)))
    assert [len(part) for part in parts] == [share(len(whole), it, shards) for it in range(shards)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(all_stages())
def test_the_nth_is_due_when_the_integral_is_n_to_the_microsecond(
    stages: tuple[Stage, ...],
) -> None:
    micro = Fraction(1, 10**6)

    for n, at_s in islice(Arrivals(stages), 300):
        at = Fraction(at_s)

        assert due(stages, n) == at_s
        assert integral(stages, max(at - micro, Fraction(0))) <= n <= integral(stages, at + micro)


@given(all_stages())
def test_no_iteration_is_due_before_another_or_at_a_rate_of_nothing(
    stages: tuple[Stage, ...],
) -> None:
    """Load control 3: a stage with rate 0 has no arrivals."""
    times = [at_s for _, at_s in Arrivals(stages)]

    assert all(before < after for before, after in pairwise(times))
    for at_s in times:
        stage = stage_at(stages, at_s)
        # the last of all may round to the very end
        assert stage is None or stage.first > 0 or stage.last > 0


@pytest.mark.parametrize(
    ("stages", "number", "times"),
    [
        pytest.param((Stage(180, 20, 20),), 3600, {0: 0.0, 1: 0.05, 3599: 179.95}, id="flat"),
        pytest.param((Stage(180, 1 / 60, 1 / 60),), 3, {2: 120.0}, id="1/m"),
        pytest.param((Stage(7200, 10 / 3600, 10 / 3600),), 20, {19: 6840.0}, id="10/h"),
        pytest.param((Stage(0.3, 0.1, 0.1),), 1, {0: 0.0}, id="less than one"),
        pytest.param((Stage(10, 0, 20),), 100, {0: 0.0, 1: 1.0, 4: 2.0, 64: 8.0}, id="ramp up"),
        pytest.param((Stage(10, 20, 0),), 100, {0: 0.0, 36: 2.0, 99: 9.0}, id="ramp down"),
        pytest.param(
            (Stage(5, 0, 0), Stage(1, 2, 2)), 2, {0: 5.0, 1: 5.5}, id="nothing at the start"
        ),
        pytest.param(
            (Stage(1, 2, 2), Stage(9, 0, 0), Stage(1, 1, 1)), 3, {2: 10.0}, id="nothing between"
        ),
        pytest.param((Stage(20, 0, 0),), 0, {}, id="nothing"),
        pytest.param(NIGHTLY, 4015, {315: 30.0, 3914: 209.95, 3915: 230.0}, id="all"),
    ],
)
def test_arrivals_of_stages_as_people_write_them(
    stages: tuple[Stage, ...], number: int, times: dict[int, float]
) -> None:
    assert count(stages) == number
    for n, at_s in times.items():
        assert due(stages, n) == pytest.approx(at_s, abs=1e-9)
    assert due(stages, number) is None
    assert due(stages, -1) is None


def test_hours_do_not_drift_and_cost_no_more_than_the_first_second() -> None:
    day = (Stage(1800, 0, 40.1), Stage(20 * 3600, 40.1, 40.1), Stage(3 * 3600, 40.1, 0))
    late = Arrivals(day, count(day) - 2000)
    begun = time.monotonic()

    times = [at_s for _, at_s in late]
    elapsed_s = time.monotonic() - begun

    assert len(times) == 2000
    assert times[-1] == pytest.approx(day[0].seconds + day[1].seconds + day[2].seconds, abs=30)
    # two hundred times what it takes: it is no walk through the day's 3 million
    assert elapsed_s < 1.0
    flat_n = 40 * 36_000
    flat = (Stage(86_400, 40, 40),)
    assert due(flat, flat_n + 1) == pytest.approx(36_000.025, abs=1e-9)


def test_a_sample_at_the_seam_of_two_stages_belongs_to_the_second() -> None:
    seam = 0.1 + 0.2 + 0.7
    stages = (Stage(0.1, 10, 10, warmup=True), Stage(0.2, 10, 10), Stage(0.7, 10, 10, warmup=True))

    owners = [stage_at(stages, at_s) for _, at_s in Arrivals(stages)]

    assert owners == [stages[0], stages[1], stages[1], *[stages[2]] * 7]
    assert stage_at(stages, seam) is None
    assert stage_at(stages, -0.001) is None


@pytest.mark.parametrize(
    ("at_s", "users", "rate"),
    [
        pytest.param(-1, 0, 0, id="before"),
        pytest.param(0, 1, 1, id="begin"),
        pytest.param(4.9999, 5, 5.9999, id="a user is whole or not there"),
        pytest.param(5, 6, 6, id="half way"),
        pytest.param(10, 11, 11, id="flat"),
        pytest.param(20.0001, 11, 10.99989, id="a ramp down keeps who is not gone"),
        pytest.param(21, 10, 9.9, id="down"),
        pytest.param(29.99, 1, 0.011, id="the last one"),
        pytest.param(30, 0, 0, id="after"),
    ],
)
def test_users_follow_the_ramps(at_s: float, users: int, rate: float) -> None:
    stages = (Stage(10, 1, 11), Stage(10, 11, 11), Stage(10, 11, 0))

    assert users_at(stages, at_s) == users
    assert rate_at(stages, at_s) == pytest.approx(rate)


@given(st.integers(0, 10**6), st.integers(1, 64))
def test_shares_add_up_to_the_whole(total: int, shards: int) -> None:
    shares = [share(total, shard, shards) for shard in range(shards)]

    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


def test_the_ratio_of_a_mix_is_that_of_its_weights_and_of_every_shard_count() -> None:
    weights = [9, 1]

    chosen = [choose(7, n, weights) for n in range(20_000)]

    assert chosen.count(1) == pytest.approx(2000, rel=0.1)
    assert [choose(7, n, weights) for n in range(20_000)] == chosen
    assert [choose(8, n, weights) for n in range(20_000)] != chosen
    # a shard of four sees the same ratio: the choice follows no number of shards
    assert chosen[::4].count(1) == pytest.approx(500, rel=0.2)
    assert choose(7, 3, [5]) == 0
    with pytest.raises(ValueError, match="want weights above 0, got"):
        choose(7, 3, [0, 0])
