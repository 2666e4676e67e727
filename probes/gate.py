"""The gate: a batch of probes that must pass before a deadline, in rounds.

Collects Results so that they are complete at any moment, also when the batch is cut off. Knows
neither the terminal nor the files that a report goes to.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.report import is_unfinished
from probes.result import Outcome, Result
from probes.run import DEFAULT_PARALLEL, run_all, unfinished

# A new pod needs seconds to come up; asking it more often only loads it.
WAIT_BETWEEN_ROUNDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """When the gate is passed.

    Args:
        deadline: monotonic time when all must have ended; None: only the probes' own timeouts.
        retries: further rounds for the probes that did not pass.
        wait: further rounds until all pass or the deadline comes.
        fail_on_degraded: a degraded probe does not pass.
        parallel: runs in flight at most.
    """

    deadline: float | None = None
    retries: int = 0
    wait: bool = False
    fail_on_degraded: bool = False
    parallel: int = DEFAULT_PARALLEL


class Gate:
    """One passage of *probes*.

    ``running`` maps the name of each run in flight to the monotonic time of its start.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        terms: Terms,
        health: ProberHealth | None = None,
        finished: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self.probes = tuple(probes)
        self.terms = terms
        self.running: dict[str, float] = {}
        self.round = 0
        self._health = health
        self._finished = finished
        self._results: dict[str, Result] = {}

    @property
    def ended(self) -> int:
        """How many probes have a Result."""
        return len(self._results)

    def results(self) -> list[Result]:
        """Return a Result for each probe, in their order; who has none is told as unfinished."""
        text = "want a Result before the gate closed, got none"
        return [
            self._results[probe.name] if probe.name in self._results else unfinished(probe, text)
            for probe in self.probes
        ]

    async def run(self) -> list[Result]:
        """Run every probe, then again what did not pass, as the terms say."""
        waiting = list(self.probes)
        while True:
            await run_all(
                waiting,
                parallel=self.terms.parallel,
                deadline_s=self._left(),
                health=self._health,
                started=self._begin,
                finished=self._end,
            )
            self.round += 1
            waiting = [probe for probe in waiting if not self._passes(self._results[probe.name])]
            left = self._left()
            may_repeat = self.terms.wait or self.round <= self.terms.retries
            if not waiting or not may_repeat or (left is not None and left < WAIT_BETWEEN_ROUNDS_S):
                return self.results()
            await asyncio.sleep(WAIT_BETWEEN_ROUNDS_S)

    def _left(self) -> float | None:
        if self.terms.deadline is None:
            return None
        return max(0.0, self.terms.deadline - monotonic())

    def _passes(self, result: Result) -> bool:
        return result.ok and not (
            self.terms.fail_on_degraded and result.outcome is Outcome.DEGRADED
        )

    def _begin(self, probe: Probe) -> None:
        self.running[probe.name] = monotonic()

    def _end(self, result: Result) -> None:
        self.running.pop(result.probe, None)
        if is_unfinished(result) and result.probe in self._results:
            return  # the verdict of an earlier round says more than a round that was cut off
        self._results[result.probe] = result
        self._finished(result)
