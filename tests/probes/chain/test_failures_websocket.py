"""Chains.md 17, rows 45 to 49: websockets that are refused, rejected, silent or leave heads out."""

from collections.abc import Callable

import pytest

from probes.chain.kind import ChainKind
from tests.faults.rpc_actions import Action, drop, error, reset, skip, status
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.faults.rpc_rules import EVENT, UPGRADE
from tests.faults.tcp import closed_port
from tests.probes.chain.rig import BLOCK_S, Clock, Devnet, Rig, evm, solana
from tests.servers.nodes_solana import Surfpool

pytestmark = [pytest.mark.service, pytest.mark.slow]
SILENT_S = 40


def group(proxy: RpcProxy, ws: str = "", silent_after: str = f"{SILENT_S}s") -> ChainKind:
    own = {"http": proxy.url, "ws": ws or proxy.ws_url}
    limits = {"head_age": "off"}
    return evm({"own": own}, websocket={"silent_after": silent_after}, thresholds=limits)


async def test_a_websocket_that_tells_every_head(
    clock: Clock, net: Devnet, proxy: RpcProxy
) -> None:
    rig = Rig(clock, group(proxy))
    async with rig.listening():
        for number in range(1, 4):
            await net.mine()
            await rig.heard(lambda news, wanted=number: news.heads >= wanted)  # type: ignore[misc]
            await rig.run()

        assert rig.group == "up"
        assert rig.value("chain_ws_up", endpoint="own") == 1
        assert rig.value("chain_ws_heads_total", endpoint="own") == 3
        assert not rig.value("chain_ws_missed_heads_total", endpoint="own")
        assert rig.can("own", "websocket") == 1


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(lambda: status(403), id="row 45 forbidden"),
        pytest.param(lambda: status(404), id="row 45 not found"),
        pytest.param(lambda: status(200, "OK"), id="row 45 no upgrade"),
        pytest.param(reset, id="row 45 reset"),
    ],
)
async def test_an_upgrade_that_fails(
    action: Callable[[], Action], clock: Clock, proxy: RpcProxy
) -> None:
    rig = Rig(clock, group(proxy))
    proxy.on(UPGRADE, action())

    async with rig.listening(only_try=True):
        await rig.run()

    assert rig.said("own") == "degraded ws_unavailable"
    assert rig.group == "degraded ws_unavailable own"
    assert rig.value("chain_ws_up", endpoint="own") == 0
    assert rig.can("own", "websocket") == 0
    assert rig.value("chain_rpc_up", endpoint="own") == 1


async def test_row_45_nothing_listens(clock: Clock, proxy: RpcProxy) -> None:
    rig = Rig(clock, group(proxy, ws=f"ws://127.0.0.1:{closed_port()}"))

    async with rig.listening(only_try=True):
        await rig.run()

    assert rig.said("own") == "degraded ws_unavailable"


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(
            lambda: error(-32601, "notifications not supported"), id="row 46 not supported"
        ),
        pytest.param(lambda: error(-32602, "Invalid params"), id="row 46 bad parameters"),
        pytest.param(
            lambda: error(-32603, "Internal error", "max_subscription_clients 100 reached"),
            id="row 46 too many",
        ),
    ],
)
async def test_a_subscription_that_is_rejected(
    action: Callable[[], Action], clock: Clock, proxy: RpcProxy
) -> None:
    rig = Rig(clock, group(proxy))
    proxy.on("eth_subscribe", action())

    async with rig.listening(only_try=True):
        await rig.run()

    assert rig.said("own") == "degraded ws_subscribe_failed"
    assert rig.group == "degraded ws_subscribe_failed own"


async def test_row_46_of_solana(clock: Clock, shared_surfpool: Surfpool) -> None:
    async with rpc_proxy(shared_surfpool.url, shared_surfpool.ws_url) as proxy:
        proxy.on("slotSubscribe", error(-32601, "Method not found"))
        limits = {"head_age": "off"}
        own = {"http": proxy.url, "ws": proxy.ws_url}
        rig = Rig(clock, solana({"own": own}, thresholds=limits))
        async with rig.listening(only_try=True):
            await rig.run()

    assert rig.said("own") == "degraded ws_subscribe_failed"


async def test_row_47_silence_while_the_head_moves(
    clock: Clock, net: Devnet, proxy: RpcProxy
) -> None:
    rig = Rig(clock, group(proxy))
    proxy.on(EVENT, drop())
    timeline = []

    async with rig.listening():
        for _ in range(12):
            await rig.follow(net)
            # a reconnect that was asked for is over before the next run
            reconnects = rig.value("chain_ws_reconnects_total", endpoint="own", reason="silent")
            await rig.heard(lambda news: news.is_up)
            timeline.append((rig.said("own"), int(reconnects or 0), proxy.upgrades))

    said = [word for word, _, _ in timeline]
    first = said.index("degraded ws_silent")
    assert said == [*["up"] * first, *["degraded ws_silent"] * (12 - first)]
    # one reconnect before it is told, and none after: one is made every five minutes
    assert proxy.upgrades == 2
    assert timeline[first][1] == 1
    assert first * BLOCK_S >= 2 * SILENT_S
    assert rig.group == "degraded ws_silent own"


async def test_row_47_is_over_with_the_next_head(
    clock: Clock, net: Devnet, proxy: RpcProxy
) -> None:
    rig = Rig(clock, group(proxy))
    rule = proxy.on(EVENT, drop())

    async with rig.listening():
        for _ in range(10):
            await rig.follow(net)
            await rig.heard(lambda news: news.is_up)
        assert rig.said("own") == "degraded ws_silent"
        rule.off()
        await net.mine()
        await rig.heard(lambda news: news.heads >= 1)
        await rig.run()

    assert rig.said("own") == "up"


async def test_row_48_a_quiet_chain_is_no_fault(clock: Clock, net: Devnet, proxy: RpcProxy) -> None:
    rig = Rig(clock, group(proxy))

    async with rig.listening():
        await rig.follow(net, 2)
        await rig.heard(lambda news: news.heads == 2)
        await rig.run(20)

    assert rig.said("own") == rig.group == "up"
    assert proxy.upgrades == 1


async def test_row_49_heads_that_are_left_out(clock: Clock, net: Devnet, proxy: RpcProxy) -> None:
    rig = Rig(clock, group(proxy))
    proxy.on(EVENT, skip(3))

    async with rig.listening():
        await rig.follow(net, 1)
        clock.pass_s(3 * BLOCK_S)
        # the third of all is left out; what comes after shows it
        await net.mine(4)
        await rig.heard(lambda news: news.heads >= 4)
        await rig.run()
        assert rig.said("own") == "degraded ws_missed_heads"
        assert rig.group == "degraded ws_missed_heads own"
        assert rig.value("chain_ws_missed_heads_total", endpoint="own") == 1
        # a gap is told once
        await rig.run()
        assert rig.said("own") == "up"
