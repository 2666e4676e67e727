"""What a failed run leaves to look at: screenshots, traces, HAR files; few, small and private.

    DIR/<journey>/20261121T181500Z-1f2e3d4c-screenshot.png

At most `MAX_FILES` of a probe and `MAX_BYTES` of all, the oldest go first. Whoever made the files
is believed nothing: names, links and sizes are judged. Every call blocks: off the loop only.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from probes.browser.protocol import Artefact
from probes.units import short

# load.md 4.3
MAX_FILES = 20
MAX_BYTES = 200 * 1024 * 1024
# A trace of a minute has some MB; one of more would push everything else out.
MAX_FILE_BYTES = 50 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", re.ASCII)
_OWN = "sonde-artefacts"
_STAMP = "%Y%m%dT%H%M%SZ"


class NotKept(ValueError):
    """The files could not be kept; the text says why."""


def default_directory() -> Path:
    """Return where artefacts go that no file says a place for: ours alone below /tmp."""
    return Path(tempfile.gettempdir()) / f"{_OWN}-{os.geteuid()}"


def keep(
    files: Path, artefacts: Sequence[Artefact], store: Path | None, owner: str, run_id: str
) -> dict[str, Path]:
    """Move the artefacts of a run to where they stay, the oldest others out; remove *files*.

    Args:
        files: directory of the run.
        artefacts: what the child says it wrote there.
        store: where they stay; None: `default_directory`.
        owner: whose they are: a directory of that name.
        run_id: of the run.

    Returns:
        ``screenshot``, ``screenshot 2``, ``trace`` ... -> path.

    Raises:
        NotKept: the directory is no place of ours, the disk is full, or the child lies.
    """
    try:
        return _kept(files, artefacts, store, owner, run_id) if artefacts else {}
    except OSError as error:
        raise NotKept(f"want to keep artefacts, got {error.strerror or error}") from None
    finally:
        shutil.rmtree(files, ignore_errors=True)


def _kept(
    files: Path, artefacts: Sequence[Artefact], store: Path | None, owner: str, run_id: str
) -> dict[str, Path]:
    kept: dict[str, Path] = {}
    home = _directory(store) / owner
    home.mkdir(mode=0o700, exist_ok=True)
    begin = f"{datetime.now(UTC).strftime(_STAMP)}-{run_id[:8]}"
    for artefact in artefacts[:MAX_FILES]:
        path = home / f"{begin}-{_judged(artefact.name)}"
        _copy(files / artefact.name, path)
        kept[_free_name(artefact.kind, kept)] = path
    _trim(home)
    return kept


def _directory(store: Path | None) -> Path:
    """Return the directory, made when it is not there.

    Raises:
        NotKept: somebody else's directory stands where ours should.
    """
    path = store or default_directory()
    path.mkdir(mode=0o700, parents=store is not None, exist_ok=True)
    if store is None:
        # /tmp is everybody's: whoever was first may have laid a link there, or may read along
        found = path.lstat()
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not is_ours or stat.S_IMODE(found.st_mode) & 0o077:
            raise NotKept(f"want {path} to be ours alone, got another's: set safety.browser")
    return path


def _judged(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NotKept(f"want a plain name of an artefact, got {short(name)}")
    return name


def _free_name(kind: str, taken: Iterable[str]) -> str:
    count = sum(1 for name in taken if name.partition(" ")[0] == kind)
    return f"{kind} {count + 1}" if count else kind


def _copy(source: Path, path: Path) -> None:
    """Copy a regular file of bounded size; half a file is none."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as reader:
        found = os.fstat(reader.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            raise NotKept(f"want a file of at most {MAX_FILE_BYTES} bytes, got {source.name}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as writer:
            try:
                shutil.copyfileobj(reader, writer)
            except OSError:
                path.unlink(missing_ok=True)
                raise


def _trim(home: Path) -> None:
    """Remove the oldest: of this owner beyond `MAX_FILES`, of all beyond `MAX_BYTES`."""
    for path, _ in _by_age(home.iterdir())[MAX_FILES:]:
        path.unlink(missing_ok=True)
    total = 0
    for path, size in _by_age(_all_files(home.parent)):
        total += size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)


def _all_files(store: Path) -> Iterator[Path]:
    for owner in store.iterdir():
        if owner.is_dir() and not owner.is_symlink():
            yield from owner.iterdir()


def _by_age(paths: Iterable[Path]) -> list[tuple[Path, int]]:
    """Return our regular files with their sizes, the newest first."""
    found: list[tuple[float, Path, int]] = []
    for path in paths:
        try:
            it = path.lstat()
        except FileNotFoundError:
            continue  # another run was faster
        if stat.S_ISREG(it.st_mode) and _is_named_by_us(path.name):
            found.append((it.st_mtime, path, it.st_size))
    return [(path, size) for _, path, size in sorted(found, reverse=True)]


def _is_named_by_us(name: str) -> bool:
    """Return whether *name* begins with our stamp: a store may hold files of others."""
    return bool(re.match(r"[0-9]{8}T[0-9]{6}Z-", name))
