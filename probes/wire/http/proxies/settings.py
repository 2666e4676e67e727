"""The ``proxy:`` block of the probe file, and which requests go through which proxy.

    ProxyOptions     what the file says, credentials included
    └── Proxies      what a run asks: for_url(url, address) -> Proxy or None (straight on)

Which hosts go straight on is decided by the rules of Go's ``httpproxy``, which blackbox_exporter
follows. Knows no socket: how a proxy is spoken to is the business of
`probes.wire.http.proxies.tunnel`.
"""

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from probes.redact import Secret
from probes.settings import Settings
from probes.units import short
from probes.wire.address import Address
from probes.wire.http.headers import HeaderName, Text, plain
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url, canonical_host, literal_host, parse_url

Scheme = Literal["http", "https", "socks5", "socks5h"]
DEFAULT_PORTS: dict[str, int] = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HAS_PORT = re.compile(r"[^/?#]*:[0-9]+(?:[/?#].*)?", re.DOTALL)
# CONNECT is spoken over HTTP/1.1; HTTP/2 has another one (RFC 9113, 8.5), which few proxies know.
PROXY_ALPN = ("http/1.1",)
# A proxy of the environment, by the scheme of the target; Go asks in this order.
_VARIABLES = {
    "http": ("HTTP_PROXY", "http_proxy"),
    "https": ("HTTPS_PROXY", "https_proxy"),
    "": ("NO_PROXY", "no_proxy"),
}
# A web server that runs us as CGI sets HTTP_PROXY from a header of its client (httpoxy, 2016).
_CGI = "REQUEST_METHOD"


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. ``host`` is canonical; user and password are empty when there are none."""

    scheme: Scheme
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5 and not HTTP."""
        return self.scheme.startswith("socks5")

    @property
    def authority(self) -> str:
        """``host:port``, for people too."""
        return f"{literal_host(self.host)}:{self.port}"

    @property
    def encoded(self) -> str:
        """User and password as they go out; empty without."""
        if not (self.user or self.password):
            return ""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def __repr__(self) -> str:
        return f"Proxy({self})"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def parse_proxy(text: str) -> Proxy:
    """Read the URL of a proxy; without a scheme it is ``http://``.

    Raises:
        ValueError: another scheme, or no such URL.
    """
    found = _SCHEME.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("http", text)
    if scheme not in DEFAULT_PORTS:
        wanted = "want a proxy by http://, https://, socks5:// or socks5h://"
        raise ValueError(f"{wanted}, got {short(scheme + '://')}")
    try:
        url = parse_url(f"http://{rest}")
    except ValueError as error:
        raise ValueError(f"want the URL of a proxy: {error}") from None
    if url.path_query != "/":
        raise ValueError("want the URL of a proxy without a path, got one with a path")
    port = url.port if _HAS_PORT.fullmatch(rest.rpartition("@")[2]) else DEFAULT_PORTS[scheme]
    return Proxy(cast("Scheme", scheme), url.host, port, url.user, url.password)


Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Bypass:
    """Which hosts are asked without the proxy: the entries of ``no_proxy``."""

    everything: bool = False
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    addresses: tuple[tuple[Ip, str], ...] = ()
    """Address and port; an empty port is any."""
    domains: tuple[tuple[str, bool, str], ...] = ()
    """``.name``, whether the name itself counts too, and port."""

    def covers(self, host: str, port: int, ip: str | None = None) -> bool:
        """Return whether *host* on *port* goes straight on; *ip* is what it stands for, if known.

        Source:
            https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
        """
        host = host.removesuffix(".")
        if host == "localhost":
            return True
        address = _address(host)
        if address is not None and address.is_loopback:
            return True
        known = [found for found in (address, _address(ip or "")) if found is not None]
        return (
            self.everything or self._names(host, port) or any(self._has(it, port) for it in known)
        )

    def _names(self, host: str, port: int) -> bool:
        return any(
            (host.endswith(suffix) or (itself and host == suffix[1:])) and only in ("", str(port))
            for suffix, itself, only in self.domains
        )

    def _has(self, address: Ip, port: int) -> bool:
        if any(address.version == net.version and address in net for net in self.networks):
            return True
        return any(address == ip and only in ("", str(port)) for ip, only in self.addresses)


def _address(text: str) -> Ip | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def parse_bypass(text: str) -> Bypass:
    """Read a ``no_proxy``; entries that mean nothing are left out, as by every other program."""
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    addresses: list[tuple[Ip, str]] = []
    domains: list[tuple[str, bool, str]] = []
    for entry in text.lower().split(","):
        word = entry.strip()
        if word == "*":
            return Bypass(everything=True)
        if "/" in word:
            try:
                networks.append(ipaddress.ip_network(word, strict=False))
                continue
            except ValueError:
                pass
        host, port = _split(word)
        address = _address(host)
        if address is not None:
            addresses.append((address, port))
        elif host and host not in (".", "*."):
            domains.append(_domain(host, port))
    return Bypass(networks=tuple(networks), addresses=tuple(addresses), domains=tuple(domains))


def _split(word: str) -> tuple[str, str]:
    if word.startswith("["):
        host, _, port = word[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = word.rpartition(":")
    # several colons without brackets: an IPv6 address without a port
    return (word, "") if not colon or ":" in host else (host, port)


def _domain(host: str, port: str) -> tuple[str, bool, str]:
    name = host.removeprefix("*") if host.startswith("*.") else host
    itself = not name.startswith(".")
    bare = name.lstrip(".")
    with suppress(ValueError):  # else it matches nothing that can be dialled, as in Go
        bare = canonical_host(bare)
    return f".{bare}", itself, port


def _to_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _judge_header(values: tuple[Secret, ...]) -> tuple[Secret, ...]:
    for value in values:
        if any(sign in value.get_secret_value() for sign in "\r\n\0"):
            raise ValueError("want a text of one line, got line breaks or NUL")
    return values


HeaderValues = Annotated[
    tuple[Secret, ...], BeforeValidator(_to_list), AfterValidator(_judge_header)
]
"""One secret text or several."""


def _judge_url(value: str | Secret) -> str | Secret:
    proxy = parse_proxy(plain(value))
    # with a user in it the whole of it is nobody's business
    return Secret(plain(value)) if proxy.encoded else value


def _to_text(value: object) -> object:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class Proxies:
    """What a run asks: which proxy a request goes through.

    Args:
        by_scheme: of the target's URL: its proxy.
        bypass: which hosts go straight on; None: none does.
        connect_headers: for CONNECT.
        resolve: whether we resolve the target's name; None: unless the proxy is socks5h.
        tls: of proxies that are spoken to over TLS.
    """

    by_scheme: Mapping[str, Proxy]
    bypass: Bypass | None
    connect_headers: tuple[tuple[str, str], ...]
    resolve: bool | None
    tls: TlsOptions

    def resolves(self, url: Url) -> bool:
        """Return whether the name of *url* is resolved by us, whichever way it then goes."""
        proxy = self.for_url(url)
        if proxy is None:
            return True
        return proxy.scheme != "socks5h" if self.resolve is None else self.resolve

    def for_url(self, url: Url, address: Address | None = None) -> Proxy | None:
        """Return the proxy of *url*, which stands for *address* if that is known; None: none."""
        proxy = self.by_scheme.get(url.scheme)
        if proxy is None or self.bypass is None:
            return proxy
        ip = None if address is None else address.ip
        return None if self.bypass.covers(url.host, url.port, ip) else proxy

    def prepare(self) -> None:
        """Do now, off the loop, what the first connection would wait for."""
        if any(proxy.scheme == "https" for proxy in self.by_scheme.values()):
            self.tls.prepare(PROXY_ALPN)

    @property
    def secrets(self) -> set[str]:
        """Every text that must not be shown."""
        proxies = self.by_scheme.values()
        found = {value for _, value in self.connect_headers}
        return found | {it for proxy in proxies for it in (proxy.password, proxy.encoded) if it}


class ProxyOptions(Settings):
    """Through which proxy a request goes."""

    url: Annotated[Text, AfterValidator(_judge_url)] | None = None
    """Proxy by http://, https://, socks5:// or socks5h://, with ``user:password@`` if it wants."""
    no_proxy: Annotated[str, BeforeValidator(_to_text, json_schema_input_type=str | list[str])] = ""
    """Hosts that are asked without it: names, addresses, networks, ``*``, with or without port."""
    from_env: bool = False
    """Take the proxy from HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment instead."""
    connect_headers: dict[HeaderName, HeaderValues] = Field(default={})
    """Further headers of CONNECT; their values are secrets."""
    resolve: bool | None = None
    """Resolve the target's name here; otherwise the proxy is asked for the name. Default: here,
    but for socks5h:// there."""
    tls: TlsOptions = TlsOptions()
    """How a proxy by https:// is verified."""

    _environment: tuple[str, str, str] = PrivateAttr(default=("", "", ""))

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        if self.from_env and (self.url is not None or self.no_proxy):
            raise ValueError("want url with no_proxy, or from_env, got both")
        if self.url is None and self.no_proxy:
            raise ValueError("want url beside no_proxy, got none")
        if self.url is None and not self.from_env and self.connect_headers:
            raise ValueError("want url or from_env beside connect_headers, got none of them")
        if self.from_env:
            environ = (info.context or {}).get("environ", os.environ)
            self._environment = _read(environ)
            self.proxies  # noqa: B018 - a broken one is a mistake that is found now
        return self

    @cached_property
    def proxies(self) -> Proxies | None:
        """What a run asks; None: every request goes straight on."""
        http, https, no_proxy = self._environment
        if self.url is not None:
            http = https = plain(self.url)
            no_proxy = self.no_proxy
        by_scheme = {
            scheme: parse_proxy(text) for scheme, text in (("http", http), ("https", https)) if text
        }
        if not by_scheme:
            return None
        headers = self.connect_headers.items()
        return Proxies(
            by_scheme=by_scheme,
            bypass=parse_bypass(no_proxy) if self.from_env or no_proxy else None,
            connect_headers=tuple((n, v.get_secret_value()) for n, vs in headers for v in vs),
            resolve=self.resolve,
            tls=self.tls,
        )

    def secrets(self) -> set[str]:
        """Return every text that must not be shown."""
        return set() if self.proxies is None else self.proxies.secrets


def _read(environ: Mapping[str, str]) -> tuple[str, str, str]:
    found = {
        scheme: next((value for name in names if (value := environ.get(name))), "")
        for scheme, names in _VARIABLES.items()
    }
    if environ.get(_CGI):
        found["http"] = ""
    return found["http"], found["https"], found[""]
