"""What the peer's own certificate says beside `probes.wire.tls.x509`: key, names, staple.

    Leaf
    ├── names            DNS names that it is for
    ├── addresses        and addresses; one that is written as a name counts for nothing
    ├── key, key_bits    RSA 2048, ECDSA 256, Ed25519 256 ...
    ├── signature        how its issuer signed it: sha256, ed25519 ...
    └── must_staple      whether it wants its OCSP answer to come along

    Staple               such an answer: good, revoked or unknown, and until when

Bytes of hostile peers come in; whatever they are, facts come out. Knows no connection.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from probes.wire.tls.x509 import MAX_REMEMBERED, clean, guarded, load_certificate

if TYPE_CHECKING:
    from cryptography import x509

_NAMELESS: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
# A certificate for thousands of names is one of a content network; nobody reads them all.
MAX_NAMES = 4096


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a certificate says; what cannot be read is empty or 0."""

    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    key: str = ""
    key_bits: int = 0
    signature: str = ""
    must_staple: bool = False

    def is_for(self, host: str) -> bool:
        """Return whether it is valid for *host*, a name or an address.

        Source:
            RFC 9525, 6.3
        """
        wanted = host.rstrip(".").lower()
        try:
            address = ip_address(wanted)
        except ValueError:
            return any(_covers(name, wanted) for name in self.names)
        return str(address) in self.addresses

    @property
    def names_text(self) -> str:
        """All that it is for, for people."""
        return ", ".join((*self.names, *self.addresses))

    @property
    def key_text(self) -> str:
        """The key, for people."""
        return f"{self.key or 'unknown'} {self.key_bits or ''}".rstrip()

    @property
    def text(self) -> str:
        """Key, signature and wishes in one line, for people."""
        signed = f"{self.key_text}, signed with {self.signature or 'unknown'}"
        return f"{signed}, must staple" if self.must_staple else signed


def _covers(name: str, host: str) -> bool:
    name = name.rstrip(".").lower()
    if not name.startswith("*."):
        return name == host
    label, _, rest = host.partition(".")
    # the star is one whole label, and no star for a whole top level
    return bool(label) and rest == name[2:] and "." in rest


@lru_cache(maxsize=MAX_REMEMBERED)
def read_leaf(der: bytes) -> Leaf:
    """Return what the certificate *der* says."""
    certificate = load_certificate(der)
    if certificate is None:
        return Leaf()
    key, key_bits = guarded(lambda: _key(certificate), ("", 0))
    names, addresses = guarded(lambda: _names(certificate), _NAMELESS)
    return Leaf(
        names=names,
        addresses=addresses,
        key=key,
        key_bits=key_bits,
        signature=guarded(lambda: _signature(certificate), ""),
        must_staple=guarded(lambda: _must_staple(certificate), otherwise=False),
    )


def _key(certificate: "x509.Certificate") -> tuple[str, int]:
    from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415 - 60 ms, only TLS needs it
        ec,
        ed448,
        ed25519,
        rsa,
    )

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ECDSA", key.key_size
    # RFC 8032: their sizes are fixed
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519", 256
    return ("Ed448", 456) if isinstance(key, ed448.Ed448PublicKey) else ("", 0)


def _names(certificate: "x509.Certificate") -> tuple[tuple[str, ...], tuple[str, ...]]:
    from cryptography import x509  # noqa: PLC0415 - 60 ms, only a TLS run needs it

    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = extension.value.get_values_for_type(x509.DNSName)[:MAX_NAMES]
            addresses = extension.value.get_values_for_type(x509.IPAddress)[:MAX_NAMES]
            return tuple(map(clean, names)), tuple(map(str, addresses))
    return _NAMELESS


def _signature(certificate: "x509.Certificate") -> str:
    algorithm = certificate.signature_hash_algorithm
    # those of Edwards have their hash inside
    return algorithm.name if algorithm is not None else "none"


def _must_staple(certificate: "x509.Certificate") -> bool:
    from cryptography import x509  # noqa: PLC0415 - 60 ms, only a TLS run needs it

    return any(
        isinstance(extension.value, x509.TLSFeature)
        and x509.TLSFeatureType.status_request in extension.value
        for extension in certificate.extensions
    )


@dataclass(frozen=True, slots=True)
class Staple:
    """An OCSP answer that came along with a certificate; times in Unix seconds.

    Args:
        status: ``good``, ``revoked``, ``unknown``; empty: it cannot be read.
        next_update: when a newer one is due; None: it does not say.
    """

    status: str = ""
    next_update: float | None = None


def read_staple(der: bytes) -> Staple:
    """Return what an OCSP answer says; its signature is not verified: the status is a fact.

    Source:
        RFC 6960
    """
    from cryptography.x509 import ocsp  # noqa: PLC0415 - 60 ms, only a TLS run needs it

    def read() -> Staple:
        answer: Any = ocsp.load_der_ocsp_response(der)
        due = answer.next_update_utc
        status = answer.certificate_status.name.lower()
        return Staple(status, due.timestamp() if due is not None else None)

    return guarded(read, Staple())
