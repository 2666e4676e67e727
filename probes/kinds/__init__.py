"""The registry of kinds: one file of this folder each, or one entry point of another package.

A kind is found by its name and only its own module is imported. Knows no particular kind and no
driver.
"""

import ast
import pkgutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from probes.extras import missing
from probes.kind import Kind
from probes.pattern import suggest
from probes.units import short

# What a broken module of somebody else raises while it is imported.
_BROKEN = (ImportError, SyntaxError, LookupError, NameError, AttributeError, TypeError, ValueError)
# Every class that was asked for so far: what their runs share is released at the end.
_found: set[type[Kind]] = set()
GROUP = "sonde.kinds"
"""Entry points of other packages: ``name = "package.module:Class"``."""


@cache
def kind_names() -> tuple[str, ...]:
    """Return the names of our own kinds, sorted; nothing is imported."""
    found = pkgutil.iter_modules(__path__)
    return tuple(sorted(module.name for module in found if not module.name.startswith("_")))


def find_kind(name: str, *, allowed: Collection[str] = ()) -> type[Kind]:
    """Return the class of the kind *name*.

    Args:
        name: the word in the probe file.
        allowed: names of third-party kinds that may be imported.

    Raises:
        ValueError: no such kind, one that is not allowed, or one that cannot be loaded.
    """
    kind = _own_kind(name) if name in kind_names() else _foreign_kind(name, allowed)
    _found.add(kind)
    return kind


async def release_kinds() -> None:
    """End what the runs of each kind share, such as a browser; nothing runs any more."""
    for kind in sorted(_found, key=lambda kind: kind.name):
        await kind.release()


def _foreign_kind(name: str, allowed: Collection[str]) -> type[Kind]:
    third_party = entry_points(group=GROUP, name=name)
    if not third_party:
        hint = suggest(name, [*kind_names(), *allowed]) or f" ({', '.join(kind_names())})"
        raise ValueError(f"want a kind, got {short(name)}{hint}")
    if name not in allowed:
        raise ValueError(f"want a kind that prober.kinds allows, got {short(name)}")
    if len(third_party) > 1:
        raise ValueError(f"want one package that brings the kind {name!r}, got {len(third_party)}")
    (entry_point,) = third_party
    return _load(entry_point)


def discover(*, allowed: Collection[str] = ()) -> dict[str, type[Kind]]:
    """Return every kind of our own and the *allowed* ones of other packages, by name."""
    return {name: find_kind(name, allowed=allowed) for name in (*kind_names(), *allowed)}


@dataclass(frozen=True, slots=True)
class Glance:
    """What a kind says of itself: the first line about it, its extra and its driver."""

    name: str
    summary: str
    requires: str | None = None
    driver: str | None = None


def glances() -> list[Glance]:
    """Return what each of our own kinds says of itself, out of its source.

    To import them all takes three times as long as to read them.
    """
    (folder,) = __path__
    return [_glance(name, (Path(folder) / f"{name}.py").read_bytes()) for name in kind_names()]


def _glance(name: str, source: bytes) -> Glance:
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        words = dict(_words(node))
        if words.get("name") == name:
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            return Glance(name, summary, words.get("requires"), words.get("driver"))
    raise ValueError(f"want a class with name = {name!r} in {name}.py, got none")


def _words(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the texts that a class gives to its names."""
    for line in definition.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text
            case _:
                pass


def missing_extra(kind: type[Kind] | Glance) -> str | None:
    """Return what to install for *kind*, or None when its driver is there."""
    return None if kind.driver is None else missing(kind.requires or kind.name, kind.driver)


@cache
def _own_kind(name: str) -> type[Kind]:
    module = import_module(f"{__name__}.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Kind) and vars(value).get("name") == name:
            return value
    raise ValueError(f"want a subclass of Kind with name = {name!r} in {module.__name__}, got none")


def _load(entry_point: EntryPoint) -> type[Kind]:
    try:
        kind = entry_point.load()
    except _BROKEN as error:
        detail = f"{type(error).__name__}: {error}"
        raise ValueError(f"want the kind {entry_point.name!r} to load, got {detail}") from error
    if isinstance(kind, type) and issubclass(kind, Kind) and kind.name == entry_point.name:
        return kind
    raise ValueError(f"want a Kind with name = {entry_point.name!r}, got {short(kind)}")
