"""Preflight and guards against servers that work, break, and come back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import Field

from probes.config.load import Config, load
from probes.errors import CheckFailed
from probes.kind import Kind
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Recorder
from probes.result import Reason, Result
from scenarios.course.guards import Guard, Guards
from scenarios.course.preflight import of_journeys, preflight, watching
from scenarios.plan import Fences
from scenarios.rails.fences import policy_of
from scenarios.report import Verdict
from tests.faults.http import fault_server

FILE = """
version: 1
journeys:
  home:
    base_url: http://127.0.0.1:{closed}
    steps: [{{name: home, get: /}}]
probes:
  - {{name: page, kind: journey, journey: home, every: 60s}}
  - {{name: port, kind: tcp, target: "127.0.0.1:{closed}"}}
"""
ANYWHERE = policy_of(Fences(("127.0.0.0/8",)))
HERE = policy_of(Fences(("127.0.0.1/32",)))
# Both pages lead to a host that the load may not reach.
ASTRAY = """
version: 1
journeys:
  led: {{base_url: {here}, steps: [{{name: go, get: /to/302?{there}}}]}}
  told:
    base_url: {here}
    steps:
      - {{name: ask, post: /echo, body: "to={there}", extract: {{url: {{regex: "to=(.*)"}}}}}}
      - {{name: go, get: "${{url}}"}}
  aside:
    base_url: {here}
    steps:
      - {{name: home, get: /ok}}
      - {{name: pay, post: "{there}", load: skip}}
      - repeat: {{times: 2, steps: [{{name: pay-more, post: "{there}", load: skip}}]}}
      - {{name: count, get: /status/204, load: only}}
probes:
  - {{name: led, kind: journey, journey: led, every: 60s}}
  - {{name: told, kind: journey, journey: told, every: 60s}}
  - {{name: port, kind: http, target: "{there}"}}
"""


class Scripted(Kind):
    """Ends each run as told: a reason, or up; the last word lasts.

    Target:
        anything
    """

    name = "scripted"
    network = False
    words: list[Reason | None]
    runs: list[float] = Field(default_factory=list)

    async def run(self, target: str, recorder: Recorder) -> None:
        self.runs.append(asyncio.get_running_loop().time())
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        if word is not None:
            raise CheckFailed(word, f"want it up, got {word}")


def scripted(*words: Reason | None, **settings: float) -> Probe:
    kind = Scripted.model_construct(words=list(words), runs=[])
    return Probe("it", kind, "x", **settings)  # type: ignore[arg-type]


@pytest.fixture
def health() -> ProberHealth:
    return ProberHealth()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    path = tmp_path / "probes.yaml"
    path.write_text(FILE.format(closed=closed))
    return load(path)


@asynccontextmanager
async def answering(
    text: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_journey_is_asked_at_the_target_of_the_scenario(
    config: Config, health: ProberHealth
) -> None:
    async with answering() as url:
        named, unnamed = watching(config, "page", url), of_journeys(config, ["home"], url)
        whys = await preflight([named, *unnamed], 1, health, ANYWHERE)

    assert whys == ()
    assert named.display == url
    # what is no journey keeps its own
    assert watching(config, "port", url) is config.probes[1]


async def test_what_is_down_fails_the_run_and_says_which_step(
    config: Config, health: ProberHealth
) -> None:
    whys = await preflight(of_journeys(config, ["home"], ""), 1, health, ANYWHERE)

    (why,) = whys
    assert (why.verdict, why.code) == (Verdict.FAIL, "preflight")
    assert why.text.startswith("preflight home: down: ")
    assert "step home" in why.text
    assert why.text.endswith("(refused)")


@dataclass
class Trap:
    """A listener on an address that the load may not reach."""

    url: str
    calls: int = 0

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    made = Trap("")
    server = await asyncio.start_server(made.hear, "127.0.0.2", 0)
    made.url = f"http://127.0.0.2:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield made


@pytest.fixture
async def astray(trap: Trap, tmp_path: Path) -> AsyncIterator[Config]:
    async with fault_server() as server:
        path = tmp_path / "astray.yaml"
        path.write_text(ASTRAY.format(here=server.url(""), there=trap.url))
        yield await asyncio.to_thread(load, path)


@pytest.mark.parametrize(
    "name", ["led", pytest.param("told", id="a host that only an answer names")]
)
@pytest.mark.parametrize("is_named", [False, True])
async def test_no_answer_leads_a_journey_where_the_load_may_not_go(
    astray: Config, trap: Trap, health: ProberHealth, name: str, is_named: bool
) -> None:
    probes = (watching(astray, name, ""),) if is_named else of_journeys(astray, [name], "")
    there = trap.url.removeprefix("http://").removesuffix("/")

    (why,) = await preflight(probes, 1, health, HERE)

    told = f"want a redirect within safety.targets, got one to {there} (blocked)"
    assert why.text == f"preflight {name}: down: step go: {told}"
    assert trap.calls == 0
    # the same is no obstacle where the load may go
    assert await preflight(probes, 1, health, ANYWHERE) == ()
    assert trap.calls == 1


async def test_a_named_journey_begins_where_the_load_may_go(
    astray: Config, trap: Trap, health: ProberHealth
) -> None:
    (why,) = await preflight([watching(astray, "led", trap.url)], 1, health, HERE)

    assert why.verdict is Verdict.INCONCLUSIVE
    assert "unknown: step go: want a target within safety.targets, got 127.0.0.2:" in why.text
    assert trap.calls == 0


async def test_a_journey_of_the_mix_is_asked_for_no_more_than_the_load_plays(
    astray: Config, trap: Trap, health: ProberHealth
) -> None:
    probes = of_journeys(astray, ["aside"], "")

    assert await preflight(probes, 1, health, HERE) == ()
    assert trap.calls == 0


async def test_a_named_probe_of_another_kind_asks_its_own_target(
    astray: Config, trap: Trap, health: ProberHealth
) -> None:
    assert await preflight([watching(astray, "port", "")], 1, health, HERE) == ()
    assert trap.calls == 1


async def test_a_probe_that_comes_up_within_its_attempts_is_up(health: ProberHealth) -> None:
    probe = scripted(Reason.STATUS, Reason.INTERNAL, None)

    assert await preflight([probe], 3, health, ANYWHERE, 0.0) == ()


async def test_no_more_attempts_than_allowed_are_made(health: ProberHealth) -> None:
    probe = scripted(Reason.STATUS, Reason.STATUS, None)

    (why,) = await preflight([probe], 2, health, ANYWHERE, 0.0)

    assert why.text == "preflight it: down: want it up, got status (status)"


async def test_our_own_fault_is_inconclusive_and_stands_behind_a_failure(
    health: ProberHealth,
) -> None:
    own, down = scripted(Reason.RESOURCE), replace(scripted(Reason.BODY), name="down")

    whys = await preflight([own, down], 1, health, ANYWHERE, 0.0)

    assert [why.verdict for why in whys] == [Verdict.FAIL, Verdict.INCONCLUSIVE]


def test_a_name_that_nothing_has_is_told(config: Config) -> None:
    with pytest.raises(ValueError, match="want the name of a probe, got 'nothing'"):
        watching(config, "nothing", "")


async def watched(guard: Guard, health: ProberHealth, enough: Callable[[Guards], bool]) -> Guards:
    """Run a guard until *enough*, then stop it."""
    seen: asyncio.Queue[Result] = asyncio.Queue()
    guards = Guards([guard], health, seen.put_nowait)
    guards.start()
    async with asyncio.timeout(5):
        while not enough(guards):
            await seen.get()
    await guards.stop()
    return guards


async def test_a_guard_trips_after_so_many_failures_in_a_row(health: ProberHealth) -> None:
    down, unknown = Reason.STATUS, Reason.INTERNAL
    # up takes the first back; unknown neither counts nor takes back
    probe = scripted(down, None, down, unknown, down)

    guards = await watched(
        Guard(probe, failures=2, every_s=0.01), health, lambda it: it.tripped.is_set()
    )

    (why,) = guards.whys
    assert (why.verdict, why.code) == (Verdict.ABORTED, "guard")
    assert why.text == "guard it: 2 times in a row down: want it up, got status (status)"
    assert isinstance(probe.kind, Scripted)
    assert len(probe.kind.runs) == 5


async def test_unknown_never_trips_a_guard(health: ProberHealth) -> None:
    probe = scripted(Reason.INTERNAL)
    kind = probe.kind
    assert isinstance(kind, Scripted)

    guards = await watched(
        Guard(probe, failures=1, every_s=0.01), health, lambda _: len(kind.runs) >= 4
    )

    assert (guards.whys, guards.notes) == ([], [])


async def test_a_guard_that_warns_ends_nothing_and_says_it_once(health: ProberHealth) -> None:
    probe = scripted(Reason.STATUS)
    kind = probe.kind
    assert isinstance(kind, Scripted)

    guards = await watched(
        Guard(probe, failures=1, action="warn", every_s=0.01),
        health,
        lambda _: len(kind.runs) >= 3,
    )

    assert not guards.tripped.is_set()
    assert guards.notes == ["guard it: once down: want it up, got status (status)"]
