"""What every kind that dials takes: name servers to ask, where to come from, files that change."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.kind import Kind
from probes.kinds import dns, grpc, icmp, redis, smtp, ssh, tcp, tls, udp
from probes.result import Outcome, Reason
from tests.faults.dns import dns_fault
from tests.faults.tcp import closed_port, tcp_fault
from tests.harness import Check

RESOLVING: dict[str, tuple[type[Kind], dict[str, Any]]] = {
    "tcp": (tcp.Tcp, {}),
    "tls": (tls.Tls, {}),
    "grpc": (grpc.Grpc, {}),
    "smtp": (smtp.Smtp, {}),
    "ssh": (ssh.Ssh, {}),
    "udp": (udp.Udp, {"send": "x"}),
    "icmp": (icmp.Icmp, {}),
}


@pytest.mark.parametrize("name", RESOLVING)
async def test_a_name_is_asked_for_where_the_file_says(name: str, check: Check) -> None:
    kind, keys = RESOLVING[name]
    async with dns_fault() as server:
        asking = kind.model_validate({**keys, "resolver": {"servers": [server.server]}})

        result = await check(asking, "nxdomain.test" + ":1" * (name != "icmp"))

        assert result.failure is not None
        assert result.failure.reason is Reason.DNS_NXDOMAIN
        assert server.questions


QUESTION = {"query_name": "x.example"}
LEAVING: dict[str, tuple[type[Kind], dict[str, Any]]] = {
    "tcp": (tcp.Tcp, {"expect": "x"}),
    "tls": (tls.Tls, {}),
    "grpc": (grpc.Grpc, {}),
    "grpc over TLS": (grpc.Grpc, {"tls": True}),
    "smtp": (smtp.Smtp, {}),
    "ssh": (ssh.Ssh, {}),
    "dns over tcp": (dns.Dns, {**QUESTION, "transport": "tcp"}),
    "dns over tls": (dns.Dns, {**QUESTION, "transport": "tls"}),
    "dns over https": (dns.Dns, {**QUESTION, "transport": "https"}),
}


@pytest.mark.parametrize("source", ["127.0.0.9", "lo"])
@pytest.mark.parametrize("name", LEAVING)
async def test_a_connection_comes_from_where_the_file_says(
    name: str, source: str, check: Check
) -> None:
    if source == "lo" and os.geteuid() != 0:
        pytest.skip("want the right to bind to an interface, got a user without it")
    kind, keys = LEAVING[name]
    peers: list[str] = []

    async def noting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.close()

    async with tcp_fault(noting) as port:
        await check(kind.model_validate({**keys, "source": source}), f"127.0.0.1:{port}")

    assert peers == ["127.0.0.9" if source != "lo" else "127.0.0.1"]


@pytest.mark.parametrize("source", ["203.0.113.9", "no-such-card"])
@pytest.mark.parametrize("name", [*LEAVING, "dns over udp"])
async def test_a_source_that_is_not_ours_is_our_own_fault(
    name: str, source: str, check: Check
) -> None:
    kind, keys = LEAVING.get(name, (dns.Dns, QUESTION))

    result = await check(
        kind.model_validate({**keys, "source": source}), f"127.0.0.1:{closed_port()}", unknown=True
    )

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.CONFIG, "connect")
    assert f"of this host, got '{source}'" in result.failure.message


@pytest.fixture(
    params=[
        pytest.param((tcp.Tcp, {}, ""), id="tcp"),
        pytest.param((tls.Tls, {}, ""), id="tls"),
        pytest.param((smtp.Smtp, {"encryption": "tls"}, ""), id="smtp"),
        pytest.param((grpc.Grpc, {}, ""), id="grpc"),
        pytest.param((dns.Dns, {**QUESTION, "transport": "tls"}, ""), id="dns over tls"),
        pytest.param((dns.Dns, {**QUESTION, "transport": "https"}, ""), id="dns over https"),
        pytest.param((redis.Redis, {}, "rediss://"), id="redis"),
    ]
)
def careful(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Kind, str]:
    """Make a kind, off the loop as the service does, whose authorities are gone since then."""
    kind, keys, scheme = request.param
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    made = kind.model_validate({**keys, "tls": {"ca_file": str(file)}})
    target = f"{scheme}127.0.0.1:{closed_port()}"
    made.prepare(target)
    file.unlink()
    return made, target


async def test_a_file_of_tls_that_went_away_is_told_before_anybody_is_bothered(
    careful: tuple[Kind, str], check: Check
) -> None:
    result = await check(*careful, unknown=True)

    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.CONFIG
