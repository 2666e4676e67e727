"""Traps of Locust, load.md 6, by their numbers: what it passes, hides, stumbles over; our verdict.

Real runs of real children, many side by side: the module fixture makes each once, and the rows
look at what became of it. A row without a finding of its own would pass; none does.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.commands.pushing import page
from probes.config.load import load
from probes.errors import ConfigError
from scenarios.config.section import SCENARIOS
from scenarios.course import vigil
from scenarios.course.filing import Filed, Wish
from scenarios.course.readiness import Options
from scenarios.course.run import Course
from scenarios.planning.make import Flags
from scenarios.report import LoadReport, Verdict
from tests.faults.http import Call, FaultServer, fault_server
from tests.faults.tls import bad_certificate
from tests.scenarios.children import PACKAGES, target
from tests.scenarios.conftest import processes_in
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

# Two cores play two runs well, and three no worse than they start.
SIDE_BY_SIDE = 3
START_S = 60.0
LATE_S = 1.049
URLS = 11_500

FILE = """
version: 1
journeys:
  home: {{base_url: "{url}", steps: [{{name: home, get: /ok/home}}]}}
  broken: {{base_url: "{url}", steps: [{{name: broken, get: /status/503}}]}}
  drip: {{base_url: "{url}", steps: [{{name: drip, get: /dripbody, timeout: 300ms}}]}}
  late: {{base_url: "{url}", steps: [{{name: late, get: /late}}]}}
  nobody:
    base_url: "{url}"
    setup: [{{name: login, post: /status/401}}]
    steps: [{{name: in, get: /ok/in}}]
  mortal: {{base_url: "{mortal}", steps: [{{name: mortal, get: /ok}}]}}
  expired:
    base_url: "{tls}"
    http: {{tls: {{ca_file: ca.pem}}}}
    steps: [{{name: expired, get: /ok}}]
probes:
  - {{name: up, kind: http, target: "{url}/ok"}}
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_users: 200, max_rate: 100/s, max_duration: 1m, max_concurrent_runs: 32}}
scenarios:
  lost:
    journey: home
    load: {{stages: [{{duration: 20s, rate: 40/s}}], shards: 2, on_lost_shard: stop}}
  gone:
    journey: home
    load: {{stages: [{{duration: 20s, rate: 40/s}}], shards: 2}}
  late: {{journey: late, rate: 10/s, duration: 2s, thresholds: [p50(request.duration) < 1.04s]}}
  drip: {{journey: drip, rate: 10/s, duration: 2s, {probe}, {good}}}
  expired: {{journey: expired, rate: 10/s, duration: 1s, {probe}, {good}}}
  down: {{journey: broken, rate: 30/s, duration: 2s, {probe}, {good}}}
  nobody: {{journey: nobody, load: {{model: iterations, iterations: 9, users: 2}}, {probe}}}
  dies:
    journey: mortal
    load: {{stages: [{{duration: 20s, rate: 20/s}}]}}
    thresholds: [{{expr: rate(request.failed) < 20%, abort: true, window: 1s}}]
  {files}
"""
# the model without stages, below a ceiling of its own
KILLED = """
version: 1
journeys: {{home: {{base_url: "{url}", steps: [{{name: home, get: /}}]}}}}
safety: {{targets: {{allow: [127.0.0.1/32]}}}}
scenarios:
  orphan: {{journey: home, rate: 40/s, duration: 50s}}
  short: {{journey: home, rate: 10/s, duration: 1s, reports: {{locust_html: true}}}}
"""
ENDLESS = """
version: 1
journeys:
  home:
    base_url: "{url}"
    steps: [{{name: home, get: /ok/endless}}]
    cleanup: [{{name: tidy, delete: /ok/tidy}}]
safety:
  targets: {{allow: [127.0.0.1/32]}}
  load: {{max_duration: 2s, max_concurrent_runs: 32}}
scenarios:
  endless: {{journey: home, load: {{model: iterations, iterations: 1000000, users: 1, pace: 20ms}}}}
"""
GOOD = "rate(request.failed) < 1%"
LOCUST = {
    # 5: a run without a request
    "Zero": "class Zero(HttpUser):\n  host = URL\n  @task\n  def nothing(self): pass\n",
    "NoHost": "class NoHost(HttpUser):\n  @task\n  def get(self): self.client.get('/ok')\n",
    # 9: half a character in names and errors
    "Names": """
class Names(HttpUser):
  host = URL
  @task
  def get(self):
    name = "half \\udcff \\n \\u202e" + "x" * 500
    with self.client.get("/ok", name=name, catch_response=True) as it:
      it.failure("no \\udcff text")
""",
    # 13
    "Config": """
@events.request.add_listener
def hear(**_): pass
class Config(HttpUser):
  host = URL
  @task
  def told(self):
    options = self.environment.parsed_options
    text = f"{options.host} {options.num_users} {options.run_time} {sorted(os.environ)}"
    events.request.fire(request_type="GET", name="told", response_time=1, response_length=0,
                        exception=ValueError(text), context={})
""",
    # 14
    "Floods": """
class Floods(HttpUser):
  host = URL
  @task
  def get(self):
    for stream in (sys.stdout, sys.stderr):
      stream.write("flood " * 170_000)
    self.client.get("/status/500", name="floods")
""",
    # 16
    "Urls": """
class Urls(HttpUser):
  host = URL
  @task
  def get(self):
    for number in range(1150):
      events.request.fire(request_type="GET", name=f"/items/{random.getrandbits(60)}", context={},
        response_time=1, response_length=9, exception=ValueError(f"no {random.random()}"))
    gevent.sleep(0)
""",
    # 17
    "Raises": """
class Raises(HttpUser):
  host = URL
  @task
  def get(self):
    self.client.get("/ok/raises", name="raises")
    raise KeyError("on purpose")
""",
    # 18
    "Asks": """
@events.quitting.add_listener
def ask(environment, **_): environment.process_exit_code = 7
class Asks(HttpUser):
  host = URL
  @task
  def get(self): self.client.get("/ok/asks", name="asks")
""",
    "Broken": "raise RuntimeError('no database')\nclass Broken(HttpUser):\n  pass\n",
}
HEAD = "import os, random, sys, gevent\nfrom locust import HttpUser, events, task\nURL = {url!r}\n"
RATES = {"Floods": "10/s"}


@dataclass
class Runs:
    """Every run, and what was seen beside."""

    filed: dict[str, Filed]
    broken: dict[str, ConfigError]
    asked: list[str]
    """Paths that came to the target."""
    walls: dict[str, float]
    listening: list[str]
    root: Path

    def report(self, name: str) -> LoadReport:
        return self.filed[name].report

    def directory(self, name: str) -> Path:
        found = self.filed[name].directory
        assert found is not None
        return found


def write_files(root: Path, url: str, tls: str, mortal: str) -> list[Path]:
    """Write the probe file, its locust files, and what a careless Locust would read."""
    lines = []
    for name, text in LOCUST.items():
        (root / f"{name.lower()}_file.py").write_text(HEAD.format(url=url) + text)
        lines.append(
            f"{name.lower()}: {{mix: [{{locustfile: {name.lower()}_file.py, user_class: {name}, "
            f"trust: true}}], rate: {RATES.get(name, '20/s')}, duration: 1s, "
            f"thresholds: ['{'rate(iteration.failed) < 1%' if name == 'Raises' else GOOD}']}}"
        )
    (root / "locust_plugins.py").write_text("open(__file__ + '.read', 'w')\n")
    for name in ("locust.conf", ".locust.conf"):
        (root / name).write_text("host = http://127.0.0.9:9\nusers = 77\nrun-time = 1h\n")
    told = {
        "url": url,
        "tls": tls,
        "mortal": mortal,
        "good": f"thresholds: ['{GOOD}']",
        "probe": "preflight: {probe: up}",
        "files": "\n  ".join(lines),
    }
    files = {root / "probes.yaml": FILE, root / "endless.yaml": ENDLESS}
    for file, text in files.items():
        file.write_text(text.format(**told))
    return [*files]


def workers_of(name: str) -> list[int]:
    """Return the children that play a scenario; no other test has one of that name."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            plan = path / "cwd" / "plan.json"
            if json.loads(plan.read_text())["scenario"] == name:
                found.append(int(path.name))
    return sorted(found)


def listening(number: int) -> list[str]:
    """Return the TCP sockets on which a process listens."""
    root = Path(f"/proc/{number}")
    sockets = set()
    for it in (root / "fd").iterdir():
        with suppress(OSError):
            sockets.add(str(it.readlink()))
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in (root / "net" / name).read_text().splitlines()[1:]
    ]
    return [it[1] for it in lines if it[3] == "0A" and f"socket:[{it[9]}]" in sockets]


class Maker:
    """Makes all runs."""

    def __init__(self, root: Path, ca: trustme.CA) -> None:
        self.root = root
        self.ca = ca
        self.made = Runs({}, {}, [], {}, [], root)
        self.mortal = AsyncExitStack()
        self.turn = asyncio.Semaphore(SIDE_BY_SIDE)

    async def all(self) -> Runs:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(fault_server())
            server.faults["late"] = late
            tls = await stack.enter_async_context(fault_server(bad_certificate(self.ca, "expired")))
            self.ca.cert_pem.write_to_path(str(self.root / "ca.pem"))
            mortal = await self.mortal.enter_async_context(fault_server())
            files = write_files(self.root, server.url(""), tls.url(""), mortal.url(""))
            killing = asyncio.create_task(self.end(mortal))
            configs = [load(file, further=(SCENARIOS,)) for file in files]
            every = [(config, name) for config in configs for name in config.further["scenarios"]]
            await asyncio.gather(*(self.one(config, name, server) for config, name in every))
            await killing
            self.made.asked = server.paths
        return self.made

    async def end(self, mortal: FaultServer) -> None:
        """End a target once it is loaded."""
        await until(lambda: len(mortal.paths) > 20, 2 * START_S)
        await self.mortal.aclose()

    async def one(self, config: Any, name: str, server: FaultServer) -> None:
        options = Options(self.root / "data", Wish(self.root / "reports"))
        async with self.turn:
            began = time.monotonic()
            killing = asyncio.create_task(self.kill(name, server))
            try:
                course = Course(config, name, Flags(), options, lambda _: None)
                self.made.filed[name] = await course.run()
            except ConfigError as error:
                self.made.broken[name] = error
            finally:
                killing.cancel()
                await asyncio.wait([killing])
            self.made.walls[name] = time.monotonic() - began

    async def kill(self, name: str, server: FaultServer) -> None:
        """Kill a worker of ``lost``, and all of ``gone``, once they load."""
        if name not in ("lost", "gone"):
            return
        await until(lambda: server.paths.count("/ok/home") >= 30, START_S)
        them = workers_of(name)
        self.made.listening += [it for number in them for it in listening(number)]
        for number in them[: 1 if name == "lost" else None]:
            os.kill(number, signal.SIGKILL)


async def late(call: Call) -> None:
    await asyncio.sleep(LATE_S)
    await call.answer()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, ca: trustme.CA) -> Iterator[Runs]:
    root = tmp_path_factory.mktemp("traps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(root))
        patch.setenv("LOCUST_HOST", "http://127.0.0.9:9")
        patch.setenv("LOCUST_USERS", "77")
        patch.setenv("LOCUST_RUN_TIME", "1h")
        patch.chdir(root)
        patch.setattr(vigil, "SETUP_TRIES", 2)
        patch.setattr("tempfile.tempdir", str(root))
        yield asyncio.run(Maker(root, ca).all())


# --- no run is green, and each says why


@pytest.mark.parametrize(
    ("name", "verdict", "code"),
    [
        pytest.param("zero", Verdict.INCONCLUSIVE, "zero_requests", id="trap 5: zero requests"),
        pytest.param("nohost", Verdict.INCONCLUSIVE, "zero_requests", id="trap 5: no host"),
        pytest.param("lost", Verdict.INCONCLUSIVE, "shard_lost", id="trap 6: a killed child"),
        pytest.param("gone", Verdict.INCONCLUSIVE, "shard_lost", id="trap 6: all children killed"),
        pytest.param("names", Verdict.FAIL, "threshold", id="trap 9: names that are no UTF-8"),
        pytest.param("late", Verdict.FAIL, "threshold", id="trap 11: 1049 ms are not 1000"),
        pytest.param("config", Verdict.FAIL, "threshold", id="trap 13: configuration around it"),
        pytest.param("floods", Verdict.FAIL, "threshold", id="trap 14: output that nobody reads"),
        pytest.param("drip", Verdict.FAIL, "threshold", id="trap 15: a server that drips"),
        pytest.param("expired", Verdict.FAIL, "threshold", id="trap 15: a bad certificate"),
        pytest.param("urls", Verdict.FAIL, "threshold", id="trap 16: 11,500 URLs"),
        pytest.param("raises", Verdict.FAIL, "threshold", id="trap 17: tasks that raise"),
        pytest.param("asks", Verdict.FAIL, "locust_exit", id="trap 18: process_exit_code"),
        pytest.param("down", Verdict.FAIL, "threshold", id="trap 18: failed requests"),
        pytest.param("endless", Verdict.ABORTED, "ceiling", id="Rails 4: iterations without end"),
        pytest.param("dies", Verdict.ABORTED, "threshold", id="Target 2: a target that dies"),
        pytest.param("nobody", Verdict.FAIL, "threshold", id="Data 2: nobody could log in"),
    ],
)
def test_no_trap_is_green(runs: Runs, name: str, verdict: Verdict, code: str) -> None:
    report = runs.report(name)

    assert code in {why.code for why in report.reasons if why.verdict is verdict}
    assert report.exit_code in (1, 3)
    assert report.verdict is not Verdict.PASS
    said = json.loads((runs.directory(name) / "result.json").read_text())
    assert said["exit_code"] == report.exit_code


# --- and what each run tells is true


def test_trap_5_a_user_without_a_host_is_told_by_its_own_words(runs: Runs) -> None:
    told = [why.text for why in runs.report("nohost").reasons]
    told += [it.text for it in runs.report("nohost").errors]

    assert any("You must specify the base host" in it for it in told)


def test_trap_7_a_killed_parent_ends_the_load_and_is_told_by_the_next_run(tmp_path: Path) -> None:
    with target() as server:
        (tmp_path / "probes.yaml").write_text(KILLED.format(url=server.url))
        command = [sys.executable, "-c", "from exporter.cli import main; main()", "load"]
        more = ["--config", str(tmp_path / "probes.yaml"), "--data", str(tmp_path)]
        with subprocess.Popen([*command, "orphan", *more], cwd=PACKAGES) as process:
            asyncio.run(until(lambda: len(server.came_at) >= 30, START_S))
            process.kill()
            killed_at = time.monotonic()
        asyncio.run(until(lambda: not workers_of("orphan"), 2.0))
        last_at = max(server.came_at)
        next_run = subprocess.run(
            [*command, "short", *more], cwd=PACKAGES, capture_output=True, timeout=60, check=False
        )

    assert last_at - killed_at < 1.0
    assert next_run.returncode == 0
    (told,) = (tmp_path / "reports" / "orphan").glob("*/result.json")
    result = json.loads(told.read_text())
    assert (result["verdict"], result["exit_code"]) == ("inconclusive", 3)
    assert [it["code"] for it in result["reasons"]] == ["interrupted"]
    # the next one asked for the page of Locust too: it lies beside its reports
    (locust,) = (tmp_path / "reports" / "short").glob("*/locust.html")
    assert locust.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_trap_6_a_lost_child_is_known_at_once_and_named(runs: Runs) -> None:
    lost = [it for it in runs.report("gone").generators if it.state == "lost"]

    assert [it.shard for it in lost] == [0, 1]
    assert all("SIGKILL" in it.why for it in lost)
    # 20 s were planned: with nobody left, or asked to stop, nobody waits for their end
    assert runs.walls["lost"] < START_S
    assert max(runs.report(name).seconds for name in ("lost", "gone")) < 19


def test_trap_8_no_process_is_left_of_any_run(runs: Runs) -> None:
    assert set(processes_in(runs.root)) <= {os.getpid()}


def test_trap_9_what_was_no_text_is_counted_and_told(runs: Runs) -> None:
    report = runs.report("names")

    (told,) = report.errors
    assert told.text == "no \\udcff text"
    assert told.step.startswith("half \\udcff \ufffd \ufffd")
    assert len(told.step) <= 128
    assert told.count == report.book.total("request.failed") == 20
    files = list(runs.directory("names").iterdir())
    assert files
    assert all(file.read_text(encoding="utf-8") for file in files)
    assert page(report).encode("utf-8")


def test_trap_11_a_percentile_is_exact_to_a_hundredth(runs: Runs) -> None:
    durations = runs.report("late").book.timed("request.duration")

    assert LATE_S <= durations.least / 1e6 < LATE_S * 1.05
    assert durations.least / 1e6 <= durations.quantile(0.5) <= durations.greatest / 1e6


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param("drip", "/dripbody", id="trap 12: the last second counts too"),
        pytest.param("late", "/late", id="trap 12: of slow answers too"),
        pytest.param("raises", "/ok/raises", id="trap 17: of tasks that raise too"),
        pytest.param("floods", "/status/500", id="trap 14: of a child that floods too"),
        pytest.param("asks", "/ok/asks", id="trap 12: of locust files too"),
    ],
)
def test_what_was_sent_is_what_is_told(runs: Runs, name: str, path: str) -> None:
    report = runs.report(name)
    planned = round(sum(it.seconds * it.first for it in report.plan.stages)) if report.plan else 0
    told = report.book.timed("request.duration").count

    before = name == "late"  # its preflight
    assert runs.asked.count(path) - before == told
    # on a machine that others use a user may come too late for the last arrival: it is counted
    assert told + report.book.total("iteration.dropped") == planned
    assert report.book.total("iteration.due") == planned
    assert sum(it.requests for it in report.timeline) == told


def test_trap_13_no_configuration_around_it_reaches_locust(runs: Runs) -> None:
    (told,) = runs.report("config").errors

    # no host, no users and no time of the files and the variables; HOME is not there at all
    assert told.text.startswith("None None None ['")
    assert "LOCUST_" not in told.text
    assert "HOME" not in told.text


def test_trap_15_the_time_of_an_answer_is_total(runs: Runs) -> None:
    report = runs.report("drip")

    assert {it.reason for it in report.errors} == {"timeout"}
    assert report.book.timed("request.duration", outcome="down").greatest < 0.6e6
    assert {it.reason for it in runs.report("expired").errors} == {"certificate_expired"}


def test_trap_16_names_without_end_cost_little(runs: Runs) -> None:
    report = runs.report("urls")
    steps = {key.step for key in report.book.durations if key.metric == "request.duration"}

    assert report.book.total("request.failed") >= URLS
    assert len(steps) <= 201
    assert len(report.errors) <= 100
    sizes = {it.name: it.stat().st_size for it in runs.directory("urls").iterdir()}
    # Locust: 7 MB and 118 MB
    assert max(sizes.values()) < 500_000
    assert report.generators[0].rss_bytes < 150 * 2**20


def test_trap_17_a_task_that_raises_costs_no_load(runs: Runs) -> None:
    report = runs.report("raises")

    book = report.book
    assert book.total("iteration.failed") == book.total("iteration.completed") >= 18


def test_trap_18_a_broken_file_is_a_mistake_and_no_failure(runs: Runs) -> None:
    (problem,) = runs.broken["broken"].problems

    assert "broken_file.py:4: RuntimeError: 'no database'" in str(problem)


def test_a_run_that_no_stage_ends_is_over_at_the_ceiling_and_tidy(runs: Runs) -> None:
    report = runs.report("endless")

    (why,) = (it for it in report.reasons if it.code == "ceiling")
    assert why.text.startswith("want 1000000 iterations within 2s (safety.load.max_duration), got ")
    assert 1.9 < report.seconds < 5
    # but for the preflight, which tidies up as well
    assert runs.asked.count("/ok/endless") == runs.asked.count("/ok/tidy") > 20


def test_an_abort_rule_ends_a_run_that_has_no_target_any_more(runs: Runs) -> None:
    report = runs.report("dies")

    assert report.seconds < 15
    assert [it.aborted for it in report.thresholds] == [True, False]
    assert {"refused", "closed"} >= {it.reason for it in report.errors}


def test_a_set_up_that_always_fails_ends_the_run_and_names_its_step(runs: Runs) -> None:
    report = runs.report("nobody")

    assert report.exit_code == 1
    assert report.reasons[0].text.endswith("the set-up failed at 'login'")
    assert "/ok/in" not in runs.asked


# --- traps that no run shows


def test_trap_1_nothing_of_locust_is_in_our_process_nor_its_plugins_in_the_child(
    runs: Runs,
) -> None:
    """Trap 1, trap 2: no patched loop; trap 3: not even in tests; trap 4: no plugins."""
    assert {"locust", "gevent"} & sys.modules.keys() == set()
    options = tomllib.loads(Path(PACKAGES, "pyproject.toml").read_text())["tool"]["pytest"]
    assert "no:locust" in options["addopts"]
    assert not (runs.root / "locust_plugins.py.read").exists()


def test_trap_10_a_run_is_as_long_as_its_plan(runs: Runs) -> None:
    """load.md 13: within 50 ms; `bench/load_truth.py` measures it at the target."""
    assert runs.report("down").seconds == 2.0
    assert [it.at for it in runs.report("down").timeline][:2] == [0, 1]


def test_trap_19_no_child_listens_anywhere(runs: Runs) -> None:
    assert runs.listening == []


def test_trap_20_a_rate_is_kept_within_the_second(runs: Runs) -> None:
    assert [it.due for it in runs.report("down").timeline][:2] in ([30, 30], [31, 29], [29, 31])


def test_trap_21_who_waits_for_work_costs_no_time_at_the_end(runs: Runs) -> None:
    """20 s of grace are given; users that wait for a ticket need none of it."""
    report = runs.report("zero")

    assert (report.ended_at - report.started_at).total_seconds() < report.seconds + 5


def test_trap_22_the_verdict_is_there_for_prometheus(runs: Runs) -> None:
    assert runs.filed
    for name in runs.filed:
        verdict = runs.report(name).verdict
        assert f'scenario="{name}",verdict="{verdict}"}} 1' in page(runs.report(name))


def test_every_trap_has_a_row() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    told = {int(it) for it in re.findall(r"(?i)traps?[ _](\d+)", text)}

    assert set(range(1, 23)) - told == set()
