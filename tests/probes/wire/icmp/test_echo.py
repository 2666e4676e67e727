"""The socket under a ping: errors of others, numbers that wrap, identifiers that are taken."""

import asyncio
import os
import random
import resource
import select
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.icmp.codec import payload_of
from probes.wire.icmp.echo import EchoSocket, Way, open_echo
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
from tests.servers.network import own_network, sysctl

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets and networks are root's")
ADDRESS = Address(PEER, 0, PEER, 4)
PAYLOAD = payload_of("0123456789abcdef", 28)


@contextmanager
def echoes(answers: Answers, *, unprivileged: bool = False) -> Iterator[EchoSocket]:
    with (
        icmp_peer(answers, unprivileged=unprivileged),
        open_echo(ADDRESS, Recorder(), Way()) as opened,
    ):
        yield opened


def about_another(request: bytes) -> bytes:
    """Return a router's complaint about a ping of somebody else."""
    identifier, sequence = struct.unpack_from("!HH", body(request))
    other = packet(8, 0, struct.pack("!HH", identifier ^ 1, sequence))
    return error(request[:20] + other, 3, 1)


def soon(seconds: float = 0.02) -> float:
    return asyncio.get_running_loop().time() + seconds


async def answered(ours: EchoSocket) -> None:
    """Wait until something has come back, and do not look at it."""
    poll = select.poll()
    poll.register(ours._socket.fileno(), select.POLLIN)
    async with asyncio.timeout(5):
        while not poll.poll(0):  # noqa: ASYNC110 - turns of the loop, no time
            await asyncio.sleep(0)


async def test_an_error_of_somebody_else_does_not_swallow_the_next_request() -> None:
    heard: list[bytes] = []

    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        heard.append(request)
        return [(ROUTER, about_another(request))] if len(heard) == 1 else honest(request)

    with echoes(answers) as ours:
        ours.send(PAYLOAD)
        await answered(ours)
        ours.send(PAYLOAD)
        got = await ours.receive(soon(5))

    assert got is not None
    assert got.number == 1
    assert len(heard) == 2


async def test_an_error_about_us_is_told_by_the_next_request_too() -> None:
    answers: Answers = lambda request: [(ROUTER, error(request, 3, 10))]  # noqa: E731 - one line
    with echoes(answers, unprivileged=True) as ours:
        ours.send(PAYLOAD)
        await answered(ours)
        with pytest.raises(CheckFailed) as caught:
            ours.send(PAYLOAD)

    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.message == f"want an echo of {PEER}, got 'host prohibited' from {ROUTER}"


async def test_an_error_about_a_packet_that_is_no_ping_is_not_ours() -> None:
    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        reply_of_ours = request[:20] + reply(request)
        return [(ROUTER, error(reply_of_ours, 3, 1)), *honest(request)]

    with echoes(answers) as ours:
        ours.send(PAYLOAD)

        assert await ours.receive(soon(5)) is not None


@pytest.mark.parametrize("unprivileged", [False, True])
async def test_numbers_wrap_around(unprivileged: bool) -> None:
    with echoes(honest, unprivileged=unprivileged) as ours:
        ours._first = 0xFFFF
        for number in range(3):
            ours.send(PAYLOAD)
            got = await ours.receive(soon(5))
            assert got is not None
            assert got.number == number
            assert not got.is_again


async def test_a_reply_to_what_was_never_sent_is_none() -> None:
    def answers(request: bytes) -> Iterable[tuple[str, bytes]]:
        identifier, sequence = struct.unpack_from("!HH", body(request))
        ahead = struct.pack("!HH", identifier, (sequence + 1) & 0xFFFF) + body(request)[4:]
        return [(PEER, packet(0, 0, ahead))]

    with echoes(answers) as ours:
        ours.send(PAYLOAD)

        assert await ours.receive(soon()) is None


class Flood:
    """A socket in which there is always another packet."""

    type = socket.SOCK_DGRAM

    def __init__(self, reply: bytes) -> None:
        self.sent = b""
        self._reply = reply

    def send(self, packet: bytes) -> None:
        self.sent = packet

    def recvmsg(self, *_: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int]]:
        return packet(0, 0, self.sent[4:] + self._reply), [], 0, (PEER, 0)


@pytest.mark.parametrize("reply", [b"", b"damaged"], ids=["the same again", "another one"])
async def test_a_flood_of_replies_does_not_hold_up_the_loop(reply: bytes) -> None:
    """A target decides how often it answers; the deadline of the run is ours."""
    flood: Any = Flood(reply)
    ours = EchoSocket(flood, ADDRESS, 1)
    ours.send(PAYLOAD)
    heard = 0

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            while await ours.receive() is not None:
                heard += 1

    assert (heard > 1) is (reply == b"")
    got = await ours.receive(soon())
    assert (got is None) is (reply != b"")


async def test_an_identifier_that_is_taken_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "randrange", lambda *_: 4711)
    with (
        echoes(mute, unprivileged=True),
        pytest.raises(CheckFailed) as caught,
        open_echo(ADDRESS, Recorder(), Way()),
    ):
        pass

    assert (caught.value.reason, caught.value.phase) == (Reason.RESOURCE, "setup")
    assert caught.value.message == "want a free identifier, got 16 that are taken"


async def test_a_host_without_descriptors_left_is_our_own_fault() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        with pytest.raises(CheckFailed) as caught, open_echo(ADDRESS, Recorder(), Way()):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert (caught.value.reason, caught.value.phase) == (Reason.RESOURCE, "setup")


async def test_the_time_is_that_of_the_kernel_and_not_of_a_loop_that_was_busy() -> None:
    with echoes(honest) as ours:
        ours.send(PAYLOAD)
        await answered(ours)
        # as long as the loop is away, the reply lies there
        busy_until = soon(0.05)
        while asyncio.get_running_loop().time() < busy_until:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        got = await ours.receive(soon(5))

    assert got is not None
    assert 0 < got.seconds < 0.045


@pytest.mark.parametrize("unprivileged", [False, True])
async def test_a_router_of_ipv6_is_understood_too(unprivileged: bool) -> None:
    address = Address("::1", 0, "::1", 6)
    with own_network():
        sysctl("ipv6/icmp/echo_ignore_all", "1")
        sysctl("ipv4/ping_group_range", "0 2147483647" if unprivileged else "1 0")
        with (
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router,
            open_echo(address, Recorder(), Way(ttl=3)) as ours,
        ):
            ours.send(PAYLOAD)
            request = router.recv(4096)
            head = struct.pack("!IHBB", 6 << 28, len(request), 58, 3)
            quote = head + socket.inet_pton(socket.AF_INET6, "::1") * 2 + request[:8]
            # administratively prohibited; the kernel sums up
            router.sendto(struct.pack("!BBHI", 1, 1, 0, 0) + quote, ("::1", 0))

            with pytest.raises(CheckFailed) as caught:
                await ours.receive(soon(5))

    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.message == "want an echo of ::1, got 'prohibited by a filter' from ::1"
