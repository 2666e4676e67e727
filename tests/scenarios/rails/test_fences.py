"""Where load may go: one judgement of every spelling, deny wins, protected under any name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.safety import LoadSafety, TargetSafety
from scenarios.plan import Fences, Part, Plan, Stage
from scenarios.rails.fences import Answers, Fence, LookUp, Refused, Resolved, resolve_and_judge
from scenarios.rails.hosts import host_of, hosts_of, plain_host
from scenarios.rails.lookup import addresses_of

LOOPBACK = Fence(Fences(("127.0.0.1/32",)))
STAGING = Fence(
    Fences(("*.staging.example.org", "xn--bcher-kva.example"), ("*.db.staging.example.org",))
)


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param("127.0.0.1", id="Rails 1: plain"),
        pytest.param("127.0.0.1.", id="Rails 1: trailing dot"),
        pytest.param("2130706433", id="Rails 1: decimal"),
        pytest.param("0177.0.0.1", id="Rails 1: octal"),
        pytest.param("017700000001", id="Rails 1: one octal number"),
        pytest.param("0x7f.0.0.1", id="Rails 1: hex"),
        pytest.param("0X7F000001", id="Rails 1: one hex number"),
        pytest.param("127.1", id="Rails 1: two parts"),
        pytest.param("127.0.1", id="Rails 1: three parts"),
        pytest.param("[::ffff:127.0.0.1]", id="Rails 1: IPv6-mapped in brackets"),
        pytest.param("::ffff:7f00:1", id="Rails 1: IPv6-mapped in hex"),
        pytest.param("\uff11\uff12\uff17.0.0.1", id="Rails 1: full-width digits"),
    ],
)
def test_every_spelling_of_an_address_is_judged_as_the_plain_form(spelling: str) -> None:
    assert plain_host(spelling) == "127.0.0.1"
    assert LOOPBACK.admits_name(spelling)
    assert not Fence(Fences(("127.0.0.0/8",), ("127.0.0.1",))).admits_name(spelling)
    assert not Fence(Fences(("10.0.0.0/8",))).admits_name(spelling)


@pytest.mark.parametrize(
    ("host", "is_admitted"),
    [
        pytest.param("shop.staging.example.org", True, id="a star"),
        pytest.param("a.b.staging.example.org", True, id="a star is any depth"),
        pytest.param("SHOP.Staging.Example.ORG", True, id="Rails 1: upper case"),
        pytest.param("shop.staging.example.org.", True, id="Rails 1: trailing dot"),
        pytest.param("bücher.example", True, id="Rails 1: IDN"),
        pytest.param("BÜCHER.example.", True, id="Rails 1: IDN in upper case, with a dot"),
        pytest.param("xn--bcher-kva.example", True, id="Rails 1: IDN as A-labels"),
        pytest.param("staging.example.org", False, id="the domain itself is no star"),
        pytest.param("evilstaging.example.org", False, id="no half label"),
        pytest.param("shop.staging.example.org.evil.test", False, id="no prefix"),
        pytest.param("x.db.staging.example.org", False, id="deny wins over allow"),
        pytest.param("X.DB.staging.example.org.", False, id="Rails 1: deny wins in any spelling"),
        pytest.param("localhost", False, id="another name"),
        pytest.param("127.0.0.1", False, id="an address is no name of the list"),
        pytest.param("[::1]", False, id="Rails 1: an IPv6 address"),
        pytest.param("a b", False, id="no host"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_name_is_judged_in_its_plain_form(host: str, is_admitted: bool) -> None:
    assert STAGING.admits_name(host) is is_admitted


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("faß.example", id="a sharp s, which IDNA 2003 made another domain of"),
        pytest.param("BÜCHER.example.", id="upper case and a dot"),
        pytest.param("::ffff:10.0.0.1", id="a mapped address"),
        pytest.param("b_c.example", id="an underscore"),
    ],
)
def test_a_host_of_the_file_is_the_very_host_that_is_judged(written: str) -> None:
    assert LoadSafety.model_validate({"protected": [written]}).protected == (plain_host(written),)
    denied = TargetSafety.model_validate({"deny": [written]}).deny
    assert not Fence(Fences(("*.example", "10.0.0.0/8"), denied)).admits_name(written)


@pytest.mark.parametrize(
    ("ip", "host", "is_admitted"),
    [
        pytest.param("127.0.0.1", "", True, id="inside a network"),
        pytest.param("::ffff:127.0.0.1", "", True, id="mapped"),
        pytest.param("::1", "", False, id="the other loopback"),
        pytest.param("10.1.2.3", "", False, id="outside"),
        pytest.param("10.1.2.3", "app.example.org", True, id="the answer of a name on the list"),
        pytest.param("10.1.2.3", "APP.example.org.", True, id="in any spelling of the name"),
        pytest.param("10.1.2.3", "other.example.org", False, id="of another name"),
        pytest.param("10.9.9.9", "app.example.org", False, id="denied behind a good name"),
        pytest.param("::ffff:10.9.9.9", "app.example.org", False, id="denied, mapped"),
        pytest.param("64:ff9b::a09:909", "app.example.org", False, id="denied, NAT64"),
        pytest.param("64:ff9b:1::a09:909", "app.example.org", False, id="denied, local NAT64"),
        pytest.param("2002:a09:909::1", "app.example.org", False, id="denied, 6to4"),
        pytest.param("64:ff9b::7f00:1", "", False, id="NAT64 is admitted by its own network only"),
        pytest.param("169.254.169.254", "app.example.org", False, id="metadata behind a good name"),
        pytest.param("fe80::1%eth0", "app.example.org", False, id="link-local with a zone"),
        pytest.param("127.0.0.1", "a b", False, id="the answer of no host"),
    ],
)
def test_an_address_is_judged_by_all_that_it_may_mean(
    ip: str, host: str, is_admitted: bool
) -> None:
    fence = Fence(Fences(("127.0.0.1/32", "app.example.org"), ("10.9.9.9",)))

    assert fence.admits_address(ip, host) is is_admitted


def test_metadata_addresses_are_admitted_by_a_network_of_their_own_alone() -> None:
    assert not Fence(Fences(("169.0.0.0/8",))).admits_address("169.254.169.254")
    assert Fence(Fences(("169.254.169.254/32",))).admits_address("169.254.169.254")


@given(
    st.ip_addresses(v=4).map(str), st.sampled_from(["plain", "decimal", "hex", "octal", "mapped"])
)
def test_all_spellings_of_any_address_are_one(ip: str, form: str) -> None:
    number = int(IPv4Address(ip))
    spelt = {
        "plain": ip,
        "decimal": str(number),
        "hex": hex(number),
        "octal": ".".join(f"0{int(part):o}" for part in ip.split(".")),
        "mapped": str(IPv6Address(0xFFFF << 32 | number)),
    }[form]

    assert plain_host(spelt) == ip


@pytest.mark.parametrize(
    "text",
    ["256.1.1.1", "1.2.3.256", "089.1", "1.2.3.4.5", "4294967296", "0x", "1..2", "a..b", " "],
)
def test_what_no_resolver_reads_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"want an? "):
        plain_host(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_judgement_or_slips_through_it(text: str) -> None:
    fence = Fence(Fences(("*.example.org",)))

    assert not fence.admits_name(text)
    assert not fence.admits_address("127.0.0.1", text)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        pytest.param("https://Shop.Example.org:8443/a?b=http://c", "shop.example.org", id="name"),
        pytest.param("http://[::1]:80/", "::1", id="Rails 1: [::1]"),
        pytest.param("http://[::1]", "::1", id="Rails 1: [::1] without a port"),
        pytest.param("HTTP://127.1:8080", "127.0.0.1", id="Rails 1: decimal with a port"),
        pytest.param("https://bücher.example./", "xn--bcher-kva.example", id="Rails 1: IDN"),
    ],
)
def test_the_host_of_a_url_comes_in_its_plain_form(url: str, host: str) -> None:
    assert host_of(url) == host


def test_user_information_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="want a URL without user and password") as caught:
        host_of("https://user:geheim@shop.example.org/")

    assert str(caught.value).endswith("got https://***@'shop.example.org'")
    with pytest.raises(ValueError, match="want an http:// or https:// URL"):
        host_of("ftp://shop.example.org/")


# --- a whole plan


def plan(target: str = "http://app.test:8080", **journeys: Any) -> Plan:
    mix = tuple(map(Part, journeys or ["it"]))
    return Plan("r1", "it", target, "open", (Stage(1, 1, 1),), mix, journeys=journeys)


def names(**answers: str) -> LookUp:
    """Return a resolver: name (with - for a dot) -> addresses."""
    known = {name.replace("_", "."): it.split() for name, it in answers.items()}

    async def look_up(hosts: Iterable[str]) -> Answers:
        found = {host: tuple(known.get(host, ())) for host in hosts}
        return {host: (ips, "" if ips else f"no {host}") for host, ips in found.items()}

    return look_up


async def judged(
    it: Plan,
    allow: Iterable[str] = ("*.test", "127.0.0.0/8"),
    deny: Iterable[str] = (),
    protected: Iterable[str] = (),
    confirmed: Iterable[str] = (),
    **answers: str,
) -> Resolved | list[tuple[str, str]]:
    fenced = Plan.from_json(it.to_json())
    object.__setattr__(fenced, "fences", Fences(tuple(allow), tuple(deny)))
    try:
        return await resolve_and_judge(
            fenced,
            LoadSafety(protected=tuple(protected)),
            frozenset(confirmed),
            names(**({"app_test": "10.1.1.1"} | answers)),
        )
    except Refused as refused:
        return [(why.code, why.text) for why in refused.whys]


async def test_a_target_on_the_list_is_resolved_and_may_go() -> None:
    found = await judged(plan(), app_test="10.1.1.1 10.1.1.2")

    assert isinstance(found, Resolved)
    assert found.addresses == {"app.test": ("10.1.1.1", "10.1.1.2")}
    assert found.plan.fences == Fences(("*.test", "127.0.0.0/8"))
    assert found.notes == ()


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        pytest.param(
            {"allow": ()},
            "not_allowed",
            "want safety.targets.allow to say where load may go, got nothing there for 'app.test'",
            id="Rails 2: allow-list empty",
        ),
        pytest.param(
            {"allow": ["shop.test"]},
            "not_allowed",
            "want a host of safety.targets.allow, got 'app.test'",
            id="not_allowed",
        ),
        pytest.param(
            {"allow": ["10.0.0.0/8"]},
            "not_allowed",
            "want a host of safety.targets.allow, got 'app.test';"
            " its address 10.1.1.1 is allowed, its name is not",
            id="not_allowed by name, allowed by address",
        ),
        pytest.param(
            {"deny": ["app.test"]},
            "denied",
            "want no host of safety.targets.deny, got 'app.test'",
            id="denied by name",
        ),
        pytest.param(
            {"deny": ["10.2.0.0/16"], "app_test": "10.1.1.1 10.2.1.1"},
            "denied",
            "want no address of safety.targets.deny or metadata, got 'app.test' at 10.2.1.1",
            id="denied by one of its addresses",
        ),
        pytest.param(
            {"protected": ["app.test"]},
            "protected",
            "want --yes-load app.test or confirm: [app.test]"
            " for the protected host app.test, got none",
            id="Rails 6: protected and no confirmation",
        ),
        pytest.param(
            {"protected": ["shop.test"], "shop_test": "10.7.7.7 10.1.1.1"},
            "protected",
            "want --yes-load shop.test or confirm: [shop.test]:"
            " 'app.test' is the protected host shop.test at 10.1.1.1, got none",
            id="Rails 5: protected under a second name",
        ),
        pytest.param(
            {"protected": ["shop.test"], "shop_test": "::ffff:10.1.1.1", "confirmed": ["app.x"]},
            "protected",
            "want --yes-load shop.test or confirm: [shop.test]:"
            " 'app.test' is the protected host shop.test at 10.1.1.1, got none",
            id="Rails 5: protected under a second name, mapped",
        ),
        pytest.param(
            {"protected": ["app.test"], "confirmed": ["http://app.test"]},
            "protected",
            "want a host name or an address, got 'http://app.test'",
            id="a confirmation of no host",
        ),
    ],
)
async def test_a_plan_is_refused(settings: Mapping[str, Any], code: str, text: str) -> None:
    assert await judged(plan(), **settings) == [(code, text)]


@pytest.mark.parametrize(
    ("protected", "confirmed"),
    [
        pytest.param(["app.test"], ["app.test"], id="its name"),
        pytest.param(["app.test"], ["APP.test."], id="its name in another spelling"),
        pytest.param(["shop.test"], ["shop.test"], id="its second name"),
        pytest.param(["10.1.1.1"], ["10.1.1.1"], id="its address"),
    ],
)
async def test_a_protected_host_is_loaded_once_somebody_said_so(
    protected: list[str], confirmed: list[str]
) -> None:
    refused = await judged(plan(), protected=protected, shop_test="10.1.1.1")
    agreed = await judged(plan(), protected=protected, confirmed=confirmed, shop_test="10.1.1.1")

    assert isinstance(refused, list)
    assert refused[0][0] == "protected"
    assert isinstance(agreed, Resolved)


async def test_no_redirect_and_no_later_answer_leads_to_a_protected_host() -> None:
    found = await judged(plan(), protected=["shop.test"], shop_test="10.7.7.7")

    assert isinstance(found, Resolved)
    assert found.plan.fences.deny == ("shop.test", "10.7.7.7")
    fence = Fence(found.plan.fences)
    assert not fence.admits_name("shop.test")
    assert not fence.admits_address("10.7.7.7", "app.test")
    assert fence.admits_address("10.1.1.1", "app.test")


async def test_a_name_without_an_address_is_noted_and_left_to_preflight() -> None:
    found = await judged(plan(), protected=["shop.test"], app_test="")

    assert isinstance(found, Resolved)
    assert found.addresses == {"app.test": ()}
    assert found.notes == ("no app.test", "no shop.test")


async def test_user_information_in_the_target_is_refused() -> None:
    """Rails 1."""
    assert await judged(plan("http://u:geheim@app.test/")) == [
        ("not_allowed", "want a URL without user and password, got http://***@'app.test'")
    ]


async def test_every_host_of_every_step_is_judged() -> None:
    steps: list[Any] = [
        {"name": "a", "get": "/relative"},
        {"name": "b", "post": "https://IDP.test/token"},
        {"name": "c", "get": "https://skipped.other/", "load": "skip"},
        {"name": "d", "get": "https://${region}.other/"},
        {"repeat": {"times": 2, "steps": [{"name": "e", "rpc": {"url": "http://node.test/"}}]}},
        {"include": "more"},
    ]
    more = {"base_url": "http://more.other", "cleanup": [{"name": "f", "put": "http://127.1/"}]}
    unused = {"base_url": "http://unused.other", "steps": []}
    whole = plan(it={"base_url": "http://old.other", "steps": steps})
    object.__setattr__(whole, "journeys", {**whole.journeys, "more": more, "unused": unused})

    assert hosts_of(whole) == ("app.test", "idp.test", "node.test", "127.0.0.1")
    object.__setattr__(whole, "target", "")
    assert hosts_of(whole)[0] == "old.other"
    assert await judged(whole, app_test="10.1.1.1") == [
        ("not_allowed", "want a host of safety.targets.allow, got 'old.other'")
    ]


def test_a_host_in_a_variable_of_the_file_or_of_a_flag_is_judged_too() -> None:
    steps = [
        {"name": "a", "get": "${vars.api}/a"},
        {"name": "b", "get": "https://${region}.shop.test/b"},
        {"name": "c", "get": "${token}/c"},
        {"name": "d", "get": "${nested}/d"},
    ]
    values = {"api": "https://api.test", "region": "eu", "nested": "https://${token}.x", "n": 1}
    whole = plan(it={"vars": values, "steps": steps})
    flagged = replace(whole, variables={"region": "us"})

    assert hosts_of(whole) == ("app.test", "api.test", "eu.shop.test")
    assert hosts_of(flagged) == ("app.test", "api.test", "us.shop.test")


async def test_the_resolver_of_the_probes_tells_all_addresses() -> None:
    answers = await addresses_of(["localhost", "no such name"])

    assert "127.0.0.1" in answers["localhost"][0]
    assert answers["localhost"][1] == ""
    assert answers["no such name"][0] == ()
    assert answers["no such name"][1].startswith("want ")


async def test_the_system_resolver_is_asked_by_default() -> None:
    it = Plan.from_json(plan("http://localhost:1").to_json())
    object.__setattr__(it, "fences", Fences(("localhost",), ("127.0.0.1", "::1")))

    with pytest.raises(Refused) as caught:
        await resolve_and_judge(it, LoadSafety(), frozenset())

    assert caught.value.why.code == "denied"
    assert caught.value.addresses["localhost"]


def test_what_another_machine_allows_bounds_what_this_one_allows() -> None:
    fence = Fence(Fences(("127.0.0.0/8", "*.example"), within=("127.0.0.1/32", "a.example")))

    assert fence.admits_address("127.0.0.1")
    assert not fence.admits_address("127.0.0.2")
    assert fence.admits_name("a.example")
    assert not fence.admits_name("b.example")
    assert not fence.admits_address("10.0.0.1", "b.example")
