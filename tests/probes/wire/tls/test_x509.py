"""Certificates as texts: blackbox_exporter's spelling, and no crash whatever the bytes (T49)."""

import hashlib
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.tls.x509 import (
    MAX_TEXT_BYTES,
    ChainFacts,
    chain_facts,
    clean,
    earliest_expiry,
    expiry,
    name_text,
    serial_text,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()

ORG, OU, CN, C = "2.5.4.10", "2.5.4.11", "2.5.4.3", "2.5.4.6"
SERIAL, STREET, POSTAL, ST, L = "2.5.4.5", "2.5.4.9", "2.5.4.17", "2.5.4.8", "2.5.4.7"
EMAIL, DC = "1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.25"


def certificate(
    subject: Sequence[x509.NameAttribute[str]] = (),
    names: Sequence[str] = (),
    *,
    serial: int = 1,
    days: float = 30,
    key: Ed25519PrivateKey = KEY,
    not_after: datetime | None = None,
) -> bytes:
    """Return the DER of a self-signed certificate."""
    name = x509.Name(list(subject))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(START)
        .not_valid_after(not_after or START + timedelta(days=days))
    )
    if names:
        general = [x509.DNSName(n) for n in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(key, None).public_bytes(serialization.Encoding.DER)


def attribute(oid: ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.NameAttribute(oid, value, _validate=False)


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        pytest.param([(C, "DE"), (ORG, "Acme"), (CN, "a.example")], "CN=a.example,O=Acme,C=DE"),
        pytest.param(
            list(zip((C, ORG, OU, L, ST, STREET, POSTAL, CN, SERIAL), "coulsrpn7", strict=True)),
            "SERIALNUMBER=7,CN=n,OU=u,O=o,POSTALCODE=p,STREET=r,L=l,ST=s,C=c",
            id="fixed order",
        ),
        pytest.param([(OU, "a"), (ORG, "x"), (OU, "b")], "OU=a+OU=b,O=x", id="several of one type"),
        pytest.param([(CN, "first"), (CN, "last")], "CN=last", id="the last common name counts"),
        pytest.param(
            [(ORG, 'a,b+c"d\\e<f>g;h')], r"O=a\,b\+c\"d\\e\<f\>g\;h", id="escaped characters"
        ),
        pytest.param([(ORG, "#a#"), (OU, " b ")], r"OU=\ b\ ,O=\#a#", id="leading and trailing"),
        pytest.param([(ORG, " ")], r"O=\ ", id="one space"),
        pytest.param([(ORG, "")], "O=", id="empty value"),
        pytest.param([], "", id="empty name"),
        pytest.param(
            [(DC, "example"), (DC, "org"), (CN, "x"), (EMAIL, "a@b.c")],
            f"CN=x,{EMAIL}=#0c0561406" + "22e63" + f",{DC}=#13036f7267,{DC}=#13076578616d706c65",
            id="others reversed, as hex of DER",
        ),
        pytest.param(
            [("1.2.3", "x" * 200)], "1.2.3=#1381c8" + "78" * 200, id="long form of the length"
        ),
        pytest.param([("1.2.3", "é")], "1.2.3=#0c02c3a9", id="UTF-8"),
        pytest.param([(ORG, "a\nb\0c")], r"O=a\nb\x00c", id="newline and NUL"),
        pytest.param([(ORG, "\ud800")], "O=?", id="surrogate"),
    ],
)
def test_a_name_reads_as_go_prints_it(attributes: list[tuple[str, str]], text: str) -> None:
    assert name_text(attributes) == text


@given(st.lists(st.tuples(st.sampled_from([C, ORG, CN, "1.2.3.4"]), st.text(max_size=20))))
def test_any_name_becomes_a_valid_label(attributes: list[tuple[str, str]]) -> None:
    text = name_text(attributes)

    assert len(text.encode()) <= MAX_TEXT_BYTES
    assert not set(text) & set(map(chr, range(32)))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(0x0A3F, "0a3f", id="leading zero"),
        pytest.param(0xFF, "ff", id="no sign byte"),
        pytest.param(0, "00", id="zero"),
        pytest.param(-5, "05", id="negative"),
        pytest.param(2**160 - 1, "ff" * 20, id="longest"),
    ],
)
def test_a_serial_number_has_two_digits_a_byte(number: int, text: str) -> None:
    assert serial_text(number) == text


def test_a_long_text_is_cut_on_a_character() -> None:
    assert len(clean("é" * 4096).encode()) == MAX_TEXT_BYTES
    assert len(clean("x" + "é" * 4096).encode()) == MAX_TEXT_BYTES - 1


def test_a_chain_is_told_by_its_leaf_and_its_earliest_end() -> None:
    leaf = certificate(
        [attribute(NameOID.COMMON_NAME, "b.example")],
        ["b.example", "a.example"],
        serial=0x0A3F,
        days=30,
    )
    issuer = certificate(days=10)

    facts = chain_facts([leaf, issuer])

    assert facts == ChainFacts(
        count=2,
        fingerprint=hashlib.sha256(leaf).hexdigest(),
        earliest_expiry=(START + timedelta(days=10)).timestamp(),
        not_before=START.timestamp(),
        not_after=(START + timedelta(days=30)).timestamp(),
        subject="CN=b.example",
        issuer="CN=b.example",
        names="b.example,a.example",
        serial="0a3f",
    )


def test_the_facts_stand_in_one_line_for_people() -> None:
    der = certificate([attribute(NameOID.COMMON_NAME, "x")], ["x", "y"], serial=255)

    assert chain_facts([der]).text == (
        "subject CN=x; names x,y; issuer CN=x; "
        "valid 2026-01-01T00:00:00Z to 2026-01-31T00:00:00Z; serial ff; "
        f"sha256 {hashlib.sha256(der).hexdigest()}; sent 1 certificate"
    )


def test_the_same_chain_is_read_once() -> None:
    der = certificate(serial=77)

    assert chain_facts([der]) is chain_facts([bytes(der)])


def test_memory_of_chains_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.tls.x509.MAX_REMEMBERED", 3)
    remembered: dict[bytes, ChainFacts] = {}
    monkeypatch.setattr("probes.wire.tls.x509._remembered", remembered)

    for byte in range(10):
        chain_facts([bytes((byte,))])

    assert len(remembered) == 3


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param([attribute(NameOID.COMMON_NAME, "a\nb\0c")], id="newline and NUL"),
        pytest.param([attribute(NameOID.COUNTRY_NAME, "far too long")], id="country"),
        pytest.param([attribute(NameOID.COMMON_NAME, "x" * 9000)], id="long name"),
        pytest.param([attribute(NameOID.COMMON_NAME, "")], id="empty name"),
    ],
)
def test_odd_names_are_cleaned(subject: list[x509.NameAttribute[str]]) -> None:
    """T49"""
    facts = chain_facts([certificate(subject)])

    assert facts.subject.startswith(("CN=", "C="))
    assert len(facts.subject.encode()) <= MAX_TEXT_BYTES
    assert "\n" not in facts.subject
    assert "\0" not in facts.subject


def test_the_last_moment_of_the_calendar_is_a_number() -> None:
    """T49"""
    der = certificate(not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert expiry(der) == 253402300799.0
    assert "to 9999-12-31T23:59:59Z" in chain_facts([der]).text


def test_a_thousand_names_are_cut() -> None:
    names = [f"host-{i:04}.example.org" for i in range(1000)]

    assert len(chain_facts([certificate(names=names)]).names) == MAX_TEXT_BYTES


def test_bytes_that_are_no_certificate_have_a_fingerprint_only() -> None:
    facts = chain_facts([b"junk"])

    assert facts == ChainFacts(count=1, fingerprint=hashlib.sha256(b"junk").hexdigest())
    assert facts.text.startswith("valid unknown to unknown; sha256 ")


@given(st.data())
def test_a_damaged_certificate_never_crashes(data: st.DataObject) -> None:
    """T49"""
    der = bytearray(certificate([attribute(NameOID.COMMON_NAME, "x")], ["x"]))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))

    facts = chain_facts([bytes(der)])

    assert facts.count == 1
    assert facts.text


def test_the_earliest_end_passes_over_what_cannot_be_read() -> None:
    assert earliest_expiry([b"junk", certificate(days=3)]) == expiry(certificate(days=3))
    assert earliest_expiry([]) is None


def test_real_certificates_are_read_in_full() -> None:
    leaf = trustme.CA().issue_cert("localhost", "127.0.0.1", "b.example.org")
    der = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_bytes(
        serialization.Encoding.DER
    )

    facts = chain_facts([der])

    assert facts.names == "localhost,b.example.org"
    assert facts.subject.startswith("OU=Testing cert #")
    assert facts.issuer.startswith("OU=Testing CA #")
