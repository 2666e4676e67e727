"""Numbers of a load run as people read them: 312 ms, 1.2 s, 19.8/s, 0.4 %, 1.3 MiB.

Three digits that say something, never an exponent. Pure. Knows no outlet.
"""

import math

from scenarios.histogram import Histogram
from scenarios.plan import Plan
from scenarios.report import Compared, Judged, LoadReport, Verdict

NOTHING = "–"  # noqa: RUF001 - a dash that stands for no value
WORDS: dict[Verdict, str] = {
    Verdict.PASS: "PASSED",
    Verdict.FAIL: "FAILED",
    Verdict.ABORTED: "ABORTED",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    Verdict.REFUSED: "REFUSED",
}
RESULTS = {"ok": "ok", "breach": "breach", "no_data": "no data"}
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
# A line has no room for more.
MAX_STAGES = 4
_MINUTE = 60
_HOUR = 3600


def digits(number: float) -> str:
    """Return a number >= 0 with about three digits: 0.004, 0.31, 4.2, 57, 1234."""
    if not math.isfinite(number):
        return NOTHING
    if not number:
        return "0"
    if abs(number) < 0.0005:
        return "< 0.001"
    size = abs(number)
    places = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole(number: int) -> str:
    """Return a count with thin groups of thousands: 12,345."""
    return f"{number:,}"


def delay(seconds: float | None) -> str:
    """Return a duration: 0.42 ms, 312 ms, 1.25 s."""
    if seconds is None:
        return NOTHING
    # 999.7 ms would read 1000 ms
    return f"{digits(seconds * 1000)} ms" if abs(seconds) < 0.9995 else f"{digits(seconds)} s"


def quantile(of: Histogram, share: float) -> str:
    """Return a percentile; of nothing there is none, not 0."""
    return delay(of.quantile(share) if of.count else None)


def clock(seconds: float) -> str:
    """Return a stretch of time: 45 s, 2:05 min, 1:02:05 h."""
    total = round(seconds)
    if total < _MINUTE:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    if total < _HOUR:
        return f"{minutes}:{rest:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h"


def rate(number: float) -> str:
    """Return a rate a second."""
    return f"{digits(number)}/s"


def share(number: float | None) -> str:
    """Return 0 to 1 as per cent; what is not nothing never reads 0 %."""
    if number is None:
        return NOTHING
    if 0 < abs(number) < 0.00005:
        return "< 0.01 %"
    if number < 1 and round(number * 100, 1) >= 100:
        return "> 99.9 %"
    return f"{digits(round(number * 100, 2))} %"


def size(number: float) -> str:
    """Return bytes."""
    step = 0
    while abs(number) >= 1024 and step < len(_BYTES) - 1:
        number /= 1024
        step += 1
    return f"{digits(number)} {_BYTES[step]}"


def value(number: float | None, unit: str) -> str:
    """Return a value of a threshold or a baseline in its unit."""
    if number is None or not math.isfinite(number):
        return NOTHING
    if unit == "s":
        return delay(number)
    if unit == "/s":
        return rate(number)
    if unit == "B":
        return size(number)
    return f"{digits(number)} {unit}".rstrip()


def plural(number: int, noun: str) -> str:
    """Return ``1 request``, ``2 requests``."""
    return f"{whole(number)} {noun}{'' if number == 1 else 's'}"


def result(judged: Judged) -> str:
    """Return how a threshold ended, in a word or two."""
    if judged.result == "breach" and judged.level == "warn":
        return "warning"
    return RESULTS[judged.result] + (", aborted" if judged.aborted else "")


def compared(it: Compared) -> str:
    """Return how one statistic stands beside its baseline, in a few words."""
    if it.ratio is None:
        return NOTHING
    if abs(it.ratio) < 0.005:
        return "the same"
    if it.ratio >= 1:
        text = f"{digits(it.ratio + 1)} times as bad"
    else:
        text = f"{abs(it.ratio) * 100:.0f} % {'worse' if it.ratio > 0 else 'better'}"
    return f"{text}: regression" if it.is_regression else text


def cut_short(report: LoadReport) -> str:
    """Return when a run was ended before its time; empty: it was not, or no load was sent."""
    plan, lasted_s = report.plan, report.seconds
    if plan is None or not plan.stages or not 0 < lasted_s <= plan.seconds - 1:
        return ""
    return f"; ended after {clock(lasted_s)} of {clock(plan.seconds)}"


def load(plan: Plan) -> str:
    """Return what was asked of the target: ``open, 20/s, then 20 to 40/s``."""
    if plan.model == "iterations":
        iterations = plural(plan.iterations, "iteration")
        return f"{iterations} by {plural(plan.users, 'user')}"
    unit = "/s" if plan.model == "open" else " users"
    parts: list[str] = []
    for it in plan.stages:
        if it.is_measured:
            level = (
                digits(it.last)
                if it.first == it.last
                else f"{digits(it.first)} to {digits(it.last)}"
            )
            parts.append(f"{level}{unit} for {clock(it.seconds)}")
    more = len(parts) - MAX_STAGES
    shown = ", ".join(parts[:MAX_STAGES]) + (
        f" and {plural(more, 'more stage')}" if more > 0 else ""
    )
    return f"{plan.model}: {shown}"
