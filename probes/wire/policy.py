"""Which addresses may be reached: pure judgement of the address that is then dialled.

    Policy
    ├── trusts_first     whether the first hop goes wherever the probe file says
    ├── allow            Rule, ... or None: what a target from outside may reach; None: anything
    ├── deny             Rule, ...: wins over allow
    ├── lifts            Rule, ...: exceptions from the built-in list
    └── named            what messages call it

Link-local and cloud metadata addresses are denied on top of it (the built-in list), unless an entry
of ``lifts`` names a network inside that very block. Knows no socket and no resolver;
whoever dials asks it before (`judge`).
"""

import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import BeforeValidator, field_validator, model_validator

from probes.errors import CheckFailed
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.address import Address
from probes.wire.forms import Ip, Network, forms, is_address, is_inside, is_public
from probes.wire.url import canonical_host, literal_host, parse_port

# blackbox.md 8.3: link-local networks, and where AWS (all of its IPv6 block: EKS has an address of
# its own), GCP, Scaleway, Alibaba, Oracle and Azure answer with credentials.
BUILT_IN_DENY: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "fd20:ce::254", "fd00:42::42",
            "100.100.100.200", "192.0.0.192", "168.63.129.16",
        ),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``allow`` or ``deny``: it matches when all that it names match.

    An empty one matches nothing. ``written`` tells whether it is for targets that are written as an
    address, as a name, or as either.
    """

    cidr: Network | None = None
    host: str = ""
    ports: tuple[range, ...] = ()
    schemes: frozenset[str] = frozenset()
    unix: str = ""
    written: Literal["", "address", "name"] = ""

    def names(self, host: str, port: int, scheme: str | None, *, unknown: bool = False) -> bool:
        """Return whether host glob, ports and schemes match.

        The *scheme* is empty for a target that has none, None where nobody knows it: then
        *unknown* tells whether one of ``schemes`` is to be feared.
        """
        if self.unix or (self.cidr is None and not self.host):
            return False
        if self.written and is_address(host) is not (self.written == "address"):
            return False
        if self.host and not fnmatchcase(host.removesuffix("."), self.host):
            return False
        if self.ports and not any(port in ports for ports in self.ports):
            return False
        return not self.schemes or (unknown if scheme is None else scheme in self.schemes)

    def covers(self, address: Ip) -> bool:
        """Return whether the network contains *address*; without a network everything is."""
        return self.cidr is None or is_inside(address, self.cidr)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may be reached.

    The default is the one of a scheduled probe: trusted as written, its redirects are not.
    """

    trusts_first: bool = True
    allow: tuple[Rule, ...] | None = None
    deny: tuple[Rule, ...] = ()
    lifts: tuple[Rule, ...] = ()
    named: str = ""

    def admits(
        self, host: str, port: int, ip: str, *, scheme: str | None = "", hop: int = 0
    ) -> bool:
        """Return whether *ip*, which *host* stands for, may be dialled on *port*.

        Args:
            host: canonical, as the target wrote it.
            port: that is dialled.
            ip: the address that is dialled.
            scheme: as of `Rule.names`.
            hop: 0 is the target itself, later ones came from a redirect.
        """
        if hop == 0 and self.trusts_first:
            return True
        addresses = forms(ip)
        lifts = [rule for rule in self.lifts if rule.names(host, port, scheme)]
        if not all(_is_lifted(address, block, lifts) for address, block in _built_in(ip)):
            return False
        for rule in self.deny:
            is_named = rule.names(host, port, scheme, unknown=True)
            if is_named and any(map(rule.covers, addresses)):
                return False
        if self.allow is None or self.trusts_first:
            return True
        rules = [rule for rule in self.allow if rule.names(host, port, scheme)]
        public = is_public(ip)
        return all(
            any(rule.covers(address) and (public or rule.cidr is not None) for rule in rules)
            for address in addresses
        )

    def may_admit(self, host: str, port: int, scheme: str = "") -> bool:
        """Return whether some address of *host* could be admitted, before any packet leaves."""
        if self.trusts_first or self.allow is None:
            return True
        return any(rule.names(host, port, scheme) for rule in self.allow)

    def admits_name(self, host: str, port: int, *, scheme: str = "", hop: int = 0) -> bool:
        """Return whether *host* may be asked for by its name, which a proxy resolves.

        Then only entries by name count: nobody here sees the address.
        """
        if hop == 0 and self.trusts_first:
            return True
        if any(rule.host and rule.names(host, port, scheme) for rule in self.deny):
            return False
        if self.allow is None or self.trusts_first:
            return True
        return any(rule.host and rule.names(host, port, scheme) for rule in self.allow)

    def admits_path(self, path: str) -> bool:
        """Return whether the unix socket *path* may be dialled."""
        if self.trusts_first or self.allow is None:
            return True
        if posixpath.normpath(path) != path:
            return False
        if any(rule.unix and fnmatchcase(path, rule.unix) for rule in self.deny):
            return False
        return any(rule.unix and fnmatchcase(path, rule.unix) for rule in self.allow)


@lru_cache(maxsize=4096)
def _built_in(ip: str) -> tuple[tuple[Ip, Network], ...]:
    """Return the link-local and metadata addresses that *ip* may mean, each with its block."""
    return tuple(
        (address, block)
        for address in forms(ip)
        for block in BUILT_IN_DENY
        if is_inside(address, block)
    )


def _is_lifted(address: Ip, block: Network, lifts: Iterable[Rule]) -> bool:
    """Return whether a rule makes an exception from *block* for *address*."""
    return any(
        rule.cidr is not None and rule.covers(address) and _inside(rule.cidr, block)
        for rule in lifts
    )


def _inside(network: Network, block: Network) -> bool:
    if isinstance(network, IPv4Network) and isinstance(block, IPv4Network):
        return network.subnet_of(block)
    if isinstance(network, IPv6Network) and isinstance(block, IPv6Network):
        return network.subnet_of(block)
    return False


def _to_network(value: object) -> Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        if isinstance(value, str):
            return ip_network(value)
    except ValueError:
        pass
    raise ValueError(f"want a network such as 10.20.0.0/16, got {short(value)}")


def _to_ports(value: object) -> tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        low, dash, high = value.partition("-")
        first = parse_port(low)
        last = parse_port(high) if dash else first
        if first <= last:
            return first, last
    raise ValueError(f"want a port or a range such as 9000-9100, got {short(value)}")


def _to_label(label: str) -> str:
    """Return a label of a host glob as names are spelt when they are judged: in ASCII."""
    if label.isascii():
        return label
    if any(sign in label for sign in "*?["):
        raise ValueError(f"want plain ASCII beside a wildcard, got {short(label)}")
    return canonical_host(label)


Ports = Annotated[tuple[int, int], BeforeValidator(_to_ports, json_schema_input_type=int | str)]
"""A port or a range of ports, as its first and its last."""


class RuleOptions(Settings):
    """One entry of ``allow`` or ``deny``; it matches if all its keys match."""

    host: str = ""
    """Glob over the host name; admits public addresses only, private ones need ``cidr`` too."""
    cidr: Annotated[Network, BeforeValidator(_to_network)] | None = None
    """Network of the address that is dialled."""
    ports: tuple[Ports, ...] = ()
    """Ports and ranges of ports; all when not given."""
    schemes: frozenset[str] = frozenset()
    """Schemes of the URL; all when not given. With them, a target without a URL does not match, nor
    does what a page in a browser fetches from another origin than its own: nobody sees a scheme."""
    unix: str = ""
    """Glob over the path of a unix socket."""

    @field_validator("host", mode="after")
    @classmethod
    def _as_judged(cls, host: str) -> str:
        return ".".join(map(_to_label, host.lower().removesuffix(".").split(".")))

    @model_validator(mode="after")
    def _says_something(self) -> "RuleOptions":
        if not (self.host or self.cidr or self.unix):
            raise ValueError("want host, cidr or unix, got none of them")
        return self

    def rule(self) -> Rule:
        """Return the entry as the value that is judged by."""
        return Rule(
            cidr=self.cidr,
            host=self.host,
            ports=tuple(range(first, last + 1) for first, last in self.ports),
            schemes=self.schemes,
            unix=self.unix,
        )


class PolicyOptions(Settings):
    """``probe_policy``: which targets that the file does not name ``/probe`` may reach."""

    allow: tuple[RuleOptions, ...] = ()
    """What free targets may reach."""
    deny: tuple[RuleOptions, ...] = ()
    """Exceptions; they win over ``allow``."""

    def policy(self, *, trusts_first: bool = False, open_to_all: bool = False) -> Policy:
        """Return the policy of one way in.

        Args:
            trusts_first: for targets that the file names, scheduled or not.
            open_to_all: for a blackbox.yml: any target but the built-in deny list and ``deny``.
        """
        allow = _rules(self.allow)
        return Policy(
            trusts_first=trusts_first,
            allow=None if open_to_all else allow,
            deny=_rules(self.deny),
            lifts=tuple(rule for rule in allow if rule.cidr is not None),
        )


def _rules(options: Iterable[RuleOptions]) -> tuple[Rule, ...]:
    return tuple(option.rule() for option in options)


_AS_WRITTEN = Policy()
_current: ContextVar[Policy] = ContextVar("policy", default=_AS_WRITTEN)


class _Current:
    """The policy of the running task."""

    def get(self) -> Policy:
        return _current.get()

    @contextmanager
    def set(self, policy: Policy) -> Iterator[None]:
        token = _current.set(policy)
        try:
            yield
        finally:
            _current.reset(token)


POLICY = _Current()


def judge(address: Address, *, hop: int, scheme: str | None = "") -> None:
    """Judge *address* by the policy of the running task.

    Args:
        address: that is dialled next.
        hop: 0 is the target, later ones came from a redirect.
        scheme: as of `Rule.names`.

    Raises:
        CheckFailed: ``policy`` on the first hop, ``blocked`` later.
    """
    policy = POLICY.get()
    if not policy.admits(address.host, address.port, address.ip, scheme=scheme, hop=hop):
        raise _refused(policy, address.host, address.port, hop)


def judge_name(host: str, port: int, *, hop: int, scheme: str = "") -> None:
    """Judge a name that a proxy is asked for and resolves itself.

    Raises:
        CheckFailed: as `judge`.
    """
    policy = POLICY.get()
    if not policy.admits_name(host, port, scheme=scheme, hop=hop):
        raise _refused(policy, host, port, hop)


def _refused(policy: Policy, host: str, port: int, hop: int) -> CheckFailed:
    there = f"{literal_host(host)}:{port}"
    if hop:
        named = policy.named or "the target policy"
        return CheckFailed(
            Reason.BLOCKED, f"want a redirect within {named}, got one to {there}", phase="connect"
        )
    # constant: the text must not tell what an inner name stands for (T22)
    text = "want a target within probe_policy, got one outside"
    if policy.named:
        text = f"want a target within {policy.named}, got {there}"
    return CheckFailed(Reason.POLICY, text, phase="connect")
