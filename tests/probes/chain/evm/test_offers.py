from dataclasses import replace
from typing import Any

import pytest

from probes.chain.evm.dialect import EvmDialect
from probes.chain.evm.offers import ArchiveCheck, LogsCheck
from probes.chain.talk import Answer, Class
from tests.probes.chain.evm.evm_node import (
    FULL,
    GROUP,
    LOST,
    UNSUPPORTED,
    Canned,
    CannedNode,
    Params,
    error,
    look,
    ok,
)

# --- logs


def log(number: int, index: int) -> dict[str, Any]:
    return {"blockNumber": hex(number), "logIndex": hex(index), "topics": [], "data": "0x"}


def test_logs_are_asked_for_a_few_blocks_below_the_head() -> None:
    node = CannedNode(100, **FULL)
    dialect = EvmDialect(logs=LogsCheck(address="0x" + "ab" * 20, blocks=7))

    look(node, "logs", dialect=dialect)

    query = {"fromBlock": hex(93), "toBlock": hex(99), "address": "0x" + "ab" * 20}
    assert node.asked[-1].params == (query,)


def test_logs_below_a_young_head_begin_at_0() -> None:
    node = CannedNode(0, **FULL)

    look(node, "logs")

    assert node.asked[-1].params == ({"fromBlock": "0x0", "toBlock": "0x0"},)


@pytest.mark.parametrize(
    ("answer", "has", "complaint"),
    [
        pytest.param(ok([]), True, None, id="none"),
        pytest.param(ok([log(97, 0), log(97, 1), log(98, 0)]), True, None, id="in order"),
        pytest.param(
            ok([log(97, 1), log(97, 1)]),
            False,
            "eth_getLogs: want logs in rising order, got (97, 1) after (97, 1)",
            id="twice",
        ),
        pytest.param(ok({}), False, "eth_getLogs: want a list of logs, got {}", id="no list"),
        pytest.param(
            error(-32005, "query exceeds max block range 3", "eth_getLogs"), False, None, id="range"
        ),
        pytest.param(UNSUPPORTED, False, None, id="not offered"),
        pytest.param(error(-32000, "pruned history"), False, None, id="pruned"),
        pytest.param(
            error(-32603, "Internal error"),
            False,
            "eth_getLogs: error -32603 'Internal error'",
            id="an error",
        ),
    ],
)
def test_logs_are_a_capability(answer: Answer, has: bool, complaint: str | None) -> None:
    seen = look(CannedNode(100, eth_getLogs=answer), "logs")

    assert seen.capabilities == {"logs": has}
    assert [finding.detail for finding in seen.findings] == ([complaint] if complaint else [])


def test_fewer_logs_than_expected_are_a_complaint() -> None:
    dialect = EvmDialect(logs=LogsCheck(expect_min=2))

    seen = look(CannedNode(100, eth_getLogs=ok([log(97, 0)])), "logs", dialect=dialect)

    assert seen.findings[0].detail == "eth_getLogs: want at least 2 logs in 5 blocks, got 1"


def test_logs_beyond_our_own_limit_are_tried_with_one_block() -> None:
    def logs(params: Params) -> Answer:
        is_one = params[0]["fromBlock"] == params[0]["toBlock"]
        return ok([]) if is_one else Answer("too_large", detail="want at most 8 MiB")

    assert look(CannedNode(100, eth_getLogs=logs), "logs").capabilities == {"logs": True}


def test_logs_of_one_block_beyond_our_own_limit_prove_nothing() -> None:
    seen = look(CannedNode(100, eth_getLogs=Answer("too_large")), "logs")

    assert seen.capabilities == {}
    assert seen.asked == {"head", "logs"}


# --- old state


def test_capabilities_that_are_offered_save_the_reads() -> None:
    told = {"head": {}, "state": {"disabled": False, "oldestBlock": "0x5a"}, "blocks": {
        "oldestBlock": "0x0"}}  # fmt: skip
    node = CannedNode(100, **FULL, eth_capabilities=ok(told))

    seen = look(node, "archive")

    assert "eth_getBalance" not in node.methods
    assert seen.capabilities == {"archive": False}
    assert seen.earliest == {"state": 90, "block": 0}


@pytest.mark.parametrize(
    ("state", "has"),
    [
        pytest.param({"disabled": False, "oldestBlock": "0x0"}, True, id="all of it"),
        pytest.param({"disabled": True}, False, id="disabled"),
        pytest.param({"oldestBlock": "0x1"}, True, id="from the height that is asked for"),
    ],
)
def test_capabilities_tell_whether_old_state_is_there(state: Any, has: bool) -> None:
    node = CannedNode(100, eth_capabilities=ok({"state": state}))

    assert look(node, "archive").capabilities == {"archive": has}


@pytest.mark.parametrize(
    "told", [{"state": {}}, {"state": None}, [], {"state": {"oldestBlock": 1.5}}]
)
def test_capabilities_that_tell_nothing_are_not_believed(told: Any) -> None:
    node = CannedNode(100, **FULL, eth_capabilities=ok(told))

    assert look(node, "archive").capabilities == {"archive": True}
    assert "eth_getBalance" in node.methods


@pytest.mark.parametrize(
    ("canned", "has"),
    [
        pytest.param({}, True, id="both reads"),
        pytest.param(
            {"eth_getBalance": error(-32000, "missing trie node 8a0f"), "eth_call": ok("0x")},
            False,
            id="row 50: geth",
        ),
        pytest.param(
            {
                "eth_getBalance": error(
                    -32602, "BlockOutOfRangeError: block height is 41 but requested was 1"
                )
            },
            False,
            id="row 50: anvil",
        ),
        pytest.param(
            {"eth_getBalance": error(4444, "Pruned history unavailable")}, False, id="row 50: 4444"
        ),
        pytest.param({"eth_call": error(-32000, "missing trie node")}, False, id="half a state"),
        pytest.param({"eth_call": error(3, "execution reverted")}, True, id="it ran there"),
    ],
)
def test_old_state_is_a_capability(canned: dict[str, Canned], has: bool) -> None:
    seen = look(CannedNode(100, **{**FULL, **canned}), "archive")

    assert seen.capabilities == {"archive": has}
    assert seen.findings == []


@pytest.mark.parametrize("method", ["eth_getBalance", "eth_call"])
def test_a_connection_that_is_lost_says_nothing_about_old_state(method: str) -> None:
    node = CannedNode(100, **{**FULL, method: LOST})

    seen = look(node, "archive")

    assert seen.capabilities == {}
    assert seen.asked == {"head"}


@pytest.mark.parametrize("kind", ["http_error", "invalid", "too_large"])
@pytest.mark.parametrize(
    ("topic", "method"),
    [("archive", "eth_getBalance"), ("archive", "eth_call"), ("trace", "debug_traceCall")],
)
def test_what_breaks_on_the_way_says_nothing_about_the_node(
    topic: str, method: str, kind: Class
) -> None:
    broken = Answer(kind, detail="want status 200, got 502")
    seen = look(CannedNode(100, **{**FULL, method: broken}), topic)

    assert seen.asked == {"head", topic}
    assert seen.capabilities == {}
    assert [it.detail for it in seen.findings] == [f"{method}: want status 200, got 502"]


def test_a_gateway_that_fails_says_nothing_about_logs() -> None:
    broken = Answer("http_error", detail="want status 200, got 502")
    seen = look(CannedNode(100, eth_getLogs=broken), "logs")

    assert seen.capabilities == {}
    assert [it.detail for it in seen.findings] == ["eth_getLogs: want status 200, got 502"]


def test_a_chain_too_young_to_have_an_old_state_proves_nothing() -> None:
    node = CannedNode(1, **FULL)

    seen = look(node, "archive")

    assert seen.capabilities == {}
    assert node.methods == ["eth_getBlockByNumber"]


def test_an_old_state_of_an_address_of_choice_is_read() -> None:
    node = CannedNode(100, **FULL)

    look(node, "archive", dialect=EvmDialect(archive=ArchiveCheck(50, "0x" + "cd" * 20)))

    assert node.asked[-2].params == ("0x" + "cd" * 20, "0x32")


# --- traces, batches


def test_a_node_that_traces_another_way_traces() -> None:
    seen = look(CannedNode(100, trace_call=ok({"trace": []})), "trace")

    assert seen.capabilities == {"trace": True}
    assert seen.unsupported == set()


def test_a_node_that_traces_in_no_way_is_asked_less_and_less() -> None:
    seen = look(CannedNode(100), "trace")

    assert seen.capabilities == {"trace": False}
    assert seen.unsupported == {"trace"}


def test_a_batch_is_not_tried_where_it_is_switched_off_unless_required() -> None:
    off, needed = CannedNode(100, **FULL), CannedNode(100, **FULL)

    look(off, "batch", group=replace(GROUP, batch=False))
    seen = look(needed, "batch", group=replace(GROUP, batch=False, require=frozenset({"batch"})))

    assert off.batches == []
    assert seen.capabilities == {"batch": True}
