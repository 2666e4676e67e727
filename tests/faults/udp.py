"""UDP servers that answer as a test likes: nothing, too often, something else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

Answers = Callable[[bytes], Iterable[bytes]]
"""What one datagram is answered by."""


def mute(_: bytes) -> Iterable[bytes]:
    """Answer nothing."""
    return ()


def closed_udp_port() -> int:
    """Return a port that nobody listens on: it was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


class _Server(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for answer in self._answers(data):
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def udp_fault(answers: Answers = mute, ip: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve *answers* on *ip*; give the port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Server(answers), local_addr=(ip, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        # the socket is closed in the next turns of the loop
        for _ in range(3):
            await asyncio.sleep(0)
