"""Heads of requests: what is let through, what is refused; no bytes can break the judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.head import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_QUERY_BYTES,
    Head,
    Refusal,
    decode_path,
    read_head,
)

GOOD = b"GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\nAccept:  text/plain \r\n\r\n"


def head(line: str = "GET / HTTP/1.1", *headers: str) -> bytes:
    lines = [line, *(headers or ("Host: x",))]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def test_a_complete_head_is_read_with_its_length() -> None:
    found = read_head(GOOD + b"body")

    assert isinstance(found, tuple)
    assert found == (
        Head("GET", "/metrics?x=1", "1.1", (("host", "localhost"), ("accept", "text/plain"))),
        len(GOOD),
    )
    assert found[0].path == "/metrics"
    assert found[0].get("accept") == "text/plain"
    assert found[0].get("cookie") is None


@pytest.mark.parametrize(
    ("received", "status", "message"),
    [
        pytest.param(b"\x16\x03\x01", 400, "want HTTP, got a TLS handshake", id="tls"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, "got a bare LF", id="bare lf"),
        pytest.param(b"\n", 400, "got a bare LF", id="a line feed first"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\nEvil: y\r\n\r\n", 400, "got a bare LF", id="lf inside"
        ),
        pytest.param(head("GET /"), 400, "such as GET / HTTP/1.1, got 'GET /'", id="no version"),
        pytest.param(head("get / HTTP/1.1"), 400, "got 'get / HTTP/1.1'", id="small method"),
        pytest.param(head("GET / HTTP/2.0"), 400, "got 'GET / HTTP/2.0'", id="version 2.0"),
        pytest.param(head("GET /a b HTTP/1.1"), 400, "got 'GET /a b HTTP/1.1'", id="a space"),
        pytest.param(head("GET /\x00 HTTP/1.1"), 400, "want a request line", id="nul in path"),
        pytest.param(head("PRI * HTTP/2.0"), 505, "want HTTP/1.1, got HTTP/2", id="http2"),
        pytest.param(
            head("GET /?" + "a" * (MAX_QUERY_BYTES + 1) + " HTTP/1.1"),
            414,
            "want a query of at most 8192 bytes, got more",
            id="long query",
        ),
        pytest.param(head("GET /" + "a" * 5000 + " HTTP/1.1"), 414, "want a query", id="long path"),
        pytest.param(b"GET /" + b"a" * 20000, 414, "want a query", id="endless line"),
        pytest.param(
            head("GET / HTTP/1.1", *["Host: x"] * (MAX_HEADERS + 1)),
            431,
            "want at most 100 headers, got more",
            id="headers",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200, 431, "want at most 100", id="endless headers"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nA: " + b"b" * MAX_HEAD_BYTES,
            431,
            "want at most 32768 bytes of headers, got more",
            id="endless header",
        ),
        pytest.param(
            head("GET / HTTP/1.1", "A: " + "b" * MAX_HEAD_BYTES),
            431,
            "want at most 32768 bytes",
            id="a large head at once",
        ),
        pytest.param(head("GET / HTTP/1.1", "Host x"), 400, "a line of another form", id="colon"),
        pytest.param(
            head("GET / HTTP/1.1", "Host: x", " folded"), 400, "of another form", id="folded"
        ),
        pytest.param(
            head("GET / HTTP/1.1", "Host : x"), 400, "of another form", id="space before colon"
        ),
        pytest.param(
            head("GET / HTTP/1.1", "Host: a\x00b"), 400, "of another form", id="nul in a value"
        ),
        pytest.param(
            head("GET / HTTP/1.1", "A: b"), 400, "want one Host header, got 0", id="no host"
        ),
        pytest.param(
            head("GET / HTTP/1.1", "Host: a", "Host: b"),
            400,
            "want one Host header, got 2",
            id="T38",
        ),
        pytest.param(
            head("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"),
            400,
            "want one Content-Length or Transfer-Encoding header, got several",
            id="T38 smuggling",
        ),
        pytest.param(
            head("POST / HTTP/1.1", "Host: a", "Content-Length: +1"),
            400,
            "want a Content-Length in digits, got '+1'",
            id="signed length",
        ),
        pytest.param(
            head("POST / HTTP/1.1", "Host: a", "Content-Length: \xb2"),
            400,
            "want a Content-Length in digits",
            id="a digit that is none",
        ),
        pytest.param(
            head("POST / HTTP/1.1", "Host: a", "Content-Length: 65537"),
            413,
            "want a body of at most 65536 bytes, got '65537'",
            id="large body",
        ),
        pytest.param(
            head("POST / HTTP/1.1", "Host: a", "Content-Length: " + "9" * 5000),
            413,
            "want a body of at most 65536 bytes",
            id="a length of 5,000 digits",
        ),
    ],
)
def test_t26_t38_a_bad_head_is_refused(received: bytes, status: int, message: str) -> None:
    found = read_head(received)

    assert isinstance(found, Refusal)
    assert found.status == status
    assert message in found.message


@pytest.mark.parametrize(
    "received",
    [b"", b"G", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHost: x\r\n", GOOD[:-1]],
)
def test_an_incomplete_head_is_waited_for(received: bytes) -> None:
    assert read_head(received) is None


def test_http_1_0_needs_no_host() -> None:
    assert isinstance(read_head(b"GET / HTTP/1.0\r\n\r\n"), tuple)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/health/a%2Fb%20c?x=%2F", "/health/a/b c"),
        ("http://localhost:9115/metrics?x", "/metrics"),
        ("http://localhost", "/"),
        ("*", "*"),
        ("/%ff", "/\ufffd"),
    ],
)
def test_a_path_is_decoded_once(target: str, path: str) -> None:
    assert decode_path(target) == path


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_judged_and_never_less_strictly_when_more_come(
    received: bytes, cut: int
) -> None:
    whole, part = read_head(received), read_head(received[:cut])

    if isinstance(part, tuple):
        assert whole == part
    if isinstance(part, Refusal):
        assert isinstance(whole, Refusal)


_TOKEN = st.text("abcdefgh-", min_size=1, max_size=8)
_VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


@pytest.mark.slow
@given(st.lists(st.tuples(_TOKEN, _VALUE), max_size=20), st.integers(1, 40))
def test_a_good_head_is_read_equal_however_it_is_cut(
    pairs: list[tuple[str, str]], step: int
) -> None:
    received = head("GET / HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in pairs))

    found = None
    for end in range(step, len(received) + step, step):
        found = read_head(received[:end])
        if found is not None:
            break

    assert isinstance(found, tuple)
    assert found[0].headers == (("host", "x"), *pairs)
