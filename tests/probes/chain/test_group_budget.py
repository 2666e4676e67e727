"""Ten minutes of a group that watches more than its budget has calls for, over the wire.

What is asked once per group (contracts, programs, blocks) lives on what the endpoints' own calls
leave: nothing of it starves, and nothing of the endpoints is shed for it.
"""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from probes.chain.kind import ChainKind
from probes.probe import Probe
from probes.recorder import Keep
from probes.result import Result
from probes.run import run_once
from tests.faults import rpc_actions as act
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.probes.chain import rig
from tests.probes.chain.rig import Clock
from tests.servers.comet import comet_server
from tests.servers.comet_chain import CometChain
from tests.servers.nodes_fixtures import StartSurfpool

pytestmark = pytest.mark.slow

BUDGET, EVERY_S, RUNS = 60, 10, 60
CONTRACT = "neutron1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0s8jevwd"
QUERIES = 8
LCD = {
    "height": "100",
    "earliest_store_height": "1",
    "default_node_info": {"network": "neutron-1"},
    "plan": None,
    "data": {},
}
# Accounts of the runtime, by the name that each is given here.
PROGRAMS = {
    "system": "11111111111111111111111111111111",
    "vote": "Vote111111111111111111111111111111111111111",
    "stake": "Stake11111111111111111111111111111111111111",
    "config": "Config1111111111111111111111111111111111111",
    "clock": "SysvarC1ock11111111111111111111111111111111",
    "rent": "SysvarRent111111111111111111111111111111111",
    "compute": "ComputeBudget111111111111111111111111111111",
    "token": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "loader": "BPFLoader1111111111111111111111111111111111",
    "lookup": "AddressLookupTab1e1111111111111111111111111",
}


class Minutes:
    """A group from run to run, and what each run has cost."""

    def __init__(self, kind: ChainKind, clock: Clock, *proxies: RpcProxy) -> None:
        self.kind, self.clock, self.proxies = kind, clock, proxies
        self.keep = Keep(kind.first_memory("it", None), every_s=EVERY_S)
        self.costs: list[int] = []
        self.shed = 0.0

    async def run(self) -> Result:
        """Run once, and let the interval pass."""
        before = sum(len(proxy.seen) for proxy in self.proxies)
        probe = Probe(name="it", kind=self.kind, target="it", timeout_s=8)
        result = await run_once(probe, keep=self.keep)
        self.costs.append(sum(len(proxy.seen) for proxy in self.proxies) - before)
        self.shed = sum(
            it.value for it in result.samples if it.name == "chain_probe_budget_shed_total"
        )
        self.clock.pass_s(EVERY_S)
        return result

    def worst(self, minutes: int) -> int:
        """Return the most calls in so many minutes in a row."""
        runs = minutes * 60 // EVERY_S
        return max(sum(self.costs[at : at + runs]) for at in range(len(self.costs) - runs + 1))


async def test_contracts_and_blocks_of_cosmos_have_their_turns(clock: Clock) -> None:
    head_at = datetime.fromtimestamp(clock.wall, UTC)
    chain = CometChain(head_at=head_at, block_time_s=EVERY_S / 2)
    chain.transactions = {height: [(b"abc", 0)] for height in range(3000)}
    contracts = [
        {"name": f"c{at}", "address": CONTRACT, "query": {"x": at}} for at in range(QUERIES)
    ]
    async with comet_server(chain, "a") as server, rpc_proxy(server.url) as rpc, rpc_proxy() as lcd:
        lcd.on("*", act.body(json.dumps(LCD)))
        endpoints = {"a": {"http": rpc.url, "lcd": lcd.url}}
        budget = {"calls_per_minute": BUDGET}
        kind = rig.cosmos(endpoints, budget=budget, contracts=contracts)
        kind.check_times(EVERY_S, 8)
        minutes = Minutes(kind, clock, rpc, lcd)
        for _ in range(RUNS):
            result = await minutes.run()
            chain.advance(2)
            assert {step.outcome.value for step in result.steps} == {"up"}

    queries = Counter(call.method for call in lcd.seen if "/smart/" in call.method)
    assert list(queries.values()) == [RUNS * EVERY_S // 60] * QUERIES
    # two blocks come between two runs; the first run only begins
    assert rpc.calls["block"] == 2 * (RUNS - 1)
    assert minutes.shed == 0
    assert minutes.worst(1) <= BUDGET


@pytest.mark.service
async def test_programs_of_solana_take_turns(clock: Clock, surfpool: StartSurfpool) -> None:
    node = surfpool()
    programs = [{"name": name, "address": address} for name, address in PROGRAMS.items()]
    async with rpc_proxy(node.url) as rpc:
        budget, limits = {"calls_per_minute": BUDGET}, {"head_age": "off"}
        kind = rig.solana(
            {"a": rpc.url}, budget=budget, thresholds=limits, program_accounts=programs
        )
        kind.check_times(EVERY_S, 8)
        minutes = Minutes(kind, clock, rpc)
        for _ in range(RUNS):
            await minutes.run()

    asked = Counter(call.params[0] for call in rpc.seen if call.method == "getSignaturesForAddress")
    assert set(asked) == set(PROGRAMS.values())
    # a turn is lost when its call is, as one is now and then on a crowded machine
    assert max(asked.values()) - min(asked.values()) <= 2
    assert min(asked.values()) >= RUNS // 5
    assert minutes.shed == 0
    # a full bucket may go with the first minute
    assert minutes.worst(3) <= 3 * BUDGET + BUDGET / 2
