"""The child's end of the socket to its parent: records out, orders in.

    offer      never waits: a record that does not fit stays with whoever has it
    deliver    the last one, which must arrive
    listen     orders, as they come; the end when the parent is gone

Knows records as bytes by `scenarios.codec` and nothing of what they say.
"""

import socket
from collections import deque
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Protocol

from scenarios.codec import ORDERS, READ_BYTES, Decoder, encode
from scenarios.records import Record

# load.md 7.2: the largest record, several times; the kernel gives what its own limit allows.
SEND_BUFFER_BYTES = 1024 * 1024
# A parent that reads nothing for so long is gone or lost.
DELIVERY_S = 5.0
# Between two tries to get the last record through a full buffer.
_RETRY_S = 0.02
# A socket that never waits (for sending) makes the other end of the same wait in slices.
_SLICE_S = 60.0


class Link(Protocol):
    """How a shard speaks to whoever leads the run, on this machine or on another."""

    def offer(self, record: Record) -> bool:
        """Send *record* if that needs no waiting; False: it was not taken."""
        ...

    def deliver(self, record: Record, within_s: float = DELIVERY_S) -> bool:
        """Send *record*, which may wait; False: it did not go out in time."""
        ...

    def listen(self) -> Iterator[Record]:
        """Give each order as it comes; end when there is nobody left who could give one.

        Raises:
            ValueError: what came is no order.
        """
        ...


class Channel(Link):
    """A socket pair of whole datagrams (``SOCK_SEQPACKET``).

    Args:
        fd: descriptor of the child's end; it belongs to this object from now on.
    """

    def __init__(self, fd: int) -> None:
        self._reader = socket.socket(fileno=fd)
        self._writer = self._reader.dup()
        self._writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._reader.settimeout(_SLICE_S)
        self._writer.settimeout(0)
        self._waiting: deque[bytes] = deque()
        """Parts of a record whose first ones are out: nothing may come between them."""

    def offer(self, record: Record) -> bool:
        if not self._flush():
            return False
        parts = encode(record)
        self._waiting.extend(parts)
        if self._flush() or len(self._waiting) < len(parts):
            return True
        self._waiting.clear()
        return False

    def deliver(self, record: Record, within_s: float = DELIVERY_S) -> bool:
        until = monotonic() + within_s
        self._waiting.extend(encode(record))
        while not self._flush():
            if monotonic() >= until:
                return False
            sleep(_RETRY_S)
        return True

    def _flush(self) -> bool:
        """Send what waits; False: some of it still does."""
        while self._waiting:
            try:
                self._writer.send(self._waiting[0])
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                # the parent is gone: whoever listens is told
                return False
            self._waiting.popleft()
        return True

    def listen(self) -> Iterator[Record]:
        decoder = Decoder(ORDERS)
        while True:
            try:
                data = self._reader.recv(READ_BYTES)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            record = decoder.feed(data)
            if record is not None:
                yield record

    def close(self) -> None:
        """Close both ends of this side."""
        self._reader.close()
        self._writer.close()
