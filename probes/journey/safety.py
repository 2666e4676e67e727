"""``safety:`` of journeys: ceilings that no journey, probe or flag can raise.

Light: every probe file has them, also one without journeys.
"""

from pydantic import Field

from probes.settings import Settings
from probes.units import Size


class BrowserSafety(Settings):
    """Hard ceilings of all browser journeys together."""

    max_parallel: int = Field(default=2, ge=1, le=64)
    """Runs at a time; one that waits for its turn waits on its own time."""
    min_free_memory: Size = 750 * 2**20
    """Memory that must be free before a browser starts."""
    artefacts: str = ""
    """Directory for screenshots, traces and HAR files; else one of ours below /tmp."""
