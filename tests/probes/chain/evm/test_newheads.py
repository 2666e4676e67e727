import json
from typing import Any

import pytest

from probes.wire.websocket.heads import Refused, Sighting
from tests.probes.chain.evm.evm_node import (
    DIALECT,
    block,
    block_hash,
)


def test_a_new_head_is_read() -> None:
    message = json.dumps(
        {
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": {"subscription": "0x50", "result": block(127)},
        }
    )

    sighting = DIALECT.tongue().read(message)

    assert sighting == Sighting(127, block_hash(127), block_hash(126), 1_700_001_524.0)
    assert DIALECT.tongue().read(message.encode()) == sighting


def test_the_subscription_is_json_rpc() -> None:
    assert json.loads(DIALECT.tongue().subscribe) == {
        "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        pytest.param(
            {"code": -32601, "message": "Method not found"},
            "want heads, got the error 'Method not found'",
            id="row 46: not offered",
        ),
        pytest.param("busy", "want heads, got the error 'busy'", id="a bare text"),
        pytest.param({"code": 1}, "want heads, got the error {'code': 1}", id="no message"),
    ],
)
def test_a_refused_subscription_is_told(told: Any, detail: str) -> None:
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "error": told})

    assert DIALECT.tongue().read(message) == Refused(detail)


@pytest.mark.parametrize(
    "message",
    [
        '{"jsonrpc": "2.0", "id": 1, "result": "0x50"}',
        '{"method": "eth_subscription"}',
        '{"method": "eth_subscription", "params": {"result": null}}',
        "[]",
        "{",
        b"\xff",
    ],
)
def test_a_message_that_is_no_head_is_passed_over(message: str | bytes) -> None:
    assert DIALECT.tongue().read(message) is None
