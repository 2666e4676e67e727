"""Which steps of a journey a load plays, and why a journey cannot be played by one. Pure.

    played(steps)     without `load: skip`, flattened, each with how often it is played
    obstacles(...)    steps of a family that is for probes alone
    as_loaded(...)    a journey whose every run plays what a load plays

Knows no scenario and no driver.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from probes.journey.steps import HttpStep, Journey, RepeatStep, SocketStep, SqlStep, Step

# load.md 2.3: further families are for probes.
_FOR_PROBES: tuple[tuple[type[Step], str], ...] = ((SocketStep, "ws"), (SqlStep, "sql"))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A step that keeps a load from playing its journey.

    Args:
        step: its name.
        family: the key that tells its family.
    """

    step: str
    family: str

    def __str__(self) -> str:
        return f"its step {self.step!r} ({self.family}) is for probes alone"


def played(steps: Iterable[Step], times: float = 1.0) -> Iterator[tuple[Step, float]]:
    """Yield the steps that a load plays, in order, with the rounds of each in one iteration.

    A list that only a run knows counts as one round, and so does a condition.
    """
    for step in steps:
        if step.common.load == "skip":
            continue
        if isinstance(step, RepeatStep):
            yield from played(step.steps, times * _rounds(step))
        else:
            yield step, times


def obstacles(journey: Journey) -> Iterator[Obstacle]:
    """Yield the steps of *journey* that no load can play."""
    for step, _ in played((*journey.setup, *journey.steps, *journey.cleanup)):
        for family, key in _FOR_PROBES:
            if isinstance(step, family):
                yield Obstacle(step.common.name, key)


def requests_of(journey: Journey) -> float:
    """Return how many requests an iteration makes: redirects and polls beyond the first excluded.

    ``setup`` is no part of an iteration: each user plays it once.
    """
    played_steps = played((*journey.steps, *journey.cleanup))
    return sum(times for step, times in played_steps if isinstance(step, HttpStep))


def as_loaded(journey: Journey) -> Journey:
    """Return *journey* without the steps that no load plays, and with those that only a load does.

    What it is for: whoever asks before a load whether it can be played asks for no more than that.
    """
    setup, steps, cleanup = map(_loaded, (journey.setup, journey.steps, journey.cleanup))
    return replace(journey, setup=setup, steps=steps, cleanup=cleanup)


def _loaded(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(_freed(step) for step in steps if step.common.load != "skip")


def _freed(step: Step) -> Step:
    common = replace(step.common, load="both")
    if isinstance(step, RepeatStep):
        return replace(step, common=common, steps=_loaded(step.steps))
    return replace(step, common=common)


def _rounds(step: RepeatStep) -> float:
    if step.times is not None:
        return float(step.times)
    over: Any = step.over
    if over is not None and over.is_constant and isinstance(over.source, list):
        return float(len(over.source))
    return 1.0
