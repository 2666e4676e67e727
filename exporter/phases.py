"""The seconds of a run's phases as lines, as the phase family of the kind tells them.

    form    names of the phases, and whether each is complete: runs of a kind have few forms
    plan    label text -> places of the phases that are told under it; made once for each form

Knows neither samples, nor the life of a series.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from operator import itemgetter

from exporter.blocks import decimal, label_text
from exporter.catalogue import PHASE
from probes.families import Family
from probes.result import Phase

# blackbox.md 2.4: fine phases that the compatible family tells as part of another.
FOLDED: Mapping[str, Mapping[str, str]] = {
    "probe_dns_duration_seconds": {"tls": "connect"},
    "probe_grpc_duration_seconds": {"connect": "check", "tls": "check", "call": "check"},
    "probe_websocket_duration_seconds": {"tls": "processing", "upgrade": "processing"},
}
# blackbox.md 2.4: a phase that broke off counts only where the time spent says something.
TOLD_UNFINISHED = frozenset({"resolve", "transfer"})
# A handful per kind, but the names are up to the kind.
MAX_PLANS = 256

_form_of = itemgetter(0, 2)

Plan = tuple[tuple[str, tuple[int, ...]], ...]
"""Label text, and the places of the phases whose seconds are told under it, for each line."""


class PhaseLines:
    """How the phases of one kind are told.

    Args:
        family: of their durations.
        order: names of the kind's phases in their order; empty: as they come.
    """

    __slots__ = ("_order", "_plans", "family")

    def __init__(self, family: Family, order: tuple[str, ...]) -> None:
        self.family = family
        self._order = order
        self._plans: dict[tuple[tuple[str, bool], ...], Plan] = {}

    def text(self, phases: Sequence[Phase], more: str) -> str:
        """Return the lines of a run's phases; a phase that is not finite has none.

        Args:
            phases: of the run.
            more: the labels of the probe, open for more.
        """
        start = self.family.name + more
        lines: list[str] = []
        for label, places in self.plan(phases):
            seconds = 0.0
            for place in places:
                seconds += phases[place][1]
            if isfinite(seconds):
                # two of five are 0 over plain TCP to an address
                told = decimal(seconds) if seconds else "0"
                lines.append(f"{start}{label}{told}\n")
        return "".join(lines)

    def are_alike(self, one: Sequence[Phase], other: Sequence[Phase]) -> bool:
        """Return whether two runs have the same lines but for the numbers."""
        total, is_same_form = 0.0, len(one) == len(other)
        for (name, seconds, complete), (its_name, its_seconds, is_complete) in zip(
            one, other, strict=False
        ):
            total += seconds + its_seconds
            is_same_form = is_same_form and name == its_name and complete is is_complete
        return is_same_form and isfinite(total)

    def plan(self, phases: Sequence[Phase]) -> Plan:
        """Return how phases of this form are told."""
        form = tuple(map(_form_of, phases))
        plan = self._plans.get(form)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            told = self._places(phases).items()
            plan = tuple((f"{label_text((('phase', name),))}}} ", tuple(at)) for name, at in told)
            self._plans[form] = plan
        return plan

    def _places(self, phases: Sequence[Phase]) -> dict[str, list[int]]:
        """Return the places of the phases by the name under which they are told."""
        if self.family is PHASE:
            return {phase.name: [place] for place, phase in enumerate(phases)}
        found = {phase.name: (place, phase) for place, phase in enumerate(phases)}
        order = self._order or tuple(found)
        reached = max((at for at, name in enumerate(order) if name in found), default=-1)
        folded = FOLDED.get(self.family.name, {})
        told: dict[str, list[int]] = {}
        for at, name in enumerate(order[: reached + 1]):
            if name not in found:
                if name != "resolve":
                    told.setdefault(folded.get(name, name), [])  # it did not apply: TLS of plain
                continue
            place, phase = found[name]
            if phase.complete or at < reached or name in TOLD_UNFINISHED:
                told.setdefault(folded.get(name, name), []).append(place)
        return told
