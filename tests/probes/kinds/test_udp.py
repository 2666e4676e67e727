"""Kind udp: a datagram, its answer, or the lack of one."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import ValidationError

from probes.kinds.udp import Udp
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from tests.faults.udp import Answers, closed_udp_port, mute, udp_fault
from tests.harness import Check, Law


def udp(**keys: Any) -> Udp:
    return Udp.model_validate({"send": "ping", **keys})


LAW = Law(
    kind=udp(expect="PONG"),
    target="{host}:{port}",
    datagram=True,
    secret=lambda canary: udp(send=Secret(canary)),
)


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


def upper(data: bytes) -> Iterable[bytes]:
    return [data.upper()]


def only(*numbers: int) -> Answers:
    """Answer the datagrams of these numbers, from 1, and no other."""
    came = 0

    def answers(data: bytes) -> Iterable[bytes]:
        nonlocal came
        came += 1
        return [data.upper()] if came in numbers else []

    return answers


async def ask(check: Check, kind: Udp, answers: Answers, timeout_s: float = 5) -> Result:
    async with udp_fault(answers) as port:
        return await check(kind, f"127.0.0.1:{port}", timeout_s)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({}, id="any answer"),
        pytest.param({"expect": "^PING$"}, id="pattern"),
        pytest.param({"expect": {"answer_bytes": "PING"}}, id="bytes"),
        pytest.param({"send": {"hex": "70696e67"}, "expect": "PING"}, id="hex"),
        pytest.param({"send": Secret("ping"), "expect": "PING"}, id="secret"),
        pytest.param({"silence": "allowed", "expect": "PING"}, id="silence is allowed"),
        pytest.param({"source": "127.0.0.9"}, id="source"),
    ],
)
async def test_an_answer_is_up(check: Check, keys: dict[str, Any]) -> None:
    result = await ask(check, udp(**keys), upper)

    assert result.outcome is Outcome.UP, result.failure
    assert [(p.name, p.complete) for p in result.phases] == [
        ("resolve", True), ("connect", True), ("dialog", True),
    ]  # fmt: skip
    assert values(result) == {
        "dns_lookup_time_seconds": 0, "ip_protocol": 4, "ip_addr_hash": 3668918509,
        "udp_packets_sent": 1, "udp_answer_bytes": 4,
        "failed_due_to_regex": 0, "failed_due_to_bytes": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expect", "flag", "message"),
    [
        pytest.param(
            {"answer": "^PONG"}, "failed_due_to_regex",
            "want an answer that matches '^PONG', got 'PING'", id="pattern",
        ),
        pytest.param(
            {"answer_bytes": {"hex": "00"}}, "failed_due_to_bytes",
            "want b'\\x00', got b'PING'", id="bytes",
        ),
    ],
)  # fmt: skip
async def test_another_answer_is_told(
    check: Check, expect: dict[str, Any], flag: str, message: str
) -> None:
    result = await ask(check, udp(expect=expect), upper)

    assert verdict(result) == (Reason.BODY, "dialog")
    assert result.failure is not None
    assert result.failure.message == message
    assert values(result)[flag] == 1


@pytest.mark.parametrize("silence", ["fails", "allowed"])
async def test_a_closed_port_is_refused_whatever_silence_means(check: Check, silence: str) -> None:
    result = await check(udp(silence=silence), f"127.0.0.1:{closed_udp_port()}")

    assert verdict(result) == (Reason.REFUSED, "dialog")


async def test_silence_fails_at_the_timeout(check: Check) -> None:
    result = await ask(check, udp(wait="10ms"), mute, timeout_s=0.1)

    assert verdict(result) == (Reason.TIMEOUT, "dialog")
    assert result.seconds >= 0.1
    assert values(result)["udp_packets_sent"] == 1


async def test_silence_may_be_what_one_wants(check: Check) -> None:
    result = await ask(check, udp(silence="allowed", wait="20ms", expect="x"), mute)

    assert result.outcome is Outcome.UP
    assert values(result)["udp_answer_bytes"] == 0
    # also where the run has less time than that
    result = await ask(check, udp(silence="allowed", wait="9s"), mute, timeout_s=0.1)
    assert result.outcome is Outcome.UP


async def test_a_packet_is_sent_again_only_where_one_asks_for_it(check: Check) -> None:
    result = await ask(check, udp(resend=2, wait="10ms"), only(3))

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["udp_packets_sent"] == 3
    result = await ask(check, udp(resend=1, wait="10ms"), only(3), timeout_s=0.1)
    assert verdict(result) == (Reason.TIMEOUT, "dialog")


# --- several


async def test_several_packets_tell_loss_and_times(check: Check) -> None:
    kind = udp(count=4, interval="2ms", wait="20ms")
    result = await ask(check, kind, only(1, 2, 4))

    assert result.outcome is Outcome.UP, result.failure
    got = values(result)
    assert got["udp_packets_sent"] == 4
    assert got["udp_loss_ratio"] == 0.25
    assert (
        0 < got["udp_rtt_min_seconds"] <= got["udp_rtt_avg_seconds"] <= got["udp_rtt_max_seconds"]
    )


@pytest.mark.parametrize(
    ("expect", "outcome", "message"),
    [
        pytest.param({"loss": "50%"}, Outcome.UP, "", id="half may get lost"),
        pytest.param(
            {"loss": {"warn": "10%"}}, Outcome.DEGRADED, "want loss <= 10%, got 25%", id="degrades"
        ),
        pytest.param({"loss": "20%"}, Outcome.DOWN, "want loss <= 20%, got 25%", id="fails"),
    ],
)
async def test_loss_is_judged(
    check: Check, expect: dict[str, Any], outcome: Outcome, message: str
) -> None:
    kind = udp(count=4, interval="2ms", wait="20ms", expect=expect)
    result = await ask(check, kind, only(1, 2, 4))

    assert result.outcome is outcome
    assert (result.cause.message if result.cause else "") == message


@pytest.mark.parametrize("key", ["rtt", "latency"])
async def test_slow_answers_fail(check: Check, key: str) -> None:
    result = await ask(check, udp(expect={key: "0.001ms"}), upper)

    assert result.failure is not None
    assert result.failure.reason is Reason.LATENCY


async def test_all_lost_is_a_timeout(check: Check) -> None:
    result = await ask(check, udp(count=2, interval="2ms", wait="10ms"), mute)

    assert verdict(result) == (Reason.TIMEOUT, "dialog")
    assert result.failure is not None
    assert result.failure.message == "want an answer within 10ms, got none to 2 datagrams"


async def test_packets_that_cannot_be_sent_in_time_are_told(check: Check) -> None:
    result = await ask(check, udp(count=9, interval="60ms"), upper, timeout_s=0.1)

    assert verdict(result) == (Reason.TIMEOUT, "dialog")
    assert result.failure is not None
    assert result.failure.message == "want 9 packets sent before the timeout, got 1"


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_ones(check: Check) -> None:
    late: list[tuple[bytes, Any]] = []

    class Slow(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self._transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            late.append((data, addr))
            if len(late) == 2:
                for number, (_, there) in enumerate(late):
                    self._transport.sendto(b"answer %d" % number, there)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Slow, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    kind = udp(count=2, interval="2ms", wait="20ms", expect="answer 1")
    result = await check(kind, f"127.0.0.1:{port}")
    transport.close()
    await asyncio.sleep(0)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["udp_loss_ratio"] == 0.5


# --- settings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"expect": {"answer": "x", "answer_bytes": "x"}},
            "want answer or answer_bytes, got both", id="both",
        ),
        pytest.param(
            {"expect": {"loss": "1%"}},
            "want a count of 2 or more where loss is expected, got 1", id="loss of one",
        ),
        pytest.param({"send": {"hex": "0"}}, "want bytes in hex, got '0'", id="no hex"),
        pytest.param({"silence": "golden"}, "'fails' or 'allowed'", id="silence"),
        pytest.param({"resend": 17}, "less than or equal to 16", id="too often"),
        pytest.param(
            {"source": "300.1"},
            "want an address or an interface of this host, got '300.1'", id="source",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        udp(**keys)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"count": 6, "interval": "1s"}, id="count"),
        pytest.param({"resend": 5, "wait": "1s"}, id="resend"),
    ],
)
def test_all_packets_must_fit_the_timeout(keys: dict[str, Any]) -> None:
    udp(**keys).check_times(30, 6)
    with pytest.raises(ValueError, match="want") as caught:
        udp(**keys).check_times(30, 5)

    assert str(caught.value) == (
        "want all packets sent within the timeout of 5s, got 5s for sending them"
    )


async def test_a_target_has_a_port(check: Check) -> None:
    with pytest.raises(ValueError, match="want"):
        udp().check_target("localhost")

    assert verdict(await check(udp(), "localhost", unknown=True)) == (Reason.CONFIG, None)
