"""What one shard could do in earlier runs, by the hash of their plans: load.md 5.6 sizes by it.

A small file beside the lock; what is no sound number in it is as if it were not there. Blocks
(files): call it in a thread.
"""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from scenarios.course.filing import write_whole
from scenarios.course.lock import DIRECTORY

FILE = "capacity.json"
# Plans of a few scenarios with a few flags each; the oldest go.
KEEP = 200
MAX_BYTES = 64 * 1024


def read_capacities(data: Path) -> dict[str, float]:
    """Return config hash -> requests a second of one shard, the oldest first."""
    try:
        with (data / DIRECTORY / FILE).open("rb") as file:
            values: Any = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}  # none yet, or one that nobody can read: then the default holds
    if not isinstance(values, Mapping):
        return {}
    return {key: float(it) for key, it in values.items() if _is_sound(it)}


def note_capacity(data: Path, config_hash: str, requests: float) -> None:
    """Note what a shard could do in a run that has ended.

    Raises:
        OSError: it could not be written; what stood there still does.
    """
    known = read_capacities(data)
    known.pop(config_hash, None)
    known[config_hash] = round(requests, 1)
    kept = dict(list(known.items())[-KEEP:])
    write_whole(data / DIRECTORY / FILE, json.dumps(kept, indent=1) + "\n")


def _is_sound(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value) and value > 0
