import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.judge.blocktime import (
    MAX_BLOCK_TIME_S,
    MIN_BLOCK_TIME_S,
    Pace,
    added,
    block_time,
    pace,
)
from probes.chain.judge.views import KEPT, View, Views
from probes.chain.model import Head, Observation
from tests.probes.chain.judge.stage import START, UP, Stage, group

NEVER = float("nan")


def at(height: int, timestamp: float | None, seen: float = 0.0) -> Head:
    return Head(height, timestamp=timestamp, seen=seen)


@pytest.mark.parametrize(
    ("earlier", "later", "want"),
    [
        pytest.param(at(10, 100), at(12, 124), 12.0, id="by the chain"),
        pytest.param(at(10, 100, 5), at(14, 100, 6), 0.25, id="timestamps tie: by our clock"),
        pytest.param(at(10, None, 5), at(20, None, 9), 0.4, id="no timestamps: by our clock"),
        pytest.param(at(10, None, 5), at(20, 100, 9), 0.4, id="one timestamp: by our clock"),
        pytest.param(at(10, 100, 5), at(12, 90, 9), None, id="a clock that goes back"),
        pytest.param(at(10, 100, 5), at(12, 100, 5), None, id="no time passed"),
        pytest.param(at(10, 100), at(10, 124), None, id="no block"),
        pytest.param(at(10, 100), at(9, 124), None, id="back"),
        pytest.param(at(10, 100), at(11, 10_000), MAX_BLOCK_TIME_S, id="at most two minutes"),
        pytest.param(at(10, 100), at(2**62, 101), MIN_BLOCK_TIME_S, id="at least 10 ms"),
    ],
)
def test_the_time_of_a_block_is_that_between_two_heads(
    earlier: Head, later: Head, want: float | None
) -> None:
    assert block_time(earlier, later) == want


def test_only_the_latest_values_are_kept() -> None:
    values: tuple[float, ...] = ()

    for value in range(200):
        values = added(values, float(value))

    assert values == tuple(map(float, range(200 - KEPT, 200)))
    assert added(values, None) is values


def views(*endpoints: tuple[float, ...], foreign: tuple[float, ...] | None = None) -> Views:
    told = {
        str(number): View(samples=9, block_times=values) for number, values in enumerate(endpoints)
    }
    if foreign is not None:
        told["foreign"] = View(samples=9, block_times=foreign, is_foreign=True)
    return Views(endpoints=told)


@pytest.mark.parametrize(
    ("known", "block_time_s", "want"),
    [
        pytest.param(Views(), None, Pace(12, 12, 12), id="nothing known: the prior"),
        pytest.param(Views(), 2.0, Pace(2, 2, 2), id="nothing known: configured"),
        pytest.param(views((2, 2, 2)), 9.0, Pace(2, 2, 2), id="three values: measured"),
        pytest.param(views((2, 2)), 9.0, Pace(9, 9, 9), id="two values: configured"),
        pytest.param(
            views((2, 2)), None, Pace(12, 2, 12), id="two values: a hint beside the prior"
        ),
        pytest.param(views((60, 60)), None, Pace(12, 12, 60), id="the hint may be slower"),
        pytest.param(views((2, 2, 2), (4, 4, 4)), None, Pace(3, 2, 4), id="two disagree: a range"),
        pytest.param(views((2,) * 3, (0.01,) * 3, (2,) * 3), None, Pace(2, 2, 2), id="one lies"),
        pytest.param(views((9,) * 3, (), ()), None, Pace(12, 9, 12), id="one of three is early"),
        pytest.param(views((9,) * 3, (9,) * 3, ()), None, Pace(9, 9, 9), id="two of three"),
        pytest.param(
            views((1,) * 6 + (29,) * 2), None, Pace(1, 1, 8), id="quiet minutes: the mean"
        ),
        pytest.param(
            views((1, 1, 1), (1,) * 6 + (29,) * 2, (1, 1, 1)),
            None,
            Pace(1, 1, 1),
            id="one lies slow",
        ),
        pytest.param(views((2, 2, 2), foreign=(9, 9, 9)), None, Pace(2, 2, 2), id="another chain"),
    ],
)
def test_a_group_is_believed_not_an_endpoint(
    known: Views, block_time_s: float | None, want: Pace
) -> None:
    assert pace(group(block_time_s=block_time_s), known) == want


@pytest.mark.parametrize(("family", "prior"), [("evm", 12.0), ("solana", 0.4), ("cosmos", 6.0)])
def test_each_family_has_a_prior(family: str, prior: float) -> None:
    assert pace(group(family=family), Views()).usual == prior


@given(st.lists(st.lists(st.floats(0.01, 120), max_size=5), max_size=5))
def test_a_pace_is_a_range_around_what_is_usual(told: list[list[float]]) -> None:
    known = pace(group(), views(*map(tuple, told)))

    assert known.fast <= known.usual <= known.slow


@pytest.mark.parametrize("block_s", [0.05, 0.25, 2.0, 13.0])
def test_whole_second_timestamps_of_a_fast_chain_measure_it_all_the_same(block_s: float) -> None:
    stage = Stage(group("ab"), block_s=block_s, every_s=5)

    def told(name: str) -> Observation:
        seen = stage.honest(name).head
        assert seen is not None
        return stage.honest(name, head=Head(seen.height, "", "", float(int(seen.timestamp or 0))))

    judgement = stage.repeat(30, lambda: {name: told(name) for name in "ab"})

    assert judgement.block_time_s == pytest.approx(block_s, rel=0.05)


def test_a_chain_that_writes_on_demand_is_not_halted_by_each_quiet_minute() -> None:
    stage = Stage(group("ab"), every_s=10)
    heights = [1000]
    for second in range(1, 3600):
        # 40 seconds with a block each, one minute with none
        heights.append(heights[-1] + (second % 100 < 40))

    def answers() -> dict[str, Observation]:
        second = int(stage.elapsed_s)
        made = next(at for at in range(second, -1, -1) if at == 0 or heights[at] > heights[at - 1])
        told = Head(heights[second], f"0x{heights[second]}", "", START.wall + made, stage.now.mono)
        return {name: stage.honest(name, head=told) for name in "ab"}

    told = [stage.run(**answers()) for _ in range(300)]

    assert {it.outcome for it in told[30:]} == {UP}
