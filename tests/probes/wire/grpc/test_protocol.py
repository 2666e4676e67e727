"""gRPC's bytes: the codec alone."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.grpc import protocol
from probes.wire.grpc.protocol import (
    MAX_MESSAGE_BYTES,
    Status,
    call_headers,
    encode_timeout,
    encode_value,
    frame,
    health_request,
    read_health,
    read_message,
    read_status,
    status_of_reset,
)
from probes.wire.http.message import Response
from probes.wire.url import parse_url

URL = parse_url("http://localhost/")


def answer(body: bytes = b"", *headers: tuple[bytes, bytes], status: int = 200) -> Response:
    response = Response(URL)
    response.headers = list(headers)
    response.take_head(status, "2")
    response.body.feed(body)
    return response


@pytest.mark.parametrize(
    ("service", "encoded"),
    [
        pytest.param("", b"", id="the whole server"),
        pytest.param("a.B", b"\x0a\x03a.B", id="a service"),
        pytest.param("é" * 100, b"\x0a\xc8\x01" + "é".encode() * 100, id="a length of two bytes"),
    ],
)
def test_a_health_request_has_one_field(service: str, encoded: bytes) -> None:
    assert health_request(service) == encoded
    assert frame(encoded)[:5] == b"\0" + len(encoded).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        pytest.param(2.5, "2500m", id="milliseconds"),
        pytest.param(0.0, "1m", id="never nothing"),
        pytest.param(0.2999, "299m", id="not later than ours"),
        pytest.param(3e5, "300000S", id="at most eight digits"),
        pytest.param(1e12, "99999999S", id="for ever"),
    ],
)
def test_the_deadline_is_told_in_at_most_eight_digits(seconds: float, written: str) -> None:
    assert encode_timeout(seconds) == written


def test_a_run_without_deadline_tells_none() -> None:
    names = [name for name, _ in call_headers((("x", "y"),), float("inf"))]

    assert names == ["te", "content-type", "user-agent", "x"]


@given(st.binary())
def test_bytes_of_a_bin_key_come_back(value: bytes) -> None:
    written = encode_value("key-bin", value)

    assert base64.b64decode(written + "=" * (-len(written) % 4)) == value
    assert "=" not in written


@pytest.mark.parametrize(
    ("response", "trailers", "status"),
    [
        pytest.param(answer(), [(b"grpc-status", b"0")], Status(0), id="trailers"),
        pytest.param(
            answer(b"", (b"grpc-status", b"5"), (b"grpc-message", b"no %C3%A9 %zz")), [],
            Status(5, "no é %zz"), id="trailers only",
        ),
        pytest.param(answer(), [(b"grpc-status", b"77")], Status(77), id="a code of its own"),
        pytest.param(
            answer(b"", (b"grpc-status", b"0")), [(b"grpc-status", b"13")], Status(13),
            id="the trailers win",
        ),
        *(
            pytest.param(answer(status=http), [], Status(code, http=http), id=f"HTTP {http}")
            for http, code in {
                200: 2, 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14,
                500: 2, 302: 2,
            }.items()
        ),
    ],
)  # fmt: skip
def test_the_status_is_that_of_the_trailers_of_the_head_or_of_http(
    response: Response, trailers: list[tuple[bytes, bytes]], status: Status
) -> None:
    assert read_status(response, trailers) == status


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"0 ", b"9" * 10])
def test_a_status_that_is_no_number_is_refused(value: bytes) -> None:
    with pytest.raises(CheckFailed, match="want a number as grpc-status"):
        read_status(answer(), [(b"grpc-status", value)])


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(Status(5, "x"), "NOT_FOUND (5): 'x'", id="with message"),
        pytest.param(Status(14), "UNAVAILABLE (14)", id="without"),
        pytest.param(Status(99), "code 99 (99)", id="a code of its own"),
        pytest.param(
            Status(12, http=404), "HTTP 404 without a gRPC status, which means UNIMPLEMENTED",
            id="HTTP",
        ),
    ],
)  # fmt: skip
def test_a_status_is_told_by_name_and_number(status: Status, text: str) -> None:
    assert str(status) == text


@pytest.mark.parametrize(
    ("code", "status"), [(0, 13), (2, 13), (7, 14), (8, 1), (11, 8), (12, 7), (99, 13)]
)
def test_a_reset_means_a_status(code: int, status: int) -> None:
    assert status_of_reset(code) == status


def test_a_message_stands_behind_its_length() -> None:
    assert read_message(answer(frame(b"hello"))) == b"hello"
    assert read_message(answer(frame(b""))) == b""


@pytest.mark.parametrize(
    ("body", "reason", "got"),
    [
        pytest.param(b"", Reason.PROTOCOL, "got none", id="none"),
        pytest.param(b"\0\0", Reason.PROTOCOL, "got a part of one", id="a part of the length"),
        pytest.param(frame(b"xy")[:-1], Reason.PROTOCOL, "got a part of one", id="cut off"),
        pytest.param(frame(b"") * 2, Reason.PROTOCOL, "got more than one", id="two"),
        pytest.param(
            b"\1\0\0\0\0", Reason.PROTOCOL, "got one compressed by 'gzip'", id="compressed"
        ),
        pytest.param(b"\x07\0\0\0\0", Reason.PROTOCOL, "got flag 07", id="another flag"),
        pytest.param(
            b"\0" + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"), Reason.TOO_LARGE,
            "want a message of at most 4MiB, got one of 4194305 bytes", id="too large",
        ),
    ],
)  # fmt: skip
def test_a_body_that_is_no_single_message_is_refused(body: bytes, reason: Reason, got: str) -> None:
    with pytest.raises(CheckFailed, match=got) as caught:
        read_message(answer(body, (b"grpc-encoding", b"gzip")))

    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("message", "status"),
    [
        pytest.param(b"", 0, id="left out"),
        pytest.param(b"\x08\x01", 1, id="serving"),
        pytest.param(b"\x08\x01\x08\x02", 2, id="the last one counts"),
        pytest.param(b"\x08\x81\x00", 1, id="longer than it must be"),
        pytest.param(
            b"\x12\x03abc\x19" + b"\0" * 8 + b"\x25" + b"\0" * 4 + b"\x28\x05\x08\x03", 3,
            id="unknown fields of every kind",
        ),
        pytest.param(b"\x08" + b"\xff" * 9 + b"\x01", 2**64 - 1, id="negative"),
    ],
)  # fmt: skip
def test_the_serving_status_is_the_first_field(message: bytes, status: int) -> None:
    assert read_health(message) == status


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x08", id="no value"),
        pytest.param(b"\x08" + b"\xff" * 10, id="endless number"),
        pytest.param(b"\x0a\x01x", id="a text"),
        pytest.param(b"\x12\x09x", id="a field that is cut off"),
        pytest.param(b"\x0b\x08\x01", id="a group"),
        pytest.param(b"\x00\x00", id="field 0"),
        pytest.param(b"\x10\x00" * 1001, id="too many fields"),
        pytest.param(b"<html>", id="a page"),
    ],
)
def test_what_is_no_health_response_is_refused(message: bytes) -> None:
    with pytest.raises(CheckFailed, match="want a HealthCheckResponse") as caught:
        read_health(message)

    assert caught.value.reason is Reason.PROTOCOL


def refusal(act: Callable[[], object]) -> Reason | None:
    try:
        act()
    except CheckFailed as failure:
        return failure.reason
    return None


@given(st.binary(max_size=64))
def test_any_bytes_are_a_status_or_refused(message: bytes) -> None:
    assert refusal(lambda: read_health(message)) in (None, Reason.PROTOCOL)


@given(st.binary(max_size=64))
def test_any_body_is_a_message_or_refused(body: bytes) -> None:
    reason = refusal(lambda: read_message(answer(body)))

    assert reason in (Reason.PROTOCOL, Reason.TOO_LARGE) or frame(body[5:]) == body


def test_the_codes_are_in_their_order() -> None:
    assert protocol.CODES[protocol.DEADLINE_EXCEEDED] == "DEADLINE_EXCEEDED"
    assert protocol.CODES[protocol.RESOURCE_EXHAUSTED] == "RESOURCE_EXHAUSTED"
    assert protocol.CODES[protocol.INTERNAL] == "INTERNAL"
    assert protocol.CODES[protocol.UNAVAILABLE] == "UNAVAILABLE"
    assert protocol.CODES[16] == "UNAUTHENTICATED"
