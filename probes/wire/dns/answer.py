"""What came back, as frozen values.

    Answer
    ├── rcode, flags                 of the head; the code with the bits of EDNS
    ├── answer, authority            Record, ...: every record, also equal ones
    └── additional                   the same; the OPT record of EDNS comes last

Knows no bytes and no expectation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.wire.dns.codes import FLAGS, OPT, RRSIG, flag_names, rcode_name

SECTIONS = ("answer", "authority", "additional")
# A page of facts shows what an answer is like; whoever wants all of it asks with dig.
SHOWN_RECORDS = 12


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Args:
        name: owner, absolute.
        type: number.
        ttl: seconds.
        text: the whole record, its five parts with tabs between them.
        rdata: the last of them.
        serial: of an SOA record; None: another one.
        raw: what signatures are made over; None: it has no data.
    """

    name: str
    type: int
    ttl: int
    text: str
    rdata: str
    serial: int | None = None
    raw: Any = field(default=None, compare=False, repr=False)

    @property
    def sense(self) -> tuple[str, int, str]:
        """What it says, whatever its TTL: equal on every server of a zone."""
        return self.name.lower(), self.type, self.rdata


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    rcode: int
    flags: int
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    size: int = 0
    nsid: str = ""
    """What the server calls itself, where it was asked."""
    explanation: str = ""
    """Why it failed, in the server's words."""

    def has(self, flag: str) -> bool:
        """Tell whether the head has *flag*, such as ``aa``."""
        return bool(self.flags & FLAGS[flag])

    @property
    def code(self) -> str:
        """Name of the code."""
        return rcode_name(self.rcode)

    @property
    def serial(self) -> int:
        """Serial number of the last SOA record of the answer, as blackbox_exporter; 0: none."""
        serials = [record.serial for record in self.answer if record.serial is not None]
        return serials[-1] if serials else 0

    @property
    def sense(self) -> frozenset[tuple[str, int, str]]:
        """What the answer says, whatever order and TTL; signatures differ between signers."""
        return frozenset(record.sense for record in self.answer if record.type != RRSIG)


def without_opt(records: Sequence[Record]) -> tuple[Record, ...]:
    """Return the records of a zone: OPT is of the message."""
    return tuple(record for record in records if record.type != OPT)


def facts_of(answer: Answer) -> dict[str, str]:
    """Return what people want to know of an answer."""
    found = {"rcode": answer.code, "flags": flag_names(answer.flags)}
    for section in SECTIONS:
        records = without_opt(getattr(answer, section))
        shown = [record.text.replace("\t", " ") for record in records[:SHOWN_RECORDS]]
        if len(records) > len(shown):
            shown.append(f"and {len(records) - len(shown)} more")
        if shown:
            found[section] = "; ".join(shown)
    if answer.has("tc"):
        found["truncated"] = "the answer was cut off; over tcp it is whole"
    if answer.nsid:
        found["nsid"] = answer.nsid
    if answer.explanation:
        found["explanation"] = answer.explanation
    return found
