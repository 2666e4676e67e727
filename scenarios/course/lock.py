"""One load run at a time, over all processes that share a data directory; and those that broke off.

    load/gate           held while somebody counts
    load/run-1.lock     held by a run: {pid, host, scenario, run_id, since, started}
    load/run-2.lock     ...

The kernel lets go of a lock when its process ends, however it ends. So a file that says ``started``
and that nobody holds is a run that was cut off: it is told once, and never made up for. Blocks.
Knows neither plan nor report.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from scenarios.rails.fences import Refused, refusal

DIRECTORY = "load"
_GATE = "gate"
# A file of our own holds some 200 bytes.
_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Claim:
    """Who runs, or ran.

    Args:
        scenario: its name.
        run_id: of the run.
        pid: of the process that holds it.
        host: its machine.
        since: ISO 8601, UTC.
        started: load may have been sent.
    """

    scenario: str
    run_id: str
    pid: int = 0
    host: str = ""
    since: str = ""
    started: bool = False

    def __str__(self) -> str:
        return f"scenario {self.scenario!r} of process {self.pid} on {self.host} since {self.since}"

    @classmethod
    def from_json(cls, text: bytes) -> Self | None:
        """Return what a file says; None: nothing that was written to the end."""
        try:
            values: Any = json.loads(text)
            made = cls(**values)
        except (ValueError, TypeError):
            return None
        return made if {key: type(it) for key, it in values.items()} == _FORMS else None


_FORMS = {
    "scenario": str, "run_id": str, "pid": int, "host": str, "since": str, "started": bool,
}  # fmt: skip


class RunLock:
    """The right to send load, as a context: ``with RunLock(...) as lock: ... lock.start()``.

    Args:
        directory: of data; it is made when it is missing.
        scenario: its name.
        run_id: of the run.
        most: runs at a time.
    """

    def __init__(self, directory: Path, scenario: str, run_id: str, most: int = 1) -> None:
        self.interrupted: tuple[Claim, ...] = ()
        """Runs that were cut off, found when the lock was taken; nobody else is told of them."""
        self._place = directory / DIRECTORY
        self._claim = Claim(scenario, run_id, os.getpid(), socket.gethostname(), _now())
        self._most = most
        self._file = -1

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> None:
        """Take it; at once or never.

        Raises:
            Refused: ``busy``: others run.
            OSError: the directory cannot be written.
        """
        with _gate(self._place):
            found = _look(self._place)
            self.interrupted = found.interrupted
            try:
                if len(found.held) >= self._most:
                    others = "; ".join(str(it) if it else "one that begins" for it in found.held)
                    runs = "run" if self._most == 1 else "runs"
                    text = f"want at most {self._most} load {runs} at a time, got {others}"
                    raise Refused(refusal("busy", text))
                self._file = found.free.pop(min(found.free)) if found.free else _lock(found.next)
                _write(self._file, self._claim)
            except OSError:
                self.release()
                raise
            finally:
                found.close()

    def start(self) -> None:
        """Note that load is sent from now on; on the disk when this returns.

        Raises:
            OSError: the disk does not take it: no load may be sent.
        """
        _write(self._file, replace(self._claim, started=True))

    def release(self) -> None:
        """Give it back; the run has ended, with whatever verdict."""
        if self._file < 0:
            return
        with suppress(OSError):  # a disk that is broken by now: the next one to look finds the run
            _clear(self._file)
        os.close(self._file)
        self._file = -1


def interrupted(directory: Path) -> tuple[Claim, ...]:
    """Return the runs that were cut off, and forget them.

    Raises:
        OSError: the directory cannot be written.
    """
    place = directory / DIRECTORY
    if not place.is_dir():
        return ()
    with _gate(place):
        found = _look(place)
        found.close()
    return found.interrupted


@dataclass(slots=True)
class _Found:
    """The files of a directory; those that nobody holds are held by us until `close`."""

    held: list[Claim | None]
    free: dict[Path, int]
    interrupted: tuple[Claim, ...]
    next: Path

    def close(self) -> None:
        for file in self.free.values():
            os.close(file)


def _look(place: Path) -> _Found:
    found = _Found([], {}, (), place / "run-1.lock")
    paths = sorted(place.glob("run-*.lock"))
    try:
        for path in paths:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            claim = Claim.from_json(os.pread(file, _MAX_BYTES, 0))
            if not _try(file):
                os.close(file)
                found.held.append(claim)
                continue
            found.free[path] = file
            if claim is not None and claim.started:
                found.interrupted += (claim,)
                _clear(file)
    except OSError:
        found.close()
        raise
    names = {path.name for path in paths}
    numbers = range(1, len(names) + 2)
    found.next = next(
        it for it in (place / f"run-{n}.lock" for n in numbers) if it.name not in names
    )
    return found


def _lock(path: Path) -> int:
    """Make a lock file and hold it; only behind the gate."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return file


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _gate(place: Path) -> Iterator[None]:
    """Let one process at a time look and take; it is held for as long as a few files are read."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(place / _GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _write(file: int, claim: Claim) -> None:
    """Write in place (a rename would leave the lock on the old file), and wait for the disk."""
    # torn by a crash it is nothing that can be read: no load was sent yet
    content = json.dumps(asdict(claim)).encode()
    os.pwrite(file, content, 0)
    os.ftruncate(file, len(content))
    os.fsync(file)


def _clear(file: int) -> None:
    os.ftruncate(file, 0)
    os.fsync(file)


def _now() -> str:
    return datetime.now(UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
