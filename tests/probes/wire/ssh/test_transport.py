"""The codec of SSH, and its mathematics: whatever comes, it judges."""

import base64
import struct
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.ssh.keys import EXCHANGES, read_key, verify
from probes.wire.ssh.transport import (
    Offers,
    Reader,
    agree,
    pack_number,
    pack_offers,
    pack_string,
    parse_banner,
    parse_offers,
)

NAMES = st.lists(st.from_regex(r"[a-z0-9@.-]{1,20}", fullmatch=True), max_size=5).map(tuple)


@given(number=st.integers(min_value=0, max_value=1 << 300))
def test_a_number_survives_the_wire(number: int) -> None:
    packed = pack_number(number)

    assert Reader(packed).number() == number
    # RFC 4251, 5: never a leading zero too many, never a sign
    assert number == 0 or packed[4] < 0x80
    assert len(packed) < 6 or packed[4] or packed[5] >= 0x80


@given(exchanges=NAMES, host_keys=NAMES, ciphers=NAMES)
def test_offers_survive_the_wire(
    exchanges: tuple[str, ...], host_keys: tuple[str, ...], ciphers: tuple[str, ...]
) -> None:
    offers = Offers(exchanges, host_keys, ciphers, ("none",))

    assert parse_offers(pack_offers(offers)) == offers


@given(data=st.binary(max_size=80))
def test_any_bytes_are_an_offer_a_key_a_banner_or_a_failure(data: bytes) -> None:
    for read in (parse_offers, read_key, parse_banner):
        with pytest.raises(CheckFailed) as raised:
            read(data)
        assert raised.value.reason is Reason.PROTOCOL


@pytest.mark.parametrize("kind", ["ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256"])
@given(rest=st.binary(max_size=80))
def test_any_numbers_are_a_key_or_a_failure(kind: str, rest: bytes) -> None:
    with suppress(CheckFailed):
        key = read_key(pack_string(kind.encode()) + rest)
        assert key.type == kind


@settings(max_examples=20)
@given(public=st.binary(max_size=140))
def test_any_public_value_makes_a_secret_or_is_refused(public: bytes) -> None:
    for _, make in EXCHANGES.values():
        try:
            shared = make().shared(public)
        except ValueError:
            continue
        assert len(shared) == 4 + struct.unpack(">I", shared[:4])[0]


@pytest.mark.parametrize("name", list(EXCHANGES))
def test_both_sides_of_an_exchange_come_to_the_same(name: str) -> None:
    make = EXCHANGES[name][1]
    one, other = make(), make()

    assert one.shared(other.public[4:]) == other.shared(one.public[4:])


def test_the_first_of_ours_that_they_know_is_taken() -> None:
    assert agree(("a", "b", "c"), ("c", "b"), "a name") == "b"
    with pytest.raises(CheckFailed, match=r"want a name in common \(a\), got 'b, c'"):
        agree(("a",), ("b", "c"), "a name")


def ssh_blob(key: Any) -> bytes:
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(text.split()[1])


def ecdsa(key: ec.EllipticCurvePrivateKey, data: bytes, chosen: hashes.HashAlgorithm) -> bytes:
    return b"".join(map(pack_number, decode_dss_signature(key.sign(data, ec.ECDSA(chosen)))))


RSA = rsa.generate_private_key(65537, 2048)
P256, P384, P521 = (
    ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
)
ED25519 = ed25519.Ed25519PrivateKey.generate()
DATA = b"what was said"


@pytest.mark.parametrize(
    ("algorithm", "key", "signature"),
    [
        ("ssh-ed25519", ED25519, ED25519.sign(DATA)),
        ("ecdsa-sha2-nistp256", P256, ecdsa(P256, DATA, hashes.SHA256())),
        ("ecdsa-sha2-nistp384", P384, ecdsa(P384, DATA, hashes.SHA384())),
        ("ecdsa-sha2-nistp521", P521, ecdsa(P521, DATA, hashes.SHA512())),
        ("rsa-sha2-512", RSA, RSA.sign(DATA, padding.PKCS1v15(), hashes.SHA512())),
        ("rsa-sha2-256", RSA, RSA.sign(DATA, padding.PKCS1v15(), hashes.SHA256())),
        ("ssh-rsa", RSA, RSA.sign(DATA, padding.PKCS1v15(), hashes.SHA1())),  # noqa: S303 - old hosts
    ],
)
def test_a_signature_is_of_its_key_and_of_what_was_said(
    algorithm: str, key: Any, signature: bytes
) -> None:
    host = read_key(ssh_blob(key))
    named = pack_string(algorithm.encode()) + pack_string(signature)

    verify(host, algorithm, named, DATA)

    with pytest.raises(CheckFailed, match="got one that is not its own"):
        verify(host, algorithm, named, DATA + b"!")
    with pytest.raises(CheckFailed, match="want a signature by"):
        verify(host, algorithm, pack_string(b"none") + pack_string(signature), DATA)
    other = "ssh-ed25519" if algorithm != "ssh-ed25519" else "ssh-rsa"
    with pytest.raises(CheckFailed, match="want a signature by"):
        verify(host, other, pack_string(other.encode()) + pack_string(signature), DATA)


@given(signature=st.binary(max_size=80))
def test_any_bytes_are_no_signature(signature: bytes) -> None:
    for key, algorithm in (
        (ED25519, "ssh-ed25519"),
        (P256, "ecdsa-sha2-nistp256"),
        (RSA, "ssh-rsa"),
    ):
        named = pack_string(algorithm.encode()) + pack_string(signature)
        with pytest.raises(CheckFailed) as raised:
            verify(read_key(ssh_blob(key)), algorithm, named, DATA)
        assert raised.value.reason is Reason.PROTOCOL
