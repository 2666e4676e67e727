"""The commands ``sonde import ...``: where the text goes, what stderr tells, how it ends."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exporter.commands.intake import app

HAR = json.dumps(
    {
        "log": {
            "version": "1.2",
            "pages": [{"title": "Demo Shop"}],
            "entries": [
                {
                    "request": {
                        "method": "GET",
                        "url": "http://a.test/",
                        "headers": [{"name": "X-Api-Key", "value": "k-123456"}],
                    },
                    "response": {"status": 200, "content": {"mimeType": "text/html", "text": "x"}},
                },
                {
                    "request": {"method": "GET", "url": "http://a.test/x.png"},
                    "response": {"status": 200, "content": {"mimeType": "image/png"}},
                },
            ],
        }
    }
)


@pytest.fixture
def har(tmp_path: Path) -> Path:
    path = tmp_path / "demo.har"
    path.write_text(HAR)
    return path


def test_the_journey_goes_to_stdout_and_what_was_left_out_to_stderr(har: Path) -> None:
    done = CliRunner().invoke(app, ["har", str(har)])

    assert done.exit_code == 0
    assert "  demo-shop:" in done.stdout.split("\n")
    assert done.stderr == "left out: static files: 1\nto be set, secret: DEMO_SHOP_API_KEY\n"


def test_a_file_is_made_for_its_author_alone_and_never_replaced(har: Path, tmp_path: Path) -> None:
    out = tmp_path / "shop.yaml"
    words = ["har", str(har), "--name", "shop", "--out", str(out)]

    first = CliRunner().invoke(app, words)
    again = CliRunner().invoke(app, words)
    forced = CliRunner().invoke(app, [*words, "--force"])

    assert first.exit_code == 0
    assert first.stdout == ""
    assert f"wrote {out}: 1 step; read it before use" in first.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert again.exit_code == 2
    assert again.stderr.endswith(
        f"sonde: want --out to be a new file, got {out}; --force replaces it\n"
    )
    assert forced.exit_code == 0


@pytest.mark.parametrize("command", ["har", "postman", "openapi"])
def test_a_file_that_is_no_such_thing_ends_with_2(tmp_path: Path, command: str) -> None:
    path = tmp_path / "x.json"
    path.write_text("[1, 2]")

    done = CliRunner().invoke(app, [command, str(path)])

    assert done.exit_code == 2
    assert done.stderr.startswith(f"sonde: {path}: ")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there_and_a_pipe_end_with_2(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["har", str(tmp_path / "gone.har")])
    folder = CliRunner().invoke(app, ["har", str(tmp_path)])

    assert (missing.exit_code, folder.exit_code) == (2, 2)
    assert "No such file or directory" in missing.stderr
    assert "want a" in folder.stderr


def test_a_name_must_be_one(har: Path) -> None:
    done = CliRunner().invoke(app, ["har", str(har), "--name", "My Shop"])

    assert done.exit_code == 2
    assert (
        done.stderr
        == "sonde: want a --name of a-z, 0-9 and '-' such as 'checkout', got 'My Shop'\n"
    )
