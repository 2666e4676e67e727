"""How a Redis driver reads and writes: our dialled connection behind caps on every reply.

    ReplyReader       looks like ``asyncio.StreamReader`` to the driver's parser
    ReplyWriter       looks like ``asyncio.StreamWriter``

A reply may declare any size and any number of elements; nothing is allocated by what it declares.
Knows no driver and no command.

Source:
    https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from collections.abc import Iterable

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.stream import Connection

# reliability.md 4: Redis: reply 1 MiB with <= 1,000 elements.
MAX_REPLY_BYTES = 1024 * 1024
MAX_REPLY_ELEMENTS = 1000
# A line is a status, an error, a number or a size; Redis cuts its own errors far below.
MAX_LINE_BYTES = 64 * 1024
_END = 2  # "\r\n" behind a bulk string


class ReplyReader:
    """Reads replies within their caps; `begin` starts a new one."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire
        self._bytes = 0
        self._elements = 0

    def begin(self) -> None:
        """Forget what the reply before has used up."""
        self._bytes = self._elements = 0

    async def readline(self) -> bytes:
        """Return the next line with its end.

        Raises:
            CheckFailed: ``too_large``, ``closed``; ``protocol`` for what is no reply.
        """
        self._elements += 1
        if self._elements > MAX_REPLY_ELEMENTS:
            raise CheckFailed(
                Reason.TOO_LARGE,
                f"want a reply of at most {MAX_REPLY_ELEMENTS} elements, got more",
            )
        line = await self._wire.read_until(b"\n", MAX_LINE_BYTES)
        if not line.endswith(b"\r\n") or line[:1] not in b"+-:$*":
            raise CheckFailed(Reason.PROTOCOL, f"want a reply of Redis, got {line[:40]!r}")
        self._count(len(line))
        return line

    async def readexactly(self, size: int) -> bytes:
        """Return *size* bytes, the end of a bulk string among them.

        Raises:
            CheckFailed: ``too_large`` before a byte is read; ``closed``, ``protocol``.
        """
        if size < _END:
            raise CheckFailed(Reason.PROTOCOL, f"want a size >= 0, got {size - _END}")
        self._count(size)
        data = await self._wire.read_exactly(size)
        if not data.endswith(b"\r\n"):
            raise CheckFailed(Reason.PROTOCOL, f"want a line end, got {data[-_END:]!r}")
        return data

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_REPLY_BYTES + _END + MAX_LINE_BYTES:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want a reply of at most {MAX_REPLY_BYTES} bytes, got more"
            )


class ReplyWriter:
    """Writes without ever waiting; the connection belongs to whoever dialled it."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send the pieces at once."""
        self._wire.write(b"".join(pieces))

    async def drain(self) -> None:
        """Return: a command is smaller than any buffer."""

    def close(self) -> None:
        """Leave the connection to whoever dialled it."""

    async def wait_closed(self) -> None:
        """Return: nothing was closed here."""
