"""What an endpoint says of itself: syncing, unhealthy, lagging inside, lonely, throttled, slow.

Chains.md 5.10, 10, 11 and the throttling of 4. None of it needs another endpoint, so it counts from
the first sample on. Answers that come only now and then count until the next one; after
`held_s` without one they lapse. Pure.
"""

from collections.abc import Mapping
from dataclasses import replace

from probes.chain.judge.case import Case
from probes.chain.judge.views import Told, bounded
from probes.chain.model import Group, Limits, Now, Syncing
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome

# chains.md 4: slow calls come every 5 min or 20 runs.
SLOW_S, SLOW_RUNS = 300.0, 20
HELD_SLOW = 3
# chains.md 5.10
CLEAR_ANSWERS = 4
# One node of a balancer that restarts is not the endpoint.
BALANCED_ANSWERS = 2
# chains.md 4, 6.3
THROTTLED_RUNS = 3
# chains.md 11
ABCI_WARN, ABCI_DOWN = 2, 10
CONSENSUS_RUNS = 3


def judge_throttle(case: Case) -> None:
    """Judge that it is throttled, or left alone because it was."""
    seen, before = case.seen, case.before
    fault = seen.fault
    is_throttled = fault is not None and fault.reason is ChainReason.RATE_LIMITED
    if seen.left_alone:
        # only runs that asked count; those between must not make a down endpoint look better
        _throttled(case, before.throttled, "left alone as it asked")
    elif is_throttled:
        case.keep(throttled=before.throttled + 1)
        _throttled(case, before.throttled + 1, fault.detail if fault else "")
    else:
        case.keep(throttled=0 if case.head else before.throttled)
        if seen.retry_after_s is not None:
            case.degraded(ChainReason.RATE_LIMITED, "want all calls answered, got some throttled")


def _throttled(case: Case, runs: int, detail: str) -> None:
    outcome = Outcome.DOWN if runs >= THROTTLED_RUNS else Outcome.DEGRADED
    case.findings.append(Finding(ChainReason.RATE_LIMITED, outcome, detail))


def judge_syncing(case: Case, group: Group, distance: float, now: Now) -> None:
    """Judge that it says it is catching up; it may still have *distance* blocks to go."""
    said = case.seen.syncing
    if said is None:
        if case.before.syncing_mono < now.mono - held_s(group):
            case.keep(syncing=None, syncing_runs=0)
        return
    case.keep(syncing_mono=now.mono)
    if group.family != "evm":
        # its word is judged together with age and lag, when those are known
        is_syncing = said.is_syncing
        held = Finding(ChainReason.SYNCING, Outcome.DEGRADED, "want a node that has caught up")
        case.keep(syncing=held if is_syncing else None)
        return
    finding = _syncing(said, distance)
    before = case.before
    if finding is None:
        settled = before.settled_runs + 1
        is_clear = settled >= CLEAR_ANSWERS or case.is_balanced
        case.keep(
            syncing_runs=0, settled_runs=settled, syncing=None if is_clear else before.syncing
        )
        return
    runs = before.syncing_runs + 1
    counts = runs >= BALANCED_ANSWERS or not case.is_balanced
    case.keep(syncing_runs=runs, settled_runs=0, syncing=finding if counts else before.syncing)


def _syncing(said: Syncing, distance: float) -> Finding | None:
    if not said.is_syncing:
        return None
    away = bounded(said.distance)
    if away is None:
        return Finding(
            ChainReason.SYNCING, Outcome.DEGRADED, "want a node that has caught up, got syncing"
        )
    if away <= distance:
        return None
    return Finding(
        ChainReason.SYNCING,
        Outcome.DOWN,
        f"syncing, {away} blocks to go, want at most {distance:g}",
    )


def harden_syncing(case: Case, limits: Limits) -> None:
    """Add what is known about syncing: with an old head, or far behind, it is down."""
    finding = case.view.syncing
    if finding is None or case.head is None:
        return
    is_late = limits.head_age_s is not None and (case.age_s or 0.0) > limits.head_age_s
    is_far = limits.lag_down is not None and (case.lag or 0) > limits.lag_down
    if is_late or is_far:
        finding = replace(finding, outcome=Outcome.DOWN)
    case.findings.append(finding)


def judge_health(case: Case, limits: Limits) -> None:
    """Judge what Solana's ``getHealth`` says; alone it never says that all is well."""
    health = case.seen.health
    is_vague = health is not None and health.ok is False and health.behind is None
    case.keep(unhealthy_runs=case.before.unhealthy_runs + 1 if is_vague else 0)
    if health is None or health.ok is not False:
        return
    behind = bounded(health.behind)
    if behind is None:
        case.down(
            ChainReason.UNHEALTHY,
            "want a healthy node, got one that cannot say how far it is behind",
        )
        return
    limit = limits.lag_down
    is_far = limit is not None and behind > limit
    note = case.down if is_far else case.degraded
    allowed = "" if limit is None else f", want at most {limit:g}"
    note(ChainReason.UNHEALTHY, f"says it is {behind} slots behind{allowed}")


def judge_replay(case: Case, limits: Limits) -> None:
    """Judge how far replay is behind the shreds that have come (Solana)."""
    lag = bounded(case.seen.shred_lag)
    if lag is not None and limits.shred_lag is not None and lag > limits.shred_lag:
        case.down(
            ChainReason.REPLAY_STALLED,
            f"replay is {lag} slots behind the shreds, want at most {limits.shred_lag:g}",
        )


def judge_latency(case: Case, limits: Limits) -> None:
    """Judge the latency of the head call."""
    took = case.seen.latency_s
    if took is None or case.head is None:
        return
    for limit, note in (
        (limits.latency_down_s, case.down),
        (limits.latency_warn_s, case.degraded),
    ):
        if limit is not None and took > limit:
            note(ChainReason.LATENCY_HIGH, f"head took {took:.3f} s, want at most {limit:g} s")
            return


def held_s(group: Group) -> float:
    """Return for how many seconds the answer of a slow call counts."""
    return HELD_SLOW * min(SLOW_S, SLOW_RUNS * group.every_s)


def listen_slow(case: Case, group: Group, now: Now) -> None:
    """Note the slow answers of this run, and forget those that are too old."""
    seen = case.seen
    said: dict[str, float | None] = {
        "peers": bounded(seen.peers),
        "abci": bounded(seen.abci_lag),
        "round": bounded(seen.consensus_round),
        **{f"can {name}": float(can) for name, can in _capabilities(case).items()},
    }
    ends = now.mono - held_s(group)
    kept = {name: told for name, told in case.before.told.items() if told.mono >= ends}
    for name, value in said.items():
        if value is not None:
            last = kept.get(name)
            streak = (last.streak if last else 0) + 1 if value > 0 else 0
            kept[name] = Told(value, now.mono, streak)
    case.keep(told=kept)


def _capabilities(case: Case) -> Mapping[str, bool]:
    news = case.seen.news
    if news is None or not (news.is_up or news.problem):
        return case.seen.capabilities
    return {**case.seen.capabilities, "websocket": news.is_up}


def judge_slow(case: Case, group: Group, limits: Limits) -> None:
    """Judge what slow answers said, of this run or of an earlier one."""
    told = case.view.told
    if case.head is None:
        return
    peers, abci, rounds = told.get("peers"), told.get("abci"), told.get("round")
    if abci is not None and abci.value > ABCI_WARN:
        is_far = abci.value > ABCI_DOWN
        note, limit = (case.down, ABCI_DOWN) if is_far else (case.degraded, ABCI_WARN)
        note(
            ChainReason.ABCI_LAG,
            f"the application is {abci.value:g} blocks behind its store, want at most {limit}",
        )
    if peers is not None and limits.min_peers is not None and peers.value < limits.min_peers:
        case.degraded(
            ChainReason.PEERS_LOW,
            f"want at least {limits.min_peers:g} peers, got {peers.value:g}",
        )
    if rounds is not None and rounds.streak > CONSENSUS_RUNS:
        case.degraded(
            ChainReason.CONSENSUS_ROUND,
            f"want consensus in round 0, got round {rounds.value:g}, "
            f"over 0 for {rounds.streak} answers",
        )
    missing = [name for name in sorted(group.require) if _cannot(told, name)]
    if missing:
        wanted = ", ".join(missing)
        case.degraded(ChainReason.CAPABILITY_MISSING, f"want {wanted}, got an endpoint without")


def _cannot(told: Mapping[str, Told], name: str) -> bool:
    answer = told.get(f"can {name}")
    return answer is not None and answer.value == 0
