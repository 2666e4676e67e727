"""Replies of Redis behind their caps: any bytes are a reply or a verdict."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.resp import MAX_REPLY_BYTES, MAX_REPLY_ELEMENTS, ReplyReader, ReplyWriter
from probes.wire.stream import Connection


def reader_of(data: bytes) -> ReplyReader:
    """Return a reader over a connection that has sent *data* and ended."""
    wire = Connection(Recorder(), Address("127.0.0.1", 1, "127.0.0.1", 4))
    wire._buffer += data
    wire._ended = True
    return ReplyReader(wire)


async def test_a_bulk_string_is_read_in_two_steps() -> None:
    reader = reader_of(b"$4\r\nPONG\r\n")

    assert await reader.readline() == b"$4\r\n"
    assert await reader.readexactly(6) == b"PONG\r\n"


@pytest.mark.parametrize("size", [MAX_REPLY_BYTES * 2, 10**12, -5, 1])
async def test_nothing_is_read_by_a_size_that_cannot_be(size: int) -> None:
    with pytest.raises(CheckFailed) as failure:
        await reader_of(b"x" * 10).readexactly(size)

    assert failure.value.reason in (Reason.TOO_LARGE, Reason.PROTOCOL)


async def test_elements_count_until_the_next_reply() -> None:
    reader = reader_of(b":1\r\n" * (2 * MAX_REPLY_ELEMENTS + 1))
    for _ in range(MAX_REPLY_ELEMENTS):
        await reader.readline()

    reader.begin()
    for _ in range(MAX_REPLY_ELEMENTS):
        await reader.readline()

    with pytest.raises(CheckFailed) as failure:
        await reader.readline()
    assert failure.value.reason is Reason.TOO_LARGE


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_are_lines_or_a_verdict(data: bytes) -> None:
    async def read() -> None:
        reader = reader_of(data)
        while True:
            line = await reader.readline()
            assert line.endswith(b"\r\n")

    with pytest.raises(CheckFailed) as failure:
        asyncio.run(read())

    assert failure.value.reason in (Reason.CLOSED, Reason.PROTOCOL)


async def test_a_writer_leaves_the_connection_to_its_owner() -> None:
    wire = Connection(Recorder(), Address("127.0.0.1", 1, "127.0.0.1", 4))
    writer = ReplyWriter(wire)

    writer.close()
    await writer.wait_closed()
    await writer.drain()

    with pytest.raises(CheckFailed) as failure:
        writer.writelines([b"a", b"b"])
    assert failure.value.reason is Reason.CLOSED
