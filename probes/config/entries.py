"""Entries of ``probes`` and ``chains`` become probes.

    the entry itself  over  its module  over  the defaults of its file

An entry of ``chains`` holds what it checks itself: its target is its name, and it has no module.
Judges what concerns one entry; what concerns several is judged in `probes.config.whole`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from typing import Any, NamedTuple

from probes.config.judge import Judge, has_control
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.presets import Module, Presets
from probes.config.sections import COMMON_KEYS, DEFAULT_TIMEOUT_S, HEAD_KEYS, CommonKeys
from probes.config.sources import Source, over
from probes.config.targets import Target, Targets, titles
from probes.config.wording import OTHER_WORDS, got
from probes.kind import Kind
from probes.pattern import suggest
from probes.probe import IncidentPolicy, Probe, Slo
from probes.redact import Redactor, display_target
from probes.units import format_duration, short

# A name is a label value (at most 200 bytes), and a part of URLs and file names.
MAX_NAME_BYTES = 128
# metrics.md 11: the budget of an objective is counted over 30 days.
BUDGET_PERIOD_S = 30 * 86400
# metrics.md 11.3: the shortest page window holds four runs up to this interval.
MAX_PAGING_EVERY_S = 450.0


_NOT_IN_CHAINS = {
    "target": "its endpoints are what is checked",
    "targets": "its endpoints are what is checked",
    "module": "its keys stand in the entry itself",
}


class _Timed(NamedTuple):
    """The common keys of an entry, and the times in force."""

    common: CommonKeys
    every_s: float
    timeout_s: float


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
        for own in self._entries(source, "probes", "a mapping with name, kind, target"):
            yield from self._entry(own, source.defaults)
        for own in self._entries(source, "chains", "a mapping with name, kind, endpoints"):
            yield from self._group(own, source.defaults)

    def _entries(self, source: Source, section: str, want: str) -> Iterator[Layered]:
        raw, place = source.top.get(section), source.place / section
        if raw is None:
            return
        if not isinstance(raw, list):
            self._mistakes.add(place, f"want a list of {section}, got {got(raw)}")
            return
        for index, values in enumerate(raw):
            at = place / index
            if isinstance(values, dict):
                yield Layered(values, (at,))
            else:
                self._mistakes.add(at, f"want {want}, got {got(values)}")

    def _entry(self, own: Layered, defaults: Layered) -> list[Entry]:
        before = len(self._mistakes)
        name = self._name(own)
        module = self._module(own)
        data = over(own, self._base(module, defaults))
        kind = self._kind(own, data, module, _title(own))
        timed = self._timed(data, kind)
        targets = self._targeted(own, data, kind)
        if len(self._mistakes) > before or name is None or timed is None or kind is None:
            return []
        expand = "targets" in own.values
        if expand and kind.is_group:
            text = "want chains: for endpoints of one chain, got targets: each is judged alone"
            self._mistakes.warn(own.places[0] / "targets", text, at_key=True)
        probes = [
            self._probe(title, self._titled(kind, data, title), timed, target, module)
            for title, target in titles(name, targets, expand=expand)
        ]
        return self._advised([Entry(probe, name, data) for probe in probes])

    def _targeted(self, own: Layered, data: Layered, kind: Kind | None) -> list[Target]:
        """Return what is checked: what the file says, or else what the kind does."""
        if own.values.get("target") is not None or own.values.get("targets") is not None:
            return self._targets.read(own, _anything if kind is None else partial(_check, kind))
        if kind is None and (self._judge.is_broken(data.values) or self._has_own(data.values)):
            return []
        usual = None if kind is None else kind.default_target
        if kind is None or usual is None:
            return self._targets.read(own, _anything)
        place = own.places[0]
        try:
            kind.check_target(usual)
        except ValueError as error:
            self._mistakes.add(place, Redactor(kind.secrets(usual))(str(error)))
            return []
        return [Target(usual, is_secret=False, place=place)]

    def _has_own(self, values: Mapping[str, Any]) -> bool:
        """Return whether the kind that *values* name might know a target, were it not broken."""
        name = values.get("kind")
        if not isinstance(name, str):
            return False
        found = self._judge.kinds.get(name)
        return found is None or found.default_target is not Kind.default_target

    def _group(self, own: Layered, defaults: Layered) -> list[Entry]:
        before = len(self._mistakes)
        place, name = own.places[0], self._name(own)
        for key in ("target", "targets", "module"):
            if own.values.get(key) is not None:
                text = f"want no {key!r} in chains, got one: {_NOT_IN_CHAINS[key]}"
                self._mistakes.add(place / key, text, at_key=True)
        data = over(own, defaults)
        kind = self._group_kind(own, data, _title(own))
        # without them a kind takes the target for its one endpoint, here the name of the entry
        if kind is not None and not getattr(kind, "endpoints", True):
            self._mistakes.add(place, "want the key 'endpoints', got none")
        timed = self._timed(data, kind)
        if len(self._mistakes) > before or name is None or timed is None or kind is None:
            return []
        try:
            kind.check_target(name)
        except ValueError as error:
            self._mistakes.add(place, Redactor(kind.secrets(name))(str(error)))
            return []
        target = Target(name, is_secret=False, place=place)
        return self._advised([Entry(self._probe(name, kind, timed, target, ""), name, data)])

    def _advised(self, entries: list[Entry]) -> list[Entry]:
        for entry in entries:
            for text in entry.probe.kind.advice(entry.probe.target):
                self._mistakes.warn(entry.data.places[0], entry.probe.redact(text))
        return entries

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

    def _kind(self, own: Layered, data: Layered, module: str, title: str) -> Kind | None:
        place, name = own.places[0], own.values.get("kind")
        if own.values.get("module") is not None:
            if name is not None:
                self._mistakes.add(place / "module", "want kind or module, got both", at_key=True)
                return None
            preset = self._presets.modules.get(module)
            if preset is None:
                return None  # a module with a mistake is told where it stands
            if preset.origin is not None:
                return self._frozen(own, preset)
            return self._judge.settings(preset.kind, data, title)
        if name is None:
            other = next((key for key in own.values if OTHER_WORDS.get(str(key)) == "kind"), None)
            hint = f"; did you mean 'kind' by {short(other)}?" if other is not None else ""
            self._mistakes.add(place, f"want the key 'kind' or 'module', got neither{hint}")
            return None
        kind = self._judge.kind(name, place / "kind")
        return self._judge.settings(kind, data, title) if kind is not None else None

    def _frozen(self, own: Layered, preset: Module) -> Kind | None:
        """Return the settings of a module out of a blackbox.yml: a probe may not change them."""
        for key in own.values:
            if key in COMMON_KEYS or key in HEAD_KEYS:
                continue
            text = f"want only common keys beside a module of a blackbox.yml, got {short(key)}"
            text += ": `sonde import blackbox` makes it a native one"
            self._mistakes.add(own.places[0] / key, text, at_key=True)
        return preset.settings

    def _group_kind(self, own: Layered, data: Layered, title: str) -> Kind | None:
        place, name = own.places[0], own.values.get("kind")
        if name is None:
            self._mistakes.add(place, "want the key 'kind', got none")
            return None
        kind = self._judge.kind(name, place / "kind")
        if kind is None:
            return None
        if not kind.is_group:
            known = ", ".join(self._judge.groups()) or "none is installed"
            text = f"want the kind of a chain ({known}), got {short(name)}: it belongs to probes"
            self._mistakes.add(place / "kind", text)
            return None
        return self._judge.settings(kind, data, title, in_chains=True)

    def _titled(self, kind: Kind, data: Layered, title: str) -> Kind:
        """Return *kind* as the probe *title* has it: each target of a list has its own name."""
        if kind.named_by is None or data.values.get(kind.named_by) is not None:
            return kind
        return self._judge.settings(type(kind), data, title) or kind

    def _timed(self, data: Layered, kind: Kind | None) -> _Timed | None:
        """Return the common keys with the times that the file or else the kind gives."""
        common = self._judge.common(data)
        if common is None:
            return None
        self.dependencies.append((common.depends_on, data))
        every, timeout = common.every, common.timeout
        usual = None if kind is None else kind.default_every_s
        is_usual = data.values.get("every") is None and usual is not None
        if is_usual and usual is not None:
            every = usual
        if data.values.get("timeout") is None:
            wish = DEFAULT_TIMEOUT_S if kind is None else kind.default_timeout_s
            timeout = min(DEFAULT_TIMEOUT_S if wish is None else wish, every)
        elif is_usual and not data.is_own(("timeout",)):
            # neither was meant for this entry
            timeout = min(timeout, every)
        if kind is not None and kind.takes_over:
            usual_keys = {key: CommonKeys.model_fields[key].default for key in kind.takes_over}
            common = common.model_copy(update=usual_keys)
        timed = _Timed(common, every, timeout)
        self._judge_times(timed, kind, data)
        return timed

    def _judge_times(self, timed: _Timed, kind: Kind | None, data: Layered) -> None:
        common, every, timeout = timed
        if timeout > every:
            text = f"want a timeout of at most every ({format_duration(every)})"
            text += f", got {format_duration(timeout)}"
            place = data.place_of(("timeout",))
            if not data.is_own(("timeout",)) and data.is_own(("every",)):
                # the inherited timeout may suit all others
                text, place = f"{text} from {place}", data.place_of(("every",))
            self._mistakes.add(place, text)
        elif kind is not None:
            try:
                kind.check_times(every, timeout)
            except ValueError as error:
                self._mistakes.add(data.places[0], str(error))
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
        timed: _Timed,
        target: Target,
        module: str,
    ) -> Probe:
        common = timed.common
        return Probe(
            name=name,
            kind=kind,
            target=kind.canonical_target(target.text),
            every_s=timed.every_s,
            timeout_s=timed.timeout_s,
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
            must_fail=common.must_fail,
            secret_target=target.is_secret,
            source=str(target.place),
            # metrics.md 2.4: of a secret target, scheme and host alone
            display=display_target(target.text, host_only=True) if target.is_secret else "",
            redact=self._mistakes.redact,
        )


def _title(own: Layered) -> str:
    """Return the name of an entry for its kind, also where the name itself is a mistake."""
    name = own.values.get("name")
    return name if isinstance(name, str) and name else "unnamed"


def _check(kind: Kind, target: str) -> None:
    kind.check_target(kind.canonical_target(target))


def _anything(_: str) -> None:
    """Accept a target whose kind is not known."""


@cache
def _runs_in_a_period(every_s: float) -> Decimal:
    """Return the number of runs in 30 days."""
    return BUDGET_PERIOD_S / Decimal(str(every_s))
