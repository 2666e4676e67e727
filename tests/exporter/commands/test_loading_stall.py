"""``sonde load`` against nginx and the demo shop, which stand still for three seconds.

The open model tells it, the closed one hides it and says so, and a pool that is too small drops
arrivals, which fails. Each run has a server of its own, stopped when its load has been on its way
for a second; they go on side by side.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.nginx import start_nginx
from tests.servers.process import Server, converse, free_port, start
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(150)]

COMMAND = [sys.executable, "-c", "from exporter.cli import main; main()", "load", "it"]
STALL_S = 3.0
LEAST_S = 0.9 * STALL_S
START_S = 60.0
FILE = """
version: 1
journeys:
  it: {{base_url: "http://127.0.0.1:{port}", steps: [{{name: ask, get: "{path}"}}]}}
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_users: 300, max_rate: 50/s, max_duration: 1m}}
scenarios:
  it: {{journey: it, load: {{{load}}}, thresholds: ["{threshold}"]}}
"""
OPEN = "stages: [{duration: 6s, rate: 20/s}], users: {start: 5, max: 100}"
# as many as Locust would need for the same rate, and none of them asks while it waits
CLOSED = "model: closed, stages: [{duration: 6s, users: 1}], pace: 20ms"
NARROW = "stages: [{duration: 6s, rate: 20/s}], users: {start: 5, max: 5}"
CASES = {
    "open": ("nginx", OPEN, "p99(iteration.latency) < 300ms"),
    "closed": ("nginx", CLOSED, "p95(request.duration) < 300ms"),
    "narrow": ("nginx", NARROW, "p50(request.duration) < 60s"),
    "open, shop": ("shop", OPEN, "p99(iteration.latency) < 300ms"),
    "closed, shop": ("shop", CLOSED, "p95(request.duration) < 300ms"),
}
PATHS = {"nginx": "/hello.txt", "shop": "/api/items?q=lamp"}


def start_shop(directory: Path, _: Path) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "tests.shop", "--port", str(port)]
    hello = b"GET /health HTTP/1.0\r\nHost: x\r\n\r\n"
    # it is a module of ours: found from the directory that the tests run in
    line = ["env", f"PYTHONPATH={Path(__file__).resolve().parents[3]}", *command]
    return start(line, port, directory, ready=lambda: converse(port, hello, b'"ok"'))


SERVERS: dict[str, Callable[[Path, Path], Server]] = {"nginx": start_nginx, "shop": start_shop}


@dataclass
class Ran:
    """One run that is over."""

    code: int
    said: str
    result: Any
    directory: Path

    @property
    def totals(self) -> Any:
        return self.result["totals"]

    def p(self, metric: str, quantile: str) -> float:
        """Return the worst percentile of a metric over its series."""
        return max(
            (float(it[quantile]) for it in self.result["series"] if it["metric"] == metric),
            default=0.0,
        )

    def fails_for(self, text: str) -> bool:
        """Tell whether the run fails, and for that.

        On a crowded machine it may say before that it was too busy to measure: then it exits 3.
        """
        reasons = self.result["reasons"]
        is_busy = any(it["code"] == "saturated" for it in reasons)
        said = [it["text"] for it in reasons if it["verdict"] == "fail"]
        return self.code == (3 if is_busy else 1) and any(it.startswith(text) for it in said)


def is_loading(data: Path) -> bool:
    """Tell whether a run has noted that it sends load."""
    for path in data.rglob("run-*.lock"):
        with suppress(ValueError, KeyError):
            return bool(json.loads(path.read_text())["started"])
    return False


def ran(name: str, directory: Path, certificates: Path) -> Ran:
    kind, load, threshold = CASES[name]
    (directory / "server").mkdir(parents=True)
    server = SERVERS[kind](directory / "server", certificates)
    try:
        file, data = directory / "probes.yaml", directory / "data"
        file.write_text(
            FILE.format(port=server.port, path=PATHS[kind], load=load, threshold=threshold)
        )
        line = [*COMMAND, "--config", str(file), "--data", str(data), "--json"]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: is_loading(data) or process.poll() is not None, START_S)
        # behind the warm-up, with arrivals before and after it; its length is what is tested
        time.sleep(1.3)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(STALL_S)
        server.process.send_signal(signal.SIGCONT)
        out, said = process.communicate(timeout=START_S)
        (reports,) = (data / "reports" / "it").iterdir()
        return Ran(process.returncode, said, json.loads(out), reports)
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.stop()


@pytest.fixture(scope="module")
def runs(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ran]]:
    root = tmp_path_factory.mktemp("stall")
    with ThreadPoolExecutor(len(CASES)) as threads:
        began = {
            name: threads.submit(ran, name, root / str(at), certificates)
            for at, name in enumerate(CASES)
        }
        yield {name: it.result() for name, it in began.items()}


@pytest.mark.parametrize("name", ["open", "open, shop"])
def test_the_open_model_tells_the_stall(runs: dict[str, Ran], name: str) -> None:
    """Target 3: half of the arrivals came while nobody answered."""
    run = runs[name]

    assert run.fails_for("want p99(iteration.latency) < 300ms, got ")
    assert run.totals["iterations_due"] == run.totals["iterations_completed"] == 120
    assert LEAST_S < run.p("iteration.latency", "p99") < 1.5 * STALL_S


@pytest.mark.parametrize("name", ["closed", "closed, shop"])
def test_the_closed_model_hides_it_and_its_reports_say_so(runs: dict[str, Ran], name: str) -> None:
    run = runs[name]

    assert run.p("request.duration", "p95") < 0.3
    assert run.p("request.duration", "max") > LEAST_S
    assert not [it for it in run.result["series"] if it["metric"] == "iteration.latency"]
    for form in ("result.json", "report.md", "report.html", "junit.xml"):
        assert "what a stall kept away is in no percentile" in (run.directory / form).read_text()


def test_dropped_arrivals_fail_though_nobody_wrote_a_threshold(runs: dict[str, Ran]) -> None:
    """Control 1: what was sent looks well; what was not is told."""
    run = runs["narrow"]

    assert run.fails_for("want count(iteration.dropped) == 0, got ")
    totals = run.totals
    assert totals["iterations_due"] == 120
    assert totals["iterations_completed"] + totals["iterations_dropped"] == 120
    # three seconds at 20 a second, but for the five that waited
    assert 40 <= totals["iterations_dropped"] <= 70
    assert run.p("iteration.latency", "p50") < 0.3
