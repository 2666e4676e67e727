"""The console script: exit codes from real situations, reports, help."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from exporter.cli import app
from tests.servers.process import absent

SONDE = str(Path(sys.executable).parent / "sonde")


def sonde(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SONDE, *words], capture_output=True, text=True, cwd=cwd, env={**os.environ, **env},
        timeout=60, check=False,
    )  # fmt: skip


def asked(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask in this process, where how one begins and ends is no matter."""
    told = CliRunner().invoke(app, words, prog_name="sonde")
    error = told.exception
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return subprocess.CompletedProcess(words, told.exit_code, told.stdout, told.stderr)


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def write(path: Path, *probes: str) -> str:
    path.write_text("version: 1\nprobes:\n" + "".join(f"  - {{{probe}}}\n" for probe in probes))
    return str(path)


def start_s(config: str) -> float:
    """Return how long `sonde` takes here and now to start, to read *config* and to end."""
    began = monotonic()
    assert sonde("lint", config).returncode == 0
    return monotonic() - began


pytestmark = pytest.mark.slow


def test_smoke_passes_with_0(tmp_path: Path, listening: int) -> None:
    config = write(tmp_path / "p.yaml", f"name: a, kind: tcp, target: '127.0.0.1:{listening}'")

    done = sonde("smoke", "--config", config)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "PASSED: 1 probe passed"
    assert "\x1b" not in done.stdout


def test_smoke_fails_with_1_and_says_why_on_one_line(tmp_path: Path, closed: int) -> None:
    config = write(tmp_path / "p.yaml", f"name: a, kind: tcp, target: '127.0.0.1:{closed}'")

    done = sonde("smoke", "--config", config)

    assert done.returncode == 1
    assert done.stderr == "sonde: 1 of 1 probe failed: a (refused)\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["--tag", "x"], "sonde: want a tag that a probe has, got 'x' (none is known)", id="tag"
        ),
        pytest.param(
            ["--name", "b*"], "sonde: want a name that a probe has, got 'b*' (known: a)", id="name"
        ),
        pytest.param(
            ["--wait"], "sonde: want --deadline together with --wait, got none", id="wait"
        ),
        pytest.param(
            ["--deadline", "5"],
            "sonde: --deadline: want a duration with its unit such as 500ms, 10s or 5m, got '5'",
            id="deadline",
        ),
    ],
)
def test_a_gate_over_nothing_is_a_usage_error(
    tmp_path: Path, words: list[str], message: str
) -> None:
    config = write(tmp_path / "p.yaml", "name: a, kind: tcp, target: '127.0.0.1:1'")

    done = asked("smoke", "--config", config, *words)

    assert (done.returncode, done.stderr.strip()) == (2, message)


def test_a_bad_file_is_2_with_every_mistake(tmp_path: Path) -> None:
    config = write(
        tmp_path / "p.yaml",
        "name: a, kind: tcp, target: 'x'",
        "name: b, kind: tcp, target: 'h:1', timout: 3s",
    )

    for done in (asked("lint", config), asked("smoke", "--config", config)):
        assert done.returncode == 2
        text = done.stdout + done.stderr
        assert f"{config}:3:" in text
        assert f"{config}:4:" in text
        assert "did you mean 'timeout'?" in text


def test_no_file_at_all_is_2(tmp_path: Path) -> None:
    if Path("/etc/sonde/probes.yaml").exists():
        pytest.skip("this machine has a probe file of its own")

    done = sonde("smoke", cwd=tmp_path, SONDE_CONFIG="")

    assert done.returncode == 2
    assert (
        done.stderr
        == "sonde: want a probe file, got none: give --config FILE or make probes.yaml\n"
    )


def test_a_run_that_cannot_end_is_3_within_the_deadline_and_the_reports_are_complete(
    tmp_path: Path, listening: int
) -> None:
    """P17: the silent one is listed, the other has its verdict, wall time <= deadline + 1 s."""
    config = write(
        tmp_path / "p.yaml",
        f"name: good, kind: tcp, target: '127.0.0.1:{listening}'",
        f"name: silent, kind: http, target: 'http://127.0.0.1:{listening}/', timeout: 9s",
    )
    junit, markdown = tmp_path / "r.xml", tmp_path / "r.md"
    busy_s = start_s(config)
    # it counts from the start of the process: the good one must have had its turn by then
    deadline_s = round(1 + 3 * busy_s, 3)

    started = monotonic()
    done = sonde(
        "smoke", "--config", config, "--deadline", f"{deadline_s}s", "--output", "json",
        "--junit", str(junit), "--markdown", str(markdown),
    )  # fmt: skip

    # the promise is 1 s; the rest is for beginning and ending a process on a machine that is busy
    assert monotonic() - started < deadline_s + 1 + busy_s
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert report["exit_code"] == 3
    # timers of uvloop fire up to 1 ms early
    assert deadline_s - 0.1 < report["seconds"] < deadline_s + 1
    assert report["unfinished"] == ["silent"]
    assert [result["outcome"] for result in report["results"]] == ["up", "unknown"]
    assert report["results"][1]["failure"]["phase"] == "processing"
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("errors")) == ("2", "1")
    assert "silent" in markdown.read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_flushes_the_partial_report(
    tmp_path: Path, listening: int, number: signal.Signals, code: int
) -> None:
    """F59."""
    config = write(
        tmp_path / "p.yaml",
        f"name: good, kind: tcp, target: '127.0.0.1:{listening}'",
        f"name: silent, kind: http, target: 'http://127.0.0.1:{listening}/', timeout: 9s",
    )
    process = subprocess.Popen(
        [SONDE, "smoke", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    head = [process.stdout.readline(), process.stdout.readline()]

    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert "good" in head[1]
    assert process.returncode == code
    assert "not finished: silent" in out
    assert err.startswith(f"sonde: ended by {number.name}; 1 of 2 probes without a verdict")


def test_a_report_that_cannot_be_written_is_never_green(tmp_path: Path, listening: int) -> None:
    config = write(tmp_path / "p.yaml", f"name: a, kind: tcp, target: '127.0.0.1:{listening}'")

    done = sonde("smoke", "--config", config, "--junit", str(tmp_path / "no" / "x.xml"))

    assert done.returncode == 3
    assert "No such file or directory" in done.stderr


def test_probe_tells_everything_about_one_target(closed: int) -> None:
    done = sonde("probe", "http", f"http://127.0.0.1:{closed}/", "--output", "json")

    result = json.loads(done.stdout)
    assert done.returncode == 1
    assert result["failure"]["reason"] == "refused"
    assert done.stderr == "sonde: 1 of 1 probe failed: command-line (refused)\n"


def test_probe_speaks_prometheus(listening: int) -> None:
    done = sonde("probe", "tcp", f"127.0.0.1:{listening}", "--output", "prometheus")

    assert done.returncode == 0
    assert "probe_success 1" in done.stdout.splitlines()


def test_explain_stars_secrets(tmp_path: Path) -> None:
    config = write(
        tmp_path / "p.yaml",
        "name: a, kind: http, target: 'https://h.example/?t=canary-query', bearer: canary-bearer",
    )

    done = asked("explain", "a", "--config", config)

    assert done.returncode == 0
    assert "canary" not in done.stdout
    assert "h.example" in done.stdout


def test_an_unknown_probe_is_told_its_neighbour(tmp_path: Path) -> None:
    config = write(tmp_path / "p.yaml", "name: frontend, kind: tcp, target: 'h:1'")

    done = asked("explain", "fronted", "--config", config)

    assert done.returncode == 2
    assert done.stderr == (
        "sonde: want the name of a probe, got 'fronted'; did you mean 'frontend'?\n"
    )


def test_the_schema_is_json_and_kinds_are_listed() -> None:
    assert json.loads(asked("schema").stdout)["$schema"].endswith("2020-12/schema")
    listed = asked("kinds").stdout
    assert [line.split()[0] for line in listed.splitlines()] == sorted(
        line.split()[0] for line in listed.splitlines()
    )
    assert "Target" in asked("kinds", "http").stdout


def test_run_check_judges_and_leaves(tmp_path: Path) -> None:
    config = write(tmp_path / "p.yaml", "name: a, kind: tcp, target: '127.0.0.1:1'")

    done = asked("run", "--config", config, "--check")

    assert (done.returncode, done.stdout) == (0, f"{config}: 1 probe, no mistake\n")


def test_an_occupied_port_is_2_and_named(tmp_path: Path, listening: int) -> None:
    """F51."""
    config = write(tmp_path / "p.yaml", "name: a, kind: tcp, target: '127.0.0.1:1'")

    done = sonde("run", "--config", config, "--listen", f"127.0.0.1:{listening}")

    assert done.returncode == 2
    assert done.stderr == (
        f"sonde: want to listen on 127.0.0.1:{listening}, got: Address already in use\n"
    )


def test_the_gate_of_an_http_probe_imports_neither_web_nor_drivers(
    tmp_path: Path, listening: int
) -> None:
    """L11: imports dominate the start of the gate."""
    config = write(
        tmp_path / "p.yaml",
        f"name: a, kind: http, target: 'http://127.0.0.1:{listening}/', timeout: 1s",
    )
    code = (
        "import sys; sys.argv = ['sonde', 'smoke', '--config', sys.argv[1]]\n"
        "import atexit, exporter.cli as cli\n"
        "import os\n"
        "def tell(code=0):\n"
        "    heavy = {'aiohttp','apscheduler','prometheus_client','h2','cryptography','asyncpg',"
        "'redis','psutil','bcrypt','rich'}\n"
        "    print('loaded:', sorted(heavy & set(sys.modules)), flush=True)\n"
        "    real_exit(0)\n"
        "real_exit = os._exit; os._exit = tell; atexit.register(tell)\n"
        "cli.main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, config],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert "loaded: []" in done.stdout


def test_an_error_of_our_own_is_3_never_1(tmp_path: Path) -> None:
    code = (
        "import exporter.cli as cli\n"
        "def broken(): raise RuntimeError('x')\n"
        "cli.app = broken\n"
        "cli.main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "sonde: want no error of our own, got RuntimeError"


def test_help_teaches_every_command() -> None:
    top = asked("--help").stdout

    assert "Start with `sonde lint`" in top
    assert "4 refused by a safety rail" in " ".join(top.split())
    for command in ("run", "smoke", "probe", "explain", "lint", "schema", "kinds"):
        assert f"  {command} " in top
        assert asked(command, "-h").returncode == 0


def test_a_full_disk_behind_stdout_is_3_in_one_line(tmp_path: Path, listening: int) -> None:
    config = write(tmp_path / "p.yaml", f"name: a, kind: tcp, target: '127.0.0.1:{listening}'")

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [SONDE, "smoke", "--config", config],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip

    assert done.returncode == 3
    assert done.stderr == "sonde: want a reader of the output, got No space left on device\n"


SILENT_DNS = """
mount --bind {directory}/resolv.conf /etc/resolv.conf
exec {python} {directory}/silent.py \\
  {sonde} smoke --config {config} --deadline {deadline_s}s --output json
"""
# Brings the loopback up (SIOCSIFFLAGS, IFF_UP), binds port 53, never answers, runs the gate.
SILENT_SERVER = """
import fcntl, socket, struct, subprocess, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


@pytest.mark.service
def test_a_name_that_nobody_answers_ends_at_the_deadline(tmp_path: Path) -> None:
    """P17: a resolver that is silent for ever, in a network of its own."""
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-nm", "true"], check=False).returncode
    ):
        absent("the right to make a network namespace (root)")
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "silent.py").write_text(SILENT_SERVER)
    config = write(
        tmp_path / "p.yaml",
        "name: lost, kind: http, target: 'http://hangs.example.test/', every: 1m, timeout: 30s",
    )
    busy_s = start_s(config)
    deadline_s = round(1 + 3 * busy_s, 3)
    script = SILENT_DNS.format(
        directory=tmp_path, python=sys.executable, sonde=SONDE, config=config, deadline_s=deadline_s
    )

    started = monotonic()
    done = subprocess.run(
        ["unshare", "-nm", "sh", "-c", script],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    # two more programs begin: unshare with its shell, and Python for the silent server
    assert monotonic() - started < deadline_s + 1 + 2 * busy_s
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert deadline_s - 0.1 < report["seconds"] < deadline_s + 1
    assert report["results"][0]["failure"]["phase"] == "resolve"
    assert report["unfinished"] == ["lost"]
