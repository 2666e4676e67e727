import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from scenarios.fleet.errands import Errands


@pytest.fixture
def errands() -> Iterator[Errands]:
    made = Errands()
    yield made
    made.close()


async def test_calls_are_made_in_one_thread_in_their_order(errands: Errands) -> None:
    seen: list[int] = []
    for number in range(5):
        errands.order(partial(seen.append, number))

    threads = {await errands.call(threading.get_ident, 5) for _ in range(3)}

    assert seen == [0, 1, 2, 3, 4]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_what_a_call_raises_is_raised_where_it_was_asked_for(errands: Errands) -> None:
    def fail() -> None:
        raise OSError("no space left")

    errands.order(fail)
    with pytest.raises(OSError, match="no space left"):
        await errands.call(fail, 5)


async def test_a_call_that_hangs_is_given_up_and_undone_when_it_comes_back(
    errands: Errands,
) -> None:
    go_on, undone = threading.Event(), threading.Event()

    def slow() -> str:
        go_on.wait()
        return "made"

    with pytest.raises(TimeoutError):
        await errands.call(slow, 0.01, lambda made: undone.set() if made == "made" else None)
    assert not undone.is_set()
    go_on.set()
    await errands.call(lambda: None, 5)

    assert undone.is_set()


async def test_what_was_made_for_nobody_is_undone_even_after_the_close(errands: Errands) -> None:
    go_on, undone = threading.Event(), threading.Event()
    asking = asyncio.create_task(errands.call(go_on.wait, 5, lambda _: undone.set()))
    await asyncio.sleep(0)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    errands.close()
    go_on.set()
    spin_until(undone)


async def test_a_cancel_that_crosses_the_answer_undoes_it_too(errands: Errands) -> None:
    made, undone = threading.Event(), threading.Event()
    asking = asyncio.create_task(errands.call(made.set, 5, lambda _: undone.set()))
    await asyncio.sleep(0)
    # the thread has answered, and the loop has not heard it
    spin_until(made)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await errands.call(lambda: None, 5)

    assert undone.is_set()


def spin_until(event: threading.Event) -> None:
    while not event.is_set():
        pass
