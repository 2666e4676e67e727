"""What a plan asks of the machines that generate it: how many shards, and whether they can.

    rate x requests ──> shards          load.md 5.6
    plan ──> above_ceilings, above_capacity ──> why it is refused

Pure, but for `Machine.here`. Knows neither file nor child.
"""

import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Self

from probes.journey.safety import LoadSafety
from probes.units import format_duration, format_rate
from scenarios.plan import Model, Plan, Pool, Stage
from scenarios.rails.fences import refusal
from scenarios.report import LoadReport, Why

# load.md 5.6, in requests a second.
REQUESTS_OF_SHARD = 800
CAPACITY_OF_SHARD = 2000.0
MOST_OF_CAPACITY = 0.7
# Of a closed user without a pace nobody knows the rate before: one request each 100 ms, to deal
# users to processes, never to refuse.
_REQUESTS_OF_USER = 10
# load.md 5.6: one descriptor a user, with room, and what a child has open by itself.
_FDS_OF_USER = 1.2
_FDS_OF_CHILD = 64
# A second in which a generator was idler than this says nothing of what it could do, and neither do
# a few seconds: the start of a run costs more than its course.
_BUSY_CPU = 0.3
_BUSY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """What one process and all of them may use.

    Args:
        cpus: processors of this process.
        descriptors: of one child at most.
    """

    cpus: int
    descriptors: int

    @classmethod
    def here(cls, cpus: int | None = None, descriptors: int | None = None) -> Self:
        """Return this machine; what is given is taken for it."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = sys.maxsize if hard == resource.RLIM_INFINITY else hard
        return cls(cpus or len(os.sched_getaffinity(0)), descriptors or most)


def capacity_of(report: LoadReport) -> float | None:
    """Return how many requests a second one shard can do, by what they cost in the busy seconds.

    None: no generator was busy enough to tell, or one was lost.
    """
    shards = len(report.generators)
    if any(it.state != "final" for it in report.generators):
        return None
    found = [
        second.requests / second.seconds / shards / second.cpu
        for second in report.timeline
        if second.cpu >= _BUSY_CPU and second.requests
    ]
    return median(found) if len(found) >= _BUSY_SECONDS else None


@dataclass(frozen=True, slots=True)
class Profile:
    """How much of a load is asked for.

    Args:
        model: see load.md 5.2.
        stages: of rates or users.
        pool: users.
        pace_s: of a user, outside of the model ``open``; 0: none.
    """

    model: Model
    stages: tuple[Stage, ...]
    pool: Pool
    pace_s: float = 0.0

    @property
    def rate(self) -> float | None:
        """Iterations that begin in a second at most; None: nobody knows before."""
        if self.model == "open":
            return max((max(it.first, it.last) for it in self.stages), default=0.0)
        return self.pool.max / self.pace_s if self.pace_s else None


def shards_for(
    wanted: int, profile: Profile, requests: float, machine: Machine
) -> tuple[int, tuple[str, ...]]:
    """Return how many shards, and what is to be said about it.

    Args:
        wanted: 0 is ``auto``.
        profile: that they share.
        requests: of one iteration.
        machine: that they run on.
    """
    most = profile.pool.max
    if wanted > most:
        # a shard without a user would drop every arrival of its own
        text = f"want at most one shard for each of {most} users, got {wanted}: {most} run"
        return most, (text,)
    if wanted:
        return wanted, ()
    rate = profile.rate
    needed = most * _REQUESTS_OF_USER if rate is None else rate * requests
    return max(1, min(ceil(needed / REQUESTS_OF_SHARD), machine.cpus, most)), ()


def _profile(plan: Plan) -> Profile:
    return Profile(plan.model, plan.stages, plan.pool, plan.pace_s)


def above_ceilings(plan: Plan, ceilings: LoadSafety) -> Iterator[Why]:
    """Yield the ceilings that *plan* is above."""
    if plan.pool.max > ceilings.max_users:
        text = f"want at most {ceilings.max_users} users (safety.load.max_users)"
        yield refusal("ceiling", f"{text}, got {plan.pool.max}")
    rate = _profile(plan).rate
    if plan.model == "open" and rate is not None and rate > ceilings.max_rate:
        text = f"want at most {format_rate(ceilings.max_rate)} (safety.load.max_rate)"
        yield refusal("ceiling", f"{text}, got {format_rate(rate)}")
    if plan.seconds > ceilings.max_duration:
        text = f"want at most {format_duration(ceilings.max_duration)} (safety.load.max_duration)"
        yield refusal("ceiling", f"{text}, got {format_duration(plan.seconds)}")


def above_capacity(plan: Plan, machine: Machine, known: float | None) -> Iterator[Why]:
    """Yield what *machine* cannot do of *plan*.

    Args:
        plan: with its shards.
        machine: that they run on.
        known: requests a second of one shard, from an earlier run.
    """
    rate = _profile(plan).rate
    generators = min(plan.shards, machine.cpus)
    most = MOST_OF_CAPACITY * generators * (known or CAPACITY_OF_SHARD)
    if rate is not None and (needed := rate * plan.requests_per_iteration) > most:
        share = f"{MOST_OF_CAPACITY:.0%} of what {generators} generators can do"
        yield refusal(
            "capacity", f"want at most {most:.0f} requests/s, {share}, got {needed:.0f} requests/s"
        )
    users = -(-plan.pool.max // plan.shards)
    if (needed := users * _FDS_OF_USER + _FDS_OF_CHILD) > machine.descriptors:
        text = f"want at most {machine.descriptors} descriptors a shard (ulimit -Hn)"
        yield refusal("capacity", f"{text}, got {needed:.0f} for {users} users")
