"""The ``resolver:`` block of the probe file: which name servers are asked, and how.

Over udp and tcp `probes.wire.net` asks them, and honours the hosts file; over TLS and HTTPS
`probes.wire.dns` does. Knows no target.
"""

import asyncio
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.address import IpChoice, literal_address
from probes.wire.net import DNS_TIMEOUT_S, OVER_TCP, Servers
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import literal_host, split_host_port

if TYPE_CHECKING:
    from probes.wire.dns.exchange import Way

# RFC 1035, RFC 7858, RFC 8484
_PORTS = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
# c-ares asks them in turn within one deadline: more are never reached.
MAX_SERVERS = 8
# What another server would say too.
_FINAL = frozenset({Reason.DNS_NXDOMAIN, Reason.DNS_NO_ADDRESS})

Transport = Literal["udp", "tcp", "tls", "https"]


def _judge_server(text: str) -> str:
    host, port = split_host_port(text, 1)
    if literal_address(host, port) is None:
        raise ValueError(f"want the address of a name server, got {short(text)}")
    return text


Nameserver = Annotated[str, AfterValidator(_judge_server)]


class ResolverOptions(Settings):
    """Name servers to ask instead of the system's."""

    servers: tuple[Nameserver, ...] = Field(default=(), max_length=MAX_SERVERS)
    """Addresses, with port or without; none: the system's."""
    transport: Transport = "udp"
    """How they are asked; over udp, what does not fit is asked for again over tcp. Over udp and tcp
    the hosts file is honoured first."""
    tls: TlsOptions = TlsOptions()
    """How they are verified, over tls and https."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.transport != "udp" and not self.servers:
            raise ValueError(f"want servers beside the transport {self.transport}, got none")
        return self

    @cached_property
    def addresses(self) -> Servers:
        """The servers as `probes.wire.net.resolve` takes them."""
        found: list[str] = []
        for text in self.servers:
            host, port = split_host_port(text, _PORTS[self.transport])
            found.append(f"{literal_host(host)}:{port}")
        if self.transport in ("tls", "https"):
            return partial(self._ask, tuple(found))
        return tuple(f"{OVER_TCP * (self.transport == 'tcp')}{server}" for server in found)

    def prepare(self) -> None:
        """Do now, off the loop, what the first question would wait for."""
        if self.transport in ("tls", "https"):
            import_module("probes.wire.dns.lookup")
            self._way.prepare()

    @cached_property
    def _way(self) -> "Way":
        from probes.wire.dns.exchange import Way  # noqa: PLC0415 - it costs 30 ms of start

        return Way(self.transport, tls=self.tls)

    async def _ask(
        self, servers: tuple[str, ...], host: str, ip: IpChoice, deadline: float
    ) -> tuple[str, ...]:
        """Ask one server after the other, until one knows.

        One that is silent has its share of the time, so that the next one has its turn, too.
        """
        from probes.wire.dns.lookup import look_up  # noqa: PLC0415 - it costs 30 ms of start

        failure: CheckFailed | None = None
        clock = asyncio.get_running_loop().time
        for number, server in enumerate(servers, 1):
            left = len(servers) - number
            share_s = min(DNS_TIMEOUT_S, (deadline - clock()) / (left + 1))
            try:
                async with asyncio.timeout(share_s if left else None):
                    return await look_up(host, server, self._way, ip=ip, deadline=deadline)
            except TimeoutError:
                failure = failure or _silent(server)
            except CheckFailed as error:
                if error.reason in _FINAL:
                    raise
                failure = failure or error
        if failure is None:
            raise CheckFailed(Reason.CONFIG, "want a name server to ask, got none")
        raise failure


def _silent(server: str) -> CheckFailed:
    text = f"want an answer of the name server {short(server)} in time, got none"
    return CheckFailed(Reason.DNS_TIMEOUT, text, phase="resolve")
