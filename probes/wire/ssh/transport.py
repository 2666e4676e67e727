"""SSH up to the host's proof of its key: identification, offers, one key exchange, in clear text.

    parse_banner    the identification string of a server
    Offers          the algorithms of one side, as in KEXINIT
    Session         the talk over one connection: greet, offer, exchange; never a login

Nothing of it needs an SSH library: what comes before the first encrypted packet is a few lists of
names and one signature. Knows no expectation, and no algorithm: those are `probes.wire.ssh.keys`'.
"""

import os
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.stream import Connection

IDENTIFICATION = b"SSH-2.0-sonde"
# RFC 4253, 4.2: 255 with the CRLF; older servers go beyond, junk far beyond.
MAX_LINE_BYTES = 1024
# Lines that may stand in front of the identification: a legal notice, nothing endless.
MAX_NOTICE_LINES = 64
# RFC 4253, 6.1
MAX_PACKET_BYTES = 35_000
_HEAD_BYTES = 4
_BLOCK = 8
_MIN_PADDING = 4
# Messages that mean nothing and may come at any time (RFC 4253, 11)
MAX_IDLE_MESSAGES = 16
DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, KEXINIT = 1, 2, 3, 4, 20
EXCHANGE_INIT, EXCHANGE_REPLY = 30, 31
# RFC 4253, 11.1: SSH_DISCONNECT_BY_APPLICATION
_BY_APPLICATION = 11
_COOKIE_BYTES = 16
_LISTS = 10
_BANNER = re.compile(rb"SSH-([0-9]\.[0-9]{1,2})-([\x20-\x7e]{1,250})", re.ASCII)
VERSIONS = ("2.0", "1.99")


@dataclass(frozen=True, slots=True)
class Banner:
    """Identification of a server: protocol version, software, and comments after a space."""

    raw: bytes
    protocol: str
    software: str
    comments: str

    def __str__(self) -> str:
        return self.raw.decode("ascii", "replace")


def parse_banner(line: bytes) -> Banner:
    """Read ``SSH-2.0-OpenSSH_9.2p1 Debian-2``.

    Raises:
        CheckFailed: ``protocol``: not SSH, or a version before 2.

    Source:
        RFC 4253, 4.2
    """
    found = _BANNER.fullmatch(line)
    if found is None:
        raise CheckFailed(Reason.PROTOCOL, f"want an identification of SSH, got {short(line)}")
    protocol = found[1].decode()
    if protocol not in VERSIONS:
        raise CheckFailed(Reason.PROTOCOL, f"want version 2 of SSH, got {short(line)}")
    software, _, comments = found[2].decode().partition(" ")
    return Banner(line, protocol, software, comments)


@dataclass(frozen=True, slots=True)
class Offers:
    """The algorithms that one side takes, the preferred one first."""

    exchanges: tuple[str, ...]
    host_keys: tuple[str, ...]
    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    guesses: bool = False
    """Whether a packet follows that is made for the first of each."""


def pack_string(data: bytes) -> bytes:
    """Return *data* behind its length (RFC 4251, 5)."""
    return struct.pack(">I", len(data)) + data


def pack_number(number: int) -> bytes:
    """Return a number >= 0 as ``mpint`` (RFC 4251, 5)."""
    return pack_string(number.to_bytes(number.bit_length() // 8 + 1, "big") if number else b"")


class Reader:
    """Takes the fields of one payload.

    Raises:
        CheckFailed: ``protocol``: it ends before its fields do.
    """

    def __init__(self, payload: bytes) -> None:
        self._rest = payload

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes."""
        if len(self._rest) < size:
            raise CheckFailed(Reason.PROTOCOL, "want a whole message of SSH, got a part of one")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def string(self) -> bytes:
        """Return the next ``string``."""
        (size,) = struct.unpack(">I", self.take(_HEAD_BYTES))
        return self.take(size)

    def number(self) -> int:
        """Return the next ``mpint``, which is not negative."""
        return int.from_bytes(self.string(), "big")

    def names(self) -> tuple[str, ...]:
        """Return the next ``name-list``."""
        text = self.string().decode("ascii", "replace")
        return tuple(text.split(",")) if text else ()


def pack_offers(offers: Offers) -> bytes:
    """Return a KEXINIT of *offers*; both directions alike, no compression."""
    lists = (
        offers.exchanges, offers.host_keys, offers.ciphers, offers.ciphers, offers.macs,
        offers.macs, ("none",), ("none",), (), (),
    )  # fmt: skip
    body = b"".join(pack_string(",".join(names).encode()) for names in lists)
    return bytes((KEXINIT,)) + os.urandom(_COOKIE_BYTES) + body + bytes(5)


def parse_offers(payload: bytes) -> Offers:
    """Read a KEXINIT."""
    reader = Reader(payload)
    reader.take(1 + _COOKIE_BYTES)
    lists = [reader.names() for _ in range(_LISTS)]
    guesses = reader.take(1) != b"\0"
    return Offers(lists[0], lists[1], lists[3], lists[5], guesses)


def agree(ours: Iterable[str], theirs: Sequence[str], what: str) -> str:
    """Return the first of *ours* that they take too (RFC 4253, 7.1).

    Raises:
        CheckFailed: ``protocol``: none.
    """
    ours = tuple(ours)
    found = next((name for name in ours if name in theirs), None)
    if found is None:
        raise CheckFailed(
            Reason.PROTOCOL,
            f"want {what} in common ({', '.join(ours)}), got {short(', '.join(theirs))}",
        )
    return found


class Session:
    """What is said over one connection."""

    def __init__(self, connection: Connection, recorder: Recorder) -> None:
        self._connection = connection
        self._recorder = recorder

    async def greet(self) -> Banner:
        """Tell who we are and return who the server is; phase ``banner``.

        Raises:
            CheckFailed: ``protocol``, ``closed``, ``too_large``.
        """
        self._recorder.enter("banner")
        self._connection.write(IDENTIFICATION + b"\r\n")
        notices: list[str] = []
        while True:
            line = await self._connection.read_line(MAX_LINE_BYTES)
            if line is None:
                raise CheckFailed(
                    Reason.CLOSED, "want an identification of SSH, got the end of the stream"
                )
            if line.startswith(b"SSH-") or b"\0" in line:
                break
            notices.append(line.decode("utf-8", "replace"))
            if len(notices) > MAX_NOTICE_LINES:
                raise CheckFailed(
                    Reason.TOO_LARGE,
                    f"want an identification of SSH in {MAX_NOTICE_LINES} lines, got more",
                )
        if notices:
            self._recorder.fact("notice", "\n".join(notices))
        return parse_banner(line)

    async def offers(self, ours: bytes) -> bytes:
        """Send *ours* and return the KEXINIT of the server; phase ``key_exchange``."""
        self._recorder.enter("key_exchange")
        self._send(ours)
        return await self.receive(KEXINIT)

    async def exchange(self, init: bytes, *, skip: bool = False) -> Reader:
        """Send the first message of a key exchange and return the fields of the reply.

        Args:
            init: fields of the message.
            skip: the server has sent a packet for a guess that was wrong.
        """
        self._send(bytes((EXCHANGE_INIT,)) + init)
        if skip:
            await self._packet()
        reader = Reader(await self.receive(EXCHANGE_REPLY))
        reader.take(1)
        return reader

    def leave(self) -> None:
        """Say goodbye, so that the server's log tells of no broken connection."""
        reason = struct.pack(">BI", DISCONNECT, _BY_APPLICATION)
        self._send(reason + pack_string(b"the check is over") + pack_string(b""))

    async def receive(self, wanted: int) -> bytes:
        """Return the next payload, which is of the type *wanted*; idle messages pass.

        Raises:
            CheckFailed: ``closed``: the server takes its leave; ``protocol``: another message.
        """
        for _ in range(MAX_IDLE_MESSAGES):
            payload = await self._packet()
            if payload[0] == wanted:
                return payload
            if payload[0] == DISCONNECT:
                reader = Reader(payload[1 + _HEAD_BYTES :])
                raise CheckFailed(
                    Reason.CLOSED, f"want message {wanted}, got a goodbye: {short(reader.string())}"
                )
            if payload[0] not in (IGNORE, UNIMPLEMENTED, DEBUG):
                break
        raise CheckFailed(Reason.PROTOCOL, f"want message {wanted} of SSH, got another one")

    def _send(self, payload: bytes) -> None:
        # RFC 4253, 6: the whole packet is a multiple of 8, with 4 bytes of padding at least
        padding = _BLOCK - (len(payload) + _HEAD_BYTES + 1) % _BLOCK
        padding += _BLOCK if padding < _MIN_PADDING else 0
        head = struct.pack(">IB", len(payload) + padding + 1, padding)
        self._connection.write(head + payload + os.urandom(padding))

    async def _packet(self) -> bytes:
        """Return the payload of the next packet, of one byte at least."""
        raw = await self._connection.read_exactly(_HEAD_BYTES)
        (size,) = struct.unpack(">I", raw)
        if size > MAX_PACKET_BYTES:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want a packet of at most {MAX_PACKET_BYTES} bytes, got {size}"
            )
        body = await self._connection.read_exactly(size)
        padding = body[0] if body else 0
        if size < padding + 2:
            raise CheckFailed(Reason.PROTOCOL, f"want a packet of SSH, got {short(raw + body)}")
        return body[1 : size - padding]
