"""Who may say where the chain is, and where it is (chains.md 5.2, 5.3).

The best height is not believed because it is the highest: three or more voters are believed at the
second highest, two only while they are near each other, one never. A voter is on the right chain,
not syncing, has a sane clock, and did not jump: its height is inside a gate that opens at twice the
speed of the chain.

Where the text leaves a choice:

* The gate counts from when the reference last *moved*, and is given up as soon as more than half
  of the candidates are outside of it: a burst after a halt, or a chain made anew, locks nobody out.
  One endpoint of three can neither move it nor close it.
* A single voter moves the gate too (or one that jumped would come in after a while), but is never a
  reference.
* Two voters may be apart by what the chain makes in the time since the reference moved, at most
  in the age that a head may have, and always by the limit of lag: nearer than that the one behind
  is at worst degraded, which is what ambiguity would make of both. Further apart, the one whose
  head is too old loses; if that is neither or both, nobody can say.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from probes.chain.judge.blocktime import Pace
from probes.chain.judge.case import Case
from probes.chain.judge.views import MAX_HEIGHT
from probes.chain.model import Head, Limits
from probes.chain.reasons import ChainReason
from probes.result import Outcome

# chains.md 5.2: twice the speed of the chain, and a few blocks for those who read a moment later.
GATE_SPEED, GATE_BLOCKS = 2, 5
CORROBORATING = 3
# Not a year of blocks: what nobody has seen for so long may be anywhere.
MAX_ELAPSED_S = 86400.0


@dataclass(frozen=True, slots=True)
class Poll:
    """What the voters of one run say.

    Args:
        voters: cases that vote.
        outside: candidates whose height is outside the gate.
        reference: head that lag is counted from; None: none.
        is_ambiguous: whether two voters contradict each other.
        mark: (height, since when) for the next run's gate.
    """

    voters: tuple[Case, ...] = ()
    outside: tuple[Case, ...] = ()
    reference: Head | None = None
    is_ambiguous: bool = False
    mark: tuple[int, float] | None = None


def poll(
    cases: Sequence[Case],
    mark: tuple[int, float] | None,
    mono: float,
    known: Pace,
    limits: Limits,
) -> Poll:
    """Ask the candidates among *cases* where the chain is.

    The gate opens from *mark*, the reference of the runs before; *mono* is now.
    """
    candidates = [case for case in cases if _may_vote(case)]
    width = gate_width(mark, mono, known)
    limit = MAX_HEIGHT if mark is None else mark[0] + width
    inside = [case for case in candidates if case.head and case.head.height <= limit]
    outside = [case for case in candidates if case not in inside]
    if 2 * len(outside) > len(candidates):
        inside, outside, mark = candidates, [], None
    ordered = sorted(
        ((case.head, case) for case in inside if case.head), key=lambda it: _rank(it[0])
    )
    heads = [head for head, _ in ordered]
    reference, is_ambiguous = _reference(heads, width, known, limits)
    told = reference or (heads[0] if len(heads) == 1 else None)
    return Poll(
        voters=tuple(case for _, case in ordered),
        outside=tuple(outside),
        reference=reference,
        is_ambiguous=is_ambiguous,
        mark=mark if told is None or (mark and mark[0] == told.height) else (told.height, mono),
    )


def _may_vote(case: Case) -> bool:
    """Return whether *case* is a candidate: what it is, not where it is."""
    head = case.head
    if head is None or case.id_match is False or case.ahead_s:
        return False
    told = case.seen.head
    has_insane_clock = told is not None and told.timestamp is not None and head.timestamp is None
    is_syncing = case.view.syncing is not None or case.seen.not_started
    return not has_insane_clock and not is_syncing


def _rank(head: Head) -> tuple[int, float]:
    return (-head.height, head.seen)


def gate_width(mark: tuple[int, float] | None, mono: float, known: Pace) -> int:
    """Return how many blocks a head may be above the last reference."""
    elapsed = 0.0 if mark is None else min(max(0.0, mono - mark[1]), MAX_ELAPSED_S)
    return floor(GATE_SPEED * elapsed / known.fast) + GATE_BLOCKS


def _reference(
    heads: Sequence[Head], width: int, known: Pace, limits: Limits
) -> tuple[Head | None, bool]:
    if len(heads) >= CORROBORATING:
        return heads[1], False
    if len(heads) < CORROBORATING - 1:
        return None, False
    higher, lower = heads
    age_s = limits.head_age_s
    if age_s is not None:
        width = min(width, floor(GATE_SPEED * age_s / known.fast) + GATE_BLOCKS)
    if higher.height - lower.height <= max(width, limits.lag_down or 0):
        return higher, False
    return None, True


def settle_pair(result: Poll, limits: Limits) -> Head | None:
    """Return the reference of two voters that are too far apart: the one that is not too old.

    Returns:
        None when neither or both are too old.
    """
    if limits.head_age_s is None:
        return None
    current = [
        case.head
        for case in result.voters
        if case.age_s is not None and case.age_s <= limits.head_age_s
    ]
    return current[0] if len(current) == 1 else None


def judge_lag(cases: Sequence[Case], result: Poll, known: Pace, limits: Limits) -> None:
    """Judge how far all *cases* are behind the reference, and who is at odds with it."""
    for case in result.voters:
        case.is_voter = True
        if result.is_ambiguous and not case.is_first:
            heights = " and ".join(
                str(voter.head.height) for voter in reversed(result.voters) if voter.head
            )
            case.degraded(
                ChainReason.REFERENCE_AMBIGUOUS,
                f"want two endpoints at about the same height, got {heights}",
            )
    for case in result.outside:
        if case.is_first:
            continue
        height = case.head.height if case.head else 0
        case.degraded(
            ChainReason.REFERENCE_AMBIGUOUS,
            f"want a height that follows the group's, got {height}",
        )
    reference = result.reference
    if reference is not None:
        for case in cases:
            if case.head is not None and not case.is_first and case.id_match is not False:
                _judge_lag(case, case.head, reference, known, limits)


def _judge_lag(case: Case, head: Head, reference: Head, known: Pace, limits: Limits) -> None:
    skew_s = min(max(0.0, reference.seen - head.seen), MAX_ELAPSED_S)
    case.lag = max(0, reference.height - head.height - floor(skew_s / known.fast))
    for limit, reason, outcome in (
        (limits.lag_down, ChainReason.LAG_DOWN, Outcome.DOWN),
        (limits.lag_warn, ChainReason.LAG_WARN, Outcome.DEGRADED),
    ):
        if limit is not None and case.lag > limit:
            note = case.down if outcome is Outcome.DOWN else case.degraded
            note(reason, f"{case.lag} blocks behind {reference.height}, want at most {limit:g}")
            return
