"""A LoadReport as GitHub-flavoured Markdown, for job summaries and comments.

Verdict, thresholds, steps, what is worse than the baseline, errors. Pure. What came from outside
stands in code spans.
"""

from collections.abc import Iterator

from probes.markdown import in_cell, in_code
from probes.redact import redact_shapes
from scenarios.outlets import words
from scenarios.outlets.cleaning import Hide, cleaned
from scenarios.outlets.figures import steps, totals, worst
from scenarios.report import Compared, Comparison, LoadReport

# A job summary may have 1 MiB, a comment 65,536 characters.
MAX_STEPS = 40
MAX_ERRORS = 10
_MARKS = {"ok": "✅", "breach": "❌", "no_data": "❔"}
_VERDICTS = {"pass": "✅", "fail": "❌", "aborted": "❌", "inconclusive": "❔", "refused": "⛔"}


def to_markdown(report: LoadReport, hide: Hide = redact_shapes) -> str:
    """Return the report as Markdown."""
    clean = cleaned(report, hide)
    blocks = [
        *_head(clean),
        _thresholds(clean),
        _steps(clean),
        _baseline(clean.comparison),
        _errors(clean),
        _generators(clean),
        [f"> {in_code(note)}" for note in clean.notes],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(report: LoadReport) -> Iterator[list[str]]:
    mark, word = _VERDICTS[report.verdict.value], words.WORDS[report.verdict]
    yield [f"### {mark} sonde load {in_code(report.scenario)}: {word}"]
    yield [f"* {it.code}: {in_code(it.text)}" for it in report.reasons]
    found = totals(report)
    if not found.requests:
        yield ["No request was measured."]
        return
    parts = [
        f"**{words.whole(found.requests)}** requests ({words.rate(found.request_rate)})",
        f"**{words.share(found.failed_share)}** failed",
        f"p95 **{words.quantile(found.duration, 0.95)}**",
        f"**{words.whole(found.completed)}** iterations ({words.rate(found.throughput)})",
        f"**{words.whole(found.dropped)}** dropped" if found.is_open else "",
        words.clock(report.seconds) + (f" at {in_code(report.target)}" if report.target else ""),
    ]
    yield [" · ".join(filter(None, parts))]


def _thresholds(report: LoadReport) -> list[str]:
    if not report.thresholds:
        return []
    lines = ["| | Threshold | Value | Result |", "| --- | --- | ---: | --- |"]
    for it in report.thresholds:
        mark = "⚠️" if it.level == "warn" and it.result == "breach" else _MARKS[it.result]
        got = words.value(it.value, it.unit)
        lines.append(f"| {mark} | {in_cell(it.expr)} | {got} | {words.result(it)} |")
    return lines


def _steps(report: LoadReport) -> list[str]:
    rows = steps(report)
    if not rows:
        return []
    lines = [
        "| Journey | Step | Requests | Failed | p50 | p95 | p99 | max |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in worst(rows, MAX_STEPS):
        took = [words.delay(row.duration.quantile(it)) for it in (0.5, 0.95, 0.99)]
        took.append(words.delay(row.duration.greatest / 1e6))
        cells = took if row.duration.count else [words.NOTHING] * 4
        lines.append(
            f"| {in_cell(row.journey)} | {in_cell(row.step)} | {words.whole(row.requests)} | "
            f"{words.share(row.failed_share)} | {' | '.join(cells)} |"
        )
    return [*lines, *_more(len(rows) - MAX_STEPS, "step")]


def _baseline(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return []
    if comparison.missing:
        return [f"Baseline {in_code(comparison.source)}: none, {in_code(comparison.missing)}"]
    against = f"{in_cell(comparison.source)} ({in_cell(comparison.run_id)})"
    lines = [
        f"| Against {against} | Before | Now | Change |",
        "| --- | ---: | ---: | --- |",
    ]
    return lines + [_compared(it) for it in comparison.stats]


def _compared(it: Compared) -> str:
    before, now = words.value(it.before, it.unit), words.value(it.value, it.unit)
    return f"| {in_cell(it.stat)} | {before} | {now} | {words.compared(it)} |"


def _errors(report: LoadReport) -> list[str]:
    if not report.errors:
        return []
    lines = ["| Count | Step | Reason | Error |", "| ---: | --- | --- | --- |"]
    for it in report.errors[:MAX_ERRORS]:
        cells = (in_cell(text) for text in (it.step, it.reason, it.text))
        lines.append(f"| {words.whole(it.count)} | {' | '.join(cells)} |")
    return [*lines, *_more(len(report.errors) - MAX_ERRORS, "error")]


def _more(number: int, noun: str) -> list[str]:
    # a paragraph right below a table would be one of its rows
    return ["", f"and {words.plural(number, f'more {noun}')}"] if number > 0 else []


def _generators(report: LoadReport) -> list[str]:
    return [
        f"* generator {it.shard}: {it.state} {in_code(it.why) if it.why else ''}".rstrip()
        for it in report.generators
        if it.state != "final" or it.saturated_seconds
    ]
