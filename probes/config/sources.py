"""The files of one config: the main one and what it includes, read and parsed, each once.

Knows which keys a file may have on its first level, and nothing below them.
"""

import glob
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.config.blackbox.reading import IF_BLACKBOX, ONLY_BLACKBOX
from probes.config.document import Document, Foreign, load_document, release
from probes.config.mistakes import Layered, Mistakes, Place
from probes.config.nodes import MAX_FILE_BYTES, Budget
from probes.config.sections import DEFAULT_KEYS, FILE_KEYS, LATER_KEYS, SECTION_KEYS
from probes.config.variables import Variables
from probes.config.wording import got
from probes.pattern import suggest
from probes.regular import NotRegular, open_regular
from probes.units import short

VERSION = 1
# A directory of snippets is fine; more files than this is a glob that caught the wrong directory.
MAX_FILES = 1000
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Source:
    """One file. ``top`` is its first level, empty when the file is not usable or a blackbox.yml."""

    path: Path
    document: Document
    top: Mapping[str, Any]
    defaults: Layered
    is_blackbox: bool = False
    """Whether it is a blackbox.yml; then its document has the modules."""

    @property
    def place(self) -> Place:
        """The file as a whole."""
        return Place(self.document)


@dataclass(slots=True)
class Sources:
    """Every file of one config, the main one first."""

    files: list[Source] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    hash: str = ""

    @property
    def main(self) -> Source:
        """The file that was asked for."""
        return self.files[0]

    def release(self) -> None:
        """Let go of what was parsed, piece by piece.

        At the end of a function it would all go at once, and no other thread runs meanwhile
        (measured 2026-11: 0.19 s for 10,000 written-out probes; in pieces 0.02 to 0.09 s).
        """
        for source in self.files:
            source.document.release()
            for value in source.top.values():
                release(value)


def read_sources(
    path: Path,
    mistakes: Mistakes,
    variables: Variables,
    further: Iterable[str] = (),
    *,
    is_blackbox: bool = False,
    is_followed: bool = True,
) -> Sources:
    """Read *path* and, in turn, what it includes; a file may have *further* keys.

    Args:
        path: of the main file.
        mistakes: where they go.
        variables: to expand.
        further: keys of the first level beside our own.
        is_blackbox: the main file is a blackbox.yml.
        is_followed: whether what it includes is read too.
    """
    reader = _Reader(mistakes, variables, FILE_KEYS.union(further))
    reader.main_is = ONLY_BLACKBOX if is_blackbox else IF_BLACKBOX
    reader.is_followed = is_followed
    reader.read(path, None, Layered(NOTHING, ()), ())
    reader.sources.hash = reader.digest.hexdigest()
    return reader.sources


class _Reader:
    """Follows the includes, depth first."""

    def __init__(self, mistakes: Mistakes, variables: Variables, keys: Set[str]) -> None:
        self.sources = Sources()
        self.digest = hashlib.sha256()
        self.main_is: Foreign = IF_BLACKBOX
        self.is_followed = True
        self._mistakes = mistakes
        self._variables = variables
        self._keys = keys
        self._below = {"journeys": variables.expand_in_journey}
        self._budget = Budget()
        self._included_at: dict[Path, Place | None] = {}

    def read(
        self, path: Path, at: Place | None, defaults: Layered, parents: tuple[Path, ...]
    ) -> None:
        """Read one file that is included *at* some place, None for the main one."""
        real = path.resolve()
        self._included_at[real] = at
        try:
            data = self._bytes(path)
        except OSError as error:
            self._missing(path, at, error.strerror or str(error))
            return
        except NotRegular:
            self._missing(path, at, "Not a regular file")
            return
        self.digest.update(len(data).to_bytes(8, "big") + data)
        self.sources.paths.append(path)
        document = load_document(
            data,
            str(path),
            expand=self._variables.expand,
            expand_below=self._below,
            budget=self._budget,
            foreign=self.main_is if at is None else IF_BLACKBOX,
        )
        self._mistakes.read(document)
        # an empty one has no mark of its own
        is_foreign = document.is_foreign or (at is None and self.main_is is ONLY_BLACKBOX)
        top = NOTHING if is_foreign else self._top(document, is_main=at is None)
        place = Place(document)
        own = top.get("defaults")
        if isinstance(own, dict):
            # other keys are told by the judge of `defaults`, once, and not for each probe
            own = {key: value for key, value in own.items() if key in DEFAULT_KEYS}
            defaults = over(Layered(own, (place / "defaults",)), defaults)
        source = Source(path, document, top, defaults, is_foreign)
        self.sources.files.append(source)
        self._judge_top(source, is_main=at is None)
        if self.is_followed:
            self._follow(source, (*parents, real))

    def _bytes(self, path: Path) -> bytes:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & (stat.S_IWGRP | stat.S_IWOTH):
                text = f"want a file that only its owner may change, got mode {mode:04o}"
                self._mistakes.warn(Place(Document(str(path), None, ())), text)
            # one more than is taken: `load_document` says where, as of all that is wrong in it
            return file.read(MAX_FILE_BYTES + 1)

    def _missing(self, path: Path, at: Place | None, why: str) -> None:
        if at is None:
            empty = Document(str(path), None, ())
            self.sources.files.append(Source(path, empty, NOTHING, Layered(NOTHING, ())))
            place = Place(empty)
        else:
            place = at
        self._mistakes.add(place, f"want a file that can be read, got {str(path)!r}: {why}")

    def _top(self, document: Document, *, is_main: bool) -> Mapping[str, Any]:
        if isinstance(document.value, dict):
            return document.value
        if not document.problems and (is_main or document.value is not None):
            shown = "an empty file" if document.value is None else got(document.value)
            self._mistakes.add(
                Place(document),
                f"want a mapping with version: and probes:, got {shown}",
            )
        return NOTHING

    def _judge_top(self, source: Source, *, is_main: bool) -> None:
        mistakes, place = self._mistakes, source.place
        if is_main and source.is_blackbox and self.main_is is IF_BLACKBOX:
            text = f"want the key 'version: {VERSION}', got a blackbox.yml: give it with"
            mistakes.add(place, f"{text} --blackbox-config, or name it in include: of a probe file")
        for key in source.top:
            if key in self._keys or (key in SECTION_KEYS and is_main):
                continue
            if key in SECTION_KEYS:
                text = f"want {key!r} in the main file only, got it in an included one"
            elif key in LATER_KEYS:
                text = f"want a known key, got {key!r}: this version has no such feature yet"
            else:
                text = (
                    f"want a known key, got {short(key)}{suggest(key, self._keys | SECTION_KEYS)}"
                )
            mistakes.add(place / key, text, at_key=True)
        version: object = source.top.get("version")
        # in Python, True equals 1
        if "version" in source.top and (version != VERSION or version is True):
            mistakes.add(place / "version", f"want {VERSION}, got {got(version)}")
        elif is_main and source.top and "version" not in source.top:
            mistakes.add(place, f"want the key 'version: {VERSION}', got none")

    def _follow(self, source: Source, parents: tuple[Path, ...]) -> None:
        included = source.top.get("include")
        if included is None:
            return
        place = source.place / "include"
        if not isinstance(included, list):
            self._mistakes.add(place, f"want a list of files, got {got(included)}")
            return
        for index, pattern in enumerate(included):
            at = place / index
            if not isinstance(pattern, str) or not pattern or "\0" in pattern:
                self._mistakes.add(at, f"want the name of a file, got {got(pattern)}")
                continue
            paths = _matches(source.path.parent, pattern)
            if not paths:
                self._mistakes.warn(at, f"want at least one file, got none like {short(pattern)}")
            for path in paths:
                self._include(path, at, source, parents)

    def _include(self, path: Path, at: Place, source: Source, parents: tuple[Path, ...]) -> None:
        real = path.resolve()
        if real in parents:
            self._mistakes.add(at, f"want files that do not include each other, got {str(path)!r}")
        elif real in self._included_at:
            first = self._included_at[real]
            self._mistakes.add(
                at, f"want each file once, got {str(path)!r} again (first at {first})"
            )
        elif len(self._included_at) >= MAX_FILES:
            self._mistakes.add(at, f"want at most {MAX_FILES} files, got more")
        else:
            self.read(path, at, source.defaults, parents)


def _matches(directory: Path, pattern: str) -> Sequence[Path]:
    if not any(letter in pattern for letter in "*?["):
        return [directory / pattern]
    # Path.glob refuses absolute patterns
    found = sorted(glob.glob(pattern, root_dir=directory))  # noqa: PTH207 - see above
    return [directory / name for name in found]


def over(top: Layered, base: Layered) -> Layered:
    """Return *top* laid over *base*: keys of *top* win, mappings are merged key by key."""
    return Layered(merge(base.values, top.values), top.places + base.places)


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return *base* with *top* laid over it; lists and scalars replace, mappings merge."""
    result = dict(base)
    for key, value in top.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not _both_secrets(old, value):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def _both_secrets(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether both say where a secret is: {env: A} over {file: b} is another source, not both."""
    return all(len(it) == 1 and not {"env", "file"}.isdisjoint(it) for it in (old, new))
