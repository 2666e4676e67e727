"""A batch of Results as text or JSON; its verdict; one Result in full.

    batch ── verdict      exit code and one line why
          ├─ as_text      a table for a terminal, row by row with `text_row`
          └─ as_json      everything, for programs
    Result ─ describe     for ``sonde probe``

`probes.junit` and `probes.markdown` tell the same to CI systems, in the words of this module.

Pure: values in, text out. Knows neither how a Result came about nor where the text goes. Targets
write some of these texts, so every character that could steer a terminal, a parser or a page is
escaped here.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from probes.result import Failure, Outcome, Result, Sample

# product.md, exit codes: the same everywhere.
PASS, FAILED, INCONCLUSIVE = 0, 1, 3
WORDS = {PASS: "PASSED", FAILED: "FAILED", INCONCLUSIVE: "INCONCLUSIVE"}
# The one line why names this many probes; the table has all of them.
MAX_NAMED = 3
# Longer names would push the reason off an 80 column terminal.
MAX_NAME_COLUMN = 40
# The longest outcome, and the indent of a step.
_OUTCOME_COLUMN = 9
BAR_CHARACTERS = 30
PLAYS = frozenset({"journey", "browser"})
"""Kinds that play steps."""
_STATES = {
    Outcome.UP: "ok",
    Outcome.DEGRADED: "warned",
    Outcome.DOWN: "failed",
    Outcome.UNKNOWN: "unknown",
}
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
    passed = f"{count(len(results))} passed"
    return PASS, f"{passed}, {len(degraded)} degraded: {_named(degraded)}" if degraded else passed


def totals(results: Sequence[Result]) -> dict[str, int]:
    """Return how many Results have each outcome, zeros included."""
    return {outcome.value: sum(r.outcome is outcome for r in results) for outcome in Outcome}


def count(number: int) -> str:
    """Return a number of probes."""
    return f"{number} probe" if number == 1 else f"{number} probes"


def _share(some: Sequence[Result], results: Sequence[Result]) -> str:
    return f"{len(some)} of {count(len(results))}"


def _named(results: Sequence[Result]) -> str:
    names = [
        f"{printable(r.probe)} ({r.cause.reason.value if r.cause else r.outcome.value})"
        for r in results
    ]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def why(result: Result) -> str:
    """Return reason, phase and message on one line; empty when up."""
    return reason_line(result.cause) if result.cause else ""


def reason_line(failure: Failure) -> str:
    """Return reason, phase and message on one line."""
    phase = f" in {printable(failure.phase)}" if failure.phase else ""
    return f"{failure.reason.value}{phase}: {printable(failure.message)}"


def span(seconds: float) -> str:
    """Return a duration for people."""
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
    steps = steps_to_tell(result)
    inner = max(width, name_column([f"  {step.probe}" for step in steps]))
    rows += [_row(step, inner, " ", colour=colour) for step in steps]
    return "\n".join(rows)


def _row(result: Result, width: int, indent: str, *, colour: bool) -> str:
    outcome = f"{result.outcome.value:<{_OUTCOME_COLUMN - len(indent)}}"
    if colour:
        outcome = f"{_COLOURS[result.outcome]}{outcome}{_PLAIN}"
    took = "not run" if is_unfinished(result) else span(result.seconds)
    name = f"{2 * indent}{printable(result.probe)}"
    return f"{indent}{outcome} {took:>10}  {name:<{max(width, 5)}}  {why(result)}".rstrip()


def steps_to_tell(result: Result) -> list[Result]:
    """Return the steps that are not up; those that were not reached tell nothing."""
    return [s for s in result.steps if s.outcome is not Outcome.UP and not is_skipped(s)]


def is_play(result: Result) -> bool:
    """Return whether its steps follow one another; those of a group stand side by side."""
    return result.kind in PLAYS and bool(result.steps)


def is_skipped(step: Result) -> bool:
    """Return whether a step was not played, which is nobody's fault."""
    return is_unfinished(step) and step.cause is None


def state(step: Result) -> str:
    """Return how a step of a play ended, in one word."""
    if is_skipped(step):
        return "skipped"
    return _STATES[step.outcome]


def evidence(step: Result) -> list[str]:
    """Return the facts of a step as indented lines: a fact may have several."""
    lines: list[str] = []
    for name, text in step.facts.items():
        first, *more = text.split("\n")
        if more:
            lines += [
                f"  {printable(name)}",
                *(f"    {printable(line)}" for line in (first, *more)),
            ]
        else:
            lines.append(f"  {printable(name)}: {printable(first)}")
    return lines


def text_end(
    results: Sequence[Result], *, seconds: float | None = None, fail_on_degraded: bool = False
) -> str:
    """Return totals, the probes that did not finish, and the verdict; *seconds*: of the batch."""
    took = "" if seconds is None else f" in {span(seconds)}"
    counts = ", ".join(f"{number} {name}" for name, number in totals(results).items() if number)
    lines = [f"{count(len(results))}{took}{': ' if counts else ''}{counts}"]
    if unfinished := [printable(result.probe) for result in results if is_unfinished(result)]:
        lines.append(f"not finished: {', '.join(unfinished)}")
    code, line = verdict(results, fail_on_degraded=fail_on_degraded)
    return "\n".join([*lines, f"{WORDS[code]}: {line}"])


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
        "took": f"{span(result.seconds)}{attempts}",
    }
    blocks = [[f"{printable(result.probe)}: {outcome}"]]
    if result.failure:
        blocks[0].append(f"  {reason_line(result.failure)}")
    blocks[0] += [f"  warning: {reason_line(warning)}" for warning in result.warnings]
    blocks.append(_pairs(about))
    blocks += [["phases", *_bars(result)]] if result.phases else []
    blocks += [["facts", *_pairs(result.facts)]] if result.facts else []
    blocks += (
        [["samples", *(f"  {_sample(sample)}" for sample in result.samples)]]
        if result.samples
        else []
    )
    if result.steps:
        blocks += _steps(result, colour=colour)
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _steps(result: Result, *, colour: bool) -> list[list[str]]:
    """Return a table of the steps and, of each failed one of a play, the evidence."""
    width = name_column([step.probe for step in result.steps])
    if not is_play(result):
        return [["steps", *(f"  {_row(s, width, '', colour=colour)}" for s in result.steps)]]
    table = [f"  {_play_row(step, width, colour=colour)}" for step in result.steps]
    failed = [step for step in result.steps if step.failure is not None and step.facts]
    proof = [[f"evidence of step {printable(s.probe)}", *evidence(s)] for s in failed]
    return [["steps", *table], *proof]


def _play_row(step: Result, width: int, *, colour: bool) -> str:
    word = f"{state(step):<{_OUTCOME_COLUMN}}"
    if colour and not is_skipped(step):
        word = f"{_COLOURS[step.outcome]}{word}{_PLAIN}"
    took = "" if is_skipped(step) else span(step.seconds)
    return f"{word} {took:>10}  {printable(step.probe):<{width}}  {why(step)}".rstrip()


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
        lines.append(f"  {printable(phase.name):<{width}} {span(phase.seconds):>10}  {bar}{note}")
    return lines


def _sample(sample: Sample) -> str:
    labels = ",".join(
        f"{name}={json.dumps(printable(value), ensure_ascii=False)}"
        for name, value in sample.labels
    )
    value = f"{sample.value:.15g}"
    return f"{sample.name}{{{labels}}} {value}" if labels else f"{sample.name} {value}"
