"""What alerts and load balancers see of real nodes, run after run."""

from collections import Counter

import pytest

from probes.chain.memory import Memory
from probes.result import Outcome
from tests.probes.chain.rig import Clock, Rig, devnet, evm
from tests.servers.nodes_fixtures import StartAnvil

pytestmark = [pytest.mark.service, pytest.mark.slow]


def told(rig: Rig) -> set[Outcome | None]:
    """Return what load balancers are told of the endpoints."""
    memory = rig.keep.memory
    assert isinstance(memory, Memory)
    return {health.outcome for health in memory.health}


async def test_no_endpoint_is_taken_out_of_use_by_a_halt_of_the_chain(
    clock: Clock, anvil: StartAnvil
) -> None:
    net = devnet(clock, anvil, 2)
    await net.grow()
    clock.pass_s(15)
    rig = Rig(clock, evm({"a": net.nodes[0].url, "b": net.nodes[1].url}))
    for _ in range(8):
        # a block is a little older than our first sight of it
        await net.mine(at=clock.wall - 8)
        await rig.run()
    assert rig.group == "up"
    timeline = []
    for _ in range(16):
        await rig.run()
        timeline.append(rig.group)
        assert Outcome.DOWN not in told(rig)

    assert timeline[0] == "up"
    assert timeline[-1] == "down chain_halted"
    assert "down head_stale a" not in timeline

    net.nodes[1].stop()
    await rig.run()
    assert rig.group == "down chain_halted"
    assert rig.said("a") == "degraded head_stale chain_halted"
    assert rig.said("b") == "down connect_refused"


async def test_a_pruned_node_does_not_look_like_one_that_fails(
    clock: Clock, anvil: StartAnvil
) -> None:
    net = devnet(clock, anvil, 1, prune_history=2)
    await net.grow()
    rig = Rig(clock, evm({"a": net.nodes[0].url}))

    await rig.follow(net, 60)

    assert rig.result is not None
    requests = [one for one in rig.result.samples if one.name == "chain_rpc_requests_total"]
    shares: Counter[str] = Counter()
    for one in requests:
        shares[dict(one.labels)["outcome"]] += int(one.value)
    assert rig.group == "up"
    assert set(shares) == {"ok", "unsupported", "missing_data"}
    # ChainRpcErrorRatioHigh counts all but the first two
    assert 0 < shares["missing_data"] < 0.05 * shares.total()
