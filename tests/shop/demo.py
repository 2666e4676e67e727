"""``make demo``: the shop, and sonde that plays a journey through it; break it and watch.

    python -m tests.shop.demo [--port N] [--listen HOST:PORT]

Says what to type, then one line whenever the journey ends otherwise than before.
"""

import argparse
import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.shop.__main__ import PORT
from tests.shop.app import shop_server

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "examples/shop.yaml"
LOAD = "examples/shop-load.yaml"
LISTEN = "127.0.0.1:9115"
# The journey is played every five seconds; more seldom than that nobody waits for.
LOOK_S = 0.25
STOP_S = 10.0
LOST = (aiohttp.ClientError, TimeoutError, ValueError)

SAY = """
  The shop is open:       {shop}          log in as ada, correct-horse
  sonde watches it:       http://{listen}/

  Break it:               curl -d pay_declined {shop}/_fault
  More ways to break it:  curl {shop}/_fault
  Repair it:              curl -d none {shop}/_fault

  What Prometheus sees:   curl -s http://{listen}/metrics | grep journey_
  As a gate, with proof:  SHOP_URL={shop} .venv/bin/sonde smoke --config {example} --junit out.xml
  One run, all of it:     SHOP_URL={shop} .venv/bin/sonde probe --config {example} --name checkout
  As a load, with rails:  SHOP_URL={shop} .venv/bin/sonde load evening --config {load}

  The journey: {example}.  Ctrl-C ends both.
"""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line_of(result: dict[str, Any]) -> str:
    """Return one run in a line without its times."""
    failure = result["failure"]
    if failure is not None:
        return f"{result['outcome']:8}  {failure['message']}  ({failure['reason']})"
    told = [warning["message"] for warning in result["warnings"]]
    told = told or [f"all {len(result['steps'])} steps"]
    return f"{result['outcome']:8}  {'; '.join(told)}"


async def watch(listen: str, name: str) -> None:
    """Tell whenever the runs of the probe *name* end otherwise than before."""
    before = ""
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        while True:
            with suppress(*LOST):  # sonde starts, or stops
                async with client.get(f"http://{listen}/api/v1/probes") as answer:
                    known = {row["name"]: row["result"] for row in (await answer.json())["probes"]}
                line = line_of(known[name]) if known.get(name) else before
                if line != before:
                    say(f"{datetime.now():%H:%M:%S}  {name}  {line}")  # noqa: DTZ005 - for people
                before = line
            await asyncio.sleep(LOOK_S)


async def start_sonde(url: str, listen: str) -> Process:
    command = (sys.executable, "-c", "from exporter.cli import main; main()", "run",
               "--config", EXAMPLE, "--listen", listen, "--log-level", "error")  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**os.environ, "SHOP_URL": url},
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is ours: it would hear of the end twice
    )


async def stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def demo(port: int, listen: str) -> int:
    """Run both until one ends or somebody says so; return the exit code."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    async with shop_server(port) as shop:
        process = await start_sonde(shop.url, listen)
        try:
            say(SAY.format(shop=shop.url, listen=listen, example=EXAMPLE, load=LOAD))
            asked, ended, watching = (
                asyncio.create_task(over.wait()),
                asyncio.create_task(process.wait()),
                asyncio.create_task(watch(listen, "checkout")),
            )
            await asyncio.wait((asked, ended, watching), return_when=asyncio.FIRST_COMPLETED)
            early = process.returncode
            for task in (asked, ended, watching):
                task.cancel()
            await asyncio.gather(asked, ended, watching, return_exceptions=True)
        finally:
            await stop(process)
    return early or 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="The shop, and sonde on it.")
    parser.add_argument("--port", type=int, default=PORT, help="of the shop")
    parser.add_argument("--listen", default=LISTEN, help="HOST:PORT of sonde")
    given = parser.parse_args()
    try:
        return asyncio.run(demo(given.port, given.listen))
    except OSError as error:
        say(f"want a free port {given.port} for the shop, got: {error.strerror}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
