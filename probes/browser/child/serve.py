"""The child's main loop: orders come on standard input, reports go to standard output.

One browser, any number of runs at a time. When the input ends the supervisor is gone: every process
of the browser is killed at once, and the working directory removed.
"""

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from probes.browser import tree
from probes.browser.child.launch import launch, start_fault
from probes.browser.child.pages import source
from probes.browser.child.play import Play
from probes.browser.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL,
    Hello,
    Quit,
    Ready,
    Report,
    Run,
    Stop,
    Trouble,
    line,
    read_order,
)
from probes.browser.proxy import Outlet
from probes.result import Reason
from probes.units import short

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

# Playwright closes a browser that obeys in 0.1 s; one that does not is killed right after.
CLOSE_S = 1.0


class Child:
    """What runs in this process.

    Args:
        reader: orders, a line each.
        output: descriptor that reports are written to.
    """

    def __init__(self, reader: asyncio.StreamReader, output: int) -> None:
        self._reader = reader
        self._output = output
        self._browser: Browser | None = None
        self._plays: dict[str, Play] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._void = Outlet(None)
        self._source = source()
        self._is_ending = False

    def tell(self, report: Report) -> None:
        """Write a report; the supervisor reads all the time, or is gone."""
        data = line(report)
        with suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._output, data) :]

    async def serve(self) -> None:
        """Serve until `Quit` or the end of the input."""
        from playwright.async_api import async_playwright

        hello = await self._order()
        if not isinstance(hello, Hello):
            return
        if hello.version != PROTOCOL:
            text = f"want protocol {PROTOCOL}, got {hello.version}: restart the prober"
            self.tell(Trouble("", Reason.INTERNAL, text))
            return
        tree.adopt()
        try:
            async with async_playwright() as playwright:
                await self._start(playwright, hello)
                await self._obey()
                await self._end()
        finally:
            tree.kill(hello.work, spare={os.getpid()})
            tree.reap()
            shutil.rmtree(hello.work, ignore_errors=True)

    async def _start(self, playwright: "Playwright", hello: Hello) -> None:
        from playwright.async_api import Error

        port = await self._void.open()
        try:
            self._browser = await launch(playwright, hello, port)
        except Error as error:
            fault = start_fault(error.message)
            self.tell(Trouble("", fault.reason, fault.message))
            return
        self._browser.on("disconnected", self._lost)
        self.tell(Ready(PROTOCOL, self._browser.version, version("playwright")))

    def _lost(self, *_: object) -> None:
        if not self._is_ending:
            self.tell(Trouble("", Reason.RESOURCE, "want a browser that lives, got it ended"))

    async def _obey(self) -> None:
        while self._browser is not None:
            order = await self._order()
            match order:
                case Run():
                    self._begin(self._browser, order)
                case Stop():
                    play = self._plays.get(order.id)
                    if play is not None:
                        play.stop()
                case Quit() | None:
                    return
                case Hello():
                    self.tell(Trouble("", Reason.INTERNAL, "want one greeting, got a second one"))
                    return

    async def _order(self) -> "Hello | Run | Stop | Quit | None":
        """Return the next order; None: the supervisor is gone, or has lost its mind."""
        try:
            text = await self._reader.readuntil(b"\n")
            return read_order(text)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return None
        except ValueError as error:
            self.tell(Trouble("", Reason.INTERNAL, f"want an order, got {short(str(error))}"))
            return None

    def _begin(self, browser: "Browser", run: Run) -> None:
        play = Play(run, browser, self._source, self.tell)
        self._plays[run.id] = play
        task = asyncio.get_running_loop().create_task(self._play(run.id, play))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, run.id))

    def _over(self, number: str, task: "asyncio.Task[None]") -> None:
        """Report a run that broke without a report: the supervisor would wait for it in vain."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            got = f"{type(error).__name__}: {short(str(error))}"
            self.tell(Trouble(number, Reason.INTERNAL, f"want a run to its end, got {got}"))

    async def _play(self, number: str, play: Play) -> None:
        try:
            report, trouble = await play.play()
        finally:
            del self._plays[number]
        self.tell(report)
        if trouble and not self._is_ending:
            self.tell(Trouble("", Reason.RESOURCE, trouble))

    async def _end(self) -> None:
        from playwright.async_api import Error

        self._is_ending = True
        for task in tuple(self._tasks):
            task.cancel()
        await self._void.close()
        if self._browser is not None:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._browser.close()


async def serve() -> None:
    """Serve on the standard streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # whatever a library prints must not get between two reports
    output = os.dup(1)
    os.dup2(2, 1)
    await Child(reader, output).serve()


def main() -> None:
    """Run the child."""
    asyncio.run(serve())
