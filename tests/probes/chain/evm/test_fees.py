from typing import Any

import pytest

from probes.chain.model import (
    Fees,
)
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer
from tests.probes.chain.evm.evm_node import (
    FULL,
    UNSUPPORTED,
    CannedNode,
    error,
    gauges,
    look,
    ok,
)


def test_without_a_price_it_is_the_base_fee_and_the_usual_tip() -> None:
    node = CannedNode(100, **{**FULL, "eth_gasPrice": UNSUPPORTED})

    seen = look(node, "fees")

    assert seen.fees == Fees(10**9 + 2, 10**9, ((10, 1), (50, 2), (90, 3)))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(error(-32602, "block not in range"), id="a young chain (ethereumjs)"),
        pytest.param(UNSUPPORTED, id="a chain without a base fee"),
        pytest.param(
            ok({"oldestBlock": "0x0", "baseFeePerGas": [], "gasUsedRatio": []}), id="no rewards"
        ),
        pytest.param(
            ok({"gasUsedRatio": None, "reward": None, "baseFeePerBlobGas": ["0x0"]}), id="nulls"
        ),
    ],
)
def test_without_a_history_there_is_still_a_price(history: Answer) -> None:
    seen = look(CannedNode(100, **{**FULL, "eth_feeHistory": history}), "fees")

    assert seen.fees == Fees(2 * 10**9, 10**9)
    assert seen.findings == []
    assert "evm_blob_base_fee_wei" not in gauges(seen)


def test_blocks_that_are_all_empty_have_no_tip() -> None:
    history = {"gasUsedRatio": [0, 0.0], "reward": [["0x5", "0x6", "0x7"], ["0x0", "0x0", "0x0"]]}

    seen = look(CannedNode(100, **{**FULL, "eth_feeHistory": ok(history)}), "fees")

    assert seen.fees == Fees(2 * 10**9, 10**9, ((10, 0), (50, 0), (90, 0)))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param({"gasUsedRatio": [0.5], "reward": [["0x1"]]}, id="too few percentiles"),
        pytest.param({"gasUsedRatio": [0.5], "reward": [7]}, id="no rows"),
        pytest.param({"gasUsedRatio": 7}, id="no list"),
        pytest.param([], id="no object"),
    ],
)
def test_a_history_that_is_none_is_a_method_error(history: Any) -> None:
    seen = look(CannedNode(100, **{**FULL, "eth_feeHistory": ok(history)}), "fees")

    assert [finding.reason for finding in seen.findings] == [ChainReason.METHOD_ERRORS]
    assert seen.fees == Fees(2 * 10**9, 10**9)
