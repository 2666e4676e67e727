"""An answer as values: code, flags and records in the text form of zone files.

Walks the sections itself and leaves the data of each record to dnspython: so every record is told
in its place, with its own TTL, and hostile names cost a bounded amount of work. dnspython is at
home here and in `probes.wire.dns.signatures`; imported late, because it costs 0.2 s. Knows no
socket and no expectation.
"""

import re
import struct

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.wire

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.dns.answer import Answer, Record
from probes.wire.dns.codes import DS, EXPLANATIONS, NSEC3, OPT, SOA, type_name
from probes.wire.dns.question import HEAD_BYTES

# Each record can point to a name of 127 labels: 64 KiB of them would take seconds. 4,000 addresses
# of an ordinary name have 20,000.
MAX_LABELS = 50_000
# blackbox_exporter's library writes digests and salts in capitals and degrees with two digits, as
# dig does; it breaks nothing into chunks.
_STYLE = dns.rdata.RdataStyle(base64_chunk_size=0, hex_chunk_size=0)
_LOC, _SSHFP, _CDS, _DLV = 29, 44, 59, 32769
_SHORT_NUMBER = re.compile(r"(?<![^ ])[0-9](?= )", re.ASCII)
_IN_CAPITALS = {DS, _SSHFP, _CDS, _DLV}
# RFC 6891, 6.1.3 and 9; RFC 8914
_DO = 0x8000
_NSID, _EXTENDED_ERROR = 3, 15
_QUESTION_TAIL = 4
# RFC 1035, 4.1.4
_POINTER = 0xC0
_POINTER_BYTES = 2


class _Reader(dns.wire.Parser):
    """dnspython's reader, which remembers what pointers mean, and counts."""

    def __init__(self, wire: bytes) -> None:
        super().__init__(wire)
        self._labels = 0
        self._known: dict[int, dns.name.Name] = {}

    def get_name(
        self,
        origin: dns.name.Name | None = None,
        decompress: bool = True,  # noqa: FBT001, FBT002, ARG002 - dnspython's; see below
    ) -> dns.name.Name:
        at, target = self.current, self._target()
        name = self._known.get(target)
        if name is None:
            # it forbids pointers in the data of newer types, which resolvers do not
            name = super().get_name(None, decompress=True)
            self._known[at] = self._known[target] = name
        else:
            self.get_bytes(_POINTER_BYTES)
        self._labels += len(name.labels)
        if self._labels > MAX_LABELS:
            raise CheckFailed(
                Reason.TOO_LARGE,
                f"want at most {MAX_LABELS} labels in the names of an answer, got more",
                phase="request",
            )
        return name.relativize(origin) if origin else name

    def _target(self) -> int:
        """Return where the name that comes next points to as a whole; its own place: nowhere."""
        at = self.current
        if at + 1 < self.end and self.wire[at] >= _POINTER:
            return (self.wire[at] & 0x3F) << 8 | self.wire[at + 1]
        return at


def decode(wire: bytes) -> Answer:
    """Read a message whose head was judged before.

    Raises:
        CheckFailed: ``protocol``: it cannot be read; ``too_large``: its names are.
    """
    try:
        return _decode(wire)
    # beyond its own, what types of records raise that are made of hostile bytes
    except (dns.exception.DNSException, ValueError, LookupError, ArithmeticError) as error:
        detail = short(f"{type(error).__name__}: {error}")
        raise CheckFailed(
            Reason.PROTOCOL, f"want an answer that can be read, got {detail}", phase="request"
        ) from None
    except struct.error:
        raise CheckFailed(
            Reason.PROTOCOL, "want an answer that can be read, got half a record", phase="request"
        ) from None


def _decode(wire: bytes) -> Answer:
    _, flags, questions, *counts = struct.unpack_from("!6H", wire)
    reader = _Reader(wire)
    reader.seek(HEAD_BYTES)
    for _ in range(questions):
        reader.get_name()
        reader.get_bytes(_QUESTION_TAIL)
    sections = [tuple(_record(reader) for _ in range(count)) for count in counts]
    opt = next((record for record in sections[2] if record.type == OPT), None)
    options = {} if opt is None else _options(opt.raw)
    high = 0 if opt is None else opt.ttl >> 24
    return Answer(
        rcode=high << 4 | flags & 0x0F,
        flags=flags,
        answer=sections[0],
        authority=sections[1],
        additional=sections[2],
        size=len(wire),
        nsid=options.get(_NSID, b"").decode("utf-8", "replace"),
        explanation=_explanation(options.get(_EXTENDED_ERROR, b"")),
    )


def _record(reader: _Reader) -> Record:
    name = reader.get_name()
    kind, class_, ttl, size = reader.get_struct("!HHIH")
    if kind == OPT:
        return _opt(class_, ttl, reader.get_bytes(size))
    if not size:
        # an empty record of a dynamic update; nothing of a zone has no data
        return _told(name, (kind, class_, ttl), "", None)
    with reader.restrict_to(size):
        rdata = dns.rdata.from_wire_parser(class_, kind, reader)
    return _told(name, (kind, class_, ttl), _rdata_text(rdata, kind), rdata)


def _told(
    name: dns.name.Name, head: tuple[int, int, int], text: str, rdata: dns.rdata.Rdata | None
) -> Record:
    kind, class_, ttl = head
    owner = str(name)
    if isinstance(rdata, dns.rdata.GenericRdata):
        # RFC 3597, 5: of a type without a name the class is written as a number too
        class_name = f"CLASS{class_}"
    else:
        class_name = dns.rdataclass.to_text(dns.rdataclass.RdataClass.make(class_))
    words = (owner, str(ttl), class_name, type_name(kind), text)
    serial = getattr(rdata, "serial", None) if kind == SOA else None
    return Record(owner, kind, ttl, "\t".join(words), text, serial, rdata)


def _rdata_text(rdata: dns.rdata.Rdata, kind: int) -> str:
    text = rdata.to_text(style=_STYLE)
    if kind in _IN_CAPITALS:
        before, _, digest = text.rpartition(" ")
        return f"{before} {digest.upper()}"
    if kind == _LOC:
        text = text.replace(".00m", "m")
        return _SHORT_NUMBER.sub(lambda found: f"0{found[0]}", text)
    if kind == NSEC3:
        words = text.split(" ")
        return " ".join((*words[:3], *map(str.upper, words[3:])))
    return text


def _opt(payload: int, ttl: int, options: bytes) -> Record:
    flags = " do" if ttl & _DO else ""
    version = ttl >> 16 & 0xFF
    text = f"\n;; OPT PSEUDOSECTION:\n; EDNS: version {version}; flags:{flags}; udp: {payload}"
    return Record(".", OPT, ttl, text, "", None, options)


def _options(raw: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw):
        code, size = struct.unpack_from("!HH", raw, at)
        at += 4
        found.setdefault(code, raw[at : at + size])
        at += size
    return found


def _explanation(option: bytes) -> str:
    """Return why the server says it failed: ``EDE 6`` and its words."""
    if len(option) < 2:  # noqa: PLR2004 - a code
        return ""
    code = int.from_bytes(option[:2], "big")
    # it stands in messages: without control characters, and cut
    words = short(option[2:].decode("utf-8", "replace").rstrip("\0"))[1:-1]
    return f"EDE {code} {words or EXPLANATIONS.get(code, '')}".rstrip()
