"""Whether an endpoint serves the chain that is meant (chains.md 5.1).

The latest word of an endpoint counts. What it must be says the file; where the file is silent, the
majority does:

* A chain id, once told by more than half of all endpoints of the group, is learnt for good: an
  endpoint that tells another one later has *changed*, also when it is alone. One endpoint of three
  that answers first can teach nothing.
* Until then, and for the genesis hash, those that answer in this run are compared: the minority of
  three or more is wrong; with no majority all are `reference_ambiguous`. A genesis hash is never
  learnt: a development chain that is made anew keeps its id and changes that.
* Who has told nothing is not judged, nor who cannot be reached: a node that was stopped because it
  was on the wrong network is down, and why it was stopped is not why. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from probes.chain.judge.case import Case
from probes.chain.judge.views import cut
from probes.chain.model import Group
from probes.chain.reasons import ChainReason
from probes.units import short


def listen(case: Case) -> None:
    """Note who *case* says it is."""
    case.keep(
        chain_id=cut(case.seen.chain_id) or case.before.chain_id,
        genesis=cut(case.seen.genesis) or case.before.genesis,
    )


def learnt(group: Group, cases: Sequence[Case], before: str | None) -> str | None:
    """Return the chain id that the group is known by, where the file names none."""
    if group.chain_id is not None or before is not None:
        return before
    told = Counter(case.view.chain_id for case in cases if case.view.chain_id is not None)
    return next((name for name, count in told.items() if 2 * count > len(cases)), None)


def identify(group: Group, cases: Sequence[Case], known: str | None) -> None:
    """Judge the identity of all *cases*."""
    ids = [(case, case.view.chain_id) for case in cases]
    _compare(ids, cut(group.chain_id) or known, "chain id", is_learnt=group.chain_id is None)
    genesis = [(case, case.view.genesis) for case in cases]
    _compare(genesis, cut(group.genesis_hash), "genesis", is_learnt=False)


def _compare(
    told: Iterable[tuple[Case, str | None]], wanted: str | None, what: str, *, is_learnt: bool
) -> None:
    known = [(case, got) for case, got in told if got is not None]
    if wanted is not None:
        source = " as learnt" if is_learnt else ""
        for case, got in known:
            if not _is_lost(case):
                _judge(case, got, wanted, f"{what} {short(wanted)}{source}")
        return
    # only those that answer now: a word of last week must not outvote
    present = [(case, got) for case, got in known if case.head is not None]
    counts = Counter(got for _, got in present)
    majority = next((got for got, count in counts.items() if 2 * count > len(present)), None)
    for case, got in present if len(present) > 1 else ():
        if majority is None:
            case.degraded(
                ChainReason.REFERENCE_AMBIGUOUS,
                f"want one {what} for the group, got {len(counts)} without a majority: "
                f"here {short(got)}",
            )
        else:
            _judge(case, got, majority, f"{what} {short(majority)} of the majority")


def _is_lost(case: Case) -> bool:
    """Return whether nothing came of *case* in this run; one that throttles is there."""
    seen = case.seen
    is_silent = seen.head is None and seen.chain_id is None and seen.genesis is None
    fault = seen.fault
    return is_silent and fault is not None and fault.reason is not ChainReason.RATE_LIMITED


def _judge(case: Case, got: str, wanted: str, words: str) -> None:
    if got == wanted:
        case.id_match = case.id_match is not False
        return
    case.id_match = False
    case.down(ChainReason.WRONG_NETWORK, f"want {words}, got {short(got)}")
