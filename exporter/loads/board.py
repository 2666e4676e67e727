"""What ``/metrics`` shows of every scenario: a slot each in blocks of its own, beside the probes'.

A run is read when somebody asks for the page, at most once a second: between two scrapes it costs
nothing. A scenario that left the file goes when its run has ended. Knows not how a run is made.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING

from exporter.exposition.blocks import Blocks
from exporter.exposition.load_families import K6, LOAD, LOCUST
from exporter.exposition.scrape import PageQuery
from exporter.loads.sheet import Known, Sheet
from scenarios.report import LoadReport

if TYPE_CHECKING:
    from scenarios.fleet.merge import Tally
    from scenarios.outlets.live import Live

# Scrapers that come together share what was read.
FRESH_S = 1.0
NEVER = float("-inf")


class Board:
    """The lines of all scenarios.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sheets: dict[str, Sheet] = {}
        self._slots: dict[str, int] = {}
        self._changed: dict[str, float] = {}
        self._leaving: set[str] = set()
        self._blocks = _empty(frozenset())

    def set_scenarios(self, known: Mapping[str, Known], drop: frozenset[str]) -> None:
        """Show exactly these; what a scenario has counted stays while it keeps its name.

        Args:
            known: what the file says of each.
            drop: families that are not shown.
        """
        if drop != self._blocks.drop:
            self._blocks = _renewed(self._blocks, drop)
            self._changed |= dict.fromkeys(self._sheets, NEVER)
        self._leaving = {name for name in self._sheets if name not in known}
        for name in [it for it in self._leaving if not self._sheets[it].is_active]:
            self._forget(name)
        for name, it in known.items():
            if name in self._sheets:
                self._sheets[name].know(it)
            else:
                self._sheets[name] = Sheet(name, it)
                self._slots[name] = self._blocks.take_slot()
            self._changed[name] = NEVER

    def expect(self, name: str, next_at: datetime | None) -> None:
        """Show when the next run of a scenario is due."""
        if name in self._sheets:
            self._sheets[name].expect(next_at)
            self._changed[name] = NEVER

    def begin(self, name: str) -> None:
        """A run has begun."""
        self._sheets[name].begin()
        self._changed[name] = NEVER

    def look(self, name: str, live: "Live", tally: "Tally | None") -> None:
        """A run goes on."""
        self._sheets[name].look(live, tally)

    def end(self, name: str, report: LoadReport | None) -> None:
        """A run has ended; None: without a report."""
        self._sheets[name].end(report)
        self._changed[name] = NEVER
        if name in self._leaving:
            self._forget(name)

    def found(self, name: str, report: LoadReport, *, is_new: bool) -> None:
        """Another process, or this one before a restart, has ended a run."""
        if name in self._sheets and not self._sheets[name].is_active:
            self._sheets[name].found(report, is_new=is_new)
            self._changed[name] = NEVER

    def text(self, query: PageQuery) -> bytes:
        """Return the lines that *query* admits, with the heads of their families."""
        if not self._sheets:
            return b""
        self._catch_up()
        parts: list[bytes] = []
        for family in self._blocks.families.values():
            if query.names and family.names.isdisjoint(query.names):
                continue
            if pieces := family.pieces():
                parts += (family.heads[query.openmetrics], *pieces)
        return b"".join(parts)

    def _catch_up(self) -> None:
        now = self._clock()
        for name, sheet in self._sheets.items():
            if sheet.is_active:
                self._changed.setdefault(name, NEVER)
        for name, read_at in list(self._changed.items()):
            if now - read_at < FRESH_S:
                continue
            self._put(name)
            if self._sheets[name].is_active:
                self._changed[name] = now
            else:
                del self._changed[name]

    def _put(self, name: str) -> None:
        lines, slot = self._sheets[name].lines(), self._slots[name]
        for family in self._blocks.families.values():
            family.put(slot, lines.get(family.name, "").encode())

    def _forget(self, name: str) -> None:
        del self._sheets[name]
        self._changed.pop(name, None)
        self._leaving.discard(name)
        self._blocks.free_slot(self._slots.pop(name))


def _empty(drop: frozenset[str]) -> Blocks:
    return _introduced(Blocks(drop))


def _renewed(blocks: Blocks, drop: frozenset[str]) -> Blocks:
    return _introduced(blocks.renewed(drop))


def _introduced(blocks: Blocks) -> Blocks:
    for family in (*LOAD, *LOCUST, *K6):
        blocks.family(family.name, family.type, family.help)
    return blocks
