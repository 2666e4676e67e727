"""A small signed zone in memory, whose server lies as a test wants it to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dns.dnssec
import dns.dnssectypes
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec

from probes.wire.dns.answer import Answer
from probes.wire.dns.message import decode
from probes.wire.dns.question import Question

ALGORITHM = dns.dnssectypes.Algorithm.ECDSAP256SHA256
Change = Callable[[dns.message.Message], None]


@dataclass
class Zone:
    """The zone ``name`` with one key.

    Attributes:
        answers: question as text -> the sets of answer and authority.
        change: what is done to each answer before it goes out.
        asked: the questions that came.
        signature_of_keys: in the place of one that is made for each answer.
    """

    name: str = "example."
    answers: dict[str, tuple[str, list[dns.rrset.RRset], list[dns.rrset.RRset]]] = field(
        default_factory=dict
    )
    change: Change = field(default=lambda _: None)
    asked: list[str] = field(default_factory=list)
    signature_of_keys: dns.rrset.RRset | None = None

    def __post_init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.key = dns.dnssec.make_dnskey(self._private.public_key(), ALGORITHM, 257)
        self.keys = dns.rrset.from_rdata(self.name, 60, self.key)
        self.anchor = f"{self.name} DS {dns.dnssec.make_ds(self.name, self.key, 'SHA256')}"

    def has(
        self,
        question: str,
        answer: Sequence[str] = (),
        authority: Sequence[str] = (),
        rcode: str = "NOERROR",
    ) -> None:
        """Sign *answer* and *authority*, lines of one set each, and answer *question* by them."""
        self.answers[question] = (
            rcode,
            [one for line in answer for one in self.signed(line)],
            [one for line in authority for one in self.signed(line)],
        )

    def signed(self, line: str, **times: datetime) -> list[dns.rrset.RRset]:
        """Return a set and its signature."""
        name, ttl, class_, kind, text = line.split(None, 4)
        rrset = dns.rrset.from_text(name, int(ttl), class_, kind, text)
        return [rrset, self.signature(rrset, **times)]

    def signature(self, rrset: dns.rrset.RRset, **times: datetime) -> dns.rrset.RRset:
        """Return the signature over *rrset*."""
        now = datetime.now(UTC)
        rdata = dns.dnssec.sign(
            rrset, self._private, dns.name.from_text(self.name), self.key,
            inception=times.get("inception", now - timedelta(hours=1)),
            expiration=times.get("expiration", now + timedelta(hours=1)),
        )  # fmt: skip
        return dns.rrset.from_rdata(rrset.name, rrset.ttl, rdata)

    async def ask(self, question: Question) -> Answer:
        """Answer as the zone's server."""
        return decode(self.respond(question.encode(1)))

    def respond(self, query: bytes) -> bytes:
        """Return the answer to *query*; what is not known does not exist, without a proof."""
        message: Any = dns.message.make_response(dns.message.from_wire(query))
        text = f"{message.question[0].name} {dns.rdatatype.to_text(message.question[0].rdtype)}"
        self.asked.append(text)
        if text == f"{self.name} DNSKEY":
            message.answer = [self.keys, self.signature_of_keys or self.signature(self.keys)]
        elif text in self.answers:
            rcode, message.answer, message.authority = self.answers[text]
            message.set_rcode(dns.rcode.from_text(rcode))
        self.change(message)
        wire: bytes = message.to_wire(max_size=65535)
        return wire
