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


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(
    not (ROOT / ".tools/bin/uv").exists(), reason="want .tools/bin/uv: make brings it"
)
def test_the_build_stage_makes_a_sonde_that_runs(tmp_path: Path) -> None:
    """The COPY and RUN steps of the first stage, in a folder; the second stage only copies."""
    environment = {
        **os.environ,
        "EXTRAS": "standard",
        "PATH": f"{UV.parent}:{os.environ['PATH']}",
        "UV_PYTHON": sys.executable,
        "VIRTUAL_ENV": "",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": str(tmp_path / "opt"),
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
                copy(ROOT / source, tmp_path / "src" / target, source)
        if name == "RUN" and arguments.startswith("uv sync"):
            subprocess.run(
                ["sh", "-c", arguments], cwd=tmp_path / "src", env=environment, check=True
            )

    shutil.rmtree(tmp_path / "src")
    said = subprocess.run(
        [tmp_path / "opt/bin/sonde", "lint", ROOT / "probes.yaml"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "opt/bin/locust").exists()
    assert not (tmp_path / "opt/bin/ruff").exists()


def copy(source: Path, target: Path, name: str) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / name if target.name in ("", "src") else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
