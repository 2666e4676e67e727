"""One thread for what must not hold up the loop, and what it is at while others wait for it.

What it does reads code and files: a disk that hangs holds up all that comes behind. Nobody can end
such a read; this says which it is. Knows nothing of what is done.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger("sonde.aside")

# The code of the largest kind comes from a slow disk in less: what takes longer only waits.
STUCK_S = 5.0
REMEDY = "look for a disk or mount that hangs, mend it, or restart sonde"


class HeldUp(Exception):
    """What was wanted was not made in time; the text says what stood in its way."""


@dataclass(slots=True, eq=False)
class _Job:
    what: str
    since: float
    is_told: bool = False


class Aside:
    """One thread, which does one thing after the other.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._job: _Job | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether the thread is at one thing for longer than `STUCK_S`."""
        job = self._job
        return job is not None and monotonic() - job.since > STUCK_S

    async def do(self, what: str, work: Callable[[], T], until: float | None = None) -> T:
        """Do *work*.

        Args:
            what: that is made by it, in words.
            work: what blocks.
            until: when it is no longer wanted, on the clock of the loop; None: never.

        Raises:
            HeldUp: it was not done by then; what has begun goes on.
        """
        loop, limit = asyncio.get_running_loop(), asyncio.timeout_at(until)
        try:
            async with limit:
                return await loop.run_in_executor(self._pool, partial(self._do, what, work))
        except TimeoutError:
            if not limit.expired():
                raise  # of the disk itself
            raise HeldUp(self.complaint(what)) from None

    def _do(self, what: str, work: Callable[[], T]) -> T:
        self._job = _Job(what, monotonic())
        try:
            return work()
        finally:
            self._job = None

    def complaint(self, wanted: str) -> str:
        """Return why *wanted* is not there in time; tell the log once what is stuck."""
        job, text = self._job, f"want {wanted} before the deadline"
        if job is None:
            return f"{text}, got none"
        lasts_s = monotonic() - job.since
        what = "it" if job.what == wanted else f"none while {job.what} is"
        text += f", got {what} still in the making after {lasts_s:.1f} s"
        if lasts_s <= STUCK_S:
            return text
        if not job.is_told:
            job.is_told = True
            log.warning("%s: %s", text, REMEDY)
        return f"{text}: {REMEDY}"

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
