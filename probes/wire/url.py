"""Hosts, ports and URLs as people write them: one parser for judgement and for use.

    Url
    ├── scheme           http | https
    ├── host             lower case, A-labels or a canonical address without brackets
    ├── port             1..65535, the scheme's own when none is written
    ├── path_query       what stands in the request line, at least "/"
    └── user, password   decoded; empty when there are none

What is judged here is the very value that is dialled, so no two readings of one text can differ.
The only home of yarl. Knows neither sockets nor policy.
"""

import ipaddress
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import quote

import yarl

from probes.units import short

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_PORT = 65535
# RFC 1035, 2.3.4
MAX_NAME_CHARACTERS = 253
# RFC 9110, 4.1 recommends at least 8,000; a longer URL is an accident or an attack.
MAX_URL_CHARACTERS = 8192
# Longer ones are not kept: those of hostile redirects would fill 64 MB.
MAX_KEPT_URL_CHARACTERS = 512

# Underscores are no host names by RFC 952, but container networks are full of them.
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
# "127.1", "2130706433", "0x7f.1": old resolvers read them as addresses, so nobody may mean a name
# by them.
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
# RFC 3986 characters and whole escapes go over the wire as they were written; these do not.
_CLEAN_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/?]{0,2000}", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]|%(?![0-9A-Fa-f]{2})", re.ASCII)


@lru_cache(maxsize=4096)
def canonical_host(text: str) -> str:
    """Return a host as it is judged, resolved and dialled: lower case, A-labels, no brackets.

    A trailing dot stays (it keeps the resolver from trying search domains); a zone
    (``fe80::1%eth0``) stays too.

    Raises:
        ValueError: no host, or another spelling of an address such as ``127.1`` or ``0x7f000001``.
    """
    literal, percent, zone = text.partition("%")
    try:
        address = ipaddress.ip_address(literal)
    except ValueError:
        return _canonical_name(text)
    if not percent:
        return str(address)
    if isinstance(address, ipaddress.IPv6Address) and _ZONE.fullmatch(zone):
        return f"{address}%{zone}"
    raise ValueError(f"want a host name or an address, got {short(text)}")


def _canonical_name(text: str) -> str:
    name = text.lower()
    if not name.isascii():
        name = _to_ascii(text)
        try:
            # full-width digits and dots: the same host as in plain ones
            return str(ipaddress.ip_address(name))
        except ValueError:
            pass
    if not _NAME.fullmatch(name) or len(name.rstrip(".")) > MAX_NAME_CHARACTERS:
        raise ValueError(f"want a host name or an address, got {short(text)}")
    if _ENDS_IN_NUMBER.fullmatch(name):
        raise ValueError(f"want an address in its plain form such as 127.0.0.1, got {short(text)}")
    return name


def _to_ascii(text: str) -> str:
    try:
        return yarl.URL.build(scheme="http", host=text).raw_host or ""
    except ValueError:
        raise ValueError(f"want a host name or an address, got {short(text)}") from None


def literal_host(host: str) -> str:
    """Return *host* as it stands before ``:port``: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def tls_name(host: str) -> str:
    """Return the name to verify in TLS: without zone or trailing dot; no certificate has them."""
    return host.partition("%")[0].removesuffix(".")


def parse_port(text: str) -> int:
    """Read a port from 1 to 65535.

    Raises:
        ValueError: anything else.
    """
    if _PORT.fullmatch(text) and 0 < int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"want a port from 1 to {MAX_PORT}, got {short(text)}")


@lru_cache(maxsize=4096)
def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Read ``host:port`` or ``[v6]:port``; without ``:port`` only when there is a *default_port*.

    Raises:
        ValueError: anything else.
    """
    if "://" in text:
        raise ValueError(f"want host:port without a scheme, got {short(text)}")
    host, separator, port = _parted(text, has_default=default_port is not None)
    if not host:
        raise ValueError(f"want host:port, got {short(text)}")
    host = canonical_host(host)
    if separator:
        return host, parse_port(port)
    if default_port is None:
        raise ValueError(f"want host:port, got {short(text)} without a port")
    return host, default_port


def _parted(text: str, *, has_default: bool) -> tuple[str, str, str]:
    """Return host, colon and port as they are written; the latter are empty when there is none."""
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(f"want host:port or [v6]:port, got {short(text)}")
        return host, rest[:1], rest[1:]
    if text.count(":") <= 1:
        return text.partition(":")
    if not has_default:
        raise ValueError(f"want an IPv6 address in brackets as in [::1]:80, got {short(text)}")
    return text, "", ""


def split_authority(text: str, default_port: int) -> tuple[str, int]:
    """Read what stands in a URL: as `split_host_port`, but IPv6 in brackets only (RFC 3986, 3.2.2).

    Whoever writes ``2001:db8::1:8080`` there means a port.

    Raises:
        ValueError: anything else.
    """
    bare = not text.startswith("[") and text.count(":") > 1
    return split_host_port(text.removesuffix(":"), None if bare else default_port)


@lru_cache(maxsize=4096)
def _authority(scheme: str, host: str, port: int) -> tuple[str, str]:
    """Return authority and origin of a URL: asked for several times in each request."""
    authority = literal_host(tls_name(host))
    if port != DEFAULT_PORTS[scheme]:
        authority = f"{authority}:{port}"
    return authority, f"{scheme}://{authority}"


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL, read once. ``str()`` shows it without user and password."""

    scheme: str
    host: str
    port: int
    path_query: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_tls(self) -> bool:
        """Whether the connection is to be encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of the Host header: the port only where it is not the scheme's own."""
        return _authority(self.scheme, self.host, self.port)[0]

    @property
    def origin(self) -> str:
        """Scheme, host and port; two URLs of one origin have equal ones."""
        return _authority(self.scheme, self.host, self.port)[1]

    def __str__(self) -> str:
        return f"{self.origin}{self.path_query}"

    def join(self, location: str) -> "Url":
        """Return what a ``Location`` of an answer from this URL points to.

        Raises:
            ValueError: another scheme than http and https, or no URL at all.
        """
        _refuse_control(location)
        if _SCHEME.match(location):
            return parse_url(location)
        if location.startswith(("//", "\\", "/\\")):
            return parse_url(f"{self.scheme}:{location}")
        # the authority is ours, so only path and query can change
        return replace(self, path_query=_path_query(_resolved(self.path_query, location)))

    def at(self, path_query: str) -> "Url":
        """Return the URL of another path and query of this origin; a fragment is dropped.

        Raises:
            ValueError: a control character, or too long.
        """
        if not _CLEAN_PATH.fullmatch(path_query):
            _refuse_control(path_query)
            path_query = _path_query(path_query)
        return Url(self.scheme, self.host, self.port, path_query, self.user, self.password)


def _refuse_control(text: str) -> None:
    if _CONTROL.search(text):
        raise ValueError(f"want a URL without control characters, got {short(text)}")
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"want a URL of at most {MAX_URL_CHARACTERS} characters, got {len(text)}")


def parse_url(text: str) -> Url:
    """Read an absolute http or https URL; a fragment is dropped.

    Raises:
        ValueError: not such a URL, a second ``@``, a backslash before the path, a control
            character.
    """
    return (_kept if len(text) <= MAX_KEPT_URL_CHARACTERS else _parse)(text)


def _parse(text: str) -> Url:
    _refuse_control(text)
    found = _ABSOLUTE.match(text)
    if not found:
        raise ValueError(f"want an http:// or https:// URL, got {short(_hidden(text))}")
    scheme, authority = found[1].lower(), found[2]
    userinfo, at, host_port = authority.rpartition("@")
    if "@" in userinfo or "\\" in authority:
        raise ValueError(f"want one user, one host and no backslash, got {short(_hidden(text))}")
    if host_port.startswith("["):
        host_port = host_port.replace("%25", "%")  # RFC 6874: how a zone stands in a URL
    if not host_port:
        raise ValueError(f"want a host in the URL, got {short(_hidden(text))}")
    host, port = split_authority(host_port, DEFAULT_PORTS[scheme])
    user, password = _credentials(userinfo) if at else ("", "")
    return Url(scheme, host, port, _path_query(text[found.end() :]), user, password)


_kept = lru_cache(maxsize=4096)(_parse)


def _hidden(text: str) -> str:
    """Return *text* without what may be a password."""
    before, at, after = text.rpartition("@")
    return f"{before.partition('://')[0]}://***@{after}" if at else text


def _credentials(userinfo: str) -> tuple[str, str]:
    try:
        url = yarl.URL(f"http://{userinfo}@host/")
    except ValueError:
        raise ValueError("want user:password in front of the host, got something else") from None
    return url.user or "", url.password or ""


def _resolved(base: str, reference: str) -> str:
    """Return path and query that *reference* means below *base*; both without an authority.

    Source:
        RFC 3986, 5.2.2 (`urllib.parse.urljoin` drops empty segments and an empty query)
    """
    path, mark, query = reference.partition("#")[0].partition("?")
    base_path, base_mark, base_query = base.partition("?")
    if not path:
        return base_path + (mark + query if mark else base_mark + base_query)
    if not path.startswith("/"):
        path = f"{base_path.rpartition('/')[0]}/{path}"
    return _without_dots(path) + mark + query


def _without_dots(path: str) -> str:
    """Return *path* with ``.`` and ``..`` followed (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    segment = ""
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(["", *kept, *([""] if segment in (".", "..") else [])])


def _path_query(text: str) -> str:
    text = text.partition("#")[0]
    if not text.startswith("/"):
        text = f"/{text}"
    # a space is %20 in a query too: "+" means one in forms only
    return _UNSAFE.sub(lambda found: quote(found[0]), text)
