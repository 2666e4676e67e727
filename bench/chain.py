"""What a chain group costs: CPU, calls and series a run, for 10 groups of 5 endpoints at 15 s.

    python -m bench.chain [--groups 10] [--endpoints 5] [--minutes 10] [--json]

A node of our own (a process beside this one) answers as an EVM node does; time is made to pass from
run to run, so that ten minutes of cadence take seconds. Beside it, in the same run: the same calls
over a bare `Line`, so that the ratio says what planning, judging and book-keeping cost on top of
the wire. Exits 1 when a budget is missed.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from time import process_time
from typing import Any, cast
from unittest.mock import patch

import uvloop

from probes.chain import course
from probes.chain.memory import Memory
from probes.chain.model import Now
from probes.kinds.evm import Evm
from probes.probe import Probe
from probes.recorder import Keep, Recorder
from probes.result import Outcome
from probes.run import run_once
from probes.wire.http.options import Options
from probes.wire.jsonrpc import Call, Line
from probes.wire.url import parse_url

EVERY_S = 15.0
BLOCK_S = 12.0
# A group of five every 15 s is a third of an endpoint a second: one percent of a core for ten
# groups leaves room for everything else.
BUDGETS = {"cores": 0.01, "calls_per_endpoint_per_minute": 60.0, "times_the_wire": 4.0}


class Node(asyncio.Protocol):
    """An EVM node with a chain that grows with the time it is told."""

    wall = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        body = data.partition(b"\r\n\r\n")[2]
        asked = json.loads(body)
        if isinstance(asked, list):
            answer: Any = [self.answer(one) for one in asked]
        else:
            answer = self.answer(asked)
        text = json.dumps(answer).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(text) + text)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = {"jsonrpc": "2.0", "id": asked["id"]}
        method, params = asked["method"], asked["params"]
        if method == "bench_time":
            Node.wall = params[0]
            return found | {"result": True}
        known = {
            "eth_chainId": "0x1",
            "eth_syncing": False,
            "net_peerCount": "0x19",
            "web3_clientVersion": "Geth/v1.13.4-stable/linux",
            "txpool_status": {"pending": "0x1", "queued": "0x0"},
            "eth_getBalance": "0x0",
            "eth_call": "0x",
            "eth_getLogs": [],
            "eth_gasPrice": "0x3b9aca00",
            "debug_traceBlockByNumber": [],
        }
        if method == "eth_getBlockByNumber":
            return found | {"result": self.block(params[0])}
        if method == "eth_feeHistory":
            fees = {"oldestBlock": "0x1", "baseFeePerGas": ["0x3b9aca00"] * 21}
            return found | {
                "result": fees | {"gasUsedRatio": [0.5] * 20, "reward": [["0x1"] * 3] * 20}
            }
        if method in known:
            return found | {"result": known[method]}
        return found | {"error": {"code": -32601, "message": "Method not found"}}

    def block(self, tag: str) -> dict[str, Any]:
        latest = int(Node.wall / BLOCK_S)
        depth = {"latest": 0, "safe": 32, "finalized": 64}
        height = latest - depth[tag] if tag in depth else int(tag, 16)
        return {
            "number": hex(height),
            "hash": f"0x{height:064x}",
            "parentHash": f"0x{height - 1:064x}",
            "timestamp": hex(int(height * BLOCK_S)),
            "gasUsed": hex(15_000_000),
            "gasLimit": hex(30_000_000),
            "stateRoot": f"0x{height:064x}",
            "baseFeePerGas": hex(10**9),
            "transactions": [f"0x{n:064x}" for n in range(150)],
        }


async def _serve(pipe: Connection, count: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Node, "127.0.0.1", 0) for _ in range(count)]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    asked = asyncio.Event()
    loop.add_reader(pipe.fileno(), asked.set)
    await asked.wait()


def _main(pipe: Connection, count: int) -> None:
    uvloop.run(_serve(pipe, count))


@dataclass
class Clock:
    """Time that passes when it is told to."""

    mono: float = 10_000.0
    wall: float = 1_790_000_000.0

    def now(self) -> Now:
        return Now(self.mono, self.wall)

    def turn(self) -> None:
        self.mono += EVERY_S
        self.wall += EVERY_S


def probes(ports: list[int], groups: int) -> Iterator[Probe]:
    for number in range(groups):
        endpoints = [
            {"name": f"node-{at}", "http": f"http://127.0.0.1:{port}/"}
            for at, port in enumerate(ports)
        ]
        kind = Evm.model_validate(
            {"chain": f"chain-{number}", "chain_id": 1, "endpoints": endpoints}
        )
        yield Probe(name=f"chain-{number}", kind=kind, target=f"chain-{number}", timeout_s=EVERY_S)


def calls_in(memory: Memory) -> float:
    """Return how many calls a group has sent so far."""
    return sum(
        value
        for ledger in memory.books.ledgers.values()
        for (name, _), value in ledger.counts.items()
        if name == "chain_rpc_requests_total"
    )


async def measure(ports: list[int], groups: int, minutes: float) -> dict[str, Any]:
    clock = Clock()
    several = list(probes(ports, groups))
    keeps = {probe.name: Keep(Memory(), every_s=EVERY_S) for probe in several}
    line = Line(parse_url(f"http://127.0.0.1:{ports[0]}/"), Recorder(), Options(), call_timeout_s=5)
    costs: list[float] = []
    series = outcomes = 0
    with patch.object(course, "_now", clock.now):
        for _ in range(int(minutes * 60 / EVERY_S)):
            await line.call(Call("bench_time", (clock.wall,)))
            began = process_time()
            for probe in several:
                result = await run_once(probe, keep=keeps[probe.name])
                outcomes += result.outcome is Outcome.UP
                series = len(result.samples)
            costs.append((process_time() - began) / groups)
            clock.turn()
    line.close()
    calls = sum(calls_in(cast("Memory", keep.memory)) for keep in keeps.values())
    runs = len(costs) * groups
    wire_s = await bare(ports, int(calls / runs / len(ports) * 100))
    return {
        "runs": runs,
        "up": outcomes / runs,
        "cpu_ms_per_run": median(costs) * 1000,
        "cores": median(costs) * groups / EVERY_S,
        "calls_per_run": calls / runs,
        "calls_per_endpoint_per_minute": calls / runs / len(ports) * 60 / EVERY_S,
        "series_per_group": series,
        "wire_ms_per_run": wire_s * 1000,
        "times_the_wire": median(costs) / wire_s,
    }


async def bare(ports: list[int], calls: int) -> float:
    """Return the CPU of as many calls as a run has, over lines alone: seconds."""
    per_endpoint = calls / 100
    costs = []
    for _ in range(20):
        began = process_time()
        for port in ports:
            url = parse_url(f"http://127.0.0.1:{port}/")
            line = Line(url, Recorder(), Options(), call_timeout_s=5)
            for _ in range(round(per_endpoint)):
                await line.call(Call("eth_getBlockByNumber", ("latest", False)))
            line.close()
        costs.append((process_time() - began) / round(per_endpoint) * per_endpoint)
    return median(costs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--endpoints", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    wish = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    node = context.Process(target=_main, args=(theirs, wish.endpoints), daemon=True)
    node.start()
    try:
        found = uvloop.run(measure(ours.recv(), wish.groups, wish.minutes))
    finally:
        node.kill()
        node.join()
    missed = [name for name, budget in BUDGETS.items() if found[name] > budget]
    if wish.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, value in found.items():
            budget = f"  (budget {BUDGETS[name]:g})" if name in BUDGETS else ""
            sys.stdout.write(f"{name:32} {value:10.4g}{budget}\n")
    if missed or found["up"] < 1:
        sys.stderr.write(f"missed: {', '.join(missed) or 'a run was not up'}\n")
    return int(bool(missed) or found["up"] < 1)


if __name__ == "__main__":
    sys.exit(main())
