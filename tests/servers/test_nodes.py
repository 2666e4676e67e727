"""What real EVM nodes do, lever by lever: the facts that the other tests build on."""

import pytest

from tests.servers.nodes import Anvil, RpcRefused
from tests.servers.nodes_fixtures import StartAnvil

pytestmark = [pytest.mark.service, pytest.mark.slow]


async def test_an_anvil_answers_at_once(anvil: StartAnvil) -> None:
    node = anvil(chain_id=5)
    assert await node.rpc("eth_chainId") == "0x5"
    with pytest.raises(RpcRefused) as refused:
        await node.rpc("net_peerCount")
    assert refused.value.code == -32601


async def test_a_shared_anvil_has_blocks(shared_anvil: Anvil) -> None:
    assert await shared_anvil.height() == 12
