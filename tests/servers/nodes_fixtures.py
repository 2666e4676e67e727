"""Fixtures of the chain nodes; knows how many there are and who ends them, not how they start.

The fixtures named after a node are starters: a test calls one as often as it wants nodes, and they
end with the test. ``shared_anvil`` and ``ticking_anvil`` run for the session, for tests that only
read. An absent node skips the test, or fails it with ``REQUIRE_SERVICES=1``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.nodes import Anvil, AnvilOptions, Node, start_anvil

# A starter: takes the options of its node by name.
StartAnvil = Callable[..., Anvil]
# Blocks of ``shared_anvil``: more than two epochs of two, so safe and finalized have moved.
SHARED_BLOCKS = 12


class Running:
    """The nodes of one test or session, each with a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes: list[Node] = []

    def directory(self) -> Path:
        directory = self.root / f"node{len(self.nodes)}"
        directory.mkdir()
        return directory

    def add(self, node: Any) -> Any:
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
        node: Anvil = _nodes.add(start_anvil(_nodes.directory(), AnvilOptions(**options)))
        return node

    return start


@pytest.fixture(scope="session")
def shared_anvil(_session_nodes: Running) -> Anvil:
    """An anvil with a few blocks that nobody changes; its head is old."""
    options = AnvilOptions(no_mining=True, slots_in_an_epoch=2)
    node: Anvil = _session_nodes.add(start_anvil(_session_nodes.directory(), options))
    node.call("anvil_mine", hex(SHARED_BLOCKS))
    return node


@pytest.fixture(scope="session")
def ticking_anvil(_session_nodes: Running) -> Anvil:
    """An anvil with a new block each second; pull no lever of it."""
    options = AnvilOptions(block_time=1, slots_in_an_epoch=2)
    node: Anvil = _session_nodes.add(start_anvil(_session_nodes.directory(), options))
    return node
