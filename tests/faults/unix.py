"""Unix sockets with the handlers of `tests.faults.tcp`, and what else may stand at a path."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.faults.tcp import Guests, Handler


@asynccontextmanager
async def unix_fault(
    handler: Handler, path: str, *, context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve every connection to *path* with *handler*; ``@name`` is an abstract one."""
    guests = Guests(handler)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{path[1:]}" if path.startswith("@") else path)
    server = await asyncio.start_unix_server(guests, sock=listener, ssl=context)
    try:
        yield path
    finally:
        # a client that came and went has yet to be accepted, and its handler to begin
        for _ in range(4):
            await asyncio.sleep(0)
        server.close()
        await guests.end()
        # uvloop leaves the socket that it was handed to whoever made it
        listener.close()


@contextmanager
def full_queue(path: Path) -> Iterator[str]:
    """Give a socket that listens, whose queue is full, and that nobody accepts from."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as filler:
        listener.bind(str(path))
        listener.listen(0)
        filler.connect(str(path))
        yield str(path)


@contextmanager
def bound(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[str]:
    """Give a socket that does not listen."""
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind(str(path))
        yield str(path)
