"""Kind ``tcp``: open a connection, talk a few lines if asked to, and leave.

The talk itself is `probes.wire.dialog.kind`'s business; connecting, TLS and certificates are
`probes.wire.net`'s.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import ClassVar, Self

from probes.errors import CheckFailed
from probes.kind import Metric
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.dialog.kind import DEFAULT_TLS, TALKING_METRICS, Talking
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.net import ANY_IP, Connection, IpChoice, dial, resolve
from probes.wire.source import Source
from probes.wire.sweep import SWEEP_METRICS, AddressKeys, sweep
from probes.wire.tls.settings import NET_METRICS
from probes.wire.url import canonical_host, split_host_port, tls_name


class Tcp(AddressKeys, Talking):
    """Open a TCP connection; with ``expect`` or ``dialog``, talk and judge what comes back.

    Connecting, and with ``tls`` the handshake, is the whole check when nothing else is asked for.

    Target:
        ``host:port``

    Source:
        RFC 9293
    """

    name = "tcp"
    phases = ("resolve", "connect", "tls", "dialog")
    parameters = ("ip",)
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("tcp_banner_bytes", "Bytes read from the target after connecting"),
        *NET_METRICS,
        *TALKING_METRICS,
        *SWEEP_METRICS,
    )

    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address of this host to come from, or the name of one of its interfaces."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""

    def check_target(self, target: str) -> None:
        split_host_port(target)

    def for_hostname(self, hostname: str) -> Self:
        """Return the same check with *hostname* to ask for and to verify over TLS.

        The name that the file gives wins.

        Raises:
            ValueError: no host name.
        """
        name = tls_name(canonical_host(hostname))
        tls = self.tls or (DEFAULT_TLS if self.upgrades else None)
        if tls is None or tls.server_name:
            return self
        return self.model_copy(update={"tls": tls.model_copy(update={"server_name": name})})

    def prepare(self, target: str) -> None:
        super().prepare(target)
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        try:
            host, port = split_host_port(target)
        except ValueError as error:
            # of `/probe`: nothing is resolved, so nothing is told of an address
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        servers = self.resolver.addresses
        if self.sweeps:
            once = partial(self.run, target)
            await sweep(host, port, recorder, once, ip=self.ip, servers=servers)
            return
        name = self.tls_or_default.server_name

        @asynccontextmanager
        async def opening(*, context: ssl.SSLContext | None) -> AsyncIterator[Connection]:
            # within `judge`: what it tells of every run is told without an address, too
            address = await resolve(host, port, recorder, ip=self.ip, servers=servers)
            async with dial(
                address,
                recorder,
                context=context,
                server_name=name,
                source_ip=self.source or None,
            ) as connection:
                yield connection

        await self.judge(opening, recorder, server_name=name)
