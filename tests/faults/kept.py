"""A server that keeps connections open and answers by script, one list of answers a connection.

    async with kept_server([OK, OK], [CLOSE]) as server: ...      # server.url, .requests

The first connection gets the first list, the last list serves all that follow. Each answer is sent
for one request; `CLOSE` closes instead, `HANG` says nothing more. When a list is used up the
connection is closed. `EARLY` is said before the first request.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.tcp import tcp_fault

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSE, HANG, STAY, EARLY = b"(close)", b"(hang)", b"(stay)", b"(early)"


def answer(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer that leaves the connection open."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class KeptServer:
    """What came to a server."""

    def __init__(self, scripts: tuple[list[bytes], ...], scheme: str) -> None:
        self.scripts = scripts
        self.scheme = scheme
        self.port = 0
        self.connections = 0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """First line, headers by lower-case name, body."""
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        """A connection was ended by the other side."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/"

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        if script[:1] == [EARLY]:
            writer.write(script[1])
            script = script[2:]
        for said in script:
            if said == STAY:
                break
            if not await self._read(reader) or said == CLOSE:
                return
            if said == HANG:
                break
            writer.write(said)
            await writer.drain()
        else:
            writer.close()
        if script[-1:] in ([STAY], [HANG]):
            await self._end_of(reader)

    async def _read(self, reader: asyncio.StreamReader) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
            return False
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((first, headers, body))
        self.asked.set()
        return True

    async def _end_of(self, reader: asyncio.StreamReader) -> None:
        try:
            await reader.read()
        finally:
            self.left.set()


@asynccontextmanager
async def kept_server(
    *scripts: list[bytes], context: ssl.SSLContext | None = None
) -> AsyncIterator[KeptServer]:
    """Run a server with these scripts on a free port."""
    server = KeptServer(scripts, "https" if context else "http")
    async with tcp_fault(server.serve, context=context) as port:
        server.port = port
        yield server
