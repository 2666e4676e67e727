"""State that survives a restart: small JSON documents in SQLite, written by one thread.

    put() ──> pending: key -> document ──> thread: one transaction every 50 ms ──> state.db
    get() <── what was there at the start, and what has been put since

The newest document of a key replaces the one that waits, so what waits is bounded by the keys. A
disk that is full or broken stops nobody: it is logged, counted, and tried again. Knows not what
the documents mean.
"""

import asyncio
import errno
import fcntl
import json
import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

log = logging.getLogger("sonde.store")

FILE = "state.db"
LOCK = "lock"
# stack.md 13: so many writes become one synchronous commit.
GROUP_S = 0.05
# P21: normal again at most 30 s after there is space again.
RETRY_S = 5.0
# One document for each probe with state; a process has 10,000 probes at most (P1).
MAX_PENDING = 10_000
# A document of a chain group is some kB; this is a kind that does not know its bounds.
MAX_DOCUMENT_BYTES = 1 << 20
# Of a probe that has left the file: it may come back after a release, not after a season.
KEEP_DAYS = 30
# What SQLite says of a file that is no sound database (sqlite.org/rescode.html).
CORRUPT = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
# A disk like this gets better; a directory that may not be written does not.
PASSING_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
SIDE_FILES = ("", "-wal", "-shm")
# In this order: auto_vacuum has no effect after the first table, nor after journal_mode.
PRAGMAS = (
    "PRAGMA auto_vacuum=incremental",
    "PRAGMA journal_mode=wal",
    "PRAGMA synchronous=full",
    "PRAGMA busy_timeout=5000",
)
_DOCUMENTS = (
    "CREATE TABLE documents (owner TEXT NOT NULL, topic TEXT NOT NULL, document TEXT NOT NULL,"
    " written_at TEXT NOT NULL, PRIMARY KEY (owner, topic)) WITHOUT ROWID"
)
MIGRATIONS = (_DOCUMENTS,)
_UPSERT = (
    "INSERT INTO documents VALUES (?, ?, ?, ?) ON CONFLICT (owner, topic)"
    " DO UPDATE SET document = excluded.document, written_at = excluded.written_at"
)

Key = tuple[str, str]
Document = Mapping[str, Any]


class StoreRefused(ValueError):
    """A data directory that may not be used: another process has it, or a newer version made it."""


@dataclass(slots=True)
class StoreStats:
    """What the thread has done; read by others."""

    writes: int = 0
    failures: int = 0
    dropped: int = 0
    is_degraded: bool = False
    size_bytes: int = 0


class Store:
    """The documents of one data directory. Made before there is a loop: it reads files.

    Args:
        directory: is made if it is not there, for its owner alone.

    Raises:
        StoreRefused: another process has it, or its format is newer than this version.
        OSError: it cannot be made or read.
    """

    def __init__(self, directory: Path) -> None:
        self.stats = StoreStats()
        self._path = directory / FILE
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _own(directory)
        try:
            self._documents: dict[Key, Document] = {}
            self._database = self._opened()
        except BaseException:
            os.close(self._lock)
            raise
        self._pending: dict[Key, Document] = {}
        self._changed = threading.Condition()
        self._is_closing = False
        self._ended: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._work, name="sonde-store", daemon=True)
        self._thread.start()

    def get(self, owner: str, topic: str) -> Document | None:
        """Return a document, None when there is none."""
        return self._documents.get((owner, topic))

    def put(self, owner: str, topic: str, document: Document) -> None:
        """Replace a document; it is on the disk a little later. Never blocks, never raises."""
        key = (owner, topic)
        self._documents[key] = document
        with self._changed:
            if len(self._pending) >= MAX_PENDING and key not in self._pending:
                self.stats.dropped += 1
                return
            self._pending[key] = document
            self._changed.notify()

    async def close(self, timeout_s: float) -> None:
        """Write what waits and let go of the directory; a disk that hangs is left behind."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._end(loop)
        _, late = await asyncio.wait({self._ended}, timeout=timeout_s)
        if late:
            log.error("want the state on the disk within %g s, got no end", timeout_s)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if not self._thread.is_alive():
            self._tell_end()

    def _tell_end(self) -> None:
        ended = self._ended
        if ended is not None and not ended.done():
            ended.set_result(None)

    # --- the thread

    def _work(self) -> None:
        """Write until it is closed; what cannot be written is tried again."""
        while True:
            batch, is_last = self._next()
            if batch and not self._write(batch):
                self._give_back(batch)
                if not is_last:
                    self._pause(RETRY_S)
            if is_last:
                break
        self._shut()
        os.close(self._lock)
        with suppress(RuntimeError):  # the loop has ended without waiting
            self._loop.call_soon_threadsafe(self._tell_end)

    def _next(self) -> tuple[dict[Key, Document], bool]:
        """Wait for something to do; return what is to be written, and whether it is the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._is_closing)
            if not self._is_closing:
                self._changed.wait_for(lambda: self._is_closing, GROUP_S)
            batch, self._pending = self._pending, {}
            return batch, self._is_closing

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, seconds)

    def _give_back(self, batch: dict[Key, Document]) -> None:
        with self._changed:
            self._pending = {**batch, **self._pending}

    def _write(self, batch: Mapping[Key, Document]) -> bool:
        """Write *batch* in one transaction; return whether it is settled."""
        try:
            rows = list(self._rows(batch))
            if self._database is None:
                self._database = self._read()
            with self._database as transaction:
                transaction.executemany(_UPSERT, rows)
        except (sqlite3.Error, OSError, StoreRefused) as error:
            self.stats.failures += 1
            if _is_corrupt(error):
                self._begin_anew(error)
            else:
                self._tell_trouble(error)
            return False
        self.stats.writes += len(rows)
        if self.stats.is_degraded:
            self.stats.is_degraded = False
            log.info("the state in %s can be written again", self._path)
        self._measure()
        return True

    def _rows(self, batch: Mapping[Key, Document]) -> list[tuple[str, str, str, str]]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows: list[tuple[str, str, str, str]] = []
        for (owner, topic), document in batch.items():
            try:
                text = json.dumps(document, separators=(",", ":"), allow_nan=False)
            except (TypeError, ValueError) as error:
                self._drop(owner, f"{type(error).__name__}: {error}")
                continue
            if len(text) > MAX_DOCUMENT_BYTES:
                self._drop(owner, f"{len(text)} bytes, want at most {MAX_DOCUMENT_BYTES}")
            else:
                rows.append((owner, topic, text, now))
        return rows

    def _drop(self, owner: str, why: str) -> None:
        self.stats.dropped += 1
        log.error("want state of %s that can be stored, got %s", owner, why)

    def _tell_trouble(self, error: Exception) -> None:
        if not self.stats.is_degraded:
            log.error(
                "want to write %s, got %s: tried again, nothing else stops", self._path, error
            )
        self.stats.is_degraded = True

    def _begin_anew(self, error: Exception) -> None:
        """Set a file aside that broke under our hands; all that is known goes into a new one."""
        self._shut()
        try:
            _set_aside(self._path, error)
        except OSError as trouble:
            self._tell_trouble(trouble)
        else:
            self._give_back(dict(self._documents))

    def _shut(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _measure(self) -> None:
        with suppress(OSError):
            self.stats.size_bytes = sum(
                path.stat().st_size for path in _files(self._path) if path.exists()
            )

    # --- the start

    def _opened(self) -> sqlite3.Connection | None:
        """Return the database; None while the disk does not let us have one."""
        try:
            try:
                return self._read()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self.stats.failures += 1
                _set_aside(self._path, error)
            return self._read()
        except sqlite3.Error as error:
            self._tell_trouble(error)
        except OSError as error:
            if error.errno not in PASSING_ERRNOS:
                raise
            self._tell_trouble(error)
        return None

    def _read(self) -> sqlite3.Connection:
        database = _connect(self._path)
        try:
            oldest = datetime.now(UTC) - timedelta(days=KEEP_DAYS)
            rows = database.execute("SELECT owner, topic, document, written_at FROM documents")
            for owner, topic, text, written_at in rows:
                if datetime.fromisoformat(written_at) >= oldest:
                    self._documents.setdefault((owner, topic), json.loads(text))
            with suppress(sqlite3.OperationalError), database as transaction:  # a full disk
                transaction.execute(
                    "DELETE FROM documents WHERE written_at < ?",
                    (oldest.isoformat(timespec="seconds"),),
                )
        except ValueError as error:
            database.close()
            raise _odd(f"{type(error).__name__} in a document") from error
        except BaseException:
            database.close()
            raise
        self._measure()
        return database


def _odd(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def _is_corrupt(error: Exception) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return any(name.startswith(known) for known in CORRUPT)


def _connect(path: Path) -> sqlite3.Connection:
    """Open the database and bring it to this version.

    Raises:
        StoreRefused: a newer version made it.
        sqlite3.Error: it cannot be opened.
    """
    # SQLite gives its side files the mode of the first
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        version: int = database.execute("PRAGMA user_version").fetchone()[0]
        _refuse_newer(path, version)
        for pragma in PRAGMAS:
            database.execute(pragma).close()
        _refuse_unsound(database)
        for number, statement in enumerate(MIGRATIONS[version:], start=version + 1):
            with database as transaction:
                transaction.execute("BEGIN IMMEDIATE")
                transaction.execute(statement)
                transaction.execute(f"PRAGMA user_version={number}")
    except BaseException:
        database.close()
        raise
    return database


def _refuse_newer(path: Path, version: int) -> None:
    if version > len(MIGRATIONS):
        raise StoreRefused(
            f"want {path} of format {len(MIGRATIONS)} or older, got {version}: a newer sonde made"
            " it; it is left as it is"
        )


def _refuse_unsound(database: sqlite3.Connection) -> None:
    found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise _odd(found)


def _own(directory: Path) -> int:
    """Take the directory for this process alone; the kernel gives it back when we end."""
    path = directory / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 256).decode("utf-8", "replace").strip() or "another process"
        os.close(descriptor)
        raise StoreRefused(
            f"want a data directory of its own, got {directory} of {owner}"
        ) from None
    with suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in SIDE_FILES]


def _set_aside(path: Path, error: Exception) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    for old, new in zip(_files(path), _files(aside), strict=True):
        with suppress(FileNotFoundError):
            old.rename(new)
    log.error("want a sound database, got %s: it was moved to %s, a fresh one begins", error, aside)
