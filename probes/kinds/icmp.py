"""Kind ``icmp``: send echo requests, wait for the replies, and judge what got lost or was slow.

Knows when to send and what replies amount to; packets and sockets are `probes.wire.icmp.echo`'s
business.
"""

import asyncio
import os
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Annotated, ClassVar, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from probes.errors import CheckFailed
from probes.expect import DurationBand, NumberBand, RatioBand
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import SIZE_PATTERN, Duration, format_duration, format_size, parse_size
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.icmp.codec import MAX_PAYLOAD_BYTES, TEXT_BYTES, payload_of
from probes.wire.icmp.echo import EchoSocket, Reply, Way, open_echo
from probes.wire.net import ANY_IP, IpChoice, resolve
from probes.wire.source import Source
from probes.wire.tls.settings import NET_METRICS, shared_metrics
from probes.wire.url import canonical_host

# What one may ask of a host that is not one's own: a burst, no flood.
MAX_COUNT = 1000
DEFAULT_INTERVAL_S = 0.2
# ping(8) of iputils refuses less to everybody but root.
MIN_INTERVAL_S = 0.002
# Round trips on earth take less; those of a burst that take longer count as lost.
DEFAULT_WAIT_S = 1.0
# What of the deadline is left for the verdict of a burst.
VERDICT_S = 0.05
# blackbox.md 3.2
DEFAULT_TTL, MAX_TTL = 64, 255


def _to_bytes(value: object) -> object:
    # blackbox.yml writes a bare number, and 0 for the text as it is
    if isinstance(value, int) and not isinstance(value, bool):
        return value or TEXT_BYTES
    return parse_size(value)


PayloadSize = Annotated[
    int,
    Field(ge=1, le=MAX_PAYLOAD_BYTES),
    BeforeValidator(_to_bytes),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_PAYLOAD_BYTES},
                {"type": "string", "pattern": SIZE_PATTERN},
            ],
            "examples": ["56B", "1472B"],
        }
    ),
]
"""Bytes of payload; a size, or a bare number of bytes."""


class IcmpExpect(Settings):
    """What fails the run when it is missed."""

    rtt: DurationBand | None = None
    """Time of the round trip; of several, their mean."""
    loss: RatioBand | None = None
    """Share of the requests without a reply; without it only the loss of all fails."""
    jitter: DurationBand | None = None
    """Mean difference between a round trip and the one before."""
    duplicates: NumberBand | None = None
    """Replies to a request that was answered already."""


class Icmp(Kind):
    """Send an ICMP echo and wait for the reply; with ``count``, a burst of them.

    One echo waits for its reply until the timeout. In a burst, a reply that takes longer than
    ``wait`` is lost. A router that says that the target cannot be reached ends the run at once.

    Needs no rights where ``net.ipv4.ping_group_range`` holds a group of the process (containers
    mostly), else ``CAP_NET_RAW``; without either the outcome is unknown.

    Target:
        ``host``

    Source:
        RFC 792, RFC 4443
    """

    name = "icmp"
    phases = ("resolve", "setup", "rtt")
    parameters = ("count", "interval", "payload_size", "dont_fragment", "ttl", "ip")
    phase_family = "icmp_duration_seconds"
    ends_at_once = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        *shared_metrics("icmp_reply_hop_limit"),
        Metric("icmp_packets_sent", "Echo requests sent in a burst"),
        Metric("icmp_packets_received", "Echo requests of a burst that were answered"),
        Metric("icmp_duplicates", "Replies of a burst to requests that were answered already"),
        Metric("icmp_loss_ratio", "Share of the echo requests of a burst without a reply"),
        Metric("icmp_rtt_min_seconds", "Shortest round trip of a burst, in seconds"),
        Metric("icmp_rtt_avg_seconds", "Mean round trip of a burst, in seconds"),
        Metric("icmp_rtt_max_seconds", "Longest round trip of a burst, in seconds"),
        Metric("icmp_rtt_stddev_seconds", "Standard deviation of the round trips, in seconds"),
        Metric("icmp_jitter_seconds", "Mean difference of two successive round trips, in seconds"),
        *NET_METRICS,
    )

    count: int = Field(default=1, ge=1, le=MAX_COUNT)
    """Echo requests to send."""
    interval: Duration = DEFAULT_INTERVAL_S
    """Time between two requests of a burst."""
    wait: Duration = DEFAULT_WAIT_S
    """Time after which a request of a burst counts as lost."""
    payload_size: PayloadSize = TEXT_BYTES
    """Bytes of payload, without the headers of ICMP and IP (28 and 48 bytes)."""
    dont_fragment: bool = False
    """Whether no router may cut the packets (IPv4); those of IPv6 never do."""
    ttl: int = Field(default=DEFAULT_TTL, ge=0, le=MAX_TTL)
    """Hops that a packet may take; 0: as the system does."""
    expect: IcmpExpect = IcmpExpect()
    """What the replies should be like."""
    ip: IpChoice = ANY_IP
    """Which address of the name is asked: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address or interface of this host to come from."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.interval < MIN_INTERVAL_S:
            least, got = format_duration(MIN_INTERVAL_S), format_duration(self.interval)
            raise ValueError(f"want an interval of at least {least}, got {got}")
        judged = [key for key in ("loss", "jitter", "duplicates") if getattr(self.expect, key)]
        if judged and self.count == 1:
            raise ValueError(f"want a count of 2 or more where {judged[0]} is expected, got 1")
        return self

    def check_target(self, target: str) -> None:
        canonical_host(target)

    def check_times(self, every_s: float, timeout_s: float) -> None:  # noqa: ARG002 - of all kinds
        busy_s = self.interval * (self.count - 1)
        if busy_s >= timeout_s:
            raise ValueError(
                f"want {self.count} requests within the timeout of {format_duration(timeout_s)},"
                f" got {format_duration(busy_s)} for sending them"
            )

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        try:
            host = canonical_host(target)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        servers = self.resolver.addresses
        address = await resolve(host, 0, recorder, ip=self.ip, servers=servers)
        recorder.fact("address", address.ip)
        way = Way(self.ttl, self.dont_fragment, self.source)
        payload = payload_of(os.urandom(8).hex(), self.payload_size)
        with open_echo(address, recorder, way) as echoes:
            recorder.enter("rtt")
            if self.count == 1:
                await self._ask_once(echoes, payload, recorder)
                return
            burst = _Burst(echoes, payload, self)
            try:
                await burst.play(recorder)
            finally:
                burst.record(recorder)
            burst.judge(recorder, address.ip)

    async def _ask_once(self, echoes: EchoSocket, payload: bytes, recorder: Recorder) -> None:
        echoes.send(payload)
        reply = None
        while reply is None:
            reply = await echoes.receive()
        recorder.leave_after(reply.seconds)
        if reply.hop_limit is not None:
            recorder.sample("icmp_reply_hop_limit", reply.hop_limit)
        if self.expect.rtt is not None:
            self.expect.rtt.judge(reply.seconds, recorder, what="a round trip")


class _Burst:
    """Several echo requests, and what became of them."""

    def __init__(self, echoes: EchoSocket, payload: bytes, kind: Icmp) -> None:
        self._echoes = echoes
        self._payload = payload
        self._kind = kind
        self._sent = self._duplicates = 0
        self._replies: dict[int, Reply] = {}

    async def play(self, recorder: Recorder) -> None:
        """Send at a fixed rate, whatever comes back; then wait for what is still missing."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        last_at = recorder.deadline - VERDICT_S
        for number in range(self._kind.count):
            await self._hear(min(started + number * self._kind.interval, last_at))
            if loop.time() >= last_at:
                return
            self._echoes.send(self._payload)
            self._sent += 1
        await self._hear(min(loop.time() + self._kind.wait, last_at), until_all=True)

    async def _hear(self, until: float, *, until_all: bool = False) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            if until_all and len(self._replies) == self._sent:
                return
            reply = await self._echoes.receive(until)
            if reply is not None:
                self._take(reply)

    def _take(self, reply: Reply) -> None:
        if reply.is_again:
            self._duplicates += 1
        elif reply.seconds <= self._kind.wait:
            self._replies[reply.number] = reply

    @property
    def _round_trips(self) -> Sequence[float]:
        return [self._replies[number].seconds for number in sorted(self._replies)]

    @property
    def _loss(self) -> float:
        return 1 - len(self._replies) / self._sent

    @property
    def _jitter(self) -> float:
        steps = [abs(after - before) for before, after in pairwise(self._round_trips)]
        return fmean(steps) if steps else 0.0

    def record(self, recorder: Recorder) -> None:
        """Write down the numbers so far, also of a run that broke off."""
        if not self._sent:
            return
        recorder.sample("icmp_packets_sent", self._sent)
        recorder.sample("icmp_packets_received", len(self._replies))
        recorder.sample("icmp_duplicates", self._duplicates)
        recorder.sample("icmp_loss_ratio", self._loss)
        times = self._round_trips
        if not times:
            return
        recorder.sample("icmp_rtt_min_seconds", min(times))
        recorder.sample("icmp_rtt_avg_seconds", fmean(times))
        recorder.sample("icmp_rtt_max_seconds", max(times))
        recorder.sample("icmp_rtt_stddev_seconds", pstdev(times))
        recorder.sample("icmp_jitter_seconds", self._jitter)
        hop_limit = self._replies[max(self._replies)].hop_limit
        if hop_limit is not None:
            recorder.sample("icmp_reply_hop_limit", hop_limit)

    def judge(self, recorder: Recorder, ip: str) -> None:
        """Judge the burst as a whole.

        Raises:
            CheckFailed: ``timeout``: no reply at all; ``value``, ``latency``: an expectation.
        """
        kind = self._kind
        if self._sent < kind.count:
            raise CheckFailed(
                Reason.TIMEOUT,
                f"want {kind.count} requests sent before the timeout, got {self._sent}",
                phase="rtt",
            )
        if not self._replies:
            wanted = f"want an echo of {ip} within {format_duration(kind.wait)}"
            raise CheckFailed(
                Reason.TIMEOUT, f"{wanted}, got none to {self._sent} requests", phase="rtt"
            )
        recorder.leave_after(fmean(self._round_trips))
        expect = kind.expect
        if expect.loss is not None:
            expect.loss.judge(self._loss, recorder, "loss")
        if expect.duplicates is not None:
            expect.duplicates.judge(self._duplicates, recorder, "duplicates")
        if expect.rtt is not None:
            expect.rtt.judge(fmean(self._round_trips), recorder, what="a mean round trip")
        if expect.jitter is not None:
            expect.jitter.judge(self._jitter, recorder, what="jitter")
