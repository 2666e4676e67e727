"""Waiting ends with a signal, with a disk that hangs, and with the errors that mean something."""

import asyncio
import threading

import pytest

from probes.errors import ConfigError, Problem
from scenarios.course.patience import NoLoad, Patience
from scenarios.rails.fences import Refused, refusal
from scenarios.report import Verdict


async def test_a_signal_ends_what_is_waited_for() -> None:
    patience, begun, ended = Patience(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    waiting = asyncio.create_task(patience.unless_interrupted(work()))
    await begun.wait()
    patience.interrupt(15)
    patience.interrupt(2)

    with pytest.raises(NoLoad) as caught:
        await waiting
    assert (caught.value.whys, patience.signal, ended.is_set()) == ((), 15, True)


async def test_a_clean_up_is_waited_for_until_somebody_hurries() -> None:
    patience, tidying, let_go = Patience(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            tidying.set()
            await let_go.wait()
            raise ValueError("which nobody waits for any more")

    waiting = asyncio.create_task(patience.unless_interrupted(work()))
    await asyncio.sleep(0)
    patience.interrupt(15)
    await tidying.wait()
    assert not waiting.done()
    patience.hurry()

    with pytest.raises(NoLoad):
        await waiting
    let_go.set()


async def test_who_hurries_does_without_what_is_not_there() -> None:
    patience, cut = Patience(), asyncio.Event()

    async def never() -> int:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cut.set()
        return 1

    async def good() -> int:
        return 7

    waiting = asyncio.create_task(patience.unless_hurried(never()))
    assert await patience.unless_hurried(good()) == 7
    patience.hurry()
    assert await waiting is None
    await cut.wait()
    assert await patience.unless_hurried(never()) is None


async def test_what_is_done_in_time_is_returned_or_raised() -> None:
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise Refused(refusal("denied", "no"))

    patience = Patience()
    assert await patience.unless_interrupted(good()) == 7
    with pytest.raises(Refused):
        await patience.unless_interrupted(bad())


@pytest.mark.parametrize(
    "error", [ConfigError([Problem("a", 1, 1, "", "b")]), Refused(refusal("busy", "c"))]
)
async def test_errors_that_mean_something_come_out_of_the_thread(error: Exception) -> None:
    def raises() -> None:
        raise error

    with pytest.raises(type(error)):
        await Patience().call("try", raises, 5)


async def test_a_broken_disk_is_told_with_its_file() -> None:
    def raises() -> None:
        raise OSError(28, "No space left on device", "/data/load")

    with pytest.raises(NoLoad) as caught:
        await Patience().call("take the lock", raises, 5)

    (why,) = caught.value.whys
    assert why.text == "want to take the lock, got /data/load: No space left on device"
    assert (why.verdict, why.code) == (Verdict.INCONCLUSIVE, "files")


async def test_a_disk_that_hangs_is_not_waited_for() -> None:
    over = threading.Event()

    with pytest.raises(NoLoad) as caught:
        await Patience().call("take the lock", over.wait, 0.01)
    over.set()

    assert str(caught.value) == "want to take the lock within 0.01 s, got a disk that hangs"
