"""The commands that read, on a blackbox.yml: lint, explain, schema."""

import json
import subprocess
import sys
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
    ("words", "is_told"),
    [
        pytest.param((), False, id="fixed"),
        pytest.param(("--compat", "fixed"), False, id="fixed by word"),
        pytest.param(("--compat", "strict"), True, id="strict"),
    ],
)
def test_lint_judges_a_blackbox_yml_as_run_would_keep_to_it(
    file: Path, words: tuple[str, ...], *, is_told: bool
) -> None:
    file.write_text(module("grpc", "", ", timeout: 5s"))
    text = "with compat: strict only IPv6 is tried"

    done = CliRunner().invoke(app, ["lint", str(file), *words])
    run = CliRunner().invoke(app, ["run", "--check", "--blackbox-config", str(file), *words])

    assert (done.exit_code, run.exit_code) == (0, 0)
    assert (text in done.stdout, text in run.stderr) == (is_told, is_told)


@pytest.mark.parametrize("words", [("lint",), ("run", "--check")], ids=["lint", "run"])
def test_a_probe_file_says_itself_which_quirks_it_keeps(file: Path, words: tuple[str, ...]) -> None:
    main = file.parent / "probes.yaml"
    main.write_text("version: 1\n")

    done = CliRunner().invoke(app, [*words, "--compat", "strict"])

    assert done.exit_code == 2
    assert done.stderr == (
        "sonde: --compat: want a blackbox.yml, got the probe file probes.yaml:"
        " a line `compat: strict` in it says the same\n"
    )


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


WITHOUT_EXTRAS = """
import sys
from importlib.machinery import PathFinder

class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        hidden = name in ("cel", "pycurl", "locust") and path is None
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
from exporter.cli import main
main()
"""
NEEDY = """modules:
  cel:
    prober: http
    timeout: 5s
    http: {fail_if_body_json_matches_cel: body.broken, body_size_limit: 1MB}
  quic:
    prober: http
    timeout: 5s
    http: {enable_http3: true, enable_http2: false}
"""
NEEDY_NATIVE = """version: 1
safety: {targets: {allow: [127.0.0.1]}}
journeys:
  shop: {base_url: "http://127.0.0.1:1", steps: [{name: home, get: /}]}
scenarios:
  quick: {journey: shop, rate: 5/s, duration: 30s}
probes:
  - {name: shop, kind: journey, journey: shop}
"""


def lint_without_extras(path: Path, text: str) -> subprocess.CompletedProcess[str]:
    path.write_text(text)
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, "lint", str(path)],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_blackbox_file_that_needs_an_extra_loads_and_lint_says_what_to_install(
    tmp_path: Path,
) -> None:
    done = lint_without_extras(tmp_path / "blackbox.yml", NEEDY)

    cel, quic, _ = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert cel.endswith(
        ".yml:5:43: modules.cel.http.fail_if_body_json_matches_cel: want the extra 'cel', got none:"
        " install sonde[cel] from where sonde came from: every run will fail"
    )
    assert quic.endswith(
        ".yml:6:3: modules.quic: want what a run can work with, got a fault in each: want the extra"
        " 'http3', got none: install sonde[http3] from where sonde came from"
    )


@pytest.mark.slow
def test_a_native_probe_that_needs_an_extra_is_a_mistake(tmp_path: Path) -> None:
    probes = "  - {name: quic, kind: http, target: 'https://a/', versions: [3]}\n"

    done = lint_without_extras(tmp_path / "probes.yaml", NEEDY_NATIVE + probes)

    assert done.returncode == 2
    assert done.stdout == (
        f"{tmp_path}/probes.yaml:9:5: probes.1: want the extra 'http3', got none: install"
        " sonde[http3] from where sonde came from\n"
    )


@pytest.mark.slow
def test_scenarios_without_their_extra_are_checks_all_the_same(tmp_path: Path) -> None:
    done = lint_without_extras(tmp_path / "probes.yaml", NEEDY_NATIVE)

    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == (
        f"warning: {tmp_path}/probes.yaml: scenarios: want the extra 'load', got none:"
        " install sonde[load] from where sonde came from"
    )
