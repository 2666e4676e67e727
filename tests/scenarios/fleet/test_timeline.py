"""The seconds of long runs: bounded, and nothing that was counted is lost."""

import tracemalloc
from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.fleet.timeline import MAX_STEPS, Timeline, together
from scenarios.report import Second

COUNTED = ("due", "started", "completed", "failed", "dropped", "requests", "failures")
DAY_S = 86_400


def second(at: int, number: int = 1, *, is_measured: bool = True) -> Second:
    counts = dict.fromkeys(COUNTED, number)
    return Second(at, **counts, users=number + 1, idle=1, rate=float(number), p50=0.1,
                  p95=number / 10, p99=None, is_measured=is_measured)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=80), st.integers(4, 9))
def test_every_count_of_any_run_is_kept_in_so_many_steps(
    numbers: list[tuple[int, bool]], most: int
) -> None:
    line = Timeline(most)
    every = [second(at, number, is_measured=it) for at, (number, it) in enumerate(numbers)]
    for it in every:
        line.add(it)

    # a step is never half measured: each border may cost one
    borders = sum(one.is_measured != two.is_measured for one, two in pairwise(every))
    assert len(line.steps) <= most + borders
    for name in (*COUNTED, "seconds"):
        assert sum(getattr(it, name) for it in line.steps) == sum(getattr(it, name) for it in every)
    assert [it.at for it in line.steps] == sorted({it.at for it in line.steps})
    assert line.latest == (every[-1] if every else Second(0))


@pytest.mark.slow
def test_a_day_is_as_long_as_two_hours_and_no_longer() -> None:
    line = Timeline()
    tracemalloc.start()
    try:
        for at in range(DAY_S):
            line.add(second(at))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert MAX_STEPS // 2 <= len(line.steps) <= MAX_STEPS
    assert {it.seconds for it in line.steps} == {16}
    assert kept < 8 * 2**20


def test_two_steps_are_one_with_the_worst_of_both() -> None:
    one, other = second(4, 2), second(5, 8)

    both = together(one, other)

    assert (both.at, both.seconds, both.requests, both.rate) == (4, 2, 10, 5.0)
    assert (both.users, both.idle) == (9, 1)
    assert (both.p50, both.p95, both.p99) == (0.1, 0.8, None)
    assert {it.name for it in fields(Second)} == {
        *COUNTED, "at", "users", "idle", "rate", "p50", "p95", "p99", "latency_p99", "lag_p99",
        "cpu", "is_measured", "seconds",
    }  # fmt: skip
