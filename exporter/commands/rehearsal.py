"""``sonde load NAME --dry-run``: the plan, where it would go, and the rails it stands between.

Pure. Knows no target: what was resolved stands in the report.
"""

from collections.abc import Iterator

from probes.config.sections import SafetySettings
from probes.units import format_duration
from scenarios.arrivals import count
from scenarios.config.rates import format_ramp, format_users
from scenarios.plan import Plan, Stage
from scenarios.report import LoadReport

_COLUMN = 11


def rehearsed(report: LoadReport, safety: SafetySettings) -> str:
    """Return what the run would be."""
    lines = [f"{name:<{_COLUMN}}{text}" for name, text in _rows(report, safety)]
    return "\n".join([*lines, "no load was sent: --dry-run", ""])


def _rows(report: LoadReport, safety: SafetySettings) -> Iterator[tuple[str, str]]:
    plan = report.plan
    yield "scenario", report.scenario
    if plan is not None:
        yield from _of_plan(plan)
    for name, addresses in report.resolved.items():
        yield "address", f"{name} -> {', '.join(addresses) or 'none'}"
    ceilings, fences = safety.load, safety.targets
    yield "allowed", ", ".join(fences.allow) or "nothing: no load at all"
    if fences.deny:
        yield "denied", ", ".join(fences.deny)
    if ceilings.protected:
        yield "protected", ", ".join(ceilings.protected)
    longest, runs = format_duration(ceilings.max_duration), ceilings.max_concurrent_runs
    most = f"{ceilings.max_users} users, {ceilings.max_rate:g}/s"
    yield "ceilings", f"{most}, {longest}, {runs} at a time"
    for note in report.notes:
        yield "note", note
    for why in report.reasons:
        yield why.verdict.value, why.text


def _of_plan(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "target", plan.target or "of each journey its own"
    yield "mix", ", ".join(f"{part.name} {part.weight}" for part in plan.mix)
    for stage in plan.stages:
        yield "stage", _stage(stage, plan)
    if plan.model == "open":
        yield "arrivals", f"{count(plan.stages)} iterations"
        yield "users", f"{plan.pool.start} to {plan.pool.max}"
    elif plan.model == "closed":
        yield "users", f"at most {plan.users}"
    else:
        yield "users", f"{plan.users}, {plan.iterations} iterations"
    yield "requests", f"about {plan.requests_per_iteration:g} an iteration"
    yield "shards", str(plan.shards)
    yield "seed", str(plan.seed)


def _stage(stage: Stage, plan: Plan) -> str:
    form = format_ramp if plan.model == "open" else format_users
    what = f"{form((stage.first, stage.last))}{'' if plan.model == 'open' else ' users'}"
    note = "" if stage.is_measured else " (warm-up)" if stage.warmup else " (drain)"
    return f"{format_duration(stage.seconds)} {what}{note}"
