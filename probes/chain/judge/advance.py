"""Whether heads moved between the two samples of a run that stands alone.

A gate wants proof that the chain goes on: age alone calls a node current that stopped a moment ago.
It only degrades, because blocks come when they come. Pure.
"""

from collections.abc import Mapping
from dataclasses import replace

from probes.chain.judge.grouping import conclude
from probes.chain.model import Group, Judgement, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome

# A proof-of-work chain misses this many of its mean block times in one of twenty looks.
STILL_BLOCKS = 3
# And no chain is called still within a few seconds: its timestamps and ours are whole seconds.
STILL_S = 10.0


def advanced(earlier: Judgement, later: Judgement) -> Mapping[str, int]:
    """Return by how many blocks each endpoint went on; those without two heads are missing."""
    before = {verdict.name: verdict.height for verdict in earlier.endpoints}
    return {
        verdict.name: verdict.height - first
        for verdict in later.endpoints
        if verdict.height is not None and (first := before.get(verdict.name)) is not None
    }


def judge_advance(group: Group, earlier: Judgement, later: Judgement, waited_s: float) -> Judgement:
    """Return *later*, degraded where a head stood still and has been due for long.

    Args:
        group: whose; with ``head_age: off`` nothing is judged: such a chain mines on demand.
        earlier: of the first sample.
        later: of the second.
        waited_s: seconds between them.
    """
    if later.limits.head_age_s is None or later.is_halted:
        return later
    moved = advanced(earlier, later)
    limit_s = max(STILL_BLOCKS * later.block_time_s, STILL_S)
    endpoints = tuple(
        _still(verdict, waited_s, later.block_time_s)
        if moved.get(verdict.name) == 0 and _is_due(verdict, limit_s, waited_s)
        else verdict
        for verdict in later.endpoints
    )
    if endpoints == later.endpoints:
        return later
    return conclude(group, replace(later, endpoints=endpoints), later.steps, {})


def _is_due(verdict: Verdict, limit_s: float, waited_s: float) -> bool:
    since_s = waited_s if verdict.head_age_s is None else verdict.head_age_s
    return verdict.outcome is Outcome.UP and since_s > limit_s


def _still(verdict: Verdict, waited_s: float, block_time_s: float) -> Verdict:
    age = "" if verdict.head_age_s is None else f", head is {verdict.head_age_s:.0f} s old"
    detail = f"no new block in {waited_s:.0f} s{age}, want one every {block_time_s:.3g} s"
    found = Finding(ChainReason.HEAD_STALE, Outcome.DEGRADED, detail)
    return replace(verdict, outcome=Outcome.DEGRADED, findings=(found,))
