"""Calls that may block for ever, in threads that are written off when they overstay.

Not an executor: its threads are joined when the process ends, and one that hangs on a dead mount
would keep it from ending. Knows nothing of what is called.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from probes.errors import CheckFailed
from probes.result import Reason

T = TypeVar("T")

# A thread that hangs in the kernel keeps its stack for good: a host with more dead mounts than
# this has another problem, and the prober must stay up to tell.
MAX_THREADS = 16


@dataclass(slots=True, eq=False)
class _Call:
    """One call and the future of whoever waits for it."""

    key: str
    function: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[Any]" = field(init=False)

    def __post_init__(self) -> None:
        self.done = self.loop.create_future()

    def settle(self, value: Any, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(value)


class BlockingCalls:
    """Runs each call in a daemon thread of its own, at most `MAX_THREADS` at a time.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[_Call] = set()
        self._stuck: set[_Call] = set()

    @property
    def stuck(self) -> int:
        """How many calls were given up and have not come back."""
        return len(self._stuck)

    async def call(self, key: str, function: Callable[[], T], seconds: float) -> T:
        """Run *function* in a thread and return what it returns.

        Args:
            key: what is asked; while an earlier call of it hangs, no second one is made.
            function: may block for ever.
            seconds: to wait for it.

        Raises:
            TimeoutError: it hangs, or an earlier one of the same key does.
            CheckFailed: ``resource``: `MAX_THREADS` calls are under way.
            Exception: whatever *function* raises.
        """
        if any(call.key == key for call in self._stuck):
            raise TimeoutError(key)
        if len(self._running) >= MAX_THREADS:
            raise CheckFailed(Reason.RESOURCE, f"want a free thread of {MAX_THREADS}, got none")
        call = _Call(key, function, asyncio.get_running_loop())
        self._running.add(call)
        threading.Thread(target=self._work, args=(call,), name=self._name, daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                value: T = await call.done
                return value
        except (TimeoutError, asyncio.CancelledError):
            if call in self._running:
                self._stuck.add(call)
            raise

    def _work(self, call: _Call) -> None:
        value, error = None, None
        try:
            value = call.function()
        except (OSError, ValueError, RuntimeError, LookupError) as failure:
            error = failure
        finally:
            self._running.discard(call)
            self._stuck.discard(call)
        # the loop of a call that was given up may be gone
        with suppress(RuntimeError):
            call.loop.call_soon_threadsafe(call.settle, value, error)
