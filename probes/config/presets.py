"""``modules`` and ``defaults``: settings that probes take over.

A module is judged by itself, so that a mistake is told once and where it stands, however many
probes use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from probes.config.judge import Judge
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.parameters import (
    CLOSED,
    MODULE_KEYS,
    ModuleKeys,
    Opening,
    judge_names,
    opening_of,
)
from probes.config.sections import DEFAULT_KEYS, OWN_KEYS, Compat
from probes.config.sources import Source
from probes.config.wording import got, key_hint
from probes.kind import Kind
from probes.units import format_duration, short

if TYPE_CHECKING:
    from probes.config.blackbox.modules import Origin


@dataclass(frozen=True, slots=True)
class Module:
    """A named, reusable kind with settings.

    ``settings`` is None when a probe has to add keys that the kind requires; ``timeout_s`` is None
    when the module names none.
    """

    name: str
    kind: type[Kind]
    settings: Kind | None
    timeout_s: float | None
    opening: Opening = CLOSED
    """What a request of ``/probe`` may say to it."""
    origin: "Origin | None" = None
    """Of a module that comes from a blackbox.yml: where it stands, and what it was."""


class Presets:
    """Reads modules and defaults file by file, before any probe."""

    def __init__(self, judge: Judge, mistakes: Mistakes, compat: Compat = "fixed") -> None:
        self.modules: dict[str, Module] = {}
        self.raw: dict[str, Layered] = {}
        self._judge = judge
        self._mistakes = mistakes
        self._compat: Compat = compat

    def read(self, source: Source) -> None:
        """Read ``defaults`` and ``modules`` of one file."""
        if source.is_blackbox:
            self._read_blackbox(source)
            return
        self._judge_defaults(source)
        raw = source.top.get("modules")
        place = source.place / "modules"
        if raw is None:
            return
        if not isinstance(raw, dict):
            self._mistakes.add(place, f"want a mapping of names to settings, got {got(raw)}")
            return
        for name, values in raw.items():
            if self._is_taken(name, place / name):
                continue
            known = values if isinstance(values, dict) else {}
            own = {key: value for key, value in known.items() if key not in MODULE_KEYS}
            self.raw[name] = Layered(own, (place / name,))
            if isinstance(values, dict):
                keys = {key: known[key] for key in MODULE_KEYS if known.get(key) is not None}
                self._module(name, self.raw[name], keys)
            else:
                self._mistakes.add(place / name, f"want a mapping with a kind, got {got(values)}")

    def _is_taken(self, name: str, place: Place) -> bool:
        if name not in self.raw:
            return False
        first = self.raw[name].places[0]
        text = f"want a unique name of a module, got {short(name)} again (first at {first})"
        self._mistakes.add(place, text, at_key=True)
        return True

    def _read_blackbox(self, source: Source) -> None:
        # 100 ms of models, for a file that few have: a gate starts fast
        from probes.config.blackbox.modules import Blackbox  # noqa: PLC0415

        for name, place, ported in Blackbox(self._judge, self._mistakes, self._compat).read(source):
            if self._is_taken(name, place):
                continue
            timeout_s = None if ported is None else ported.timeout_s
            # what a probe takes over beside the settings, which are frozen
            common = {} if timeout_s is None else {"timeout": format_duration(timeout_s)}
            self.raw[name] = Layered(common, (place,))
            if ported is not None:
                self.modules[name] = Module(
                    name, ported.kind, ported.settings, timeout_s, origin=ported.origin
                )

    def _module(self, name: str, data: Layered, keys: Mapping[str, Any]) -> None:
        before = len(self._mistakes)
        place = data.places[0]
        for key in data.values:
            if key in OWN_KEYS and key != "kind":
                text = f"want {key!r} in a probe, got it in a module"
                self._mistakes.add(place / key, text, at_key=True)
        common = self._judge.common(data)
        if data.values.get("kind") is None:
            self._mistakes.add(place, "want the key 'kind', got none")
            return
        kind = self._judge.kind(data.values["kind"], place / "kind")
        if kind is None:
            return
        settings = self._judge.settings(kind, data, name, is_module=True)
        opening = self._opening(kind, data, keys)
        timed = common is not None and data.values.get("timeout") is not None
        if len(self._mistakes) == before:
            timeout_s = common.timeout if common is not None and timed else None
            self.modules[name] = Module(name, kind, settings, timeout_s, opening)

    def _opening(self, kind: type[Kind], data: Layered, values: Mapping[str, Any]) -> Opening:
        """Return what a request may say to a module with these *values* of `ModuleKeys`."""
        if not values:
            return CLOSED
        place = data.places[0]
        try:
            keys = ModuleKeys.model_validate(values)
        except ValidationError as error:
            self._mistakes.refuse(error, Layered(values, (place,)), ModuleKeys)
            return CLOSED
        for name, text in judge_names(keys, kind).items():
            self._mistakes.add(place / "params" / name, text, at_key=True)
        written = self._judge.own_values(kind, data)
        return opening_of(keys, written, self._judge.context["directory"])

    def _judge_defaults(self, source: Source) -> None:
        raw = source.top.get("defaults")
        if raw is None:
            return
        place = source.place / "defaults"
        if not isinstance(raw, Mapping):
            self._mistakes.add(place, f"want a mapping, got {got(raw)}")
            return
        for key in raw:
            if key in DEFAULT_KEYS:
                continue
            if key in OWN_KEYS:
                text = f"want {key!r} in a probe, got it in defaults"
            else:
                hint = key_hint(key, DEFAULT_KEYS) or "; the keys of a kind stand in a module"
                text = f"want a known key, got {short(key)}{hint}"
            self._mistakes.add(place / key, text, at_key=True)
        self._judge.common(Layered(raw, (place,)))
