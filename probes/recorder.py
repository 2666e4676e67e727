"""The notebook one run writes into: phases, samples, facts, warnings.

A recorder and not a return value, because a run that dies half-way must keep what it found so far.
Knows neither the verdict nor who reads it. Standard library only.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType

from probes.result import Failure, Phase, Reason, Result, Sample

# Facts go to people: a page of text from a hostile target helps nobody.
MAX_FACT_CHARACTERS = 2048


@dataclass(slots=True)
class Keep:
    """What outlives the runs of one probe; whoever calls `probes.run.run_once` for ever owns it.

    Args:
        memory: what the kind wants to know again in its next run; it replaces it, never changes it.
        news: asked for what has come in between two runs by ``Kind.watch``.
        every_s: seconds between two runs.
    """

    memory: object = None
    news: Callable[[], object] = lambda: None
    every_s: float = 30.0


class Recorder:
    """What a run has found so far.

    Args:
        deadline: of the run, on the clock of the running event loop (``loop.time()``); drivers that
            want a timeout of their own ask `remaining`. Infinite in unit tests of pure parts.
        clock: seconds with full resolution, for phases only.
    """

    __slots__ = (
        "_clock", "_facts", "_open", "_phases", "_samples", "_started", "_steps", "_warnings",
        "asleep", "cut_off", "deadline", "keep", "phase_name", "run_id", "secrets",
    )  # fmt: skip

    def __init__(
        self, deadline: float = float("inf"), clock: Callable[[], float] = perf_counter
    ) -> None:
        self.deadline = deadline
        self.phase_name: str | None = None
        self.run_id = ""
        """Of the Result; given by `probes.run`."""
        self.secrets: list[str] = []
        self.keep: Keep | None = None
        """What outlives the run; None: it stands alone, and may take ``Kind.settle_s`` longer."""
        self.cut_off: Callable[[], Awaitable[str | None]] | None = None
        """Asked whether the prober itself has lost its network: why, or None."""
        self.asleep: Callable[[], str | None] | None = None
        """Asked whether the prober itself was frozen or overloaded since the run began."""
        self._clock = clock
        self._started = clock()
        self._open: float | None = None
        self._phases: dict[str, Phase] = {}
        self._samples: list[Sample] = []
        self._facts: dict[str, str] = {}
        self._warnings: list[Failure] = []
        self._steps: list[Result] = []

    def phase(self, name: str) -> "_OpenPhase":
        """Time a part of the run: ``with recorder.phase("query"): ...``. Phases do not nest."""
        return _OpenPhase(self, name)

    def enter(self, name: str) -> None:
        """Begin a phase and end the one that is open; for code whose phases end in callbacks."""
        now = self._clock()
        if self._open is not None:
            self._close(now)
        self.phase_name, self._open = name, now

    def leave(self) -> None:
        """End the open phase as complete. Without an open phase it does nothing."""
        if self._open is not None:
            self._close(self._clock())
        self.phase_name = None

    def leave_after(self, seconds: float) -> None:
        """End the open phase as complete, after *seconds* that were measured elsewhere."""
        name = self.phase_name
        self.phase_name = self._open = None
        if name is not None:
            self._add(name, seconds, complete=True)

    def break_off(self) -> None:
        """End the open phase as one that broke off: the run goes on behind it."""
        name = self.phase_name
        if name is not None:
            self.leave()
            self.add_phase(name, 0.0, complete=False)

    def add_phase(self, name: str, seconds: float, *, complete: bool = True) -> None:
        """Record a phase that was timed elsewhere; the same name twice (redirects) adds up."""
        self._add(name, seconds, complete=complete)

    def sample(self, name: str, value: float, **labels: str) -> None:
        """Record a number under a name that ``Kind.metrics`` declares."""
        self._samples.append(Sample(name, value, tuple(labels.items()) if labels else ()))

    def extend(self, samples: Iterable[Sample]) -> None:
        """Record many numbers at once; for what every run records."""
        self._samples += samples

    def forget(self, *names: str) -> None:
        """Drop the samples of these names: a later hop of the same run has the final say."""
        self._samples = [sample for sample in self._samples if sample.name not in names]

    def fact(self, name: str, text: str) -> None:
        """Record a text for people; it never becomes a label. The same name again replaces it."""
        self._facts[name] = (
            text if len(text) <= MAX_FACT_CHARACTERS else text[:MAX_FACT_CHARACTERS] + "…"
        )

    def warn(self, reason: Reason, message: str, *, phase: str | None = None) -> None:
        """Record what makes the run degraded, not down."""
        self._warnings.append(Failure(reason, message, phase or self.phase_name))

    def excuse(self, reason: Reason, why: str) -> None:
        """Drop the warnings of *reason*: they are no fault of the target; a fact tells of it."""
        kept = [warning for warning in self._warnings if warning.reason is not reason]
        if len(kept) < len(self._warnings):
            self._warnings = kept
            self.fact("not judged", f"{reason.value}: {why}")

    def step(self, result: Result) -> None:
        """Record the Result of one step of a journey."""
        self._steps.append(result)

    def hide(self, secret: str) -> None:
        """Remember a secret that came up at run time, so that no text of this run shows it."""
        if secret:
            self.secrets.append(secret)

    def fresh(self) -> "Recorder":
        """Return an empty notebook for a part of this run, with the same beginning and end."""
        part = Recorder(self.deadline, self._clock)
        part._started = self._started
        part.run_id, part.keep = self.run_id, self.keep
        part.cut_off, part.asleep = self.cut_off, self.asleep
        return part

    def adopt(self, part: "Recorder") -> None:
        """Go on from where *part* stands: what it holds takes the place of what is here."""
        self._open, self.phase_name = part._open, part.phase_name  # noqa: SLF001 - one of us
        self._phases = dict(part._phases)  # noqa: SLF001 - of the same class
        self._samples, self._warnings = list(part.samples), list(part.warnings)
        self._facts, self._steps = part.facts, list(part.steps)
        self.secrets += part.secrets

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._started

    def remaining(self, now: float) -> float:
        """Return the seconds left on the loop's clock at *now*, >= 0."""
        return max(0.0, self.deadline - now)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases so far, in the order in which they first began; an open one is incomplete."""
        if self._open is None or self.phase_name is None:
            return tuple(self._phases.values())
        done = dict(self._phases)
        before = done.get(self.phase_name)
        seconds = self._clock() - self._open + (before.seconds if before is not None else 0.0)
        done[self.phase_name] = Phase(self.phase_name, seconds, complete=False)
        return tuple(done.values())

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The numbers so far."""
        return tuple(self._samples)

    @property
    def facts(self) -> dict[str, str]:
        """The facts so far; a copy."""
        return dict(self._facts)

    @property
    def warnings(self) -> tuple[Failure, ...]:
        """The warnings so far."""
        return tuple(self._warnings)

    @property
    def steps(self) -> tuple[Result, ...]:
        """The steps so far."""
        return tuple(self._steps)

    def found(self) -> tuple[Mapping[str, str], list[Result], list[Failure]]:
        """Return facts, steps and warnings as they stand, for whoever changes none of them."""
        return self._facts, self._steps, self._warnings

    def _add(self, name: str, seconds: float, *, complete: bool) -> None:
        before = self._phases.get(name)
        if before is not None:
            seconds += before.seconds
        self._phases[name] = Phase(name, seconds, complete)

    def _close(self, now: float, complete: bool = True) -> None:  # noqa: FBT001, FBT002 - hot
        name, phases = self.phase_name, self._phases
        if self._open is not None and name is not None:
            if name in phases:
                self._add(name, now - self._open, complete=complete)
            else:
                # Phase(...) is a call of a Python function more, which makes the tuple like this
                phases[name] = tuple.__new__(Phase, (name, now - self._open, complete))
        self._open = None


class _OpenPhase:
    """One ``with recorder.phase(...)`` block.

    When it raises, the phase stays recorded as incomplete and stays the recorder's current one, so
    that the failure names it.
    """

    __slots__ = ("_name", "_recorder")

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder = recorder
        self._name = name

    def __enter__(self) -> None:
        self._recorder.enter(self._name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._recorder.leave()
        else:
            recorder = self._recorder
            # one class in two halves
            recorder._close(recorder._clock(), complete=False)  # noqa: SLF001 - of the same class
