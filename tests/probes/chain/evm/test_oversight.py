from dataclasses import replace
from typing import Any

import pytest

from probes.chain.evm.contracts import Contract
from probes.chain.evm.dialect import COMPAT_METRICS, METRICS, EvmDialect
from probes.chain.evm.gas import Rules
from probes.chain.evm.oversight import ContractCall, Notes, Oversight
from probes.chain.model import Endpoint, Fees, Group, Head, Now, Observation
from probes.chain.plan import most_saved
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Survey
from probes.chain.visit import NOBODY
from probes.result import Outcome
from tests.probes.chain.evm.evm_node import (
    GROUP,
    NOW,
    CannedNode,
    error,
    judgement,
    ok,
    verdict,
)
from tests.probes.chain.evm.test_contracts import CONTRACTS, Chain

GWEI = 10**9
CALL = ContractCall("owner", "0x" + "ab" * 20, "0x8da5cb5b", expect="0x" + "12" * 32)


class Group1:
    """A group from run to run."""

    def __init__(self, oversight: Oversight, node: CannedNode, group: Group = GROUP) -> None:
        self.oversight, self.node, self.group = oversight, node, group
        self.memory: object = None
        self.now = NOW
        self.survey = Survey()

    def run(self, *, passed_s: float = 15.0, **fees: Fees) -> "Group1":
        seen = {
            name: Observation(name, head=Head(self.node.head), fees=fee)
            for name, fee in fees.items()
        } or {"own": Observation("own", head=Head(self.node.head))}
        judged = judgement(*(verdict(name, self.node.head) for name in seen))
        self.now = Now(self.now.mono + passed_s, self.now.wall + passed_s)
        talk = self.oversight.survey(self.group, seen, judged, self.now, self.memory)
        self.survey = self.node.drive(talk)
        self.memory = self.survey.memory
        return self

    @property
    def steps(self) -> dict[str, Outcome]:
        return {step.name: step.outcome for step in self.survey.steps}

    @property
    def gauges(self) -> dict[str, float]:
        return {name: value for (name, _), value in self.survey.gauges}

    @property
    def counts(self) -> dict[tuple[str, ...], float]:
        return {
            (name, *(value for _, value in labels)): number
            for (name, labels), number in self.survey.counts
        }


def test_without_anything_to_watch_nothing_is_asked() -> None:
    node = CannedNode()

    group = Group1(Oversight(rules=None), node).run()

    assert node.asked == []
    assert group.survey == Survey(memory=group.memory)
    assert isinstance(group.memory, Notes)


# --- calls


@pytest.mark.parametrize(
    ("call", "answer", "outcome", "detail"),
    [
        pytest.param(CALL, ok("0x" + "12" * 32), Outcome.UP, None, id="as expected"),
        pytest.param(
            replace(CALL, expect="0xab"), ok("0xAB"), Outcome.UP, None, id="in other letters"
        ),
        pytest.param(
            replace(CALL, expect="0x12"),
            ok("0x34"),
            Outcome.DOWN,
            "assertion_failed: want '0x12', got '0x34'",
            id="other bytes",
        ),
        pytest.param(
            replace(CALL, expect=None, uint_min=5),
            ok("0x" + "0" * 63 + "5"),
            Outcome.UP,
            None,
            id="large enough",
        ),
        pytest.param(
            replace(CALL, expect=None, uint_min=5),
            ok("0x" + "0" * 63 + "4"),
            Outcome.DOWN,
            "assertion_failed: want at least 5, got 4",
            id="too small",
        ),
        pytest.param(
            replace(CALL, expect=None, uint_min=5),
            ok("0x"),
            Outcome.DOWN,
            "assertion_failed: want a number of at least 5, got '0x': no contract there?",
            id="no contract",
        ),
        pytest.param(
            CALL,
            ok(7),
            Outcome.DOWN,
            "assertion_failed: want bytes in hex, got 7",
            id="no bytes",
        ),
        pytest.param(
            CALL,
            error(3, "execution reverted: paused"),
            Outcome.DOWN,
            "assertion_failed: want an answer, got a revert: execution reverted: paused",
            id="row 51: reverted",
        ),
        pytest.param(
            CALL,
            error(-32603, "Internal error"),
            Outcome.DEGRADED,
            "method_errors: eth_call: error -32603 'Internal error'",
            id="an error of the node",
        ),
    ],
)
def test_a_call_is_judged_by_its_answer(
    call: ContractCall, answer: Answer, outcome: Outcome, detail: str | None
) -> None:
    node = CannedNode(eth_call=answer)

    group = Group1(Oversight(calls=(call,), rules=None), node).run()

    (step,) = group.survey.steps
    assert (step.name, step.outcome) == ("call owner", outcome)
    assert [f"{finding.reason}: {finding.detail}" for finding in step.findings] == (
        [detail] if detail else []
    )
    assert node.asked[0].params == ({"to": call.to, "data": call.data}, "latest")


def test_calls_are_made_once_a_minute_and_their_verdict_stays() -> None:
    node = CannedNode(eth_call=ok("0x"))
    group = Group1(Oversight(calls=(CALL,), rules=None), node)

    for _ in range(4):
        group.run()
        assert group.steps == {"call owner": Outcome.DOWN}
    assert len(node.asked) == 1

    assert group.run().steps == {"call owner": Outcome.DOWN}
    assert len(node.asked) == 2


@pytest.mark.parametrize("answer", [NOBODY, error(-32000, "header not found")], ids=["lost", "old"])
def test_a_call_that_nobody_hears_has_no_verdict_and_is_made_again(answer: Answer) -> None:
    node = CannedNode(eth_call=answer)
    group = Group1(Oversight(calls=(CALL,), rules=None), node).run()
    assert group.steps == {}

    node.canned["eth_call"] = ok(CALL.expect)

    assert group.run().steps == {"call owner": Outcome.UP}


# --- budget


def test_what_is_asked_once_per_group_lives_on_what_the_budget_leaves() -> None:
    chain = Chain(100)
    group = Group1(
        Oversight(rules=None, contracts=tuple(CONTRACTS.values())),
        chain,
        replace(GROUP, calls_per_minute=60, every_s=15.0),
    ).run()
    for height in range(98, 1000):
        chain.send(height, height)
    chain.head = 900
    asked = []
    for _ in range(20):
        chain.asked.clear()
        group.run()
        asked.append(len(chain.asked))

    assert max(asked) <= most_saved(60)
    # 60 calls a minute are 15 a run, of which the endpoint's own take 6
    assert sum(asked[4:]) / len(asked[4:]) <= 9.5
    assert min(asked[4:]) > 0


def test_a_group_whose_own_calls_take_everything_never_overdraws() -> None:
    chain = Chain(100)
    contracts = tuple(CONTRACTS.values())
    tight = replace(GROUP, calls_per_minute=20, every_s=15.0)
    group = Group1(Oversight(rules=None, contracts=contracts), chain, tight)
    for _ in range(10):
        chain.head += 5
        group.run()

    assert len(chain.asked) <= most_saved(20)


# --- gas


def fee(gwei: float, tip: float | None = 1.0) -> Fees:
    price = None if tip is None else int((gwei + tip) * GWEI)
    return Fees(price=price, base=int(gwei * GWEI))


def test_a_spike_of_the_base_fee_is_seen_between_two_readings_of_the_price() -> None:
    group = Group1(Oversight(rules=Rules(is_degraded=True, min_samples=5)), CannedNode())
    group.run(own=fee(19))
    for run in range(140):
        group.run(own=fee(19, tip=1.0 if run % 20 == 0 else None))
    assert group.steps == {"gas": Outcome.UP}
    assert group.gauges["evm_gas_price_ratio"] == pytest.approx(1.0)

    for _ in range(21):
        group.run(own=fee(99, tip=None))

    (step,) = group.survey.steps
    assert step.outcome is Outcome.DEGRADED
    assert step.findings[0].reason is ChainReason.GAS_SPIKE
    want = "gas costs 100 gwei, want at most 3 times its mean of 20 gwei"
    assert step.findings[0].detail == want
    assert group.gauges["evm_gas_spike_floor_wei"] == 1e9


def test_a_spike_that_is_only_told_is_no_step() -> None:
    group = Group1(Oversight(rules=Rules(min_samples=1)), CannedNode())
    for _ in range(60):
        group.run(own=fee(19))
    for _ in range(25):
        group.run(own=fee(99))

    assert group.steps == {}
    assert group.gauges["evm_gas_price_ratio"] == pytest.approx(5.0)


def test_reference_endpoints_and_those_that_do_not_vote_do_not_make_the_price() -> None:
    endpoints = (Endpoint("own"), Endpoint("odd"), Endpoint("public", role="reference"))
    group = replace(GROUP, endpoints=endpoints)
    seen = {
        name: Observation(name, head=Head(100), fees=fee(gwei))
        for name, gwei in {"own": 20, "odd": 5, "public": 5}.items()
    }
    judged = judgement(verdict("own"), replace(verdict("odd"), is_voter=False), verdict("public"))
    oversight = Oversight(is_compat=True)

    survey = CannedNode().drive(oversight.survey(group, seen, judged, NOW, None))

    assert dict(survey.gauges)["indexer_avg_gas_price", ()] == 21 * GWEI


def test_the_price_for_other_dashboards_is_told_also_where_gas_is_not_judged() -> None:
    group = Group1(Oversight(rules=None, is_compat=True), CannedNode()).run(own=fee(20))

    assert group.gauges == {"indexer_avg_gas_price": 21 * GWEI}
    assert group.survey.outliers == ()


def test_an_odd_oracle_is_named() -> None:
    group = Group1(Oversight(), CannedNode())

    group.run(a=fee(20), b=fee(21), c=fee(400))

    assert [name for name, _ in group.survey.outliers] == ["c"]


def test_gas_that_is_switched_off_is_not_told() -> None:
    group = Group1(Oversight(rules=None), CannedNode()).run(own=fee(20))

    assert group.survey.gauges == ()


# --- contracts


def test_contracts_are_counted_under_both_sets_of_names() -> None:
    chain = Chain(100)
    contracts = tuple(CONTRACTS.values())
    group = Group1(Oversight(rules=None, contracts=contracts, is_compat=True), chain).run()
    chain.send(98, 1)
    chain.send(98, 2, status="0x0")
    chain.log(98, 1)
    chain.head = 101

    group.run()

    assert group.counts == {
        ("evm_contract_scan_reorgs_total",): 0,
        ("evm_contract_transactions_total", "Skill", "success"): 1,
        ("evm_contract_transactions_total", "Skill", "failed"): 1,
        ("evm_contract_gas_used_total", "Skill"): 42_000,
        ("evm_contract_events_total", "Skill", "ProfileCreated"): 1,
        ("evm_contract_events_total", "Skill", "other"): 0,
        ("evm_contract_transactions_total", "Other", "success"): 0,
        ("evm_contract_transactions_total", "Other", "failed"): 0,
        ("evm_contract_gas_used_total", "Other"): 0,
        ("indexer_contract_tx_total", "Skill", "success"): 1,
        ("indexer_contract_tx_total", "Skill", "failed"): 1,
        ("indexer_contract_tx_total", "Other", "success"): 0,
        ("indexer_contract_tx_total", "Other", "failed"): 0,
        ("indexer_events_total", "Skill", "ProfileCreated"): 1,
        ("indexer_events_total", "Skill", "other"): 0,
    }
    assert group.gauges == {"evm_contract_scan_height": 98, "evm_contract_scan_lag_blocks": 0}
    assert group.steps == {"contract Skill": Outcome.UP, "contract Other": Outcome.UP}


def test_every_series_is_declared_with_its_labels() -> None:
    chain = Chain(100)
    oversight = Oversight(contracts=tuple(CONTRACTS.values()), is_compat=True)
    group = Group1(oversight, chain).run(own=fee(20)).run(own=fee(20))
    declared = {metric.name: metric.labels[1:] for metric in (*METRICS, *COMPAT_METRICS)}

    series = [key for key, _ in (*group.survey.gauges, *group.survey.counts)]

    assert series
    for name, labels in series:
        assert declared[name] == tuple(label for label, _ in labels)


def test_many_failures_are_a_step_of_their_own() -> None:
    chain = Chain(100)
    contracts = (replace(CONTRACTS[next(iter(CONTRACTS))], min_tx=2),)
    group = Group1(Oversight(rules=None, contracts=contracts), chain).run()
    for number in range(3):
        chain.send(98, number, status="0x0")
    chain.head = 101

    assert group.run().steps == {"contract Skill": Outcome.DEGRADED}


def test_a_scan_that_cannot_go_on_is_a_step_of_its_own() -> None:
    chain = Chain(100)
    group = Group1(Oversight(rules=None, contracts=(Contract("X", "0x" + "1" * 40),)), chain).run()
    chain.head, chain.canned["eth_getBlockByNumber"] = 101, error(-32603, "Internal error")

    group.run()

    assert group.steps == {"contract X": Outcome.UP, "contracts": Outcome.DEGRADED}
    finding = group.survey.steps[-1].findings[0]
    assert finding.reason is ChainReason.METHOD_ERRORS
    assert finding.detail == "eth_getBlockByNumber: error -32603 'Internal error'"


def test_blocks_are_read_as_deep_as_is_said() -> None:
    chain = Chain(100)
    contracts = (Contract("X", "0x" + "1" * 40),)

    shallow = Group1(Oversight(rules=None, contracts=contracts, confirmations=0), chain).run()
    deep = Group1(Oversight(rules=None, contracts=contracts, confirmations=200), chain).run()

    assert shallow.gauges["evm_contract_scan_height"] == 100
    assert deep.gauges == {}


def test_without_a_head_nothing_is_read_and_nothing_is_lost() -> None:
    chain = Chain(100)
    oversight = Oversight(rules=None, contracts=(Contract("X", "0x" + "1" * 40),))
    group = Group1(oversight, chain).run()
    chain.asked.clear()

    talk = oversight.survey(
        GROUP, {}, judgement(replace(verdict(height=None), is_voter=False)), NOW, group.memory
    )
    survey = chain.drive(talk)

    assert chain.asked == []
    assert dict(survey.gauges) == {("evm_contract_scan_height", ()): 97}


# --- restart


def test_cursor_and_gas_survive_a_restart() -> None:
    chain = Chain(100)
    oversight = Oversight(rules=Rules(min_samples=30), contracts=(Contract("X", "0x" + "1" * 40),))
    dialect = EvmDialect(oversight=oversight)
    group = Group1(oversight, chain)
    for _ in range(600):
        group.run(own=fee(19))

    kept = dialect.durable(group.memory)

    assert kept is not None
    assert set(kept) == {"scan", "gas"}
    memory = dialect.restored(kept)
    assert isinstance(memory, Notes)
    assert memory.scan.cursor == group.memory.scan.cursor  # type: ignore[attr-defined]
    group.memory = memory
    group.now = replace(group.now, mono=5.0)
    group.run(own=fee(19)).run(own=fee(19))
    assert group.gauges["evm_gas_price_ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize("memory", [None, Notes(), "x"], ids=["none", "empty", "strange"])
def test_without_anything_worth_keeping_nothing_is_kept(memory: Any) -> None:
    assert EvmDialect().durable(memory) is None


def test_a_cursor_is_of_no_use_without_contracts() -> None:
    restored = EvmDialect().restored({"scan": [[5, "0x" + "ab" * 32]]})

    assert restored == Notes()
