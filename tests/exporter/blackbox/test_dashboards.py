"""What stock dashboards and alerts of blackbox_exporter ask for, on a real Prometheus.

Dashboards 7587, 13659 and 16124 as expressions of our own over the families and labels they use;
once over scheduled probes, once over a job of ``/probe`` with the usual relabelling.
"""

from collections.abc import Iterator

import pytest

from tests.exporter.blackbox.stage import Stage
from tests.servers.process import Server
from tests.servers.prometheus import Prometheus, start_prometheus
from tests.servers.sonde import start_sonde
from tests.waiting import wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow]
PROBES = """version: 1
defaults: {{every: 1s}}
probes:
  - {{name: plain, kind: http, target: "{http}/hops/1"}}
  - {{name: secure, kind: http, target: "{nginxs}/hello.txt", tls: {{ca_file: "{ca}"}}}}
  - {{name: pinged, kind: icmp, target: 127.0.0.1}}
  - {{name: asked, kind: dns, target: "{unbound}", query_name: www.local.test, query_type: A}}
  - {{name: broken, kind: http, target: "{http}/status/500"}}
"""
# The two ways in which dashboards meet us; in both `instance` is the target.
SCRAPE = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: scheduled
    static_configs: [{{targets: ["127.0.0.1:{scheduled}"]}}]
    metric_relabel_configs:
      - {{source_labels: [target], regex: (.+), target_label: instance}}
{jobs}
"""
JOB = """
  - job_name: probe-{module}
    metrics_path: /probe
    params: {{module: [{module}]}}
    static_configs: [{{targets: [{targets}]}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target}}
      - {{source_labels: [__param_target], target_label: instance}}
      - {{target_label: __address__, replacement: "127.0.0.1:{port}"}}
"""
JOBS = {
    "without_tls": ("{http}/hops/1", "{http}/status/500"),
    "with_tls": ("{nginxs}/hello.txt",),
    "ping": ("127.0.0.1",),
    "names": ("{unbound}",),
}
EXPRESSIONS = {
    # 7587: Prometheus Blackbox Exporter
    "7587 status": 'probe_success{{instance=~"{web}"}}',
    "7587 duration by phase": 'sum(probe_http_duration_seconds{{instance=~"{web}"}}) by (instance)',
    "7587 one phase": 'probe_http_duration_seconds{{instance=~"{web}",phase="processing"}}',
    "7587 probe duration": 'probe_duration_seconds{{instance=~"{web}"}}',
    "7587 status code": 'probe_http_status_code{{instance=~"{web}"}}',
    "7587 version": 'probe_http_version{{instance=~"{web}"}}',
    "7587 over TLS": 'probe_http_ssl{{instance=~"{web}"}}',
    "7587 certificate": "probe_ssl_earliest_cert_expiry{{job=~{job}}} - time()",
    "7587 average duration": 'avg(probe_duration_seconds{{instance=~"{web}"}})',
    "7587 lookup": 'avg(probe_dns_lookup_time_seconds{{instance=~"{web}"}}) by (instance)',
    # 13659: Blackbox Exporter (HTTP prober): a table, joined by instance
    "13659 a row for each": "count by (instance) (probe_success{{job=~{job}}})",
    "13659 TLS version": "probe_tls_version_info{{job=~{job}}}",
    "13659 days left": "(probe_ssl_earliest_cert_expiry{{job=~{job}}} - time()) / 86400",
    "13659 joined": "probe_http_status_code{{job=~{job}}}"
    " * on (instance) group_left () probe_success{{job=~{job}}}",
    "13659 redirects": "probe_http_redirects{{job=~{job}}} > 0",
    # 16124 and the mixin
    "16124 probes": "count(probe_success{{job=~{job}}})",
    "16124 up": "sum(probe_success{{job=~{job}}}) / count(probe_success{{job=~{job}}})",
    "16124 http probes": "count(probe_http_version{{job=~{job}}})",
    "16124 over TLS": "count(probe_http_ssl{{job=~{job}}} == 1)",
    "16124 slowest": "max by (instance) (probe_duration_seconds{{job=~{job}}})",
    "16124 ping": 'probe_icmp_duration_seconds{{job=~{job},phase="rtt"}}',
    "16124 availability": "avg_over_time(probe_success{{job=~{job}}}[1m])",
    # alerts
    "alert failed": "probe_success{{job=~{job}}} == 0",
    "alert status": "probe_http_status_code{{job=~{job}}} <= 199"
    " or probe_http_status_code{{job=~{job}}} >= 400",
    "alert expiry": "last_over_time(probe_ssl_earliest_cert_expiry{{job=~{job}}}[10m])"
    " - time() > 0",
    "alert dns": 'probe_dns_duration_seconds{{job=~{job},phase="request"}}',
}  # fmt: skip


@pytest.fixture(scope="module")
def scheduled(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    probes = PROBES.format_map(stage.places)
    server = start_sonde(tmp_path_factory.mktemp("scheduled"), probes)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def prometheus(
    stage: Stage, scheduled: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    jobs = "".join(
        JOB.format(
            module=module,
            port=stage.fixed.port,
            targets=", ".join(f'"{stage.place(target)}"' for target in targets),
        )
        for module, targets in JOBS.items()
    )
    config = SCRAPE.format(scheduled=scheduled.port, jobs=jobs)
    server = start_prometheus(tmp_path_factory.mktemp("prometheus"), config)
    # five probes, each seen both ways
    wait_until(lambda: len(server.query("count by (job, instance) (probe_success)")) == 10, 30)
    yield server
    server.stop()


@pytest.mark.parametrize("job", ['"scheduled"', '"probe-.*"'])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_returns_data(
    stage: Stage, prometheus: Prometheus, name: str, job: str
) -> None:
    web = ".*" + stage.places["http"].removeprefix("http://") + ".*"
    expression = EXPRESSIONS[name].format(web=web, job=job)
    if "instance=~" in expression:
        expression = expression.replace("instance=~", f"job=~{job},instance=~")

    found = prometheus.query(expression)

    assert found, expression
    told = {it["metric"].get("instance", "") for it in found} - {""}
    assert not any(str(stage.fixed.port) in it for it in told)


def test_both_ways_name_the_same_instances(prometheus: Prometheus) -> None:
    rows = prometheus.query("count by (job, instance) (probe_success)")

    instances = {
        way: sorted(it["metric"]["instance"] for it in rows if it["metric"]["job"].startswith(way))
        for way in ("scheduled", "probe-")
    }
    assert instances["scheduled"] == instances["probe-"]


def test_no_scrape_fails(prometheus: Prometheus) -> None:
    assert {target["health"] for target in prometheus.targets()} == {"up"}
