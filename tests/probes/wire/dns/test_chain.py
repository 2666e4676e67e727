"""The chain of trust against zones that lie, and zones that want to keep us busy."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, permutations
from typing import Any

import dns.dnssec
import dns.message
import dns.name
import dns.rdata
import dns.rrset
import pytest
from dns.dnssec import nsec3_hash

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.dns.chain import MAX_QUESTIONS, Chain
from probes.wire.dns.codes import type_number
from probes.wire.dns.question import Question
from probes.wire.dns.signatures import MAX_ITERATIONS, Budget, Keys, RecordSet, anchor_of
from tests.probes.wire.dns.zone import Zone

WWW = "www.example. 60 IN A 192.0.2.1"


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    zone.has("www.example. A", [WWW])
    return zone


async def validate(zone: Zone, name: str = "www.example", kind: str = "A") -> Chain:
    chain = Chain(zone.ask, [zone.anchor], datetime.now(UTC).timestamp())
    question = Question(name, type_number(kind) or 0)
    await chain.validate(question, await zone.ask(question))
    return chain


async def verdict(zone: Zone, name: str = "www.example", kind: str = "A") -> tuple[Reason, str]:
    with pytest.raises(CheckFailed) as caught:
        await validate(zone, name, kind)
    assert caught.value.phase == "validate"
    return caught.value.reason, caught.value.message


async def test_an_answer_that_is_signed_by_its_zone_is_validated(zone: Zone) -> None:
    chain = await validate(zone)

    assert chain.zones == ["example."]
    assert zone.asked == ["www.example. A", "example. DNSKEY"]
    assert chain.expires_at is not None
    assert 3500 < chain.expires_at - datetime.now(UTC).timestamp() <= 3600


# --- lies


async def test_a_changed_record_is_bogus(zone: Zone) -> None:
    signature = zone.signed(WWW)[1]
    zone.answers["www.example. A"] = (
        "NOERROR", [dns.rrset.from_text("www.example.", 60, "IN", "A", "6.6.6.6"), signature], [],
    )  # fmt: skip

    reason, message = await verdict(zone)

    assert reason is Reason.BODY
    assert message.startswith(
        "want a valid signature of example. over www.example. A, got one that does not fit"
    )


@pytest.mark.parametrize(
    ("times", "got"),
    [
        pytest.param({"inception": -48, "expiration": -24}, "got one that expired ", id="ended"),
        pytest.param({"inception": 24, "expiration": 48}, "got one that begins ", id="to come"),
    ],
)
async def test_a_signature_has_its_time(zone: Zone, times: dict[str, int], got: str) -> None:
    now = datetime.now(UTC)
    moments = {key: now + timedelta(hours=hours) for key, hours in times.items()}
    zone.answers["www.example. A"] = ("NOERROR", zone.signed(WWW, **moments), [])

    assert got in (await verdict(zone))[1]


async def test_a_signature_of_somebody_else_is_bogus(zone: Zone) -> None:
    other = Zone()
    zone.answers["www.example. A"] = ("NOERROR", other.signed(WWW), [])

    assert "got one by the unknown key" in (await verdict(zone))[1]


async def test_a_zone_that_signs_what_is_not_its_own_is_not_asked(zone: Zone) -> None:
    zone.has("www.elsewhere. A", ["www.elsewhere. 60 IN A 192.0.2.1"])

    assert (await verdict(zone, "www.elsewhere"))[1] == (
        "want a signature over www.elsewhere. A, got none"
    )


async def test_keys_that_the_anchor_does_not_stand_for_are_refused(zone: Zone) -> None:
    honest = zone.anchor
    liar = Zone(answers=zone.answers)
    liar.anchor = honest

    assert (await verdict(liar))[1].startswith("want a key of example. that its anchor stands for")


async def test_an_answer_to_something_else_is_no_answer(zone: Zone) -> None:
    """Records of another name, signed as they are, prove nothing about this one."""
    zone.has("other.example. A", [WWW])

    assert (await verdict(zone, "other.example"))[1] == (
        "want records of other.example., or a proof that there are none, got neither"
    )


async def test_a_code_is_not_believed_beside_records(zone: Zone) -> None:
    """The code of the head is signed by nobody."""
    zone.has("www.example. A", [WWW], rcode="NXDOMAIN")

    assert (await verdict(zone))[1] == ("want NOERROR with records of www.example., got NXDOMAIN")


async def test_a_failure_is_no_proof(zone: Zone) -> None:
    zone.has("www.example. A", rcode="SERVFAIL")

    assert (await verdict(zone))[1] == "want an answer to validate, got SERVFAIL"


# --- several zones


@pytest.fixture
def below(zone: Zone) -> Zone:
    """A zone below, on the same server."""
    below = Zone(name="sub.example.")
    zone.has("sub.example. DS", [below.anchor.replace(" DS", " 60 IN DS")])
    below.has("www.sub.example. A", ["www.sub.example. 60 IN A 192.0.2.9"])
    keys = [below.keys, below.signature(below.keys)]
    zone.answers |= below.answers | {"sub.example. DNSKEY": ("NOERROR", keys, [])}
    return below


async def test_a_zone_below_is_trusted_by_its_ds_record(zone: Zone, below: Zone) -> None:
    chain = await validate(zone, "www.sub.example")

    assert chain.zones == ["example.", "sub.example."]
    assert zone.asked[1:] == ["example. DNSKEY", "sub.example. DS", "sub.example. DNSKEY"]


async def test_a_zone_below_without_a_ds_record_is_not_trusted(zone: Zone, below: Zone) -> None:
    del zone.answers["sub.example. DS"]

    assert (await verdict(zone, "www.sub.example"))[1] == (
        "want a DS record of sub.example., got none: the chain of trust ends at example."
    )


async def test_a_zone_does_not_vouch_for_its_own_keys(zone: Zone, below: Zone) -> None:
    """RFC 4035, 2.4: the DS record is the parent's."""
    zone.answers["sub.example. DS"][1][1:] = [
        below.signature(zone.answers["sub.example. DS"][1][0])
    ]

    assert (await verdict(zone, "sub.example", "DS"))[1] == (
        "want a signature over sub.example. DS, got none"
    )


@pytest.mark.parametrize(
    ("digest", "reason", "message"),
    [
        pytest.param(
            1, Reason.BODY,
            "want a DS record of sub.example. by SHA-256 or SHA-384, got one by SHA-1", id="SHA-1",
        ),
        pytest.param(
            6, Reason.EVIDENCE,
            "want a DS record of sub.example. by an algorithm of digests that sonde knows,"
            " got algorithm of digests 6", id="of tomorrow",
        ),
    ],
)  # fmt: skip
async def test_a_digest_that_cannot_be_compared_is_no_fault_of_the_keys(
    zone: Zone, below: Zone, digest: int, reason: Reason, message: str
) -> None:
    data = f"{dns.dnssec.key_id(below.key)} 13 {digest} {'00' * 20}"
    zone.has("sub.example. DS", [f"sub.example. 60 IN DS {data}"])

    assert await verdict(zone, "www.sub.example") == (reason, message)


async def test_the_end_of_the_signature_over_the_keys_counts_too(zone: Zone) -> None:
    """It is made offline in many zones, so it is the one that is forgotten."""
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    zone.signature_of_keys = zone.signature(zone.keys, expiration=soon)

    assert (await validate(zone)).expires_at == soon.timestamp()


async def test_an_alias_into_a_zone_below_asks_for_nothing_twice(zone: Zone, below: Zone) -> None:
    alias = zone.signed("a.example. 60 IN CNAME www.sub.example.")
    there = below.signed("www.sub.example. 60 IN A 192.0.2.9")
    more = below.signed("sub.example. 60 IN TXT more")
    zone.answers["a.example. A"] = ("NOERROR", [*alias, *there, *more], [])

    await validate(zone, "a.example")

    assert len(zone.asked) == len(set(zone.asked)) == 4


@pytest.mark.parametrize(
    ("target", "is_fine"),
    [
        pytest.param("www.new.example.", True, id="follows"),
        pytest.param("www.evil.example.", False, id="does not follow"),
    ],
)
async def test_an_alias_that_follows_from_a_dname_needs_no_signature(
    zone: Zone, target: str, is_fine: bool
) -> None:
    """RFC 6672, 5.3.1: the server makes it up."""
    made = dns.rrset.from_text("www.old.example.", 60, "IN", "CNAME", target)
    answer = [
        *zone.signed("old.example. 60 IN DNAME new.example."), made,
        *zone.signed(f"{target} 60 IN A 192.0.2.1"),
    ]  # fmt: skip
    zone.answers["www.old.example. A"] = ("NOERROR", answer, [])

    if is_fine:
        await validate(zone, "www.old.example")
    else:
        assert (await verdict(zone, "www.old.example"))[1] == (
            "want a signature over www.old.example. CNAME, got none"
        )


# --- proofs of what is not there

APEX = "example. 60 IN NSEC b.example. NS SOA RRSIG NSEC DNSKEY"


@pytest.mark.parametrize(
    ("name", "rcode", "proofs"),
    [
        pytest.param(
            "m.example", "NXDOMAIN", [APEX, "b.example. 60 IN NSEC x.example. A"], id="no name"
        ),
        pytest.param(
            "b.example", "NOERROR", ["b.example. 60 IN NSEC x.example. TXT"], id="no type"
        ),
        pytest.param("e.example", "NOERROR", ["b.example. 60 IN NSEC a.e.example. A"], id="empty"),
        pytest.param(
            "z.example", "NXDOMAIN", [APEX, "x.example. 60 IN NSEC example. A"], id="the last gap"
        ),
    ],
)
async def test_what_is_not_there_is_proven(
    zone: Zone, name: str, rcode: str, proofs: Sequence[str]
) -> None:
    zone.has(f"{name}. A", authority=proofs, rcode=rcode)

    await validate(zone, name)


@pytest.mark.parametrize(
    ("name", "rcode", "proofs", "wanted"),
    [
        pytest.param(
            "m.example", "NXDOMAIN", ["b.example. 60 IN NSEC x.example. A"],
            r"want a proof that *.example. does not exist", id="a wildcard may be there",
        ),
        pytest.param(
            "m.example", "NXDOMAIN", [APEX],
            "want a proof that m.example. does not exist", id="the gap is elsewhere",
        ),
        pytest.param(
            "a.sub.example", "NXDOMAIN", ["sub.example. 60 IN NSEC x.example. NS DS", APEX],
            "want a proof that a.sub.example. does not exist", id="a zone below has it",
        ),
        pytest.param(
            "a.sub.example", "NXDOMAIN", ["sub.example. 60 IN NSEC x.example. DNAME", APEX],
            "want a proof that a.sub.example. does not exist", id="it is elsewhere",
        ),
        pytest.param(
            "e.example", "NXDOMAIN", [APEX, "b.example. 60 IN NSEC a.e.example. A"],
            "want a proof that e.example. does not exist", id="it is there, but empty",
        ),
        pytest.param(
            "b.example", "NOERROR", ["b.example. 60 IN NSEC x.example. A"],
            "want a proof that b.example. has no A", id="the type is there",
        ),
        pytest.param(
            "b.example", "NOERROR", ["b.example. 60 IN NSEC x.example. CNAME"],
            "want a proof that b.example. has no A", id="an alias is there",
        ),
        pytest.param(
            "sub.example", "NOERROR", ["sub.example. 60 IN NSEC x.example. NS DS"],
            "want a proof that sub.example. has no A", id="the zone above does not know",
        ),
    ],
)  # fmt: skip
async def test_a_proof_of_something_else_is_none(
    zone: Zone, name: str, rcode: str, proofs: Sequence[str], wanted: str
) -> None:
    zone.has(f"{name}. A", authority=proofs, rcode=rcode)

    assert (await verdict(zone, name))[1] == f"{wanted}, got none"


async def test_the_zone_itself_does_not_deny_its_ds_record(zone: Zone, below: Zone) -> None:
    """RFC 4035, 5.2: it never has one; who is asked is the zone above."""
    own = below.signed("sub.example. 60 IN NSEC www.sub.example. NS SOA RRSIG NSEC DNSKEY")
    await validate(zone, "sub.example", "DS")
    zone.answers["sub.example. DS"] = ("NOERROR", [], own)
    zone.anchor = below.anchor

    assert (await verdict(zone, "sub.example", "DS"))[1] == (
        "want a proof that sub.example. has no DS, got none"
    )


async def test_a_wildcard_is_vouched_for_by_its_own_zone_alone(zone: Zone, below: Zone) -> None:
    """The hashes of the zone above leave room for every name of the one below."""
    real = below.signed("*.sub.example. 60 IN TXT any")
    made = [
        dns.rrset.from_rdata_list(dns.name.from_text("there.sub.example."), 60, list(one))
        for one in real
    ]
    apex = nsec3_hash("example.", "", 0, 1)
    gap = f"{apex}.example. 60 IN NSEC3 1 0 0 - {apex} NS SOA"
    zone.answers["there.sub.example. TXT"] = ("NOERROR", made, zone.signed(gap))

    wanted = "want a proof by sub.example. that there.sub.example. is a wildcard's"
    assert (await verdict(zone, "there.sub.example", "TXT"))[1] == f"{wanted}, got one by example."

    zone.answers["there.sub.example. TXT"] = ("NOERROR", made, [])
    assert (await verdict(zone, "there.sub.example", "TXT"))[1] == f"{wanted}, got none"


async def test_a_proof_must_be_signed_too(zone: Zone) -> None:
    zone.has("b.example. A", authority=["b.example. 60 IN NSEC x.example. TXT"])
    del zone.answers["b.example. A"][2][1]

    assert (await verdict(zone, "b.example"))[1] == (
        "want a signature over b.example. NSEC, got none"
    )


# --- work without end (KeyTrap and its like)


def colliding(zone: Zone, count: int) -> dns.rrset.RRset:
    """Return the keys of *zone* and many more of the same tag: it is a sum over words."""
    raw = zone.key.to_wire()
    assert raw is not None
    words = [raw[at : at + 2] for at in range(4, len(raw), 2)]
    keys = dns.rrset.from_rdata(zone.name, 60, zone.key)
    for order in islice(permutations(words), 1, count):
        wire = raw[:4] + b"".join(order)
        keys.add(dns.rdata.from_wire(1, 48, wire, 0, len(wire)), 60)  # type: ignore[arg-type]
    return keys


async def test_many_keys_of_one_tag_are_refused(zone: Zone) -> None:
    zone.keys = colliding(zone, 200)

    reason, message = await verdict(zone)

    assert reason is Reason.BODY
    assert message.startswith("want few keys of example. with tag ")


async def test_many_signatures_of_one_set_cost_eight_verifications(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[Any] = []
    real = dns.dnssec.validate_rrsig

    def counting(*given: Any, **more: Any) -> None:
        verified.append(given)
        real(*given, **more)

    monkeypatch.setattr(dns.dnssec, "validate_rrsig", counting)

    def flood(message: dns.message.Message) -> None:
        if message.question[0].rdtype == 1:
            honest = zone.signature(dns.rrset.from_text("www.example.", 60, "IN", "A", "6.6.6.6"))
            for last in range(100):
                wire = honest[0].to_wire()
                assert wire is not None
                made = wire[:-1] + bytes((last,))
                honest.add(dns.rdata.from_wire(1, 46, made, 0, len(made)), 60)  # type: ignore[arg-type]
            message.answer[1] = honest

    zone.change = flood

    assert "got one that does not fit" in (await verdict(zone))[1]
    assert len(verified) <= 9


def test_one_run_pays_for_a_bounded_number_of_signatures_and_hashes() -> None:
    budget = Budget(verifications=1, hash_rounds=10)

    budget.verify()
    budget.hash(9)

    for pay in (budget.verify, lambda: budget.hash(0)):
        with pytest.raises(CheckFailed, match=r"want at most [0-9]+ .*, got more") as caught:
            pay()
        assert caught.value.reason is Reason.TOO_LARGE


async def test_a_set_of_thousands_is_refused(zone: Zone) -> None:
    one = RecordSet(dns.name.from_text("www.example."), 1, records=[zone.key] * 1001)

    with pytest.raises(CheckFailed, match="want at most 1000 records in a signed set"):
        Keys(dns.name.from_text("example."), (zone.key,)).verify(one, 0, Budget())


async def test_an_algorithm_that_is_not_safe_proves_nothing(zone: Zone) -> None:
    """RFC 9904: nobody may believe DSA."""
    rrset, signatures = zone.signed(WWW)
    key: Any = zone.key.replace(algorithm=3)
    signature = signatures[0].replace(algorithm=3, key_tag=dns.dnssec.key_id(key))
    one = RecordSet(rrset.name, 1, records=list(rrset), signatures=[signature])

    with pytest.raises(CheckFailed, match="got one by algorithm 3, which is not safe"):
        Keys(dns.name.from_text("example."), (key,)).verify(one, 0, Budget())


async def test_an_algorithm_that_we_do_not_know_is_a_gap_of_ours(zone: Zone) -> None:
    """Neither validated nor the zone's fault: unknown."""
    rrset, signatures = zone.signed(WWW)
    key: Any = zone.key.replace(algorithm=17)
    signature = signatures[0].replace(algorithm=17, key_tag=dns.dnssec.key_id(key))
    one = RecordSet(rrset.name, 1, records=list(rrset), signatures=[signature])
    keys = Keys(dns.name.from_text("example."), (key, zone.key))

    with pytest.raises(CheckFailed) as caught:
        keys.verify(one, datetime.now(UTC).timestamp(), Budget())
    assert caught.value.reason is Reason.EVIDENCE
    assert caught.value.message == (
        "want a signature over www.example. A by an algorithm that sonde knows, got algorithm 17"
    )

    one.signatures.append(signatures[0].replace(signature=b"x" * 64))
    with pytest.raises(CheckFailed, match="got one that") as caught:
        keys.verify(one, datetime.now(UTC).timestamp(), Budget())
    assert caught.value.reason is Reason.BODY


async def test_a_name_of_a_hundred_labels_does_not_ask_a_hundred_times(zone: Zone) -> None:
    deep = Zone(name="a." * 60 + "example.", answers={})
    name = f"www.{deep.name}"
    deep.has(f"{name} A", [f"{name} 60 IN A 192.0.2.1"])
    deep.anchor = zone.anchor
    zone.answers = deep.answers

    assert await verdict(zone, name) == (
        Reason.TOO_LARGE, f"want a chain of at most {MAX_QUESTIONS} questions, got more",
    )  # fmt: skip


async def test_iterations_without_end_are_refused(zone: Zone) -> None:
    owner = "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example."
    data = f"1 0 {MAX_ITERATIONS + 1} - 3t7b4g4vsa5smi47k61mv5bv1a22bojr A"
    zone.has("b.example. A", authority=[f"{owner} 60 IN NSEC3 {data}"])

    assert await verdict(zone, "b.example") == (
        Reason.TOO_LARGE, f"want at most {MAX_ITERATIONS} iterations of NSEC3, got 101",
    )  # fmt: skip


async def test_a_gap_that_leaves_unsigned_names_out_proves_nothing(zone: Zone) -> None:
    """RFC 5155, 9.2: nearly every zone of registries has such gaps."""
    apex = f"{nsec3_hash('example.', '', 0, 1)}.example. 60 IN NSEC3"
    everything = f"1 1 0 - {nsec3_hash('a.example.', '', 0, 1)} NS SOA"
    zone.has("b.example. A", authority=[f"{apex} {everything}"], rcode="NXDOMAIN")

    assert (await verdict(zone, "b.example"))[1] == (
        "want a proof that b.example. does not exist, got one that leaves unsigned names out"
    )


async def test_many_sets_are_refused(zone: Zone) -> None:
    lines = [f"n{i}.example. 60 IN A 192.0.2.1" for i in range(40)]
    zone.has("www.example. A", [WWW, *lines])

    assert (await verdict(zone))[0] is Reason.TOO_LARGE


# --- anchors


@pytest.mark.parametrize(
    "line",
    [
        "example. DS 1 13 2 " + "00" * 32,
        "example. 3600 IN DS 1 13 2 " + "00" * 32,
        "example. IN DNSKEY 257 3 13 " + "A" * 88,
    ],
)
def test_an_anchor_is_a_line_of_a_zone_file(line: str) -> None:
    name, data = anchor_of(line)

    assert str(name) == "example."
    assert data.rdtype in (43, 48)


@pytest.mark.parametrize("line", ["", "example.", "example. A 192.0.2.1", "example. DS 1 13 2 xyz"])
def test_another_line_is_no_anchor(line: str) -> None:
    with pytest.raises(ValueError, match="want an anchor"):
        anchor_of(line)


async def test_a_key_can_be_the_anchor(zone: Zone) -> None:
    zone.anchor = f"example. DNSKEY {zone.key}"

    assert (await validate(zone)).zones == ["example."]
