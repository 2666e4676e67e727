"""Waiting for what comes before a load: not past a signal, and not for a disk that hangs.

Knows no step of a run.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from probes.errors import ConfigError
from probes.wire.blocking import BlockingCalls
from scenarios.rails.fences import Refused
from scenarios.report import Verdict, Why

T = TypeVar("T")
CODE = "files"


class NoLoad(Exception):
    """The run ended before anything was sent.

    Args:
        whys: what decided first; none: a signal did.
    """

    def __init__(self, *whys: Why) -> None:
        super().__init__(whys[0].text if whys else "")
        self.whys = whys


class Patience:
    """How long one run waits for anything."""

    def __init__(self) -> None:
        self.signal = 0
        """Number of the signal that came first; 0: none did."""
        self.calls = BlockingCalls("load")
        self._interrupted = asyncio.Event()

    def interrupt(self, number: int) -> None:
        """Wait no longer: this signal came."""
        self.signal = self.signal or number
        self._interrupted.set()

    async def unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work*, unless a signal comes first.

        Raises:
            NoLoad: it did.
        """
        if self._interrupted.is_set():
            work.close()
            raise NoLoad
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        stop = loop.create_task(self._interrupted.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (task, stop):
                each.cancel()
            await asyncio.wait({task, stop})
        if self.signal:
            if not task.cancelled():
                task.exception()  # retrieved: the signal came first
            raise NoLoad
        return task.result()

    async def call(self, what: str, function: Callable[[], T], seconds: float) -> T:
        """Make a call that blocks, in a thread.

        Args:
            what: is done, for people: "read the plan".
            function: what may raise `ConfigError`, `Refused`, `OSError` and `ValueError`.
            seconds: to wait for it.

        Raises:
            NoLoad: it hangs, the disk is broken, or a signal came meanwhile.
        """

        def make() -> T | ConfigError | Refused:
            try:
                return function()
            except (ConfigError, Refused) as error:
                return error

        try:
            found = await self.calls.call(what, make, seconds)
        except TimeoutError:
            text = f"want to {what} within {seconds:g} s, got a disk that hangs"
            raise NoLoad(Why(Verdict.INCONCLUSIVE, CODE, text)) from None
        except OSError as error:
            text = f"want to {what}, got {told_of(error)}"
            raise NoLoad(Why(Verdict.INCONCLUSIVE, CODE, text)) from None
        if self.signal:
            raise NoLoad
        if isinstance(found, ConfigError | Refused):
            raise found
        return found


async def settled(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Return *work* when it has ended, with whatever it came to; cancelled, it ends first."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
        await asyncio.wait({task})
    return task


def told_of(error: OSError) -> str:
    """Return in a few words what a system call had to say."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or type(error).__name__}"
