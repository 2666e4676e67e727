"""What the kinds share that play a journey of the file: which one it is, and what it brings along.

Knows no family: a kind says which classes it plays, and how they are called in messages.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from pydantic import PrivateAttr, ValidationInfo, field_validator, model_validator

from probes.kind import Kind
from probes.pattern import suggest
from probes.redact import Secret
from probes.units import short
from probes.wire.url import parse_url


class Playable(Protocol):
    """A journey of any family, ready to be played."""

    @property
    def base_url(self) -> str:
        """Of relative addresses; empty: there is none."""
        ...

    @property
    def timeout_s(self) -> float:
        """Seconds for all of it but its clean-up."""
        ...

    @property
    def secrets(self) -> tuple[tuple[str, Secret], ...]:
        """By name."""
        ...


class JourneyKind(Kind):
    """Plays one journey of the probe file. Subclassed, not used."""

    families: ClassVar[tuple[type, ...]]
    """Classes of the compiled journeys that it plays."""
    wanted: ClassVar[str]
    """What it plays, in a message: ``a journey over HTTP``."""
    named: ClassVar[str]
    """The same of a name: ``a journey under journeys``."""
    other: ClassVar[str]
    """What to do with one that it does not play."""

    journey: str
    """Name of the journey under ``journeys``."""

    _found: Any = PrivateAttr(default=None)

    @field_validator("journey")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        cls._find(name, info.context)
        return name

    @model_validator(mode="after")
    def _compile(self, info: ValidationInfo) -> Self:
        self._found = self._find(self.journey, info.context)
        return self

    @classmethod
    def _find(cls, name: str, context: Any) -> Any:
        """Return the compiled journey of that name.

        Raises:
            ValueError: there is none, or it is one of another family.
        """
        known: Mapping[str, Any] | None = (context or {}).get("journeys")
        if known is None:
            raise ValueError("want a journey of a probe file, got no file")
        found = known.get(name)
        if isinstance(found, cls.families):
            return found
        if found is not None:
            raise ValueError(f"want {cls.wanted}, got {short(name)}, {cls.other}")
        mine = [key for key, value in known.items() if isinstance(value, cls.families)]
        hint = suggest(name, mine) or f" ({', '.join(sorted(mine)) or 'there are none'})"
        raise ValueError(f"want the name of {cls.named}, got {short(name)}{hint}")

    @property
    def playable(self) -> Playable | None:
        """What is played; None: these settings were not read from a file."""
        found: Playable | None = self._found
        return found

    @property
    def default_timeout_s(self) -> float | None:
        return self.playable.timeout_s if self.playable is not None else None

    @property
    def default_target(self) -> str | None:
        return (self.playable.base_url or None) if self.playable is not None else None

    def check_target(self, target: str) -> None:
        url = parse_url(target)
        if "?" in url.path_query:
            raise ValueError(f"want a base URL without a query, got {short(str(url))}")

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target)
        if self.playable is not None:
            found.update(secret.get_secret_value() for _, secret in self.playable.secrets)
        return found
