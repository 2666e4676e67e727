"""The real blackbox_exporter and this program accept and refuse the same files."""

import subprocess
from pathlib import Path

import pytest

from probes.config.load import load_blackbox
from probes.errors import ConfigError
from tests.probes.config.blackbox.rows import DIFFERENT, SAME
from tests.servers.process import find_program

pytestmark = pytest.mark.service
WAIT_S = 30


@pytest.fixture(scope="module")
def exporter() -> str:
    return find_program("prometheus-blackbox-exporter")


def upstream_loads(exporter: str, path: Path) -> bool:
    words = [exporter, "--config.check", "--config.file", str(path)]
    done = subprocess.run(words, capture_output=True, timeout=WAIT_S, check=False)
    return done.returncode == 0


def we_load(path: Path) -> bool:
    try:
        load_blackbox(path)
    except ConfigError:
        return False
    return True


def written(directory: Path, text: str) -> Path:
    path = directory / "blackbox.yml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in SAME.items()])
def test_what_upstream_loads_loads_and_nothing_else(
    exporter: str, tmp_path: Path, text: str
) -> None:
    path = written(tmp_path, text)

    assert we_load(path) is upstream_loads(exporter, path)


@pytest.mark.parametrize(
    ("text", "ours", "why"), [pytest.param(*row, id=name) for name, row in DIFFERENT.items()]
)
def test_a_difference_is_the_one_that_is_written_down(
    exporter: str, tmp_path: Path, text: str, ours: bool, why: str
) -> None:
    path = written(tmp_path, text)

    assert why
    assert we_load(path) is ours
    assert upstream_loads(exporter, path) is not ours
