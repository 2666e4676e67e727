"""The lines of one scenario: how its run stands, what it came to, what all its runs have counted.

    begin() -> look(), look() ... -> end()       one run
    found()                                      a run of another process, or of before a restart

Knows neither the page nor how a run is made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.exposition.blocks import label_text
from exporter.exposition.load_families import (
    ACTIVE,
    BUCKETS,
    COUNTED,
    NEXT_RUN,
    OVERFLOW,
    RECORDS_LOST,
    REFUSED,
    RUNS,
    SCENARIO,
    TARGET_RATE,
    USERS,
    USERS_MAX,
)
from exporter.loads.compat import Sight, k6_samples, locust_samples
from exporter.loads.totals import Labels, Numbers, Reader, Totals, zeros
from exporter.loads.verdicts import (
    MAX_VALUE_BYTES,
    Samples,
    lines_of,
    of_generators,
    of_report,
)
from probes.families import Family
from scenarios.book import Book
from scenarios.report import LoadReport, Verdict

if TYPE_CHECKING:
    from scenarios.fleet.merge import Tally
    from scenarios.outlets.live import Live

# load.md 11.
REFUSALS = (
    "not_allowed", "denied", "protected", "ceiling", "capacity", "busy", "untrusted",
    "incident_open",
)  # fmt: skip
OTHER = "other"
_ADDED = (*COUNTED, RECORDS_LOST, OVERFLOW)
_FAMILIES = {family.name: family for family in _ADDED}
_BOUNDS = (*map(repr, BUCKETS), "+Inf")
_COMPAT: Mapping[str, Callable[[Sight], Iterator[tuple[Family, Samples]]]] = {
    "locust": locust_samples,
    "k6": k6_samples,
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the file says of a scenario.

    Args:
        journeys: of its mix; of a locust file the user class.
        users_max: that there may be.
        compat: other names that are shown too.
    """

    journeys: tuple[str, ...]
    users_max: int
    compat: tuple[str, ...] = ()


class Sheet:
    """The lines of one scenario.

    Args:
        name: of the scenario.
        known: what the file says of it.
    """

    def __init__(self, name: str, known: Known) -> None:
        self.known = known
        self.is_active = False
        self._name = name
        self._live: Live | None = None
        self._tally: Tally | None = None
        self._report: LoadReport | None = None
        self._next_at: datetime | None = None
        self._totals = Totals(zeros(known.journeys))
        self._reader = Reader()
        self._runs = dict.fromkeys(Verdict, 0)
        self._refused = dict.fromkeys((*REFUSALS, OTHER), 0)
        self._texts: dict[str, dict[Labels, str]] = {}
        self._of_run: dict[str, str] = {}
        self._stale = set(self._totals.shown)

    def know(self, known: Known) -> None:
        """Take what the file says now; what was counted stays."""
        self.known = known
        new = {
            key: it for key, it in zeros(known.journeys).items() if key not in self._totals.shown
        }
        self._stale |= self._totals.show(new)

    def expect(self, next_at: datetime | None) -> None:
        """Note when the next run is due; None: never."""
        self._next_at = next_at

    def begin(self) -> None:
        """A run has begun."""
        self.is_active, self._live, self._tally = True, None, None
        self._reader = Reader()

    def look(self, live: "Live", tally: "Tally | None") -> None:
        """Note how the run stands; its counts are read when somebody asks for the lines."""
        self._live, self._tally = live, tally

    def end(self, report: LoadReport | None) -> None:
        """The run has ended; None: without a report."""
        self.is_active = False
        if report is not None:
            self._stale |= self._totals.show(self._reader.read(report.book, report.generators))
            self.found(report, is_new=True)
        self._totals.close()
        self._live = self._tally = None

    def found(self, report: LoadReport, *, is_new: bool) -> None:
        """Take a run; the one that began last is shown.

        Args:
            report: of it.
            is_new: it has ended since the service began, and counts.
        """
        if is_new:
            self._runs[report.verdict] += 1
            if report.verdict is Verdict.REFUSED:
                code = report.reasons[0].code if report.reasons else OTHER
                self._refused[code if code in self._refused else OTHER] += 1
        if self._report is None or report.started_at >= self._report.started_at:
            self._report = report
            self._of_run = self._rendered(of_report(report))

    def lines(self) -> dict[str, str]:
        """Return all lines, by family."""
        if self._tally is not None:
            now = self._reader.read(self._tally.book, self._tally.generators)
            self._stale |= self._totals.show(now)
        self._renew()
        lines = {name: "".join(texts.values()) for name, texts in self._texts.items()}
        lines |= self._of_run | self._rendered(self._standing())
        sight = self._sight()
        for other in self.known.compat:
            lines |= self._rendered(_COMPAT[other](sight))
        return lines

    def _standing(self) -> Iterator[tuple[Family, Samples]]:
        live = self._live
        is_open = live is not None and live.unit == "/s"
        yield ACTIVE, [((), float(self.is_active))]
        yield USERS, [((), live.users if live else 0)]
        yield USERS_MAX, [((), self.known.users_max)]
        yield TARGET_RATE, [((), live.wanted if live and is_open else 0)]
        sight = self._sight()
        if sight.generators:
            yield from of_generators(sight.generators, is_active=self.is_active)
        yield RUNS, [((verdict.value,), count) for verdict, count in self._runs.items()]
        yield REFUSED, [((reason,), count) for reason, count in self._refused.items()]
        yield NEXT_RUN, [((), self._next_at.timestamp())] if self._next_at else []

    def _sight(self) -> Sight:
        report, tally = self._report, self._tally
        if self.is_active:
            book = tally.book if tally else Book()
            generators = tally.generators if tally else ()
        else:
            book = report.book if report else Book()
            generators = report.generators if report else ()
        return Sight(self.is_active, self._live, book, generators, self._totals.shown)

    def _rendered(self, groups: Iterable[tuple[Family, Samples]]) -> dict[str, str]:
        return {family.name: lines_of(self._name, family, it) for family, it in groups}

    def _renew(self) -> None:
        """Write anew what has changed of what is counted."""
        for name, labels in self._stale:
            text = self._text(_FAMILIES[name], labels, self._totals.shown[name, labels])
            self._texts.setdefault(name, {})[labels] = text
        self._stale.clear()

    def _text(self, family: Family, labels: Labels, numbers: Numbers) -> str:
        is_timed = family.type == "histogram"
        names = family.labels[1:-1] if is_timed else family.labels[1:]
        pairs = ((SCENARIO, self._name), *zip(names, labels, strict=True))
        own, name = label_text(pairs, MAX_VALUE_BYTES), family.name
        if not is_timed:
            return f"{name}{{{own}}} {numbers[0]}\n"
        *counts, total = numbers
        lines = [
            f'{name}_bucket{{{own},le="{bound}"}} {count}\n'
            for bound, count in zip(_BOUNDS, counts, strict=True)
        ]
        lines.append(f"{name}_sum{{{own}}} {total / 1e6!r}\n")
        lines.append(f"{name}_count{{{own}}} {counts[-1]}\n")
        return "".join(lines)
