"""``sonde load`` as a process: an exit code for each verdict, reports, signals, nothing left."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from exporter.cli import app

# a crowded machine starts three interpreters for a run
pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

COMMAND = [sys.executable, "-c", "from exporter.cli import main; main()", "load"]
FILE = """
version: 1
journeys:
  home:
    base_url: http://127.0.0.1:{port}
    steps: [{{name: home, get: /}}]
    cleanup: [{{name: tidy, delete: /}}]
  missing:
    base_url: http://127.0.0.1:{port}
    steps: [{{name: gone, get: /missing}}]
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_users: 100, max_rate: 50/s, max_duration: 1m}}
scenarios:
  good: {{journey: home, rate: 20/s, duration: 1s, thresholds: [rate(request.failed) < 1%]}}
  slow: {{journey: home, rate: 20/s, duration: 1s, thresholds: [p50(request.duration) < 0.001ms]}}
  thin: {{journey: home, rate: 20/s, duration: 1s, min_samples: 10000}}
  down: {{journey: missing, rate: 20/s, duration: 1s, preflight: {{attempts: 1}}}}
  long: {{journey: home, rate: 20/s, duration: 50s}}
  away: {{journey: home, target: "http://127.0.0.2:{port}", rate: 20/s, duration: 1s}}
  fast: {{journey: home, rate: 20/s, duration: 1s}}
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests: list[str]
    first: threading.Event

    def _answer(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        self.first.set()
        body = b"hello"
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_DELETE = _answer  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site:
    """A server, and the probe file that loads it."""

    def __init__(self, directory: Path) -> None:
        self.requests: list[str] = []
        self.first = threading.Event()
        handler = type("Mine", (Handler,), {"requests": self.requests, "first": self.first})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.directory = directory
        self.file = directory / "probes.yaml"
        self.file.write_text(FILE.format(port=self._server.server_address[1]))

    def command(self, *words: str) -> list[str]:
        data = str(self.directory / "data")
        return [*COMMAND, *words, "--config", str(self.file), "--data", data]

    def load(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=60, check=False
        )

    def result(self, scenario: str) -> dict[str, object]:
        (path,) = (self.directory / "data" / "reports" / scenario).glob("*/result.json")
        found: dict[str, object] = json.loads(path.read_text())
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_run_that_holds_what_it_must_passes_with_0(site: Site, tmp_path: Path) -> None:
    junit, page = tmp_path / "out.xml", tmp_path / "sonde.prom"

    done = site.load("good", "--junit", str(junit), "--textfile", str(page))

    assert (done.returncode, done.stderr) == (0, "")
    # one more is the preflight's
    assert site.requests.count("GET /") == 21
    assert site.requests.count("DELETE /") == 21
    suite = ET.parse(junit).getroot()
    assert suite.get("failures") == suite.get("errors") == "0"
    names = {case.get("name") for case in suite.iter("testcase")}
    assert any("rate(request.failed) < 1%" in str(name) for name in names)
    assert 'loadtest_last_run_verdict{scenario="good",verdict="pass"} 1' in page.read_text()
    result = site.result("good")
    assert (result["schema"], result["verdict"], result["exit_code"]) == (1, "pass", 0)
    assert {it.name for it in (tmp_path / "data" / "reports" / "good").glob("*/*")} == {
        "result.json", "junit.xml", "report.md", "report.html",
    }  # fmt: skip


def test_a_broken_threshold_ends_with_1_and_one_line(site: Site) -> None:
    done = site.load("slow")

    assert done.returncode == 1
    assert done.stderr.startswith("sonde: fail: want p50(request.duration) < ")
    assert done.stderr.count("\n") == 1
    assert site.result("slow")["exit_code"] == 1


@dataclass(frozen=True)
class Done:
    """One command that has ended, and what it asked for."""

    site: Site
    code: int
    out: str
    error: str
    left: list[str]


# What is judged by no clock may share the machine: one waits while the other one works.
BESIDE = {
    "SIGINT": ("long", "--json"),
    "SIGTERM": ("long", "--json"),
    "thin": ("thin",),
    "down": ("down",),
    "ceiling": ("good", "--rate", "60/s"),
    "away": ("away",),
    "rehearsal": ("good", "--dry-run", "--rate", "5/s", "--duration", "4s"),
}
AT_ONCE = 2


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Done]]:
    sites = {name: Site(tmp_path_factory.mktemp(name)) for name in BESIDE}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(run_beside, sites.items())
        yield dict(zip(BESIDE, done, strict=True))
    for site in sites.values():
        site.close()


def run_beside(named: tuple[str, Site]) -> Done:
    name, site = named
    process = subprocess.Popen(
        site.command(*BESIDE[name]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    if name.startswith("SIG"):
        deadline = monotonic() + 40
        while len(site.requests) < 10 and process.poll() is None and monotonic() < deadline:
            site.first.wait(0.1)
            site.first.clear()
        process.send_signal(signal.Signals[name])
    out, error = process.communicate(timeout=60)
    return Done(site, process.returncode, out, error, left_of(process.pid))


@pytest.mark.parametrize(
    ("name", "scenario", "code", "reason", "requests"),
    [
        pytest.param("down", "down", 1, "fail: preflight missing: down: ", 1, id="1: preflight"),
        pytest.param(
            "thin", "thin", 3, "inconclusive: want at least 10000 measured requests, got 40", 21,
            id="3",
        ),
        pytest.param("ceiling", "good", 4, "refused: want at most 50/s", 0, id="4: a ceiling"),
        pytest.param(
            "away", "away", 4, "refused: want a host of safety.targets.allow", 0, id="4: a host"
        ),
    ],
)  # fmt: skip
def test_every_other_end_has_its_code_and_one_line(
    beside: dict[str, Done], name: str, scenario: str, code: int, reason: str, requests: int
) -> None:
    done = beside[name]

    assert done.code == code
    (line,) = done.error.splitlines()
    assert line.startswith(f"sonde: {reason}")
    assert sum(it.startswith("GET") for it in done.site.requests) == requests
    assert done.site.result(scenario)["exit_code"] == code


def test_a_name_that_is_none_ends_with_2_and_sends_nothing(site: Site) -> None:
    done = CliRunner().invoke(app, ["load", "nightly", "--config", str(site.file)])

    assert done.exit_code == 2
    assert done.stderr.startswith("sonde: want the name of a scenario, got 'nightly'")
    assert (done.stderr.count("\n"), site.requests) == (1, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_its_clean_up_and_its_reports(
    beside: dict[str, Done], number: signal.Signals
) -> None:
    done = beside[number.name]

    assert done.code == 128 + number
    assert done.error == f"sonde: aborted: {number.name} ended the run\n"
    result = json.loads(done.out)
    assert (result["verdict"], result["exit_code"]) == ("aborted", 128 + number)
    assert done.site.result("long")["verdict"] == "aborted"
    requests = done.site.requests
    assert requests.count("GET /") == requests.count("DELETE /") > 0
    assert not done.left


def left_of(pid: int) -> list[str]:
    """Return the commands of processes whose parent was *pid*."""
    found: list[str] = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            environ = (directory / "environ").read_bytes()
            if f"SONDE_PARENT={pid}".encode() in environ.split(b"\0"):
                found.append((directory / "cmdline").read_text())
        except OSError:
            continue  # it ended a moment ago, or is somebody else's
    return found


def test_a_rehearsal_tells_the_plan_and_sends_nothing(beside: dict[str, Done]) -> None:
    done = beside["rehearsal"]

    assert (done.code, done.error, done.site.requests) == (0, "", [])
    assert "stage      4s 5/s\n" in done.out
    assert "arrivals   20 iterations\n" in done.out
    assert "address    127.0.0.1 -> 127.0.0.1\n" in done.out
    assert not (done.site.directory / "data" / "reports").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(("--rate", "fast"), "--rate: want ", id="no rate"),
        pytest.param(("--rate", "1/s -> 5/s"), "--rate: want one rate > 0", id="a ramp"),
        pytest.param(("--duration", "5"), "--duration: want ", id="no duration"),
        pytest.param(("--push", "gw"), "--push: want an http:// or https:// URL", id="no URL"),
    ],
)
def test_flags_are_judged_before_the_file_is_read(words: tuple[str, ...], reason: str) -> None:
    done = CliRunner().invoke(app, ["load", "good", "--config", "/nowhere", *words])

    assert done.exit_code == 2
    assert done.stderr.startswith(f"sonde: {reason}")
    assert done.stderr.count("\n") == 1


def test_a_report_that_cannot_be_written_is_named_and_never_green(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()

    done = site.load("fast", "--junit", str(tmp_path / "a-file" / "out.xml"))

    assert done.returncode == 3
    assert done.stderr == f"sonde: want to write {tmp_path}/a-file, got File exists\n"
    assert site.result("fast")["verdict"] == "inconclusive"


def test_without_the_extra_the_command_names_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.commands.command.find_spec", {"yarl": object()}.get)

    done = CliRunner().invoke(app, ["load", "good", "--config", str(site.file)])

    assert done.exit_code == 2
    assert done.stderr.startswith("sonde: a load run: want the extra 'load', got none: install ")
