"""CPU of one JSON-RPC call over a kept connection, plain and over TLS: ours and aiohttp's client.

    python bench/jsonrpc_line.py [--rounds 5] [--calls 4000] [--json FILE]

All ask one cheap server in another process; rounds are interleaved, medians and ratios are printed.
"""

import argparse
import asyncio
import gc
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import trustme
import uvloop

from bench.http_probe import own_cpu
from exporter.service import GC_THRESHOLDS
from probes.recorder import Recorder
from probes.wire.http.options import Options
from probes.wire.jsonrpc import Call, Line
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url

# Connections that ask at the same time: below the 8 slots of timed calls nobody waits.
PARALLEL = 8
WARM_UP = 400
# Of our own CPU for a call in plain text, on a quiet core. Without the kernel it was 30 when this
# was written (2026-11).
LIMIT_US = 60
# The most of aiohttp's cost that ours may be; half to two thirds were seen.
LIMIT_RATIO = 0.7

SERVER = r"""
import asyncio, ssl, sys, uvloop
BODY = b'{"jsonrpc":"2.0","id":1,"result":"0x1234"}'
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\n"
          b"Content-Length: %d\r\n\r\n" % len(BODY)) + BODY
class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.seen = b""
    def data_received(self, data):
        # a client may send head and body apart
        self.seen += data
        head, found, body = self.seen.partition(b"\r\n\r\n")
        if found:
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(body) >= size:
                self.seen = b""
                self.transport.write(ANSWER)
async def main():
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    for how in (None, context):
        server = await loop.create_server(Answer, "127.0.0.1", 0, ssl=how)
        print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())
"""

Ask = Callable[[], Awaitable[None]]


@contextmanager
def server(directory: Path) -> Iterator[tuple[int, int]]:
    """Run the cheap server; give its ports, plain and TLS."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    leaf = ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    leaf.write_to_path(directory / "server.pem")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(directory / "server.pem")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("want the server's ports, got no pipe")
        yield int(process.stdout.readline()), int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


async def cost(asks: list[Ask], calls: int) -> float:
    """Return the CPU microseconds of one call."""

    async def worker(ask: Ask) -> None:
        for _ in range(calls // len(asks)):
            await ask()

    before = own_cpu()
    await asyncio.gather(*map(worker, asks))
    return (own_cpu() - before) / (calls // len(asks) * len(asks)) * 1e6


def ours(url: str, options: Options, lines: list[Line]) -> list[Ask]:
    """Return what asks over lines of ours."""

    def ask(line: Line) -> Ask:
        async def once() -> None:
            reply = await line.call(Call("eth_blockNumber", timed=True))
            if reply.status != 200 or not reply.body:
                raise RuntimeError(str(reply.failure))

        return once

    found = [Line(parse_url(url), Recorder(), options, call_timeout_s=5) for _ in range(PARALLEL)]
    lines += found
    return [ask(line) for line in found]


def theirs(url: str, session: aiohttp.ClientSession, context: ssl.SSLContext | None) -> list[Ask]:
    """Return what asks by aiohttp."""
    payload = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}

    async def once() -> None:
        async with session.post(url, json=payload, ssl=context or True) as response:
            await response.read()

    return [once] * PARALLEL


async def measure(
    options: argparse.Namespace, ports: tuple[int, int], ca: str
) -> dict[str, list[float]]:
    """Return CPU microseconds per call: name -> one figure a round."""
    plain, secure = f"http://127.0.0.1:{ports[0]}/", f"https://127.0.0.1:{ports[1]}/"
    trusting = Options(tls=TlsOptions(ca_file=ca))
    context = ssl.create_default_context(cafile=ca)
    lines: list[Line] = []
    figures: dict[str, list[float]] = {}
    async with aiohttp.ClientSession() as session:
        contenders = {
            "sonde, plain": ours(plain, trusting, lines),
            "aiohttp, plain": theirs(plain, session, None),
            "sonde, TLS": ours(secure, trusting, lines),
            "aiohttp, TLS": theirs(secure, session, context),
        }
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        for asks in contenders.values():
            await cost(asks, WARM_UP)
        for _ in range(options.rounds):
            for name, asks in contenders.items():
                figures.setdefault(name, []).append(await cost(asks, options.calls))
    for line in lines:
        line.close()
    return figures


def report(figures: dict[str, list[float]]) -> bool:
    """Print medians, and ratios round by round."""
    print("CPU per JSON-RPC call over a kept connection, in us (median of rounds)")
    for name, values in figures.items():
        print(
            f"  {name:16} {statistics.median(values):6.1f}   ({min(values):.0f}..{max(values):.0f})"
        )
    pairs = zip(figures["sonde, plain"], figures["aiohttp, plain"], strict=True)
    ratio = statistics.median(mine / other for mine, other in pairs)
    kept = statistics.median(figures["sonde, plain"]) <= LIMIT_US and ratio <= LIMIT_RATIO
    verdict = "kept" if kept else "MISSED"
    print(f"want <= {LIMIT_US} us and <= {LIMIT_RATIO} of aiohttp, got {ratio:.2f}: {verdict}")
    return kept


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = stack.enter_context(server(directory))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(measure(options, ports, str(directory / "ca.pem")))
    if options.json:
        options.json.write_text(json.dumps({"figures": figures}, indent=2))
    return 0 if report(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
