"""What every kind that dials takes: name servers to ask, and files of TLS that change."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.kind import Kind
from probes.kinds import grpc, icmp, redis, smtp, ssh, tcp, tls, udp
from probes.result import Outcome, Reason
from tests.faults.dns import dns_fault
from tests.faults.tcp import closed_port
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


@pytest.fixture(
    params=[
        pytest.param((tcp.Tcp, {}, ""), id="tcp"),
        pytest.param((tls.Tls, {}, ""), id="tls"),
        pytest.param((smtp.Smtp, {"encryption": "tls"}, ""), id="smtp"),
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
