"""The CometBFT dialect, asked without a wire."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.cosmos.dialect import METRICS, CosmosDialect
from probes.chain.cosmos.lcd import Contract
from probes.chain.cosmos.oversight import Notes
from probes.chain.cosmos.txcount import Cursor
from probes.chain.judge.thresholds import limits
from probes.chain.judge.views import Views
from probes.chain.model import (
    Endpoint,
    Group,
    Head,
    Judgement,
    Now,
    Observation,
    Settled,
    Syncing,
    Verdict,
)
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Common, Survey
from probes.result import Outcome
from tests.probes.chain.canned import (
    ENDED,
    SECONDS,
    TIMEOUT,
    Canned,
    Turns,
    gauges,
    group_of,
    ok,
    refused,
    status,
)

GROUP = group_of("cosmos")
OWN, WITH_LCD = Endpoint("own"), Endpoint("own", lcd=True)
BALANCED = Endpoint("own", load_balanced=True)
PRUNED = "height 1 is not available, lowest height is 5200791"
LATER = "height 999 must be less than or equal to the current blockchain height 100"


def sync_info(**changes: Any) -> dict[str, Any]:
    return {
        "latest_block_hash": "50F0AA", "latest_app_hash": "2316BB", "latest_block_height": "100",
        "latest_block_time": "2021-03-25T14:00:43.356134226Z", "earliest_block_hash": "1455CC",
        "earliest_app_hash": "E3B0DD", "earliest_block_height": "1",
        "earliest_block_time": "2019-12-11T16:11:34Z", "catching_up": False, **changes,
    }  # fmt: skip


def told(sync: Mapping[str, Any] | None = None, **node: Any) -> dict[str, Any]:
    info = {"network": "neutron-1", "version": "0.38.21", "other": {"tx_index": "on"}, **node}
    return {"node_info": info, "sync_info": sync_info(**(sync or {})), "validator_info": {}}


def commit(height: int = 99, *flags: int, app: str = "2316BB") -> dict[str, Any]:
    signatures = [
        {"block_id_flag": flag, "validator_address": "" if flag == 1 else f"V{number}"}
        for number, flag in enumerate(flags)
    ]
    return {
        "signed_header": {
            "header": {"height": str(height), "app_hash": app},
            "commit": {"block_id": {"hash": "112BFF"}, "signatures": signatures},
        },
        "canonical": True,
    }


def validators(*powers: int, total: int | None = None, first: int = 0) -> dict[str, Any]:
    members = [
        {"address": f"V{first + number}", "voting_power": str(power)}
        for number, power in enumerate(powers)
    ]
    return {"validators": members, "total": str(len(powers) if total is None else total)}


HEALTHY: dict[str, Any] = {
    "status": told(),
    "abci_info": {"response": {"data": "neutron", "last_block_height": "100"}},
    "net_info": {"n_peers": "7", "peers": []},
    "num_unconfirmed_txs": {"n_txs": "30", "total": "82", "total_bytes": "19974"},
    "consensus_state": {"round_state": {"height/round/step": "101/0/1"}},
    "commit": commit(99, 2, 2, 3, 1),
    "validators": validators(40, 30, 20, 10),
    "abci_query": {"response": {"code": 0, "height": "1"}},
}


def cosmos(**changes: Any) -> Canned:
    return Canned({**HEALTHY, **changes})


def look(
    node: Canned,
    *topics: str,
    dialect: CosmosDialect | None = None,
    endpoint: Endpoint = OWN,
    group: Group = GROUP,
) -> Observation:
    dialect = dialect or CosmosDialect()
    due = frozenset(("head", *topics) if topics else (it.name for it in dialect.topics))
    seen = Observation("own")
    node.talk(dialect.look(group, endpoint, due, seen))
    return seen


# --- status


def test_one_status_tells_nearly_all() -> None:
    node = cosmos()

    seen = look(node, "head")

    assert node.methods == ["status"]
    assert node.params("status") == [{}]
    assert node.asks[0].core
    assert node.asks[0].timed
    assert seen.head == Head(
        100, hash="50f0aa", timestamp=1616680843.356134226, seen=ENDED, state="2316bb"
    )
    assert seen.tags == {"latest": seen.head}
    assert seen.latency_s == SECONDS
    assert seen.chain_id == "neutron-1"
    assert seen.client == "cometbft/0.38"
    assert seen.syncing == Syncing(is_syncing=False)
    assert seen.genesis == "1455cc"
    assert seen.earliest == {"block": 1}
    assert seen.capabilities == {"tx_index": True, "finalized": True}
    assert not seen.not_started


def test_a_node_that_catches_up_says_so() -> None:
    assert look(cosmos(status=told({"catching_up": True})), "head").syncing == Syncing(True)


@pytest.mark.parametrize(
    "sync",
    [
        pytest.param({"latest_block_height": "0", "latest_block_hash": ""}, id="height 0"),
        pytest.param({"latest_block_time": "1970-01-01T00:00:00Z"}, id="1970"),
        pytest.param({"latest_block_time": "0001-01-01T00:00:00Z"}, id="Go's zero"),
    ],
)
def test_a_node_before_its_first_block_has_not_started(sync: dict[str, str]) -> None:
    """Row 38."""
    node = cosmos(status=told(sync))

    seen = look(node)

    assert seen.not_started
    assert seen.head is None
    assert seen.fault is None
    assert seen.chain_id == "neutron-1"
    assert node.methods == ["status"]


@pytest.mark.parametrize(
    ("earliest", "config", "genesis"),
    [
        pytest.param("1", None, "1455cc", id="whole store"),
        pytest.param("1", "aa", "1455cc", id="whole store of another chain"),
        pytest.param("5200791", None, None, id="pruned"),
        pytest.param("5200791", "aa", None, id="pruned, genesis given"),
        pytest.param("5200791", "1455cc", "1455cc", id="a chain that begins above 1"),
        pytest.param("0", None, None, id="not told"),
    ],
)
def test_the_genesis_is_the_first_block_where_the_store_has_it(
    earliest: str, config: str | None, genesis: str | None
) -> None:
    node = cosmos(status=told({"earliest_block_height": earliest}))

    seen = look(node, "head", group=group_of("cosmos", genesis_hash=config))

    assert seen.genesis == genesis


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param({}, "want node_info in the result, got {}", id="empty"),
        pytest.param([], "want node_info in the result, got []", id="list"),
        pytest.param(
            told({"latest_block_height": 100}), "want a decimal number as text, got 100",
            id="number",
        ),
        pytest.param(
            told({"latest_block_height": "-1"}), "want a decimal number as text, got '-1'",
            id="negative",
        ),
        pytest.param(
            told({"latest_block_time": "now"}),
            "want a time such as 2021-03-25T14:00:43.356Z, got 'now'", id="time",
        ),
        pytest.param(
            told({"catching_up": "false"}), "want catching_up as true or false, got another",
            id="text as bool",
        ),
        pytest.param(told(network=5), "want network as text, got 5", id="network"),
        pytest.param(
            told({"earliest_block_hash": None}), "want earliest_block_hash as text, got null",
            id="late nonsense",
        ),
    ],
)  # fmt: skip
def test_a_status_that_is_none_is_an_invalid_response(answer: Any, detail: str) -> None:
    seen = look(cosmos(status=answer))

    assert seen.head is None
    assert not seen.not_started
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.INVALID_RESPONSE
    assert seen.fault.detail == f"status: {detail}"


def test_a_stranger_is_told_with_a_hint() -> None:
    seen = look(Canned({"eth_chainId": "0x1"}))

    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.WRONG_FAMILY
    assert seen.fault.detail == "this is an EVM endpoint, use kind: evm"


def test_a_core_error_ends_the_look() -> None:
    node = cosmos(status=refused(-32603, "Internal error", "boom"))

    seen = look(node)

    assert node.methods == ["status"]
    assert seen.fault is not None
    assert (seen.fault.reason, seen.fault.outcome) == (
        ChainReason.RPC_CORE_ERROR, Outcome.DOWN,
    )  # fmt: skip


def test_behind_a_balancer_the_height_is_read_twice_and_nothing_subtracted() -> None:
    node = cosmos(status=Turns(told(), told({"latest_block_height": "98"})))

    seen = look(node, "again", "app", endpoint=BALANCED)

    assert node.methods == ["status", "status"]
    assert seen.read_again == 98
    assert seen.abci_lag is None
    assert {"again", "app"} <= seen.asked


# --- the application


@pytest.mark.parametrize(
    ("response", "lag"),
    [
        pytest.param({"last_block_height": "100"}, 0, id="level"),
        pytest.param({"last_block_height": "97", "data": "n"}, 3, id="behind"),
        pytest.param({"last_block_height": "101"}, 0, id="a block came meanwhile"),
        pytest.param({"data": "neutron"}, 100, id="0 is left out"),
    ],
)
def test_the_application_may_be_behind_its_store(response: Any, lag: int) -> None:
    """Row 39."""
    seen = look(cosmos(abci_info={"response": response}), "app")

    assert seen.abci_lag == lag
    assert gauges(seen)["cosmos_abci_lag_blocks"] == lag


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"age", b"0"), id="age"),
        pytest.param((b"x-cache", b"HIT from edge"), id="x-cache"),
    ],
)
def test_an_answer_of_a_cache_is_dropped(header: tuple[bytes, bytes]) -> None:
    answer = ok({"response": {"last_block_height": "3"}}, headers=(header,))

    seen = look(cosmos(abci_info=answer), "app")

    assert seen.abci_lag is None
    assert seen.facts == {"abci_info": "dropped: a cache answered"}
    assert "app" in seen.asked


def test_an_answer_past_a_cache_counts() -> None:
    answer = ok({"response": {"last_block_height": "99"}}, headers=((b"x-cache", b"MISS"),))

    assert look(cosmos(abci_info=answer), "app").abci_lag == 1


def test_the_application_tells_to_which_state_it_came() -> None:
    """In base64, where a header has hexadecimal digits."""
    response = {"last_block_height": "7", "last_block_app_hash": "AP////////8="}

    assert look(cosmos(abci_info={"response": response}), "app").app == (7, "00" + "ff" * 7)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param({"last_block_app_hash": "AAAA"}, id="before the first block"),
        pytest.param({"last_block_height": "7"}, id="not told"),
        pytest.param({"last_block_height": "7", "last_block_app_hash": ""}, id="empty"),
    ],
)
def test_an_application_may_have_no_state(response: Any) -> None:
    seen = look(cosmos(abci_info={"response": response}), "app")

    assert seen.app is None
    assert seen.findings == []


@pytest.mark.parametrize("state", [7, "§", "AAA", ["AAAA"]])
def test_a_state_that_is_no_base64_is_told(state: Any) -> None:
    response = {"last_block_height": "7", "last_block_app_hash": state}

    seen = look(cosmos(abci_info={"response": response}), "app")

    want = f"abci_info: want last_block_app_hash in base64, got {state!r}"
    assert [finding.detail for finding in seen.findings] == [want]
    assert seen.app is None
    assert seen.abci_lag == 93


def test_an_application_that_says_nothing_is_not_behind() -> None:
    seen = look(cosmos(abci_info={"response": {}}), "app")

    assert seen.abci_lag is None
    assert seen.findings == []


# --- beside the head


def test_peers_and_mempool() -> None:
    seen = look(cosmos(), "peers", "mempool")

    assert seen.peers == 7
    assert gauges(seen) == {"cosmos_mempool_transactions": 82, "cosmos_mempool_bytes": 19974}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("101/0/1", 0, id="first"),
        pytest.param("101/4/6", 4, id="later"),
        pytest.param("100/4/6", None, id="a height that is decided"),
    ],
)
def test_the_round_of_consensus(text: str, number: int | None) -> None:
    state = {"round_state": {"height/round/step": text}}

    assert look(cosmos(consensus_state=state), "round").consensus_round == number


def test_a_round_that_is_hidden_is_no_fault() -> None:
    seen = look(cosmos(consensus_state=refused(-32601)), "round")

    assert seen.unsupported == {"round"}
    assert seen.findings == []


@pytest.mark.parametrize(
    ("flags", "ratio"),
    [
        pytest.param((2, 2, 2, 2), 1.0, id="all"),
        pytest.param((2, 2, 3, 1), 0.7, id="nil and absent"),
        pytest.param((1, 1, 1, 2), 0.1, id="by power, not by number"),
    ],
)
def test_the_power_that_signed(flags: tuple[int, ...], ratio: float) -> None:
    node = cosmos(commit=commit(99, *flags))

    seen = look(node, "power")

    assert node.params("commit") == [{"height": "99"}]
    assert node.params("validators") == [{"height": "99", "page": "1", "per_page": "100"}]
    assert gauges(seen)["cosmos_signed_power_ratio"] == ratio


def test_validators_come_in_pages() -> None:
    pages = Turns(validators(*[1] * 100, total=150), validators(*[1] * 50, total=150, first=100))
    node = cosmos(commit=commit(99, *[2] * 75, *[1] * 75), validators=pages)

    seen = look(node, "power")

    assert [dict(params)["page"] for params in node.params("validators")] == ["1", "2"]
    assert gauges(seen)["cosmos_signed_power_ratio"] == 0.5


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"validators": validators(1, total=1000)}, id="too many pages"),
        pytest.param({"validators": validators()}, id="nobody"),
        pytest.param({"commit": refused(-32603, "Internal error", PRUNED)}, id="pruned"),
        pytest.param({"validators": TIMEOUT}, id="silence"),
        pytest.param({"status": told({"latest_block_height": "1"})}, id="first block"),
    ],
)
def test_power_that_is_not_told_is_absent(changes: dict[str, Any]) -> None:
    seen = look(cosmos(**changes), "power")

    assert not seen.gauges
    assert seen.findings == []


def test_signatures_that_are_none_are_told() -> None:
    answer: dict[str, Any] = {"signed_header": {"commit": {"signatures": {}}}}

    seen = look(cosmos(commit=answer), "power")

    assert seen.findings[0].detail == "commit: want a list of signatures, got {}"


@pytest.mark.parametrize(
    ("sync", "response", "archive", "state"),
    [
        pytest.param({}, {"code": 0}, True, 1, id="from the first block"),
        pytest.param({}, {}, True, 1, id="0 is left out"),
        pytest.param(
            {}, {"code": 18, "log": "failed to load state at height 1"}, False, None, id="pruned"
        ),
        pytest.param({}, {"code": 6, "log": "unknown query path"}, None, None, id="another app"),
        pytest.param({"earliest_block_height": "50"}, {"code": 0}, True, 50, id="years"),
        pytest.param(
            {"earliest_block_height": "50", "earliest_block_time": "2021-03-20T14:00:43Z"},
            {"code": 0}, False, 50, id="synced days ago",
        ),
    ],
)  # fmt: skip
def test_old_state(
    sync: dict[str, str], response: dict[str, Any], archive: bool | None, state: int | None
) -> None:
    """Row 50."""
    node = cosmos(status=told(sync), abci_query={"response": response})

    seen = look(node, "archive")

    assert dict(node.params("abci_query")[0])["height"] == sync.get("earliest_block_height", "1")
    assert seen.capabilities.get("archive") is archive
    assert seen.earliest.get("state") == state


def test_without_a_store_no_old_state_is_asked_for() -> None:
    node = cosmos(status=told({"earliest_block_height": "0"}))

    look(node, "archive")

    assert node.methods == ["status"]


@pytest.mark.parametrize(
    "version", [pytest.param("off", id="off"), pytest.param("null", id="null")]
)
def test_a_node_without_a_tx_index(version: str) -> None:
    seen = look(cosmos(status=told(other={"tx_index": version})), "head")

    assert seen.capabilities["tx_index"] is False


@pytest.mark.parametrize("proven", [True, False])
def test_batches_are_proven(proven: bool) -> None:
    node = cosmos() if proven else cosmos(status=Turns(told(), refused(-32600, "no batch")))

    assert look(node, "batch").capabilities["batch"] is proven


# --- the REST service

STATUS = "/cosmos/base/node/v1beta1/status"
LATEST = "/cosmos/base/tendermint/v1beta1/blocks/latest"
INFO = "/cosmos/base/tendermint/v1beta1/node_info"
PLAN = "/cosmos/upgrade/v1beta1/current_plan"
CONFIG = "/cosmos/base/node/v1beta1/config"
PRICE = "/feemarket/v1/gas_price/untrn"
LCD: dict[str, Any] = {
    STATUS: {"earliest_store_height": "40", "height": "97", "timestamp": "2021-03-25T14:00:43Z"},
    LATEST: {"block": {"header": {"height": "96", "chain_id": "neutron-1"}}},
    INFO: {"default_node_info": {"network": "neutron-1"}},
    PLAN: {"plan": {"name": "v5", "height": "500", "info": ""}},
    PRICE: {"price": {"denom": "untrn", "amount": "0.005300000000000000"}},
    CONFIG: {"minimum_gas_price": "0.02ibc/ABC,0.0053untrn"},
}
REST = CosmosDialect(denom="untrn", has_lcd=True)


def rest(*topics: str, **changes: Any) -> tuple[Canned, Observation]:
    names = {"status": STATUS, "latest": LATEST, "info": INFO, "plan": PLAN, "price": PRICE,
             "config": CONFIG}  # fmt: skip
    node = Canned({**HEALTHY, **LCD, **{names[word]: it for word, it in changes.items()}})
    return node, look(node, *topics, dialect=REST, endpoint=WITH_LCD)


def test_the_service_may_be_behind_the_rpc() -> None:
    node, seen = rest("lcd")

    assert node.methods == ["status", STATUS]
    assert seen.lcd_height == 97
    assert seen.earliest["state"] == 40
    assert gauges(seen) == {"cosmos_lcd_lag_blocks": 3}


@pytest.mark.parametrize("code", [404, 501])
def test_an_older_service_tells_its_latest_block(code: int) -> None:
    node, seen = rest("lcd", status=status(code, '{"code": 12, "message": "Not Implemented"}'))

    assert node.methods == ["status", STATUS, LATEST]
    assert seen.lcd_height == 96
    assert seen.unsupported == set()


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(status(502, "<html>"), "lcd lcd: want status 200, got 502", id="502"),
        pytest.param(TIMEOUT, "lcd lcd: want an answer within 5 s, got none", id="silence"),
        pytest.param({"height": 5}, "lcd lcd: want a decimal number as text, got 5", id="nonsense"),
    ],
)
def test_a_service_that_fails_is_told_and_the_rpc_stays_up(answer: Any, detail: str) -> None:
    _, seen = rest("lcd", status=answer)

    assert seen.fault is None
    assert [(it.reason, it.outcome, it.detail) for it in seen.findings] == [
        (ChainReason.METHOD_ERRORS, Outcome.DEGRADED, detail)
    ]
    assert "lcd" in seen.asked


def test_a_service_of_another_chain_is_told() -> None:
    _, seen = rest("lcd_identity", info={"default_node_info": {"network": "pion-1"}})

    assert seen.findings[0].detail == (
        "lcd lcd_identity: want the network 'neutron-1' of the RPC, got 'pion-1'"
    )
    assert seen.chain_id == "neutron-1"


def test_a_planned_upgrade() -> None:
    _, seen = rest("upgrade")

    assert gauges(seen) == {"cosmos_upgrade_plan_height": 500}
    assert seen.facts == {"upgrade": "'v5' at 500"}


def test_no_planned_upgrade_is_0() -> None:
    _, seen = rest("upgrade", plan={"plan": None})

    assert gauges(seen) == {"cosmos_upgrade_plan_height": 0}
    assert seen.facts == {}


def test_the_price_of_the_market() -> None:
    node, seen = rest("gas_price")

    assert node.methods == ["status", PRICE]
    assert gauges(seen) == {"cosmos_min_gas_price denom=untrn": 0.0053}


def test_without_a_market_the_price_is_that_of_the_config() -> None:
    node, seen = rest("gas_price", price=status(501, "{}"))

    assert node.methods == ["status", PRICE, CONFIG]
    assert gauges(seen) == {"cosmos_min_gas_price denom=untrn": 0.0053}


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param("0.1uatom", "want a price in untrn, got '0.1uatom'", id="another coin"),
        pytest.param("", "want a price in untrn, got ''", id="none"),
        pytest.param("nanuntrn", "want a price in untrn, got 'nanuntrn'", id="nan"),
    ],
)
def test_a_price_that_is_none_is_told(answer: str, detail: str) -> None:
    _, seen = rest("gas_price", price=status(501, "{}"), config={"minimum_gas_price": answer})

    assert seen.findings[0].detail == f"lcd gas_price: {detail}"


def test_an_endpoint_without_a_service_is_not_asked_over_rest() -> None:
    node = cosmos()

    seen = look(node, "lcd", "upgrade", "gas_price", dialect=REST)

    assert node.methods == ["status"]
    assert {"lcd", "upgrade", "gas_price"} <= seen.asked


def test_topics_follow_the_keys() -> None:
    def names(**keys: Any) -> set[str]:
        return {topic.name for topic in CosmosDialect(**keys).topics}

    assert {"lcd", "upgrade"} <= names(has_lcd=True)
    assert "gas_price" not in names(has_lcd=True)
    assert "gas_price" in names(has_lcd=True, denom="untrn")
    assert "upgrade" not in names(has_lcd=True, check_upgrade=False)
    assert not {"lcd", "upgrade", "gas_price"} & names(denom="untrn")


# --- round 2


def confirmed(node: Canned, common: Common) -> Observation:
    seen = Observation("own")
    node.talk(CosmosDialect().confirm(GROUP, OWN, common, seen))
    return seen


def test_settled_blocks_are_compared_by_hash_and_state() -> None:
    """Rows 29 and 31."""
    node = Canned({"commit": lambda ask: commit(int(dict(ask.params)["height"]), app="AB")})

    seen = confirmed(node, Common(settled=90, finalized=95))

    assert seen.settled == {90: Settled("112bff", "ab"), 95: Settled("112bff", "ab")}


def test_one_height_is_asked_once() -> None:
    node = Canned({"commit": commit(90)})

    confirmed(node, Common(settled=90, finalized=90))

    assert node.params("commit") == [{"height": "90"}]


@pytest.mark.parametrize(
    ("answer", "complaints"),
    [
        pytest.param(refused(-32603, "Internal error", PRUNED), 0, id="pruned"),
        pytest.param(refused(-32603, "Internal error", LATER), 0, id="not there yet"),
        pytest.param(refused(-32603, "Internal error", "boom"), 1, id="error"),
        pytest.param(commit(89), 1, id="another height"),
        pytest.param({}, 1, id="nonsense"),
        pytest.param(TIMEOUT, 0, id="silence"),
    ],
)
def test_a_settled_block_that_is_not_told_proves_nothing(answer: Any, complaints: int) -> None:
    seen = confirmed(Canned({"commit": answer}), Common(settled=90))

    assert seen.settled == {}
    assert len(seen.findings) == complaints


@pytest.mark.parametrize(
    ("height", "asked"),
    [pytest.param(100, [100], id="has it"), pytest.param(99, [], id="is the one that stands")],
)
def test_the_next_header_is_asked_of_those_that_have_it(height: int, asked: list[int]) -> None:
    node = Canned({"commit": lambda ask: commit(int(dict(ask.params)["height"]), app="AB")})
    seen = Observation("own", head=Head(height))

    node.talk(CosmosDialect().confirm(GROUP, OWN, Common(state=100), seen))

    assert seen.settled == {at: Settled("112bff", "ab") for at in asked}


def test_heights_before_the_first_are_not_asked() -> None:
    node = Canned({})

    confirmed(node, Common(settled=0))

    assert node.methods == []


def test_the_hash_of_a_height() -> None:
    dialect = CosmosDialect()

    assert Canned({"commit": commit(90)}).talk(dialect.hash_at(90)) == "112bff"
    assert Canned({}).talk(dialect.hash_at(90)) is None


# --- once per group

NOW = Now(ENDED, 1.8e9)
ADDRESS = "neutron1contract"
WATCHED = Contract("swap", ADDRESS)
LIMITS = limits(GROUP, Views())


def judged(**heights: int | None) -> Judgement:
    verdicts = tuple(
        Verdict(name, Outcome.UP if height is not None else Outcome.DOWN, height=height)
        for name, height in heights.items()
    )
    return Judgement(Outcome.UP, None, "", verdicts, LIMITS, 1.0)


def survey(
    node: Canned, dialect: CosmosDialect, judgement: Judgement, memory: object = None
) -> Survey:
    return node.talk(dialect.survey(GROUP, {}, judgement, NOW, memory))


def test_without_contracts_nothing_is_asked() -> None:
    node = Canned({})

    assert survey(node, CosmosDialect(), judged(own=100)) == Survey()
    assert node.methods == []


def test_what_is_shown_is_declared() -> None:
    node = Canned({**HEALTHY, **LCD})
    seen = look(node, dialect=REST, endpoint=WITH_LCD)
    declared = {
        metric.name: set(metric.labels) - {"chain", "endpoint"}
        for metric in METRICS
        if "endpoint" in metric.labels
    }

    assert {name: {key for key, _ in labels} for name, labels in seen.gauges} == declared
    assert seen.asked == {topic.name for topic in REST.topics}
    assert seen.findings == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
WORDS = sorted({*HEALTHY, *LCD})


@given(st.dictionaries(st.sampled_from(WORDS), JSON))
def test_whatever_a_node_answers_is_a_finding_and_no_crash(answers: dict[str, Any]) -> None:
    answered = {name: Answer("ok", result=value) for name, value in answers.items()}
    node = Canned({**HEALTHY, **LCD, **answered})

    seen = look(node, dialect=REST, endpoint=WITH_LCD)
    confirmed(node, Common(settled=90))
    survey(node, CosmosDialect(contracts=(WATCHED,)), judged(own=100))

    assert (seen.head is None) == (seen.fault is not None)


# --- the edges of what an endpoint may do


def test_an_application_that_is_hidden_is_no_fault() -> None:
    seen = look(cosmos(abci_info=refused(-32601)), "app")

    assert seen.unsupported == {"app"}
    assert seen.findings == []


def test_an_application_that_talks_nonsense_is_told() -> None:
    seen = look(cosmos(abci_info={"response": 5}), "app")

    assert seen.findings[0].detail == "abci_info: want response as an object, got 5"


def test_a_node_of_an_older_version_tells_nothing_of_its_index() -> None:
    assert "tx_index" not in look(cosmos(status=told(other={})), "head").capabilities


def test_a_stranger_that_falls_silent_is_not_asked_on() -> None:
    node = Canned({"eth_chainId": TIMEOUT})

    seen = look(node)

    assert node.methods == ["status", "eth_chainId"]
    assert seen.fault is not None
    assert seen.fault.reason is ChainReason.RPC_CORE_ERROR


def test_without_its_head_nothing_else_is_asked() -> None:
    node = cosmos()
    seen = Observation("own")

    node.talk(CosmosDialect().look(GROUP, OWN, frozenset({"peers"}), seen))

    assert node.methods == []
    assert seen == Observation("own")


def test_without_a_usable_primary_the_cursor_is_kept() -> None:
    node = Canned({})
    dialect = CosmosDialect(contracts=(WATCHED,))

    found = survey(node, dialect, judged(own=None), Notes(Cursor(7), saved=0.0))

    assert found.counts == ()
    assert found.steps == ()
    assert isinstance(found.memory, Notes)
    assert found.memory.cursor == Cursor(7)
    assert node.methods == []


def test_without_a_coin_no_price_is_asked_for() -> None:
    node = Canned({**HEALTHY, **LCD})

    seen = look(node, "gas_price", dialect=CosmosDialect(has_lcd=True), endpoint=WITH_LCD)

    assert node.methods == ["status"]
    assert "gas_price" in seen.asked


def test_a_proof_of_batches_without_an_answer_proves_nothing() -> None:
    seen = look(cosmos(status=Turns(told(), TIMEOUT)), "batch")

    assert "batch" not in seen.capabilities
    assert "batch" not in seen.asked
