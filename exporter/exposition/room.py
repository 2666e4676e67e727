"""How many series the probes have, and how many they may have (metrics.md 2.6).

    constant    what every registered probe has; without room for it a probe has no series at all
    samples     what its last run brought; beyond its room the last ones are left out

Knows neither lines nor the page.
"""

import logging
from collections.abc import Callable

from exporter.exposition.entry import Entry
from exporter.exposition.options import MetricsOptions
from exporter.exposition.scrape import OwnMetrics

log = logging.getLogger("sonde.metrics")

# metrics.md 2.6: one line a minute about probes that find no room.
WARN_EVERY_S = 60.0


class Room:
    """Counts the series of all admitted probes.

    Args:
        options: with the limits; the sink sets new ones.
        own: the prober's own numbers, which tell what found no room.
        clock: monotonic seconds.
    """

    def __init__(
        self, options: MetricsOptions, own: OwnMetrics, clock: Callable[[], float]
    ) -> None:
        self.options = options
        self.series = 0
        """That admitted probes have, or will have."""
        self._own = own
        self._clock = clock
        self._warned_at = float("-inf")

    def admits(self, entry: Entry) -> bool:
        """Return whether there is room for a probe's constant series; tell it if not."""
        if self.series + entry.constant <= self.options.series:
            return True
        self.drop("global_limit", entry.constant)
        now = self._clock()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            log.warning(
                "want at most %d series (limits.series), got no room for the probe %s",
                self.options.series,
                entry.probe.name,
            )
        return False

    def count_samples(self, entry: Entry, count: int) -> None:
        """Note how many series of samples a probe has now."""
        self.series += count - entry.samples
        entry.samples = count

    def for_samples(self, entry: Entry) -> tuple[int, str]:
        """Return how many samples a probe may have, and the reason why no more."""
        limit = max(self.options.series_per_probe, entry.probe.kind.series_limit or 0)
        own_room = limit - entry.constant
        free_room = self.options.series - self.series + entry.samples
        if own_room <= free_room:
            return max(0, own_room), "probe_limit"
        return max(0, free_room), "global_limit"

    def drop(self, reason: str, count: int) -> None:
        """Count series that are left out."""
        self._own.count("sonde_series_dropped_total", reason, by=count)
