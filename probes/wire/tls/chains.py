"""All chains that lead from a certificate to a root, and how long the longest-lived one holds.

OpenSSL tells one chain, and picks it by the order of its authorities; Go, and so blackbox_exporter,
looks at all of them. An authority that is replaced has two roots with one key, or one intermediate
that two roots have signed: until the later of them ends, nobody needs to be woken. Knows no
connection; what was verified is OpenSSL's business alone.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from probes.wire.tls.x509 import MAX_REMEMBERED, earliest_expiry, expiry, guarded, load_certificate

if TYPE_CHECKING:
    from cryptography import x509

# crypto/x509 of Go: a hostile peer must not make us verify signatures for ever.
MAX_SIGNATURES = 100
# Longer chains exist in attacks only.
MAX_DEPTH = 10
# RFC 5280, 4.2.1.9: may this key sign certificates?
_BASIC_CONSTRAINTS = "2.5.29.19"


class TrustStore:
    """The authorities of one context, and what was found out with them.

    Args:
        roots: gives the certificates that are trusted, as DER; more may come as OpenSSL finds them.
    """

    def __init__(self, roots: Callable[[], Sequence[bytes]]) -> None:
        self._roots = roots
        self._known: dict[bytes, float | None] = {}

    def latest_end(
        self, sent: Sequence[bytes], verified: Sequence[bytes], now: float
    ) -> float | None:
        """Return the latest, over all chains, of the earliest notAfter within the chain.

        Args:
            sent: by the peer, leaf first.
            verified: the chain that OpenSSL verified, leaf first, root last; empty: none.
            now: Unix seconds; a chain that has ended is none.
        """
        own = earliest_expiry(verified)
        if own is None:
            return None
        key = hashlib.sha256(b"".join((*sent, verified[-1]))).digest()
        found = self._known.get(key)
        if found is None or found <= now:
            search = _Search([*sent[1:], *verified[1:]], [*self._roots(), verified[-1]], now)
            found = search.latest_end(verified[0], own)
            self._remember(key, found)
        return found

    def latest_end_of(self, sent: Sequence[bytes], now: float) -> float | None:
        """Return the same where the verified chain is not told, only that there is one.

        None as well when no authority of this context is its root.
        """
        if not sent:
            return None
        key = hashlib.sha256(b"".join(sent)).digest()
        found = self._known.get(key)
        if found is None or found <= now:
            search = _Search(sent[1:], self._roots(), now)
            found = search.latest_end(sent[0], 0.0) or None
            self._remember(key, found)
        return found

    def _remember(self, key: bytes, found: float | None) -> None:
        while len(self._known) >= MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = found


class _Search:
    """One walk over all that may have signed what."""

    def __init__(self, others: Iterable[bytes], roots: Iterable[bytes], now: float) -> None:
        self._others = tuple(dict.fromkeys(others))
        self._roots = frozenset(roots)
        self._now = now
        self._signatures = 0

    def latest_end(self, leaf: bytes, known: float) -> float:
        """Return the latest end of a chain from *leaf*; at least *known*, that of one chain."""
        end = expiry(leaf) or 0.0
        # mostly the leaf itself is the first to end: then there is nothing to look for
        return known if end <= known else max(known, self._walk((leaf,), end, known))

    def _walk(self, path: tuple[bytes, ...], end: float, known: float) -> float:
        """Return the latest end of a chain that goes on from *path*, if later than *known*."""
        if path[-1] in self._roots:
            return end
        child = load_certificate(path[-1])
        if child is None or len(path) >= MAX_DEPTH:
            return known
        for parent in self._named_like_issuer(child):
            until = min(end, expiry(parent) or 0.0)
            # what cannot be better is not worth a signature
            if until > max(known, self._now) and parent not in path and self._signs(parent, child):
                known = max(known, self._walk((*path, parent), until, known))
        return known

    def _named_like_issuer(self, child: "x509.Certificate") -> list[bytes]:
        # a name stands in a certificate as it is written: no need to read a whole trust store
        name = guarded(child.issuer.public_bytes, b"")
        return [der for der in (*self._roots, *self._others) if name and name in der]

    def _signs(self, parent: bytes, child: "x509.Certificate") -> bool:
        signer = load_certificate(parent)
        if signer is None or self._signatures >= MAX_SIGNATURES:
            return False
        self._signatures += 1
        return guarded(lambda: self._vouches(signer, child), otherwise=False)

    def _vouches(self, signer: "x509.Certificate", child: "x509.Certificate") -> bool:
        if signer.not_valid_before_utc.timestamp() > self._now or not _is_authority(signer):
            return False
        child.verify_directly_issued_by(signer)
        return True


def _is_authority(certificate: "x509.Certificate") -> bool:
    """Return whether it may sign others; roots of before 2000 do not say so."""
    for extension in certificate.extensions:
        if extension.oid.dotted_string == _BASIC_CONSTRAINTS:
            return bool(getattr(extension.value, "ca", False))
    return certificate.issuer == certificate.subject
