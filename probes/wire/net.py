"""The dial: resolve a name, judge the address, connect to exactly it, and say what went wrong.

Every byte that a kind sends goes through here, or to an address that was judged here. One address
per run, no happy eyeballs, no hidden retry: a prober is a testing tool, not a friendly client. The
only home of aiodns. Knows no protocol above TLS; deadlines belong to `probes.run`.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import aiodns
import pycares

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason, Sample
from probes.units import short
from probes.wire.address import (
    ANY_IP,
    NO_LOOKUP,
    Address,
    IpChoice,
    about,
    choose,
    literal_address,
    told_of_literal,
)
from probes.wire.ares import UncachedChannel
from probes.wire.failures import classify, has_route, lookup_failure
from probes.wire.pin import pin_of
from probes.wire.policy import judge
from probes.wire.source import leave_from
from probes.wire.stream import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S, Connection
from probes.wire.tls.peer import NOTE, TlsNote
from probes.wire.url import canonical_host, split_host_port, tls_name

__all__ = [
    "ANY_IP", "Address", "Connection", "IpChoice", "classify", "close_resolvers", "dial", "judge",
    "open_connection", "reachable", "resolve", "resolve_literal", "split_host_port", "tls_name",
]  # fmt: skip

P = TypeVar("P", bound=asyncio.BaseProtocol)
Asker = Callable[[str, IpChoice, float], Awaitable[tuple[str, ...]]]
"""Returns the addresses of a name: which family of them, and until when on the loop's clock."""
Servers = tuple[str, ...] | Asker

# A slow name server is not a dead one: asked again and again, at most every 2 s, until the deadline
# of the run. After 16 s c-ares gives up, so that questions of ended runs do not pile up.
DNS_TIMEOUT_S = 2.0
DNS_TRIES = 8
# How a name server is written that is asked over TCP from the start.
OVER_TCP = "tcp://"
# reliability.md 4
MAX_ADDRESSES = 16
# A control target that takes longer is no proof of a healthy network.
CONTROL_TIMEOUT_S = 1.0

_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}
_FAMILY_NUMBERS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}
_resolvers: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str, ...], aiodns.DNSResolver]
] = WeakKeyDictionary()


async def resolve(
    host: str,
    port: int,
    recorder: Recorder,
    *,
    ip: IpChoice = ANY_IP,
    servers: Servers = (),
    hop: int = 0,
) -> Address:
    """Return the one address of *host* that is to be dialled; phase ``resolve``.

    Args:
        host: name or address, as `canonical_host` returns it.
        port: to dial later.
        recorder: gets the samples of `NET_METRICS` (of the first hop only) and the fact
            ``address``.
        ip: which of several addresses.
        servers: name servers (``ip``, ``ip:port`` or ``tcp://ip:port``) instead of the system's;
            all by the same transport; or who asks them.
        hop: 0 is the target, later ones came from a redirect.

    Raises:
        CheckFailed: ``dns_*``; ``network`` when no name server listens; ``config`` for an
            impossible name.
    """
    address = resolve_literal(host, port, recorder, ip=ip, hop=hop)
    if address is not None:
        return address
    if (pin := pin_of(host, port)) is not None:
        recorder.add_phase("resolve", pin.seconds)
        record_address(pin.address, pin.seconds, recorder, hop)
        return pin.address
    started = perf_counter()
    recorder.enter("resolve")
    found: Address | None = None
    try:
        addresses = await find_addresses(host, port, recorder, ip=ip, servers=servers)
        found = address = _choose(addresses, host, ip, recorder)
    finally:
        # also when the deadline ends it: the page shows how long the resolver was silent
        record_address(found, perf_counter() - started, recorder, hop)
    recorder.leave()
    return address


def resolve_literal(
    host: str, port: int, recorder: Recorder, *, ip: IpChoice = ANY_IP, hop: int = 0
) -> Address | None:
    """Return the address that *host* is, as `resolve` does but at once; None when it is a name.

    Raises:
        CheckFailed: ``dns_no_address``: it is of the other family.
    """
    told = told_of_literal(host, port)
    if told is None:
        return None
    address, samples, literal = told
    wanted = _FAMILIES.get(ip)
    if wanted is not None and _FAMILY_NUMBERS[wanted] != address.family:
        record_address(None, 0.0, recorder, hop)
        recorder.add_phase("resolve", 0.0, complete=False)
        raise CheckFailed(
            Reason.DNS_NO_ADDRESS, f"want an IPv{ip} address, got {host}", phase="resolve"
        )
    recorder.add_phase("resolve", 0.0)
    if not hop:
        recorder.extend(samples)
    recorder.fact("address", literal)
    return address


def record_address(address: Address | None, seconds: float, recorder: Recorder, hop: int) -> None:
    """Write down which *address* was found, and how long that took."""
    if not hop:
        lookup = Sample("dns_lookup_time_seconds", seconds) if seconds else NO_LOOKUP
        recorder.extend((lookup, *(about(address.ip, address.family) if address else _ABOUT_NONE)))
    if address:
        recorder.fact("address", address.literal)


_ABOUT_NONE = (Sample("ip_protocol", 0), Sample("ip_addr_hash", 0))


async def find_addresses(
    host: str, port: int, recorder: Recorder, *, ip: IpChoice = ANY_IP, servers: Servers = ()
) -> list[Address]:
    """Return all addresses of *host* that *ip* admits, as `resolve` finds them, at most 16."""
    literal = literal_address(host, port)
    if literal is not None:
        return [literal] if str(literal.family) == ip or ip not in _FAMILIES else []
    if callable(servers):
        texts = await servers(host, ip, recorder.deadline)
        found = [Address(host, port, text, 6 if ":" in text else 4) for text in texts]
        return found[:MAX_ADDRESSES]
    return await _ask(host, port, _FAMILIES.get(ip, socket.AF_UNSPEC), servers)


def _choose(found: list[Address], host: str, ip: IpChoice, recorder: Recorder) -> Address:
    chosen = choose(found, ip)
    if chosen is None:
        raise CheckFailed(
            Reason.DNS_NO_ADDRESS, f"want an address of {short(host)}, got none", phase="resolve"
        )
    if len(found) > 1:
        recorder.fact("other_addresses", ", ".join(a.ip for a in found if a is not chosen))
    return chosen


async def _ask(
    host: str, port: int, family: socket.AddressFamily, servers: tuple[str, ...]
) -> list[Address]:
    try:
        name = canonical_host(host)
        answer = await _resolver(servers).getaddrinfo(
            name, port=port, family=family, type=socket.SOCK_STREAM
        )
    except pycares.AresError as error:
        # the channel itself: no thread, no inotify watch left
        raise CheckFailed(
            Reason.RESOURCE, f"want a resolver, got {error}", phase="resolve"
        ) from None
    except aiodns.error.DNSError as error:
        raise lookup_failure(host, error.args) from None
    except ValueError as error:
        raise CheckFailed(Reason.CONFIG, str(error), phase="resolve") from None
    return [
        Address(host, port, _text(node.addr[0]), _FAMILY_NUMBERS[node.family])
        for node in answer.nodes[:MAX_ADDRESSES]
        if node.family in _FAMILY_NUMBERS
    ]


def _text(address: bytes | str) -> str:
    return address if isinstance(address, str) else address.decode("ascii")


class _Resolver(aiodns.DNSResolver):
    """aiodns over a channel that remembers nothing."""

    over_tcp = False

    def _make_channel(self, **_: Any) -> tuple[bool, pycares.Channel]:
        return True, UncachedChannel(DNS_TIMEOUT_S, DNS_TRIES, over_tcp=self.over_tcp)


class _TcpResolver(_Resolver):
    """The same, asking over TCP."""

    over_tcp = True


def _resolver(servers: tuple[str, ...]) -> aiodns.DNSResolver:
    loop = asyncio.get_running_loop()
    own = _resolvers.setdefault(loop, {})
    if servers not in own:
        make = _TcpResolver if servers and servers[0].startswith(OVER_TCP) else _Resolver
        addresses = [server.removeprefix(OVER_TCP) for server in servers]
        own[servers] = make(nameservers=addresses or None, loop=loop)
    return own[servers]


async def close_resolvers() -> None:
    """Close the resolvers of the running loop; the next question opens fresh ones."""
    for resolver in _resolvers.pop(asyncio.get_running_loop(), {}).values():
        await resolver.close()


async def open_connection(  # noqa: PLR0913 - the whole dial, all but three by keyword
    factory: Callable[[], P],
    address: Address,
    recorder: Recorder,
    *,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    hop: int = 0,
    source_ip: str | None = None,
    scheme: str | None = "",
) -> tuple[asyncio.Transport, P]:
    """Connect to *address* and to nothing else; phases ``connect`` and, with a *context*, ``tls``.

    Args:
        factory: makes the protocol.
        address: judged here, right before it is dialled.
        recorder: gets phases and what the TLS peer showed, also when it was refused.
        context: of `TlsOptions.context`; None stays in plain text.
        server_name: to ask for and to verify; None or empty: the host of *address*.
        hop: 0 is the target, later ones came from a redirect.
        source_ip: address of this host, or name of one of its interfaces, to come from.
        scheme: of the target's URL, for the policy; as of `Rule.names`.

    Raises:
        CheckFailed: by the table of `classify`, with the phase that broke.
    """
    judge(address, hop=hop, scheme=scheme)
    loop = asyncio.get_running_loop()
    recorder.enter("connect")
    try:
        if source_ip or "%" in address.ip:
            where: dict[str, Any] = await leave_from(source_ip or "", address)
        else:
            where = {"host": address.ip, "port": address.port}
        if context is None:
            opened = await loop.create_connection(factory, **where)
        else:
            name = server_name or tls_name(address.host)
            opened = await _open_tls(factory, where, recorder, context, (name, hop))
    except (OSError, EOFError) as error:
        phase = recorder.phase_name
        raise _failure(error, phase, address, source_ip) from None
    recorder.leave()
    return opened


async def _open_tls(
    factory: Callable[[], P],
    where: dict[str, Any],
    recorder: Recorder,
    context: ssl.SSLContext,
    how: tuple[str, int],
) -> tuple[asyncio.Transport, P]:
    name, hop = how
    note = TlsNote(recorder, name, hop)
    token = NOTE.set(note)
    try:
        opened = await asyncio.get_running_loop().create_connection(
            factory,
            ssl=context,
            server_hostname=name,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            **where,
        )
    except OSError:
        note.record()
        raise
    finally:
        NOTE.reset(token)
    recorder.leave()
    note.record()
    return opened


# How the loops tell that one cannot come from there: uvloop says EINVAL of another family.
_ODD = frozenset({Reason.RESOURCE, Reason.INTERNAL, Reason.CONFIG})
# What is scarce wherever one comes from.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def _failure(
    error: BaseException, phase: str | None, address: Address, source_ip: str | None
) -> CheckFailed:
    failure = classify(error, phase=phase, address=address)
    is_odd = failure.reason in _ODD and phase == "connect"
    if source_ip and is_odd and getattr(error, "errno", None) not in _SHORTAGES:
        return CheckFailed(
            Reason.CONFIG,
            f"want a source address of this host, got {short(source_ip)}",
            phase=phase,
        )
    return failure


@asynccontextmanager
async def dial(  # noqa: PLR0913 - as `open_connection`
    target: str | Address,
    recorder: Recorder,
    *,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    ip: IpChoice = ANY_IP,
    source_ip: str | None = None,
    scheme: str = "",
) -> AsyncIterator[Connection]:
    """Open a `Connection` to *target* (``host:port`` or an `Address`) and close it in any case.

    The other arguments are those of `open_connection`.

    Raises:
        CheckFailed: as `resolve` and `open_connection` do.
    """
    if isinstance(target, str):
        host, port = split_host_port(target)
        target = await resolve(host, port, recorder, ip=ip)
    _, connection = await open_connection(
        lambda: Connection(recorder, target),
        target,
        recorder,
        context=context,
        server_name=server_name,
        source_ip=source_ip,
        scheme=scheme,
    )
    try:
        yield connection
    except BaseException:
        connection.abort()
        raise
    connection.close()


async def reachable(control: str) -> bool:
    """Return whether *control* answers within a second, so whether this host has a network.

    ``host:port`` must accept or refuse a connection; a bare name must be known to, or denied by, a
    name server.
    """
    recorder = Recorder()
    try:
        async with asyncio.timeout(CONTROL_TIMEOUT_S):
            host, port = split_host_port(control, 0)
            address = await resolve(host, port, recorder)
            if not port:
                return literal_address(host, port) is None or has_route(address.family)
            async with dial(address, recorder):
                return True
    except TimeoutError:
        return False
    except CheckFailed as failure:
        return failure.reason in _ANSWERS


_ANSWERS = {Reason.REFUSED, Reason.CLOSED, Reason.DNS_NXDOMAIN, Reason.DNS_NO_ADDRESS}
