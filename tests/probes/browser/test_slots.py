import asyncio

import pytest

from probes.browser.slots import Slots
from probes.errors import CheckFailed
from probes.result import Reason


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_who_comes_first_goes_first() -> None:
    slots, order = Slots(), list[str]()

    async def run(name: str) -> None:
        await slots.take(1, soon())
        order.append(name)
        await asyncio.sleep(0)
        slots.give_back()

    await asyncio.gather(*map(run, "abcd"))
    assert order == list("abcd")
    assert slots.taken == 0


async def test_no_more_than_the_width_go_at_once() -> None:
    slots, most = Slots(), 0

    async def run() -> None:
        nonlocal most
        await slots.take(2, soon())
        most = max(most, slots.taken)
        await asyncio.sleep(0)
        slots.give_back()

    await asyncio.gather(*(run() for _ in range(7)))
    assert most == 2


async def test_waiting_ends_at_the_deadline() -> None:
    slots = Slots()
    await slots.take(1, soon())
    with pytest.raises(CheckFailed) as failed:
        await slots.take(1, soon(0.01))
    assert failed.value.reason is Reason.OVERLOAD
    assert failed.value.message == (
        "want one of 1 places for a browser journey, got none within 100ms: run them less often,"
        " or raise safety.browser.max_parallel"
    )
    slots.give_back()
    await slots.take(1, soon())


async def test_who_is_cancelled_leaves_the_queue() -> None:
    slots = Slots()
    await slots.take(1, soon())
    second = asyncio.create_task(slots.take(1, soon()))
    third = asyncio.create_task(slots.take(1, soon()))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    slots.give_back()
    await third
    assert slots.taken == 1


async def test_who_is_cancelled_with_the_turn_in_hand_hands_it_on() -> None:
    slots = Slots()
    await slots.take(1, soon())
    second = asyncio.create_task(slots.take(1, soon()))
    third = asyncio.create_task(slots.take(1, soon()))
    await asyncio.sleep(0)
    slots.give_back()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await third
    assert slots.taken == 1
    slots.give_back()
    assert slots.taken == 0
