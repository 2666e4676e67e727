"""The judgement of a chain group: state goes in and comes out, nothing is asked, nobody waits.

    listen      who is it, where is its head, what does it say   identity history selfreport
    compare     who votes, who is behind, old or elsewhere       voters age fork finality silence
    sentence    what that is for endpoint, traffic and group     grouping smoothing

The outcome does not depend on the order of the endpoints; only who is named first does. With three
voters, two of them honest, nothing that the third one says changes the verdict of the two, except
that by pretending to go on it can keep a halt of the chain from being called one.

From a single first sample nothing is judged but transport, identity, what the endpoint says of
itself, and the age of its head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from probes.chain.judge import fork, history, selfreport
from probes.chain.judge.age import (
    NEEDED_FOR_HALT,
    blame_clock,
    is_halted,
    judge_age,
    soften,
    take_age,
)
from probes.chain.judge.blocktime import BLOCK_TIMES_S, Pace, pace
from probes.chain.judge.case import Case
from probes.chain.judge.finality import judge_finality
from probes.chain.judge.grouping import Sentence, conclude, outcome_of, sentence, worst_first
from probes.chain.judge.identity import identify, learnt, listen
from probes.chain.judge.silence import judge_websocket
from probes.chain.judge.smoothing import health, smooth
from probes.chain.judge.thresholds import limits, resolve, syncing_distance
from probes.chain.judge.views import View, Views, cut
from probes.chain.judge.voters import Poll, judge_lag, poll, settle_pair
from probes.chain.model import Group, Head, Judgement, Limits, Now, Observation, Verdict
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Common
from probes.result import Outcome

__all__ = [
    "BLOCK_TIMES_S",
    "View",
    "Views",
    "common",
    "conclude",
    "evaluate",
    "health",
    "limits",
    "trouble",
]

_NETWORK = frozenset(
    {
        ChainReason.CONNECT_REFUSED,
        ChainReason.CONNECT_FAILED,
        ChainReason.CONNECTION_RESET,
        ChainReason.DNS_FAILED,
        ChainReason.TIMEOUT,
    }
)


def evaluate(
    group: Group,
    views: Views,
    observations: Mapping[str, Observation],
    now: Now,
    network_lost: str = "",
) -> tuple[Judgement, Views]:
    """Judge what the endpoints of *group* answered in one run.

    Args:
        group: who was asked, and by what rules.
        views: of the run before; ``Views()`` at first.
        observations: by endpoint; one that is missing was not asked.
        now: when the run was; the heads say by how much they were read earlier or later.
        network_lost: why the prober cannot reach anybody; empty: it can.

    Returns:
        The judgement, from the endpoints alone (`conclude` adds the steps), and what the next run
        must know.
    """
    cases = _cases(group, views, observations, now)
    known_id = learnt(group, cases, views.chain_id)
    identify(group, cases, known_id)
    fall = limits(group, views).lag_down or 0.0
    for case in cases:
        history.follow(case, now, pace(group, views), fall)
        case.is_balanced = history.is_balanced(case)
        if case.id_match is not None:
            case.keep(is_foreign=not case.id_match)
    current = replace(views, endpoints={case.name: case.view for case in cases})
    known = pace(group, current)
    limit = resolve(group, known)
    _listen(group, cases, now, (known, limit))
    result = _compare(group, views, cases, now, (known, limit))
    own = _own_fault(cases, network_lost) or blame_clock(cases, limit)
    judge_age(cases, result.voters, limit)
    needed = 1 if group.halt_with_single or views.is_halted else NEEDED_FOR_HALT
    halted = own is None and is_halted(cases, result.voters, needed, known, limit)
    if halted:
        soften(cases, result.voters)
    verdicts = tuple(_verdict(group, case, known) for case in cases)
    told = _halt(cases) if halted else sentence(group, verdicts, (), own)
    judgement = Judgement(
        outcome=told.outcome,
        finding=told.finding,
        blamed=told.blamed,
        endpoints=verdicts,
        limits=limit,
        block_time_s=known.usual,
        reference=result.reference.height if result.reference else None,
        voters=len(result.voters),
        is_halted=halted,
    )
    after = Views(
        runs=views.runs + 1,
        reference=result.mark,
        chain_id=known_id,
        # a run that could not tell does not end a halt
        is_halted=halted or (views.is_halted and own is not None),
        endpoints={
            case.name: _after(case, verdict) for case, verdict in zip(cases, verdicts, strict=True)
        },
    )
    return judgement, after


def _cases(
    group: Group, views: Views, observations: Mapping[str, Observation], now: Now
) -> list[Case]:
    """Open a case for each endpoint, with its head and its identity."""
    cases: list[Case] = []
    for endpoint in group.endpoints:
        seen = observations.get(endpoint.name) or Observation(endpoint.name)
        before = views.of(endpoint.name)
        case = Case(endpoint, seen, before)
        case.is_balanced = history.is_balanced(case)
        history.read_head(case, now)
        listen(case)
        cases.append(case)
    return cases


def _listen(group: Group, cases: Sequence[Case], now: Now, known: tuple[Pace, Limits]) -> None:
    """Judge what each endpoint says of itself."""
    speed, limit = known
    for case in cases:
        _judge_answer(case)
        selfreport.judge_throttle(case)
        selfreport.judge_syncing(case, group, syncing_distance(limit, speed), now)
        selfreport.judge_health(case, limit)
        selfreport.judge_replay(case, limit)
        selfreport.listen_slow(case, group, now)
        take_age(case, now)


def _judge_answer(case: Case) -> None:
    """Judge why there is no head."""
    seen = case.seen
    fault = seen.fault
    if seen.not_started:
        case.down(ChainReason.NOT_STARTED, "want a first block, got none yet")
    if fault is not None and fault.reason is not ChainReason.RATE_LIMITED:
        case.findings.append(fault)
    is_silent = fault is None and seen.head is None and not seen.not_started
    if is_silent and not seen.left_alone:
        case.unknown(
            ChainReason.BUDGET_SHED, "want its head, got no call left of budget.calls_per_minute"
        )
    case.findings.extend(seen.findings)


def _compare(
    group: Group, views: Views, cases: Sequence[Case], now: Now, known: tuple[Pace, Limits]
) -> Poll:
    """Judge the endpoints by each other."""
    speed, limit = known
    result = poll(cases, views.reference, now.mono, speed, limit)
    if result.is_ambiguous and (plausible := settle_pair(result, limit)) is not None:
        mark = (plausible.height, now.mono)
        result = replace(result, reference=plausible, is_ambiguous=False, mark=mark)
    judge_lag(cases, result, speed, limit)
    for case in cases:
        selfreport.harden_syncing(case, limit)
        history.judge_history(case, limit.lag_down or 0.0)
        selfreport.judge_slow(case, group, limit)
        selfreport.judge_latency(case, limit)
        judge_finality(case, now, group.thresholds, limit)
        judge_websocket(case, group.family, now, limit)
    _judge_forks(group, views, cases)
    return result


def _judge_forks(group: Group, views: Views, cases: Sequence[Case]) -> None:
    seen = {case.name: case.seen for case in cases}
    right = [case for case in cases if case.id_match is not False]
    opinions = fork.compare(right, common(group, views, seen, slow=True))
    is_solana = group.family == "solana"
    fork.judge_forks(
        cases,
        opinions,
        views.runs + 1,
        fork.LOST_BLOCKHASH if is_solana else fork.LOST_SETTLED,
        _lags if is_solana else _never,
    )


def _lags(case: Case) -> bool:
    return case.has(ChainReason.LAG_DOWN) or case.has(ChainReason.LAG_WARN)


def _never(case: Case) -> bool:  # noqa: ARG001 - one of two answers
    return False


def _own_fault(cases: Sequence[Case], network_lost: str) -> Finding | None:
    """Return the prober's own fault, and put it in the place of what it made of the endpoints."""
    if not network_lost:
        return None
    finding = Finding(ChainReason.PROBE_NETWORK, Outcome.UNKNOWN, network_lost)
    hit = False
    for case in cases:
        if case.head is None and case.seen.fault and case.seen.fault.reason in _NETWORK:
            case.findings, hit = [finding], True
    return finding if hit else None


def _halt(cases: Sequence[Case]) -> Sentence:
    details = [
        finding.detail
        for case in cases
        for finding in case.findings
        if finding.reason is ChainReason.CHAIN_HALTED
    ]
    detail = details[0] if details else "want new blocks, got none"
    return Sentence(Outcome.DOWN, Finding(ChainReason.CHAIN_HALTED, Outcome.DOWN, detail))


def _verdict(group: Group, case: Case, known: Pace) -> Verdict:
    findings = worst_first(case.findings)
    outcome = outcome_of(findings)
    view = case.view
    recent, exported = smooth(case.before, outcome, findings, group)
    case.keep(recent=recent, exported=exported)
    return Verdict(
        name=case.name,
        outcome=outcome,
        findings=findings,
        exported=exported,
        height=case.head.height if case.head else None,
        lag=case.lag,
        lag_s=None if case.lag is None else case.lag * known.usual,
        head_age_s=case.age_s,
        is_voter=case.is_voter,
        id_match=case.id_match,
        disagrees=case.disagrees,
        finality_lag=view.finality_lag if "finalized" in case.seen.tags and case.head else None,
        finality_limit=case.finality_limit,
    )


def _after(case: Case, verdict: Verdict) -> View:
    """Return what the next run must know of *case*."""
    seen, before = case.seen, case.before
    was_asked = bool(seen.asked or seen.tries or seen.head or seen.fault)
    doubts = (ChainReason.WRONG_NETWORK, ChainReason.REFERENCE_AMBIGUOUS, ChainReason.HEAD_ROLLBACK)
    news = seen.news
    dialled = sum(news.reconnects.values()) if news else before.ws_reconnects
    case.keep(
        app=case.app and (case.app[0], cut(case.app[1]) or ""),
        failed=case.head is None if was_asked else before.failed,
        was_down=verdict.outcome is Outcome.DOWN,
        peer=seen.peer or before.peer,
        peer_changed=bool(seen.peer and before.peer and seen.peer != before.peer),
        suspect=any(case.has(reason) for reason in doubts) or dialled > before.ws_reconnects,
    )
    return case.view


def common(
    group: Group, views: Views, observations: Mapping[str, Observation], *, slow: bool
) -> Common:
    """Return what round 2 shall compare.

    Voters that are far behind are left out of it: they have their verdict, and one that pretends
    to be at the first block would put an end to every comparison. If it is *slow*, a finalized
    block is compared too.
    """
    known = pace(group, views)
    limit = resolve(group, known)
    mono = max((seen.head.seen for seen in observations.values() if seen.head), default=0.0)
    now = Now(mono, 0.0)
    cases = _cases(group, views, observations, now)
    identify(group, cases, learnt(group, cases, views.chain_id))
    present = [case for case in cases if case.head is not None and case.id_match is not False]
    if group.family == "solana":
        hashes = [(case.name, case.seen.blockhash) for case in present if case.seen.blockhash]
        return Common(blockhashes=tuple(hashes) if len(hashes) > 1 else ())
    if group.thresholds.fork_depth == "off":
        return Common()
    for case in present:
        # in round 2 no timestamp is judged yet
        case.ahead_s = 0.0
        case.head = case.seen.head
    result = poll(present, views.reference, mono, known, limit)
    heads = [case.head for case in result.voters if case.head]
    heights = _near(heads, result.reference, limit)
    settled = fork.settled_height(heights, limit.fork_depth)
    final = fork.finalized_height([case.seen for case in result.voters], max(heights, default=0))
    return Common(
        settled=settled,
        finalized=final if slow and final != settled else None,
        state=fork.state_height(present),
    )


def _near(heads: Sequence[Head], reference: Head | None, limit: Limits) -> list[int]:
    lowest = 0 if reference is None or limit.lag_down is None else reference.height - limit.lag_down
    return [head.height for head in heads if head.height >= lowest]


def trouble(view: View) -> bool:
    """Return whether the identity must be asked again, though it is not yet due.

    After a run that failed, from another address, after a websocket that dialled again, after a
    height that cannot be, as long as it is the wrong one, and until it was told for the first time.
    """
    return view.failed or view.peer_changed or view.suspect or view.chain_id is None
