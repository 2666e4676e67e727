"""A journey as the file writes it becomes one that can be played, or every mistake in it is told.

    JourneyKeys ── includes spliced ── texts compiled, sources proved ── Journey

Knows no file but that of the data, and nothing of how a journey is played.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from probes.journey.flaws import Flawed, Path
from probes.journey.loading.assembly import WEB, Assembly, extracted
from probes.journey.loading.inclusion import Inclusion, Placed
from probes.journey.loading.keys import MAX_ROUNDS, MAX_STEPS, HttpKeys
from probes.journey.loading.settings import JourneyKeys, World
from probes.journey.loading.sources import begin, variables
from probes.journey.steps import Journey, RepeatStep, Step
from probes.redact import Secret
from probes.wire.url import parse_url


def compile_journey(name: str, keys: JourneyKeys, world: World) -> Journey:
    """Return the journey *name* as it is played.

    Args:
        name: in the file.
        keys: as read.
        world: what else it may reach.

    Raises:
        Flawed: with every mistake.
    """
    made = _Making(name, keys, world)
    journey = made.journey()
    flaws = (*made.inclusion.flaws, *made.proof.flaws)
    if flaws:
        raise Flawed(tuple(dict.fromkeys(flaws)))
    return journey


class _Making:
    """One journey in the making."""

    def __init__(self, name: str, keys: JourneyKeys, world: World) -> None:
        self.name = name
        self.keys = keys
        self.world = world
        self.inclusion = Inclusion(name, keys, world.others, world.broken)
        self.parts = tuple(
            self.inclusion.part(part, getattr(keys, part)) for part in ("setup", "steps", "cleanup")
        )
        guests = self.inclusion.guests
        self.secrets: dict[str, Secret] = {}
        self.vars: dict[str, tuple[str, Any]] = {}
        # the journey itself wins over what it includes, the nearer over the farther
        for owner, it in reversed([("", keys), *guests.items()]):
            self.secrets |= it.secrets
            self.vars |= {key: (owner, value) for key, value in it.vars.items()}
        found = extracted(it for part in self.parts for it in part)
        self.proof, self.feeder = begin(keys, world, self.secrets, found)
        self.assembly = Assembly(self.proof)

    def journey(self) -> Journey:
        """Return what comes of it; it may be played only when there are no flaws."""
        keys = self.keys
        values = variables(self.proof, self.vars, self.world.variables)
        setup, steps = (self.assembly.steps(part) for part in self.parts[:2])
        # what was never made is skipped there
        with self.proof.perhaps():
            cleanup = self.assembly.steps(self.parts[2])
        given = {key: text for key, text in self.world.variables.items() if self._uses(key)}
        self._judge_names()
        self._judge_rounds((*setup, *steps, *cleanup), 1)
        self._judge_tls()
        return Journey(
            name=self.name,
            description=keys.description,
            base_url=keys.base_url or self._first_origin(),
            timeout_s=keys.timeout,
            cleanup_timeout_s=keys.cleanup_timeout,
            vars=tuple((key, value) for key, value in values if key in self.vars or key in given),
            secrets=tuple(self.secrets.items()),
            feeder=self.feeder,
            keeps_cookies=keys.cookies == "keep",
            tls=keys.http.tls,
            setup=setup,
            steps=steps,
            cleanup=cleanup,
            reads=frozenset(self.proof.read),
            origin=(keys, self.inclusion.guests, given, self.feeder and self.feeder.digest),
        )

    def _uses(self, key: str) -> bool:
        return key in self.vars or not self.proof.read.isdisjoint({key, f"vars.{key}"})

    def _first_origin(self) -> str:
        """Return where the journey begins when it says so in its steps alone."""
        if self.assembly.is_relative:
            return ""
        for placed in _all(self.parts):
            if isinstance(placed.keys, HttpKeys):
                text: str = getattr(placed.keys, placed.keys.verb)
                authority = text.partition("://")[2].partition("/")[0]
                if text.startswith(WEB) and "${" not in authority:
                    return _origin_of(text.partition("${")[0])
        return ""

    def _judge_names(self) -> None:
        first: dict[str, Path] = {}
        count = 0
        for placed in _all(self.parts):
            count += 1
            name = placed.keys.name
            if name is None:
                continue
            if name not in first:
                first[name] = placed.path if placed.guest is None else placed.guest.path
                continue
            at = ".".join(map(str, first[name]))
            text = f"want a unique name of a step, got {name!r} again (first at {at})"
            if placed.guest is None:
                self.proof.flaw((*placed.path, "name"), text)
            else:
                with self.proof.guest(placed.guest.path, placed.guest.journey):
                    self.proof.clash(placed.path, text)
        if count > MAX_STEPS:
            text = f"want at most {MAX_STEPS} steps in all, includes counted, got {count}"
            self.proof.flaw(("steps",), text)

    def _judge_rounds(self, steps: Iterable[Step], times: int) -> None:
        for step in steps:
            if not isinstance(step, RepeatStep):
                continue
            rounds = times * _rounds(step)
            if rounds > MAX_ROUNDS:
                text = f"want at most {MAX_ROUNDS} rounds, those of an outer repeat multiplied"
                self.proof.flaw((*step.common.where, "repeat"), f"{text}, got {rounds}")
            else:
                self._judge_rounds(step.steps, rounds)

    def _judge_tls(self) -> None:
        for name, guest in self.inclusion.guests.items():
            if "tls" in guest.http.model_fields_set and guest.http.tls != self.keys.http.tls:
                text = f"want the http.tls of the included journey {name!r}, got another"
                self.proof.flaw(("http", "tls"), text)


def _rounds(step: RepeatStep) -> int:
    if step.times is not None:
        return step.times
    over = step.over
    if over is not None and over.is_constant and isinstance(over.source, list):
        return len(over.source)
    return 1


def _origin_of(text: str) -> str:
    try:
        return parse_url(text).origin
    except ValueError:
        return ""  # it is told where it stands


def _all(parts: Iterable[Iterable[Placed]]) -> Iterator[Placed]:
    for part in parts:
        for placed in part:
            yield placed
            yield from _all((placed.inner,))
