"""One endpoint on trial: what it answered, what was known of it, and what is found in this run.

The rooms of the judge (`identity`, `history`, `voters`, `age`, `fork` ...) each read it and add to
it; `evaluate` calls them in their order and makes the `Verdict`. Lives for one judgement.
"""

from dataclasses import dataclass, field
from typing import Any

from probes.chain.judge.views import Block, View, change, copied
from probes.chain.model import Endpoint, Head, Observation
from probes.chain.reasons import ChainReason, Finding
from probes.result import Outcome


@dataclass(slots=True)
class Case:
    """See the module.

    Args:
        endpoint: who.
        seen: what it answered.
        before: what was known; never changes.
        view: what the next run shall know: a copy of its own, which `keep` fills.
        head: its head, if it told one that can be; its timestamp is None where it cannot be.
        findings: what is wrong, in the order in which it was found.
        id_match: whether it serves the right chain; None: not known.
        is_balanced: whether several nodes answer under its name.
        ahead_s: seconds by which its head is ahead of our clock, where that is too much; else 0.
        is_voter: whether it takes part in the reference.
        age_s: seconds since its head was made, or came; None: not known.
        lag: blocks behind the reference; None: not judged.
        disagrees: whether it contradicts the majority on a settled block; None: not compared.
        finality_limit: what its finality lag is judged by.
    """

    endpoint: Endpoint
    seen: Observation
    before: View
    view: View = field(init=False)
    head: Head | None = None
    findings: list[Finding] = field(default_factory=list)
    id_match: bool | None = None
    is_balanced: bool = False
    ahead_s: float = 0.0
    is_voter: bool = False
    age_s: float | None = None
    lag: int | None = None
    disagrees: bool | None = None
    finality_limit: float | None = None

    def __post_init__(self) -> None:
        self.view = copied(self.before)

    @property
    def name(self) -> str:
        """Name of the endpoint."""
        return self.endpoint.name

    @property
    def stands(self) -> bool:
        """Whether its head is that of the run before."""
        before = self.before.head
        return self.head is not None and before is not None and self.head.height == before.height

    @property
    def app(self) -> Block | None:
        """Height of its application and the state that it came to; None: not known."""
        return self.seen.app or (self.before.app if self.stands else None)

    @property
    def is_first(self) -> bool:
        """Whether it never told a head before this run: nothing can be compared over time."""
        return self.before.samples == 0

    def down(self, reason: ChainReason, detail: str) -> None:
        """Note that it must get no traffic."""
        self.findings.append(Finding(reason, Outcome.DOWN, detail))

    def degraded(self, reason: ChainReason, detail: str) -> None:
        """Note that it is impaired."""
        self.findings.append(Finding(reason, Outcome.DEGRADED, detail))

    def unknown(self, reason: ChainReason, detail: str) -> None:
        """Note that something cannot be told."""
        self.findings.append(Finding(reason, Outcome.UNKNOWN, detail))

    def has(self, reason: ChainReason) -> bool:
        """Return whether *reason* was found."""
        return any(finding.reason is reason for finding in self.findings)

    def keep(self, **changes: Any) -> None:
        """Let the next run know *changes*."""
        change(self.view, changes)
