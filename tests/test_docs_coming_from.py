"""docs/coming-from.md: each right column loads without a warning, each call is understood."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from probes.config.load import load
from probes.kinds import discover
from scenarios.config.section import SCENARIOS, scenarios_of
from scripts.docs import ROOT
from tests.test_docs import understood

PAGE = (ROOT / "docs/coming-from.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+) \| `((?:kind|get|post|think|ws|journey): .*)` \|$", re.MULTILINE)
ROWS = [(found[1].strip("`"), found[2]) for found in ROW.finditer(PAGE)]
TARGET = 'target: "https://www.example.org/"'
# what the rows lean on: a probe to depend on, a journey to load, where load may go
AROUND = """version: 1
journeys:
  j: {base_url: "http://127.0.0.1:8090", steps: [{name: home, get: /}]}
safety: {targets: {allow: [127.0.0.1]}}
"""
DB = "  - {name: db, kind: tcp, target: 127.0.0.1:5432}\n"


def whole_file(piece: str) -> str:
    """Return a probe file around a piece of one."""
    if piece.startswith("kind:"):
        target = "" if "target:" in piece else f", {TARGET}"
        return f"{AROUND}probes:\n{DB}  - {{name: it, {piece}{target}}}\n"
    if piece.startswith("journey:"):
        return f"{AROUND}probes:\n{DB}scenarios:\n  it: {{{piece}}}\n"
    steps = f"[{{name: first, get: /}}, {{name: it, {piece}}}]"
    return (
        f'version: 1\njourneys:\n  it: {{base_url: "http://127.0.0.1:8090", steps: {steps}}}\n'
        "probes:\n  - {name: it, kind: journey, journey: it}\n"
    )


def test_every_row_has_a_piece_that_is_tried() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    heads = [line for line in rows if line.startswith(("| there", "| ---"))]

    assert len(ROWS) == len(rows) - len(heads)
    assert {piece.split(":")[0] for _, piece in ROWS} == {
        "kind", "get", "post", "think", "ws", "journey",
    }  # fmt: skip


@pytest.mark.parametrize(("there", "piece"), [pytest.param(*row, id=row[0]) for row in ROWS])
def test_a_piece_loads_without_a_warning(there: str, piece: str, tmp_path: Path) -> None:
    path = tmp_path / "probes.yaml"
    path.write_text(whole_file(piece), encoding="utf-8")

    config = load(path, environ={}, further=(SCENARIOS,))

    assert config.warnings == ()
    assert "it" in {*scenarios_of(config), *(probe.name for probe in config.probes)}


def test_what_is_not_offered_is_not() -> None:
    """A word that comes later leaves this page, or the page lies."""
    assert not {"push", "heartbeat", "docker", "mqtt", "mongodb", "mysql", "sctp"} & set(discover())


# --- the gate


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("code", "says", "ends"),
    [(0, "released\n", 0), (1, "rolled back\n", 1), (3, "", 1), (143, "", 1)],
)
def test_the_shell_rolls_back_for_a_failure_alone(
    code: int, says: str, ends: int, tmp_path: Path
) -> None:
    (script,) = blocks("sh")
    for name, text in {"sonde": f"exit {code}", "rollback.sh": "echo rolled back"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip

    assert (done.stdout, done.returncode) == (says, ends)


def calls(document: Any) -> list[str]:
    """Return the calls of sonde in a file of a CI."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        return [call for each in document for call in calls(each)]
    return [document] if str(document).startswith("sonde ") else []


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml"])
def test_a_pipeline_makes_a_call_that_is_understood(name: str) -> None:
    (text,) = blocks(f"yaml {re.escape(name)}")
    (call,) = calls(yaml.safe_load(text))

    assert shlex.split(call)[:2] == ["sonde", "smoke"]
    understood(call)
