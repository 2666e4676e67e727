"""``journeys:`` of all files: each read by the class of its family, then all compiled together.

    Written      one journey as it stands in a file: keys, family, source
    compiled     name -> what the kinds `journey` and `browser` play

The family is told by a key: ``browser:``, ``python:``, or neither. Knows nothing of their steps,
and imports a family for a file that has one: a gate without journeys starts without them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

from probes.config.document import Document
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.named import Named
from probes.config.sections import SafetySettings
from probes.config.sources import Source
from probes.journey.flaws import Flaw, Flawed
from probes.pattern import suggest
from probes.redact import Secret
from probes.units import short

if TYPE_CHECKING:
    from probes.journey.loading.settings import JourneyKeys, World

# A file with more comes from a program, and each is compiled before the first run.
MAX_JOURNEYS = 2000


@dataclass(frozen=True, slots=True)
class Family:
    """One family of journeys.

    Args:
        keys: module and class of what the file may say.
        compile: module and function that makes what is played.
    """

    keys: tuple[str, str]
    compile: tuple[str, str]

    @property
    def is_there(self) -> bool:
        """Whether this version has it."""
        try:
            return all(find_spec(module) is not None for module, _ in (self.keys, self.compile))
        except ModuleNotFoundError:
            return False  # not even the package

    def settings(self) -> type[BaseModel]:
        """Return the class of its keys."""
        found: type[BaseModel] = getattr(import_module(self.keys[0]), self.keys[1])
        return found

    def compiler(self) -> Callable[[str, Any, "World"], Any]:
        """Return what compiles one of it."""
        found: Callable[[str, Any, World], Any] = getattr(
            import_module(self.compile[0]), self.compile[1]
        )
        return found


OVER_HTTP = Family(
    ("probes.journey.loading.settings", "JourneyKeys"),
    ("probes.journey.loading.compile", "compile_journey"),
)
# By the key that tells it; imported only for a file that has one.
FAMILIES: Mapping[str, Family] = {
    "browser": Family(
        ("probes.browser.settings", "BrowserJourneyKeys"),
        ("probes.browser.compile", "compile_browser"),
    ),
    "python": Family(
        ("probes.journey.script.settings", "ScriptKeys"),
        ("probes.journey.script.compile", "compile_script"),
    ),
}


@dataclass(frozen=True, slots=True)
class Written:
    """A journey as it stands in a file. ``source`` is its place."""

    name: str
    family: Family
    keys: BaseModel
    source: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What was read, variables of the environment put in: `Family.settings` reads it again."""

    @property
    def includes(self) -> list[str]:
        """Names of the journeys whose steps it includes."""
        if self.family is not OVER_HTTP:
            return []
        return list(import_module("probes.journey.loading.inclusion").includes(self.keys))

    @property
    def secrets(self) -> Mapping[str, Secret]:
        """What it keeps secret, by name."""
        found: Mapping[str, Secret] = getattr(self.keys, "secrets", {})
        return found

    @property
    def hidden(self) -> set[str]:
        """Texts that no outlet may show."""
        return {secret.get_secret_value() for secret in self.secrets.values()}


class Journeys:
    """Reads and compiles the journeys of all files.

    Args:
        mistakes: where they go.
        context: of pydantic: directory, environ.
        variables: of ``--var``.
    """

    def __init__(
        self, mistakes: Mistakes, context: Mapping[str, Any], variables: Mapping[str, str]
    ) -> None:
        self.written: dict[str, Written] = {}
        """Every journey whose keys have no mistake."""
        self.compiled: dict[str, Any] = {}
        """Every journey that can be played."""
        self._mistakes = mistakes
        self._context = context
        self._variables = variables
        self._named = Named(
            mistakes, "journey", example="checkout", content="steps", most=MAX_JOURNEYS
        )
        self._alone: dict[str, tuple[Flaw, ...]] = {}

    @property
    def names(self) -> Collection[str]:
        """Every name that the files give a journey, those with mistakes too."""
        return self._named.places.keys()

    def read(self, source: Source) -> None:
        """Read the journeys of one file."""
        raw = source.top.get("journeys")
        if raw is None:
            return
        for name, values, place in self._named.entries(raw, source.place / "journeys"):
            family = self._family(values, place)
            if family is not None:
                self._validated(name, family, Layered(values, (place,)))

    def _family(self, values: Mapping[str, Any], place: Place) -> Family | None:
        told = [key for key in FAMILIES if key in values]
        if len(told) > 1:
            self._mistakes.add(place, "want browser: or python:, got both")
            return None
        family = FAMILIES[told[0]] if told else OVER_HTTP
        if family.is_there:
            return family
        text = f"want no {told[0]!r}, got one: this version has no such feature yet"
        self._mistakes.add(place / told[0], text, at_key=True)
        return None

    def _validated(self, name: str, family: Family, raw: Layered) -> None:
        model = family.settings()
        try:
            keys = model.model_validate(raw.values, context=self._context)
        except ValidationError as error:
            self._mistakes.refuse(error, raw, model)
        else:
            self.written[name] = Written(
                name, family, keys, str(raw.places[0]), deepcopy(dict(raw.values))
            )

    def compile(self, safety: SafetySettings) -> None:
        """Compile what was read, and judge what concerns several of them."""
        before = len(self._mistakes)
        if self.written:
            self._compile(self._world(safety))
        # what is misspelt in a journey with a mistake may be the variable
        if self.written.keys() == self._named.places.keys() and len(self._mistakes) == before:
            self._judge_variables()

    def _compile(self, world: "World") -> None:
        includes = {name: it.includes for name, it in self.written.items()}
        included = {name for names in includes.values() for name in names}
        spoilt = _spoilt(world.broken, includes)
        for name, it in self.written.items():
            try:
                made = it.family.compiler()(name, it.keys, world)
            except Flawed as flawed:
                # what misses nothing but the steps of a broken one is mended with that
                flaws = (flaw for flaw in flawed.flaws if not (flaw.is_alone and name in spoilt))
                self._refuse(it, tuple(flaws), is_fragment=name in included)
                continue
            if name not in spoilt:
                self.compiled[name] = made
                # what a fragment does not read itself, its guests may
                self._advise(it, is_fragment=name in included)

    def _world(self, safety: SafetySettings) -> "World":
        world: type[World] = import_module("probes.journey.loading.settings").World
        return world(
            directory=self._context["directory"],
            environ=self._context["environ"],
            variables=self._variables,
            others={
                name: cast("JourneyKeys", it.keys)
                for name, it in self.written.items()
                if it.family is OVER_HTTP
            },
            browser=safety.browser,
            broken=frozenset(self._named.places.keys() - self.written.keys()),
        )

    def _refuse(self, written: Written, flaws: tuple[Flaw, ...], *, is_fragment: bool) -> None:
        """Note *flaws*; those of a fragment that another journey mends only when it is played."""
        kept = tuple(flaw for flaw in flaws if is_fragment and flaw.is_alone)
        self._alone[written.name] = kept
        self._tell(written, (flaw for flaw in flaws if flaw not in kept))

    def _advise(self, written: Written, *, is_fragment: bool) -> None:
        if is_fragment or written.family is not OVER_HTTP:
            return
        advice = import_module("probes.journey.loading.advice").advice
        for flaw in advice(written.keys, self.compiled[written.name]):
            place = self._place_of(written, flaw)
            self._mistakes.warn(place, flaw.message, at_key=flaw.at_key)

    def _tell(self, written: Written, flaws: Iterable[Flaw]) -> None:
        for flaw in flaws:
            place = self._place_of(written, flaw)
            self._mistakes.add(place, flaw.message, at_key=flaw.at_key)

    def _place_of(self, written: Written, flaw: Flaw) -> Place:
        place = self._named.places[written.name]
        return Place(place.document, (*place.path, *flaw.path))

    def is_broken(self, name: object) -> bool:
        """Return whether *name* has mistakes, which are told where it stands."""
        if not isinstance(name, str) or name not in self._named.places or name in self.compiled:
            return False
        if name in self._alone:
            self._tell(self.written[name], self._alone[name])
        return True

    def secrets(self) -> set[str]:
        """Return every secret of every journey."""
        return {text for it in self.written.values() for text in it.hidden}

    def files(self, directory: Path) -> set[Path]:
        """Return what was read beside the probe files: rows of data, and code."""
        found: set[Path] = set()
        for it in self.compiled.values():
            if (code := getattr(it, "path", None)) is not None:
                found.add(code)
            feeder = getattr(getattr(it, "journey", it), "feeder", None)
            if feeder is not None:
                found.add(directory / feeder.path)
        return found

    def _judge_variables(self) -> None:
        """Refuse a ``--var`` that no journey reads or that is a secret of one."""
        known: set[str] = set()
        hidden: set[str] = set()
        for name, it in self.written.items():
            known.update(getattr(it.keys, "vars", ()))
            reads: Iterable[str] = getattr(self.compiled.get(name), "reads", ())
            known.update(read.removeprefix("vars.") for read in reads if _is_variable(read))
            hidden.update(it.secrets)
        for name in self._variables:
            if name in known:
                continue
            if name in hidden:
                text = f"want no secret by --var, got {short(name)}; everybody can read a command"
            else:
                declared = {one for one in known if one not in self._variables}
                text = f"want the name of a variable of a journey, got {short(name)}"
                text += suggest(name, declared)
            self._mistakes.add(Place(Document("--var", None, ())), text)


def _is_variable(name: str) -> bool:
    return "." not in name or name.startswith("vars.")


def _spoilt(broken: Collection[str], includes: Mapping[str, Collection[str]]) -> set[str]:
    """Return the journeys that lack steps because a *broken* one is included, however far."""
    found = set(broken)
    before = -1
    while len(found) > before:
        before = len(found)
        found.update(name for name, names in includes.items() if not found.isdisjoint(names))
    return found
