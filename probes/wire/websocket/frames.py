"""The websocket protocol without I/O: the upgrade, frames into messages. The home of websockets.

    upgrade = Upgrade(("graphql-ws",))
    upgrade.encode(url, headers)          # the request; judge(response) reads the answer
    frames = Frames(max_message)
    frames.feed(data)                     # frames.messages, frames.outgoing, frames.end

No extension is offered, so none is accepted: what comes is as large as it looks. Knows no socket,
no clock, and nothing of what the messages say.
"""

import base64
import logging
from collections import deque

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    NegotiationError,
    PayloadTooBig,
)
from websockets.exceptions import ProtocolError as FrameError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response as Handshake
from websockets.protocol import Protocol, Side, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import format_size, short
from probes.wire.http.headers import USER_AGENT
from probes.wire.http.http1 import SWITCHING_PROTOCOLS
from probes.wire.http.message import Response
from probes.wire.url import Url

# RFC 6455, 10.4 leaves it to us. 1 MiB in frames of 1 KiB; a flood of empty ones has no size.
MAX_FRAGMENTS = 1024
# RFC 6455, 5.5
MAX_CONTROL_BYTES = 125

# The library logs whole messages at debug, and they are none of the log's business.
_silent = logging.getLogger("sonde.wire.frames")
_silent.setLevel(logging.CRITICAL + 1)
# What the upgrade is sent to stands in our own request: the library only checks the answer.
_NOWHERE = WebSocketURI(secure=False, host="", port=0, path="", query="")
_JUDGED = (b"connection", b"upgrade")
_CONTROLS = frozenset({Opcode.PING, Opcode.PONG, Opcode.CLOSE})

Message = str | bytes


class Upgrade:
    """One upgrade to a websocket (RFC 6455, 4).

    Args:
        subprotocols: to offer, the preferred one first.
    """

    __slots__ = ("_shaker", "_subprotocols")

    def __init__(self, subprotocols: tuple[str, ...] = ()) -> None:
        self._subprotocols = subprotocols
        offered = [Subprotocol(name) for name in subprotocols] or None
        self._shaker = ClientProtocol(_NOWHERE, subprotocols=offered, logger=_silent)

    def encode(self, url: Url, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
        """Return the request; *headers* win over ours."""
        own = {
            "Host": url.authority,
            "User-Agent": USER_AGENT,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self._shaker.key,
            "Sec-WebSocket-Version": "13",
        }
        if self._subprotocols:
            own["Sec-WebSocket-Protocol"] = ", ".join(self._subprotocols)
        if url.user or url.password:
            pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
            own["Authorization"] = f"Basic {pair}"
        named = {name.lower() for name, _ in headers}
        merged = [pair for pair in own.items() if pair[0].lower() not in named]
        lines = [f"{name}: {value}" for name, value in (*merged, *headers)]
        return "\r\n".join((f"GET {url.path_query} HTTP/1.1", *lines, "\r\n")).encode()

    def judge(self, response: Response) -> str:
        """Return the subprotocol that the server chose; empty when it chose none.

        Raises:
            CheckFailed: ``status`` for another one than 101; ``protocol`` for a wrong upgrade.
        """
        if response.status != SWITCHING_PROTOCOLS:
            raise CheckFailed(Reason.STATUS, f"want status 101, got {response.status}")
        try:
            found = Headers(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in response.headers
                if name in _JUDGED or name.startswith(b"sec-websocket-")
            )
            self._shaker.process_response(Handshake(response.status, "", found))
        except InvalidHandshake as error:
            got = _wrong(error)
            raise CheckFailed(Reason.PROTOCOL, f"want a websocket's upgrade, got {got}") from None
        return self._shaker.subprotocol or ""


def _wrong(error: InvalidHandshake) -> str:
    if isinstance(error, NegotiationError):
        return short(str(error))[1:-1]
    if isinstance(error, InvalidHeader):
        return f"{'no' if error.value is None else 'a wrong'} header {error.name}"
    return f"an answer that cannot be read ({type(error).__name__})"


class Frames:
    """The frames of one connection, from the upgrade on.

    Args:
        max_message: bytes of one message at most.
    """

    __slots__ = (
        "_is_text", "_max_message", "_parts", "_protocol", "_size", "end", "messages", "pong",
    )  # fmt: skip

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        # the library counts a ping that comes between two parts of a message as a part of it
        room = max_message + MAX_CONTROL_BYTES
        self._protocol = Protocol(Side.CLIENT, max_size=room, logger=_silent)
        self._parts: list[bytes] = []
        self._size = 0
        self._is_text = True
        self.messages: deque[Message] = deque()
        """Whole ones that nobody has taken yet."""
        self.end: CheckFailed | None = None
        """Why nothing more will come."""
        self.pong = b""
        """What the last pong held."""

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._protocol.state is State.OPEN

    @property
    def close_code(self) -> int | None:
        """With which the peer has said goodbye; None: it has not."""
        close = self._protocol.close_rcvd
        return None if close is None else int(close.code)

    @property
    def outgoing(self) -> bytes:
        """Take what is to be sent now."""
        return b"".join(self._protocol.data_to_send())

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer. Never raises: the verdict is in `end`."""
        if self.end is not None:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if not isinstance(event, Frame) or self.end is not None:
                continue
            if event.opcode not in _CONTROLS:
                self._take(event)
            elif event.opcode is Opcode.PONG:
                self.pong = bytes(event.data)
        if self.end is None:
            self.end = self._verdict()

    def say(self, message: Message) -> None:
        """Put *message* into `outgoing`."""
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)

    def ping(self, payload: bytes = b"") -> None:
        """Put a ping into `outgoing`; its answer brings *payload* back, in `pong`."""
        self._protocol.send_ping(payload)

    def say_goodbye(self, code: int) -> None:
        """Put a close frame into `outgoing`."""
        self._protocol.send_close(code)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        self._size += len(frame.data)
        if self._size > self._max_message:
            self._fail(CloseCode.MESSAGE_TOO_BIG, self._too_large())
        elif len(self._parts) > MAX_FRAGMENTS:
            message = f"want a message of at most {MAX_FRAGMENTS} frames, got more"
            self._fail(CloseCode.POLICY_VIOLATION, CheckFailed(Reason.TOO_LARGE, message))
        elif frame.fin:
            data, self._parts, self._size = b"".join(self._parts), [], 0
            try:
                self.messages.append(data.decode() if self._is_text else data)
            except UnicodeDecodeError as error:
                got = short(data[max(0, error.start - 8) :][:40])
                message = f"want a text in UTF-8, got {got}"
                self._fail(CloseCode.INVALID_DATA, CheckFailed(Reason.PROTOCOL, message))

    def _fail(self, code: CloseCode, end: CheckFailed) -> None:
        self.end = end
        if self.is_open:
            self._protocol.fail(code)

    def _verdict(self) -> CheckFailed | None:
        error, close = self._protocol.parser_exc, self._protocol.close_rcvd
        if isinstance(error, PayloadTooBig):
            return self._too_large()
        if isinstance(error, FrameError | UnicodeDecodeError):
            got = short(str(error))[1:-1]
            return CheckFailed(Reason.PROTOCOL, f"want frames of a websocket, got {got}")
        if error is not None:
            return CheckFailed(Reason.INTERNAL, f"want frames, got {type(error).__name__}")
        if close is not None:
            why = f" ({short(close.reason)})" if close.reason else ""
            got = f"got close code {int(close.code)}{why}"
            return CheckFailed(Reason.CLOSED, f"want a message, {got}")
        return None

    def _too_large(self) -> CheckFailed:
        want = f"want a message of at most {format_size(self._max_message)}"
        return CheckFailed(Reason.TOO_LARGE, f"{want}, got a larger one")
