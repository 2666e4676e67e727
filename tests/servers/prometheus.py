"""A real Prometheus, its promtool, a real blackbox_exporter and a real Pushgateway."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.servers.process import Server, converse, find_program, free_port, start


def get(port: int, path: str, *, timeout_s: float = 5.0) -> bytes:
    """Fetch *path* from this machine over HTTP/1.0 and return the body of a 200.

    Raises:
        OSError, ValueError: no answer, or another status.
    """
    request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    answer = converse(port, request.encode(), b"\r\n\r\n", timeout_s, to_the_end=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise ValueError(f"want a 200 for {path}, got {answer[:300]!r}")
    return body


class Prometheus(Server):
    """A running Prometheus."""

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return an instant query's vector: ``[{"metric": {...}, "value": [t, "1"]}]``."""
        body = get(self.port, "/api/v1/query?" + urlencode({"query": promql}))
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ValueError(f"want a result, got {answer}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def targets(self) -> list[dict[str, Any]]:
        """Return the active scrape targets with their health and last error."""
        answer = json.loads(get(self.port, "/api/v1/targets?state=active"))
        targets: list[dict[str, Any]] = answer["data"]["activeTargets"]
        return targets


def start_prometheus(directory: Path, config: str) -> Prometheus:
    """Start Prometheus with the text *config* as its configuration."""
    program = find_program("prometheus")
    (directory / "prometheus.yml").write_text(config)
    port = free_port()
    command = [
        program,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    running = start(command, port, directory, ready=lambda: get(port, "/api/v1/query?query=1"))
    return Prometheus(running.process, port, directory)


def start_blackbox_exporter(directory: Path, config: str) -> Server:
    """Start blackbox_exporter with the text *config* as its blackbox.yml."""
    program = find_program("prometheus-blackbox-exporter")
    (directory / "blackbox.yml").write_text(config)
    port = free_port()
    command = [
        program,
        f"--config.file={directory / 'blackbox.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return start(command, port, directory, ready=lambda: get(port, "/metrics"))


def start_pushgateway(directory: Path) -> Server:
    """Start a Pushgateway that keeps nothing."""
    program = find_program("prometheus-pushgateway")
    port = free_port()
    command = [program, f"--web.listen-address=127.0.0.1:{port}"]
    return start(command, port, directory, ready=lambda: get(port, "/-/ready"))


def promtool(*arguments: str, page: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run promtool; ``promtool("check", "metrics", page=...)`` reads the page from its input."""
    return subprocess.run(
        [find_program("promtool"), *arguments],
        input=page, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
