"""Kind ``dns``: ask a name server one question, and judge its answer.

Knows what is asked and what is expected; how it travels is `probes.wire.dns`'s business.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from probes.errors import CheckFailed
from probes.kind import Kind, Metric
from probes.pattern import suggest
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.dns.answer import SECTIONS, Answer, facts_of
from probes.wire.dns.codes import CLASSES, SOA, TYPES, type_number
from probes.wire.dns.compare import Aspect, compare
from probes.wire.dns.dnssec import DnssecOptions, explain_failure, to_options, validate
from probes.wire.dns.exchange import (
    DEFAULT_PATH,
    PORTS,
    Server,
    Transport,
    Way,
    off_the_loop,
)
from probes.wire.dns.expect import DnsExpect, is_dialect
from probes.wire.dns.question import DEFAULT_PAYLOAD, Edns, Question, encode_name
from probes.wire.source import Source
from probes.wire.tls.settings import (
    NET_METRICS,
    TLS_METRICS,
    TlsOptions,
    judge_certificate,
    shared_metrics,
)
from probes.wire.url import parse_url, split_host_port

# RFC 6891, 6.2.3: less means the same as 512.
MIN_PAYLOAD = 512
MAX_PAYLOAD = 65535
# All of them are asked at once: a zone has a handful, a service of resolvers a dozen.
MAX_SERVERS = 16
# Some 10 ms; thousands of records against hundreds of patterns are searched in a thread.
INLINE_SEARCHES = 5000
ROOT = "."
# RFC 9250: its handshake and its streams are no library's work that is at home here.
_OVER_QUIC = ("quic", "doq")


def _to_name(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if not value.isascii() and not is_dialect(info):
        raise ValueError(f"want a name in ASCII such as xn--nxasmq6b.example, got {short(value)}")
    if value and not is_dialect(info):
        encode_name(value)
    return value


def _to_type(value: object) -> object:
    if isinstance(value, str) and type_number(value) is None:
        known = suggest(value.upper(), TYPES)
        raise ValueError(
            f"want a type of records such as A or TYPE65280, got {short(value)}{known}"
        )
    return value


def _to_class(value: object) -> object:
    if isinstance(value, str) and value not in CLASSES:
        raise ValueError(f"want one of {', '.join(CLASSES)}, got {short(value)}")
    return value


def _to_transport(value: object, info: ValidationInfo) -> object:
    known = get_args(Transport)
    if isinstance(value, str) and value not in known and not is_dialect(info):
        gap = ": sonde does not speak DNS over QUIC" if value in _OVER_QUIC else ""
        raise ValueError(f"want one of {', '.join(known)}, got {short(value)}{gap}")
    return value


def _to_server(value: str) -> str:
    split_host_port(value, PORTS["udp"])
    return value


def _to_edns(value: object) -> object:
    if isinstance(value, bool):
        return {} if value else None
    return value


class EdnsOptions(Settings):
    """What the question says beyond RFC 1035."""

    payload: int = Field(default=DEFAULT_PAYLOAD, ge=MIN_PAYLOAD, le=MAX_PAYLOAD)
    """Size of an answer over UDP that is welcome, in bytes."""
    dnssec: bool = False
    """Ask for signatures."""
    nsid: bool = False
    """Ask the server who it is; a fact tells what it says."""


class Dns(Kind):
    """Ask a name server one question, once, and judge code, flags and records of its answer.

    An answer that is cut off stays so: nothing is asked again over TCP. Questions are not signed
    (TSIG, RFC 8945) and do not travel over QUIC (RFC 9250): a server that wants either answers
    REFUSED or NOTAUTH, or nothing, and that is told.

    Target:
        ``host``, ``host:port`` or an IPv6 address; the port is 53, 853 over TLS, 443 over HTTPS,
        where it may be an https:// URL

    Source:
        RFC 1035, RFC 7858, RFC 8484
    """

    name = "dns"
    phases = ("resolve", "connect", "tls", "request", "validate", "compare")
    parameters = ("query_name", "query_type", "query_class", "recursion", "ip")
    phase_family = "dns_duration_seconds"
    phase_folds: ClassVar[Mapping[str, str]] = {"tls": "connect"}
    metrics: ClassVar[tuple[Metric, ...]] = (
        *shared_metrics(
            "dns_answer_rrs",
            "dns_authority_rrs",
            "dns_additional_rrs",
            "dns_query_succeeded",
            "dns_serial",
        ),
        Metric("dns_answer_bytes", "Size of the answer, in bytes"),
        Metric("dns_truncated", "1 if the answer was cut off"),
        Metric(
            "dns_signature_expiry_timestamp_seconds",
            "When the first signature of the chain of trust ends, as Unix time",
        ),
        Metric(
            "dns_servers_differing",
            "Number of the other servers that say something else, or nothing",
        ),
        *NET_METRICS,
        *TLS_METRICS,
    )

    query_name: Annotated[str, BeforeValidator(_to_name, json_schema_input_type=str)]
    """Name that is asked for; it is absolute with or without its last dot."""
    query_type: Annotated[str, BeforeValidator(_to_type, json_schema_input_type=str)] = "A"
    """Type of records that is asked for."""
    query_class: Annotated[str, BeforeValidator(_to_class, json_schema_input_type=str)] = "IN"
    """Class of records that is asked for."""
    recursion: bool = True
    """Ask the server to ask others."""
    transport: Annotated[str, BeforeValidator(_to_transport, json_schema_input_type=Transport)] = (
        "udp"
    )
    """How the question travels: udp, tcp, tls, https."""
    method: Literal["GET", "POST"] = "POST"
    """Method of HTTP, over https."""
    path: str = Field(default=DEFAULT_PATH, pattern="^/[!-~]*$", max_length=2048)
    """Path of the URL, over https."""
    edns: Annotated[
        EdnsOptions | None, BeforeValidator(_to_edns, json_schema_input_type=bool | EdnsOptions)
    ] = None
    """Say what an older server may not understand: sizes beyond 512 bytes, signatures."""
    dnssec: Annotated[
        DnssecOptions | None,
        BeforeValidator(
            to_options, json_schema_input_type=Literal["validated"] | DnssecOptions | None
        ),
    ] = None
    """Want an answer that is validated, by the resolver or by sonde itself."""
    servers: tuple[Annotated[str, AfterValidator(_to_server)], ...] = Field(
        default=(), max_length=MAX_SERVERS
    )
    """Other servers that must say the same as the target."""
    compare: Aspect = "answer"
    """What must be the same: code and records, or the serial number."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, over tls and https."""
    ip: IpChoice = ANY_IP
    """Which address of the server's name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address or interface of this host to come from."""
    expect: DnsExpect = DnsExpect()
    """What fails the run when it is missed; by default a code other than NOERROR."""

    _is_dialect: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _as_the_dialect_has_it(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, Mapping) and is_dialect(info):
            return {"query_name": ROOT, "query_type": "ANY", **data}
        return data

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        self._is_dialect = is_dialect(info)
        if self._is_dialect:
            return self
        if not self.query_name:
            raise ValueError("want a query_name, got none; the root is '.'")
        if self.expect.certificate is not None and self.transport not in {"tls", "https"}:
            raise ValueError("want transport tls or https where a certificate is expected")
        if self.dnssec is not None and self.query_class != "IN":
            raise ValueError(f"want class IN for a validated answer, got {self.query_class}")
        by_serial = self.expect.serial is not None or (self.servers and self.compare == "serial")
        if by_serial and type_number(self.query_type) != SOA:
            raise ValueError(f"want query_type SOA for a serial, got {short(self.query_type)}")
        return self

    def check_target(self, target: str) -> None:
        self._place(target)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        copy = super().model_copy(update=update, deep=deep)
        # what was made of other settings
        for name in ("_way", "_question"):
            if name in copy.__dict__:
                object.__delattr__(copy, name)
        return copy

    def advice(self, target: str) -> Iterable[str]:  # noqa: ARG002 - the same for every target
        if self.query_type == "ANY":
            yield "want a type of its own, got ANY, which many servers refuse (RFC 8482)"

    def named_targets(self, target: str) -> Iterable[str]:
        return (target, *self.servers)

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        # one of an unknown transport, in a blackbox.yml, is told by the run
        with suppress(CheckFailed):
            self._way.prepare()
        if self.dnssec is not None:
            self.dnssec.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        answer: Answer | None = None
        try:
            server = self._server(target)
            answer = await server.ask(self._question, recorder)
            for name, text in facts_of(answer).items():
                recorder.fact(name, text)
            if self.dnssec is not None:
                await self._validate(self.dnssec, answer, server, recorder)
            else:
                await self._judge(answer, recorder)
            if self.servers:
                await compare(
                    self.servers, self.compare, self._question, answer, self._way, recorder
                )
            judge_certificate(self.expect.certificate, recorder)
            if self.expect.latency is not None:
                self.expect.latency.judge(recorder.elapsed(), recorder)
        finally:
            self._record(answer, recorder)

    async def _validate(
        self, options: DnssecOptions, answer: Answer, server: Server, recorder: Recorder
    ) -> None:
        """Judge *answer*, and whether it is validated."""
        ask = _quietly(server, recorder)
        if options.by == "resolver" and answer.rcode not in self.expect.rcodes:
            recorder.enter("validate")
            await explain_failure(self._question, answer, ask)
            recorder.leave()
        await self._judge(answer, recorder)
        recorder.enter("validate")
        expires_at = await validate(options, self._question, answer, ask, recorder)
        recorder.leave()
        if expires_at is not None:
            recorder.sample("dns_signature_expiry_timestamp_seconds", expires_at)

    async def _judge(self, answer: Answer, recorder: Recorder) -> None:
        def judge() -> None:
            self.expect.judge(answer, with_opt=self._is_dialect)

        if self.expect.searches(answer) <= INLINE_SEARCHES:
            judge()
        else:
            await off_the_loop(judge, recorder)

    def _place(self, target: str) -> tuple[str, int, str]:
        """Return host, port and path of a server.

        Raises:
            ValueError: not such a target.
        """
        if self.transport == "https" and target.lower().startswith("https://"):
            url = parse_url(target)
            if url.user or url.password:
                raise ValueError("want a URL without user and password")
            return url.host, url.port, self.path if url.path_query == "/" else url.path_query
        port = PORTS["udp"] if self.transport not in PORTS else PORTS[self._transport]
        return *split_host_port(target, port), self.path

    @property
    def _transport(self) -> Transport:
        for word in PORTS:
            if word == self.transport:
                return word
        raise CheckFailed(
            Reason.CONFIG, f"want transport_protocol udp or tcp, got {short(self.transport)}"
        )

    @cached_property
    def _way(self) -> Way:
        return Way(
            transport=self._transport,
            ip=self.ip,
            source_ip=self.source or None,
            tls=self.tls,
            method=self.method,
            path=self.path,
        )

    @cached_property
    def _question(self) -> Question:
        edns = self.edns
        question = Question(
            name=self.query_name,
            type=type_number(self.query_type) or 0,
            class_=CLASSES[self.query_class],
            recursion=self.recursion,
            edns=None if edns is None else Edns(edns.payload, edns.dnssec, edns.nsid),
        )
        return question if self.dnssec is None else self.dnssec.asking(question)

    def _server(self, target: str) -> Server:
        way = self._way
        try:
            host, port, path = self._place(target)
            if self._is_dialect:
                encode_name(self.query_name)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        return Server(host, port, way if path == way.path else replace(way, path=path))

    def _record(self, answer: Answer | None, recorder: Recorder) -> None:
        recorder.sample("dns_query_succeeded", float(answer is not None))
        for section in SECTIONS:
            count = 0 if answer is None else len(getattr(answer, section))
            recorder.sample(f"dns_{section}_rrs", count)
        if answer is not None:
            recorder.sample("dns_answer_bytes", answer.size)
            recorder.sample("dns_truncated", float(answer.has("tc")))
            if type_number(self.query_type) == SOA:
                recorder.sample("dns_serial", answer.serial)
        # blackbox_exporter has this family for http alone
        recorder.forget("tls_cipher_info")


def _quietly(server: Server, recorder: Recorder) -> Callable[[Question], Awaitable[Answer]]:
    """Return what asks further questions: they belong to one phase, and measure nothing."""

    async def ask(question: Question) -> Answer:
        try:
            return await server.ask_for_whole(question, Recorder(recorder.deadline))
        except CheckFailed as failure:
            failure.phase = recorder.phase_name
            raise

    return ask
