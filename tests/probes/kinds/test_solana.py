"""Kind ``solana``: its keys, and runs against a real node and what a proxy makes of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import ValidationError

from probes.chain.solana.dialect import GENESIS
from probes.kinds.solana import Solana
from probes.probe import Probe
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.websocket.heads import News
from tests.faults.rpc_actions import body, edit, error, result
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.harness import Law
from tests.probes.kinds.chain_service import Service, outcomes, reasons, values
from tests.servers.nodes_fixtures import StartSurfpool
from tests.servers.nodes_solana import Surfpool

MAINNET = GENESIS["mainnet-beta"]
SYSTEM = "11111111111111111111111111111111"
HEALTH = "solana_rpc_health endpoint=target"
# The real node is always healthy, and all its blockhashes look alike: the proxy tells the rest.
service_test = pytest.mark.service


def solana(**keys: Any) -> Solana:
    """The kind with *keys* as a probe file has them."""
    return Solana.model_validate({"chain": "it", "settle": "off", **keys})


LAW = Law(
    kind=solana(chain_id="devnet", retries=0),
    target="http://{host}:{port}",
    secret=lambda canary: solana(
        chain_id="devnet",
        auth={"header": {"credentials": canary}},
        reference=[{"name": "other", "http": f"http://127.0.0.1:9/{canary}"}],
    ),
    secret_target="http://user:{canary}@{host}:{port}/v2/{canary}",
    patient=False,
)


# --- keys


@pytest.mark.parametrize("name", sorted(GENESIS))
def test_a_cluster_may_be_named(name: str) -> None:
    assert solana(chain_id=name).chain_id == GENESIS[name]


def test_a_genesis_hash_is_taken_as_it_is() -> None:
    assert solana(chain_id=MAINNET).chain_id == MAINNET
    assert solana().chain_id is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"chain_id": "mainnet"},
            "want mainnet-beta, testnet, devnet or a genesis hash in base58, got 'mainnet'",
            id="another name",
        ),
        pytest.param(
            {"chain_id": MAINNET[:-4]},
            "want mainnet-beta, testnet, devnet or a genesis hash in base58, "
            f"got '{MAINNET[:-4]}'",
            id="four letters too few",
        ),
        pytest.param(
            {"genesis_hash": MAINNET},
            "want the genesis hash as chain_id, got the key genesis_hash", id="genesis_hash",
        ),
        pytest.param(
            {"lcd": "http://x:1317"}, "want no lcd, which only kind: cosmos has, got one",
            id="of cosmos",
        ),
        pytest.param(
            {"program_accounts": [{"name": "a", "address": "0x5"}]},
            "want an address of 32 bytes in base58, got '0x5'", id="no address",
        ),
        pytest.param(
            {"votes": [{"name": "a", "account": SYSTEM}] * 2},
            "want names of their own, got 'a' twice", id="twice",
        ),
    ],
)  # fmt: skip
def test_keys_that_make_no_sense_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as told:
        solana(**keys)

    assert [problem["msg"] for problem in told.value.errors()] == [f"Value error, {message}"]


@pytest.mark.parametrize("commitment", ["processed", "recent"])
def test_other_commitments_are_refused(commitment: str) -> None:
    with pytest.raises(ValidationError, match="confirmed"):
        solana(commitment=commitment)


@pytest.mark.parametrize("limit", [50, "off", "auto"])
def test_the_limit_of_replay_is_a_threshold(limit: object) -> None:
    assert solana(shred_lag=limit).limits().shred_lag == limit


def test_programs_and_votes_may_share_a_name() -> None:
    kind = solana(
        program_accounts=[{"name": "mine", "address": SYSTEM}],
        votes=[{"name": "mine", "account": SYSTEM}],
    )

    assert "votes" in {topic.name for topic in kind.dialect().topics}


# --- a real node


@pytest.fixture
async def proxy(shared_surfpool: Surfpool) -> AsyncIterator[RpcProxy]:
    async with rpc_proxy(shared_surfpool.url, shared_surfpool.ws_url) as proxy:
        yield proxy


async def alone(url: str, **keys: Any) -> Result:
    probe = Probe(name="it", kind=solana(**keys), target=url, timeout_s=8)
    return await run_once(probe)


@service_test
async def test_a_current_node_is_up_and_tells_of_itself(shared_surfpool: Surfpool) -> None:
    genesis = await shared_surfpool.rpc("getGenesisHash")

    found = await alone(shared_surfpool.url, chain_id=genesis)

    assert found.outcome is Outcome.UP, found.failure
    numbers = values(found)
    assert numbers[HEALTH] == 1
    assert numbers["solana_slots_behind endpoint=target"] == 0
    assert numbers["solana_shred_insert_lag_slots endpoint=target"] == 0
    assert numbers["solana_slot endpoint=target commitment=processed"] >= 31
    assert numbers["solana_slot endpoint=target commitment=finalized"] >= 31
    assert numbers["chain_head_height endpoint=target tag=confirmed"] >= 31
    assert numbers["chain_capability endpoint=target capability=batch"] == 0
    assert "chain_capability endpoint=target capability=archive" in numbers
    assert numbers["chain_id_match endpoint=target"] == 1
    client = next(it for it in found.samples if it.name == "chain_info")
    assert dict(client.labels)["client"] == "solana-core/4.1"
    buckets = [it for it in found.samples if it.name == "solana_rpc_latency_seconds_count"]
    assert {dict(it.labels)["method"] for it in buckets} == {"getEpochInfo", "getHealth", "other"}


@service_test
async def test_another_cluster_is_down_at_once(shared_surfpool: Surfpool) -> None:
    """Row 21."""
    found = await alone(shared_surfpool.url, chain_id="mainnet-beta")

    assert found.outcome is Outcome.DOWN
    assert found.failure is not None
    assert found.failure.reason is Reason.VALUE
    assert found.failure.message.startswith("wrong_network: target: ")


@service_test
@pytest.mark.slow
async def test_a_frozen_node_that_says_ok_is_stale(surfpool: StartSurfpool) -> None:
    """Row 41."""
    node = surfpool()
    service = Service(
        solana(thresholds={"head_age": "1s"}, budget={"calls_per_minute": 6000}), node.url
    )
    await service.run()
    await node.freeze()

    found = await service.until(Outcome.DOWN)

    assert reasons(found)["target"] == {"head_stale"}
    assert values(found)[HEALTH] == 1


@service_test
@pytest.mark.parametrize(
    ("behind", "outcome"),
    [
        pytest.param(42, Outcome.DEGRADED, id="near"),
        pytest.param(213, Outcome.DOWN, id="far"),
        pytest.param(None, Outcome.DOWN, id="does not know"),
    ],
)
async def test_a_node_that_says_it_is_behind(
    proxy: RpcProxy, behind: int | None, outcome: Outcome
) -> None:
    """Row 40."""
    text = "Node is unhealthy" if behind is None else f"Node is behind by {behind} slots"
    proxy.on("getHealth", error(-32005, text, {"numSlotsBehind": behind}))

    found = await alone(proxy.url)

    assert found.outcome is outcome
    assert reasons(found)["target"] == {"unhealthy"}
    assert values(found)[HEALTH] == 0
    assert values(found).get("solana_slots_behind endpoint=target") == behind


@service_test
@pytest.mark.parametrize(
    ("text", "outcome", "health"),
    [
        pytest.param("ok", Outcome.UP, 1, id="ok"),
        pytest.param("behind", Outcome.DOWN, 0, id="behind"),
        pytest.param("welcome", Outcome.UP, None, id="says nothing"),
    ],
)
async def test_health_as_text(
    proxy: RpcProxy, text: str, outcome: Outcome, health: int | None
) -> None:
    proxy.on("GET /health", body(text, "text/plain"))

    found = await alone(proxy.url, health_mode="http_text")

    assert found.outcome is outcome
    assert values(found).get(HEALTH) == health


@service_test
async def test_replay_that_stalls(proxy: RpcProxy) -> None:
    """Row 42."""
    proxy.on("getMaxShredInsertSlot", edit(lambda slot: slot + 400))

    found = await alone(proxy.url)

    assert found.outcome is Outcome.DOWN
    assert reasons(found)["target"] == {"replay_stalled"}
    assert values(found)["solana_shred_insert_lag_slots endpoint=target"] >= 400


@service_test
async def test_the_limit_of_replay_can_be_switched_off(proxy: RpcProxy) -> None:
    proxy.on("getMaxShredInsertSlot", edit(lambda slot: slot + 400))

    assert (await alone(proxy.url, shred_lag="off")).outcome is Outcome.UP


@service_test
async def test_skipped_slots_are_no_fault(proxy: RpcProxy) -> None:
    """Row 43."""
    proxy.on("getBlockTime", error(-32007, "Slot 40 was skipped"), times=2)

    found = await alone(proxy.url)

    assert found.outcome is Outcome.UP
    assert proxy.calls["getBlockTime"] == 3


@service_test
async def test_the_time_of_a_block_makes_a_head_old(proxy: RpcProxy) -> None:
    """A node that replays an old ledger moves fast, and is hours old."""
    proxy.on("getBlockTime", edit(lambda time: time - 3600))

    found = await alone(proxy.url)

    assert found.outcome is Outcome.DOWN
    assert reasons(found)["target"] == {"head_stale"}


@service_test
async def test_slots_come_over_the_websocket(proxy: RpcProxy) -> None:
    service = Service(solana(ws=proxy.ws_url), proxy.url)

    async with service.listening(lambda news: isinstance(news, News) and news.heads > 0):
        found = await service.run()

    assert found.outcome is Outcome.UP, found.failure
    assert values(found)["chain_ws_up endpoint=target"] == 1
    assert values(found)["chain_ws_missed_heads_total endpoint=target"] == 0


@service_test
async def test_a_node_of_another_family_is_told() -> None:
    """Row 23."""
    async with rpc_proxy() as proxy:
        proxy.on("status", result({"node_info": {}}))

        found = await alone(proxy.url)

    assert found.failure is not None
    assert found.failure.message == (
        "wrong_family: target: this is a CometBFT endpoint, use kind: cosmos"
    )
    assert values(found)[HEALTH] == 0


@service_test
async def test_programs_are_counted_by_result(proxy: RpcProxy) -> None:
    def entry(slot: int, err: Any = None) -> dict[str, Any]:
        return {"signature": f"sig{slot}", "slot": slot, "err": err}

    programs = [{"name": "system", "address": SYSTEM}]
    service = Service(solana(program_accounts=programs), proxy.url)
    await service.run()
    fresh = [entry(9000, {"InstructionError": [0, "x"]}), entry(8999), entry(8998)]
    proxy.on("getSignaturesForAddress", result(fresh))

    found = values(await service.run())

    name = "solana_program_transactions_total program=system result="
    assert (found[f"{name}success"], found[f"{name}failed"]) == (2, 1)


@service_test
async def test_what_is_asked_in_a_minute_stays_in_the_budget(proxy: RpcProxy) -> None:
    service = Service(solana(), proxy.url)

    await service.run(6)

    fast = {"getHealth", "getMaxShredInsertSlot"}
    assert {proxy.calls[method] for method in fast} == {6}
    assert sum(proxy.calls.values()) <= 60


# --- a group: three ways to one node


@pytest.fixture
async def group(shared_surfpool: Surfpool) -> AsyncIterator[dict[str, RpcProxy]]:
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(rpc_proxy(shared_surfpool.url)) for name in "abc"
        }


def group_kind(group: dict[str, RpcProxy]) -> Solana:
    endpoints = [{"name": name, "http": proxy.url} for name, proxy in group.items()]
    return solana(endpoints=endpoints, budget={"calls_per_minute": 6000})


@service_test
async def test_endpoints_of_one_cluster_agree(group: dict[str, RpcProxy]) -> None:
    found = await Service(group_kind(group)).run(4)

    assert outcomes(found) == dict.fromkeys("abc", "up")
    assert values(found)["chain_voters"] == 3
    assert all(proxy.calls["isBlockhashValid"] for proxy in group.values())


@service_test
async def test_a_blockhash_that_nobody_knows_is_a_fork(group: dict[str, RpcProxy]) -> None:
    def foreign(latest: Any) -> Any:
        return {**latest, "value": {**latest["value"], "blockhash": MAINNET}}

    group["c"].on("getLatestBlockhash", edit(foreign))

    found = await Service(group_kind(group)).run(8)

    assert outcomes(found) == {"a": "up", "b": "up", "c": "down"}
    assert reasons(found)["c"] == {"fork"}


@service_test
async def test_a_node_far_behind_is_down_by_lag(group: dict[str, RpcProxy]) -> None:
    """Row 41."""
    group["c"].on("getEpochInfo", edit(lambda it: {**it, "absoluteSlot": 31}))
    for name in "ab":
        group[name].on("getEpochInfo", edit(lambda it: {**it, "absoluteSlot": 5000}))
    group["c"].on("getMaxShredInsertSlot", result(31))
    group["c"].on("getHealth", result("ok"))

    found = await Service(group_kind(group)).run(2)

    assert outcomes(found) == {"a": "up", "b": "up", "c": "down"}
    assert reasons(found)["c"] == {"lag_down"}


def test_programs_want_a_budget_beside_the_calls_of_every_run() -> None:
    program = {"name": "system", "address": SYSTEM}
    kind = solana(program_accounts=[program], budget={"calls_per_minute": 40})

    kind.check_times(every_s=15, timeout_s=10)
    with pytest.raises(ValueError, match="want a budget of at least 48 calls a minute") as caught:
        kind.check_times(every_s=10, timeout_s=10)

    assert "for program_accounts at every: 10s, got 40" in str(caught.value)


def test_there_is_room_for_every_series_of_a_node() -> None:
    """What is timed is shown under two names, of three methods; its websocket has two."""
    programs = [{"name": "system", "address": SYSTEM}]
    votes = [{"name": "mine", "account": SYSTEM}]

    assert solana().histograms == 3 * 2 + 2
    assert solana(latency_methods=["getSlot"]).histograms == 4 * 2 + 2
    assert solana(program_accounts=programs, votes=votes).own_series == 2 + 2
