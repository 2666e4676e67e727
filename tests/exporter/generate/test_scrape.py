"""Scrape jobs: what stands in them, and what a real Prometheus makes of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.generate.scrape import scrape_text
from exporter.on_demand.question import OFFSET_S
from probes.config.load import load
from tests.servers.process import Server
from tests.servers.prometheus import Prometheus, promtool, start_prometheus
from tests.servers.sonde import ROOT, start_sonde
from tests.waiting import wait_until

ADDRESS = "sonde:9115"
BLACKBOX = "modules: {http_2xx: {prober: http, timeout: 4s}, free: {prober: tcp}}\n"
PROBES = """version: 1
include: [blackbox.yml]
defaults: {every: 20s}
modules:
  api: {kind: http, timeout: 3s}
  secret: {kind: http, headers: {X-Api-Key: {env: KEY}}}
probes:
  - {name: a, module: http_2xx, target: "http://127.0.0.1/a", labels: {team: web, area: eu}}
  - {name: b, module: http_2xx, target: "http://127.0.0.1/b", labels: {team: web, area: eu}}
  - {name: same, module: http_2xx, target: "http://127.0.0.1/b", labels: {team: web, area: eu}}
  - {name: other-team, module: http_2xx, target: "http://127.0.0.1/b", labels: {team: db}}
  - {name: often, module: api, target: "http://127.0.0.1/c", every: 3500ms}
  - {name: keyed, module: secret, target: "http://127.0.0.1/d", timeout: 250ms}
  - {name: narrower, module: api, target: "http://127.0.0.1/e", expect: {status: 404}}
  - {name: slower, module: api, target: "http://127.0.0.1/e", timeout: 4s}
  - {name: again, module: api, target: "http://127.0.0.1/e", retries: 2}
  - {name: closed, module: free, target: "127.0.0.1:1", must_fail: true}
  - {name: login, module: http_2xx, target: "http://me:s3cretword@127.0.0.1/f"}
  - {name: bare, kind: tcp, target: "127.0.0.1:22", timeout: 5s}
"""


def jobs(tmp_path: Path, page: Any, probes: str = PROBES) -> dict[str, Any]:
    (tmp_path / "blackbox.yml").write_text(BLACKBOX)
    path = tmp_path / "probes.yaml"
    path.write_text(probes)
    text = scrape_text(load(path, environ={"KEY": "0123456789abcdef"}), page, ADDRESS)
    assert "s3cretword" not in text
    assert "0123456789abcdef" not in text
    checked = promtool("check", "config", "--syntax-only", "/dev/stdin", page=text.encode())
    assert checked.returncode == 0, checked.stderr
    found = yaml.safe_load(text)
    assert list(found) == ["scrape_configs"]
    return {job["job_name"]: job for job in found["scrape_configs"]}


@pytest.mark.service
def test_what_is_scheduled_is_one_job_in_which_instance_becomes_the_target(tmp_path: Path) -> None:
    found = jobs(tmp_path, "metrics")

    assert found == {
        "sonde": {
            "job_name": "sonde",
            "honor_labels": True,
            "scrape_interval": "15s",
            "scrape_timeout": "10s",
            "static_configs": [{"targets": [ADDRESS]}],
            "relabel_configs": [{"source_labels": ["__address__"], "target_label": "prober"}],
            "metric_relabel_configs": [
                {"source_labels": ["target"], "regex": "(.+)", "target_label": "instance"}
            ],
        }
    }


@pytest.mark.service
def test_a_module_is_a_job_with_the_relabelling_that_everybody_knows(tmp_path: Path) -> None:
    found = jobs(tmp_path, "probe")["sonde-probe/http_2xx"]

    web = {"area": "eu", "team": "web"}
    times = {"__scrape_interval__": "20s", "__scrape_timeout__": "5s"}
    assert found == {
        "job_name": "sonde-probe/http_2xx",
        "metrics_path": "/probe",
        "params": {"module": ["http_2xx"]},
        "static_configs": [
            {"targets": ["http://127.0.0.1/a", "http://127.0.0.1/b"], "labels": web | times},
            {"targets": ["http://127.0.0.1/b"], "labels": {"team": "db"} | times},
        ],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": ADDRESS},
        ],
    }


@pytest.mark.service
def test_a_scrape_leaves_the_run_its_time_and_ends_before_the_next(tmp_path: Path) -> None:
    found = jobs(tmp_path, "probe")

    (often,) = found["sonde-probe/api"]["static_configs"]
    assert often["labels"] == {"__scrape_interval__": "3500ms", "__scrape_timeout__": "3500ms"}
    (keyed,) = found["sonde-probe/secret"]["static_configs"]
    assert keyed["labels"] == {"__scrape_interval__": "20s", "__scrape_timeout__": "1250ms"}
    assert OFFSET_S <= 1.25 - 0.25


@pytest.mark.service
def test_what_module_and_target_do_not_say_is_asked_for_by_name(tmp_path: Path) -> None:
    found = jobs(tmp_path, "probe")

    assert "sonde-probe/free" not in found
    job = found["sonde-probe"]
    named = {
        config["targets"][0]: (config["labels"]["probe"], config["labels"]["instance"])
        for config in job.pop("static_configs")
    }
    assert named == {
        "narrower": ("narrower", "http://127.0.0.1/e"),
        "slower": ("slower", "http://127.0.0.1/e"),
        "again": ("again", "http://127.0.0.1/e"),
        "closed": ("closed", "127.0.0.1:1"),
        "login": ("login", "http://127.0.0.1/f"),
        "bare": ("bare", "127.0.0.1:22"),
    }
    assert job == {
        "job_name": "sonde-probe",
        "metrics_path": "/probe",
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_probe"},
            {"target_label": "__address__", "replacement": ADDRESS},
        ],
    }


def test_a_file_without_a_probe_has_none_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^want a probe to ask for, got none$"):
        jobs(tmp_path, "probe", "version: 1\nprobes: []\n")


MET = """version: 1
defaults: {every: 1s, timeout: 900ms}
modules:
  web: {kind: http}
probes:
  - {name: up, module: web, target: "http://127.0.0.1:${SONDE_PORT}/-/healthy"}
  - {name: lost, module: web, target: "http://127.0.0.1:${SONDE_PORT}/nowhere"}
  - {name: login, module: web, target: "http://me:s3cretword@127.0.0.1:${SONDE_PORT}/"}
  - {name: port, kind: tcp, target: "127.0.0.1:${SONDE_PORT}"}
"""


@pytest.fixture(scope="module")
def sonde(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_sonde(tmp_path_factory.mktemp("sonde"), MET)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def prometheus(sonde: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    environ = {**os.environ, "SONDE_PORT": str(sonde.port)}
    config = load(sonde.directory / "probes.yaml", environ=environ)
    address = f"127.0.0.1:{sonde.port}"
    asked, scheduled = (
        yaml.safe_load(scrape_text(config, page, address))["scrape_configs"]
        for page in ("probe", "metrics")
    )
    # a test does not wait for a quarter of a minute
    scheduled[0] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    text = yaml.safe_dump({"scrape_configs": asked + scheduled})
    server = start_prometheus(tmp_path_factory.mktemp("prometheus"), text)
    # four probes, each seen both ways
    wait_until(lambda: len(server.query("count by (job, instance) (probe_success)")) == 8, 30)
    yield server
    server.stop()


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.parametrize("job", ["sonde", "sonde-probe.*"])
def test_in_a_real_prometheus_instance_is_the_target(
    sonde: Server, prometheus: Prometheus, job: str
) -> None:
    place = f"127.0.0.1:{sonde.port}"

    rows = prometheus.query(f'probe_success{{job=~"{job}"}}')

    assert {row["metric"]["instance"]: row["value"][1] for row in rows} == {
        f"http://{place}/-/healthy": "1",
        f"http://{place}/nowhere": "0",
        f"http://{place}/": "1",
        place: "1",
    }


@pytest.mark.service
@pytest.mark.slow
def test_what_sonde_tells_of_itself_keeps_its_address(
    sonde: Server, prometheus: Prometheus
) -> None:
    address = f"127.0.0.1:{sonde.port}"

    for expression in ('up{job="sonde"}', "sonde_build_info"):
        (row,) = prometheus.query(expression)
        assert (row["metric"]["instance"], row["metric"]["prober"]) == (address, address)


@pytest.mark.service
@pytest.mark.slow
def test_no_scrape_of_a_generated_job_fails(prometheus: Prometheus) -> None:
    wait_until(lambda: {it["health"] for it in prometheus.targets()} == {"up"}, 30)

    assert len(prometheus.targets()) == 5


def test_the_prometheus_of_the_compose_file_has_the_generated_job() -> None:
    written = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    made = yaml.safe_load(scrape_text(load(ROOT / "probes.yaml"), "metrics", "sonde:9115"))

    assert written["scrape_configs"] == made["scrape_configs"]
