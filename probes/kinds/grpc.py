"""Kind ``grpc``: ask a server's health service, as gRPC's own health checks do.

Knows what the answer should be; how one call goes over a connection is the business of
`probes.wire.grpc.unary`, what stands in the bytes that of `probes.wire.grpc.protocol`.
"""

from functools import cached_property, lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    model_validator,
)

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.redact import SECRET_HEADER, Secret
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.dialog.steps import Text
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.grpc import protocol
from probes.wire.grpc.unary import Ask, Call
from probes.wire.http.headers import plain
from probes.wire.http.options import HTTP2_ALPN
from probes.wire.source import Source
from probes.wire.tls.settings import (
    NET_METRICS,
    TLS_METRICS,
    TlsOptions,
    judge_certificate,
    shared_metrics,
)
from probes.wire.url import Url, parse_url, split_host_port

PORT, TLS_PORT = 80, 443
# blackbox_exporter has these families for other kinds only
_FOREIGN = ("tls_cipher_info", "ssl_last_chain_expiry_timestamp_seconds")

CodeName = Literal[
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
]  # fmt: skip
Serving = Literal["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]


def _to_tuple(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _to_codes(value: object) -> object:
    items: tuple[object, ...] = tuple(value) if isinstance(value, list | tuple) else (value,)
    known = range(len(protocol.CODES))
    return tuple(
        protocol.CODES[item]
        if isinstance(item, int) and not isinstance(item, bool) and item in known
        else item
        for item in items
    )


def _to_tls(value: object) -> object:
    if isinstance(value, bool):
        return TlsOptions() if value else None
    return value


Codes = Annotated[
    tuple[CodeName, ...],
    BeforeValidator(_to_codes, json_schema_input_type=CodeName | int | list[CodeName | int]),
    Field(min_length=1),
]
"""Names or numbers of status codes; one or several."""
Servings = Annotated[
    tuple[Serving, ...],
    BeforeValidator(_to_tuple, json_schema_input_type=Serving | list[Serving]),
    Field(min_length=1),
]
"""Serving statuses; one or several."""
Values = Annotated[
    tuple[Text, ...], BeforeValidator(_to_tuple, json_schema_input_type=Text | list[Text])
]
"""Texts, secrets, or for a key in ``-bin`` bytes as ``{hex: 00ff}``."""


def _hide(
    metadata: dict[str, tuple[str | Secret | bytes, ...]],
) -> dict[str, tuple[str | Secret | bytes, ...]]:
    """Take for a secret what stands under a key that is known to hold one."""
    return {
        key: tuple(Secret(v) if isinstance(v, str) and v else v for v in values)
        if SECRET_HEADER.search(key)
        else values
        for key, values in metadata.items()
    }


def _judge_authority(value: str) -> str:
    if value:
        split_host_port(value, PORT)
    return value


class GrpcExpect(Settings):
    """What fails the run when it is missed."""

    status: Codes = ("OK",)
    """Status of the call: a name or number, or several."""
    serving: Servings = ("SERVING",)
    """What a call that is OK must say about the service: one of these."""
    latency: DurationBand | None = None
    """Time of the whole run."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire; needs TLS."""


class Grpc(Kind):
    """Ask a gRPC server about its health over a new connection.

    Up is a call that ends with status OK and says SERVING. The server is dialled itself: proxies
    are nobody's business here, those of the environment neither.

    Target:
        ``host``, ``host:port`` or ``http(s)://host[:port]``; without a port 443 with ``tls``, else
        80

    Source:
        https://github.com/grpc/grpc/blob/master/doc/health-checking.md
    """

    name = "grpc"
    phase_family = "grpc_duration_seconds"
    phases = ("resolve", "connect", "tls", "call")
    phase_folds = MappingProxyType({"connect": "check", "tls": "check", "call": "check"})
    parameters = ("service", "ip")
    ends_at_once = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        *shared_metrics("grpc_status_code", "grpc_ssl", "grpc_healthcheck_response"),
        *NET_METRICS,
        *(metric for metric in TLS_METRICS if metric.name not in _FOREIGN),
    )

    service: str = Field(default="", max_length=1024)
    """Service to ask about; empty: the whole server."""
    metadata: Annotated[dict[str, Values], AfterValidator(_hide)] = Field(default={}, max_length=64)
    """Metadata of the call: key -> one value or several; bytes for a key in ``-bin``."""
    authority: Annotated[str, AfterValidator(_judge_authority)] = ""
    """``:authority`` to ask for instead of the target's host."""
    tls: Annotated[
        TlsOptions | None, BeforeValidator(_to_tls, json_schema_input_type=bool | TlsOptions)
    ] = None
    """TLS from the first byte, and how the server is verified."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address of this host to come from, or the name of one of its interfaces."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""
    expect: GrpcExpect = GrpcExpect()
    """What the answer should be; by default OK and SERVING."""

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        if self.expect.certificate is not None and self.tls is None:
            raise ValueError("want tls where a certificate is expected, got none")
        if (info.context or {}).get("dialect") != "blackbox":
            for key, values in self.metadata.items():
                _judge_metadata(key, values)
        return self

    def check_target(self, target: str) -> None:
        read_target(target, is_tls=self.tls is not None)

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target)
        found.update(
            protocol.encode_value("-bin", _raw(value))
            for key, values in self.metadata.items()
            if key.lower().endswith("-bin")
            for value in values
            if isinstance(value, Secret)
        )
        return found

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        import_module("probes.wire.http.h2")
        if self.tls is not None:
            self.tls.prepare(HTTP2_ALPN)
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        call, serving = Call(recorder), None
        try:
            url = read_target(target, is_tls=self.tls is not None)
            await call.make(
                Ask(
                    url,
                    protocol.health_request(self.service),
                    self._metadata,
                    self.authority,
                    self.tls,
                    self.ip,
                    self.resolver.addresses,
                    self.source or None,
                    # as it is spoken: what is written decides nothing
                    scheme=url.scheme if "://" in target else "",
                )
            )
            if call.code == protocol.OK:
                serving = protocol.read_health(call.message)
            self._judge(call.status, serving, recorder)
        finally:
            _record(call, serving, recorder)
            if self.tls is not None:
                recorder.forget(*_FOREIGN)

    @cached_property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        lines: list[tuple[str, str]] = []
        for written, values in self.metadata.items():
            key = written.lower()
            if protocol.is_reserved(key):
                continue  # as grpc-go does; refused at load but in files of blackbox_exporter
            try:
                _judge_metadata(key, values)
            except ValueError as error:
                raise CheckFailed(Reason.CONFIG, f"metadata: {error}") from None
            lines += [(key, protocol.encode_value(key, _raw(value))) for value in values]
        return tuple(lines)

    def _judge(
        self, status: protocol.Status | None, serving: int | None, recorder: Recorder
    ) -> None:
        expect = self.expect
        if status is None or status.name not in expect.status:
            raise CheckFailed(Reason.STATUS, f"want status {_or(expect.status)}, got {status}")
        if serving is not None and protocol.serving_name(serving) not in expect.serving:
            of = f" of {short(self.service)}" if self.service else ""
            wanted = f"want {_or(expect.serving)} as status{of}"
            raise CheckFailed(Reason.STATUS, f"{wanted}, got {protocol.serving_name(serving)}")
        recorder.leave()
        judge_certificate(expect.certificate, recorder)
        if expect.latency is not None:
            expect.latency.judge(recorder.elapsed(), recorder)


def _record(call: Call, serving: int | None, recorder: Recorder) -> None:
    """Write down what there is to tell, after whatever end."""
    unread = call.is_resolved and call.code == protocol.OK and serving is None
    recorder.sample("grpc_status_code", protocol.INTERNAL if unread else call.code)
    recorder.sample("grpc_ssl", float(call.over_tls))
    if call.is_resolved:
        for number, name in enumerate(protocol.SERVING):
            told = float(serving == number)
            recorder.sample("grpc_healthcheck_response", told, serving_status=name)


def _or(words: tuple[str, ...]) -> str:
    return " or ".join(words)


def _raw(value: str | Secret | bytes) -> bytes:
    return value if isinstance(value, bytes) else plain(value).encode()


def _judge_metadata(key: str, values: tuple[str | Secret | bytes, ...]) -> None:
    lower = key.lower()
    if not protocol.KEY.fullmatch(lower):
        raise ValueError(f"want a metadata key of letters, digits, '_', '-', '.', got {short(key)}")
    if protocol.is_reserved(lower):
        raise ValueError(f"want a metadata key that gRPC does not write itself, got {key}")
    for value in values:
        if lower.endswith("-bin"):
            continue
        if isinstance(value, bytes) or not protocol.VALUE.fullmatch(plain(value)):
            # the value may be a secret
            raise ValueError(f"want a text in ASCII for {key}, or a key that ends in -bin, got not")


@lru_cache(maxsize=4096)
def read_target(target: str, *, is_tls: bool) -> Url:
    """Return where a *target* is: its scheme decides nothing, ``tls`` does.

    Raises:
        ValueError: neither host, nor host:port, nor such a URL.
    """
    is_url = "://" in target
    text = target if is_url else f"http://{target}"
    # the whole judgement of a URL; which port was written it does not tell
    found = parse_url(text)
    authority = text.partition("://")[2].replace("\\", "/")
    for sign in "/?#":
        authority = authority.partition(sign)[0]
    host_port = authority.rpartition("@")[2].removesuffix(":").replace("%25", "%")
    _, port = split_host_port(host_port, TLS_PORT if is_tls else PORT)
    return Url("https" if is_tls else "http", found.host, port, protocol.HEALTH_PATH)
