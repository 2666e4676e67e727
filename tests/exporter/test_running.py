"""The command ``sonde run``, as far as it goes without serving: flags, files, refusals."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from exporter.cli import app
from exporter.running import TOKEN_FILE, _seconds, _token
from probes.config.load import load_blackbox

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

    assert (done.exit_code, done.stdout) == (0, f"{blackbox}: 1 modules, no mistake\n")


def test_whoever_asks_chooses_where_secrets_go_and_is_told_so(blackbox: Path) -> None:
    blackbox.write_text(WITH_SECRET)

    done = CliRunner().invoke(app, ["run", "--blackbox-config", str(blackbox), "--check"])

    assert "warning: " in done.stderr
    assert "/probe takes any target" in done.stderr
    assert "whoever asks chooses where the secrets go of login" in done.stderr
    assert "canary" not in done.output


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
