"""The one way out of a browser: a SOCKS5 proxy that dials under the policy of one run.

    outlet = Outlet(policy, base_url)                # one run, one port, one ledger
    port = await outlet.open()
    outlet.ledger.refused                            # (host, port) -> why the page did not get it
    await outlet.close()

Chromium is told to go through it with everything, names and all, so each address is judged after
DNS, at the dial: of sub-resources, redirects, web sockets, and of names that change their mind.
Knows neither TLS nor HTTP: bytes pass as they are.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from probes.browser.owners import Owners
from probes.browser.passage import Client, Target
from probes.browser.socks import Destination, Refused, Reply, reply
from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import format_size, short
from probes.wire.net import IpChoice, open_connection, resolve
from probes.wire.policy import POLICY, Policy
from probes.wire.url import Url, literal_host

# A page of a hundred hosts with six connections each is no page any more.
MAX_CONNECTIONS = 256
# As much as a large video; who needs more is not a journey but a download.
MAX_BYTES = 256 * 1024 * 1024
# Chromium speaks at once.
HANDSHAKE_S = 10.0
# Chromium gives up a connection after four minutes; a dead address must not hold a page so long.
DIAL_S = 30.0
# A run is told which origins were refused; a page may ask for any number of them.
MAX_ORIGINS = 1000

# What Chromium asks of its maker by itself whenever a form or an error stands in a page: no page of
# a journey has business there, and nobody told it to.
SILENCED = frozenset({"connectivitycheck.gstatic.com", "content-autofill.googleapis.com"})

Origin = tuple[str, int]

_NOBODY_THERE = frozenset({Reason.REFUSED, Reason.UNREACHABLE})
_REPLIES: Mapping[Reason, Reply] = {
    Reason.POLICY: Reply.NOT_ALLOWED,
    Reason.BLOCKED: Reply.NOT_ALLOWED,
    Reason.TOO_LARGE: Reply.NOT_ALLOWED,
    Reason.REFUSED: Reply.REFUSED,
    Reason.UNREACHABLE: Reply.NETWORK_UNREACHABLE,
    Reason.TIMEOUT: Reply.HOST_UNREACHABLE,
    Reason.DNS_NXDOMAIN: Reply.HOST_UNREACHABLE,
    Reason.DNS_NO_ADDRESS: Reply.HOST_UNREACHABLE,
    Reason.DNS_SERVFAIL: Reply.HOST_UNREACHABLE,
    Reason.DNS_TIMEOUT: Reply.HOST_UNREACHABLE,
}


@dataclass(slots=True)
class Traffic:
    """What went to and came from one origin; ``phases`` are those of the first dial, seconds."""

    connections: int = 0
    sent: int = 0
    received: int = 0
    phases: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(slots=True)
class Ledger:
    """What one run did on the network.

    Args:
        traffic: of every origin that was dialled.
        refused: why there is no connection to an origin: the last word.
        connections: that the browser asked for.
        strangers: connections that came from somebody else, or spoke another protocol.
        bytes: both ways.
        spent: why nothing goes any more; None: all is well.
    """

    traffic: dict[Origin, Traffic] = field(default_factory=dict[Origin, Traffic])
    refused: dict[Origin, CheckFailed] = field(default_factory=dict[Origin, CheckFailed])
    connections: int = 0
    strangers: int = 0
    bytes: int = 0
    spent: CheckFailed | None = None


class Outlet:
    """The proxy of one run, on a port of its own of 127.0.0.1.

    Args:
        policy: who may be reached; None: nobody.
        first: the origin of the journey itself, which the policy knows as hop 0. Its scheme is
            known; what the browser speaks to all others nobody sees.
        owner: user whose connections are served; None: our own.
        servers: name servers instead of the system's.
        max_connections: that the run may open.
        max_bytes: that may pass, both ways together.
    """

    def __init__(
        self,
        policy: Policy | None,
        first: Url | None = None,
        *,
        owner: int | None = None,
        servers: tuple[str, ...] = (),
        max_connections: int = MAX_CONNECTIONS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.ledger = Ledger()
        self._policy = policy
        self._first = None if first is None else (first.host, first.port)
        self._scheme = None if first is None else first.scheme
        self._owner = os.geteuid() if owner is None else owner
        self._servers = servers
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._server: asyncio.Server | None = None
        self._owners: Owners | None = None
        self._clients: set[Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Listen; return the port.

        Raises:
            OSError: no descriptor or port is left.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Client(self._arrive, self._leave), "127.0.0.1", 0
        )
        port = int(self._server.sockets[0].getsockname()[1])
        self._owners = Owners(port)
        return port

    async def close(self) -> None:
        """Cut every connection and stop to listen. Closing twice is fine."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        for client in tuple(self._clients):
            client.abort()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _arrive(self, client: Client) -> None:
        self._clients.add(client)
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _leave(self, client: Client) -> None:
        self._clients.discard(client)

    def _count(self, traffic: Traffic, *, sent: int = 0, received: int = 0) -> None:
        traffic.sent += sent
        traffic.received += received
        self.ledger.bytes += sent + received
        if self.ledger.bytes > self._max_bytes and self.ledger.spent is None:
            limit = format_size(self._max_bytes)
            self._spend(_too_much(f"want at most {limit} over the network in a run, got more"))
            for client in tuple(self._clients):
                client.abort()

    def _spend(self, failure: CheckFailed) -> None:
        if self.ledger.spent is None:
            self.ledger.spent = failure

    async def _serve(self, client: Client) -> None:
        try:
            if not await self._knows(client):
                self.ledger.strangers += 1
                client.abort()
                return
            client.begin()
            async with asyncio.timeout(HANDSHAKE_S):
                destination = await client.destination
        except Refused as error:
            self.ledger.strangers += 1
            client.end(error.answer)
            return
        except CheckFailed as failure:
            # who cannot be told from a stranger is served no more than one
            self._spend(failure)
            client.abort()
            return
        except (TimeoutError, EOFError):
            # the browser opens connections in advance and may never use them
            client.abort()
            return
        await self._connect(client, destination)

    async def _knows(self, client: Client) -> bool:
        return self._owners is not None and await self._owners.uid(client.peer_port) == self._owner

    async def _connect(self, client: Client, destination: Destination) -> None:
        if destination.host in SILENCED:
            client.end(reply(Reply.NOT_ALLOWED))
            return
        origin = (destination.host, destination.port)
        recorder = Recorder()
        try:
            self._admit()
            target = await self._dial(destination, recorder)
        except CheckFailed as failure:
            if origin in self.ledger.refused or len(self.ledger.refused) < MAX_ORIGINS:
                self.ledger.refused[origin] = failure
            client.end(reply(_REPLIES.get(failure.reason, Reply.FAILED)))
            return
        traffic = self._traffic_of(origin)
        if not traffic.connections:
            traffic.phases = {phase.name: phase.seconds for phase in recorder.phases}
        traffic.connections += 1
        client.join(
            target,
            lambda size: self._count(traffic, sent=size),
            lambda size: self._count(traffic, received=size),
        )

    def _admit(self) -> None:
        """Raise when this run may open no connection any more."""
        self.ledger.connections += 1
        if self.ledger.connections > self._max_connections:
            limit = self._max_connections
            self._spend(_too_much(f"want at most {limit} connections in a run, got more"))
        if self.ledger.spent is not None:
            raise self.ledger.spent

    def _traffic_of(self, origin: Origin) -> Traffic:
        return self.ledger.traffic.setdefault(origin, Traffic())

    async def _dial(self, destination: Destination, recorder: Recorder) -> Target:
        host, port = destination.host, destination.port
        there = f"{literal_host(host)}:{port}"
        if self._policy is None:
            raise CheckFailed(
                Reason.BLOCKED, f"want no traffic outside of a run, got {short(there)}"
            )
        hop = 0 if (host, port) == self._first else 1
        try:
            with POLICY.set(self._policy):
                async with asyncio.timeout(DIAL_S):
                    return await self._reach(host, port, recorder, hop)
        except TimeoutError:
            raise CheckFailed(
                Reason.TIMEOUT,
                f"want a connection to {there} within {DIAL_S:g} s, got none",
                phase=recorder.phase_name,
            ) from None
        except CheckFailed as failure:
            if failure.reason is not Reason.BLOCKED:
                raise
            # the dial speaks of redirects, which is all that has a later hop elsewhere
            raise CheckFailed(
                Reason.BLOCKED,
                f"want a request within the target policy, got one to {there}",
                phase="connect",
            ) from None

    async def _reach(self, host: str, port: int, recorder: Recorder, hop: int) -> Target:
        """Dial a name; where nobody listens at one address, try one of the other family.

        Browsers do, so a page at localhost is there for a user, whichever of its two addresses the
        server has. What the first address brought is told when the second one brings nothing.
        """
        address = await resolve(host, port, recorder, servers=self._servers, hop=hop)
        scheme = None if hop else self._scheme
        try:
            _, target = await open_connection(Target, address, recorder, hop=hop, scheme=scheme)
        except CheckFailed as failure:
            if failure.reason not in _NOBODY_THERE or address.ip == host:
                raise
            family: IpChoice = "6" if address.family == 4 else "4"  # noqa: PLR2004 - IPv4
            try:
                other = await resolve(host, port, Recorder(), ip=family, servers=self._servers)
                _, target = await open_connection(Target, other, Recorder(), hop=hop, scheme=scheme)
            except CheckFailed:
                raise failure from None
        return target


def _too_much(message: str) -> CheckFailed:
    return CheckFailed(Reason.TOO_LARGE, message)
