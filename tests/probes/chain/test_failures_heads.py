"""Chains.md 17, rows 24 to 30, 32 to 35 and 44: heads that are old, behind or elsewhere."""

from typing import Any

import pytest

from probes.result import Reason
from tests.faults.rpc_actions import result
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.probes.chain.rig import BLOCK_S, EVERY_S, Clock, Devnet, Rig, devnet, evm
from tests.servers.nodes_fixtures import StartAnvil

pytestmark = [pytest.mark.service, pytest.mark.slow]
HEAD = "eth_getBlockByNumber"
NAMES = ("a", "b", "own")
# Blocks that make a head too old: 30 s.
AGE = "40s"


def rig_of(clock: Clock, net: Devnet, **keys: Any) -> Rig:
    """Return a rig over all anvils of *net*; the last one is called ``own``."""
    names = NAMES[-len(net.nodes) :] if len(net.nodes) != 2 else NAMES[:2]
    urls = {name: node.url for name, node in zip(names, net.nodes, strict=True)}
    return Rig(clock, evm(urls, **keys))


# --- stale, halted, behind


async def test_row_24_one_that_stands_still_while_others_advance(
    clock: Clock, trio: Devnet
) -> None:
    rig = rig_of(clock, trio, thresholds={"head_age": AGE})
    assert await rig.follow(trio, 3) == "up"
    *honest, _ = trio.nodes
    timeline = []

    for _ in range(5):
        await rig.follow(trio, on=honest)
        timeline.append(rig.said("own"))
        assert (rig.said("a"), rig.said("b")) == ("up", "up")

    assert timeline == [
        "up", "up", "down head_stale lag_warn", "down head_stale lag_warn",
        "down head_stale lag_warn",
    ]  # fmt: skip
    assert rig.group == "down head_stale own"
    assert rig.value("chain_halted") == 0
    assert "want at most 40 s" in rig.detail("own")
    # it catches up
    await trio.mine(5, on=[trio.nodes[2]], at=clock.wall - BLOCK_S)
    assert await rig.follow(trio) == "up"


async def test_row_25_a_group_that_stands_still_is_one_halt(clock: Clock, trio: Devnet) -> None:
    pair = Devnet(clock, trio.nodes[:2])
    rig = rig_of(clock, pair, thresholds={"head_age": AGE})
    assert await rig.follow(pair, 3) == "up"

    await rig.run(3)

    assert rig.group == "down chain_halted"
    for name in ("a", "b"):
        assert rig.said(name) == "degraded head_stale chain_halted"
        assert rig.value("chain_rpc_up", endpoint=name) == 1
    assert rig.value("chain_halted") == 1
    # the next block ends it
    assert await rig.follow(pair) == "up"
    assert rig.value("chain_halted") == 0


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        pytest.param(2, "up", id="row 26 within the limit"),
        pytest.param(3, "degraded lag_warn", id="row 26 the grey zone"),
        pytest.param(6, "degraded lag_warn", id="row 26 its end"),
        pytest.param(7, "down lag_down", id="row 27 past the limit"),
        pytest.param(9, "down lag_down", id="row 27 well past it"),
    ],
)
async def test_a_node_behind(behind: int, said: str, clock: Clock, trio: Devnet) -> None:
    rig = rig_of(clock, trio)
    assert await rig.follow(trio, 3) == "up"

    *honest, _ = trio.nodes
    clock.pass_s((behind - 1) * BLOCK_S)
    await trio.mine(behind, on=honest)
    await rig.run()

    assert rig.said("own") == said
    assert (rig.said("a"), rig.said("b")) == ("up", "up")
    assert rig.group == ("up" if said == "up" else " ".join([*said.split()[:2], "own"]))
    assert rig.value("chain_head_lag_blocks", endpoint="own") == behind
    assert rig.value("chain_reference_height") == 23 + behind


async def test_a_node_behind_and_slow_is_not_judged_by_the_first_sample(
    clock: Clock, trio: Devnet
) -> None:
    clock.pass_s(9 * BLOCK_S)
    await trio.mine(9, on=trio.nodes[:2])
    rig = rig_of(clock, trio)

    await rig.run()

    assert rig.said("own") == "up"
    assert rig.value("chain_head_lag_blocks", endpoint="own") is None


async def test_row_27_far_behind_and_coming_nearer(clock: Clock, trio: Devnet) -> None:
    clock.pass_s(500 * BLOCK_S)
    await trio.mine(500, on=trio.nodes[:2])
    clock.pass_s(BLOCK_S)
    rig = rig_of(clock, trio)

    await rig.follow(trio, 2)

    assert rig.said("own") == "down lag_down"
    assert rig.group == "down lag_down own"
    assert "500 blocks behind" in rig.detail("own")


async def test_row_27_far_behind_and_standing_still(clock: Clock, trio: Devnet) -> None:
    """Two reasons at once: that it stands still is the cause."""
    rig = rig_of(clock, trio)
    assert await rig.follow(trio, 3) == "up"

    clock.pass_s(499 * BLOCK_S)
    await trio.mine(500, on=trio.nodes[:2])
    await rig.run()

    assert rig.said("own") == "down head_stale lag_down"
    assert (rig.said("a"), rig.said("b")) == ("up", "up")


# --- branches


async def test_row_28_a_reorg_at_the_tip_is_counted_and_nothing_else(
    clock: Clock, trio: Devnet
) -> None:
    rig = rig_of(clock, trio)
    assert await rig.follow(trio, 4) == "up"

    await trio.nodes[2].reorg(2)
    await rig.run()

    assert rig.group == "up"
    assert rig.value("chain_reorgs_total", endpoint="own") == 1
    assert (rig.value("chain_reorg_blocks_total", endpoint="own") or 0) >= 1
    assert not rig.value("chain_reorgs_total", endpoint="a")


@pytest.mark.parametrize(
    ("epoch", "timeline"),
    [
        # depth of the comparison is 3: the first run that sees it is the fourth
        pytest.param(32, [*["up"] * 4, *["down fork"] * 4], id="row 29 settled"),
        pytest.param(
            2, [*["up"] * 4, "down fork", *["down fork_finalized"] * 3], id="row 29 finalized"
        ),
    ],
)
async def test_another_branch_is_a_fork_in_the_second_run_that_sees_it(
    epoch: int, timeline: list[str], clock: Clock, anvil: StartAnvil
) -> None:
    trio = devnet(clock, anvil, 3, slots_in_an_epoch=epoch)
    await trio.grow()
    rig = rig_of(clock, trio)
    assert await rig.follow(trio, 3) == "up"
    *honest, own = trio.nodes
    told = []

    for _ in timeline:
        await trio.mine(on=honest)
        await trio.mine(on=[own], at=clock.wall - 1)
        await rig.run()
        told.append(rig.said("own"))
        assert (rig.said("a"), rig.said("b")) == ("up", "up")

    assert told == timeline
    assert rig.group == f"{timeline[-1]} own"
    assert rig.value("chain_fork_disagreement", endpoint="own") == 1
    assert rig.value("chain_fork_disagreement", endpoint="a") == 0


async def test_row_30_one_against_one_is_ambiguous(clock: Clock, trio: Devnet) -> None:
    pair = Devnet(clock, trio.nodes[:2])
    rig = rig_of(clock, pair)
    assert await rig.follow(pair, 3) == "up"

    for _ in range(5):
        await pair.mine(on=pair.nodes[:1])
        await pair.mine(on=pair.nodes[1:], at=clock.wall - 1)
        await rig.run()

    assert (rig.said("a"), rig.said("b")) == ("degraded fork_ambiguous", "degraded fork_ambiguous")
    assert rig.group == "degraded fork_ambiguous a"


# --- what a node says of itself


async def test_row_32_finality_that_stands_still_while_the_head_moves(
    clock: Clock, net: Devnet
) -> None:
    node = net.nodes[0]
    async with rpc_proxy(node.url) as proxy:
        rig = Rig(clock, evm({"own": proxy.url}))
        await rig.follow(net, 2)
        frozen = await node.block("finalized")
        proxy.on(HEAD, result(frozen), when=lambda it: it[0] == "finalized")
        clean = 15 * 60 // EVERY_S - 2
        assert await rig.follow(net, clean) == "up"
        await rig.follow(net, 6)

    assert rig.said("own") == "degraded finality_stalled"
    assert rig.group == "degraded finality_stalled own"


def syncing(distance: int) -> dict[str, str]:
    return {"startingBlock": "0x0", "currentBlock": hex(20), "highestBlock": hex(20 + distance)}


NITRO = {"batchSeen": "0x10", "batchProcessed": "0x2", "messageOfLastBlock": "0x1"}


@pytest.mark.parametrize(
    ("answer", "aged_s", "said"),
    [
        pytest.param(syncing(10**6), 0, "down syncing", id="row 33 far"),
        pytest.param(syncing(2), 0, "up", id="row 34 near"),
        pytest.param(True, 0, "degraded syncing", id="row 35 only a word"),
        pytest.param(NITRO, 0, "degraded syncing", id="row 35 of Nitro"),
        pytest.param(True, 600, "down syncing head_stale", id="row 35 by age"),
        pytest.param(NITRO, 600, "down syncing head_stale", id="row 35 of Nitro by age"),
        pytest.param(False, 0, "up", id="not syncing"),
    ],
)
async def test_a_node_that_says_it_is_syncing(
    answer: Any, aged_s: float, said: str, clock: Clock, proxy: RpcProxy
) -> None:
    rig = Rig(clock, evm({"own": proxy.url}))
    proxy.on("eth_syncing", result(answer))
    clock.pass_s(aged_s)

    await rig.run()

    assert rig.said("own") == said
    assert rig.group == ("up" if said == "up" else " ".join([*said.split()[:2], "own"]))
    assert rig.value("chain_syncing", endpoint="own") == (said != "up" or answer is not False)


async def test_row_33_is_over_after_four_answers(clock: Clock, net: Devnet) -> None:
    async with rpc_proxy(net.nodes[0].url) as proxy:
        rig = Rig(clock, evm({"own": proxy.url}))
        proxy.on("eth_syncing", result(syncing(10**6)), times=1)
        timeline = []
        for _ in range(5):
            await rig.follow(net)
            timeline.append(rig.said("own"))

    assert timeline == [*["down syncing"] * 4, "up"]


# --- clocks


@pytest.mark.parametrize(
    ("ahead", "group", "said"),
    [
        pytest.param((60,), "degraded head_in_future own", "degraded head_in_future", id="row 44"),
        pytest.param(
            (60, 60, 60), "unknown local_clock", "unknown local_clock", id="row 44 everywhere"
        ),
        pytest.param((15,), "up", "up", id="row 44 within a tolerance"),
    ],
)
async def test_heads_of_the_future(
    ahead: tuple[int, ...], group: str, said: str, clock: Clock, trio: Devnet
) -> None:
    rig = rig_of(clock, trio)
    assert await rig.follow(trio, 2) == "up"

    for place, node in enumerate(reversed(trio.nodes)):
        shift = ahead[place] if place < len(ahead) else 0
        await trio.mine(on=[node], at=clock.wall + shift)
    result = await rig.run()

    assert rig.said("own") == said
    assert rig.group == group
    if result.failure is not None:
        assert result.failure.reason is Reason.CLOCK
