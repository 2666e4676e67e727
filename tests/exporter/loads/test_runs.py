"""``sonde run`` with scenarios that are due: a real process, seen by a real Prometheus.

Its wall clock is set to the last seconds of a minute once it is imported, which takes its time on a
crowded machine; everything else is as a user has it.
"""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from tests.exporter.commands.test_loading import Site
from tests.exporter.pages import parsed
from tests.servers.process import free_port, wait_until
from tests.servers.prometheus import Prometheus, get, promtool, start_prometheus
from tests.servers.sonde import ROOT, Sonde

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

START = """
import sys, time_machine
from datetime import UTC, datetime
import exporter.service, scenarios.course.run
from exporter.cli import main
now = datetime(2026, 11, 21, 3, 0, int(sys.argv.pop(1)), tzinfo=UTC)
time_machine.travel(now, tick=True).start()
main()
"""
DUE, FAR = 56, 5
"""Seconds of the minute: the schedule is due soon, or not for long."""
FILE = """
version: 1
journeys:
  home:
    base_url: http://127.0.0.1:{port}
    steps: [{{name: home, get: /}}]
  stuck:
    base_url: http://127.0.0.1:{port}
    steps:
      - {{name: home, get: /}}
      - {{name: wait, get: "http://127.0.0.1:{deaf}/", timeout: 1m}}
    cleanup: [{{name: bye, get: "http://127.0.0.1:{deaf}/", timeout: 1m}}]
    cleanup_timeout: 1m
    timeout: 2m
probes:
  - {{name: front, kind: http, target: "http://127.0.0.1:{port}/", every: 500ms, timeout: 400ms}}
  - {{name: gone, kind: tcp, target: "127.0.0.1:9", every: 500ms, timeout: 400ms}}
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_users: 100, max_rate: 50/s, max_duration: 2m}}
scenarios:
  nightly:
    schedule: "* * * * *"
{nightly}
"""
LONG = """
    journey: home
    rate: 20/s
    duration: 100s
"""
SHORT = """
    journey: home
    rate: 20/s
    duration: 3s
    compat: [k6]
"""
STUCK = """
    journey: stuck
    rate: 20/s
    duration: 100s
    preflight: {{probe: front}}
    thresholds: ["promql(up) > 0", "rate(request.failed) < 50%"]
    prometheus: {{url: "http://127.0.0.1:{deaf}", timeout: 1m}}
"""
"""Nothing of it ends by itself: neither what users wait for, nor their clean-up, nor Prometheus."""


class Place:
    """A site to load, a probe file and a data directory that outlive a process."""

    def __init__(self, directory: Path) -> None:
        self.site = Site(directory)
        self.directory = directory
        self.port = free_port()
        self.file = directory / "service.yaml"
        self.started: list[subprocess.Popen[bytes]] = []
        # connections to it are taken, and never answered
        self.deaf = socket.create_server(("127.0.0.1", 0), backlog=1000)

    def write(self, nightly: str) -> None:
        port, deaf = self.site._server.server_address[1], self.deaf.getsockname()[1]
        text = FILE.format(port=port, deaf=deaf, nightly=nightly.format(deaf=deaf))
        self.file.write_text(text)

    def start(self, second: int) -> Sonde:
        self.begin(second)
        return self.ready()

    def begin(self, second: int) -> None:
        command = [
            sys.executable, "-c", START, str(second), "run", "--config", str(self.file),
            "--data", str(self.directory / "data"), "--listen", f"127.0.0.1:{self.port}",
            "--log-format", "json",
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.started.append(process)

    def ready(self) -> Sonde:
        process = self.started[-1]
        error = wait_until(lambda: get(self.port, "/-/ready"), process)
        assert error is None, self.log()
        return Sonde(process, self.port, self.directory)

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait(10)
        self.site.close()
        self.deaf.close()

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def results(self) -> list[dict[str, Any]]:
        paths = sorted((self.directory / "data" / "reports" / "nightly").glob("*/result.json"))
        return [json.loads(path.read_text()) for path in paths]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def under_way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """Services whose long runs begin while the first test waits for its own."""
    made = {name: Place(tmp_path_factory.mktemp(name)) for name in ("ended", "stuck", "cut off")}
    for name, it in made.items():
        it.write(STUCK if name == "stuck" else LONG)
        it.begin(DUE)
    yield made
    for it in made.values():
        it.close()


def values(sonde: Sonde, family: str) -> dict[str, float]:
    """Return what is shown of the scenario, by the other labels."""
    found = parsed(sonde.get("/metrics"), openmetrics=False)
    name = family.removesuffix("_total")
    return {
        " ".join(v for k, v in sorted(it.labels.items()) if k != "scenario"): it.value
        for it in (found[name].samples if name in found else ())
    }


def until(sonde: Sonde, family: str, labels: str, wanted: float) -> None:
    def look() -> None:
        got = values(sonde, family).get(labels)
        if got != wanted:
            raise ValueError(f"want {wanted}, got {got}")

    error = wait_until(look, sonde.process)
    assert error is None, error


def until_it_loads(sonde: Sonde) -> None:
    # a busy machine has more than one user at once
    def look() -> bool:
        return values(sonde, "loadtest_users").get("", 0) >= 1

    error = wait_until(look, sonde.process)
    assert error is None, error


@pytest.fixture
def prometheus(tmp_path: Path, place: Place) -> Iterator[Prometheus]:
    directory = tmp_path / "prometheus"
    directory.mkdir()
    running = start_prometheus(
        directory,
        "scrape_configs: [{job_name: sonde, scrape_interval: 1s, honor_labels: true,"
        f" static_configs: [{{targets: ['127.0.0.1:{place.port}']}}]}}]",
    )
    yield running
    running.stop()


@pytest.mark.service
@pytest.mark.usefixtures("under_way")
def test_a_scheduled_run_is_made_once_seen_by_prometheus_and_known_after_a_restart(
    place: Place, prometheus: Prometheus
) -> None:
    place.write(SHORT)
    sonde = place.start(DUE)
    try:
        until(sonde, "loadtest_runs_total", "pass", 1)
        page = sonde.get("/metrics")

        def scraped() -> None:
            (it,) = prometheus.query('loadtest_last_run_verdict{verdict="pass"} == 1')
            assert it["metric"]["scenario"] == "nightly"

        assert wait_until(scraped, sonde.process) is None
        ask = prometheus.query
        assert [it["value"][1] for it in ask("max_over_time(loadtest_run_active[1m])")] == ["1"]
        assert [it["value"][1] for it in ask("sum(loadtest_requests_total)")] == ["60"]
        assert [it["value"][1] for it in ask("k6_http_reqs_total")] == ["60"]
        (p95,) = ask(
            "histogram_quantile(0.95, sum by (le) (loadtest_request_duration_seconds_bucket))"
        )
        assert 0 < float(p95["value"][1]) < 5
        late = parsed(page, openmetrics=False)["sonde_scheduler_delay_seconds"].samples
        told = {it.labels.get("le", it.name): it.value for it in late}
        assert told["0.25"] >= 0.9 * told["+Inf"] > 0, "the probes were late beside the load"
        done = promtool("check", "metrics", page=page.encode())
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    finally:
        sonde.stop()

    again = place.start(FAR)
    try:
        assert values(again, "loadtest_last_run_verdict")["pass"] == 1
        assert values(again, "loadtest_runs_total")["pass"] == 0
        assert values(again, "loadtest_requests_total") == {}
        assert values(again, "loadtest_next_run_timestamp_seconds")[""] % 60 == 0
    finally:
        again.stop()
    assert len(place.results()) == 1


@pytest.mark.parametrize("name", ["ended", "stuck"])
def test_the_end_of_the_service_is_the_end_of_its_run(
    under_way: dict[str, Place], name: str
) -> None:
    place = under_way[name]
    sonde = place.ready()
    until_it_loads(sonde)
    children = psutil.Process(sonde.process.pid).children(recursive=True)
    began = monotonic()

    sonde.process.send_signal(signal.SIGTERM)
    code = sonde.process.wait(12)

    assert (code, monotonic() - began < 10) == (0, True), place.log()
    assert children
    assert not any(child.is_running() for child in children)
    (result,) = place.results()
    assert (result["verdict"], result["exit_code"]) == ("aborted", 143)
    assert result["reasons"][0]["text"] == "SIGTERM ended the run"
    assert result["totals"]["requests"] > 0, "what was measured until then"


def test_a_run_that_was_cut_off_is_told_once_and_never_made_up_for(
    under_way: dict[str, Place],
) -> None:
    place = under_way["cut off"]
    sonde = place.ready()
    until_it_loads(sonde)
    sonde.process.kill()
    sonde.process.wait(10)
    sent = len(place.site.requests)

    again = place.start(FAR)
    try:
        assert values(again, "loadtest_last_run_verdict")["inconclusive"] == 1
        assert values(again, "loadtest_runs_total")["inconclusive"] == 1
        assert values(again, "loadtest_run_active")[""] == 0
    finally:
        again.stop()
    third = place.start(FAR)
    try:
        assert values(third, "loadtest_last_run_verdict")["inconclusive"] == 1
        assert values(third, "loadtest_runs_total")["inconclusive"] == 0
    finally:
        third.stop()
    (result,) = place.results()
    assert '"code": "interrupted"' in json.dumps(result["reasons"])
    assert place.log().count("it is not made up for") == 1
    assert sent <= len(place.site.requests) <= sent + 40, "only the probe asks from then on"
