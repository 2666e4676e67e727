"""A probe: kind + target + schedule, with a unique name.

Plain frozen data, made by `probes.config`; run state lives elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from probes.kind import Kind
from probes.redact import Redactor, parts_of_target, secrets_in_target
from probes.result import Reason

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

    ``must_fail`` holds the reasons that count as success where the target must not work;
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
    must_fail: frozenset[Reason] = frozenset()
    secret_target: bool = False
    source: str = ""
    display: str = ""
    redact: Redactor = field(default_factory=Redactor, compare=False)

    def __post_init__(self) -> None:
        given, secrets = self.redact, self.kind.secrets(self.target)
        if self.secret_target:
            secrets |= parts_of_target(self.target)
        if secrets:
            object.__setattr__(self, "redact", given | secrets)
        if not self.display:
            scheme, host, path = _parts(self.kind.display_target(self.target))
            # The host is no secret because the password in front of it is the same word: else
            # redis://:redis@redis:6379 would be ***://***:6379, in a label and on every page.
            others = {it for it in secrets - secrets_in_target(self.target) if it in host}
            shown = f"{scheme}{(given | others)(host)}{self.redact(path) if path else path}"
            object.__setattr__(self, "display", shown)


def _parts(target: str) -> tuple[str, str, str]:
    """Return the scheme with ``://``, the host, and the rest; without a scheme all is the rest."""
    scheme, separator, rest = target.partition("://")
    if not separator:
        return "", "", target
    host, slash, path = rest.partition("/")
    return scheme + separator, host, slash + path
