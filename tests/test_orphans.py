"""Whoever kills the tests leaves nothing of them: no process, no file that nobody counts."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
STARTS = """
import os, pathlib, subprocess, sys, tempfile

# a daemon: with a session of its own, it ends only when somebody ends it
DAEMON = "import os, time; os.setsid(); print(flush=True); time.sleep(600)"
CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DAEMON!r}]).wait()"

def test_it(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
    child.stdout.readline()
    place = tempfile.mkdtemp()
    lock = tmp_path.parent / ".lock"
    assert lock.exists()
    told = pathlib.Path(os.environ["TOLD"])
    told.with_suffix(".new").write_text(f"{os.getpid()} {child.pid} {place} {lock}")
    told.with_suffix(".new").rename(told)
    child.wait()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper"),
]


@dataclass
class Began:
    """A run of pytest with a test that waits for a child, which waits for a daemon."""

    process: "subprocess.Popen[str]"
    pytest: int
    child: int
    place: Path
    lock: Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Began]]:
    """Starts one; the words go before its command."""
    (tmp_path / "test_it.py").write_text(STARTS)
    (tmp_path / "temp").mkdir()
    told, started = tmp_path / "told", []
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "tests.sharing", "-p", "tests.orphans",
        f"--rootdir={tmp_path}", str(tmp_path / "test_it.py"),
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "TOLD": str(told)}
    environ |= {"TMPDIR": str(tmp_path / "temp"), "PYTEST_DEBUG_TEMPROOT": str(tmp_path / "temp")}

    def start(*before: str, more: tuple[str, ...] = ()) -> Began:
        process = subprocess.Popen(
            [*before, *command, *more], cwd=tmp_path, env=environ, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        wait_until(lambda: told.exists() or process.poll() is not None, 30)
        assert told.exists(), process.communicate()[0]
        pid, child, place, lock = told.read_text().split()
        return Began(process, int(pid), int(child), Path(place), Path(lock))

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def group(began: Began) -> None:
    os.killpg(began.process.pid, signal.SIGKILL)


def caller(began: Began) -> None:
    began.process.kill()


def itself(began: Began) -> None:
    os.kill(began.pytest, signal.SIGKILL)


@pytest.mark.parametrize("kill", [group, caller, itself])
def test_a_killed_run_leaves_nothing(
    start: Callable[..., Began], kill: Callable[[Began], None]
) -> None:
    began = start()
    (daemon,) = Path(f"/proc/{began.child}/task/{began.child}/children").read_text().split()
    assert began.place.exists()

    kill(began)
    # what every one of them holds: the end of it is the end of the last
    said, _ = began.process.communicate(timeout=20)

    assert began.process.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    assert "Error" not in said, said
    wait_until(lambda: not Path(f"/proc/{daemon}").exists(), 20)
    assert not Path(f"/proc/{began.child}").exists()
    assert not began.place.exists()
    # with it pytest would keep the directory for three days
    assert began.lock.parent.exists()
    assert not began.lock.exists()


def test_a_shared_run_ends_with_the_script_that_began_it(
    start: Callable[..., Began], tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    began = start("sh", "-c", '"$@"; exit $?', "sh", more=(f"--share={tmp_path / 'taken'}",))

    caller(began)
    began.process.communicate(timeout=20)

    assert not Path(f"/proc/{began.pytest}").exists()
    assert not began.place.exists()


def test_an_interrupt_is_passed_on_and_ends_the_run_once(start: Callable[..., Began]) -> None:
    began = start()

    began.process.send_signal(signal.SIGINT)
    said, _ = began.process.communicate(timeout=20)

    assert began.process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert said.count("! KeyboardInterrupt !") == 1
    assert not began.place.exists()
