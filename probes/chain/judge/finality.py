"""Whether finality keeps up with the head (chains.md 5.11).

The limit is three times the median of what the endpoint told lately, at least two epochs. Values
above it do not enter that median, so that a stall cannot raise its own baseline. Three gaps of that
rule are closed here:

* A stall that is read in each run would still raise it, slowly, below the limit. So values enter
  only when finality moves: the lag before, and the lag after it.
* The first `LEARNT` values enter as they are, and are judged only by whether finality moves: a
  rollup that is always 900 blocks behind would else be stalled for ever.
* A new normal is believed when finality has moved `NEW_NORMAL_MOVES` times while above the limit.

Where blocks are slow or batches rare, finality moves less often than every 15 minutes: then it may
stand still for twice as long as it usually does.

Finality that goes back is a fork, if it does so twice in a row, the head did not go back with it,
and one node answers: two nodes of a balancer finalise one after the other. Pure.
"""

from statistics import median, median_low

from probes.chain.judge.case import Case
from probes.chain.judge.views import KEPT, MAX_HEIGHT
from probes.chain.model import Head, Limits, Now, Thresholds
from probes.chain.reasons import ChainReason

# chains.md 5.11
STALLED_S = 900.0
STALLED_GAPS = 2
# The lower one of two: the first may have been a stall.
LEARNT_GAPS = 2
FACTOR = 3
LEARNT = 4
NEW_NORMAL_MOVES = 8
BACK_RUNS = 2
# It is told in every second run; a longer gap means that it is not told any more.
HELD_RUNS = 4


def judge_finality(case: Case, now: Now, wanted: Thresholds, limits: Limits) -> None:
    """Judge the finality of *case*, as far as it tells one."""
    told, head = case.seen.tags.get("finalized"), case.head
    if told is not None and head is not None and 0 <= told.height < MAX_HEIGHT:
        _note(case, told, head, now)
    else:
        case.keep(finality_runs=case.before.finality_runs + 1)
    if limits.finality_lag is None or case.view.finalized is None:
        return
    case.finality_limit = _limit(case, wanted, limits.finality_lag)
    if head is None or case.view.finality_runs > HELD_RUNS:
        return
    if told is not None:
        _learn(case, told, head)
    _judge(case, head, now)


def _note(case: Case, told: Head, head: Head, now: Now) -> None:
    best = case.before.finalized
    lag = max(0, head.height - told.height)
    case.keep(finality_lag=lag, finality_runs=0)
    if best is None or case.is_balanced or told.height > best.height or head.height < best.height:
        # with a balancer only the furthest counts
        is_old = best is not None and case.is_balanced and told.height <= best.height
        if not is_old:
            case.keep(finalized=told, finalized_mono=now.mono, finalized_head=head.height)
            _note_gap(case, now)
        if best is not None and head.height < best.height and not is_old:
            # a chain made anew: what was usual before says nothing
            case.keep(finality_lags=(), finality_gaps=(), finality_moves=0)
        case.keep(finality_back=0)
    elif head.height < case.before.finalized_head:
        # it went back together with the head: an undetected balancer's node that is behind
        case.keep(finality_back=0)
    elif told.height < best.height or (best.hash and told.hash and best.hash != told.hash):
        case.keep(finality_back=case.before.finality_back + 1)
    else:
        case.keep(finality_back=0)


def _note_gap(case: Case, now: Now) -> None:
    before = case.before
    if before.finalized is not None:
        gaps = (*before.finality_gaps, now.mono - before.finalized_mono)
        case.keep(finality_gaps=gaps[-KEPT:])


def _still_limit_s(case: Case) -> float:
    gaps = case.before.finality_gaps
    usual = median_low(gaps) if len(gaps) >= LEARNT_GAPS else 0.0
    return max(STALLED_S, STALLED_GAPS * usual)


def _limit(case: Case, wanted: Thresholds, floor: float) -> float | None:
    if wanted.finality_lag != "auto":
        return floor
    lags = case.before.finality_lags
    return max(floor, FACTOR * median(lags)) if len(lags) >= LEARNT else None


def _learn(case: Case, told: Head, head: Head) -> None:
    """Take the lags around a move into the baseline."""
    view, before, limit = case.view, case.before, case.finality_limit
    if before.finalized is None or view.finalized == before.finalized:
        return
    # ahead of its own head it is another node's, or nonsense; below the old one a chain made anew
    if told.height > head.height or head.height < before.finalized.height:
        return
    lags = (before.finality_lag or 0, view.finality_lag or 0)
    usual = tuple(lag for lag in lags if limit is None or lag <= limit)
    case.keep(finality_lags=(*view.finality_lags, *usual)[-KEPT:])
    moves = view.finality_moves + 1 if limit is not None and lags[1] > limit else 0
    case.keep(finality_moves=moves)
    if moves >= NEW_NORMAL_MOVES:
        case.keep(finality_lags=(), finality_moves=0)


def _judge(case: Case, head: Head, now: Now) -> None:
    view, limit = case.view, case.finality_limit
    if view.finality_back >= BACK_RUNS and view.finalized is not None:
        case.down(
            ChainReason.FORK_FINALIZED,
            f"want block {view.finalized.height} to stay final, got it taken back",
        )
    still_s, allowed_s = now.mono - view.finalized_mono, _still_limit_s(case)
    if limit is not None and (view.finality_lag or 0) > limit:
        case.degraded(
            ChainReason.FINALITY_STALLED,
            f"finality is {view.finality_lag} blocks behind {head.height}, want at most {limit:g}",
        )
    elif still_s > allowed_s and head.height > view.finalized_head and view.finality_lag:
        case.degraded(
            ChainReason.FINALITY_STALLED,
            f"finality has not moved for {still_s:.0f} s, want at most {allowed_s:.0f} s",
        )
