"""Kind unix: what stands at a path, and a talk with it."""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from probes.kinds.unix import Unix
from probes.probe import Probe
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire.policy import POLICY, Policy, Rule
from probes.wire.tls.settings import TlsOptions
from tests.faults.tcp import (
    Handler,
    answering,
    closing,
    dripping,
    ending,
    flooding,
    half_closing,
    silent,
    talking,
)
from tests.faults.unix import bound, full_queue, unix_fault
from tests.harness import Check, Law, ours

BANNER = b"hello\r\n220 inside\r\n"


def unix(**keys: Any) -> Unix:
    return Unix.model_validate(keys)


LAW = Law(
    kind=unix(expect="^220"),
    target="/nowhere/{host}.sock",
    network=False,
    secret=lambda canary: unix(send=Secret(canary), tls={"verify": False, "key": None}),
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def verdict(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


async def look(
    check: Check, kind: Unix, handler: Handler, path: str, timeout_s: float = 5, **keys: Any
) -> Result:
    async with unix_fault(handler, path, **keys):
        return await check(kind, path, timeout_s)


# --- what stands at a path


async def test_connecting_is_the_whole_check_when_nothing_else_is_asked(
    check: Check, path: str
) -> None:
    """blackbox.md 2.2: no families of addresses."""
    result = await look(check, unix(), silent, path)

    assert result.outcome is Outcome.UP, result.failure
    assert [phase.name for phase in result.phases] == ["connect"]
    assert values(result) == {
        "unix_banner_bytes": 0, "failed_due_to_regex": 0, "failed_due_to_bytes": 0,
    }  # fmt: skip
    assert result.facts["peer"] == (
        f"process {os.getpid()}, user {os.getuid()}, group {os.getgid()}"
    )


async def test_an_abstract_name_is_one_without_a_file(check: Check) -> None:
    result = await look(check, unix(expect="^220"), talking(BANNER), f"@{uuid4()}")

    assert result.outcome is Outcome.UP, result.failure


@contextmanager
def nothing(path: Path) -> Iterator[str]:
    yield str(path)


@contextmanager
def below_a_file(path: Path) -> Iterator[str]:
    path.touch()
    yield str(path / "s")


@contextmanager
def a_file(path: Path) -> Iterator[str]:
    path.touch()
    yield str(path)


@contextmanager
def circle(path: Path) -> Iterator[str]:
    path.symlink_to(path)
    yield str(path)


def datagrams(path: Path) -> AbstractContextManager[str]:
    return bound(path, socket.SOCK_DGRAM)


@pytest.mark.parametrize(
    ("there", "reason", "message"),
    [
        pytest.param(nothing, Reason.UNREACHABLE, "no such file", id="missing"),
        pytest.param(
            below_a_file,
            Reason.UNREACHABLE,
            "a path through something that is no directory",
            id="below a file",
        ),
        pytest.param(
            circle, Reason.UNREACHABLE, "a path with too many symbolic links", id="circle"
        ),
        pytest.param(
            a_file, Reason.REFUSED, "a refusal: nobody listens, or it is no socket", id="a file"
        ),
        pytest.param(
            bound, Reason.REFUSED, "a refusal: nobody listens, or it is no socket", id="refused"
        ),
        pytest.param(
            full_queue,
            Reason.REFUSED,
            "a full queue of connections that nobody accepts",
            id="full queue",
        ),
        pytest.param(
            datagrams,
            Reason.PROTOCOL,
            "a socket of another type, such as one of datagrams",
            id="datagrams",
        ),
    ],
)
async def test_each_way_not_to_be_there_is_told(
    check: Check, tmp_path: Path, there: Any, reason: Reason, message: str
) -> None:
    with there(tmp_path / "s") as path:
        result = await check(unix(), path)

    assert result.outcome is Outcome.DOWN
    assert verdict(result) == (reason, "connect")
    assert result.failure is not None
    assert result.failure.message == f"want a connection to {path!r}, got {message}"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not")
async def test_a_socket_we_may_not_use_is_our_own_fault(check: Check, path: str) -> None:
    async with unix_fault(silent, path):
        os.chmod(path, 0o600)  # noqa: PTH101 - at once
        os.seteuid(65534)
        try:
            result = await check(unix(), path, unknown=True)
        finally:
            os.seteuid(0)

    assert verdict(result) == (Reason.PERMISSION, "connect")
    assert result.outcome is Outcome.UNKNOWN
    assert result.failure is not None
    assert result.failure.message.endswith("no permission for the socket or a directory above it")


async def test_a_path_outside_the_policy_sees_no_connection(check: Check, path: str) -> None:
    accepted: list[object] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(reader)

    admits = Policy(trusts_first=False, allow=(Rule(unix="/run/app-*.sock"),))
    async with unix_fault(count, path):
        with POLICY.set(admits):
            result = await check(unix(), path, unknown=True)
        await asyncio.sleep(0)

    assert verdict(result) == (Reason.POLICY, "connect")
    assert not accepted
    assert result.failure is not None
    assert path not in result.failure.message


# --- talks


@pytest.mark.parametrize(
    ("handler", "reason", "by_pattern"),
    [
        pytest.param(silent, Reason.TIMEOUT, 0, id="silent"),
        pytest.param(dripping(b"220 " * 100), Reason.TIMEOUT, 0, id="drips"),
        pytest.param(closing, Reason.CLOSED, 1, id="closes"),
        pytest.param(half_closing(b"hi\n"), Reason.BODY, 1, id="half a goodbye"),
        pytest.param(ending(b"421 busy\n"), Reason.BODY, 1, id="says something else"),
        pytest.param(talking(b"x" * 70_000), Reason.TOO_LARGE, 0, id="endless line"),
        pytest.param(flooding(b"y" * 999 + b"\n"), Reason.TOO_LARGE, 0, id="endless lines"),
        pytest.param(ending(b"\x00\xff\x17" * 40), Reason.BODY, 1, id="junk"),
    ],
)
async def test_each_way_to_miss_a_banner_is_told(
    check: Check, path: str, handler: Handler, reason: Reason, by_pattern: float
) -> None:
    timeout_s = 0.1 if reason is Reason.TIMEOUT else 5
    result = await look(check, unix(expect="^220"), handler, path, timeout_s)

    assert verdict(result) == (reason, "dialog")
    assert values(result)["failed_due_to_regex"] == by_pattern
    assert result.seconds < timeout_s + 0.25


async def test_a_dialog_is_that_of_tcp(check: Check, path: str) -> None:
    kind = unix(
        line_end="\n",
        dialog=[
            {"expect": "^220 (.*)", "labels": {"where": "$1"}, "send": "QUIT $1"},
            {"expect_bytes": "221"},
        ],
    )

    result = await look(check, kind, answering({b"": BANNER, b"QUIT inside\n": b"221 bye"}), path)

    assert result.outcome is Outcome.UP, result.failure
    assert [s.labels for s in result.samples if s.name == "expect_info"] == [(("where", "inside"),)]


# --- TLS


async def test_the_name_to_verify_is_the_one_that_is_given(
    check: Check, path: str, ca_file: Path, server_context: ssl.SSLContext
) -> None:
    def named(name: str) -> Unix:
        return unix(expect="^220", tls=TlsOptions(ca_file=str(ca_file), server_name=name))

    right = await look(check, named("localhost"), talking(BANNER), path, context=server_context)
    wrong = await look(
        check, named("example.org"), talking(BANNER), f"{path}2", context=server_context
    )

    assert right.outcome is Outcome.UP, right.failure
    assert [p.name for p in right.phases] == ["connect", "tls", "dialog"]
    assert values(right)["probe_tls_verified"] == 1
    assert "tls_cipher_info" not in values(right)
    assert verdict(wrong) == (Reason.CERTIFICATE_NAME, "tls")
    assert values(wrong)["probe_tls_verified"] == 0


async def test_without_verification_no_name_is_asked_for(
    check: Check, path: str, server_context: ssl.SSLContext
) -> None:
    asked: list[str | None] = []
    server_context.sni_callback = lambda _, name, __: asked.append(name)

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go\n")
        await writer.start_tls(server_context)
        await reader.read()

    at_once = await look(check, unix(tls={"verify": False}), silent, path, context=server_context)
    kind = unix(tls={"verify": False}, dialog=[{"expect": "go", "starttls": True}])
    later = await look(check, kind, upgrade, f"{path}2")

    for result in (at_once, later):
        assert result.outcome is Outcome.UP, result.failure
        assert values(result)["probe_tls_verified"] == 0
        assert values(result)["tls_version_info"] == 1
    assert asked == [None, None]


async def test_a_name_to_verify_is_missed_at_load_or_by_the_run(check: Check, path: str) -> None:
    message = "want tls.server_name or tls.verify: false, for a path has no name, got neither"
    with pytest.raises(ValidationError, match=message):
        unix(tls=True)
    with pytest.raises(ValidationError, match=message):
        unix(dialog=[{"starttls": True}])
    kind = Unix.model_validate({"tls": True}, context={"dialect": "blackbox"})

    result = await check(kind, path, unknown=True)

    assert verdict(result) == (Reason.CONFIG, None)
    assert result.failure is not None
    assert result.failure.message == message


# --- laws of all kinds, for one without ports


async def test_a_cancelled_run_leaves_no_task_and_no_socket(path: str) -> None:
    accepted = asyncio.Event()

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()

    async with unix_fault(notice, path):
        before, tasks = descriptors(), asyncio.all_tasks()
        probe = Probe(name="it", kind=LAW.kind, target=path, timeout_s=10)
        run = asyncio.ensure_future(run_once(probe))
        await accepted.wait()

        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

        assert not list(filter(ours, asyncio.all_tasks() - tasks))
        async with asyncio.timeout(1):
            while descriptors() > before:  # noqa: ASYNC110 - turns of the loop, no time
                await asyncio.sleep(0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("run/app.sock", "want an absolute path, or @ and", id="relative"),
        pytest.param("@", "want an absolute path, or @ and", id="no name"),
        pytest.param("", "want an absolute path, or @ and", id="empty"),
        pytest.param("/a\0b", "want an absolute path, or @ and", id="NUL"),
        pytest.param("/" + "x" * 107, "want a path of at most 107 bytes, got 108", id="long"),
        pytest.param("@" + "x" * 108, "want a path of at most 107 bytes, got 108", id="long name"),
        pytest.param("/" + "é" * 54, "want a path of at most 107 bytes, got 109", id="bytes count"),
    ],
)
async def test_a_target_that_is_no_path_is_told(check: Check, target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unix().check_target(target)

    result = await check(unix(), target, unknown=True)

    assert verdict(result) == (Reason.CONFIG, "connect")


async def test_the_longest_path_and_the_longest_name_can_be_dialled(
    check: Check, tmp_path: Path
) -> None:
    names = [f"@{uuid4().hex:x>107}", str(tmp_path / "s")]

    for name in names:
        assert (await look(check, unix(), silent, name)).outcome is Outcome.UP


def test_a_path_is_shown_as_it_is() -> None:
    """It is no URL: nothing of it is a password."""
    path = "/run/a:b@c/0123456789abcdef0123456789abcdef/x.sock?y#z"

    assert unix().display_target(path) == path
    assert unix(send=Secret("hunter2")).secrets(path) == {"hunter2"}
