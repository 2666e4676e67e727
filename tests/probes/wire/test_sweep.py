"""addresses: all: one run for each address, one verdict, through every kind that has the key."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from probes.kind import Kind
from probes.kinds.http import Http
from probes.kinds.tcp import Tcp
from probes.kinds.tls import Tls
from probes.result import Outcome, Reason, Result
from tests.faults.dns import DnsFault, dns_fault
from tests.faults.tcp import silent, tcp_fault
from tests.harness import Check, undeclared

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def samples(result: Result, name: str) -> dict[str, float]:
    """Return the samples of that *name*, by address."""
    return {dict(s.labels).get("address", ""): s.value for s in result.samples if s.name == name}


@pytest.fixture
async def dns() -> AsyncIterator[DnsFault]:
    async with dns_fault() as server:
        yield server


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


def http(dns: DnsFault, **keys: Any) -> Http:
    resolver = {"servers": [dns.server]}
    return Http.model_validate({"addresses": "all", "resolver": resolver, **keys})


async def test_every_address_is_asked_and_the_worst_is_the_verdict(
    dns: DnsFault, check: Check
) -> None:
    async with tcp_fault(answer) as port:
        kind = http(dns)

        result = await check(kind, f"http://two.test:{port}/")

        assert result.outcome is Outcome.DOWN
        assert result.failure is not None
        assert result.failure.reason is Reason.REFUSED
        assert result.failure.phase == "connect"
        assert result.failure.message.startswith("127.0.0.2 (1 of 2 addresses failed): want a con")
        assert samples(result, "probe_address_up") == {"127.0.0.1": 1, "127.0.0.2": 0}
        assert set(samples(result, "probe_address_duration_seconds")) == {"127.0.0.1", "127.0.0.2"}
        assert samples(result, "probe_addresses") == {"": 2}
        assert result.facts["address"] == f"127.0.0.2:{port}"
        assert result.facts["addresses"].endswith("127.0.0.2: refused in connect")
        assert [phase.name for phase in result.phases] == ["resolve", "connect"]
        assert undeclared(result, kind) == []
        assert len(dns.questions) <= 2  # A and AAAA of one lookup


async def test_all_up_shows_what_a_single_run_shows(dns: DnsFault, check: Check) -> None:
    async with tcp_fault(answer) as port:
        kind = http(dns, expect={"body": {"contains": "ok"}})

        result = await check(kind, f"http://one.test:{port}/")

        assert result.outcome is Outcome.UP, result.failure
        assert samples(result, "http_status_code") == {"": 200}
        assert samples(result, "probe_address_up") == {"127.0.0.1": 1}
        assert samples(result, "ip_protocol") == {"": 4}
        assert samples(result, "dns_lookup_time_seconds")[""] > 0


async def test_at_most_sixteen_addresses_are_asked(dns: DnsFault, check: Check) -> None:
    async with tcp_fault(answer) as port:
        result = await check(http(dns), f"http://many.test:{port}/")

        assert samples(result, "probe_addresses") == {"": 16}
        assert len(samples(result, "probe_address_up")) == 16


async def test_a_name_without_addresses_is_told_as_ever(dns: DnsFault, check: Check) -> None:
    result = await check(http(dns), "http://nxdomain.test:1/")

    assert result.failure is not None
    assert result.failure.reason is Reason.DNS_NXDOMAIN
    assert result.failure.phase == "resolve"
    assert samples(result, "ip_protocol") == {"": 0}
    assert samples(result, "probe_addresses") == {}


async def test_a_silent_address_costs_the_deadline_and_is_named(
    dns: DnsFault, check: Check
) -> None:
    async with tcp_fault(silent) as port:
        result = await check(http(dns), f"http://two.test:{port}/", 0.3)

        assert result.failure is not None
        assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "processing")
        assert samples(result, "probe_address_up") == {"127.0.0.1": 0, "127.0.0.2": 0}
        assert result.facts["address"] == f"127.0.0.1:{port}"
        assert result.facts["addresses"].startswith("127.0.0.1: no answer in processing; ")


@pytest.mark.parametrize("starts_tls", [False, True], ids=["tcp", "tls"])
async def test_tcp_and_tls_ask_every_address_too(
    starts_tls: bool, server_context: ssl.SSLContext, ca_file: Path, check: Check
) -> None:
    keys: dict[str, Any] = {"addresses": "all"}
    kind: Kind = Tcp.model_validate(keys)
    if starts_tls:
        kind = Tls.model_validate({**keys, "tls": {"ca_file": str(ca_file)}})
    async with tcp_fault(silent, context=server_context if starts_tls else None) as port:
        # the hosts file has two addresses for it, and somebody listens on one of them
        result = await check(kind, f"localhost:{port}")

        assert samples(result, "probe_address_up")["127.0.0.1"] == 1
        assert undeclared(result, kind) == []


async def test_a_proxy_and_all_addresses_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="want addresses: first where a proxy dials, got all"):
        Http.model_validate({"addresses": "all", "proxy": {"url": "http://127.0.0.1:3128"}})
