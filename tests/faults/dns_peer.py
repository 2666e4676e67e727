"""A name server that answers with whatever bytes a test makes of the question.

    async with dns_peer(lambda query: [made(query), ...]) as port: ...

UDP and TCP on one port, or TLS; over streams each answer gets its length. Knows no DNS.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.tcp import tcp_fault

Respond = Callable[[bytes], Sequence[bytes]]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self._respond(data):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def dns_peer(
    respond: Respond, *, context: ssl.SSLContext | None = None, streams: Respond | None = None
) -> AsyncIterator[int]:
    """Answer each question with what *respond* makes of it, over TCP *streams*; gives the port."""

    async def over_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            for answer in (streams or respond)(await reader.readexactly(size)):
                writer.write(len(answer).to_bytes(2, "big") + answer)

    async with tcp_fault(over_stream, context=context) as port:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(respond), local_addr=("127.0.0.1", port)
        )
        try:
            yield port
        finally:
            transport.close()
