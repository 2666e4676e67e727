"""A thread of its own for what may block, from which the children of a load run are started too.

The kernel ends a child when the thread that started it does: this one lives as long as they. Calls
are made one after the other, in their order. Knows nothing of what is called.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Errands:
    """Makes calls in a daemon thread: one that hangs on a dead disk keeps no process alive."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="load-errands", daemon=True).start()

    async def call(
        self,
        function: Callable[[], T],
        seconds: float,
        unclaimed: Callable[[T], object] | None = None,
    ) -> T:
        """Make a call and return what it returns.

        Args:
            function: is made to the end even if nobody waits for it any more.
            seconds: to wait for it and those before it.
            unclaimed: undoes what it returned when nobody waits for it any more.

        Raises:
            TimeoutError: it hangs.
            Exception: whatever *function* raises of the errors of files, processes and values.
        """
        call = _Call(function, unclaimed, asyncio.get_running_loop())
        self._calls.put(call.make)
        try:
            async with asyncio.timeout(seconds):
                found: T = await call.done
                return found
        except BaseException:
            if not call.claim():
                self.order(call.undo)
            raise

    def order(self, function: Callable[[], object]) -> None:
        """Make a call that nobody waits for; what it cannot do is left undone."""

        def make() -> None:
            try:
                function()
            except OSError:
                return

        self._calls.put(make)

    def close(self) -> None:
        """End the thread when its last call is made; the kernel ends children that are left."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


class _Call:
    """One call, between the thread that makes it and the loop that may not wait for it."""

    def __init__(
        self,
        function: Callable[[], Any],
        unclaimed: Callable[[Any], object] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.done: asyncio.Future[Any] = loop.create_future()
        self._function = function
        self._unclaimed = unclaimed
        self._loop = loop
        # whoever takes the one token is first: the thread is done, or the waiting was
        self._token = [True]
        self._made: list[Any] = []

    def claim(self) -> bool:
        """Return whether the other side has not."""
        try:
            return self._token.pop()
        except IndexError:
            return False

    def make(self) -> None:
        """Make it, in the thread."""
        error: Exception | None = None
        try:
            self._made.append(self._function())
        except (OSError, ValueError, RuntimeError) as failure:
            error = failure
        if not self.claim():
            self.undo()
            return
        try:
            self._loop.call_soon_threadsafe(self._settle, error)
        except RuntimeError:  # the loop is closed: nobody waits
            self.undo()

    def undo(self) -> None:
        """Undo what it made, in the thread."""
        while self._made and self._unclaimed is not None:
            self._unclaimed(self._made.pop())

    def _settle(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(self._made[0])
