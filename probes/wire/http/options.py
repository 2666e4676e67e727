"""How an exchange of HTTP goes about it: one frozen value. Makes no request."""

from dataclasses import dataclass, field

from probes.wire.address import ANY_IP, IpChoice
from probes.wire.http.message import MAX_REDIRECTS, Limits
from probes.wire.http.proxies.settings import Proxies
from probes.wire.http.redirect import Nearness
from probes.wire.net import Servers
from probes.wire.tls.settings import TlsOptions

HTTP2 = "h2"
HTTP1 = "http/1.1"
HTTP1_ALPN = (HTTP1,)
HTTP2_ALPN = (HTTP2,)
BOTH_ALPN = (HTTP2, HTTP1)
HTTP3_ALPN = ("h3",)
"""HTTP/3 at once and nothing else: no server is asked over two transports."""
DEFAULT_LIMITS = Limits()
DEFAULT_TLS = TlsOptions()


@dataclass(frozen=True, slots=True)
class Options:
    """How an exchange goes about it.

    Args:
        limits: what an answer may cost.
        ip: which family of addresses is dialled.
        tls: how the peer is verified; the client certificate in it never leaves the first origin.
        alpn: protocols to offer over TLS, in order of preference.
        follow_redirects: whether a redirect is followed or is the answer.
        max_redirects: hops at most.
        source_ip: local address or interface to dial from; None: the system's choice.
        proxies: through which of them a request goes; None: straight on.
        servers: name servers, as of `probes.wire.net.resolve`; none: the system's.
        stays_near: who may see credentials behind a redirect: see `Trail`.
    """

    limits: Limits = DEFAULT_LIMITS
    ip: IpChoice = ANY_IP
    tls: TlsOptions = field(default=DEFAULT_TLS)
    alpn: tuple[str, ...] = BOTH_ALPN
    follow_redirects: bool = True
    max_redirects: int = MAX_REDIRECTS
    source_ip: str | None = None
    proxies: Proxies | None = None
    servers: Servers = ()
    stays_near: Nearness = "origin"
    foreign_tls: TlsOptions = field(init=False, compare=False)
    """How peers of other origins are verified: no client certificate, no pinned name. Made once,
    because building its context costs 40 ms."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "foreign_tls", self.tls.for_others())

    def prepare(self) -> None:
        """Do now, off the loop, what the first dial over TLS would wait for."""
        self.tls.prepare(self.alpn)
        if self.follow_redirects and self.foreign_tls is not self.tls:
            self.foreign_tls.prepare(self.alpn)
        if self.proxies is not None:
            self.proxies.prepare()


DEFAULT_OPTIONS = Options()
