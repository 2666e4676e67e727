"""Chains.md 17, rows 31 and 36 to 43: what only CometBFT or Solana nodes do."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.faults.rpc_actions import Action, edit, error, result
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.probes.chain.rig import BLOCK_S, Clock, Rig, cosmos, solana
from tests.servers.comet import CometServer, comet_server
from tests.servers.comet_chain import CometChain
from tests.servers.nodes import eventually
from tests.servers.nodes_comet import together
from tests.servers.nodes_fixtures import StartNetwork, StartSurfpool
from tests.servers.nodes_solana import Surfpool

pytestmark = [pytest.mark.service, pytest.mark.slow]


# --- CometBFT


@pytest.fixture
def chain(clock: Clock) -> CometChain:
    """A chain whose head is new by the clock."""
    head_at = datetime.fromtimestamp(clock.wall, UTC)
    return CometChain(head_at=head_at, block_time_s=float(BLOCK_S))


@pytest.fixture
async def servers(chain: CometChain) -> AsyncIterator[dict[str, CometServer]]:
    """Three nodes of one chain."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(comet_server(chain, name))
            for name in ("a", "b", "own")
        }


def group(clock: Clock, servers: dict[str, CometServer], **keys: Any) -> Rig:
    return Rig(clock, cosmos({name: server.url for name, server in servers.items()}, **keys))


def alone(clock: Clock, servers: dict[str, CometServer], **keys: Any) -> Rig:
    return Rig(clock, cosmos({"own": servers["own"].url}, **keys))


async def follow(rig: Rig, chain: CometChain, times: int = 1) -> str:
    for _ in range(times):
        await rig.run()
        chain.advance()
    return rig.group


async def test_row_31_an_equal_block_with_another_state(
    clock: Clock, chain: CometChain, servers: dict[str, CometServer]
) -> None:
    rig = group(clock, servers)
    assert await follow(rig, chain, 3) == "up"
    servers["own"].node.fork_state(chain.head - 1)
    timeline = []
    for _ in range(8):
        await follow(rig, chain)
        timeline.append(rig.said("own"))
        assert (rig.said("a"), rig.said("b")) == ("up", "up")

    first = timeline.index("down fork_state")
    assert timeline == [*["up"] * first, *["down fork_state"] * (8 - first)]
    assert rig.group == "down fork_state own"


async def test_row_31_an_application_that_came_to_another_state(
    clock: Clock, chain: CometChain, servers: dict[str, CometServer]
) -> None:
    """A real node then stands still: before it counts as late, what has happened is told."""
    rig = group(clock, servers)
    assert await follow(rig, chain, 3) == "up"
    servers["own"].node.diverge()
    said = []
    for _ in range(4):
        await follow(rig, chain)
        said.append(rig.said("own"))
        assert (rig.said("a"), rig.said("b")) == ("up", "up")

    assert said == ["up", "up", "down fork_state", "down fork_state lag_warn"]
    assert rig.group == "down fork_state own"


async def test_row_36_caught_up_with_a_head_of_ten_minutes_ago(
    clock: Clock, chain: CometChain, servers: dict[str, CometServer]
) -> None:
    chain.head_at -= timedelta(minutes=10)
    rig = alone(clock, servers)

    await rig.run()

    assert rig.said("own") == "down head_stale"
    assert rig.group == "down head_stale own"
    assert rig.value("chain_syncing", endpoint="own") == 0


@pytest.mark.parametrize(
    ("behind", "aged_s", "said"),
    [
        pytest.param(0, 0, "degraded syncing", id="row 37 at the tail of a state sync"),
        pytest.param(0, 600, "down syncing head_stale", id="row 37 with an old head"),
        pytest.param(50, 0, "down lag_down syncing head_stale", id="row 37 far behind"),
    ],
)
async def test_a_node_that_catches_up(
    behind: int,
    aged_s: int,
    said: str,
    clock: Clock,
    chain: CometChain,
    servers: dict[str, CometServer],
) -> None:
    rig = group(clock, servers) if behind else alone(clock, servers)
    node = servers["own"].node
    node.catching_up = True
    node.height = chain.head - behind
    chain.head_at -= timedelta(seconds=aged_s)
    await rig.run()
    if behind:
        chain.advance()
        node.height += 1
        await rig.run()

    assert sorted(rig.said("own").split()) == sorted(said.split())
    assert rig.group.split()[:1] == said.split()[:1]


async def test_row_38_a_node_before_its_first_block(
    clock: Clock, servers: dict[str, CometServer]
) -> None:
    servers["own"].node.started = False
    rig = alone(clock, servers)

    await rig.run()

    assert rig.said("own") == "down not_started"
    assert rig.group == "down not_started own"


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        pytest.param(2, "up", id="row 39 a little"),
        pytest.param(3, "degraded abci_lag", id="row 39 behind"),
        pytest.param(11, "down abci_lag", id="row 39 far behind"),
    ],
)
async def test_an_application_behind_its_store(
    behind: int, said: str, clock: Clock, chain: CometChain, servers: dict[str, CometServer]
) -> None:
    servers["own"].node.abci_height = chain.head - behind
    rig = alone(clock, servers)

    await rig.run()

    assert rig.said("own") == said
    assert rig.value("cosmos_abci_lag_blocks", endpoint="own") == behind


async def test_row_46_too_many_subscriptions_of_a_node(
    clock: Clock, servers: dict[str, CometServer]
) -> None:
    servers["own"].node.subscription_error = "max_subscription_clients 100 reached"
    rig = alone(clock, servers, websocket={"enabled": True})

    async with rig.listening(only_try=True):
        await rig.run()

    assert rig.said("own") == "degraded ws_subscribe_failed"


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_row_25_four_real_validators_of_which_two_stop(
    clock: Clock, comet_network: StartNetwork
) -> None:
    """Below two thirds of the power no block comes: that is nobody's node."""
    nodes = comet_network(4)
    await together(nodes, 3)
    network = (await nodes[0].status())["node_info"]["network"]
    clock.wall = datetime.now(UTC).timestamp()
    urls = {"a": nodes[0].url, "b": nodes[1].url}
    rig = Rig(clock, cosmos(urls, chain_id=network, thresholds={"head_age": "40s"}))
    await rig.run()
    assert rig.group == "up", rig.result

    for node in nodes[2:]:
        node.stop()
    heights: list[int] = []

    async def is_still() -> bool:
        heights.append(await nodes[0].height())
        # as long as ten blocks of this chain take
        return len(heights) > 30 and len(set(heights[-30:])) == 1

    await eventually(is_still)
    await rig.run(5)

    assert rig.group == "down chain_halted"
    assert rig.said("a").startswith("degraded")
    assert "chain_halted" in rig.said("b")


# --- Solana


@pytest.fixture
async def proxy(clock: Clock, shared_surfpool: Surfpool) -> AsyncIterator[RpcProxy]:
    """A proxy before a node that lives by the clock of this machine."""
    clock.wall = datetime.now(UTC).timestamp()
    async with rpc_proxy(shared_surfpool.url) as proxy:
        yield proxy


def of_solana(clock: Clock, proxy: RpcProxy, **keys: Any) -> Rig:
    return Rig(clock, solana({"own": proxy.url}, **keys))


async def test_a_current_node_is_up(clock: Clock, proxy: RpcProxy) -> None:
    rig = of_solana(clock, proxy)

    await rig.run()

    assert rig.group == "up", rig.detail("own")


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        pytest.param(213, "down unhealthy", id="row 40 behind"),
        pytest.param(100, "degraded unhealthy", id="row 40 a little behind"),
        pytest.param(None, "down unhealthy", id="row 40 who knows how far"),
    ],
)
async def test_an_unhealthy_node(
    behind: int | None, said: str, clock: Clock, proxy: RpcProxy
) -> None:
    rig = of_solana(clock, proxy)
    text = "Node is unhealthy" if behind is None else f"Node is behind by {behind} slots"
    proxy.on("getHealth", error(-32005, text, {"numSlotsBehind": behind}))

    await rig.run()

    assert rig.said("own") == said
    assert rig.group == f"{said} own"
    assert rig.value("solana_rpc_health", endpoint="own") == 0
    assert rig.value("solana_slots_behind", endpoint="own") == behind


async def test_row_40_all_are_unhealthy_because_the_cluster_stands(
    clock: Clock, proxy: RpcProxy, shared_surfpool: Surfpool
) -> None:
    unhealthy = error(-32005, "Node is unhealthy", {"numSlotsBehind": None})
    async with rpc_proxy(shared_surfpool.url) as other:
        rig = Rig(clock, solana({"own": proxy.url, "other": other.url}))
        for one in (proxy, other):
            one.on("getHealth", unhealthy)
        await rig.run(2)

    assert rig.group == "down chain_halted"
    assert rig.step("own").outcome.value == "degraded"


async def test_row_41_a_frozen_node_that_says_it_is_well(
    clock: Clock, surfpool: StartSurfpool
) -> None:
    node = surfpool()
    clock.wall = datetime.now(UTC).timestamp()
    # the slots of a moment pass in an interval of the test: they would seem slow
    rig = Rig(clock, solana({"own": node.url}, thresholds={"head_age": "30s"}))
    await rig.run()
    assert rig.group == "up", rig.detail("own")

    await node.freeze()
    await rig.run(4)

    assert await node.rpc("getHealth") == "ok"
    assert rig.said("own") == "down head_stale"
    assert rig.group == "down head_stale own"


async def test_row_41_a_frozen_node_is_behind_the_others(
    clock: Clock, proxy: RpcProxy, shared_surfpool: Surfpool
) -> None:
    slot = await shared_surfpool.slot()
    async with AsyncExitStack() as stack:
        others = {
            name: await stack.enter_async_context(rpc_proxy(shared_surfpool.url)) for name in "ab"
        }
        for other in others.values():
            other.on("getEpochInfo", edit(lambda it: {**it, "absoluteSlot": slot + 1000}))
        proxy.on("getEpochInfo", edit(lambda it: {**it, "absoluteSlot": slot}))
        urls = {name: other.url for name, other in others.items()}
        rig = Rig(clock, solana({**urls, "own": proxy.url}, thresholds={"head_age": "off"}))
        await rig.run(2)

    assert rig.said("own") == "down lag_down"
    assert rig.group == "down lag_down own"
    assert (rig.said("a"), rig.said("b")) == ("up", "up")


async def _has_a_past(node: Surfpool) -> bool:
    """A node that began just now knows no slot before."""
    return await node.rpc("getBlockTime", await node.slot() - 3) is not None


async def test_a_node_whose_slots_jump_makes_nobody_late(
    clock: Clock, surfpool: StartSurfpool
) -> None:
    """One that travels in time is no reference: what it says is its own affair."""
    clock.wall = datetime.now(UTC).timestamp()
    # both as old as this test: a jump to the slot of an older one would be one in time
    steady, node = surfpool(), surfpool()
    await eventually(partial(_has_a_past, steady))
    genesis = await steady.rpc("getGenesisHash")
    async with (
        rpc_proxy(steady.url) as one,
        rpc_proxy(steady.url) as other,
        rpc_proxy(node.url) as own,
    ):
        own.on("getGenesisHash", result(genesis))
        for each in (one, other, own):
            each.on("isBlockhashValid", edit(lambda it: {**it, "value": True}))
        urls = {"a": one.url, "b": other.url, "own": own.url}
        rig = Rig(clock, solana(urls, thresholds={"head_age": "off"}))
        await node.travel(await steady.slot() + 20)
        await rig.run(2)
        assert [rig.said(name) for name in urls] == ["up", "up", "up"]

        await node.travel(await node.slot() + 100_000)
        await rig.run(2)

    assert [rig.said(name) for name in urls] == ["up", "up", "degraded head_in_future"]
    assert rig.group == "degraded head_in_future own"
    assert rig.value("chain_head_lag_blocks", endpoint="a") == 0
    assert (rig.value("chain_reference_height") or 0) < 100_000


async def test_row_42_a_replay_that_stalls(clock: Clock, proxy: RpcProxy) -> None:
    rig = of_solana(clock, proxy)
    proxy.on("getMaxShredInsertSlot", edit(lambda slot: slot + 400))

    await rig.run()

    assert rig.said("own") == "down replay_stalled"
    assert rig.group == "down replay_stalled own"
    assert rig.value("solana_rpc_health", endpoint="own") == 1


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(
            lambda: error(-32007, "Slot 5 was skipped, or missing due to ledger jump"),
            id="row 43 skipped",
        ),
        pytest.param(
            lambda: error(-32009, "Slot 5 was skipped, or missing in long-term storage"),
            id="row 43 missing in the long-term storage",
        ),
        pytest.param(lambda: error(-32004, "Block not available for slot 5"), id="row 43 no block"),
        pytest.param(lambda: result(None), id="row 43 null"),
    ],
)
async def test_a_skipped_slot(
    action: Callable[[], Action], clock: Clock, proxy: RpcProxy, shared_surfpool: Surfpool
) -> None:
    await eventually(partial(_has_a_past, shared_surfpool))
    rig = of_solana(clock, proxy)
    proxy.on("getBlockTime", action(), times=2)

    await rig.run()

    assert rig.group == "up", rig.detail("own")
    asked = [call.params[0] for call in proxy.seen if call.method == "getBlockTime"]
    assert asked == [asked[0], asked[0] - 1, asked[0] - 2]
    assert rig.value("chain_head_timestamp_seconds", endpoint="own") is not None
