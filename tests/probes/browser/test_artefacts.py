import os
import tempfile
from pathlib import Path

import pytest

from probes.browser import artefacts
from probes.browser.artefacts import MAX_FILES, NotKept, default_directory, keep
from probes.browser.protocol import Artefact

SHOT = Artefact("screenshot", "shot.png")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    found = tmp_path / "run"
    found.mkdir()
    (found / "shot.png").write_bytes(b"png")
    (found / "second.png").write_bytes(b"png2")
    return found


def again(files: Path, count: int = 1) -> Path:
    files.mkdir(exist_ok=True)
    (files / "shot.png").write_bytes(b"x" * count)
    return files


def test_files_are_kept_for_us_alone_and_the_rest_goes(files: Path, tmp_path: Path) -> None:
    second = Artefact("screenshot", "second.png")
    kept = keep(files, (SHOT, second), tmp_path / "a" / "kept", "shop", "0123456789")
    assert list(kept) == ["screenshot", "screenshot 2"]
    path = kept["screenshot"]
    assert path.read_bytes() == b"png"
    assert path.parent == tmp_path / "a" / "kept" / "shop"
    assert path.name.endswith("-01234567-shot.png")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not files.exists()


def test_without_artefacts_no_directory_is_made(files: Path, tmp_path: Path) -> None:
    assert keep(files, (), tmp_path / "kept", "shop", "r") == {}
    assert not files.exists()
    assert not (tmp_path / "kept").exists()


def test_the_oldest_of_a_probe_go_first(files: Path, tmp_path: Path) -> None:
    store, paths = tmp_path / "kept", list[Path]()
    for number in range(MAX_FILES + 3):
        paths += keep(again(files), (SHOT,), store, "shop", f"{number:08}").values()
        os.utime(paths[-1], (number, number))
    other = keep(again(files), (SHOT,), store, "other", "r")["screenshot"]
    keep(again(files), (SHOT,), store, "shop", "last")
    assert [path.exists() for path in paths[:5]] == [False, False, False, False, True]
    assert len(list((store / "shop").iterdir())) == MAX_FILES
    assert other.exists()


def test_all_together_have_a_bound(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "MAX_BYTES", 250)
    store = tmp_path / "kept"
    old = keep(again(files, 100), (SHOT,), store, "old", "r")["screenshot"]
    os.utime(old, (1, 1))
    new = keep(again(files, 100), (SHOT,), store, "new", "r")["screenshot"]
    os.utime(new, (2, 2))
    foreign = store / "new" / "notes.txt"
    foreign.write_text("x" * 1000)
    last = keep(again(files, 100), (SHOT,), store, "shop", "r")["screenshot"]
    assert (old.exists(), new.exists(), last.exists()) == (False, True, True)
    assert foreign.exists()


@pytest.mark.parametrize("name", ["../lock", ".hidden", "a/b", "", "a\nb", "x" * 200])
def test_a_name_that_is_a_path_is_refused(name: str, files: Path, tmp_path: Path) -> None:
    with pytest.raises(NotKept, match="want a plain name of an artefact, got"):
        keep(files, (Artefact("har", name),), tmp_path / "kept", "shop", "r")
    assert not files.exists()


def test_a_link_is_not_followed(files: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter22")
    (files / "link.har").symlink_to(tmp_path / "secret")
    with pytest.raises(NotKept, match="want to keep artefacts, got"):
        keep(files, (Artefact("har", "link.har"),), tmp_path / "kept", "shop", "r")


def test_a_pipe_and_a_huge_file_are_refused(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(files / "pipe.har")
    with pytest.raises(NotKept, match="want a file of at most 52428800 bytes, got pipe"):
        keep(files, (Artefact("har", "pipe.har"),), tmp_path / "kept", "shop", "r")
    monkeypatch.setattr(artefacts, "MAX_FILE_BYTES", 2)
    with pytest.raises(NotKept, match="want a file of at most 2 bytes, got shot"):
        keep(again(files, 3), (SHOT,), tmp_path / "kept", "shop", "r")


def test_a_place_that_cannot_be_written_to_is_told(files: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(NotKept, match="want to keep artefacts, got File exists"):
        keep(files, (SHOT,), tmp_path / "kept", "shop", "r")


def test_the_default_place_is_ours_alone(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = keep(files, (SHOT,), None, "shop", "r")["screenshot"]
    assert path.parent.parent == default_directory()
    assert default_directory().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("way", ["open", "link"])
def test_a_default_place_of_somebody_else_is_not_used(
    way: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if way == "open":
        default_directory().mkdir(mode=0o755)
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        default_directory().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotKept, match="to be ours alone, got another"):
        keep(files, (SHOT,), None, "shop", "r")
