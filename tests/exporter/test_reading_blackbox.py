"""The commands that read, on a blackbox.yml: lint, explain, schema."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from exporter.cli import app
from probes.config.blackbox.schema import blackbox_schema
from probes.config.document import load_document
from tests.probes.config.blackbox.rows import STOCK, module


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "blackbox.yml"
    path.write_text(STOCK)
    path.chmod(0o600)
    return path


def lint(file: Path, text: str) -> Any:
    file.write_text(text)
    return CliRunner().invoke(app, ["lint", str(file)])


def test_lint_takes_a_blackbox_yml(file: Path) -> None:
    done = lint(file, module("tcp", "", ", timeout: 5s"))

    assert done.exit_code == 0
    assert done.stdout == f"{file}: 1 module of a blackbox.yml, no mistake\n"


def test_lint_tells_its_mistakes_in_its_own_words(file: Path) -> None:
    done = lint(file, module("http", "metod: GET, valid_status_codes: ['200']"))

    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        f"{file}:1:36: modules.m.http.metod: want a known key, got 'metod'; did you mean 'method'?",
        (f"{file}:1:69: modules.m.http.valid_status_codes.0: want a whole number, got '200'"
        ": without quotes"),
    ]  # fmt: skip
    assert done.stderr == f"sonde: 2 mistakes in {file}\n"


def test_lint_refuses_a_reference_that_loads(file: Path) -> None:
    done = lint(file, module("http", "basic_auth: {password_ref: v}", ", timeout: 5s"))

    assert done.exit_code == 2
    assert done.stdout == (
        f"{file}:1:49: modules.m.http.basic_auth.password_ref: want password_file, got"
        " password_ref: there is no secret manager, here or upstream\n"
    )
    assert done.stderr == f"sonde: 1 key in {file} that no run can obey\n"


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        pytest.param("http_all", STOCK, "decode: gzip\n", id="a module"),
        pytest.param(
            "m",
            module("dns", "query_name: a, transport_protocol: x"),
            "query_name: a\n",
            id="unfit",
        ),
    ],
)
def test_explain_shows_the_native_form(file: Path, name: str, text: str, shown: str) -> None:
    file.write_text(text)
    main = file.parent / "probes.yaml"
    main.write_text(
        "version: 1\ninclude: [blackbox.yml]\n"
        f"probes: [{{name: it, module: {name}, target: 'http://127.0.0.1/'}}]\n"
    )

    done = CliRunner().invoke(app, ["explain", "it", "--config", str(main)])

    assert done.exit_code == 0, done.output
    assert f"\n{shown}" in done.stdout


def test_its_schema_takes_what_loads_and_finds_a_slip() -> None:
    done = CliRunner().invoke(app, ["schema", "--blackbox"])
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    stock = load_document(STOCK.encode(), "b").value

    assert schema == blackbox_schema()
    assert list(judge.iter_errors(stock)) == []
    for slip in (
        {"prober": "ftp"},
        {"prober": "http", "http": {"metod": "GET"}},
        {"timeout": "5s"},
    ):
        assert list(judge.iter_errors({"modules": {"m": slip}}))
