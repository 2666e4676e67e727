"""The seconds of a run's phases as lines, as the phase family of the kind tells them.

    form    names of the phases, and whether each is complete: runs of a kind have few forms
    plan    the lines without the numbers; made once for each form

Knows neither samples, nor the life of a series.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from operator import itemgetter
from typing import NamedTuple

from exporter.exposition.blocks import decimal, label_text
from exporter.exposition.catalogue import PHASE
from probes.families import Family
from probes.kind import NO_FOLDS
from probes.result import Phase

# blackbox.md 2.4: phases that are told although they broke off, where the time spent says
# something; of other families every phase that was reached.
TOLD_UNFINISHED: Mapping[str, frozenset[str]] = {
    "probe_http_duration_seconds": frozenset({"resolve", "transfer"}),
    "probe_dns_duration_seconds": frozenset(),
    "probe_icmp_duration_seconds": frozenset(),
}
# blackbox.md 2.4: what ``compat: strict`` tells as 0 when it never came to it, and in which order.
ZEROS: Mapping[str, tuple[str, ...]] = {
    "probe_http_duration_seconds": ("connect", "tls", "processing", "transfer"),
    "probe_dns_duration_seconds": ("resolve", "connect", "request"),
    "probe_icmp_duration_seconds": ("resolve", "setup", "rtt"),
    "probe_grpc_duration_seconds": ("resolve",),
}
# Of no use as 0: a proxy is told the name, and a token is asked for by OAuth 2.0 alone, of which
# upstream tells nothing.
NEVER_ZERO = frozenset({"resolve", "auth"})
# A handful per kind, but the names are up to the kind.
MAX_PLANS = 256

_Form = tuple[tuple[str, bool], ...]
_form_of = itemgetter(0, 2)
_seconds_of = itemgetter(1)
# Stands for the start of a line in a plan; no label holds it (`exporter.exposition.blocks.clean`).
_START = "\0"
_NOT_FINITE = ("nan\n", "inf\n")


class _Plan(NamedTuple):
    """How runs of one form are told."""

    text: str
    """The lines, with a place for each number that is told."""
    sums: tuple[tuple[int, ...], ...] | None
    """For each number the places of the phases that it is the sum of; None: it is that of each."""


class PhaseLines:
    """How the phases of one kind are told.

    Args:
        family: of their durations.
        order: names of the kind's phases in their order; empty: as they come.
        folds: phase -> the coarser one that it counts for.
        is_strict: whether phases that never ran are told as upstream does (D10).
    """

    __slots__ = ("_folds", "_is_strict", "_order", "_plans", "family")

    def __init__(
        self,
        family: Family,
        order: tuple[str, ...],
        folds: Mapping[str, str] = NO_FOLDS,
        *,
        is_strict: bool = False,
    ) -> None:
        self.family = family
        self._order = order
        self._folds = folds
        self._is_strict = is_strict
        self._plans: dict[_Form, _Plan] = {}

    def text(self, phases: Sequence[Phase], more: str) -> str:
        """Return the lines of a run's phases; a phase that is not finite has none.

        Args:
            phases: of the run.
            more: the labels of the probe, open for more.
        """
        return self._text(phases, tuple(map(_form_of, phases)), more)

    def renewed(self, before: Sequence[Phase], phases: Sequence[Phase], more: str) -> str | None:
        """Return the lines of a run that has as many as the one *before*; None if it has others."""
        form = tuple(map(_form_of, phases))
        if form != tuple(map(_form_of, before)):
            return None
        total = sum(map(_seconds_of, before)) + sum(map(_seconds_of, phases))
        return self._text(phases, form, more) if isfinite(total) else None

    def _text(self, phases: Sequence[Phase], form: _Form, more: str) -> str:
        plan = self._plans.get(form) or self._plan(phases, form)
        numbers = list(map(_seconds_of, phases))
        if plan.sums is not None:
            numbers = [sum([numbers[place] for place in places]) for places in plan.sums]
        text = plan.text % tuple(map(decimal, numbers))
        if not isfinite(sum(numbers)):
            lines = text.splitlines(keepends=True)
            text = "".join([line for line in lines if not line.endswith(_NOT_FINITE)])
        return text.replace(_START, self.family.name + more)

    def _plan(self, phases: Sequence[Phase], form: _Form) -> _Plan:
        """Make the plan for phases of this form."""
        told = self._places(phases)
        text = ""
        for name, places in told.items():
            label = label_text((("phase", name),)).replace("%", "%%")
            text += f"{_START}{label}}} {'%s' if places else '0'}\n"
        sums = tuple(tuple(places) for places in told.values() if places)
        if sums == tuple((place,) for place in range(len(phases))):
            plan = _Plan(text, None)
        else:
            plan = _Plan(text, sums)
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[form] = plan
        return plan

    def _places(self, phases: Sequence[Phase]) -> dict[str, list[int]]:
        """Return the places of the phases by the name under which they are told."""
        if self.family is PHASE:
            return {phase.name: [place] for place, phase in enumerate(phases)}
        found = {phase.name: (place, phase) for place, phase in enumerate(phases)}
        order = self._order or tuple(found)
        reached = max((at for at, name in enumerate(order) if name in found), default=-1)
        told: dict[str, list[int]] = {}
        for at, name in enumerate(order[: reached + 1]):
            if name not in found:
                if name not in NEVER_ZERO:
                    told.setdefault(self._folds.get(name, name), [])  # it did not apply: no TLS
                continue
            place, phase = found[name]
            if phase.complete or at < reached or self._tells_unfinished(name):
                told.setdefault(self._folds.get(name, name), []).append(place)
        return self._with_zeros(told, phases) if self._is_strict else told

    def _tells_unfinished(self, name: str) -> bool:
        names = TOLD_UNFINISHED.get(self.family.name)
        return names is None or name in names

    def _with_zeros(
        self, told: dict[str, list[int]], phases: Sequence[Phase]
    ) -> dict[str, list[int]]:
        """Return what ``compat: strict`` tells: 0 for what never ended."""
        failed = {phase.name for phase in phases if not phase.complete}
        if self.family.name == "probe_http_duration_seconds" and (
            not phases or "resolve" in failed
        ):
            return told  # here upstream tells that one alone, or none
        for name in ZEROS.get(self.family.name, ()):
            told.setdefault(name, [])
        if "resolve" in failed:
            told["resolve"] = []
        return told
