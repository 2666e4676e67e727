"""How many runs may be in flight: derived from the limit on open files, with the arithmetic shown.

Knows no schedule and no event loop.
"""

import resource
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from probes.probe import Probe
from probes.prober_health import DESCRIPTOR_RESERVE

# P10: below this not even the reserve and a few runs fit.
MIN_NOFILE = 64
# A hard limit of a billion (containers) helps nobody and slows children that close what they got.
MAX_NOFILE = 1 << 20
# Event loop, listeners, resolver, store, logs: 15 to 20 in a running service.
OWN_DESCRIPTORS = 24
# reliability.md 4: connections to our own port get min(1,000, (nofile - reserve) / 4).
MAX_CONNECTIONS = 1000
CONNECTIONS_SHARE = 4


@dataclass(frozen=True, slots=True)
class Capacity:
    """The in-flight limit.

    Args:
        limit: runs in flight at most.
        wanted: runs in flight if every target hangs.
        nofile: the limit on open files in force.
        warning: the arithmetic where ``wanted`` does not fit; None where it does.
    """

    limit: int
    wanted: int
    nofile: int
    warning: str | None


def raise_nofile() -> int:
    """Raise the soft limit on open files to the hard one and return what is in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = MAX_NOFILE if hard == resource.RLIM_INFINITY else min(hard, MAX_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < ceiling:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
        return ceiling
    return MAX_NOFILE if soft == resource.RLIM_INFINITY else soft


def room_for_requests() -> int:
    """Return how many runs of ``/probe`` the limit on open files leaves room for (blackbox 8.6)."""
    return max(1, (raise_nofile() - DESCRIPTOR_RESERVE) // CONNECTIONS_SHARE)


def plan_capacity(probes: Iterable[Probe], nofile: int | None = None) -> Capacity:
    """Return how many runs may be in flight; raises the soft limit on open files first.

    Args:
        probes: all that will be scheduled.
        nofile: the limit to reckon with; None: raise the process's own.

    Raises:
        ValueError: fewer than `MIN_NOFILE` descriptors; exit code 2.
    """
    nofile = raise_nofile() if nofile is None else nofile
    if nofile < MIN_NOFILE:
        raise ValueError(f"want at least {MIN_NOFILE} file descriptors (ulimit -n), got {nofile}")
    spare = nofile - DESCRIPTOR_RESERVE
    connections = min(MAX_CONNECTIONS, spare // CONNECTIONS_SHARE)
    own = min(OWN_DESCRIPTORS, spare // CONNECTIONS_SHARE)
    limit = spare - connections - own
    # a probe has one run in flight at most
    wanted = ceil(sum(min(1.0, probe.timeout_s / probe.every_s) for probe in probes))
    if wanted <= limit:
        return Capacity(limit, wanted, nofile, None)
    needed = wanted + MAX_CONNECTIONS + OWN_DESCRIPTORS + DESCRIPTOR_RESERVE
    return Capacity(
        limit,
        wanted,
        nofile,
        f"want {wanted} runs in flight when every target hangs (the sum of timeout / every), "
        f"got room for {limit}: {nofile} file descriptors - {DESCRIPTOR_RESERVE} in reserve "
        f"- {connections} for our own port - {own} for ourselves; what does not fit is counted "
        f"as missed (capacity); ulimit -n {needed} fits all",
    )
