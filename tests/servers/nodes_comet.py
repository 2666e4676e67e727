"""Real CometBFT nodes with the application ``kvstore``: one alone, or a network of validators.

Absent without Go: what runs everywhere is the simulator, `tests.servers.comet`. A node keeps its
files, so it can be ended and started again, which makes it catch up with the others.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.servers.comet_app import AppServer
from tests.servers.nodes import HOME, Node, eventually, launch
from tests.servers.process import free_port

# With one each, a third of four is one: a validator that holds a third syncs no blocks, as without
# it there would be none.
POWER = "10"
# Height of the last block that all nodes of a chain that split have.
SPLIT_AT = 3
SERVING = re.compile(r"RPC HTTP server on 127\.0\.0\.1:(\d+)")
# Seconds by default, which is too long for a test.
SETTINGS = {
    "timeout_propose": "500ms",
    "timeout_prevote": "200ms",
    "timeout_precommit": "200ms",
    "timeout_commit": "100ms",
    "peer_gossip_sleep_duration": "10ms",
    "peer_query_maj23_sleep_duration": "200ms",
    "addr_book_strict": False,
    "allow_duplicate_ip": True,
    # peers are told, and found once
    "pex": False,
}


class Comet(Node):
    """A running CometBFT; ``home`` are its files, ``app`` its application if that is not built in.

    What is built in forgets its state with the node, and is told all blocks by `again`.
    """

    home: Path
    words: tuple[str, ...] = ()
    app: AppServer | None = None

    async def status(self) -> Any:
        """Return what ``status`` says."""
        return await self.rpc("status")

    async def height(self) -> int:
        """Return the latest height."""
        return int((await self.status())["sync_info"]["latest_block_height"])

    async def has_caught_up(self) -> bool:
        """Return whether it says so."""
        return not (await self.status())["sync_info"]["catching_up"]

    async def until(self, height: int) -> None:
        """Wait for the block of *height*."""

        async def is_there() -> bool:
            return await self.height() >= height

        await eventually(is_there)

    def again(self, app: AppServer | None = None) -> "Comet":
        """Start it again after `stop`, with the same files and another port."""
        (self.directory / "log").unlink()
        return _run(self.home, self.directory, self.words, app)

    def forget(self) -> None:
        """Remove all blocks of a node that is stopped; it keeps its keys."""
        _command("unsafe-reset-all", "--home", str(self.home))


def program() -> str:
    """Return the path of cometbft; without it the test is skipped, in CI too: Go is not wanted."""
    path = os.pathsep.join((str(HOME / "bin"), os.environ.get("PATH", "")))
    found = shutil.which("cometbft", path=path)
    if found is None:
        pytest.skip("want the program 'cometbft', got none (scripts/nodes.sh builds it with Go)")
    return found


def _command(*words: str) -> str:
    done = subprocess.run(
        [program(), *words], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


def configure(home: Path) -> None:
    """Write `SETTINGS` into the configuration below *home*."""
    file = home / "config" / "config.toml"
    text = file.read_text()
    for name, value in SETTINGS.items():
        word = str(value).lower() if isinstance(value, bool) else f'"{value}"'
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {word}", text)
    file.write_text(text)


def _empower(home: Path) -> None:
    file = home / "config" / "genesis.json"
    genesis = json.loads(file.read_text())
    for validator in genesis["validators"]:
        validator["power"] = POWER
    file.write_text(json.dumps(genesis))


def _run(home: Path, directory: Path, words: Sequence[str], app: AppServer | None = None) -> Comet:
    command = [
        program(), "node", "--home", home, "--proxy_app", app.url if app else "kvstore",
        "--rpc.laddr", "tcp://127.0.0.1:0", *words,
    ]  # fmt: skip
    node = launch(Comet, command, directory, "status", SERVING)
    node.home, node.words, node.app, node.ws_path = home, tuple(words), app, "/websocket"
    return node


def start_cometbft(directory: Path) -> Comet:
    """Start a chain of one validator."""
    home = directory / "home"
    _command("init", "--home", str(home))
    configure(home)
    return _run(home, directory, ["--p2p.laddr", "tcp://127.0.0.1:0"])


def start_network(directory: Path, size: int = 4, last: AppServer | None = None) -> Iterator[Comet]:
    """Start a chain of *size* validators, each a peer of all others.

    Args:
        directory: of their files.
        size: how many.
        last: application of the last one; None: it has the built-in one as the others do.
    """
    folder = directory / "network"
    _command("testnet", "--v", str(size), "--o", str(folder), "--populate-persistent-peers=false")
    homes = [folder / f"node{number}" for number in range(size)]
    addresses = [f"127.0.0.1:{free_port()}" for _ in homes]
    names = [_command("show-node-id", "--home", str(home)) for home in homes]
    for home, address in zip(homes, addresses, strict=True):
        configure(home)
        _empower(home)
        peers = [
            f"{name}@{other}"
            for name, other in zip(names, addresses, strict=True)
            if other != address
        ]
        words = ["--p2p.laddr", f"tcp://{address}", "--p2p.persistent_peers", ",".join(peers)]
        yield _run(home, home, words, last if home == homes[-1] else None)


async def together(nodes: Iterable[Comet], height: int) -> None:
    """Wait until all *nodes* have the block of *height*, and none is catching up.

    A validator that began a little later than the others may sync the first blocks.
    """
    for node in nodes:
        await node.until(height)
        await eventually(node.has_caught_up)


async def start_split(directory: Path) -> AsyncIterator[Comet]:
    """Start a chain that split: its validator, a node that follows it, and a copy of the validator.

    The copy was made of a chain of a few blocks, and both went on with the same key.
    """
    one, follower, copy = (directory / name for name in ("validator", "follower", "copy"))
    for home in (one, follower):
        _command("init", "--home", str(home))
        configure(home)
    shutil.copy(one / "config" / "genesis.json", follower / "config")
    address = f"127.0.0.1:{free_port()}"
    validator = _run(one, one, ["--p2p.laddr", f"tcp://{address}"])
    try:
        await validator.until(SPLIT_AT)
    finally:
        validator.stop()
    shutil.copytree(one, copy, ignore=shutil.ignore_patterns("log"))
    yield validator.again()
    peer = f"{_command('show-node-id', '--home', str(one))}@{address}"
    alone = ["--p2p.laddr", "tcp://127.0.0.1:0"]
    yield _run(follower, follower, [*alone, "--p2p.persistent_peers", peer])
    yield _run(copy, copy, alone)
