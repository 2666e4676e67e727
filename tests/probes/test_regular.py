"""Regular files up to a limit."""

import os
import socket
from pathlib import Path

import pytest

from probes.regular import NotRegular, TooLarge, open_regular, read_regular


def open_files() -> set[str]:
    """What this process has open, each by its number and what it is."""
    folder = Path("/proc/self/fd")
    return {f"{it.name} {it.readlink()}" for it in folder.iterdir() if it.is_symlink()}


def made(tmp_path: Path, sort: str) -> Path:
    path = tmp_path / sort
    if sort == "folder":
        path.mkdir()
    elif sort == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


def test_a_file_of_as_many_bytes_as_allowed_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"\x00whole")

    assert read_regular(path, 6) == b"\x00whole"


def test_one_byte_more_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"seven b")

    with pytest.raises(TooLarge, match=r"want a file of at most 6 bytes, got more in .*it$"):
        read_regular(path, 6)


def test_a_file_that_says_that_it_is_empty_is_judged_by_what_it_holds() -> None:
    assert Path("/proc/self/stat").stat().st_size == 0

    with pytest.raises(TooLarge):
        read_regular("/proc/self/stat", 1)


@pytest.mark.parametrize("sort", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_refused_unread_and_closed(tmp_path: Path, sort: str) -> None:
    path = made(tmp_path, sort)
    before = open_files()

    with pytest.raises(NotRegular, match=f"want a regular file, got .*{sort}$"):
        read_regular(path, 10)

    assert open_files() - before == set()


def test_a_socket_and_a_missing_file_cannot_be_opened(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))

        with pytest.raises(OSError, match="No such device or address"):
            read_regular(tmp_path / "socket", 10)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 10)


def test_a_link_is_followed_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"here")
    (tmp_path / "link").symlink_to(tmp_path / "it")

    assert read_regular(tmp_path / "link", 10) == b"here"
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "link", 10, os.O_NOFOLLOW)


def test_the_file_is_closed_when_its_reader_raises(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"here")
    before = open_files()

    with pytest.raises(KeyError), open_regular(path):
        raise KeyError

    assert open_files() - before == set()
