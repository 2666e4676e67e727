"""The dial: every reason told apart, one address, phases kept, nothing left behind."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic

import pytest
import trustme

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.net import (
    Address,
    close_resolvers,
    dial,
    judge,
    open_connection,
    resolve,
)
from probes.wire.policy import POLICY, PolicyOptions
from probes.wire.tls.settings import TlsOptions
from tests.faults.dns import dns_fault
from tests.faults.tcp import (
    Handler,
    closed_port,
    closing,
    echoing,
    full_backlog,
    resetting,
    silent,
    tcp_fault,
)
from tests.faults.tls import (
    alert,
    bad_certificate,
    dripped_record,
    half_record,
    plain_answer,
    server_context,
)
from tests.probes.wire.readings import here, phases, values

WAIT_S = 0.15


@pytest.fixture(autouse=True)
async def _no_resolver_left() -> AsyncIterator[None]:
    yield
    await close_resolvers()


# --- connecting


async def test_a_closed_port_is_refused_at_once(lost_s: Callable[[], float]) -> None:
    """F2"""
    recorder = Recorder()
    port = closed_port()

    with pytest.raises(CheckFailed) as caught:
        await open_connection(asyncio.Protocol, here(port), recorder)

    assert (caught.value.reason, caught.value.phase) == (Reason.REFUSED, "connect")
    assert caught.value.message == f"want a connection to 127.0.0.1:{port}, got a refusal"
    assert phases(recorder) == [("connect", False)]
    assert recorder.phases[0].seconds < 0.05 + lost_s()


async def test_a_dropped_syn_is_a_timeout_while_connecting() -> None:
    """F1, F15"""
    recorder = Recorder()

    async with full_backlog() as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await open_connection(asyncio.Protocol, here(port), recorder)

    assert recorder.phase_name == "connect"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        pytest.param(plain_answer, Reason.TLS, id="plain text"),
        pytest.param(alert, Reason.TLS, id="alert"),
        pytest.param(closing, Reason.CLOSED, id="closes"),
        pytest.param(resetting, Reason.CLOSED, id="resets"),
    ],
)
async def test_a_peer_without_tls_is_told_apart(handler: Handler, reason: Reason) -> None:
    recorder = Recorder()

    async with tcp_fault(handler) as port:
        with pytest.raises(CheckFailed) as caught:
            context = TlsOptions().context()
            await open_connection(asyncio.Protocol, here(port), recorder, context=context)

    assert (caught.value.reason, caught.value.phase) == (reason, "tls")
    assert phases(recorder) == [("connect", True), ("tls", False)]
    if handler is plain_answer:
        assert caught.value.message.endswith("got an answer that is not TLS")
    if handler is alert:
        assert "handshake failure" in caught.value.message


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(silent, id="silence"),
        pytest.param(half_record, id="half a record"),
        pytest.param(dripped_record, id="dripped record"),
    ],
)
async def test_a_peer_that_never_ends_its_handshake_is_a_timeout_in_phase_tls(
    handler: Handler,
) -> None:
    """F5, T49"""
    # before the clock runs: a context with the system's authorities takes 40 ms to build
    recorder, context = Recorder(), TlsOptions().context()
    loop, greeted = asyncio.get_running_loop(), [0.0]

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # the wait begins when the client is in its handshake, however long a busy machine took
        assert await reader.readexactly(1)
        greeted[0] = monotonic()
        patience.reschedule(loop.time() + WAIT_S)
        await handler(reader, writer)

    async with tcp_fault(greet) as port:
        began = monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as patience:
                await open_connection(asyncio.Protocol, here(port), recorder, context=context)
        connect, tls = recorder.phases

    assert recorder.phase_name == "tls"
    assert connect.complete
    # all of the wait is in the second phase, to the 5 ms that timers round; none in the first
    assert connect.seconds <= greeted[0] - began
    assert tls.seconds >= WAIT_S - 0.005


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param("expired", Reason.CERTIFICATE_EXPIRED, id="expired"),
        pytest.param("not_yet_valid", Reason.CERTIFICATE_EXPIRED, id="not yet valid"),
        pytest.param("self_signed", Reason.CERTIFICATE_UNTRUSTED, id="self-signed"),
        pytest.param("wrong_name", Reason.CERTIFICATE_NAME, id="wrong name"),
    ],
)
async def test_a_refused_certificate_is_told_with_all_its_facts(
    ca: trustme.CA, ca_file: Path, fault: str, reason: Reason
) -> None:
    recorder = Recorder()
    context = TlsOptions(ca_file=str(ca_file)).context()

    async with tcp_fault(echoing, context=bad_certificate(ca, fault)) as port:
        with pytest.raises(CheckFailed) as caught:
            await open_connection(asyncio.Protocol, here(port), recorder, context=context)

    assert (caught.value.reason, caught.value.phase) == (reason, "tls")
    assert caught.value.message.startswith(f"want a valid certificate of 127.0.0.1:{port}, got ")
    found = values(recorder)
    assert found["probe_tls_verified"] == 0
    assert found["ssl_earliest_cert_expiry"] > 0
    assert found["tls_version_info"] == found["ssl_last_chain_info"] == 1
    assert "ssl_last_chain_expiry_timestamp_seconds" not in found
    assert "sha256" in recorder.facts["certificate"]


async def test_an_unknown_authority_is_told(ca: trustme.CA) -> None:
    recorder = Recorder()

    async with tcp_fault(echoing, context=server_context(ca.issue_cert("127.0.0.1"))) as port:
        with pytest.raises(CheckFailed) as caught:
            async with dial(here(port), recorder, context=TlsOptions().context()):
                pass

    assert caught.value.reason is Reason.CERTIFICATE_UNTRUSTED


async def test_connect_and_tls_are_timed_apart(ca_file: Path, ca: trustme.CA) -> None:
    recorder = Recorder()
    context = TlsOptions(ca_file=str(ca_file)).context()

    async with tcp_fault(echoing, context=server_context(ca.issue_cert("127.0.0.1"))) as port:
        transport, _ = await open_connection(
            asyncio.Protocol, here(port), recorder, context=context
        )
        transport.abort()

    assert phases(recorder) == [("connect", True), ("tls", True)]
    assert recorder.phase_name is None
    assert all(phase.seconds > 0 for phase in recorder.phases)


async def test_the_source_address_is_the_one_asked_for() -> None:
    got: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(writer.get_extra_info("peername")[0])
        writer.write(b"x")

    async with (
        tcp_fault(handle) as port,
        dial(here(port), Recorder(), source_ip="127.0.0.9") as connection,
    ):
        await connection.read(1)

    assert got == ["127.0.0.9"]


@pytest.fixture
async def on_ipv6() -> AsyncIterator[int]:
    """Port of a server at ::1."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "::1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("source", [None, "::1"])
async def test_a_zone_is_an_interface_on_both_event_loops(on_ipv6: int, source: str | None) -> None:
    """asyncio looks such an address up as a name, uvloop drops the zone."""
    address, odd = (Address(ip, on_ipv6, ip, 6) for ip in ("::1%lo", "::1%no-such"))
    async with dial(address, Recorder(), source_ip=source) as connection:
        assert await connection.read(1) == b""

    with pytest.raises(CheckFailed) as caught:
        await open_connection(asyncio.Protocol, odd, Recorder(), source_ip=source)
    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.message == (
        "want an interface 'no-such' of this host to reach ::1 by, got none"
    )


async def test_a_closed_port_behind_a_zone_is_refused() -> None:
    address = Address("::1%lo", closed_port(), "::1%lo", 6)
    with pytest.raises(CheckFailed) as caught:
        await open_connection(asyncio.Protocol, address, Recorder())
    assert (caught.value.reason, caught.value.phase) == (Reason.REFUSED, "connect")


@pytest.mark.parametrize("source", ["192.0.2.77", "::1", "no-such-card"])
async def test_a_foreign_source_is_a_mistake_of_ours(source: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        await open_connection(asyncio.Protocol, here(closed_port()), Recorder(), source_ip=source)

    assert caught.value.reason is Reason.CONFIG
    assert caught.value.message == f"want a source address of this host, got '{source}'"


async def test_a_host_without_descriptors_is_told_whatever_the_source_address() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        with pytest.raises(CheckFailed) as caught:
            await open_connection(asyncio.Protocol, here(9), Recorder(), source_ip="127.0.0.1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert (caught.value.reason, caught.value.phase) == (Reason.RESOURCE, "connect")
    assert "EMFILE" in caught.value.message


# --- the policy at the dial


async def test_the_address_is_judged_before_any_packet_leaves() -> None:
    """T18, T22: constant text, no connect."""
    accepted: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(1)

    async with tcp_fault(handle) as port:
        with POLICY.set(PolicyOptions().policy()), pytest.raises(CheckFailed) as first:
            await open_connection(asyncio.Protocol, here(port, "inner.example"), Recorder())
        metadata = Address("169.254.169.254", 80, "169.254.169.254", 4)
        with pytest.raises(CheckFailed) as later:
            await open_connection(asyncio.Protocol, metadata, Recorder(), hop=1)
        await asyncio.sleep(0)

    assert first.value.reason is Reason.POLICY
    assert first.value.message == "want a target within probe_policy, got one outside"
    assert later.value.reason is Reason.BLOCKED
    assert later.value.message.endswith("got one to 169.254.169.254:80")
    assert not accepted


async def test_a_name_that_was_rebound_is_judged_by_what_is_dialled() -> None:
    """T21"""
    policy = PolicyOptions.model_validate({"allow": [{"host": "*.test"}]}).policy()

    async with dns_fault() as server:
        address = await resolve("one.test", 80, Recorder(), servers=(server.server,))
        with POLICY.set(policy), pytest.raises(CheckFailed) as caught:
            judge(address, hop=0)

    assert caught.value.reason is Reason.POLICY


def test_a_scheme_is_judged_and_so_is_having_none() -> None:
    allow = [{"host": "*", "schemes": ["https"]}, {"cidr": "127.0.0.0/8", "schemes": ["https"]}]
    others: list[str | None] = ["http", "", None]

    with POLICY.set(PolicyOptions.model_validate({"allow": allow}).policy()):
        judge(here(80), hop=0, scheme="https")
        for scheme in others:
            with pytest.raises(CheckFailed):
                judge(here(80), hop=0, scheme=scheme)


# --- nothing is left behind


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "TLS"])
async def test_a_cancelled_dial_leaves_no_descriptor_and_no_task(*, over_tls: bool) -> None:
    context = TlsOptions().context() if over_tls else None
    async with full_backlog() as dead, tcp_fault(silent) as deaf:
        tasks, before = asyncio.all_tasks(), descriptors()
        for port in [dead, deaf] if over_tls else [dead]:
            for _ in range(3):
                task = asyncio.ensure_future(
                    open_connection(asyncio.Protocol, here(port), Recorder(), context=context)
                )
                await asyncio.wait([task], timeout=0.02)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for _ in range(5):  # transports close in callbacks
            await asyncio.sleep(0)

        # the deaf server still holds its own three ends
        assert descriptors() - before <= (3 if over_tls else 0)
        assert not [t for t in asyncio.all_tasks() - tasks if "open_connection" in repr(t)]


async def test_an_exception_inside_the_block_closes_the_connection() -> None:
    async with tcp_fault(silent) as port:
        before = descriptors()
        with pytest.raises(KeyError):
            async with dial(here(port), Recorder()) as connection:
                raise KeyError
        await asyncio.sleep(0)

        assert connection.transport.is_closing()
        assert descriptors() - before <= 1
