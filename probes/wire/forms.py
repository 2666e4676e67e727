"""What an IP address may mean on the wire, and whether that is the public internet.

    forms("64:ff9b::7f00:1")      itself, and 127.0.0.1, which a gateway makes of it
    is_public("100.64.0.1")       False: shared by the customers of a provider

Pure; knows nothing of who may be reached.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# RFC 6052 well-known prefix; RFC 8215 local prefix; RFC 4291, 2.5.5.1; RFC 2765, 2.1
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
# RFC 5214, 6.1: the upper half of an interface identifier that holds an IPv4 address
_ISATAP = (0x00005EFE, 0x02005EFE)
_THIS_HOST = IPv4Network("0.0.0.0/8")
# RFC 4291, 2.4: what IPv6 has of global unicast; NAT64 stands for the IPv4 address in it.
_PUBLIC_6 = (IPv6Network("2000::/3"), _NAT64)
# RFC 6598, 6890, 7526 and 9637: not "private" in the book of every Python.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    map(ip_network, ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "3fff::/20"))
)
_LOOPBACK_4, _LOOPBACK_6 = IPv4Address("127.0.0.1"), IPv6Address("::1")
_LOW_32 = 0xFFFFFFFF


@lru_cache(maxsize=4096)
def forms(ip: str) -> tuple[Ip, ...]:
    """Return every address that *ip* may mean on the wire: itself and an embedded IPv4 address.

    An IPv4-mapped address is its IPv4 address and nothing else.
    """
    address = ip_address(ip.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _with_loopback((address.ipv4_mapped,))
        return _with_loopback((address, *_embedded(address)))
    return _with_loopback((address,))


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    number = int(address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _NAT64_LOCAL:
        yield IPv4Address(number & _LOW_32)
    if address in _NAT64_LOCAL:
        # RFC 6052, 2.2: with a /48 prefix the address stands around bits 64 to 71
        yield IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)
    if (
        (address in _COMPATIBLE and number > 1)
        or address in _TRANSLATED
        or number >> 32 & _LOW_32 in _ISATAP
    ):
        yield IPv4Address(number & _LOW_32)


def _with_loopback(addresses: tuple[Ip, ...]) -> tuple[Ip, ...]:
    extra: list[Ip] = []
    if any(isinstance(a, IPv4Address) and a in _THIS_HOST for a in addresses):
        extra.append(_LOOPBACK_4)
    if any(isinstance(a, IPv6Address) and a.is_unspecified for a in addresses):
        extra.append(_LOOPBACK_6)
    return (*addresses, *extra)


def is_public(ip: str) -> bool:
    """Return whether every address that *ip* may mean belongs to the public internet."""
    return all(map(_is_public, forms(ip)))


def _is_public(address: Ip) -> bool:
    if isinstance(address, IPv6Address) and not any(is_inside(address, net) for net in _PUBLIC_6):
        return False
    if any(is_inside(address, net) for net in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Return whether *host* is an IP address, with a zone or without, and no name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_inside(address: Ip, network: Network) -> bool:
    """Return whether *network* has *address*; false for one of the other version."""
    return address.version == network.version and address in network
