"""CPU of one request to ``/probe``: ours beside blackbox_exporter's, over HTTP and HTTPS.

    python bench/probe_endpoint.py [--rounds 5] [--requests 1500] [--json FILE]

Both programs read one blackbox.yml and probe one cheap server, over a new connection each time, as
a Prometheus asks: over connections that stay. Rounds are interleaved, so that a neighbour on the
machine disturbs both alike; what counts is the ratio of a round.
"""

import argparse
import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trustme
import uvloop

from bench.http_probe import BLACKBOX, SERVER, cpu_of

# So many scrapes go on at once: enough that falling asleep between two is not what is measured.
PARALLEL = 16
WARM_UP = 100
GOAL = 3.0
"""So many times the requests of blackbox_exporter per CPU second."""
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
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(request)
            page = await _page(reader)
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
    programs: dict[str, tuple[int, int]], targets: dict[str, str], rounds: int, requests: int
) -> dict[str, dict[str, list[float]]]:
    """Return CPU microseconds a request: scheme -> program -> one figure a round."""
    figures: dict[str, dict[str, list[float]]] = {it: {} for it in targets}
    for scheme, target in targets.items():
        path = f"/probe?module={scheme}&target={quote(target, safe='')}"
        for _, port in programs.values():
            await ask(port, path, WARM_UP)
        for _ in range(rounds):
            for name, (pid, port) in programs.items():
                before = cpu_of(pid)
                await ask(port, path, requests)
                spent = (cpu_of(pid) - before) / requests * 1e6
                figures[scheme].setdefault(name, []).append(spent)
    return figures


def report(figures: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Print requests per CPU second, and ratios round by round."""
    found: dict[str, Any] = {"figures": figures, "ratios": {}}
    print("requests to /probe per CPU second (median of rounds)")
    for scheme, programs in figures.items():
        for name, values in programs.items():
            print(f"  {scheme:6} {name:18} {1e6 / statistics.median(values):7.0f}")
        if len(programs) > 1:
            ours, theirs = programs.values()
            ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
            found["ratios"][scheme] = ratio
            print(f"  {scheme:6} ratio {ratio:.2f}   want >= {GOAL:g}")
    found["passed"] = all(ratio >= GOAL for ratio in found["ratios"].values())
    print("kept" if found["passed"] else "MISSED")
    return found


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
        _, plain = stack.enter_context(started([sys.executable, "-c", SERVER]))
        secured = [sys.executable, "-c", TLS_SERVER, str(directory / "server.pem")]
        _, secure = stack.enter_context(started(secured))
        port = free_port()
        run = [sys.executable, "-c", "from exporter.cli import main; main()", "run"]
        run += ["--blackbox-config", str(config), "--listen", f"127.0.0.1:{port}"]
        programs = {"sonde": stack.enter_context(started(run, port))}
        peer = shutil.which(BLACKBOX)
        if peer is not None:
            port = free_port()
            run = [peer, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
            programs["blackbox_exporter"] = stack.enter_context(started(run, port))
        targets = {"http": f"http://127.0.0.1:{plain}/", "https": f"https://127.0.0.1:{secure}/"}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = report(runner.run(measure(programs, targets, options.rounds, options.requests)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
