"""The dial of datagrams: one UDP socket that is tied to one judged address.

The kernel then drops what others send, and tells what routers and the peer complain about: a closed
port, a host nobody can reach. Knows no protocol above UDP, repeats nothing, has no timeout; the
kernel's own buffer is the queue, and it is bounded.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import IPV6, SOCKET_FAMILIES, Address, socket_address
from probes.wire.failures import classify
from probes.wire.policy import judge
from probes.wire.source import is_address

# RFC 768: the length field has 16 bits; IPv6 jumbograms aside no datagram is longer.
MAX_DATAGRAM_BYTES = 65535
# ip(7), ipv6(7): without them the kernel keeps "host unreachable" and its like to itself
IP_RECVERR = 11
IPV6_RECVERR = 25
_ANYWHERE = "0.0.0.0"  # noqa: S104 - where answers arrive is the kernel's choice


class Datagram:
    """One end of an exchange of datagrams; made by `open_datagram`."""

    def __init__(self, own: socket.socket, address: Address) -> None:
        self.address = address
        self._socket = own

    def send(self, data: bytes) -> None:
        """Send *data* as one datagram; never waits.

        Raises:
            CheckFailed: ``refused``, ``unreachable``: what an earlier one met; ``config``: longer
                than a datagram can be; ``resource``: this host drops it.
        """
        try:
            self._socket.send(data)
        except BlockingIOError:  # pragma: no cover - needs an interface that is slower than we
            raise CheckFailed(
                Reason.RESOURCE, "want room for a datagram in this host's buffer, got none"
            ) from None
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise CheckFailed(
                    Reason.CONFIG, f"want data that fits a datagram, got {len(data)} bytes"
                ) from None
            raise self._failure(error) from None

    async def receive(self) -> bytes:
        """Return the next datagram of the peer.

        Raises:
            CheckFailed: ``refused``: the port is closed; ``unreachable``: a router says so.
        """
        while True:
            try:
                return self._socket.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                await readable(self._socket)
            except OSError as error:
                raise self._failure(error) from None

    def _failure(self, error: OSError) -> CheckFailed:
        # the queue of errors keeps the socket readable until it is empty
        drain_errors(self._socket)
        return classify(error, phase=None, address=self.address)


def drain_errors(own: socket.socket) -> None:
    """Empty the queue of what routers complained about: until then the socket seems readable."""
    with suppress(OSError):
        while True:
            own.recvmsg(0, 0, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)


async def readable(own: socket.socket) -> None:
    """Wait until *own* has something to read, an error included."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    descriptor = own.fileno()
    loop.add_reader(descriptor, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_reader(descriptor)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


@asynccontextmanager
async def open_datagram(
    address: Address, recorder: Recorder, *, hop: int = 0, source_ip: str | None = None
) -> AsyncIterator[Datagram]:
    """Tie a UDP socket to *address*, which is judged first, and close it in any case.

    Phase ``connect``: nothing is sent.

    Args:
        address: of `resolve`.
        recorder: gets the phase.
        hop: 0 is the target, later ones came out of an answer.
        source_ip: address or interface of this host to come from.

    Raises:
        CheckFailed: ``policy``, ``blocked``; ``network``: no way there; ``config``: *source_ip*.
    """
    judge(address, hop=hop)
    recorder.enter("connect")
    with _open(address, source_ip) as own:
        recorder.leave()
        yield Datagram(own, address)


def _open(address: Address, source_ip: str | None) -> socket.socket:
    try:
        own = socket.socket(
            SOCKET_FAMILIES[address.family], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
    except OSError as error:
        raise classify(error, phase="connect", address=address) from None
    try:
        tell_errors(own, address.family)
        bind_source(own, source_ip or "")
        own.connect(socket_address(address.ip, address.port))
    except OSError as error:
        own.close()
        raise classify(error, phase="connect", address=address) from None
    except BaseException:
        own.close()
        raise
    return own


def tell_errors(own: socket.socket, family: int) -> None:
    """Ask the kernel for the complaints of routers, not only for closed ports."""
    if family == IPV6:
        own.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        own.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)


def bind_source(
    own: socket.socket, source: str = "", port: int = 0, *, phase: str = "connect"
) -> bool:
    """Let *own* come from *source*, an address or an interface; false when *port* is taken there.

    Raises:
        CheckFailed: ``config``: not of this host, or of the other family; ``permission``.
    """
    is_6 = own.family == socket.AF_INET6
    source_ip = source if source and is_address(source) else ""
    text = f"want a source address or interface of this host, got {short(source)}"
    if source_ip and (":" in source_ip) is not is_6:
        raise CheckFailed(Reason.CONFIG, text, phase=phase)
    try:
        if source and not source_ip:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source.encode() + b"\0")
        if source_ip or port:
            own.bind(socket_address(source_ip or ("::" if is_6 else _ANYWHERE), port))
    except OSError as error:
        if port and error.errno == errno.EADDRINUSE:
            return False
        reason = Reason.PERMISSION if error.errno == errno.EPERM else Reason.CONFIG
        raise CheckFailed(reason, text, phase=phase) from None
    return True
