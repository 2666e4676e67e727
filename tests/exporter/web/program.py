"""Processes that serve a fake backend: the loop can be blocked for real, descriptors be few.

    python -m tests.exporter.web.program      standard input: a socket

Each message on the socket is the options of one, ``{"loop": "uvloop", "nofile": 256}``, and its
standard input, output and error. It is forked off, for to import all this takes 2 s; the answers
are its pid, and how it ended. It prints the port, then obeys its standard input: ``block`` hangs
the loop until ``free`` comes.
"""

import asyncio
import json
import logging
import os
import resource
import socket
import traceback
from pathlib import Path
from time import monotonic, time
from typing import Any, NoReturn

import uvloop

from exporter.web.server import WebServer
from probes.chain.memory import Memory
from probes.chain.model import EndpointHealth
from probes.result import Outcome
from tests.exporter.web.support import FakeBackend, make_probe

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def main(options: dict[str, Any]) -> None:
    backend = FakeBackend()
    backend.metrics.pieces = [b"x" * 1000] * options.get("pieces", 1)
    if "endpoint" in options:
        health = EndpointHealth("eth", options["endpoint"], Outcome.UP, (), 7, 0.5, time())
        backend.kept = [(make_probe("eth"), Memory(health=(health,)), None)]
    if "lag_s" in options:
        backend.tick = monotonic() - options["lag_s"]
    web_config = Path(options["web_config"]) if "web_config" in options else None
    server = WebServer(backend, ["127.0.0.1:0"], web_config)
    await server.start()
    ended = asyncio.get_running_loop().create_future()

    def obey() -> None:
        command = os.read(0, 100)
        if command == b"block\n":
            tell("blocked")
            os.set_blocking(0, True)  # uvloop has changed it
            os.read(0, 100)  # the loop stands still here
            asyncio.get_running_loop().call_soon(tell, "freed")
        else:
            asyncio.get_running_loop().remove_reader(0)
            ended.set_result(None)

    asyncio.get_running_loop().add_reader(0, obey)
    tell(str(server.addresses[0][1]))
    await ended
    await server.stop(1)
    tell(json.dumps({"rejected": backend.rejected, "requests": sum(backend.requests.values())}))


def tell(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def serve(given: dict[str, Any]) -> None:
    logging.basicConfig(level=logging.INFO)
    if "nofile" in given:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given["nofile"], given["nofile"]))
    with asyncio.Runner(loop_factory=LOOPS[given["loop"]]) as runner:
        runner.run(main(given))


def become(control: socket.socket, options: bytes, pipes: list[int]) -> NoReturn:
    """Be the process that was asked for."""
    code = 1
    try:
        control.close()
        for number, pipe in enumerate(pipes):
            os.dup2(pipe, number)
            os.close(pipe)
        serve(json.loads(options))
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def fork_for(control: socket.socket) -> None:
    """Fork one process off for each message, one after the other."""
    while True:
        options, pipes, _, _ = socket.recv_fds(control, 65536, 3)
        if not options:
            return
        child = os.fork()
        if not child:
            become(control, options, pipes)
        for pipe in pipes:
            os.close(pipe)
        control.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    fork_for(socket.socket(fileno=0))
