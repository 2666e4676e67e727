"""Reading from a connection: bounded, exact, and every end of it told."""

import asyncio
from pathlib import Path

import pytest
import trustme

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.net import (
    dial,
)
from probes.wire.tls.settings import TlsOptions
from tests.faults.tcp import (
    Handler,
    closing,
    resetting,
    talking,
    tcp_fault,
)
from tests.faults.tls import (
    plain_answer,
    server_context,
)
from tests.probes.wire.readings import here, phases, values


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "TLS"])
async def test_reads_are_bounded_and_exact(
    ca: trustme.CA, ca_file: Path, *, over_tls: bool
) -> None:
    serve = server_context(ca.issue_cert("127.0.0.1")) if over_tls else None
    context = TlsOptions(ca_file=str(ca_file)).context() if over_tls else None

    async with (
        tcp_fault(talking(b"one\r\ntwo\nthree;rest"), context=serve) as port,
        dial(here(port), Recorder(), context=context) as connection,
    ):
        assert await connection.read_line(100) == b"one"
        assert await connection.read_line(100) == b"two"
        assert await connection.read_until(b";", 100) == b"three;"
        assert await connection.read_exactly(2) == b"re"
        assert await connection.read(1) == b"s"
        assert await connection.read(100) == b"t"


async def test_the_end_of_the_stream_is_told_by_each_read() -> None:
    async with tcp_fault(closing) as port, dial(here(port), Recorder()) as connection:
        assert await connection.read(1) == b""
        assert await connection.read_line(1) is None
        for reading in (connection.read_exactly(1), connection.read_until(b"x", 9)):
            with pytest.raises(CheckFailed) as caught:
                await reading
            assert caught.value.reason is Reason.CLOSED
        with pytest.raises(CheckFailed):
            connection.write(b"x")


async def test_a_reset_while_reading_is_told() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await resetting(reader, writer)

    async with tcp_fault(handle) as port:
        with pytest.raises(CheckFailed) as caught:
            async with dial(here(port), Recorder()) as connection:
                connection.write(b"x")
                await connection.read(1)

    assert caught.value.reason is Reason.CLOSED
    assert caught.value.message.endswith("got a reset")


async def test_a_line_without_end_stops_at_its_limit() -> None:
    """P13"""
    async with (
        tcp_fault(talking(b"x" * 300_000)) as port,
        dial(here(port), Recorder()) as connection,
    ):
        with pytest.raises(CheckFailed) as caught:
            await connection.read_line(1000)

    assert caught.value.reason is Reason.TOO_LARGE
    assert caught.value.message == "want a line of at most 1000 bytes, got more"


async def test_a_peer_that_sends_faster_than_we_read_is_held() -> None:
    """P13: what is not read is not kept."""
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with tcp_fault(handle) as port, dial(here(port), Recorder()) as connection:
        got = 0
        while got < 8 * 1024 * 1024:
            got += len(await connection.read_exactly(100_000))
        assert len(connection._buffer) < 1024 * 1024


async def test_tls_can_begin_in_mid_stream(ca: trustme.CA, ca_file: Path) -> None:
    recorder = Recorder()
    serve = server_context(ca.issue_cert("127.0.0.1"))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go\n")
        await writer.start_tls(serve)
        writer.write(b"secret\n")
        await reader.read()

    async with (
        tcp_fault(handle) as port,
        dial(here(port), recorder) as connection,
    ):
        assert await connection.read_line(9) == b"go"
        await connection.start_tls(TlsOptions(ca_file=str(ca_file)).context())
        assert await connection.read_line(9) == b"secret"

    assert phases(recorder) == [("connect", True), ("tls", True)]
    assert values(recorder)["probe_tls_verified"] == 1


async def test_a_name_of_one_letter_can_be_asked_for_by_many_at_once(
    ca: trustme.CA,
) -> None:
    serve, trusting = server_context(ca.issue_cert("a")), TlsOptions(verify=False).context()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go\n")
        await writer.start_tls(serve)
        await reader.read()

    async def upgrade(port: int) -> Recorder:
        recorder = Recorder()
        async with dial(f"127.0.0.1:{port}", recorder) as connection:
            await connection.read_line(9)
            await connection.start_tls(trusting, "a")
        return recorder

    async with tcp_fault(handle) as port:
        found = await asyncio.gather(*(upgrade(port) for _ in range(3)))

    asked = [recorder.facts["asked_for"] for recorder in found]
    assert asked == ["a (matches)"] * 3


async def test_bytes_ahead_of_tls_are_never_taken_for_encrypted_ones() -> None:
    async with (
        tcp_fault(talking(b"go\ninjected\n")) as port,
        dial(here(port), Recorder()) as connection,
    ):
        await connection.read_line(9)
        with pytest.raises(CheckFailed) as caught:
            await connection.start_tls(TlsOptions().context())

    assert caught.value.reason is Reason.PROTOCOL
    assert caught.value.message == r"want nothing before TLS, got b'injected\n'"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        pytest.param(plain_answer, Reason.TLS, id="plain text"),
        pytest.param(closing, Reason.CLOSED, id="closes"),
    ],
)
async def test_a_failed_upgrade_is_told(handler: Handler, reason: Reason) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await handler(reader, writer)

    async with tcp_fault(handle) as port:
        with pytest.raises(CheckFailed) as caught:
            async with dial(here(port), Recorder()) as connection:
                await connection.start_tls(TlsOptions().context())

    assert (caught.value.reason, caught.value.phase) == (reason, "tls")
