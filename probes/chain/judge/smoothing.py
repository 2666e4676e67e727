"""The state of an endpoint that load balancers and ``chain_rpc_up`` see (chains.md 6.1).

It gets worse when the last ``consecutive.down`` known outcomes are all worse, to the best of them,
and better when the last ``consecutive.up`` are all better, to the worst of them. Runs that could
not tell neither count nor interrupt. The first known outcome is taken at once, and the wrong
network always. What it tells is for traffic; incidents confirm the raw outcome by rules of their
own. Pure.
"""

from dataclasses import replace

from probes.chain.judge.views import View, Views
from probes.chain.model import EndpointHealth, Group, Judgement, Now, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome

_RANKS = {Outcome.UP: 0, Outcome.DEGRADED: 1, Outcome.DOWN: 2}


def smooth(
    view: View, outcome: Outcome, findings: tuple[Finding, ...], group: Group
) -> tuple[tuple[Outcome, ...], Outcome | None]:
    """Return the latest known outcomes, this run's with them, and the state to export."""
    if outcome is Outcome.UNKNOWN:
        return view.recent, view.exported
    runs = max(group.down_after, group.up_after, 1)
    recent = (*view.recent, outcome)[-runs:]
    is_wrong = any(finding.reason is ChainReason.WRONG_NETWORK for finding in findings)
    exported = outcome if is_wrong else _next(view.exported, recent, group)
    return recent, exported


def _next(exported: Outcome | None, recent: tuple[Outcome, ...], group: Group) -> Outcome:
    if exported is None:
        return recent[-1]
    worse, better = recent[-max(1, group.down_after) :], recent[-max(1, group.up_after) :]
    if len(worse) >= group.down_after:
        least = min(worse, key=_RANKS.__getitem__)
        if _RANKS[least] > _RANKS[exported]:
            return least
    if len(better) >= group.up_after:
        most = max(better, key=_RANKS.__getitem__)
        if _RANKS[most] < _RANKS[exported]:
            return most
    return exported


def health(
    group: Group,
    judgement: Judgement,
    views: Views,
    earlier: tuple[EndpointHealth, ...],
    now: Now,
) -> tuple[EndpointHealth, ...]:
    """Return what load balancers are told of each endpoint, in the order of the file.

    A run that could not tell leaves what was told before, and says so (``is_unknown``).
    """
    last = {known.endpoint: known for known in earlier}
    return tuple(
        _health(group, verdict, views.of(verdict.name), last.get(verdict.name), now)
        for verdict in judgement.endpoints
    )


def _health(
    group: Group, verdict: Verdict, view: View, last: EndpointHealth | None, now: Now
) -> EndpointHealth:
    if verdict.outcome is Outcome.UNKNOWN:
        unknown = last or EndpointHealth(group.chain, verdict.name, view.exported)
        return replace(unknown, chain=group.chain, is_unknown=True)
    return EndpointHealth(
        chain=group.chain,
        endpoint=verdict.name,
        outcome=verdict.exported,
        reasons=_reasons(verdict, last),
        height=verdict.height,
        head_age_s=verdict.head_age_s,
        checked_wall=now.wall,
    )


def _reasons(verdict: Verdict, last: EndpointHealth | None) -> tuple[str, ...]:
    """Return why the exported outcome is what it is; while it lags behind, what made it so."""
    if verdict.exported is Outcome.UP:
        return ()
    if verdict.exported is not verdict.outcome and last and last.outcome is verdict.exported:
        return last.reasons
    return tuple(dict.fromkeys(finding.reason.value for finding in verdict.findings))
