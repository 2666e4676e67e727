"""What the children of a load run leave behind: their last words, and reports of Locust's own.

Knows no verdict of a run. `read_pages` blocks (files): call it in a thread.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from probes.regular import NotRegular, TooLarge, read_regular
from scenarios.fleet.launch import Fleet
from scenarios.report import Verdict, Why

# Locust's page is 950 KB; of thousands of names it is a few more. Beyond this nobody opens it.
MAX_PAGE_BYTES = 16 * 1024 * 1024
_BROKEN = ("internal", "plan_error", "parent_gone")


def last_words(fleet: Fleet) -> Iterator[Why]:
    """Yield what children had to say against the run."""
    for shard, final in sorted(fleet.finals.items()):
        if final.why in _BROKEN:
            text = f"want shard {shard} to end by itself, got {final.why}: {final.text}"
            yield Why(Verdict.INCONCLUSIVE, final.why, text)
        if final.exit_code:
            text = f"want exit code 0 of the locust file, got {final.exit_code}"
            yield Why(Verdict.FAIL, "locust_exit", text)


def read_pages(directory: Path, shards: int) -> Mapping[str, str]:
    """Return name -> text of the reports that Locust itself has written, one a shard.

    Args:
        directory: of the run; its children are believed nothing.
        shards: how many there may be.

    Raises:
        OSError: one cannot be read.
    """
    found: dict[str, str] = {}
    for shard in range(shards):
        path = directory / f"locust-{shard}.html"
        if path.is_symlink():
            continue
        try:
            # O_NOFOLLOW: it may have become a link to a file of ours meanwhile
            text = read_regular(path, MAX_PAGE_BYTES, os.O_NOFOLLOW)
        except (FileNotFoundError, NotRegular, TooLarge):
            continue  # none was asked for, or it is no page of Locust's
        name = "locust.html" if shards == 1 else path.name
        found[name] = text.decode("utf-8", "backslashreplace")
    return found
