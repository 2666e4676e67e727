"""The chain of trust from an anchor down to an answer, asked of one server and verified by us.

    anchor (DS) -> keys of its zone -> DS of a zone below -> its keys -> ... -> the answer

The server need not validate, nor be trusted: every set of the answer is verified, and so is the
proof of what it says does not exist. An answer without a chain is a failure, also where the zone
above says that it is not signed: whoever asks for a validated answer wants one. Knows no transport.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dns.name

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.dns.answer import Answer
from probes.wire.dns.codes import CNAME, DNAME, DNSKEY, DS, NSEC, NSEC3
from probes.wire.dns.denial import Proofs
from probes.wire.dns.question import Edns, Question
from probes.wire.dns.signatures import (
    PHASE,
    Budget,
    Keys,
    RecordSet,
    anchor_of,
    bogus,
    name_of,
    sets_of,
    trusted,
)

# https://data.iana.org/root-anchors/root-anchors.xml: the keys of 2017 and 2024
ROOT_ANCHORS = (
    ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
)
# A name of ten labels below the root, each a zone, takes 20.
MAX_QUESTIONS = 32
MAX_ALIASES = 8
_NOERROR, _NXDOMAIN, _ANY = 0, 3, 255

Ask = Callable[[Question], Awaitable[Answer]]


def wanted(question: Question) -> Question:
    """Return *question* so that its answer can be validated by us: with signatures, unfiltered."""
    edns = question.edns or Edns()
    return Question(
        question.name, question.type, question.class_, question.recursion,
        checking_disabled=True, edns=Edns(edns.payload, dnssec=True, nsid=edns.nsid),
    )  # fmt: skip


@dataclass(slots=True)
class Chain:
    """One validation.

    Args:
        ask: asks the server.
        anchors: lines as `anchor_of` reads them.
        now: Unix time.
        recursion: whether the server is to ask others.
    """

    ask: Ask
    anchors: Sequence[str]
    now: float
    recursion: bool = True
    expires_at: float | None = None
    """When the first signature in use ends, as Unix time."""
    zones: list[str] = field(default_factory=list)
    """The zones of the chain."""
    _budget: Budget = field(default_factory=Budget)
    _questions: int = 0
    _known: dict[dns.name.Name, Keys] = field(default_factory=dict)

    async def validate(self, question: Question, answer: Answer) -> None:
        """Verify *answer*, which came with signatures.

        Raises:
            CheckFailed: ``body``, with what is missing or wrong; ``evidence``: an algorithm that
                cannot be verified here; ``too_large``; as `ask` does.
        """
        if answer.rcode not in (_NOERROR, _NXDOMAIN):
            raise bogus(f"want an answer to validate, got {answer.code}")
        sets = sets_of(answer.answer)
        wild = [found for one in sets for found in await self._verify(one, sets)]
        end = name_of(question.name)
        if question.type not in (CNAME, _ANY):
            end = _end_of(end, sets)
        is_there = any(one.name == end and question.type in (one.type, _ANY) for one in sets)
        if is_there and answer.rcode == _NXDOMAIN:
            # the code itself is not signed
            raise bogus(f"want NOERROR with records of {end}, got NXDOMAIN")
        if is_there and not wild:
            return
        proofs = await self._proofs(answer)
        for one in wild:
            one.judge(proofs)
        if is_there:
            return
        proof = _nearest(proofs, end)
        if answer.rcode == _NXDOMAIN:
            proof.no_name(end)
        else:
            proof.no_type(end, question.type)

    async def _verify(self, one: RecordSet, others: Sequence[RecordSet]) -> list["Wild"]:
        """Verify a set; return the wildcard that it was made of, if it was."""
        if one.type == CNAME and not one.signatures and _is_made(one, others):
            return []
        signers = one.signers
        if not signers:
            raise bogus(f"want a signature over {one}, got none")
        keys = await self._keys_of(signers[0])
        signature = keys.verify(one, self.now, self._budget)
        self._note(signature)
        # RFC 4034, 3.1.3: neither the root nor an asterisk counts
        labels = len(one.name) - 1 - one.name.is_wild()
        is_wild = signature.labels < labels
        return [Wild(one.name, signature.labels, signers[0])] if is_wild else []

    async def _proofs(self, answer: Answer) -> list[Proofs]:
        """Return what the authority section proves, by the zones that signed it."""
        found: dict[dns.name.Name, list[RecordSet]] = {}
        for one in sets_of(answer.authority):
            if one.type not in (NSEC, NSEC3):
                continue
            if await self._verify(one, ()):
                raise bogus(f"want a proof that no wildcard stands for, got {one}")
            found.setdefault(one.signers[0], []).append(one)
        return [Proofs(zone, sets, self._budget) for zone, sets in found.items()]

    def _note(self, signature: Any) -> None:
        ends = float(signature.expiration)
        self.expires_at = ends if self.expires_at is None else min(self.expires_at, ends)

    async def _keys_of(self, zone: dns.name.Name) -> Keys:
        """Return the keys of *zone*, which may be trusted."""
        if zone in self._known:
            return self._known[zone]
        top, data = self._anchor_of(zone)
        keys = self._known.get(top) or await self._trust(top, data)
        for below in _down(top, zone):
            if below in self._known:
                keys = self._known[below]
                continue
            delegation = await self._set(below, DS)
            if delegation is not None:
                self._note(keys.verify(delegation, self.now, self._budget))
                keys = await self._trust(below, delegation.records)
        if keys.zone != zone:
            raise bogus(
                f"want a DS record of {zone}, got none: the chain of trust ends at {keys.zone}"
            )
        return keys

    async def _trust(self, zone: dns.name.Name, anchors: Sequence[Any]) -> Keys:
        found = await self._set(zone, DNSKEY)
        keys, signature = trusted(found, anchors, zone, self.now, self._budget)
        self._note(signature)
        self._known[zone] = keys
        self.zones.append(str(zone))
        return keys

    def _anchor_of(self, zone: dns.name.Name) -> tuple[dns.name.Name, list[Any]]:
        """Return the nearest anchor above *zone*, with all that is known of it."""
        lines = [anchor_of(line) for line in self.anchors]
        above = [name for name, _ in lines if zone.is_subdomain(name)]
        if not above:
            raise bogus(f"want an anchor above {zone}, got {short(', '.join(self.anchors))}")
        top = max(above, key=len)
        return top, [data for name, data in lines if name == top]

    async def _set(self, name: dns.name.Name, kind: int) -> RecordSet | None:
        self._questions += 1
        if self._questions > MAX_QUESTIONS:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want a chain of at most {MAX_QUESTIONS} questions, got more",
                phase=PHASE,
            )  # fmt: skip
        answer = await self.ask(wanted(Question(str(name), kind, recursion=self.recursion)))
        if answer.rcode not in (_NOERROR, _NXDOMAIN):
            wish = Question(str(name), kind)
            raise bogus(f"want an answer to {wish}, got {answer.code}")
        for one in sets_of(answer.answer):
            if one.name == name and one.type == kind:
                return one
        return None


@dataclass(frozen=True, slots=True)
class Wild:
    """A set that a wildcard stands for.

    Args:
        name: that was asked for.
        labels: of the name below which the wildcard stands, the root not counted.
        zone: that signed it.
    """

    name: dns.name.Name
    labels: int
    zone: dns.name.Name

    def judge(self, proofs: Sequence[Proofs]) -> None:
        """Judge whether its own zone proves that the name itself is not there.

        The zone above has no names of the one below, so its hashes leave room for all of them.

        Raises:
            CheckFailed: ``body``.
        """
        for one in proofs:
            if one.zone == self.zone:
                one.no_closer(self.name, self.labels)
                return
        got = f"one by {proofs[0].zone}" if proofs else "none"
        raise bogus(f"want a proof by {self.zone} that {self.name} is a wildcard's, got {got}")


def _nearest(proofs: Sequence[Proofs], name: dns.name.Name) -> Proofs:
    """Return what the nearest zone above *name* proves."""
    if not proofs:
        raise bogus(f"want records of {name}, or a proof that there are none, got neither")
    above = [one for one in proofs if name.is_subdomain(one.zone)]
    if not above:
        raise bogus(f"want a proof by a zone of {name}, got one by {proofs[0].zone}")
    return max(above, key=lambda one: len(one.zone))


def _down(top: dns.name.Name, zone: dns.name.Name) -> list[dns.name.Name]:
    """Return the names below *top* down to *zone*, which may all be zones."""
    return [zone.split(size)[1] for size in range(len(top) + 1, len(zone) + 1)]


def _end_of(name: dns.name.Name, sets: Sequence[RecordSet]) -> dns.name.Name:
    """Return where the aliases of an answer lead to."""
    aliases = {one.name: one.records[0].target for one in sets if one.type == CNAME}
    for _ in range(MAX_ALIASES):
        name = aliases.get(name, name)
    return name


def _is_made(alias: RecordSet, others: Sequence[RecordSet]) -> bool:
    """Tell whether an alias follows from a DNAME record, which is signed in its stead."""
    for one in others:
        if one.type == DNAME and alias.name != one.name and alias.name.is_subdomain(one.name):
            prefix = alias.name.relativize(one.name)
            return bool(prefix.concatenate(one.records[0].target) == alias.records[0].target)
    return False
