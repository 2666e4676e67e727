"""Entries of ``probes`` become probes.

    the entry itself  over  its module  over  the defaults of its file

Judges what concerns one entry; what concerns several is judged in `probes.config.whole`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from probes.config.judge import Judge, has_control
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.presets import Presets
from probes.config.sections import DEFAULT_TIMEOUT_S, CommonKeys
from probes.config.sources import Source, over
from probes.config.targets import Target, Targets, titles
from probes.config.wording import got
from probes.kind import Kind
from probes.pattern import suggest
from probes.probe import IncidentPolicy, Probe, Slo
from probes.redact import display_target
from probes.units import format_duration, short

# A name is a label value (at most 200 bytes), and a part of URLs and file names.
MAX_NAME_BYTES = 128
# metrics.md 11: the budget of an objective is counted over 30 days.
BUDGET_PERIOD_S = 30 * 86400
# metrics.md 11.3: the shortest page window holds four runs up to this interval.
MAX_PAGING_EVERY_S = 450.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A probe, the name of its entry (``targets`` makes several probes of one), and its place."""

    probe: Probe
    group: str
    data: Layered


class Entries:
    """Builds the probes of all files, one file after the other."""

    def __init__(
        self, judge: Judge, presets: Presets, targets: Targets, mistakes: Mistakes
    ) -> None:
        self.names: dict[str, Place] = {}
        """Every name that was given, also to an entry with a mistake."""
        self.dependencies: list[tuple[tuple[str, ...], Layered]] = []
        """What entries depend on, also those with a mistake."""
        self._judge = judge
        self._presets = presets
        self._targets = targets
        self._mistakes = mistakes
        self._bases: dict[tuple[str, int], Layered] = {}

    def read(self, source: Source) -> Iterator[Entry]:
        """Yield the probes of one file that have no mistake."""
        raw = source.top.get("probes")
        place = source.place / "probes"
        if raw is None:
            return
        if not isinstance(raw, list):
            self._mistakes.add(place, f"want a list of probes, got {got(raw)}")
            return
        for index, values in enumerate(raw):
            at = place / index
            if isinstance(values, dict):
                yield from self._entry(Layered(values, (at,)), source.defaults)
            else:
                self._mistakes.add(at, f"want a mapping with name, kind, target, got {got(values)}")

    def _entry(self, own: Layered, defaults: Layered) -> list[Entry]:
        before = len(self._mistakes)
        name = self._name(own)
        module = self._module(own)
        data = over(own, self._base(module, defaults))
        common = self._judge.common(data)
        if common is not None:
            self._judge_times(common, data)
            self.dependencies.append((common.depends_on, data))
        kind = self._kind(own, data, module)
        targets = self._targets.read(own, kind.check_target if kind is not None else _anything)
        if len(self._mistakes) > before or name is None or common is None or kind is None:
            return []
        timed = data.values.get("timeout") is not None
        timeout_s = common.timeout if timed else min(DEFAULT_TIMEOUT_S, common.every)
        return [
            Entry(self._probe(title, kind, common, target, (module, timeout_s)), name, data)
            for title, target in titles(name, targets, expand="targets" in own.values)
        ]

    def _base(self, module: str, defaults: Layered) -> Layered:
        """Return what an entry with *module* takes over; equal ones share one."""
        if not module:
            return defaults
        key = (module, id(defaults))
        if key not in self._bases:
            self._bases[key] = over(self._presets.raw[module], defaults)
        return self._bases[key]

    def _name(self, own: Layered) -> str | None:
        name, place = own.values.get("name"), own.places[0] / "name"
        if name is None:
            self._mistakes.add(own.places[0], "want the key 'name', got none")
        elif not isinstance(name, str):
            self._mistakes.add(place, f"want a text, got {got(name)}: put it in quotes")
        elif not name or name != name.strip() or has_control(name):
            text = f"want a name without outer blanks and control characters, got {short(name)}"
            self._mistakes.add(place, text)
        elif len(name.encode()) > MAX_NAME_BYTES:
            text = f"want a name of at most {MAX_NAME_BYTES} bytes, got {short(name)}"
            self._mistakes.add(place, text)
        elif name in self.names:
            first = self.names[name]
            text = f"want a unique name, got {short(name)} again (first at {first})"
            self._mistakes.add(place, text)
        else:
            self.names[name] = place
            return name
        return None

    def _module(self, own: Layered) -> str:
        """Return the name of the entry's module; empty when it has none."""
        name = own.values.get("module")
        if name is None:
            return ""
        if not isinstance(name, str) or name not in self._presets.raw:
            hint = suggest(str(name), self._presets.raw)
            text = f"want the name of a module, got {got(name)}{hint}"
            self._mistakes.add(own.places[0] / "module", text)
            return ""
        return name

    def _kind(self, own: Layered, data: Layered, module: str) -> Kind | None:
        place, name = own.places[0], own.values.get("kind")
        if own.values.get("module") is not None:
            if name is not None:
                self._mistakes.add(place / "module", "want kind or module, got both", at_key=True)
                return None
            preset = self._presets.modules.get(module)
            # a module with a mistake is told where it stands
            return self._judge.settings(preset.kind, data) if preset is not None else None
        if name is None:
            self._mistakes.add(place, "want the key 'kind' or 'module', got neither")
            return None
        kind = self._judge.kind(name, place / "kind")
        return self._judge.settings(kind, data) if kind is not None else None

    def _judge_times(self, common: CommonKeys, data: Layered) -> None:
        every, timeout = common.every, common.timeout
        if data.values.get("timeout") is not None and timeout > every:
            text = f"want a timeout of at most every ({format_duration(every)})"
            text += f", got {format_duration(timeout)}"
            place = data.place_of(("timeout",))
            if not data.is_own(("timeout",)) and data.is_own(("every",)):
                # the inherited timeout may suit all others
                text, place = f"{text} from {place}", data.place_of(("every",))
            self._mistakes.add(place, text)
        if common.slo is None:
            return
        runs = _runs_in_a_period(every)
        objective = Decimal(str(common.slo.objective))
        if runs * (1 - objective) < 1:
            text = (
                f"want an objective that one failed run in 30 days leaves intact, got "
                f"{(objective * 100).normalize():f}% with every: {format_duration(every)}"
            )
            self._mistakes.add(data.place_of(("slo", "objective")), text)
        elif every > MAX_PAGING_EVERY_S and common.severity == "critical":
            limit = format_duration(MAX_PAGING_EVERY_S)
            text = f"want every of at most {limit} so that a critical objective can page"
            self._mistakes.warn(data.place_of(("slo",)), f"{text}, got {format_duration(every)}")

    def _probe(
        self,
        name: str,
        kind: Kind,
        common: CommonKeys,
        target: Target,
        extra: tuple[str, float],
    ) -> Probe:
        module, timeout_s = extra
        return Probe(
            name=name,
            kind=kind,
            target=target.text,
            every_s=common.every,
            timeout_s=timeout_s,
            module=module,
            tags=frozenset(common.tags),
            labels=common.labels,
            severity=common.severity,
            incident=IncidentPolicy(common.incident.open_after, common.incident.close_after),
            depends_on=common.depends_on,
            slo=Slo(common.slo.objective, common.slo.latency) if common.slo else None,
            runbook=common.runbook,
            retries=common.retries,
            retry_every_s=common.retry_every,
            secret_target=target.is_secret,
            source=str(target.place),
            # metrics.md 2.4: of a secret target, scheme and host alone
            display=display_target(target.text, host_only=True) if target.is_secret else "",
            redact=self._mistakes.redact,
        )


def _anything(_: str) -> None:
    """Accept a target whose kind is not known."""


@cache
def _runs_in_a_period(every_s: float) -> Decimal:
    """Return the number of runs in 30 days."""
    return BUDGET_PERIOD_S / Decimal(str(every_s))
