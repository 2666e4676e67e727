"""The results of load runs in the data directory: of before a restart, and of `sonde load` beside.

Blocks (files): call it in a thread. Knows no page.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scenarios.course.filing import FILES
from scenarios.outlets.structure import from_json
from scenarios.report import LoadReport

log = logging.getLogger("sonde.load")

REPORTS = "reports"
# A run of an hour with 200 steps is some MB.
MAX_BYTES = 64 * 1024 * 1024


def state_directory() -> Path:
    """Return where state is kept by default: https://specifications.freedesktop.org/basedir.

    A user without a home, as in a container, has that of the system; whether it may be written
    shows when there is something to write.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    # a relative one is invalid by the specification
    if given.startswith("/"):
        return Path(given) / "sonde"
    try:
        return Path("~/.local/state/sonde").expanduser()
    except RuntimeError:
        return Path("/var/lib/sonde")


@dataclass(slots=True)
class Results:
    """What is known of the directory of results.

    Args:
        data: directory of data.
    """

    data: Path
    _seen: dict[str, set[str]] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    @property
    def directory(self) -> Path:
        """Where reports go, a directory a scenario."""
        return self.data / REPORTS

    def note(self, directory: Path) -> None:
        """Take a run as seen: it is our own."""
        self._seen.setdefault(directory.parent.name, set()).add(directory.name)

    def news(self, scenarios: Iterable[str]) -> Mapping[str, tuple[tuple[LoadReport, ...], bool]]:
        """Return what has come since the last time, the oldest run first, by scenario.

        Of a scenario that is asked about for the first time only its last run is told, and that it
        is old.
        """
        found: dict[str, tuple[tuple[LoadReport, ...], bool]] = {}
        for name in scenarios:
            # a run whose result is on its way comes the next time
            now = {it.parent.name for it in (self.directory / name).glob(f"*/{FILES['json']}")}
            runs = sorted(now - self._seen.get(name, set()))
            is_new = name in self._asked
            self._asked.add(name)
            self._seen[name] = now
            runs = runs if is_new else runs[-1:]
            if reports := [report for run in runs if (report := self._read(name, run))]:
                found[name] = (tuple(reports), is_new)
        return found

    def _read(self, scenario: str, run: str) -> LoadReport | None:
        path = self.directory / scenario / run / FILES["json"]
        try:
            with path.open("rb") as file:
                # of a larger one half is read, which is no JSON
                return from_json(file.read(MAX_BYTES).decode())
        except (OSError, ValueError) as error:
            log.warning("want to read the run in %s, got %s", path, error)
            return None
