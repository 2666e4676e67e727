"""A name server that misbehaves by name: the first label of the question selects the fault.

    one two four six both many big        1 or 2 addresses, IPv4 only, IPv6 only, 40, 2,000
    nxdomain servfail refused formerr     answer codes
    empty                                 NOERROR without records
    silent                                no answer at all
    held                                  no answer until `release` is set
    flip                                  another address in each answer
    forbidden mapped                      127.0.0.66, as IPv4 and as IPv6
    rebind                                127.0.0.1 and 127.0.0.66 by turns
    loop alias                            CNAME to itself; CNAME to ``one``
    wrongid othername garbage             answers that are none

UDP and TCP on one port. ``questions`` holds the names that came, for a test to read.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

A, CNAME, AAAA = 1, 5, 28
CODES = {"formerr": 1, "servfail": 2, "nxdomain": 3, "refused": 5}
ADDRESSES = {
    "one": ["127.0.0.1"],
    "two": ["127.0.0.1", "127.0.0.2"],
    "four": ["127.0.0.1"],
    "six": ["::1"],
    "both": ["127.0.0.1", "::1"],
    "othername": ["127.0.0.1"],
    "wrongid": ["127.0.0.1"],
    "held": ["127.0.0.1"],
    "forbidden": ["127.0.0.66"],
    "mapped": ["0000:0000:0000:0000:0000:ffff:7f00:0042"],
    "many": [f"127.0.1.{i}" for i in range(40)],
    "big": [f"127.{1 + i // 250}.2.{i % 250}" for i in range(2000)],
}
MAX_UDP_BYTES = 512


def encode_name(name: str) -> bytes:
    """Return *name* as labels."""
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def read_question(query: bytes) -> tuple[str, int]:
    """Return the name and the type that *query* asks for."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels), struct.unpack_from("!H", query, at + 1)[0]


def pack_address(text: str) -> bytes:
    """Return the bytes of an address, without asking the library under test."""
    if ":" in text:
        return (1).to_bytes(16, "big") if text == "::1" else bytes.fromhex(text.replace(":", ""))
    return bytes(map(int, text.split(".")))


def record(name: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    """Return one record of class IN."""
    return name + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


@dataclass
class DnsFault:
    """The server's state; ``server`` is what a resolver is given."""

    server: str = ""
    ttl: int = 0
    questions: list[str] = field(default_factory=list)
    over_tcp: int = 0
    """How many of them came over TCP."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    _flips: int = 0

    async def answer(self, query: bytes) -> bytes | None:
        """Return the answer to *query*; None for silence."""
        name, kind = read_question(query)
        fault = name.partition(".")[0].lower()
        self.questions.append(f"{name}/{kind}")
        self.asked.set()
        if fault == "silent":
            return None
        if fault == "garbage":
            return query[:2] + b"\xff" * 20
        if fault == "held":
            await self.release.wait()
        records = self._records(fault, name, kind)
        identity = query[:2] if fault != "wrongid" else bytes((query[0] ^ 1, query[1]))
        asked = name if fault != "othername" else "elsewhere.test"
        code = CODES.get(fault, 0)
        head = struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        question = encode_name(asked) + struct.pack("!HH", kind, 1)
        return identity + head + question + b"".join(records)

    def _records(self, fault: str, name: str, kind: int) -> list[bytes]:
        owner = encode_name(name)
        if fault in {"loop", "alias"}:
            target = name if fault == "loop" else "one.test"
            records = [record(owner, CNAME, self.ttl, encode_name(target))]
            if fault == "alias" and kind == A:
                address = pack_address("127.0.0.1")
                records.append(record(encode_name(target), A, self.ttl, address))
            return records
        if fault == "flip":
            self._flips += kind == A
            addresses = [f"127.0.0.{self._flips}"]
        elif fault == "rebind":
            self._flips += kind == A
            addresses = ["127.0.0.1" if self._flips % 2 else "127.0.0.66"]
        else:
            addresses = ADDRESSES.get(fault, [])
        return [
            record(owner, kind, self.ttl, pack_address(address))
            for address in addresses
            if kind == (AAAA if ":" in address else A)
        ]


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, fault: DnsFault, tasks: set[asyncio.Task[None]]) -> None:
        self._fault = fault
        self._tasks = tasks

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(self._reply(data, addr)))

    async def _reply(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = await self._fault.answer(data)
        if answer is None:
            return
        if len(answer) > MAX_UDP_BYTES:
            # the TC bit: ask again over TCP
            head = bytearray(answer[:12])
            head[2] |= 2
            head[6:8] = b"\0\0"
            answer = bytes(head) + data[12:].split(b"\0", 1)[0] + b"\0" + struct.pack("!HH", A, 1)
        self._transport.sendto(answer, addr)


@asynccontextmanager
async def dns_fault(ttl: int = 0) -> AsyncIterator[DnsFault]:
    """Run the server for the length of the block."""
    fault = DnsFault(ttl=ttl)
    tasks: set[asyncio.Task[None]] = set()

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                fault.over_tcp += 1
                answer = await fault.answer(await reader.readexactly(size))
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(over_tcp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Udp(fault, tasks), local_addr=("127.0.0.1", port)
    )
    fault.server = f"127.0.0.1:{port}"
    try:
        yield fault
    finally:
        transport.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
