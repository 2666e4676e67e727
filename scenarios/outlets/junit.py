"""A LoadReport as JUnit XML, for CI systems.

    testsuites ── load shop-evening               verdict: one case
               ├─ load shop-evening thresholds    a case for each
               └─ load shop-evening steps         a case for each

A breach is a failure; no data, a run that proves nothing and one that was refused or aborted are
errors. A threshold of level ``warn`` fails nothing, it is a note. A step fails where a threshold
that was broken names it. Pure: `probes.junit` writes.
"""

import json
from collections.abc import Callable, Iterator, Sequence

from probes.junit import Case, Suite, document, xml
from probes.redact import redact_shapes
from scenarios.outlets import words
from scenarios.outlets.cleaning import Hide, cleaned
from scenarios.outlets.figures import StepRow, steps
from scenarios.report import Judged, LoadReport, Verdict

_TAGS = {
    Verdict.PASS: "",
    Verdict.FAIL: "failure",
    Verdict.ABORTED: "failure",
    Verdict.INCONCLUSIVE: "error",
    Verdict.REFUSED: "error",
}


def to_junit(report: LoadReport, hide: Hide = redact_shapes) -> str:
    """Return the report as JUnit XML."""
    clean = cleaned(report, hide)
    name = f"load {clean.scenario}"
    at, took = clean.started_at, clean.seconds
    suites = [Suite(name, [_verdict(clean)], took, at, _notes(clean))]
    for words_, cases in (("thresholds", _thresholds(clean)), ("steps", _steps(clean))):
        if found := list(cases):
            suites.append(Suite(f"{name} {words_}", found, took, at))
    return document(suites, took)


def _verdict(report: LoadReport) -> Case:
    tag = _TAGS[report.verdict]
    if report.verdict is Verdict.ABORTED and report.exit_code != 1:
        tag = "error"  # by a signal: nobody judged the target
    told = [f"{it.verdict.value} {it.code}: {it.text}" for it in report.reasons]
    code = report.reasons[0].code if report.reasons else report.verdict.value
    return _case(f"load.{report.scenario}", "verdict", report.seconds, tag, code, told)


def _thresholds(report: LoadReport) -> Iterator[Case]:
    for name, judged in _unique(report.thresholds, lambda it: it.expr):
        fails = judged.level == "fail" and judged.result != "ok"
        tag = ("error" if judged.result == "no_data" else "failure") if fails else ""
        got = words.value(judged.value, judged.unit)
        line = f"{words.result(judged)}: want {judged.expr}, got {got}"
        yield _case(f"load.{report.scenario}.thresholds", name, 0.0, tag, judged.result, [line])


def _steps(report: LoadReport) -> Iterator[Case]:
    broken = [it for it in report.thresholds if it.level == "fail" and it.result == "breach"]
    for row in steps(report):
        named = f"step={json.dumps(row.step, ensure_ascii=False)}"
        told = [f"breach: want {it.expr}" for it in broken if named in it.expr]
        tag = "failure" if told else ""
        yield _case(
            f"load.{report.scenario}.steps.{row.journey}",
            row.step,
            row.duration.mean,
            tag,
            "breach",
            [*told, *_numbers(row)],
        )


def _numbers(row: StepRow) -> Iterator[str]:
    yield (
        f"{words.plural(row.requests, 'request')}, {row.failed} failed, "
        f"{row.unknown} without a verdict"
    )
    if row.duration.count:
        quantiles = ((f"p{it}", row.duration.quantile(it / 100)) for it in (50, 90, 95, 99))
        told = ", ".join(f"{name} {words.delay(took)}" for name, took in quantiles)
        yield f"{told}, max {words.delay(row.duration.greatest / 1e6)}"
    if row.reasons:
        yield ", ".join(f"{reason}: {number}" for reason, number in sorted(row.reasons.items()))


def _case(
    classname: str, name: str, seconds: float, tag: str, kind: str, told: Sequence[str]
) -> Case:
    lines = [f'    <testcase classname="{xml(classname)}" name="{xml(name)}" time="{seconds:.3f}">']
    text = "\n".join(map(xml, told))
    if tag:
        message = xml(told[0]) if told else ""
        lines.append(f'      <{tag} type="{xml(kind)}" message="{message}">{text}</{tag}>')
    elif text:
        lines.append(f"      <system-out>{text}</system-out>")
    return Case((*lines, "    </testcase>"), tag)


def _unique(items: Sequence[Judged], name: Callable[[Judged], str]) -> Iterator[tuple[str, Judged]]:
    """Yield each with a name of its own: a parser keeps one of two cases that share theirs."""
    seen: dict[str, int] = {}
    for it in items:
        number = seen[name(it)] = seen.get(name(it), 0) + 1
        yield (name(it) if number == 1 else f"{name(it)} ({number})"), it


def _notes(report: LoadReport) -> str:
    lines = [f"target: {report.target}", f"run: {report.run_id}"]
    lines += [f"note: {note}" for note in report.notes]
    lines += [
        f"shard {it.shard}: {it.state} {it.why}".rstrip()
        for it in report.generators
        if it.state != "final"
    ]
    return "\n".join(lines)
