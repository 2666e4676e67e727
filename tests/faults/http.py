"""An HTTP server that misbehaves by request: the first path segment selects the fault.

    /ok /ok/gzip /ok/chunked /ok/big/1000 /status/503 /echo /close-delimited /one1xx /second
    /hang /halfstatus /halfheaders /dripheaders /hangbody /dripbody
    /close /rst /short /shorthead /shortchunk /rstbody
    /infinite /hdrbomb /longhdr /cookies /1xx /chunkext /trailers /bomb/gzip
    /loop /hops/3 /to/307?url /file /noloc /longloc /setcookie
    /garbage /ssh /version /barelf /smuggle /surr /nested /lying /cutgzip

Plain or over TLS. Every connection ends with the server, at the latest; `requests` holds what came,
for a test to read.
"""

import asyncio
import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import cast
from urllib.parse import unquote

import brotli  # type: ignore[import-untyped]

from probes.result import Reason

# E6: 512 MiB of zeros
BOMB_BYTES = 512 * 1024 * 1024
DRIP_S = 0.02
BODY = b"all is well\n"

Handler = Callable[["Call"], Awaitable[None]]

# Row of the list of failures in the design of loads, path, and why that is no answer: the same for
# every driver of journeys.
NO_ANSWERS = (
    ("8 closed without a word", "/close", Reason.CLOSED),
    ("8 reset", "/rst", Reason.CLOSED),
    ("8 reset in the body", "/rstbody", Reason.CLOSED),
    ("8 truncated head", "/shorthead", Reason.CLOSED),
    ("8 truncated body", "/short", Reason.CLOSED),
    ("8 truncated chunk", "/shortchunk", Reason.CLOSED),
    ("8 junk", "/garbage", Reason.PROTOCOL),
    ("8 another protocol", "/ssh", Reason.PROTOCOL),
    ("8 two lengths", "/smuggle", Reason.PROTOCOL),
    ("9 cut gzip", "/cutgzip", Reason.PROTOCOL),
    ("9 no gzip at all", "/lying", Reason.PROTOCOL),
    ("12 endless headers", "/hdrbomb", Reason.TOO_LARGE),
    ("13 loop", "/loop", Reason.REDIRECT),
    ("13 an endless address", "/longloc", Reason.TOO_LARGE),
)


class Call:
    """One request and the connection it came on."""

    def __init__(
        self, server: "FaultServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.method = ""
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    async def read(self) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        self.method, self.path, _ = first.split(" ", 2)
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        length = int(self.headers.get("content-length", "0"))
        self.body = await self.reader.readexactly(length) if length else b""

    async def send(self, data: bytes) -> None:
        if self.writer.is_closing():
            # drain() of a TLS session that is being shut down neither waits nor raises
            raise ConnectionResetError("want somebody who listens, got none")
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = BODY, status: str = "200 OK", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"
        await self.send(head + (b"" if self.method == "HEAD" else body))

    async def forever(self) -> None:
        await self.server.over.wait()

    def reset(self) -> None:
        """End with RST and not with FIN."""
        raw = cast("socket.socket", self.writer.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class FaultServer:
    """A listening fault server."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.asked = asyncio.Event()
        self.faults = dict(FAULTS)
        self.requests: list[Call] = []
        self.host = "127.0.0.1"
        self.port = 0
        self.scheme = "http"
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, path: str = "/ok") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [call.path for call in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        call = Call(self, reader, writer)
        try:
            await call.read()
            self.requests.append(call)
            self.asked.set()
            name = call.path.split("/")[1].partition("?")[0]
            await self.faults[name](call)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the prober went away: that is what most faults are for
        finally:
            writer.transport.close() if not self.over.is_set() else writer.transport.abort()

    async def stop(self) -> None:
        self.over.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


@asynccontextmanager
async def fault_server(
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    faults: FaultServer | None = None,
) -> AsyncIterator[FaultServer]:
    """Run a fault server on a free port."""
    faults = faults or FaultServer()
    server = await asyncio.start_server(faults.serve, host, 0, ssl=context)
    faults.host, faults.port = server.sockets[0].getsockname()[:2]
    faults.scheme = "https" if context else "http"
    try:
        yield faults
    finally:
        server.close()
        await faults.stop()
        # connections die a turn later; their transports must not outlive the test
        await asyncio.sleep(0)


async def _ok(call: Call) -> None:
    match call.path.partition("?")[0].split("/")[2:]:
        case ["gzip"]:
            await call.answer(gzip.compress(BODY, mtime=0), Content_Encoding="gzip")
        case ["br"]:
            await call.answer(brotli.compress(BODY), Content_Encoding="br")
        case ["deflate"]:
            await call.answer(zlib.compress(BODY)[2:-4], Content_Encoding="deflate")
        case ["json"]:
            await call.answer(b'{"status": "healthy", "lag": 3}', Content_Type="application/json")
        case ["chunked"]:
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            await call.send(head + b"5\r\nall i\r\n7\r\ns well\n\r\n0\r\nX-Trailer: x\r\n\r\n")
        case ["big", size]:
            await call.answer(b"x" * int(size))
        case ["modified"]:
            await call.answer(Last_Modified="Sun, 06 Nov 1994 08:49:37 GMT")
        case _:
            await call.answer(Server="faults")


async def _status(call: Call) -> None:
    await call.answer(status=f"{call.path.split('/')[2]} Said")


async def _echo(call: Call) -> None:
    lines = [f"{call.method} {call.path}", *(f"{k}: {v}" for k, v in call.headers.items())]
    await call.answer("\n".join(lines).encode() + b"\n\n" + call.body)


async def _close_delimited(call: Call) -> None:
    await call.send(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)


async def _hang(call: Call) -> None:
    await call.forever()


def _piece(data: bytes) -> Handler:
    """Send *data*, then nothing more."""

    async def fault(call: Call) -> None:
        await call.send(data)
        await call.forever()

    return fault


def _last(data: bytes) -> Handler:
    """Send *data* and close."""

    async def fault(call: Call) -> None:
        await call.send(data)

    return fault


def _drip(head: bytes, piece: bytes) -> Handler:
    """Send *head*, then *piece* again and again, slowly."""

    async def fault(call: Call) -> None:
        await call.send(head)
        while not call.server.over.is_set():
            await call.send(piece)
            await asyncio.sleep(DRIP_S)

    return fault


def _flood(head: bytes, piece: bytes) -> Handler:
    """Send *head*, then *piece* for ever, as fast as it goes."""

    async def fault(call: Call) -> None:
        await call.send(head)
        while not call.server.over.is_set():
            await call.send(piece)
            await asyncio.sleep(0)  # drain() waits only while a buffer is full

    return fault


async def _rst_body(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    # the prober must have read the part: a RST behind unread bytes would drop them
    await asyncio.sleep(DRIP_S)
    call.reset()


async def _rst(call: Call) -> None:
    call.reset()


async def _close(call: Call) -> None:
    pass


async def _cookies(call: Call) -> None:
    cookies = "".join(f"Set-Cookie: c{i}={'x' * 4000}\r\n" for i in range(90))
    await call.send(f"HTTP/1.1 200 OK\r\n{cookies}Content-Length: 0\r\n\r\n".encode())


async def _set_cookie(call: Call) -> None:
    await call.answer(
        b"", "302 Found", Location="/echo", Set_Cookie="session=abc; Path=/; HttpOnly"
    )


async def _loop(call: Call) -> None:
    await call.answer(BODY, "302 Found", Location=call.path)


async def _hops(call: Call) -> None:
    left = int(call.path.split("/")[2])
    target = f"/hops/{left - 1}" if left > 1 else "/ok"
    await call.answer(BODY, "302 Found", Location=target)


async def _to(call: Call) -> None:
    """``/to/307?url``: redirect there."""
    path, _, target = call.path.partition("?")
    await call.answer(BODY, f"{path.split('/')[2]} Go", Location=unquote(target))


async def _no_location(call: Call) -> None:
    await call.answer(BODY, "302 Found")


async def _long_location(call: Call) -> None:
    await call.answer(BODY, "302 Found", Location="/" + "x" * 1_000_000)


async def _surrogates(call: Call) -> None:
    evil = '\udcff\udced\udca0\udc80"}\\x{'
    await call.answer(b"\xff\xfe\x00", "200 \udcff\udcfe", Server=evil, X_Evil=evil)


@cache
def bomb(encoding: str) -> bytes:
    """Return `BOMB_BYTES` of zeros, packed."""
    zeros, turns = bytes(2**20), BOMB_BYTES // 2**20
    if encoding == "br":
        packer = brotli.Compressor(quality=5)
        return b"".join([*(packer.process(zeros) for _ in range(turns)), packer.finish()])
    stream = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else -15)
    return b"".join([*(stream.compress(zeros) for _ in range(turns)), stream.flush()])


async def _bomb(call: Call) -> None:
    encoding = call.path.split("/")[2]
    await call.answer(bomb(encoding), Content_Encoding=encoding)


async def _nested(call: Call) -> None:
    await call.answer(gzip.compress(gzip.compress(BODY)), Content_Encoding="gzip, gzip")


async def _lying(call: Call) -> None:
    await call.answer(Content_Encoding="gzip")


async def _cut_gzip(call: Call) -> None:
    await call.answer(gzip.compress(BODY)[:-4], Content_Encoding="gzip")


async def _second(call: Call) -> None:
    await call.answer()
    await call.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + b"\x00" * 100)


OK_HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WHOLE = OK_HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(BODY), BODY)

FAULTS: dict[str, Handler] = {
    "ok": _ok,
    "status": _status,
    "echo": _echo,
    "close-delimited": _close_delimited,
    "hang": _hang,
    "halfstatus": _piece(b"HTTP/1.1 2"),
    "halfheaders": _piece(OK_HEAD + b"Server: x\r\n"),
    "dripheaders": _drip(OK_HEAD, b"X-Drip: x\r\n"),
    "hangbody": _piece(OK_HEAD + b"Content-Length: 1000\r\n\r\npart"),
    "dripbody": _drip(OK_HEAD + b"Content-Length: 1000\r\n\r\n", b"x"),
    "infinite": _flood(OK_HEAD + b"\r\n", b"x" * 65536),
    "rstbody": _rst_body,
    "rst": _rst,
    "short": _last(OK_HEAD + b"Content-Length: 1000\r\n\r\npart"),
    "shortchunk": _last(CHUNKED + b"ff\r\npart"),
    "shorthead": _last(OK_HEAD + b"Server: x\r\n"),
    "close": _close,
    "hdrbomb": _flood(OK_HEAD, b"X-Bomb: x\r\n" * 1000),
    "longhdr": _flood(OK_HEAD + b"X-Long: ", b"x" * 65536),
    "cookies": _cookies,
    "setcookie": _set_cookie,
    "loop": _loop,
    "hops": _hops,
    "to": _to,
    "file": _last(
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"
    ),
    "noloc": _no_location,
    "longloc": _long_location,
    "surr": _surrogates,
    "garbage": _piece(b"\x00\x01garbage \xff\xfe\r\n"),
    "ssh": _piece(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "version": _piece(b"HTTP/2.0 200 OK\r\n\r\n"),
    "barelf": _piece(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    "smuggle": _piece(CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n0\r\n\r\n"),
    "1xx": _flood(b"", CONTINUE * 100),
    "one1xx": _last(CONTINUE + b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + WHOLE),
    "chunkext": _flood(CHUNKED + b"5;", b"x" * 60000),
    "trailers": _flood(CHUNKED + b"0\r\n", b"X-Trailer: x\r\n" * 5000),
    "bomb": _bomb,
    "nested": _nested,
    "lying": _lying,
    "cutgzip": _cut_gzip,
    "second": _second,
}
