"""The modules of a blackbox.yml: judged, translated and frozen as settings of our kinds.

    Ported
    ├── kind, settings    what runs
    ├── timeout_s         None: not set
    └── origin            where it stands, and what it was

Every mistake goes where those of a probe file go. Knows no probe.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probes.config.blackbox import advice
from probes.config.blackbox.judging import Flaw, judge
from probes.config.blackbox.native import Native
from probes.config.blackbox.options import BlackboxModule
from probes.config.blackbox.translate import as_upstream_sees, translate
from probes.config.blackbox.unfit import unfit
from probes.config.judge import Judge
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.sections import Compat
from probes.config.sources import Source
from probes.config.wording import findings, got
from probes.kind import Kind
from probes.pattern import suggest
from probes.units import short


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where a module of a blackbox.yml stands, and what it was.

    Args:
        place: ``file:line``.
        compat: ``strict`` keeps upstream's quirks.
        upstream: its options in upstream's words; `probes.config.blackbox.showing` shows them.
        native: what it was translated into.
    """

    place: str
    compat: Compat
    upstream: BlackboxModule
    native: Native


@dataclass(frozen=True, slots=True, eq=False)
class Ported:
    """One module."""

    kind: type[Kind]
    settings: Kind
    timeout_s: float | None
    origin: Origin


class Blackbox:
    """Reads the modules of blackbox.yml files.

    Args:
        judge: knows the kinds.
        mistakes: where they go.
        compat: whether upstream's quirks are kept.
    """

    def __init__(self, judge: Judge, mistakes: Mistakes, compat: Compat) -> None:
        self._judge = judge
        self._mistakes = mistakes
        self._compat: Compat = compat
        self._untimed: list[Place] = []
        # relative paths begin in the working directory, as upstream's do
        self._context: dict[str, Any] = judge.context | {
            "dialect": "blackbox",
            "compat": compat,
            "directory": Path.cwd(),
        }

    def read(self, source: Source) -> Iterator[tuple[str, Place, Ported | None]]:
        """Yield the modules of one file: name, place, and what it has become without a mistake."""
        value, place = source.document.value, source.place
        if not isinstance(value, Mapping):
            # a document of nothing is a file without modules, but no document is a mistake
            if not source.document.problems and (value is not None or not source.document.root):
                shown = "an empty file" if value is None else got(value)
                self._mistakes.add(place, f"want a mapping with modules:, got {shown}")
            return
        for key in value:
            if key != "modules":
                hint = suggest(key, ["modules"])
                text = f"want 'modules' and nothing else, got {short(key)}{hint}"
                self._mistakes.add(place / key, text, at_key=True)
        modules = value.get("modules")
        if modules is None:
            return
        if not isinstance(modules, Mapping):
            text = f"want a mapping of names to modules, got {got(modules)}"
            self._mistakes.add(place / "modules", text)
            return
        for name, options in modules.items():
            at = place / "modules" / name
            yield name, at, self._module(options, at, source.path.parent)
        self._tell_untimed()

    def _tell_untimed(self) -> None:
        """Warn once for a file: the modules of upstream's own have no timeout."""
        if not self._untimed:
            return
        others = len(self._untimed) - 1
        here = f" here and in {others} more module{'s' * (others > 1)}" if others else ""
        text = f"want a timeout such as 'timeout: 5s', got none{here}: {advice.UNTIMED}"
        self._mistakes.warn(self._untimed[0], text)
        self._untimed.clear()

    def _module(self, options: object, at: Place, beside: Path) -> Ported | None:
        before = len(self._mistakes)
        if not isinstance(options, Mapping):
            self._mistakes.add(at, f"want a mapping with a prober, got {got(options)}")
            return None
        for flaw in judge(options):
            self._tell(at, flaw)
        try:
            module = BlackboxModule.model_validate(options)
        except ValidationError as error:
            data = Layered(options, (at,))
            self._mistakes.refuse(error, data, BlackboxModule, ignore_missing=True)
            return None
        if len(self._mistakes) > before:
            return None
        for flaw in advice.advice(module, self._compat, beside):
            self._mistakes.warn(_place(at, flaw), flaw.message, at_key=flaw.at_key)
        for flaw in advice.faults(module):
            self._mistakes.fault(_place(at, flaw), flaw.message, at_key=flaw.at_key)
        return self._ported(module, at)

    def _ported(self, module: BlackboxModule, at: Place) -> Ported | None:
        native = translate(module, self._compat)
        kind = self._judge.kind(native.kind, at / "prober")
        if kind is None:
            return None
        settings = self._settings(kind, native, at)
        if settings is None or native.broken:
            settings = unfit(kind, native.broken, settings)
        if native.timeout_s is None:
            self._untimed.append(at)
        upstream = as_upstream_sees(module, self._compat)
        origin = Origin(str(at), self._compat, upstream, native)
        return Ported(kind, settings, native.timeout_s, origin)

    def _settings(self, kind: type[Kind], native: Native, at: Place) -> Kind | None:
        """Return the settings without what we cannot run: upstream loads that too."""
        try:
            return kind.model_validate(native.settings, context=self._context)
        except ValidationError as error:
            found = findings(error, native.settings, kind)
        where = ".".join(map(str, found[0].path))
        why = f"{where}: {found[0].message}" if where else found[0].message
        native.broken = native.broken or why
        self._mistakes.warn(at, f"want what a run can work with, got a fault in each: {why}")
        wrong = {finding.path[0] for finding in found if finding.path}
        rest = {key: value for key, value in native.settings.items() if key not in wrong}
        with suppress(ValidationError):
            return kind.model_validate(rest, context=self._context)
        return None

    def _tell(self, at: Place, flaw: Flaw) -> None:
        self._mistakes.add(_place(at, flaw), flaw.message, at_key=flaw.at_key)


def _place(at: Place, flaw: Flaw) -> Place:
    return Place(at.document, at.path + flaw.path)
