"""A sink of Results: the lines of every probe, by the rules of a series' life (metrics.md 3).

    registered      identity, state and counters at 0; no result
    judged run      result families replaced as a whole
    unknown run     result families gone, but for what says "unknown"; samples stay where the kind
                    tells them for unknown too
    no run          the same, after max(3 x interval, timeout) + 5 s
    left the file   everything gone

Lasting families speak of the probe rather than of a run: they stay until there is a newer value.

Knows neither the client library, nor how a page reaches anybody.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic

from exporter.exposition.blocks import Blocks, Selection, decimal, number, select_slots
from exporter.exposition.catalogue import (
    CONSECUTIVE,
    COUNTERS,
    DURATION,
    FAILURE_INFO,
    IDENTITY,
    LATENCY,
    LATENCY_HISTOGRAM,
    OUTCOME,
    REGISTERED,
    RESULT,
    STATE,
    SUCCESS,
    TIMEOUT,
)
from exporter.exposition.entry import Entry, checks_another
from exporter.exposition.identity import about, state_lines
from exporter.exposition.introduced import Introduced
from exporter.exposition.options import MetricsOptions
from exporter.exposition.room import Room
from exporter.exposition.scrape import OwnMetrics, PageQuery
from exporter.exposition.series import (
    RENDER_ERRORS,
    Shape,
    changed_lines,
    cut,
    labels_of,
    outcome_lines,
    sample_lines,
    series_by_family,
    series_in,
)
from exporter.exposition.stream import Exposition, Page
from probes.probe import Probe
from probes.result import Outcome, Reason, Result

log = logging.getLogger("sonde.metrics")

# With the first runs: success, duration, timeout, outcome, failure, failures in a row, last run,
# last success.
SERIES_TO_COME = 8
# Results are shown in batches, or when somebody looks: one alone finds nothing in the caches of the
# processor, 32 us instead of 11 (bench/http_probe.py). A batch takes under a millisecond.
BATCH = 64
# What a Result of a broken kind can raise here: seconds that are a text, labels that are no pairs.
BROKEN = (*RENDER_ERRORS, RuntimeError)
# Filters that scrapers use at a time; each keeps the slots it admits.
MAX_SELECTIONS = 16


class MetricsSink:
    """Keeps the lines of every probe up to date, and makes pages of them.

    Args:
        own: the prober's own numbers; they end each page.
        options: from the config.
        clock: monotonic seconds, the same clock as `expire` is told.
        wall: points in time.
    """

    def __init__(
        self,
        own: OwnMetrics,
        options: MetricsOptions | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.own, self.options = own, options or MetricsOptions()
        self.exposition = Exposition(self, own.observe_render)
        self._clock, self._wall = clock, wall
        self._entries: dict[str, Entry] = {}
        self._waiting: deque[tuple[Result, Outcome | None, float]] = deque()
        self._selections: dict[PageQuery, Selection] = {}
        self._introduced = Introduced()
        self._known_shows: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._room = Room(self.options, own, clock)
        self._blocks = self._shown = self._renewed(Blocks())

    # what a page is made of

    @property
    def blocks(self) -> Blocks:
        """The lines."""
        self._catch_up()
        return self._shown

    def select(self, query: PageQuery) -> Selection | None:
        """Return the slots that *query* admits; None for all."""
        if not (query.probes or query.tags or query.shard):
            return None
        found = self._selections.get(query)
        if found is None:
            entries = self._entries.values()
            found = select_slots(
                entry.slot for entry in entries if query.admits(entry.probe.name, entry.probe.tags)
            )
            if len(self._selections) >= MAX_SELECTIONS:
                self._selections.clear()
            self._selections[query] = found
        return found

    async def own_metrics(self, query: PageQuery, pool: ThreadPoolExecutor) -> bytes:
        """Return the lines of the prober's own metrics."""
        return await self.own.render(query, pool)

    def page(self, query: PageQuery) -> Page:
        """Return a page.

        Raises:
            Busy: too many different ones are in the making.
        """
        return self.exposition.page(query)

    def close(self) -> None:
        """Stop making pages."""
        self.exposition.close()

    def count_by_kind(self) -> dict[tuple[str, ...], float]:
        """Return the number of registered probes by (kind,)."""
        counts: dict[tuple[str, ...], float] = {}
        for kind in [entry.probe.kind.name for entry in self._entries.values()]:
            counts[kind,] = counts.get((kind,), 0) + 1
        return counts

    # the life of a series

    def set_probes(self, probes: Sequence[Probe], options: MetricsOptions | None = None) -> None:
        """Register these probes and forget all others. Counters of a name that stays go on.

        Args:
            probes: of the config.
            options: of the config; None keeps those in force.
        """
        self.begin(options or self.options)
        for name in self._entries.keys() - {probe.name for probe in probes}:
            self.forget(name)
        for probe in probes:
            self.register(probe)
        self.commit()

    def begin(self, options: MetricsOptions) -> None:
        """Begin to change what is registered; the loop may turn between two steps.

        A page shows each probe as before or as after its step; new options with `commit`.
        """
        self._catch_up()
        if options != self.options:
            self.options = self._room.options = options
            self._blocks = self._renewed(self._blocks)

    def commit(self) -> None:
        """End the change."""
        entries = self._entries.values()
        shown = {name for names in {entry.shown for entry in entries} for name in names}
        self._introduced.sweep(self._blocks, (entry.shape for entry in entries), shown)
        self._shown = self._blocks
        self._selections.clear()

    def publish(self, result: Result, confirmed: Outcome | None) -> None:
        """Show what a run found. A probe that has left meanwhile is passed over.

        Args:
            result: of the run.
            confirmed: state of the probe with this run; None: nothing is confirmed yet.
        """
        self._waiting.append((result, confirmed, self._clock()))
        if len(self._waiting) >= BATCH:
            self._catch_up()

    def _catch_up(self) -> None:
        """Show every Result that waits; a broken one spoils neither a page nor the others."""
        while self._waiting:
            result, confirmed, now = self._waiting.popleft()
            entry = self._entries.get(result.probe)
            if entry is None:
                continue
            try:
                self._take(entry, result, confirmed, now)
            except BROKEN:
                name = result.probe
                log.exception("a Result of %s cannot be shown", name, extra={"probe": name})
                self._give_up(entry)

    def _take(self, entry: Entry, result: Result, confirmed: Outcome | None, now: float) -> None:
        if result.outcome is Outcome.UNKNOWN:
            reason = result.failure.reason if result.failure else Reason.INTERNAL
            self.own.count("sonde_prober_faults_total", reason.value)
        reasons = entry.tally.reasons
        lines = entry.tally.count(result, entry.probe, entry.labels)
        # without its key it waits for its step of a change, which shows all of this
        is_shown = entry.is_admitted and bool(entry.key)
        if new_reasons := entry.tally.reasons - reasons:
            entry.constant += new_reasons
            self._room.series += new_reasons if is_shown else 0
        is_confirmed = confirmed is entry.confirmed
        if not is_confirmed:
            entry.confirmed = confirmed
            lines[STATE.name] = state_lines(entry.labels, confirmed)
        if entry.result is None:
            lines[REGISTERED.name] = ""
        before, entry.result = entry.result, result
        entry.expires_at = now + entry.stale_after_s
        if not is_shown:
            return
        changed = before and self._changed(entry, before, result)
        if not changed:
            self._put(entry, lines)
            self._show(entry, result)
        elif is_confirmed:
            self._blocks.renew(entry.slot, lines | changed)
        else:
            self._put(entry, lines | changed)

    def _give_up(self, entry: Entry) -> None:
        """Show what is counted about a probe, and nothing of a run that cannot be shown."""
        if entry.is_admitted and entry.key:
            # the lines of the run may stand there in part
            of_kind = entry.shape.by_name
            entry.shown = tuple({*_OF_A_RUN, *of_kind, *entry.shown} - entry.lasting.keys())
            self._put(entry, entry.constant_lines())
        self._hide(entry)

    def expire(self, now: float | None = None) -> None:
        """Take away the results of probes that have not run for too long.

        Args:
            now: monotonic seconds; None asks the clock.
        """
        self._catch_up()
        now = self._clock() if now is None else now
        for entry in self._entries.values():
            if now > entry.expires_at:
                self._hide(entry)

    def register(self, probe: Probe) -> None:
        """Let a probe have series; of a known name the counters go on."""
        self._catch_up()
        entry, shape = self._entries.get(probe.name), self.options.shape_of(probe)
        if entry is None:
            slot, now = self._blocks.take_slot(), self._wall().timestamp()
            entry = self._entries[probe.name] = Entry(probe, slot, now, shape)
            self._selections.clear()
        is_another = checks_another(entry.probe, probe)
        entry.probe = probe
        if is_another:
            self._hide(entry)
            self._end_lasting(entry)
            entry.begin_anew(self._wall().timestamp())
        entry.take_shape(shape)
        labels = labels_of(probe, instance=self.options.instance_label)
        key = (labels.plain, shape.named, *about(probe))
        if key == entry.key and entry.is_admitted and not is_another:
            return
        has_room = bool(entry.key) and entry.is_admitted
        entry.key, entry.labels = key, labels
        entry.tally.set_buckets(self.options.latency_buckets)
        self._introduced.introduce(shape, self._blocks)
        lines = entry.constant_lines()
        if has_room:
            self._room.series -= entry.constant
        entry.constant = series_in(lines) + SERIES_TO_COME
        entry.is_admitted = has_room or self._room.admits(entry)
        if entry.is_admitted:
            self._room.series += entry.constant
            self._end_lasting(entry)
            self._put(entry, lines)
            if entry.is_current and entry.result is not None:
                self._show(entry, entry.result)

    def forget(self, name: str) -> None:
        """Take a probe away, with everything that was counted about it."""
        self._catch_up()
        entry = self._entries.pop(name)
        self._blocks.free_slot(entry.slot)
        if entry.is_admitted and entry.key:
            self._room.series -= entry.constant + entry.samples
        self._selections.clear()

    def _changed(self, entry: Entry, before: Result, result: Result) -> dict[str, str] | None:
        """Return the few lines that differ between two runs that went well; else None.

        Nearly every run is like the one before it: a third of the cost of showing it anew.
        """
        shape = entry.shape
        if not before.outcome is result.outcome is Outcome.UP or entry.is_cut or shape.lasting:
            return None
        lines = changed_lines(before, result, shape, entry.labels) if entry.shown else None
        if lines is None or (len(lines) > 1 and not lines.keys() <= frozenset(entry.shown)):
            return None
        lines[DURATION.name] = f"{DURATION.name}{entry.labels.plain}{decimal(result.seconds)}\n"
        return lines

    def _show(self, entry: Entry, result: Result) -> None:
        """Replace the result families of a probe as a whole."""
        labels, shape = entry.labels, entry.shape
        lines = outcome_lines(result, labels)
        lines[CONSECUTIVE.name] = entry.tally.consecutive_line(labels)
        samples: dict[str, str] = {}
        count = entry.lasting_beside(())
        is_judged = result.outcome is not Outcome.UNKNOWN
        if is_judged:
            plain = labels.plain
            lines[SUCCESS.name] = f"{SUCCESS.name}{plain}{int(result.ok)}\n"
            lines[DURATION.name] = f"{DURATION.name}{plain}{decimal(result.seconds)}\n"
            lines[TIMEOUT.name] = f"{TIMEOUT.name}{plain}{number(entry.probe.timeout_s)}\n"
        if is_judged or entry.probe.kind.tells_unknown:
            samples, count = self._samples(entry, result, shape)
        lines |= samples
        self._room.count_samples(entry, count)
        self._put(entry, lines)
        shown = tuple(lines)
        if shape.lasting:
            entry.lasting |= series_by_family(samples, shape.lasting)
            shown = tuple(name for name in lines if name not in shape.lasting)
        if shown != entry.shown:
            self._put(entry, {name: "" for name in entry.shown if name not in lines})
            entry.shown = self._known_shows.setdefault(shown, shown)

    def _samples(self, entry: Entry, result: Result, shape: Shape) -> tuple[dict[str, str], int]:
        """Return the lines of a run that there is room for, and how many series there are then."""
        lines = sample_lines(result, shape, entry.labels, self._room.drop)
        count = series_in(lines) + entry.lasting_beside(lines)
        room, reason = self._room.for_samples(entry)
        entry.is_cut = count > room
        if entry.is_cut:
            self._room.drop(reason, count - room)
            lines = cut(lines, shape, room - entry.lasting_beside(lines))
            count = series_in(lines) + entry.lasting_beside(lines)
        return lines, count

    def _hide(self, entry: Entry) -> None:
        if entry.key:
            self._put(entry, dict.fromkeys(entry.shown, ""))
        self._room.count_samples(entry, entry.lasting_beside(()))
        entry.shown = ()
        entry.expires_at = float("inf")

    def _end_lasting(self, entry: Entry) -> None:
        """Take away what speaks of a probe that is another now, or has other labels."""
        if entry.lasting:
            self._put(entry, dict.fromkeys(entry.lasting, ""))
            self._room.count_samples(entry, entry.samples - entry.lasting_beside(()))
            entry.lasting.clear()

    def _put(self, entry: Entry, lines: Mapping[str, str]) -> None:
        """Put lines in their places."""
        families, slot = self._blocks.families, entry.slot
        for name, text in lines.items():
            families[name].put(slot, text.encode())

    def _renewed(self, blocks: Blocks) -> Blocks:
        """Return empty blocks with every family that does not belong to a kind."""
        new = blocks.renewed(self.options.drop)
        latency = LATENCY_HISTOGRAM if self.options.latency_buckets else LATENCY
        counters = [latency if family is LATENCY else family for family in COUNTERS]
        for family in (*IDENTITY, SUCCESS, DURATION, TIMEOUT, *RESULT, *counters):
            new.family(family.name, family.type, family.help)
        self._introduced.clear()
        self._room.series = 0
        for entry in self._entries.values():
            entry.key, entry.samples = (), 0
            entry.lasting.clear()
        return new


_OF_A_RUN = frozenset(
    family.name for family in (SUCCESS, DURATION, TIMEOUT, OUTCOME, FAILURE_INFO, CONSECUTIVE)
)
