"""A target that costs next to nothing: one small answer per connection, on eight addresses.

    python -m bench.server [--addresses 8] [--hang]

Prints the port, then counts: ``Target.served`` and the server's own CPU time come back over a pipe.
Run beside a benchmark in a process of its own; with ``--hang`` it accepts and never answers.
"""

import argparse
import asyncio
import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
# Ten thousand connections may hang here at once.
BACKLOG = 16_384
# 127.0.0.1 ... 127.0.0.8: one address has too few ports for 1,000 connections a second (E25)
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 9))


class _Once(asyncio.Protocol):
    """Answers the first bytes, whatever they are."""

    hang = False
    served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if data and not self.hang:
            _Once.served += 1
            self.transport.write(ANSWER)
            self.transport.close()


async def _serve(addresses: tuple[str, ...], pipe: Connection, *, hang: bool) -> None:
    loop = asyncio.get_running_loop()
    _Once.hang = hang
    port = 0
    for address in addresses:
        server = await loop.create_server(_Once, address, port, backlog=BACKLOG)
        port = server.sockets[0].getsockname()[1]
    pipe.send(port)
    asked = asyncio.Event()
    loop.add_reader(pipe.fileno(), asked.set)
    await asked.wait()
    pipe.send((_Once.served, time.process_time()))


def _main(addresses: tuple[str, ...], pipe: Connection, *, hang: bool) -> None:
    uvloop.run(_serve(addresses, pipe, hang=hang))


@dataclass
class Target:
    """The server's process.

    Attributes:
        port: the same on every address.
        served, cpu_s: known after `stop`.
    """

    port: int
    process: BaseProcess
    pipe: Connection
    served: int = 0
    cpu_s: float = 0.0

    def stop(self) -> None:
        """Ask for the counts and end the process."""
        self.pipe.send("stop")
        self.served, self.cpu_s = self.pipe.recv()
        self.process.join(10)


def start(addresses: tuple[str, ...] = ADDRESSES, *, hang: bool = False) -> Target:
    """Start the server in a fresh process, not a fork: its memory must not count as ours."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(addresses, there), kwargs={"hang": hang})
    process.start()
    return Target(here.recv(), process, here)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--addresses", type=int, default=len(ADDRESSES))
    parser.add_argument("--hang", action="store_true")
    options = parser.parse_args()
    target = start(ADDRESSES[: options.addresses], hang=options.hang)
    print(f"{ADDRESSES[0]}:{target.port} (pid {os.getpid()})", flush=True)
    try:
        target.process.join()
    except KeyboardInterrupt:
        target.process.terminate()


if __name__ == "__main__":
    main()
