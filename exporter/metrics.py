"""The prober's own numbers on ``/metrics``, read when a page is made.

The only module that imports prometheus_client. Knows neither the web server nor the scheduler:
whoever has a number of the prober's own binds or counts it here.
"""

import asyncio
import logging
import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.exposition.blocks import open_metrics_name
from exporter.exposition.catalogue import (
    BLACKBOX_OWN,
    DELAY_BUCKETS,
    OWN,
    OWN_BY_NAME,
    PRESENT_FROM_THE_START,
)
from exporter.exposition.options import MetricsOptions
from exporter.exposition.page import render_result
from exporter.exposition.scrape import PageQuery, accepts_gzip, content_type, negotiate, parse_shard
from exporter.exposition.series import RENDER_ERRORS
from exporter.exposition.sink import MetricsSink
from exporter.exposition.stream import EOF_LINE, Busy, Page, RenderFailed
from probes.families import Family
from probes.pattern import suggest
from probes.units import short

__all__ = [
    "Busy", "MetricsOptions", "MetricsSink", "Page", "PageQuery", "RenderFailed", "SelfMetrics",
    "accepts_gzip", "content_type", "negotiate", "parse_shard", "render_result", "store_registry",
]  # fmt: skip

log = logging.getLogger("sonde.metrics")

Reading = float | Mapping[Any, float]
"""One value, or values by label value: a text, or a tuple of texts in declared order."""
Source = Callable[[], Reading]

_DELAY = "sonde_scheduler_delay_seconds"
_RENDER = "sonde_exposition_duration_seconds"
_DROPPED_SOURCE_ERRORS = (*RENDER_ERRORS, OSError, RuntimeError)
# Stock alerts of blackbox_exporter ask for these; ours hold the same.
_SAME_AS = {
    "blackbox_exporter_config_last_reload_successful": "sonde_config_last_reload_successful",
    "blackbox_exporter_config_last_reload_success_timestamp_seconds": (
        "sonde_config_last_reload_success_timestamp_seconds"
    ),
}


class SelfMetrics:
    """The prober's own numbers.

    Args:
        version: of sonde.
        revision: of its source; empty when unknown.
        compat: ``blackbox`` adds the names that stock alerts on a reload ask for.
    """

    def __init__(
        self, version: str, revision: str = "", compat: frozenset[str] = frozenset()
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        delay, render = OWN_BY_NAME[_DELAY], OWN_BY_NAME[_RENDER]
        self._delay = Histogram(
            delay.name, delay.help, buckets=DELAY_BUCKETS, registry=self.registry
        )
        self._render_seconds = Summary(render.name, render.help, registry=self.registry)
        self._lock = threading.Lock()
        self._sources: dict[str, Source] = {}
        self._counts: dict[str, dict[tuple[str, ...], int]] = {
            name: dict.fromkeys(values, 0) for name, values in PRESENT_FROM_THE_START.items()
        }
        self.compat = compat
        self.beside: Callable[[PageQuery], bytes] = lambda _: b""
        """Lines of families that are no probe's; made when a page is, on the event loop."""
        self._bind_build_info(version, revision)

    def bind(self, family: str, source: Source) -> None:
        """Let a family be read from *source* whenever a page is made, on the event loop.

        Args:
            family: of the catalogue.
            source: returns a number, or numbers by label values in declared order.

        Raises:
            ValueError: no such family.
        """
        _own(family)
        self._sources[family] = source

    def count(self, family: str, *values: str, by: int = 1) -> None:
        """Add to a counter; from any thread.

        Args:
            family: of the catalogue.
            values: of its labels, in declared order.
            by: how much.

        Raises:
            ValueError: no such family, or other labels.
        """
        if len(values) != len(_own(family).labels):
            raise ValueError(f"want {len(_own(family).labels)} labels, got {short(values)}")
        with self._lock:
            counts = self._counts.setdefault(family, {})
            counts[values] = counts.get(values, 0) + by

    def observe_delay(self, seconds: float) -> None:
        """Note how late a run started."""
        self._delay.observe(seconds)

    def observe_render(self, seconds: float) -> None:
        """Note how long a page took."""
        self._render_seconds.observe(seconds)

    def bind_sink(self, sink: MetricsSink) -> None:
        """Show what a sink knows about itself and its pages."""
        stats = sink.exposition.stats
        self.bind("sonde_probes", sink.count_by_kind)
        self.bind("sonde_exposition_series", lambda: stats.series)
        self.bind(
            "sonde_exposition_bytes",
            lambda: {(encoding,): size for encoding, size in stats.page_bytes.items()},
        )
        self.bind("sonde_exposition_shared_total", lambda: stats.shared)

    async def render(self, query: PageQuery, pool: ThreadPoolExecutor) -> bytes:
        """Return the lines of everything that is bound, without an end mark.

        Numbers are read here, on the loop; files of the system and the text are left to *pool*.
        """
        bound, beside = self._bound(), self.beside(query)
        loop = asyncio.get_running_loop()
        return beside + await loop.run_in_executor(pool, self._text, bound, query)

    def _text(self, bound: list[Metric], query: PageQuery) -> bytes:
        metrics = (*bound, *self.registry.collect())
        if query.names:
            metrics = tuple(metric for metric in metrics if _is_named(metric, query.names))
        registry = cast("CollectorRegistry", _Given(metrics))
        if query.openmetrics:
            text = cast("bytes", generate_openmetrics(registry))  # type: ignore[no-untyped-call]
            return text.removesuffix(EOF_LINE)
        return generate_latest(registry)

    def _bound(self) -> list[Metric]:
        families = (*OWN, *BLACKBOX_OWN) if "blackbox" in self.compat else OWN
        metrics: list[Metric] = []
        for family in families:
            values = self._values(_SAME_AS.get(family.name, family.name))
            if values:
                metrics.append(_metric(family, values))
        return metrics

    def _values(self, name: str) -> dict[tuple[str, ...], float]:
        with self._lock:
            values: dict[tuple[str, ...], float] = dict(self._counts.get(name, {}))
        source = self._sources.get(name)
        if source is None:
            return values
        try:
            reading = source()
            values |= _by_labels(reading)
        except _DROPPED_SOURCE_ERRORS as error:
            # one broken number must not take the page away
            log.exception("want a value for %s, got %s", name, type(error).__name__)
        return values

    def _bind_build_info(self, version: str, revision: str) -> None:
        build: Reading = {(version, revision, platform.python_version()): 1.0}
        self._sources["sonde_build_info"] = lambda: build
        stock: Reading = {("", "", "", "", revision, "", version): 1.0}
        self._sources["blackbox_exporter_build_info"] = lambda: stock


class _Given:
    """A registry of metrics that are at hand."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _by_labels(reading: Reading) -> dict[tuple[str, ...], float]:
    if isinstance(reading, int | float):
        return {(): reading}
    return {(key,) if isinstance(key, str) else key: value for key, value in reading.items()}


def _own(name: str) -> Family:
    family = OWN_BY_NAME.get(name)
    if family is None:
        raise ValueError(
            f"want a family of the prober's own, got {short(name)}{suggest(name, OWN_BY_NAME)}"
        )
    return family


def _metric(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = Metric(open_metrics_name(family.name, family.type), family.help, family.type)
    for key, value in values.items():
        metric.add_sample(family.name, dict(zip(family.labels, key, strict=True)), value)
    return metric


def _is_named(metric: Metric, names: frozenset[str]) -> bool:
    return metric.name in names or any(sample.name in names for sample in metric.samples)


class _Store(Collector):
    """A collector of a sink's lines, for code that wants a registry."""

    def __init__(self, sink: MetricsSink) -> None:
        self._sink = sink

    def collect(self) -> Iterator[Metric]:
        """Yield what the sink shows now."""
        for family in self._sink.blocks.families.values():
            text = b"".join((family.heads[0], *family.pieces())).decode()
            if family.pieces():
                yield from text_string_to_metric_families(text)


def store_registry(sink: MetricsSink) -> CollectorRegistry:
    """Return a registry that holds what *sink* shows: for middleware that knows only registries.

    It is slow (each line is parsed) and no part of our own page.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Store(sink))
    return registry
