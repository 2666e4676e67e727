"""gRPC without I/O: a unary call as headers and bytes, its answer as status and message.

    headers = call_headers(metadata, timeout_s)
    body = frame(health_request("my.Service"))
    status = read_status(response, trailers)      # Status(code=5, message="unknown service", ...)
    serving = read_health(read_message(response))  # 1

The two messages of the health service are written by hand: they have one field each. Nothing is
asked for compressed. Knows no socket, and nothing of HTTP/2 frames.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import format_size, short
from probes.wire.http.headers import USER_AGENT
from probes.wire.http.message import Response, text

HEALTH_PATH = "/grpc.health.v1.Health/Check"
# https://github.com/grpc/grpc/blob/master/doc/statuscodes.md, by number
CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED = 0, 1, 2, 4
RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = 8, 13, 14
# grpc.health.v1.HealthCheckResponse.ServingStatus, by number
SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_BY_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Errors": all others mean 13
_BY_RESET = {7: UNAVAILABLE, 8: CANCELLED, 11: RESOURCE_EXHAUSTED, 12: 7}
# blackbox.md 4.6, as every gRPC library: of one message
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
# One byte that tells compression, four of length.
PREFIX_BYTES = 5
MAX_TIMEOUT_DIGITS = 8
# A 64-bit number in pieces of seven bits.
MAX_VARINT_BYTES = 10
MAX_FIELDS = 1000
_CODE = re.compile(rb"[0-9]{1,9}", re.ASCII)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}

KEY = re.compile(r"[0-9a-z_.-]{1,256}", re.ASCII)
"""A metadata key, in lower case."""
VALUE = re.compile(r"[\x20-\x7e]*", re.ASCII)
"""A metadata value that is no bytes."""
RESERVED_KEYS = frozenset({"content-type", "te", "user-agent", "content-length", "host"})
"""Keys that the call writes itself, as are all that begin with ``grpc-``."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended.

    Args:
        code: 0 is OK; others than 0 to 16 are the server's own.
        message: of the server, for people.
        http: the HTTP status that stands for it, where the answer was none of gRPC; else 0.
    """

    code: int
    message: str = ""
    http: int = 0

    @property
    def name(self) -> str:
        """Name of the code."""
        return code_name(self.code)

    def __str__(self) -> str:
        if self.http:
            return f"HTTP {self.http} without a gRPC status, which means {self.name}"
        said = f": {short(self.message)}" if self.message else ""
        return f"{self.name} ({self.code}){said}"


def code_name(code: int) -> str:
    """Return the name of a status code."""
    return CODES[code] if code < len(CODES) else f"code {code}"


def is_reserved(key: str) -> bool:
    """Tell whether the call writes the metadata *key* (in lower case) itself."""
    return key in RESERVED_KEYS or key.startswith("grpc-")


def encode_value(key: str, value: bytes) -> str:
    """Return a metadata value as it goes out: bytes of a ``-bin`` key in base64, unpadded."""
    if key.endswith("-bin"):
        return base64.b64encode(value).decode().rstrip("=")
    return value.decode()


def call_headers(
    metadata: Sequence[tuple[str, str]], timeout_s: float
) -> tuple[tuple[str, str], ...]:
    """Return the headers of a call.

    Args:
        metadata: keys in lower case, values by `encode_value`.
        timeout_s: what is left of the deadline, which the server may know; infinite: not told.
    """
    timeout = (("grpc-timeout", encode_timeout(timeout_s)),) if timeout_s < float("inf") else ()
    return (
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *timeout,
        ("user-agent", USER_AGENT),
        *metadata,
    )


def encode_timeout(seconds: float) -> str:
    """Return *seconds* as ``grpc-timeout`` tells them: at most eight digits and a unit."""
    milliseconds = str(max(1, int(seconds * 1000)))
    if len(milliseconds) <= MAX_TIMEOUT_DIGITS:
        return f"{milliseconds}m"
    return f"{min(int(seconds), 10**MAX_TIMEOUT_DIGITS - 1)}S"


def frame(message: bytes) -> bytes:
    """Return *message* as it stands in the body: not compressed, its length before it."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def health_request(service: str) -> bytes:
    """Return a ``HealthCheckRequest``; an empty *service* asks for the whole server."""
    if not service:
        return b""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def is_grpc(response: Response) -> bool:
    """Tell whether the head is of gRPC; any other answer comes from something on the way."""
    kind = response.first.get(b"content-type") or b""
    return kind.startswith(b"application/grpc") or response.first.get(b"grpc-status") is not None


def read_status(response: Response, trailers: Sequence[tuple[bytes, bytes]]) -> Status:
    """Return how the call ended: by its trailers, by a head that is all there is, or by HTTP.

    Raises:
        CheckFailed: ``protocol``: a status that is no number, or a message without trailers.
    """
    # in the head it counts only when nothing came behind it (trailers-only)
    if response.body.size and not trailers and is_grpc(response):
        got = "the end of the stream behind a message"
        raise CheckFailed(Reason.PROTOCOL, f"want trailers with a status, got {got}")
    fields = dict(trailers) or dict(response.headers)
    code = fields.get(b"grpc-status")
    if code is None:
        return Status(_BY_HTTP.get(response.status, UNKNOWN), http=response.status)
    if not _CODE.fullmatch(code):
        raise CheckFailed(Reason.PROTOCOL, f"want a number as grpc-status, got {short(code)}")
    said = unquote(text(fields.get(b"grpc-message", b"")), errors="replace")
    return Status(int(code), said)


def status_of_reset(code: int) -> int:
    """Return the status that a reset of the stream with *code* means."""
    return _BY_RESET.get(code, INTERNAL)


def judge_prefix(data: bytes, response: Response) -> None:
    """Judge the beginning of a message: what it announces is refused before it comes.

    Raises:
        CheckFailed: ``protocol`` when it is compressed, ``too_large``.
    """
    if data[:1] != b"\0":
        how = short(text(response.first.get(b"grpc-encoding") or b"an unknown way"))
        got = f"got one compressed by {how}" if data[:1] == b"\1" else f"got flag {data[:1].hex()}"
        raise CheckFailed(Reason.PROTOCOL, f"want a message that is not compressed, {got}")
    size = int.from_bytes(data[1:PREFIX_BYTES], "big")
    if size > MAX_MESSAGE_BYTES:
        want = f"want a message of at most {format_size(MAX_MESSAGE_BYTES)}"
        raise CheckFailed(Reason.TOO_LARGE, f"{want}, got one of {size} bytes")


def read_message(response: Response) -> bytes:
    """Return the one message of a unary call.

    Raises:
        CheckFailed: ``protocol``: none, more than one, or one cut off; and as `judge_prefix`.
    """
    data = response.body.data
    if len(data) >= PREFIX_BYTES:
        judge_prefix(data, response)
        end = PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
        if len(data) == end:
            return data[PREFIX_BYTES:]
        got = "a part of one" if len(data) < end else "more than one"
    else:
        got = "a part of one" if data else "none"
    raise CheckFailed(Reason.PROTOCOL, f"want one gRPC message, got {got}")


def read_health(message: bytes) -> int:
    """Return the serving status of a ``HealthCheckResponse``; a field left out is 0.

    Raises:
        CheckFailed: ``protocol``: no such message.
    """
    found = 0
    try:
        for number, wire_type, value in _fields(message):
            if number == 1:
                if wire_type != _VARINT:
                    raise ValueError("a status that is no number")  # noqa: TRY301 - one message for all
                found = value
    except ValueError as error:
        got = f"{error} in {short(message)}"
        raise CheckFailed(Reason.PROTOCOL, f"want a HealthCheckResponse, got {got}") from None
    return found


def serving_name(status: int) -> str:
    """Return the name of a serving status."""
    return SERVING[status] if status < len(SERVING) else f"status {status}"


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, wire type and, for a varint, value of every field; skip what others hold.

    Source:
        https://protobuf.dev/programming-guides/encoding/
    """
    at = count = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire_type, value = key >> 3, key & 7, 0
        count += 1
        if not number or count > MAX_FIELDS:
            raise ValueError("no field" if not number else "too many fields")
        if wire_type == _VARINT:
            value, at = _read_varint(data, at)
        elif wire_type == _BYTES:
            size, at = _read_varint(data, at)
            at += size
        elif wire_type in _FIXED:
            at += _FIXED[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
        if at > len(data):
            raise ValueError("a field that is cut off")
        yield number, wire_type, value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte <= 0x7F:  # noqa: PLR2004 - seven bits
            # an enum is a 32-bit number: what is negative comes as 64 bits
            return number, at + index + 1
    raise ValueError("a number that is cut off")
