"""Kind ``jsonrpc``: call methods of any JSON-RPC service over HTTP and judge what they say.

For chains without a kind of their own, and for every other service of that protocol. Knows no
method: what an answer is, is told by `probes.chain.answer.classify`, what it should be by the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from time import monotonic
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from probes.chain.answer.classify import MAX_RETRY_AFTER_S, classify
from probes.chain.answer.quantity import quantity
from probes.chain.reasons import PRODUCT_REASONS, ChainReason
from probes.chain.settings import AuthKeys, header_pairs
from probes.chain.talk import Answer, Ask
from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand, Matcher
from probes.jsonpath import json_path
from probes.kind import Kind, Metric
from probes.matcher import MISSING, Nodes
from probes.recorder import Recorder
from probes.redact import SECRET_HEADER
from probes.result import Sample
from probes.settings import Settings
from probes.units import Size, parse_number, short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.http.decode import MAX_DECODED_BYTES
from probes.wire.http.headers import HeaderName, plain
from probes.wire.http.headers import Line as HeaderLine
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.jsonrpc import Call, Line
from probes.wire.tls.peer import judge_certificate
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions
from probes.wire.url import Url, parse_url, split_host_port

# One run asks for a few facts; a scan is no check.
MAX_CALLS = 20
# metrics.md 2.6: series of one probe.
MAX_EXPORTS = 32
# chains.md 6.3: throttling is down from the third run that asked.
PATIENT_RUNS = 2
# chains.md 4: intervals that one is left alone that does not say how long.
UNTOLD_INTERVALS = 1.5

# Enough to tell the end of a call in our own words, before that of the run is told.
MARGIN_S = 0.002

# Longest first: ">=" begins with ">".
_SIGNS: Mapping[str, str] = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}
_ORDERING = frozenset(_SIGNS.values())


def _spelled_out(value: object) -> object:
    """Read the short forms ``>= 1``, ``< 0.5`` and ``~ ^v1``; all else is for `Matcher`."""
    if not isinstance(value, str):
        return value
    if value.startswith("~"):
        return {"matches": value[1:].strip()}
    sign = next((sign for sign in _SIGNS if value.startswith(sign)), None)
    if sign is None:
        return value
    try:
        number = parse_number(value[len(sign) :].strip())
    except ValueError:
        raise ValueError(
            f"want a number after {sign} (or {{eq: ...}} for a text), got {short(value)}"
        ) from None
    return {_SIGNS[sign]: int(number) if number.is_integer() else number}


def _path(text: str) -> str:
    json_path(text)
    return text


def _path_to_one(text: str) -> str:
    if not json_path(text).singular:
        raise ValueError(f"want a path to one value such as $.blocks, got {short(text)}")
    return text


def _sendable(params: Any) -> Any:
    try:
        json.dumps(params, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(f"want params that JSON can hold, got {short(params)}") from None
    return params


def _version(value: object) -> object:
    # YAML reads an unquoted 1.0 as a number
    return f"{value:.1f}" if isinstance(value, float) else value


ResultMatcher = Annotated[Matcher, BeforeValidator(_spelled_out)]
ExportName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class CallKeys(Settings):
    """One call, and what its result must be."""

    method: str = Field(min_length=1, max_length=128)
    """Name of the method."""
    params: Annotated[list[Any] | dict[str, Any], AfterValidator(_sendable)] = Field(default=[])
    """Parameters, by position or by name."""
    expect: dict[Annotated[str, AfterValidator(_path)], ResultMatcher] = Field(default={})
    """JSONPath into the result -> a value, ``">= 1"``, ``"~regex"`` or any matcher."""
    export: dict[ExportName, Annotated[str, AfterValidator(_path_to_one)]] = Field(default={})
    """Name -> JSONPath of a number that becomes the metric ``jsonrpc_value{name}``."""


class JsonRpcExpect(Settings):
    """What the run must be, whatever the results are."""

    latency: DurationBand | None = None
    """Time of all calls, without DNS, connection and TLS."""
    certificate: CertificateExpect | None = None
    """What the server's certificate must be."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """What is remembered of an endpoint that throttles.

    Args:
        runs: in a row that asked and were throttled.
        until: monotonic seconds until which it is left alone.
    """

    runs: int
    until: float


class JsonRpc(Kind):
    """Call methods of a JSON-RPC service, one after the other over one connection.

    An error instead of a result is down. The text of a failure begins with a word of the list that
    all chain kinds share (``assertion_failed``, ``rpc_core_error``, ``auth_failed``).

    Target:
        ``http://host[:port]/path`` or ``https://...``; ``user:password@`` becomes basic auth.

    Source:
        https://www.jsonrpc.org/specification
    """

    name = "jsonrpc"
    phases = ("resolve", "connect", "tls", "processing", "transfer")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("jsonrpc_value", "Number that a call exports", ("name",)),
        *NET_METRICS,
        *TLS_METRICS,
    )

    version: Annotated[
        Literal["1.0", "2.0"],
        BeforeValidator(_version),
        WithJsonSchema({"enum": ["1.0", "2.0", 1.0, 2.0]}),
    ] = "2.0"
    """Version of JSON-RPC; 1.0 for the family of Bitcoin."""
    calls: list[CallKeys] = Field(min_length=1, max_length=MAX_CALLS)
    """What is called."""
    headers: dict[HeaderName, HeaderLine] = Field(default={})
    """Request headers."""
    auth: AuthKeys | None = None
    """Credentials: ``basic`` or ``header``."""
    max_body: Size = MAX_DECODED_BYTES
    """Size of a decoded answer at most; more is a failure."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, and the client certificate."""
    expect: JsonRpcExpect = JsonRpcExpect()
    """What fails the run when it is missed."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("want one of auth and an Authorization header, got both")
        for name, value in self.headers.items():
            if name.lower() == "host":
                split_host_port(plain(value), 443)
        names = [name for call in self.calls for name in call.export]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"want exports with names of their own, got {twice!r} twice")
        if len(names) > MAX_EXPORTS:
            raise ValueError(f"want at most {MAX_EXPORTS} exports, got {len(names)}")
        return self

    def check_target(self, target: str) -> None:
        url = parse_url(target)
        if self.auth is not None and (url.user or url.password):
            raise ValueError("want credentials in the target or in auth, got both")
        if self.expect.certificate is not None and not url.is_tls:
            raise ValueError("want an https:// URL to judge a certificate, got http://")

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target)
        found.update(plain(v) for name, v in self.headers.items() if SECRET_HEADER.search(name))
        if self.auth is not None and self.auth.basic is not None:
            found.add(self.auth.basic.encoded)
        return found

    def prepare(self, target: str) -> None:
        if parse_url(target).is_tls:
            self._options().prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        left_alone_s = _left_alone_s(recorder)
        if left_alone_s > 0:
            text = f"want answers, got the wish to be left alone for {left_alone_s:.0f} s more"
            _warn(recorder, ChainReason.RATE_LIMITED, text)
            return
        url = parse_url(target)
        line = self._line(url, recorder)
        try:
            is_done, seconds = await self._ask_all(line, recorder)
        finally:
            line.close()
        if not is_done:
            return
        judge_certificate(self.expect.certificate, recorder)
        if self.expect.latency is not None:
            self.expect.latency.judge(seconds, recorder)

    async def _ask_all(self, line: Line, recorder: Recorder) -> tuple[bool, float]:
        """Return whether all calls were made, and the seconds that they took."""
        seconds = 0.0
        for keys in self.calls:
            params = keys.params if isinstance(keys.params, dict) else tuple(keys.params)
            call = Call(keys.method, params, self.max_body, timed=True)
            reply = await line.call(call)
            ask = Ask("", keys.method, allows_null=True)
            answer = classify(None, ask, reply, datetime.now(UTC).timestamp())
            seconds += answer.seconds
            if answer.kind == "rate_limited":
                _throttled(keys.method, answer, recorder)
                return False, seconds
            if reply.failure is not None and reply.failure.reason.is_own_fault:
                raise reply.failure
            if not answer.ok:
                phase = reply.failure.phase if reply.failure is not None else None
                raise _failed(keys.method, answer, phase)
            _judge(keys, answer.result)
            _export(keys, answer.result, recorder)
        if recorder.keep is not None:
            recorder.keep.memory = None
        return True, seconds

    def _line(self, url: Url, recorder: Recorder) -> Line:
        # the run's own deadline is that of each call: one that hangs has all of it
        return Line(
            url,
            recorder,
            self._options(),
            headers=header_pairs(self.headers, {}, self.auth),
            call_timeout_s=float("inf"),
            retries=0,
            version=self.version,
            margin_s=MARGIN_S,
        )

    def _options(self) -> Options:
        return Options(ip=self.ip, tls=self.tls, alpn=HTTP1_ALPN, follow_redirects=False)


def _failed(method: str, answer: Answer, phase: str | None) -> CheckFailed:
    reason = answer.reason or ChainReason.RPC_CORE_ERROR
    cause = answer.cause or PRODUCT_REASONS[reason]
    where = "" if answer.kind == "transport" else f"{method}: "
    return CheckFailed(cause, f"{reason}: {where}{answer.detail}", phase=phase)


def _warn(recorder: Recorder, reason: ChainReason, text: str) -> None:
    recorder.warn(PRODUCT_REASONS[reason], f"{reason}: {text}")


def _judge(keys: CallKeys, result: Any) -> None:
    """Judge a result.

    Raises:
        CheckFailed: ``value``, with the first miss.
    """
    for text, matcher in keys.expect.items():
        path = json_path(text)
        nodes = path.select(result)
        value = (nodes[0] if nodes else MISSING) if path.singular else Nodes(nodes)
        miss = matcher.miss(value)
        if miss is not None and _is_ordering(matcher) and isinstance(value, str):
            # chains write numbers beyond a float as text
            number = _number(value)
            miss = miss if number is None else matcher.miss(number)
        if miss is not None:
            reason = ChainReason.ASSERTION_FAILED
            raise CheckFailed(PRODUCT_REASONS[reason], f"{reason}: {keys.method} {text}: {miss}")


def _is_ordering(matcher: Matcher) -> bool:
    source = matcher.source
    return isinstance(source, Mapping) and set(source) <= _ORDERING


def _export(keys: CallKeys, result: Any, recorder: Recorder) -> None:
    for name, path in keys.export.items():
        nodes = json_path(path).select(result)
        value = nodes[0] if nodes else MISSING
        number = _number(value)
        if number is None:
            text = f"{keys.method} {path}: want a number, got {short(value)}"
            _warn(recorder, ChainReason.METHOD_ERRORS, text)
        else:
            recorder.extend((Sample("jsonrpc_value", number, (("name", name),)),))


def _number(value: object) -> float | None:
    """Return a number, or one written as text (``0x10``, ``12``); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        for read in (quantity, parse_number):
            try:
                return read(value)
            except ValueError:
                continue
        return None
    if not isinstance(value, int | float):
        return None
    try:
        return value if isfinite(value) else None
    except OverflowError:
        return None  # a thousand digits: no metric can show it


# --- one that throttles


def _left_alone_s(recorder: Recorder) -> float:
    memory = recorder.keep.memory if recorder.keep is not None else None
    return memory.until - monotonic() if isinstance(memory, Throttled) else 0.0


def _throttled(method: str, answer: Answer, recorder: Recorder) -> None:
    """Tell that it throttles, and leave it alone as long as it wants.

    Raises:
        CheckFailed: ``status``: it does so for the third run.
    """
    keep = recorder.keep
    before = keep.memory if keep is not None else None
    runs = before.runs + 1 if isinstance(before, Throttled) else 1
    if keep is not None:
        waits_s = answer.retry_after_s or UNTOLD_INTERVALS * keep.every_s
        keep.memory = Throttled(runs, monotonic() + min(waits_s, MAX_RETRY_AFTER_S))
    if runs > PATIENT_RUNS:
        raise _failed(method, answer, None)
    _warn(recorder, ChainReason.RATE_LIMITED, f"{method}: {answer.detail}")
