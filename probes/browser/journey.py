"""A browser journey, compiled once: what the kind `browser` plays. Frozen values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from probes.browser.plan import Plan
from probes.browser.process import Launch
from probes.journey.language.data import Feeder
from probes.journey.language.expression import Tree
from probes.journey.safety import BrowserSafety
from probes.redact import Secret


@dataclass(frozen=True, slots=True)
class BrowserJourney:
    """One browser journey.

    Args:
        plan: what the browser does; whoever plays it fills in the base URL.
        launch: which browser.
        base_url: default of the target; empty: the probe must name one.
        timeout_s: all steps, the start of the browser included.
        record: what is kept of a failure.
        limits: of all browsers together.
        artefacts: where files of failed runs stay; None: below /tmp.
        vars: lowest precedence.
        secrets: used as ``${secrets.name}``.
        feeder: rows of data; None: no data.
        environ: for ``env(name)``; empty when nothing asks.
        reads: every name that its texts read.
        origin: what it was made of; two of the same origin are equal.
    """

    plan: Plan = field(compare=False)
    launch: Launch = field(compare=False)
    base_url: str = field(default="", compare=False)
    timeout_s: float = field(default=60.0, compare=False)
    record: Literal["never", "on_failure", "always"] = field(default="on_failure", compare=False)
    limits: BrowserSafety = field(default_factory=BrowserSafety, compare=False)
    artefacts: Path | None = field(default=None, compare=False)
    vars: tuple[tuple[str, Tree], ...] = field(default=(), compare=False)
    secrets: tuple[tuple[str, Secret], ...] = field(default=(), compare=False)
    feeder: Feeder | None = field(default=None, compare=False)
    environ: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    reads: frozenset[str] = field(default=frozenset(), compare=False)
    origin: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the file."""
        return self.plan.journey

    @property
    def description(self) -> str:
        """What it is, for people; it is in ``origin`` for nothing else."""
        return str(self.origin[0].description) if self.origin else ""
