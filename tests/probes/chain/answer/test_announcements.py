"""What websockets of Solana and CometBFT say of new heads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.answer.announcements import HeaderTongue, SlotTongue
from probes.wire.websocket.heads import Ended, Refused, Sighting


def slot(slot: Any, parent: Any) -> str:
    result = {"parent": parent, "root": 97, "slot": slot}
    params = {"result": result, "subscription": 0}
    return json.dumps({"jsonrpc": "2.0", "method": "slotNotification", "params": params})


def header(**changes: Any) -> str:
    value = {"header": {
        "height": "12", "time": "2021-03-25T14:00:43.5Z", "last_block_id": {"hash": "AABB"},
        **changes,
    }}  # fmt: skip
    data = {"type": "tendermint/event/NewBlockHeader", "value": value}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"query": "..", "data": data}})


def error(message: str, data: str = "") -> str:
    body = {"code": -32603, "message": message} | ({"data": data} if data else {})
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": body})


def test_the_requests_are_those_of_the_nodes() -> None:
    assert json.loads(SlotTongue.subscribe) == {
        "jsonrpc": "2.0", "id": 1, "method": "slotSubscribe", "params": [],
    }  # fmt: skip
    assert json.loads(HeaderTongue.subscribe) == {
        "jsonrpc": "2.0", "id": 1, "method": "subscribe",
        "params": {"query": "tm.event='NewBlockHeader'"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "sighting"),
    [
        pytest.param(slot(128, 127), Sighting(128), id="next"),
        pytest.param(slot(131, 127), Sighting(131, skipped=3), id="three slots without a block"),
        pytest.param(slot(128, 128), Sighting(128), id="its own parent"),
    ],
)
def test_slots(message: str, sighting: Sighting) -> None:
    assert SlotTongue().read(message) == sighting
    assert SlotTongue().read(message.encode()) == sighting


def test_headers() -> None:
    assert HeaderTongue().read(header()) == Sighting(12, parent="aabb", timestamp=1616680843.5)


@pytest.mark.parametrize("tongue", [SlotTongue(), HeaderTongue()])
@pytest.mark.parametrize(
    "message",
    [
        pytest.param('{"jsonrpc":"2.0","result":0,"id":1}', id="subscribed to Solana"),
        pytest.param('{"jsonrpc":"2.0","id":1,"result":{}}', id="subscribed to CometBFT"),
        pytest.param("nonsense", id="no JSON"),
        pytest.param("[]", id="list"),
        pytest.param(slot("x", 1), id="slot as text"),
        pytest.param(header(height=12), id="height as number"),
        pytest.param(header(time="now"), id="no time"),
        pytest.param(header(last_block_id={}), id="no parent"),
        pytest.param("[" * 100, id="deep"),
    ],
)
def test_what_says_nothing_of_heads(tongue: SlotTongue | HeaderTongue, message: str) -> None:
    assert tongue.read(message) is None


@pytest.mark.parametrize("tongue", [SlotTongue(), HeaderTongue()])
def test_a_refusal_is_told(tongue: SlotTongue | HeaderTongue) -> None:
    """Row 46."""
    told = tongue.read(error("Internal error", "max_subscription_clients 100 reached"))

    assert told == Refused(
        "want heads, got the error 'Internal error': 'max_subscription_clients 100 reached'"
    )


def test_an_error_without_words_is_a_refusal() -> None:
    assert SlotTongue().read('{"error": 5}') == Refused("want heads, got the error 5")


def test_a_subscription_that_was_ended_is_told() -> None:
    reason = "subscription was canceled (reason: client is not pulling messages fast enough)"

    told = HeaderTongue().read(error("Server error", reason))

    assert isinstance(told, Ended)
    assert "subscription was canceled" in told.detail


@given(st.one_of(st.text(), st.binary(), st.sampled_from([slot(1, 2), header(), error("x")])))
def test_whatever_comes_is_read(message: str | bytes) -> None:
    for tongue in (SlotTongue(), HeaderTongue()):
        assert isinstance(tongue.read(message), Sighting | Refused | Ended | None)
