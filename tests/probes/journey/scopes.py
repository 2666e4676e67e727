"""Scopes for tests: fixed clock, fixed run."""

from datetime import UTC, datetime
from typing import Any

from probes.journey.language.expression import Scope
from probes.journey.language.functions import chance

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def scope(**values: Any) -> Scope:
    """Return a scope in which *values* are known."""
    return Scope("run-1", 0, chance(0, 0), lambda: NOON, {}, values=values, vars=values)
