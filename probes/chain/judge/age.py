"""How old the heads are, whether that is the endpoint's fault, and whether the chain stands still.

Chains.md 5.4, 5.7. The clock is the timestamp of the head; where the chain tells none that can be,
our own: when did the head last move.

A clock of ours that is wrong makes all heads look alike, and none of them bad:

* More than half of the endpoints are ahead of us: ours is behind (``local_clock``, unknown).
* More than half of them, and at least two, are too old by about as much, though they move, and were
  so already when they came: ours is ahead. Chains.md has no rule for that; N stale nodes would be
  a false alarm. One alone that is an hour behind may really be so. Nodes that replay the past
  together are not meant: their timestamps run faster than we do.

Chains.md asks all of them to be ahead; here the majority decides, as everywhere: one that lies, or
is a block behind, does not make the others look bad.

The halt of a chain is judged by our clock: no voter's head moved for longer than a head may be old.
Where none was ever seen to move (we have just begun to look), by the age of the heads, if they do
not move for one and a half block times. It needs two voters to begin and one to go on: an endpoint
that is lost during a halt must not make the others the culprits.

A block is older than our sight of it, so heads are too old a run or two before that. All voters at
once, and none of them moving: that is not the fault of one, and they are degraded meanwhile. A load
balancer would else lose all of them at the moment at which the chain halts. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace

from probes.chain.judge.blocktime import Pace
from probes.chain.judge.case import Case
from probes.chain.judge.history import read_at
from probes.chain.model import Limits, Now
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome

NEEDED_FOR_HALT = 2
STILL_BLOCKS = 1.5
# Runs in a row without a word of how far: one may be the moment of a restart.
UNHEALTHY_RUNS = 2


def take_age(case: Case, now: Now) -> None:
    """Find out how old the head of *case* is."""
    head = case.head
    if head is None:
        return
    if head.timestamp is not None:
        case.age_s = max(0.0, read_at(head, now) - head.timestamp)
    elif not case.is_first and case.view.head_changed_mono is not None:
        case.age_s = max(0.0, head.seen - case.view.head_changed_mono)


def blame_clock(cases: Sequence[Case], limits: Limits) -> Finding | None:
    """Return why our own clock must be wrong, and find no fault with ages then.

    Returns:
        None when it is not.
    """
    told = [case for case in cases if case.head is not None and case.id_match is not False]
    future = [case for case in told if case.ahead_s]
    if 2 * len(future) > len(cases):
        ahead = min(case.ahead_s for case in future)
        finding = _local_clock(
            f"want heads of the past, got {len(future)} of {len(cases)} endpoints "
            f"at least {ahead:.0f} s ahead of our clock: is it behind?"
        )
        for case in future:
            case.findings.append(finding)
        return finding
    for case in future:
        case.degraded(
            ChainReason.HEAD_IN_FUTURE,
            f"want a head of the past, got one {case.ahead_s:.0f} s ahead",
        )
    late = _late_by_our_clock(told, len(cases), limits)
    if not late:
        return None
    youngest = min(case.age_s or 0.0 for case in late)
    finding = _local_clock(
        f"want heads that are new when they come, got {len(late)} of {len(cases)} endpoints "
        f"at least {youngest:.0f} s behind our clock: is it ahead?"
    )
    for case in late:
        case.findings.append(finding)
    return finding


def _local_clock(detail: str) -> Finding:
    return Finding(ChainReason.LOCAL_CLOCK, Outcome.UNKNOWN, detail)


def _late_by_our_clock(told: Sequence[Case], endpoints: int, limits: Limits) -> Sequence[Case]:
    limit = limits.head_age_s
    if limit is None:
        return ()
    late = [case for case in told if _comes_late(case, limit)]
    ages = sorted(case.age_s or 0.0 for case in late)
    if len(late) < NEEDED_FOR_HALT or 2 * len(late) <= endpoints:
        return ()
    # about as much: one that lies may be late too, by an age of its own
    usual = ages[len(ages) // 2]
    alike = [case for case in late if abs((case.age_s or 0.0) - usual) <= limit]
    return alike if 2 * len(alike) > endpoints else ()


def _comes_late(case: Case, limit: float) -> bool:
    """Return whether the head moves, but was too old by our clock already when it came."""
    if case.age_s is None or case.head is None or case.head.timestamp is None:
        return False
    still_s = _still_s(case)
    is_moving = case.view.has_moved and still_s <= limit and not case.view.catches_up
    return is_moving and case.age_s - still_s > limit


def _still_s(case: Case) -> float:
    """Return for how many seconds of our clock the head has not moved."""
    changed = case.view.head_changed_mono
    return 0.0 if case.head is None or changed is None else max(0.0, case.head.seen - changed)


def judge_age(cases: Sequence[Case], voters: Sequence[Case], limits: Limits) -> None:
    """Judge the age of each head, where our own clock may be believed."""
    limit = limits.head_age_s
    if limit is None:
        return
    is_common = len(voters) >= NEEDED_FOR_HALT and all(_is_stuck(case, limit) for case in voters)
    for case in cases:
        if case.head is None or case.has(ChainReason.LOCAL_CLOCK):
            continue
        if case.age_s is None:
            case.unknown(
                ChainReason.FIRST_SAMPLE, "want a head that can be compared, got the first"
            )
        elif case.age_s > limit:
            detail = f"head is {case.age_s:.0f} s old, want at most {limit:g} s"
            outcome = Outcome.DEGRADED if is_common and case.is_voter else Outcome.DOWN
            _accuse(case, Finding(ChainReason.HEAD_STALE, outcome, detail), limit)


def _is_stuck(case: Case, limit: float) -> bool:
    """Return whether the head is too old and the same as in the run before."""
    is_same = case.view.head_changed_mono == case.before.head_changed_mono
    return case.age_s is not None and case.age_s > limit and is_same and not case.is_first


def _accuse(case: Case, stale: Finding, limit: float) -> None:
    """Note a stale head: before its lag if it stands still, after that if it only comes late."""
    at = len(case.findings)
    if _still_s(case) > limit:
        reasons = [finding.reason for finding in case.findings]
        at = reasons.index(ChainReason.LAG_DOWN) if ChainReason.LAG_DOWN in reasons else at
    case.findings.insert(at, stale)


def is_halted(
    cases: Sequence[Case], voters: Sequence[Case], needed: int, known: Pace, limits: Limits
) -> bool:
    """Return whether the chain as a whole stands still, as at least so many as are *needed* say."""
    if limits.head_age_s is None:
        return False
    if len(voters) >= needed and all(_stands(case, known, limits.head_age_s) for case in voters):
        return True
    present = [case for case in cases if case.head is not None and case.id_match is not False]
    return len(present) >= needed and all(
        case.view.unhealthy_runs >= UNHEALTHY_RUNS for case in present
    )


def _stands(case: Case, known: Pace, limit: float) -> bool:
    still_s = _still_s(case)
    if case.is_first:
        return False
    if still_s > limit:
        return True
    is_old = case.age_s is not None and case.age_s > limit
    return not case.view.has_moved and is_old and still_s >= STILL_BLOCKS * known.slow


def soften(cases: Sequence[Case], voters: Sequence[Case]) -> None:
    """Take the blame for a halted chain from the endpoints."""
    for case in cases:
        is_hit = any(case is voter for voter in voters)
        case.findings = [
            replace(finding, outcome=Outcome.DEGRADED) if _is_of_halt(case, finding) else finding
            for finding in case.findings
        ]
        if is_hit or any(_is_of_halt(case, finding) for finding in case.findings):
            still = f"got none for {_still_s(case):.0f} s on any endpoint"
            case.degraded(ChainReason.CHAIN_HALTED, f"want new blocks, {still}")


def _is_of_halt(case: Case, finding: Finding) -> bool:
    if finding.reason is ChainReason.HEAD_STALE:
        return True
    health = case.seen.health
    is_vague = health is not None and health.ok is False and health.behind is None
    return finding.reason is ChainReason.UNHEALTHY and is_vague
