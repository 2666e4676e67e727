"""A Solana node: Surfpool, offline, with a clock that can be stopped and moved.

Knows that it is never unhealthy: what an unhealthy node says is put in by the fault proxy.
"""

import json
import platform
import re
from pathlib import Path

import pytest

from tests.servers.nodes import Node, launch, module, node_program

SCRIPT = Path(__file__).with_name("surfpool.mjs")
TOLD = re.compile(r'"rpcUrl":"http://127\.0\.0\.1:(\d+)"')
TOLD_WS = re.compile(r'"wsUrl":"ws://127\.0\.0\.1:(\d+)"')
# What there is a native package for; elsewhere nobody can install it.
OFFERED_FOR = {("Linux", "x86_64"), ("Darwin", "arm64")}


class Surfpool(Node):
    """A running Surfpool, with its levers by their names."""

    async def slot(self, commitment: str = "processed") -> int:
        """Return the latest slot."""
        return int(await self.rpc("getSlot", {"commitment": commitment}))

    async def freeze(self) -> None:
        """Add no slot any more, and stay healthy."""
        await self.rpc("surfnet_pauseClock")

    async def go_on(self) -> None:
        """Add slots again."""
        await self.rpc("surfnet_resumeClock")

    async def travel(self, slot: int) -> None:
        """Jump to *slot*."""
        await self.rpc("surfnet_timeTravel", {"absoluteSlot": slot})


def start_surfpool(directory: Path, *, mode: str = "clock", slot_ms: int = 400) -> Surfpool:
    """Start a node.

    Args:
        directory: of its files.
        mode: what adds a slot: "clock", "transaction", "manual" (nothing does).
        slot_ms: milliseconds from slot to slot.
    """
    if (platform.system(), platform.machine()) not in OFFERED_FOR:
        pytest.skip(f"want a package of surfpool for {platform.machine()}, got none: nobody has it")
    native = module("@solana/surfpool-*/*.node")
    config = json.dumps({"blockProductionMode": mode, "slotTimeMs": slot_ms})
    command = [node_program(), SCRIPT, native, config]
    node = launch(Surfpool, command, directory, "getHealth", TOLD)
    told = TOLD_WS.search(node.log())
    if told is None:
        raise ValueError(f"want a port of its websocket, got {node.log()[:200]!r}")
    node.ws_port = int(told[1])
    return node
