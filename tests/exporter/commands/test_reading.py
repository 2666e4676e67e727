"""The commands that read: what they say of scenarios."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from exporter.cli import app

FILE = """\
version: 1
safety: {targets: {allow: [127.0.0.1]}}
journeys:
  shop: {base_url: "http://127.0.0.1:1", steps: [{name: home, get: /}]}
probes:
  - {name: shop, kind: journey, journey: shop}
scenarios:
  quick: {journey: shop, rate: 5/s, duration: 30s}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "probes.yaml"
    path.write_text(FILE)
    return path


def test_lint_tells_mistakes_of_scenarios_with_all_others(file: Path) -> None:
    file.write_text(
        FILE.replace("journey: shop}", "journey: shop, evry: 1m}", 1).replace(
            "rate: 5/s", "rate: 5"
        )
    )

    done = CliRunner().invoke(app, ["lint", str(file)])

    assert done.exit_code == 2
    assert [line.removeprefix(str(file)) for line in done.stdout.splitlines()] == [
        ":6:48: probes.0.evry: want a known key, got 'evry'; did you mean 'every'?",
        ":8:32: scenarios.quick.rate: want a rate such as 20/s or 1/s -> 20/s, got 5",
    ]


def test_a_scenario_is_explained_written_out(file: Path) -> None:
    done = CliRunner().invoke(app, ["explain", "quick", "--config", str(file)])

    assert done.exit_code == 0
    assert "    stages:\n    - duration: 30s\n      rate: 5/s\n" in done.stdout
    assert "    users:\n      start: 1\n      max: 100\n" in done.stdout


def test_a_scenario_and_a_probe_of_one_name_are_both_explained(file: Path) -> None:
    file.write_text(FILE.replace("quick:", "shop:"))

    done = CliRunner().invoke(app, ["explain", "shop", "--config", str(file)])

    assert done.stdout.startswith("shop:\n")
    assert "\nname: shop\nkind: journey\n" in done.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("explain", "sonde: want the name of a probe, got none (known: shop, quick)\n"),
        ("load", "sonde: want the name of a scenario, got none (known: quick)\n"),
    ],
)
def test_who_names_nothing_is_told_what_there_is(file: Path, command: str, message: str) -> None:
    done = CliRunner().invoke(app, [command, "--config", str(file)])

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", message)


def test_names_of_scenarios_are_suggested_too(file: Path) -> None:
    done = CliRunner().invoke(app, ["explain", "quik", "--config", str(file)])

    assert done.exit_code == 2
    assert done.stderr == "sonde: want the name of a probe, got 'quik'; did you mean 'quick'?\n"
