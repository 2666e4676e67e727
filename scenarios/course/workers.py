"""The children of a run, here or past this machine: shards of our own, or a master of workers.

What goes to a master holds no journey and no secret: its port is open to whoever reaches it, and
each worker reads its own file. Knows no message.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from probes.errors import ConfigError, Problem
from scenarios.fleet.launch import Fleet
from scenarios.fleet.member import Crew
from scenarios.plan import Plan
from scenarios.records import Secrets


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that are expected.

    Args:
        count: of them.
        address: to listen on, ``HOST:PORT``; IPv6 in brackets.
        wait_s: for them to be ready.
    """

    count: int
    address: str
    wait_s: float = 60.0


def enough_work(plan: Plan, workers: Workers) -> None:
    """Judge whether there is something to do for each.

    Raises:
        ConfigError: there is not.
    """
    if plan.shards != workers.count:
        text = f"want at most one worker for each of {plan.shards} users, got {workers.count}"
        raise ConfigError([Problem("--expect-workers", 0, 0, "", text)])


def fleet_of(
    plan: Plan,
    secrets: Secrets,
    place: Path,
    on_lost: Literal["continue", "stop"],
    workers: Workers | None,
) -> Fleet:
    """Return who plays *plan*.

    Args:
        plan: of the run.
        secrets: what it does not say; it stays on this machine.
        place: for the private directory of the run.
        on_lost: whether a lost shard ends the run.
        workers: None: children of ours play.
    """
    if workers is None:
        return Fleet(plan, secrets, place, on_lost)
    command = (sys.executable, "-m", "scenarios.worker", "master", workers.address)
    crew = Crew(tuple(range(plan.shards)), command, relays=True)
    return Fleet(without_code(plan), Secrets(), place, on_lost, [crew])


def without_code(plan: Plan) -> Plan:
    """Return *plan* as it travels: journeys, files and paths are those of each machine."""
    mix = tuple(replace(it, locustfile=Path(it.locustfile).name) for it in plan.mix)
    return replace(plan, journeys={}, directory="", mix=mix, locust_html=False)
