"""What a shard could do in earlier runs, by config hash: load.md 5.6. Blocks (one small file).

    <data>/load/capacity.json     hash -> requests a second

A file that is missing or broken knows nothing: then the numbers of load.md count. Knows no plan.
"""

import json
import math
from pathlib import Path
from typing import Any

from scenarios.filing import write_whole
from scenarios.lock import DIRECTORY
from scenarios.report import LoadReport
from scenarios.sizing import capacity_of

FILE = "capacity.json"
# Of the plans that were run last; a file that is changed daily makes as many in a year.
KEEP = 365
# An entry takes some 90 bytes.
_MAX_BYTES = 1 << 20


def known_capacities(directory: Path) -> dict[str, float]:
    """Return config hash -> requests a second of one shard, the latest last."""
    try:
        with (directory / DIRECTORY / FILE).open("rb") as file:
            values: Any = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        key: float(it)
        for key, it in values.items()
        if isinstance(it, int | float) and not isinstance(it, bool) and _is_capacity(it)
    }


def _is_capacity(number: float) -> bool:
    return math.isfinite(number) and number > 0


def note_capacity(directory: Path, report: LoadReport) -> None:
    """Keep what *report* shows of its shards; nothing, when they were not busy enough to tell.

    Raises:
        OSError: the directory cannot be written.
    """
    found = capacity_of(report)
    if found is None or not report.config_hash:
        return
    known = known_capacities(directory)
    known.pop(report.config_hash, None)
    known[report.config_hash] = round(found, 1)
    kept = dict(list(known.items())[-KEEP:])
    write_whole(directory / DIRECTORY / FILE, json.dumps(kept, indent=0))
