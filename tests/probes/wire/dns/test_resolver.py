"""Name servers of one's own over TLS: one after the other, as long as there is time."""

import asyncio
import ssl
from pathlib import Path

import pytest

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.net import resolve
from tests.faults.dns_peer import dns_peer
from tests.faults.tcp import closed_port, closing, silent, tcp_fault
from tests.probes.wire.dns.made import answer_to


async def look(*servers: int, ca_file: Path, seconds: float = 0.4) -> str:
    options = ResolverOptions.model_validate(
        {
            "servers": [f"127.0.0.1:{port}" for port in servers],
            "transport": "tls",
            "tls": {"ca_file": str(ca_file)},
        }
    )
    recorder = Recorder(asyncio.get_running_loop().time() + seconds)
    address = await resolve("www.example", 80, recorder, ip="4", servers=options.addresses)
    return address.ip


async def test_a_server_that_is_silent_or_broken_leaves_time_for_the_next(
    server_context: ssl.SSLContext, ca_file: Path
) -> None:
    def known(query: bytes) -> list[bytes]:
        return [answer_to(query, "www.example. 1 IN A 192.0.2.1")]

    async with (
        tcp_fault(silent) as mute,
        tcp_fault(closing) as broken,
        dns_peer(known, context=server_context) as good,
    ):
        assert await look(mute, broken, good, ca_file=ca_file) == "192.0.2.1"


async def test_what_the_first_one_met_is_told_when_none_knows(ca_file: Path) -> None:
    async with tcp_fault(silent) as mute:
        with pytest.raises(CheckFailed) as caught:
            await look(mute, closed_port(), ca_file=ca_file, seconds=0.05)

    assert (caught.value.reason, caught.value.phase) == (Reason.DNS_TIMEOUT, "resolve")
    assert caught.value.message == (
        f"want an answer of the name server '127.0.0.1:{mute}' in time, got none"
    )
