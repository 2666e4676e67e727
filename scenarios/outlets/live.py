"""How a load run fares at this moment, for whoever looks at it.

    Live            what is known each second
    progress_line   one plain line, for logs
    Display         what to write: a block that is rewritten in place, or a line every ten seconds

Pure: values in, text out. Knows no stream and no clock but `Live.at_s`.
"""

from dataclasses import dataclass

from probes.report import printable
from scenarios.outlets import words

# A log of CI: enough to see that it lives, few enough to be read.
LINE_EVERY_S = 10.0
BAR_CHARACTERS = 28
MAX_BROKEN = 3
# A line that wraps would be two, and the cursor would go up too little.
MIN_COLUMNS = 20
# load.md 10.1: what a generator may not exceed.
BUSY_CPU = 0.85
BUSY_LAG_S = 0.05
_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_UP_AND_CLEAR = "\x1b[{}F\x1b[J"


@dataclass(frozen=True, slots=True)
class Live:
    """One look at a run.

    Args:
        name: of the scenario.
        phase: ``preflight``, ``starting``, ``warm-up``, ``load``, ``draining``, ``judging`` ...
        at_s: since the start.
        of_s: planned; 0: unknown (a number of iterations).
        wanted: rate (iterations a second); users in a closed model.
        rate: iterations begun in the last second.
        unit: of ``wanted``: ``/s`` or ``users``.
        users: virtual users there are.
        busy: of them at work.
        requests: a second.
        p50, p95, p99: of requests of the last second, in seconds; None: there was none.
        latency_p99: of iterations, from the intended start.
        errors: failed requests a second.
        failed_share: of all requests so far, 0 to 1; None: there was none.
        dropped: arrivals so far.
        cpu: of the busiest generator, cores.
        lag_s: of the slowest generator.
        shards: that are alive.
        broken: thresholds that do not hold now.
    """

    name: str
    phase: str
    at_s: float = 0.0
    of_s: float = 0.0
    wanted: float = 0.0
    rate: float = 0.0
    unit: str = "/s"
    users: int = 0
    busy: int = 0
    requests: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    latency_p99: float | None = None
    errors: float = 0.0
    failed_share: float | None = None
    dropped: int = 0
    cpu: float = 0.0
    lag_s: float = 0.0
    shards: int = 1
    broken: tuple[str, ...] = ()

    @property
    def has_begun(self) -> bool:
        """Whether there are numbers: not before the first second, nor when all is counted."""
        return bool(self.at_s or self.users)

    @property
    def is_busy(self) -> bool:
        """Whether a generator is too busy to measure."""
        return self.cpu > BUSY_CPU or self.lag_s > BUSY_LAG_S


def progress_line(live: Live) -> str:
    """Return the run in one plain line."""
    if not live.has_begun:
        return f"load {printable(live.name)}: {printable(live.phase)}"
    of = f"/{words.clock(live.of_s)}" if live.of_s else ""
    parts = [
        f"load {printable(live.name)}: {printable(live.phase)} {words.clock(live.at_s)}{of}",
        _pace(live),
        f"{live.busy}/{words.plural(live.users, 'user')}",
        f"p95 {words.delay(live.p95)}",
        f"failed {words.share(live.failed_share)}",
    ]
    if live.dropped:
        parts.append(f"dropped {words.whole(live.dropped)}")
    if live.is_busy:
        parts.append(f"generator cpu {words.share(live.cpu)} lag {words.delay(live.lag_s)}")
    if live.broken:
        parts.append(f"broken: {_broken(live)}")
    return ", ".join(parts)


def _pace(live: Live) -> str:
    if live.unit == "users":
        return f"{words.rate(live.rate)} by {words.digits(live.wanted)} users"
    return f"{words.rate(live.rate)} of {words.rate(live.wanted)}"


def _broken(live: Live) -> str:
    more = len(live.broken) - MAX_BROKEN
    shown = "; ".join(map(printable, live.broken[:MAX_BROKEN]))
    return f"{shown} and {more} more" if more > 0 else shown


class Display:
    """What is written while a run goes on.

    Args:
        is_terminal: a block is rewritten in place; else there is a line every ten seconds and one
            for each new phase.
        columns: of the terminal.
        colour: whether it may have colours.
    """

    def __init__(self, *, is_terminal: bool, columns: int = 80, colour: bool = False) -> None:
        self.columns = columns
        """Of the terminal now: people make it wider and narrower while they look."""
        self._is_terminal = is_terminal
        self._colour = colour
        self._shown: list[int] = []
        self._phase = ""
        self._next_s = 0.0

    def show(self, live: Live) -> str:
        """Return what to write now; empty: nothing."""
        if self._is_terminal:
            begin = self.clear()
            rows = self._block(live)
            self._shown = [len(row) for row, _ in rows]
            return begin + "".join(f"{self._painted(row, code)}\n" for row, code in rows)
        if live.phase == self._phase and live.at_s < self._next_s:
            return ""
        self._phase = live.phase
        # from one grid of ten seconds to the next, whenever the phase changed
        self._next_s = (live.at_s // LINE_EVERY_S + 1) * LINE_EVERY_S
        return progress_line(live) + "\n"

    def clear(self) -> str:
        """Return what takes the block away, so that other lines can be written."""
        # a row that has become too long for a narrower terminal is several there
        rows = sum(max(1, -(-length // self._width)) for length in self._shown)
        self._shown = []
        return _UP_AND_CLEAR.format(rows) if rows else ""

    @property
    def _width(self) -> int:
        return max(self.columns, MIN_COLUMNS)

    def _block(self, live: Live) -> list[tuple[str, str]]:
        if not live.has_begun:
            return [(self._cut(progress_line(live)), "")]
        rows = [
            (self._head(live), ""),
            (self._bar(live), _DIM),
            (self._rates(live), ""),
            (self._delays(live), ""),
            (self._failures(live), _RED if live.errors or live.dropped else ""),
            (self._machine(live), _YELLOW if live.is_busy else ""),
        ]
        if live.broken:
            rows.append((f"  broken   {_broken(live)}", _RED))
        return [(self._cut(text), code) for text, code in rows]

    @staticmethod
    def _head(live: Live) -> str:
        of = f" of {words.clock(live.of_s)}" if live.of_s else ""
        shards = f" · {words.plural(live.shards, 'generator')}" if live.shards > 1 else ""
        run = f"load {printable(live.name)} · {printable(live.phase)}"
        return f"{run} · {words.clock(live.at_s)}{of}{shards}"

    @staticmethod
    def _rates(live: Live) -> str:
        users = f"{live.busy} of {words.plural(live.users, 'user')} busy"
        return f"  rate     {_pace(live)} · {words.rate(live.requests)} requests · {users}"

    @staticmethod
    def _failures(live: Live) -> str:
        failed, now = words.share(live.failed_share), words.rate(live.errors)
        return f"  failed   {failed} · {now} now · {words.whole(live.dropped)} dropped"

    @staticmethod
    def _machine(live: Live) -> str:
        return f"  machine  cpu {words.share(live.cpu)} · lag {words.delay(live.lag_s)}"

    @staticmethod
    def _bar(live: Live) -> str:
        if not live.of_s:
            return ""
        done = min(max(live.at_s / live.of_s, 0.0), 1.0)
        full = round(done * BAR_CHARACTERS)
        return f"  [{'=' * full}{' ' * (BAR_CHARACTERS - full)}] {done:.0%}"

    @staticmethod
    def _delays(live: Live) -> str:
        named = (("p50", live.p50), ("p95", live.p95), ("p99", live.p99))
        text = " · ".join(f"{name} {words.delay(it)}" for name, it in named)
        whole = f" · iteration p99 {words.delay(live.latency_p99)}" if live.latency_p99 else ""
        return f"  latency  {text}{whole}"

    def _cut(self, text: str) -> str:
        # one column stays free: some terminals wrap when the last one is filled
        return text[: self._width - 1]

    def _painted(self, text: str, code: str) -> str:
        return f"{code}{text}{_PLAIN}" if code and self._colour and text else text
