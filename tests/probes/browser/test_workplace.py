import os
import tempfile
from pathlib import Path

import pytest

from probes.browser import workplace
from probes.browser.workplace import PREFIX, make


def test_a_place_is_ours_alone_and_goes(tmp_path: Path) -> None:
    place = make(tmp_path)
    assert place.path.parent == tmp_path.resolve()
    assert place.path.stat().st_mode & 0o777 == 0o700
    (place.path / "profile").mkdir()
    lock = place.lock
    place.remove()
    assert not place.path.exists()
    with Path(os.devnull).open() as taken:
        assert taken.fileno() == lock, "the lowest that is free"
        place.remove()
        os.fstat(lock)


def test_what_a_dead_prober_left_is_removed(tmp_path: Path) -> None:
    left = make(tmp_path)
    (left.path / "profile").write_text("x")
    os.close(left.lock)  # as its end does
    alive = make(tmp_path)
    assert not left.path.exists()
    second = make(tmp_path)
    assert alive.path.exists()
    alive.remove()
    second.remove()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}mine").mkdir()
    (tmp_path / f"{PREFIX}link").mkdir()
    (tmp_path / f"{PREFIX}link" / "lock").symlink_to(tmp_path / "victim")
    (tmp_path / "victim").write_text("")
    make(tmp_path).remove()
    assert (tmp_path / f"{PREFIX}mine").exists()
    assert (tmp_path / f"{PREFIX}link").exists()


def test_a_long_path_is_not_for_the_sockets_of_chromium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = tmp_path / "s", tmp_path / ("long" * 20)
    short.mkdir()
    long.mkdir()
    monkeypatch.setattr(workplace, "SHORT", short)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    place = make()
    assert place.path.parent == short
    monkeypatch.setattr(workplace, "MAX_PATH_BYTES", 200)
    other = make()
    assert other.path.parent == long
    place.remove()
    other.remove()


def test_no_place_to_write_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        make(tmp_path / "none")
