"""The driver of loads tells of a journey what the check and the one in memory tell.

The journeys are those of `tests.probes.journey.test_conformance`. Each is played in a thread, where
sockets block for real, and a child that gevent has patched plays most of them once more.
"""

import asyncio
import json
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import pytest

from probes.journey.model import Played
from probes.journey.playing.play import Context, play
from probes.journey.steps import Journey
from probes.wire.tls import TlsOptions
from scenarios.driver import LoadDriver, play_through
from scenarios.resolver import Resolver
from tests.probes.journey import memory
from tests.probes.journey.conformance import Fake, by_memory, listening, told
from tests.probes.journey.test_conformance import JOURNEYS, Row, compiled

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Call *function*, which blocks, while the servers of this loop answer it."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    came: queue.SimpleQueue[T] = queue.SimpleQueue()

    def work() -> None:
        try:
            came.put(function())
        finally:
            loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=work)
    thread.start()
    await done.wait()
    thread.join()
    return came.get_nowait()


def by_load(journey: Journey, base: str) -> Played:
    context = Context(scope=memory.scope(), clock=monotonic, base_url=base)
    driver = LoadDriver(TlsOptions(), Resolver())
    try:
        return play_through(play(journey, context), driver)
    finally:
        driver.close()


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("row", JOURNEYS)
async def test_the_load_tells_what_the_check_tells(row: Row) -> None:
    journey, fake, other = compiled(row), Fake(), Fake()
    async with listening(other) as base:
        came = await in_thread(lambda: by_load(journey, base))
    wanted = told(await by_memory(journey, fake, base), fake, timed=row.timed)

    assert told(came, other, timed=row.timed) == wanted
    assert (came.failure and came.failure.reason) == row.reason
