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

from exporter.blocks import Blocks, Selection, decimal, heads, number, select_slots
from exporter.catalogue import (
    CONSECUTIVE,
    COUNTERS,
    DURATION,
    IDENTITY,
    LATENCY,
    LATENCY_HISTOGRAM,
    REGISTERED,
    RESULT,
    STATE,
    SUCCESS,
    TIMEOUT,
)
from exporter.entry import Entry, checks_another
from exporter.exposition import Exposition, Page
from exporter.identity import about, identity_lines, state_lines
from exporter.options import MetricsOptions
from exporter.scrape import OwnMetrics, PageQuery
from exporter.series import (
    Shape,
    changed_lines,
    cut,
    labels_of,
    outcome_lines,
    sample_lines,
    series_by_family,
    series_in,
    shape_of,
)
from probes.probe import Probe
from probes.result import Outcome, Reason, Result

log = logging.getLogger("sonde.metrics")

# metrics.md 2.6: one line a minute about probes that find no room.
WARN_EVERY_S = 60.0
# With the first runs: success, duration, timeout, outcome, failure, failures in a row, last run,
# last success.
SERIES_TO_COME = 8
# Results are shown in batches, or when somebody looks: one alone finds nothing in the caches of the
# processor, 32 us instead of 11 (bench/http_probe.py). A batch takes under a millisecond.
BATCH = 64
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
        self._shapes: set[int] = set()
        self._known_shows: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._warned_at = float("-inf")
        self._series = 0  # that admitted probes have, or will have
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
            self.options = options
            self._blocks = self._renewed(self._blocks)

    def commit(self) -> None:
        """End the change."""
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
        """Show every Result that waits."""
        while self._waiting:
            self._take(*self._waiting.popleft())

    def _take(self, result: Result, confirmed: Outcome | None, now: float) -> None:
        if (entry := self._entries.get(result.probe)) is None:
            return
        if result.outcome is Outcome.UNKNOWN:
            reason = result.failure.reason if result.failure else Reason.INTERNAL
            self.own.count("sonde_prober_faults_total", reason.value)
        reasons = entry.tally.reasons
        lines = entry.tally.count(result, entry.probe, entry.labels)
        entry.constant += (new_reasons := entry.tally.reasons - reasons)
        is_confirmed = confirmed is entry.confirmed
        if not is_confirmed:
            entry.confirmed = confirmed
            lines[STATE.name] = state_lines(entry.labels, confirmed)
        if entry.result is None:
            lines[REGISTERED.name] = ""
        before, entry.result = entry.result, result
        entry.expires_at = now + entry.stale_after_s
        # without its key it waits for its step of a change, which shows all of this
        if entry.is_admitted and entry.key:
            self._series += new_reasons
            changed = before and self._changed(entry, before, result)
            if changed:
                self._put(entry, lines | changed, alike=is_confirmed)
            else:
                self._put(entry, lines)
                self._show(entry, result)

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
        entry = self._entries.get(probe.name)
        if entry is None:
            slot = self._blocks.take_slot()
            entry = self._entries[probe.name] = Entry(probe, slot, self._wall().timestamp())
            self._selections.clear()
        is_another = checks_another(entry.probe, probe)
        entry.probe = probe
        if is_another:
            self._hide(entry)
            self._end_lasting(entry)
            entry.begin_anew(self._wall().timestamp())
        labels = labels_of(probe, instance=self.options.instance_label)
        key = (labels.plain, *about(probe))
        if key == entry.key and entry.is_admitted and not is_another:
            return
        has_room = bool(entry.key) and entry.is_admitted
        entry.key, entry.labels = key, labels
        entry.tally.set_buckets(self.options.latency_buckets)
        self._introduce(shape_of(type(probe.kind)))
        registered_at = entry.registered_at if entry.result is None else None
        lines = identity_lines(probe, labels, registered_at, entry.confirmed)
        lines |= entry.tally.lines(probe, labels)
        if has_room:
            self._series -= entry.constant
        entry.constant = series_in(lines) + SERIES_TO_COME
        entry.is_admitted = has_room or self._admits(entry)
        if entry.is_admitted:
            self._series += entry.constant
            self._end_lasting(entry)
            self._put(entry, {**_NO_CONSTANT_LINES, **lines})
            if entry.is_current and entry.result is not None:
                self._show(entry, entry.result)

    def forget(self, name: str) -> None:
        """Take a probe away, with everything that was counted about it."""
        self._catch_up()
        entry = self._entries.pop(name)
        self._blocks.free_slot(entry.slot)
        if entry.is_admitted and entry.key:
            self._series -= entry.constant + entry.samples
        self._selections.clear()

    def _admits(self, entry: Entry) -> bool:
        """Return whether there is room for a probe's constant series; tell it if not."""
        if self._series + entry.constant <= self.options.series:
            return True
        self.own.count("sonde_series_dropped_total", "global_limit", by=entry.constant)
        now = self._clock()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            log.warning(
                "want at most %d series (limits.series), got no room for the probe %s",
                self.options.series,
                entry.probe.name,
            )
        return False

    def _changed(self, entry: Entry, before: Result, result: Result) -> dict[str, str] | None:
        """Return the few lines that differ between two runs that went well; else None.

        Nearly every run is like the one before it: a third of the cost of showing it anew.
        """
        shape = shape_of(type(entry.probe.kind))
        if not before.outcome is result.outcome is Outcome.UP or entry.is_cut or shape.lasting:
            return None
        lines = changed_lines(before, result, shape, entry.labels) if entry.shown else None
        if lines is None or (len(lines) > 1 and not lines.keys() <= frozenset(entry.shown)):
            return None
        lines[DURATION.name] = f"{DURATION.name}{entry.labels.plain}{decimal(result.seconds)}\n"
        return lines

    def _show(self, entry: Entry, result: Result) -> None:
        """Replace the result families of a probe as a whole."""
        labels, shape = entry.labels, shape_of(type(entry.probe.kind))
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
        self._count_samples(entry, count)
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
        lines = sample_lines(result, shape, entry.labels, self._drop)
        count = series_in(lines) + entry.lasting_beside(lines)
        limit = max(self.options.series_per_probe, entry.probe.kind.series_limit or 0)
        own_room = limit - entry.constant
        free_room = self.options.series - self._series + entry.samples
        room = max(0, min(own_room, free_room))
        entry.is_cut = count > room
        if entry.is_cut:
            reason = "probe_limit" if own_room <= free_room else "global_limit"
            self._drop(reason, count - room)
            lines = cut(lines, shape, room - entry.lasting_beside(lines))
            count = series_in(lines) + entry.lasting_beside(lines)
        return lines, count

    def _count_samples(self, entry: Entry, count: int) -> None:
        self._series += count - entry.samples
        entry.samples = count

    def _hide(self, entry: Entry) -> None:
        if entry.key:
            self._put(entry, dict.fromkeys(entry.shown, ""))
        self._count_samples(entry, entry.lasting_beside(()))
        entry.shown = ()
        entry.expires_at = float("inf")

    def _end_lasting(self, entry: Entry) -> None:
        """Take away what speaks of a probe that is another now, or has other labels."""
        if entry.lasting:
            self._put(entry, dict.fromkeys(entry.lasting, ""))
            self._count_samples(entry, entry.samples - entry.lasting_beside(()))
            entry.lasting.clear()

    def _put(self, entry: Entry, lines: Mapping[str, str], *, alike: bool = False) -> None:
        """Put lines in their places; *alike*: as many of each family as stand there."""
        families, slot = self._blocks.families, entry.slot
        for name, text in lines.items():
            put = families[name].renew if alike else families[name].put
            put(slot, text.encode())

    def _drop(self, reason: str, count: int) -> None:
        self.own.count("sonde_series_dropped_total", reason, by=count)

    def _introduce(self, shape: Shape) -> None:
        """Give the families of a kind their places on the page."""
        if id(shape) in self._shapes:
            return
        self._shapes.add(id(shape))
        for family in shape.by_name.values():
            known = self._blocks.family(family.name, family.type, family.help)
            if known.heads != heads(family.name, family.type, family.help):
                log.warning("want one type and help for the family %s, got two", family.name)

    def _renewed(self, blocks: Blocks) -> Blocks:
        """Return empty blocks with every family that does not belong to a kind."""
        new = blocks.renewed(self.options.drop)
        latency = LATENCY_HISTOGRAM if self.options.latency_buckets else LATENCY
        counters = [latency if family is LATENCY else family for family in COUNTERS]
        for family in (*IDENTITY, SUCCESS, DURATION, TIMEOUT, *RESULT, *counters):
            new.family(family.name, family.type, family.help)
        self._shapes.clear()
        self._series = 0
        for entry in self._entries.values():
            entry.key, entry.samples = (), 0
            entry.lasting.clear()
        return new


_NO_CONSTANT_LINES = dict.fromkeys((family.name for family in (*IDENTITY, *COUNTERS)), "")
