"""Includes spliced in: the steps of a journey as they are played, each with where it was written.

    Placed
    ├── keys       of the step; never those of an `include` without a condition
    ├── path       below the journey that wrote it
    ├── http       defaults: those of its own journey over those of the one that includes it
    ├── guest      the journey that wrote it, and where it is included; None: this one
    └── inner      of `repeat`, or of an `include` with a condition

Knows what an include may reach, and not what a step means.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from probes.journey.flaws import Flaw, Path
from probes.journey.loading.families import IncludeKeys, RepeatKeys
from probes.journey.loading.keys import Headers, StepKeys
from probes.journey.loading.settings import HttpDefaults, JourneyKeys
from probes.pattern import suggest
from probes.units import short

# load.md 2.3
MAX_INCLUDES = 5
# Ten includes of ten each, five deep, are a hundred thousand steps: stop long before.
MAX_SPLICED = 2000


@dataclass(frozen=True, slots=True)
class Guest:
    """Where steps of another journey are included."""

    journey: str
    path: Path


@dataclass(frozen=True, slots=True)
class Placed:
    """One step and where it stands; see above."""

    keys: StepKeys
    path: Path
    http: HttpDefaults
    guest: Guest | None = None
    inner: tuple["Placed", ...] = ()


class Inclusion:
    """Splices the parts of one journey.

    Args:
        name: of the journey.
        keys: of it.
        others: every journey of the file.
        broken: those that could not be read; nothing comes of including one.
    """

    def __init__(
        self,
        name: str,
        keys: JourneyKeys,
        others: Mapping[str, JourneyKeys],
        broken: Collection[str] = (),
    ) -> None:
        self.flaws: list[Flaw] = []
        """Includes that lead nowhere."""
        self.guests: dict[str, JourneyKeys] = {}
        """Every journey that was included, the nearest first."""
        self._name = name
        self._keys = keys
        self._others = others
        self._broken = broken
        self._count = 0

    def part(self, part: str, steps: Sequence[StepKeys]) -> tuple[Placed, ...]:
        """Return the steps of one part."""
        return tuple(self._steps(steps, (part,), self._keys.http, None, (self._name,)))

    def _steps(
        self,
        steps: Sequence[StepKeys],
        path: Path,
        http: HttpDefaults,
        guest: Guest | None,
        chain: tuple[str, ...],
    ) -> Iterator[Placed]:
        for index, keys in enumerate(steps):
            at = (*path, index)
            self._count += 1
            if self._count > MAX_SPLICED:
                return
            if isinstance(keys, IncludeKeys):
                yield from self._included(Placed(keys, at, http, guest), chain)
            elif isinstance(keys, RepeatKeys):
                below = (*at, "repeat", "steps")
                inner = tuple(self._steps(keys.repeat.steps, below, http, guest, chain))
                yield Placed(keys, at, http, guest, inner)
            else:
                yield Placed(keys, at, http, guest)

    def _included(self, placed: Placed, chain: tuple[str, ...]) -> Iterator[Placed]:
        keys = placed.keys
        name = keys.include if isinstance(keys, IncludeKeys) else ""
        other = self._others.get(name)
        miss = self._miss(name, chain)
        if other is None or miss is not None:
            # a guest's own slips, and circles that it turns in, are told where it stands
            is_ours = placed.guest is None or (other is not None and name not in chain[1:])
            if miss is not None and is_ours:
                path = placed.guest.path if placed.guest else (*placed.path, "include")
                self.flaws.append(Flaw(path, miss))
            return
        self.guests.setdefault(name, other)
        guest = placed.guest or Guest(name, (*placed.path, "include"))
        http = over(other.http, placed.http)
        inner = tuple(self._steps(other.steps, ("steps",), http, guest, (*chain, name)))
        if keys.if_ is None and keys.load is None:
            yield from inner
        else:
            yield Placed(keys, placed.path, placed.http, placed.guest, inner)

    def _miss(self, name: str, chain: tuple[str, ...]) -> str | None:
        if name in chain:
            circle = " -> ".join((*chain[chain.index(name) :], name))
            return f"want journeys that do not include each other, got {circle}"
        if name in self._broken:
            return None
        if name not in self._others:
            hint = suggest(name, self._others)
            return f"want the name of a journey with steps over HTTP, got {short(name)}{hint}"
        if len(chain) > MAX_INCLUDES:
            return f"want includes of at most {MAX_INCLUDES} levels, got more"
        return None


def includes(keys: JourneyKeys) -> Iterator[str]:
    """Yield the names of the journeys whose steps *keys* include."""
    for steps in (keys.setup, keys.steps, keys.cleanup):
        yield from _included_in(steps)


def _included_in(steps: Sequence[StepKeys]) -> Iterator[str]:
    for step in steps:
        if isinstance(step, IncludeKeys):
            yield step.include
        elif isinstance(step, RepeatKeys):
            yield from _included_in(step.repeat.steps)


def over(own: HttpDefaults, outer: HttpDefaults) -> HttpDefaults:
    """Return what is written in *own*, and what *outer* says of the rest."""
    written = {key: getattr(own, key) for key in own.model_fields_set}
    written["headers"] = headers_over(own.headers, outer.headers)
    return outer.model_copy(update=written)


def headers_over(own: Headers, outer: Headers) -> Headers:
    """Return the headers of *outer* with those of *own*, whatever their case."""
    replaced = {name.lower() for name in own}
    return {name: it for name, it in outer.items() if name.lower() not in replaced} | own
