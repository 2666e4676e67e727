"""Who is on another branch than the majority (chains.md 5.5, and the blockhash row of 10).

Compared is a block deep enough to be settled, at the same height everywhere: its hash, and where
that is equal, the hash of the state behind it. Solana has no such read: there an endpoint is asked
whether it knows the latest blockhash of another one, and only one that is not behind may deny it.

On Cosmos the hash of a block covers the state before it, so a node whose application came to
another state never tells a wrong block: it takes no further one. So where an endpoint stands still,
the state of its application is compared with the next header, which the others have.

One lost comparison is no verdict: two in a row are (three of blockhashes). One run without a
comparison does not acquit; after `HELD_RUNS` of them the finding lapses. Without a majority nobody
is down: all are `fork_ambiguous`. Pure.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from probes.chain.judge.case import Case
from probes.chain.model import Observation, Settled
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Common
from probes.result import Outcome
from probes.units import short

# chains.md 5.5 and 10
LOST_SETTLED, LOST_BLOCKHASH = 2, 3
HELD_RUNS = 3
PAIR = 2

Heights = Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Opinion:
    """How one comparison went for one endpoint.

    Args:
        finding: what it is if it lasts; None: it agrees.
        is_minority: whether a majority says otherwise.
    """

    finding: Finding | None = None
    is_minority: bool = False


def settled_height(heights: Sequence[int], depth: int) -> int | None:
    """Return the height to compare, for voters at *heights*; None: there is none."""
    height = min(heights, default=0) - depth
    return height if len(heights) > 1 and height >= 1 else None


def finalized_height(observations: Sequence[Observation], highest: int) -> int | None:
    """Return a height that is final for all of them: the lowest; of three or more the second.

    One that lies about it could else keep the comparison at the first block for ever.
    """
    told = sorted(
        seen.tags["finalized"].height for seen in observations if "finalized" in seen.tags
    )
    told = [height for height in told if 1 <= height <= highest]
    if len(told) < PAIR:
        return None
    return told[1] if len(told) > PAIR else told[0]


def state_height(cases: Sequence[Case]) -> int | None:
    """Return the height whose header tells what the state of one that stands still should be.

    None where nobody stands still, or fewer than two others have that header.
    """
    heads = [case.head.height for case in cases if case.head]
    wanted = [case.app[0] + 1 for case in cases if case.stands and case.app]
    return max((it for it in wanted if sum(head >= it for head in heads) >= PAIR), default=None)


def compare(cases: Sequence[Case], common: Common) -> dict[str, Opinion]:
    """Compare what *cases* say of settled blocks; a later comparison never acquits of an earlier.

    Returns:
        Opinions by endpoint; those that were not compared are missing.
    """
    opinions: dict[str, Opinion] = {}
    heights = [(common.settled, False), (common.finalized, True)]
    for height, is_final in heights:
        told = [
            (case, case.seen.settled[height])
            for case in cases
            if height is not None and height in case.seen.settled
        ]
        for name, opinion in _opinions(told, height or 0, is_final=is_final).items():
            if name not in opinions or opinion.finding is not None:
                opinions[name] = opinion
    if common.state is not None:
        opinions |= _of_applications(cases, common.state)
    if common.blockhashes:
        opinions.update(_of_blockhashes(cases))
    return opinions


def _opinions(
    told: Sequence[tuple[Case, Settled]], height: int, *, is_final: bool
) -> dict[str, Opinion]:
    if len(told) < PAIR:
        return {}
    hashes = {case.name: block.hash for case, block in told}
    reason = ChainReason.FORK_FINALIZED if is_final else ChainReason.FORK
    opinions, majority = _vote(hashes, f"block {height}", reason)
    states = {
        case.name: block.state for case, block in told if block.hash == majority and block.state
    }
    if len(states) > 1:
        by_state, _ = _vote(states, f"state of block {height}", ChainReason.FORK_STATE)
        opinions |= {name: opinion for name, opinion in by_state.items() if opinion.finding}
    return opinions


def _of_applications(cases: Sequence[Case], height: int) -> dict[str, Opinion]:
    """Find whose application came to another state than the header of *height* tells.

    Validators have agreed on a header: however many applications differ from it, they are wrong.
    """
    headers = Counter(
        case.seen.settled[height].state for case in cases if height in case.seen.settled
    )
    told, count = next(iter(headers.most_common(1)), ("", 0))
    if not told or count < PAIR or 2 * count <= headers.total():
        return {}
    want = (
        f"want the state after block {height - 1} to be {short(told)} as {count} headers say, got "
    )
    return {
        case.name: Opinion(
            Finding(ChainReason.FORK_STATE, Outcome.DOWN, want + short(case.app[1])),
            is_minority=True,
        )
        for case in cases
        if case.stands and case.app and case.app[0] == height - 1 and case.app[1] != told
    }


def _vote(
    told: Mapping[str, str], what: str, reason: ChainReason
) -> tuple[dict[str, Opinion], str | None]:
    counts = Counter(told.values())
    majority = next((name for name, count in counts.items() if 2 * count > len(told)), None)
    if majority is None:
        detail = f"want one {what}, got {len(counts)} without a majority: here "
        split = {name: _ambiguous(detail + short(got)) for name, got in told.items()}
        return split, None
    return {
        name: Opinion()
        if got == majority
        else Opinion(
            Finding(
                reason,
                Outcome.DOWN,
                f"want {what} to be {short(majority)} as {counts[majority]} of {len(told)} say, "
                f"got {short(got)}",
            ),
            is_minority=True,
        )
        for name, got in told.items()
    }, majority


def _ambiguous(detail: str) -> Opinion:
    return Opinion(Finding(ChainReason.FORK_AMBIGUOUS, Outcome.DEGRADED, detail))


def _of_blockhashes(cases: Sequence[Case]) -> dict[str, Opinion]:
    present = [case for case in cases if case.head is not None]
    pairs = {
        (one.name, other.name): known
        for one in present
        for other in present
        if one is not other and (known := _know(one, other)) is not None
    }
    compared = [case for case in present if any(case.name in pair for pair in pairs)]
    against = {
        case.name: sum(
            pairs.get((case.name, other.name)) is False for other in compared if other is not case
        )
        for case in compared
    }
    outside = {name for name, count in against.items() if 2 * count > len(compared)}
    return {
        case.name: _opinion(case.name, against[case.name], len(compared), outside)
        for case in compared
    }


def _opinion(name: str, against: int, compared: int, outside: set[str]) -> Opinion:
    others = compared - 1
    detail = f"want a blockhash that the others know, got one at odds with {against} of {others}"
    if not against:
        return Opinion()
    if name in outside and len(outside) < compared and compared > PAIR:
        return Opinion(Finding(ChainReason.FORK, Outcome.DOWN, detail), is_minority=True)
    # at odds only with those that are outside: they are to blame
    return _ambiguous(detail) if len(outside) in (0, compared) or compared == PAIR else Opinion()


def _know(one: Case, other: Case) -> bool | None:
    """Return whether two endpoints know each other's blockhash; None: it cannot be told."""
    words = [_word(one, other), _word(other, one)]
    if False in words:
        return False
    return True if True in words else None


def _word(judge: Case, accused: Case) -> bool | None:
    """Return whether *judge* knows the blockhash of *accused*; one that is behind cannot know."""
    rejected = judge.seen.rejected.get(accused.name)
    if rejected is None or judge.head is None or accused.head is None:
        return None
    if rejected and judge.head.height < accused.head.height:
        return None
    return not rejected


def judge_forks(
    cases: Sequence[Case],
    opinions: Mapping[str, Opinion],
    run: int,
    needed: int,
    excused: Callable[[Case], bool],
) -> None:
    """Judge the *opinions* of this *run* and of those before.

    As many lost comparisons in a row as are *needed* make a verdict, unless what is found has
    another explanation (*excused*).
    """
    for case in cases:
        before, opinion = case.before, opinions.get(case.name)
        if opinion is None:
            if before.fork is not None and run - before.fork_seen <= HELD_RUNS:
                case.findings.append(before.fork)
                case.disagrees = before.fork.outcome is Outcome.DOWN
            else:
                case.keep(fork=None)
            continue
        finding = opinion.finding if not excused(case) else None
        runs = before.fork_runs + 1 if finding else 0
        stands = _firmer(before.fork, finding) if finding and runs >= needed else None
        case.keep(fork=stands, fork_runs=runs, fork_seen=run)
        case.disagrees = stands is not None and opinion.is_minority
        if stands is not None:
            case.findings.append(stands)


def _firmer(before: Finding | None, now: Finding) -> Finding:
    """Return what stands: final blocks are compared now and then only, and prove more."""
    is_proven = before is not None and before.reason is ChainReason.FORK_FINALIZED
    return before if before and is_proven and now.reason is ChainReason.FORK else now
