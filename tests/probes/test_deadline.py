"""One timer for all that have equally long."""

import asyncio

import pytest

from probes.deadline import MAX_LANES, Lane, lane_of
from tests.exporter.virtual_loop import VirtualLoop, run_virtual


class Job:
    """Notes when it was cut off."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.ended_at: float | None = None

    def expire(self) -> None:
        self.ended_at = self.loop.time()


def armed(loop: VirtualLoop) -> int:
    return sum(not handle.cancelled() for handle in vars(loop)["_scheduled"])


def test_each_is_cut_off_at_its_own_deadline_by_one_timer_at_a_time() -> None:
    loop = VirtualLoop()
    lane = Lane(loop, is_shared=True)
    jobs = [Job(loop) for _ in range(3)]

    async def main() -> None:
        for number, job in enumerate(jobs):
            lane.enter(job, 1001.0 + number)
        assert armed(loop) == 1
        await asyncio.sleep(5)

    run_virtual(loop, main())
    assert [job.ended_at for job in jobs] == pytest.approx([1001.0, 1002.0, 1003.0], abs=0.002)


def test_who_has_left_is_not_cut_off_and_holds_nobody_up() -> None:
    loop = VirtualLoop()
    lane = Lane(loop, is_shared=True)
    first, second = Job(loop), Job(loop)

    async def main() -> None:
        lane.enter(first, 1001.0)
        lane.enter(second, 1002.0)
        lane.leave(first)
        lane.leave(first)
        await asyncio.sleep(5)

    run_virtual(loop, main())
    assert first.ended_at is None
    assert second.ended_at == pytest.approx(1002.0, abs=0.002)


def test_all_that_a_freeze_made_late_are_cut_off_together() -> None:
    loop = VirtualLoop()
    lane = Lane(loop, is_shared=True)
    jobs = [Job(loop) for _ in range(100)]

    async def main() -> None:
        for number, job in enumerate(jobs):
            lane.enter(job, 1001.0 + number / 100)
        loop.freeze(10)
        await asyncio.sleep(0.001)
        assert all(job.ended_at is not None for job in jobs)

    run_virtual(loop, main())


def test_a_lane_of_one_leaves_no_timer_behind() -> None:
    loop = VirtualLoop()
    lane, job = Lane(loop), Job(loop)

    async def main() -> None:
        lane.enter(job, 1001.0)
        lane.leave(job)
        assert armed(loop) == 0

    run_virtual(loop, main())


def test_equally_long_share_a_lane_in_one_loop_only() -> None:
    one, other = VirtualLoop(), VirtualLoop()

    assert lane_of(one, 5.0) is lane_of(one, 5.0)
    assert lane_of(one, 5.0) is not lane_of(one, 6.0)
    assert lane_of(other, 5.0).loop is other

    one.close()
    other.close()


def test_timeouts_that_differ_each_time_do_not_pile_up() -> None:
    loop = VirtualLoop()
    first = lane_of(loop, 0.001)

    for number in range(2 * MAX_LANES):
        lane_of(loop, 1.0 + number)

    assert lane_of(loop, 0.001) is not first
    loop.close()
