"""A LoadReport as text for a terminal: why, thresholds, steps, errors, baseline; last the verdict.

Pure. Colours only when asked for; what came from outside is printable.
"""

from collections.abc import Callable, Iterator, Sequence

from probes.redact import redact_shapes
from scenarios.outlets import words
from scenarios.outlets.cleaning import Hide, cleaned
from scenarios.outlets.figures import Totals, steps, totals, worst
from scenarios.report import Comparison, Generator, Judged, LoadReport, Verdict

Paint = Callable[[str, str], str]
MAX_STEPS = 40
MAX_ERRORS = 10
# Longer names would push the numbers off a terminal of 100 columns.
MAX_COLUMN = 44
_GREEN, _YELLOW, _RED, _MAGENTA = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[35m"
_PLAIN = "\x1b[0m"
_VERDICTS = {
    Verdict.PASS: _GREEN,
    Verdict.FAIL: _RED,
    Verdict.ABORTED: _RED,
    Verdict.INCONCLUSIVE: _MAGENTA,
    Verdict.REFUSED: _MAGENTA,
}
_RESULTS = {"ok": _GREEN, "breach": _RED, "no_data": _MAGENTA}


def to_text(report: LoadReport, colour: bool = False, hide: Hide = redact_shapes) -> str:  # noqa: FBT001, FBT002 - as agreed with its callers
    """Return the report as text that ends with the verdict."""
    clean = cleaned(report, hide)
    paint = _painted if colour else _unpainted
    blocks = [
        _head(clean),
        _thresholds(clean.thresholds, paint),
        _steps(clean),
        _errors(clean),
        _baseline(clean.comparison, paint),
        [*_generators(clean.generators), *(f"note: {note}" for note in clean.notes)],
        _end(clean, paint),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _painted(text: str, code: str) -> str:
    return f"{code}{text}{_PLAIN}" if code else text


def _unpainted(text: str, code: str) -> str:  # noqa: ARG001 - the same call as `_painted`
    return text


def _head(report: LoadReport) -> list[str]:
    plan = report.plan
    lines = [f"load {report.scenario}   {report.target}".rstrip()]
    if plan is not None:
        lines.append(f"  {words.load(plan)}{words.cut_short(report)}")
    found = totals(report)
    if found.requests:
        lines += [f"  {line}" for line in _totals(found)]
    return lines


def _totals(it: Totals) -> Iterator[str]:
    yield (
        f"{words.plural(it.requests, 'request')} ({words.rate(it.request_rate)}), "
        f"{words.share(it.failed_share)} failed"
    )
    dropped = f", {words.whole(it.dropped)} dropped" if it.is_open else ""
    interrupted = f", {words.whole(it.interrupted)} interrupted" if it.interrupted else ""
    # a run that was over within a second has nobody counted
    users = f", at most {words.plural(it.users, 'user')}" if it.users else ""
    yield (
        f"{words.plural(it.completed, 'iteration')} ({words.rate(it.throughput)})"
        f"{dropped}{interrupted}{users}"
    )


def _thresholds(items: Sequence[Judged], paint: Paint) -> list[str]:
    rows = [
        (it.expr, words.value(it.value, it.unit), paint(words.result(it), _colour(it)))
        for it in items
    ]
    return _table(("THRESHOLD", ">VALUE", "RESULT"), rows)


def _colour(it: Judged) -> str:
    return _YELLOW if it.level == "warn" and it.result != "ok" else _RESULTS[it.result]


def _steps(report: LoadReport) -> list[str]:
    every = steps(report)
    rows = []
    for it in worst(every, MAX_STEPS):
        took = [words.delay(it.duration.quantile(share)) for share in (0.5, 0.95, 0.99, 1.0)]
        rows.append(
            (
                it.journey,
                it.step,
                words.whole(it.requests),
                words.share(it.failed_share),
                *(took if it.duration.count else [words.NOTHING] * 4),
            )
        )
    head = ("JOURNEY", "STEP", ">REQUESTS", ">FAILED", ">P50", ">P95", ">P99", ">MAX")
    return _table(head, rows) + _more(len(every) - MAX_STEPS, "step")


def _errors(report: LoadReport) -> list[str]:
    rows = [
        (words.whole(it.count), it.step, f"{it.reason}: {it.text}")
        for it in report.errors[:MAX_ERRORS]
    ]
    return _table((">COUNT", "STEP", "ERROR"), rows) + _more(
        len(report.errors) - MAX_ERRORS, "error"
    )


def _baseline(comparison: Comparison | None, paint: Paint) -> list[str]:
    if comparison is None:
        return []
    if comparison.missing:
        return [f"baseline {comparison.source}: none, {comparison.missing}"]
    rows = [
        (
            it.stat,
            words.value(it.before, it.unit),
            words.value(it.value, it.unit),
            paint(words.compared(it), _RED if it.is_regression else ""),
        )
        for it in comparison.stats
    ]
    return _table((f"BASELINE {comparison.source}", ">BEFORE", ">NOW", "CHANGE"), rows)


def _generators(items: Sequence[Generator]) -> Iterator[str]:
    for it in items:
        if it.state != "final":
            yield f"generator {it.shard}: {it.state}{f', {it.why}' if it.why else ''}"
        if it.saturated_seconds:
            busy = f"too busy in {it.saturated_seconds} of {it.seconds} s"
            worst = f"cpu {words.share(it.cpu)}, lag {words.delay(it.lag_p99_s)}"
            yield f"generator {it.shard}: {busy} ({worst})"


def _end(report: LoadReport, paint: Paint) -> list[str]:
    word = paint(words.WORDS[report.verdict], _VERDICTS[report.verdict])
    good = "all thresholds hold" if report.thresholds else "no threshold was asked for"
    first = report.reasons[0].text if report.reasons else good
    others = [f"  {it.code}: {it.text}" for it in report.reasons[1:]]
    also = ["also:", *others] if others else []
    return [*also, f"{word}: {first}"]


def _more(number: int, noun: str) -> list[str]:
    return [f"and {words.plural(number, f'more {noun}')}"] if number > 0 else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned columns; one whose head begins with > is aligned to the right."""
    if not rows:
        return []
    names = [name.removeprefix(">") for name in head]
    widths = [
        max(len(name), *(min(len(row[at]), MAX_COLUMN) for row in rows))
        for at, name in enumerate(names)
    ]
    return [_line(row, head, widths) for row in (names, *rows)]


def _line(row: Sequence[str], head: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        f"{cell:>{width}}" if name.startswith(">") else f"{cell:<{width}}"
        for cell, name, width in zip(row, head, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()
