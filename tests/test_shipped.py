"""What ships runs as it is: the probe file of the root, in friendly and in odd environments."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.tcp import closed_port
from tests.servers.process import wait_until
from tests.servers.sonde import ROOT, Sonde, start_sonde

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SHIPPED = ROOT / "probes.yaml"
SONDE = Path(sys.executable).parent / "sonde"
NAMES = ("health", "metrics", "port", "machine")
SUCCESS = re.compile(r'^probe_success\{.*probe="(\w+)".*\} (\d)$', re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sonde]:
    """The shipped file under `sonde run`, each probe every second instead of every 15."""
    text = re.sub(r"every: \d+s", "every: 1s", SHIPPED.read_text()).replace("5s #", "1s #")
    server = start_sonde(tmp_path_factory.mktemp("shipped"), text)
    yield server
    server.stop()


def smoke(port: int, before: str = "", **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run `sonde smoke` over the shipped file by a shell that does *before* first."""
    environment = {**os.environ, "SONDE_PORT": str(port), **changes}
    return subprocess.run(
        ["sh", "-c", f'{before} exec "{SONDE}" smoke --config "{SHIPPED}"'],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_every_shipped_probe_succeeds_on_the_page(service: Sonde) -> None:
    """The README's first command: `make run`, then look at /metrics."""

    def all_there() -> bool:
        return dict(SUCCESS.findall(service.get("/metrics"))) == dict.fromkeys(NAMES, "1")

    error = wait_until(all_there, service.process)

    assert error is None, service.get("/metrics")


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        pytest.param("", {}, id="as it is"),
        pytest.param("", {"SONDE_LOOP": "asyncio"}, id="the stock event loop"),
        pytest.param("", {"PYTHONOPTIMIZE": "2"}, id="F58: no docstrings"),
        pytest.param("", {"LC_ALL": "C", "PYTHONUTF8": "0", "HOME": None}, id="F58: locale C"),
        pytest.param("exec <&-; umask 0777;", {"TZ": "Antarctica/Troll"}, id="F58: no stdin"),
        pytest.param("", {"http_proxy": "http://127.0.0.1:1", "no_proxy": None}, id="F57: proxy"),
    ],
)
def test_the_gate_over_the_shipped_file_is_green(
    service: Sonde, before: str, changes: dict[str, str | None]
) -> None:
    """F57, F58: the same Results whatever the environment."""
    done = smoke(service.port, before, **changes)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(re.findall(r"^up .* (\w+)$", done.stdout, re.MULTILINE)) == sorted(NAMES)
    assert done.stdout.endswith("\nPASSED: 4 probes passed\n")


def test_without_the_service_the_gate_is_red() -> None:
    done = smoke(closed_port())

    assert done.returncode == 1
    assert done.stderr == (
        "sonde: 3 of 4 probes failed: health (refused), metrics (refused), port (refused)\n"
    )
