"""What a certificate chain says, as numbers and texts in blackbox_exporter's exact spelling.

    ChainFacts
    ├── earliest_expiry      Unix seconds: the first certificate of the chain to expire
    ├── not_before, not_after   Unix seconds, of the leaf
    └── subject, issuer, names, serial, fingerprint   texts, of the leaf

Bytes of hostile peers come in; whatever they are, facts come out. The only home of cryptography,
which is imported at the first TLS run. Knows neither connections nor samples.
"""

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cryptography import x509

T = TypeVar("T")

# metrics.md 2.5: values of this kind may be longer than a common label, lists of names are long.
MAX_TEXT_BYTES = 4096
# Chains of so many peers and hops are remembered; parsing one costs as much as a tenth of its
# handshake.
MAX_REMEMBERED = 1024

# The standard attributes in the order in which Go prints them; everything else stands behind them
# as #hex. Measured against blackbox_exporter 0.23, 2026-11-21.
_STANDARD = {
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.3": "CN",
    "2.5.4.11": "OU",
    "2.5.4.10": "O",
    "2.5.4.17": "POSTALCODE",
    "2.5.4.9": "STREET",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.6": "C",
}
# Of these a name has one: the last one counts.
_SINGLE = {"SERIALNUMBER", "CN"}
_ESCAPED = frozenset(',+"\\<>;')
# ITU-T X.680, 41.4, without "*" and "&"
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# ITU-T X.690, 8.1.3
_LONG_LENGTH = 0x80
_TAG_UTF8, _TAG_PRINTABLE = 0x0C, 0x13


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What the certificates of one peer say; times in Unix seconds.

    An unreadable text is empty, an unreadable time None.
    """

    count: int
    fingerprint: str
    earliest_expiry: float | None = None
    not_before: float | None = None
    not_after: float | None = None
    subject: str = ""
    issuer: str = ""
    names: str = ""
    serial: str = ""

    @property
    def text(self) -> str:
        """All of it in one line, for people."""
        shown = {
            "subject": self.subject,
            "names": self.names,
            "issuer": self.issuer,
            "valid": f"{_day(self.not_before)} to {_day(self.not_after)}",
            "serial": self.serial,
            "sha256": self.fingerprint,
            "sent": f"{self.count} certificate{'s' if self.count > 1 else ''}",
        }
        return "; ".join(f"{name} {text}" for name, text in shown.items() if text)


def _day(moment: float | None) -> str:
    if moment is None:
        return "unknown"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_remembered: dict[bytes, ChainFacts] = {}


def chain_facts(chain: Sequence[bytes]) -> ChainFacts:
    """Return what *chain* says: DER certificates, leaf first, at least one."""
    key = hashlib.sha256(b"".join(chain)).digest()
    facts = _remembered.pop(key, None)
    if facts is None:
        facts = _read(chain)
        while len(_remembered) >= MAX_REMEMBERED:
            del _remembered[next(iter(_remembered))]
    _remembered[key] = facts
    return facts


@lru_cache(maxsize=MAX_REMEMBERED)
def expiry(der: bytes) -> float | None:
    """Return the notAfter of one certificate in Unix seconds; None when it cannot be read."""
    certificate = load_certificate(der)
    return None if certificate is None else guarded(lambda: _after(certificate), None)


def earliest_expiry(chain: Sequence[bytes]) -> float | None:
    """Return the first notAfter of *chain*; None when none can be read."""
    known = [moment for moment in map(expiry, chain) if moment is not None]
    return min(known, default=None)


def load_library() -> None:
    """Import now what is imported at the first certificate: 60 ms, for a thread to spend."""
    import_module("cryptography.hazmat.primitives.serialization")
    _breakages()


def _read(chain: Sequence[bytes]) -> ChainFacts:
    leaf = load_certificate(chain[0])
    fingerprint = hashlib.sha256(chain[0]).hexdigest()
    if leaf is None:
        return ChainFacts(len(chain), fingerprint, earliest_expiry(chain))
    return ChainFacts(
        count=len(chain),
        fingerprint=fingerprint,
        earliest_expiry=earliest_expiry(chain),
        not_before=guarded(lambda: _before(leaf), None),
        not_after=guarded(lambda: _after(leaf), None),
        subject=guarded(lambda: name_text(_attributes(leaf.subject)), ""),
        issuer=guarded(lambda: name_text(_attributes(leaf.issuer)), ""),
        names=guarded(lambda: _names(leaf), ""),
        serial=guarded(lambda: serial_text(leaf.serial_number), ""),
    )


def load_certificate(der: bytes) -> "x509.Certificate | None":
    """Return the certificate, or None when it cannot be read."""
    from cryptography import x509  # noqa: PLC0415 - 60 ms, only a TLS run needs it

    return guarded(lambda: x509.load_der_x509_certificate(der), None)


def guarded(read: Callable[[], T], otherwise: T) -> T:
    """Return what *read* reads, or *otherwise* when a hostile certificate breaks it."""
    with warnings.catch_warnings():
        # odd certificates make the parser warn; a warning of the peer's making is no news for our
        # log
        warnings.simplefilter("ignore")
        try:
            return read()
        except _breakages():
            return otherwise


@cache
def _breakages() -> tuple[type[Exception], ...]:
    """Return what a certificate can make the parser raise; its own kinds are no ValueErrors."""
    from cryptography import exceptions, x509  # noqa: PLC0415 - see above

    return (
        ValueError,
        TypeError,
        OverflowError,
        LookupError,  # a feature of TLS that the library has no name for
        exceptions.UnsupportedAlgorithm,
        exceptions.InvalidSignature,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def _before(certificate: "x509.Certificate") -> float:
    return certificate.not_valid_before_utc.timestamp()


def _after(certificate: "x509.Certificate") -> float:
    return certificate.not_valid_after_utc.timestamp()


def _attributes(name: "x509.Name") -> list[tuple[str, str]]:
    return [
        (attribute.oid.dotted_string, _text(attribute.value))
        for rdn in name.rdns
        for attribute in rdn
    ]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _names(certificate: "x509.Certificate") -> str:
    from cryptography import x509  # noqa: PLC0415 - 60 ms, only a TLS run needs it

    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            return clean(",".join(extension.value.get_values_for_type(x509.DNSName)))
    return ""


def name_text(attributes: Sequence[tuple[str, str]]) -> str:
    """Return a distinguished name as Go prints it.

    Args:
        attributes: (dotted oid, value) in the order of the certificate.
    """
    values: dict[str, list[str]] = {}
    others: list[str] = []
    for oid, value in attributes:
        word = _STANDARD.get(oid)
        if word is None:
            others.append(f"{oid}=#{_der_text(value).hex()}")
        elif word in _SINGLE:
            values[word] = [value]
        else:
            values.setdefault(word, []).append(value)
    parts = [
        "+".join(f"{word}={_escape(value)}" for value in values[word])
        for word in _STANDARD.values()
        if word in values
    ]
    return clean(",".join([*parts, *reversed(others)]))


def _escape(value: str) -> str:
    last = len(value) - 1
    return "".join(
        f"\\{character}"
        if character in _ESCAPED
        or (character == "#" and i == 0)
        or (character == " " and i in (0, last))
        else character
        for i, character in enumerate(value)
    )


def _der_text(value: str) -> bytes:
    """Return the DER of a string: PrintableString where that suffices, else UTF8String."""
    tag = _TAG_PRINTABLE if _PRINTABLE.issuperset(value) else _TAG_UTF8
    content = value.encode("utf-8", "replace")
    size = len(content)
    if size < _LONG_LENGTH:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_LENGTH | len(length))) + length + content


def serial_text(number: int) -> str:
    """Return the bytes of a serial number in hex, two digits each; a leading zero stays."""
    digits = f"{abs(number):x}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def clean(text: str) -> str:
    """Return *text* as valid UTF-8 without control characters, at most `MAX_TEXT_BYTES` long."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
    return text.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
