"""The harness itself: a guard that does not bite guards nothing."""

import asyncio
import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import uvloop

from probes.kind import Kind
from probes.recorder import Recorder
from probes.result import Outcome, Reason
from tests.harness import Check, ours
from tests.servers.process import find_program


class Sound(Kind):
    """Does nothing."""

    name: ClassVar[str] = "sound"

    async def run(self, target: str, recorder: Recorder) -> None:
        with recorder.phase("nothing"):
            await asyncio.sleep(0)


async def test_what_is_close_to_the_loop_runs_on_both(request: pytest.FixtureRequest) -> None:
    loop = asyncio.get_running_loop()

    wanted = uvloop.Loop if "uvloop" in request.node.name else asyncio.SelectorEventLoop

    assert isinstance(loop, wanted)
    assert loop.get_debug() is (wanted is asyncio.SelectorEventLoop)


@pytest.mark.slow
async def test_a_slow_one_runs_on_one_loop(request: pytest.FixtureRequest) -> None:
    function = request.node.originalname

    names = [item.name for item in request.session.items if item.name.startswith(function)]

    assert names == [function]


async def test_check_returns_the_result_of_one_run(check: Check) -> None:
    result = await check(Sound(), "anything")

    assert result.outcome is Outcome.UP
    assert [phase.name for phase in result.phases] == ["nothing"]


def _module_of_ours(code: str) -> ModuleType:
    """Return code that looks as if it stood in `probes`."""
    import probes

    path = str(Path(probes.__path__[0]) / "invented.py")
    module = ModuleType("probes.invented")
    exec(compile(code, path, "exec"), module.__dict__)  # noqa: S102 - code of this very file
    return module


BLOCKS = """
import time
from probes.kind import Kind

class Blocks(Kind):
    name = "blocks"
    async def run(self, target, recorder):
        time.sleep(0.001)
"""

LEAVES_A_TASK = """
import asyncio
from probes.kind import Kind

class Leaves(Kind):
    name = "leaves"
    async def run(self, target, recorder):
        global task
        task = asyncio.get_running_loop().create_task(wait())

async def wait():
    await asyncio.Event().wait()
"""


BLOCKING = _module_of_ours(BLOCKS)
LEAVING = _module_of_ours(LEAVES_A_TASK)


async def test_a_blocking_call_in_a_kind_is_an_unknown_result(check: Check) -> None:
    blocks = BLOCKING.Blocks()

    result = await check(blocks, "anything", unknown=True)

    assert result.failure is not None
    assert result.failure.reason is Reason.INTERNAL
    assert "BlockingError" in result.failure.message
    with pytest.raises(AssertionError, match="BlockingError"):
        await check(blocks, "anything")


async def test_a_task_left_behind_fails_the_check(check: Check) -> None:
    with pytest.raises(AssertionError):
        await check(LEAVING.Leaves(), "anything")

    LEAVING.task.cancel()


async def test_tasks_of_the_test_are_not_ours() -> None:
    task = asyncio.get_running_loop().create_task(asyncio.Event().wait())

    assert not ours(task)

    task.cancel()


def test_an_absent_server_skips_at_home_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_SERVICES", "0")
    with pytest.raises(pytest.skip.Exception, match="want the program 'no-such-server', got none"):
        find_program("no-such-server")

    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="REQUIRE_SERVICES=1"):
        find_program("no-such-server")

    assert find_program(Path(sys.executable).name, str(Path(sys.executable).parent))


def test_blocking_outside_of_a_loop_is_nobodys_business() -> None:
    time.sleep(0)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_tls_goodbye_that_nobody_answers_leaves_nothing_for_the_next_test(
    name: str, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    loops: Any = sys.modules["tests.conftest"].pytest_asyncio_loop_factories(None, None)
    over, port = threading.Event(), Future[int]()

    def serve() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port.set_result(server.getsockname()[1])
            with server_context.wrap_socket(server.accept()[0], server_side=True):
                over.wait(10)

    async def talk() -> None:
        transport, _ = await loop.create_connection(
            asyncio.Protocol,
            "127.0.0.1",
            port.result(10),
            ssl=ssl.create_default_context(cafile=str(ca_file)),
        )
        transport.close()

    loop = loops[name]()
    peer = threading.Thread(target=serve)
    peer.start()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loop.run_until_complete(talk())
        loop.close()
        gc.collect()
    over.set()
    peer.join()

    assert [str(one.message) for one in told] == []


def test_a_worker_that_falls_silent_is_ended_with_its_stacks() -> None:
    """It may wait for the one that deals the tests: no signal and no limit of a test reaches it."""
    code = (
        "import threading, time; from tests.starvation import Watch;"
        "watch = Watch(0.1); watch.heard_at = time.monotonic(); watch.start();"
        "threading.Event().wait()"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("no test began or ended for 0.1 s\n")
    assert "in wait" in done.stderr


@pytest.mark.slow
def test_a_process_that_never_lets_the_interpreter_go_is_ended_with_its_stacks() -> None:
    code = (
        "import faulthandler, re, threading; from tests.starvation import Watch;"
        "wound, wind = threading.Event(), faulthandler.dump_traceback_later;"
        "faulthandler.dump_traceback_later = lambda *a, **k: (wind(*a, **k), wound.set());"
        "Watch(stuck_s=1.0).start(); wound.wait(); re.match('(a+)+b', 'a' * 99)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Timeout (0:00:01)!\n")
    assert "in match" in done.stderr


SHARED = """
import os
import pathlib
import pytest

@pytest.fixture(scope="module")
def server():
    yield pathlib.Path("log")
    # what is torn down too early is missing in a later test
    os.write(LOG, b"end\\n")

LOG = os.open("log", os.O_APPEND | os.O_CREAT | os.O_WRONLY)

@pytest.mark.parametrize("number", range(3))
def test_it(server, request, number):
    os.write(LOG, f"{request.node.nodeid}\\n".encode())
"""


@pytest.mark.slow
def test_processes_that_share_a_run_take_each_file_once(tmp_path: Path) -> None:
    names = [f"test_{number}.py" for number in range(20)]
    for name in names:
        (tmp_path / name).write_text(SHARED)
    (tmp_path / "taken").mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sharing", "--share", "taken"]
    root = str(Path(__file__).parents[1])

    running = [
        subprocess.Popen(
            [*command, f"--rootdir={tmp_path}", *more],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root, "PYTEST_ADDOPTS": ""},
            stdout=subprocess.PIPE,
            text=True,
        )
        for more in ([], ["--from-end"])
    ]
    said = [process.communicate(timeout=60)[0] for process in running]

    log = (tmp_path / "log").read_text().splitlines()
    assert sorted(line for line in log if line != "end") == sorted(
        f"{name}::test_it[{number}]" for name in names for number in range(3)
    )
    assert log.count("end") == len(names)
    # of its own, 100 %
    assert all("[100%]" in it or "no tests ran" in it for it in said), "\n".join(said)


@pytest.mark.slow
@pytest.mark.parametrize("early", ["--exitfirst", "--session-timeout=0.001"])
def test_a_shared_run_that_ends_early_gets_no_second_try(tmp_path: Path, early: str) -> None:
    (tmp_path / "test_a.py").write_text("def test_it():\n    assert False\n")
    (tmp_path / "test_b.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "taken").mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sharing", "--share", "taken"]

    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", early, str(tmp_path)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    assert "1 failed in" in done.stdout


ROOT = Path(__file__).parents[1]
# Counts as tests/sharing.py leaves them; one of the two may end in the middle of a test.
PYTEST = """#!/bin/sh
for word; do
    case $word in --share=*) place=${word#*=} ;; --from-end) end=1 ;; esac
done
[ -n "${end:-}" ] && [ -n "${DIES:-}" ] || echo "1 passed" >"$place/$$.counts"
"""


@pytest.mark.parametrize(
    ("variables", "code", "told"),
    [
        ({}, 0, "2 passed in all\n"),
        ({"DIES": "1"}, 1, "want the counts of 2 processes, got 1: "),
    ],
)
def test_a_process_that_ends_in_the_middle_of_a_test_fails_the_suite(
    tmp_path: Path, variables: dict[str, str], code: int, told: str
) -> None:
    fake = tmp_path / "pytest"
    fake.write_text(PYTEST)
    fake.chmod(0o755)

    done = subprocess.run(
        [ROOT / "scripts/suite.sh", "2", fake],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], **variables}, capture_output=True,
        text=True, check=False, timeout=20,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (code, "")
    assert told in done.stdout
