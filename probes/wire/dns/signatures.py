"""Signatures over sets of records: which key made one, and whether it holds. Bounded work.

    RecordSet    every record of one name and type, with its signatures
    Keys         the keys of a zone that are trusted by now
    Budget       what validating may cost in all

A hostile zone can offer a thousand keys of one tag and as many signatures (KeyTrap,
CVE-2023-50387) or a thousand rounds of hashing (CVE-2023-50868); both end here. At home in
dnspython; knows no server.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdataset
import dns.rrset

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.dns.answer import Record
from probes.wire.dns.codes import DNSKEY, DS, IN, RRSIG, type_name

PHASE = "validate"
# A chain of five zones takes a dozen, with keys on the move twice that.
MAX_VERIFICATIONS = 48
# RFC 8145 aside a zone has one or two; of a set each algorithm in use signs once.
MAX_KEYS_OF_A_TAG = 2
MAX_SIGNATURES_OF_A_SET = 8
MAX_RECORDS_OF_A_SET = 1000
MAX_SETS = 32
# RFC 9276, 3.2: resolvers stop at 50 to 150; a name has at most 127 labels to hash.
MAX_ITERATIONS = 100
MAX_HASH_ROUNDS = 4096
# Above it verifying takes longer than a millisecond; the root's have 2048.
MAX_RSA_BYTES = 512
_RSA = {5, 7, 8, 10}
_DIGESTS = {2: "SHA256", 4: "SHA384"}
# RFC 9905: no longer a reason to trust a key
_SHA1 = 1


def bogus(message: str) -> CheckFailed:
    """Return the verdict about what is signed wrongly, or not at all."""
    return CheckFailed(Reason.BODY, message, phase=PHASE)


@dataclass(slots=True)
class Budget:
    """What is left of the work that one run may do."""

    verifications: int = MAX_VERIFICATIONS
    hash_rounds: int = MAX_HASH_ROUNDS

    def verify(self) -> None:
        """Pay for one verification.

        Raises:
            CheckFailed: ``too_large``.
        """
        self.verifications -= 1
        if self.verifications < 0:
            raise CheckFailed(
                Reason.TOO_LARGE,
                f"want at most {MAX_VERIFICATIONS} signatures to verify, got more",
                phase=PHASE,
            )

    def hash(self, iterations: int) -> None:
        """Pay for one hashed name.

        Raises:
            CheckFailed: ``too_large``.
        """
        if iterations > MAX_ITERATIONS:
            raise CheckFailed(
                Reason.TOO_LARGE,
                f"want at most {MAX_ITERATIONS} iterations of NSEC3, got {iterations}",
                phase=PHASE,
            )
        self.hash_rounds -= iterations + 1
        if self.hash_rounds < 0:
            raise CheckFailed(
                Reason.TOO_LARGE,
                f"want at most {MAX_HASH_ROUNDS} rounds of hashing, got more",
                phase=PHASE,
            )


@dataclass(slots=True)
class RecordSet:
    """Every record of one name and type, and the signatures over them."""

    name: dns.name.Name
    type: int
    records: list[Any] = field(default_factory=list)
    signatures: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name} {type_name(self.type)}"

    @property
    def signers(self) -> list[dns.name.Name]:
        """The zones that say they signed it, and may: the set is theirs or below.

        What stands for the keys of a zone is said by the one above (RFC 4035, 2.4).
        """
        found = {s.signer for s in self.signatures if self.name.is_subdomain(s.signer)}
        if self.type == DS:
            found.discard(self.name)
        return sorted(found, key=len, reverse=True)

    def rrset(self) -> dns.rrset.RRset:
        """Return it as dnspython wants it."""
        if len(self.records) > MAX_RECORDS_OF_A_SET:
            raise CheckFailed(
                Reason.TOO_LARGE,
                f"want at most {MAX_RECORDS_OF_A_SET} records in a signed set, got more",
                phase=PHASE,
            )
        return dns.rrset.from_rdata_list(self.name, 0, self.records)


def name_of(text: str) -> dns.name.Name:
    """Return an absolute name of zone-file text."""
    return dns.name.from_text(text)


def sets_of(records: Iterable[Record]) -> list[RecordSet]:
    """Return the records by name and type; signatures stand by what they cover.

    Raises:
        CheckFailed: ``too_large``: `MAX_SETS`.
    """
    found: dict[tuple[dns.name.Name, int], RecordSet] = {}
    names: dict[str, dns.name.Name] = {}

    def of(name: dns.name.Name, kind: int) -> RecordSet:
        if len(found) > MAX_SETS:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want at most {MAX_SETS} signed sets, got more", phase=PHASE
            )
        return found.setdefault((name, kind), RecordSet(name, kind))

    for record in records:
        raw = record.raw
        if not isinstance(raw, dns.rdata.Rdata) or raw.rdclass != IN:
            continue
        name = names.get(record.name) or names.setdefault(record.name, name_of(record.name))
        if record.type == RRSIG:
            of(name, int(getattr(raw, "type_covered", 0))).signatures.append(raw)
        else:
            of(name, record.type).records.append(raw)
    return [one for one in found.values() if one.records]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a zone that are trusted."""

    zone: dns.name.Name
    keys: tuple[Any, ...]

    def verify(self, signed: RecordSet, now: float, budget: Budget) -> Any:
        """Return the signature over *signed* that a key of the zone made.

        Args:
            signed: of this zone.
            now: Unix time.
            budget: pays.

        Raises:
            CheckFailed: ``body``: none holds; ``evidence``: all are by algorithms that nobody here
                can verify; ``too_large``.
        """
        rrset, why = signed.rrset(), "none"
        ours = [s for s in signed.signatures if s.signer == self.zone][:MAX_SIGNATURES_OF_A_SET]
        foreign: set[int] = set()
        for signature in ours:
            try:
                miss = self._miss(signature, rrset, now, budget)
            except dns.exception.UnsupportedAlgorithm:
                foreign.add(int(signature.algorithm))
                continue
            if miss is None:
                return signature
            why = miss
        if foreign and foreign == {int(signature.algorithm) for signature in ours}:
            # by keys that are trusted: so it is we who cannot tell
            raise _beyond(f"a signature over {signed}", "algorithm", foreign)
        raise bogus(f"want a valid signature of {self.zone} over {signed}, got {why}")

    def _miss(
        self, signature: Any, rrset: dns.rrset.RRset, now: float, budget: Budget
    ) -> str | None:
        """Return what is wrong with *signature*; None: nothing is.

        Raises:
            CheckFailed: ``body``: too many keys may have made it; ``too_large``.
            UnsupportedAlgorithm: nobody here can tell.
        """
        candidates = self._candidates(signature)
        if not candidates:
            return f"one by the unknown key {signature.key_tag}"
        if len(candidates) > MAX_KEYS_OF_A_TAG:
            raise bogus(f"want few keys of {self.zone} with tag {signature.key_tag}, got many")
        if not any(map(dns.dnssec.default_policy.ok_to_validate, candidates)):
            return f"one by algorithm {int(signature.algorithm)}, which is not safe"
        keys = dns.rdataset.from_rdata_list(0, list(candidates))
        budget.verify()
        try:
            dns.dnssec.validate_rrsig(rrset, signature, {self.zone: keys}, now=now)
        except dns.exception.UnsupportedAlgorithm:
            raise
        except (dns.exception.DNSException, ValueError) as error:
            return _why(error, signature)
        return None

    def _candidates(self, signature: Any) -> tuple[Any, ...]:
        return tuple(
            key
            for key in self.keys
            if key.algorithm == signature.algorithm
            and _is_small(key)
            and dns.dnssec.key_id(key) == signature.key_tag
        )


def _beyond(what: str, word: str, numbers: Iterable[int]) -> CheckFailed:
    """Return the verdict about what may be right, and cannot be verified here."""
    got = ", ".join(map(str, sorted(numbers)))
    text = f"want {what} by an {word} that sonde knows, got {word} {got}"
    return CheckFailed(Reason.EVIDENCE, text, phase=PHASE)


def _is_small(key: Any) -> bool:
    return key.algorithm not in _RSA or len(key.key) <= MAX_RSA_BYTES + 4


def _why(error: Exception, signature: Any) -> str:
    text = short(str(error))
    if "expired" in text:
        return f"one that expired {_utc(signature.expiration)}"
    if "not yet valid" in text:
        return f"one that begins {_utc(signature.inception)}"
    if "verify failure" in text:
        return f"one that does not fit (key {signature.key_tag})"
    return f"one that cannot be used: {type(error).__name__} {text}"


def _utc(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def trusted(
    keys: RecordSet | None, anchors: Sequence[Any], zone: dns.name.Name, now: float, budget: Budget
) -> tuple[Keys, Any]:
    """Return the keys of *zone*, and their signature by one that *anchors* stand for.

    Args:
        keys: of the zone; None: it has none.
        anchors: data of DS or DNSKEY records.
        zone: that has the keys.
        now: Unix time.
        budget: pays.

    Raises:
        CheckFailed: ``body``, ``evidence``, ``too_large``.
    """
    if keys is None:
        raise bogus(f"want the keys of {zone}, got none")
    entries = tuple(key for key in keys.records if _is_anchored(key, anchors, zone))
    if not entries:
        _judge_digests(anchors, zone)
        tags = ", ".join(sorted({str(_tag(anchor)) for anchor in anchors}))
        raise bogus(f"want a key of {zone} that its anchor stands for (tag {tags}), got none")
    signature = Keys(zone, entries).verify(keys, now, budget)
    return Keys(zone, tuple(keys.records)), signature


def _judge_digests(anchors: Sequence[Any], zone: dns.name.Name) -> None:
    """Tell of anchors that can stand for no key here, whichever keys there are."""
    digests = {int(anchor.digest_type) if anchor.rdtype == DS else 0 for anchor in anchors}
    if digests == {_SHA1}:
        raise bogus(f"want a DS record of {zone} by SHA-256 or SHA-384, got one by SHA-1")
    if digests and not digests & {0, _SHA1, *_DIGESTS}:
        raise _beyond(f"a DS record of {zone}", "algorithm of digests", digests)


def _tag(anchor: Any) -> int:
    return int(anchor.key_tag if anchor.rdtype == DS else dns.dnssec.key_id(anchor))


def _is_anchored(key: Any, anchors: Sequence[Any], zone: dns.name.Name) -> bool:
    tag = dns.dnssec.key_id(key)
    for anchor in anchors:
        if anchor.rdtype == DNSKEY:
            if anchor == key:
                return True
        elif anchor.key_tag == tag and anchor.algorithm == key.algorithm:
            digest = _DIGESTS.get(int(anchor.digest_type))
            if digest and dns.dnssec.make_ds(zone, key, digest, validating=True) == anchor:
                return True
    return False


@lru_cache(maxsize=256)
def anchor_of(line: str) -> tuple[dns.name.Name, Any]:
    """Read an anchor such as ``example. IN DS 12345 13 2 0a1b...`` or a DNSKEY; a TTL is skipped.

    Raises:
        ValueError: no such line.
    """
    words = [word for word in line.split() if word.upper() != "IN"]
    if len(words) > 1 and words[1].isdigit():
        del words[1]
    if len(words) > 2 and words[1].upper() in {"DS", "DNSKEY"}:  # noqa: PLR2004 - name, type, data
        try:
            kind = words[1].upper()
            return name_of(words[0]), dns.rdata.from_text("IN", kind, " ".join(words[2:]))
        except (dns.exception.DNSException, ValueError) as error:
            raise ValueError(f"want an anchor, got {short(line)}: {error}") from None
    raise ValueError(f"want an anchor such as 'example. DS 12345 13 2 ...', got {short(line)}")
