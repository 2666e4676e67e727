"""Flags of a load past one machine: read, or a usage error before anything is sent."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from exporter.cli import app
from exporter.commands import loading

FILE = """
version: 1
journeys:
  home: {base_url: "http://127.0.0.1:1", steps: [{name: home, get: /}]}
safety: {targets: {allow: [127.0.0.1/32]}}
scenarios:
  it: {journey: home, rate: 2/s, duration: 1s}
"""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param(
            ["--master-bind", "127.0.0.1:1"],
            "--master-bind: want --expect-workers beside it, got none",
            id="alone",
        ),
        pytest.param(
            ["--expect-workers", "2", "--shards", "2"],
            "--shards: want one shard for each worker",
            id="shards",
        ),
        pytest.param(
            ["--expect-workers", "2", "--master-bind", "a.example"],
            "want an IP address to listen on, got 'a.example'",
            id="name",
        ),
        pytest.param(
            ["--expect-workers", "2", "--wait-workers", "soon"], "--wait-workers: want", id="wait"
        ),
    ],
)
def test_a_flag_that_means_nothing_is_a_usage_error(
    tmp_path: Path, words: list[str], text: str
) -> None:
    (tmp_path / "probes.yaml").write_text(FILE)
    told = CliRunner().invoke(app, ["load", "it", "--config", f"{tmp_path}/probes.yaml", *words])

    assert told.exit_code == 2
    assert text in told.output


@pytest.mark.parametrize(
    ("bind", "lines"),
    [
        pytest.param("[::]:7000", 1, id="everybody"),
        pytest.param("10.0.0.5", 1, id="a network"),
        pytest.param("127.0.0.1:7000", 0, id="this machine"),
        pytest.param(None, 0, id="default"),
    ],
)
def test_who_listens_beyond_this_machine_is_warned_on_one_line(
    bind: str | None, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = loading._workers(2, bind, "60s", None)

    assert workers is not None
    text = f"warning: {workers.address} is neither encrypted nor authenticated: whoever reaches it"
    told = capsys.readouterr().err.splitlines()
    assert [it.startswith(text) for it in told] == [True] * lines


def test_a_master_that_is_no_address_is_a_usage_error() -> None:
    told = CliRunner().invoke(app, ["load-worker", "--master", "tcp://a:1"])

    assert told.exit_code == 2
    assert "--master: want HOST or HOST:PORT, IPv6 in brackets" in told.output


def test_more_workers_than_users_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "probes.yaml").write_text(FILE)
    told = CliRunner().invoke(
        app,
        ["load", "it", "--config", f"{tmp_path}/probes.yaml", "--data", str(tmp_path),
         "--dry-run", "--expect-workers", "900"],
    )  # fmt: skip

    assert told.exit_code == 2
    assert "want at most one worker for each of" in told.output
