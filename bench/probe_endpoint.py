"""CPU of one request to ``/probe``: ours beside blackbox_exporter's, over HTTP and HTTPS.

    python bench/probe_endpoint.py [--rounds 5] [--requests 1500] [--json FILE]

Both programs read one blackbox.yml and probe one cheap server that never sleeps, over a new
connection each time, as a Prometheus asks: over connections that stay, with its headers. Rounds are
interleaved, so that a neighbour on the machine disturbs all alike; what counts is the ratio of a
round.

Over HTTPS a third contender does the handshake and nothing else: OpenSSL through `ssl.MemoryBIO`,
no socket, no loop, no request. Whoever verifies with this OpenSSL cannot be faster.
"""

import argparse
import asyncio
import gzip
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trustme
import uvloop

from bench.http_probe import BLACKBOX, SERVER, cpu_of

# So many scrapes go on at once: enough that falling asleep between two is not what is measured.
PARALLEL = 16
WARM_UP = 100
GOALS = {"http": 3.0, "https": 1.15}
"""So many times the requests of blackbox_exporter per CPU second."""
MOST_BESIDE = 2.5
"""Over HTTPS at most so many plain requests of ours beside the bare handshake."""
HANDSHAKE, BLACKBOX_NAME = "bare handshake", "blackbox_exporter"
# What Prometheus 2.42 sends.
HEADERS = (
    "Host: localhost\r\nUser-Agent: Prometheus/2.42.0\r\nAccept: application/openmetrics-text;"
    "version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
    "*/*;q=0.1\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
)
READY_S = 20.0

MODULES = """
modules:
  http: {{prober: http, timeout: 5s}}
  https: {{prober: http, timeout: 5s,
    http: {{fail_if_not_ssl: true, tls_config: {{ca_file: '{ca}'}}}}}}
"""
# The cheap server of the other bench, behind a certificate.
TLS_SERVER = SERVER.replace("import asyncio, uvloop", "import asyncio, ssl, sys, uvloop").replace(
    'Answer, "127.0.0.1", 0,', 'Answer, "127.0.0.1", 0, ssl=context,'
).replace("async def main():", """context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
async def main():""")  # fmt: skip


@contextmanager
def started(command: list[str], port: int = 0) -> Iterator[tuple[int, int]]:
    """Run *command* until it listens on *port*, or tells its own; give its pid and port."""
    pipe = None if port else subprocess.PIPE
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe or log, stderr=log, text=True
        )
        try:
            if process.stdout is not None:
                port = int(process.stdout.readline())
            _wait(port, process)
            yield process.pid, port
        finally:
            process.terminate()
            process.wait()


def _wait(port: int, process: "subprocess.Popen[str]") -> None:
    ends = time.monotonic() + READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > ends or process.poll() is not None:
                raise
            time.sleep(0.05)  # it has no other way to tell
        else:
            return


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def ask(port: int, path: str, requests: int) -> None:
    """Ask for *path* so many times, over `PARALLEL` connections that stay."""
    left = iter(range(requests))
    request = f"GET {path} HTTP/1.1\r\n{HEADERS}".encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(request)
            page = gzip.decompress(await _page(reader))
            if b"\nprobe_success 1\n" not in page:
                raise RuntimeError(f"want probe_success 1, got {page[-300:]!r}")
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(PARALLEL):
            group.create_task(one())


async def _page(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"content-length: ")
    if found:
        return await reader.readexactly(int(rest.partition(b"\r\n")[0]))
    page = b""
    while size := int(await reader.readline(), 16):
        page += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return page


async def measure(
    programs: dict[str, tuple[int, int]], path: str, rounds: int, requests: int, directory: Path
) -> dict[str, list[float]]:
    """Return CPU microseconds a request: program -> one figure a round."""
    figures: dict[str, list[float]] = {name: [] for name in programs}
    is_tls = path.startswith("/probe?module=https&")
    if is_tls:
        figures[HANDSHAKE] = []
    for _, port in programs.values():
        await ask(port, path, WARM_UP)
    for _ in range(rounds):
        for name, (pid, port) in programs.items():
            before = cpu_of(pid)
            await ask(port, path, requests)
            figures[name].append((cpu_of(pid) - before) / requests * 1e6)
        if is_tls:
            figures[HANDSHAKE].append(handshakes(directory, requests))
    return figures


def handshakes(directory: Path, count: int) -> float:
    """Return the CPU microseconds of the client in one handshake of TLS 1.3, verified."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "server.pem")
    client = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    spent = 0.0
    for _ in range(count):
        there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
        begun = time.process_time()
        ours = client.wrap_bio(there, here, server_hostname="127.0.0.1")
        with suppress(ssl.SSLWantReadError):
            ours.do_handshake()
        spent += time.process_time() - begun
        theirs = server.wrap_bio(here, there, server_side=True)
        with suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
        begun = time.process_time()
        ours.do_handshake()
        spent += time.process_time() - begun
    return spent / count * 1e6


def report(figures: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Print requests per CPU second, and ratios round by round."""
    found: dict[str, Any] = {"figures": figures, "ratios": {}, "best_possible": {}}
    print("requests to /probe per CPU second (median of rounds)")
    for scheme, programs in figures.items():
        for name, values in programs.items():
            print(f"  {scheme:6} {name:18} {1e6 / statistics.median(values):7.0f}")
        if BLACKBOX_NAME in programs:
            ratio = _ratio(programs[BLACKBOX_NAME], programs["sonde"])
            found["ratios"][scheme] = ratio
            print(f"  {scheme:6} ratio {ratio:.2f}   want >= {GOALS[scheme]:g}")
        if HANDSHAKE in programs and BLACKBOX_NAME in programs:
            best = found["best_possible"][scheme] = _ratio(
                programs[BLACKBOX_NAME], programs[HANDSHAKE]
            )
            print(f"  {scheme:6} ratio {best:.2f}   of a handshake that nothing follows")
    passed = all(ratio >= GOALS[scheme] for scheme, ratio in found["ratios"].items())
    beside = [
        (whole - bare) / plain
        for whole, bare, plain in zip(
            figures["https"]["sonde"],
            figures["https"][HANDSHAKE],
            figures["http"]["sonde"],
            strict=True,
        )
    ]
    found["beside_the_handshake"] = told = statistics.median(beside)
    print(f"  https  {told:.2f} plain requests beside the handshake   want <= {MOST_BESIDE:g}")
    found["passed"] = passed and told <= MOST_BESIDE
    print("kept" if found["passed"] else "MISSED")
    return found


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(directory / "ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            directory / "server.pem"
        )
        config = directory / "blackbox.yml"
        config.write_text(MODULES.format(ca=directory / "ca.pem"))
        servers = {
            "http": [sys.executable, "-c", SERVER],
            "https": [sys.executable, "-c", TLS_SERVER, str(directory / "server.pem")],
        }
        port = free_port()
        run = [sys.executable, "-c", "from exporter.cli import main; main()", "run"]
        run += ["--blackbox-config", str(config), "--listen", f"127.0.0.1:{port}"]
        programs = {"sonde": stack.enter_context(started(run, port))}
        peer = shutil.which(BLACKBOX)
        if peer is not None:
            port = free_port()
            run = [peer, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
            programs[BLACKBOX_NAME] = stack.enter_context(started(run, port))
        figures: dict[str, dict[str, list[float]]] = {}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for scheme, server in servers.items():
                # one at a time: each takes a whole processor
                with started(server) as (_, port):
                    target = quote(f"{scheme}://127.0.0.1:{port}/", safe="")
                    path = f"/probe?module={scheme}&target={target}"
                    figures[scheme] = runner.run(
                        measure(programs, path, options.rounds, options.requests, directory)
                    )
        found = report(figures)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
