"""Whether an answer is validated: in the words of a resolver that one trusts, or by ourselves.

    dnssec: validated                                   the resolver's flag AD
    dnssec: {by: sonde}                                 from the root
    dnssec: {by: sonde, anchors: ['example. DS ...']}   from a zone of one's own

Knows the settings and both ways; the chain of trust is `probes.wire.dns.chain`'s.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.expect import ExpiryBand
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.wire.dns.answer import Answer
from probes.wire.dns.question import Edns, Question

MAX_ANCHORS = 16
PHASE = "validate"
_NOERROR, _SERVFAIL = 0, 2

Ask = Callable[[Question], Awaitable[Answer]]


def _to_anchor(line: str) -> str:
    # imported for those who give one: it costs 0.3 s
    import_module("probes.wire.dns.signatures").anchor_of(line)
    return line


class DnssecOptions(Settings):
    """Who validates the answer, and from where."""

    by: Literal["resolver", "sonde"] = "resolver"
    """Believe the resolver's flag AD, or verify every signature from an anchor down."""
    anchors: tuple[Annotated[str, AfterValidator(_to_anchor)], ...] = Field(
        default=(), max_length=MAX_ANCHORS
    )
    """DS or DNSKEY records to begin from, as lines of a zone file; none: those of the root."""
    expires_in: ExpiryBand | None = None
    """Time until the first signature of the chain ends."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.by == "resolver" and (self.anchors or self.expires_in is not None):
            raise ValueError("want by: sonde for anchors and expires_in, got by: resolver")
        return self

    def asking(self, question: Question) -> Question:
        """Return *question* so that its answer tells what is needed."""
        edns = question.edns or Edns()
        if self.by == "resolver":
            return replace(question, authentic=True, edns=edns)
        return replace(question, checking_disabled=True, edns=replace(edns, dnssec=True))

    def prepare(self) -> None:
        """Import what validating needs."""
        if self.by == "sonde":
            import_module("probes.wire.dns.chain")


def to_options(value: object) -> object:
    """Read the short form ``validated``."""
    return {"by": "resolver"} if value == "validated" else value


async def explain_failure(question: Question, answer: Answer, ask: Ask) -> None:
    """Tell whether a resolver fails because of signatures: it answers with checking disabled.

    Raises:
        CheckFailed: ``body``: so it is.
    """
    if answer.rcode != _SERVFAIL:
        return
    unchecked = await ask(replace(question, checking_disabled=True))
    if unchecked.rcode == _NOERROR:
        why = f" ({answer.explanation})" if answer.explanation else ""
        raise CheckFailed(
            Reason.BODY,
            f"want a validated answer, got SERVFAIL, and NOERROR with checking disabled{why}",
            phase=PHASE,
        )


async def validate(
    options: DnssecOptions, question: Question, answer: Answer, ask: Ask, recorder: Recorder
) -> float | None:
    """Judge whether *answer* is validated; return when its first signature ends, as Unix time.

    Raises:
        CheckFailed: ``body``, ``too_large``; whatever *ask* does.
    """
    if options.by == "resolver":
        if not answer.has("ad"):
            raise CheckFailed(
                Reason.BODY, "want a validated answer, got one without the flag ad", phase=PHASE
            )
        return None
    if answer.has("tc"):
        raise CheckFailed(
            Reason.BODY,
            "want a whole answer to validate, got one that was cut off: try transport tcp",
            phase=PHASE,
        )
    room: Any = import_module("probes.wire.dns.chain")
    now = datetime.now(UTC).timestamp()
    chain = room.Chain(
        ask=ask,
        anchors=options.anchors or room.ROOT_ANCHORS,
        now=now,
        recursion=question.recursion,
    )
    try:
        await chain.validate(question, answer)
    finally:
        if chain.zones:
            recorder.fact("validated", " ".join(chain.zones))
    expires_at: float | None = chain.expires_at
    if options.expires_in is not None and expires_at is not None:
        left = expires_at - now
        options.expires_in.judge(left, recorder, "the first signature to end", Reason.VALUE)
    return expires_at
