"""State on a disk: kept over a restart, owned by one process, and no disk stops a probe."""

import asyncio
import logging
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exporter import store as module
from exporter.store import FILE, MIGRATIONS, Store, StoreRefused
from tests.waiting import until

CLOSE_S = 5.0


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Store]:
    # it reads files: the command makes it before there is a loop
    store = await asyncio.to_thread(Store, directory)
    try:
        yield store
    finally:
        await store.close(CLOSE_S)


def rows(directory: Path) -> list[tuple[str, str, str]]:
    database = sqlite3.connect(directory / FILE)
    try:
        found = database.execute("SELECT owner, topic, document FROM documents ORDER BY 1, 2")
        return list(found)
    finally:
        database.close()


async def test_a_document_survives_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.put("ethereum", "evm", {"cursor": 12, "hash": "0xab"})
        assert store.get("ethereum", "evm") == {"cursor": 12, "hash": "0xab"}

    async with opened(tmp_path) as store:
        assert store.get("ethereum", "evm") == {"cursor": 12, "hash": "0xab"}
        assert store.get("ethereum", "solana") is None


async def test_the_newest_of_many_is_written_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for cursor in range(1000):
            store.put("ethereum", "evm", {"cursor": cursor})

    assert rows(tmp_path) == [("ethereum", "evm", '{"cursor":999}')]
    assert store.stats.writes < 20


async def test_writes_reach_the_disk_without_a_close(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.put("a", "evm", {"x": 1})
        await until(lambda: store.stats.writes == 1)

        assert await asyncio.to_thread(rows, tmp_path) == [("a", "evm", '{"x":1}')]
        assert store.stats.size_bytes > 0


async def test_nothing_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal, time; from pathlib import Path; from exporter.store import Store\n"
        "store = Store(Path(sys.argv[1])); store.put('a', 'evm', {'x': 1})\n"
        "while not store.stats.writes: time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(tmp_path)], check=False, cwd=Path.cwd()
    )

    async with opened(tmp_path) as store:
        assert store.get("a", "evm") == {"x": 1}


async def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """T67."""
    async with opened(tmp_path / "deep" / "data") as store:
        store.put("a", "evm", {"x": 1})
        await until(lambda: store.stats.writes == 1)

        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").rglob("*")
        }
    assert modes.pop("data") == 0o700
    assert set(modes.values()) == {0o600}


async def test_a_second_process_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    """P20, F49."""
    async with opened(tmp_path):
        with pytest.raises(StoreRefused, match=rf"got {tmp_path} of pid {os.getpid()} on "):
            await asyncio.to_thread(Store, tmp_path)

    async with opened(tmp_path):
        pass


def asides(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*.corrupt-*") if path.name[-1].isdigit()]


def spoil(path: Path) -> None:
    path.write_bytes(b"this is no database, but longer than a header of a hundred bytes" * 100)


def overwrite(path: Path) -> None:
    """4 KiB of it (F38)."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096))


def lie(path: Path) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE documents SET document = '{'")
    database.close()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(spoil, id="no database"),
        pytest.param(overwrite, id="a page overwritten"),
        pytest.param(lie, id="a document that is no JSON"),
    ],
)
async def test_a_corrupt_file_is_moved_aside_and_told(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """P23, F38."""
    async with opened(tmp_path) as store:
        store.put("a", "evm", {"x": "y" * 9000})
    await asyncio.to_thread(damage, tmp_path / FILE)

    async with opened(tmp_path) as store:
        assert store.get("a", "evm") is None
        store.put("a", "evm", {"x": 2})

    assert rows(tmp_path) == [("a", "evm", '{"x":2}')]
    (aside,) = asides(tmp_path)
    assert str(aside) in caplog.text
    assert store.stats.failures == 1


class Broken:
    """A connection to a file that has just been overwritten."""

    def __enter__(self) -> "Broken":
        return self

    def __exit__(self, *_: object) -> None: ...

    def executemany(self, *_: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT_INDEX"
        raise error

    def close(self) -> None: ...


async def test_a_file_that_breaks_while_it_is_used_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    async with opened(tmp_path) as store:
        store.put("a", "evm", {"x": 1})
        await until(lambda: store.stats.writes == 1)
        sound = store._database
        store._database = Broken()  # type: ignore[assignment]
        store.put("b", "evm", {"x": 2})
        await until(lambda: store.stats.writes >= 3)
        assert sound is not None
        await asyncio.to_thread(sound.close)

    assert len(asides(tmp_path)) == 1
    assert rows(tmp_path) == [("a", "evm", '{"x":1}'), ("b", "evm", '{"x":2}')]


async def test_a_newer_format_is_left_as_it_is(tmp_path: Path) -> None:
    """F53."""
    async with opened(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / FILE)
    database.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    database.close()
    before = (tmp_path / FILE).read_bytes()

    with pytest.raises(StoreRefused, match="a newer sonde made it; it is left as it is"):
        await asyncio.to_thread(Store, tmp_path)

    assert (tmp_path / FILE).read_bytes() == before
    assert asides(tmp_path) == []


def allow_pages(store: Store, more: int) -> None:
    """As on a disk with that much room: SQLite may not grow its file further."""
    database = store._database
    assert database is not None
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count={pages + more}")


async def test_a_full_disk_is_told_once_and_written_to_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P21, F34."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    # of this very logger: a command that ran in this process may have set the level of its parent
    caplog.set_level(logging.INFO, "sonde.store")
    big = {"x": "y" * 20_000}
    async with opened(tmp_path) as store:
        await asyncio.to_thread(allow_pages, store, 0)
        store.put("a", "evm", big)
        await until(lambda: store.stats.failures >= 3)
        assert store.stats.is_degraded

        await asyncio.to_thread(allow_pages, store, 1000)
        await until(lambda: not store.stats.is_degraded)

    assert len(rows(tmp_path)) == 1
    assert caplog.text.count("database or disk is full") == 1
    assert "can be written again" in caplog.text


async def test_a_full_disk_at_the_start_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    connect = module._connect
    is_full = True

    def refusing(path: Path) -> sqlite3.Connection:
        if is_full:
            raise sqlite3.OperationalError("database or disk is full")
        return connect(path)

    monkeypatch.setattr(module, "_connect", refusing)
    async with opened(tmp_path) as store:
        assert store.stats.is_degraded
        store.put("a", "evm", {"x": 1})
        await until(lambda: store.stats.failures >= 2)
        is_full = False
        await until(lambda: not store.stats.is_degraded)

    assert rows(tmp_path) == [("a", "evm", '{"x":1}')]


async def test_a_directory_that_may_not_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        await asyncio.to_thread(Store, tmp_path / "file" / "data")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"x": object()}, id="no JSON"),
        pytest.param({"x": float("nan")}, id="not a number"),
        pytest.param({"x": "y" * (module.MAX_DOCUMENT_BYTES + 1)}, id="too large"),
    ],
)
async def test_a_document_that_cannot_be_stored_costs_itself_alone(
    tmp_path: Path, document: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        store.put("bad", "evm", document)
        store.put("good", "evm", {"x": 1})

    assert [owner for owner, _, _ in rows(tmp_path)] == ["good"]
    assert store.stats.dropped == 1
    assert "want state of bad that can be stored" in caplog.text


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 2)
    monkeypatch.setattr(module, "GROUP_S", 60.0)
    async with opened(tmp_path) as store:
        for name in ("a", "b", "c", "a"):
            store.put(name, "evm", {"x": 1})

        assert store.stats.dropped == 1
    assert len(rows(tmp_path)) == 2


async def test_what_nobody_has_touched_for_a_month_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.put("old", "evm", {"x": 1})
        store.put("new", "evm", {"x": 1})
    database = sqlite3.connect(tmp_path / FILE)
    with database:
        database.execute(
            "UPDATE documents SET written_at = '2020-01-01T00:00:00+00:00' WHERE owner = 'old'"
        )
    database.close()

    async with opened(tmp_path) as store:
        assert store.get("old", "evm") is None
        assert store.get("new", "evm") == {"x": 1}
    assert [owner for owner, _, _ in rows(tmp_path)] == ["new"]


async def test_the_pragmas_are_in_force(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        database = store._database
        assert database is not None

        def asked(name: str) -> object:
            return database.execute(f"PRAGMA {name}").fetchone()[0]

        found = {
            name: await asyncio.to_thread(asked, name)
            for name in ("auto_vacuum", "journal_mode", "synchronous", "user_version")
        }

    assert found == {
        "auto_vacuum": 2, "journal_mode": "wal", "synchronous": 2, "user_version": len(MIGRATIONS),
    }  # fmt: skip


async def test_a_disk_that_hangs_holds_no_shutdown_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P26."""
    release = multiprocessing.Event()
    store = await asyncio.to_thread(Store, tmp_path)
    monkeypatch.setattr(store, "_write", lambda _: release.wait(10))
    store.put("a", "evm", {"x": 1})

    await store.close(0.05)

    assert "want the state on the disk within 0.05 s" in caplog.text
    release.set()
    await asyncio.to_thread(store._thread.join)
