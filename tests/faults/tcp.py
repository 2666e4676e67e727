"""TCP servers that misbehave after the accept, one handler each.

    silent            accepts and never speaks
    closing           closes at once
    resetting         resets at once
    talking(data)     sends *data*, then waits for the other side
    ending(data)      sends *data*, then closes
    half_closing(data)  sends *data*, then says no more, but listens on
    dripping(data)    sends *data* byte by byte
    flooding(data)    sends *data* for ever
    echoing           sends back what comes
    answering(pairs)  for each wanted bytes that come, the answer

Every connection ends with the server.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DRIP_S = 0.02


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def echoing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


def talking(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await reader.read()

    return handle


def ending(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return handle


def half_closing(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.write_eof()
        await reader.read()

    return handle


def dripping(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            if writer.is_closing():
                return
            writer.write(bytes((byte,)))
            await asyncio.sleep(DRIP_S)
        await asyncio.Event().wait()

    return handle


def flooding(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()
            # drain() of a TLS session that is being shut down neither waits nor raises
            await asyncio.sleep(0)

    return handle


def answering(pairs: Mapping[bytes, bytes]) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for wanted, answer in pairs.items():
            if await reader.readexactly(len(wanted)) != wanted:
                break
            writer.write(answer)
        await reader.read()

    return handle


class Guests:
    """Everybody who is served by *handler*; give it to ``start_server``, and end it with that."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has the right to leave
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def tcp_fault(
    handler: Handler, host: str = "127.0.0.1", *, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve every connection with *handler*, over TLS with a *context*; gives the port."""
    guests = Guests(handler)
    server = await asyncio.start_server(guests, host, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await guests.end()


@asynccontextmanager
async def full_backlog() -> AsyncIterator[int]:
    """Give a port whose SYNs are dropped: nobody accepts and the queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def closed_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
