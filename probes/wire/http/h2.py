"""HTTP/2 without I/O: as `probes.wire.http.http1`, over one stream. The one home of h2.

The preface, our SETTINGS and the request go out in one write; everything h2 wants to say back
(acknowledgements, window updates) is in `outgoing` after each `feed`. h2 limits header lists but
neither frames nor events: both are counted here. Knows no socket and no TLS. Imported only when
ALPN has chosen it.
"""

from collections.abc import Iterable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.http.http1 import CLEAN_END, FIRST_FINAL, is_bodiless
from probes.wire.http.message import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INFORMATIONAL,
    MAX_LINE_BYTES,
    Request,
    Response,
)

STREAM = 1
# RFC 9113, 4.1: three bytes of length, then the type.
FRAME_HEAD_BYTES = 9
FRAME_TYPE_AT = 3
GOAWAY_FRAME = 7
GOAWAY_BYTES = FRAME_HEAD_BYTES + 8
# We never raise SETTINGS_MAX_FRAME_SIZE, so that is its default (RFC 9113, 6.5.2).
MAX_FRAME_BYTES = 2**14
HEADERS_FRAME = b"\x01"
# Without a larger window a distant server waits for us every 64 KiB.
WINDOW_BYTES = 2**20
DEFAULT_WINDOW_BYTES = 2**16 - 1
# stack.md 5.7: PING, SETTINGS and empty DATA frames cost a peer nothing.
MAX_EVENTS = 10_000
# h2 takes 9 to 19 us a frame (2026-11-21); the loop may be blocked 50 ms (P13).
TURN_FRAMES = 1000
# RFC 9113, 8.2.2: these belong to a connection of HTTP/1.1.
CONNECTION_HEADERS = frozenset(
    {"host", "connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"}
)
SETTINGS = h2.settings.SettingCodes
HTTP_1_1_REQUIRED = h2.errors.ErrorCodes.HTTP_1_1_REQUIRED


class Http2:
    """Sends one request and reads one answer.

    Args:
        request: what to send.
        response: where the answer is written to.
    """

    __slots__ = (
        "_buffer",
        "_closed",
        "_connection",
        "_events",
        "_informational",
        "_response",
        "_unsent",
        "failure",
        "is_complete",
        "outgoing",
        "pending",
        "reset_code",
        "trailers",
        "waiting",
        "wants_http1",
    )

    def __init__(self, request: Request, response: Response) -> None:
        self._response = response
        self._events = 0
        self._informational = 0
        self._closed = ""
        self._buffer = b""
        self.pending = False
        """Whether `pump` has more to do."""
        self.waiting = True
        """No byte of the final answer has come."""
        self.is_complete = False
        self.wants_http1 = False
        """The server asks to repeat the request over HTTP/1.1."""
        self.trailers: list[tuple[bytes, bytes]] = []
        """Headers behind the body."""
        self.reset_code: int | None = None
        """With which the server has given up our stream."""
        self.failure: CheckFailed | None = None
        self._connection = _connection()
        self._send(request)
        self.outgoing = self._connection.data_to_send()

    def begins(self, data: bytes) -> bool:
        """Tell whether the final answer begins with *data*: its first frame is HEADERS."""
        return data[FRAME_TYPE_AT : FRAME_TYPE_AT + 1] == HEADERS_FRAME

    def feed(self, data: bytes) -> None:
        """Take bytes of the connection. Never raises: see `failure` and `is_complete`."""
        self._buffer += data
        self.pump()

    def pump(self) -> None:
        """Take at most `TURN_FRAMES` of what has been fed, whole frames only."""
        data, taken, at, frames = self._buffer, 0, 0, 0
        while len(data) - at >= FRAME_HEAD_BYTES and frames < TURN_FRAMES:
            end = at + FRAME_HEAD_BYTES + int.from_bytes(data[at : at + 3], "big")
            if end - at > FRAME_HEAD_BYTES + MAX_FRAME_BYTES:
                # no HTTP/2, or no frame for us: h2 says what is wrong with it
                end = len(data)
            elif end > len(data):
                break
            if data[at + FRAME_TYPE_AT] == GOAWAY_FRAME and end - at >= GOAWAY_BYTES:
                self._receive(data[taken:at])
                self._goaway(data[at:end])
                taken = end
            at = end
            frames += 1
        self._receive(data[taken:at])
        self._buffer = data[at:]
        self.pending = frames == TURN_FRAMES and not self._is_over()

    def close(self) -> bytes:
        """Return the bytes that say goodbye."""
        try:
            self._connection.close_connection()
        except h2.exceptions.ProtocolError:
            # the peer has said goodbye first
            return b""
        return self._connection.data_to_send()

    def eof(self, how: str = CLEAN_END) -> None:
        """Take the end of the connection; *how* says which one to people."""
        if self.is_complete or self.failure is not None:
            return
        self._break_off(self._closed or how)

    def _send(self, request: Request) -> None:
        headers = [
            (":method", request.method),
            (":scheme", request.url.scheme),
            (":authority", request.authority),
            (":path", request.url.path_query),
        ]
        for name, value in request.headers:
            lower = name.lower()
            if lower not in CONNECTION_HEADERS and (lower != "te" or value == "trailers"):
                headers.append((lower, value))
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            headers.append(("content-length", str(len(request.body))))
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        self._connection.send_headers(STREAM, encoded, end_stream=not request.body)
        self._unsent = memoryview(request.body)
        self._send_body()

    def _is_over(self) -> bool:
        return self.is_complete or self.failure is not None

    def _receive(self, data: bytes) -> None:
        if not data or self._is_over():
            return
        try:
            for event in self._connection.receive_data(data):
                self._events += 1
                self._take(event)
                if self._is_over():
                    break
        except h2.exceptions.DenialOfServiceError:
            self.failure = _too_large(f"want a head of at most {MAX_HEAD_BYTES} bytes, got more")
        except h2.exceptions.ProtocolError as error:
            self._refuse(f"want an HTTP/2 answer, got {short(str(error) or type(error).__name__)}")
        if self._events > MAX_EVENTS and not self._is_over():
            self.failure = _too_large(f"want at most {MAX_EVENTS} HTTP/2 frames, got more")
        self.outgoing += self._connection.data_to_send()

    def _goaway(self, frame: bytes) -> None:
        """Judge a GOAWAY; h2 would refuse the rest of our answer behind it."""
        last = int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF
        code = int.from_bytes(frame[13:17], "big")
        self._closed = f"GOAWAY ({_name(code)})"
        if self._is_over() or (last >= STREAM and not code):
            return
        self.wants_http1 = code == HTTP_1_1_REQUIRED
        self._break_off(self._closed)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._head(event.headers or [])
            case h2.events.DataReceived():
                self._data(event)
            case h2.events.TrailersReceived():
                self.trailers = self._fields(event.headers or [])
            case h2.events.StreamEnded():
                self.is_complete = self._response.is_complete = True
            case h2.events.InformationalResponseReceived():
                self._inform()
            case h2.events.StreamReset():
                self._reset(int(event.error_code or 0))
            case _:
                # SETTINGS and WINDOW_UPDATE make room; all others change nothing
                self._send_body()

    def _head(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.waiting = False
        response = self._response
        fields = self._fields(headers)
        if self.failure is not None:
            return
        status = dict(fields).get(b":status", b"")
        if not (status.isdigit() and len(status) == 3 and int(status) >= FIRST_FINAL):  # noqa: PLR2004 - digits
            self._refuse(f"want a status of three digits, got {short(status)}")
            return
        response.headers = [(name, value) for name, value in fields if not name.startswith(b":")]
        response.take_head(int(status), "2")
        if is_bodiless(response):
            self.is_complete = response.is_complete = True

    def _fields(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return *headers*, or refuse them: too many, or too long ones."""
        fields = [(bytes(name), bytes(value)) for name, value in headers]
        if len(fields) > MAX_HEADERS + 1:
            self.failure = _too_large(f"want at most {MAX_HEADERS} headers, got more")
        elif any(len(name) + len(value) + 4 > MAX_LINE_BYTES for name, value in fields):
            self.failure = _too_large(
                f"want header lines of at most {MAX_LINE_BYTES} bytes, got a longer one"
            )
        return fields

    def _inform(self) -> None:
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            self._refuse(f"want at most {MAX_INFORMATIONAL} informational answers, got more")

    def _data(self, event: h2.events.DataReceived) -> None:
        data = bytes(event.data or b"")
        if data:
            # an event with bytes has paid for itself; MAX_EVENTS counts the others
            self._events -= 1
        self._response.body.feed(data)
        self._connection.acknowledge_received_data(event.flow_controlled_length or 0, STREAM)

    def _reset(self, code: int) -> None:
        self.reset_code = code
        if code == HTTP_1_1_REQUIRED:
            self.wants_http1 = True
        self._break_off(f"a reset of the stream ({_name(code)})")

    def _send_body(self) -> None:
        """Send as much of the request's body as the windows allow."""
        connection = self._connection
        try:
            while self._unsent and self.failure is None:
                room = min(
                    connection.local_flow_control_window(STREAM),
                    connection.max_outbound_frame_size,
                )
                if room <= 0:
                    return
                piece, self._unsent = bytes(self._unsent[:room]), self._unsent[room:]
                connection.send_data(STREAM, piece, end_stream=not self._unsent)
        except h2.exceptions.StreamClosedError:
            # the server has answered ahead of the body and wants no more of it (RFC 9113, 8.1): a
            # later event of the same bytes tells how
            self._unsent = memoryview(b"")

    def _break_off(self, got: str) -> None:
        what = "a whole body" if self._response.status else "an HTTP/2 answer"
        self.failure = CheckFailed(Reason.CLOSED, f"want {what}, got {got}")

    def _refuse(self, message: str) -> None:
        if self.failure is None:
            self.failure = CheckFailed(Reason.PROTOCOL, message)


def _connection() -> h2.connection.H2Connection:
    """Return a client whose SETTINGS refuse push (the default offers it) and large heads."""
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=True, header_encoding=None)
    )
    connection.local_settings = h2.settings.Settings(
        client=True,
        initial_values={
            SETTINGS.ENABLE_PUSH: 0,
            SETTINGS.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            SETTINGS.MAX_HEADER_LIST_SIZE: MAX_HEAD_BYTES,
        },
    )
    connection.initiate_connection()
    connection.increment_flow_control_window(WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
    return connection


def _name(code: int) -> str:
    try:
        return h2.errors.ErrorCodes(code).name
    except ValueError:
        return f"code {code}"


def _too_large(message: str) -> CheckFailed:
    return CheckFailed(Reason.TOO_LARGE, message)
