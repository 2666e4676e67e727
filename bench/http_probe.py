"""CPU of one HTTP probe over a new connection: ours, aiohttp's client, blackbox_exporter.

    python bench/http_probe.py [--processes 5] [--rounds 5] [--probes 2000] [--json FILE]

All probe one cheap server in another process, which never sleeps: whoever wakes a sleeper on this
host pays for it (an interrupt between processors, dear in a virtual machine), and a prober of other
hosts does not. Rounds are interleaved, so that a neighbour on the machine disturbs all alike, and
are spread over several processes: addresses and hashes that fell well or badly shift all figures of
one process by some percent. Medians and ratios are printed, never absolute figures alone.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from exporter.exposition.sink import MetricsSink
from exporter.metrics import SelfMetrics
from exporter.schedule import Scheduler
from exporter.service import GC_THRESHOLDS
from probes.kinds.http import Http
from probes.probe import Probe
from probes.recorder import Recorder
from probes.result import Result
from probes.run import run_once
from probes.wire.http.exchange import exchange
from probes.wire.http.message import Request
from probes.wire.http.options import Options
from probes.wire.url import parse_url

# Saturated: with fewer, the cost of falling asleep between answers is measured too.
PARALLEL = 32
WARM_UP = 200
# Enough that falling asleep between two starts is not what is measured.
STARTS = 20_000
BLACKBOX = "prometheus-blackbox-exporter"
# L15: so much on a machine where a probe of blackbox_exporter costs so much. One that is half as
# fast today is no fault of ours, so this is a goal and told in its own line.
GOAL_US, GOAL_BLACKBOX_US = 230, 1150
PEERS = {"aiohttp": 0.6, "blackbox_exporter": 0.25}
"""Whom we are compared with, and the most of their cost that ours may be."""

SERVER = r"""
import asyncio, uvloop
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
          b"Connection: close\r\n\r\nok\n")
class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(ANSWER)
        self.transport.close()
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(0)
asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
"""

Once = Callable[[], Awaitable[None]]
Measure = Callable[[], float]


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that process *pid* has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu() -> float:
    """Return the CPU seconds that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def server() -> Iterator[int]:
    """Run the cheap server; give its port."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("want the server's port, got no pipe")
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


@contextmanager
def blackbox() -> Iterator[tuple[int, int] | None]:
    """Run blackbox_exporter, where there is one; give its pid and port."""
    program = shutil.which(BLACKBOX)
    if program is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
        config.write("modules: {http: {prober: http, http: {preferred_ip_protocol: ip4}}}\n")
        config.flush()
        process = subprocess.Popen(
            [program, f"--config.file={config.name}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            yield process.pid, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # it has no other way to tell
        else:
            return


async def cost(once: Once, probes: int, measure: Measure = own_cpu) -> float:
    """Return the CPU microseconds of one *once*."""

    async def worker(turns: int) -> None:
        for _ in range(turns):
            await once()

    before = measure()
    await asyncio.gather(*(worker(probes // PARALLEL) for _ in range(PARALLEL)))
    return (measure() - before) / (probes // PARALLEL * PARALLEL) * 1e6


def metrics_sink(probe: Probe) -> Callable[[Result], None]:
    """Return what turns a Result of *probe* into metrics, as in the service."""
    sink = MetricsSink(SelfMetrics("bench"))
    sink.set_probes([probe])

    def publish(result: Result) -> None:
        sink.publish(result, result.outcome)

    return publish


def sonde(url: str) -> dict[str, tuple[Once, Measure]]:
    """Return our contenders: the whole path, and the wire layer alone."""
    kind = Http.model_validate({"expect": {"latency": "2s"}})
    probe = Probe(name="bench", kind=kind, target=url, timeout_s=5)
    publish = metrics_sink(probe)
    request, how = Request(parse_url(url)), Options()

    async def ours() -> None:
        result = await run_once(probe)
        if not result.ok:
            raise RuntimeError(str(result.failure))
        publish(result)

    async def wire() -> None:
        (await exchange(request, Recorder(), how)).check()

    return {"sonde": (ours, own_cpu), "sonde, wire only": (wire, own_cpu)}


async def schedule_alone(rounds: int) -> list[float]:
    """Return the CPU microseconds that the scheduler of the service needs for one start.

    `STARTS` empty runs a second; planner, watchdog and timers are in the figure.
    """

    async def nothing(_: str) -> None:
        """Do nothing."""

    scheduler = Scheduler(nothing, capacity=STARTS)
    scheduler.set_probes({f"bench-{number}": 1.0 for number in range(STARTS)})
    scheduler.start()
    await asyncio.sleep(2)  # behind the first runs, which are spread otherwise
    figures: list[float] = []
    for _ in range(rounds):
        before, runs = own_cpu(), scheduler.stats.started
        await asyncio.sleep(1)
        figures.append((own_cpu() - before) / (scheduler.stats.started - runs) * 1e6)
    await scheduler.drain()
    return figures


async def measure_all(
    options: argparse.Namespace, port: int, peer: tuple[int, int] | None
) -> dict[str, list[float]]:
    """Return CPU microseconds per probe: name -> one figure a round."""
    url = f"http://127.0.0.1:{port}/"
    figures: dict[str, list[float]] = {}
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        aiohttp.ClientSession() as pages,
    ):

        async def theirs() -> None:
            async with session.get(url) as response:
                await response.read()

        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        contenders = sonde(url) | {"aiohttp": (theirs, own_cpu)}
        if peer is not None:
            pid, its_port = peer
            page = f"http://127.0.0.1:{its_port}/probe?module=http&target={url}"
            contenders["blackbox_exporter"] = (_scrape(pages, page), lambda: cpu_of(pid))
        for once, measure in contenders.values():
            await cost(once, WARM_UP, measure)
        for _ in range(options.rounds):
            for name, (once, measure) in contenders.items():
                figures.setdefault(name, []).append(await cost(once, options.probes, measure))
    figures["schedule alone"] = await schedule_alone(options.rounds)
    return figures


def _scrape(session: aiohttp.ClientSession, page: str) -> Once:
    async def once() -> None:
        async with session.get(page) as response:
            text = await response.text()
        if "probe_success 1" not in text:
            raise RuntimeError(f"want probe_success 1, got {text[-200:]!r}")

    return once


def measure_in_processes(
    options: argparse.Namespace, port: int, peer: tuple[int, int] | None
) -> dict[str, list[float]]:
    """Return the figures of all rounds of several processes, one process after the other."""
    figures: dict[str, list[float]] = {}
    told = json.dumps([port, peer])
    for _ in range(options.processes):
        words = ["--rounds", str(options.rounds), "--probes", str(options.probes)]
        done = subprocess.run(
            [sys.executable, __file__, *words, "--measure", told],
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        for name, values in json.loads(done.stdout).items():
            figures.setdefault(name, []).extend(values)
    return figures


def verdict(kept: bool) -> str:  # noqa: FBT001 - a verdict into words
    """Say a verdict."""
    return "kept" if kept else "MISSED"


def report(figures: dict[str, list[float]]) -> dict[str, Any]:
    """Print medians, and ratios round by round: the speed of a shared machine drifts."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    schedule = medians["schedule alone"]
    ours = medians["sonde"] + schedule
    ratios = {
        name: statistics.median(
            (mine + schedule) / theirs
            for mine, theirs in zip(figures["sonde"], figures[name], strict=True)
        )
        for name in PEERS
        if name in figures
    }
    print("CPU per HTTP probe over a new connection, in us (median of rounds; sonde: with metrics)")
    print(f"  by Python {platform.python_version()} of {sys.base_prefix}")
    for name, value in medians.items():
        low, high = min(figures[name]), max(figures[name])
        ratio = f"   the whole path costs {ratios[name]:.2f} of it" if name in ratios else ""
        print(f"  {name:20} {value:6.0f}   ({low:.0f}..{high:.0f}){ratio}")
    print(f"  {'whole path':20} {ours:6.0f}   sonde + schedule")
    if "blackbox_exporter" in medians:
        goal = GOAL_US * medians["blackbox_exporter"] / GOAL_BLACKBOX_US
        print(f"goal <= {goal:.0f} us on a machine of this speed: {verdict(ours <= goal)}")
    passed = all(ratios[name] <= PEERS[name] for name in ratios)
    wanted = ", ".join(f"<= {PEERS[name]} of {name}" for name in ratios)
    print(f"want {wanted}: {verdict(passed)}")
    return {
        "figures": figures,
        "medians_us": medians,
        "whole_path_us": ours,
        "ratios": ratios,
        "passed": passed,
    }


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5, help="of each process")
    parser.add_argument("--probes", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # whoever is told to end takes the server along, which never sleeps
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.measure:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(measure_all(options, *options.measure))))
        return 0
    with ExitStack() as stack:
        port = stack.enter_context(server())
        peer = stack.enter_context(blackbox())
        found = report(measure_in_processes(options, port, peer))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
