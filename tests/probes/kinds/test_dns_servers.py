"""Kind dns against a real resolver (unbound) and a real authoritative server (Knot)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes.kinds.dns import Dns
from probes.result import Outcome, Reason, Result
from tests.harness import Check
from tests.servers.knot import Knot, start_knot
from tests.servers.unbound import Unbound, start_unbound

pytestmark = pytest.mark.service

ZONES = (
    "signed.test",
    *(f"{name}.signed.test" for name in ("sub", "open", "plain")),
    "broken.test",
)


@dataclass(frozen=True)
class Servers:
    knot: Knot
    unbound: Unbound
    ca_file: Path

    @property
    def own(self) -> dict[str, Any]:
        return {"by": "sonde", "anchors": self.knot.anchors}

    @property
    def tls(self) -> dict[str, Any]:
        return {"ca_file": str(self.ca_file), "server_name": "localhost"}


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, certificates: Path, ca_file: Path
) -> Iterator[Servers]:
    knot = start_knot(tmp_path_factory.mktemp("knot"))
    try:
        unbound = start_unbound(
            tmp_path_factory.mktemp("unbound"),
            certificates,
            anchors=knot.anchors,
            zones=dict.fromkeys(ZONES, knot.port),
        )
    except BaseException:
        knot.stop()
        raise
    yield Servers(knot, unbound, ca_file)
    unbound.stop()
    knot.stop()


def kind(name: str, kind: str = "A", **keys: Any) -> Dns:
    return Dns.model_validate({"query_name": name, "query_type": kind, **keys})


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None, str] | None:
    failure = result.failure
    return (failure.reason, failure.phase, failure.message) if failure else None


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"transport": "udp"}, id="udp"),
        pytest.param({"transport": "tcp"}, id="tcp"),
        pytest.param({"transport": "tls"}, id="tls"),
        pytest.param({"transport": "https"}, id="https by POST"),
        pytest.param({"transport": "https", "method": "GET"}, id="https by GET"),
    ],
)
async def test_a_resolver_answers_over_every_transport(
    check: Check, servers: Servers, keys: dict[str, Any]
) -> None:
    over = keys["transport"]
    unbound = servers.unbound
    port = {"tls": unbound.tls_port, "https": unbound.https_port}.get(over, unbound.port)
    expect = {"answer": {"every": [r"^www\.local\.test\.\t300\tIN\tA\t192\.0\.2\.[12]$"], "min": 2}}

    result = await check(
        kind("www.local.test", tls=servers.tls, expect=expect, **keys), f"127.0.0.1:{port}"
    )

    assert result.outcome is Outcome.UP, result.failure
    is_tls = over in {"tls", "https"}
    wanted = ["resolve", "connect", *(["tls"] if is_tls else []), "request"]
    assert [phase.name for phase in result.phases] == wanted
    assert all(phase.complete for phase in result.phases)
    assert values(result)["dns_answer_rrs"] == 2
    assert ("probe_tls_verified" in values(result)) is is_tls
    assert "http_status_code" not in values(result)


async def test_a_wrong_path_of_https_is_a_status_of_the_request(
    check: Check, servers: Servers
) -> None:
    probe = kind("www.local.test", transport="https", tls=servers.tls, path="/elsewhere")

    result = await check(probe, f"127.0.0.1:{servers.unbound.https_port}")

    assert verdict(result) == (Reason.STATUS, "request", "want HTTP status 200, got 404")
    assert values(result)["dns_query_succeeded"] == 0


async def test_a_server_tells_who_it_is(check: Check, servers: Servers) -> None:
    probe = kind("www.local.test", edns={"nsid": True})

    one = await check(probe, f"127.0.0.1:{servers.unbound.port}")
    other = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert one.facts["nsid"] == "prober"
    assert other.facts["nsid"] == "knot-one"
    assert verdict(other) == (
        Reason.STATUS, "request", "want NOERROR, got REFUSED (EDE 20 not authoritative)",
    )  # fmt: skip


async def test_the_serial_of_an_authoritative_server_is_measured(
    check: Check, servers: Servers
) -> None:
    probe = kind("signed.test", "SOA", expect={"serial": 2026112201, "flags": {"aa": True}})

    result = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["dns_serial"] == 2026112201


# --- DNSSEC


async def test_a_resolver_says_what_it_has_validated(check: Check, servers: Servers) -> None:
    target = f"127.0.0.1:{servers.unbound.port}"

    good = await check(kind("www.sub.signed.test", dnssec="validated"), target)
    plain = await check(kind("www.local.test", dnssec="validated"), target)
    bogus = await check(kind("www.broken.test", dnssec="validated"), target)

    assert good.outcome is Outcome.UP, good.failure
    assert "ad" in good.facts["flags"]
    assert verdict(plain) == (
        Reason.BODY, "validate", "want a validated answer, got one without the flag ad",
    )  # fmt: skip
    assert verdict(bogus) == (
        Reason.BODY,
        "validate",
        f"{BOGUS} (EDE 6 DNSSEC bogus)",
    )


BOGUS = "want a validated answer, got SERVFAIL, and NOERROR with checking disabled"
NXDOMAIN = {"expect": {"rcode": "NXDOMAIN"}}


@pytest.mark.parametrize(
    ("name", "type_", "keys"),
    [
        pytest.param("www.{z}", "A", {}, id="addresses"),
        pytest.param("alias.{z}", "A", {}, id="an alias"),
        pytest.param("alias.{z}", "CNAME", {}, id="the alias itself"),
        pytest.param("chain.{z}", "A", {}, id="a chain of aliases"),
        pytest.param("chain.{z}", "MX", {}, id="a chain to a name without the type"),
        pytest.param("nowhere.{z}", "A", NXDOMAIN, id="an alias to no name"),
        pytest.param("x.like.{z}", "A", {}, id="an alias by a wildcard"),
        pytest.param("x.wild.{z}", "TXT", {}, id="a wildcard"),
        pytest.param("*.wild.{z}", "TXT", {}, id="the wildcard itself"),
        pytest.param("x.wild.{z}", "A", {}, id="a wildcard without the type"),
        pytest.param("www.{z}", "MX", {}, id="a name without the type"),
        pytest.param("empty.{z}", "A", {}, id="a name without records"),
        pytest.param("nope.{z}", "A", NXDOMAIN, id="no name"),
        pytest.param("a.b.nope.{z}", "A", NXDOMAIN, id="no name far below"),
        pytest.param("{z}", "DNSKEY", {}, id="keys"),
    ],
)
@pytest.mark.parametrize("zone", ["signed.test", "sub.signed.test"])
async def test_what_a_signed_zone_says_is_verified_by_ourselves(
    check: Check, servers: Servers, zone: str, name: str, type_: str, keys: dict[str, Any]
) -> None:
    """By NSEC and by NSEC3: what there is, and what there is not."""
    probe = kind(name.format(z=zone), type_, dnssec=servers.own, recursion=False, **keys)

    result = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert result.outcome is Outcome.UP, result.failure
    assert [phase.name for phase in result.phases][-1] == "validate"
    zones = "signed.test. sub.signed.test." if zone.startswith("sub") else "signed.test."
    assert result.facts["validated"] == zones
    assert values(result)["dns_signature_expiry_timestamp_seconds"] > 1.7e9


@pytest.mark.parametrize(
    ("name", "type_", "message"),
    [
        pytest.param("www.{z}", "A", None, id="addresses"),
        pytest.param("www.{z}", "MX", None, id="a name without the type"),
        pytest.param("x.wild.{z}", "TXT", "x.wild.{z}. is a wildcard's", id="a wildcard"),
        pytest.param("nope.{z}", "A", "nope.{z}. does not exist", id="no name"),
        pytest.param("loose.{z}", "DS", "loose.{z}. has no DS", id="a zone that is not signed"),
    ],
)
async def test_a_zone_that_leaves_unsigned_names_out_proves_what_is_there_alone(
    check: Check, servers: Servers, name: str, type_: str, message: str | None
) -> None:
    """RFC 5155, 9.2: its gaps are no proof."""
    zone = "open.signed.test"
    keys = {"expect": {"rcode": ["NOERROR", "NXDOMAIN"]}, "recursion": False}
    probe = kind(name.format(z=zone), type_, dnssec=servers.own, **keys)

    result = await check(probe, f"127.0.0.1:{servers.knot.port}")

    wanted = None if message is None else (
        Reason.BODY, "validate",
        f"want a proof that {message.format(z=zone)}, got one that leaves unsigned names out",
    )  # fmt: skip
    assert verdict(result) == wanted


async def test_aliases_in_a_ring_lead_nowhere(check: Check, servers: Servers) -> None:
    probe = kind("ring.signed.test", dnssec=servers.own, recursion=False)

    result = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert verdict(result) == (
        Reason.BODY,
        "validate",
        "want records of ring.signed.test., or a proof that there are none, got neither",
    )


async def test_an_alias_leads_to_another_zone(check: Check, servers: Servers) -> None:
    probe = kind("away.signed.test", dnssec=servers.own)

    whole = await check(probe, f"127.0.0.1:{servers.unbound.port}")
    half = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert whole.outcome is Outcome.UP, whole.failure
    assert verdict(half) == (
        Reason.BODY,
        "validate",
        "want records of www.sub.signed.test., or a proof that there are none, got neither",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "www.broken.test",
            "want a valid signature of broken.test. over www.broken.test. A, got one that does",
            id="changed",
        ),
        pytest.param(
            "old.broken.test",
            "want a valid signature of broken.test. over old.broken.test. A, got one that expired",
            id="expired",
        ),
        pytest.param(
            "new.broken.test",
            "want a valid signature of broken.test. over new.broken.test. A, got one that begins",
            id="not yet valid",
        ),
        pytest.param(
            "www.plain.signed.test",
            "want a signature over www.plain.signed.test. A, got none",
            id="not signed",
        ),
    ],
)
async def test_what_is_signed_wrongly_or_not_at_all_is_bogus(
    check: Check, servers: Servers, name: str, message: str
) -> None:
    probe = kind(name, dnssec=servers.own)

    for port in (servers.knot.port, servers.unbound.port):
        result = await check(probe, f"127.0.0.1:{port}")

        assert result.failure is not None
        assert (result.failure.reason, result.failure.phase) == (Reason.BODY, "validate")
        assert result.failure.message.startswith(message)


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        pytest.param(
            ["other.test. DS 1 13 2 " + "0" * 64],
            "want an anchor above signed.test., got 'other.test. DS",
            id="of another zone",
        ),
        pytest.param(
            ["signed.test. 60 IN DS 1 13 2 " + "0" * 64],
            "want a key of signed.test. that its anchor stands for (tag 1), got none",
            id="of another key",
        ),
        pytest.param((), "want an answer to . DNSKEY, got REFUSED", id="the root's"),
    ],
)
async def test_an_anchor_that_does_not_fit_is_told(
    check: Check, servers: Servers, anchors: list[str], message: str
) -> None:
    probe = kind("www.signed.test", dnssec={"by": "sonde", "anchors": anchors})

    result = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert result.failure is not None
    assert result.failure.message.startswith(message)


async def test_signatures_that_end_soon_degrade(check: Check, servers: Servers) -> None:
    probe = kind("www.signed.test", dnssec={**servers.own, "expires_in": {"warn": "365d"}})

    result = await check(probe, f"127.0.0.1:{servers.knot.port}")

    assert result.outcome is Outcome.DEGRADED
    assert result.warnings[0].message.startswith("want the first signature to end in 365d or later")


# --- several servers


async def test_servers_that_say_the_same_are_up(check: Check, servers: Servers) -> None:
    others = [f"127.0.0.1:{servers.unbound.port}"] * 2
    soa = kind("signed.test", "SOA", servers=others, compare="serial")

    result = await check(soa, f"127.0.0.1:{servers.knot.port}")

    assert result.outcome is Outcome.UP, result.failure
    assert values(result)["dns_servers_differing"] == 0
    assert [phase.name for phase in result.phases][-1] == "compare"


async def test_servers_that_say_something_else_are_named(check: Check, servers: Servers) -> None:
    other = f"127.0.0.1:{servers.unbound.port}"

    result = await check(kind("www.broken.test", servers=[other]), f"127.0.0.1:{servers.knot.port}")

    assert verdict(result) == (
        Reason.BODY, "compare", f"want the same answer from 2 servers, got another from '{other}'",
    )  # fmt: skip
    assert result.facts[f"server {other}"] == "SERVFAIL"
    assert values(result)["dns_servers_differing"] == 1
