"""Small pictures in the cells of a table: how near a limit, how delays lie, what became worse.

Pure. Inline SVG without text; what they show stands in the cells beside them.
"""

import math
from collections.abc import Sequence

from scenarios.histogram import Histogram, middle_of

WIDTH, HEIGHT = 170, 26
BARS = 42
# Of the width of a gauge: where its limit lies.
LIMIT_AT = 0.7


def gauge(value: float | None, limit: float, state: str) -> str:
    """Return a bar for *value* with a tick at *limit*; state: ok, bad or warn."""
    if value is None:
        return ""
    # of a limit of 0 there is no part: it holds or it does not
    part = max(0.0, value / limit) * LIMIT_AT if limit > 0 else float(value > limit)
    full = round(min(part, 1.0) * 180)
    tick = round(LIMIT_AT * 180) if limit > 0 else 0
    bar = f'<rect class="f-{state}" y="2" width="{full}" height="8" rx="2"/>' if full else ""
    return (
        '<svg class="gauge" viewBox="0 0 180 12" aria-hidden="true" focusable="false">'
        f'<rect class="bg" y="2" width="180" height="8" rx="2"/>{bar}'
        f'<rect class="tick" x="{tick}" width="2" height="12"/></svg>'
    )


class Spread:
    """Draws delays of many rows on one common log axis, so that rows can be compared.

    Args:
        histograms: of all rows.
    """

    def __init__(self, histograms: Sequence[Histogram]) -> None:
        some = [it for it in histograms if it.count]
        self.low = max(min((it.least for it in some), default=1), 1)
        """Microseconds."""
        self.high = max(*(it.greatest for it in some), self.low * 2) if some else 2

    def _at(self, microseconds: float) -> float:
        part = math.log(max(microseconds, self.low) / self.low) / math.log(self.high / self.low)
        return min(part, 1.0)

    def draw(self, histogram: Histogram) -> str:
        """Return how the delays lie, each row as high as its own peak; a tick at its p95."""
        if not histogram.count:
            return ""
        bars = [0] * BARS
        for bucket, number in histogram.buckets.items():
            bars[min(int(self._at(middle_of(bucket)) * BARS), BARS - 1)] += number
        peak = max(bars)
        path = ""
        for at, number in enumerate(bars):
            if number:
                # a single request among thousands is still seen
                tall = max(2, round(number / peak * (HEIGHT - 2)))
                path += f"M{at * 4} {HEIGHT - 1}v-{tall}h3v{tall}z"
        tick = round(self._at(histogram.quantile(0.95) * 1e6) * (WIDTH - 2))
        return (
            f'<svg class="dist" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" '
            f'focusable="false"><rect class="bg" y="{HEIGHT - 1}" width="{WIDTH}" height="1"/>'
            f'<path d="{path}"/><rect class="at" x="{tick}" width="1.5" height="{HEIGHT}"/></svg>'
        )


def tendency(ratio: float | None, *, is_regression: bool) -> str:
    """Return a bar to the right (worse) or left (better) of a middle; full at 50 %."""
    if ratio is None:
        return ""
    size = round(min(abs(ratio) / 0.5, 1.0) * 88)
    begin = 90 if ratio > 0 else 90 - size
    state = "bad" if is_regression else "warn" if ratio > 0 else "ok"
    bar = f'<rect class="f-{state}" x="{begin}" y="2" width="{size}" height="8" rx="1"/>'
    return (
        '<svg class="gauge" viewBox="0 0 180 12" aria-hidden="true" focusable="false">'
        f'<rect class="bg" y="2" width="180" height="8" rx="2"/>{bar if size else ""}'
        '<rect class="tick" x="89" width="2" height="12"/></svg>'
    )
