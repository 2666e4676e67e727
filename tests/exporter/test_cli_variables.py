"""``--var`` on the command line, once through the installed console script."""

import socket
from pathlib import Path

import pytest

from tests.exporter.test_cli import asked, sonde

pytestmark = pytest.mark.slow


SHOP = """version: 1
journeys:
  shop:
    vars: {path: /}
    steps: [{name: home, get: "${path}"}]
probes:
  - {name: shop, kind: journey, journey: shop, target: "http://127.0.0.1:%d"}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_variable_of_the_command_reaches_the_journey(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    (tmp_path / "probes.yaml").write_text(SHOP % closed)

    shown = asked("explain", "shop", "--var", "path=/other")
    assert "path: /other" in shown.stdout
    checked = asked("run", "--check", "--var", "path=/other")
    assert (checked.returncode, checked.stderr) == (0, "")
    gate = sonde("smoke", "--var", "path=/other", cwd=tmp_path)
    assert gate.returncode == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["pth=x"], "--var: want the name of a variable of a journey, got 'pth'"
                     "; did you mean 'path'?", id="unknown"),
        pytest.param(["path"], "sonde: want --var NAME=VALUE, got 'path'", id="no value"),
        pytest.param(["=x"], "sonde: want --var NAME=VALUE, got '=x'", id="no name"),
        pytest.param(["path=a", "path=b"], "sonde: want each variable once, got --var path again",
                     id="twice"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_a_config_error(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "probes.yaml").write_text(SHOP % 1)

    ended = asked("lint", *(it for word in words for it in ("--var", word)))

    assert ended.returncode == 2
    assert said in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["run --check", "smoke", "probe --name shop", "explain shop"])
def test_every_command_that_reads_the_file_takes_variables(command: str, tmp_path: Path) -> None:
    (tmp_path / "probes.yaml").write_text(SHOP % 1)

    ended = asked(*command.split(), "--var", "pth=x")

    assert ended.returncode == 2
    assert "did you mean 'path'?" in ended.stderr
