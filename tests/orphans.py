"""Nothing that a test started outlives the tests, however they end: `kill -9` tells nobody.

Before the session starts the process forks twice. The first one, whose id the caller has, waits and
passes signals and the exit code on. The second one leaves the group of the caller, so whoever kills
that group does not reach it; it is where the kernel brings each orphan among its descendants
(`PR_SET_CHILD_SUBREAPER`), grandchildren and daemons with other privileges too. The third one is
pytest. When that is gone, or the first one, the second ends what is left and clears the place of
temporary files that pytest does not count. A shared run (tests/sharing.py) ends with its script: it
would go on taking files, the next run's among them.

Knows no server and no test. Other systems than Linux do without.
"""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

# linux/prctl.h
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
# What people and CI send; the terminal sends its own to pytest too.
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
HEARD = {*PASSED_ON, signal.SIGCHLD}
# From the kernel: who waits was killed.
CALLER_GONE = signal.SIGUSR2
# asm-generic/siginfo.h: what another process sent
_SI_USER = 0
# Between two looks for who is left.
_NAP_S = 0.01


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Go on in a grandchild, the other two stay to see it end."""
    if sys.platform != "linux":
        return
    caller = os.getppid() if config.getoption("share", None) else None
    # so that a test tells pytest's files, which it counts, from all others
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    place = tempfile.mkdtemp(prefix="sonde-")
    # accounts that a server runs as find their own directory there
    Path(place).chmod(0o711)
    os.environ["TMPDIR"] = tempfile.tempdir = place
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    first, mask = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    keeper = os.fork()
    if keeper:
        _wait(keeper, caller)
    pid = os.fork()
    if pid:
        _keep(pid, first, Path(place))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # pytest would run on unseen without the one that reaps
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value):
        raise OSError(ctypes.get_errno(), "prctl")


def _wait(keeper: int, caller: int | None) -> NoReturn:
    """Be the process that the caller knows."""
    if caller is not None:
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != caller:
            os._exit(1)
    while True:
        told = signal.sigwaitinfo(HEARD)
        if told.si_signo != signal.SIGCHLD:
            # what came from a terminal, pytest has too
            if told.si_code <= _SI_USER:
                os.kill(keeper, told.si_signo)
            continue
        pid, status = os.waitpid(keeper, os.WNOHANG)
        if pid:
            os._exit(_code(status))


def _keep(pid: int, first: int, place: Path) -> NoReturn:
    """Wait for pytest and every orphan; then end what is left."""

    def pass_on(heard: int, _: object) -> None:
        # whoever kills the group of the caller hits pytest too, which may be gone before we hear
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if heard == CALLER_GONE else heard)

    for number in (*PASSED_ON, CALLER_GONE):
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    os.setsid()
    _prctl(_SET_CHILD_SUBREAPER, 1)
    _prctl(_SET_PDEATHSIG, CALLER_GONE)
    if os.getppid() != first:
        os.kill(pid, signal.SIGKILL)
    ended, status = os.wait()
    while ended != pid:
        ended, status = os.wait()
    for number in (*PASSED_ON, CALLER_GONE):
        signal.signal(number, signal.SIG_IGN)
    with suppress(ChildProcessError):
        _end_children()
    shutil.rmtree(place, ignore_errors=True)
    _unlock(pid)
    os._exit(_code(status))


def _end_children() -> NoReturn:
    """End them, and theirs, who become ours by that; `ChildProcessError` when there are none."""
    while True:
        found = _children()
        for child in found:
            os.kill(child, signal.SIGKILL)
        # whom the list does not show yet, the next one will
        if not os.waitpid(-1, 0 if found else os.WNOHANG)[0]:
            time.sleep(_NAP_S)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    # as a shell says it
    return code if code >= 0 else 128 - code


def _children() -> list[int]:
    """Return the processes whose parent we are; nobody else waits for them, so none is reused."""
    ours, found = os.getpid(), []
    # not `Path.glob`, which breaks off where a process ends while it looks
    for place in Path("/proc").iterdir():
        if not place.name.isdecimal():
            continue
        with suppress(OSError):
            # the name stands in parentheses and may hold any byte
            if int((place / "stat").read_bytes().rpartition(b")")[2].split()[1]) == ours:
                found.append(int(place.name))
    return found


def _unlock(pid: int) -> None:
    """Let pytest remove the directory of a killed one by its count, not after three days."""
    for lock in Path(os.environ["PYTEST_DEBUG_TEMPROOT"]).glob("pytest-of-*/pytest-*/.lock"):
        with suppress(OSError):
            if lock.read_text() == str(pid):
                lock.unlink()
