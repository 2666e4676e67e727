import os
from pathlib import Path

import pytest

from scenarios.course import remains
from scenarios.course.remains import read_pages


def test_the_page_of_each_shard_is_taken_along(tmp_path: Path) -> None:
    (tmp_path / "locust-0.html").write_bytes(b"one \xff")
    (tmp_path / "locust-1.html").write_text("two")
    (tmp_path / "locust-2.html").write_text("of nobody")

    assert read_pages(tmp_path, 2) == {"locust-0.html": "one \\xff", "locust-1.html": "two"}
    assert read_pages(tmp_path, 1) == {"locust.html": "one \\xff"}


def test_what_is_no_page_of_a_child_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a file of ours, a pipe that nobody fills, a page without end."""
    monkeypatch.setattr(remains, "MAX_PAGE_BYTES", 9)
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "locust-0.html").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "locust-1.html")
    (tmp_path / "locust-2.html").write_text("x" * 10)

    assert read_pages(tmp_path, 4) == {}
