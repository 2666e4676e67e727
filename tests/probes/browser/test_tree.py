import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from probes.browser import tree
from tests.waiting import wait_until

SLEEP = "import time; time.sleep(600)"
# starts what leads a session of its own and carries nothing
FAMILY = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], env={{}}, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
# a shell in which somebody starts what names the profile
LOOK = f"""
import os, subprocess, sys, time
option = f"--user-data-dir={{os.environ['AT']}}/x"
print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}, option]).pid, flush=True)
time.sleep(60)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(
        code: str, *words: str, env: dict[str, str] | None = None, alone: bool = True
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env=env or {},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=alone,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def ids(work: Path) -> set[int]:
    return {process.id for process in tree.members(str(work))}


def runs(number: int) -> bool:
    found = tree._process(number)
    return found is not None and not found.is_zombie


def test_we_are_among_the_processes() -> None:
    found = tree.processes()[os.getpid()]
    assert (found.parent, found.session) == (os.getppid(), os.getsid(0))
    assert not found.is_zombie


def test_descendants_belong_to_whoever_carries_the_marker(start: Start, tmp_path: Path) -> None:
    first = start(FAMILY, env={"TMPDIR": str(tmp_path)})
    assert first.stdout is not None
    second = int(first.stdout.readline())
    wait_until(lambda: len(ids(tmp_path)) >= 2)
    assert ids(tmp_path) >= {first.pid, second}
    assert tree.memory_bytes(tree.members(str(tmp_path))) > 2**20
    assert tree.kill(str(tmp_path), awaited=first.pid) == 0
    assert not runs(first.pid)
    assert not runs(second)
    assert first.wait() == -9


def test_orphans_are_known_by_their_session_and_their_command_line(
    start: Start, tmp_path: Path
) -> None:
    helper = start(SLEEP, f"--user-data-dir={tmp_path}/profile")
    wait_until(lambda: ids(tmp_path) == {helper.pid})
    assert tree.kill(str(tmp_path), awaited=helper.pid) == 0
    assert helper.wait() == -9


def test_whoever_only_speaks_of_the_directory_is_left_alone(start: Start, tmp_path: Path) -> None:
    strangers = [
        start(SLEEP, str(tmp_path), f"--dir={tmp_path}/x"),
        start(SLEEP, env={"OLDPWD": str(tmp_path), "NOTE": f"TMPDIR={tmp_path}/x"}),
        start(SLEEP, f"--user-data-dir={tmp_path}-other/profile"),
    ]
    ours = start(SLEEP, env={"TMPDIR": str(tmp_path)})
    wait_until(lambda: ids(tmp_path) == {ours.pid})
    assert tree.kill(str(tmp_path), awaited=ours.pid) == 0
    assert all(runs(stranger.pid) for stranger in strangers)


def test_our_own_session_is_nobodys_to_end(start: Start, tmp_path: Path) -> None:
    ours = start(SLEEP, env={"TMPDIR": str(tmp_path)}, alone=False)
    wait_until(lambda: ids(tmp_path) == {ours.pid})
    assert tree.kill(str(tmp_path), awaited=ours.pid) == 0
    assert runs(os.getpid())


def test_the_session_of_a_shell_that_looks_at_the_profile_goes_on(
    start: Start, tmp_path: Path
) -> None:
    shell = start(LOOK, env={"AT": str(tmp_path)})
    assert shell.stdout is not None
    looking = int(shell.stdout.readline())
    wait_until(lambda: ids(tmp_path) == {looking})
    assert tree.kill(str(tmp_path), awaited=looking) == 0
    assert runs(shell.pid)


# a prober as process 1: whose parent dies becomes its own, and dies before it is looked for
FIRST = """
import os, subprocess, sys
from probes.browser import tree
tree.adopt()
code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', '']).pid)"
def orphan():
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, start_new_session=True)
    number = int(out.stdout)
    os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
    return tree._process(number)
first, second = orphan(), orphan()
print(first.parent == os.getpid(), first.is_zombie, second.is_zombie)
tree.reap_orphans({first.session, os.getsid(0)}, awaited=0)
print(tree._process(first.id), tree._process(second.id) == second)
tree.reap()
print(tree._process(second.id))
"""


def test_the_dead_of_a_browser_are_reaped_where_nobody_else_does(start: Start) -> None:
    first = start(FIRST, env={"PYTHONPATH": str(Path(__file__).resolve().parents[3])})
    assert first.stdout is not None
    assert first.stdout.read().splitlines() == ["True True True", "None True", "None"]


def test_who_is_spared_lives(start: Start, tmp_path: Path) -> None:
    spared, other = (start(SLEEP, env={"TMPDIR": str(tmp_path)}) for _ in range(2))
    wait_until(lambda: ids(tmp_path) == {spared.pid, other.pid})
    assert tree.kill(str(tmp_path), spare={spared.pid}) == 0
    assert runs(spared.pid)
    assert not runs(other.pid)


def test_a_process_that_stands_still_ends_too(start: Start, tmp_path: Path) -> None:
    frozen = start(SLEEP, env={"TMPDIR": str(tmp_path)})
    wait_until(lambda: ids(tmp_path) == {frozen.pid})
    os.kill(frozen.pid, 19)
    assert tree.kill(str(tmp_path), awaited=frozen.pid) == 0
    assert frozen.wait() == -9


def test_an_orphan_that_became_ours_is_reaped(start: Start, tmp_path: Path) -> None:
    ours = start(SLEEP, env={"TMPDIR": str(tmp_path)})
    wait_until(lambda: ids(tmp_path) == {ours.pid})
    assert tree.kill(str(tmp_path)) == 0
    # its exit code is taken: as process 1 nobody else would
    with suppress(ChildProcessError):
        wait_until(lambda: os.waitpid(ours.pid, os.WNOHANG)[0] == 0)
    assert not runs(ours.pid)


def test_a_number_that_somebody_else_has_now_is_not_signalled(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    innocent = start(SLEEP)
    wait_until(lambda: runs(innocent.pid))
    now = tree._process(innocent.pid)
    assert now is not None
    before = tree.Process(now.id, now.parent, now.session, now.start - 1, is_zombie=False)
    tree._kill_round([before])
    monkeypatch.setattr(tree, "members", lambda _: [before])
    assert tree.kill(str(tmp_path)) == 0
    assert runs(innocent.pid)


def test_what_hangs_in_the_kernel_is_counted_and_not_waited_for(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = start(SLEEP, env={"TMPDIR": str(tmp_path)})
    wait_until(lambda: ids(tmp_path) == {stuck.pid})
    monkeypatch.setattr("signal.pidfd_send_signal", lambda *_: None)
    assert tree.kill(str(tmp_path), seconds=0.1) == 1
