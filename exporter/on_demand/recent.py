"""The last runs that ``/probe`` was asked for, and failures that would have fallen out of them.

Bounded, in memory, of this process alone. Knows no page.
"""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from exporter.on_demand.plans import Plan
from probes.result import Result

# blackbox.md 5.6
DEFAULT_LIMIT = 100


class Run(NamedTuple):
    """One run.

    Args:
        number: counted from 1.
        plan: what was run.
        result: what was found.
        limit_s: the timeout in force.
    """

    number: int
    plan: Plan
    result: Result
    limit_s: float


class Recent:
    """The last runs, newest last.

    Args:
        limit: so many, and as many failures that are older.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._count = 0
        self._runs: deque[Run] = deque()
        self._failures: deque[Run] = deque(maxlen=limit)

    def add(self, plan: Plan, result: Result, limit_s: float) -> Run:
        """Note a run and return it."""
        self._count += 1
        run = Run(self._count, plan, result, limit_s)
        self._runs.append(run)
        if len(self._runs) > self._limit:
            oldest = self._runs.popleft()
            if not oldest.result.ok:
                self._failures.append(oldest)
        return run

    def newest_first(self) -> Iterator[Run]:
        """Yield every run that is kept."""
        yield from reversed(self._runs)
        yield from reversed(self._failures)

    def find(self, number: int) -> Run | None:
        """Return the run of that number, if it is kept."""
        return next((run for run in self._all() if run.number == number), None)

    def match(self, digest: bytes, module: str) -> Run | None:
        """Return the oldest run against a target, failures that were kept aside first.

        Args:
            digest: of the target (`exporter.on_demand.plans.digest_of`).
            module: its name; empty: any.
        """
        for run in self._all():
            if run.plan.digest == digest and module in ("", run.plan.source.name):
                return run
        return None

    def _all(self) -> Iterator[Run]:
        return chain(self._failures, self._runs)
