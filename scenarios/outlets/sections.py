"""The tables of the page of a load run, each as one piece of HTML; empty where there is nothing.

Pure. Every text is escaped here; the report that comes is clean.
"""

from collections.abc import Iterator, Sequence
from html import escape

from scenarios.outlets import words
from scenarios.outlets.cleaning import cut
from scenarios.outlets.figures import StepRow, worst
from scenarios.outlets.sparks import Spread, gauge, tendency
from scenarios.plan import Plan
from scenarios.records import Told
from scenarios.report import Comparison, Generator, Judged, LoadReport

# A page with more rows is no longer read, and no longer small; result.json has all of them.
MAX_THRESHOLDS = 60
MAX_STEPS = 60
MAX_ERRORS = 25
MAX_GENERATORS = 32
MAX_REASONS = 4
_STATES = {"ok": ("ok", "✓"), "breach": ("bad", "✗"), "no_data": ("odd", "?")}


def section(title: str, body: str, note: str = "") -> str:
    """Return a card with its heading; *body* is HTML."""
    small = f"<small>{escape(note)}</small>" if note else ""
    return f"<section><h2>{escape(title)}{small}</h2>{body}</section>"


def table(name: str, head: Sequence[str], rows: Sequence[str], more: int = 0) -> str:
    """Return a table that scrolls by itself; a head that begins with > is of numbers."""
    heads = "".join(map(_head, head))
    rest = f'<p class="dim">and {words.whole(more)} more, see result.json</p>' if more > 0 else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{rest}"
    )


def _head(name: str) -> str:
    """Return a head; before its name: > of numbers, ~ left out where the page is narrow."""
    kinds = [kind for sign, kind in ((">", "n"), ("~", "opt")) if sign in name[:2]]
    text = escape(name.lstrip(">~"))
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    return f'<th scope="col"{kind}>{text}</th>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _number(text: str, kind: str = "") -> str:
    return _cell(text, f"n {kind}".rstrip())


def _code(text: str, below: str = "") -> str:
    sub = f'<span class="sub">{escape(below)}</span>' if below else ""
    # where a narrow page may break an expression
    shown = escape(text).replace("(", "(<wbr>").replace("{", "{<wbr>")
    return f'<td class="name"><code>{shown}</code>{sub}</td>'


def thresholds(items: Sequence[Judged]) -> str:
    """Return what was demanded and what there was, what is broken first."""
    if not items:
        return ""
    order = {"breach": 0, "no_data": 1, "ok": 2}
    rows = [
        _threshold(it) for it in sorted(items, key=lambda it: order[it.result])[:MAX_THRESHOLDS]
    ]
    broken = sum(it.result != "ok" for it in items)
    note = f"{broken} of {len(items)} do not hold" if broken else f"all {len(items)} hold"
    head = ("", "Threshold", ">Value", ">~Limit", "Share of the limit")
    return section("Thresholds", table("Thresholds", head, rows, len(items) - MAX_THRESHOLDS), note)


def _threshold(it: Judged) -> str:
    state, mark = _STATES[it.result]
    if it.level == "warn" and it.result != "ok":
        state, mark = "warn", "!"
    about = [
        "warns only" if it.level == "warn" else "",
        "always demanded" if it.is_implicit else "",
    ]
    return _row(
        _cell(f"{mark} {words.result(it)}", f"state is-{state}"),
        _code(it.expr, ", ".join(filter(None, about))),
        _number(words.value(it.value, it.unit), f"is-{state}" if state != "ok" else ""),
        _number(words.value(it.limit, it.unit), "dim opt"),
        f'<td class="fit">{gauge(it.value, it.limit, "ok" if state == "odd" else state)}</td>',
    )


def steps(rows: Sequence[StepRow], seconds: float) -> str:
    """Return every step, grouped by journey, with the spread of its delays."""
    if not rows:
        return ""
    shown = worst(rows, MAX_STEPS)
    spread = Spread([it.duration for it in shown])
    lines: list[str] = []
    journey: str | None = None
    for it in shown:
        if it.journey != journey:
            journey = it.journey
            lines.append(
                f'<tr class="group"><td colspan="10">{escape(journey or "requests")}</td></tr>'
            )
        lines.append(_step(it, spread, seconds))
    head = (
        "Step", "~Method", ">Requests", ">~Rate", ">Failed", ">p50", ">p95", ">p99", ">max",
        "Spread",
    )  # fmt: skip
    ends = f"{words.delay(spread.low / 1e6)} to {words.delay(spread.high / 1e6)}"
    note = f"delays of good requests; spread: {ends}, log scale, tick at p95"
    return section("Steps", table("Steps", head, lines, len(rows) - MAX_STEPS), note)


def _step(it: StepRow, spread: Spread, seconds: float) -> str:
    took = [it.duration.quantile(share) for share in (0.5, 0.95, 0.99, 1.0)]
    texts = [words.delay(value) if it.duration.count else words.NOTHING for value in took]
    failed = "is-bad" if it.failed else ""
    reasons = sorted(it.reasons.items(), key=lambda pair: -pair[1])[:MAX_REASONS]
    below = ", ".join(f"{words.whole(number)} {reason}" for reason, number in reasons)
    if it.unknown:
        below += f"{', ' if below else ''}{words.whole(it.unknown)} without a verdict"
    return _row(
        _code(it.step, below),
        _cell(it.method, "dim fit opt"),
        _number(words.whole(it.requests)),
        _number(words.rate(it.requests / seconds) if seconds else words.NOTHING, "dim opt"),
        _number(words.share(it.failed_share), failed),
        *(_number(text) for text in texts),
        f'<td class="fit">{spread.draw(it.duration)}</td>',
    )


def errors(items: Sequence[Told]) -> str:
    """Return the distinct errors, the most frequent first."""
    if not items:
        return ""
    rows = [
        _row(
            _number(words.whole(it.count)),
            _code(it.step),
            f'<td class="fit"><span class="chip">{escape(it.reason)}</span></td>',
            _cell(it.text, "wide"),
        )
        for it in items[:MAX_ERRORS]
    ]
    head = (">Count", "Step", "Reason", "What was wrong")
    return section("Errors", table("Errors", head, rows, len(items) - MAX_ERRORS))


def baseline(comparison: Comparison | None) -> str:
    """Return this run beside an older one."""
    if comparison is None:
        return ""
    if comparison.missing:
        told = f"There is none: {comparison.missing}."
        return section("Baseline", f"<p>{escape(told)}</p>", comparison.source)
    rows = [
        _row(
            _code(it.stat, "" if it.worse_by is not None else "shown, not judged"),
            _number(words.value(it.before, it.unit), "dim"),
            _number(words.value(it.value, it.unit)),
            f'<td class="fit">{tendency(it.ratio, is_regression=it.is_regression)}</td>',
            _cell(words.compared(it), "w is-bad" if it.is_regression else ""),
        )
        for it in comparison.stats
    ]
    head = ("Statistic", ">Before", ">Now", "Better | worse", "Change")
    return section(
        "Baseline", table("Baseline", head, rows), f"{comparison.source}, run {comparison.run_id}"
    )


def generators(items: Sequence[Generator]) -> str:
    """Return how those fared who made the load."""
    if not items:
        return ""
    head = (
        "Generator", "State", ">Requests", ">CPU, worst", ">Lag p99, worst", ">Memory", ">Files",
        ">Too busy", ">Records lost",
    )  # fmt: skip
    rows = [_generator(it) for it in items[:MAX_GENERATORS]]
    body = table("Generators", head, rows, len(items) - MAX_GENERATORS)
    return section("Generators", body, "a generator that is too busy measures itself")


def _generator(it: Generator) -> str:
    state = "is-ok" if it.state == "final" else "is-bad"
    mark = "✓" if it.state == "final" else "✗"
    why = f'<span class="sub">{escape(it.why)}</span>' if it.why else ""
    busy = f"{it.saturated_seconds} of {it.seconds} s"
    return _row(
        _code(f"{it.shard}", it.host),
        f'<td><span class="{state} w">{mark} {escape(it.state)}</span>{why}</td>',
        _number(words.whole(it.requests)),
        _number(words.share(it.cpu)),
        _number(words.delay(it.lag_p99_s)),
        _number(words.size(it.rss_bytes)),
        _number(words.whole(it.fds)),
        _number(busy, "is-bad" if it.saturated_seconds else ""),
        _number(words.whole(it.records_lost), "is-bad" if it.records_lost else ""),
    )


def conditions(report: LoadReport) -> str:
    """Return what the run was: plan, versions, notes."""
    plan = report.plan
    left = [*(_plan(plan) if plan else ()), *_resolved(report)]
    right = [
        ("Run", report.run_id),
        ("Git", report.git_ref),
        ("Config hash", report.config_hash),
        ("Seed", str(plan.seed) if plan else ""),
        ("Versions", ", ".join(f"{name} {it}" for name, it in report.versions.items())),
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    lists = "".join(_pairs(pairs) for pairs in (left, right))
    more = f'<ul class="notes">{notes}</ul>' if notes else ""
    return section("Conditions", f'<div class="two">{lists}</div>{more}')


def _plan(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "Model", words.load(plan)
    whole = sum(it.weight for it in plan.mix)
    yield "Mix", ", ".join(f"{it.name} {words.share(it.weight / whole)}" for it in plan.mix[:8])
    if plan.model == "open":
        yield "Users", f"{plan.pool.start} to {plan.pool.max}"
    warm = sum(it.seconds for it in plan.stages if it.warmup)
    yield "Warm-up", words.clock(warm) if warm else "none"
    yield "Graceful stop", words.clock(plan.graceful_stop_s)
    yield "Variables", ", ".join(f"{name}={it}" for name, it in plan.variables.items())


def _resolved(report: LoadReport) -> Iterator[tuple[str, str]]:
    for host, addresses in report.resolved.items():
        yield host, ", ".join(addresses)


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    found = "".join(
        f"<dt>{escape(name)}</dt><dd><code>{escape(cut(text))}</code></dd>"
        for name, text in pairs
        if text
    )
    return f'<dl class="kv">{found}</dl>' if found else ""
