"""Whether ``sonde load`` tells the truth: real runs against an nginx that stalls, dies, or is well.

    python bench/load_truth.py [--seconds 15] [--json FILE]

The stall of three seconds as both models tell it; how exactly arrivals keep their times; how soon a
breach ends a run, a signal ends one, and the end of the parent ends the load. nginx notes when each
request came. Exit 1 above the limits of the design.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from scenarios.fleet.launch import AHEAD_S

COMMAND = [sys.executable, "-c", "from exporter.cli import main; main()", "load", "it", "--json"]
STALL_S = 3.0
GRACE_S = 2.0
# load.md 13
LIMITS = {
    "duration_error_s": 0.05,
    "abort_s": 2.0,
    "stop_s": GRACE_S + 5.0,
    "orphan_s": 1.0,
    "unaccounted": 0.0,
}
READY_S = 30.0
NGINX = """
daemon off; master_process off; pid {d}/pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  log_format when "$msec"; access_log {d}/came when;
  client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3;
  uwsgi_temp_path {d}/t4; scgi_temp_path {d}/t5;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 'hello'; }} }}
}}
"""
FILE = """
version: 1
journeys: {{it: {{base_url: "http://127.0.0.1:{port}", steps: [{{name: ask, get: /}}]}}}}
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_users: 500, max_rate: 200/s, max_duration: 5m}}
scenarios: {{it: {{journey: it, load: {{graceful_stop: 2s, {load}}}, thresholds: [{threshold}]}}}}
"""


class Site:
    """An nginx, and a probe file that loads it."""

    def __init__(self, directory: Path, load: str, threshold: str) -> None:
        directory.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.directory = directory
        (directory / "nginx.conf").write_text(NGINX.format(d=directory, port=port))
        text = FILE.format(port=port, load=load, threshold=threshold)
        (directory / "probes.yaml").write_text(text)
        line = ["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr"]
        self.server = subprocess.Popen(line)
        more = ["--config", str(directory / "probes.yaml"), "--data", str(directory / "data")]
        self.run = subprocess.Popen(
            [*COMMAND, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def came_at(self) -> list[float]:
        """Wall-clock times of the requests; the first one is the preflight's."""
        path = self.directory / "came"
        return [float(it) for it in path.read_text().split()][1:] if path.exists() else []

    def until_loaded(self, number: int) -> None:
        """Wait until so many requests have come."""
        until = time.monotonic() + READY_S
        while len(self.came_at) < number and time.monotonic() < until:
            time.sleep(0.01)  # another process writes them

    def result(self) -> Any:
        """Wait for the end of the run, and return its report."""
        out, said = self.run.communicate(timeout=120)
        if not out:
            raise RuntimeError(f"want a report, got {said.strip()}")
        return json.loads(out)

    def close(self) -> None:
        for it in (self.run, self.server):
            if it.poll() is None:
                it.send_signal(signal.SIGCONT)
                it.terminate()
            it.wait()


@contextmanager
def site(load: str, threshold: str = "p50(request.duration) < 60s") -> Iterator[Site]:
    with tempfile.TemporaryDirectory() as directory:
        it = Site(Path(directory), load, threshold)
        try:
            yield it
        finally:
            it.close()


def stalled(load: str) -> Any:
    """Let the target stand still for three seconds, once."""
    with site(load) as it:
        it.until_loaded(200)
        it.server.send_signal(signal.SIGSTOP)
        time.sleep(STALL_S)  # so long arrivals wait
        it.server.send_signal(signal.SIGCONT)
        return it.result()


def worst(result: Any, metric: str, what: str) -> float:
    found = [it[what] for it in result["series"] if it["metric"] == metric]
    return float(max(found, default=0.0))


def stall(seconds: int, told: Callable[[str], None]) -> dict[str, Any]:
    """Measure how both models tell one stall."""
    models = {
        "closed, 10 users x 10/s": (
            f"model: closed, stages: [{{duration: {seconds}s, users: 10}}], pace: 100ms",
            "request.duration",
        ),
        "open, 100/s, pool 500": (
            f"stages: [{{duration: {seconds}s, rate: 100/s}}], users: {{start: 20, max: 500}}",
            "iteration.latency",
        ),
        "open, 100/s, pool 20": (
            f"stages: [{{duration: {seconds}s, rate: 100/s}}], users: {{start: 20, max: 20}}",
            "iteration.latency",
        ),
    }
    found: dict[str, Any] = {}
    told(f"{'3 s stall':26}{'iterations':>12}{'dropped':>9}{'p95':>10}{'p99':>10}{'max':>10}  exit")
    for name, (load, metric) in models.items():
        result = stalled(load)
        totals = result["totals"]
        row = {
            "iterations": totals["iterations_completed"],
            "dropped": totals["iterations_dropped"],
            "unaccounted": totals["iterations_due"]
            - totals["iterations_completed"]
            - totals["iterations_dropped"]
            - totals["iterations_interrupted"],
            **{it: worst(result, metric, it) for it in ("p95", "p99", "max")},
            "exit_code": result["exit_code"],
        }
        found[name] = row
        times = "".join(f"{1000 * row[it]:>8.1f}ms" for it in ("p95", "p99", "max"))
        told(f"{name:26}{row['iterations']:>12}{row['dropped']:>9}{times}  {row['exit_code']}")
    return found


def exactness() -> dict[str, float]:
    """Measure how long a run is at its target, against its plan: 5 s at 40 a second."""
    with site("stages: [{duration: 5s, rate: 40/s}]") as it:
        it.result()
        came = it.came_at
    return {"arrivals": len(came), "duration_error_s": abs((came[-1] - came[0]) - 199 / 40)}


def abort() -> float:
    """Measure the time from the death of the target to the decision to end the run."""
    rule = "{expr: rate(request.failed) < 20%, abort: true, window: 1s}"
    with site("stages: [{duration: 30s, rate: 40/s}]", rule) as it:
        it.until_loaded(60)
        it.server.kill()
        broken_at = time.time()
        it.server.wait()
        result = it.result()
    begun_at = datetime.fromisoformat(result["started_at"]).timestamp() + AHEAD_S
    return float(begun_at + result["seconds"] - broken_at)


def stop() -> float:
    """Measure the time from SIGTERM to the end of the process."""
    with site("stages: [{duration: 30s, rate: 40/s}]") as it:
        it.until_loaded(40)
        it.run.terminate()
        began = time.monotonic()
        it.result()
        return time.monotonic() - began


def orphan() -> float:
    """Measure for how long load goes on when its parent is killed."""
    with site("stages: [{duration: 30s, rate: 40/s}]") as it:
        it.until_loaded(40)
        it.run.kill()
        killed_at = time.time()
        it.run.wait()
        time.sleep(1.5)  # children of theirs that went on would still send
        return max(0.0, max(it.came_at) - killed_at)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="of a run that is stalled")
    parser.add_argument("--json", type=Path, help="write all figures here")
    given = parser.parse_args()
    write = sys.stdout.write

    def told(text: str) -> None:
        write(f"{text}\n")
        sys.stdout.flush()

    told(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows = stall(given.seconds, told)
    found: dict[str, float] = {
        **exactness(),
        "abort_s": abort(),
        "stop_s": stop(),
        "orphan_s": orphan(),
        "unaccounted": float(max(abs(it["unaccounted"]) for it in rows.values())),
    }
    closed, opened = list(rows.values())[:2]
    told(f"p99 of the stall, open against closed: {opened['p99'] / max(closed['p99'], 1e-6):.0f}x")
    for name, value in found.items():
        limit = f"  (limit {LIMITS[name]:g})" if name in LIMITS else ""
        told(f"{name:20}{value:10.4f}{limit}")
    if given.json:
        given.json.write_text(json.dumps({"stall": rows, **found}, indent=1))
    return int(any(found[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
