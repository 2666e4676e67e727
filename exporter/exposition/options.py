"""What the config says about the page of metrics, as the sink of Results wants it.

Plain data. Knows no probe and no page.
"""

from dataclasses import dataclass

from exporter.exposition.catalogue import LATENCY_BUCKETS
from exporter.exposition.series import MAX_SERIES_OF_ONE, Shape, shape_of
from probes.config.load import Config
from probes.probe import Probe

# metrics.md 2.6: about 120 MB of blocks.
MAX_SERIES = 500_000


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """What the config says about metrics.

    Args:
        drop: families that are not exposed, by exact name.
        latency_buckets: upper bounds in seconds; empty: no histogram.
        instance_label: expose ``instance`` and ``job`` too.
        series: of all probes at most.
        series_per_probe: of one probe at most, unless its kind needs more.
        strict_modules: whose probes keep quirks of blackbox_exporter.
    """

    drop: frozenset[str] = frozenset()
    latency_buckets: tuple[float, ...] = ()
    instance_label: bool = False
    series: int = MAX_SERIES
    series_per_probe: int = MAX_SERIES_OF_ONE
    strict_modules: frozenset[str] = frozenset()

    def shape_of(self, probe: Probe) -> Shape:
        """Return what the samples and phases of *probe* become."""
        is_strict = probe.module in self.strict_modules
        return shape_of(type(probe.kind), probe.kind.named_metrics, is_strict=is_strict)


def metrics_options(config: Config) -> MetricsOptions:
    """Return what *config* says about metrics."""
    settings, limits = config.metrics, config.limits
    return MetricsOptions(
        drop=frozenset(settings.drop),
        latency_buckets=_buckets(settings.latency_buckets),
        instance_label=settings.instance_label,
        series=limits.series,
        series_per_probe=limits.series_per_probe,
        strict_modules=frozenset(
            name
            for name, module in config.modules.items()
            if module.origin is not None and module.origin.compat == "strict"
        ),
    )


def compat_of(config: Config) -> frozenset[str]:
    """Return whose own metrics are served too; a blackbox.yml alone has nowhere to say it."""
    return frozenset({*config.metrics.compat, *(("blackbox",) if config.is_drop_in else ())})


def _buckets(wish: bool | tuple[float, ...]) -> tuple[float, ...]:  # noqa: FBT001 - a YAML key
    if isinstance(wish, tuple):
        return wish
    return LATENCY_BUCKETS if wish else ()
