"""Load the probe file: a frozen `Config`, or a `ConfigError` with every mistake in it.

    Config
    ├── probes         Probe, ...
    ├── modules        name -> Module
    ├── journeys       name -> Written
    ├── further        key -> what somebody above has made of it
    ├── prober metrics limits web probe_policy safety     the other sections
    ├── compat         whether quirks of blackbox_exporter are kept, where its file was read
    ├── files, beside  what was read
    ├── hash           of the probe files
    ├── warnings       Problem, ...: odd, but it works
    └── faults         Problem, ...: loads, and fails in every run

Blocks (files, a second of parsing for each megabyte): call it in a thread. Run state is no part of
a `Config`; a reload builds a new one.
"""

import gc
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from probes.config.document import Document
from probes.config.entries import Entries
from probes.config.further import Around, Further
from probes.config.journeys import Journeys, Written
from probes.config.judge import Judge
from probes.config.measures import judge_measures
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.presets import Module, Presets
from probes.config.sections import (
    SECTION_KEYS,
    Compat,
    LimitsSettings,
    MetricsSettings,
    ProbePolicy,
    ProberSettings,
    SafetySettings,
    Sections,
    WebSettings,
)
from probes.config.sources import NOTHING, Source, Sources, read_sources
from probes.config.targets import Targets
from probes.config.variables import Variables
from probes.config.whole import judge_dependencies, judge_labels, judge_load, resolve_dependencies
from probes.errors import Problem
from probes.probe import Probe
from probes.redact import Redactor


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a probe file says."""

    path: Path
    probes: tuple[Probe, ...]
    modules: Mapping[str, Module]
    journeys: Mapping[str, Written]
    further: Mapping[str, Any]
    """What each `Further` has read, by its key."""
    prober: ProberSettings
    metrics: MetricsSettings
    limits: LimitsSettings
    web: WebSettings
    probe_policy: ProbePolicy
    safety: SafetySettings
    variables: Mapping[str, str]
    """What ``--var`` said; a reload says it again."""
    files: tuple[Path, ...]
    beside: frozenset[Path]
    """What else was read: secrets, rows of data, code of journeys."""
    hash: str
    compat: Compat
    """Of the modules that come from a blackbox.yml; ``strict`` keeps quirks of upstream."""
    is_drop_in: bool
    """Whether a blackbox.yml is all there is: then any target may be asked for."""
    warnings: tuple[Problem, ...]
    faults: tuple[Problem, ...]
    """What loads because upstream loads it, and fails in every run; `sonde lint` refuses it."""
    secrets: frozenset[str] = field(repr=False)
    """Values that no outlet may show: of variables with a telling name, of targets and settings."""
    redact: Redactor = field(repr=False, compare=False)
    """Hides them; made here, because ten thousand secrets take a second to compile."""

    def counted(self, probes: int) -> str:
        """Return how much there is: ``8 probes``, or the modules where these are all there is."""
        count, what = (len(self.modules), "module") if self.is_drop_in else (probes, "probe")
        return f"1 {what}" if count == 1 else f"{count} {what}s"


def load(
    path: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    shards: int = 1,
    variables: Mapping[str, str] = NOTHING,
    further: Sequence[Further] = (),
) -> Config:
    """Load *path* and the files it includes.

    Args:
        path: of the main file.
        environ: for ``${VAR}`` and ``{env: NAME}``.
        shards: how many processes share the probes.
        variables: of journeys, over their ``vars:``.
        further: keys of the first level that somebody above reads.

    Raises:
        ConfigError: every mistake, in file order.
    """
    with _collector_paused():
        return _load(path, _Outside(environ, shards, variables, further))


def load_blackbox(
    path: Path,
    *,
    compat: Compat = "fixed",
    environ: Mapping[str, str] = os.environ,
    further: Sequence[Further] = (),
) -> Config:
    """Load a blackbox.yml that stands alone: modules, no probe, every section at its default.

    Args:
        path: of the file.
        compat: ``strict`` keeps quirks of upstream.
        environ: of the kinds; the file itself expands nothing.
        further: keys of the first level that somebody above reads; the file has none of them.

    Raises:
        ConfigError: every mistake, in file order.
    """
    with _collector_paused():
        return _load(path, _Outside(environ, 1, NOTHING, further, compat))


def is_blackbox(path: Path) -> bool:
    """Return whether *path* is a blackbox.yml; whether it is a good one is told by its load."""
    mistakes = Mistakes()
    source = read_sources(path, mistakes, Variables({}), is_followed=False).main
    found = source.is_blackbox
    source.document.release()
    return found


class _Outside(NamedTuple):
    """What a file is read with; ``drop_in``: it is a blackbox.yml, kept to in this way."""

    environ: Mapping[str, str]
    shards: int
    variables: Mapping[str, str]
    further: Sequence[Further]
    drop_in: Compat | None = None


@contextmanager
def _collector_paused() -> Iterator[None]:
    # A load makes a million small objects and no cycle: the collector would walk them again and
    # again (measured 2026-11: 2 MB of YAML parse in 1.2 s instead of 2.9 s).
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _load(path: Path, outside: _Outside) -> Config:
    mistakes, variables = Mistakes(), Variables(outside.environ)
    keys = (it.key for it in outside.further)
    is_blackbox = outside.drop_in is not None
    sources = read_sources(path, mistakes, variables, keys, is_blackbox=is_blackbox)
    mistakes.redact = Redactor(variables.secrets)
    try:
        return _judge(sources, outside, mistakes, variables)
    finally:
        sources.release()


def _judge(sources: Sources, outside: _Outside, mistakes: Mistakes, variables: Variables) -> Config:
    main = sources.main
    directory, environ = main.path.parent, outside.environ
    judge = Judge(mistakes, _allowed_kinds(main), directory, environ)
    sections = _sections(main, judge, mistakes)
    journeys = Journeys(mistakes, judge.context, outside.variables)
    for source in sources.files:
        journeys.read(source)
    journeys.compile(sections.safety)
    judge.use(journeys, sections.safety)
    compat = outside.drop_in or sections.compat
    presets = Presets(judge, mistakes, compat)
    for source in sources.files:
        presets.read(source)
    targets = Targets(mistakes, directory, environ)
    builder = Entries(judge, presets, targets, mistakes)
    entries = [entry for source in sources.files for entry in builder.read(source)]
    judge_labels(entries, judge.kinds, mistakes)
    judge_measures(entries, mistakes)
    judge_load(entries, main.place / "probes", outside.shards, mistakes)
    judge_dependencies(builder.dependencies, builder.names, mistakes)
    probes = resolve_dependencies(entries, mistakes)
    around = Around(directory, environ, sections, journeys, probes, builder.names, mistakes)
    further = _further(outside.further, sources, around)
    secret_files = judge.secret_files | targets.secret_files
    _judge_modes(secret_files, main, mistakes)
    mistakes.raise_if_any()
    secrets = _secrets(
        probes, presets, sections, variables.secrets | journeys.secrets() | around.secrets
    )
    return Config(
        path=main.path,
        probes=tuple(probes),
        modules=MappingProxyType(presets.modules),
        journeys=MappingProxyType(journeys.written),
        further=MappingProxyType(further),
        prober=sections.prober,
        metrics=sections.metrics,
        limits=sections.limits,
        web=sections.web,
        probe_policy=sections.probe_policy,
        safety=sections.safety,
        variables=outside.variables,
        files=tuple(sources.paths),
        beside=frozenset(secret_files | journeys.files(directory) | around.files),
        hash=sources.hash,
        compat=compat,
        is_drop_in=outside.drop_in is not None,
        warnings=mistakes.warnings,
        faults=mistakes.faults,
        secrets=secrets,
        redact=Redactor(secrets),
    )


def _sections(main: Source, judge: Judge, mistakes: Mistakes) -> Sections:
    """Return the sections of the main file; one with a mistake is left at its default."""
    values: dict[str, Any] = {
        key: value for key, value in main.top.items() if key in SECTION_KEYS and value is not None
    }
    good: dict[str, Any] = {}
    for key, value in values.items():
        one = {key: value}
        try:
            good[key] = getattr(Sections.model_validate(one, context=judge.context), key)
        except ValidationError as error:
            mistakes.refuse(error, Layered(one, (main.place,)), Sections)
    return Sections.model_construct(**{**_defaults(), **good})


def _further(wanted: Iterable[Further], sources: Sources, around: Around) -> dict[str, Any]:
    """Return what each of *wanted* makes of its key."""
    found: dict[str, Any] = {}
    for it in wanted:
        pieces = [
            (source.top[it.key], source.place / it.key)
            for source in sources.files
            if source.top.get(it.key) is not None
        ]
        found[it.key] = it.read(pieces, around) if pieces else it.nothing
    return found


def _judge_modes(secret_files: Iterable[Path], main: Source, mistakes: Mistakes) -> None:
    """Warn about secret files that everybody may read (T16)."""
    for path in sorted(secret_files):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except (OSError, ValueError):
            continue  # rotated a moment ago, or none that we may see: whoever reads it tells
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            text = f"want a secret file that others may not read, got {path} with mode {mode:04o}"
            mistakes.warn(Place(Document(main.document.name, None, ())), text)


def _allowed_kinds(main: Source) -> list[str]:
    """Return what ``prober.kinds`` names, even when another key there has a mistake."""
    prober = main.top.get("prober")
    kinds = prober.get("kinds") if isinstance(prober, dict) else None
    return [name for name in kinds if isinstance(name, str)] if isinstance(kinds, list) else []


def _defaults() -> dict[str, Any]:
    return dict(Sections())


def _secrets(
    probes: list[Probe], presets: Presets, sections: Sections, others: Iterable[str]
) -> frozenset[str]:
    secrets = set(others)
    for probe in probes:
        secrets |= probe.redact.secrets
    for module in presets.modules.values():
        if module.settings is not None:
            secrets |= module.settings.secrets("")
    if sections.web.admin_token is not None:
        secrets.add(sections.web.admin_token.get_secret_value())
    return frozenset(secrets)
