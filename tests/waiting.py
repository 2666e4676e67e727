"""Waiting for what has no event: the state of another process, of a thread, of a page of metrics.

The one place where tests poll. Whoever can await an event, a queue or an end awaits that instead.
"""

import asyncio
import time
from collections.abc import Callable

# Seconds between two looks: short beside what is waited for, and 200 looks a second cost nothing.
LOOK_S = 0.005
# For what takes milliseconds, on a machine that gives us a tenth of a processor.
WITHIN_S = 10.0


async def until(holds: Callable[[], object], seconds: float = WITHIN_S) -> None:
    """Let the loop turn until *holds*.

    Raises:
        TimeoutError: it did not within so many seconds.
    """
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - there is no event, or it would be awaited
            await asyncio.sleep(LOOK_S)


def wait_until(holds: Callable[[], object], seconds: float = WITHIN_S) -> None:
    """Sleep until *holds*; where no loop runs.

    Raises:
        TimeoutError: it did not within so many seconds.
    """
    last = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > last:
            raise TimeoutError(f"want it to hold within {seconds:g} s, got nothing of it")
        time.sleep(LOOK_S)
