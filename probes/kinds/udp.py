"""Kind ``udp``: send a datagram and judge what comes back, or that nothing does.

Knows when to send again and when to give up; sockets are `probes.wire.datagram`'s business. Each
packet of several has a socket of its own, so that a late answer is never taken for the next one's.
"""

import asyncio
from statistics import fmean
from time import perf_counter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.expect import DurationBand, Pattern, RatioBand, searchable
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.settings import Settings
from probes.units import Duration, format_duration, short
from probes.wire.address import Address
from probes.wire.datagram import Datagram, open_datagram
from probes.wire.dialog.steps import Octets, Text
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.net import ANY_IP, IpChoice, resolve
from probes.wire.source import Source
from probes.wire.tls.settings import NET_METRICS, shared_metrics
from probes.wire.url import split_host_port

# What one may ask of a host that is not one's own: a burst, no flood.
MAX_COUNT = 1000
MAX_RESEND = 16
DEFAULT_INTERVAL_S = 0.2
# RFC 8085, 3.1.1: how long one waits for a datagram when nothing is known of the way
DEFAULT_WAIT_S = 1.0
# What of the deadline is left for the verdict where silence is one.
VERDICT_S = 0.05


def _to_expect(value: object) -> object:
    return {"answer": value} if isinstance(value, str | Pattern) else value


class UdpExpect(Settings):
    """What fails the run when it is missed."""

    answer: Pattern | None = None
    """Pattern that the answer holds."""
    answer_bytes: Octets | None = None
    """The answer, byte by byte."""
    rtt: DurationBand | None = None
    """Time from sending to the answer; of several, their mean."""
    loss: RatioBand | None = None
    """Share of the packets without an answer; without it only the loss of all fails."""
    latency: DurationBand | None = None
    """Time of the whole run."""


class Udp(Kind):
    """Send a datagram and wait for the answer; with ``count``, several one after the other.

    A port that nobody listens on is ``refused`` if its host says so. Many services are silent
    instead: ``silence: allowed`` takes that for an answer too.

    Target:
        ``host:port``

    Source:
        RFC 768
    """

    name = "udp"
    phases = ("resolve", "connect", "dialog")
    parameters = ("ip",)
    ends_at_once = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("udp_packets_sent", "Datagrams sent, those that were sent again included"),
        Metric("udp_answer_bytes", "Length of the last answer in bytes; 0 without any"),
        Metric("udp_loss_ratio", "Share of several packets without an answer"),
        Metric("udp_rtt_min_seconds", "Shortest time to the answer of several packets, in seconds"),
        Metric("udp_rtt_avg_seconds", "Mean time to the answer of several packets, in seconds"),
        Metric("udp_rtt_max_seconds", "Longest time to the answer of several packets, in seconds"),
        *shared_metrics("failed_due_to_regex", "failed_due_to_bytes"),
        *NET_METRICS,
    )

    send: Text
    """What the datagram holds."""
    expect: Annotated[
        UdpExpect, BeforeValidator(_to_expect, json_schema_input_type=str | UdpExpect)
    ] = UdpExpect()
    """What the answer should be; a bare text is its pattern."""
    silence: Literal["fails", "allowed"] = "fails"
    """Whether no answer within ``wait`` is fine too."""
    count: int = Field(default=1, ge=1, le=MAX_COUNT)
    """Packets to send, each after the answer to the one before."""
    interval: Duration = DEFAULT_INTERVAL_S
    """Time between two packets of several, at least."""
    resend: int = Field(default=0, ge=0, le=MAX_RESEND)
    """How many times a packet without an answer is sent again."""
    wait: Duration = DEFAULT_WAIT_S
    """How long an answer is awaited before a packet is sent again, or lost. The last one of a
    single packet is awaited until the timeout."""
    ip: IpChoice = ANY_IP
    """Which address of the name is asked: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address or interface of this host to come from."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.expect.answer is not None and self.expect.answer_bytes is not None:
            raise ValueError("want answer or answer_bytes, got both")
        if self.expect.loss is not None and self.count == 1:
            raise ValueError("want a count of 2 or more where loss is expected, got 1")
        return self

    def check_target(self, target: str) -> None:
        split_host_port(target)

    def check_times(self, every_s: float, timeout_s: float) -> None:  # noqa: ARG002 - of all kinds
        busy_s = max(self.interval * (self.count - 1), self.wait * self.resend)
        if busy_s >= timeout_s:
            raise ValueError(
                f"want all packets sent within the timeout of {format_duration(timeout_s)},"
                f" got {format_duration(round(busy_s, 9))} for sending them"
            )

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        try:
            host, port = split_host_port(target)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        talk = _Talk(self, recorder)
        try:
            servers = self.resolver.addresses
            await talk.play(await resolve(host, port, recorder, ip=self.ip, servers=servers))
        finally:
            talk.record()
        talk.judge()


class _Talk:
    """Packets and answers, and how they failed."""

    def __init__(self, kind: Udp, recorder: Recorder) -> None:
        self._kind = kind
        self._recorder = recorder
        self._data = _octets(kind.send)
        self._packets = self._sent = self._answer_bytes = 0
        self._round_trips: list[float] = []
        self._missed_pattern = self._missed_bytes = False

    async def play(self, address: Address) -> None:
        """Send all packets, and judge each answer as it comes.

        Raises:
            CheckFailed: ``refused``, ``unreachable``; ``body``: another answer.
        """
        loop, kind = asyncio.get_running_loop(), self._kind
        started = loop.time()
        last_at = self._recorder.deadline - VERDICT_S
        for number in range(kind.count):
            pause_s = started + number * kind.interval - loop.time()
            if pause_s > 0:
                await asyncio.sleep(min(pause_s, max(0.0, last_at - loop.time())))
            if number and loop.time() >= last_at:
                return
            self._packets += 1
            async with open_datagram(
                address, self._recorder, source_ip=kind.source or None
            ) as datagram:
                self._recorder.enter("dialog")
                answer = await self._ask(datagram)
            if answer is not None:
                self._recorder.leave()
                self._judge_answer(answer)

    async def _ask(self, datagram: Datagram) -> bytes | None:
        loop, kind = asyncio.get_running_loop(), self._kind
        ends_in_silence = kind.count > 1 or kind.silence == "allowed"
        for again in range(kind.resend + 1):
            # the loop's own clock is too coarse for round trips: a turn of it is one moment
            sent_at = perf_counter()
            datagram.send(self._data)
            self._sent += 1
            until = None
            if again < kind.resend or ends_in_silence:
                until = min(loop.time() + kind.wait, self._recorder.deadline - VERDICT_S)
            try:
                async with asyncio.timeout_at(until):
                    answer = await datagram.receive()
            except TimeoutError:
                continue
            self._round_trips.append(perf_counter() - sent_at)
            self._answer_bytes = len(answer)
            return answer
        return None

    def _judge_answer(self, answer: bytes) -> None:
        wanted, exact = self._kind.expect.answer, self._kind.expect.answer_bytes
        shown = short(answer.decode("utf-8", "replace"))
        if wanted is not None and wanted.search(searchable(answer)) is None:
            self._missed_pattern = True
            raise CheckFailed(
                Reason.BODY,
                f"want an answer that matches {short(str(wanted))}, got {shown}",
                phase="dialog",
            )
        if exact is not None and answer != exact:
            self._missed_bytes = True
            raise CheckFailed(
                Reason.BODY, f"want {short(exact)}, got {short(answer)}", phase="dialog"
            )

    @property
    def _loss(self) -> float:
        return 1 - len(self._round_trips) / self._packets

    def record(self) -> None:
        """Write down the numbers so far, also of a run that broke off."""
        tell, times = self._recorder.sample, self._round_trips
        tell("udp_packets_sent", self._sent)
        tell("udp_answer_bytes", self._answer_bytes)
        tell("failed_due_to_regex", float(self._missed_pattern))
        tell("failed_due_to_bytes", float(self._missed_bytes))
        if self._kind.count > 1 and self._packets:
            tell("udp_loss_ratio", self._loss)
            if times:
                tell("udp_rtt_min_seconds", min(times))
                tell("udp_rtt_avg_seconds", fmean(times))
                tell("udp_rtt_max_seconds", max(times))

    def judge(self) -> None:
        """Judge all packets together.

        Raises:
            CheckFailed: ``timeout``: no answer at all; ``value``, ``latency``: an expectation.
        """
        kind, recorder, expect = self._kind, self._recorder, self._kind.expect
        if self._packets < kind.count:
            raise CheckFailed(
                Reason.TIMEOUT,
                f"want {kind.count} packets sent before the timeout, got {self._packets}",
                phase="dialog",
            )
        if not self._round_trips and kind.silence == "fails":
            raise CheckFailed(
                Reason.TIMEOUT,
                f"want an answer within {format_duration(kind.wait)}, got none to"
                f" {self._sent} datagrams",
                phase="dialog",
            )
        recorder.leave()
        if expect.loss is not None:
            expect.loss.judge(self._loss, recorder, "loss")
        if expect.rtt is not None and self._round_trips:
            expect.rtt.judge(fmean(self._round_trips), recorder, what="an answer in")
        if expect.latency is not None:
            expect.latency.judge(recorder.elapsed(), recorder)


def _octets(text: str | bytes | Secret) -> bytes:
    if isinstance(text, bytes):
        return text
    return (text.get_secret_value() if isinstance(text, Secret) else text).encode()
