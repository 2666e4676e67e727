"""The hosts that a plan names, in the one form that is judged.

    URL ──host_of──> host ──plain_host──> lower case, A-labels, no dot at the end;
                                          an address in its plain form

Pure. Knows neither the rails nor a resolver.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from probes.units import short
from probes.wire.url import canonical_host
from scenarios.plan import Plan

# What inet_aton of every libc reads beside four decimal numbers.
_OLD_NUMBER = re.compile(r"0x[0-9a-f]{1,8}|[0-9]{1,12}", re.ASCII)
_BYTE = 256
_IPV4_PARTS = 4
_AUTHORITY = re.compile(r"https?://([^/?#\\]*)", re.ASCII | re.IGNORECASE)
# load.md 2.3: where a step says its URL; graphql and rpc steps say it in their mapping.
_URL_KEYS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "url"})
_PARTS = ("setup", "steps", "cleanup")
# A URL may begin with a variable whose value stands in the file.
_VARIABLE = re.compile(r"\$\{(?:vars\.)?([a-z_][a-z0-9_]*)\}", re.ASCII)


def plain_host(text: str) -> str:
    """Return a host in the one form that is judged.

    ``127.1``, ``2130706433``, ``0x7f.1``, ``0177.0.0.1`` and ``::ffff:127.0.0.1`` are 127.0.0.1,
    with brackets or without.

    Raises:
        ValueError: no host.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        host = canonical_host(bare)
    except ValueError:
        old = _old_form(bare.lower().removesuffix("."))
        if old is None:
            raise
        return old
    address = address_of(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return host.removesuffix(".")


def _old_form(text: str) -> str | None:
    """Return the IPv4 address that *text* is to ``inet_aton``; None: it is none."""
    parts = text.split(".")
    if len(parts) > _IPV4_PARTS or not all(map(_OLD_NUMBER.fullmatch, parts)):
        return None
    try:
        *heads, last = (int(part, _base(part)) for part in parts)
    except ValueError:
        return None  # an 8 or a 9 in an octal one
    if any(head >= _BYTE for head in heads) or last >= _BYTE ** (_IPV4_PARTS - len(heads)):
        return None
    for place, head in enumerate(heads):
        last += head * _BYTE ** (_IPV4_PARTS - 1 - place)
    return str(IPv4Address(last))


def _base(number: str) -> int:
    if number.startswith("0x"):
        return 16
    return 8 if number.startswith("0") and number != "0" else 10


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that *host* is; None: it is a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def host_of(url: str) -> str:
    """Return the host of a URL in its plain form.

    Raises:
        ValueError: no http or https URL, user information, or no host.
    """
    found = _AUTHORITY.match(url)
    if found is None:
        raise ValueError(f"want an http:// or https:// URL, got {short(url)}")
    _, at, authority = found[1].rpartition("@")
    if at:
        # the text is kept out: it is a password, or looks like one
        scheme = url.partition(":")[0]
        raise ValueError(
            f"want a URL without user and password, got {scheme}://***@{short(authority, 60)}"
        )
    literal, closing, _ = authority.partition("]")
    return plain_host(f"{literal}]" if closing else authority.partition(":")[0])


def hosts_of(plan: Plan) -> tuple[str, ...]:
    """Return every host that a plan names, in its plain form, the target's first.

    A host with ``${}`` in it is known when it is dialled; then the child's fence judges it.

    Raises:
        ValueError: a URL with user and password, or one that names no host.
    """
    urls = (url for url in _urls(plan) if "${" not in url.partition("://")[2].partition("/")[0])
    return tuple(dict.fromkeys(map(host_of, urls)))


def _urls(plan: Plan) -> Iterator[str]:
    if plan.target:
        yield plan.target
    for part in plan.mix:
        keys = plan.journeys.get(part.name, {})
        if not part.locustfile and not plan.target and keys.get("base_url"):
            yield keys["base_url"]
    played = _played(plan)
    # the journey of the mix wins over what it includes
    values = {
        key: value
        for name in reversed(played)
        for key, value in (plan.journeys.get(name, {}).get("vars") or {}).items()
        if isinstance(value, str)
    } | dict(plan.variables)
    for name in played:
        for part_name in _PARTS:
            yield from _urls_of(plan.journeys.get(name, {}).get(part_name, ()), values)


def _played(plan: Plan) -> list[str]:
    """Return the journeys of the mix and what they include."""
    found = [part.name for part in plan.mix if not part.locustfile]
    for name in found:
        for part in _PARTS:
            for included in _included(plan.journeys.get(name, {}).get(part, ())):
                if included not in found:
                    found.append(included)
    return found


def _included(steps: Any) -> Iterator[str]:
    for step in _walk(steps):
        if isinstance(step.get("include"), str):
            yield step["include"]


def _urls_of(steps: Any, values: Mapping[str, str]) -> Iterator[str]:
    for step in _walk(steps):
        for key in _URL_KEYS & step.keys():
            if not isinstance(step[key], str):
                continue
            url = _VARIABLE.sub(lambda found: values.get(found[1], found[0]), step[key])
            if _AUTHORITY.match(url):
                yield url


def _walk(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping of steps that a load plays."""
    if isinstance(value, Mapping):
        if value.get("load") == "skip":
            return
        yield value
        for one in value.values():
            yield from _walk(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _walk(one)
