"""One address that is dialled, and which family of them a probe wants. Pure; knows no resolver."""

import ipaddress
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BeforeValidator

from probes.errors import CheckFailed
from probes.result import Reason, Sample
from probes.units import short
from probes.wire.url import literal_host

# FNV-1a, 32 bit: http://www.isthe.com/chongo/tech/comp/fnv/
_FNV_OFFSET = 2166136261
_FNV_PRIME = 16777619

IPV6 = 6
SOCKET_FAMILIES: dict[int, socket.AddressFamily] = {4: socket.AF_INET, IPV6: socket.AF_INET6}
"""Version of IP -> what sockets call it."""

NO_LOOKUP = Sample("dns_lookup_time_seconds", 0.0)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a dial goes: ``host`` in canonical form, the ``ip`` it stands for; family 4 or 6."""

    host: str
    port: int
    ip: str
    family: int

    @property
    def literal(self) -> str:
        """``ip:port`` with the brackets of IPv6."""
        return f"{literal_host(self.ip)}:{self.port}"


def _to_choice(value: object) -> object:
    # blackbox.md 7.2 writes prefer-ip6 and ip4 for the same
    return _SPELLINGS.get(value, value) if isinstance(value, str | int) else value


_SPELLINGS: dict[str | int, str] = {
    4: "4", 6: "6", "ip4": "4", "ip6": "6", "prefer-ip4": "prefer_4", "prefer-ip6": "prefer_6",
}  # fmt: skip

IpChoice = Annotated[
    Literal["any", "4", "6", "prefer_4", "prefer_6"],
    BeforeValidator(
        _to_choice,
        json_schema_input_type=Literal[
            "any", "4", "6", "prefer_4", "prefer_6", 4, 6, "ip4", "ip6", "prefer-ip4", "prefer-ip6"
        ],
    ),
]
"""Which address of a name is dialled: the resolver's first, only family 4 or 6, or x preferred."""

ANY_IP: IpChoice = "any"


def choose(found: list[Address], ip: IpChoice) -> Address | None:
    """Return which of the addresses of a name is dialled; None without any."""
    if ip.startswith("prefer_"):
        preferred = int(ip[-1])
        found = [a for a in found if a.family == preferred] or found
    return found[0] if found else None


def socket_address(ip: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return what the socket calls want; the zone of an IPv6 address as a number.

    Raises:
        CheckFailed: ``unreachable``: no such interface.
    """
    if ":" not in ip:
        return ip, port
    bare, _, zone = ip.partition("%")
    if not zone:
        return bare, port, 0, 0
    if zone.isascii() and zone.isdigit():
        return bare, port, 0, int(zone)
    try:
        return bare, port, 0, socket.if_nametoindex(zone)
    except OSError:
        want = f"want an interface {short(zone)} of this host to reach {bare} by"
        raise CheckFailed(Reason.UNREACHABLE, f"{want}, got none") from None


@lru_cache(maxsize=4096)
def literal_address(host: str, port: int) -> Address | None:
    """Return the address that *host* is, None when it is a name. Only canonical spellings count."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return Address(host, port, host, ip.version)


@lru_cache(maxsize=4096)
def address_hash(ip: str) -> int:
    """Return the 32-bit FNV-1a hash over the 4 or 16 bytes of *ip*, as blackbox_exporter does."""
    value = _FNV_OFFSET
    for byte in ipaddress.ip_address(ip.partition("%")[0]).packed:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


@lru_cache(maxsize=4096)
def about(ip: str, family: int) -> tuple[Sample, Sample]:
    """Return what is measured of an address: in every run the same, made once."""
    return Sample("ip_protocol", family), Sample("ip_addr_hash", address_hash(ip))


@lru_cache(maxsize=4096)
def told_of_literal(host: str, port: int) -> tuple[Address, tuple[Sample, ...], str] | None:
    """Return the address that *host* is, its samples and its text; None when it is a name."""
    address = literal_address(host, port)
    if address is None:
        return None
    return address, (NO_LOOKUP, *about(address.ip, address.family)), address.literal
