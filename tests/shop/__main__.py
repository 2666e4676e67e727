"""Run the shop alone: ``python -m tests.shop [--port N]``."""

import argparse
import asyncio
import signal
import sys

from tests.shop.app import shop_server

PORT = 8090


async def serve(port: int) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    async with shop_server(port) as shop:
        sys.stdout.write(f"the shop is open: {shop.url}  (ada, correct-horse)\n")
        sys.stdout.write(f"break it:         curl -d pay_declined {shop.url}/_fault\n")
        sys.stdout.write(f"all there is:     curl {shop.url}/_fault\n")
        sys.stdout.flush()
        await over.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.shop", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
