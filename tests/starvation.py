"""Tells a fault of ours from a machine that stood still: what failed meanwhile runs again.

Most tests here judge durations, and a shared two-core machine takes the processor away for 200 ms
now and then. A thread that does nothing but wake up measures that; it lets the interpreter go while
it sleeps, so code of ours that blocks only the loop does not count. For servers and programs that a
test starts, the kernel tells how long somebody waited for a processor. A test that fails runs
again, up to `TRIES` times, when the process lost `STARVED_S` in one piece meanwhile, or somebody
waited for `CROWDED` of its time. A fault of ours fails every time; every second try is listed at
the end of the session. With SECOND_TRY=1, as in CI, a calm machine gives one too: thousands of
tests against real servers meet a coincidence now and then, and what is listed is to be mended.

The same thread ends a process of a shared run that has neither begun nor ended a test for
`SILENT_S`, with the stack of every thread: what hangs outside of a test, or deaf to signals, would
hold up the whole run. Code that never lets the interpreter go stops this thread too: then the
thread of `faulthandler` does it, which is wound up again every `WIND_S`. (pytest winds it for every
test, which starts a thread and waits for its end: a third of the time of a small test.)

A test that needs no second try is better: the fixture `lost_s` tells what an upper limit of
seconds must allow on top, and Hypothesis gets a deadline that a stall does not reach.
"""

import faulthandler
import gc
import os
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

# Seconds. Twice what tests take as "at once", far more than a healthy wake-up needs.
STARVED_S = 0.03
# Share of a test's time in which some process waited for a processor.
CROWDED = 0.25
# What fails one time in four on a machine that is crowded all day fails once in a thousand then.
# Traced, it fails because of that, and another try adds no line.
IS_TRACED = "COVERAGE_PROCESS_CONFIG" in os.environ
TRIES = 1 if IS_TRACED else 5
CALM_RETRIES = 1 if os.environ.get("SECOND_TRY") == "1" else 0
# Of a property; traced, as many as reach every line.
EXAMPLES = 10 if IS_TRACED else 100
# Hypothesis allows an example 200 ms, the length of one stall; a runaway takes far longer.
EXAMPLE_S = 2.0
# Limit for a test that is marked slow; it takes 12 s at most where nobody else computes.
SLOW_S = 90
# The longest limit of a test is 120 s, and each of its tries may end just before it.
SILENT_S = 300.0
# For how long nothing of Python may run, and how often that is put off.
STUCK_S = 180.0
WIND_S = 10.0
PRESSURE = Path("/proc/pressure/cpu")
_NAP_S = 0.005


class Watch(threading.Thread):
    """Measures for how long this process could not run: the longest time and all, since `reset`.

    Args:
        silent_s: ends the process when it heard nothing of a test for so long.
        stuck_s: ends the process when this thread could not run for so long.
        stderr: descriptor for the stacks; the second one of a test is captured.
    """

    def __init__(
        self, silent_s: float = float("inf"), stuck_s: float = STUCK_S, stderr: int = 2
    ) -> None:
        super().__init__(name="starvation", daemon=True)
        self._stderr = stderr
        self._silent_s = silent_s
        self._stuck_s = stuck_s
        self.longest_s = 0.0
        self.all_s = 0.0
        self.heard_at = float("inf")
        """When a test began or ended; infinite before the first and after the last."""
        self._ended = threading.Event()

    def run(self) -> None:
        """Sleep, and compare with the clock, until `end`."""
        before, wind_at = time.monotonic(), 0.0
        while not self._ended.is_set():
            if before >= wind_at:
                faulthandler.dump_traceback_later(self._stuck_s, exit=True, file=self._stderr)
                wind_at = before + WIND_S
            time.sleep(_NAP_S)
            now = time.monotonic()
            lost_s = now - before - _NAP_S
            self.longest_s = max(self.longest_s, lost_s)
            self.all_s += max(0.0, lost_s)
            before = now
            if now - self.heard_at > self._silent_s:
                self._give_up()
        faulthandler.cancel_dump_traceback_later()

    def _give_up(self) -> None:
        os.write(self._stderr, f"no test began or ended for {self._silent_s:g} s\n".encode())
        faulthandler.dump_traceback(self._stderr)
        os._exit(1)

    def reset(self) -> None:
        """Begin anew."""
        self.longest_s = self.all_s = 0.0

    def end(self) -> None:
        """Stop measuring."""
        self._ended.set()


WATCH = pytest.StashKey[Watch]()
_PROPERTY = "starved"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the watch."""
    # where nothing is shared there may be a person with a debugger
    silent_s = SILENT_S if session.config.getoption("share") else float("inf")
    stderr = session.config.stash.get(fault_handler_stderr_fd_key, 2)
    watch = session.config.stash[WATCH] = Watch(silent_s, stderr=stderr)
    watch.start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End it."""
    session.config.stash[WATCH].end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what starts programs time on a machine that gives it a fifth of a processor."""
    for item in items:
        is_slow = item.get_closest_marker("slow") or item.get_closest_marker("service")
        if is_slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_S))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the collector of garbage, which finds none: a sixth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Keep what collecting made out of the collector's sight: a full collection took 100 ms."""
    _settle()


def _settle() -> None:
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run one test; again if it failed while the machine stood still."""
    watch = item.config.stash[WATCH]
    began, limit_s = time.monotonic(), _limit_s(item)
    watch.heard_at = began
    starved: list[str] = []
    reports: list[pytest.TestReport] = []
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(1, TRIES + 1):
        watch.reset()
        tried, waited_s = time.monotonic(), _waited_s()
        reports = _reports(item, nextitem)
        lost_s, now = watch.longest_s, time.monotonic()
        crowded = (_waited_s() - waited_s) / (now - tried)
        failed = next((report for report in reports if report.failed), None)
        # pytest-timeout winds its clock once for all tries: a test that hangs gets no second one
        if not failed or 2 * (now - began) > limit_s or attempt == TRIES:
            break
        is_calm = lost_s < STARVED_S and crowded < CROWDED
        if is_calm and attempt > CALM_RETRIES:
            break
        why = f"{lost_s:.3f} s without the processor, others waited for {crowded:.0%} of its time"
        starved.append(f"{item.nodeid} ({failed.when}): {why}")
    for report in reports:
        if report.when == "call":
            report.user_properties += [(_PROPERTY, told) for told in starved]
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    if nextitem is None or nextitem.path != item.path:
        # reports and modules stay to the end: with 8000 tests a full collection took a second
        _settle()
    watch.heard_at = time.monotonic()
    return True


def _reports(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    try:
        return runtestprotocol(item, log=False, nextitem=nextitem)
    except SystemError:
        # To tell of a failure is to parse code. CPython before 3.11.5 takes another thread that
        # parses meanwhile, for a traceback in a log, for its own recursion (gh-106905).
        item.session._setupstate.teardown_exact(nextitem)
        return runtestprotocol(item, log=False, nextitem=nextitem)


def _limit_s(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout"))


def _waited_s() -> float:
    """Return for how long, since the start, some process waited for a processor.

    A kernel that does not tell that tells at least for how long the tests themselves did.
    """
    try:
        told = PRESSURE.read_text()
    except OSError:
        return _queued_s()
    return int(told.partition("total=")[2].split()[0]) / 1e6


def _queued_s() -> float:
    """Return for how long, since the start, the thread of the tests waited for a processor."""
    thread = threading.main_thread().native_id
    try:
        # sched-stats.rst of Linux: time on the processor, time waiting for it (ns), turns
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


@pytest.fixture
def lost_s(request: pytest.FixtureRequest) -> Callable[[], float]:
    """Tell for how many seconds, since the test began, this process did not get the processor.

    A stop of the whole process shows in the watch, a queue for the processor in the kernel's books;
    what shows in both counts twice. Nothing that our code does adds to either.
    """
    watch, before_s = request.config.stash[WATCH], _queued_s()

    def lost_s() -> float:
        return watch.all_s + _queued_s() - before_s

    return lost_s


class Told:
    """In the process that speaks to the terminal: gathers what the workers saw."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a report says of earlier tries."""
        self.lines += [str(value) for name, value in report.user_properties if name == _PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the tests that ran again."""
        if self.lines:
            terminalreporter.section("failed and run again")
            terminalreporter.write_line("\n".join(self.lines))


def pytest_configure(config: pytest.Config) -> None:
    """Gather reports, and let Hypothesis be patient."""
    config.pluginmanager.register(Told())
    settings.register_profile(
        "patient",
        parent=settings(),
        max_examples=EXAMPLES,
        deadline=timedelta(seconds=EXAMPLE_S),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("patient")
