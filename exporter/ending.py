"""The last words of a process that ends at once, and of tasks that nobody awaited.

Knows nothing of the service.
"""

import asyncio
import logging
import os
import select
from contextlib import suppress
from typing import Any

log = logging.getLogger("sonde.service")

STDERR = 2


def break_off(code: int, why: str) -> None:
    """End the process at once, and say why where that can be said without waiting."""
    waiter = select.poll()
    waiter.register(STDERR, select.POLLOUT)
    with suppress(OSError):
        # a pipe that is ready takes a short line whole (PIPE_BUF)
        if any(event == select.POLLOUT for _, event in waiter.poll(0)):
            os.write(STDERR, f"sonde: {why}\n".encode())
    os._exit(code)


def on_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody awaited: a target that resets a half-closed connection is no news."""
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
    log.log(level, "%s", context.get("message", "the event loop met an error"), exc_info=error)
