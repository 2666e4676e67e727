"""A batch of Results as JUnit XML, for CI systems.

    testsuites ── probes              a case for each probe
               └─ journey checkout    a case for each step of a play, in order

Pure. Down is a failure, unknown an error, degraded a note; what was not played is skipped. Every
text is escaped. `document` writes suites of other origin too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from probes.report import (
    evidence,
    is_play,
    is_skipped,
    printable,
    reason_line,
    span,
    why,
)
from probes.result import Outcome, Result


@dataclass(frozen=True, slots=True)
class Case:
    """One test case.

    Args:
        lines: of XML.
        tag: failure, error, skipped or empty.
    """

    lines: tuple[str, ...]
    tag: str


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases that belong together.

    Args:
        name: as it is; it is escaped when it is written.
        cases: in order.
        seconds: it took.
        started_at: None: nothing has begun.
        notes: text, several lines; each of them printable.
    """

    name: str
    cases: Sequence[Case]
    seconds: float
    started_at: datetime | None = None
    notes: str = ""


def as_junit(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return the batch as JUnit XML."""
    plain = [result for result in results if not is_play(result)]
    cases = [_case(result, fail_on_degraded=fail_on_degraded) for result in plain]
    took = sum(result.seconds for result in plain) if seconds is None else seconds
    suites = [Suite("probes", cases, took, _begin(plain))] if plain or not results else []
    for result in filter(is_play, results):
        found = list(_cases_of_play(result, fail_on_degraded=fail_on_degraded))
        name = f"{result.kind} {result.probe}"
        suites.append(Suite(name, found, result.seconds, result.started_at, _notes(result)))
    took = sum(result.seconds for result in results) if seconds is None else seconds
    return document(suites, took)


def _begin(results: Sequence[Result]) -> datetime | None:
    return min((result.started_at for result in results), default=None)


def document(suites: Sequence[Suite], seconds: float) -> str:
    """Return suites as JUnit XML; *seconds*: of all of them."""
    every = [case for suite in suites for case in suite.cases]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="sonde" {_counts(every, seconds)}>',
    ]
    for suite in suites:
        at = suite.started_at
        stamp = f' timestamp="{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"' if at else ""
        counts = _counts(suite.cases, suite.seconds)
        lines.append(f'  <testsuite name="{xml(suite.name)}" {counts}{stamp}>')
        lines += [line for case in suite.cases for line in case.lines]
        lines += [f"    <system-out>{escape(suite.notes)}</system-out>"] if suite.notes else []
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>\n"])


def _counts(cases: Sequence[Case], seconds: float) -> str:
    number = {tag: sum(case.tag == tag for case in cases) for tag in _TAGS}
    return (
        f'tests="{len(cases)}" failures="{number["failure"]}" errors="{number["error"]}" '
        f'skipped="{number["skipped"]}" time="{seconds:.3f}"'
    )


_TAGS = ("failure", "error", "skipped")


def _tag(outcome: Outcome, *, fail_on_degraded: bool) -> str:
    if outcome is Outcome.DEGRADED:
        return "failure" if fail_on_degraded else ""
    return {Outcome.DOWN: "failure", Outcome.UNKNOWN: "error"}.get(outcome, "")


def _case(result: Result, *, fail_on_degraded: bool) -> Case:
    """Return the case of a probe."""
    tag = _tag(result.outcome, fail_on_degraded=fail_on_degraded)
    named = f'classname="{xml(result.kind)}" name="{xml(result.probe)}"'
    lines = [f'    <testcase {named} time="{result.seconds:.3f}">']
    if tag:
        lines.append(_verdict(result, tag, ""))
    lines.append(f"      <system-out>{escape(_notes(result))}</system-out>")
    return Case((*lines, "    </testcase>"), tag)


def _verdict(result: Result, tag: str, more: str) -> str:
    reason = result.cause.reason.value if result.cause else result.outcome.value
    message = xml(result.cause.message) if result.cause else ""
    attributes = f'type="{reason}" message="{message}"'
    return f"      <{tag} {attributes}>{xml(why(result))}{more}</{tag}>"


def _notes(result: Result) -> str:
    notes = [f"target: {printable(result.target)}"]
    notes += [f"warning: {reason_line(warning)}" for warning in result.warnings]
    notes += [f"{printable(name)}: {printable(text)}" for name, text in result.facts.items()]
    if not is_play(result):
        notes += [f"step {_step_line(step)}" for step in result.steps]
    return "\n".join(notes)


def _step_line(step: Result) -> str:
    cause = f": {why(step)}" if step.cause else ""
    return f"{printable(step.probe)}: {step.outcome.value} in {span(step.seconds)}{cause}"


def _cases_of_play(result: Result, *, fail_on_degraded: bool) -> Iterator[Case]:
    """Yield a case for each step, and one for the run itself where no step tells why it failed."""
    wanted = _tag(result.outcome, fail_on_degraded=fail_on_degraded)
    seen = set[str]()
    for step in result.steps:
        case = _case_of_step(result, step, wanted, fail_on_degraded=fail_on_degraded)
        seen.add(case.tag)
        yield case
    if wanted and seen.isdisjoint(("failure", "error")):
        yield _case(result, fail_on_degraded=fail_on_degraded)


def _case_of_step(result: Result, step: Result, wanted: str, *, fail_on_degraded: bool) -> Case:
    tag = "skipped" if is_skipped(step) else _tag(step.outcome, fail_on_degraded=fail_on_degraded)
    # what does not fail the run, such as a clean-up, does not fail its gate
    told = "" if tag != "skipped" and not wanted else tag
    named = f'classname="{xml(result.kind)}.{xml(result.probe)}" name="{xml(step.probe)}"'
    lines = [f'    <testcase {named} time="{step.seconds:.3f}">']
    if told == "skipped":
        lines.append("      <skipped/>")
    elif told:
        proof = "".join(f"\n{escape(line)}" for line in evidence(step))
        lines.append(_verdict(step, told, proof))
    elif step.cause is not None:
        lines.append(f"      <system-out>{xml(why(step))}</system-out>")
    return Case((*lines, "    </testcase>"), told)


def xml(text: str) -> str:
    """Return *text* as it may stand in an element or between double quotes."""
    return escape(printable(text))
