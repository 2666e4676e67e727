"""The processes of a browser, found and ended: whole trees, orphans too, and nobody else's.

A browser is a dozen processes in several sessions: Python, the node driver, Chromium, its zygotes
and what these fork. Belongs who carries the marker (the path of the working directory) in its
environment or command line, shares a session with one of those, or descends from one. Chromium's
helpers overwrite their environment but keep session and command line (seen with 156). A word of
somebody else's command line is no proof: only Chromium's own option is.

Every call reads ``/proc`` and blocks: off the loop only. Knows no message and no run.
"""

import ctypes
import os
import select
import signal
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic

PROC = "/proc"
# A killed process is gone in microseconds; one that sits in the kernel (a dead disk) is not waited
# for: load.md 13 wants everything gone 5 s after the deadline, of which Stop takes 2.
KILL_S = 2.0
# A fork may outrun one round of killing: the next one sees it.
ROUND_MS = 50
_PARENT, _SESSION, _START = 1, 3, 19
_ZOMBIE = b"Z"
# https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Process:
    """One process; *start* tells it from a later one with the same id."""

    id: int
    parent: int
    session: int
    start: int
    is_zombie: bool


def processes() -> dict[int, Process]:
    """Return every process there is, by id."""
    with os.scandir(PROC) as entries:
        numbers = [int(entry.name) for entry in entries if entry.name.isdigit()]
    found = map(_process, numbers)
    return {process.id: process for process in found if process is not None}


def _process(number: int) -> Process | None:
    text = _read(number, "stat")
    if not text:
        return None
    # the name stands in parentheses and may hold any byte, parentheses too
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        number,
        int(fields[_PARENT]),
        int(fields[_SESSION]),
        int(fields[_START]),
        fields[0] == _ZOMBIE,
    )


def _read(number: int, name: str) -> bytes:
    """Return a file of a process; empty when it is gone, or not ours to read."""
    try:
        with open(f"{PROC}/{number}/{name}", "rb") as file:  # noqa: PTH123 - a third of the time
            return file.read()
    except OSError:
        return b""


def members(marker: str) -> list[Process]:
    """Return the live processes and zombies of the browser whose working directory is *marker*."""
    table = processes()
    path = os.fsencode(marker)
    found = {it.id for it in table.values() if _carries(it.id, path)}
    # whoever starts a browser gives it a session of its own; ours is nobody's to end, nor is that
    # of a shell in which somebody looks at the profile: its leader lives, and is none of these
    sessions = {table[number].session for number in found} - {os.getsid(0), 0}
    sessions = {it for it in sessions if it in found or it not in table}
    found |= {it.id for it in table.values() if it.session in sessions}
    return [table[number] for number in sorted(_with_descendants(found, table))]


def _carries(number: int, path: bytes) -> bool:
    if b"TMPDIR=" + path + b"\0" in _read(number, "environ"):
        return True
    return b"--user-data-dir=" + path + b"/" in _read(number, "cmdline")


def _with_descendants(found: Collection[int], table: Mapping[int, Process]) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.id)
    every, layer = set(found), list(found)
    while layer:
        layer = [child for parent in layer for child in children.get(parent, ())]
        layer = [child for child in layer if child not in every]
        every.update(layer)
    return every


def kill(
    marker: str, *, spare: Collection[int] = (), awaited: int = 0, seconds: float = KILL_S
) -> int:
    """End every process of a browser with SIGKILL and wait for their end.

    Args:
        marker: as `members` takes it.
        spare: process ids that are left alone: the child itself, which cleans up its own tree.
        awaited: process id whose exit code somebody else takes.
        seconds: to wait at most.

    Returns:
        How many are left: hung in the kernel.
    """
    until = monotonic() + seconds
    # who is dying shows neither environment nor command line: what was seen once is waited for
    seen: dict[int, Process] = {}
    while True:
        seen |= {it.id: it for it in members(marker) if it.id not in spare}
        left = [now for it in seen.values() if (now := _same(it)) is not None]
        _reap(it for it in left if it.id != awaited)
        alive = [it for it in left if not it.is_zombie]
        # whose parent dies too becomes somebody else's, as process 1 ours: reaped in the next round
        orphans = [it for it in left if it.is_zombie and it.parent in seen and it.id != awaited]
        if not (alive or orphans) or monotonic() >= until:
            return len(alive)
        _kill_round(alive)


def _same(before: Process) -> Process | None:
    """Return what has become of a process; None: it is gone, whoever has its number now."""
    now = _process(before.id)
    return now if now is not None and now.start == before.start else None


def _kill_round(targets: Iterable[Process]) -> None:
    """Kill each and wait a moment for the first to go."""
    with _handles(targets) as handles:
        waiting = select.poll()
        for handle in handles:
            waiting.register(handle, select.POLLIN)
            with suppress(OSError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        waiting.poll(ROUND_MS)


@contextmanager
def _handles(targets: Iterable[Process]) -> Iterator[list[int]]:
    """Open a handle of each: it stays that of the process, whoever gets its number later."""
    handles: list[int] = []
    try:
        for target in targets:
            with suppress(OSError):
                handle = os.pidfd_open(target.id)
                if _same(target) is not None:
                    handles.append(handle)
                else:
                    os.close(handle)
        yield handles
    finally:
        for handle in handles:
            os.close(handle)


def _reap(left: Iterable[Process]) -> None:
    """Take the exit codes of orphans that have become ours: as process 1 nobody else does."""
    for process in left:
        if process.is_zombie and process.parent == os.getpid():
            with suppress(OSError):
                os.waitpid(process.id, os.WNOHANG)


def adopt() -> None:
    """Become the parent of every orphan below this process: `reap` takes their exit codes.

    Else process 1 must, and in a container that is a prober which knows nothing of them.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Take the exit code of every child that has ended: nobody else may wait for any."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def reap_orphans(sessions: Collection[int], *, awaited: int) -> None:
    """Take the exit codes of the dead of a browser that have become ours, as process 1.

    Args:
        sessions: of its processes; one that holds a dead process is nobody else's yet.
        awaited: process id whose exit code somebody else takes.
    """
    foreign = {os.getsid(0), 0}
    dead = (it for it in processes().values() if it.session in sessions)
    _reap(it for it in dead if it.session not in foreign and it.id != awaited)


def memory_bytes(tree: Iterable[Process]) -> int:
    """Return the memory of a tree: shared pages are divided among those who share them (PSS)."""
    return sum(_pss(process.id) for process in tree)


def _pss(number: int) -> int:
    for line in _read(number, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0
