"""HTTP/1.1 without I/O: limits, ends, informational answers, any bytes."""

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.result import Reason
from probes.wire.http.http1 import Http1, encode, encode_kept
from probes.wire.http.message import Request, Response
from probes.wire.url import parse_url

URL = parse_url("http://example.org:8080/path?q=1")
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Trailer: y\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\nX-Not: final\r\n\r\n"


def read(pieces: Iterable[bytes], *, head_only: bool = False) -> tuple[Http1, Response]:
    """Feed *pieces* until there is a verdict, as the shell does, then the end of the stream."""
    response = Response(URL)
    codec = Http1(response, head_only=head_only)
    for piece in pieces:
        codec.feed(piece)
        if codec.failure or codec.is_complete:
            break
    else:
        codec.eof()
    return codec, response


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize("data", [HELLO, CHUNKED, CONTINUE + HELLO, OK + b"\r\nhello"])
@given(places=st.lists(st.integers(0, 500), max_size=8))
def test_an_answer_reads_the_same_however_it_is_cut(data: bytes, places: list[int]) -> None:
    codec, response = read(cut(data, places))
    assert codec.failure is None
    assert (response.status, response.version, response.reason) == (200, "1.1", b"OK")
    assert response.body.data == b"hello"
    assert response.is_complete
    assert not response.values("x-not")
    assert not response.values("x-trailer")


@given(data=st.binary(max_size=400), places=st.lists(st.integers(0, 500), max_size=4))
def test_any_bytes_are_an_answer_or_a_failure(data: bytes, places: list[int]) -> None:
    for start in (b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n", CONTINUE):
        codec, _ = read(cut(start + data, places))
        assert codec.is_complete != (codec.failure is not None)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        pytest.param(
            [b"SSH-2.0-x\r\n"],
            Reason.PROTOCOL,
            r"want an HTTP/1.1 answer, got b'SSH-2.0-x\r\n'",
            id="ssh",
        ),
        pytest.param(
            [b"\x15\x03\x01\x00\x02\x02\x50"],
            Reason.PROTOCOL,
            r"want an HTTP/1.1 answer, got b'\x15\x03\x01\x00\x02\x02P' "
            "(the port speaks TLS: want an https:// target)",
            id="tls",
        ),
        pytest.param(
            [b"HTTP/2.0 200 OK\r\n\r\n"],
            Reason.PROTOCOL,
            "want HTTP/1.0 or HTTP/1.1, got 'HTTP/2.0'",
            id="version",
        ),
        pytest.param(
            [CONTINUE * 11 + HELLO],
            Reason.PROTOCOL,
            "want at most 10 informational answers, got more",
            id="informational",
        ),
        pytest.param(
            [], Reason.CLOSED, "want an HTTP answer, got the end of the stream", id="none"
        ),
        pytest.param(
            [b"HTTP/1.1 200"],
            Reason.CLOSED,
            "want a whole HTTP head, got the end of the stream after 12 bytes",
            id="half-head",
        ),
        pytest.param(
            [OK + b"Content-Length: 9\r\n\r\nhello"],
            Reason.CLOSED,
            "want a body of 9 bytes, got the end of the stream after 5",
            id="short-body",
        ),
        pytest.param(
            [OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"],
            Reason.CLOSED,
            "want a whole body, got the end of the stream after 5",
            id="short-chunk",
        ),
        pytest.param(
            [OK + b"X: " + b"a" * 5000, b"a" * 5000],
            Reason.TOO_LARGE,
            "want header lines of at most 8190 bytes, got a longer one",
            id="line",
        ),
        pytest.param(
            [OK, *[b"X: " + b"a" * 8000 + b"\r\n"] * 9],
            Reason.TOO_LARGE,
            "want a head of at most 65536 bytes, got more",
            id="head",
        ),
        pytest.param(
            [OK + b"X: y\r\n" * 129 + b"\r\n"],
            Reason.TOO_LARGE,
            "want at most 128 headers, got more",
            id="headers",
        ),
        pytest.param(
            [OK + b"Transfer-Encoding: chunked\r\n\r\n5;", *[b"x" * 30000] * 3],
            Reason.TOO_LARGE,
            "want chunk extensions and trailers of at most 65536 bytes, got more",
            id="chunk-extension",
        ),
    ],
)
def test_what_is_wrong_is_told_apart(data: list[bytes], reason: Reason, message: str) -> None:
    """F10, T41, T42: garbage, endless 1xx and chunk extensions, long lines, many headers."""
    codec, _ = read(data)
    assert codec.failure is not None
    assert (codec.failure.reason, codec.failure.message) == (reason, message)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", id="both-lengths"),
        pytest.param(b"Content-Length: 3\r\nContent-Length: 4\r\n", id="two-lengths"),
        pytest.param(b"Server: x\r\n folded\r\n", id="folded"),
        pytest.param(b"Server : x\r\n", id="space-before-colon"),
    ],
)
def test_an_ambiguous_head_is_refused(head: bytes) -> None:
    codec, _ = read([OK + head + b"\r\nabc"])
    assert codec.failure is not None
    assert codec.failure.reason is Reason.PROTOCOL


def test_the_headers_of_all_pieces_are_counted_together() -> None:
    lines = b"X: y\r\n" * 100
    codec, _ = read([b"HTTP/1.1 200 OK\r\n" + lines, lines + b"\r\n"])
    assert codec.failure is not None
    assert codec.failure.message == "want at most 128 headers, got more"


def test_128_headers_and_10_informational_answers_are_admitted() -> None:
    codec, response = read([CONTINUE * 10 + OK + b"X: y\r\n" * 127 + b"Content-Length: 0\r\n\r\n"])
    assert codec.failure is None
    assert len(response.headers) == 128


@pytest.mark.parametrize(
    ("data", "head_only"),
    [
        pytest.param(OK + b"Content-Length: 5\r\n\r\n", True, id="head"),
        pytest.param(b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", False, id="204"),
        pytest.param(b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", False, id="304"),
        pytest.param(b"HTTP/1.1 101 Switch\r\n\r\nother", False, id="101-bare"),
        pytest.param(
            b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nother",
            False,
            id="101",
        ),
        pytest.param(
            b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 9\r\n\r\n", False, id="302"
        ),
    ],
)
def test_an_answer_without_body_is_complete_at_its_head(data: bytes, head_only: bool) -> None:
    codec, response = read([data], head_only=head_only)
    assert codec.is_complete
    assert codec.failure is None
    assert response.body.size == 0


def test_a_reset_does_not_end_a_body_that_ends_by_close() -> None:
    response = Response(URL)
    codec = Http1(response)
    codec.feed(OK + b"\r\nhello")
    codec.eof("a reset of the connection")
    assert codec.failure is not None
    assert codec.failure.message == "want a whole body, got a reset of the connection after 5"


def test_what_follows_the_answer_is_no_part_of_it() -> None:
    codec, response = read([HELLO + b"HTTP/1.1 500 No\r\nX-Second: 1\r\n\r\n\x00\x00"])
    assert codec.is_complete
    assert codec.failure is None
    assert (response.status, len(response.headers)) == (200, 1)


def test_waiting_lasts_until_the_final_answer() -> None:
    codec = Http1(Response(URL))
    assert codec.waiting
    codec.feed(CONTINUE)
    assert codec.waiting
    codec.feed(b"HTTP")
    assert not codec.waiting


def test_foreign_bytes_never_become_a_surrogate() -> None:
    _, response = read([b"HTTP/1.1 200 \xff\r\nServer: \xed\xa0\x80x\r\nContent-Length: 0\r\n\r\n"])
    text = response.status_line + response.values("Server")[0]
    text.encode()
    assert "\ufffd" in text


def test_the_length_is_minus_one_when_unknown_and_zero_without_an_answer() -> None:
    assert Response(URL).content_length == 0
    assert read([OK + b"\r\n"])[1].content_length == -1
    assert read([CHUNKED])[1].content_length == -1
    assert read([HELLO])[1].content_length == 5


def test_a_request_is_one_piece_of_bytes() -> None:
    request = Request(URL, "POST", (("X-A", "ü"),), b"body")
    assert encode(request) == (
        b"POST /path?q=1 HTTP/1.1\r\nHost: example.org:8080\r\nX-A: \xc3\xbc\r\n"
        b"Content-Length: 4\r\nConnection: close\r\n\r\nbody"
    )
    assert b"Content-Length: 0" in encode(Request(URL, "POST"))
    assert b"Content-Length" not in encode(Request(URL, "DELETE"))
    assert b"Host: other\r\n" in encode(Request(URL, host="other"))


def test_a_request_is_encoded_once_and_a_changed_one_anew() -> None:
    request = Request(parse_url("http://127.0.0.1/a"))
    assert encode(request) is encode(request)
    assert encode(replace(request, url=parse_url("http://127.0.0.1/b"))).startswith(b"GET /b ")
    assert request == Request(parse_url("http://127.0.0.1/a"))


def test_heads_are_kept_unless_a_server_has_blown_them_up() -> None:
    def head(number: int, size: int) -> bytes:
        return encode_kept(Request(URL, headers=(("Cookie", f"{number}{'x' * size}"),)))

    assert head(1, 10) is not head(2, 10)
    assert head(1, 10).startswith(b"GET /path?q=1 HTTP/1.1\r\nHost: example.org:8080\r\nCookie: 1x")
    tracemalloc.start()
    for number in range(50):
        assert head(number, 50_000).endswith(b"x\r\n\r\n")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert held < 200_000
