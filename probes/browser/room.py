"""How much memory there is for a browser: of the machine, and of the cgroups around us.

Reads files and blocks: off the loop only. Knows no browser.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


def free_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes that may still be taken, by the tightest limit; None: nothing tells.

    Args:
        proc: where the kernel tells of this process and the machine.
        cgroups: mount point of cgroup v2.
    """
    found = [_available(proc), *_left_in_cgroups(proc, cgroups)]
    return min((it for it in found if it is not None), default=None)


def _available(proc: Path) -> int | None:
    return _field(proc / "meminfo", "MemAvailable:", 1024)


def _left_in_cgroups(proc: Path, cgroups: Path) -> Iterator[int | None]:
    """Give what is left in our group and in each one around it."""
    path = _own_group(proc)
    if path is None:
        return
    group = cgroups / path
    for at in (group, *group.parents):
        yield _left(at)
        if at == cgroups:
            return


def _own_group(proc: Path) -> Path | None:
    with suppress(OSError, UnicodeDecodeError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            number, _, path = line.partition("::")
            parts = Path(path).parts[1:]
            # "0::" is that of version 2; ".." comes from a namespace that is not ours
            if number == "0" and ".." not in parts:
                return Path(*parts)
    return None


def _left(group: Path) -> int | None:
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or used is None:
        return None
    # pages of files that nobody needs at once are given back before anybody is killed
    spare = _field(group / "memory.stat", "inactive_file", 1) or 0
    return max(0, limit - used + min(spare, used))


def _number(path: Path) -> int | None:
    with suppress(OSError, UnicodeDecodeError):
        text = path.read_text().strip()
        return int(text) if text.isascii() and text.isdigit() else None
    return None


def _field(path: Path, name: str, unit: int) -> int | None:
    with suppress(OSError, UnicodeDecodeError):
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == name and words[1].isdigit():
                return int(words[1]) * unit
    return None
