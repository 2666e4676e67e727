"""Looks whether a server staples an OCSP answer to its certificate, which Python's ssl never asks.

A hello of our own, over TLS 1.2, where all up to the end of the server's first flight comes in
plain text; there the handshake is left. Nothing is verified and nothing secret is sent. Knows no
certificate: the answer is bytes for `probes.wire.tls.leaf`.

So a look costs a second connection and sees servers that know TLS 1.2. That is why the kind ``tls``
alone offers it: in every run of an https probe it would double what the target serves, to find what
changes once a week.

    hello(...)      the bytes to send       RFC 5246, 7.4.1.2; RFC 6066, 8
    Flight          what came of the answer so far
"""

import os
from typing import Protocol

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.address import literal_address

# RFC 5246, 6.2.1 and 7.4
_ALERT, _HANDSHAKE = 21, 22
_CERTIFICATE, _CERTIFICATE_STATUS, _SERVER_HELLO_DONE = 11, 22, 14
_OCSP = 1
_RECORD_HEAD, _MESSAGE_HEAD = 5, 4
# RFC 5246, 6.2.3: a record holds 2**14 bytes and 2,048 of overhead.
_MAX_RECORD_BYTES = 2**14 + 2048
# peer.py refuses chains of more than 100 KB; nobody's flight is larger.
MAX_FLIGHT_BYTES = 128 * 1024
# What one finds on servers of the last twenty years, newest first: ECDHE, DHE, RSA.
_SUITES = bytes.fromhex(
    "c02bc02fc02cc030cca9cca8c009c013c00ac014009e009fccaa00330039009c009d002f0035"
)
_EXTENSIONS = (
    (5, bytes((_OCSP, 0, 0, 0, 0))),  # status_request
    (10, bytes.fromhex("0008001d001700180019")),  # groups: x25519, P-256, P-384, P-521
    (11, bytes.fromhex("0100")),  # points: not compressed
    # signatures: ECDSA, EdDSA, RSA; of SHA-1 too, as old servers know nothing else
    (13, bytes.fromhex("001a0403050306030807080804010501060108040805080602030201")),
    (23, b""),  # extended_master_secret
    (0xFF01, b"\0"),  # renegotiation_info
)  # fmt: skip


def _sized(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def hello(server_name: str, random: bytes) -> bytes:
    """Return a hello of TLS 1.2 that asks for a staple, as one record.

    Args:
        server_name: to ask for; an address is not told (RFC 6066, 3).
        random: 32 bytes.
    """
    extensions = b"".join(kind.to_bytes(2, "big") + _sized(data, 2) for kind, data in _EXTENSIONS)
    if server_name and literal_address(server_name, 0) is None:
        name = _sized(b"\0" + _sized(server_name.encode("ascii", "ignore"), 2), 2)
        extensions = b"\0\0" + _sized(name, 2) + extensions
    body = b"\3\3" + random + b"\0" + _sized(_SUITES, 2) + b"\1\0" + _sized(extensions, 2)
    message = b"\1" + _sized(body, 3)
    return bytes((_HANDSHAKE, 3, 1)) + _sized(message, 2)


class Flight:
    """The server's first flight, piece by piece."""

    def __init__(self) -> None:
        self.staple: bytes | None = None
        self.is_over = False
        self._records = bytearray()
        self._messages = bytearray()
        self._size = 0
        self._has_certificate = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            CheckFailed: ``tls``: an alert; ``protocol``: no TLS 1.2; ``too_large``.
        """
        self._size += len(data)
        if self._size > MAX_FLIGHT_BYTES:
            text = f"want a first flight of at most {MAX_FLIGHT_BYTES} bytes, got more"
            raise CheckFailed(Reason.TOO_LARGE, text)
        self._records += data
        while not self.is_over and len(self._records) >= _RECORD_HEAD:
            kind = self._records[0]
            size = int.from_bytes(self._records[3:_RECORD_HEAD], "big")
            if kind not in (_ALERT, _HANDSHAKE) or size > _MAX_RECORD_BYTES:
                raise CheckFailed(
                    Reason.PROTOCOL, f"want a TLS record, got {bytes(self._records[:40])!r}"
                )
            if len(self._records) < _RECORD_HEAD + size:
                return
            content = bytes(self._records[_RECORD_HEAD : _RECORD_HEAD + size])
            del self._records[: _RECORD_HEAD + size]
            if kind == _ALERT:
                number = content[1] if len(content) > 1 else 0
                raise CheckFailed(Reason.TLS, f"want a flight of TLS 1.2, got the alert {number}")
            self._take(content)

    def _take(self, content: bytes) -> None:
        self._messages += content
        while len(self._messages) >= _MESSAGE_HEAD:
            kind = self._messages[0]
            end = _MESSAGE_HEAD + int.from_bytes(self._messages[1:_MESSAGE_HEAD], "big")
            if len(self._messages) < end:
                return
            body = bytes(self._messages[_MESSAGE_HEAD:end])
            del self._messages[:end]
            self._has_certificate |= kind == _CERTIFICATE
            if kind == _CERTIFICATE_STATUS and body[:1] == bytes((_OCSP,)):
                self.staple = body[_MESSAGE_HEAD:]
            # a staple comes right behind the certificate (RFC 6066, 8)
            if kind == _SERVER_HELLO_DONE or (kind != _CERTIFICATE and self._has_certificate):
                self.is_over = True
                return


class InClear(Protocol):
    """What is needed of a connection in plain text; `probes.wire.stream.Connection` has it."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    async def read(self, limit: int) -> bytes:
        """Return what has come, *limit* bytes at most; none at the end."""
        ...


async def look_for_staple(connection: InClear, server_name: str) -> bytes | None:
    """Return the OCSP answer that the server staples; None when it does not.

    The connection is good for nothing afterwards.

    Raises:
        CheckFailed: as `Flight.feed`; ``closed``.
    """
    connection.write(hello(server_name, os.urandom(32)))
    flight = Flight()
    while not flight.is_over:
        data = await connection.read(MAX_FLIGHT_BYTES)
        if not data:
            raise CheckFailed(Reason.CLOSED, "want a flight of TLS 1.2, got the end of the stream")
        flight.feed(data)
    return flight.staple
