"""Thresholds as rules of a run: written ones, and those that hold though nobody wrote them.

    Rule       threshold, level, abort, window, after, for
    judge      a rule and all measured samples -> Judged
    why_of     Judged -> what it means for the verdict, in a sentence

Pure. Knows no clock: what is judged while the run goes on is `scenarios.judging.watch`'s.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from probes.units import format_size
from scenarios.book import Book, Key
from scenarios.config.settings import ThresholdKeys
from scenarios.judging.figures import (
    COMPARE,
    Figure,
    Windows,
    figure_of,
    fits,
    is_met,
    throughput,
    value_of,
)
from scenarios.plan import Model
from scenarios.report import Judged, Level, Outcome, Verdict, Why
from scenarios.thresholds import PROMQL, THROUGHPUT, Threshold, Unit, parse

THRESHOLD = "threshold"
NO_DATA = "no_data"
WARNING = "warning"
DROPPED = "iteration.dropped"
SETUP_FAILED = "setup.failed"


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold, and what it does.

    Args:
        threshold: what is compared.
        level: of a breach.
        abort: it ends the run.
        window_s: while the run goes on it looks at so many seconds; None: at all of it so far.
        after_s: from the start it is not judged for so long.
        times: breaches in a row that count.
        is_implicit: nobody wrote it.
    """

    threshold: Threshold
    level: Level = "fail"
    abort: bool = False
    window_s: float | None = None
    after_s: float = 0.0
    times: int = 1
    is_implicit: bool = False


def rules_of(written: Iterable[ThresholdKeys]) -> tuple[Rule, ...]:
    """Return the thresholds of a scenario.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(
        Rule(
            parse(keys.expr),
            keys.level,
            keys.abort,
            keys.window,
            keys.after or 0.0,
            keys.for_,
        )
        for keys in written
    )


def implicit(rules: Iterable[Rule], model: Model, book: Book) -> tuple[Rule, ...]:
    """Return the rules that hold unless the scenario names their metric itself (load.md 10.1).

    What it says of one journey alone leaves the others to them.
    """
    named = [rule.threshold for rule in rules]
    found: list[str] = []
    if model == "open":
        if all(it.metric != DROPPED for it in named):
            found.append(f"count({DROPPED}) == 0")
        else:
            found += [f"count({it}) == 0" for it in _unnamed(DROPPED, named, book)]
    # of each journey: the users of one may not hide behind those of another
    found += [f"rate({it}) < 100%" for it in _unnamed(SETUP_FAILED, named, book)]
    return tuple(Rule(parse(text), is_implicit=True) for text in found)


def _unnamed(metric: str, named: Iterable[Threshold], book: Book) -> Iterator[str]:
    """Yield *metric* of each journey that has some and of which no threshold speaks."""
    spoken = [[label for label in it.labels if label.name == "journey"]
              for it in named if it.metric == metric]  # fmt: skip
    for journey in sorted({key.journey for key in book.numbers if key.metric == metric}):
        if not any(fits(Key(metric, journey), labels) for labels in spoken):
            yield f"{metric}{{journey={json.dumps(journey)}}}"


def judge(rule: Rule, book: Book, windows: Windows, ended_s: float) -> Judged:
    """Hold *rule* against all measured samples of a run that took *ended_s*."""
    threshold = rule.threshold
    if threshold.metric == THROUGHPUT:
        return judge_value(rule, throughput(threshold, windows.rates(ended_s)))
    return judge_figure(rule, figure_of(threshold, book))


def judge_figure(rule: Rule, figure: Figure) -> Judged:
    """Hold *rule* against what was seen of it."""
    return _judged(rule, figure, value_of(rule.threshold, figure))


def judge_value(rule: Rule, value: float | None) -> Judged:
    """Hold *rule* against a value that somebody else found; None and NaN: no data."""
    return _judged(rule, Figure(), value)


def judge_all(
    rules: Iterable[Rule],
    book: Book,
    windows: Windows,
    ended_s: float,
    elsewhere: Mapping[str, Judged | float | None] | None = None,
) -> tuple[Judged, ...]:
    """Hold all rules against a run.

    Args:
        rules: the implicit ones last.
        book: all that was counted.
        windows: of the throughput.
        ended_s: how long the run took.
        elsewhere: normal form -> what Prometheus said, or what ended the run: that stands,
            however the samples look that came after it.
    """
    known = elsewhere or {}
    found: list[Judged] = []
    for rule in rules:
        other = known.get(rule.threshold.expr)
        if isinstance(other, Judged) and rule.abort:
            found.append(replace(other, level=rule.level))
        elif rule.threshold.asks_prometheus:
            value = other.value if isinstance(other, Judged) else other
            found.append(judge_value(rule, value))
        else:
            found.append(judge(rule, book, windows, ended_s))
    return tuple(found)


def why_of(judged: Judged, book: Book | None = None) -> Why | None:
    """Return what *judged* means for the verdict; None: nothing."""
    if judged.result == "ok":
        return None
    text = _told(judged, book)
    if judged.aborted:
        return Why(Verdict.ABORTED, THRESHOLD, text)
    if judged.level == "warn":
        return Why(Verdict.PASS, WARNING, text)
    if judged.result == "breach":
        return Why(Verdict.FAIL, THRESHOLD, text)
    return Why(Verdict.INCONCLUSIVE, NO_DATA, text)


def in_words(value: float, unit: Unit | str) -> str:
    """Write a value with its unit, for people."""
    match unit:
        case "s":
            return f"{_rounded(value * 1000)}ms" if abs(value) < 1 else f"{_rounded(value)}s"
        case "B" if value == int(value):
            return format_size(int(value))
        case _:
            return f"{_rounded(value)}{unit}"


def _judged(rule: Rule, figure: Figure, value: float | None) -> Judged:
    threshold = rule.threshold
    result: Outcome = "no_data"
    if value is not None and not math.isfinite(value):
        value = None
    if value is not None:
        has_trend = bool(figure.trend.count)
        met = (
            is_met(threshold, figure, value)
            if has_trend
            else COMPARE[threshold.op](value, threshold.limit)
        )
        result = "ok" if met else "breach"
    return Judged(
        expr=threshold.expr,
        level=rule.level,
        value=value,
        limit=threshold.limit,
        unit=threshold.unit,
        result=result,
        is_implicit=rule.is_implicit,
    )


def _told(judged: Judged, book: Book | None) -> str:
    if judged.value is None:
        asked = "no answer" if judged.expr.startswith(PROMQL) else "no samples"
        return f"want {judged.expr}, got {asked}"
    seen = in_words(judged.value, judged.unit)
    if judged.value != judged.limit and seen == in_words(judged.limit, judged.unit):
        # "want < 400ms, got 400ms" for 400.03 would look like a mistake of ours
        seen += f" ({judged.value:.9g}{judged.unit})"
    text = f"want {judged.expr}, got {seen}"
    if judged.is_implicit and SETUP_FAILED in judged.expr and book is not None:
        labels = parse(judged.expr).labels
        failed = [it for it in book.numbers if it.metric == SETUP_FAILED and fits(it, labels)]
        steps = sorted({key.step for key in failed if key.step})
        text += f": the set-up failed at {', '.join(map(repr, steps))}" if steps else ""
    return text


def _rounded(value: float) -> str:
    """Four digits that count: a person reads them."""
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e+" in text else text
