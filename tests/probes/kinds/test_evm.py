"""Kind evm: its keys. What it says of real nodes stands in `test_evm_nodes`."""

from typing import Any

import pytest
from pydantic import ValidationError

from probes.chain.evm.gas import Rules
from probes.chain.evm.signature import topic0
from probes.chain.model import Thresholds
from probes.kinds.evm import Evm
from tests.harness import Law
from tests.probes.chain.evm.evm_node import GROUP, NOW, CannedNode, judgement, verdict

GENESIS = "0xD4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
SKILL = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def evm(**keys: Any) -> Evm:
    """The kind with *keys* as a probe file has them."""
    return Evm.model_validate({"chain": "it", "chain_id": 1, "settle": "off", **keys})


LAW = Law(
    kind=evm(retries=0),
    target="http://{host}:{port}/",
    secret=lambda canary: evm(
        auth={"header": {"credentials": canary}},
        reference=[{"name": "other", "http": f"http://127.0.0.1:9/{canary}"}],
    ),
    secret_target="http://user:{canary}@{host}:{port}/v2/{canary}",
    patient=False,
)


def topics(kind: Evm) -> set[str]:
    return {topic.name for topic in kind.dialect().topics}


@pytest.mark.parametrize(
    ("told", "chain_id"),
    [
        pytest.param(8453, "8453", id="a number"),
        pytest.param("8453", "8453", id="its digits"),
        pytest.param("0x2105", "8453", id="in hex"),
        pytest.param(None, None, id="not known"),
    ],
)
def test_a_chain_id_is_read_in_all_its_spellings(told: Any, chain_id: str | None) -> None:
    assert evm(chain_id=told).chain_id == chain_id


def test_the_keys_of_the_handbook_are_taken() -> None:
    kind = evm(
        genesis_hash=GENESIS,
        gas={
            "window": "24h", "factor": 3, "floor_wei": 1_000_000_000, "min_samples": 60,
            "for": "5m", "spike": "off",
        },
        txpool={"full_at": 5000},
        logs={"address": SKILL, "expect_min": 1, "blocks": 5},
        archive={"height": 1, "address": "0x" + 40 * "0"},
        calls=[
            {"name": "owner", "to": SKILL, "data": "0x8DA5CB5B", "expect": "0x" + "12" * 32},
            {"name": "supply", "to": SKILL, "data": "0x18160ddd", "uint_min": 5},
        ],
        contracts=[
            {
                "name": "Skill",
                "address": SKILL,
                "events": {
                    "ProfileCreated": "ProfileCreated(address,uint256)",
                    "Odd": {"topic0": "0x" + "AB" * 32},
                    "Raw": "0x" + "cd" * 32,
                },
                "failure_ratio": "10%",
                "min_tx": 10,
            }
        ],
        confirmations=12,
        max_blocks_per_run=20,
    )  # fmt: skip

    assert kind.genesis_hash == GENESIS.lower()
    assert kind.limits() == Thresholds(txpool_full=5000)
    assert kind.dialect()._oversight.rules == Rules()
    assert kind.calls[0].data == "0x8da5cb5b"
    (contract,) = kind.dialect()._oversight.contracts
    assert contract.address == SKILL.lower()
    assert contract.events == {
        topic0("ProfileCreated(address,uint256)"): "ProfileCreated",
        "0x" + "ab" * 32: "Odd",
        "0x" + "cd" * 32: "Raw",
    }
    assert contract.failure_ratio == 0.1
    assert kind.dialect()._oversight.confirmations == 12


def test_what_is_switched_off_is_not_asked() -> None:
    kind = evm(gas="off", txpool=False, logs="off", archive=False)

    assert not {"txpool", "logs", "archive"} & topics(kind)
    assert kind.dialect()._oversight.rules is None


def test_by_default_everything_is_looked_at() -> None:
    assert {"txpool", "logs", "archive", "trace", "batch", "fees", "fork"} <= topics(evm())
    assert evm().limits().txpool_full == "off"
    assert evm(gas=True, txpool=True, logs="on", archive={}).dialect()._oversight.rules == Rules()


def test_a_pool_that_is_judged_is_asked_for_in_every_run() -> None:
    by_name = {topic.name: topic for topic in evm(txpool={"full_at": 9}).dialect().topics}

    assert by_name["txpool"].cadence == "fast"


def test_a_spike_may_change_the_outcome() -> None:
    rules = evm(gas={"spike": "degraded"}).dialect()._oversight.rules

    assert rules is not None
    assert rules.is_degraded


CALL = {"name": "c", "to": SKILL}
CONTRACT = {"name": "Skill", "address": SKILL}


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        pytest.param(
            {"chain_id": "mainnet"},
            "chain_id",
            "want a chain id such as 1 or \"0x1\", got 'mainnet'",
            id="a name as chain id",
        ),
        pytest.param(
            {"chain_id": True},
            "chain_id",
            'want a chain id such as 1 or "0x1", got true',
            id="a boolean as chain id",
        ),
        pytest.param(
            {"genesis_hash": "0xd4e5"},
            "genesis_hash",
            "want a hash: 0x and 64 hex digits, got '0xd4e5'",
            id="half a hash",
        ),
        pytest.param(
            {"gas": {"window": "48h"}},
            "gas",
            "want a window of at most 1d, got 2d",
            id="a window too long",
        ),
        pytest.param(
            {"gas": {"window": "30m"}},
            "gas",
            "want min_samples that fit into the window, got 60 minutes in 30m",
            id="a window too short",
        ),
        pytest.param(
            {"txpool": 5000},
            "txpool",
            "want true, false or keys of its own, got 5000",
            id="a bare limit",
        ),
        pytest.param(
            {"logs": {"blocks": 0}},
            "logs.blocks",
            "Input should be greater than or equal to 1",
            id="a mistake in the keys of a switch",
        ),
        pytest.param(
            {"calls": [{**CALL, "data": "8da5cb5b", "uint_min": 1}]},
            "calls.0.data",
            "want bytes in hex such as 0x70a08231, in quotes, got '8da5cb5b'",
            id="data without 0x",
        ),
        pytest.param(
            {"calls": [{**CALL, "data": "0x8da", "uint_min": 1}]},
            "calls.0.data",
            "want bytes in hex such as 0x70a08231, in quotes, got '0x8da'",
            id="half a byte",
        ),
        pytest.param(
            {"calls": [CALL]},
            "calls.0",
            "want one of expect and uint_min, got both or neither",
            id="a call that is not judged",
        ),
        pytest.param(
            {"calls": [{**CALL, "expect": "0x", "uint_min": 1}]},
            "calls.0",
            "want one of expect and uint_min, got both or neither",
            id="a call judged twice",
        ),
        pytest.param(
            {"calls": [{**CALL, "uint_min": 1}] * 2},
            "",
            "want calls of their own, got 'c' twice",
            id="two calls of one name",
        ),
        pytest.param(
            {"contracts": [{"name": "Skill", "address": SKILL[:-1]}]},
            "contracts.0.address",
            f"want an address: 0x and 40 hex digits, in quotes, got {SKILL[:-1]!r}",
            id="an address too short",
        ),
        pytest.param(
            {"contracts": [{"name": "Skill", "address": SKILL.replace("aAeb", "aaeb")}]},
            "contracts.0.address",
            f"want the checksum {SKILL} (or all lower case), got {SKILL.replace('aAeb', 'aaeb')!r}",
            id="a wrong checksum",
        ),
        pytest.param(
            {"contracts": [CONTRACT, {**CONTRACT, "name": "Two"}]},
            "",
            f"want contracts with addresses of their own, got {SKILL.lower()!r} twice",
            id="one address twice",
        ),
        pytest.param(
            {"contracts": [CONTRACT, {**CONTRACT, "address": "0x" + "1" * 40}]},
            "",
            "want contracts of their own, got 'Skill' twice",
            id="one name twice",
        ),
        pytest.param(
            {"contracts": [{**CONTRACT, "events": {"T": "Transfer(address,uint)"}}]},
            "contracts.0.events.T",
            "want the type uint256, which is what is hashed, got 'uint' in "
            "'Transfer(address,uint)'",
            id="a signature of short types",
        ),
        pytest.param(
            {"contracts": [{**CONTRACT, "events": {"T": {"topic": "0x"}}}]},
            "contracts.0.events.T",
            "want an event such as Transfer(address,address,uint256), or topic0: 0x..., got "
            "{'topic': '0x'}",
            id="another key than topic0",
        ),
        pytest.param(
            {"contracts": [{**CONTRACT, "events": {"other": "A()"}}]},
            "contracts.0",
            "want another name than 'other', which unknown events have",
            id="an event called other",
        ),
        pytest.param(
            {"contracts": [{**CONTRACT, "events": {"A": "A()", "B": "A()"}}]},
            "contracts.0",
            "want each event once, got 'A' and 'B'",
            id="one event twice",
        ),
        pytest.param(
            {"require": ["logs"], "logs": False},
            "",
            "want logs not to be false when it is required, got both",
            id="required and switched off",
        ),
    ],
)
def test_a_mistake_is_told_where_it_is(keys: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        evm(**keys)

    (problem,) = caught.value.errors()
    assert problem["msg"].removeprefix("Value error, ") == message
    assert ".".join(map(str, problem["loc"])) == where


def test_contracts_want_a_budget_beside_the_calls_of_every_run() -> None:
    kind = evm(contracts=[CONTRACT], budget={"calls_per_minute": 24})

    kind.check_times(every_s=20, timeout_s=10)
    with pytest.raises(ValueError, match=r"want a budget of at least") as caught:
        kind.check_times(every_s=15, timeout_s=10)

    assert str(caught.value) == (
        "want a budget of at least 28 calls a minute for calls and contracts at every: 15s, got 24"
    )


def test_calls_must_fit_into_half_a_minutes_budget() -> None:
    calls = [{**CALL, "name": f"c{number}", "uint_min": 1} for number in range(9)]
    kind = evm(calls=calls, budget={"calls_per_minute": 16})

    with pytest.raises(ValueError, match=r"want at most 8 calls: half the budget") as caught:
        kind.check_times(every_s=60, timeout_s=10)

    assert str(caught.value) == "want at most 8 calls: half the budget of a minute, got 9"
    evm(budget={"calls_per_minute": 16}).check_times(every_s=60, timeout_s=10)


@pytest.mark.parametrize("compat_names", [False, True])
def test_there_is_room_for_every_series_that_contracts_bring(compat_names: bool) -> None:
    events = {f"E{number}": f"E{number}()" for number in range(50)}
    contracts = [
        {"name": f"c{at}", "address": f"0x{at:040x}", "events": events if at else {}}
        for at in range(20)
    ]
    plain, kind = evm(), evm(contracts=contracts, compat_names=compat_names)

    node = CannedNode()
    survey = node.drive(kind.dialect().survey(GROUP, {}, judgement(verdict("own")), NOW, None))
    named = [series for series, _ in survey.counts if dict(series[1])]

    assert kind.own_series == len(set(named))
    assert kind.series_limit == plain.series_limit + kind.own_series
