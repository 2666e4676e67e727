"""What a module lets a request of ``/probe`` say: typed parameters, and hosts that get its secrets.

    Opening
    ├── params             name -> Parameter: settings that a request may give
    ├── credentials_for    globs over hosts that the file does not name and that get the secrets
    └── written            the settings of the module as the file has them

A value is judged by its type before it gets anywhere near a kind. Knows neither HTTP nor a target.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from probes.config.wording import findings
from probes.kind import Kind
from probes.pattern import Pattern, pattern, suggest
from probes.settings import Settings
from probes.units import parse_duration, short

# blackbox.md 8.4
MAX_STRING_CHARACTERS = 256
# RFC 1035, 2.3.4, as text without the final dot.
MAX_HOSTNAME_CHARACTERS = 253
MAX_LABEL_CHARACTERS = 63
MAX_DIGITS = 18
RESERVED = frozenset({"module", "target", "hostname", "debug", "probe"})
_WORDS = {"true": True, "false": False}
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Parameter(Settings):
    """A setting that a request may give."""

    type: Literal["string", "hostname", "int", "duration", "enum", "bool"]
    """What its values are."""
    pattern: Pattern | None = None
    """A string or a host name must match it as a whole."""
    values: tuple[str, ...] = ()
    """The values of an ``enum``."""
    min: int | str | None = None
    """The least ``int`` or ``duration``."""
    max: int | str | None = None
    """The greatest ``int`` or ``duration``."""

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        if self.type == "string" and self.pattern is None:
            raise ValueError("want a pattern beside type: string, got none")
        if self.type == "enum" and not self.values:
            raise ValueError("want values beside type: enum, got none")
        if self.type != "enum" and self.values:
            raise ValueError(f"want no values beside type: {self.type}, got some")
        if self.pattern is not None and self.type not in ("string", "hostname"):
            raise ValueError(f"want no pattern beside type: {self.type}, got one")
        if (self.min is not None or self.max is not None) and self.type not in ("int", "duration"):
            raise ValueError(f"want neither min nor max beside type: {self.type}, got one")
        for bound in (self.min, self.max):
            if bound is not None:
                self._size(bound)
        return self

    def read(self, text: str) -> Any:
        """Return the value that *text* stands for, in the form of the probe file.

        Raises:
            ValueError: it is none.
        """
        if self.type == "enum":
            return self._one_of(text)
        if self.type == "bool":
            if text not in _WORDS:
                raise ValueError(f"want true or false, got {short(text)}")
            return _WORDS[text]
        if self.type in ("int", "duration"):
            return self._within(text)
        if self.type == "hostname":
            _judge_hostname(text)
        elif len(text) > MAX_STRING_CHARACTERS:
            raise ValueError(f"want at most {MAX_STRING_CHARACTERS} characters, got {len(text)}")
        if self.pattern is not None and not _matches_whole(self.pattern, text):
            raise ValueError(f"want a text that matches {self.pattern.text}, got {short(text)}")
        return text

    def _one_of(self, text: str) -> str:
        if text not in self.values:
            raise ValueError(f"want one of {', '.join(self.values)}, got {short(text)}")
        return text

    def _within(self, text: str) -> int | str:
        value: int | str = text
        if self.type == "int":
            value = _integer(text)
        size = self._size(value)
        if self.min is not None and size < self._size(self.min):
            raise ValueError(f"want at least {self.min}, got {short(text)}")
        if self.max is not None and size > self._size(self.max):
            raise ValueError(f"want at most {self.max}, got {short(text)}")
        return value

    def _size(self, value: int | str) -> float:
        if self.type == "duration":
            return parse_duration(value)
        if isinstance(value, str):
            raise ValueError(f"want a whole number, got {short(value)}")  # noqa: TRY004 - pydantic reads ValueError
        return value


def _lower(globs: tuple[str, ...]) -> tuple[str, ...]:
    if not all(globs):
        raise ValueError("want globs over host names such as *.example.org, got an empty one")
    return tuple(glob.lower() for glob in globs)


class ModuleKeys(Settings):
    """Keys of a module alone: what a request of ``/probe`` may say to it."""

    params: dict[str, Parameter] = Field(default={})
    """Settings that a request may give, each with its type."""
    credentials_for: Annotated[tuple[str, ...], AfterValidator(_lower)] = ()
    """Globs over hosts that the file does not name and that may get the secrets of the module."""


MODULE_KEYS = frozenset(ModuleKeys.model_fields)


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """What a module lets a request say; by default nothing."""

    params: Mapping[str, Parameter] = field(default_factory=lambda: NOTHING)
    credentials_for: tuple[str, ...] = ()
    written: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    directory: Path = Path()

    def trusts(self, host: str) -> bool:
        """Return whether *host* may get the secrets of the module."""
        return any(fnmatchcase(host.lower().removesuffix("."), it) for it in self.credentials_for)

    def read(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the settings that a request gives.

        Raises:
            ValueError: a value that is none, or a parameter that the module does not know.
        """
        found: dict[str, Any] = {}
        for name, text in given.items():
            parameter = self.params.get(name)
            if parameter is None:
                hint = suggest(name, self.params)
                raise ValueError(f"parameter {short(name)}: want one of the module's, got it{hint}")
            try:
                found[name] = parameter.read(text)
            except ValueError as error:
                raise ValueError(f"parameter {name}: {error}") from None
        return found

    def kind(self, kind: Kind, settings: Mapping[str, Any]) -> Kind:
        """Return *kind* with the *settings* of a request. Reads secret files.

        Raises:
            ValueError: the kind does not take one of them.
        """
        values = {**self.written, **settings}
        context = {"directory": self.directory, "environ": os.environ}
        try:
            return type(kind).model_validate(values, context=context)
        except ValidationError as error:
            first = next(iter(findings(error, values, type(kind))))
            path = ".".join(map(str, first.path))
            raise ValueError(f"parameter {path}: {first.message}") from None


CLOSED = Opening()


def opening_of(keys: ModuleKeys, written: Mapping[str, Any], directory: Path) -> Opening:
    """Return what a module with *keys* lets a request say.

    Args:
        keys: of the module.
        written: its other settings, as the file has them.
        directory: what relative paths in them begin at.
    """
    if not (keys.params or keys.credentials_for):
        return CLOSED
    kept = deepcopy(dict(written)) if keys.params else NOTHING
    return Opening(MappingProxyType(dict(keys.params)), keys.credentials_for, kept, directory)


def judge_names(keys: ModuleKeys, kind: type[Kind]) -> Mapping[str, str]:
    """Return what is wrong with the names of the parameters, by name."""
    known = ", ".join(kind.parameters) or "it has none"
    wrong: dict[str, str] = {}
    for name in keys.params:
        if name in RESERVED:
            wrong[name] = f"want a name that /probe does not use itself, got {name!r}"
        elif name not in kind.parameters:
            wrong[name] = f"want a parameter of the kind {kind.name} ({known}), got {short(name)}"
    return wrong


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise ValueError(f"want a whole number, got {short(text)}")
    return int(text)


def _judge_hostname(text: str) -> None:
    labels = text.removesuffix(".").split(".")
    for label in labels:
        is_good = 0 < len(label) <= MAX_LABEL_CHARACTERS and _LETTERS.issuperset(label)
        if not is_good or label[0] == "-" or label[-1] == "-":
            raise ValueError(f"want a host name, got {short(text)}")
    if len(text) > MAX_HOSTNAME_CHARACTERS + 1:
        raise ValueError(f"want a host name, got {short(text)}")


def _matches_whole(wanted: Pattern, text: str) -> bool:
    return pattern(rf"\A(?:{wanted.text})\z").search(text.encode()) is not None
