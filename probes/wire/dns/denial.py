"""Proofs that a name or a type does not exist: NSEC (RFC 4035, 5.4) and NSEC3 (RFC 5155, 8).

Reads verified records only. At home in dnspython; knows no key and no server.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dns.dnssec
import dns.name
import dns.rdatatype

from probes.errors import CheckFailed
from probes.wire.dns.codes import CNAME, DNAME, DS, NS, NSEC, NSEC3, SOA
from probes.wire.dns.signatures import Budget, RecordSet, bogus

_WILD = dns.name.from_text("*", None)
_SHA1 = 1
# RFC 5155, 9.2: such a gap may hold delegations without signatures, so it proves nothing.
_OPT_OUT = 1


@dataclass(slots=True)
class Proofs:
    """What verified NSEC and NSEC3 records prove.

    Args:
        zone: that signed them.
        sets: of one name and type each.
        budget: pays for the hashing.
    """

    zone: dns.name.Name
    sets: Sequence[RecordSet]
    budget: Budget
    _hashes: dict[tuple[dns.name.Name, bytes, int], str] = field(default_factory=dict)
    _has_opt_out: bool = False

    def no_name(self, name: dns.name.Name) -> None:
        """Prove that neither *name* exists nor a wildcard that would stand for it.

        Raises:
            CheckFailed: ``body``: it is not proven; ``too_large``.
        """
        encloser = self._closest_encloser(name)
        if encloser is None or not self._covers(_next_closer(name, encloser)):
            raise self._unproven(f"{name} does not exist")
        wild = _WILD.concatenate(encloser)
        if not self._covers(wild):
            raise self._unproven(f"{wild} does not exist")

    def no_type(self, name: dns.name.Name, kind: int) -> None:
        """Prove that *name* has no records of type *kind*, nor an alias.

        Raises:
            CheckFailed: as `no_name`.
        """
        if self._lacks(name, kind) or self._is_empty(name):
            return
        encloser = self._closest_encloser(name)
        if (
            encloser is not None
            and self._covers(_next_closer(name, encloser))
            and self._lacks(_WILD.concatenate(encloser), kind)
        ):
            return
        word = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind))
        raise self._unproven(f"{name} has no {word}")

    def no_closer(self, name: dns.name.Name, labels: int) -> None:
        """Prove that *name* itself does not exist, so that a wildcard may stand for it.

        Args:
            name: that was asked for.
            labels: of the name below which the wildcard stands, the root not counted.

        Raises:
            CheckFailed: as `no_name`.
        """
        if not self._covers(_next_closer(name, name.split(labels + 1)[1])):
            raise self._unproven(f"{name} is a wildcard's")

    def _unproven(self, what: str) -> CheckFailed:
        got = "one that leaves unsigned names out" if self._has_opt_out else "none"
        return bogus(f"want a proof that {what}, got {got}")

    def _of(self, kind: int) -> Iterable[tuple[dns.name.Name, Any]]:
        return ((one.name, data) for one in self.sets if one.type == kind for data in one.records)

    def _covers(self, name: dns.name.Name) -> bool:
        """Tell whether a record says that there is nothing at *name*."""
        for owner, data in self._of(NSEC):
            # the next name may stand below it: then it is there, without records
            is_empty = data.next.is_subdomain(name)
            is_elsewhere = name.is_subdomain(owner) and _is_left(data)
            if _between(owner, name, data.next) and not (is_empty or is_elsewhere):
                return True
        for owner, data in self._of(NSEC3):
            hashed = self._hash(name, data)
            if data.flags & _OPT_OUT:
                self._has_opt_out = True
            elif hashed and _between(_label(owner), hashed, _next_hash(data)):
                return True
        return False

    def _lacks(self, name: dns.name.Name, kind: int) -> bool:
        """Tell whether the record of *name* itself says that it has no *kind* and no alias."""
        for owner, data in self._of(NSEC):
            if owner == name:
                return _has_neither(data, kind)
        for owner, data in self._of(NSEC3):
            if _label(owner) == self._hash(name, data):
                return _has_neither(data, kind)
        return False

    def _is_empty(self, name: dns.name.Name) -> bool:
        """Tell whether *name* stands for names below it alone; NSEC3 has a record of its own."""
        return any(
            owner < name and name != data.next and data.next.is_subdomain(name)
            for owner, data in self._of(NSEC)
        )

    def _closest_encloser(self, name: dns.name.Name) -> dns.name.Name | None:
        """Return the longest ancestor of *name* that is proven to exist."""
        for ancestor in _ancestors(name, self.zone):
            for owner, data in self._of(NSEC):
                if owner.is_subdomain(ancestor) or data.next.is_subdomain(ancestor):
                    return ancestor
            for owner, data in self._of(NSEC3):
                if _label(owner) == self._hash(ancestor, data):
                    return None if _is_left(data) else ancestor
        return None

    def _hash(self, name: dns.name.Name, data: Any) -> str:
        if data.algorithm != _SHA1:
            return ""
        key = (name, data.salt, data.iterations)
        if key not in self._hashes:
            self.budget.hash(data.iterations)
            self._hashes[key] = dns.dnssec.nsec3_hash(
                name, data.salt, data.iterations, data.algorithm
            ).lower()
        return self._hashes[key]


def _between(owner: Any, name: Any, following: Any) -> bool:
    """Tell whether *name* lies in the gap behind *owner*; the last gap ends at the first name."""
    if owner < following:
        return bool(owner < name < following)
    return bool(name > owner or name < following)


def _label(owner: dns.name.Name) -> str:
    return owner.labels[0].decode("latin-1").lower()


def _next_hash(data: Any) -> str:
    text: str = data.next_name().labels[0].decode("latin-1")
    return text.lower()


def _has(data: Any, kind: int) -> bool:
    window, bit = divmod(kind, 256)
    for number, bitmap in data.windows:
        if number == window and bit // 8 < len(bitmap):
            return bool(bitmap[bit // 8] & 0x80 >> bit % 8)
    return False


def _is_left(data: Any) -> bool:
    """Tell whether names below its owner are another zone's, or elsewhere (RFC 6840, 4.1)."""
    return (_has(data, NS) and not _has(data, SOA)) or _has(data, DNAME)


def _has_neither(data: Any, kind: int) -> bool:
    """Tell whether the record denies *kind* and an alias.

    That above a zone speaks of DS alone, and the zone's own of all but that (RFC 4035, 5.2).
    """
    if _has(data, SOA) if kind == DS else _has(data, NS) and not _has(data, SOA):
        return False
    return not _has(data, kind) and not _has(data, CNAME)


def _ancestors(name: dns.name.Name, zone: dns.name.Name) -> Iterable[dns.name.Name]:
    while name != zone and name.is_subdomain(zone):
        name = name.parent()
        yield name


def _next_closer(name: dns.name.Name, encloser: dns.name.Name) -> dns.name.Name:
    """Return the ancestor of *name*, or itself, one label longer than *encloser*."""
    return name.split(len(encloser) + 1)[1] if len(name) > len(encloser) else name
