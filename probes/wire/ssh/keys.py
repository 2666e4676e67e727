"""The algorithms of SSH that a check needs: key exchanges, and host keys with their signatures.

    EXCHANGES       name -> hash, and how the shared number comes about
    HOST_KEYS       name of a signature -> type of the key
    HostKey         blob, type, bits, fingerprint; it verifies a signature

Bytes of hostile peers come in; whatever they are, a verdict comes out. Nothing is encrypted here,
and no secret lives longer than one exchange.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.ssh.transport import Reader, pack_number, pack_string

# Signature -> type of the key (RFC 8332, 8709, 5656); the preferred one first. SHA-1 comes last:
# that a server has nothing better is for people to see.
HOST_KEYS = {
    "ssh-ed25519": "ssh-ed25519",
    "ecdsa-sha2-nistp256": "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384": "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521": "ecdsa-sha2-nistp521",
    "rsa-sha2-512": "ssh-rsa",
    "rsa-sha2-256": "ssh-rsa",
    "ssh-rsa": "ssh-rsa",
}
_RSA_HASHES = {"rsa-sha2-512": "SHA512", "rsa-sha2-256": "SHA256", "ssh-rsa": "SHA1"}
# Verifying with a longer RSA key takes 10 ms and more; OpenSSH takes no longer ones either.
MAX_KEY_BITS = 16_384
# RFC 3526, 3
_GROUP_14 = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e34"
    "04ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6"
    "f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a6916"
    "3fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c"
    "32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea95"
    "6ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff",
    16,
)
# Twice the strength of the group (RFC 3526, 8)
_EXPONENT_BITS = 256


class Exchange(Protocol):
    """Our half of a key exchange."""

    public: bytes
    """As the field of the message, with its length."""

    def shared(self, theirs: bytes) -> bytes:
        """Return the shared number as ``mpint``, of the field of the reply.

        Raises:
            ValueError: no number or point that may be used.
        """
        ...


class _X25519:
    def __init__(self) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._own = X25519PrivateKey.generate()
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        self.public = pack_string(self._own.public_key().public_bytes(*raw))

    def shared(self, theirs: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        # RFC 8731, 3.1: an all-zero secret is refused, by the library
        secret = self._own.exchange(X25519PublicKey.from_public_bytes(theirs))
        return pack_number(int.from_bytes(secret, "big"))


class _Nist:
    def __init__(self, curve: str) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self._curve: ec.EllipticCurve = getattr(ec, curve)()
        self._own = ec.generate_private_key(self._curve)
        self.public = pack_string(
            self._own.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
        )

    def shared(self, theirs: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec

        point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, theirs)
        return pack_number(int.from_bytes(self._own.exchange(ec.ECDH(), point), "big"))


class _Group14:
    def __init__(self) -> None:
        self._own = secrets.randbits(_EXPONENT_BITS) | 1 << (_EXPONENT_BITS - 1)
        self.public = pack_number(pow(2, self._own, _GROUP_14))

    def shared(self, theirs: bytes) -> bytes:
        number = int.from_bytes(theirs, "big")
        if not 1 < number < _GROUP_14 - 1:
            raise ValueError("no number of the group")
        return pack_number(pow(number, self._own, _GROUP_14))


# RFC 8731, 5656, 8268 and 4253; the preferred one first
EXCHANGES: dict[str, tuple[str, Callable[[], Exchange]]] = {
    "curve25519-sha256": ("sha256", _X25519),
    "curve25519-sha256@libssh.org": ("sha256", _X25519),
    "ecdh-sha2-nistp256": ("sha256", partial(_Nist, "SECP256R1")),
    "ecdh-sha2-nistp384": ("sha384", partial(_Nist, "SECP384R1")),
    "ecdh-sha2-nistp521": ("sha512", partial(_Nist, "SECP521R1")),
    "diffie-hellman-group14-sha256": ("sha256", _Group14),
    "diffie-hellman-group14-sha1": ("sha1", _Group14),
}


def hashed(exchange: str, transcript: bytes) -> bytes:
    """Return the exchange hash of *transcript* (RFC 4253, 8)."""
    return hashlib.new(EXCHANGES[exchange][0], transcript, usedforsecurity=False).digest()


def fingerprint(blob: bytes) -> str:
    """Return ``SHA256:...`` as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def load_library() -> None:
    """Import now what the first exchange needs: 60 ms, for a thread to spend."""
    import_module("cryptography.hazmat.primitives.serialization")
    import_module("cryptography.hazmat.primitives.asymmetric.x25519")


@dataclass(frozen=True, slots=True)
class HostKey:
    """The key that a host has shown."""

    blob: bytes
    type: str
    bits: int
    key: Any

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it."""
        return fingerprint(self.blob)


def read_key(blob: bytes) -> HostKey:
    """Read a public key as it stands in a reply and in ``known_hosts``.

    Raises:
        CheckFailed: ``protocol``: no key, or one of a kind that was not asked for.
    """
    from cryptography import exceptions
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    kind = Reader(blob).string().decode("ascii", "replace")
    if kind not in HOST_KEYS.values():
        raise CheckFailed(Reason.PROTOCOL, f"want a host key, got one of type {short(kind)}")
    try:
        key = serialization.load_ssh_public_key(kind.encode() + b" " + base64.b64encode(blob))
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise CheckFailed(Reason.PROTOCOL, f"want a host key, got {short(str(error))}") from None
    bits = 256 if isinstance(key, ed25519.Ed25519PublicKey) else int(key.key_size)
    if bits > MAX_KEY_BITS:
        raise CheckFailed(
            Reason.TOO_LARGE, f"want a host key of at most {MAX_KEY_BITS} bits, got {bits}"
        )
    return HostKey(blob, kind, bits, key)


def verify(key: HostKey, algorithm: str, signature: bytes, signed: bytes) -> None:
    """Verify that *signature* of *signed* is the key's, by *algorithm*.

    Raises:
        CheckFailed: ``protocol``: it is not, or it is of another algorithm.
    """
    from cryptography import exceptions
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import (
        encode_dss_signature,
    )

    reader = Reader(signature)
    named, blob = reader.string().decode("ascii", "replace"), reader.string()
    if named != algorithm or HOST_KEYS[algorithm] != key.type:
        raise CheckFailed(
            Reason.PROTOCOL, f"want a signature by {algorithm}, got {short(named)} by {key.type}"
        )
    try:
        if algorithm in _RSA_HASHES:
            chosen = getattr(hashes, _RSA_HASHES[algorithm])()
            key.key.verify(blob, signed, padding.PKCS1v15(), chosen)
        elif key.type == "ssh-ed25519":
            key.key.verify(blob, signed)
        else:
            numbers = Reader(blob)
            der = encode_dss_signature(numbers.number(), numbers.number())
            chosen = getattr(hashes, _ECDSA_HASHES[key.type])()
            key.key.verify(der, signed, ec.ECDSA(chosen))
    except (exceptions.InvalidSignature, ValueError):
        raise CheckFailed(
            Reason.PROTOCOL, "want a signature by the host key, got one that is not its own"
        ) from None


# RFC 5656, 6.2.1
_ECDSA_HASHES = {
    "ecdsa-sha2-nistp256": "SHA256",
    "ecdsa-sha2-nistp384": "SHA384",
    "ecdsa-sha2-nistp521": "SHA512",
}
