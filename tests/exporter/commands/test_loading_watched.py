"""``sonde load`` and those around it: a Pushgateway, a guard, a Prometheus that ends the run.

All of them are real, as the command is: what is shown is what stands on the terminal of whoever is
woken by it.
"""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.exporter.commands.test_loading import Site
from tests.servers.process import Server, free_port, wait_until
from tests.servers.prometheus import get, start_prometheus, start_pushgateway

# a crowded machine starts three interpreters for a run
pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(90)]

FILE = """
version: 1
journeys: {{home: {{base_url: "http://127.0.0.1:{port}", steps: [{{name: home, get: /}}]}}}}
probes:
  - {{name: front, kind: http, target: "http://127.0.0.1:{port}/"}}
  - {{name: orders, kind: tcp, target: "127.0.0.1:{door}", timeout: 1s}}
safety: {{targets: {{allow: [127.0.0.1/32]}}}}
scenarios:
  nightly:
    journey: home
    preflight: {{probe: front}}
    prometheus: {{url: "http://127.0.0.1:{prometheus}"}}
{nightly}
"""
SHORT = """
    rate: 20/s
    duration: 1s
"""
GUARDED = """
    rate: 20/s
    duration: 50s
    guards: [{probe: orders, failures: 2, every: 200ms}]
"""
ASKING = """
    rate: 20/s
    duration: 50s
    thresholds: [{expr: 'promql(min(up{job="shop"})) == 1', abort: true}]
"""


class Watched(Site):
    """A site, and the ports of those around it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.door = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._server.server_address[1]
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, nightly: str, prometheus: int = 9) -> None:
        door = self.door.getsockname()[1]
        text = FILE.format(port=self.port, door=door, prometheus=prometheus, nightly=nightly)
        self.file.write_text(text)

    def begin(self) -> "subprocess.Popen[bytes]":
        self.process = subprocess.Popen(
            self.command("nightly"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        return self.process

    def is_loaded(self) -> None:
        if len(self.requests) < 20:
            raise ValueError(f"want a load, got {len(self.requests)} requests")

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        super().close()
        self.door.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.close()


def test_a_verdict_is_pushed_to_a_gateway_which_whoever_was_on_call_can_ask(
    watched: Watched, tmp_path: Path
) -> None:
    watched.write(SHORT)
    gateway = start_pushgateway(tmp_path)
    try:
        url = f"http://127.0.0.1:{gateway.port}"
        done = watched.load("nightly", "--push", url)
        pushed = verdicts(gateway)
    finally:
        gateway.stop()
    gone = watched.load("nightly", "--rate", "2000/s", "--push", url)

    assert (done.returncode, done.stderr) == (0, "")
    assert pushed == {"pass"}
    assert gone.returncode == 4
    (line,) = gone.stderr.splitlines()
    assert line.startswith(f"sonde: want {url} to take the verdict, got ")
    assert "; refused: want at most " in line


def verdicts(gateway: Server) -> set[str]:
    """Return the verdicts that hold of the scenario, as the gateway has them."""
    (group,) = json.loads(get(gateway.port, "/api/v1/metrics"))["data"]
    assert group["labels"] == {"job": "sonde_load", "scenario": "nightly"}
    shown = group["loadtest_last_run_verdict"]["metrics"]
    return {it["labels"]["verdict"] for it in shown if it["value"] == "1"}


def test_a_guard_that_goes_down_ends_the_load_and_says_which(watched: Watched) -> None:
    watched.write(GUARDED)
    process = watched.begin()
    error = wait_until(watched.is_loaded, process)
    assert error is None, error

    watched.door.close()
    closed = monotonic()
    out, told = (it.decode() for it in process.communicate(timeout=40))

    assert (process.returncode, monotonic() - closed < 10) == (1, True)
    (line,) = told.splitlines()
    assert line.startswith("sonde: aborted: guard orders: 2 times in a row down: want ")
    assert line.endswith("(refused)")
    assert "\nABORTED: guard orders: 2 times in a row down: want " in out
    result = watched.result("nightly")
    assert (result["verdict"], result["exit_code"]) == ("aborted", 1)


def test_an_answer_of_prometheus_ends_the_load(watched: Watched, tmp_path: Path) -> None:
    config = (
        "scrape_configs: [{job_name: shop, scrape_interval: 200ms, scrape_timeout: 200ms,"
        f" static_configs: [{{targets: ['127.0.0.1:{free_port()}']}}]}}]"
    )
    prometheus = start_prometheus(tmp_path, config)
    try:

        def has_scraped() -> None:
            if not prometheus.query('up{job="shop"}'):
                raise ValueError("want a first scrape, got none")

        error = wait_until(has_scraped, prometheus.process)
        assert error is None, error
        watched.write(ASKING, prometheus.port)
        done = watched.load("nightly")
    finally:
        prometheus.stop()

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == 'sonde: aborted: want promql(min(up{job="shop"})) == 1, got 0'
    assert f"\nABORTED: {line.removeprefix('sonde: aborted: ')}\n" in done.stdout
    result = watched.result("nightly")
    assert (result["verdict"], result["exit_code"]) == ("aborted", 1)
    assert len(watched.requests) < 500, "it would have been 1000"
