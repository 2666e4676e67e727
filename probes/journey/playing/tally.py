"""What one step has come to so far, over all its requests, hops, polls and rounds.

Knows no step of a file and no verdict: it adds up what it is told.
"""

from collections.abc import Mapping

from probes.journey.model import Part, Request, Response, State, StepResult
from probes.result import NO_FACTS, Failure, Phase

# A repeated step may warn in each of a thousand rounds, in as many words.
MAX_WARNINGS = 10


class Tally:
    """The sum of one named step.

    Args:
        step: its name.
        part: of the journey.
    """

    __slots__ = (
        "_bad",
        "_expectations",
        "_good",
        "_phases",
        "_received",
        "_sent",
        "_warnings",
        "facts",
        "failure",
        "is_pending",
        "part",
        "request",
        "response",
        "rounds",
        "seconds",
        "status",
        "step",
    )

    def __init__(self, step: str, part: Part) -> None:
        self.step = step
        self.part = part
        self.failure: Failure | None = None
        self.facts: Mapping[str, str] = NO_FACTS
        self.request: Request | None = None
        self.response: Response | None = None
        self.is_pending = False
        """A request was answered, and nobody has said how it ended."""
        self.seconds = 0.0
        self.status = 0
        self.rounds = 0
        """How often it was played; 0: it was skipped."""
        self._bad = self._good = self._sent = self._received = 0
        self._phases: tuple[Phase, ...] = ()
        self._expectations: Mapping[tuple[str, str], int] = {}
        self._warnings: list[Failure] = []

    def exchanged(self, request: Request, response: Response) -> None:
        """Add an answer, and keep it as evidence until the next one."""
        self.request, self.response = request, response
        self.is_pending = True
        self.status = response.status
        self._sent += response.sent
        self._received += response.received
        self.took(response.phases)

    def took(self, phases: tuple[Phase, ...]) -> None:
        """Add phases."""
        self._phases = _added(self._phases, phases) if self._phases else phases

    def ended(self, *, good: bool) -> None:
        """Count the request that is pending by how it ended."""
        self.is_pending = False
        if good:
            self._good += 1
        else:
            self._bad += 1

    def judged(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add what was expected, by what came of it."""
        if not self._expectations:
            self._expectations = counts
            return
        # what was given may be shared by all plays
        self._expectations = mine = dict(self._expectations)
        for key, number in counts.items():
            mine[key] = mine.get(key, 0) + number

    def warn(self, failure: Failure, expect: str) -> None:
        """Note what missed a ``warn``."""
        self.judged({(expect, "warned"): 1})
        if len(self._warnings) < MAX_WARNINGS and failure not in self._warnings:
            self._warnings.append(failure)

    def close(self, seconds: float) -> None:
        """Add the time of a round that is over, and forget what was exchanged."""
        self.seconds += seconds
        self.request = self.response = None

    @property
    def warnings(self) -> tuple[Failure, ...]:
        """What missed a ``warn``, each once."""
        return tuple(self._warnings)

    def result(self) -> StepResult:
        """Return what became of the step."""
        state = State.OK if self.rounds else State.SKIPPED
        return StepResult(
            self.step,
            self.part,
            state if self.failure is None else State.FAILED,
            self.failure,
            self.seconds,
            self._phases,
            self.status,
            (self._good, self._bad),
            self._sent,
            self._received,
            tuple(self._warnings),
            self._expectations,
            self.facts,
            self.rounds,
        )


def _added(before: tuple[Phase, ...], more: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return the sums by name; a name that broke off at last broke off."""
    sums = {phase.name: phase for phase in before}
    for phase in more:
        old = sums.get(phase.name)
        seconds = phase.seconds + (old.seconds if old is not None else 0.0)
        sums[phase.name] = Phase(phase.name, seconds, phase.complete)
    return tuple(sums.values())
