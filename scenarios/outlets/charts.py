"""A chart over time as a piece of HTML: an inline SVG and what stands around it.

    Chart ── series     Series, ...: line, dashed, area, band or bars
          ├─ limits     (name, value), ...: where a threshold lies
          └─ frame      Frame: time, stages and marks that all charts of a page share

The SVG is stretched to the width there is; texts are HTML beside it, so they keep their size on a
telephone. No script: what a column says is shown by CSS. Pure. Knows no load run.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

WIDTH, HEIGHT = 1000, 200
# More would be narrower than a finger or a pointer.
MAX_COLUMNS = 40
# A label in the middle of its place would leave the card.
LAST_LABEL = 0.97
# A narrower one has no room for its name.
MIN_SHADE = 0.07
# A worst value beyond so many typical ones flattens everything else.
LOG_FROM = 12.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_NOTHING = 1e-9
_TICKS = 4
_TIMES = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)

Value = float | None
Shape = Literal["line", "dash", "area", "band", "bars"]


@dataclass(frozen=True, slots=True)
class Series:
    """Values over time.

    Args:
        name: for the legend; empty: not in it.
        colour: class of CSS: c1 ... c5.
        shape: how it is drawn.
        values: one a bin; None: there is none.
        low: lower edge of a band.
    """

    name: str
    colour: str
    shape: Shape
    values: Sequence[Value]
    low: Sequence[Value] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """The time axis of all charts.

    Args:
        begin: seconds.
        end: seconds, > begin.
        spans: begin and end of each bin.
        shades: what is not measured: begin, end, name.
        edges: where a stage begins.
        marks: what happened: second, name.
    """

    begin: float
    end: float
    spans: Sequence[tuple[float, float]]
    shades: Sequence[tuple[float, float, str]] = ()
    edges: Sequence[float] = ()
    marks: Sequence[tuple[float, str]] = ()

    def x(self, second: float) -> float:
        """Return the place of a second, 0 to 1."""
        return min(max((second - self.begin) / (self.end - self.begin), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Args:
        key: unique in the page.
        title: what it shows.
        note: unit or a few words.
        series: at least one, drawn in this order.
        say: how a value reads.
        limits: name and value of horizontal lines.
        top: the axis reaches at least so far.
        may_be_log: delays: a log axis where one value dwarfs all others.
    """

    key: str
    title: str
    note: str
    series: Sequence[Series]
    say: Callable[[float], str]
    limits: Sequence[tuple[str, float]] = ()
    top: float = 0.0
    may_be_log: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """Values -> height, 0 (bottom) to 1."""

    low: float
    high: float
    is_log: bool = False
    ticks: Sequence[float] = field(default=())

    def y(self, value: float) -> float:
        """Return the height of a value; what is beyond the axis lies on its edge."""
        if self.is_log:
            value = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            value = (value - self.low) / (self.high - self.low)
        return min(max(value, 0.0), 1.0)


def axis_of(values: Sequence[float], top: float, *, may_be_log: bool = False) -> Axis:
    """Return an axis that has round ticks and room for all values."""
    worst = max((*values, top))
    positive = sorted(value for value in values if value > 0)
    if may_be_log and positive and worst > LOG_FROM * positive[len(positive) // 2]:
        low = 10.0 ** math.floor(math.log10(max(positive[0], 1e-6)))
        high = 10.0 ** math.ceil(math.log10(worst))
        decades = max(1, round(math.log10(high / low)))
        every = -(-decades // 5)
        ticks = [low * 10**power for power in range(0, decades + 1, every)]
        return Axis(low, high, True, ticks)  # noqa: FBT003 - a field
    if worst < _NOTHING:
        worst = 1.0
    size = 10.0 ** math.floor(math.log10(worst / _TICKS))
    step = next(it * size for it in _STEPS if it * size * _TICKS >= worst * 0.999)
    count = math.ceil(worst / step - 1e-9)
    return Axis(0.0, step * count, ticks=[step * number for number in range(count + 1)])


def figure(chart: Chart, frame: Frame) -> str:
    """Return the chart as HTML."""
    values = [value for it in chart.series for value in (*it.values, *it.low) if value is not None]
    values += [value for _, value in chart.limits]
    axis = axis_of(values, chart.top, may_be_log=chart.may_be_log)
    note = f"{chart.note}, log scale" if axis.is_log else chart.note
    return (
        f'<figure class="chart"><figcaption><h3>{escape(chart.title)}</h3>'
        f'<span class="unit">{escape(note)}</span>{_legend(chart)}</figcaption>'
        f'<div class="plot">{"".join(_grid(axis, chart))}'
        f"{_svg(chart, frame, axis)}"
        f"{''.join(_around(chart, frame, axis))}</div></figure>"
    )


def _legend(chart: Chart) -> str:
    return (
        '<span class="legend">'
        + "".join(
            f'<span><i class="k {it.shape} {it.colour}"></i>{escape(it.name)}</span>'
            for it in chart.series
            if it.name
        )
        + "</span>"
    )


def _grid(axis: Axis, chart: Chart) -> Iterator[str]:
    for tick in axis.ticks:
        height = _percent(axis.y(tick))
        yield f'<i class="y" style="bottom:{height}"><span>{escape(chart.say(tick))}</span></i>'


def _svg(chart: Chart, frame: Frame, axis: Axis) -> str:
    parts = [
        f'<rect class="shade" x="{_x(frame, begin)}" y="0" '
        f'width="{max(_x(frame, end) - _x(frame, begin), 1)}" height="{HEIGHT}"/>'
        for begin, end, _ in frame.shades
    ]
    parts += [f'<path class="edge" d="M{_x(frame, it)} 0v{HEIGHT}"/>' for it in frame.edges]
    parts += [_drawn(it, frame, axis) for it in chart.series]
    parts += [
        f'<path class="limit" d="M0 {_y(axis, value)}h{WIDTH}"/>' for _, value in chart.limits
    ]
    parts += [f'<path class="mark" d="M{_x(frame, at)} 0v{HEIGHT}"/>' for at, _ in frame.marks]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-labelledby="t-{chart.key} d-{chart.key}"><title id="t-{chart.key}">'
        f'{escape(chart.title)}</title><desc id="d-{chart.key}">{escape(described(chart))}</desc>'
        f"{''.join(parts)}</svg>"
    )


def described(chart: Chart) -> str:
    """Return the chart in words, for those who do not see it."""
    said = []
    for it in chart.series:
        values = [value for value in it.values if value is not None]
        if it.name and values:
            mean = sum(values) / len(values)
            said.append(
                f"{it.name}: {chart.say(min(values))} to {chart.say(max(values))}, "
                f"mean {chart.say(mean)}"
            )
        elif it.name:
            said.append(f"{it.name}: no data")
    said += [f"{name}: {chart.say(value)}" for name, value in chart.limits]
    return "; ".join(said)


def _around(chart: Chart, frame: Frame, axis: Axis) -> Iterator[str]:
    for name, value in chart.limits:
        height = axis.y(value)
        # above its line, or below where there is no room
        side = " under" if height > 0.85 else ""
        yield f'<span class="lim{side}" style="bottom:{_percent(height)}">{escape(name)}</span>'
    for begin, end, name in frame.shades:
        if name and frame.x(end) - frame.x(begin) > MIN_SHADE:
            left = _percent(frame.x(begin))
            yield f'<span class="sh" style="left:{left}">{escape(name)}</span>'
    for at, name in frame.marks:
        side = " left" if frame.x(at) > 0.5 else ""
        yield f'<span class="mk{side}" style="left:{_percent(frame.x(at))}">{escape(name)}</span>'
    for second in _times(frame):
        last = " end" if frame.x(second) > LAST_LABEL else ""
        place = _percent(frame.x(second))
        yield f'<i class="x{last}" style="left:{place}">{_moment(second)}</i>'
    yield '<div class="cols" aria-hidden="true">'
    yield from _columns(chart, frame)
    yield "</div>"


def _times(frame: Frame) -> list[float]:
    length = frame.end - frame.begin
    step = next((it for it in _TIMES if length / it <= 6), length / 6)
    first = math.ceil(frame.begin / step)
    return [it * step for it in range(first, math.floor(frame.end / step + 1e-9) + 1)]


def _moment(second: float) -> str:
    minutes, rest = divmod(round(second), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _columns(chart: Chart, frame: Frame) -> Iterator[str]:
    """Yield what is told where the pointer is: of several bins the worst."""
    every = -(-len(frame.spans) // MAX_COLUMNS) if frame.spans else 1
    for at in range(0, len(frame.spans), every):
        part = slice(at, at + every)
        begin, end = frame.spans[part][0][0], frame.spans[part][-1][1]
        left, right = frame.x(begin), frame.x(end)
        told = [_moment(begin), *_told(chart, part)]
        side = ' class="r"' if left > 0.5 else ""
        yield (
            f'<b{side} style="left:{_percent(left)};width:{_percent(right - left)}">'
            f"<span>{chr(10).join(map(escape, told))}</span></b>"
        )


def _told(chart: Chart, part: slice) -> Iterator[str]:
    for it in chart.series:
        values = [value for value in it.values[part] if value is not None]
        if it.name and values:
            yield f"{it.name} {chart.say(max(values))}"


def _drawn(it: Series, frame: Frame, axis: Axis) -> str:
    if it.shape == "bars":
        path = "".join(
            f"M{_x(frame, begin)} {HEIGHT}V{_y(axis, value)}H{max(_x(frame, end) - 1, 0)}V{HEIGHT}"
            for (begin, end), value in zip(frame.spans, it.values, strict=True)
            if value
        )
        return f'<path class="fill {it.colour}" d="{path}"/>' if path else ""
    lines = list(_runs(it.values, frame, axis))
    if it.shape in ("line", "dash"):
        path = "".join(_polyline(points) for points in lines)
        return f'<path class="{it.shape} {it.colour}" d="{path}"/>' if path else ""
    if it.shape == "band":
        lows = list(_runs(it.low, frame, axis))
    else:
        lows = [[(points[0][0], HEIGHT), (points[-1][0], HEIGHT)] for points in lines]
    path = "".join(
        f"{_polyline([*high, *reversed(low)])}z" for high, low in zip(lines, lows, strict=False)
    )
    return f'<path class="{it.shape} {it.colour}" d="{path}"/>' if path else ""


def _runs(values: Sequence[Value], frame: Frame, axis: Axis) -> Iterator[list[tuple[int, int]]]:
    """Yield the points of each stretch without a gap."""
    run: list[tuple[int, int]] = []
    for (begin, end), value in zip(frame.spans, values, strict=True):
        if value is None:
            if run:
                yield run
            run = []
        else:
            run.append((_x(frame, (begin + end) / 2), _y(axis, value)))
    if run:
        yield run


def _polyline(points: Sequence[tuple[int, int]]) -> str:
    """Return a path in relative steps, which are shorter; a single point is a dot."""
    (x, y), *rest = points
    text = f"M{x} {y}"
    if not rest:
        return f"{text}h1"
    for to_x, to_y in rest:
        text += f"l{to_x - x} {to_y - y}".replace(" -", "-")
        x, y = to_x, to_y
    return text


def _x(frame: Frame, second: float) -> int:
    return round(frame.x(second) * WIDTH)


def _y(axis: Axis, value: float) -> int:
    return round((1 - axis.y(value)) * HEIGHT)


def _percent(part: float) -> str:
    return f"{part * 100:.4g}%"
