"""A probe: kind + target + schedule, with a unique name.

Plain frozen data, made by `probes.config`; run state lives elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from probes.kind import Kind
from probes.redact import Redactor, parts_of_target

Severity = Literal["critical", "warning", "info"]
NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Slo:
    """What share of the runs must pass, and how fast. ``latency_s`` None: no latency objective."""

    objective: float
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """After how many runs in a row an incident opens and closes."""

    open_after: int = 3
    close_after: int = 2


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that is checked.

    ``display`` is the redacted target that may be shown anywhere; ``redact`` cleans every text of a
    run.
    """

    name: str
    kind: Kind
    target: str
    every_s: float = 30.0
    timeout_s: float = 10.0
    module: str = ""
    tags: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    severity: Severity = "warning"
    incident: IncidentPolicy = field(default_factory=IncidentPolicy)
    depends_on: tuple[str, ...] = ()
    slo: Slo | None = None
    runbook: str = ""
    retries: int = 0
    retry_every_s: float = 1.0
    secret_target: bool = False
    source: str = ""
    display: str = ""
    redact: Redactor = field(default_factory=Redactor, compare=False)

    def __post_init__(self) -> None:
        secrets = self.kind.secrets(self.target)
        if self.secret_target:
            secrets |= parts_of_target(self.target)
        if secrets:
            object.__setattr__(self, "redact", self.redact | secrets)
        if not self.display:
            object.__setattr__(self, "display", self.redact(self.kind.display_target(self.target)))
