"""Echo requests, echo replies and complaints of routers, as bytes; nothing but bytes.

    request(...)   the packet of one echo                       RFC 792, RFC 4443
    echo(...)      what came: Echo(identifier, sequence, payload), or None when it is none
    quoted(...)    identifier and sequence of the packet that a router complains about
    complaint(...) what the kernel says about such an error: Complaint(error, words, by, mtu)
    bouncer(...)   a filter for raw sockets, which else hear the replies of everybody

Bytes of strangers come in; whatever they are, nothing is raised. Knows no socket.
"""

import errno
import os
import struct
from dataclasses import dataclass
from ipaddress import ip_address

_IPV6 = 6
# RFC 792; RFC 4443, 4.1 and 4.2: version of IP -> type
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
# type, code, checksum, identifier, sequence
_HEADER = struct.Struct("!BBHHH")
# linux/errqueue.h: errno, origin, type, code, padding, info, data; then who sent it
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_LOCAL = 1
# linux/socket.h: sockaddr_in and sockaddr_in6 up to their addresses
_OFFENDER_4 = struct.Struct("=HH4s")
_OFFENDER_6 = struct.Struct("=HHI16s")
_AF_INET, _AF_INET6 = 2, 10
# One's complement: two bytes that are both ones are another zero.
_ONES = 0xFFFF
MAX_NUMBER = 0xFFFF

# blackbox.md 4.5: 28 bytes of our own; half of them tell this run from all others.
TEXT = b"sonde echo "
TEXT_BYTES = 28
# RFC 791: 65,535 with 20 bytes of header and 8 of ICMP
MAX_PAYLOAD_BYTES = 65507

# What people call it: (version of IP, type, code), then (version, type).
# https://www.iana.org/assignments/icmp-parameters/ and .../icmpv6-parameters/
_WORDS: dict[tuple[int, ...], str] = {
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 4): "too large for the way, and it may not be fragmented",
    (4, 3, 5): "source route failed",
    (4, 3, 6): "network unknown",
    (4, 3, 7): "host unknown",
    (4, 3, 9): "network prohibited",
    (4, 3, 10): "host prohibited",
    (4, 3, 13): "prohibited by a filter",
    (4, 3): "unreachable",
    (4, 11, 1): "a fragment came too late",
    (4, 11): "TTL exceeded",
    (4, 12): "a bad header",
    (6, 1, 0): "no route",
    (6, 1, 1): "prohibited by a filter",
    (6, 1, 2): "beyond the scope of the source address",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 1, 5): "source address prohibited",
    (6, 1, 6): "route rejected",
    (6, 1): "unreachable",
    (6, 2): "too large for the way",
    (6, 3, 1): "a fragment came too late",
    (6, 3): "hop limit exceeded",
    (6, 4): "a bad header",
}

# linux/filter.h: what the machine of the kernel understands
_LOAD_HEADER_LENGTH, _LOAD_BYTE, _LOAD_HALF = 0xB1, 0x50, 0x48  # at X + k
_CLEAR_X = 0x01
_IS_EQUAL, _RETURN = 0x15, 0x06
_ALL = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Echo:
    """One reply."""

    identifier: int
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a packet did not arrive.

    Args:
        error: number of the kernel for it.
        words: what it means.
        by: address of the router; empty: this host.
        mtu: bytes that would fit; 0: it is not about that.
    """

    error: int
    words: str
    by: str = ""
    mtu: int = 0

    @property
    def text(self) -> str:
        """The whole, for people."""
        room = f" (at most {self.mtu} bytes fit)" if self.mtu else ""
        return f"{self.words!r} from {self.by or 'this host'}{room}"


def checksum(data: bytes) -> int:
    """Return the internet checksum of *data*; 0 for data that carry their right one.

    Source:
        RFC 1071
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    # a one's complement sum is the number modulo 0xFFFF, and never 0 unless all is 0
    total = number % _ONES or (_ONES if number else 0)
    return _ONES - total


def payload_of(token: str, size: int) -> bytes:
    """Return *size* bytes: our text with *token*, then zeros."""
    return (TEXT + token.encode())[:TEXT_BYTES].ljust(TEXT_BYTES)[:size].ljust(size, b"\0")


def request(family: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """Return an echo request for version *family* of IP; the kernel sums up those of IPv6."""
    kind = _REQUEST[family]
    bare = _HEADER.pack(kind, 0, 0, identifier, sequence) + payload
    if family == _IPV6:
        return bare
    return _HEADER.pack(kind, 0, checksum(bare), identifier, sequence) + payload


def echo(data: bytes, family: int, *, is_raw: bool) -> Echo | None:
    """Return the echo reply in *data*; None when it is none, or damaged.

    Args:
        data: what the socket gave.
        family: version of IP.
        is_raw: of a raw socket: IPv4 gives its own header, and nobody has verified the checksum.
    """
    if is_raw and family != _IPV6:
        data = data[(data[0] & 15) * 4 :] if data else data
        if checksum(data):
            return None
    if len(data) < _HEADER.size:
        return None
    kind, code, _, identifier, sequence = _HEADER.unpack_from(data)
    if kind != _REPLY[family] or code:
        return None
    return Echo(identifier, sequence, data[_HEADER.size :])


def quoted(data: bytes, family: int) -> tuple[int, int] | None:
    """Return identifier and sequence of our request in *data*; None when it is no request.

    Args:
        data: what the error queue gives back of the packet that met the error, from ICMP on.
        family: version of IP.
    """
    if len(data) < _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(data)
    return (identifier, sequence) if kind == _REQUEST[family] else None


def complaint(data: bytes, family: int) -> Complaint | None:
    """Return what the kernel's extended error *data* says; None when it cannot be read.

    Source:
        ip(7), ``IP_RECVERR``
    """
    if len(data) < _EXTENDED_ERROR.size:
        return None
    number, origin, kind, code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
    if origin == _ORIGIN_LOCAL:
        words = os.strerror(number).lower()
    else:
        words = (
            _WORDS.get((family, kind, code))
            or _WORDS.get((family, kind))
            or f"ICMP type {kind}, code {code}"
        )
    mtu = info if number == errno.EMSGSIZE else 0
    return Complaint(number, words, _offender(data[_EXTENDED_ERROR.size :]), mtu)


def _offender(data: bytes) -> str:
    """Return the address in a socket address; empty when there is none."""
    if len(data) < _OFFENDER_4.size:
        return ""
    family, _, packed = _OFFENDER_4.unpack_from(data)
    if family == _AF_INET6 and len(data) >= _OFFENDER_6.size:
        packed = _OFFENDER_6.unpack_from(data)[-1]
    elif family != _AF_INET:
        return ""
    return str(ip_address(packed))


def bouncer(family: int, identifier: int) -> bytes:
    """Return a filter of the kernel that lets pass replies with *identifier* and nothing else.

    Source:
        bpf(4): an array of ``struct sock_filter``
    """
    program = (
        # raw sockets of IPv4 see the header of IP, those of IPv6 do not
        (_CLEAR_X if family == _IPV6 else _LOAD_HEADER_LENGTH, 0, 0, 0),
        (_LOAD_BYTE, 0, 0, 0),
        (_IS_EQUAL, 0, 3, _REPLY[family]),
        (_LOAD_HALF, 0, 0, 4),
        (_IS_EQUAL, 0, 1, identifier),
        (_RETURN, 0, 0, _ALL),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
