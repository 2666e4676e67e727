"""Kind evm against real nodes: anvil with its levers, and clients with odd ways on the wire."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from probes.chain.evm.signature import topic0
from probes.chain.memory import Memory
from probes.kinds.evm import Evm
from probes.probe import Probe
from probes.recorder import Keep
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from tests.faults import rpc_actions as act
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.servers.nodes import RECEIVER, REVERTING, SENDER, Anvil, Node
from tests.servers.nodes_fixtures import StartAnvil

pytestmark = [pytest.mark.service, pytest.mark.slow]

EVERY_S = 15.0
# Init code of a contract that logs Hit() whenever it is called, and reverts when it is sent wei:
#   PUSH1 len DUP1 PUSH1 offset PUSH1 0 CODECOPY PUSH1 0 RETURN, then
#   CALLVALUE PUSH1 revert JUMPI PUSH32 topic PUSH1 0 PUSH1 0 LOG1 STOP JUMPDEST PUSH1 0 DUP1 REVERT
HIT = topic0("Hit()")
RUNTIME = "34602a577f" + HIT[2:] + "60006000a1005b600080fd"
INIT = f"0x60{len(RUNTIME) // 2:02x}80600b6000396000f3" + RUNTIME


class Service:
    """A kind as the service runs it: from run to run, with a memory."""

    def __init__(self, kind: Evm, target: str = "it", kept: Any = None) -> None:
        self.kind, self.target = kind, target
        self.keep = Keep(memory=kind.first_memory(target, kept), every_s=EVERY_S)

    async def run(self) -> Result:
        probe = Probe(name="it", kind=self.kind, target=self.target, timeout_s=10)
        return await run_once(probe, keep=self.keep)

    async def runs(self, count: int) -> Result:
        result = await self.run()
        for _ in range(count - 1):
            result = await self.run()
        return result

    @property
    def memory(self) -> Memory:
        assert isinstance(self.keep.memory, Memory)
        return self.keep.memory


def evm(*nodes: Node | RpcProxy, **keys: Any) -> Evm:
    """A group of *nodes*, called a, b, c ...; a head may be as old as it likes."""
    endpoints = [{"name": chr(97 + at), "http": node.url} for at, node in enumerate(nodes)]
    limits = {"head_age": "off", **keys.pop("thresholds", {})}
    known = {"chain": "it", "chain_id": 31337, "settle": "off", "budget": {"calls_per_minute": 600}}
    return Evm.model_validate({**known, "endpoints": endpoints, "thresholds": limits, **keys})


def series(result: Result) -> dict[str, float]:
    """Every sample but histograms, as ``name value value``, without the chain."""
    return {
        " ".join((sample.name, *(value for name, value in sample.labels if name != "chain"))): (
            sample.value
        )
        for sample in result.samples
        if not sample.name.endswith(("_bucket", "_sum", "_count"))
    }


def step(result: Result, name: str = "a") -> Result:
    return next(step for step in result.steps if step.probe == name)


def told(result: Result) -> list[str]:
    """What the steps say, in words."""
    return [
        f"{step.probe}: {failure.message}"
        for step in result.steps
        for failure in ([step.failure] if step.failure else []) + list(step.warnings)
    ]


@pytest_asyncio.fixture
async def proxy(shared_anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with rpc_proxy(shared_anvil.url) as running:
        yield running


# --- anvil


async def test_everything_that_anvil_offers_is_told(shared_anvil: Anvil) -> None:
    result = await Service(evm(shared_anvil)).runs(20)

    assert result.outcome is Outcome.UP, told(result)
    assert told(result) == []
    found = series(result)
    capabilities = {
        name: found[f"chain_capability a {name}"]
        for name in ("archive", "logs", "trace", "batch", "finalized", "txpool")
    }
    assert capabilities == dict.fromkeys(capabilities, 1)
    assert found["chain_head_height a latest"] == 12
    assert found["chain_head_height a finalized"] == 8
    assert found["chain_id_match a"] == 1
    assert found["chain_syncing a"] == 0
    assert found["evm_gas_price_wei a"] > 0
    assert found["evm_base_fee_wei a"] > 0
    assert found["evm_txpool_transactions a pending"] == 0
    assert found["chain_info a 31337 anvil/1.7 primary"] == 1
    # row 19: net_peerCount is not offered
    assert "chain_peers a" not in found


async def test_a_wrong_chain_is_down_at_once(shared_anvil: Anvil) -> None:
    """Row 21."""
    result = await Service(evm(shared_anvil, chain_id=1)).run()

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.message.startswith("wrong_network: a: ")
    assert series(result)["chain_id_match a"] == 0


async def test_a_chain_that_changes_at_run_time_is_noticed(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    service = Service(evm(node, chain_id=None))
    assert (await service.run()).outcome is Outcome.UP

    await node.rpc("anvil_setChainId", 999)
    result = await service.runs(22)

    assert result.outcome is Outcome.DOWN
    assert "wrong_network" in told(result)[0]


async def test_another_genesis_under_the_same_chain_id_is_another_network(
    anvil: StartAnvil,
) -> None:
    """Row 22."""
    first, second = anvil(timestamp=1_700_000_000), anvil(timestamp=1_700_000_001)
    genesis = (await first.block(0))["hash"]

    result = await Service(evm(first, second, genesis_hash=genesis)).run()

    assert step(result, "a").outcome is not Outcome.DOWN
    assert step(result, "b").outcome is Outcome.DOWN
    assert told(result)[-1].startswith("b: wrong_network: ")


async def test_a_required_capability_that_is_missing_is_degraded(proxy: RpcProxy) -> None:
    """Row 20."""
    proxy.on("eth_getLogs", act.error(-32601, "Method not found"))

    result = await Service(evm(proxy, require=["logs"])).runs(20)

    assert result.outcome is Outcome.DEGRADED
    assert "capability_missing" in told(result)[0]
    assert series(result)["chain_capability a logs"] == 0


async def test_old_state_that_was_pruned_is_a_missing_archive(anvil: StartAnvil) -> None:
    """Row 50."""
    node = anvil(no_mining=True, prune_history=2)
    await node.mine(40)

    result = await Service(evm(node)).runs(20)

    assert result.outcome is Outcome.UP, told(result)
    assert series(result)["chain_capability a archive"] == 0


async def test_slow_calls_travel_as_one_once_a_batch_is_proven(proxy: RpcProxy) -> None:
    service = Service(evm(proxy))
    await service.runs(20)
    proxy.reset_counts()

    await service.runs(20)

    assert proxy.batches > 0
    assert proxy.calls["eth_chainId"] >= 1
    assert proxy.calls["eth_getBlockByNumber"] >= 20


async def test_the_budget_is_kept(proxy: RpcProxy) -> None:
    service = Service(evm(proxy, budget={"calls_per_minute": 60}))

    await service.runs(30)

    assert sum(proxy.calls.values()) <= 61


async def test_numbers_in_odd_spellings_are_tolerated_and_floats_are_not(proxy: RpcProxy) -> None:
    """Row 54."""
    service = Service(evm(proxy))
    rule = proxy.on("eth_getBlockByNumber", act.edit(_spelt("0x000c")))
    assert (await service.run()).outcome is Outcome.UP
    rule.off()

    proxy.on("eth_getBlockByNumber", act.edit(_spelt(12.0)))
    result = await service.run()

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.message.startswith("invalid_response: a: eth_getBlockByNumber: ")


def _spelt(number: Any) -> Any:
    def change(block: Any) -> Any:
        return {**block, "number": number}

    return change


async def test_a_cosmos_node_is_told_by_name(proxy: RpcProxy) -> None:
    """Row 23."""
    for method in ("eth_getBlockByNumber", "getVersion"):
        proxy.on(method, act.error(-32601, "Method not found"))
    proxy.on("status", act.result({"node_info": {"network": "neutron-1"}}))

    result = await Service(evm(proxy)).run()

    assert result.failure is not None
    assert result.failure.reason is Reason.PROTOCOL
    want = "wrong_family: a: this is a CometBFT endpoint, use kind: cosmos"
    assert result.failure.message == want


async def test_new_heads_are_heard_beside_the_runs(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    group = evm(node)
    endpoints = [{"name": "a", "http": node.url, "ws": node.ws_url}]
    kind = evm(node, endpoints=endpoints)
    watch = kind.watch("it")
    assert group.watch("it") is None
    assert watch is not None
    service = Service(kind)
    service.keep.news = watch.news
    listening = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(5):
            while series(await service.run()).get("chain_ws_up a") != 1:
                await node.height()
            while series(await service.run()).get("chain_ws_heads_total a", 0) < 3:
                await node.mine()
        result = await service.run()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    assert result.outcome is Outcome.UP, told(result)
    found = series(result)
    assert found["chain_ws_missed_heads_total a"] == 0
    assert found["chain_ws_last_head_timestamp_seconds a"] > 1.6e9


# --- gas


async def test_a_gas_spike_is_told_and_judged(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    kind = evm(node, gas={"spike": "degraded", "for": "1ms", "floor_wei": 0}, compat_names=True)
    hour = int((await node.block())["timestamp"], 16) // 3600
    service = Service(kind, kept={"gas": [[hour - 2, 1e9, 3600], [hour - 1, 1e9, 3600]]})
    await node.mine()
    before = await service.runs(20)
    assert before.outcome is Outcome.UP, told(before)
    assert 0 < series(before)["evm_gas_price_ratio"] < 3

    await node.rpc("anvil_setNextBlockBaseFeePerGas", "0x174876e800")
    await node.mine()
    result = await service.runs(3)

    assert result.outcome is Outcome.DEGRADED
    (warning,) = [text for text in told(result) if "gas_spike" in text]
    assert warning.startswith("gas: gas_spike: gas costs ")
    assert warning.endswith(" gwei, want at most 3 times its mean of 1 gwei")
    found = series(result)
    assert found["evm_base_fee_wei a"] == 100e9
    # anvil tells the price of the next block, whose base fee is an eighth lower
    assert found["evm_gas_price_ratio"] > 80
    assert found["indexer_avg_gas_price"] > 80e9


# --- contracts and calls


async def deployed(node: Anvil) -> str:
    """Deploy the contract that logs and reverts; return its address."""
    sent = await node.send(data=INIT, gas="0xf4240")
    await node.mine()
    receipt = await node.rpc("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    return str(receipt["contractAddress"])


async def hit(node: Anvil, contract: str, *, fails: bool = False) -> None:
    """Send the contract one transaction; it waits for a block."""
    await node.send(to=contract, gas="0x30d40", value="0x1" if fails else "0x0")


async def test_transactions_and_events_of_a_contract_are_counted(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    address = await deployed(node)
    contract = {"name": "Hits", "address": address, "events": {"Hit": "Hit()"}, "min_tx": 4}
    service = Service(evm(node, contracts=[contract], confirmations=2, compat_names=True))
    await node.mine(2)
    first = series(await service.run())
    assert first["evm_contract_transactions_total Hits failed"] == 0

    for _ in range(3):
        await hit(node, address)
    await hit(node, address, fails=True)
    # most data are zeros: as many digits as no number has
    await node.send(to=RECEIVER, value="0x1", data="0x" + "00" * 2000, gas="0x4c4b40")
    await node.mine()
    assert series(await service.run())["evm_contract_transactions_total Hits success"] == 0
    await node.mine(2)
    result = await service.run()

    found = series(result)
    assert found["evm_contract_transactions_total Hits success"] == 3
    assert found["evm_contract_transactions_total Hits failed"] == 1
    assert found["evm_contract_events_total Hits Hit"] == 3
    assert found["evm_contract_gas_used_total Hits"] > 4 * 21_000
    assert found["indexer_contract_tx_total Hits failed"] == 1
    assert found["indexer_events_total Hits Hit"] == 3
    assert found["evm_contract_scan_lag_blocks"] == 0
    assert result.outcome is Outcome.DEGRADED
    assert told(result) == [
        "contract Hits: contract_failures: 1 of 4 transactions failed in 10 min, want at most 10 %"
    ]


async def test_a_reorg_under_the_cursor_counts_nothing_twice(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    address = await deployed(node)
    contract = {"name": "Hits", "address": address, "events": {"Hit": "Hit()"}}
    service = Service(evm(node, contracts=[contract], confirmations=0))
    await service.run()
    await node.mine(3)
    await hit(node, address)
    await node.mine(2)
    before = series(await service.run())
    assert before["evm_contract_transactions_total Hits success"] == 1
    height = before["evm_contract_scan_height"]

    await node.rpc("anvil_reorg", 3, [[{"from": SENDER, "to": address, "gas": "0x30d40"}, 1]])
    await node.mine(1)
    rewound = series(await service.run())
    await service.run()
    after = series(await service.run())

    assert rewound["evm_contract_scan_reorgs_total"] == 1
    assert rewound["evm_contract_scan_height"] < height
    assert after["evm_contract_scan_height"] == height + 1
    # the pool had the first one again, or the other took its place: never is one told twice
    receipts = 0
    for number in range(int(height) + 2):
        for receipt in await node.rpc("eth_getBlockReceipts", hex(number)):
            receipts += receipt["to"] == address
    assert after["evm_contract_transactions_total Hits success"] in (receipts, receipts + 1)


async def test_the_cursor_goes_on_after_a_restart(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    address = await deployed(node)
    kind = evm(node, contracts=[{"name": "Hits", "address": address}], confirmations=0)
    service = Service(kind)
    await service.run()
    kept = kind.durable(service.memory)
    await hit(node, address)
    await node.mine(4)

    again = await Service(kind, kept=kept).run()

    assert series(again)["evm_contract_transactions_total Hits success"] == 1


@pytest.mark.parametrize("blocked", ["eth_getBlockReceipts", None])
async def test_a_node_without_receipts_by_block_is_asked_for_each(
    anvil: StartAnvil, blocked: str | None
) -> None:
    node = anvil(no_mining=True)
    address = await deployed(node)
    async with rpc_proxy(node.url) as proxy:
        if blocked is not None:
            proxy.on(blocked, act.error(-32601, "Method not found"))
        contract = {"name": "Hits", "address": address}
        service = Service(evm(proxy, contracts=[contract], confirmations=0))
        await service.run()
        await hit(node, address)
        await hit(node, address, fails=True)
        await node.mine()

        found = series(await service.run())

        assert found["evm_contract_transactions_total Hits success"] == 1
        assert found["evm_contract_transactions_total Hits failed"] == 1
        assert (proxy.calls["eth_getTransactionReceipt"] == 2) is (blocked is not None)


async def test_a_deployment_that_reverts_is_a_failed_receipt_of_nobody(anvil: StartAnvil) -> None:
    node = anvil(no_mining=True)
    address = await deployed(node)
    contract = {"name": "Hits", "address": address}
    service = Service(evm(node, contracts=[contract], confirmations=0))
    await service.run()

    await node.send(data=REVERTING, gas="0xf4240")
    await node.mine()
    found = series(await service.run())

    assert found["evm_contract_transactions_total Hits failed"] == 0
    assert found["evm_contract_scan_lag_blocks"] == 0


async def test_a_call_that_reverts_fails_the_assertion_and_not_the_node(
    anvil: StartAnvil,
) -> None:
    """Row 51."""
    node = anvil(no_mining=True)
    await node.rpc("anvil_setCode", RECEIVER, "0x600080fd")
    await node.rpc("anvil_setCode", SENDER, "0x602a60005260206000f3")
    calls = [
        {"name": "paused", "to": RECEIVER, "data": "0x", "expect": "0x"},
        {"name": "answer", "to": SENDER, "data": "0x", "uint_min": 42},
    ]

    result = await Service(evm(node, calls=calls)).run()

    assert step(result).outcome is Outcome.UP
    assert step(result, "call answer").outcome is Outcome.UP
    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.VALUE
    assert result.failure.message.startswith(
        "assertion_failed: call paused: want an answer, got a revert: "
    )


# --- other clients


async def test_ganache_is_up_with_what_it_has(ganache: Node) -> None:
    result = await Service(evm(ganache, chain_id=1337)).runs(20)

    assert result.outcome is Outcome.UP, told(result)
    found = series(result)
    assert found["chain_id_match a"] == 1
    assert found["chain_capability a txpool"] == 0
    assert found["chain_capability a logs"] == 1
    assert found["evm_gas_price_wei a"] > 0


async def test_hardhat_is_up_with_what_it_has(hardhat: Node) -> None:
    result = await Service(evm(hardhat, chain_id=31338)).runs(20)

    assert result.outcome is Outcome.UP, told(result)
    found = series(result)
    assert found["chain_peers a"] == 0
    assert found["chain_capability a txpool"] == 0
    assert found["chain_capability a logs"] == 1


async def test_ethereumjs_is_up_without_finality(ethereumjs: Node) -> None:
    """Row 18."""
    result = await Service(evm(ethereumjs, chain_id=None)).runs(20)

    assert result.outcome in (Outcome.UP, Outcome.DEGRADED), told(result)
    assert not [text for text in told(result) if "syncing" not in text], told(result)
    found = series(result)
    assert found["chain_capability a finalized"] == 0
    assert found["chain_peers a"] == 0
    assert "chain_head_height a safe" not in found
