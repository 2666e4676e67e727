"""The head that libcurl hands over line by line, and its caps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.result import Reason
from probes.wire.http.h3.fieldlines import FieldLines
from probes.wire.http.message import MAX_HEADERS, Limits, Response
from probes.wire.url import parse_url


def fed(*lines: bytes, body: bytes = b"", max_wire: int | None = None) -> FieldLines:
    reader = FieldLines(Response(parse_url("https://x/"), Limits()), max_wire)
    for line in lines:
        reader.line(line + b"\r\n")
    if body:
        reader.data(body)
    return reader


def test_a_head_and_a_body_become_a_response() -> None:
    response = Response(parse_url("https://x/"), Limits())
    reader = FieldLines(response)

    for line in (b"HTTP/3 200 \r\n", b"Content-Type: text/plain\r\n", b"\r\n"):
        reader.line(line)
    reader.data(b"ok")
    reader.line(b"trailer: x\r\n")

    assert (response.status, response.version) == (200, "3")
    assert response.headers == [(b"content-type", b"text/plain")]
    assert response.body.data == b"ok"
    assert reader.failure is None
    assert not reader.is_complete


def test_informational_answers_are_passed_over() -> None:
    response = Response(parse_url("https://x/"), Limits())
    reader = FieldLines(response)

    for line in (b"HTTP/3 103 \r\n", b"link: </a>\r\n", b"\r\n"):
        reader.line(line)

    assert reader.waiting
    assert response.status == 0

    for line in (b"HTTP/3 204 \r\n", b"\r\n"):
        reader.line(line)

    assert response.status == 204
    assert response.headers == []
    assert reader.is_complete


@pytest.mark.parametrize(
    ("lines", "reason", "wanted"),
    [
        pytest.param([b"HTTP/3 20"], Reason.PROTOCOL, "three digits, got '20'", id="short status"),
        pytest.param([b"HTTP/3 two"], Reason.PROTOCOL, "three digits, got 'two'", id="no digits"),
        pytest.param(
            [b"HTTP/3 200", *[b"a: b"] * (MAX_HEADERS + 1)],
            Reason.TOO_LARGE,
            "want at most 128 headers, got more",
            id="headers",
        ),
        pytest.param(
            [b"HTTP/3 200", b"a: " + b"x" * 9000],
            Reason.TOO_LARGE,
            "want header lines of at most 8190 bytes, got a longer one",
            id="line",
        ),
        pytest.param(
            [b"HTTP/3 200", *[b"a: " + b"x" * 8000] * 9],
            Reason.TOO_LARGE,
            "want a head of at most 65536 bytes, got more",
            id="head",
        ),
        pytest.param(
            [b"HTTP/3 100", b""] * 11,
            Reason.PROTOCOL,
            "want at most 10 informational answers, got more",
            id="informational",
        ),
    ],
)
def test_a_head_that_costs_too_much_is_refused(
    lines: list[bytes], reason: Reason, wanted: str
) -> None:
    failure = fed(*lines).failure

    assert failure is not None
    assert failure.reason is reason
    assert failure.message.endswith(wanted)


def test_head_and_body_count_together_on_the_wire() -> None:
    reader = fed(b"HTTP/3 200", b"", body=b"x" * 100, max_wire=100)

    assert reader.failure is not None
    assert reader.failure.message == "want at most 100B on the wire, got more"


@given(st.lists(st.binary(max_size=64), max_size=40))
def test_any_lines_never_crash(lines: list[bytes]) -> None:
    reader = fed(*lines, body=b"body")

    assert reader.failure is None or reader.failure.reason in (Reason.PROTOCOL, Reason.TOO_LARGE)
