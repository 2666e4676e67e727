"""Where load may go: hosts and addresses against ``safety:``, before a run and at each connection.

    policy_of             allow and deny, as those dial who check before the load
    Fence                 the same, as the child asks for each name and each address
    resolve_and_judge     every host of a plan, and what it resolves to: Resolved, or Refused

Names are judged in their plain form (`scenarios.rails.hosts`), addresses by all that they may mean
on the wire. It guards against accidents; it is no sandbox. Knows no socket: the resolver is asked
by `scenarios.rails.lookup`, which the child never imports.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from probes.journey.safety import LoadSafety
from probes.units import short
from probes.wire.forms import forms, is_address
from probes.wire.policy import Policy, Rule
from probes.wire.url import canonical_host
from scenarios.plan import Fences, Plan
from scenarios.rails.hosts import address_of, hosts_of, plain_host
from scenarios.report import Verdict, Why

# Host -> its addresses, and why there are none.
Answers = Mapping[str, tuple[tuple[str, ...], str]]
LookUp = Callable[[Iterable[str]], Awaitable[Answers]]
# Of either version.
_ANY_ADDRESS = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Refused(Exception):
    """No load was sent, and none will be.

    Args:
        why: what decided.
        others: what was found beside it.
        addresses: host -> addresses, as far as they are known.
    """

    def __init__(
        self, why: Why, *others: Why, addresses: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        super().__init__(why.text)
        self.why = why
        self.whys = (why, *others)
        self.addresses = addresses or {}


def refusal(code: str, text: str) -> Why:
    """Return why a run is refused; *code* is one of load.md 11."""
    return Why(Verdict.REFUSED, code, text)


def _rule(entry: str) -> Rule:
    """Return an entry of ``allow`` or ``deny``: a network, an address or a host with ``*``."""
    try:
        return Rule(cidr=ip_network(entry.removeprefix("[").removesuffix("]")))
    except ValueError:
        labels = entry.lower().removesuffix(".").split(".")
    # an IDN beside a star: the labels one by one
    return Rule(host=".".join(it if it.isascii() else canonical_host(it) for it in labels))


def policy_of(fences: Fences) -> Policy:
    """Return who may be reached, as whatever dials is told; ``within`` is no part of it.

    A name of the list may stand for any address, a network of it admits no name.
    """
    allow = tuple(map(_rule, fences.allow))
    networks = tuple(rule for rule in allow if rule.cidr is not None)
    names = tuple(
        replace(rule, cidr=any_address, written="name")
        for rule in allow
        for any_address in _ANY_ADDRESS
        if rule.cidr is None
    )
    return Policy(
        trusts_first=False,
        allow=(*names, *(replace(rule, written="address") for rule in networks)),
        deny=tuple(map(_rule, fences.deny)),
        # link-local and metadata addresses are denied too, unless a network in there is allowed
        lifts=networks,
        named="safety.targets",
    )


class Fence:
    """Names and addresses that a run may reach.

    Args:
        fences: as the plan has them.
    """

    __slots__ = ("_denials", "_outer", "_policy")

    def __init__(self, fences: Fences) -> None:
        self._policy = policy_of(fences)
        self._denials = replace(self._policy, allow=None)
        self._outer = Fence(Fences(fences.within)) if fences.within else None

    def admits_name(self, host: str) -> bool:
        """Return whether *host* may be asked for: a name on the list, or an address as below."""
        try:
            name = plain_host(host)
        except ValueError:
            return False
        if is_address(name):
            return self.admits_address(name)
        if self._outer is not None and not self._outer.admits_name(name):
            return False
        return self._policy.admits_name(name, 0)

    def admits_address(self, ip: str, host: str = "") -> bool:
        """Return whether *ip* may be dialled.

        Args:
            ip: that is dialled.
            host: the name whose answer it is; empty: nobody asked for it, so that only networks of
                the list can admit it.
        """
        try:
            name = plain_host(host) if host else ip
        except ValueError:
            return False  # no host that could be looked up
        if self._outer is not None and not self._outer.admits_address(ip, host):
            return False
        return self._policy.admits(name, 0, ip)

    def denies_name(self, host: str) -> bool:
        """Return whether the deny-list holds a name, in its plain form."""
        return not self._denials.admits_name(host, 0)

    def denies_address(self, ip: str, host: str = "") -> bool:
        """Return whether the deny-list holds *ip*, or *host* whose answer it is."""
        try:
            return not self._denials.admits(plain_host(host) if host else "", 0, ip)
        except ValueError:
            return True  # no host that could be looked up


@dataclass(frozen=True, slots=True)
class Resolved:
    """A plan that may be run, as far as names and addresses go.

    Args:
        plan: with every protected host that was not confirmed in its deny-list, by name and by
            address: no redirect and no later answer of a name server leads there.
        addresses: host -> addresses; none: the name has none now, and preflight will tell.
        notes: what could not be found out.
    """

    plan: Plan
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


async def resolve_and_judge(
    plan: Plan,
    safety: LoadSafety,
    confirmed: frozenset[str],
    look_up: LookUp | None = None,
) -> Resolved:
    """Judge every host of *plan*, and every address of each.

    Args:
        plan: to be run; its fences are those of ``safety.targets``.
        safety: names the protected hosts.
        confirmed: hosts of ``--yes-load`` and ``confirm:``.
        look_up: tells the addresses of names; by default the resolver of the probes does.

    Raises:
        Refused: ``not_allowed``, ``denied``, ``protected``.
    """
    if look_up is None:
        # the child imports this module, and has a resolver of its own
        from scenarios.rails.lookup import addresses_of  # noqa: PLC0415 - the child never imports it

        look_up = addresses_of
    try:
        hosts = hosts_of(plan)
    except ValueError as error:
        raise Refused(refusal("not_allowed", str(error))) from None
    if not plan.fences.allow:
        there = ", ".join(map(short, hosts)) or "a load"
        text = f"want safety.targets.allow to say where load may go, got nothing there for {there}"
        raise Refused(refusal("not_allowed", text))
    agreed = frozenset(map(_entry, confirmed))
    guarded = [it for it in map(_entry, safety.protected) if it not in agreed]
    names = dict.fromkeys((*hosts, *guarded))
    answers = await look_up([host for host in names if address_of(host) is None])
    addresses = {host: answers.get(host, ((host,), ""))[0] for host in names}
    known = {host: addresses[host] for host in hosts}
    fence = Fence(plan.fences)
    whys = [why for host in hosts for why in judge_target(fence, host, known[host])]
    shut = {entry: addresses[entry] for entry in guarded}
    whys += [why for host in hosts for why in _protected(host, known[host], shut)]
    if whys:
        raise Refused(*whys, addresses=known)
    deny = (*plan.fences.deny, *shut, *(ip for them in shut.values() for ip in them))
    notes = tuple(note for _, note in answers.values() if note)
    fences = replace(plan.fences, deny=tuple(dict.fromkeys(deny)))
    return Resolved(replace(plan, fences=fences), known, notes)


def _entry(host: str) -> str:
    """Return a protected or confirmed host as it is compared.

    Raises:
        Refused: it is none: what was confirmed is unknown.
    """
    try:
        return plain_host(host)
    except ValueError as error:
        raise Refused(refusal("protected", str(error))) from None


def judge_target(fence: Fence, host: str, addresses: Iterable[str]) -> list[Why]:
    """Return why load may not go to *host*; empty: it may.

    Args:
        fence: of the plan.
        host: in its plain form.
        addresses: all that it has; each is judged.
    """
    if fence.denies_name(host):
        return [refusal("denied", f"want no host of safety.targets.deny, got {short(host)}")]
    for ip in addresses:
        if fence.denies_address(ip, host):
            there = short(host) if ip == host else f"{short(host)} at {ip}"
            return [
                refusal(
                    "denied", f"want no address of safety.targets.deny or metadata, got {there}"
                )
            ]
    if fence.admits_name(host):
        return []
    text = f"want a host of safety.targets.allow, got {short(host)}"
    inside = [ip for ip in addresses if ip != host and fence.admits_address(ip)]
    if inside:
        text += f"; its address {inside[0]} is allowed, its name is not"
    return [refusal("not_allowed", text)]


def _protected(
    host: str, addresses: tuple[str, ...], shut: Mapping[str, tuple[str, ...]]
) -> Iterator[Why]:
    own = {form for ip in addresses for form in forms(ip)}
    for entry, others in shut.items():
        need = f"want --yes-load {entry} or confirm: [{entry}]"
        if host == entry:
            yield refusal("protected", f"{need} for the protected host {entry}, got none")
        elif shared := own & {form for ip in others for form in forms(ip)}:
            at = min(map(str, shared))
            text = f"{need}: {short(host)} is the protected host {entry} at {at}, got none"
            yield refusal("protected", text)
