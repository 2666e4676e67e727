"""The way through a proxy: dial it, ask it for the target, and go on as if it were not there.

    transport, protocol = await open_through(proxy, factory, goal, recorder, proxies, ...)

The proxy is trusted as written, the target is judged before anything is asked for. All of it is
phase ``connect``: dialling the proxy, its own TLS, CONNECT or SOCKS; ``tls`` is the target's.
Knows no request but CONNECT.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import ANY_IP, Address, IpChoice, literal_address
from probes.wire.http.headers import USER_AGENT
from probes.wire.http.http1 import Http1
from probes.wire.http.message import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES, Limits, Response
from probes.wire.http.proxies.settings import PROXY_ALPN, Proxies, Proxy
from probes.wire.http.proxies.socks import ask_socks
from probes.wire.net import Servers, open_connection, resolve
from probes.wire.policy import POLICY, Policy, judge, judge_name
from probes.wire.stream import Connection
from probes.wire.url import Url, literal_host, tls_name

P = TypeVar("P", bound=asyncio.Protocol)

# blackbox.md 8.3: a proxy is configured by whoever wrote the probe file.
_AS_WRITTEN = Policy()
_NO_BODY = Limits(max_body=0, keep_body=False)
_FIRST_FINAL, _FIRST_REDIRECT = 200, 300
_WANTS_LOGIN = 407
# What a proxy says of a target that it did not reach (RFC 9110, 15.6).
_NOT_REACHED = frozenset({502, 503, 504})
_BEGIN = b"HTTP/"


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a request is to go.

    Args:
        url: whose host and port are asked for.
        address: what the host stands for; None: the proxy finds out.
        hop: 0 is the target, later ones came from a redirect.
        scheme: see `open_connection`.
    """

    url: Url
    address: Address | None
    hop: int = 0
    scheme: str = ""

    @property
    def host(self) -> str:
        """What the proxy is asked for: the address, where it is known."""
        return self.url.host if self.address is None else self.address.ip

    @property
    def host_port(self) -> str:
        """What CONNECT asks for."""
        return f"{literal_host(tls_name(self.host))}:{self.url.port}"

    def judge(self, *, tunnels: bool) -> None:
        """Judge it by the policy of the running task.

        Args:
            tunnels: the proxy is asked for `host` and nothing else. Otherwise it reads the name in
                the request, and what that stands for it finds out again by itself.

        Raises:
            CheckFailed: ``policy``, ``blocked``.
        """
        # an address that stands in the URL is one, whoever resolves names
        address = self.address or literal_address(self.url.host, self.url.port)
        if address is not None:
            judge(address, hop=self.hop, scheme=self.scheme)
        if address is None or (not tunnels and address.ip != self.url.host):
            judge_name(self.url.host, self.url.port, hop=self.hop, scheme=self.scheme)


class Way(NamedTuple):
    """Where a request goes: to the address of its host, and through which proxy, if any."""

    address: Address | None
    proxy: Proxy | None


async def find_way(
    url: Url,
    recorder: Recorder,
    proxies: Proxies | None,
    *,
    ip: IpChoice = ANY_IP,
    servers: Servers = (),
    hop: int = 0,
) -> Way:
    """Return which way *url* goes; phase ``resolve`` where its name is resolved here.

    Raises:
        CheckFailed: as `resolve` does.
    """
    address = None
    if proxies is None or proxies.resolves(url):
        address = await resolve(url.host, url.port, recorder, ip=ip, servers=servers, hop=hop)
    return Way(address, None if proxies is None else proxies.for_url(url, address))


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS with the target: its context, and the name to verify."""

    context: ssl.SSLContext
    server_name: str


@dataclass(frozen=True, slots=True)
class Passage:
    """How a proxy is reached.

    Args:
        proxies: what was configured.
        proxy: the one of them.
        servers: name servers, as of `probes.wire.net.resolve`.
        source_ip: as of `probes.wire.net.open_connection`.
        ip: family of the target; here it is preferred, as a proxy may know both.
    """

    proxies: Proxies
    proxy: Proxy
    servers: Servers = ()
    source_ip: str | None = None
    ip: IpChoice = ANY_IP


_PREFERRED: dict[IpChoice, IpChoice] = {"4": "prefer_4", "6": "prefer_6"}


async def open_through(
    passage: Passage,
    goal: Goal,
    factory: Callable[[], P],
    recorder: Recorder,
    *,
    tls: Tls | None = None,
    tunnels: bool = True,
) -> tuple[asyncio.Transport, P]:
    """Connect to *goal* through a proxy; phases ``connect`` and, with *tls*, ``tls``.

    Args:
        passage: through which proxy.
        goal: judged here, right before it is asked for.
        factory: makes the protocol that speaks to the target.
        recorder: gets phases and what the target showed in its TLS.
        tls: None stays in plain text.
        tunnels: false for a request in absolute form: an HTTP proxy is told by the request itself
            where to go.

    Raises:
        CheckFailed: as `resolve` and `open_connection` do, about the proxy, in phase ``connect``;
            ``auth``: it wants another user; ``unreachable``, ``refused``, ``status``: what it says
            of the target; ``protocol``, ``too_large``, ``closed``: it is no proxy.
    """
    proxy = passage.proxy
    tunnels = tunnels or proxy.is_socks
    goal.judge(tunnels=tunnels)
    recorder.enter("connect")
    recorder.fact("proxy", str(proxy))
    for secret in (proxy.password, proxy.encoded):
        recorder.hide(secret)
    try:
        connection = await _reach(passage, recorder)
    except CheckFailed as failure:
        raise _about(proxy, failure) from None
    try:
        if tunnels:
            await _ask(passage, goal, connection)
            connection.passes_on(goal.address)
        if tls is not None:
            await connection.start_tls(tls.context, tls.server_name, hop=goal.hop)
        else:
            recorder.leave()
        protocol = factory()
        return connection.hand_over(protocol), protocol
    except BaseException:
        connection.abort()
        raise


async def _reach(passage: Passage, recorder: Recorder) -> Connection:
    """Dial the proxy. What is found on the way is no fact of the target."""
    proxy, aside = passage.proxy, Recorder(recorder.deadline)
    with POLICY.set(_AS_WRITTEN):
        ip = _PREFERRED.get(passage.ip, passage.ip)
        address = await resolve(proxy.host, proxy.port, aside, ip=ip, servers=passage.servers)
        options, is_tls = passage.proxies.tls, proxy.scheme == "https"
        if is_tls and options.has_files:
            await options.reread(aside)
        _, connection = await open_connection(
            lambda: Connection(recorder, address),
            address,
            aside,
            context=options.context(PROXY_ALPN) if is_tls else None,
            server_name=options.server_name or tls_name(proxy.host),
            source_ip=passage.source_ip,
        )
    return connection


async def _ask(passage: Passage, goal: Goal, connection: Connection) -> None:
    proxy = passage.proxy
    try:
        if proxy.is_socks:
            await ask_socks(connection, proxy.user, proxy.password, goal.host, goal.url.port)
        else:
            connection.write(connect_request(passage, goal))
            _judge(await read_head(connection))
    except CheckFailed as failure:
        raise _about(proxy, failure) from None


def _about(proxy: Proxy, failure: CheckFailed) -> CheckFailed:
    message = f"proxy {proxy.authority}: {failure.message}"
    return CheckFailed(failure.reason, message, phase="connect")


def proxy_login(proxy: Proxy) -> tuple[tuple[str, str], ...]:
    """Return the header that tells an HTTP proxy who asks; none without a user."""
    return (("Proxy-Authorization", f"Basic {proxy.encoded}"),) if proxy.encoded else ()


def connect_request(passage: Passage, goal: Goal) -> bytes:
    """Return CONNECT as it goes out; configured headers win over ours."""
    configured = passage.proxies.connect_headers
    names = {name.lower() for name, _ in configured}
    own = (("User-Agent", USER_AGENT), *proxy_login(passage.proxy))
    headers = (*[(n, v) for n, v in own if n.lower() not in names], *configured)
    host = "" if "host" in names else f"Host: {goal.host_port}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"CONNECT {goal.host_port} HTTP/1.1\r\n{host}{lines}\r\n".encode()


async def read_head(connection: Connection) -> Response:
    """Read the final answer to a CONNECT, and not one byte more: what follows is the target's.

    Raises:
        CheckFailed: ``protocol``, ``too_large``, ``closed``.
    """
    response = Response(_NOWHERE, _NO_BODY)
    codec = Http1(response, head_only=True)
    try:
        while not codec.has_head:
            codec.feed(await _read_one_head(connection))
            if codec.failure is not None:
                raise codec.failure
    finally:
        codec.close()
    return response


_NOWHERE = Url("http", "", 0, "/")


async def _read_one_head(connection: Connection) -> bytes:
    # so that what is no HTTP at all is told at once, and not when the deadline has come
    head = await connection.read_exactly(len(_BEGIN))
    if head != _BEGIN:
        raise CheckFailed(Reason.PROTOCOL, f"want an HTTP/1.1 answer, got {short(head)}")
    for _ in range(MAX_HEADERS + 2):
        line = await connection.read_until(b"\n", MAX_LINE_BYTES)
        head += line
        if len(head) > MAX_HEAD_BYTES:
            break
        if line in (b"\r\n", b"\n"):
            return head
    raise CheckFailed(Reason.TOO_LARGE, "want a head of a usual size, got a larger one")


def _judge(response: Response) -> None:
    status = response.status
    if _FIRST_FINAL <= status < _FIRST_REDIRECT:
        return
    got = short(f"{status} {response.reason.decode('latin-1')}".rstrip())
    if status == _WANTS_LOGIN:
        message = f"want user and password of the proxy accepted, got {got}"
        raise CheckFailed(Reason.AUTH, message)
    reason = Reason.UNREACHABLE if status in _NOT_REACHED else Reason.STATUS
    raise CheckFailed(reason, f"want a tunnel to the target, got {got}")
