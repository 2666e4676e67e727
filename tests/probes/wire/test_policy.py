"""Who may be reached (P14, T18-T21, T24): the verdict is about the address that is dialled."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from probes.errors import CheckFailed
from probes.wire.address import Address
from probes.wire.forms import forms, is_public
from probes.wire.policy import (
    BUILT_IN_DENY,
    POLICY,
    Policy,
    PolicyOptions,
    Rule,
    RuleOptions,
    judge,
)

AS_WRITTEN = Policy()
OPEN = PolicyOptions().policy(open_to_all=True)
CLOSED = PolicyOptions().policy()

METADATA = [
    pytest.param("169.254.169.254", id="AWS"),
    pytest.param("169.254.0.1", id="link-local"),
    pytest.param("fe80::1", id="link-local v6"),
    pytest.param("fe80::1%eth0", id="zone"),
    pytest.param("fd00:ec2::254", id="AWS v6"),
    pytest.param("fd00:ec2::23", id="AWS EKS v6"),
    pytest.param("fd00:42::42", id="Scaleway v6"),
    pytest.param("fd20:ce::254", id="GCP v6"),
    pytest.param("100.100.100.200", id="Alibaba"),
    pytest.param("192.0.0.192", id="Oracle"),
    pytest.param("168.63.129.16", id="Azure"),
    pytest.param("::ffff:169.254.169.254", id="mapped"),
    pytest.param("::169.254.169.254", id="compatible"),
    pytest.param("64:ff9b::169.254.169.254", id="NAT64"),
    pytest.param("64:ff9b:1::169.254.169.254", id="local NAT64"),
    pytest.param("64:ff9b:1:a9fe:a9:fe00::", id="local NAT64, RFC 6052 form"),
    pytest.param("2002:a9fe:a9fe::1", id="6to4"),
    pytest.param("2001:0:0:0:0:0:5601:5601", id="Teredo"),
    pytest.param("::ffff:0:169.254.169.254", id="SIIT"),
    pytest.param("2001:db8::5efe:169.254.169.254", id="ISATAP"),
    pytest.param("2001:db8::200:5efe:169.254.169.254", id="ISATAP, global"),
]


@pytest.mark.parametrize("ip", METADATA)
@pytest.mark.parametrize(
    ("policy", "hop"),
    [
        pytest.param(AS_WRITTEN, 1, id="redirect of a scheduled probe"),
        pytest.param(OPEN, 0, id="free target of a blackbox.yml"),
        pytest.param(OPEN, 2, id="redirect of a blackbox.yml"),
        pytest.param(CLOSED, 0, id="free target of a native config"),
    ],
)
def test_metadata_is_out_of_reach_in_every_mode_and_spelling(
    policy: Policy, hop: int, ip: str
) -> None:
    """T18, T19"""
    assert not policy.admits("innocent.example", 80, ip, hop=hop)


@pytest.mark.parametrize("ip", METADATA)
def test_a_scheduled_probe_is_trusted_as_written(ip: str) -> None:
    assert AS_WRITTEN.admits("metadata", 80, ip, hop=0)


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "8.8.8.8", "::1", "2606:4700::1"])
def test_a_blackbox_config_reaches_everything_else(ip: str) -> None:
    assert OPEN.admits("h", 80, ip)
    assert AS_WRITTEN.admits("h", 80, ip, hop=3)
    assert not CLOSED.admits("h", 80, ip)


def allow(*rules: RuleOptions, deny: tuple[RuleOptions, ...] = ()) -> Policy:
    return PolicyOptions(allow=rules, deny=deny).policy()


HOST = RuleOptions(host="*.example.org", ports=("443",), schemes=frozenset({"https"}))
NETWORK = RuleOptions.model_validate({"cidr": "10.20.0.0/16", "ports": [80, 443, "9000-9100"]})
EXCEPT = RuleOptions.model_validate({"cidr": "10.20.9.0/24"})


@pytest.mark.parametrize(
    ("host", "port", "ip", "scheme", "admitted"),
    [
        pytest.param("www.example.org", 443, "93.184.216.34", "https", True, id="public host"),
        pytest.param("www.example.org.", 443, "93.184.216.34", "https", True, id="trailing dot"),
        pytest.param("www.example.org", 443, "93.184.216.34", None, False, id="no known scheme"),
        pytest.param("www.example.org", 443, "93.184.216.34", "", False, id="no scheme at all"),
        pytest.param("www.example.org", 443, "93.184.216.34", "http", False, id="other scheme"),
        pytest.param("www.example.org", 80, "93.184.216.34", "https", False, id="other port"),
        pytest.param("example.org", 443, "93.184.216.34", "https", False, id="glob needs a dot"),
        pytest.param("evil.test", 443, "93.184.216.34", "https", False, id="other host"),
        pytest.param("www.example.org", 443, "127.0.0.1", "https", False, id="rebound to loopback"),
        pytest.param("www.example.org", 443, "192.168.0.1", "https", False, id="rebound, private"),
        pytest.param("www.example.org", 443, "100.64.0.1", "https", False, id="rebound, shared"),
        pytest.param("www.example.org", 443, "fd00::1", "https", False, id="rebound, unique local"),
        pytest.param("www.example.org", 443, "0.0.0.0", "https", False, id="this host"),
        pytest.param("www.example.org", 443, "::", "https", False, id="this host v6"),
        pytest.param("www.example.org", 443, "64:ff9b::a00:1", "https", False, id="NAT64 private"),
        pytest.param("www.example.org", 443, "64:ff9b::5db8:d822", "https", True, id="NAT64"),
        pytest.param("www.example.org", 443, "224.0.0.1", "https", False, id="multicast"),
        pytest.param("db", 80, "10.20.1.1", "http", True, id="network"),
        pytest.param("db", 9050, "10.20.1.1", "http", True, id="range of ports"),
        pytest.param("db", 9101, "10.20.1.1", "http", False, id="beyond the range"),
        pytest.param("db", 80, "::ffff:10.20.1.1", "http", True, id="mapped"),
        pytest.param("db", 80, "2002:a14:101::1", "http", False, id="6to4 is more than network"),
        pytest.param("db", 80, "10.20.9.1", "http", False, id="deny wins"),
        pytest.param("db", 80, "::ffff:10.20.9.1", "http", False, id="deny wins, mapped"),
        pytest.param("db", 80, "10.21.0.1", "http", False, id="outside"),
        pytest.param("www.example.org", 443, "10.20.1.1", "https", True, id="both rules"),
    ],
)
def test_a_free_target_needs_an_entry_that_matches_in_all_its_keys(
    host: str, port: int, ip: str, scheme: str | None, *, admitted: bool
) -> None:
    """P14, T21"""
    policy = allow(HOST, NETWORK, deny=(EXCEPT,))

    assert policy.admits(host, port, ip, scheme=scheme) is admitted
    assert policy.admits(host, port, ip, scheme=scheme, hop=4) is admitted


def test_a_denied_host_is_denied_at_every_address() -> None:
    policy = allow(
        RuleOptions(host="*"), deny=(RuleOptions.model_validate({"host": "secret.example.org"}),)
    )

    assert not policy.admits("secret.example.org", 80, "93.184.216.34")
    assert policy.admits("open.example.org", 80, "93.184.216.34")


@pytest.mark.parametrize(
    ("cidr", "admitted"),
    [
        pytest.param("169.254.169.254/32", True, id="named"),
        pytest.param("169.254.0.0/16", True, id="whole block"),
        pytest.param("169.0.0.0/8", False, id="larger than the block"),
        pytest.param("0.0.0.0/0", False, id="everything"),
        pytest.param("fe80::/10", False, id="other family"),
    ],
)
def test_the_built_in_list_is_lifted_only_by_a_network_inside_its_block(
    cidr: str, *, admitted: bool
) -> None:
    options = PolicyOptions.model_validate({"allow": [{"cidr": cidr, "ports": [80]}]})

    assert options.policy().admits("h", 80, "169.254.169.254") is admitted
    assert options.policy(open_to_all=True).admits("h", 80, "169.254.169.254") is admitted
    assert options.policy(trusts_first=True).admits("h", 80, "169.254.169.254", hop=1) is admitted
    assert not options.policy().admits("h", 81, "169.254.169.254")


def test_the_built_in_list_is_lifted_for_ipv6_too() -> None:
    rule = RuleOptions(cidr=ip_network("fe80::/64"))  # networks may come from code as well
    policy = PolicyOptions(allow=(rule,)).policy()

    assert policy.admits("h", 80, "fe80::1%eth0")
    assert not policy.admits("h", 80, "fe80:0:0:1::1")


def test_a_name_that_no_entry_could_match_is_refused_before_any_packet() -> None:
    policy = allow(HOST)

    assert policy.may_admit("www.example.org", 443, "https")
    assert not policy.may_admit("www.example.org", 443, "http")
    assert not policy.may_admit("evil.test", 443, "https")
    assert allow(NETWORK).may_admit("whatever", 80)
    assert OPEN.may_admit("evil.test", 1)
    assert AS_WRITTEN.may_admit("evil.test", 1)


@pytest.mark.parametrize(
    ("path", "admitted"),
    [
        pytest.param("/run/app-1.sock", True, id="glob"),
        pytest.param("/run/app-secret.sock", False, id="deny wins"),
        pytest.param("/run/docker.sock", False, id="outside"),
        pytest.param("/run/app-/../docker.sock", False, id="dots"),
    ],
)
def test_a_unix_socket_needs_an_entry_of_its_own(path: str, *, admitted: bool) -> None:
    policy = PolicyOptions.model_validate(
        {"allow": [{"unix": "/run/app-*.sock"}], "deny": [{"unix": "/run/app-secret*"}]}
    ).policy()

    assert policy.admits_path(path) is admitted
    assert AS_WRITTEN.admits_path(path)
    assert not allow(NETWORK).admits_path(path)


@pytest.mark.parametrize(
    "written",
    ["*.bücher.example", "*.xn--bcher-kva.example", "*.BÜCHER.Example.", "*.bücher。example"],
    ids=["unicode", "A-label", "letter case and a dot", "another dot"],
)
def test_a_host_may_be_written_as_people_spell_it(written: str) -> None:
    """A rule that never matches denies nothing."""
    policy = allow(RuleOptions(host="*"), deny=(RuleOptions(host=written),))

    assert not policy.admits("www.xn--bcher-kva.example", 443, "93.184.216.34")
    assert policy.admits("www.example.org", 443, "93.184.216.34")


@pytest.mark.parametrize("admits", [Policy.admits, Policy.admits_name], ids=lambda it: it.__name__)
def test_a_denied_scheme_leaves_the_others_alone(admits: Any) -> None:
    denied = RuleOptions(host="a.example", schemes=frozenset({"http"}))
    policy = allow(RuleOptions(host="*"), deny=(denied,))
    place = ("a.example", 80, "93.184.216.34")[: 3 if admits is Policy.admits else 2]

    assert not admits(policy, *place, scheme="http")
    assert admits(policy, *place, scheme="https")
    assert admits(policy, *place), "it has none"


def test_where_nobody_knows_a_scheme_it_may_be_the_one_that_is_denied() -> None:
    denied = RuleOptions(host="a.example", schemes=frozenset({"http"}))
    policy = allow(RuleOptions(host="*"), deny=(denied,))

    assert not policy.admits("a.example", 80, "93.184.216.34", scheme=None)
    assert policy.admits("b.example", 80, "93.184.216.34", scheme=None)


def test_a_lift_holds_for_its_schemes_alone() -> None:
    entry = {"cidr": "169.254.169.254/32", "schemes": ["https"]}
    policy = PolicyOptions.model_validate({"allow": [entry]}).policy(open_to_all=True)

    assert policy.admits("h", 80, "169.254.169.254", scheme="https")
    assert not policy.admits("h", 80, "169.254.169.254", scheme="http")
    assert not policy.admits("h", 80, "169.254.169.254")
    assert not policy.admits("h", 80, "169.254.169.254", scheme=None)


def test_an_empty_rule_matches_nothing() -> None:
    assert not Rule().names("h", 80, "http")
    assert not Policy(trusts_first=False, allow=(Rule(),)).admits("h", 80, "8.8.8.8")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param({}, "want host, cidr or unix, got none of them", id="empty"),
        pytest.param({"cidr": "10.0.0.1/8"}, "want a network such as 10.20.0.0/16", id="host bits"),
        pytest.param({"cidr": 7}, "want a network such as 10.20.0.0/16, got 7", id="number"),
        pytest.param({"host": "h", "ports": ["2-1"]}, "want a port or a range", id="backwards"),
        pytest.param({"host": "h", "ports": [True]}, "want a port or a range", id="bool"),
        pytest.param({"host": "h", "ports": ["0"]}, "want a port from 1 to 65535", id="zero"),
        pytest.param({"host": "b*ü.example"}, "want plain ASCII beside a wildcard", id="mixed"),
        pytest.param({"hosts": "h"}, "Extra inputs are not permitted", id="unknown key"),
    ],
)
def test_a_wrong_entry_is_told(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RuleOptions.model_validate(entry)


def test_the_policy_of_a_task_ends_with_its_block() -> None:
    with POLICY.set(CLOSED):
        assert POLICY.get() is CLOSED
    assert POLICY.get() == Policy()


@given(st.ip_addresses())
def test_every_address_has_forms_and_a_verdict(address: object) -> None:
    found = forms(str(address))

    assert found
    if is_public(str(address)):
        assert all(form.is_global for form in found)
        assert OPEN.admits("h", 1, str(address)) or str(address) == "168.63.129.16"


@given(st.ip_addresses(v=4))
def test_every_embedding_of_an_address_shares_its_verdict(address: object) -> None:
    """T19"""
    number = int(ip_address(str(address)))
    embedded = [
        ip_address((0xFFFF << 32) | number),
        ip_address((0x0064FF9B << 96) | number),
        ip_address((0x2002 << 112) | (number << 80)),
        ip_address((0xFFFF << 48) | number),
        ip_address((0x26064700 << 96) | (0x5EFE << 32) | number),
    ]

    if not OPEN.admits("h", 80, str(address)):
        assert not any(OPEN.admits("h", 80, str(e)) for e in embedded)


@given(st.sampled_from(BUILT_IN_DENY), st.integers(min_value=0))
def test_nothing_of_a_denied_block_gets_through(block: object, offset: int) -> None:
    network = ip_network(str(block))

    assert not OPEN.admits("h", 80, str(network[offset % network.num_addresses]))


@pytest.mark.parametrize(
    ("host", "as_name", "as_address"),
    [
        ("shop.example", True, False), ("10.example", True, False), ("10.0.0.1", False, True),
        ("::1", False, True), ("fe80::1%eth0", False, True),
    ],
)  # fmt: skip
def test_a_rule_may_be_for_names_or_for_addresses_alone(
    host: str, as_name: bool, as_address: bool
) -> None:
    every = ip_network("0.0.0.0/0")

    assert Rule(cidr=every, written="name").names(host, 80, "") is as_name
    assert Rule(cidr=every, written="address").names(host, 80, "") is as_address
    assert Rule(cidr=every).names(host, 80, "")


def test_a_policy_with_a_name_says_what_it_was_that_it_refused() -> None:
    address = Address("shop.example", 80, "10.0.0.1", 4)

    with POLICY.set(Policy(trusts_first=False, allow=(), named="safety.targets")):
        with pytest.raises(CheckFailed) as first:
            judge(address, hop=0)
        with pytest.raises(CheckFailed) as later:
            judge(address, hop=1)

    assert first.value.message == "want a target within safety.targets, got shop.example:80"
    assert later.value.message == (
        "want a redirect within safety.targets, got one to shop.example:80"
    )
