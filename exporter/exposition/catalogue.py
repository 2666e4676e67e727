"""Every family that ``/metrics`` may hold, as data, and the reference page made of it.

    identity, result, counters    one block per probe, filled by `exporter.metrics.MetricsSink`
    own                           the prober's own, filled by `exporter.metrics.SelfMetrics`
    blackbox, shared              samples of kinds, listed in `probes.families`
    samples of one kind           ``Kind.metrics``
    load runs                     `exporter.exposition.load_families`

Knows no value, no registry and no page in bytes.
"""

from collections.abc import Collection, Iterable, Mapping

from exporter.exposition.load_families import K6, LOAD, LOCUST
from probes.families import BLACKBOX, BLACKBOX_BY_NAME, SHARED, Family, FamilyType, family_name
from probes.kind import Kind, Metric
from probes.kinds import discover
from probes.result import PROBER_REASONS, Outcome

# metrics.md 4.3, 4.5.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
DELAY_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)

OUTCOMES = tuple(outcome.value for outcome in Outcome)
MISSED_REASONS = ("overlap", "late", "capacity", "drain")
DROPPED_REASONS = (
    "probe_limit", "global_limit", "label_limit", "not_finite", "duplicate", "encoding",
)  # fmt: skip
REJECTED_REASONS = ("auth", "host", "origin", "rate", "limit", "policy", "header_timeout")


def _family(
    name: str, text: str, *labels: str, kind: FamilyType = "gauge", dynamic: bool = False
) -> Family:
    return Family(name, text, labels, kind, dynamic)


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name, text, labels, "counter")


INFO = _family(
    "sonde_probe_info",
    "What a probe is, for joins: one series per probe",
    "module", "severity", "tags", "runbook_url",
    kind="info",
)  # fmt: skip
INTERVAL = _family("sonde_probe_interval_seconds", "Expected seconds between two runs")
REGISTERED = _family(
    "sonde_probe_registered_timestamp_seconds",
    "When the prober learned of the probe, as Unix time; until its first run has ended",
)
SLO_OBJECTIVE = _family("sonde_probe_slo_objective_ratio", "Share of the runs that must pass, 0-1")
SLO_LATENCY = _family(
    "sonde_probe_slo_latency_seconds", "Seconds within which a run must pass to be fast enough"
)
STATE = _family(
    "sonde_probe_state",
    "1 for the confirmed state, which lags the outcome by incident.open_after and close_after runs;"
    " all 0 before the first",
    "state",
)
IDENTITY = (INFO, INTERVAL, REGISTERED, SLO_OBJECTIVE, SLO_LATENCY, STATE)

RUNS = _counter(
    "sonde_probe_runs_total", "Judged runs: up, degraded and down, not unknown",
)  # fmt: skip
FAILURES = _counter("sonde_probe_failures_total", "Runs that ended down")
DEGRADED = _counter("sonde_probe_degraded_total", "Runs that ended degraded")
UNKNOWN = _counter("sonde_probe_unknown_total", "Runs that the prober itself spoilt")
SLOW = _counter("sonde_probe_slow_total", "Runs up or degraded that took longer than slo.latency")
RETRIES = _counter("sonde_probe_retries_total", "Extra attempts within runs")
REASONS = _counter(
    "sonde_probe_failure_reasons_total",
    "Runs down or unknown by reason; a series appears with its first run, which increase() cannot"
    " see: alert on sonde_probe_failures_total",
    "reason",
)
LATENCY = _family(
    "sonde_probe_latency_seconds",
    "Duration of the runs that ended up or degraded, in seconds",
    kind="summary",
)
LATENCY_HISTOGRAM = _family(LATENCY.name, LATENCY.help, "le", kind="histogram")
COUNTERS = (RUNS, FAILURES, DEGRADED, UNKNOWN, SLOW, RETRIES, REASONS, LATENCY)

SUCCESS = BLACKBOX_BY_NAME["probe_success"]
DURATION = BLACKBOX_BY_NAME["probe_duration_seconds"]
TIMEOUT = BLACKBOX_BY_NAME["probe_timeout_seconds"]
OUTCOME = _family(
    "sonde_probe_outcome",
    "1 for the outcome of the last run; gone when the probe has not run for three intervals",
    "outcome",
)
FAILURE_INFO = _family(
    "sonde_probe_failure_info",
    "Why the last run was not up",
    "reason", "phase",
    kind="info",
)  # fmt: skip
CONSECUTIVE = _family(
    "sonde_probe_consecutive_failures", "Runs down in a row; unknown leaves it as it is"
)
LAST_RUN = _family(
    "sonde_probe_last_run_timestamp_seconds", "End of the last run of any outcome, as Unix time"
)
LAST_SUCCESS = _family(
    "sonde_probe_last_success_timestamp_seconds",
    "End of the last run that was up or degraded, as Unix time; absent before one",
)
PHASE = _family(
    "sonde_probe_phase_duration_seconds", "Duration of the last run by phase, in seconds", "phase"
)
RESULT = (OUTCOME, FAILURE_INFO, CONSECUTIVE, LAST_RUN, LAST_SUCCESS, PHASE, *SHARED)

# 4.5, 4.6, 4.7: the prober's own.
OWN: tuple[Family, ...] = (
    _family(
        "sonde_build_info", "Version of the prober", "version", "revision", "python", kind="info"
    ),
    _family("sonde_active", "1 if this process runs probes, 0 if it is on standby"),
    _family("sonde_probes", "Registered probes", "kind"),
    _family("sonde_probes_inflight", "Runs that go on now"),
    _counter("sonde_scheduler_due_runs_total", "Runs that fell due: started + missed, at any time"),
    _counter("sonde_scheduler_started_runs_total", "Runs that were started"),
    _counter(
        "sonde_scheduler_missed_runs_total", "Runs that fell due and were not started", "reason"
    ),
    _family(
        "sonde_scheduler_delay_seconds", "How late a run started, in seconds", kind="histogram"
    ),
    _counter("sonde_clock_jumps_total", "Times the wall clock moved against the monotonic one"),
    _family("sonde_event_loop_lag_seconds", "Worst lag of the event loop in the last 30 s"),
    _counter(
        "sonde_prober_faults_total", "Runs that ended unknown, by the prober's fault", "reason"
    ),
    _family("sonde_stuck_workers", "Runs, threads and children that ignore their deadline"),
    _counter("sonde_log_dropped_total", "Log lines that were not written"),
    _family("sonde_config_last_reload_successful", "1 if the last reload of the config was good"),
    _family(
        "sonde_config_last_reload_success_timestamp_seconds",
        "When the config was last loaded well, as Unix time",
    ),
    _counter("sonde_config_reloads_total", "Reloads of the config"),
    _counter("sonde_config_reload_failures_total", "Reloads that were refused"),
    _family("sonde_config_info", "First digits of the config's SHA-256", "hash", kind="info"),
    _family("sonde_store_degraded", "1 while the data directory cannot be written; with --data"),
    _family("sonde_store_bytes", "Size of the state in the data directory; with --data"),
    _counter("sonde_store_writes_total", "Pieces of state that were written; with --data"),
    _counter("sonde_store_write_failures_total", "Attempts to write that failed; with --data"),
    _counter(
        "sonde_store_dropped_samples_total", "Pieces of state that were given up; with --data"
    ),
    _family("sonde_probe_endpoint_in_flight", "Runs that /probe was asked for and that go on now"),
    _family("sonde_probe_endpoint_queued", "Requests to /probe that wait for their turn"),
    _counter(
        "sonde_probe_endpoint_abandoned_total",
        "Runs of /probe whose answer did not wait for their clean-up",
    ),
    _counter("sonde_web_requests_total", "Answered requests", "handler", "code"),
    _counter("sonde_web_rejected_total", "Requests that a limit or a rule refused", "reason"),
    _family(
        "sonde_exposition_duration_seconds",
        "Time to render and pack a page of metrics, in seconds, per real render",
        kind="summary",
    ),
    _family("sonde_exposition_series", "Series of probes on the last whole page"),
    _family("sonde_exposition_bytes", "Size of the last whole page", "encoding"),
    _counter("sonde_exposition_shared_total", "Scrapes that were served with another's page"),
    _counter("sonde_series_dropped_total", "Series that were not exposed, per run", "reason"),
)
# With ``metrics: {compat: [blackbox]}``: names that stock alerts on a reload ask for.
BLACKBOX_OWN: tuple[Family, ...] = (
    _family(
        "blackbox_exporter_build_info",
        "Version of the prober, under the name that blackbox_exporter uses",
        "branch", "goarch", "goos", "goversion", "revision", "tags", "version",
    ),
    _family("blackbox_exporter_config_last_reload_successful", "1 if the last reload was good"),
    _family(
        "blackbox_exporter_config_last_reload_success_timestamp_seconds",
        "When the config was last loaded well, as Unix time",
    ),
    _counter("blackbox_module_unknown_total", "Requests to /probe for a module that there is not"),
)  # fmt: skip

OWN_BY_NAME: Mapping[str, Family] = {family.name: family for family in (*OWN, *BLACKBOX_OWN)}

PRESENT_FROM_THE_START: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "sonde_scheduler_missed_runs_total": tuple((reason,) for reason in MISSED_REASONS),
    "sonde_prober_faults_total": tuple((r.value,) for r in sorted(PROBER_REASONS)),
    "sonde_web_rejected_total": tuple((reason,) for reason in REJECTED_REASONS),
    "sonde_series_dropped_total": tuple((reason,) for reason in DROPPED_REASONS),
}
"""Label values known from the start: ``increase()`` cannot see the first of a new series."""


def sample_family(metric: Metric) -> Family:
    """Return the family that a kind's sample becomes; blackbox_exporter's words win.

    Raises:
        ValueError: a name or label that may not be.
    """
    name = family_name(metric.name)
    known = BLACKBOX_BY_NAME.get(name) or _SHARED_BY_NAME.get(name)
    if known is not None:
        return known
    if (metric.type == "counter") != name.endswith("_total"):
        raise ValueError(f"want _total at the end of counters alone, got {metric.name!r}")
    return Family(name, metric.help, metric.labels, metric.type, metric.dynamic)


def named_family(metric: Metric) -> Family:
    """Return the family that a probe's settings name: as it is called there."""
    return Family(
        metric.name, metric.help, metric.labels, metric.type, metric.dynamic, of_user=True
    )


_SHARED_BY_NAME = {family.name: family for family in SHARED}


def core_families() -> tuple[Family, ...]:
    """Return every family that does not belong to one kind."""
    return (
        *IDENTITY, *BLACKBOX, *RESULT, *COUNTERS, *OWN, *BLACKBOX_OWN, *LOAD, *LOCUST, *K6,
    )  # fmt: skip


def kind_families(kind: type[Kind]) -> tuple[Family, ...]:
    """Return the families that only this kind's samples fill."""
    families = (sample_family(metric) for metric in kind.metrics)
    shared = {*BLACKBOX_BY_NAME, *_SHARED_BY_NAME}
    return tuple(family for family in families if family.name not in shared)


_HEAD = """\
# Metrics

Every family that `/metrics` may hold. This page is generated from the code by `make docs`.

**P** stands for the labels of a probe: `probe` (its unique name, the only key to join on), `kind`,
`target` (the redacted form, not unique) and the probe's own `labels:`. The prober's own metrics
carry none of them.
"""
_RULES = """\
## How a series lives

* From its registration on a probe has its counters, at 0: `increase()` sees the first failure.
* A result family shows the last run and nothing else: what a run did not find is gone.
* After a run that ended `unknown`, and when a probe has not run for
  max(3 x interval, timeout) + 5 s, result families disappear. `probe_success == 0` therefore never
  speaks of the prober's own faults. Counters, `sonde_probe_info`, interval, state and the last-run
  timestamps stay.
* Families marked *lasting* speak of the probe rather than of its last run (counters, thresholds):
  they stay until there is a newer value. Kinds that judge several endpoints tell their samples
  after a run that ended `unknown`, too; `probe_success` is gone there as well.
* A probe that leaves the file leaves the page with the next scrape. A reload keeps the counters of
  a probe that keeps its name; a restart begins at 0.

## Labels

* `service team env environment region zone cluster az dc owner customer stage project app group`
  are free for your `labels:` for ever; every label name below is taken.
* A label of yours that Prometheus also sets as a target label needs `honor_labels: true` in the
  scrape job, or it arrives as `exported_<name>`.
* Values that come from a target are cleaned, cut to 128 bytes (certificates: 4096) and stand only
  in families marked *dynamic*.
* Join with what is on `sonde_probe_info` alone:

```promql
probe_success * on (probe) group_left (severity, module)
  topk by (probe) (1, max by (probe, severity, module) (sonde_probe_info))
```

## What to ask for

`/metrics` takes `name[]=`, `probe=`, `tag=` (each repeatable) and `shard=i/n`. Text 0.0.4 and
OpenMetrics 1.0 hold the same samples.
"""


def metrics_page(kinds: Iterable[type[Kind]] | None = None) -> str:
    """Return the reference page ``docs/metrics.md``.

    Args:
        kinds: whose samples are listed, in this order; None: all of ours.
    """
    kinds = discover().values() if kinds is None else kinds
    parts = [
        _HEAD,
        _table("Identity of a probe", "P", IDENTITY),
        _table("Last run", "P", RESULT),
        _table("Counters of a probe", "P", COUNTERS),
        _table("Families of blackbox_exporter (result of the last run)", "P", BLACKBOX),
    ]
    for kind in kinds:
        lasting = {family_name(metric.name) for metric in kind.metrics if metric.lasting}
        if own := kind_families(kind):
            parts.append(_table(f"Kind `{kind.name}`", "P", own, lasting))
    parts += [
        _table("The prober itself", "", OWN),
        _table("With `metrics: {compat: [blackbox]}`", "", BLACKBOX_OWN),
        _table("Load runs: what each scenario does, did and has counted", "", LOAD),
        _table("Load runs with `compat: [locust]` in the scenario", "", LOCUST),
        _table("Load runs with `compat: [k6]` in the scenario", "", K6),
        "The client library adds `process_*`, `python_info` and `python_gc_*`.\n",
        _RULES,
    ]
    return "\n".join(parts)


def _table(
    title: str, shared: str, families: Iterable[Family], lasting: Collection[str] = ()
) -> str:
    rows = [f"## {title}\n", "| family | type | labels | meaning |", "|---|---|---|---|"]
    for family in families:
        labels = ", ".join(filter(None, (shared, *(f"`{label}`" for label in family.labels))))
        note = " *dynamic*" if family.dynamic else ""
        note += " *lasting*" if family.name in lasting else ""
        rows.append(f"| `{family.name}` | {family.type} | {labels}{note} | {family.help} |")
    return "\n".join(rows) + "\n"
