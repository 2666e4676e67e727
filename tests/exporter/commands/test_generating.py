"""`sonde generate ...`: where the text goes, and with which code the command ends."""

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from exporter.cli import app
from exporter.commands.generating import prometheus, rules
from tests.exporter.commands.test_command import completed
from tests.exporter.test_cli import sonde
from tests.servers.process import find_program
from tests.servers.prometheus import promtool

CHAINS = """
version: 1
chains:
  - name: ethereum
    kind: evm
    chain_id: 1
    gas: {factor: 4}
    endpoints: [{name: own, http: "http://10.0.0.5:8545"}]
  - name: solana
    kind: solana
    chain_id: mainnet-beta
    endpoints: [{name: own, http: "http://10.0.0.6:8899"}]
  - name: neutron
    kind: cosmos
    chain_id: neutron-1
    endpoints: [{name: own, http: "http://10.0.0.7:26657"}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "probes.yaml"
    path.write_text(CHAINS)
    return path


def call(*words: str | Path, what: str = "rules") -> Result:
    return CliRunner().invoke(app, ["generate", what, *map(str, words)])


def test_the_rules_come_out_on_stdout(config: Path) -> None:
    done = call("--config", config)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("# sonde ")
    assert "- alert: ChainHalted\n" in done.stdout
    assert "chain:evm_gas_price_wei:median > 4 * avg" in " ".join(done.stdout.split())
    assert " 3 * avg" not in done.stdout


@pytest.mark.service
@pytest.mark.slow
def test_promtool_accepts_what_the_command_writes(config: Path, tmp_path: Path) -> None:
    promtool = find_program("promtool")
    page = "https://wiki.example.org/chains"

    done = sonde("generate", "rules", "--config", str(config), "--runbooks", page)
    (tmp_path / "rules.yml").write_text(done.stdout)
    checked = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS: 34 rules found" in checked.stdout
    assert done.stdout.count("runbook_url: https://wiki.example.org/chains#") == 30


def test_a_directory_gets_the_file_and_others_may_read_it(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"

    done = call("--config", config, "--out", out)

    assert (done.exit_code, done.stdout) == (0, f"wrote {out / 'rules.yml'}\n")
    assert [path.name for path in out.iterdir()] == ["rules.yml"]
    assert (out / "rules.yml").read_text() == call("--config", config).stdout
    assert stat.S_IMODE((out / "rules.yml").stat().st_mode) == 0o644


def test_a_file_is_replaced_as_a_whole(config: Path, tmp_path: Path) -> None:
    old = tmp_path / "rules.yml"
    old.write_text("groups: []\n" * 10_000)
    with old.open() as reader:
        assert call("--config", config, "--out", tmp_path).exit_code == 0

        assert reader.read() == "groups: []\n" * 10_000
    assert old.read_text() == call("--config", config).stdout


def test_check_passes_what_was_written(config: Path, tmp_path: Path) -> None:
    call("--config", config, "--out", tmp_path)

    done = call("--config", config, "--out", tmp_path, "--check")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'rules.yml'}: up to date\n"


@pytest.mark.parametrize(
    ("change", "line", "got"),
    [
        pytest.param(
            lambda text: text.replace("- name: sonde.chain.rpc", "- name: mine"), 3,
            "'- name: mine'", id="changed by hand",
        ),
        pytest.param(
            lambda text: "".join(text.splitlines(keepends=True)[:2]), 3, "the end of the file",
            id="cut off",
        ),
        pytest.param(lambda text: text.replace("# sonde", "# onde"), 1, "'# onde", id="first line"),
        pytest.param(lambda _: "", 1, "the end of the file", id="empty"),
        pytest.param(lambda text: text + "more: 1\n", None, "'more: 1'", id="more at the end"),
    ],
)  # fmt: skip
def test_check_fails_where_the_file_begins_to_differ(
    change: Callable[[str], str], line: int | None, got: str, config: Path, tmp_path: Path
) -> None:
    call("--config", config, "--out", tmp_path)
    path = tmp_path / "rules.yml"
    changed = change(path.read_text())
    path.write_text(changed)

    done = call("--config", config, "--out", tmp_path, "--check")

    line = len(changed.splitlines()) if line is None else line
    assert done.exit_code == 1
    want = f"sonde: {path}:{line}: want it as the probe file gives it, got {got}"
    assert done.stderr.startswith(want)
    assert path.read_text() == changed, "a check must not write"


def test_check_fails_without_a_file_and_makes_none(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "none"

    done = call("--config", config, "--out", out, "--check")

    assert done.exit_code == 1
    want = f"want {out / 'rules.yml'} as the probe file gives it, got no such file"
    assert done.stderr == f"sonde: {want}\n"
    assert not out.exists()


def test_check_needs_something_to_compare(config: Path) -> None:
    done = call("--config", config, "--check")

    assert done.exit_code == 2
    assert done.stderr == "sonde: want --out DIR, whose file --check compares, got none\n"


def test_a_change_of_the_config_is_told(config: Path, tmp_path: Path) -> None:
    call("--config", config, "--out", tmp_path)
    config.write_text(CHAINS.replace("factor: 4", "factor: 5"))

    done = call("--config", config, "--out", tmp_path, "--check")

    assert done.exit_code == 1


def test_a_file_without_chains_is_2_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nprobes: [{name: a, kind: tcp, target: '127.0.0.1:1'}]\n")

    done = call("--config", path, "--out", tmp_path / "out")

    assert done.exit_code == 2
    assert done.stderr == (
        f"sonde: {path}: want chains or scenarios to write rules for, got neither; those of other "
        "probes fit every file and are ready to copy: examples/rules.yml, docs/alerts.md\n"
    )
    assert not (tmp_path / "out").exists()


def test_another_pack_is_2_before_the_file_is_read(tmp_path: Path) -> None:
    done = call("--config", tmp_path / "none.yaml", "--pack", "slo")

    assert done.exit_code == 2
    assert (
        done.stderr == "sonde: want --pack chain or load or all, got 'slo', which is not made yet\n"
    )


@pytest.mark.parametrize(
    "url", ["docs/chains.md", "https://", "ftp://a/b", "https://a/b#c", "https://a/b c", ""]
)
def test_a_page_that_is_no_url_is_2(url: str, config: Path) -> None:
    done = call("--config", config, "--runbooks", url)

    assert done.exit_code == 2
    want = "want --runbooks to be an http:// or https:// URL without a #"
    assert done.stderr == f"sonde: {want}, got {url!r}\n"


def test_a_broken_probe_file_is_2_with_its_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nchains: [{name: c, kind: evm}]\n")

    done = call("--config", path)

    assert done.exit_code == 2
    assert done.stderr.endswith("sonde: 1 mistake in the probe file\n")


def test_what_cannot_be_written_is_3_and_leaves_nothing(config: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rules.yml").mkdir()

    done = call("--config", config, "--out", tmp_path / "out")

    assert done.exit_code == 3
    path = tmp_path / "out" / "rules.yml"
    assert done.stderr == f"sonde: want to write {path}, got Is a directory\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rules.yml"]


def test_what_cannot_be_read_is_3(config: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").mkdir()

    done = call("--config", config, "--out", tmp_path, "--check")

    assert done.exit_code == 3
    path = tmp_path / "rules.yml"
    assert done.stderr == f"sonde: want to read {path}, got Is a directory\n"


def test_the_way_to_the_directory_is_a_file(config: Path, tmp_path: Path) -> None:
    done = call("--config", config, "--out", config)

    assert done.exit_code == 3
    assert done.stderr == f"sonde: want to write {config / 'rules.yml'}, got File exists\n"


@pytest.mark.slow
def test_packs_are_completed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)

    assert completed("generate", "rules", "--pack", "c") == ["chain"]


def test_help_shows_how_it_is_called() -> None:
    done = CliRunner().invoke(app, ["generate", "--help"])

    assert done.exit_code == 0
    assert "no secret stands in them" in done.stdout
    for command in (rules, prometheus):
        assert (command.__doc__ or "").partition("\n")[0] in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        pytest.param((), "- job_name: sonde\n", id="as sonde schedules"),
        pytest.param(("--page", "probe"), "- job_name: sonde-probe\n", id="as Prometheus does"),
        pytest.param(("--address", "sonde:80"), "    - sonde:80\n", id="elsewhere"),
        pytest.param(("--address", "[::1]:80"), "    - '[::1]:80'\n", id="IPv6"),
    ],
)
def test_scrape_jobs_come_out_on_stdout(config: Path, words: tuple[str, ...], line: str) -> None:
    done = call("--config", config, *words, what="prometheus")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("# sonde ")
    assert line in done.stdout


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.parametrize("page", ["metrics", "probe"])
def test_promtool_takes_the_whole_file_with_its_rules(
    config: Path, tmp_path: Path, page: str
) -> None:
    words = ("--rules", "rules/rules.yml", "--rules", "more/*.yml", "--page", page)
    told = ("--alertmanager", "127.0.0.1:9093", "--alertmanager", "[::1]:9093")

    done = call("--config", config, *words, *told, "--out", tmp_path, what="prometheus")
    without = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    call("--config", config, "--out", tmp_path / "rules")
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))

    assert (done.exit_code, done.stderr) == (0, "")
    # it does look for the file and into it
    assert without.returncode != 0
    assert b"does not point to an existing file" in without.stderr
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert b"SUCCESS: 34 rules found" in checked.stdout
    found = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert list(found) == ["rule_files", "alerting", "scrape_configs"]
    assert found["rule_files"] == ["rules/rules.yml", "more/*.yml"]
    assert found["alerting"] == {
        "alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093", "[::1]:9093"]}]}]
    }


@pytest.mark.parametrize("path", ["", "*/rules.yml", "a*/b.yml"])
def test_a_path_of_rules_that_prometheus_refuses_is_2(path: str, config: Path) -> None:
    done = call("--config", config, "--rules", path, what="prometheus")

    assert done.exit_code == 2
    want = "--rules: want a path, with a * in its last part at most"
    assert done.stderr == f"sonde: {want}, got {path!r}\n"


def test_scrape_jobs_are_written_and_compared_as_rules_are(config: Path, tmp_path: Path) -> None:
    words = ("--config", config, "--out", tmp_path)

    wrote, same = call(*words, what="prometheus"), call(*words, "--check", what="prometheus")
    differs = call(*words, "--check", "--page", "probe", what="prometheus")

    path = tmp_path / "prometheus.yml"
    assert (wrote.exit_code, wrote.stdout) == (0, f"wrote {path}\n")
    assert (same.exit_code, same.stdout) == (0, f"{path}: up to date\n")
    want = "want it as the probe file gives it, got '- job_name: sonde'"
    assert (differs.exit_code, differs.stderr) == (1, f"sonde: {path}:3: {want}\n")


def test_scrape_jobs_need_something_to_compare(config: Path) -> None:
    done = call("--config", config, "--check", what="prometheus")

    assert done.exit_code == 2
    assert done.stderr == "sonde: want --out DIR, whose file --check compares, got none\n"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sonde", "want host:port, got 'sonde' without a port"),
        ("http://sonde:9115", "want host:port without a scheme, got 'http://sonde:9115'"),
        ("", "want host:port, got ''"),
    ],
)
def test_an_address_that_is_none_is_2(address: str, message: str, config: Path) -> None:
    for option in ("--address", "--alertmanager"):
        done = call("--config", config, option, address, what="prometheus")

        assert done.exit_code == 2
        assert done.stderr.startswith(f"sonde: {option}: {message}")


def test_a_file_without_probes_has_no_job_for_them(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nmodules: {web: {kind: http}}\nprobes: []\n")

    done = call("--config", path, "--page", "probe", what="prometheus")

    assert done.exit_code == 2
    assert done.stderr == f"sonde: {path}: want a probe to ask for, got none\n"
