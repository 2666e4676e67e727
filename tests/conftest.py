"""What every test shares: both event loops, the guard against blocking calls, `check`, servers.

Knows no single kind. The values that tests import (`Check`, `Law`) stand in `tests.harness`, the
starters of real servers in `tests.servers`.
"""

import asyncio
import os
import signal
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import blockbuster
import pytest
import trustme
import uvloop

from probes.browser import process
from probes.journey.script import parent
from probes.kind import Kind
from probes.probe import Probe
from probes.result import Outcome, Result
from probes.run import run_once
from tests.harness import PACKAGES, Check, ours, undeclared

pytest_plugins = [
    "tests.servers.fixtures",
    "tests.servers.nodes_fixtures",
    "tests.orphans",
    "tests.sharing",
    "tests.starvation",
]

# Seconds. Long enough for a loaded two-core machine, short enough for a test that hangs.
CHECK_TIMEOUT_S = 5.0


# Where the loop shows: the wire, the laws for all kinds, the deadline of a run, the server.
BOTH_LOOPS = ("tests/probes/wire/", "tests/probes/test_kinds", "tests/probes/test_run",
              "tests/exporter/web/", "tests/test_harness.py")  # fmt: skip
# Whether coverage measures this run.
TRACED_RUN = "COVERAGE_PROCESS_CONFIG" in os.environ

# What a traced run takes: the mirror of the packages. Of the slow ones only those of code that
# lives in a child, or in the commands that start one; the others prove more than lines.
TRACED = ("tests/probes/", "tests/scenarios/", "tests/exporter/")
LINES_BY_SLOW = (
    "tests/probes/browser/",
    "tests/probes/journey/script/",
    "tests/probes/kinds/test_browser.py",
    "tests/scenarios/child/",
    "tests/scenarios/course/",
    "tests/scenarios/fleet/test_launch",
    "tests/scenarios/test_worker.py",
    "tests/exporter/test_cli.py",
    "tests/exporter/commands/test_command.py",
    "tests/exporter/commands/test_loading.py",
    "tests/exporter/commands/test_look.py",
    "tests/exporter/test_service",
    "tests/exporter/web/",
)
# a second look at what the fakes beside them have shown, in a real browser
CHROMIUM = "_chromium.py"


def pytest_configure() -> None:
    """Hear SIGINT: a shell ignores it for what runs in the background; children inherit that.

    And let a traced run measure the children that get nothing else of our environment.
    """
    if TRACED_RUN:
        for module in (process, parent):
            vars(module)["PASSED_ON"] = (*module.PASSED_ON, "COVERAGE_PROCESS_CONFIG")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what adds no line to a traced run, which takes three times as long."""
    if TRACED_RUN:
        untraced = [item for item in items if _untraced(item)]
        config.hook.pytest_deselected(items=untraced)
        items[:] = [item for item in items if not _untraced(item)]


def _untraced(item: pytest.Item) -> bool:
    name = item.nodeid
    is_slow = item.get_closest_marker("slow") is not None
    return not name.startswith(TRACED) or (
        is_slow and (not name.startswith(LINES_BY_SLOW) or item.path.name.endswith(CHROMIUM))
    )


class Polite(asyncio.AbstractEventLoop):
    """A loop that cuts TLS goodbyes short before it closes.

    A transport that was closed waits for the peer's last word for up to `SHUTDOWN_TIMEOUT_S`, which
    is good manners and no leak; a test that ends meanwhile would fail by a ResourceWarning, or a
    later one would. A transport that nobody closed still fails its test.
    """

    def __init__(self) -> None:
        super().__init__()
        self._talks: list[Any] = []

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        made = await super().create_connection(*args, **options)
        if options.get("ssl"):
            self._talks.append(made[0])
        return made

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        transport = await super().start_tls(*args, **options)
        self._talks.append(transport)
        return transport

    def close(self) -> None:
        # `is_closing` of asyncio is false until the goodbye is over
        leaving = [
            transport
            for transport in self._talks
            if transport.is_closing() or getattr(transport, "_closed", False)
        ]
        if leaving and not self.is_closed():
            for transport in leaving:
                # before Python 3.11.5 one that is closed already has nothing left to abort
                with suppress(AttributeError):
                    transport.abort()
            # the loss is told one turn later, the socket is closed another one later
            for _ in range(3):
                self.run_until_complete(asyncio.sleep(0))
        self._talks.clear()
        super().close()


class FastLoop(Polite, uvloop.Loop):  # type: ignore[misc] # its stubs differ from asyncio's
    """That of uvloop, as it runs in production.

    Without the debug mode, which keeps a stack for each call: that was a third of the time of an
    ordinary test, and the stock loop has told its findings.
    """

    def set_debug(self, enabled: bool) -> None:
        pass


class StockLoop(Polite, asyncio.SelectorEventLoop):
    """That of asyncio."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item | None
) -> Mapping[str, object]:
    """Run what stands close to the transports on both loops, all else on one of them.

    A kind or a journey knows the loop by the rooms below it alone, and what is slow waits for
    programs and limits; its name chooses, so either loop gets half of a room.
    ``@pytest.mark.asyncio(loop_factories=["uvloop"])`` is for a test that wants a certain one, or
    both. ``LOOPS=uvloop`` is for all that want none: a traced run counts lines, and the second loop
    adds none.
    """
    both = {"asyncio": StockLoop, "uvloop": FastLoop}
    mark = None if item is None else item.get_closest_marker("asyncio")
    narrowed = mark.kwargs.get("loop_factories") if mark is not None else None
    wanted = narrowed or os.environ.get("LOOPS", "").split() or list(both)
    if narrowed is None and item is not None and not _is_close(item):
        wanted = [wanted[crc32(item.nodeid.encode()) % len(wanted)]]
    return {name: both[name] for name in wanted}


def _is_close(item: pytest.Item) -> bool:
    return item.nodeid.startswith(BOTH_LOOPS) and item.get_closest_marker("slow") is None


@pytest.fixture(scope="session")
def _blockbuster() -> blockbuster.BlockBuster:
    guard = blockbuster.BlockBuster(PACKAGES)
    if TRACED_RUN:
        # Coverage's tracer takes a lock of its own inside each call of ours: the guard there made
        # that many times slower, and an error breaks the call where it cannot break.
        del guard.functions["threading.Lock.acquire"]
    return guard


@pytest.fixture(autouse=True)
def no_blocking_calls(
    _blockbuster: blockbuster.BlockBuster,
) -> Iterator[blockbuster.BlockBuster]:
    """Raise `BlockingError` where code of ours blocks the loop: it falsifies every latency."""
    _blockbuster.activate()
    yield _blockbuster
    _blockbuster.deactivate()


@pytest.fixture
def check() -> Check:
    """Run a kind once.

    Fails on ``unknown`` unless asked for, on a task left behind, and on a sample that the kind does
    not declare.
    """

    async def check(
        kind: Kind, target: str, timeout_s: float = CHECK_TIMEOUT_S, *, unknown: bool = False
    ) -> Result:
        before = asyncio.all_tasks()
        result = await run_once(Probe(name="it", kind=kind, target=target, timeout_s=timeout_s))
        assert not list(filter(ours, asyncio.all_tasks() - before))
        assert not undeclared(result, kind)
        assert unknown or result.outcome is not Outcome.UNKNOWN, result.failure
        return result

    return check


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """The one authority of the session."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory: ``ca.pem``; ``server`` and ``client``, each ``.pem`` (chain) and ``.key``."""
    directory = tmp_path_factory.mktemp("certificates")
    ca.cert_pem.write_to_path(directory / "ca.pem")
    server = ca.issue_cert("localhost", "127.0.0.1", "::1")
    client = ca.issue_cert("client@example.org", common_name="client")
    for name, leaf in (("server", server), ("client", client)):
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(directory / f"{name}.pem", append=True)
        leaf.private_key_pem.write_to_path(directory / f"{name}.key")
    return directory


@pytest.fixture(scope="session")
def ca_file(certificates: Path) -> Path:
    """The authority's certificate as PEM."""
    return certificates / "ca.pem"


@pytest.fixture
def server_context(certificates: Path) -> ssl.SSLContext:
    """A context for servers: valid for localhost, 127.0.0.1 and ::1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context
