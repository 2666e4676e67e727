r"""What is expected of an answer: its code, its flags, and the records of each section. Pure.

    expect:
      rcode: [NOERROR]
      flags: {aa: true}
      answer: {some: ['\tA\t192\.0\.2\.'], min: 2}        RecordsExpect
      serial: {gte: 2026112201}                           Matcher

A record is judged in its text form ``name<TAB>TTL<TAB>CLASS<TAB>TYPE<TAB>rdata``. Knows no message
and no socket.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand, Matcher
from probes.matcher import MISSING
from probes.pattern import Pattern, pattern, searchable, suggest
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.dns.answer import SECTIONS, Answer, Record, without_opt
from probes.wire.dns.codes import RCODE_ALIASES, RCODES, rcode_number

# blackbox_exporter has no limit; more in one list are an accident.
MAX_PATTERNS = 1000


def is_dialect(info: ValidationInfo) -> bool:
    """Tell whether settings come from a blackbox.yml, where some mistakes are told by the run."""
    return (info.context or {}).get("dialect") == "blackbox"


def _to_pattern(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and is_dialect(info):
        try:
            return pattern(value)
        except ValueError:
            return value
    if isinstance(value, str):
        return pattern(value)
    if isinstance(value, Pattern):
        return value
    raise ValueError(f"want an RE2 pattern, got {short(value)}")


def _to_rcodes(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _judge_rcode(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and (is_dialect(info) or rcode_number(value) is not None):
        return value
    known = suggest(str(value), (*RCODES, *RCODE_ALIASES))
    raise ValueError(f"want a code of DNS such as NOERROR, got {short(value)}{known}")


RecordPattern = Annotated[
    Pattern | str, BeforeValidator(_to_pattern, json_schema_input_type=Pattern)
]
"""A pattern; in a blackbox.yml also a text that is none."""
Patterns = Annotated[tuple[RecordPattern, ...], Field(max_length=MAX_PATTERNS)]
Rcode = Annotated[str, BeforeValidator(_judge_rcode, json_schema_input_type=str)]


class RecordsExpect(Settings):
    """What the records of one section must be; each as its text with tabs between the parts."""

    forbid: Patterns = ()
    """No record may match any of these."""
    every: Patterns = ()
    """There is a record, and each one matches each of these."""
    some: Patterns = ()
    """At least one record matches at least one of these."""
    every_if_any: Patterns = ()
    """Each record there is matches each of these."""
    not_every: Patterns = ()
    """There is no record, or one that misses one of these."""
    min: int | None = Field(default=None, ge=0)
    """Records at least."""
    max: int | None = Field(default=None, ge=0)
    """Records at most."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"want min <= max, got {self.min} and {self.max}")
        return self

    @property
    def patterns(self) -> int:
        """How many patterns are searched in each record."""
        lists = (self.forbid, self.every, self.some, self.every_if_any, self.not_every)
        return sum(map(len, lists))

    def judge(self, section: str, records: Sequence[Record]) -> None:
        """Judge the records of *section*.

        Raises:
            CheckFailed: ``body``, with the first miss.
        """
        miss = self._miscounted(section, len(records)) or self._missed(section, records)
        if miss is not None:
            raise CheckFailed(Reason.BODY, miss, phase="request")

    def _miscounted(self, section: str, count: int) -> str | None:
        if self.min is not None and count < self.min:
            return f"want at least {self.min} records in the {section} section, got {count}"
        if self.max is not None and count > self.max:
            return f"want at most {self.max} records in the {section} section, got {count}"
        if not count and (self.every or self.some):
            wanted = short(str((self.every or self.some)[0]))
            return f"want a record in the {section} section that matches {wanted}, got none"
        return None

    def _missed(self, section: str, records: Sequence[Record]) -> str | None:
        has_some = not self.some
        matches_all = True
        for record in records:
            data = searchable(record.text.encode("utf-8", "replace"))
            for found in self.forbid:
                if _matches(found, data):
                    return f"want no record in the {section} section that {_but(found, record)}"
            matches_all &= all(_matches(found, data) for found in self.not_every)
            for found in (*self.every, *self.every_if_any):
                if not _matches(found, data):
                    where = f"each record in the {section} section"
                    return f"want {where} to match {short(str(found))}, got {_shown(record)}"
            # each is tried: one that is no pattern fails the run wherever it stands
            hits = [_matches(found, data) for found in self.some]
            has_some |= any(hits)
        if not has_some:
            wanted = " or ".join(short(str(found)) for found in self.some[:3])
            got = f"none of {len(records)}"
            return f"want a record in the {section} section that matches {wanted}, got {got}"
        if self.not_every and records and matches_all:
            wanted = short(str(self.not_every[0]))
            return f"want a record in the {section} section that misses {wanted}, got none"
        return None


def _matches(found: Pattern | str, data: bytes) -> bool:
    # a blackbox.yml may hold a text that is none: it fails when it is tried
    compiled = pattern_of(found)
    return compiled.search(data) is not None


def pattern_of(found: Pattern | str) -> Pattern:
    """Return the pattern.

    Raises:
        CheckFailed: ``body``: it is none.
    """
    if isinstance(found, Pattern):
        return found
    try:
        return pattern(found)
    except ValueError as error:
        raise CheckFailed(Reason.BODY, str(error), phase="request") from None


def _but(found: Pattern | str, record: Record) -> str:
    return f"matches {short(str(found))}, got {_shown(record)}"


def _shown(record: Record) -> str:
    return short(record.text.replace("\t", " ").strip())


class FlagsExpect(Settings):
    """Flags of the answer's head; one that is not named may be anything."""

    aa: bool | None = None
    """The server has the zone itself."""
    ad: bool | None = None
    """The server says that it has validated the answer."""
    ra: bool | None = None
    """The server asks others for its clients."""
    tc: bool | None = None
    """The answer is cut off."""

    def judge(self, answer: Answer) -> None:
        """Judge the head of *answer*.

        Raises:
            CheckFailed: ``value``.
        """
        for name in ("aa", "ad", "ra", "tc"):
            wanted = getattr(self, name)
            if wanted is not None and wanted is not answer.has(name):
                state = "set" if wanted else "not set"
                raise CheckFailed(
                    Reason.VALUE,
                    f"want the flag {name} {state}, got it {'not set' if wanted else 'set'}",
                    phase="request",
                )


class DnsExpect(Settings):
    """What fails the run when it is missed; judged in this order."""

    rcode: Annotated[
        tuple[Rcode, ...],
        BeforeValidator(_to_rcodes, json_schema_input_type=str | tuple[str, ...]),
    ] = ("NOERROR",)
    """Codes of the answer that are fine."""
    flags: FlagsExpect = FlagsExpect()
    """Flags of the answer's head."""
    answer: RecordsExpect = RecordsExpect()
    """Records of the answer section."""
    authority: RecordsExpect = RecordsExpect()
    """Records of the authority section."""
    additional: RecordsExpect = RecordsExpect()
    """Records of the additional section."""
    serial: Matcher | None = None
    """Serial number of the SOA record in the answer."""
    latency: DurationBand | None = None
    """Time of the whole run."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire; needs TLS."""

    @model_validator(mode="after")
    def _some_code(self, info: ValidationInfo) -> Self:
        # blackbox_exporter takes an empty list for "no code is fine"
        if not self.rcode and not is_dialect(info):
            raise ValueError("want at least one rcode, got none")
        return self

    @property
    def rcodes(self) -> frozenset[int | None]:
        """The numbers of the codes that are fine."""
        return frozenset(map(rcode_number, self.rcode))

    def searches(self, answer: Answer) -> int:
        """Return how often a pattern is searched at most to judge *answer*."""
        pairs = ((getattr(self, section), getattr(answer, section)) for section in SECTIONS)
        return sum(expect.patterns * len(records) for expect, records in pairs)

    def judge(self, answer: Answer, *, with_opt: bool) -> None:
        """Judge *answer*; the OPT record counts as one of a zone only *with_opt*.

        Raises:
            CheckFailed: ``status``, ``body``, ``value``.
        """
        self._judge_code(answer)
        self.flags.judge(answer)
        for section in SECTIONS:
            records: tuple[Record, ...] = getattr(answer, section)
            wanted: RecordsExpect = getattr(self, section)
            wanted.judge(section, records if with_opt else without_opt(records))
        if self.serial is not None:
            found = any(record.serial is not None for record in answer.answer)
            miss = self.serial.miss(answer.serial if found else MISSING)
            if miss is not None:
                raise CheckFailed(Reason.VALUE, f"serial: {miss}", phase="request")

    def _judge_code(self, answer: Answer) -> None:
        numbers = [rcode_number(name) for name in self.rcode]
        if None in numbers:
            unknown = self.rcode[numbers.index(None)]
            raise CheckFailed(
                Reason.STATUS,
                f"want a code of DNS in valid_rcodes, got {short(unknown)}",
                phase="request",
            )
        if answer.rcode not in numbers:
            wanted = " or ".join(self.rcode) or "no code at all"
            why = f" ({answer.explanation})" if answer.explanation else ""
            raise CheckFailed(
                Reason.STATUS, f"want {wanted}, got {answer.code}{why}", phase="request"
            )
