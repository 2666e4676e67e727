"""What the verdicts of endpoints and steps mean for the group (chains.md 6.2).

In this order: the prober's own fault, the halt of the chain, too few usable primaries, the worst of
the rest. Reference endpoints never count. A wrong clock of ours says nothing about endpoints that
do not answer: those still make the group down. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from probes.chain.model import Group, Judgement, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome

_SEVERITY = {Outcome.DOWN: 3, Outcome.DEGRADED: 2, Outcome.UNKNOWN: 1, Outcome.UP: 0}
_OWN_FAULTS = (ChainReason.PROBE_NETWORK, ChainReason.LOCAL_CLOCK)


@dataclass(frozen=True, slots=True)
class Sentence:
    """Outcome of a group, why, and whose fault that is."""

    outcome: Outcome
    finding: Finding | None = None
    blamed: str = ""


def worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return *findings*, the most severe first; among equals as they were found."""
    return tuple(sorted(findings, key=lambda finding: -_SEVERITY[finding.outcome]))


def outcome_of(findings: Sequence[Finding]) -> Outcome:
    """Return the outcome that *findings* add up to."""
    outcomes = [finding.outcome for finding in findings]
    return max(outcomes, key=_SEVERITY.__getitem__, default=Outcome.UP)


def sentence(
    group: Group, verdicts: Sequence[Verdict], steps: Sequence[Verdict], own: Finding | None
) -> Sentence:
    """Return what *verdicts* and *steps* mean for *group*, unless the chain is halted.

    *own* says why the prober itself is to blame; None: it is not.
    """
    primaries = _primaries(group, verdicts)
    down = [verdict for verdict in primaries if verdict.outcome is Outcome.DOWN]
    needed = len(primaries) if group.min_up is None else group.min_up
    is_short = len(primaries) - len(down) < needed
    if own is not None and not (is_short and own.reason is ChainReason.LOCAL_CLOCK):
        return Sentence(Outcome.UNKNOWN, own)
    if is_short and down:
        return Sentence(Outcome.DOWN, down[0].worst, down[0].name)
    return _worst([*map(_spared, primaries), *steps])


def _primaries(group: Group, verdicts: Sequence[Verdict]) -> list[Verdict]:
    names = {endpoint.name for endpoint in group.endpoints if endpoint.role == "primary"}
    return [verdict for verdict in verdicts if verdict.name in names]


def _spared(verdict: Verdict) -> Verdict:
    """Return *verdict* as it counts while enough others are usable: down is degraded."""
    if verdict.outcome is not Outcome.DOWN or verdict.worst is None:
        return verdict
    first = replace(verdict.worst, outcome=Outcome.DEGRADED)
    return replace(verdict, outcome=Outcome.DEGRADED, findings=(first, *verdict.findings[1:]))


def _worst(verdicts: Sequence[Verdict]) -> Sentence:
    worst = max(verdicts, key=lambda verdict: _SEVERITY[verdict.outcome], default=None)
    if worst is None or worst.outcome is Outcome.UP:
        return Sentence(Outcome.UP)
    return Sentence(worst.outcome, worst.worst, worst.name)


def conclude(
    group: Group, judgement: Judgement, steps: Sequence[Verdict], outliers: Mapping[str, str]
) -> Judgement:
    """Return *judgement* with what was found once per group.

    Args:
        group: whose.
        judgement: of `evaluate`.
        steps: indexers, calls, contracts, gas.
        outliers: endpoint -> why its gas oracle is one.
    """
    endpoints = tuple(
        _outlier(verdict, outliers[verdict.name]) if verdict.name in outliers else verdict
        for verdict in judgement.endpoints
    )
    judgement = replace(judgement, endpoints=endpoints, steps=tuple(steps))
    if judgement.is_halted:
        return judgement
    finding = judgement.finding
    is_own = finding is not None and not judgement.blamed and finding.reason in _OWN_FAULTS
    told = sentence(group, endpoints, steps, finding if is_own else None)
    return replace(judgement, outcome=told.outcome, finding=told.finding, blamed=told.blamed)


def _outlier(verdict: Verdict, detail: str) -> Verdict:
    if verdict.outcome is Outcome.UNKNOWN:
        return verdict
    found = Finding(ChainReason.GAS_ORACLE_OUTLIER, Outcome.DEGRADED, detail)
    findings = worst_first((*verdict.findings, found))
    exported = Outcome.DEGRADED if verdict.exported is Outcome.UP else verdict.exported
    return replace(verdict, outcome=outcome_of(findings), findings=findings, exported=exported)
