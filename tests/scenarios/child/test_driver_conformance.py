"""The driver of loads tells of a journey what the check and the one in memory tell.

The journeys are those of `tests.probes.journey.test_conformance`. Each is played in a thread, where
sockets block for real, and a child that gevent has patched plays all of them at once.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest

from probes.journey.model import Played
from tests.faults.http import fault_server
from tests.probes.journey.conformance import Fake, by_memory, listening, told
from tests.probes.journey.test_conformance import JOURNEYS, Row, compiled
from tests.scenarios.driving import by_load, in_thread, plain

PATCHED = (
    "import gevent.monkey; gevent.monkey.patch_all();"
    "from tests.scenarios.driving import main; main()"
)


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("row", JOURNEYS)
async def test_the_load_tells_what_the_check_tells(row: Row) -> None:
    journey, fake, other = compiled(row), Fake(), Fake()
    async with listening(other) as base:
        came = await in_thread(lambda: by_load(journey, base))
    wanted = told(await by_memory(journey, fake, base), fake, timed=row.timed)

    assert told(came, other, timed=row.timed) == wanted
    assert (came.failure and came.failure.reason) == row.reason


async def in_gevent(games: list[tuple[dict[str, Any], str]]) -> list[tuple[Any, float]]:
    """Let a patched child play *games* at the same time; return what each told, and its seconds."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PATCHED,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate(json.dumps(games).encode())
    assert child.returncode == 0
    found: list[tuple[Any, float]] = json.loads(out)
    return found


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_patched_child_tells_the_same() -> None:
    rows: list[Row] = [row.values[0] for row in JOURNEYS if not row.values[0].timed]
    fakes = [Fake() for _ in rows]
    async with AsyncExitStack() as stack:
        bases = [await stack.enter_async_context(listening(fake)) for fake in fakes]
        games = [
            ({"steps": row.steps, **row.keys}, base) for row, base in zip(rows, bases, strict=True)
        ]
        came = await in_gevent(games)

    for row, base, fake, (found, _) in zip(rows, bases, fakes, came, strict=True):
        other = Fake()
        wanted = told(await by_memory(compiled(row), other, base), other)
        # what the fake was asked, and what the child has told of it
        assert told(Played(), fake)["asked"] == wanted["asked"]
        assert found == plain({**wanted, "asked": []})


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_time_is_total_in_a_patched_child() -> None:
    """A timeout of each single read would let a drip go on for ever."""
    paths = ["/dripbody", "/dripheaders", "/hang", "/hangbody", "/halfheaders", "/infinite"]
    async with fault_server() as server:
        steps = [{"name": "a", "get": path, "timeout": "300ms"} for path in paths]
        games = [({"steps": [step]}, server.url("")) for step in steps]
        came = await in_gevent(games)

    for path, (found, seconds) in zip(paths, came, strict=True):
        reasons = ["too_large", "timeout"] if path == "/infinite" else ["timeout"]
        assert dict(found)["failure"][0] in reasons, path
        assert seconds < 1.5, path
