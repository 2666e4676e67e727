"""Transactions of Solana programs, counted once per group by a cursor over their signatures.

    Marks      program -> the newest signature that was counted

One call a program, of at most a thousand signatures: of a busier program the counters are a lower
bound, and the share that fails is still right. Where the budget does not allow a call for each
program in every run, they take turns. Knows no wire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.chain.answer.inquiry import UNHEARD, at, text_at
from probes.chain.answer.quantity import whole
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
SUCCESS, FAILED = "success", "failed"


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
    """What is kept between surveys.

    Args:
        programs: by name, how far each is counted.
        told: by name, what was last said of it.
        last: name of the program that was asked last; the others come first.
        saved: calls that may be made; None: nothing is known of it.
    """

    programs: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    told: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])
    last: str = ""
    saved: float | None = None


@dataclass(slots=True)
class _Count:
    """What the signatures of one program say."""

    success: int = 0
    failed: int = 0
    newest: Mark | None = None


def count_programs(
    programs: Sequence[Program], commitment: str, memory: object, calls: float
) -> Talk[Survey]:
    """Count what has happened to each of *programs* since *memory*.

    The first time only the newest signature is remembered: what happened before is not ours.

    Args:
        programs: that are watched.
        commitment: of their transactions.
        memory: of the survey before.
        calls: that may be made.
    """
    known = memory if isinstance(memory, Marks) else Marks()
    names = {program.name for program in programs}
    marks = {name: mark for name, mark in known.programs.items() if name in names}
    told = {name: step for name, step in known.told.items() if name in names}
    counts: dict[Series, float] = dict.fromkeys(
        (_series(program, result) for program in programs for result in (SUCCESS, FAILED)), 0
    )
    asked = _in_turn(programs, known.last)[: int(calls)]
    for program in asked:
        mark = marks.get(program.name)
        answer: Answer = yield _ask(program, commitment, mark)
        step, count = _read(program, mark, answer)
        told.pop(program.name, None)
        if step is not None:
            told[program.name] = step
        counts[_series(program, SUCCESS)] += count.success
        counts[_series(program, FAILED)] += count.failed
        if count.newest is not None:
            marks[program.name] = count.newest
    return Survey(
        steps=tuple(told[program.name] for program in programs if program.name in told),
        counts=tuple(counts.items()),
        memory=Marks(marks, told, asked[-1].name if asked else known.last, calls - len(asked)),
    )


def _in_turn(programs: Sequence[Program], last: str) -> list[Program]:
    """Return *programs*, those behind the *last* that was asked first."""
    names = [program.name for program in programs]
    start = names.index(last) + 1 if last in names else 0
    return [*programs[start:], *programs[:start]]


def _ask(program: Program, commitment: str, mark: Mark | None) -> Ask:
    options: dict[str, Any] = {"commitment": commitment}
    options["limit"] = MAX_SIGNATURES if mark is not None else 1
    if mark is not None and mark.signature:
        options["until"] = mark.signature
    return Ask(TOPIC, METHOD, (program.address, options))


def _read(program: Program, mark: Mark | None, answer: Answer) -> tuple[Verdict | None, _Count]:
    """Return the step of *program*, if there is anything to say, and what was counted."""
    if answer.kind in UNHEARD:
        # the endpoint itself tells it
        return None, _Count()
    if not answer.ok:
        return _step(program, answer.detail), _Count()
    try:
        return _step(program), _counted(answer.result, mark)
    except ValueError as error:
        return _step(program, str(error)), _Count()


def _step(program: Program, detail: str = "") -> Verdict:
    # an endpoint may have the same name
    name = f"program {program.name}"
    if not detail:
        return Verdict(name, Outcome.UP)
    finding = Finding(ChainReason.METHOD_ERRORS, Outcome.DEGRADED, f"{METHOD}: {detail}")
    return Verdict(name, Outcome.DEGRADED, (finding,))


def _counted(result: Any, mark: Mark | None) -> _Count:
    """Count *result*, newest first.

    A node that does not know the mark (another one behind a balancer, or a cut ledger) gives older
    signatures too: those are left out by their slot.

    Raises:
        ValueError: it is no list of signatures.
    """
    if not isinstance(result, list):
        raise ValueError(f"want a list of signatures, got {short(result)}")
    # an account without history has an empty mark: then everything that comes is new
    count = _Count(newest=None if mark else Mark())
    for entry in result:
        found = Mark(text_at(entry, "signature"), whole(at(entry, "slot")))
        if not count.newest or not count.newest.signature:
            count.newest = found
        if mark is None:
            break
        if found.slot < mark.slot or found.signature == mark.signature:
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
