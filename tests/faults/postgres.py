"""PostgreSQL servers that misbehave: a script of messages behind the start of a session.

    serving(...)      answers the question for TLS, reads the start, then sends and reads in turns

Source:
    https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import struct
from collections.abc import Sequence

from tests.faults.tcp import Handler

SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def message(kind: bytes, payload: bytes = b"") -> bytes:
    """Return one message of the server."""
    return kind + struct.pack("!i", len(payload) + 4) + payload


def asks_for(method: int, more: bytes = b"") -> bytes:
    """Return the request for a login by *method*: 0 none, 3 clear text, 5 MD5, 10 SASL."""
    return message(b"R", struct.pack("!i", method) + more)


CLEAR = asks_for(3)
MD5 = asks_for(5, b"salt")
SASL = asks_for(10, b"SCRAM-SHA-256\0\0")
KERBEROS = asks_for(2)
WELCOME = asks_for(0)
READY = message(b"Z", b"I")


def parameter(name: str, value: str) -> bytes:
    """Return what the server says about itself."""
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


VERSION = parameter("server_version", "15.4") + parameter("client_encoding", "UTF8")


def error(sqlstate: str, text: str, severity: str = "FATAL") -> bytes:
    """Return an error message."""
    fields = {b"S": severity, b"V": severity, b"C": sqlstate, b"M": text}
    return message(b"E", b"".join(k + v.encode() + b"\0" for k, v in fields.items()) + b"\0")


async def _read_start(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack("!i", await reader.readexactly(4))
    return await reader.readexactly(size - 4)


def serving(
    *steps: bytes, tls: bytes = b"N", seen: list[bytes] | None = None, closes: bool = False
) -> Handler:
    """Send each of *steps*, and read one message of the client after each.

    Args:
        steps: what is sent; the first one follows the start of the session.
        tls: answer to the question for TLS.
        seen: gets whatever the client sent after the start.
        closes: close behind the last step instead of falling silent.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await _read_start(reader)
        if start == SSL_REQUEST[4:]:
            writer.write(tls)
            start = await _read_start(reader)
        for step in steps:
            writer.write(step)
            await writer.drain()
            if step is steps[-1] and closes:
                writer.close()
                return
            data = await reader.read(65536)
            if seen is not None:
                seen.append(data)
        while data := await reader.read(65536):
            if seen is not None:
                seen.append(data)

    return handle


def sent(seen: Sequence[bytes]) -> bytes:
    """Return all that a client sent, as one."""
    return b"".join(seen)
