"""Addresses of a name, asked of a server of one's own."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.dns.exchange import Way
from probes.wire.dns.lookup import MAX_ADDRESSES, look_up
from probes.wire.policy import POLICY, Policy
from probes.wire.tls.settings import TlsOptions
from tests.faults.dns_peer import Respond, dns_peer
from tests.faults.tcp import closed_port, silent, tcp_fault
from tests.probes.wire.dns.made import answer_to

BOTH = {1: ("www.example. 1 IN A 192.0.2.1",), 28: ("www.example. 1 IN AAAA 2001:db8::1",)}


def kind_of(query: bytes) -> int:
    return int.from_bytes(query[-4:-2], "big")


def replying(lines: Mapping[int, Sequence[str]], rcode: str = "NOERROR") -> Respond:
    return lambda query: [answer_to(query, *lines.get(kind_of(query), ()), rcode=rcode)]


async def look(respond: Respond, ip: IpChoice = ANY_IP) -> tuple[str, ...]:
    deadline = asyncio.get_running_loop().time() + 5
    async with dns_peer(respond) as port:
        return await look_up(
            "www.example", f"127.0.0.1:{port}", Way("udp"), ip=ip, deadline=deadline
        )


async def test_both_families_are_asked_for() -> None:
    assert await look(replying(BOTH)) == ("2001:db8::1", "192.0.2.1")
    assert await look(replying(BOTH), ip="4") == ("192.0.2.1",)
    assert await look(replying(BOTH), ip="6") == ("2001:db8::1",)


async def test_over_tls_the_server_is_verified(
    server_context: ssl.SSLContext, ca_file: Path
) -> None:
    way = Way("tls", tls=TlsOptions(ca_file=str(ca_file)))
    strict = Way("tls", tls=TlsOptions(ca_file=str(ca_file), server_name="other.example"))
    deadline = asyncio.get_running_loop().time() + 5
    # nothing that a target may reach has a say in whom we ask
    with POLICY.set(Policy(trusts_first=False, allow=())):
        async with dns_peer(replying(BOTH), context=server_context) as port:
            server = f"127.0.0.1:{port}"
            found = await look_up("www.example", server, way, ip="4", deadline=deadline)

            with pytest.raises(CheckFailed, match="want an answer of the name server") as caught:
                await look_up("www.example", server, strict, ip=ANY_IP, deadline=deadline)

    assert found == ("192.0.2.1",)
    assert (caught.value.reason, caught.value.phase) == (Reason.CERTIFICATE_NAME, "resolve")


async def test_aliases_are_followed_and_strangers_left_out() -> None:
    lines = (
        "www.example. 1 IN CNAME a.example.", "a.example. 1 IN CNAME B.example.",
        "stranger.example. 1 IN A 192.0.2.66", "b.example. 1 IN A 192.0.2.2",
    )  # fmt: skip

    assert await look(replying({1: lines})) == ("192.0.2.2",)


async def test_aliases_in_a_circle_have_no_address() -> None:
    lines = ("www.example. 1 IN CNAME a.example.", "a.example. 1 IN CNAME www.example.")

    with pytest.raises(CheckFailed) as caught:
        await look(replying({1: lines, 28: lines}))

    assert caught.value.reason is Reason.DNS_NO_ADDRESS


async def test_addresses_are_capped() -> None:
    lines = tuple(f"www.example. 1 IN A 10.0.0.{i}" for i in range(30))

    assert len(await look(replying({1: lines}))) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("rcode", "reason"),
    [
        pytest.param("NXDOMAIN", Reason.DNS_NXDOMAIN, id="no such name"),
        pytest.param("SERVFAIL", Reason.DNS_SERVFAIL, id="broken"),
        pytest.param("REFUSED", Reason.DNS_SERVFAIL, id="refused"),
        pytest.param("NOERROR", Reason.DNS_NO_ADDRESS, id="nothing"),
    ],
)
async def test_codes_become_reasons(rcode: str, reason: Reason) -> None:
    with pytest.raises(CheckFailed, match=r"want an address of 'www\.example', got ") as caught:
        await look(replying({}, rcode))

    assert (caught.value.reason, caught.value.phase) == (reason, "resolve")


async def test_a_server_that_is_not_there_is_told() -> None:
    deadline = asyncio.get_running_loop().time() + 5
    server = f"127.0.0.1:{closed_port()}"

    with pytest.raises(CheckFailed, match="want an answer of the name server") as caught:
        await look_up("www.example", server, Way("tcp"), ip=ANY_IP, deadline=deadline)

    assert (caught.value.reason, caught.value.phase) == (Reason.REFUSED, "resolve")


async def test_a_cancelled_question_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with tcp_fault(silent) as port:
        asking = asyncio.ensure_future(
            look_up("www.example", f"127.0.0.1:{port}", Way("tcp"), ip=ANY_IP, deadline=1e12)
        )
        while len(asyncio.all_tasks() - before) < 3:  # noqa: ASYNC110 - turns of the loop, no time
            await asyncio.sleep(0)

        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        named = {task.get_name() for task in asyncio.all_tasks() - before if "_ask" in str(task)}
    assert not named
