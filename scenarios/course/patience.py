"""Waiting for what comes before a load: not past a signal, and not for a disk that hangs.

    interrupt      the steps before a load end
    hurry          nothing is waited for any more, not even the clean-up of what was ended

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
        self._hurried = asyncio.Event()

    def interrupt(self, number: int) -> None:
        """Wait no longer: this signal came."""
        self.signal = self.signal or number
        self._interrupted.set()

    def hurry(self) -> None:
        """Wait for nothing any more: the time of whoever asked is up."""
        self._hurried.set()

    async def unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work*, unless a signal comes first.

        Raises:
            NoLoad: it did.
        """
        if self._interrupted.is_set():
            work.close()
            raise NoLoad
        task = asyncio.get_running_loop().create_task(work)
        try:
            await _first(task, self._interrupted)
        finally:
            task.cancel()
            # it tidies up; whoever hurries leaves it to that
            await _first(task, self._hurried)
        if self.signal:
            task.add_done_callback(_retrieved)  # the signal came first
            raise NoLoad
        return task.result()

    async def unless_hurried(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what *work* comes to; None: nobody has the time to wait for it."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            await _first(task, self._hurried)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_retrieved)
        return task.result() if task.done() else None

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


async def _first(task: asyncio.Task[Any], event: asyncio.Event) -> None:
    """Wait for *task* or for *event*, whichever comes first."""
    told = asyncio.get_running_loop().create_task(event.wait())
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()


def _retrieved(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


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
