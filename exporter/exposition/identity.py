"""The lines that say what a probe is, apart from what its runs found (metrics.md 4.1).

Pure: a probe in, text by family out. Knows neither Results nor the page.
"""

from exporter.exposition.blocks import label_text, number
from exporter.exposition.catalogue import (
    INFO,
    INTERVAL,
    OUTCOMES,
    REGISTERED,
    SLO_LATENCY,
    SLO_OBJECTIVE,
    STATE,
)
from exporter.exposition.series import Labels
from probes.families import Family
from probes.probe import Probe
from probes.result import Outcome


def about(probe: Probe) -> tuple[object, ...]:
    """Return what is said of a probe itself beside the labels: equal means nothing to render."""
    return (
        probe.module, probe.severity, probe.tags, probe.runbook, probe.every_s, probe.timeout_s,
        probe.slo, bool(probe.retries),
    )  # fmt: skip


def identity_lines(
    probe: Probe, labels: Labels, registered_at: float | None, confirmed: Outcome | None
) -> dict[str, str]:
    """Return the lines that a probe has from its registration on.

    Args:
        probe: that is registered.
        labels: of its series.
        registered_at: Unix time; None once a run has ended.
        confirmed: its state; None before one is confirmed.
    """
    tags = f",{','.join(sorted(probe.tags))}," if probe.tags else ""
    info = label_text(
        (
            ("module", probe.module),
            ("severity", probe.severity),
            ("tags", tags),
            ("runbook_url", probe.runbook),
        )
    )
    lines = {
        INFO.name: f"{INFO.name}{labels.more}{info}}} 1\n",
        INTERVAL.name: _line(INTERVAL, labels, probe.every_s),
        STATE.name: state_lines(labels, confirmed),
    }
    if registered_at is not None:
        lines[REGISTERED.name] = _line(REGISTERED, labels, round(registered_at, 3))
    if probe.slo is not None:
        lines[SLO_OBJECTIVE.name] = _line(SLO_OBJECTIVE, labels, probe.slo.objective)
        if probe.slo.latency_s is not None:
            lines[SLO_LATENCY.name] = _line(SLO_LATENCY, labels, probe.slo.latency_s)
    return lines


def state_lines(labels: Labels, confirmed: Outcome | None) -> str:
    """Return one line for each state; the confirmed one is 1."""
    start = f"{STATE.name}{labels.more}"
    shown = confirmed.value if confirmed is not None else ""
    return "".join([f'{start}state="{name}"}} {int(name == shown)}\n' for name in OUTCOMES])


def _line(family: Family, labels: Labels, value: float) -> str:
    return f"{family.name}{labels.plain}{number(value)}\n"
