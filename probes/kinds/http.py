"""Kind ``http``: one request over a connection of its own, and what its answer should be.

Knows what an answer should be; how it is fetched is `probes.wire.http`'s business.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from probes.errors import CheckFailed
from probes.kind import Kind, Metric
from probes.measure import Answer, Measures, record_measures
from probes.recorder import Recorder
from probes.result import Reason, Sample
from probes.units import short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.answer import Flag, Miss, flag_of_silence, judge_run, miss_in_answer
from probes.wire.asking import NOT_LATE, BodyFile, Late, RequestKeys
from probes.wire.bodies import BodyKeys
from probes.wire.expectation import HttpExpect, HttpWarn
from probes.wire.headers import RESERVED, USER_AGENT, is_blackbox
from probes.wire.http import Options, close_quic, exchange
from probes.wire.message import MAX_REDIRECTS, REDIRECTS, Request, Response, text
from probes.wire.redirect import http_date
from probes.wire.reuse import REUSE_METRICS, ReuseKeys, Twice, judge_reuse
from probes.wire.sweep import SWEEP_METRICS, AddressKeys, sweep
from probes.wire.tls import NET_METRICS, TLS_METRICS, TlsOptions
from probes.wire.travel import Proven, TravelKeys
from probes.wire.url import Url, parse_url, split_host_port
from probes.wire.versions import alpn_of, judge_quic, judge_versions

Fetch = Callable[[Request, Recorder, Options, Response], Awaitable[object]]
_VERSIONS = {"1.0": 1.0, "1.1": 1.1, "2": 2.0, "3": 3.0}
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
# Targets of one module come from outside through /probe; a plan is remade in microseconds.
MAX_PLANS = 256
# Enough of a wrong answer to recognise an error page.
SHOWN_BODY_BYTES = 512
# The level of blackbox_exporter whose files we read (blackbox.md).
BLACKBOX_AGENT = f"Blackbox-Exporter/0.28 ({USER_AGENT})"


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What all runs against one target share; no request when files have a part in it."""

    kind: "Http"
    url: Url
    request: Request | None
    options: Options


class Http(AddressKeys, ReuseKeys, TravelKeys, BodyKeys, RequestKeys, Kind):
    """Send one HTTP request over a new connection and judge the answer.

    HTTP/2 is taken when the server offers it over TLS. Without ``expect`` any 2xx is up.

    Target:
        ``http://host[:port]/path`` or ``https://...``; ``user:password@`` becomes basic auth.

    Source:
        RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 9113 (HTTP/2), RFC 9114 (HTTP/3)
    """

    name = "http"
    phase_family = "http_duration_seconds"
    phases = ("auth", "resolve", "connect", "tls", "processing", "transfer", "reuse")
    parameters = ("method", "body", "ip")
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
        Metric("failed_due_to_cel", "1 if the run failed by a CEL expression"),
        *NET_METRICS,
        *TLS_METRICS,
        *SWEEP_METRICS,
        *REUSE_METRICS,
    )

    versions: list[Literal[1, 2, 3]] = Field(default=[1, 2], min_length=1)
    """Versions of HTTP that are offered and accepted; 2 needs https://. 3 stands alone: it is asked
    at once, over QUIC, with the extra ``http3``."""
    follow_redirects: bool = True
    """Follow 301, 302, 303, 307 and 308; otherwise the redirect is the answer."""
    max_redirects: int = Field(default=MAX_REDIRECTS, ge=0, le=MAX_REDIRECTS)
    """Redirects at most; one more is a failure."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, and the client certificate."""
    expect: HttpExpect = HttpExpect()
    """What fails the run when it is missed; by default a status of 2xx."""
    warn: HttpWarn | None = None
    """The same keys; a miss degrades the run and does not fail it."""
    measure: Measures = Field(default=[])
    """Numbers out of the answer, each a metric under a name of your own: ``name``, ``help``,
    ``type``, ``unit``; one of ``json``, ``header``, ``regex`` and ``each``; ``label`` or
    ``labels``, ``max``; ``scale``, ``optional``, ``warn``, ``fail``."""

    _is_dialect: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _speak_blackbox(cls, data: Any, info: ValidationInfo) -> Any:
        """Give a module of a blackbox.yml the defaults that blackbox_exporter has."""
        if not is_blackbox(info) or not isinstance(data, Mapping):
            return data
        given = data.get("headers") or {}
        headers = {
            canonical_name(name): value
            for name, value in given.items()
            if name.lower() not in RESERVED  # they are written by the codecs there, too
        }
        agent = {"User-Agent": BLACKBOX_AGENT}
        own = {"decompress": False, "max_body": None, "trust": "host"}
        return {**own, **data, "headers": agent | headers}

    @model_validator(mode="after")
    def _remember_the_dialect(self, info: ValidationInfo) -> Self:
        self._is_dialect = is_blackbox(info)
        return self

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        has_proxy = self.proxy is not None
        if self.addresses == "all" and has_proxy:
            raise ValueError("want addresses: first where a proxy dials, got all")
        if self.reuse != "off":
            follows = self.follow_redirects
            judge_reuse(self.method, self.versions, follows=follows, has_proxy=has_proxy)
        if self.oauth2 is not None and self.shows_who_asks:
            raise ValueError("want oauth2 or another way to show who asks, got both")
        return self

    @model_validator(mode="after")
    def _one_transport(self, info: ValidationInfo) -> Self:
        judge_versions(self.versions)
        if not is_blackbox(info):  # there the run tells it
            judge_quic(self.versions, self.tls, has_proxy=self.proxy is not None)
        return self

    @property
    def named_metrics(self) -> tuple[Metric, ...]:
        return tuple(measure.metric for measure in self.measure)

    def canonical_target(self, target: str) -> str:
        if not self._is_dialect:
            return target
        # blackbox.md 4.2: without a scheme it is http, and HTTP/3 knows no plain text
        scheme, _, rest = target.partition("://")
        if scheme.lower() not in ("http", "https"):
            scheme, rest = "http", target
        is_quic = {1, 2}.isdisjoint(self.versions)
        return f"{'https' if is_quic else scheme}://{rest}"

    def check_target(self, target: str) -> None:
        url = parse_url(target)
        if not url.is_tls and 1 not in self.versions:
            wanted = f"want an https:// URL for HTTP/{self.versions[0]}"
            raise ValueError(f"{wanted}, got {short(str(url))}")

    def advice(self, target: str) -> Iterable[str]:  # noqa: ARG002 - it may be any
        status = self.expect.status
        goes_on = status is None or any(map(status.admits, REDIRECTS))
        if not self.follow_redirects and goes_on and self.expect.judges_body:
            yield (
                "expect looks at the body, and that of a redirect is not read:"
                " a redirect is down, with failed_due_to_regex 1"
            )

    def for_hostname(self, hostname: str) -> Self:
        """Return the same check that asks for *hostname*: in the Host header and over TLS.

        Raises:
            ValueError: no host name, or the file gives another one.
        """
        split_host_port(hostname, 443)
        others = {name: text for name, text in self.headers.items() if name.lower() != "host"}
        given = [text for name, text in self.headers.items() if name.lower() == "host"]
        if given and given != [hostname]:
            got = f"{short(given[0])} in the module and {short(hostname)} as hostname"
            raise ValueError(f"want one name for the Host header, got {got}")
        return self.model_copy(update={"headers": {**others, "Host": hostname}})

    def secrets(self, target: str) -> set[str]:
        return super().secrets(target) | set(self.header_secrets()) | self.travel_secrets()

    def prepare(self, target: str) -> None:
        plan = self._plan(target)
        if plan.url.is_tls:
            plan.options.prepare()
        self.prepare_travel()

    def request(self, url: Url, late: Late = NOT_LATE) -> Request:
        made = super().request(url, late)
        # blackbox_exporter would send a body again wherever a redirect leads
        is_free = self.trust == "host" and isinstance(self.body, BodyFile)
        return replace(made, body_is_secret=False) if is_free else made

    def run(  # pyright: ignore[reportIncompatibleMethodOverride] - as good as a coroutine function
        self, target: str, recorder: Recorder
    ) -> Coroutine[Any, Any, None]:
        # no coroutine of its own: one more costs a microsecond in every run
        if self.sweeps:
            return self._sweep(target, recorder)
        if self.reuse != "off":
            return self._check_twice(target, recorder, Twice(required=self.reuse == "required"))
        return self._check(target, recorder)

    @classmethod
    async def release(cls) -> None:
        await close_quic()

    async def _sweep(self, target: str, recorder: Recorder) -> None:
        plan, once = self._plan(target), partial(self.run, target)
        url, servers = plan.url, plan.options.servers
        await sweep(url.host, url.port, recorder, once, ip=self.ip, servers=servers)

    async def _check_twice(self, target: str, recorder: Recorder, twice: Twice) -> None:
        try:
            await self._check(target, recorder, twice.first)
            await twice.again()
        finally:
            twice.close()

    async def _check(self, target: str, recorder: Recorder, fetch: Fetch = exchange) -> None:
        plan = self._plan(target)
        request = plan.request or self.request(plan.url, await self.read(recorder))
        response = Response(plan.url, plan.options.limits)
        flag: Flag = ""
        try:
            proven = await self.prove(request, recorder) if self.oauth2 else Proven(request)
            over = await self._fetch(fetch, proven, recorder, plan.options, response)
            miss = self._miss(response)
            flag = "" if miss is None else miss.flag
            beyond = self._measure(response, recorder)
            if miss is not None:
                raise over or miss.failure
            if beyond is not None:
                raise beyond
            judge_run(self.expect, recorder, over_tls=response.over_tls)
            if self.warn is not None:
                self._warn(self.warn, response, recorder)
        except asyncio.CancelledError:
            flag = flag_of_silence(self.expect, response)
            raise
        finally:
            self._record(response, recorder, flag)

    async def _fetch(
        self, fetch: Fetch, proven: Proven, recorder: Recorder, options: Options, response: Response
    ) -> CheckFailed | None:
        """Fill *response*; a redirect too many is the answer, and why it is one comes back."""
        try:
            await fetch(proven.request, recorder, options, response)
            proven.answered(response)
        except CheckFailed as failure:
            if failure.reason is not Reason.REDIRECT or response.redirects <= self.max_redirects:
                raise
            return failure
        return None

    @cached_property
    def _plans(self) -> dict[str, _Plan]:
        return {}

    def _plan(self, target: str) -> _Plan:
        plan = self._plans.get(target)
        # model_copy() copies this cache too
        if plan is None or plan.kind is not self:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            url = parse_url(target)
            request = None if self.is_late else self.request(url)
            plan = self._plans[target] = _Plan(self, url, request, self._options())
        return plan

    def _options(self) -> Options:
        keep = self.expect.judges_body or (self.warn is not None and self.warn.judges_body)
        keep = keep or any(measure.reads_body for measure in self.measure)
        options = Options(
            limits=self.limits(keep=keep),
            ip=self.ip,
            tls=self.tls,
            alpn=alpn_of(self.versions),
            follow_redirects=self.follow_redirects,
            max_redirects=self.max_redirects,
        )
        return self.travelling(options)

    def _miss(self, response: Response) -> Miss | None:
        """Judge as blackbox_exporter does."""
        miss = miss_in_answer(self.expect, response, self.undecodable(response))
        if miss is not None and miss.failure.reason is Reason.STATUS:
            lost = self.follow_redirects and response.status in REDIRECTS
            if lost and response.value(b"location") is None:
                got = f"got none with status {response.status}"
                failure = CheckFailed(
                    Reason.REDIRECT, f"want a Location, {got}", phase="processing"
                )
                return Miss(failure)
        if miss is None and int(_VERSIONS.get(response.version, 0)) not in self.versions:
            wanted = " or ".join(f"HTTP/{v}" for v in self.versions)
            got = f"got HTTP/{response.version}"
            return Miss(CheckFailed(Reason.PROTOCOL, f"want {wanted}, {got}", phase="processing"))
        return miss

    def _measure(self, response: Response, recorder: Recorder) -> CheckFailed | None:
        if not self.measure or response.failure is not None:
            return None
        return record_measures(self.measure, Answer(response.values, response.body.data), recorder)

    def _warn(self, warn: HttpWarn, response: Response, recorder: Recorder) -> None:
        miss = miss_in_answer(warn, response)
        if miss is not None:
            failure = miss.failure
            recorder.warn(failure.reason, failure.message, phase=failure.phase)
        try:
            judge_run(warn, recorder, over_tls=response.over_tls)
        except CheckFailed as soft:
            recorder.warn(soft.reason, soft.message, phase=soft.phase)

    def _record(self, response: Response, recorder: Recorder, flag: Flag) -> None:
        _record(response, recorder, missed=flag == "regex")
        if self.expect.asks_cel:
            recorder.sample("failed_due_to_cel", 1.0 if flag == "cel" else 0.0)
        if flag and response.body.data:
            recorder.fact("body", text(response.body.data[:SHOWN_BODY_BYTES]))


def canonical_name(name: str) -> str:
    """Return a header's name as Go writes it: ``x-lower`` -> ``X-Lower``."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


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
