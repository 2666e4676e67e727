"""What must be up before any load is sent: the named probe, or each journey of the mix, once.

A journey goes where the load may go and nowhere else: a redirect must not lead it past the rails. A
probe of another kind is no user of the load: it asks its own target, as it always does.

Also makes the probes that watch a run (`scenarios.course.guards`): those of the file, but a journey
asks the scenario's target. Knows no load.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

from probes.config.load import Config
from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.kinds import find_kind
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.result import Outcome, Result
from probes.run import run_once
from probes.wire.policy import POLICY, Policy
from scenarios.config.playable import as_loaded
from scenarios.report import Verdict, Why

# Between two attempts: what restarts needs a moment, and three attempts must not be one.
RETRY_S = 1.0
CODE = "preflight"
# load.md 11: these ask the target of the scenario.
TARGETED = frozenset({"journey", "browser"})
# A page in a browser is no user of a load either: it fetches pictures and scripts from anywhere.
FENCED = "journey"
_RANK = (Outcome.DOWN, Outcome.UNKNOWN)


def watching(config: Config, name: str, target: str) -> Probe:
    """Return the probe *name* of the file as it watches a run against *target*.

    Raises:
        ValueError: there is none, or *target* is none of its kind.
    """
    for probe in config.probes:
        if probe.name == name:
            if not target or probe.kind.name not in TARGETED:
                return probe
            probe.kind.check_target(target)
            return replace(probe, target=target, display="")
    raise ValueError(f"want the name of a probe, got {name!r}")


def of_journeys(config: Config, names: Iterable[str], target: str) -> tuple[Probe, ...]:
    """Return a probe for each journey of a mix, which plays what the load plays.

    Blocks (TLS contexts, files of data).
    """
    over_http = {
        name: it.keys for name, it in config.journeys.items() if isinstance(it.keys, JourneyKeys)
    }
    world = World(config.path.parent, os.environ, config.variables, over_http)
    made: list[Probe] = []
    for name in names:
        journey = as_loaded(compile_journey(name, over_http[name], world))
        kind = find_kind("journey").model_validate(
            {"journey": name}, context={"journeys": {name: journey}}
        )
        aim = target or journey.base_url
        kind.check_target(aim)
        made.append(Probe(name, kind, aim, timeout_s=journey.timeout_s, redact=config.redact))
    return tuple(made)


async def preflight(
    probes: Sequence[Probe],
    attempts: int,
    health: ProberHealth,
    policy: Policy,
    pause_s: float = RETRY_S,
) -> tuple[Why, ...]:
    """Run each probe until it is up or degraded, at most *attempts* times; all at the same time.

    Args:
        probes: what must be up.
        attempts: of each.
        health: the prober's own pulse.
        policy: who may be reached by the load, and so by journeys.
        pause_s: between two attempts.

    Returns:
        Why no load may be sent: down fails the run, unknown proves nothing; empty: all are well.
    """
    results = await asyncio.gather(
        *(_fenced(_attempt(probe, attempts, health, pause_s), probe, policy) for probe in probes)
    )
    return tuple(
        Why(
            Verdict.FAIL if result.outcome is Outcome.DOWN else Verdict.INCONCLUSIVE,
            CODE,
            f"preflight {result.probe}: {told(result)}",
        )
        for result in sorted(
            (it for it in results if it.outcome in _RANK), key=lambda it: _RANK.index(it.outcome)
        )
    )


def told(result: Result) -> str:
    """Return in a line why a run was not up."""
    failure = result.failure
    text = f"{failure.message} ({failure.reason})" if failure is not None else "no reason given"
    return f"{result.outcome}: {text}"


async def _fenced(attempt: Coroutine[Any, Any, Result], probe: Probe, policy: Policy) -> Result:
    if probe.kind.name != FENCED:
        return await attempt
    with POLICY.set(policy):
        return await attempt


async def _attempt(probe: Probe, attempts: int, health: ProberHealth, pause_s: float) -> Result:
    result = await run_once(probe, health=health)
    for _ in range(attempts - 1):
        if result.outcome not in _RANK:
            break
        await asyncio.sleep(pause_s)
        result = await run_once(probe, health=health)
    return result
