"""The options of a blackbox.yml, in upstream's words and in upstream's order.

    Module
    ├── prober, timeout
    └── http tcp unix icmp dns grpc websocket     one section for each prober

Types and single values are judged here, what concerns several keys in
`probes.config.blackbox.judging`. Level: blackbox_exporter 0.28 and what comes next. Knows nothing
of how it is done here.
"""

from pydantic import Field

from probes.config.blackbox.client import ClientKeys, Header, TlsConfig
from probes.config.blackbox.fields import (
    Base2,
    Bool,
    CelText,
    DnsClass,
    DnsType,
    GoDuration,
    Int,
    Octets,
    ProberName,
    Regex,
    Text,
    Ttl,
    Upstream,
)
from probes.settings import Settings


class HeaderMatch(Upstream):
    """What a header must or must not be."""

    header: Text = ""
    """Name of the header."""
    regexp: Regex = ""
    """Pattern of its value."""
    allow_missing: Bool = False
    """Whether it may be missing."""


class AddressKeys(Upstream):
    """Which address of a name is taken."""

    preferred_ip_protocol: Text = ""
    """ip6 (also when empty), or anything else for IPv4."""
    ip_protocol_fallback: Bool = True
    """Whether the other family will do."""


class HttpSection(AddressKeys, ClientKeys):
    """Options of the prober http."""

    valid_status_codes: list[Int] = Field(default=[])
    """Good status codes; 2xx by default."""
    valid_http_versions: list[Text] = Field(default=[])
    """Good versions: HTTP/1.0, HTTP/1.1, HTTP/2.0, HTTP/3.0."""
    skip_resolve_phase_with_proxy: Bool = False
    """Whether the proxy resolves the name."""
    no_follow_redirects: Bool | None = None
    """Older spelling of ``follow_redirects``, inverted; it wins."""
    fail_if_ssl: Bool = False
    """Fail when the last answer came over TLS."""
    fail_if_not_ssl: Bool = False
    """Fail when it did not."""
    method: Text = ""
    """Request method; GET by default."""
    headers: dict[str, Text] = Field(default={})
    """Request headers."""
    fail_if_body_matches_regexp: list[Regex] = Field(default=[])
    """Fail when the body matches one of them."""
    fail_if_body_not_matches_regexp: list[Regex] = Field(default=[])
    """Fail when the body misses one of them."""
    fail_if_body_json_matches_cel: CelText = ""
    """Fail when the expression over ``body`` is true."""
    fail_if_body_json_not_matches_cel: CelText = ""
    """Fail when the expression over ``body`` is false."""
    fail_if_header_matches: list[HeaderMatch] = Field(default=[])
    """Fail when a header matches."""
    fail_if_header_not_matches: list[HeaderMatch] = Field(default=[])
    """Fail when a header does not match."""
    body: Text = ""
    """Request body."""
    body_file: Text = ""
    """File with the request body."""
    enable_http3: Bool = False
    """Whether HTTP/3 is spoken, and nothing else."""
    compression: Text = ""
    """Encoding of the body: gzip, br, deflate, identity."""
    body_size_limit: Base2 = 0
    """Size of the decoded body at most."""


class Label(Upstream):
    """One label of ``probe_expect_info``."""

    name: Text = ""
    """Name of the label."""
    value: Text = ""
    """Its value; ``${1}`` is a group of ``expect``."""


class QueryResponse(Upstream):
    """One step of a dialog."""

    expect: Regex | None = None
    """Pattern of a line."""
    expect_bytes: Octets = b""
    """Bytes that come."""
    labels: list[Label] = Field(default=[])
    """Labels out of what was matched."""
    send: Octets = b""
    """What is sent."""
    starttls: Bool = False
    """Whether the connection turns into a TLS one."""


class DialogKeys(Upstream):
    """A dialog, maybe over TLS."""

    query_response: list[QueryResponse] = Field(default=[])
    """Steps of the dialog."""
    tls: Bool = False
    """Whether it begins with TLS."""
    tls_config: TlsConfig | None = None
    """How TLS connections are made."""


class SourceKeys(AddressKeys):
    """Where a connection comes from and goes to."""

    source_ip_address: Text = ""
    """Address of this host to come from."""


class TcpSection(SourceKeys, DialogKeys):
    """Options of the prober tcp."""


class UnixSection(DialogKeys):
    """Options of the prober unix."""


class IcmpSection(SourceKeys):
    """Options of the prober icmp."""

    payload_size: Int = 0
    """Bytes of payload; 0: the usual text."""
    dont_fragment: Bool = False
    """Whether the packet must not be split."""
    ttl: Ttl = 64
    """Hops that the packet may take; 0: the system's default."""


class RecordMatch(Upstream):
    """What the records of a section must or must not be."""

    fail_if_matches_regexp: list[Text] = Field(default=[])
    """Fail when a record matches one of them."""
    fail_if_all_match_regexp: list[Text] = Field(default=[])
    """Fail when not all records match all of them: the opposite of the name."""
    fail_if_not_matches_regexp: list[Text] = Field(default=[])
    """Fail when a record misses one of them, or there is none."""
    fail_if_none_matches_regexp: list[Text] = Field(default=[])
    """Fail when no record matches any of them."""


class DnsSection(SourceKeys):
    """Options of the prober dns."""

    dns_over_tls: Bool = False
    """Whether the query goes over TLS; needs tcp."""
    tls_config: TlsConfig | None = None
    """How TLS connections are made."""
    transport_protocol: Text = ""
    """udp (by default) or tcp."""
    query_class: DnsClass = ""
    """Class of the question; IN by default."""
    query_name: Text = ""
    """Name that is asked for."""
    query_type: DnsType = ""
    """Type of the question; ANY by default."""
    recursion_desired: Bool = True
    """Whether the server should ask others."""
    valid_rcodes: list[Text] = Field(default=[])
    """Good codes of the answer; NOERROR by default."""
    validate_answer_rrs: RecordMatch = RecordMatch()
    """What the answer must be."""
    validate_authority_rrs: RecordMatch = RecordMatch()
    """What the authority section must be."""
    validate_additional_rrs: RecordMatch = RecordMatch()
    """What the additional section must be."""


class GrpcSection(AddressKeys):
    """Options of the prober grpc."""

    service: Text = ""
    """Service whose health is asked for; empty: the server's."""
    tls: Bool = False
    """Whether it goes over TLS."""
    tls_config: TlsConfig | None = None
    """How TLS connections are made."""
    metadata: dict[str, list[Octets]] = Field(default={})
    """Metadata of the call."""


class WebsocketSection(AddressKeys):
    """Options of the prober websocket."""

    http_config: ClientKeys | None = None
    """Keys of the HTTP client."""
    headers: dict[str, Header] = Field(default={})
    """Headers of the upgrade."""
    query_response: list[QueryResponse] = Field(default=[])
    """Steps of the dialog."""


class BlackboxModule(Upstream):
    """One entry of ``modules`` in a blackbox.yml."""

    prober: ProberName
    """What speaks to the target."""
    timeout: GoDuration = 0.0
    """Time of a run at most; not set: as long as the scraper waits."""
    http: HttpSection | None = None
    """Options of the prober http."""
    tcp: TcpSection | None = None
    """Options of the prober tcp."""
    icmp: IcmpSection | None = None
    """Options of the prober icmp."""
    dns: DnsSection | None = None
    """Options of the prober dns."""
    grpc: GrpcSection | None = None
    """Options of the prober grpc."""
    unix: UnixSection | None = None
    """Options of the prober unix."""
    websocket: WebsocketSection | None = None
    """Options of the prober websocket."""


class BlackboxFile(Settings):
    """A blackbox.yml."""

    modules: dict[str, BlackboxModule] = Field(default={})
    """Probers with their options, by name."""
