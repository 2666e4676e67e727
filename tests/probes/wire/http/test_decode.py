"""The body of an answer: counted, decoded, capped, in turns."""

import gzip
import random
import tracemalloc
import zlib
from itertools import pairwise

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.result import Reason
from probes.wire.http.decode import STEP_BYTES, TURN_BYTES, Body, Decoding
from tests.faults.http import bomb

PACK = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "x-gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": lambda data: zlib.compress(data)[2:-4],
    "br": brotli.compress,
}
ENCODINGS = sorted(PACK)


def read(body: Body, encoding: str, *pieces: bytes) -> Body:
    body.start(encoding)
    for piece in pieces:
        body.feed(piece)
        while body.pending:
            body.pump()
    body.end()
    return body


@given(
    data=st.binary(max_size=5000),
    encoding=st.sampled_from(ENCODINGS),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
)
def test_what_was_packed_comes_out_again_however_it_is_cut(
    data: bytes, encoding: str, cuts: list[int]
) -> None:
    packed = PACK[encoding](data)
    places = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    body = read(Body(), encoding, *(packed[a:b] for a, b in pairwise(places)))
    assert body.failure is None
    assert body.data == data
    assert (body.size, body.wire_size) == (len(data), len(packed))


@given(
    data=st.binary(max_size=3000), encoding=st.sampled_from([*ENCODINGS, "", "identity", "zstd"])
)
def test_any_bytes_are_a_body_or_a_failure(data: bytes, encoding: str) -> None:
    body = read(Body(), encoding, data[:100], data[100:])
    assert body.failure is None or body.failure.reason in (Reason.PROTOCOL, Reason.TOO_LARGE)
    assert body.size >= len(body.data)


def test_deflate_is_read_with_and_without_its_wrapper() -> None:
    assert read(Body(), "deflate", zlib.compress(b"hello" * 50)).data == b"hello" * 50


def test_several_gzip_members_are_one_body() -> None:
    members = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0"
    assert read(Body(), "gzip", members).data == b"one two"


def test_a_body_that_is_not_of_its_encoding_is_told() -> None:
    body = read(Body(), "gzip", b"<html>")
    assert body.failure is not None
    assert body.failure.reason is Reason.PROTOCOL
    assert body.failure.message.startswith("want a body in gzip, got something else: ")


def test_a_cut_off_stream_is_told() -> None:
    body = read(Body(), "gzip", gzip.compress(b"x" * 100)[:-4])
    assert body.failure is not None
    assert body.failure.message == "want a whole gzip body, got one cut off at 20 bytes"


def test_no_body_at_all_is_whole_in_every_encoding() -> None:
    assert read(Body(), "gzip").failure is None


@pytest.mark.parametrize("encoding", ["gzip, gzip", "zstd", "GZIP,br"])
def test_one_layer_of_a_known_encoding_is_read(encoding: str) -> None:
    body = read(Body(), encoding, b"x")
    assert body.failure is not None
    assert body.failure.reason is Reason.PROTOCOL
    assert body.failure.message == (
        f"want one content encoding of gzip, deflate and br, got {encoding!r}"
    )


def test_an_unknown_encoding_is_counted_when_nobody_judges_the_body() -> None:
    body = read(Body(keep=False), "zstd", b"12345")
    assert body.failure is None
    assert (body.size, body.data) == (5, b"")


@pytest.mark.parametrize(
    ("decoding", "header", "expected"),
    [
        pytest.param("off", "gzip", gzip.compress(b"x", mtime=0), id="off"),
        pytest.param("gzip", "", b"x", id="by-name"),
        pytest.param("auto", "", gzip.compress(b"x", mtime=0), id="no-header"),
    ],
)
def test_the_module_decides_what_is_decoded(
    decoding: Decoding, header: str, expected: bytes
) -> None:
    assert read(Body(decoding=decoding), header, gzip.compress(b"x", mtime=0)).data == expected


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "counted"])
def test_one_byte_over_the_cap_is_too_large_and_the_cap_is_what_is_kept(keep: bool) -> None:
    at_cap = read(Body(limit=10, keep=keep), "", b"12345", b"67890")
    assert at_cap.failure is None
    over = read(Body(limit=10, keep=keep), "", b"12345", b"678901")
    assert over.failure is not None
    assert over.failure.reason is Reason.TOO_LARGE
    assert over.failure.message == "want a body of at most 10B (max_body), got more"
    assert over.size == 10
    assert over.data == (b"1234567890" if keep else b"")


@pytest.mark.slow  # packing 512 MiB takes a second
@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_a_bomb_stops_at_the_cap(encoding: str) -> None:
    """T40: what is decoded ends at the cap, whatever is packed."""
    packed = bomb(encoding)
    assert len(packed) < 600 * 1024
    body = Body(keep=True)
    tracemalloc.start()
    try:
        read(body, encoding, packed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body.failure is not None
    assert body.failure.reason is Reason.TOO_LARGE
    assert body.size == 1024 * 1024
    assert peak < 4 * 1024 * 1024


def test_one_call_decodes_one_turn_and_no_more() -> None:
    packed = gzip.compress(bytes(3 * TURN_BYTES), mtime=0)
    body = Body(keep=False, limit=None)
    body.start("gzip")
    body.feed(packed)
    sizes = [body.size]
    while body.pending:
        body.pump()
        sizes.append(body.size)
    assert len(sizes) >= 3
    assert all(b - a <= TURN_BYTES + STEP_BYTES for a, b in pairwise([0, *sizes]))
    body.end()
    assert (body.failure, body.size) == (None, 3 * TURN_BYTES)


def test_bytes_that_cannot_be_packed_come_out_too() -> None:
    data = random.Random(1).randbytes(300_000)  # noqa: S311 - the same each time
    assert read(Body(), "br", brotli.compress(data, quality=1)).data == data
