"""The directory in which children keep everything temporary, and the removal of such directories.

A prober that was killed with its browser cannot tidy up; the next one does: a directory belongs to
a live prober as long as its lock file is locked. Every call blocks: off the loop only.
"""

import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

PREFIX = "sonde-browser-"
_LOCK = "lock"
# sockaddr_un holds 108 bytes, and Chromium puts "/org.chromium.Chromium.XXXXXX/SingletonSocket"
# below: beyond this it does not start, and says nothing of why.
MAX_PATH_BYTES = 60
SHORT = Path("/tmp")  # noqa: S108 - what is made there is ours alone


@dataclass(slots=True)
class Workplace:
    """One directory, and the descriptor that locks it; -1 once it is removed."""

    path: Path
    lock: int

    def remove(self) -> None:
        """Remove it; what cannot be removed is left to the next prober."""
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self.lock = self.lock, -1
        # a number that is closed twice may be that of another file by then
        if lock >= 0:
            os.close(lock)


def make(parent: Path | None = None, prefix: str = PREFIX) -> Workplace:
    """Make a new one, readable by us alone, and remove those that dead probers left behind.

    Args:
        parent: where; None: the directory for temporary files, if its path is short enough.
        prefix: of its name, and of those that are removed.

    Raises:
        OSError: there is no place to write to.
    """
    above = parent or _parent()
    _sweep(above, prefix)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=above)).resolve()
    lock = _locked(path / _LOCK, os.O_CREAT)
    if lock is None:
        raise OSError(f"want to lock {path}, got it taken")
    return Workplace(path, lock)


def _parent() -> Path:
    found = Path(tempfile.gettempdir()).resolve()
    name = f"/{PREFIX}12345678"
    return found if len(os.fsencode(found)) + len(name) <= MAX_PATH_BYTES else SHORT


def _sweep(above: Path, prefix: str) -> None:
    for path in above.glob(f"{prefix}*"):
        # one without a lock file is being made this very moment, or is not ours
        lock = _locked(path / _LOCK, 0)
        if lock is not None:
            Workplace(path, lock).remove()


def _locked(path: Path, flags: int) -> int | None:
    """Open and lock a file; None when another process holds it, or there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
