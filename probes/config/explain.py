"""One probe with every setting it ended up with, defaults included and secrets starred, as YAML."""

from typing import Any

import yaml

from probes.probe import Probe, Slo
from probes.units import format_duration


def explain(probe: Probe) -> str:
    """Return *probe* as it could stand in a probe file, but for its secrets."""
    keys: dict[str, Any] = {
        "name": probe.name,
        "kind": probe.kind.name,
        "target": probe.display,
        "every": format_duration(probe.every_s),
        "timeout": format_duration(probe.timeout_s),
        "retries": probe.retries,
        "retry_every": format_duration(probe.retry_every_s),
        "tags": sorted(probe.tags),
        "labels": dict(probe.labels),
        "severity": probe.severity,
        "incident": {
            "open_after": probe.incident.open_after,
            "close_after": probe.incident.close_after,
        },
        "depends_on": list(probe.depends_on),
        "runbook": probe.runbook,
        **({"slo": _slo(probe.slo)} if probe.slo is not None else {}),
        **probe.kind.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    head = f"# {probe.source}" + (f", module {probe.module}" if probe.module else "")
    body = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=100)
    return probe.redact(f"{head}\n{body}")


def _slo(slo: Slo) -> dict[str, Any]:
    if slo.latency_s is None:
        return {"objective": slo.objective}
    return {"objective": slo.objective, "latency": format_duration(slo.latency_s)}
