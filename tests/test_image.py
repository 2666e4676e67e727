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
    assert json.loads(last("CMD")) == ["run"]
    # not an argument: those of a container replace CMD
    assert any("SONDE_LISTEN=0.0.0.0:9115" in it.arguments for it in steps() if it.name == "ENV")
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


# Makes the root that the last stage of the Dockerfile makes, in namespaces of its own: the system's
# programs and libraries, the environment at its place and where it was built, the interpreter. Then
# nothing can be written but /data. The network is new, so the image's own port is free.
CONTAINER = """
set -e
mount -t tmpfs -o mode=755 tmpfs "$ROOT"
cd "$ROOT"
mkdir -p proc dev data etc opt/sonde
for name in usr bin sbin lib lib64; do
  if [ -L /$name ]; then cp -P /$name .; elif [ -d /$name ]; then
    mkdir $name; mount --rbind /$name $name; mount -o remount,ro,bind $name; fi
done
cp -a /etc/. etc
mkdir -p etc/sonde
cp "$CONFIG" etc/sonde/probes.yaml
for name in "$BUILT" "$PREFIX"; do mkdir -p ".$name"; mount --bind "$name" ".$name"; done
mount --bind "$BUILT" opt/sonde
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=755,uid="${OWNER%:*}",gid="${OWNER#*:}" tmpfs data
for name in opt/sonde ".$BUILT" ".$PREFIX" .; do mount -o remount,ro,bind "$ROOT/$name"; done
"$PYTHON" -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP'
inside() {
  exec chroot "$ROOT" setpriv --reuid "${OWNER%:*}" --regid "${OWNER#*:}" --clear-groups \\
    --bounding-set=-all --inh-caps=-all --no-new-privs env -C "$WORKDIR" "$@"
}
(inside "$@" >&2) &
service=$!
until healthy=$(inside $HEALTHCHECK 2>&1); do kill -0 $service; done
echo "$healthy"
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):' proc/$service/status
for place in / /etc/sonde /opt/sonde /data; do  # not even its owner may
  chroot "$ROOT" touch "$place/x" 2>/dev/null && echo "wrote $place"
done
kill $service
wait $service && echo "ended with $?"
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(os.geteuid() != 0, reason="want root for mounts of its own")
def test_it_serves_and_checks_itself_where_nothing_can_be_written(
    installed: Path, tmp_path: Path
) -> None:
    """P27: ENTRYPOINT, CMD, USER, WORKDIR and HEALTHCHECK as they stand, no right, no file."""
    words = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    healthcheck = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    (tmp_path / "root").mkdir()
    environment = {
        "PATH": f"/opt/sonde/bin:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SONDE_LISTEN": "0.0.0.0:9115",
        "ROOT": str(tmp_path / "root"),
        "CONFIG": str(ROOT / "probes.yaml"),
        "BUILT": str(installed.parent),
        "PREFIX": sys.base_prefix,
        "PYTHON": sys.executable,
        "OWNER": last("USER"),
        "WORKDIR": last("WORKDIR"),
        "HEALTHCHECK": " ".join(healthcheck),
    }

    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", CONTAINER,
         "sh", *words],
        capture_output=True, text=True, check=False, env=environment, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    healthy, _, rest = done.stdout.partition("\nUid:")
    assert healthy.startswith("command-line: up\n")
    owner = "\t".join([last("USER").partition(":")[0]] * 4)
    assert f"Uid:{rest}".splitlines() == [
        f"Uid:\t{owner}",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "wrote /data",
        "ended with 0",
    ]


def copy(source: Path, target: Path, name: str) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / name if target.name in ("", "src") else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
