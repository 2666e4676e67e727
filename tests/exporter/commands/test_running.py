"""The command ``sonde run``, as far as it goes without serving: flags, files, refusals."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exporter.cli import app
from exporter.commands.running import TOKEN_FILE, _seconds, _token
from probes.config.load import load_blackbox

ROOT = Path(__file__).resolve().parents[3]
UPSTREAM = "modules:\n  http_2xx: {prober: http, timeout: 5s}\n"
WITH_SECRET = (
    "modules:\n  login: {prober: http, timeout: 5s,"
    " http: {basic_auth: {username: u, password: canary-1234}}}\n"
)


@pytest.fixture
def blackbox(tmp_path: Path) -> Path:
    path = tmp_path / "blackbox.yml"
    path.write_text(UPSTREAM)
    return path


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--blackbox-config", "FILE", "--check"), id="ours"),
        pytest.param(("--config.file", "FILE", "--config.check"), id="of blackbox_exporter"),
        pytest.param(("--config.file=FILE", "--config.check"), id="as containers write it"),
        pytest.param(
            (
                "--config.file", "FILE", "--config.check", "--timeout-offset=0.5",
                "--history.limit=10", "--log.level=warn", "--log.format=logfmt",
                "--log.prober=debug", "--web.listen-address=:9115", "--web.external-url=",
                "--web.route-prefix=/", "--config.enable-auto-reload",
                "--config.auto-reload-interval=30s", "--web.systemd-socket", "--compat", "strict",
            ),
            id="every flag of it",
        ),
    ],
)  # fmt: skip
def test_a_blackbox_file_is_judged(blackbox: Path, words: tuple[str, ...]) -> None:
    given = [word.replace("FILE", str(blackbox)) for word in words]

    done = CliRunner().invoke(app, ["run", *given])

    assert (done.exit_code, done.stdout) == (0, f"{blackbox}: 1 module, no mistake\n")


def test_arguments_of_blackbox_exporter_need_no_command(blackbox: Path) -> None:
    done = CliRunner().invoke(app, [f"--config.file={blackbox}", "--config.check"])
    ours = CliRunner().invoke(app, ["--config", str(blackbox)])

    assert (done.exit_code, done.stdout) == (0, f"{blackbox}: 1 module, no mistake\n")
    assert ours.exit_code == 2
    assert "No such option: --config" in ours.stderr


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [((), "vsock://env:1"), (("--web.listen-address=vsock://flag:1",), "vsock://flag:1")],
    ids=["by the environment", "a flag wins"],
)
def test_where_it_listens_may_stand_in_the_environment(
    blackbox: Path, flags: tuple[str, ...], wanted: str
) -> None:
    done = CliRunner().invoke(
        app, ["run", "--config.file", str(blackbox), *flags], env={"SONDE_LISTEN": "vsock://env:1"}
    )

    assert done.exit_code == 2
    assert f"want an address to listen on such as 127.0.0.1:9115, got {wanted!r}" in done.stderr


def test_whoever_asks_chooses_where_secrets_go_and_is_told_so(blackbox: Path) -> None:
    blackbox.write_text(WITH_SECRET)

    done = CliRunner().invoke(app, ["run", "--blackbox-config", str(blackbox), "--check"])

    assert "warning: " in done.stderr
    assert "/probe takes any target" in done.stderr
    assert "whoever asks chooses where the secrets go of login" in done.stderr
    assert "canary" not in done.output


@pytest.mark.slow
def test_a_service_tells_its_warnings_in_its_log(blackbox: Path) -> None:
    # a port that is taken, so it ends before it serves
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        words = ["run", "--config.file", str(blackbox), "--listen", listen]

        done = subprocess.run(
            [sys.executable, "-c", "from exporter.cli import main; main()", *words],
            cwd=ROOT, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.startswith("sonde: ")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["level"] == "WARN"
    assert line["message"].startswith(f"{blackbox}: /probe takes any target")


def test_what_will_fail_in_every_run_is_told_by_a_check_too(blackbox: Path) -> None:
    blackbox.write_text(
        "modules: {m: {prober: tcp, timeout: 5s,"
        " tcp: {tls_config: {min_version: TLS13, max_version: TLS12}}}}\n"
    )

    done = CliRunner().invoke(app, ["run", "--config.file", str(blackbox), "--config.check"])

    assert done.exit_code == 0
    assert "got TLS13 and TLS12: every run will fail" in done.stderr


def test_a_bad_blackbox_file_ends_with_2(blackbox: Path) -> None:
    blackbox.write_text("modules: {m: {prober: nosuch}}\n")

    done = CliRunner().invoke(app, ["run", "--config.file", str(blackbox), "--check"])

    assert done.exit_code == 2
    assert "1 mistake in the blackbox.yml" in done.stderr


def test_two_files_are_one_too_many(blackbox: Path, tmp_path: Path) -> None:
    words = ["run", "--config.file", str(blackbox), "--config", str(tmp_path / "probes.yaml")]

    done = CliRunner().invoke(app, words)

    assert done.exit_code == 2
    assert "want --config or --blackbox-config, got both" in done.stderr


def test_the_variable_of_a_probe_file_does_not_stand_against_the_flag(
    blackbox: Path, tmp_path: Path
) -> None:
    words = ["run", "--config.file", str(blackbox), "--check"]

    done = CliRunner().invoke(app, words, env={"SONDE_CONFIG": str(tmp_path / "probes.yaml")})

    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param(
            ("--web.external-url", "x.example"), "--web.external-url: want an http://", id="no URL"
        ),
        pytest.param(
            ("--config.enable-auto-reload", "--config.auto-reload-interval", "0"),
            "--config.auto-reload-interval: want at least 1 s",
            id="no interval",
        ),
        pytest.param(("--listen", "vsock://1:2"), "want an address to listen on", id="vsock"),
        pytest.param(("--web.systemd-socket",), "want sockets from systemd", id="no systemd"),
    ],
)
def test_what_cannot_be_served_ends_with_2(
    blackbox: Path, words: tuple[str, ...], text: str
) -> None:
    done = CliRunner().invoke(app, ["run", "--config.file", str(blackbox), *words])

    assert done.exit_code == 2
    assert text in done.stderr


@pytest.mark.parametrize(("text", "seconds"), [("30", 30.0), ("1m30s", 90.0)])
def test_an_interval_is_written_as_upstream_does_or_as_a_number(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds


def test_the_token_of_a_file_without_a_key_for_it_comes_from_a_file(
    blackbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("canary-token\n")
    config = load_blackbox(blackbox)
    assert _token(config) == ""

    monkeypatch.setenv(TOKEN_FILE, str(token))

    assert _token(config) == "canary-token"
