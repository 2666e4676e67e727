"""A process that serves a fake backend: its loop can be blocked for real, its descriptors be few.

    python -m tests.exporter.web.program '{"loop": "uvloop", "nofile": 256}'

Prints the port, then obeys its standard input: ``block`` hangs the loop until ``free`` comes.
"""

import asyncio
import json
import logging
import os
import resource
import sys
from pathlib import Path
from time import monotonic, time
from typing import Any

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


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO)
    if "nofile" in given:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given["nofile"], given["nofile"]))
    with asyncio.Runner(loop_factory=LOOPS[given["loop"]]) as runner:
        runner.run(main(given))
