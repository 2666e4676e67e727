"""A batch of Results as text, JSON, JUnit XML or Markdown; its verdict; one Result in full.

    batch ── verdict      exit code and one line why
          ├─ as_text      a table for a terminal, row by row with `text_row`
          ├─ as_json      everything, for programs
          ├─ as_junit     for CI systems
          └─ as_markdown  for job summaries and comments
    Result ─ describe     for ``sonde probe``

Pure: values in, text out. Knows neither how a Result came about nor where the text goes. Targets
write some of these texts, so every character that could steer a terminal, a parser or a page is
escaped here.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from html import escape
from typing import Any

from probes.result import Failure, Outcome, Result, Sample

# product.md, exit codes: the same everywhere.
PASS, FAILED, INCONCLUSIVE = 0, 1, 3
_WORDS = {PASS: "PASSED", FAILED: "FAILED", INCONCLUSIVE: "INCONCLUSIVE"}
# The one line why names this many probes; the table has all of them.
MAX_NAMED = 3
# Longer names would push the reason off an 80 column terminal.
MAX_NAME_COLUMN = 40
# The longest outcome, and the indent of a step.
_OUTCOME_COLUMN = 9
BAR_CHARACTERS = 30
JSON_VERSION = 1

# C0, DEL, C1: terminals obey them. Bidirectional and zero-width marks: they show another text than
# there is.
# Line separators, surrogates and non-characters: no place in XML 1.0 or UTF-8.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufffe\uffff]"
)
_COLOURS = {
    Outcome.UP: "\x1b[32m",
    Outcome.DEGRADED: "\x1b[33m",
    Outcome.DOWN: "\x1b[31m",
    Outcome.UNKNOWN: "\x1b[35m",
}
_PLAIN = "\x1b[0m"


def printable(text: str) -> str:
    """Return *text* on one line; what would not be shown as itself is written as its escape."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def is_unfinished(result: Result) -> bool:
    """Return whether the batch ended before this probe had run to its end."""
    return result.attempts == 0


def verdict(results: Sequence[Result], *, fail_on_degraded: bool = False) -> tuple[int, str]:
    """Return the exit code (0, 1 or 3) of a batch and one line that says why.

    A failed target outweighs the prober's own faults; an empty batch proves nothing: never green.
    """
    if not results:
        return INCONCLUSIVE, "want at least one probe, got none"
    bad = (Outcome.DOWN, Outcome.DEGRADED) if fail_on_degraded else (Outcome.DOWN,)
    failed = [result for result in results if result.outcome in bad]
    unknown = [result for result in results if result.outcome is Outcome.UNKNOWN]
    if failed:
        more = f"; {len(unknown)} more without a verdict" if unknown else ""
        return FAILED, f"{_share(failed, results)} failed: {_named(failed)}{more}"
    if unknown:
        return INCONCLUSIVE, f"{_share(unknown, results)} without a verdict: {_named(unknown)}"
    degraded = [result for result in results if result.outcome is Outcome.DEGRADED]
    passed = f"{_count(len(results))} passed"
    return PASS, f"{passed}, {len(degraded)} degraded: {_named(degraded)}" if degraded else passed


def totals(results: Sequence[Result]) -> dict[str, int]:
    """Return how many Results have each outcome, zeros included."""
    return {outcome.value: sum(r.outcome is outcome for r in results) for outcome in Outcome}


def _count(number: int) -> str:
    return f"{number} probe" if number == 1 else f"{number} probes"


def _share(some: Sequence[Result], results: Sequence[Result]) -> str:
    return f"{len(some)} of {_count(len(results))}"


def _named(results: Sequence[Result]) -> str:
    names = [
        f"{printable(r.probe)} ({r.cause.reason.value if r.cause else r.outcome.value})"
        for r in results
    ]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def why(result: Result) -> str:
    """Return reason, phase and message on one line; empty when up."""
    return _failure(result.cause) if result.cause else ""


def _failure(failure: Failure) -> str:
    phase = f" in {printable(failure.phase)}" if failure.phase else ""
    return f"{failure.reason.value}{phase}: {printable(failure.message)}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.3f} s"


def name_column(names: Sequence[str]) -> int:
    """Return the width of the column of names, for `text_head` and `text_row`."""
    return min(MAX_NAME_COLUMN, max((len(printable(name)) for name in names), default=0))


def text_head(width: int) -> str:
    """Return the head of the table; *width* is that of `name_column`."""
    return f"{'OUTCOME':<{_OUTCOME_COLUMN}} {'TIME':>10}  {'PROBE':<{max(width, 5)}}  WHY"


def text_row(result: Result, width: int, *, colour: bool = False) -> str:
    """Return one row of the table, so that a batch can be shown while it runs.

    Below it stands one for each of its steps that is not up.
    """
    rows = [_row(result, width, "", colour=colour)]
    steps = _failed_steps(result)
    inner = max(width, name_column([f"  {step.probe}" for step in steps]))
    rows += [_row(step, inner, " ", colour=colour) for step in steps]
    return "\n".join(rows)


def _row(result: Result, width: int, indent: str, *, colour: bool) -> str:
    outcome = f"{result.outcome.value:<{_OUTCOME_COLUMN - len(indent)}}"
    if colour:
        outcome = f"{_COLOURS[result.outcome]}{outcome}{_PLAIN}"
    took = "not run" if is_unfinished(result) else _time(result.seconds)
    name = f"{2 * indent}{printable(result.probe)}"
    return f"{indent}{outcome} {took:>10}  {name:<{max(width, 5)}}  {why(result)}".rstrip()


def _failed_steps(result: Result) -> list[Result]:
    return [step for step in result.steps if step.outcome is not Outcome.UP]


def text_end(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return totals, the probes that did not finish, and the verdict; *seconds*: of the batch."""
    took = "" if seconds is None else f" in {_time(seconds)}"
    counts = ", ".join(f"{number} {name}" for name, number in totals(results).items() if number)
    lines = [f"{_count(len(results))}{took}{': ' if counts else ''}{counts}"]
    if unfinished := [printable(result.probe) for result in results if is_unfinished(result)]:
        lines.append(f"not finished: {', '.join(unfinished)}")
    code, line = verdict(results, fail_on_degraded=fail_on_degraded)
    return "\n".join([*lines, f"{_WORDS[code]}: {line}"])


def as_text(
    results: Sequence[Result],
    *,
    seconds: float | None = None,
    fail_on_degraded: bool = False,
    colour: bool = False,
) -> str:
    """Return the whole table with its end; the last line is the verdict."""
    width = name_column([result.probe for result in results])
    rows = [text_row(result, width, colour=colour) for result in results]
    end = text_end(results, seconds=seconds, fail_on_degraded=fail_on_degraded)
    return "\n".join([text_head(width), *rows, "", end]) + "\n"


def as_json(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return the batch as one JSON object; numbers that JSON lacks (nan, inf) become null."""
    code, line = verdict(results, fail_on_degraded=fail_on_degraded)
    batch = {
        "version": JSON_VERSION,
        "exit_code": code,
        "why": line,
        "seconds": seconds,
        "totals": totals(results),
        "unfinished": [result.probe for result in results if is_unfinished(result)],
        "results": [result.as_dict() for result in results],
    }
    return json_text(batch)


def json_text(value: Any) -> str:
    """Return *value* as indented JSON in ASCII, strict: nan and inf become null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def as_junit(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return the batch as JUnit XML: down is a failure, unknown an error, degraded a note."""
    cases = [_junit_case(result, fail_on_degraded=fail_on_degraded) for result in results]
    failures = sum("<failure" in case for case in cases)
    errors = sum("<error" in case for case in cases)
    took = sum(result.seconds for result in results) if seconds is None else seconds
    counts = (
        f'tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="0" '
        f'time="{took:.3f}"'
    )
    started = min((result.started_at for result in results), default=None)
    stamp = f' timestamp="{started.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"' if started else ""
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="sonde" {counts}>',
            f'  <testsuite name="probes" {counts}{stamp}>',
            *cases,
            "  </testsuite>",
            "</testsuites>\n",
        ]
    )


def _junit_case(result: Result, *, fail_on_degraded: bool) -> str:
    named = f'classname="{_xml(result.kind)}" name="{_xml(result.probe)}"'
    lines = [f'    <testcase {named} time="{result.seconds:.3f}">']
    tags = {Outcome.DOWN: "failure", Outcome.UNKNOWN: "error"}
    if fail_on_degraded:
        tags[Outcome.DEGRADED] = "failure"
    if tag := tags.get(result.outcome):
        reason = result.cause.reason.value if result.cause else result.outcome.value
        message = _xml(result.cause.message) if result.cause else ""
        attributes = f'type="{reason}" message="{message}"'
        lines.append(f"      <{tag} {attributes}>{_xml(why(result))}</{tag}>")
    notes = [f"target: {printable(result.target)}"]
    notes += [f"warning: {_failure(warning)}" for warning in result.warnings]
    notes += [f"{printable(name)}: {printable(text)}" for name, text in result.facts.items()]
    notes += [f"step {_step_line(step)}" for step in result.steps]
    lines.append("      <system-out>" + escape("\n".join(notes)) + "</system-out>")
    return "\n".join([*lines, "    </testcase>"])


def _step_line(step: Result) -> str:
    cause = f": {why(step)}" if step.cause else ""
    return f"{printable(step.probe)}: {step.outcome.value} in {_time(step.seconds)}{cause}"


def _xml(text: str) -> str:
    return escape(printable(text))


def as_markdown(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return the batch as a GitHub-flavoured table; what came from outside is in code spans."""
    code, line = verdict(results, fail_on_degraded=fail_on_degraded)
    took = "" if seconds is None else f" in {_time(seconds)}"
    counts = ", ".join(f"{number} {name}" for name, number in totals(results).items() if number)
    lines = [f"### sonde: {_WORDS[code]}", "", _code(line), ""]
    if results:
        lines += [f"{_count(len(results))}{took}: {counts}", ""]
        lines += ["| Outcome | Time | Probe | Why |", "| --- | ---: | --- | --- |"]
    for result in results:
        lines.append(_markdown_row(result, _cell(result.probe)))
        lines += [
            _markdown_row(step, f"{_cell(result.probe)}: {_cell(step.probe)}")
            for step in _failed_steps(result)
        ]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_row(result: Result, name: str) -> str:
    time = "not run" if is_unfinished(result) else _time(result.seconds)
    cells = f"| {result.outcome.value} | {time} | {name} |"
    return f"{cells} {_cell(why(result))} |" if result.cause else f"{cells} |"


def _code(text: str) -> str:
    # a backtick would end the span
    return "`" + printable(text).replace("`", "'") + "`"


def _cell(text: str) -> str:
    # a table splits at every | even inside a code span
    return _code(text).replace("|", "\\|")


def describe(result: Result, *, colour: bool = False) -> str:
    """Return everything about one Result, for people."""
    outcome = result.outcome.value
    if colour:
        outcome = f"{_COLOURS[result.outcome]}{outcome}{_PLAIN}"
    attempts = f" in {result.attempts} attempts" if result.attempts > 1 else ""
    about = {
        "kind": result.kind,
        "target": result.target,
        "started": f"{result.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "took": f"{_time(result.seconds)}{attempts}",
    }
    blocks = [[f"{printable(result.probe)}: {outcome}"]]
    if result.failure:
        blocks[0].append(f"  {_failure(result.failure)}")
    blocks[0] += [f"  warning: {_failure(warning)}" for warning in result.warnings]
    blocks.append(_pairs(about))
    blocks += [["phases", *_bars(result)]] if result.phases else []
    blocks += [["facts", *_pairs(result.facts)]] if result.facts else []
    blocks += (
        [["samples", *(f"  {_sample(sample)}" for sample in result.samples)]]
        if result.samples
        else []
    )
    if result.steps:
        width = name_column([step.probe for step in result.steps])
        blocks.append(
            ["steps", *(f"  {_row(step, width, '', colour=colour)}" for step in result.steps)]
        )
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _pairs(pairs: Mapping[str, str]) -> list[str]:
    width = max(map(len, map(printable, pairs)))
    return [f"  {printable(name):<{width}}  {printable(text)}" for name, text in pairs.items()]


def _bars(result: Result) -> list[str]:
    width = max(len(printable(phase.name)) for phase in result.phases)
    whole = max(sum(phase.seconds for phase in result.phases), result.seconds, 1e-9)
    lines = []
    for phase in result.phases:
        bar = "#" * max(1, round(BAR_CHARACTERS * phase.seconds / whole))
        note = "" if phase.complete else "  broke off here"
        lines.append(f"  {printable(phase.name):<{width}} {_time(phase.seconds):>10}  {bar}{note}")
    return lines


def _sample(sample: Sample) -> str:
    labels = ",".join(
        f"{name}={json.dumps(printable(value), ensure_ascii=False)}"
        for name, value in sample.labels
    )
    value = f"{sample.value:.15g}"
    return f"{sample.name}{{{labels}}} {value}" if labels else f"{sample.name} {value}"
