"""Kind ``http``: one request over a connection of its own, and what its answer should be.

The keys of the file; a run is `probes.wire.http_check.check`'s business.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from probes.kind import Kind, Metric
from probes.measure import Measures
from probes.recorder import Recorder
from probes.settings import is_blackbox
from probes.units import short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.http.exchange import close_quic, exchange, prepare
from probes.wire.http.headers import RESERVED, USER_AGENT
from probes.wire.http.message import MAX_REDIRECTS, REDIRECTS, Request, Response
from probes.wire.http.options import Options
from probes.wire.http_check.answer import Miss
from probes.wire.http_check.bodies import BodyKeys
from probes.wire.http_check.check import Check, Fetch
from probes.wire.http_check.expect import HttpExpect, HttpWarn
from probes.wire.http_check.request import NOT_LATE, BodyFile, Late, RequestKeys
from probes.wire.http_check.reuse import REUSE_METRICS, ReuseKeys, Twice, judge_reuse
from probes.wire.http_check.travel import TravelKeys
from probes.wire.http_check.versions import alpn_of, judge_quic, judge_versions
from probes.wire.sweep import SWEEP_METRICS, AddressKeys, sweep
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions
from probes.wire.url import Url, parse_url, split_host_port

# The level of blackbox_exporter whose files we read (blackbox.md).
BLACKBOX_AGENT = f"Blackbox-Exporter/0.28 ({USER_AGENT})"


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What is made of the settings once."""

    of: "Http"
    check: Check
    run: Callable[[str, Recorder], Coroutine[Any, Any, None]]


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
        check = self._made().check
        if check.plan(target).url.is_tls:
            prepare(check.options)
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
        return self._made().run(target, recorder)

    @classmethod
    async def release(cls) -> None:
        await close_quic()

    async def _run(self, check: Check, target: str, recorder: Recorder) -> None:
        if self.sweeps:
            url, servers = check.plan(target).url, check.options.servers
            once = partial(self.run, target)
            await sweep(url.host, url.port, recorder, once, ip=self.ip, servers=servers)
        elif self.reuse == "off":
            await check.run(target, recorder, partial(self._fetch, exchange))
        else:
            twice = Twice(required=self.reuse == "required")
            try:
                await check.run(target, recorder, partial(self._fetch, twice.first))
                await twice.again()
            finally:
                twice.close()

    async def _fetch(
        self, fetch: Fetch, request: Request, recorder: Recorder, options: Options, to: Response
    ) -> None:
        """Do what *fetch* does with a request that shows who asks, where it must."""
        proven = await self.prove(request, recorder)
        await fetch(proven.request, recorder, options, to)
        proven.answered(to)

    @cached_property
    def _own(self) -> _Made:
        before_body = None if self.decode is None else self._miss_of_encoding
        check = Check(
            self,
            self._options(),
            versions=self.versions,
            expect=self.expect,
            warn=self.warn,
            measure=self.measure,
            before_body=before_body,
        )
        is_plain = self.addresses == "first" and self.reuse == "off" and self.oauth2 is None
        return _Made(self, check, check.run if is_plain else partial(self._run, check))

    def _made(self) -> _Made:
        made = self._own
        if made.of is not self:
            # model_copy() copies this cache too
            del vars(self)["_own"]
            made = self._own
        return made

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

    def _miss_of_encoding(self, response: Response) -> Miss | None:
        failure = self.undecodable(response)
        return None if failure is None else Miss(failure)


def canonical_name(name: str) -> str:
    """Return a header's name as Go writes it: ``x-lower`` -> ``X-Lower``."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
