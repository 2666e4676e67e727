"""An event loop whose clock is a number: hours of schedule in milliseconds, and freezes at will."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Moves the clock on instead of waiting."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("want something to wait for, got a loop that would hang")
        self.loop.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, now: float = 1000.0) -> None:
        selector = _Jump()
        selector.loop = self
        self.now = now
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def freeze(self, seconds: float) -> None:
        """Let time pass without the loop noticing, as SIGSTOP or a blocking call does."""
        self.now += seconds


def run_virtual(loop: VirtualLoop, main: Coroutine[Any, Any, None]) -> None:
    """Run *main* to its end; nothing may be left behind."""
    try:
        loop.run_until_complete(main)
        left = asyncio.all_tasks(loop)
        timers = [handle for handle in vars(loop)["_scheduled"] if not handle.cancelled()]
        assert not left, left
        assert not timers, timers
    finally:
        loop.close()
