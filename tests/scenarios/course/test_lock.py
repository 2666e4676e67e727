"""One load run at a time, whoever asks; a run that was cut off is told once."""

import errno
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scenarios.course.lock import DIRECTORY, Claim, RunLock, interrupted
from scenarios.rails.fences import Refused
from scenarios.report import Verdict

HOLDER = """
import sys
from pathlib import Path
from scenarios.course.lock import RunLock
lock = RunLock(Path(sys.argv[1]), "nightly", "r1")
lock.take()
lock.start()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_two_processes_do_not_run_at_once_and_one_that_is_killed_is_told_once(
    tmp_path: Path,
) -> None:
    """Load control 7: two scenarios at once. Parent 3: a restart while a run is marked active."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Refused) as caught:
            RunLock(tmp_path, "other", "r2").take()
        running = interrupted(tmp_path)
        holder.kill()  # as the kernel does when memory ends
    broken = interrupted(tmp_path)

    why = caught.value.why
    assert (why.verdict, why.code) == (Verdict.REFUSED, "busy")
    assert re.fullmatch(
        r"want at most 1 load run at a time, got scenario 'nightly' of process "
        rf"{holder.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
        why.text,
    )
    assert running == ()
    assert [(it.scenario, it.run_id, it.pid) for it in broken] == [("nightly", "r1", holder.pid)]
    assert interrupted(tmp_path) == ()


def test_a_run_that_was_cut_off_before_its_start_has_sent_nothing(tmp_path: Path) -> None:
    with RunLock(tmp_path, "a", "r1"):
        taken = (tmp_path / DIRECTORY / "run-1.lock").read_bytes()
    (tmp_path / DIRECTORY / "run-1.lock").write_bytes(taken)

    with RunLock(tmp_path, "b", "r2") as lock:
        assert lock.interrupted == ()


def test_whoever_takes_the_lock_learns_of_the_run_before_even_when_refused(tmp_path: Path) -> None:
    place = tmp_path / DIRECTORY
    with RunLock(tmp_path, "a", "r1") as cut_off:
        cut_off.start()
        broken = (place / "run-1.lock").read_bytes()
    (place / "run-1.lock").write_bytes(broken)

    with RunLock(tmp_path, "b", "r2") as after:
        (place / "run-2.lock").write_bytes(broken)
        refused = RunLock(tmp_path, "c", "r3")
        with pytest.raises(Refused):
            refused.take()

    assert [it.run_id for it in after.interrupted] == ["r1"]
    assert [it.run_id for it in refused.interrupted] == ["r1"]


def test_a_run_that_ended_leaves_nothing_to_tell(tmp_path: Path) -> None:
    with RunLock(tmp_path, "nightly", "r1") as lock:
        lock.start()
        held = json.loads((tmp_path / DIRECTORY / "run-1.lock").read_bytes())
        assert interrupted(tmp_path) == ()  # it runs
    lock.release()  # a second time does nothing

    assert held["started"] is True
    assert held["pid"] == os.getpid()
    assert interrupted(tmp_path) == ()
    assert (tmp_path / DIRECTORY / "run-1.lock").read_bytes() == b""
    assert interrupted(tmp_path / "never") == ()


def test_of_many_at_once_as_many_run_as_may(tmp_path: Path) -> None:
    def attempt(number: int) -> RunLock | None:
        lock = RunLock(tmp_path, f"s{number}", str(number), most=3)
        try:
            lock.take()
        except Refused:
            return None
        return lock

    with ThreadPoolExecutor(12) as pool:
        taken = [lock for lock in pool.map(attempt, range(24)) if lock is not None]
    stricter = RunLock(tmp_path, "strict", "x")

    assert len(taken) == 3
    with pytest.raises(Refused, match="want at most 1 load run at a time, got scenario "):
        stricter.take()
    taken.pop().release()
    assert attempt(25) is not None
    for lock in taken:
        lock.release()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"scenario": "a", "run_id"', id="torn"),
        pytest.param(b"[1]", id="no mapping"),
        pytest.param(b'{"scenario": 1, "run_id": "r", "started": true}', id="no text"),
        pytest.param(b"\xff\xfe", id="bytes"),
    ],
)
def test_what_was_not_written_to_the_end_had_sent_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / "run-1.lock").write_bytes(content)

    assert Claim.from_json(content) is None
    assert interrupted(tmp_path) == ()
    with RunLock(tmp_path, "a", "r") as lock:
        lock.start()


def test_a_full_disk_ends_it_before_any_load_and_the_lock_is_free_again(tmp_path: Path) -> None:
    """Parent 5: disk full before the run."""
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / "run-1.lock").symlink_to("/dev/full")

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        RunLock(tmp_path, "a", "r").take()

    (tmp_path / DIRECTORY / "run-1.lock").unlink()
    with RunLock(tmp_path, "a", "r"):
        pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotADirectoryError):
        RunLock(tmp_path / "file", "a", "r").take()


def test_a_lock_that_is_no_file_is_told_and_the_others_are_let_go(tmp_path: Path) -> None:
    with RunLock(tmp_path, "a", "r"):
        pass
    (tmp_path / DIRECTORY / "run-2.lock").mkdir()

    with pytest.raises(IsADirectoryError):
        interrupted(tmp_path)

    (tmp_path / DIRECTORY / "run-2.lock").rmdir()
    with RunLock(tmp_path, "a", "r"):
        pass
