"""The socket under a ping: unprivileged where the kernel allows it, else raw.

A socket belongs to one run, is tied to one judged address, and passes on what answers this very
run: same address, identifier, sequence and payload. Raw sockets hear the replies of everybody, so
the kernel filters for them. Times are the kernel's: a busy event loop makes no slow network. Knows
the codec (`probes.wire.icmp.codec`) and no expectation; nothing here has a timeout of its own.
"""

import asyncio
import ctypes
import errno
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import IPV6, SOCKET_FAMILIES, Address, socket_address
from probes.wire.datagram import IP_RECVERR, IPV6_RECVERR, bind_source, readable, tell_errors
from probes.wire.failures import classify
from probes.wire.icmp.codec import MAX_NUMBER, Complaint, bouncer, complaint, echo, quoted, request
from probes.wire.policy import judge

_PROTOCOLS = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
# linux/in.h, in6.h, asm-generic/socket.h: what Python gives no names to
_IP_MTU_DISCOVER, _PMTUDISC_DONT, _PMTUDISC_PROBE = 10, 0, 3
_IP_RECVTTL = 12
_SO_ATTACH_FILTER = 26
_SO_TIMESTAMPNS = 35
# struct timespec: two native longs
_STAMP = struct.Struct("@ll")
_NANO = 1_000_000_000
# A reply with the longest payload and a header; what else the kernel tells about it.
_READ_BYTES, _TOLD_BYTES = 65535, 512
# Identifiers are 16 bits that all processes of this host share: the first free one of so many.
_TRIES = 16
_NO_SOCKET = {errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}
NO_PERMISSION = (
    "want a socket for ICMP, got no permission: let net.ipv4.ping_group_range hold a group of"
    " this process, or give it CAP_NET_RAW"
)


@dataclass(frozen=True, slots=True)
class Way:
    """How echo requests travel.

    Args:
        ttl: hops at most; 0: as this host does by default.
        dont_fragment: no router may cut them (IPv4).
        source_ip: address or interface of this host to come from; empty: the kernel chooses.
    """

    ttl: int = 0
    dont_fragment: bool = False
    source_ip: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one of our requests.

    Args:
        number: which request, from 0.
        seconds: of the round trip.
        hop_limit: of the reply when it arrived; None: the kernel did not tell.
        is_again: an earlier reply answered the same request.
    """

    number: int
    seconds: float
    hop_limit: int | None
    is_again: bool


class EchoSocket:
    """Sends echo requests to one address and receives the replies; made by `open_echo`."""

    def __init__(self, own: socket.socket, address: Address, identifier: int) -> None:
        self._socket = own
        self._address = address
        self._ip = address.ip.partition("%")[0]
        self._identifier = identifier
        self._is_raw = own.type == socket.SOCK_RAW
        # RFC 4443 leaves it open; a random start tells this run from the one before
        self._first = random.randrange(MAX_NUMBER + 1)  # noqa: S311 - a number, no secret
        self._sent: list[tuple[bytes, float]] = []
        self._answered: set[int] = set()

    def send(self, payload: bytes) -> None:
        """Send the next request; never waits.

        Raises:
            CheckFailed: ``unreachable``: what an earlier request met, or no way there; ``config``:
                longer than this host can send; ``permission``: a filter of this host.
        """
        sequence = (self._first + len(self._sent)) & MAX_NUMBER
        packet = request(self._address.family, self._identifier, sequence, payload)
        started = time.perf_counter()
        try:
            self._socket.send(packet)
        except BlockingIOError:  # pragma: no cover - needs an interface that is slower than we
            raise CheckFailed(
                Reason.RESOURCE, "want room for an echo request in this host's buffer, got none"
            ) from None
        except OSError as error:
            # raw sockets do not tell here what others met; those for pings only know their own
            failure = self._failure(error, len(payload))
            raise failure or classify(error, phase="rtt", address=self._address) from None
        self._sent.append((payload, started))

    async def receive(self, until: float | None = None) -> Reply | None:
        """Return the next reply to this run; None when there is none *until* this time of the loop.

        Raises:
            CheckFailed: ``unreachable``: a router says so.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                reply = self._next()
            except BlockingIOError:
                if not await _readable(self._socket, until):
                    return None
                continue
            if reply is not None and not reply.is_again:
                return reply
            # of anything else there may be no end: a flood must not hold up the loop
            await asyncio.sleep(0)
            if reply is not None or (until is not None and loop.time() >= until):
                return reply

    def _next(self) -> Reply | None:
        """Return what the next packet answers; None when it is no reply to this run.

        Raises:
            BlockingIOError: there is none.
            CheckFailed: ``unreachable``: a router says so.
        """
        try:
            data, told, _, sender = self._socket.recvmsg(_READ_BYTES, _TOLD_BYTES)
        except BlockingIOError:
            raise
        except OSError as error:
            # complaints about packets of others wake a raw socket too
            if (failure := self._failure(error)) is not None:
                raise failure from None
            return None
        # unlike a raw one, a socket for pings hears everybody although it is connected
        return self._reply(data, told) if sender[0].partition("%")[0] == self._ip else None

    def _reply(self, data: bytes, told: list[tuple[int, int, bytes]]) -> Reply | None:
        now, wall_ns = time.perf_counter(), time.clock_gettime_ns(time.CLOCK_REALTIME)
        found = echo(data, self._address.family, is_raw=self._is_raw)
        if found is None or found.identifier != self._identifier:
            return None
        number = (found.sequence - self._first) & MAX_NUMBER
        if number >= len(self._sent) or found.payload != self._sent[number][0]:
            return None
        seconds = now - self._sent[number][1]
        stamp_ns, hop_limit = _told(told)
        if stamp_ns is not None:
            # how long it has lain in the queue; both clocks are read now, so that one that was set
            # meanwhile spoils nothing
            waited = (wall_ns - stamp_ns) / _NANO
            if 0 <= waited <= seconds:
                seconds -= waited
        is_again = number in self._answered
        self._answered.add(number)
        return Reply(number, seconds, hop_limit, is_again)

    def _failure(self, error: OSError, size: int = 0) -> CheckFailed | None:
        """Return what *error* means for this run; None when it is about somebody else's packet."""
        told = list(_complaints(self._socket, self._address.family))
        for said, packet in told:
            if said.by and self._is_ours(packet):
                text = f"want an echo of {self._address.ip}, got {said.text}"
                return CheckFailed(Reason.UNREACHABLE, text, phase="rtt")
        if error.errno == errno.EMSGSIZE and size:
            text = f"want a payload that this host can send, got {size} bytes"
            return CheckFailed(Reason.CONFIG, text, phase="rtt")
        return None if told else classify(error, phase="rtt", address=self._address)

    def _is_ours(self, packet: bytes) -> bool:
        if not self._is_raw:
            return True  # the kernel goes by the identifier
        found = quoted(packet, self._address.family)
        if found is None:
            return False
        number = (found[1] - self._first) & MAX_NUMBER
        return found[0] == self._identifier and number < len(self._sent)


@contextmanager
def open_echo(address: Address, recorder: Recorder, way: Way) -> Iterator[EchoSocket]:
    """Tie a socket to *address*, which is judged first, and close it in any case; phase ``setup``.

    Raises:
        CheckFailed: ``policy``; ``permission``; ``config``: the source; ``network``: no way there.
    """
    judge(address, hop=0)
    recorder.enter("setup")
    try:
        own, identifier = _open(address, way)
    except OSError as error:
        raise classify(error, phase="setup", address=address) from None
    with own:
        recorder.leave()
        yield EchoSocket(own, address, identifier)


def _open(address: Address, way: Way) -> tuple[socket.socket, int]:
    own = _socket(address.family)
    try:
        _set_up(own, address.family, way)
        identifier = _bind(own, way.source_ip)
        own.connect(socket_address(address.ip, 0))
        if own.type == socket.SOCK_RAW:
            _filter(own, address.family, identifier)
    except BaseException:
        own.close()
        raise
    return own, identifier


def _socket(family: int) -> socket.socket:
    # sockets for pings need no right but that of the group; raw ones need CAP_NET_RAW
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(
                SOCKET_FAMILIES[family], kind | socket.SOCK_NONBLOCK, _PROTOCOLS[family]
            )
        except OSError as error:
            if error.errno not in _NO_SOCKET:
                raise
    raise CheckFailed(Reason.PERMISSION, NO_PERMISSION, phase="setup")


def _set_up(own: socket.socket, family: int, way: Way) -> None:
    own.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    tell_errors(own, family)
    if family == IPV6:
        own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        if way.ttl:
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, way.ttl)
        return
    own.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
    # not what the kernel has learnt about the way: each request finds out anew
    fragments = _PMTUDISC_PROBE if way.dont_fragment else _PMTUDISC_DONT
    own.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, fragments)
    if way.ttl:
        own.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, way.ttl)


def _bind(own: socket.socket, source_ip: str) -> int:
    """Bind *own* and return its identifier."""
    if own.type == socket.SOCK_RAW:
        bind_source(own, source_ip, phase="setup")
        return random.randrange(1, MAX_NUMBER + 1)  # noqa: S311 - a number, no secret
    # the "port" of a socket for pings is its identifier, and the kernel lets them share it
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    for _ in range(_TRIES):
        identifier = random.randrange(1, MAX_NUMBER + 1)  # noqa: S311 - unique, not secret
        if bind_source(own, source_ip, identifier, phase="setup"):
            return identifier
    raise CheckFailed(
        Reason.RESOURCE, f"want a free identifier, got {_TRIES} that are taken", phase="setup"
    )


def _filter(own: socket.socket, family: int, identifier: int) -> None:
    program = bouncer(family, identifier)
    memory = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions of 8 bytes, and where
    packed = struct.pack("@HP", len(program) // 8, ctypes.addressof(memory))
    with suppress(OSError):  # without it we filter ourselves
        own.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)


def _told(told: list[tuple[int, int, bytes]]) -> tuple[int | None, int | None]:
    """Return when the kernel got a packet, in Unix nanoseconds, and its hop limit."""
    stamp_ns = hop_limit = None
    for level, kind, data in told:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _STAMP.size:
            seconds, nanoseconds = _STAMP.unpack_from(data)
            stamp_ns = seconds * _NANO + nanoseconds
        elif (level, kind) in _HOP_LIMITS:
            hop_limit = int.from_bytes(data[:4], "little" if _IS_LITTLE else "big")
    return stamp_ns, hop_limit


_HOP_LIMITS = {
    (socket.IPPROTO_IP, socket.IP_TTL),
    (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
}
_IS_LITTLE = struct.pack("=H", 1)[0] == 1


def _complaints(own: socket.socket, family: int) -> Iterator[tuple[Complaint, bytes]]:
    """Empty the error queue; give what each entry says, and the packet that it is about."""
    wanted = (socket.IPPROTO_IPV6, IPV6_RECVERR) if family == IPV6 else _V4_ERROR
    flags = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
    with suppress(OSError):
        while True:
            packet, told, _, _ = own.recvmsg(_READ_BYTES, _TOLD_BYTES, flags)
            for level, kind, data in told:
                said = complaint(data, family) if (level, kind) == wanted else None
                if said is not None:
                    yield said, packet


_V4_ERROR = (socket.IPPROTO_IP, IP_RECVERR)


async def _readable(own: socket.socket, until: float | None) -> bool:
    if until is None:
        await readable(own)
        return True
    try:
        async with asyncio.timeout_at(until):
            await readable(own)
    except TimeoutError:
        return False
    return True
