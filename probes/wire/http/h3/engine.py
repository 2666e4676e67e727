# pyright: basic, reportMissingTypeStubs=false
"""Drives all transfers of a loop: its readers and its timer move libcurl on.

Knows neither a request nor an answer.
"""

import asyncio
from weakref import WeakKeyDictionary

import pycurl  # type: ignore[import-untyped]

from probes.wire.http.h3.transfer import Transfer


class Engine:
    """What drives all transfers of one loop."""

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._wait)
        self._transfers: dict[pycurl.Curl, Transfer] = {}
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, transfer: Transfer) -> None:
        """Let *transfer* happen; cancelled, it leaves nothing behind."""
        self._transfers[transfer.easy] = transfer
        self._multi.add_handle(transfer.easy)
        try:
            await transfer.done
        finally:
            self._multi.remove_handle(transfer.easy)
            del self._transfers[transfer.easy]

    def close(self) -> None:
        """End for good."""
        self._wait(-1)
        for descriptor in tuple(self._watched):
            self._watch(pycurl.POLL_REMOVE, descriptor)
        self._multi.close()

    def _watch(self, what: int, descriptor: int, *_: object) -> None:
        loop = asyncio.get_running_loop()
        if descriptor in self._watched:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
            self._watched.discard(descriptor)
        if what in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            loop.add_reader(descriptor, self._act, descriptor, pycurl.CSELECT_IN)
            self._watched.add(descriptor)
        if what in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            loop.add_writer(descriptor, self._act, descriptor, pycurl.CSELECT_OUT)
            self._watched.add(descriptor)

    def _wait(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            # not at once: libcurl is in the middle of something when it asks
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(milliseconds / 1000, self._expire)

    def _expire(self) -> None:
        # a handle holds its loop, which would hold this engine for ever
        self._timer = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, mask: int) -> None:
        self._multi.socket_action(descriptor, mask)
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for easy in good:
                self._tell(easy, 0)
            for easy, code, _ in bad:
                self._tell(easy, code)

    def _tell(self, easy: pycurl.Curl, code: int) -> None:
        transfer = self._transfers.get(easy)
        if transfer is not None:
            transfer.ended(code)


_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, Engine] = WeakKeyDictionary()


def engine() -> Engine:
    """Return what drives the transfers of the running loop."""
    loop = asyncio.get_running_loop()
    found = _engines.get(loop)
    if found is None:
        found = _engines[loop] = Engine()
    return found


async def close_engine() -> None:
    """End what the exchanges of the running loop share; the next one begins anew."""
    found = _engines.pop(asyncio.get_running_loop(), None)
    if found is not None:
        found.close()
