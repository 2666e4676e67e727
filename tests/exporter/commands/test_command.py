"""What the commands share: completion, the probe file, how a command ends."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from exporter.cli import app
from exporter.commands.command import config_path, open_log
from probes.redact import Redactor
from tests.exporter.test_cli import SONDE, sonde, write


def asking(*words: str) -> dict[str, str]:
    """Return what bash says when the last word is to be completed."""
    return {
        "_SONDE_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("sonde", *words)),
        "COMP_CWORD": str(len(words)),
    }  # fmt: skip


def completed(*words: str, **env: str) -> list[str]:
    """Complete the last word; anything said beside that stands in the way."""
    done = CliRunner().invoke(app, prog_name="sonde", env={**asking(*words), **env})
    assert (done.exit_code, done.stderr) == (0, ""), done.exception
    return done.stdout.split()


@pytest.mark.slow
def test_names_and_kinds_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = "kind: tcp, target: '127.0.0.1:1'"
    write(tmp_path / "probes.yaml", f"name: ab, {target}", f"name: b, {target}")
    other = write(tmp_path / "other.yaml", f"name: ac, {target}")

    by_bash = sonde(cwd=tmp_path, **asking("explain", "a"))
    assert (by_bash.returncode, by_bash.stdout.split(), by_bash.stderr) == (0, ["ab"], "")
    assert completed("explain", "a") == ["ab"]
    assert completed("smoke", "--name", "") == ["ab", "b"]
    assert completed("explain", "--config", other, "a") == ["ac"]
    assert completed("explain", "a", SONDE_CONFIG=other) == ["ac"]
    assert completed("kinds", "po") == ["postgres"]


@pytest.mark.slow
def test_no_file_and_a_broken_one_complete_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("explain", "a") == []

    write(tmp_path / "probes.yaml", "name: ab, kind: nothing")

    assert completed("explain", "a") == []


def test_the_file_of_the_working_directory_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(typer.Exit):
        config_path(None)

    (tmp_path / "probes.yaml").touch()

    assert config_path(None) == Path("probes.yaml")
    assert config_path(tmp_path / "other.yaml") == tmp_path / "other.yaml"


def test_a_log_without_a_stream_writes_where_errors_go(capfd: pytest.CaptureFixture[str]) -> None:
    import logging

    handle = open_log("info", "text", Redactor([]))
    logging.getLogger("sonde.command").info("hello")
    handle.close()

    said = capfd.readouterr()
    assert "hello" in said.err
    assert said.out == ""


@pytest.mark.slow
def test_a_reader_that_leaves_is_never_1_which_a_target_earns() -> None:
    """``sonde schema | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [SONDE, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (
        3,
        "sonde: want a reader of the output, got a closed pipe\n",
    )


@pytest.mark.slow
def test_an_interrupted_look_ends_with_130_and_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        words = ["probe", "tcp", f"127.0.0.1:{port}", "--set", "expect=hello", "--timeout", "30s"]
        process = subprocess.Popen(
            [SONDE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        server.settimeout(30)
        connection, _ = server.accept()
        process.send_signal(signal.SIGINT)
        said, why = process.communicate(timeout=10)
        connection.close()

    assert (process.returncode, said, why) == (130, "", "sonde: interrupted\n")


@pytest.mark.slow
def test_the_version_is_that_of_the_package() -> None:
    done = sonde("--version")

    assert (done.returncode, done.stdout) == (0, "sonde 0.1.0\n")
