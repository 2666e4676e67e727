"""The scrape jobs by which Prometheus meets the probes of a file.

    metrics    one job: sonde has the schedule, Prometheus reads what it found
    probe      a job for each module and one for all other probes: Prometheus has the schedule

In all of them ``instance`` is the target, as dashboards of blackbox_exporter want it. Beside them,
for who has no file yet, the rules to load and who is told of alerts. Knows neither a file of its
user nor a Prometheus.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

import yaml

from exporter.generate.packs import HASH_DIGITS
from probes.config.load import Config
from probes.probe import Probe

Page = Literal["metrics", "probe"]
SCRAPE_FILE = "prometheus.yml"
# Jobs of modules have a slash in front of the module, so no two jobs have one name.
JOB, PROBE_JOB = "sonde", "sonde-probe"
# metrics.md 10.1
INTERVAL, TIMEOUT = "15s", "10s"
# An answer comes at its timeout and 100 ms; sonde keeps half a second of what Prometheus leaves it.
GRACE_S = 1.0


def scrape_text(
    config: Config,
    page: Page,
    address: str,
    *,
    rules: Sequence[str] = (),
    alertmanagers: Sequence[str] = (),
) -> str:
    """Return a file with ``scrape_configs``; the same config gives the same bytes.

    Args:
        config: whose probes are scraped.
        page: which page Prometheus asks for.
        address: where sonde listens, as Prometheus sees it.
        rules: files of rules to load, as Prometheus sees them; none: the file does not speak of it.
        alertmanagers: ``HOST:PORT`` of who is told of alerts; none: as above.

    Raises:
        ValueError: there is no probe to ask for.
    """
    jobs = [_scheduled(address)] if page == "metrics" else list(_asked(config, address))
    if not jobs:
        raise ValueError("want a probe to ask for, got none")
    head = (
        f"# sonde {version('sonde')}, config {config.hash[:HASH_DIGITS]}:"
        " written by `sonde generate prometheus`, changes here are lost\n"
    )
    told = [{"static_configs": [{"targets": list(alertmanagers)}]}]
    whole = {
        **({"rule_files": list(rules)} if rules else {}),
        **({"alerting": {"alertmanagers": told}} if alertmanagers else {}),
        "scrape_configs": jobs,
    }
    return head + yaml.dump(whole, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes the same object twice, not once and an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a hook of PyYAML
        return True


def _scheduled(address: str) -> dict[str, Any]:
    return {
        "job_name": JOB,
        # labels of the probe file win over those of the target
        "honor_labels": True,
        "scrape_interval": INTERVAL,
        "scrape_timeout": TIMEOUT,
        "static_configs": [{"targets": [address]}],
        # with instance = target, two probers would else tell the same series
        "relabel_configs": [{"source_labels": ["__address__"], "target_label": "prober"}],
        # up and what sonde tells of itself have no target: their instance stays its address
        "metric_relabel_configs": [
            {"source_labels": ["target"], "regex": "(.+)", "target_label": "instance"}
        ],
    }


def _asked(config: Config, address: str) -> Iterable[dict[str, Any]]:
    by_module: dict[str, list[Probe]] = {}
    by_name: list[Probe] = []
    for probe in config.probes:
        if _is_module_alone(config, probe):
            by_module.setdefault(probe.module, []).append(probe)
        else:
            by_name.append(probe)
    for module, probes in sorted(by_module.items()):
        yield {
            "job_name": f"{PROBE_JOB}/{module}",
            "metrics_path": "/probe",
            "params": {"module": [module]},
            "static_configs": _targets(probes),
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": address},
            ],
        }
    if by_name:
        yield {
            "job_name": PROBE_JOB,
            "metrics_path": "/probe",
            "static_configs": [_named(probe) for probe in by_name],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_probe"},
                {"target_label": "__address__", "replacement": address},
            ],
        }


def _is_module_alone(config: Config, probe: Probe) -> bool:
    """Return whether module and target say all about *probe*, and its target is no secret."""
    module = config.modules.get(probe.module)
    if module is None or module.settings != probe.kind or probe.display != probe.target:
        return False
    has_own_keys = module.timeout_s not in (None, probe.timeout_s) or probe.retries
    return not (has_own_keys or probe.must_fail)


def _targets(probes: Iterable[Probe]) -> list[dict[str, Any]]:
    """Return the targets of *probes*: those with the same labels and times together."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for probe in probes:
        targets = groups.setdefault(tuple(_labels(probe).items()), [])
        if probe.target not in targets:
            targets.append(probe.target)
    return [{"targets": targets, "labels": dict(labels)} for labels, targets in groups.items()]


def _named(probe: Probe) -> dict[str, Any]:
    labels = {"instance": probe.display, "probe": probe.name, **_labels(probe)}
    return {"targets": [probe.name], "labels": labels}


def _labels(probe: Probe) -> Mapping[str, str]:
    timeout_s = min(probe.timeout_s + GRACE_S, probe.every_s)
    return {
        **dict(sorted(probe.labels.items())),
        "__scrape_interval__": _duration(probe.every_s),
        "__scrape_timeout__": _duration(timeout_s),
    }


def _duration(seconds: float) -> str:
    """Write seconds as Prometheus reads them, which knows no fractions."""
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{whole}s"
