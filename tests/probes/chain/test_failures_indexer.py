"""Chains.md 17, row 55: indexers that are stuck, on another branch, or in error."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from probes.chain.kind import ChainKind
from probes.config.load import load
from tests.probes.chain.rig import BLOCK_S, Clock, Devnet, Rig, evm

pytestmark = [pytest.mark.service, pytest.mark.slow]


class Graph:
    """What an indexer of The Graph says: a lever for each."""

    def __init__(self) -> None:
        self.url = ""
        self.block: dict[str, Any] = {}
        self.has_errors = False

    async def take(self, net: Devnet, number: int | None = None) -> None:
        """Index up to a block, the latest by default."""
        block = await net.nodes[0].block("latest" if number is None else number)
        self.block = {"number": int(block["number"], 16), "hash": block["hash"]}

    async def answer(self, request: web.Request) -> web.Response:
        meta = {"block": self.block, "hasIndexingErrors": self.has_errors}
        return web.json_response({"data": {"_meta": meta}})


@asynccontextmanager
async def graph_server() -> AsyncIterator[Graph]:
    graph = Graph()
    app = web.Application()
    app.router.add_post("/graph", graph.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        graph.url = f"http://127.0.0.1:{runner.addresses[0][1]}/graph"
        yield graph
    finally:
        await runner.cleanup()


@pytest.fixture
async def graph(net: Devnet) -> AsyncIterator[Graph]:
    async with graph_server() as graph:
        await graph.take(net)
        yield graph


def rig_of(clock: Clock, net: Devnet, graph: Graph, **keys: Any) -> Rig:
    told = {"name": "graph", "preset": "thegraph", "url": graph.url, **keys}
    return Rig(clock, evm({"own": net.nodes[0].url}, indexers=[told]))


def test_a_file_with_indexers_is_read(tmp_path: Path) -> None:
    """The registry of kinds must be known to every kind that asks indexers."""
    words = {"evm": "1", "solana": "devnet", "cosmos": "neutron-1"}
    file = tmp_path / "probes.yaml"
    groups = [
        f"""
  - name: {kind}
    kind: {kind}
    chain_id: {chain_id}
    endpoints: [{{name: own, http: "http://127.0.0.1:1"}}]
    indexers: [{{name: graph, preset: thegraph, url: "http://127.0.0.1:2/graph"}}]"""
        for kind, chain_id in words.items()
    ]
    file.write_text("version: 1\nchains:" + "".join(groups))

    config = load(file)

    assert [probe.kind.name for probe in config.probes] == ["evm", "solana", "cosmos"]
    for probe in config.probes:
        assert isinstance(probe.kind, ChainKind)
        assert type(probe.kind).find("tcp").name == "tcp"


async def test_row_55_an_indexer_that_stands_still_while_it_is_behind(
    clock: Clock, net: Devnet, graph: Graph
) -> None:
    rig = rig_of(clock, net, graph, stalled_after="60s")
    timeline = []
    for _ in range(7):
        await rig.follow(net)
        timeline.append(rig.said("graph"))

    assert timeline == [*["up"] * 4, *["down indexer_stalled"] * 3]
    assert rig.group == "down indexer_stalled graph"
    assert rig.said("own") == "up"
    assert rig.value("chain_indexer_lag_blocks", indexer="graph") == 7
    assert rig.value("indexer_block_lag", indexer="graph") == 7
    assert rig.value("chain_indexer_healthy", indexer="graph") == 0
    await graph.take(net)
    await rig.run()
    assert rig.said("graph") == "up"


async def test_row_55_an_indexer_of_a_chain_that_stands_still_is_not_blamed(
    clock: Clock, net: Devnet, graph: Graph
) -> None:
    rig = rig_of(clock, net, graph, stalled_after="60s")

    await rig.run(8)

    assert rig.said("graph") == "up"


async def test_row_55_an_indexer_on_an_orphan(clock: Clock, net: Devnet, graph: Graph) -> None:
    rig = rig_of(clock, net, graph)
    graph.block["hash"] = "0x" + "ab" * 32

    await rig.run()

    assert rig.said("graph") == "down indexer_fork"
    assert rig.group == "down indexer_fork graph"


async def test_row_55_an_orphan_after_a_reorg(clock: Clock, net: Devnet, graph: Graph) -> None:
    rig = rig_of(clock, net, graph)
    await rig.run()
    assert rig.said("graph") == "up"

    await net.nodes[0].reorg(2)
    clock.pass_s(300)
    await net.mine()
    await rig.run()

    assert rig.said("graph") == "down indexer_fork"


async def test_row_55_an_indexer_with_errors(clock: Clock, net: Devnet, graph: Graph) -> None:
    rig = rig_of(clock, net, graph)
    graph.has_errors = True

    await rig.run()

    assert rig.said("graph") == "down indexer_unhealthy"
    assert rig.group == "down indexer_unhealthy graph"


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        pytest.param(20, "up", id="row 55 within the limit"),
        pytest.param(21, "degraded indexer_lag", id="row 55 behind"),
        pytest.param(101, "down indexer_lag", id="row 55 far behind"),
    ],
)
async def test_an_indexer_behind(
    behind: int, said: str, clock: Clock, net: Devnet, graph: Graph
) -> None:
    rig = rig_of(clock, net, graph)
    clock.pass_s(behind * BLOCK_S)
    await net.mine(behind)
    # with one endpoint there is no reference: the head itself counts
    await rig.run()

    assert rig.said("graph") == said
    assert rig.said("own") == "up"
