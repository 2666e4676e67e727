"""Places for runs: first in, first out, bounded, and none is ever lost."""

import asyncio

import pytest

from exporter.on_demand.slots import Full, Slots


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(3):
        await asyncio.sleep(0)


def soon() -> float:
    return asyncio.get_running_loop().time() + 5


async def test_who_waits_longest_has_the_next_place() -> None:
    slots, order = Slots(1, 2), list[str]()

    async def one(name: str) -> None:
        await slots.wait(soon())
        order.append(name)

    assert slots.take()
    tasks = [asyncio.ensure_future(one(name)) for name in ("first", "second")]
    await settled()
    assert (slots.taken, slots.waiting) == (1, 2)

    slots.give_back()
    await settled()
    assert order == ["first"]
    slots.give_back()
    await asyncio.gather(*tasks)

    assert order == ["first", "second"]
    assert (slots.taken, slots.waiting) == (1, 0)


async def test_nobody_pushes_in() -> None:
    slots = Slots(1, 1)
    assert slots.take()
    task = asyncio.ensure_future(slots.wait(soon()))
    await settled()

    slots.give_back()

    assert not slots.take(), "the place was handed on"
    await task


async def test_beyond_the_queue_nobody_waits() -> None:
    slots = Slots(1, 0)
    assert slots.take()

    with pytest.raises(Full):
        await slots.wait(soon())


async def test_a_wait_ends_in_time() -> None:
    slots = Slots(1, 1)
    assert slots.take()

    with pytest.raises(TimeoutError):
        await slots.wait(asyncio.get_running_loop().time())

    assert (slots.taken, slots.waiting) == (1, 0)


async def test_a_place_that_is_handed_to_somebody_who_has_gone_is_free_again() -> None:
    slots = Slots(1, 1)
    assert slots.take()
    task = asyncio.ensure_future(slots.wait(soon()))
    await settled()

    slots.give_back()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (slots.taken, slots.waiting) == (0, 0)
    assert slots.take()


async def test_more_places_let_those_in_who_wait() -> None:
    slots = Slots(1, 2)
    assert slots.take()
    tasks = [asyncio.ensure_future(slots.wait(soon())) for _ in range(2)]
    await settled()

    slots.resize(3, 0)
    await asyncio.gather(*tasks)

    assert (slots.taken, slots.waiting) == (3, 0)
    slots.resize(1, 0)
    slots.give_back()
    assert not slots.take(), "nobody loses a place, but nobody gets one either"
