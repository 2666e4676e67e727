"""A batch of Results as GitHub-flavoured Markdown, for job summaries and comments.

Pure. What came from outside stands in code spans.
"""

from collections.abc import Sequence
from html import escape

from probes.report import (
    WORDS,
    count,
    is_play,
    is_skipped,
    is_unfinished,
    printable,
    span,
    state,
    steps_to_tell,
    totals,
    verdict,
    why,
)
from probes.result import Result


def as_markdown(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return the batch as a GitHub-flavoured table; what came from outside is in code spans."""
    code, line = verdict(results, fail_on_degraded=fail_on_degraded)
    took = "" if seconds is None else f" in {span(seconds)}"
    counts = ", ".join(f"{number} {name}" for name, number in totals(results).items() if number)
    lines = [f"### sonde: {WORDS[code]}", "", in_code(line), ""]
    if results:
        lines += [f"{count(len(results))}{took}: {counts}", ""]
        lines += ["| Outcome | Time | Probe | Why |", "| --- | ---: | --- | --- |"]
    for result in results:
        lines.append(_row(result, in_cell(result.probe)))
        lines += [
            _row(step, f"{in_cell(result.probe)}: {in_cell(step.probe)}")
            for step in steps_to_tell(result)
        ]
    for result in filter(is_play, results):
        if why(result):
            lines += ["", *_details(result)]
    return "\n".join(lines).rstrip() + "\n"


def _details(result: Result) -> list[str]:
    """Return every step of a play, folded."""
    lines = [f"<details><summary>Steps of {escape(printable(result.probe))}</summary>", ""]
    lines += ["| State | Time | Step | Why |", "| --- | ---: | --- | --- |"]
    for step in result.steps:
        took = "" if is_skipped(step) else span(step.seconds)
        cells = f"| {state(step)} | {took} | {in_cell(step.probe)} |"
        lines.append(f"{cells} {in_cell(why(step))} |" if step.cause else f"{cells} |")
    return [*lines, "", "</details>"]


def _row(result: Result, name: str) -> str:
    time = "not run" if is_unfinished(result) else span(result.seconds)
    cells = f"| {result.outcome.value} | {time} | {name} |"
    return f"{cells} {in_cell(why(result))} |" if result.cause else f"{cells} |"


def in_code(text: str) -> str:
    """Return *text* as a code span, in which nothing else has a meaning."""
    # a backtick would end the span
    return "`" + printable(text).replace("`", "'") + "`"


def in_cell(text: str) -> str:
    """Return *text* as a code span that a table does not split."""
    # a table splits at every | even inside a code span
    return in_code(text).replace("|", "\\|")
