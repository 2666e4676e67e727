"""One look from the command line: its words, its forms, its timeout."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner

from exporter.cli import app
from probes.kinds.tcp import Tcp
from tests.exporter.test_cli import asked, sonde, write

pytestmark = pytest.mark.slow

DURATION = "want a duration with its unit such as 500ms, 10s or 5m, got"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param([], "want KIND TARGET, or --name NAME; `sonde kinds` lists the kinds", id="0"),
        pytest.param(
            ["tcp"], "want KIND TARGET, or --name NAME; `sonde kinds` lists the kinds", id="kind"
        ),
        pytest.param(
            ["tcp", "h:1", "--name", "a"], "want either --name or KIND TARGET, got both", id="both"
        ),
        pytest.param(
            ["tcp", "127.0.0.1:1", "--timeout", "5"], f"--timeout: {DURATION} '5'", id="unit"
        ),
        pytest.param(["--name", "a", "--timeout", "5"], f"--timeout: {DURATION} '5'", id="named"),
        pytest.param(["tcp", "h"], "TARGET: want host:port, got 'h' without a port", id="target"),
    ],
)
def test_a_mistake_is_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "probes.yaml", "name: a, kind: tcp, target: '127.0.0.1:1'")

    done = asked("probe", *words)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"sonde: {message}\n")


def test_a_probe_of_the_file_is_looked_at_with_a_timeout_of_its_own(
    tmp_path: Path, silent: int
) -> None:
    config = write(
        tmp_path / "p.yaml", f"name: a, kind: tcp, target: '127.0.0.1:{silent}', expect: hello"
    )

    words = ("probe", "--config", config, "--name", "a", "--output", "json")
    done = sonde(*words, "--timeout", "300ms")

    result = json.loads(done.stdout)
    assert done.returncode == 1
    assert (result["probe"], result["failure"]["reason"]) == ("a", "timeout")
    assert result["failure"]["message"].startswith("want an answer within 0.3 s, ")
    # timers of uvloop fire up to 1 ms early; the file would have said 5 s
    assert 0.298 <= result["seconds"] < 2.5


def test_what_a_kind_has_to_load_is_no_time_of_the_target(
    monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    ran: list[str] = []

    def leave(code: int) -> NoReturn:
        raise typer.Exit(code)

    monkeypatch.setattr("exporter.cli.leave", leave)  # it would end this process
    monkeypatch.setattr(Tcp, "prepare", lambda *_: ran.append("prepared"))

    async def run(*_: object) -> None:
        ran.append("run")

    monkeypatch.setattr(Tcp, "run", run)
    done = CliRunner().invoke(app, ["probe", "tcp", f"127.0.0.1:{silent}"])

    assert (done.exit_code, ran) == (0, ["prepared", "run"])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_either_loop_can_be_asked_for(silent: int, loop: str) -> None:
    done = sonde("probe", "tcp", f"127.0.0.1:{silent}", SONDE_LOOP=loop)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("command-line: up\n")


def test_a_loop_that_nobody_has_is_2(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONDE_LOOP", "trio")

    done = asked("probe", "tcp", f"127.0.0.1:{silent}")

    said = "sonde: want SONDE_LOOP to be asyncio or uvloop, got 'trio'\n"
    assert (done.returncode, done.stderr) == (2, said)
