"""The thread beside the loop: what it does, in which order, and what it says when it is stuck."""

import asyncio
import logging
import re
from collections.abc import Iterator
from threading import Event

import pytest

from exporter import aside as module
from exporter.aside import Aside, HeldUp


@pytest.fixture
def aside() -> Iterator[Aside]:
    aside = Aside("beside")
    yield aside
    aside.close()


@pytest.fixture
def disk() -> Iterator[Event]:
    """Turns again when it is set; at the end it does."""
    turns = Event()
    yield turns
    turns.set()


async def held_up(aside: Aside, what: str, disk: Event) -> str:
    with pytest.raises(HeldUp) as caught:
        await aside.do(what, lambda: disk.wait(20), asyncio.get_running_loop().time() + 0.02)
    return re.sub(r"\d+\.\d s", "N s", str(caught.value))


async def test_what_it_makes_is_handed_over(aside: Aside) -> None:
    assert await aside.do("a plan", lambda: 7) == 7
    assert not aside.is_stuck


async def test_what_breaks_breaks_for_whoever_asked(aside: Aside) -> None:
    def broken() -> None:
        raise TimeoutError("of the disk")

    with pytest.raises(TimeoutError, match="of the disk"):
        await aside.do("a plan", broken, asyncio.get_running_loop().time() + 20)


async def test_slow_work_is_named_and_is_no_fault_of_a_disk_yet(
    aside: Aside, disk: Event, caplog: pytest.LogCaptureFixture
) -> None:
    assert await held_up(aside, "module 'a'", disk) == (
        "want module 'a' before the deadline, got it still in the making after N s"
    )
    assert not caplog.records
    assert not aside.is_stuck


async def test_a_disk_that_hangs_is_told_with_what_it_holds_up_and_once_in_the_log(
    aside: Aside, disk: Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STUCK_S", 0.0)
    remedy = "look for a disk or mount that hangs, mend it, or restart sonde"

    with caplog.at_level(logging.WARNING):
        own = await held_up(aside, "module 'a'", disk)
        other = await held_up(aside, "module 'b'", disk)

    assert own == (
        "want module 'a' before the deadline, got it still in the making after N s: " + remedy
    )
    assert other == (
        "want module 'b' before the deadline, got none while module 'a' is"
        f" still in the making after N s: {remedy}"
    )
    (line,) = caplog.records
    assert line.getMessage().endswith(remedy)
    assert aside.is_stuck


async def test_when_the_disk_turns_again_it_goes_on(aside: Aside, disk: Event) -> None:
    await held_up(aside, "module 'a'", disk)
    disk.set()

    assert await aside.do("module 'b'", lambda: 1, asyncio.get_running_loop().time() + 20) == 1
    assert not aside.is_stuck


async def test_whoever_has_no_time_left_gets_nothing(aside: Aside) -> None:
    with pytest.raises(HeldUp):
        await aside.do("module 'a'", lambda: 1, asyncio.get_running_loop().time() - 1)

    assert aside.complaint("module 'a'") == "want module 'a' before the deadline, got none"
