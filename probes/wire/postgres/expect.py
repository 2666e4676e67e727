"""What the answer of a PostgreSQL server should be: ``expect`` and ``warn`` of its kind.

Judges values. Knows no driver and no connection.
"""

from typing import Literal

from pydantic import Field

from probes.expect import CertificateExpect, DurationBand, Matcher
from probes.matcher import MISSING
from probes.settings import Settings
from probes.wire.postgres.answer import Answer


class PostgresWarn(Settings):
    """What the answer of the query must be."""

    rows: Matcher | None = None
    """Number of rows; at most 100 are read and counted."""
    value: Matcher | None = None
    """First column of the first row."""
    columns: dict[str, Matcher] = Field(default={})
    """Columns of the first row, by name."""

    def misses(self, answer: Answer) -> list[str]:
        """Return every miss as text."""
        wanted = [("rows", self.rows, answer.rows), ("value", self.value, answer.value)]
        wanted += [(name, m, answer.first.get(name, MISSING)) for name, m in self.columns.items()]
        return [
            f"{name}: {miss}"
            for name, matcher, value in wanted
            if matcher is not None and (miss := matcher.miss(value)) is not None
        ]


class PostgresExpect(PostgresWarn):
    """What the run must be."""

    role: Literal["primary", "replica"] | None = None
    """What the server must be."""
    latency: DurationBand | None = None
    """Time from the resolution of the name to the end of the query."""
    certificate: CertificateExpect | None = None
    """What the server's certificate must be."""
