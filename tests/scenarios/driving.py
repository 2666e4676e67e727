"""Plays journeys through the driver of loads: in a thread that blocks for real, or in a child.

played = await in_thread(lambda: by_load(journey, base))
python -m tests.scenarios.driving     a child that gevent patches: plays what stdin says
"""

import asyncio
import json
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.journey.model import Played
from probes.journey.playing.play import Context, play
from probes.journey.steps import Journey
from scenarios.child.driver import LoadDriver, play_through
from scenarios.child.resolver import Resolver
from tests.probes.journey import memory

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


def written(keys: Mapping[str, Any]) -> Journey:
    return compile_journey("it", JourneyKeys.model_validate(keys), World(Path(), {}))


def by_load(journey: Journey, base: str) -> Played:
    context = Context(scope=memory.scope(), clock=monotonic, base_url=base)
    driver = LoadDriver(journey.tls, Resolver())
    try:
        return play_through(play(journey, context), driver)
    finally:
        driver.close()


def plain(value: Any) -> Any:
    """Return *value* as JSON gives it back."""
    if isinstance(value, Mapping):
        return sorted([[plain(key), plain(it)] for key, it in value.items()], key=repr)
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, list | tuple):
        return [plain(it) for it in value]
    return value


def main() -> None:
    """Play each of ``[[keys of a journey, base URL], ...]``, all at once; print what came."""
    import gevent

    from tests.probes.journey.conformance import Fake, told

    def one(keys: Mapping[str, Any], base: str) -> Any:
        started = monotonic()
        played = by_load(written(keys), base)
        return [plain(told(played, Fake())), monotonic() - started]

    jobs = [gevent.spawn(one, keys, base) for keys, base in json.load(sys.stdin)]
    json.dump([job.get() for job in jobs], sys.stdout)


if __name__ == "__main__":
    main()
