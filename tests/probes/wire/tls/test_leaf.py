"""What a certificate says of its key and names; no crash whatever the bytes."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.tls.leaf import Leaf, Staple, read_leaf, read_staple
from probes.wire.tls.x509 import chain_facts

START = datetime(2026, 1, 1, tzinfo=UTC)
EC = ec.generate_private_key(ec.SECP384R1())


def certificate(key: object = EC, *extensions: x509.ExtensionType, by: object = EC) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())  # type: ignore[attr-defined] # any kind of key
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=9))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    hashed = hashes.SHA384() if isinstance(by, ec.EllipticCurvePrivateKey) else None
    made = builder.sign(by, hashed)  # type: ignore[arg-type] # as above
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("der", "key", "bits", "signature", "text"),
    [
        pytest.param(certificate(), "ECDSA", 384, "sha384", "ECDSA 384", id="ECDSA"),
        pytest.param(
            certificate(rsa.generate_private_key(65537, 2048)), "RSA", 2048, "sha384", "RSA 2048",
            id="RSA",
        ),
        pytest.param(
            certificate(by=ed25519.Ed25519PrivateKey.generate()), "ECDSA", 384, "none",
            "ECDSA 384", id="signed by Ed25519",
        ),
        pytest.param(
            certificate(ed25519.Ed25519PrivateKey.generate()), "Ed25519", 256, "sha384",
            "Ed25519 256", id="Ed25519",
        ),
        pytest.param(
            certificate(ed448.Ed448PrivateKey.generate()), "Ed448", 456, "sha384", "Ed448 456",
            id="Ed448",
        ),
        pytest.param(b"junk", "", 0, "", "unknown", id="no certificate"),
    ],
)  # fmt: skip
def test_the_key_is_told(der: bytes, key: str, bits: int, signature: str, text: str) -> None:
    leaf = read_leaf(der)

    assert (leaf.key, leaf.key_bits, leaf.signature, leaf.key_text) == (key, bits, signature, text)


def test_names_and_wishes_are_told() -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("b.example"),
            x509.IPAddress(ip_address("::1")),
            x509.DNSName("*.a.example"),
            x509.RFC822Name("a@b.example"),
        ]
    )
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])

    leaf = read_leaf(certificate(EC, names))
    assert (leaf.names, leaf.addresses) == (("b.example", "*.a.example"), ("::1",))
    assert leaf.names_text == "b.example, *.a.example, ::1"
    assert read_leaf(certificate(EC, names, feature)).must_staple
    told = "ECDSA 384, signed with sha384, must staple"
    assert read_leaf(certificate(EC, names, feature)).text == told
    assert not read_leaf(certificate(EC, names)).must_staple


def test_a_wish_that_has_no_name_does_not_break_the_others() -> None:
    # RFC 7633: a SEQUENCE of one INTEGER, and there is no extension 0 to wish for
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), b"0\3\2\1\0")

    leaf = read_leaf(certificate(EC, odd))

    assert (leaf.key_text, leaf.names, leaf.must_staple) == ("ECDSA 384", (), False)
    assert chain_facts([certificate(EC, odd)]).names == ""


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        pytest.param("a.example", "A.example.", True, id="letter case and a dot"),
        pytest.param("a.example", "b.a.example", False, id="below"),
        pytest.param("*.a.example", "b.a.example", True, id="star"),
        pytest.param("*.a.example", "a.example", False, id="star for nothing"),
        pytest.param("*.a.example", "c.b.a.example", False, id="star for two"),
        pytest.param("*.example", "a.example", False, id="star for a top level"),
        pytest.param("w*.a.example", "www.a.example", False, id="star for a part"),
        pytest.param("*", "localhost", False, id="star for all"),
        pytest.param("*.0.0.1", "127.0.0.1", False, id="star for an address"),
        pytest.param("10.0.0.1", "10.0.0.1", False, id="an address that is written as a name"),
    ],
)
def test_whom_a_name_is_for(name: str, host: str, fits: bool) -> None:
    assert Leaf(names=(name,)).is_for(host) is fits


@pytest.mark.parametrize(
    ("address", "host", "fits"),
    [
        pytest.param("::1", "0:0::1", True, id="in another spelling"),
        pytest.param("10.0.0.1", "10.0.0.1", True, id="the same"),
        pytest.param("10.0.0.1", "10.0.0.2", False, id="another one"),
        pytest.param("10.0.0.1", "ten.example", False, id="a name"),
    ],
)
def test_whom_an_address_is_for(address: str, host: str, fits: bool) -> None:
    assert Leaf(addresses=(address,)).is_for(host) is fits


WHOLE = certificate(
    EC,
    x509.SubjectAlternativeName([x509.DNSName("b.example")]),
    x509.TLSFeature([x509.TLSFeatureType.status_request]),
)


@given(st.data())
def test_a_damaged_certificate_never_crashes(data: st.DataObject) -> None:
    der = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))

    assert isinstance(read_leaf(bytes(der)).is_for("b.example"), bool)


@given(st.binary(max_size=60))
def test_an_answer_that_cannot_be_read_has_no_status(der: bytes) -> None:
    assert read_staple(der) == Staple()


def test_an_answer_that_is_an_excuse_has_no_status() -> None:
    # RFC 6960, 4.2.1: OCSPResponse { tryLater (3) }
    assert read_staple(bytes.fromhex("30030a0103")) == Staple()
