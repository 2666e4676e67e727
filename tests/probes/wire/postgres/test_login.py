"""The gate before a PostgreSQL login: whatever comes in whatever pieces, one verdict."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.result import Reason
from probes.wire.postgres.login import MAX_ANSWER_BYTES, MAX_SCRAM_ITERATIONS, LoginGate
from tests.faults.postgres import CLEAR, MD5, READY, SASL, VERSION, WELCOME, asks_for, message


class Driver(asyncio.Protocol):
    """A driver that keeps what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.data = b""
        self.ended = False
        self._error = error

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            raise self._error
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def gate_of(
    weakest: Any = "md5", *, strict: bool = False, error: Exception | None = None
) -> tuple[LoginGate, Driver, Transport]:
    driver, transport = Driver(error), Transport()
    gate = LoginGate(driver, weakest=weakest, strict=strict)
    gate.connection_made(transport)
    return gate, driver, transport


LOGIN = SASL + asks_for(11, b"r=a,s=b,i=4096") + asks_for(12, b"v=c") + WELCOME + VERSION + READY


@given(st.lists(st.integers(1, len(LOGIN)), max_size=12))
def test_a_good_login_passes_in_any_pieces(cuts: list[int]) -> None:
    gate, driver, transport = gate_of("scram", strict=True)
    edges = sorted({0, *cuts, len(LOGIN)})

    for start, end in pairwise(edges):
        gate.data_received(LOGIN[start:end])

    assert gate.failure is None
    assert gate.is_ready
    assert gate.login == "scram"
    assert driver.data == LOGIN
    assert not transport.aborted


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_pass_or_are_refused(chunks: list[bytes]) -> None:
    gate, _, transport = gate_of()

    for chunk in chunks:
        gate.data_received(chunk)

    assert transport.aborted is (gate.failure is not None)
    if gate.failure is not None:
        assert gate.failure.message.startswith("want")


@pytest.mark.parametrize(
    ("request_", "weakest", "strict", "passes"),
    [
        (CLEAR, None, False, True),
        (CLEAR, "clear", False, True),
        (CLEAR, "md5", False, False),
        (MD5, "md5", False, True),
        (MD5, "scram", True, False),
        (SASL, "scram", True, True),
        (WELCOME, "md5", False, True),
        (WELCOME, "scram", True, False),
    ],
)
def test_the_weakest_login_counts_only_without_tls(
    request_: bytes, weakest: str | None, strict: bool, passes: bool
) -> None:
    gate, driver, transport = gate_of(weakest, strict=strict)

    gate.data_received(request_)

    assert (gate.failure is None) is passes
    assert driver.data == (request_ if passes else b"")
    assert transport.aborted is not passes


@pytest.mark.parametrize("rounds", [4096, MAX_SCRAM_ITERATIONS, MAX_SCRAM_ITERATIONS + 1])
def test_rounds_of_scram_have_a_limit(rounds: int) -> None:
    gate, _, _ = gate_of()

    gate.data_received(SASL + asks_for(11, b"r=a,s=b,i=%d" % rounds))

    assert (gate.failure is None) is (rounds <= MAX_SCRAM_ITERATIONS)


def test_answers_have_a_limit_after_the_login_too() -> None:
    gate, driver, _ = gate_of()
    gate.data_received(WELCOME + READY)
    row = message(b"D", b"x" * 60_000)

    for _ in range(MAX_ANSWER_BYTES // len(row) + 1):
        gate.data_received(row)

    assert gate.failure is not None
    assert gate.failure.reason is Reason.TOO_LARGE
    assert len(driver.data) <= MAX_ANSWER_BYTES


def test_a_driver_that_breaks_closes_the_gate() -> None:
    gate, driver, transport = gate_of(error=AttributeError("'NoneType' object"))

    gate.data_received(WELCOME)
    gate.data_received(READY)

    assert gate.failure is not None
    assert gate.failure.reason is Reason.PROTOCOL
    assert transport.aborted
    gate.connection_lost(None)
    assert driver.ended
