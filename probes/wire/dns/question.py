"""A question as bytes, and the head of what comes back: enough to tell whether it is an answer.

    header    id, flags, four counts                         RFC 1035, 4.1.1
    question  name, type, class                              RFC 1035, 4.1.2
    OPT       payload size, DO; only when EDNS is asked for  RFC 6891, 6.1

Pure; knows no socket and no record.
"""

import re
import struct
from dataclasses import dataclass
from functools import cached_property

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import short
from probes.wire.dns.codes import FLAGS, IN, OPCODE, OPT, QR, type_name

HEAD_BYTES = 12
# RFC 1035, 2.3.4 and 3.1
MAX_LABEL_BYTES = 63
MAX_NAME_BYTES = 255
# RFC 9715: the size that passes every path without fragments.
DEFAULT_PAYLOAD = 1232
# RFC 6891, 6.1.4
_DO = 0x8000
_NSID = 3
_POINTER = 0xC0
_LABEL = re.compile(r"((?:[^\\.]|\\[0-9]{3}|\\[^0-9])+)(?:\.|$)", re.ASCII | re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)
_MAX_OCTET = 255


def encode_name(text: str) -> bytes:
    r"""Return a name as labels; absolute with or without its last dot; ``\.`` and ``\065`` work.

    Raises:
        ValueError: no name.
    """
    if text in {".", ""}:
        return b"\0"
    wire, at = b"", 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f"want a name of a DNS zone, got {short(text)}")
        label = _ESCAPE.sub(_octet, found[1].encode())
        if len(label) > MAX_LABEL_BYTES:
            raise ValueError(
                f"want labels of at most {MAX_LABEL_BYTES} bytes, got {short(found[1])}"
            )
        wire += bytes((len(label),)) + label
        at = found.end()
    if len(wire) >= MAX_NAME_BYTES:
        raise ValueError(f"want a name of at most {MAX_NAME_BYTES} bytes, got {short(text)}")
    return wire + b"\0"


def _octet(found: re.Match[bytes]) -> bytes:
    if len(found[1]) == 1:
        return found[1]
    if int(found[1]) > _MAX_OCTET:
        raise ValueError(f"want an escape up to \\255, got {short(found[0].decode())}")
    return bytes((int(found[1]),))


@dataclass(frozen=True)
class Edns:
    """What a question says beyond RFC 1035.

    Args:
        payload: bytes of a datagram that are welcome.
        dnssec: ask for signatures.
        nsid: ask the server who it is (RFC 5001).
    """

    payload: int = DEFAULT_PAYLOAD
    dnssec: bool = False
    nsid: bool = False

    def record(self) -> bytes:
        """Return the OPT record."""
        options = struct.pack("!HH", _NSID, 0) if self.nsid else b""
        flags = _DO if self.dnssec else 0
        return b"\0" + struct.pack("!HHIH", OPT, self.payload, flags, len(options)) + options


@dataclass(frozen=True)
class Question:
    """What is asked.

    Args:
        name: in the notation of zone files.
        type: number.
        class_: number.
        recursion: RD: the server is to ask others.
        checking_disabled: CD: a validating server is to hand out what it takes for bogus too.
        authentic: AD: tell whether the answer was validated (RFC 6840, 5.7).
        edns: None: plain RFC 1035.
    """

    name: str
    type: int
    class_: int = IN
    recursion: bool = True
    checking_disabled: bool = False
    authentic: bool = False
    edns: Edns | None = None

    @cached_property
    def _section(self) -> bytes:
        return encode_name(self.name) + struct.pack("!HH", self.type, self.class_)

    @cached_property
    def _behind_id(self) -> bytes:
        flags = (
            FLAGS["rd"] * self.recursion
            | FLAGS["cd"] * self.checking_disabled
            | FLAGS["ad"] * self.authentic
        )
        extra = self.edns.record() if self.edns is not None else b""
        counts = struct.pack("!HHHHH", flags, 1, 0, 0, 1 if extra else 0)
        return counts + self._section + extra

    def encode(self, number: int) -> bytes:
        """Return the message with the id *number*."""
        return struct.pack("!H", number) + self._behind_id

    def is_answered_by(self, message: bytes) -> bool:
        """Tell whether *message* repeats this question.

        A server that could not read it repeats none; only such an answer may leave it out.
        """
        count = struct.unpack_from("!H", message, 4)[0]
        if count == 0:
            return True
        section = self._section
        got = message[HEAD_BYTES : HEAD_BYTES + len(section)]
        # RFC 1035, 2.3.3: names differ in case and are the same; lengths are below "A"
        return count == 1 and got[:-4].lower() == section[:-4].lower() and got[-4:] == section[-4:]

    def __str__(self) -> str:
        return f"{self.name} {type_name(self.type)}"


def number_of(message: bytes) -> int | None:
    """Return the id of a message; None: it is shorter than a head."""
    if len(message) < HEAD_BYTES:
        return None
    return int.from_bytes(message[:2], "big")


def check_head(message: bytes, question: Question) -> None:
    """Judge whether *message* is an answer to *question* at all.

    Raises:
        CheckFailed: ``protocol``.
    """
    if len(message) < HEAD_BYTES:
        raise _nonsense(f"{len(message)} bytes")
    flags = int.from_bytes(message[2:4], "big")
    if not flags & QR:
        raise _nonsense("a question")
    if flags & OPCODE:
        raise _nonsense(f"a message with opcode {(flags & OPCODE) >> 11}")
    if not question.is_answered_by(message):
        raise CheckFailed(
            Reason.PROTOCOL, f"want an answer to {question}, got one to another question"
        )


def _nonsense(got: str) -> CheckFailed:
    return CheckFailed(Reason.PROTOCOL, f"want a DNS answer, got {got}")
