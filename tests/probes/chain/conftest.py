"""Fixtures of the tests that run whole chain groups: a clock that stands still, one anvil, a proxy.

See `tests.probes.chain.rig`.
"""

from collections.abc import AsyncIterator

import pytest

from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.probes.chain.rig import Clock, Devnet, devnet
from tests.servers.nodes_fixtures import StartAnvil


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The prober's clock: it stands still unless the test moves it."""
    return Clock().put_in(monkeypatch)


@pytest.fixture
async def net(clock: Clock, anvil: StartAnvil) -> Devnet:
    """One anvil with a past of twenty blocks."""
    made = devnet(clock, anvil)
    await made.grow()
    return made


@pytest.fixture
async def trio(clock: Clock, anvil: StartAnvil) -> Devnet:
    """Three anvils with the same past."""
    made = devnet(clock, anvil, 3)
    await made.grow()
    return made


@pytest.fixture
async def proxy(net: Devnet) -> AsyncIterator[RpcProxy]:
    """A proxy before the anvil of ``net``."""
    async with rpc_proxy(net.nodes[0].url, net.nodes[0].ws_url) as proxy:
        yield proxy
