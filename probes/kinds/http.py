"""Kind ``http``: one request over a connection of its own, and what its answer should be.

Knows what an answer should be; how it is fetched is `probes.wire.http`'s business.
"""

import base64
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.redact import SECRET_HEADER, Secret
from probes.result import Reason, Sample
from probes.units import Size, short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.answer import HttpExpect, HttpWarn, judge_run, miss_in_answer
from probes.wire.decode import MAX_DECODED_BYTES
from probes.wire.headers import TOKEN, USER_AGENT, BasicAuth, HeaderName, Line, Text, plain
from probes.wire.http import BOTH_ALPN, HTTP1_ALPN, HTTP2_ALPN, Options, exchange
from probes.wire.message import (
    MAX_HEAD_BYTES,
    MAX_REDIRECTS,
    MAX_WIRE_BYTES,
    REDIRECTS,
    Limits,
    Request,
    Response,
    text,
)
from probes.wire.redirect import http_date
from probes.wire.tls import NET_METRICS, TLS_METRICS, TlsOptions
from probes.wire.url import Url, parse_url, split_host_port

_VERSIONS = {"1.0": 1.0, "1.1": 1.1, "2": 2.0}
# What every run measures, in the order in which `_record` tells it.
_MEASURED = (
    "http_status_code",
    "http_content_length",
    "http_uncompressed_body_length",
    "http_redirects",
    "http_ssl",
    "http_version",
    "failed_due_to_regex",
)
_ALPN = {
    frozenset({1}): HTTP1_ALPN,
    frozenset({2}): HTTP2_ALPN,
    frozenset({1, 2}): BOTH_ALPN,
}
# Targets of one module come from outside through /probe; a plan is remade in microseconds.
MAX_PLANS = 256
# Enough of a wrong answer to recognise an error page.
SHOWN_BODY_BYTES = 512


def _judge_method(method: str) -> str:
    if not TOKEN.fullmatch(method) or method.upper() == "CONNECT":
        raise ValueError(f"want a method such as GET, got {short(method)}")
    return method.upper()


Method = Annotated[str, AfterValidator(_judge_method)]


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What all runs against one target share."""

    kind: "Http"
    request: Request
    options: Options


class Http(Kind):
    """Send one HTTP request over a new connection and judge the answer.

    HTTP/2 is taken when the server offers it over TLS. Without ``expect`` any 2xx is up.

    Target:
        ``http://host[:port]/path`` or ``https://...``; ``user:password@`` becomes basic auth.

    Source:
        RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 9113 (HTTP/2)
    """

    name = "http"
    phase_family = "http_duration_seconds"
    phases = ("resolve", "connect", "tls", "processing", "transfer")
    ends_at_once = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("http_status_code", "Status code of the last response; 0 if there was none"),
        Metric(
            "http_content_length", "Content-Length of the last response, in bytes; -1 if unknown"
        ),
        Metric(
            "http_uncompressed_body_length",
            "Length of the last response's body when unpacked, in bytes",
        ),
        Metric("http_redirects", "Number of redirects that were met"),
        Metric("http_ssl", "1 if the last response came over TLS"),
        Metric("http_version", "Version of HTTP of the last response; 0 if there was none"),
        Metric(
            "http_last_modified_timestamp_seconds",
            "Last-Modified of the last response, as Unix time",
        ),
        Metric("failed_due_to_regex", "1 if the run failed by a pattern"),
        *NET_METRICS,
        *TLS_METRICS,
    )

    method: Method = "GET"
    """Request method."""
    headers: dict[HeaderName, Line] = Field(default={})
    """Request headers; those of your own never follow a redirect to another origin."""
    body: Text | None = None
    """Request body as it is."""
    json_: Any = Field(default=None, alias="json")
    """Request body, sent as JSON."""
    form: dict[str, Text] | None = None
    """Request body, sent as the fields of a form."""
    basic_auth: BasicAuth | None = None
    """User name and password."""
    bearer: Secret | None = None
    """Bearer token."""
    versions: list[Literal[1, 2]] = Field(default=[1, 2], min_length=1)
    """Versions of HTTP that are offered and accepted; 2 needs https://."""
    follow_redirects: bool = True
    """Follow 301, 302, 303, 307 and 308; otherwise the redirect is the answer."""
    max_redirects: int = Field(default=MAX_REDIRECTS, ge=0, le=MAX_REDIRECTS)
    """Redirects at most; one more is a failure."""
    max_body: Size = MAX_DECODED_BYTES
    """Size of the decoded body at most; more is a failure."""
    compression: Literal["none", "gzip", "deflate", "br", "any"] = "none"
    """Content encoding that is asked for."""
    decompress: bool = True
    """Decode a body that comes encoded, asked for or not."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, and the client certificate."""
    expect: HttpExpect = HttpExpect()
    """What fails the run when it is missed; by default a status of 2xx."""
    warn: HttpWarn | None = None
    """The same keys; a miss degrades the run and does not fail it."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        bodies = [key for key, value in self._bodies().items() if value is not None]
        if len(bodies) > 1:
            raise ValueError(f"want one of body, json and form, got {' and '.join(bodies)}")
        named = any(name.lower() == "authorization" for name in self.headers)
        if (self.basic_auth is not None) + (self.bearer is not None) + named > 1:
            raise ValueError(
                "want one of basic_auth, bearer and an Authorization header, got several"
            )
        for name, value in self.headers.items():
            if name.lower() == "host":
                split_host_port(plain(value), 443)
        return self

    def check_target(self, target: str) -> None:
        url = parse_url(target)
        if not url.is_tls and 1 not in self.versions:
            raise ValueError(f"want an https:// URL for HTTP/2, got {short(str(url))}")

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target)
        found.update(plain(v) for name, v in self.headers.items() if SECRET_HEADER.search(name))
        if self.basic_auth is not None:
            found.add(self.basic_auth.encoded)
        return found

    def prepare(self, target: str) -> None:
        plan = self._plan(target)
        if plan.request.url.is_tls:
            plan.options.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        plan = self._plan(target)
        response = Response(plan.request.url, plan.options.limits)
        missed = False
        try:
            await exchange(plan.request, recorder, plan.options, response)
            failure = self._judge(response)
            missed = failure is not None and (
                failure.reason is Reason.BODY
                or (failure is response.failure and plan.options.limits.keep_body)
            )
            if failure is not None:
                raise failure
            judge_run(self.expect, recorder, over_tls=response.over_tls)
            if self.warn is not None:
                self._warn(self.warn, response, recorder)
        finally:
            _record(response, recorder, missed=missed)
            if missed and response.body.data:
                recorder.fact("body", text(response.body.data[:SHOWN_BODY_BYTES]))

    @cached_property
    def _plans(self) -> dict[str, _Plan]:
        return {}

    def _plan(self, target: str) -> _Plan:
        plan = self._plans.get(target)
        # model_copy() copies this cache too
        if plan is None or plan.kind is not self:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = self._plans[target] = _Plan(
                self, self._request(parse_url(target)), self._options()
            )
        return plan

    def _options(self) -> Options:
        keep = self.expect.judges_body or (self.warn is not None and self.warn.judges_body)
        return Options(
            limits=Limits(
                max_body=self.max_body,
                max_wire=max(MAX_WIRE_BYTES, self.max_body + MAX_HEAD_BYTES),
                keep_body=keep,
                decoding="auto" if self.decompress else "off",
            ),
            ip=self.ip,
            tls=self.tls,
            alpn=_ALPN[frozenset[int](self.versions)],
            follow_redirects=self.follow_redirects,
            max_redirects=self.max_redirects,
        )

    def _request(self, url: Url) -> Request:
        headers = {name: plain(value) for name, value in self.headers.items()}
        host = next((headers.pop(name) for name in list(headers) if name.lower() == "host"), "")
        body, content_type = self._body()
        own = {"User-Agent": USER_AGENT}
        if self.compression != "none":
            own["Accept-Encoding"] = (
                "gzip, deflate, br" if self.compression == "any" else self.compression
            )
        if self.basic_auth is not None:
            own["Authorization"] = f"Basic {self.basic_auth.encoded}"
        elif self.bearer is not None:
            own["Authorization"] = f"Bearer {self.bearer.get_secret_value()}"
        elif url.user or url.password:
            pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
            own["Authorization"] = f"Basic {pair}"
        if content_type:
            own["Content-Type"] = content_type
        configured = {name.lower() for name in headers}
        merged = {name: value for name, value in own.items() if name.lower() not in configured}
        return Request(
            url=url,
            method=self.method,
            headers=(*merged.items(), *headers.items()),
            body=body,
            host=host,
            body_is_secret=isinstance(self.body, Secret)
            or any(isinstance(value, Secret) for value in (self.form or {}).values()),
        )

    def _bodies(self) -> dict[str, object]:
        return {"body": self.body, "json": self.json_, "form": self.form}

    def _body(self) -> tuple[bytes, str]:
        if self.json_ is not None:
            return json.dumps(self.json_).encode(), "application/json"
        if self.form is not None:
            fields = {name: plain(value) for name, value in self.form.items()}
            return urlencode(fields).encode(), "application/x-www-form-urlencoded"
        return (plain(self.body).encode(), "") if self.body is not None else (b"", "")

    def _judge(self, response: Response) -> CheckFailed | None:
        """Judge as blackbox_exporter does: status, headers, body, a broken body, version."""
        failure = miss_in_answer(self.expect, response) or response.failure
        if failure is not None and failure.reason is Reason.STATUS:
            lost = self.follow_redirects and response.status in REDIRECTS
            if lost and response.value(b"location") is None:
                got = f"got none with status {response.status}"
                return CheckFailed(Reason.REDIRECT, f"want a Location, {got}", phase="processing")
        if failure is None and int(_VERSIONS.get(response.version, 0)) not in self.versions:
            wanted = " or ".join(f"HTTP/{v}" for v in self.versions)
            got = f"got HTTP/{response.version}"
            return CheckFailed(Reason.PROTOCOL, f"want {wanted}, {got}", phase="processing")
        return failure

    def _warn(self, warn: HttpWarn, response: Response, recorder: Recorder) -> None:
        miss = miss_in_answer(warn, response)
        if miss is not None:
            recorder.warn(miss.reason, miss.message, phase=miss.phase)
        try:
            judge_run(warn, recorder, over_tls=response.over_tls)
        except CheckFailed as soft:
            recorder.warn(soft.reason, soft.message, phase=soft.phase)


@lru_cache(maxsize=1024)
def _samples(*told: float) -> tuple[Sample, ...]:
    """Return the samples in the order of `_MEASURED`: in nearly every run the same, made once."""
    return tuple(map(Sample, _MEASURED, told))


def _record(response: Response, recorder: Recorder, *, missed: bool) -> None:
    recorder.extend(
        _samples(
            response.status,
            response.content_length,
            response.body.size,
            response.redirects,
            1.0 if response.over_tls else 0.0,
            _VERSIONS.get(response.version, 0.0),
            1.0 if missed else 0.0,
        )
    )
    if not response.status:
        return
    recorder.fact("answer", response.status_line)
    for name, value in response.headers:
        if name == b"server":
            recorder.fact("server", text(value))
        elif name == b"last-modified" and (modified := _timestamp(value)) is not None:
            recorder.sample("http_last_modified_timestamp_seconds", modified)
    if response.redirects:
        recorder.fact("url", str(response.url))


@lru_cache(maxsize=1024)
def _timestamp(value: bytes) -> float | None:
    found = http_date(value.decode("latin-1"))
    return None if found is None else found.timestamp()
