"""Transactions of Solana programs, counted once per group by a cursor over their signatures.

    Marks      program -> the newest signature that was counted

One call a program and run, of at most a thousand signatures: of a busier program the counters are a
lower bound, and the share that fails is still right. Knows no wire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.chain.answer.inquiry import at, text_at
from probes.chain.answer.quantity import quantity
from probes.chain.model import Series, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Answer, Ask, Survey, Talk
from probes.result import Outcome
from probes.units import short

# https://solana.com/docs/rpc/http/getsignaturesforaddress: the most that one call gives.
MAX_SIGNATURES = 1000
# 64 bytes in base58.
MAX_SIGNATURE_CHARACTERS = 90
TOPIC = "programs"
METHOD = "getSignaturesForAddress"
METRIC = "solana_program_transactions_total"


@dataclass(frozen=True, slots=True)
class Program:
    """An account whose transactions are counted; *name* is its label."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest transaction that was counted; without signature: there was none yet."""

    signature: str = ""
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """What is kept between surveys."""

    programs: Mapping[str, Mark] = field(default_factory=dict[str, Mark])


@dataclass(slots=True)
class _Count:
    """What the signatures of one program say."""

    success: int = 0
    failed: int = 0
    newest: Mark | None = None


def count_programs(programs: Sequence[Program], commitment: str, memory: object) -> Talk[Survey]:
    """Count what has happened to each of *programs* since *memory*.

    The first time only the newest signature is remembered: what happened before is not ours.
    """
    marks = dict(memory.programs) if isinstance(memory, Marks) else {}
    marks = {program.name: marks[program.name] for program in programs if program.name in marks}
    steps: list[Verdict] = []
    counts: list[tuple[Series, float]] = []
    for program in programs:
        mark = marks.get(program.name)
        answer: Answer = yield _ask(program, commitment, mark)
        step, count = _read(program, mark, answer)
        steps.extend(step)
        counts += [
            (_series(program, "success"), count.success),
            (_series(program, "failed"), count.failed),
        ]
        if count.newest is not None:
            marks[program.name] = count.newest
    return Survey(steps=tuple(steps), counts=tuple(counts), memory=Marks(marks))


def _ask(program: Program, commitment: str, mark: Mark | None) -> Ask:
    options: dict[str, Any] = {"commitment": commitment}
    options["limit"] = MAX_SIGNATURES if mark is not None else 1
    if mark is not None and mark.signature:
        options["until"] = mark.signature
    return Ask(TOPIC, METHOD, (program.address, options))


def _read(program: Program, mark: Mark | None, answer: Answer) -> tuple[list[Verdict], _Count]:
    """Return the step of *program*, if there is anything to say, and what was counted."""
    if answer.kind in ("transport", "rate_limited", "plan_exhausted", "auth_failed"):
        # the endpoint itself tells it
        return [], _Count()
    if not answer.ok:
        return [_step(program, answer.detail)], _Count()
    try:
        return [_step(program)], _counted(answer.result, mark)
    except ValueError as error:
        return [_step(program, str(error))], _Count()


def _step(program: Program, detail: str = "") -> Verdict:
    if not detail:
        return Verdict(program.name, Outcome.UP)
    finding = Finding(ChainReason.METHOD_ERRORS, Outcome.DEGRADED, f"{METHOD}: {detail}")
    return Verdict(program.name, Outcome.DEGRADED, (finding,))


def _counted(result: Any, mark: Mark | None) -> _Count:
    """Count *result*, newest first.

    A node that does not know the mark (another one behind a balancer, or a cut ledger) gives older
    signatures too: those are left out by their slot.

    Raises:
        ValueError: it is no list of signatures.
    """
    if not isinstance(result, list):
        raise ValueError(f"want a list of signatures, got {short(result)}")  # noqa: TRY004
    # an account without history has an empty mark: then everything that comes is new
    count = _Count(newest=None if mark else Mark())
    for entry in result:
        found = Mark(text_at(entry, "signature"), quantity(at(entry, "slot")))
        if not count.newest or not count.newest.signature:
            count.newest = found
        if mark is None:
            break
        if found.slot < mark.slot:
            break
        if at(entry, "err") is None:
            count.success += 1
        else:
            count.failed += 1
    if mark and count.newest and count.newest.slot < mark.slot:
        # a node that lags: what it does not know yet was counted already
        count.newest = None
    return count


def _series(program: Program, result: str) -> Series:
    return METRIC, (("program", program.name), ("result", result))


def durable(memory: object) -> dict[str, Any] | None:
    """Return *memory* for a file; None: nothing to keep."""
    if not isinstance(memory, Marks) or not memory.programs:
        return None
    return {name: [mark.signature, mark.slot] for name, mark in memory.programs.items()}


def restored(kept: Mapping[str, Any]) -> Marks:
    """Return what `durable` gave; entries that it cannot have given are left out."""
    marks: dict[str, Mark] = {}
    for name, value in kept.items():
        match value:
            case [str(signature), int(slot)] if len(signature) <= MAX_SIGNATURE_CHARACTERS:
                marks[name] = Mark(signature, max(0, slot))
            case _:
                continue
    return Marks(marks)
