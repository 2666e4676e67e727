"""What master and worker say to each other: read back as said, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.afar import message
from scenarios.afar.message import Join, Message
from scenarios.fleet.launch import AHEAD_S
from scenarios.fleet.merge import MAX_FILE_BYTES


@given(st.text(max_size=20), st.integers(1, 2**53), st.binary(max_size=200))
def test_a_message_is_read_as_it_was_said(run: str, number: int, body: bytes) -> None:
    said = Message(run, number, body)

    assert message.unpack(said.packed()) == said


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="nothing"),
        pytest.param({"run": "r", "b": b""}, id="no number"),
        pytest.param({"run": "r", "n": 1, "b": "text"}, id="a text as bytes"),
        pytest.param({"run": 1, "n": 1, "b": b""}, id="a number as run"),
        pytest.param({"run": "r", "n": 0, "b": b""}, id="number 0"),
        pytest.param({"run": "r", "n": 2**60, "b": b""}, id="no count"),
        pytest.param({"run": "r", "n": 1, "b": b"x" * (message.MAX_PLAN + 1)}, id="too long"),
        pytest.param({"run": "r", "n": 1, "b": b"", "secrets": {}}, id="more keys"),
    ],
)
def test_anything_else_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="want"):
        message.unpack(data)


def test_a_join_and_a_plan_are_read_as_they_were_said() -> None:
    join = Join("vm \udcff\n1", {"sonde": "1.0", "locust": "2.47"})

    assert Join.from_bytes(join.to_bytes()) == Join("vm \\udcff 1", join.versions)
    assert message.read_plan(message.plan_body(2, "{}")) == (2, "{}")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\xff", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"host": "a"}', id="a key less"),
        pytest.param(b'{"host": "a", "versions": {"sonde": 1}}', id="a number as version"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_join_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="want"):
        Join.from_bytes(body)


def test_a_reason_is_one_bounded_line() -> None:
    text = message.read_text(message.text_body("half \udcff\nof " + "x" * 5000))

    assert text.startswith("half \\udcff of xx")
    assert len(text) == 1024


def test_numbers_that_two_rooms_share_are_the_same() -> None:
    assert message.AHEAD_S == AHEAD_S
    assert message.MAX_RESULT == MAX_FILE_BYTES
