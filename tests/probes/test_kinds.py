"""The laws for all kinds, over whatever `discover` finds: they hold for kinds not yet written."""

import asyncio
import importlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from probes import report
from probes.config.explain import explain
from probes.config.sections import ProbeKeys
from probes.extras import wanted
from probes.families import BLACKBOX, OWN_NAMESPACES, SHARED, family_name
from probes.junit import as_junit
from probes.kind import Kind
from probes.kinds import discover
from probes.markdown import as_markdown
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.settings import descriptions
from tests.faults.tcp import Handler, closed_port, resetting, silent, talking, tcp_fault
from tests.faults.udp import Answers, mute, udp_fault
from tests.harness import Check, Law, ours, undeclared

ROOT = Path(__file__).resolve().parents[2]
KINDS = discover()
NAMES = sorted(KINDS)
# what several kinds of one sort fill together (metrics.md 4.9)
SHARED_PREFIXES = {
    "postgres": "db_", "mysql": "db_", "sqlite": "db_", "mongodb": "db_", "browser": "journey_",
}  # fmt: skip
# Chromium reaches the target, in a process of its own that takes seconds to start: what these laws
# demand is tested with it in tests/probes/browser.
ELSEWHERE = frozenset({"browser"})
# probe keys of later capabilities: taken already (product.md)
RESERVED = {"maintenance", "targets_from", "safety", "steps"}
CANARY = "canary-3f9aA7-x"
# P2: a run ends at most this much behind its timeout.
LATE_S = 0.25
TIMEOUT_S = 0.3


def law_of(name: str) -> Law:
    module = importlib.import_module(f"tests.probes.kinds.test_{name}")
    law = module.LAW
    assert isinstance(law, Law)
    return law


every_kind = pytest.mark.parametrize("name", NAMES)
network_kind = pytest.mark.parametrize(
    "name", [name for name in NAMES if KINDS[name].network and name not in ELSEWHERE]
)
driven_kind = pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name].driver])


def models_of(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Give *kind* and every group of keys below it."""
    yield kind
    for field in kind.model_fields.values():
        for found in classes_in(field.annotation):
            if issubclass(found, BaseModel):
                yield from models_of(found)


def classes_in(annotation: Any) -> Iterator[type]:
    inner = get_args(annotation)
    if isinstance(annotation, type) and not inner:
        yield annotation
    for part in inner:
        yield from classes_in(part)


def test_there_are_kinds() -> None:
    assert {"http", "tcp", "postgres", "redis", "host"} <= set(NAMES)


@every_kind
def test_settings_that_were_used_equal_the_same_that_were_not(name: str) -> None:
    """P8: a reload compares them, and takes a probe that differs for a changed one."""
    law = law_of(name)
    values = {field: getattr(law.kind, field) for field in type(law.kind).model_fields}
    used, also_used, unused = (type(law.kind).model_construct(**values) for _ in range(3))

    for kind in (used, also_used):
        kind.prepare(law.target.format(host="127.0.0.1", port=1))

    assert used == unused
    assert used == also_used


@every_kind
def test_preparing_raises_nothing_and_reaches_nobody(name: str) -> None:
    law = law_of(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        law.kind.prepare(law.target.format(host="127.0.0.1", port=listener.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            listener.accept()


@every_kind
def test_a_kind_is_named_like_its_file_and_has_a_test_with_its_law(name: str) -> None:
    kind = KINDS[name]

    assert kind.name == name
    assert kind.__module__ == f"probes.kinds.{name}"
    assert isinstance(law_of(name).kind, kind)


@every_kind
def test_a_kind_has_its_section_in_the_reference(name: str) -> None:
    page = (ROOT / "docs" / "kinds.md").read_text()

    assert re.search(rf"^##+ .*\b{name}\b", page, re.MULTILINE)


@every_kind
def test_a_kind_says_what_its_target_is_and_where_its_protocol_stands(name: str) -> None:
    text = KINDS[name].__doc__ or ""

    assert "Target:" in text
    assert "Source:" in text or not KINDS[name].network
    law_of(name).kind.check_target(law_of(name).target.format(host="127.0.0.1", port=1))


@every_kind
def test_every_key_of_a_kind_is_described(name: str) -> None:
    bare = [
        f"{model.__name__}.{key}"
        for model in models_of(KINDS[name])
        for key in model.model_fields
        if not descriptions(model).get(key)
    ]

    assert not bare


@every_kind
def test_no_key_of_a_kind_is_taken(name: str) -> None:
    taken = (set(ProbeKeys.model_fields) | RESERVED | set(dir(Kind))) - KINDS[name].takes_over
    keys = KINDS[name].model_fields

    assert not taken & set(keys)
    # an alias (``json``) exists to keep an attribute of pydantic free: only other keys can clash
    aliases = {field.alias for field in keys.values() if field.alias}
    assert not aliases & (set(ProbeKeys.model_fields) | RESERVED | set(keys))
    assert not aliases & {"name", "metrics", "requires", "run"}


@every_kind
def test_metrics_carry_the_name_of_their_kind_or_belong_to_a_shared_family(name: str) -> None:
    shared = {family.name for family in (*BLACKBOX, *SHARED)}
    own: tuple[str, ...] = (f"{name}_", SHARED_PREFIXES.get(name, f"{name}_"))
    if KINDS[name].is_group:
        own = (*own, *OWN_NAMESPACES)

    for metric in KINDS[name].metrics:
        assert metric.name.startswith(own) or family_name(metric.name) in shared, metric.name
        assert metric.help
        assert metric.name.endswith("_total") == (metric.type == "counter"), metric.name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert len({metric.name for metric in KINDS[name].metrics}) == len(KINDS[name].metrics)


def probe_of(name: str, port: int, *, timeout_s: float = TIMEOUT_S) -> Probe:
    law = law_of(name)
    target = law.target.format(host="127.0.0.1", port=port)
    return Probe(name="it", kind=law.kind, target=target, timeout_s=timeout_s)


async def warm_up(name: str) -> None:
    """Let the first run import its driver, so that a later one is measured without it."""
    await run_once(probe_of(name, closed_port(), timeout_s=10))


@asynccontextmanager
async def peer_of(name: str, handler: Handler, answers: Answers = mute) -> AsyncIterator[int]:
    """Serve *handler*, or *answers* where the kind speaks UDP; give the port."""
    if not law_of(name).port:
        pytest.skip("a kind without ports")
    is_udp = law_of(name).datagram
    async with udp_fault(answers) if is_udp else tcp_fault(handler) as port:
        yield port


@network_kind
async def test_a_closed_port_is_refused(name: str, check: Check) -> None:
    law = law_of(name)
    if not law.port:
        pytest.skip("a kind without ports")

    result = await check(law.kind, law.target.format(host="127.0.0.1", port=closed_port()))

    result = law.part(result)
    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is Reason.REFUSED
    phases = [(p.name, p.complete) for p in result.phases]
    if law.datagram:
        assert phases[:2] == [("resolve", True), ("connect", True)]
        assert phases[2:] == [(result.failure.phase, False)]
    else:
        assert result.failure.phase == "connect"
        assert phases == [("resolve", True), ("connect", False)]


@network_kind
async def test_silence_is_a_timeout_in_the_phase_that_waited(
    name: str, lost_s: Callable[[], float]
) -> None:
    """P2, F4, F20."""
    await warm_up(name)
    loop = asyncio.get_running_loop()
    async with peer_of(name, silent) as port:
        started = loop.time()

        result = await run_once(probe_of(name, port))

        seconds = loop.time() - started
    assert result.failure is not None
    assert result.failure.phase == result.phases[-1].name
    result = law_of(name).part(result)
    assert result.failure is not None
    assert result.failure.reason is Reason.TIMEOUT
    assert seconds <= TIMEOUT_S + LATE_S + lost_s()
    assert seconds >= TIMEOUT_S - 0.01 or not law_of(name).patient
    assert [p.name for p in result.phases if p.complete][:2] == ["resolve", "connect"]
    assert result.failure.phase == result.phases[-1].name
    assert not result.phases[-1].complete


@network_kind
@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="reset"),
        pytest.param(b"\x00\xff\x17 what is this?\r\n" * 40, id="garbage"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
    ],
)
async def test_a_peer_that_misbehaves_is_down_and_never_unknown(
    name: str, said: bytes, check: Check
) -> None:
    """F8, F10."""
    law = law_of(name)
    await warm_up(name)
    handler = talking(said) if said else resetting
    async with peer_of(name, handler, lambda _: [said]) as port:
        target = law.target.format(host="127.0.0.1", port=port)

        result = await check(law.kind, target, TIMEOUT_S)

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.phase is not None
    assert result.failure.reason is not Reason.REFUSED


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@network_kind
async def test_a_cancelled_run_leaves_no_task_and_no_socket(name: str) -> None:
    await warm_up(name)
    loop = asyncio.get_running_loop()
    accepted = asyncio.Event()

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()

    def hear(_: bytes) -> Iterable[bytes]:
        accepted.set()
        return ()

    before, tasks = descriptors(), asyncio.all_tasks()
    async with peer_of(name, notice, hear) as port:
        run = loop.create_task(run_once(probe_of(name, port, timeout_s=10)))
        await accepted.wait()

        run.cancel()
        if law_of(name).kind.ends_at_once:
            # nobody else ends its clean-up: it must not wait for anything
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert run.done()
        with pytest.raises(asyncio.CancelledError):
            await run

        assert not list(filter(ours, asyncio.all_tasks() - tasks))
    # a transport lets go of its socket in the next turns of the loop
    async with asyncio.timeout(1):
        while descriptors() > before:  # noqa: ASYNC110 - turns of the loop, no time
            await asyncio.sleep(0)


@every_kind
async def test_a_result_survives_json(name: str) -> None:
    port = closed_port()

    result = await run_once(probe_of(name, port, timeout_s=5))

    assert Result.from_dict(json.loads(json.dumps(result.as_dict()))) == result
    assert not undeclared(result, law_of(name).kind)


IMPORTS = """
import sys
from probes.kinds import find_kind
kind = find_kind({name!r})
print(kind.driver in sys.modules)
"""
WITHOUT_THE_EXTRA = """
import asyncio, sys
from importlib.machinery import PathFinder

class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == {driver!r}:
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
from probes.kinds import find_kind, missing_extra
from probes.probe import Probe
from probes.run import run_once
kind = find_kind({name!r})
print(missing_extra(kind))
result = asyncio.run(
    run_once(Probe(name="it", kind=kind.model_construct(journey="any"), target={target!r}))
)
print(result.outcome.value, result.failure.reason.value, result.failure.message)
"""


def run_python(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=15,
        check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@driven_kind
@pytest.mark.slow
def test_importing_a_kind_does_not_import_its_driver(name: str) -> None:
    assert run_python(IMPORTS.format(name=name)) == ["False"]


@driven_kind
@pytest.mark.slow
def test_a_missing_extra_is_named_by_the_linter_and_by_the_run(name: str) -> None:
    kind = KINDS[name]
    target = law_of(name).target.format(host="127.0.0.1", port=1)
    assert kind.requires is not None

    said = run_python(WITHOUT_THE_EXTRA.format(name=name, driver=kind.driver, target=target))

    assert said == [wanted(kind.requires), f"unknown config {wanted(kind.requires)}"]


def test_every_extra_of_a_kind_is_in_standard() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    standard = str(project["optional-dependencies"]["standard"])

    for kind in KINDS.values():
        # Playwright and Chromium are half a GB: they have an image of their own
        assert kind.requires in (None, "browser") or kind.requires in standard


def has_secret(kind: type[Kind]) -> bool:
    fields = (field for model in models_of(kind) for field in model.model_fields.values())
    return any(Secret in classes_in(field.annotation) for field in fields)


def outlets(probe: Probe, result: Result) -> str:
    """Return every text that leaves the process about *probe* and *result*."""
    return "\n".join(
        [
            json.dumps(result.as_dict()), report.describe(result), report.as_text([result]),
            as_junit([result]), as_markdown([result]), explain(probe),
            repr(result), repr(probe.kind), probe.display,
        ]
    )  # fmt: skip


@every_kind
def test_a_kind_with_secrets_has_a_law_about_them(name: str) -> None:
    if has_secret(KINDS[name]):
        assert law_of(name).secret is not None


@every_kind
@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(None, id="refused"),
        pytest.param(resetting, id="reset"),
        pytest.param(talking(CANARY.encode() + b" was here\r\n"), id="echo"),
    ],
)
async def test_a_canary_in_every_secret_appears_in_no_outlet(
    name: str, handler: Handler | None, caplog: pytest.LogCaptureFixture
) -> None:
    """P15, T62."""
    law = law_of(name)
    caplog.set_level(logging.DEBUG)
    kinds = [(law.secret(CANARY), law.target)] if law.secret else []
    kinds += [(law.kind, law.secret_target)] if law.secret_target else []
    async with tcp_fault(handler or silent) as open_port:
        port = open_port if handler else closed_port()
        for kind, shape in kinds:
            target = shape.format(host="127.0.0.1", port=port, canary=CANARY)
            probe = Probe(name="it", kind=kind, target=target, timeout_s=TIMEOUT_S)

            result = await run_once(probe, health=ProberHealth())

            assert CANARY not in outlets(probe, result)
            assert CANARY not in caplog.text
