"""Redis servers that misbehave: a script of replies, one for each command that comes.

    replying(...)     answers each command with the next reply, then stays silent
    hostile           name -> the bytes sent instead of an answer to PING, and the wanted reason

Needs no Redis: the server reads whole commands and never understands one.
"""

import asyncio

from probes.result import Reason
from tests.faults.tcp import Handler


async def read_command(reader: asyncio.StreamReader) -> list[bytes]:
    """Return the words of the next command."""
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words: list[bytes] = []
    for _ in range(count):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


def bulk(text: str) -> bytes:
    """Return *text* as a bulk string."""
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())


def replying(*replies: bytes, seen: list[list[bytes]] | None = None) -> Handler:
    """Answer the first commands with *replies*, then read on and answer nothing."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            words = await read_command(reader)
            if seen is not None:
                seen.append(words)
            writer.write(reply)
        await reader.read()

    return handle


HOSTILE: dict[str, tuple[bytes, Reason]] = {
    "a bulk string of a terabyte": (b"$999999999999\r\n" + b"x" * 4096, Reason.TOO_LARGE),
    "a million elements": (b"*1000000\r\n" + b":1\r\n" * 5000, Reason.TOO_LARGE),
    "an endless line": (b"+" + b"x" * 200_000, Reason.TOO_LARGE),
    "arrays in arrays": (b"*1\r\n" * 999 + b":1\r\n", Reason.PROTOCOL),
    "a negative size": (b"$-7\r\n", Reason.PROTOCOL),
    "a size that is no number": (b"$x\r\n", Reason.PROTOCOL),
    "a size in other digits": ("$٣\r\n".encode(), Reason.PROTOCOL),
    "a bulk string without its end": (b"$4\r\nPONGxx", Reason.PROTOCOL),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL),
    "an SSH server": (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.PROTOCOL),
    "a push of RESP 3": (b">2\r\n+invalidate\r\n+x\r\n", Reason.PROTOCOL),
    "another word": (b"+PANG\r\n", Reason.PROTOCOL),
    "an array": (b"*1\r\n+PONG\r\n", Reason.PROTOCOL),
    "nothing at all": (b"$-1\r\n", Reason.PROTOCOL),
}
