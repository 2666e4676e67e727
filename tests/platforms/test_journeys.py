"""The journeys of examples/: each goes through a stand-in of its platform, and tells what breaks.

The files are played as they are shipped, but for times that no test waits for.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from probes.config.load import Config
from probes.journey.playing.play import Context, play
from probes.kinds.journey import Journey
from probes.probe import Probe
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from scenarios.child.driver import LoadDriver, play_through
from scenarios.child.resolver import Resolver
from tests.platforms import cf1, fitness, new_fuse, pfm, takumi
from tests.platforms.examples import EXAMPLES, load_example, variables
from tests.platforms.stand_in import Platform, running
from tests.probes.journey import memory
from tests.scenarios.driving import in_thread

ROUTES = {
    "cf1": cf1.ROUTES,
    "fitness": fitness.ROUTES,
    "new-fuse": new_fuse.ROUTES,
    "pfm": pfm.ROUTES,
    "takumi": takumi.ROUTES,
}
# where the stand-in is found instead of what platforms.env says
PLACES = {
    "CF1_URL": "", "FITNESS_URL": "", "FUSE_URL": "", "PFM_URL": "", "API_URL": "",
    "SOLANA_RPC_URL": "/solana", "RPC_URL": "/node", "INDEXER_URL": "/indexer",
}  # fmt: skip
# written for platforms -> for tests: still two looks and a half
POLL = re.compile(r"every: \d+(?:ms|s)(,\s+|\s+)timeout: \d+s")

one_loop = pytest.mark.asyncio(loop_factories=["uvloop"])


class Break(NamedTuple):
    """What one answers wrongly, and what must be told of it."""

    probe: str
    route: str
    answer: tuple[int, object]
    step: str
    reason: Reason


def example_at(platform: Platform, name: str, directory: Path) -> Config:
    """Return an example that goes to the stand-in."""
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    text = POLL.sub(r"every: 100ms\1timeout: 250ms", text).replace("think: 1s..3s", "think: 1ms")
    (directory / f"{name}.yaml").write_text(text)
    there = {variable: platform.url + path for variable, path in PLACES.items()}
    return load_example(directory / f"{name}.yaml", variables() | there)


@pytest.fixture
async def platform(name: str) -> AsyncIterator[Platform]:
    async with running(ROUTES[name]) as platform:
        yield platform


@pytest.fixture
def played(name: str, platform: Platform, tmp_path: Path) -> dict[str, Probe]:
    return {probe.name: probe for probe in example_at(platform, name, tmp_path).probes}


def failed_step(result: Result) -> tuple[str, Reason] | None:
    for step in result.steps:
        if step.failure is not None:
            return step.probe, step.failure.reason
    return None


JOURNEYS = {
    "cf1": ("cf1-invest", "cf1-wallet"),
    "fitness": ("fitness-payment", "fitness-login-negative", "fitness-live"),
    "new-fuse": ("fuse-login", "fuse-workflow", "fuse-task"),
    "pfm": ("pfm-vote", "pfm-wallet"),
    "takumi": ("takumi-profile",),
}


@pytest.mark.parametrize(
    ("name", "probe"),
    [pytest.param(name, probe, id=probe) for name, each in JOURNEYS.items() for probe in each],
)
@one_loop
async def test_a_journey_goes_through_its_platform(
    played: dict[str, Probe], probe: str, platform: Platform
) -> None:
    result = await run_once(played[probe])

    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert {step.outcome for step in result.steps} == {Outcome.UP}
    # the clean-up left nothing behind
    assert not {"investment", "booking", "ballot", "wallet", "profile"} & set(platform.state)


def test_no_journey_of_an_example_is_left_out() -> None:
    for name, probes in JOURNEYS.items():
        config = load_example(EXAMPLES / f"{name}.yaml", variables())
        assert [p.name for p in config.probes if p.kind.name == "journey"] == list(probes)


EMPTY: dict[str, object] = {}
BREAKS = {
    "cf1": (
        Break("cf1-invest", "POST /api/auth/login", (503, None), "log-in", Reason.STATUS),
        Break("cf1-invest", "GET /api/proposals", (200, {"proposals": []}), "proposals",
              Reason.BODY),
        Break("cf1-invest", "POST /api/investments", (201, {"id": "i-1", "sandbox": False}),
              "invest", Reason.BODY),
        Break("cf1-invest", "GET /api/portfolio", (200, {"investments": []}), "portfolio",
              Reason.TIMEOUT),
        Break("cf1-wallet", "POST /api/wallet/connect", (200, EMPTY), "wrong-signature",
              Reason.STATUS),
        Break("cf1-wallet", "GET /api/admin/users", (200, []), "admin-without-token",
              Reason.STATUS),
    ),
    "fitness": (
        Break("fitness-payment", "POST /auth/token", (200, EMPTY), "log-in", Reason.EXTRACT),
        Break("fitness-payment", "POST /bookings", (409, None), "book", Reason.STATUS),
        Break("fitness-payment", "POST /bookings/{id}/payment", (402, None), "pay",
              Reason.STATUS),
        Break("fitness-payment", "GET /bookings/{id}", (200, {"state": "reserved"}), "booked",
              Reason.BODY),
        Break("fitness-login-negative", "POST /auth/token", (500, None), "wrong-password",
              Reason.STATUS),
        Break("fitness-login-negative", "GET /admin/db-pool-status", (200, EMPTY),
              "pool-without-token", Reason.STATUS),
        Break("fitness-live", "GET /ws/metrics", (503, None), "numbers", Reason.STATUS),
    ),
    "new-fuse": (
        Break("fuse-login", "POST /api/v1/auth/login", (401, None), "log-in", Reason.STATUS),
        Break("fuse-login", "POST /api/v1/auth/logout", (204, None), "after", Reason.STATUS),
        Break("fuse-workflow", "GET /api/v1/executions/{id}", (200, {"status": "running"}),
              "done", Reason.TIMEOUT),
        Break("fuse-workflow", "GET /api/v1/executions/{id}", (200, {"status": "failed"}),
              "done", Reason.BODY),
        Break("fuse-task", "POST /api/v1/tasks", (429, None), "queue", Reason.STATUS),
    ),
    "pfm": (
        Break("pfm-vote", "GET /api/communities/{name}", (200, {"open_votes": []}), "community",
              Reason.BODY),
        Break("pfm-vote", "GET /api/votes/{id}", (200, {"tally": {"total": 41}}), "counted",
              Reason.TIMEOUT),
        Break("pfm-wallet", "POST /solana", (502, None), "on-chain", Reason.STATUS),
        Break("pfm-wallet", "GET /api/wallets/{address}/balance", (200, {"lamports": 7}),
              "balance", Reason.TIMEOUT),
    ),
    "takumi": (
        Break("takumi-profile", "POST /profiles", (500, None), "create", Reason.STATUS),
        Break("takumi-profile", "POST /indexer/graphql", (200, {"data": {"events": []}}),
              "indexed", Reason.TIMEOUT),
        Break("takumi-profile", "GET /profiles/{id}", (404, None), "profile", Reason.STATUS),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        pytest.param(name, each, id=f"{each.probe}: {each.step} {each.reason}")
        for name, rows in BREAKS.items()
        for each in rows
    ],
)
@one_loop
async def test_a_broken_step_is_told_by_name_and_reason(
    played: dict[str, Probe], broken: Break, platform: Platform
) -> None:
    platform.break_it(broken.route, *broken.answer)

    result = await run_once(played[broken.probe])

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.reason is broken.reason, result.failure
    assert f"step {broken.step}: " in result.failure.message
    assert failed_step(result) == (broken.step, broken.reason)


def test_every_journey_is_broken_once_at_least() -> None:
    broken = {row.probe for rows in BREAKS.values() for row in rows}

    assert broken == {probe for probes in JOURNEYS.values() for probe in probes}


@pytest.mark.parametrize(
    ("name", "part", "wrong"),
    [
        pytest.param("fitness", "database", {"healthy": False}, id="the database"),
        pytest.param("fitness", "memory", {"percent_used": 93}, id="the memory"),
    ],
)
@one_loop
async def test_a_health_page_that_lies_is_seen_through(
    played: dict[str, Probe], platform: Platform, part: str, wrong: dict[str, object]
) -> None:
    """FI-H1: 200 and ``healthy``, and a part of it is not."""
    platform.break_it("GET /health", 200, {**fitness.HEALTHY, part: wrong})

    result = await run_once(played["fitness-health"])

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert (result.failure.reason, part in result.failure.message) == (Reason.BODY, True)


@pytest.mark.parametrize(
    ("name", "probe", "never"),
    [
        pytest.param("cf1", "cf1-invest", "POST /api/investments", id="launchpad"),
        pytest.param("fitness", "fitness-payment", "POST /bookings/{id}/payment", id="booking"),
        pytest.param("new-fuse", "fuse-workflow", None, id="baseline, workflows"),
        pytest.param("new-fuse", "fuse-task", None, id="baseline and spike, tasks"),
    ],
)
@one_loop
async def test_a_load_plays_the_journey_and_moves_no_money(
    played: dict[str, Probe], probe: str, never: str | None, platform: Platform
) -> None:
    """By the driver of loads, with what a load plays of it: ``load: skip`` is left out."""
    kind = played[probe].kind
    assert isinstance(kind, Journey)
    context = Context(memory.scope(), monotonic, base_url=platform.url, is_load=True)
    driver = LoadDriver(kind.compiled.tls, Resolver())

    done = await in_thread(lambda: play_through(play(kind.compiled, context), driver))
    driver.close()

    assert done.failure is None
    assert platform.asked
    assert never not in platform.asked
    assert not {"investment", "booking"} & set(platform.state)
