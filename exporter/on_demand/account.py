"""The account of one run for people: what ``debug=true`` and ``/logs`` answer.

    Logs for the probe:                          one line for each thing that was found
    Metrics that would have been returned:       the page
    Module configuration:                        YAML, secrets hidden

Made of the Result when somebody asks, so a run pays nothing for it. Every text of a Result is
redacted already. Knows neither HTTP nor how a run goes.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Literal

from exporter.exposition.blocks import decimal
from exporter.exposition.page import render_result
from exporter.on_demand.recent import Run
from probes.config.blackbox.showing import HIDDEN, module_yaml
from probes.config.explain import explain_entry
from probes.redact import STARS, cut_bytes
from probes.report import printable
from probes.result import Result
from probes.units import format_duration

Level = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
# blackbox.md 5.2
MAX_ACCOUNT_BYTES = 64 * 1024
_LOGS = "Logs for the probe:\n"
_METRICS = "\n\n\nMetrics that would have been returned:\n"
_MODULE = "\n\n\nModule configuration:\n"
_CUT = "\n... cut off here: it is longer than 64 KiB\n"
_STEP_LIMIT = 100

Line = tuple[Level, str, tuple[tuple[str, object], ...]]


def page_of(run: Run) -> bytes:
    """Return the metrics of a run as text 0.0.4."""
    kind, source = run.plan.probe.kind, run.plan.source
    told_s = max(0.0, round(run.limit_s, 3))
    return render_result(run.result, kind, told_s, is_strict=source.is_strict)


def account_of(run: Run, level: Level = "info") -> bytes:
    """Return the account of a run, at most `MAX_ACCOUNT_BYTES`.

    Args:
        run: whose.
        level: lowest of its lines.
    """
    lines = "".join(f"{line}\n" for line in log_lines(run, level))
    parts = (_LOGS, lines, _METRICS, page_of(run).decode(), _MODULE, module_text(run))
    text = "".join(parts)
    if len(text.encode()) <= MAX_ACCOUNT_BYTES:
        return text.encode()
    return (cut_bytes(text, MAX_ACCOUNT_BYTES - len(_CUT)) + _CUT).encode()


def module_text(run: Run) -> str:
    """Return the module of a run as YAML, with its defaults, without its secrets."""
    source, probe = run.plan.source, run.plan.probe
    if source.origin is not None:
        return probe.redact(module_yaml(source.origin.upstream)).replace(STARS, HIDDEN)
    text = explain_entry(source.name or probe.name, probe.kind, probe.redact)
    head = f"# kind: {probe.kind.name}"
    if source.timeout_s:
        head += f", timeout: {format_duration(source.timeout_s)}"
    return f"{head}\n{text.replace(STARS, HIDDEN)}"


def log_lines(run: Run, level: Level = "info") -> Iterator[str]:
    """Yield the log of a run, a line for each thing that was found."""
    lowest, result = LEVELS.index(level), run.result
    stamp = _stamp(result.started_at)
    for name, message, pairs in _lines(run):
        if LEVELS.index(name) >= lowest:
            told = "".join(f" {key}={_word(value)}" for key, value in pairs)
            yield f"time={stamp} level={name} msg={_word(message)}{told}"


def _lines(run: Run) -> Iterator[Line]:
    result, source = run.result, run.plan.source
    yield (
        "info",
        "Beginning probe",
        (
            ("probe", result.kind),
            ("module", source.name),
            ("target", result.target),
            ("timeout_seconds", f"{max(0.0, run.limit_s):g}"),
            ("run_id", result.run_id),
        ),
    )
    yield from _found(result)
    failure = result.failure
    took = ("duration_seconds", decimal(result.seconds))
    if failure is None:
        message = "Probe succeeded" if not result.warnings else "Probe succeeded with warnings"
        yield "info", message, (("outcome", result.outcome.value), took)
        return
    why = (
        ("outcome", result.outcome.value),
        ("reason", failure.reason.value),
        ("phase", failure.phase or ""),
        ("err", failure.message),
        took,
    )
    yield "error", "Probe failed", why


def _found(result: Result) -> Iterator[Line]:
    for name, text in result.facts.items():
        yield "info", "Found", (("fact", name), ("value", text))
    for phase in result.phases:
        pairs = (("phase", phase.name), ("duration_seconds", decimal(phase.seconds)))
        yield "info", "Phase ended" if phase.complete else "Phase broke off", pairs
    for warning in result.warnings:
        why = (("reason", warning.reason.value), ("phase", warning.phase or ""))
        yield "warn", "Degraded", (*why, ("err", warning.message))
    for sample in result.samples:
        yield "debug", "Measured", (("name", sample.name), ("value", sample.value), *sample.labels)
    for step in result.steps[:_STEP_LIMIT]:
        cause = step.cause
        told = (("step", step.probe), ("outcome", step.outcome.value))
        yield "info", "Step ended", (*told, ("err", cause.message if cause is not None else ""))


def runs_text(runs: Iterable[Run], address: Callable[[int], str]) -> Iterator[tuple[str, ...]]:
    """Yield what a page shows of each run: address of its account, module, target, verdict, time.

    Args:
        runs: in the order of the page.
        address: of the account of a run, by its number.
    """
    for run in runs:
        result = run.result
        yield (
            address(run.number),
            run.plan.source.name,
            result.target,
            "Success" if result.ok else "Failure",
            _stamp(result.started_at),
        )


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: object) -> str:
    text = printable(str(value))
    if text and not any(char in text for char in ' ="\\'):
        return text
    return json.dumps(text, ensure_ascii=False)
