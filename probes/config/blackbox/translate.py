"""Options of a blackbox.yml into the settings of our kinds: one function for each prober.

Knows neither lines nor what a kind makes of its settings.
"""

from collections.abc import Callable, Mapping
from typing import Any

from probes.config.blackbox.client import ClientKeys
from probes.config.blackbox.native import (
    Native,
    filled,
    ip_of,
    octets_of,
    shown,
    tls_of,
)
from probes.config.blackbox.options import (
    BlackboxModule,
    DnsSection,
    GrpcSection,
    IcmpSection,
    QueryResponse,
    RecordMatch,
    TcpSection,
    UnixSection,
    WebsocketSection,
)
from probes.config.blackbox.overhttp import client_of, headers_of, http_of
from probes.config.sections import Compat
from probes.units import short


def translate(module: BlackboxModule, compat: Compat) -> Native:
    """Return *module* in the words of our kinds."""
    native = _PROBERS[module.prober](as_upstream_sees(module, compat))
    native.timeout_s = module.timeout or None
    return native


def as_upstream_sees(module: BlackboxModule, compat: Compat) -> BlackboxModule:
    """Return *module* with the section that upstream makes of none."""
    if module.prober != "grpc" or module.grpc is not None or compat == "fixed":
        return module
    # upstream forgot the default of a section that is not there (D3)
    return module.model_copy(update={"grpc": GrpcSection(ip_protocol_fallback=False)})


def _tcp(module: BlackboxModule) -> Native:
    tcp = module.tcp or TcpSection()
    native = Native("tcp", {})
    native.settings = filled(ip=ip_of(tcp), source=tcp.source_ip_address)
    native.settings |= _dialog(tcp, native, "tcp")
    return native


def _unix(module: BlackboxModule) -> Native:
    unix = module.unix or UnixSection()
    native = Native("unix", {})
    native.settings = _dialog(unix, native, "unix")
    return native


def _dialog(keys: TcpSection | UnixSection, native: Native, section: str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    upgrades = any(step.starttls for step in keys.query_response)
    tls = tls_of(keys.tls_config, native, section)
    if keys.tls or (upgrades and tls):
        settings["tls"] = tls or True
    if keys.tls and upgrades:
        native.broken = native.broken or (
            f"{section}: want tls or a step with starttls, got both: TLS inside TLS"
        )
    if keys.query_response:
        settings["dialog"] = list(map(_step, keys.query_response))
        settings["line_end"] = "\n"
    return settings


def _step(step: QueryResponse) -> dict[str, Any]:
    return filled(
        expect=step.expect,
        expect_bytes=octets_of(step.expect_bytes),
        labels={label.name: label.value for label in step.labels},
        send=octets_of(step.send),
        starttls=step.starttls,
    )


def _dns(module: BlackboxModule) -> Native:
    # without a section upstream asks for the empty name, which is the root
    dns = module.dns or DnsSection(query_name=".")
    native = Native("dns", {})
    transport = dns.transport_protocol or "udp"
    if transport not in ("udp", "tcp"):
        native.broken = f"dns.transport_protocol: want udp or tcp, got {short(transport)}"
        transport = "udp"
    elif dns.dns_over_tls and transport == "udp":
        native.broken = "dns.dns_over_tls: want 'transport_protocol: tcp' beside it, got udp"
        transport = "udp"
    elif dns.dns_over_tls:
        transport = "tls"
    native.settings = filled(
        query_name=dns.query_name,
        query_type=dns.query_type or "ANY",
        query_class=dns.query_class,
        transport=transport,
        tls=tls_of(dns.tls_config, native, "dns"),
        ip=ip_of(dns),
        source=dns.source_ip_address,
        expect=filled(
            rcode=dns.valid_rcodes,
            answer=_records(dns.validate_answer_rrs),
            authority=_records(dns.validate_authority_rrs),
            additional=_records(dns.validate_additional_rrs),
        ),
    ) | {"recursion": dns.recursion_desired}
    return native


def _records(match: RecordMatch) -> dict[str, Any]:
    return filled(
        forbid=match.fail_if_matches_regexp,
        every_if_any=match.fail_if_all_match_regexp,
        every=match.fail_if_not_matches_regexp,
        some=match.fail_if_none_matches_regexp,
    )


def _icmp(module: BlackboxModule) -> Native:
    icmp = module.icmp or IcmpSection()
    settings = filled(
        ip=ip_of(icmp), source=icmp.source_ip_address, dont_fragment=icmp.dont_fragment
    )
    settings["ttl"] = icmp.ttl
    if icmp.payload_size:
        settings["payload_size"] = f"{icmp.payload_size}B"
    return Native("icmp", settings)


def _grpc(module: BlackboxModule) -> Native:
    native = Native("grpc", {})
    grpc = module.grpc or GrpcSection()
    tls = tls_of(grpc.tls_config, native, "grpc")
    native.settings = filled(
        service=grpc.service,
        tls=(tls or True) if grpc.tls else None,
        ip=ip_of(grpc),
        metadata={
            key: [_metadata(key, value) for value in values]
            for key, values in grpc.metadata.items()
        },
    )
    return native


def _metadata(key: str, octets: bytes) -> Any:
    told = octets_of(octets) or ""
    return shown(key, told) if isinstance(told, str) else told


def _websocket(module: BlackboxModule) -> Native:
    section = module.websocket or WebsocketSection()
    client = section.http_config or ClientKeys()
    native = Native("websocket", {})
    headers = headers_of(section.headers, {})
    headers = headers_of(client.http_headers, headers)
    native.settings = filled(
        ip=ip_of(section),
        headers=headers,
        dialog=[
            filled(expect=step.expect, send=octets_of(step.send)) for step in section.query_response
        ],
    )
    native.settings |= {"trust": "host"} | client_of(client, native, "websocket.http_config")
    # the answer to an upgrade is rarely a redirect; only whoever says so means it (D5)
    if "follow_redirects" in client.model_fields_set:
        native.settings["follow_redirects"] = client.follow_redirects
    return native


_PROBERS: Mapping[str, Callable[[BlackboxModule], Native]] = {
    "http": http_of, "tcp": _tcp, "unix": _unix, "dns": _dns, "icmp": _icmp, "grpc": _grpc,
    "websocket": _websocket,
}  # fmt: skip
