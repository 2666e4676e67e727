"""``safety:`` of journeys and loads: ceilings that no journey, scenario or flag can raise.

Light: every probe file has them, also one without journeys.
"""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from probes.settings import Settings
from probes.units import Duration, Rate, Size, short
from probes.wire.url import canonical_host

# load.md 2.5: what one machine does to a staging system without surprising anybody.
DEFAULT_LOAD_USERS = 500
DEFAULT_LOAD_RATE = 200.0
DEFAULT_LOAD_S = 900.0
MAX_RUNS = 64
# How an IPv6 socket writes the IPv4 addresses: RFC 4291, 2.5.5.2.
_MAPPED = IPv6Network("::ffff:0:0/96")


def _host(text: str) -> str:
    """Return a host pattern as it is compared: what `canonical_host` makes of the host dialled."""
    star = "*." if text.startswith("*.") else ""
    try:
        name = canonical_host(text.removeprefix(star)).removesuffix(".")
    except ValueError:
        name = ""
    if not name or (star and _address(name)):
        raise ValueError(f"want a host such as shop.example.org, got {short(text)}")
    return star + (_address(name) or name)


def _address(text: str) -> str:
    """Return an address in the one form in which it is dialled; empty: it is a name."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _one_host(text: str) -> str:
    if "*" in text:
        raise ValueError(f"want one host such as shop.example.org, got {short(text)}")
    return _host(text)


def _fence(text: str) -> str:
    """Return a network or a host pattern as it is compared."""
    try:
        network = ip_network(text)
    except ValueError:
        if "/" in text:
            want = "want a network such as 10.20.0.0/16, without bits behind the prefix"
            raise ValueError(f"{want}, got {short(text)}") from None
    else:
        return str(_plain(network))
    try:
        return _host(text)
    except ValueError:
        want = "want a host such as *.staging.example.org or a network such as 10.20.0.0/16"
        raise ValueError(f"{want}, got {short(text)}") from None


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return a network of mapped addresses as that of the IPv4 addresses they are."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        low = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((low, network.prefixlen - _MAPPED.prefixlen))
    return network


def _wider(text: str) -> str:
    if text.endswith("/0"):
        raise ValueError(f"want the networks of your own, got {short(text)}: everybody's")
    return text


def _above_zero(rate: float) -> float:
    if rate == 0:
        raise ValueError("want a rate > 0, got 0/s")
    return rate


Fence = Annotated[str, AfterValidator(_fence), WithJsonSchema({"type": "string", "minLength": 1})]
"""A host, ``*.`` and a domain, an address or a network."""
HostName = Annotated[
    str, AfterValidator(_one_host), WithJsonSchema({"type": "string", "minLength": 1})
]
"""One host or one address."""


class BrowserSafety(Settings):
    """Hard ceilings of all browser journeys together."""

    max_parallel: int = Field(default=2, ge=1, le=64)
    """Runs at a time; one that waits for its turn waits on its own time."""
    min_free_memory: Size = 750 * 2**20
    """Memory that must be free before a browser starts."""
    artefacts: str = ""
    """Directory for screenshots, traces and HAR files; else one of ours below /tmp."""


class TargetSafety(Settings):
    """Where loads may go; judged on names, on every address behind them and on every redirect."""

    allow: tuple[Annotated[Fence, AfterValidator(_wider)], ...] = ()
    """Hosts, ``*.domain`` and networks; without any there is no load at all."""
    deny: tuple[Fence, ...] = ()
    """Exceptions; they win over ``allow``."""


class LoadSafety(Settings):
    """Hard ceilings of every load, of the file and of flags."""

    max_users: int = Field(default=DEFAULT_LOAD_USERS, ge=1)
    """Virtual users of one run."""
    max_rate: Annotated[Rate, AfterValidator(_above_zero)] = DEFAULT_LOAD_RATE
    """Iterations started in a second by one run."""
    max_duration: Duration = DEFAULT_LOAD_S
    """Length of one run, all stages together."""
    max_concurrent_runs: int = Field(default=1, ge=1, le=MAX_RUNS)
    """Runs at a time, over all processes that share a data directory."""
    protected: tuple[HostName, ...] = ()
    """Hosts that need ``--yes-load HOST``, or ``confirm:`` in the scenario."""
