"""Kind ``cosmos``: its keys, and runs against the simulator and a real CometBFT."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from probes.kinds.cosmos import Cosmos
from probes.probe import Probe
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.websocket.heads import News
from tests.faults.rpc_actions import body, result, status
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.faults.tcp import closed_port
from tests.harness import Check, Law
from tests.probes.kinds.chain_service import Service, outcomes, reasons, values
from tests.servers.comet import CometServer, comet_server
from tests.servers.comet_chain import ABSENT, CometChain
from tests.servers.comet_four import Four
from tests.servers.nodes_comet import Comet, together
from tests.servers.nodes_fixtures import StartNetwork, StartSplit

CONTRACT = "neutron1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0s8jevwd"


def cosmos(**keys: Any) -> Cosmos:
    """The kind with *keys* as a probe file has them."""
    return Cosmos.model_validate({"chain": "it", "settle": "off", **keys})


def quiet(**keys: Any) -> Cosmos:
    """The same without a websocket."""
    return cosmos(websocket={"enabled": False}, **keys)


LAW = Law(
    kind=quiet(chain_id="neutron-1", retries=0),
    target="http://{host}:{port}",
    secret=lambda canary: quiet(
        chain_id="neutron-1",
        auth={"header": {"credentials": canary}},
        lcd=f"http://127.0.0.1:9/{canary}",
        reference=[{"name": "other", "http": f"http://127.0.0.1:9/{canary}"}],
    ),
    secret_target="http://user:{canary}@{host}:{port}/v2/{canary}",
    patient=False,
)


# --- keys


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"grpc": "http://x:9090"},
            "want http and lcd: a node is not asked over gRPC, got the key grpc", id="grpc",
        ),
        pytest.param(
            {"endpoints": [{"name": "a", "http": "http://a", "grpc": "a:9090"}]},
            "want http and lcd: a node is not asked over gRPC, got the key grpc",
            id="grpc of an endpoint",
        ),
        pytest.param(
            {"health_mode": "http_text"},
            "want no health_mode, which only kind: solana has, got http_text", id="of solana",
        ),
        pytest.param(
            {"denom": "untrn"}, "want lcd at an endpoint, to ask for the price in denom, got none",
            id="a price from nowhere",
        ),
        pytest.param(
            {"contracts": [{"name": "a", "address": CONTRACT, "query": {}}]},
            "want lcd, to query contracts, got none", id="a query to nobody",
        ),
        pytest.param(
            {
                "contracts": [{"name": "a", "address": CONTRACT, "query": {}}],
                "endpoints": [
                    {"name": "a", "http": "http://a", "lcd": "http://a:1317"},
                    {"name": "b", "http": "http://b"},
                ],
            },
            "want lcd at every primary, to query contracts, got none at 'b'", id="a mute primary",
        ),
        pytest.param(
            {"contracts": [{"name": "a", "address": CONTRACT, "expect": {"$.x": 1}}]},
            "want a query whose answer is expected, got none", id="an answer to nothing",
        ),
        pytest.param(
            {"contracts": [{"name": "a", "address": CONTRACT}] * 2},
            "want contracts with names of their own, got 'a' twice", id="twice",
        ),
        pytest.param(
            {"contracts": [{"name": "a", "address": CONTRACT[:-1] + "q"}]},
            f"want an address whose checksum is right, got '{CONTRACT[:-1]}q'", id="a slip",
        ),
    ],
)  # fmt: skip
def test_keys_that_make_no_sense_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as told:
        cosmos(**keys)

    assert [error["msg"] for error in told.value.errors()] == [f"Value error, {message}"]


@pytest.mark.parametrize(
    ("url", "ws"),
    [
        pytest.param("http://a:26657", "http://a:26657/websocket", id="plain"),
        pytest.param("https://a/rpc/", "https://a/rpc/websocket", id="path"),
        pytest.param("https://a/rpc?key=k", "https://a/rpc/websocket?key=k", id="key"),
        pytest.param("tcp://a:26657", "tcp://a:26657/websocket", id="as CometBFT writes it"),
    ],
)
def test_the_websocket_stands_beside_the_rpc(url: str, ws: str) -> None:
    assert cosmos().default_ws(url) == ws


# --- both the simulator and a real node


@dataclass
class Chain:
    url: str
    network: str


@pytest.fixture(
    params=[
        "simulator",
        pytest.param("cometbft", marks=[pytest.mark.service, pytest.mark.slow]),
    ]
)
async def chain(request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    """A chain of one validator that has a few blocks."""
    if request.param == "cometbft":
        node: Comet = request.getfixturevalue("shared_cometbft")
        network = node.call("status")["node_info"]["network"]
        yield Chain(node.url, network)
    else:
        async with comet_server(CometChain(network="neutron-1")) as server:
            yield Chain(server.url, "neutron-1")


async def test_a_current_node_is_up_and_tells_of_itself(chain: Chain) -> None:
    result = await quiet_alone(chain, chain_id=chain.network)

    assert result.outcome is Outcome.UP, result.failure
    found = values(result)
    assert found["cosmos_signed_power_ratio endpoint=target"] == 1
    assert found["cosmos_abci_lag_blocks endpoint=target"] == 0
    assert found["cosmos_mempool_transactions endpoint=target"] == 0
    assert found["chain_capability endpoint=target capability=batch"] == 1
    assert found["chain_capability endpoint=target capability=archive"] == 1
    assert found["chain_capability endpoint=target capability=tx_index"] == 1
    assert found["chain_earliest_height endpoint=target store=state"] == 1
    assert "chain_peers endpoint=target" in found
    client = next(it for it in result.samples if it.name == "chain_info")
    assert dict(client.labels)["client"] == "cometbft/0.38"
    assert not reasons(result)["target"]


def message_of(found: Result) -> str:
    return found.failure.message if found.failure else ""


async def quiet_alone(chain: Chain, **keys: Any) -> Result:
    probe = Probe(name="it", kind=quiet(**keys), target=chain.url, timeout_s=8)
    return await run_once(probe)


async def test_another_network_is_down_at_once(chain: Chain) -> None:
    """Row 21."""
    result = await quiet_alone(chain, chain_id="pion-1")

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.message.startswith("wrong_network: target: ")
    assert f"got '{chain.network}'" in result.failure.message
    assert values(result)["chain_id_match endpoint=target"] == 0


async def test_another_genesis_is_down_at_once(chain: Chain) -> None:
    """Row 22."""
    result = await quiet_alone(chain, chain_id=chain.network, genesis_hash="AB" * 32)

    assert result.outcome is Outcome.DOWN
    assert reasons(result)["target"] == {"wrong_network"}


async def test_heads_come_over_the_websocket(chain: Chain) -> None:
    service = Service(cosmos(chain_id=chain.network), chain.url)

    async with service.listening(lambda news: isinstance(news, News) and news.is_up):
        result = await service.run()

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["chain_ws_up endpoint=target"] == 1


async def test_run_after_run_asks_one_thing_and_now_and_then_more(chain: Chain) -> None:
    service = Service(quiet(chain_id=chain.network), chain.url)

    result = await service.run(6)

    assert result.outcome is Outcome.UP, result.failure
    asked = values(result)
    fast = "chain_rpc_requests_total endpoint=target method=status outcome=ok"
    assert asked[fast] >= 6


# --- what only the simulator can do


@pytest.fixture
async def server() -> AsyncIterator[CometServer]:
    async with comet_server(CometChain(network="neutron-1")) as server:
        yield server


async def test_the_calls_of_six_runs(server: CometServer) -> None:
    service = Service(quiet(), server.url)

    await service.run(6)

    calls = server.node.calls
    assert calls["abci_info"] == calls["consensus_state"] == calls["num_unconfirmed_txs"] == 3
    assert calls["net_info"] <= 1
    # six heads, and one to prove batches
    assert 6 <= calls["status"] <= 7


async def test_an_old_head_is_stale_although_nothing_catches_up(server: CometServer) -> None:
    """Row 36."""
    server.node.chain.head_at -= timedelta(minutes=10)

    result = await Service(quiet(), server.url).run()

    assert result.outcome is Outcome.DOWN
    assert reasons(result)["target"] == {"head_stale"}


async def test_a_node_at_the_end_of_a_state_sync_is_degraded(server: CometServer) -> None:
    """Row 37."""
    server.node.catching_up = True

    result = await Service(quiet(), server.url).run()

    assert result.outcome is Outcome.DEGRADED
    assert reasons(result)["target"] == {"syncing"}


async def test_a_node_before_its_first_block_is_down(server: CometServer) -> None:
    """Row 38."""
    server.node.started = False

    result = await Service(quiet(), server.url).run()

    assert result.outcome is Outcome.DOWN
    assert reasons(result)["target"] == {"not_started"}


@pytest.mark.parametrize(
    ("behind", "outcome"),
    [
        pytest.param(2, Outcome.UP, id="two"),
        pytest.param(5, Outcome.DEGRADED, id="five"),
        pytest.param(20, Outcome.DOWN, id="an upgrade that did not come"),
    ],
)
async def test_an_application_behind_its_store(
    server: CometServer, behind: int, outcome: Outcome
) -> None:
    """Row 39."""
    server.node.abci_height = server.node.head - behind

    result = await Service(quiet(), server.url).run()

    assert result.outcome is outcome
    assert reasons(result)["target"] == (set() if outcome is Outcome.UP else {"abci_lag"})
    assert values(result)["cosmos_abci_lag_blocks endpoint=target"] == behind


async def test_an_application_told_by_a_cache_is_not_believed(server: CometServer) -> None:
    server.node.abci_height = 3
    server.node.cache_age_s = 7

    result = await Service(quiet(), server.url).run()

    assert result.outcome is Outcome.UP
    assert "cosmos_abci_lag_blocks endpoint=target" not in values(result)


async def test_too_few_peers(server: CometServer) -> None:
    server.node.peers = 1

    kind = quiet(thresholds={"min_peers": 3}, budget={"calls_per_minute": 6000})

    result = await Service(kind, server.url).run(20)

    assert result.outcome is Outcome.DEGRADED
    assert reasons(result)["target"] == {"peers_low"}


async def test_rounds_of_consensus_that_do_not_end(server: CometServer) -> None:
    server.node.round = 2

    service = Service(quiet(), server.url)

    assert (await service.run(6)).outcome is Outcome.UP
    result = await service.run(2)
    assert result.outcome is Outcome.DEGRADED
    assert reasons(result)["target"] == {"consensus_round"}


async def test_power_that_does_not_sign(server: CometServer) -> None:
    server.node.chain.validators[0].flag = ABSENT
    server.node.chain.advance(2)

    result = await quiet_alone(Chain(server.url, ""))

    assert values(result)["cosmos_signed_power_ratio endpoint=target"] == 0.75


async def test_a_subscription_that_is_refused(server: CometServer) -> None:
    """Row 46."""
    server.node.subscription_error = "max_subscription_clients 100 reached"
    service = Service(cosmos(), server.url)

    async with service.listening(lambda news: isinstance(news, News) and bool(news.problem)):
        result = await service.run()

    assert result.outcome is Outcome.DEGRADED
    assert reasons(result)["target"] == {"ws_subscribe_failed"}


# --- a group


@pytest.fixture
async def group() -> AsyncIterator[dict[str, CometServer]]:
    """Three nodes of one chain."""
    chain = CometChain(network="neutron-1")
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(comet_server(chain, name)) for name in "abc"}


def group_kind(group: dict[str, CometServer], **keys: Any) -> Cosmos:
    endpoints = [{"name": name, "http": server.url} for name, server in group.items()]
    return quiet(endpoints=endpoints, chain_id="neutron-1", block_time="1s", **keys)


@pytest.mark.parametrize("lever", ["fork", "fork_state"])
async def test_another_branch_or_state_is_down_after_two_runs(
    group: dict[str, CometServer], lever: str
) -> None:
    """Rows 29 and 31."""
    getattr(group["c"].node, lever)(50)
    service = Service(group_kind(group))

    first = await service.run()
    assert outcomes(first) == dict.fromkeys("abc", "up")
    group["a"].node.chain.advance()
    second = await service.run()

    assert outcomes(second) == {"a": "up", "b": "up", "c": "down"}
    assert reasons(second)["c"] == {lever}
    assert values(second)["chain_fork_disagreement endpoint=c"] == 1


async def test_a_node_far_behind_is_down_by_lag(group: dict[str, CometServer]) -> None:
    group["c"].node.chain.head += 500
    group["c"].node.height = group["a"].node.head - 400
    service = Service(group_kind(group, thresholds={"head_age": "off"}))

    result = await service.run(2)

    assert outcomes(result) == {"a": "up", "b": "up", "c": "down"}
    assert reasons(result)["c"] == {"lag_down"}


async def test_transactions_are_counted_and_go_on_after_a_restart(
    group: dict[str, CometServer],
) -> None:
    chain = group["a"].node.chain
    kind = group_kind(group, contracts=[{"name": "swap", "address": CONTRACT}])
    service = Service(kind)
    await service.run()
    chain.transactions[chain.head] = [(f"x{CONTRACT}y".encode(), 0), (b"other", 11)]
    chain.transactions[chain.head + 1] = [(CONTRACT.encode(), 5)]
    chain.advance(2)

    found = values(await service.run())

    assert found["cosmos_transactions_total result=success"] == 1
    assert found["cosmos_transactions_total result=failed"] == 2
    swap = "cosmos_contract_transactions_total contract=swap result="
    assert (found[f"{swap}success"], found[f"{swap}failed"]) == (1, 1)

    kept = kind.durable(service.keep.memory)
    again = Service(kind, kept=json.loads(json.dumps(kept)))
    chain.transactions[chain.head] = [(b"other", 0)]
    chain.advance()

    found = values(await again.run())

    assert found["cosmos_transactions_total result=success"] == 1
    assert found["cosmos_transactions_total result=failed"] == 0


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_network_that_loses_its_majority_halts(comet_network: StartNetwork) -> None:
    """Row 25, with real validators: two of four are less than two thirds."""
    nodes = dict(zip("abcd", comet_network(4), strict=True))
    await together(nodes.values(), 2)
    endpoints = [{"name": name, "http": node.url} for name, node in nodes.items()]
    thresholds = {"head_age": "2s", "lag": "off"}
    budget = {"calls_per_minute": 6000}
    kind = quiet(endpoints=endpoints, thresholds=thresholds, budget=budget, block_time="1s")
    service = Service(kind)

    found = await service.run(2)
    assert outcomes(found) == dict.fromkeys("abcd", "up")
    for name in "cd":
        nodes[name].stop()
    async with asyncio.timeout(15):
        while not message_of(found := await service.run()).startswith("chain_halted"):
            pass

    assert found.outcome is Outcome.DOWN
    assert outcomes(found) == {"a": "degraded", "b": "degraded", "c": "down", "d": "down"}
    assert values(found)["chain_halted"] == 1


# --- four validators, of the simulator and real


def of_four(four: Four, **keys: Any) -> Cosmos:
    endpoints = [{"name": name, "http": url} for name, url in four.urls.items()]
    budget = {"calls_per_minute": 6000}
    known = {"chain_id": four.network, "block_time": "1s", "budget": budget}
    return quiet(endpoints=endpoints, **known, **keys)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_validator_that_catches_up_is_unfit_and_nobody_else(four: Four) -> None:
    """Row 37, and how it ends: far behind it is down, near the head degraded."""
    await four.lose_blocks()
    far = Service(of_four(four, thresholds={"lag": {"warn": 2, "down": 3}, "head_age": "off"}))
    near = Service(of_four(four, thresholds={"lag": {"warn": 500, "down": 1000}}))

    found, tail = await far.run(2), await near.run(2)

    assert outcomes(found) == {"a": "up", "b": "up", "c": "up", "d": "down"}
    assert reasons(found)["d"] == {"syncing", "lag_down"}
    assert found.outcome is Outcome.DOWN
    assert values(found)["chain_syncing endpoint=d"] == 1
    assert values(found)["chain_syncing endpoint=a"] == 0
    assert outcomes(tail) == {"a": "up", "b": "up", "c": "up", "d": "degraded"}
    assert reasons(tail)["d"] == {"syncing"}

    await four.catch_up()

    assert outcomes(await far.until(Outcome.UP)) == dict.fromkeys("abcd", "up")


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_validator_whose_application_came_to_another_state_is_down(four: Four) -> None:
    """Row 31 as a real node has it: it cannot take the next block, and stands still."""
    await four.until(4)
    limits = {"lag": "off", "head_age": "off", "fork_depth": 3}
    service = Service(of_four(four, thresholds=limits))
    assert outcomes(await service.run(6)) == dict.fromkeys("abcd", "up")

    await four.diverge()
    found = await service.run(6)

    assert outcomes(found) == {"a": "up", "b": "up", "c": "up", "d": "down"}
    assert reasons(found)["d"] == {"fork_state"}
    assert "want the state after block " in message_of(found)
    assert values(found)["chain_fork_disagreement endpoint=d"] == 1
    assert values(found)["chain_fork_disagreement endpoint=a"] == 0


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_copy_of_a_validator_that_went_its_own_way_is_on_a_fork(
    comet_split: StartSplit,
) -> None:
    """Row 29, with real nodes of one genesis: the state differs too, but that is not the reason."""
    nodes = dict(zip("abc", await comet_split(), strict=True))
    # kvstore keeps it in the state, and a header tells the state before its block
    await nodes["c"].rpc("broadcast_tx_commit", tx=b64encode(b"key=value").decode())
    aim = await nodes["c"].height() + 5
    await together(nodes.values(), aim)
    network = (await nodes["a"].status())["node_info"]["network"]
    endpoints = [{"name": name, "http": node.url} for name, node in nodes.items()]
    limits = {"lag": "off", "head_age": "off", "fork_depth": 2}
    service = Service(quiet(chain_id=network, endpoints=endpoints, thresholds=limits))

    found = await service.run(3)

    assert outcomes(found) == {"a": "up", "b": "up", "c": "down"}
    assert reasons(found)["c"] == {"fork"}
    heads = [await node.rpc("commit", height=str(aim)) for node in nodes.values()]
    states = [it["signed_header"]["header"]["app_hash"] for it in heads]
    assert states[0] == states[1] != states[2]


# --- another family, the REST service


async def test_a_node_of_another_family_is_told() -> None:
    """Row 23."""
    async with rpc_proxy() as proxy:
        proxy.on("eth_chainId", result("0x1"))

        found = await quiet_alone(Chain(proxy.url, ""))

    assert found.outcome is Outcome.DOWN
    assert found.failure is not None
    assert found.failure.reason is Reason.PROTOCOL
    assert found.failure.message == ("wrong_family: target: this is an EVM endpoint, use kind: evm")


def told(document: Any) -> Any:
    return body(json.dumps(document))


@pytest.fixture
async def lcd() -> AsyncIterator[RpcProxy]:
    """A REST service of neutron-1 at height 97."""
    async with rpc_proxy() as proxy:
        base = "GET /cosmos/base"
        height = {"height": "97", "earliest_store_height": "5"}
        network = {"default_node_info": {"network": "neutron-1"}}
        proxy.on(f"{base}/node/v1beta1/status", told(height))
        proxy.on(f"{base}/tendermint/v1beta1/node_info", told(network))
        proxy.on(
            "GET /cosmos/upgrade/v1beta1/current_plan",
            told({"plan": {"name": "v6", "height": "500"}}),
        )
        price = {"price": {"denom": "untrn", "amount": "0.0053"}}
        proxy.on("GET /feemarket/v1/gas_price/untrn", told(price))
        yield proxy


async def test_the_rest_service_tells_upgrade_price_and_its_own_lag(
    server: CometServer, lcd: RpcProxy
) -> None:
    result = await quiet_alone(Chain(server.url, ""), lcd=lcd.url, denom="untrn")

    assert result.outcome is Outcome.UP, result.failure
    found = values(result)
    assert found["cosmos_lcd_lag_blocks endpoint=target"] == 3
    assert found["cosmos_upgrade_plan_height endpoint=target"] == 500
    assert found["cosmos_min_gas_price endpoint=target denom=untrn"] == 0.0053


async def test_a_rest_service_that_fails_degrades(server: CometServer, lcd: RpcProxy) -> None:
    lcd.on("GET /cosmos/base/node/v1beta1/status", status(503, "no"))

    result = await quiet_alone(Chain(server.url, ""), lcd=lcd.url)

    assert result.outcome is Outcome.DEGRADED
    assert reasons(result)["target"] == {"method_errors"}


@pytest.mark.parametrize(
    ("paused", "outcome"),
    [pytest.param(False, Outcome.UP, id="as wanted"), pytest.param(True, Outcome.DOWN, id="not")],
)
async def test_a_contract_is_asked_and_judged(
    server: CometServer, lcd: RpcProxy, paused: bool, outcome: Outcome
) -> None:
    contract = {
        "name": "swap", "address": CONTRACT, "query": {"config": {}}, "expect": {"$.paused": False},
    }  # fmt: skip
    path = f"GET /cosmwasm/wasm/v1/contract/{CONTRACT}/smart/eyJjb25maWciOnt9fQ=="
    lcd.on(path, told({"data": {"paused": paused}}))

    result = await quiet_alone(Chain(server.url, ""), lcd=lcd.url, contracts=[contract])

    assert result.outcome is outcome
    assert outcomes(result) == {"target": "up", "contract swap": outcome.value}
    if outcome is Outcome.DOWN:
        assert result.failure is not None
        want = "assertion_failed: contract swap: $.paused: want false, got true"
        assert result.failure.message == want


async def test_a_closed_port_is_refused(check: Check) -> None:
    result = await check(quiet(), f"http://127.0.0.1:{closed_port()}")

    assert result.failure is not None
    assert result.failure.reason is Reason.REFUSED


def watching(count: int, budget: int) -> Cosmos:
    contract = {"address": CONTRACT, "query": {}}
    contracts = [{**contract, "name": f"c{at}"} for at in range(count)]
    return quiet(contracts=contracts, lcd="http://a:1317", budget={"calls_per_minute": budget})


def test_contracts_want_a_budget_beside_the_calls_of_every_run() -> None:
    watching(9, 60).check_times(every_s=10, timeout_s=10)
    with pytest.raises(ValueError, match=r"want a budget of at least 58 calls a minute .* got 50"):
        watching(9, 50).check_times(every_s=8, timeout_s=8)


def test_queries_must_fit_into_half_a_minutes_budget() -> None:
    with pytest.raises(ValueError, match="want at most 10 queries: half the budget of a minute"):
        watching(12, 20).check_times(every_s=60, timeout_s=10)


def test_there_is_room_for_every_series_that_contracts_bring() -> None:
    kind = watching(3, 60)

    assert kind.own_series == 2 + 3 * 2
    assert kind.series_limit == quiet().series_limit + kind.own_series
