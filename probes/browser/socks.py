"""SOCKS5 without I/O, the server's side of one connection: bytes in, where to dial out.

CONNECT without a password only: it is what Chromium speaks, and who may speak it is judged by
`probes.browser.owners`. Knows no socket and no policy.

Source:
    RFC 1928
"""

import ipaddress
from dataclasses import dataclass
from enum import IntEnum

from probes.units import short
from probes.wire.url import canonical_host

VERSION = 5
_NO_PASSWORD, _NO_METHOD = 0, 0xFF
_CONNECT = 1
_IP4, _NAME, _IP6 = 1, 3, 4
_ADDRESS_BYTES = {_IP4: 4, _IP6: 16}
_HEAD_BYTES = 4
_PORT_BYTES = 2


class Reply(IntEnum):
    """What is answered to a CONNECT (RFC 1928, 6)."""

    GRANTED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    NO_SUCH_COMMAND = 7
    NO_SUCH_ADDRESS = 8


class Refused(ValueError):
    """The client says what no browser says; ``answer`` is sent before the end."""

    def __init__(self, message: str, answer: bytes = b"") -> None:
        super().__init__(message)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the client wants to go; ``host`` is canonical."""

    host: str
    port: int


def reply(code: Reply) -> bytes:
    """Return the answer to a CONNECT; our own end of the connection is nobody's business."""
    return bytes((VERSION, code, 0, _IP4)) + bytes(4 + _PORT_BYTES)


class Handshake:
    """Reads greeting and CONNECT of one client.

    ``outgoing`` is to be sent after each `feed`; ``rest`` is what came behind the CONNECT.
    """

    __slots__ = ("_buffer", "_is_greeted", "outgoing", "rest")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_greeted = False
        self.outgoing = b""
        self.rest = b""

    def feed(self, data: bytes) -> Destination | None:
        """Take *data*; return where to dial once that is known.

        Raises:
            Refused: another protocol, command or address than a browser's.
        """
        self.outgoing = b""
        self._buffer += data
        # told at the first byte: an HTTP request to this port must not wait for more
        if self._buffer and self._buffer[0] != VERSION:
            raise Refused(f"want SOCKS version 5, got {short(bytes(self._buffer[:8]))}")
        if not self._is_greeted and not self._greet():
            return None
        return self._connect()

    def _greet(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2 or len(buffer) < 2 + buffer[1]:  # noqa: PLR2004 - version, count
            return False
        methods = bytes(buffer[2 : 2 + buffer[1]])
        del buffer[: 2 + len(methods)]
        if _NO_PASSWORD not in methods:
            raise Refused(
                f"want the method without a password, got {list(methods)}",
                bytes((VERSION, _NO_METHOD)),
            )
        self._is_greeted = True
        self.outgoing = bytes((VERSION, _NO_PASSWORD))
        return True

    def _connect(self) -> Destination | None:
        buffer = self._buffer
        if len(buffer) <= _HEAD_BYTES:
            return None
        version, command, _, kind = buffer[:_HEAD_BYTES]
        if version != VERSION or command != _CONNECT:
            raise Refused(f"want CONNECT, got command {command}", reply(Reply.NO_SUCH_COMMAND))
        start = _HEAD_BYTES + (kind == _NAME)
        size = buffer[_HEAD_BYTES] if kind == _NAME else _ADDRESS_BYTES.get(kind)
        if size is None:
            raise Refused(f"want an address or a name, got type {kind}", _WRONG_ADDRESS)
        end = start + size + _PORT_BYTES
        if len(buffer) < end:
            return None
        host = _host(kind, bytes(buffer[start : start + size]))
        port = int.from_bytes(buffer[start + size : end])
        if not port:
            raise Refused("want a port from 1 to 65535, got 0", _WRONG_ADDRESS)
        self.rest = bytes(buffer[end:])
        return Destination(host, port)


_WRONG_ADDRESS = reply(Reply.NO_SUCH_ADDRESS)


def _host(kind: int, data: bytes) -> str:
    if kind != _NAME:
        return str(ipaddress.ip_address(data))
    try:
        name = data.decode("ascii")
        # Chromium sends IPv6 literals as names, some versions with their brackets
        return canonical_host(name[1:-1] if name.startswith("[") and name[-1] == "]" else name)
    except ValueError:
        raise Refused(
            f"want a host name or an address, got {short(data)}", _WRONG_ADDRESS
        ) from None
