"""This run beside earlier ones: which statistics have become worse, and whether that counts.

A regression is worse relatively AND absolutely: five equal runs gave p95 of 1.06, 1.19, 1.30, 1.60
and 3.12 ms (load.md 10.2), so a share alone would flap. Pure. Knows no file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scenarios.book import Book
from scenarios.config.settings import BaselineKeys, RegressionKeys
from scenarios.judging.baseline import Found, Past
from scenarios.judging.figures import figure_of, throughput, value_of
from scenarios.judging.rules import NO_DATA, in_words
from scenarios.report import Compared, Comparison, Verdict, Why
from scenarios.thresholds import THROUGHPUT, Threshold, parse_amount, parse_stat

REGRESSION = "regression"
BASELINE = "baseline"
_EVENTS = (".failed", ".dropped", ".interrupted")
# Shown beside those that are judged.
SHOWN = (
    "p50(request.duration)",
    "p95(request.duration)",
    "p99(request.duration)",
    "p95(iteration.latency)",
    "rate(request.failed)",
    "avg(throughput)",
)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a comparison came to.

    Args:
        comparison: for the report.
        whys: what it means for the verdict.
        notes: warnings that decide nothing.
    """

    comparison: Comparison
    whys: tuple[Why, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Tolerance:
    """How much worse counts: relatively, and absolutely in the unit of the statistic."""

    worse_by: float | None = None
    and_at_least: float | None = None


def compare(
    keys: BaselineKeys, found: Found, book: Book, rates: Sequence[Mapping[str, float]]
) -> Beside:
    """Hold this run against *found*.

    Args:
        keys: of the scenario.
        found: earlier runs.
        book: of this one.
        rates: of this one, see `Windows.rates`.
    """
    if not found.pasts:
        return _without(keys, found)
    every = (
        _compared(stat, tolerance, found.pasts, (book, rates))
        for stat, tolerance in _wanted(keys.fail_on)
    )
    # a closed run has no latency to show
    stats = tuple(it for it in every if it.worse_by is not None or it.value or it.before)
    run_ids = ", ".join(past.run_id for past in found.pasts)
    return Beside(
        Comparison(keys.compare_to, run_ids, stats=stats),
        tuple(why for it in stats if (why := _why_of(it)) is not None),
        tuple(f"baseline: {note}" for note in (*found.notes, *_unheld(stats))),
    )


def _unheld(stats: Iterable[Compared]) -> Iterator[str]:
    """Yield what was to be held against the baseline, which knows nothing of it."""
    for it in stats:
        if it.worse_by is not None and it.before is None:
            yield f"want {it.stat} of it to compare with, got no samples"


def tolerance_of(keys: RegressionKeys) -> tuple[Threshold, _Tolerance]:
    """Return what is compared, and from when on it is worse.

    Raises:
        ValueError: the statistic is none, or the unit does not fit.
    """
    stat = parse_stat(keys.stat)
    least = None if keys.and_at_least is None else parse_amount(keys.and_at_least, stat.unit)
    return stat, _Tolerance(keys.worse_by, least)


def _without(keys: BaselineKeys, found: Found) -> Beside:
    comparison = Comparison(keys.compare_to, missing=found.missing)
    text = f"want the baseline {keys.compare_to}, got none: {found.missing}"
    if keys.missing == "fail":
        return Beside(comparison, (Why(Verdict.FAIL, BASELINE, text),))
    return Beside(comparison, notes=(text,) if keys.missing == "warn" else ())


def _wanted(fail_on: Iterable[RegressionKeys]) -> list[tuple[Threshold, _Tolerance]]:
    judged = [tolerance_of(keys) for keys in fail_on]
    known = {stat.stat for stat, _ in judged}
    shown = (parse_stat(text) for text in SHOWN)
    return judged + [(stat, _Tolerance()) for stat in shown if stat.stat not in known]


def _compared(
    stat: Threshold,
    tolerance: _Tolerance,
    pasts: Iterable[Past],
    now: tuple[Book, Sequence[Mapping[str, float]]],
) -> Compared:
    value = _value(stat, *now)
    earlier = [it for past in pasts if (it := _value(stat, past.book, past.rates)) is not None]
    before = median(earlier) if earlier else None
    ratio, worse = None, False
    if value is not None and before is not None:
        by = before - value if _is_work(stat) else value - before
        ratio = by / before if before else None
        worse = by > (tolerance.and_at_least or 0.0) and (
            ratio is None or ratio > (tolerance.worse_by or 0.0)
        )
    return Compared(
        stat=stat.stat,
        value=value,
        before=before,
        unit=stat.unit,
        ratio=ratio,
        is_regression=worse and tolerance.worse_by is not None,
        worse_by=tolerance.worse_by,
        and_at_least=tolerance.and_at_least,
    )


def _is_work(stat: Threshold) -> bool:
    """Tell whether more of it is better: what was got through, unlike what went wrong or slowly."""
    is_done = stat.aggregate == "count" and not stat.metric.endswith(_EVENTS)
    return stat.metric == THROUGHPUT or is_done


def _value(stat: Threshold, book: Book, rates: Sequence[Mapping[str, float]]) -> float | None:
    if stat.metric == THROUGHPUT:
        # a result.json says of several journeys together how many came through
        is_one = stat.labels and any("" in them for them in rates)
        return None if is_one else throughput(stat, rates)
    return value_of(stat, figure_of(stat, book))


def _why_of(it: Compared) -> Why | None:
    if it.worse_by is None:
        return None
    allowed = in_words(100 * it.worse_by, "%")
    if it.and_at_least is not None:
        allowed += f" and {in_words(it.and_at_least, it.unit)}"
    wanted = f"want {it.stat} to be worse than the baseline by at most {allowed}"
    if it.value is None:
        return Why(Verdict.INCONCLUSIVE, NO_DATA, f"{wanted}, got no samples")
    if not it.is_regression or it.before is None:
        return None
    share = "" if it.ratio is None else f" ({in_words(100 * it.ratio, '%')} worse)"
    before, value = in_words(it.before, it.unit), in_words(it.value, it.unit)
    return Why(Verdict.FAIL, REGRESSION, f"{wanted}, got {value} after {before}{share}")
