"""What is odd about a module of a blackbox.yml, though it loads: warnings of ``sonde lint``.

    advice     what surprises (blackbox.md 7.3), and what fails in every run (3.4)
    faults     keys that no run can obey, which lint counts as mistakes

Looks at files only to see whether they are there.
"""

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from probes.config.blackbox.client import ClientKeys, TlsConfig
from probes.config.blackbox.fields import is_secret_header
from probes.config.blackbox.judging import Flaw
from probes.config.blackbox.options import (
    BlackboxModule,
    DnsSection,
    HttpSection,
    QueryResponse,
    RecordMatch,
)
from probes.config.blackbox.overhttp import VERSIONS, follows, judges_body
from probes.config.sections import Compat
from probes.extras import missing
from probes.pattern import pattern
from probes.settings import Settings
from probes.units import short

# RFC 6895, 2.3 and RFC 8914; as miekg/dns writes them.
RCODES = frozenset(
    {
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
        "NXRRSET", "NOTAUTH", "NOTZONE", "BADSIG", "BADVERS", "BADKEY", "BADTIME", "BADMODE",
        "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE",
    }
)  # fmt: skip
# blackbox.md 5.3
UNTIMED = "/probe ends with the scrape, or after 119.5 s when the scraper sets no timeout"
COMPRESSIONS = frozenset({"", "gzip", "br", "deflate", "identity"})
Flaws = Iterator[Flaw]


def faults(module: BlackboxModule) -> Flaws:
    """Yield each ``*_ref``: it loads, and no run can work with it."""
    yield from _refs(module, ())


def _refs(settings: Settings, at: tuple[str | int, ...]) -> Flaws:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name.endswith("_ref") and value:
            other = f"{name.removesuffix('_ref')}_file"
            text = f"want {other}, got {name}: there is no secret manager, here or upstream"
            yield Flaw((*at, name), text, at_key=True)
        elif isinstance(value, Settings):
            yield from _refs(value, (*at, name))


def advice(module: BlackboxModule, compat: Compat, beside: Path) -> Flaws:
    """Yield what surprises.

    Args:
        module: to look at.
        compat: whether upstream's quirks are kept.
        beside: directory of the file.
    """
    yield from _files(module, (), beside)
    if module.prober == "dns" and module.dns is None:
        yield Flaw((), "want a section dns with a query_name, got none: the root is asked for")
    if module.prober == "grpc" and module.grpc is None and compat == "strict":
        text = "want a section grpc, got none: with compat: strict only IPv6 is tried"
        yield Flaw((), f"{text}; 'grpc: {{}}' is enough")
    section = getattr(module, module.prober)
    if section is not None:
        yield from _common(section, (module.prober,))
        own = _OWN.get(module.prober)
        if own is not None:
            yield from own(section)


def _common(section: Any, at: tuple[str | int, ...]) -> Flaws:
    source = getattr(section, "source_ip_address", "")
    if source and not _is_ip(source):
        text = f"want an address of this host, got {short(source)}: here an interface may have that"
        text += " name, in blackbox_exporter every run fails"
        yield Flaw((*at, "source_ip_address"), text)
    tls: TlsConfig | None = getattr(section, "tls_config", None)
    if tls is None:
        return
    place = (*at, "tls_config")
    if tls.max_version and (tls.min_version or "TLS12") > tls.max_version:
        text = f"want min_version <= max_version, got {tls.min_version or 'TLS12, the default,'}"
        text = f"{text} and {tls.max_version}: every run will fail"
        yield Flaw((*place, "max_version"), text)


def _client(client: ClientKeys, at: tuple[str | int, ...]) -> Flaws:
    has_credentials = bool(
        client.basic_auth
        or client.authorization
        or client.oauth2
        or client.bearer_token
        or client.bearer_token_file
    )
    if client.tls_config and client.tls_config.insecure_skip_verify and has_credentials:
        text = "want verified TLS where credentials are sent, got none: anybody can collect them"
        yield Flaw((*at, "tls_config", "insecure_skip_verify"), text)


def _http(http: HttpSection) -> Flaws:
    at = ("http",)
    yield from _client(http, at)
    for index, version in enumerate(http.valid_http_versions):
        if version not in VERSIONS:
            text = f"want one of {', '.join(VERSIONS)}, got {short(version)}: it never matches"
            yield Flaw((*at, "valid_http_versions", index), text)
    for name, value in http.headers.items():
        if value and is_secret_header(name):
            text = "want a secret in http_headers or in a file, got it in headers"
            yield Flaw((*at, "headers", name), text, at_key=True)
    if http.fail_if_ssl and http.fail_if_not_ssl:
        text = "want fail_if_ssl or fail_if_not_ssl, got both: every run will fail"
        yield Flaw((*at, "fail_if_not_ssl"), text)
    if http.compression not in COMPRESSIONS:
        text = f"want gzip, br, deflate or identity, got {short(http.compression)}"
        yield Flaw((*at, "compression"), f"{text}: every run will fail")
    if judges_body(http):
        yield from _judged_body(http, at)


def _judged_body(http: HttpSection, at: tuple[str | int, ...]) -> Flaws:
    if not follows(http):
        text = "want follow_redirects where the body is judged, got false: that of a redirect"
        key = "follow_redirects" if http.no_follow_redirects is None else "no_follow_redirects"
        yield Flaw((*at, key), f"{text} is not read, so it never matches")
    for key in ("fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel"):
        if getattr(http, key) and (why := missing("cel", "cel")):
            yield Flaw((*at, key), f"{why}: every run will fail")
    if not http.body_size_limit:
        yield Flaw(at, "want a body_size_limit where the body is judged, got none: 4 MiB is kept")


def _dns(dns: DnsSection) -> Flaws:
    at = ("dns",)
    if dns.query_type in ("", "ANY"):
        text = "want a query_type such as A, got ANY: many servers refuse it (RFC 8482)"
        yield Flaw((*at, "query_type"), text)
    for index, rcode in enumerate(dns.valid_rcodes):
        if rcode not in RCODES:
            text = f"want a code such as NXDOMAIN, got {short(rcode)}: every run will fail"
            yield Flaw((*at, "valid_rcodes", index), text)
    transport = dns.transport_protocol or "udp"
    if transport not in ("udp", "tcp"):
        text = f"want udp or tcp, got {short(transport)}: every run will fail"
        yield Flaw((*at, "transport_protocol"), text)
    elif dns.dns_over_tls and transport == "udp":
        text = "want 'transport_protocol: tcp' beside it, got udp: every run will fail"
        yield Flaw((*at, "dns_over_tls"), text)
    for section in ("answer", "authority", "additional"):
        key = f"validate_{section}_rrs"
        yield from _records(getattr(dns, key), (*at, key), section)


def _records(match: RecordMatch, at: tuple[str | int, ...], section: str) -> Flaws:
    if match.fail_if_all_match_regexp:
        text = "want to know that it fails when NOT all records match, the opposite of its name"
        native = f"expect.{section}.every_if_any, or not_every for what it says"
        yield Flaw((*at, "fail_if_all_match_regexp"), f"{text}; natively {native}", at_key=True)
    for key in type(match).model_fields:
        for index, text in enumerate(getattr(match, key)):
            try:
                pattern(text)
            except ValueError as error:
                yield Flaw((*at, key, index), f"{error}: it fails when it is tried")


def _websocket(section: Any) -> Flaws:
    if section.http_config is not None:
        yield from _client(section.http_config, ("websocket", "http_config"))
    steps: list[QueryResponse] = section.query_response
    for index, step in enumerate(steps):
        for key in ("labels", "expect_bytes", "starttls"):
            if getattr(step, key):
                text = f"want expect and send in a step of websocket, got {key}: it has no effect"
                yield Flaw(("websocket", "query_response", index, key), text, at_key=True)


_OWN: dict[str, Callable[[Any], Flaws]] = {"http": _http, "dns": _dns, "websocket": _websocket}


def _files(settings: Settings, at: tuple[str | int, ...], beside: Path) -> Flaws:
    """Yield files that are not there; they are looked for in the working directory."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "files":
            for index, path in enumerate(value):
                yield from _file(path, (*at, name, index), beside)
        elif name.endswith("_file") and value:
            yield from _file(value, (*at, name), beside)
        else:
            inner = value if isinstance(value, dict) else {"": value}
            for key, one in inner.items():
                if isinstance(one, Settings):
                    yield from _files(one, (*at, name, key) if key else (*at, name), beside)


def _file(path: str, at: tuple[str | int, ...], beside: Path) -> Flaws:
    if "\0" in path or _is_there(Path(path)):
        return
    text = f"want a file below the working directory {short(str(Path.cwd()))}, got {short(path)}"
    if _is_there(beside / path):
        yield Flaw(at, f"{text}, which is beside this file: give the whole path")
    else:
        yield Flaw(at, f"{text}: every run will fail")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # no directory that we may enter, a name that is none: as for the run


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
