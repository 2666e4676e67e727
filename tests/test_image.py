"""The image without an engine: the Dockerfile is read, and its build stage replayed in a folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.servers.process import free_port, wait_until
from tests.servers.prometheus import get

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".tools/bin/uv"


class Step(NamedTuple):
    """One instruction of a Dockerfile."""

    name: str
    arguments: str


def steps() -> list[Step]:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    whole = "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", whole)
    return [Step(*line.split(None, 1)) for line in joined.splitlines()]


def last(name: str) -> str:
    return next(step.arguments for step in reversed(steps()) if step.name == name)


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps *path* out; the last rule that fits wins."""
    verdict = False
    for rule in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        name = rule.removeprefix("!")
        if rule and not rule.startswith("#") and (fnmatch(path, name) or name == path):
            verdict = not rule.startswith("!")
    return verdict


def test_it_runs_as_a_number_that_is_not_root() -> None:
    """P27: works as uid 65532."""
    assert last("USER") == "65532:65532"


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD"])
def test_it_starts_without_a_shell(name: str) -> None:
    words = json.loads(last(name))

    assert all(isinstance(word, str) for word in words)


def test_it_asks_itself_whether_it_is_healthy() -> None:
    words = json.loads(last("HEALTHCHECK").partition("CMD ")[2])

    assert words[:3] == ["/opt/sonde/bin/sonde", "probe", "http"]
    assert words[3] == "http://127.0.0.1:9115/-/healthy"


def test_it_listens_beyond_its_own_loopback_and_ends_on_sigterm() -> None:
    assert json.loads(last("CMD")) == ["run", "--listen", "0.0.0.0:9115"]
    assert last("EXPOSE") == "9115"
    assert last("STOPSIGNAL") == "SIGTERM"


def test_what_it_copies_is_there_and_is_not_ignored() -> None:
    sources = [
        word
        for step in steps()
        if step.name == "COPY" and "--from" not in step.arguments
        for word in step.arguments.split()[:-1]
    ]

    assert "probes.yaml" in sources
    assert [name for name in sources if not (ROOT / name).exists() or ignored(name)] == []
    assert ignored(".git")
    assert ignored("tests")


def test_the_config_it_ships_is_where_the_command_line_looks() -> None:
    copies = [step.arguments for step in steps() if step.name == "COPY"]

    assert "probes.yaml /etc/sonde/probes.yaml" in copies


def test_its_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (default,) = [step.arguments for step in steps() if step.name == "ARG"]

    assert default.removeprefix("EXTRAS=") in project["optional-dependencies"]


def test_the_compose_file_takes_every_right_away() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    sonde = compose["services"]["sonde"]

    assert (sonde["read_only"], sonde["user"], sonde["cap_drop"]) == (True, "65532:65532", ["ALL"])
    assert all(port.startswith("127.0.0.1:") for port in sonde["ports"])
    mounts = [mount for service in compose["services"].values() for mount in service["volumes"]]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert [name for name in files if not (ROOT / name).is_file()] == []


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The COPY and RUN steps of the first stage, in a folder; the second stage only copies."""
    if not UV.exists():
        pytest.skip("want .tools/bin/uv: make brings it")
    folder = tmp_path_factory.mktemp("image")
    environment = {
        **os.environ,
        "EXTRAS": "standard",
        "PATH": f"{UV.parent}:{os.environ['PATH']}",
        "UV_PYTHON": sys.executable,
        "VIRTUAL_ENV": "",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": str(folder / "opt"),
    }
    # what scripts/bootstrap.sh does: the certificates of this machine, where it has some
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        environment.setdefault("UV_SYSTEM_CERTS", "true")
    for name, arguments in steps()[1:]:
        if name == "FROM":
            break
        if name == "COPY":
            *names, target = arguments.split()
            for source in names:
                copy(ROOT / source, folder / "src" / target, source)
        if name == "RUN" and arguments.startswith("uv sync"):
            subprocess.run(["sh", "-c", arguments], cwd=folder / "src", env=environment, check=True)
    shutil.rmtree(folder / "src")
    return folder / "opt/bin"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_build_stage_makes_a_sonde_that_runs(installed: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [installed / "sonde", "lint", ROOT / "probes.yaml"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert said.returncode == 0, said.stderr
    assert (installed / "locust").exists()
    assert not (installed / "ruff").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(os.geteuid() != 0, reason="want root for mounts of its own")
def test_it_serves_and_checks_itself_where_nothing_can_be_written(
    installed: Path, tmp_path: Path
) -> None:
    """P27: a read-only root and no capability, as compose.yaml has it; the uid alone is ours."""
    script = (
        "mount -o remount,ro,bind / && ! touch /tmp/x 2>/dev/null && "
        'exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"'
    )
    isolated = ["unshare", "--mount", "sh", "-c", script, "sh", str(installed / "sonde")]
    port = free_port()
    words = [*isolated, "run", "--config", str(ROOT / "probes.yaml")]
    environment = {**os.environ, "SONDE_PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(
            [*words, "--listen", f"127.0.0.1:{port}"],
            cwd=tmp_path, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    error = wait_until(lambda: get(port, "/-/ready"), service)
    _, *healthcheck = json.loads(last("HEALTHCHECK").partition("CMD ")[2])

    healthy = subprocess.run(
        [*isolated, *(word.replace("9115", str(port)) for word in healthcheck)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    service.terminate()

    assert error is None, (tmp_path / "log").read_text()
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert service.wait(15) == 0
    assert healthy.stdout.startswith("command-line: up\n")


def copy(source: Path, target: Path, name: str) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / name if target.name in ("", "src") else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
