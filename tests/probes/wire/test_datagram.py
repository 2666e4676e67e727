"""Datagrams: one judged address, what the peer sends, what routers complain about."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address, socket_address
from probes.wire.datagram import (
    MAX_DATAGRAM_BYTES,
    bind_source,
    open_datagram,
)
from probes.wire.policy import POLICY, Policy
from tests.faults.udp import closed_udp_port, udp_fault


def local(port: int, ip: str = "127.0.0.1") -> Address:
    return Address(ip, port, ip, 6 if ":" in ip else 4)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        yield bound


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
async def test_what_is_sent_arrives_and_the_answer_comes_back(ip: str) -> None:
    recorder = Recorder()
    async with (
        udp_fault(lambda data: [data.upper(), b"more"], ip) as port,
        open_datagram(local(port, ip), recorder) as datagram,
    ):
        datagram.send(b"ping")
        got = [await datagram.receive(), await datagram.receive()]

    assert got == [b"PING", b"more"]
    assert [(phase.name, phase.complete) for phase in recorder.phases] == [("connect", True)]


async def test_the_longest_datagram_comes_whole() -> None:
    async with (
        udp_fault(lambda data: [data]) as port,
        open_datagram(local(port), Recorder()) as datagram,
    ):
        datagram.send(b"x" * 65507)
        assert await datagram.receive() == b"x" * 65507

        with pytest.raises(CheckFailed) as caught:
            datagram.send(b"x" * (MAX_DATAGRAM_BYTES + 1))

    assert caught.value.reason is Reason.CONFIG
    assert caught.value.message == "want data that fits a datagram, got 65536 bytes"


async def test_a_closed_port_refuses_also_while_one_waits() -> None:
    port = closed_udp_port()
    async with open_datagram(local(port), Recorder()) as datagram:
        datagram.send(b"anybody?")

        with pytest.raises(CheckFailed) as caught:
            await datagram.receive()

    assert caught.value.reason is Reason.REFUSED
    assert caught.value.message == f"want a connection to 127.0.0.1:{port}, got a refusal"


async def test_a_refusal_is_told_once_and_waiting_again_is_quiet() -> None:
    async with open_datagram(local(closed_udp_port()), Recorder()) as datagram:
        datagram.send(b"anybody?")
        with pytest.raises(CheckFailed):
            await datagram.receive()

        # a queue of errors that is not emptied would make the loop spin here
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(datagram.receive(), 0.02)


async def test_only_the_peer_is_heard(listener: socket.socket) -> None:
    async with open_datagram(local(listener.getsockname()[1]), Recorder()) as datagram:
        datagram.send(b"hello")
        waiting = asyncio.ensure_future(datagram.receive())
        await asyncio.sleep(0)
        _, ours = listener.recvfrom(100)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"from a stranger", ours)
        listener.sendto(b"from the peer", ours)

        assert await waiting == b"from the peer"


async def test_the_address_is_judged_before_a_socket_exists(listener: socket.socket) -> None:
    address = local(listener.getsockname()[1])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with POLICY.set(Policy(trusts_first=False, allow=())), pytest.raises(CheckFailed) as caught:
        async with open_datagram(address, Recorder()) as datagram:
            datagram.send(b"x")

    assert caught.value.reason is Reason.POLICY
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    with pytest.raises(BlockingIOError):
        listener.recv(10)


async def test_it_comes_from_the_address_one_asks_for(listener: socket.socket) -> None:
    address = local(listener.getsockname()[1])
    async with open_datagram(address, Recorder(), source_ip="127.0.0.9") as datagram:
        datagram.send(b"x")

        assert listener.recvfrom(10)[1][0] == "127.0.0.9"


@pytest.mark.parametrize("source", ["192.0.2.1", "::1"])
async def test_a_source_that_is_not_ours_is_a_mistake_of_the_config(source: str) -> None:
    recorder = Recorder()
    with pytest.raises(CheckFailed) as caught:
        async with open_datagram(local(9), recorder, source_ip=source):
            pass

    assert (caught.value.reason, caught.value.phase) == (Reason.CONFIG, "connect")
    assert (
        caught.value.message == f"want a source address or interface of this host, got {source!r}"
    )
    assert not recorder.phases[-1].complete


async def test_giving_up_waiting_leaves_nothing_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    async with (
        udp_fault() as port,
        open_datagram(local(port), Recorder()) as datagram,
    ):
        datagram.send(b"x")
        waiting = asyncio.ensure_future(datagram.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("ip", "want"),
    [
        pytest.param("127.0.0.1", ("127.0.0.1", 5), id="IPv4"),
        pytest.param("::1", ("::1", 5, 0, 0), id="IPv6"),
        pytest.param("fe80::1%3", ("fe80::1", 5, 0, 3), id="zone by number"),
        pytest.param("fe80::1%lo", ("fe80::1", 5, 0, 1), id="zone by name"),
    ],
)
def test_a_zone_is_handed_over_as_a_number(ip: str, want: tuple[object, ...]) -> None:
    assert socket_address(ip, 5) == want


async def test_a_refusal_is_told_by_the_next_one_that_is_sent_too() -> None:
    async with open_datagram(local(closed_udp_port()), Recorder()) as datagram:
        datagram.send(b"anybody?")

        with pytest.raises(CheckFailed) as caught:
            datagram.send(b"anybody?")

    assert caught.value.reason is Reason.REFUSED


async def test_a_host_without_descriptors_left_is_our_own_fault() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        with pytest.raises(CheckFailed) as caught:
            async with open_datagram(local(9), Recorder()):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert (caught.value.reason, caught.value.phase) == (Reason.RESOURCE, "connect")


def test_two_cannot_come_from_one_port() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]

        assert not bind_source(other, "127.0.0.1", port)
        assert bind_source(other, "127.0.0.2", port)
