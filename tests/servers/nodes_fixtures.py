"""Fixtures of the chain nodes; knows how many there are and who ends them, not how they start.

The fixtures named after a node are starters: a test calls one as often as it wants nodes, and they
end with the test. Others run for the session, for tests that only read: ``shared_anvil``,
``ticking_anvil``, ``shared_surfpool``, ``shared_cometbft``, ``ganache``, ``hardhat``,
``ethereumjs``. An absent node skips the test, or fails it with ``REQUIRE_SERVICES=1``; cometbft,
which wants Go, always skips.
"""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.servers.comet_app import AppServer
from tests.servers.comet_four import Four, RealFour, made_up_four
from tests.servers.nodes import Anvil, AnvilOptions, Node, start_anvil
from tests.servers.nodes_comet import Comet, start_cometbft, start_network, start_split
from tests.servers.nodes_evm import start_ethereumjs, start_ganache, start_hardhat
from tests.servers.nodes_solana import Surfpool, start_surfpool

# A starter: takes the options of its node by name.
StartAnvil = Callable[..., Anvil]
StartSurfpool = Callable[..., Surfpool]
StartComet = Callable[[], Comet]
StartNetwork = Callable[..., list[Comet]]
StartSplit = Callable[[], Awaitable[list[Comet]]]
N = TypeVar("N", bound=Node)
# Blocks of ``shared_anvil``: more than two epochs of two, so safe and finalized have moved.
SHARED_BLOCKS = 12
SHARED_HEIGHT = 3


class Running:
    """The nodes of one test or session, each with a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes: list[Node] = []

    def directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.root))

    def add(self, node: N) -> N:
        self.nodes.append(node)
        return node

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


@pytest.fixture
def _nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("nodes"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def _session_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("nodes"))
    yield running
    running.stop()


@pytest.fixture
def anvil(_nodes: Running) -> StartAnvil:
    """Starts an anvil; takes the fields of `AnvilOptions` by name."""

    def start(**options: Any) -> Anvil:
        return _nodes.add(start_anvil(_nodes.directory(), AnvilOptions(**options)))

    return start


@pytest.fixture(scope="session")
def shared_anvil(_session_nodes: Running) -> Anvil:
    """An anvil with a few blocks that nobody changes; its head is old."""
    options = AnvilOptions(no_mining=True, slots_in_an_epoch=2)
    node = _session_nodes.add(start_anvil(_session_nodes.directory(), options))
    node.call("anvil_mine", hex(SHARED_BLOCKS))
    return node


@pytest.fixture(scope="session")
def ticking_anvil(_session_nodes: Running) -> Anvil:
    """An anvil with a new block each second; pull no lever of it."""
    options = AnvilOptions(block_time=1, slots_in_an_epoch=2)
    return _session_nodes.add(start_anvil(_session_nodes.directory(), options))


@pytest.fixture(scope="session")
def ganache(_session_nodes: Running) -> Node:
    """A ganache with a new block each second."""
    return _session_nodes.add(start_ganache(_session_nodes.directory()))


@pytest.fixture(scope="session")
def hardhat(_session_nodes: Running) -> Node:
    """A hardhat with a new block each second."""
    return _session_nodes.add(start_hardhat(_session_nodes.directory()))


@pytest.fixture(scope="session")
def ethereumjs(_session_nodes: Running) -> Node:
    """An EVM client with a peer-to-peer layer and no peers, at block 0 for ten seconds."""
    return _session_nodes.add(start_ethereumjs(_session_nodes.directory()))


@pytest.fixture
def surfpool(_nodes: Running) -> StartSurfpool:
    """Starts a Solana node; takes the options of `start_surfpool` by name."""

    def start(**options: Any) -> Surfpool:
        return _nodes.add(start_surfpool(_nodes.directory(), **options))

    return start


@pytest.fixture(scope="session")
def shared_surfpool(_session_nodes: Running) -> Surfpool:
    """A Solana node with a new slot every 400 ms; pull no lever of it."""
    return _session_nodes.add(start_surfpool(_session_nodes.directory()))


@pytest.fixture
def cometbft(_nodes: Running) -> StartComet:
    """Starts a CometBFT chain of one validator."""
    return lambda: _nodes.add(start_cometbft(_nodes.directory()))


@pytest.fixture(scope="session")
def shared_cometbft(_session_nodes: Running) -> Comet:
    """A CometBFT chain of one validator, with a few blocks; pull no lever of it."""
    node = _session_nodes.add(start_cometbft(_session_nodes.directory()))
    while int(node.call("status")["sync_info"]["latest_block_height"]) < SHARED_HEIGHT:
        pass
    return node


@pytest.fixture
def comet_network(_nodes: Running) -> StartNetwork:
    """Starts a CometBFT chain of so many validators."""

    def start(size: int = 4, last: AppServer | None = None) -> list[Comet]:
        return [_nodes.add(node) for node in start_network(_nodes.directory(), size, last)]

    return start


@pytest.fixture
def comet_split(_nodes: Running) -> StartSplit:
    """Starts a CometBFT chain of which the third node has other blocks than the first two."""

    async def start() -> list[Comet]:
        return [_nodes.add(node) async for node in start_split(_nodes.directory())]

    return start


@pytest.fixture(
    params=[
        "simulator",
        pytest.param("cometbft", marks=[pytest.mark.service, pytest.mark.slow]),
    ]
)
async def four(request: pytest.FixtureRequest) -> AsyncIterator[Four]:
    """Four validators of one chain: made up, and real where cometbft is there."""
    if request.param == "simulator":
        async with made_up_four() as made_up:
            yield made_up
        return
    start: StartNetwork = request.getfixturevalue("comet_network")
    app = AppServer()
    try:
        real = RealFour(start(4, app), app)
        yield real
        real.stop()
    finally:
        app.stop()
