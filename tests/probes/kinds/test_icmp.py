"""Kind icmp: one echo or a burst, whoever else pings at the same time."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import ValidationError

from probes.kinds.icmp import Icmp
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.wire.icmp.echo import NO_PERMISSION
from probes.wire.policy import POLICY, Policy
from tests.faults.icmp import (
    PEER,
    ROUTER,
    Answers,
    body,
    error,
    honest,
    icmp_peer,
    mute,
    packet,
    reply,
)
from tests.harness import Check, Law
from tests.servers.network import own_network, sysctl


def icmp(**keys: Any) -> Icmp:
    return Icmp.model_validate(keys)


LAW = Law(
    kind=Icmp(),
    target="{host}",
    port=False,
    secret=lambda canary: Icmp.model_validate(
        {"resolver": {"tls": {"cert": "x", "key": Secret(canary)}}}
    ),
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets and networks are root's")
# where the loop makes no difference
one_loop = pytest.mark.asyncio(loop_factories=["uvloop"])
both_sockets = pytest.mark.parametrize(
    "unprivileged", [pytest.param(False, id="raw"), pytest.param(True, id="unprivileged")]
)


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


async def ping(
    check: Check,
    kind: Icmp,
    answers: Answers,
    *,
    unprivileged: bool = False,
    timeout_s: float = 5,
    unknown: bool = False,
) -> Result:
    with icmp_peer(answers, unprivileged=unprivileged):
        return await check(kind, PEER, timeout_s, unknown=unknown)


@as_root
@both_sockets
async def test_a_reply_is_up_with_its_time_and_hop_limit(check: Check, unprivileged: bool) -> None:
    result = await ping(check, icmp(), honest, unprivileged=unprivileged)

    assert result.outcome is Outcome.UP, result.failure
    assert [(p.name, p.complete) for p in result.phases] == [
        ("resolve", True), ("setup", True), ("rtt", True),
    ]  # fmt: skip
    assert 0 < result.phases[2].seconds < 1
    got = values(result)
    assert set(got) == {
        "dns_lookup_time_seconds", "ip_protocol", "ip_addr_hash", "icmp_reply_hop_limit",
    }  # fmt: skip
    assert got["icmp_reply_hop_limit"] == 64
    assert result.facts["address"] == PEER


@as_root
@both_sockets
@pytest.mark.parametrize(
    ("address", "ttl"),
    [
        pytest.param("127.0.0.1", 0, id="IPv4"),
        pytest.param("::1", 0, id="IPv6"),
        pytest.param("::1", 9, id="IPv6 with a limit"),
    ],
)
async def test_the_kernel_itself_answers_over_both_versions(
    check: Check, address: str, ttl: int, unprivileged: bool
) -> None:
    with own_network():
        sysctl("ipv4/ping_group_range", "0 2147483647" if unprivileged else "1 0")
        result = await check(icmp(count=3, interval="2ms", payload_size=1500, ttl=ttl), address)

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["icmp_packets_received"] == 3
    assert values(result)["ip_protocol"] == (6 if ":" in address else 4)
    assert values(result)["icmp_reply_hop_limit"] == 64


@as_root
async def test_a_lost_echo_is_a_timeout_without_a_round_trip(check: Check) -> None:
    result = await ping(check, icmp(), mute, timeout_s=0.1)

    assert verdict(result) == (Reason.TIMEOUT, "rtt")
    assert [(p.name, p.complete) for p in result.phases][-1] == ("rtt", False)
    assert "icmp_reply_hop_limit" not in values(result)


def as_told(how: str, request: bytes) -> Iterable[tuple[str, bytes]]:
    """Answer by something that is no reply to *request*."""
    identifier, sequence = struct.unpack_from("!HH", body(request))
    payload = body(request)[4:]
    wrong: dict[str, bytes] = {
        "another identifier": packet(0, 0, struct.pack("!HH", identifier ^ 1, sequence) + payload),
        "another sequence": packet(0, 0, struct.pack("!HH", identifier, sequence ^ 1) + payload),
        "another payload": packet(0, 0, body(request)[:-1] + b"!"),
        "a shorter payload": packet(0, 0, body(request)[:-1]),
        "a damaged one": packet(0, 0, body(request))[:-1] + b"!",
        "a request": packet(8, 0, body(request)),
        "a code": packet(0, 1, body(request)),
        "an error about somebody else": error(
            request[:20] + packet(8, 0, struct.pack("!HH", identifier ^ 1, sequence)), 3, 1
        ),
        "nonsense": packet(255, 255, b""),
    }
    return [(ROUTER if how == "another address" else PEER, wrong.get(how, reply(request)))]


@as_root
@both_sockets
@one_loop
@pytest.mark.parametrize(
    "how",
    [
        "another address", "another identifier", "another sequence", "another payload",
        "a shorter payload", "a damaged one", "a request", "a code",
        "an error about somebody else", "nonsense",
    ],
)  # fmt: skip
async def test_what_is_no_reply_to_us_is_not_taken_for_one(
    check: Check, how: str, unprivileged: bool
) -> None:
    result = await ping(
        check, icmp(), lambda request: as_told(how, request), unprivileged=unprivileged,
        timeout_s=0.03,
    )  # fmt: skip
    assert verdict(result) == (Reason.TIMEOUT, "rtt")


@as_root
async def test_the_right_reply_is_found_among_wrong_ones(check: Check) -> None:
    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        for how in ("another payload", "an error about somebody else", "nonsense"):
            yield from as_told(how, request)
        yield PEER, reply(request)

    assert (await ping(check, icmp(), answers)).outcome is Outcome.UP


@as_root
@both_sockets
@pytest.mark.parametrize(
    ("kind", "code", "info", "words"),
    [
        pytest.param(3, 1, 0, "'host unreachable'", id="host"),
        pytest.param(3, 13, 0, "'prohibited by a filter'", id="prohibited"),
        pytest.param(11, 0, 0, "'TTL exceeded'", id="too many hops"),
        pytest.param(
            3, 4, 1400, "'too large for the way, and it may not be fragmented'", id="too large"
        ),
    ],
)
async def test_a_router_that_complains_ends_the_run_at_once(
    check: Check, kind: int, code: int, info: int, words: str, unprivileged: bool
) -> None:
    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        return [(ROUTER, error(request, kind, code, info))]

    kind_ = icmp(count=3, dont_fragment=True)
    result = await ping(check, kind_, answers, unprivileged=unprivileged)

    assert verdict(result) == (Reason.UNREACHABLE, "rtt")
    assert result.failure is not None
    room = " (at most 1400 bytes fit)" if info else ""
    assert result.failure.message == f"want an echo of {PEER}, got {words} from {ROUTER}{room}"
    assert result.seconds < 1


@as_root
async def test_packets_travel_as_one_asks(check: Check) -> None:
    with icmp_peer(honest) as requests:
        kinds = [
            icmp(ttl=7, dont_fragment=True, payload_size="64B"),
            icmp(source="127.0.0.77", payload_size=0),
            icmp(ttl=0, source="lo"),
        ]
        for kind in kinds:
            assert (await check(kind, PEER)).outcome is Outcome.UP

    first, second, third = requests
    assert (first[8], first[6] & 0x40, len(body(first)) - 4) == (7, 0x40, 64)
    assert (second[8], second[6] & 0x40, len(body(second)) - 4) == (64, 0, 28)
    assert socket.inet_ntoa(second[12:16]) == "127.0.0.77"
    assert third[8] == 64
    assert body(second)[4:].startswith(b"sonde echo ")
    # identifier and start are another one's in each run
    assert body(first)[:4] != body(second)[:4]


@as_root
@both_sockets
async def test_what_this_host_cannot_send_is_a_mistake_of_the_config(
    check: Check, unprivileged: bool
) -> None:
    kind = icmp(dont_fragment=True, payload_size=65507)
    with icmp_peer(honest, unprivileged=unprivileged):
        # the loopback takes packets of 65,536 bytes: only a smaller one refuses
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            set_mtu(any_socket, 1500)
        result = await check(kind, PEER, unknown=True)

    assert verdict(result) == (Reason.CONFIG, "rtt")
    assert result.failure is not None
    assert result.failure.message == "want a payload that this host can send, got 65507 bytes"


def set_mtu(any_socket: socket.socket, size: int) -> None:
    import fcntl

    fcntl.ioctl(any_socket, 0x8922, struct.pack("16sI12x", b"lo", size))


@pytest.mark.parametrize("source", ["192.0.2.1", "::1", "nosuch0"])
@as_root
async def test_a_source_that_is_not_ours_is_a_mistake_of_the_config(
    check: Check, source: str
) -> None:
    result = await check(icmp(source=source), "127.0.0.1", unknown=True)

    assert verdict(result) == (Reason.CONFIG, "setup")
    assert result.failure is not None
    assert result.failure.message == (
        f"want a source address or interface of this host, got {source!r}"
    )


@as_root
async def test_without_rights_the_outcome_is_unknown(check: Check) -> None:
    with own_network():
        sysctl("ipv4/ping_group_range", "1 0")
        os.seteuid(65534)
        try:
            result = await check(icmp(), "127.0.0.1", unknown=True)
        finally:
            os.seteuid(0)

    assert result.outcome is Outcome.UNKNOWN
    assert verdict(result) == (Reason.PERMISSION, "setup")
    assert result.failure is not None
    assert result.failure.message == NO_PERMISSION
    assert "ping_group_range" in NO_PERMISSION
    assert "CAP_NET_RAW" in NO_PERMISSION


@as_root
async def test_without_a_way_there_it_is_the_network_of_this_host(check: Check) -> None:
    with own_network():
        result = await check(icmp(), "192.0.2.1", unknown=True)

    assert verdict(result) == (Reason.NETWORK, "setup")


async def test_the_address_is_judged_before_anything_is_sent(check: Check) -> None:
    with POLICY.set(Policy(trusts_first=False, allow=())):
        result = await check(icmp(), "127.0.0.1", unknown=True)

    assert verdict(result) == (Reason.POLICY, "connect")


# --- bursts


@as_root
async def test_a_burst_tells_loss_duplicates_and_times(check: Check) -> None:
    requests = 0

    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        nonlocal requests
        requests += 1
        return [(PEER, reply(request))] * (0 if requests == 2 else 2 if requests == 3 else 1)

    kind = icmp(count=5, interval="2ms", wait="50ms")
    result = await ping(check, kind, answers)

    assert result.outcome is Outcome.UP, result.failure
    got = values(result)
    assert got["icmp_packets_sent"] == 5
    assert got["icmp_packets_received"] == 4
    assert got["icmp_duplicates"] == 1
    assert got["icmp_loss_ratio"] == pytest.approx(0.2)
    assert (
        0
        < got["icmp_rtt_min_seconds"]
        <= got["icmp_rtt_avg_seconds"]
        <= got["icmp_rtt_max_seconds"]
        < 0.05
    )
    assert got["icmp_rtt_stddev_seconds"] <= got["icmp_rtt_max_seconds"]
    assert 0 < got["icmp_jitter_seconds"] <= got["icmp_rtt_max_seconds"]
    assert result.phases[-1].seconds == pytest.approx(got["icmp_rtt_avg_seconds"])


@as_root
@pytest.mark.parametrize(
    ("expect", "outcome", "message"),
    [
        pytest.param({"loss": "50%"}, Outcome.UP, "", id="half may get lost"),
        pytest.param(
            {"loss": {"warn": "10%", "fail": "60%"}}, Outcome.DEGRADED,
            "want loss <= 10%, got 50%", id="loss degrades",
        ),
        pytest.param({"loss": 0.25}, Outcome.DOWN, "want loss <= 25%, got 50%", id="loss fails"),
        pytest.param(
            {"duplicates": 0}, Outcome.DOWN, "want duplicates <= 0, got 2", id="duplicates"
        ),
        pytest.param({"rtt": "1s", "jitter": "1s"}, Outcome.UP, "", id="fast enough"),
    ],
)  # fmt: skip
async def test_a_burst_is_judged(
    check: Check, expect: dict[str, Any], outcome: Outcome, message: str
) -> None:
    requests = 0

    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        nonlocal requests
        requests += 1
        return [(PEER, reply(request))] * 2 * (requests % 2)

    # the last request is lost: the burst waits for it, and so hears the last duplicate
    kind = icmp(count=4, interval="2ms", wait="30ms", expect=expect)
    result = await ping(check, kind, answers)

    assert result.outcome is outcome, result.failure
    assert (result.cause.message if result.cause else "") == message
    assert result.cause is None or result.cause.reason is Reason.VALUE


@as_root
@pytest.mark.parametrize(("key", "count"), [("rtt", 1), ("rtt", 4), ("jitter", 4)])
async def test_slow_and_uneven_round_trips_fail(check: Check, key: str, count: int) -> None:
    kind = icmp(count=count, interval="2ms", expect={key: "0.000001ms"})
    result = await ping(check, kind, honest)

    assert result.failure is not None
    assert result.failure.reason is Reason.LATENCY


@as_root
async def test_a_burst_of_which_nothing_comes_back_tells_so(check: Check) -> None:
    result = await ping(check, icmp(count=3, interval="2ms", wait="20ms"), mute)

    assert verdict(result) == (Reason.TIMEOUT, "rtt")
    assert result.failure is not None
    assert result.failure.message == (f"want an echo of {PEER} within 20ms, got none to 3 requests")
    assert values(result)["icmp_loss_ratio"] == 1
    assert "icmp_rtt_avg_seconds" not in values(result)
    assert not result.phases[-1].complete


@as_root
async def test_a_burst_is_judged_before_the_deadline(check: Check) -> None:
    requests = 0

    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        nonlocal requests
        requests += 1
        return honest(request) if requests > 1 else ()

    kind = icmp(count=3, interval="2ms", wait="10s", expect={"loss": "10%"})
    result = await ping(check, kind, answers, timeout_s=0.12)

    assert result.failure is not None
    assert result.failure.message == "want loss <= 10%, got 33.33%"

    result = await ping(check, icmp(count=3, interval="60ms"), honest, timeout_s=0.1)
    assert result.failure is not None
    assert result.failure.message == "want 3 requests sent before the timeout, got 1"


@as_root
async def test_a_reply_that_comes_too_late_is_lost(check: Check) -> None:
    kept: list[bytes] = []

    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        kept.append(reply(request))
        # the first one waits for the last
        return [(PEER, said) for said in (kept if len(kept) == 3 else kept[1:][-1:])]

    result = await ping(check, icmp(count=3, interval="30ms", wait="25ms"), answers)

    assert values(result)["icmp_packets_received"] == 2


# --- many at once


@as_root
@pytest.mark.slow
@both_sockets
@one_loop
async def test_many_pings_at_once_keep_to_their_own_replies(
    check: Check, unprivileged: bool
) -> None:
    """Those to the same address too: each raw socket hears the replies to all others."""
    with own_network():
        sysctl("ipv4/ping_group_range", "0 2147483647" if unprivileged else "1 0")
        results = await asyncio.gather(
            *(check(icmp(), f"127.0.{number % 2}.1") for number in range(800))
        )

    assert {result.outcome for result in results} == {Outcome.UP}
    trips = sorted(result.phases[-1].seconds for result in results)
    # the time of the kernel, not of the queue in front of our loop
    assert trips[400] < 0.005


@as_root
async def test_a_cancelled_ping_leaves_no_socket(check: Check) -> None:
    with icmp_peer(mute) as requests:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        run = asyncio.ensure_future(check(icmp(), PEER))
        async with asyncio.timeout(5):
            while not requests:  # noqa: ASYNC110 - turns of the loop, no time
                await asyncio.sleep(0)

        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# --- settings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param(
            {"interval": "1ms"}, "want an interval of at least 2ms, got 1ms", id="a flood"
        ),
        pytest.param(
            {"expect": {"loss": "1%"}},
            "want a count of 2 or more where loss is expected, got 1", id="loss of one",
        ),
        pytest.param({"payload_size": 65508}, "less than or equal to 65507", id="too large"),
        pytest.param({"payload_size": "1"}, "want a size with its unit", id="no unit"),
        pytest.param({"ttl": 256}, "less than or equal to 255", id="hops"),
        pytest.param({"count": 0}, "greater than or equal to 1", id="none"),
        pytest.param(
            {"source": "300.1"},
            "want an address or an interface of this host, got '300.1'", id="source",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        icmp(**keys)

    assert message in str(caught.value)


async def test_a_wrong_source_of_a_blackbox_yml_fails_when_it_runs(check: Check) -> None:
    kind = Icmp.model_validate({"source": "300.1"}, context={"dialect": "blackbox"})

    result = await check(kind, "127.0.0.1", unknown=True)

    assert result.outcome is Outcome.UNKNOWN


def test_a_burst_must_fit_the_timeout() -> None:
    icmp(count=5, interval="1s").check_times(30, 5)
    with pytest.raises(ValueError, match="want") as caught:
        icmp(count=6, interval="1s").check_times(30, 5)

    assert str(caught.value) == "want 6 requests within the timeout of 5s, got 5s for sending them"


@pytest.mark.parametrize("target", ["host:80", "0x7f.1", "http://x/", ""])
async def test_a_target_is_a_host(check: Check, target: str) -> None:
    with pytest.raises(ValueError, match="want a"):
        icmp().check_target(target)

    assert verdict(await check(icmp(), target, unknown=True)) == (Reason.CONFIG, None)
