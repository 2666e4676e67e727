"""What one run of one probe found, as frozen values.

    Result
    ├── outcome          up | degraded | down | unknown
    ├── failure          Failure(reason, message, phase): why not up
    ├── warnings         Failure, ...: what degraded it
    ├── phases           Phase(name, seconds, complete), ...: where the time went
    ├── samples          Sample(name, value, labels), ...: numbers the kind measured
    ├── facts            name -> text for people, never a label
    └── steps            Result, ...: the steps of a journey

Knows nothing of how a check is made, of configuration, or of who reads the result.
Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Self


class Outcome(StrEnum):
    """The verdict of a run. Only ``down`` blames the target; ``unknown`` blames the prober."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a run is not up: the one closed list, the only error text that may become a label."""

    # the target's fault: down or degraded
    DNS_NXDOMAIN = "dns_nxdomain"
    DNS_NO_ADDRESS = "dns_no_address"
    DNS_SERVFAIL = "dns_servfail"
    DNS_TIMEOUT = "dns_timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    TLS = "tls"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_NAME = "certificate_name"
    CERTIFICATE_EXPIRING = "certificate_expiring"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    BLOCKED = "blocked"
    STATUS = "status"
    AUTH = "auth"
    BODY = "body"
    VALUE = "value"
    LATENCY = "latency"
    EXTRACT = "extract"
    # the prober's own fault: unknown, never down
    INTERNAL = "internal"
    RESOURCE = "resource"
    NETWORK = "network"
    OVERLOAD = "overload"
    STALL = "stall"
    PERMISSION = "permission"
    CONFIG = "config"
    POLICY = "policy"
    CLOCK = "clock"
    EVIDENCE = "evidence"

    @property
    def is_own_fault(self) -> bool:
        """Whether the prober, not the target, is to blame."""
        return self in PROBER_REASONS


PROBER_REASONS = frozenset(
    {
        Reason.INTERNAL,
        Reason.RESOURCE,
        Reason.NETWORK,
        Reason.OVERLOAD,
        Reason.STALL,
        Reason.PERMISSION,
        Reason.CONFIG,
        Reason.POLICY,
        Reason.CLOCK,
        Reason.EVIDENCE,
    }
)

TARGET_REASONS = frozenset(Reason) - PROBER_REASONS

NO_FACTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run is not up.

    ``message`` reads ``want X, got Y`` and holds no secret; ``phase`` is None when the whole run is
    meant.
    """

    reason: Reason
    message: str
    phase: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"reason": self.reason.value, "message": self.message, "phase": self.phase}


# Phase, Sample and Result are tuples, not dataclasses: a run makes a dozen of them, a tuple is made
# and compared in a fraction of the time, and the exposition compares those of two runs.
class Phase(NamedTuple):
    """A timed part of a run. ``complete`` is false where the run broke off inside it."""

    name: str
    seconds: float
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"name": self.name, "seconds": self.seconds, "complete": self.complete}


class Sample(NamedTuple):
    """A number a kind measured, under the name its ``Kind.metrics`` declares (no prefix)."""

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"name": self.name, "value": self.value, "labels": dict(self.labels)}


class Result(NamedTuple):
    """What one run found; ``target`` is its redacted form, ``seconds`` monotonic time."""

    probe: str
    kind: str
    target: str
    outcome: Outcome
    started_at: datetime
    seconds: float
    run_id: str = ""
    attempts: int = 1
    failure: Failure | None = None
    warnings: tuple[Failure, ...] = ()
    phases: tuple[Phase, ...] = ()
    samples: tuple[Sample, ...] = ()
    facts: Mapping[str, str] = NO_FACTS
    steps: tuple["Result", ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the target works, perhaps with a warning."""
        return self.outcome is Outcome.UP or self.outcome is Outcome.DEGRADED

    @property
    def cause(self) -> Failure | None:
        """The failure, or the first warning of a degraded run; None when up."""
        if self.failure is not None:
            return self.failure
        return self.warnings[0] if self.warnings else None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form; `from_dict` reads it back equal."""
        return {
            "probe": self.probe,
            "kind": self.kind,
            "target": self.target,
            "outcome": self.outcome.value,
            "started_at": self.started_at.astimezone(UTC).isoformat(),
            "seconds": self.seconds,
            "run_id": self.run_id,
            "attempts": self.attempts,
            "failure": self.failure.as_dict() if self.failure else None,
            "warnings": [warning.as_dict() for warning in self.warnings],
            "phases": [phase.as_dict() for phase in self.phases],
            "samples": [sample.as_dict() for sample in self.samples],
            "facts": dict(self.facts),
            "steps": [step.as_dict() for step in self.steps],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            KeyError, ValueError: not such a dict.
        """
        return cls(
            probe=data["probe"],
            kind=data["kind"],
            target=data["target"],
            outcome=Outcome(data["outcome"]),
            started_at=datetime.fromisoformat(data["started_at"]),
            seconds=data["seconds"],
            run_id=data["run_id"],
            attempts=data["attempts"],
            failure=_failure(data["failure"]) if data["failure"] else None,
            warnings=tuple(map(_failure, data["warnings"])),
            phases=tuple(Phase(**phase) for phase in data["phases"]),
            samples=tuple(
                Sample(sample["name"], sample["value"], tuple(sample["labels"].items()))
                for sample in data["samples"]
            ),
            facts=dict(data["facts"]),
            steps=tuple(cls.from_dict(step) for step in data["steps"]),
        )


def _failure(data: Mapping[str, Any]) -> Failure:
    return Failure(Reason(data["reason"]), data["message"], data["phase"])
