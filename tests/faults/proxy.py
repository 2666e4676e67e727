"""A proxy of ours, for HTTP and for SOCKS5: it forwards, or misbehaves as it is told.

    async with proxy_server(answer=b"HTTP/1.1 502 Bad Gateway\\r\\n\\r\\n") as proxy: ...

Without `answer` it really goes where it is asked to go. `heads` holds what it was asked, `goals`
where it was to go.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

GRANTED = b"HTTP/1.1 200 Connection established\r\nX-Proxy: ours\r\n\r\n"
DRIP_S = 0.02

Speak = Callable[["Guest"], Awaitable[None]]


@dataclass
class Guest:
    """One connection of a client."""

    proxy: "FaultProxy"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def forward(self, host: str, port: int, first: bytes = b"", granted: bytes = b"") -> None:
        """Connect to *host* and pass on, both ways, until one side ends."""
        self.proxy.goals.append((host, port))
        reader, writer = await asyncio.open_connection(self.proxy.names.get(host, host), port)
        try:
            await self.send(granted)
            writer.write(first)
            there = asyncio.create_task(pump(self.reader, writer))
            await pump(reader, self.writer)
            there.cancel()
            await asyncio.wait({there})
        finally:
            writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@dataclass
class FaultProxy:
    """A listening proxy.

    Attributes:
        port: where.
        heads: what clients said first.
        goals: host and port of whatever was connected.
        names: what a name stands for, as this proxy sees it.
    """

    port: int = 0
    heads: list[str] = field(default_factory=list)
    goals: list[tuple[str, int]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, head: str) -> None:
        self.heads.append(head)
        self.asked.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


async def over_http(guest: Guest) -> None:
    """Forward as an HTTP proxy does: a tunnel for CONNECT, the request itself otherwise."""
    head = (await guest.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    guest.proxy.hear(head)
    method, where, _ = head.split(" ", 2)
    if method == "CONNECT":
        host, _, port = where.rpartition(":")
        await guest.forward(host.strip("[]"), int(port), granted=GRANTED)
        return
    url = urlsplit(where)
    path = url.path + (f"?{url.query}" if url.query else "")
    lines = [line for line in head.split("\r\n")[1:] if not line.lower().startswith("proxy-")]
    first = "\r\n".join([f"{method} {path} HTTP/1.1", *lines]).encode("latin-1")
    await guest.forward(url.hostname or "", url.port or 80, first=first)


def answering(*pieces: bytes, pause_s: float = 0.0, ends: bool = False) -> Speak:
    """Read a head, answer *pieces* whatever it says, and wait for the client to go."""

    async def speak(guest: Guest) -> None:
        guest.proxy.hear((await guest.reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        for piece in pieces:
            await guest.send(piece)
            if pause_s:
                await asyncio.wait({asyncio.create_task(guest.proxy.over.wait())}, timeout=pause_s)
        if not ends:
            await guest.reader.read()

    return speak


def over_socks(user: str = "", password: str = "", *, code: int = 0, kind: int = 1) -> Speak:
    """Forward as a SOCKS5 server does; *code* refuses, *kind* is the address in its replies."""

    async def speak(guest: Guest) -> None:
        reader = guest.reader
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if user else 0
        guest.proxy.hear(f"methods {methods.hex()}")
        if wanted not in methods:
            await guest.send(b"\x05\xff")
            return
        await guest.send(bytes((5, wanted)))
        if user and not await login(guest, user, password):
            return
        _, _, _, sort = await reader.readexactly(4)
        size = {1: 4, 4: 16}.get(sort) or (await reader.readexactly(1))[0]
        raw = await reader.readexactly(size)
        host = raw.decode() if sort == 3 else str(ip_address(raw))
        port = int.from_bytes(await reader.readexactly(2), "big")
        bound = {1: bytes(4), 3: b"\x04host", 4: bytes(16)}.get(kind, b"") + bytes(2)
        answer = bytes((5, code, 0, kind)) + bound
        if code or kind not in (1, 3, 4):
            await guest.send(answer)
            await reader.read()
            return
        await guest.forward(host, port, granted=answer)

    return speak


async def login(guest: Guest, user: str, password: str) -> bool:
    _, size = await guest.reader.readexactly(2)
    name = await guest.reader.readexactly(size)
    word = await guest.reader.readexactly((await guest.reader.readexactly(1))[0])
    accepts = (name.decode(), word.decode()) == (user, password)
    await guest.send(b"\x01\x00" if accepts else b"\x01\x01")
    return accepts


@asynccontextmanager
async def proxy_server(
    speak: Speak = over_http, context: ssl.SSLContext | None = None
) -> AsyncIterator[FaultProxy]:
    """Run a proxy on a free port of 127.0.0.1."""
    proxy = FaultProxy()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        try:
            await speak(Guest(proxy, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the prober went away
        finally:
            writer.transport.abort() if proxy.over.is_set() else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.over.set()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(set(tasks))
        # connections die a turn later; their transports must not outlive the test
        await asyncio.sleep(0)
