"""Addresses of databases and caches: ``scheme://user:password@host:port/path?key=value``. Pure.

Knows no scheme; each kind says which it takes and what its options mean.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote

from probes.redact import display_target
from probes.units import short
from probes.wire.url import split_authority

_CONTROL = re.compile(r"[\x00-\x20\x7f\ud800-\udfff\\]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Dsn:
    """An address of a database, read once. User, password and path are decoded."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


def parse_dsn(text: str, schemes: Mapping[str, int]) -> Dsn:
    """Read an address.

    Args:
        text: such as ``redis://:pw@cache:6379/0``.
        schemes: each that is taken, with its port.

    Raises:
        ValueError: anything else. The message shows no password.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in schemes:
        wanted = " or ".join(f"{name}://" for name in schemes)
        raise ValueError(f"want an address that begins with {wanted}, got {_shown(text)}")
    if _CONTROL.search(rest):
        raise ValueError(f"want an address without spaces or backslashes, got {_shown(text)}")
    rest, _, query = rest.partition("#")[0].partition("?")
    authority, _, path = rest.partition("/")
    userinfo, _, host_port = authority.rpartition("@")
    if "," in host_port:
        raise ValueError(f"want one host, a probe each for several, got {_shown(text)}")
    if not host_port or host_port.startswith(":"):
        raise ValueError(f"want a host in the address, got {_shown(text)}")
    host, port = split_authority(host_port, schemes[scheme])
    user, _, password = userinfo.partition(":")
    return Dsn(
        scheme, host, port, _decoded(path), _decoded(user), _decoded(password), _options(query)
    )


def _options(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not equals or name in found:
            raise ValueError(f"want each option once as name=value, got {short(name)}")
        found[_decoded(name)] = _decoded(value.replace("+", " "))
    return found


def _decoded(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise ValueError("want %25 for a percent sign in the address, got a bare one")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("want UTF-8 in the address, got other bytes") from None


def _shown(text: str) -> str:
    return short(display_target(text))


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine, as it is written: no name is looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.removesuffix(".") == "localhost"
