"""Where the prober's own numbers are read when a page is made: schedule, loop, reloads, store.

Knows the parts of the service that have numbers, not what the page looks like.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.exposition.sink import MetricsSink
from exporter.log import LogHandle
from exporter.metrics import SelfMetrics
from exporter.on_demand.asked import Asked
from exporter.reload import Reloads
from exporter.schedule import Scheduler
from exporter.store import Store
from probes.prober_health import LAG_WINDOW_S, ProberHealth
from probes.run import stuck_runs

# metrics.md 4.6
SHOWN_HASH_DIGITS = 12

Source = Callable[[], float | Mapping[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Vitals:
    """The parts that have numbers; ``store`` is None without a data directory."""

    scheduler: Scheduler
    health: ProberHealth
    reloads: Reloads
    log: LogHandle
    asked: Asked
    store: Store | None


def bind_vitals(
    own: SelfMetrics, sink: MetricsSink, parts: Vitals, config_hash: Callable[[], str]
) -> None:
    """Let *own* read every number of *parts*.

    Args:
        own: the prober's own metrics.
        sink: the lines of the probes; its numbers are read too.
        parts: where the numbers are.
        config_hash: of the config in force.
    """
    scheduler, reloads = parts.scheduler, parts.reloads
    stats = scheduler.stats
    sources: dict[str, Source] = {
        "sonde_active": lambda: 1,
        "sonde_probes_inflight": lambda: scheduler.inflight,
        "sonde_scheduler_due_runs_total": lambda: stats.due,
        "sonde_scheduler_started_runs_total": lambda: stats.started,
        "sonde_scheduler_missed_runs_total": lambda: {
            (reason,): count for reason, count in stats.missed.items()
        },
        "sonde_clock_jumps_total": lambda: stats.clock_jumps,
        "sonde_event_loop_lag_seconds": lambda: parts.health.worst_lag(LAG_WINDOW_S),
        "sonde_stuck_workers": lambda: stuck_runs() + int(parts.asked.is_stuck),
        "sonde_log_dropped_total": parts.log.dropped,
        "sonde_config_last_reload_successful": lambda: float(reloads.last_was_good),
        "sonde_config_last_reload_success_timestamp_seconds": lambda: reloads.last_good_s,
        "sonde_config_reloads_total": lambda: reloads.count,
        "sonde_config_reload_failures_total": lambda: reloads.failures,
        "sonde_probe_endpoint_in_flight": lambda: parts.asked.in_flight,
        "sonde_probe_endpoint_queued": lambda: parts.asked.queued,
        "sonde_probe_endpoint_abandoned_total": lambda: parts.asked.abandoned,
        "blackbox_module_unknown_total": lambda: parts.asked.unknown,
        "sonde_config_info": lambda: {(config_hash()[:SHOWN_HASH_DIGITS],): 1},
    }
    if parts.store is not None:
        sources |= _of_store(parts.store)
    for family, source in sources.items():
        own.bind(family, source)
    own.bind_sink(sink)


def _of_store(store: Store) -> dict[str, Source]:
    stats = store.stats
    return {
        "sonde_store_degraded": lambda: float(stats.is_degraded),
        "sonde_store_bytes": lambda: stats.size_bytes,
        "sonde_store_writes_total": lambda: stats.writes,
        "sonde_store_write_failures_total": lambda: stats.failures,
        "sonde_store_dropped_samples_total": lambda: stats.dropped,
    }
