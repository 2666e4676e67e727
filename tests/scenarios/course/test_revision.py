"""The revision of a work tree, from git's own files."""

import subprocess
from pathlib import Path

from scenarios.course.revision import git_ref

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def head(directory: Path, text: str) -> None:
    (directory / ".git").mkdir()
    (directory / ".git" / "HEAD").write_text(text)


def test_a_branch_is_told_from_anywhere_below(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "feature/a", str(tmp_path)], check=True)
    (tmp_path / "load" / "deep").mkdir(parents=True)

    assert git_ref(tmp_path / "load" / "deep", {}) == "feature/a"


def test_a_commit_is_told_by_the_branch_that_ci_calls_it_else_by_itself(tmp_path: Path) -> None:
    head(tmp_path, f"{COMMIT}\n")

    assert git_ref(tmp_path, {"GITHUB_REF_NAME": "main"}) == "main"
    assert git_ref(tmp_path, {"CI_COMMIT_REF_NAME": "dev"}) == "dev"
    assert git_ref(tmp_path, {}) == COMMIT[:12]


def test_a_work_tree_of_its_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "HEAD").write_text("ref: refs/heads/side\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").write_text("gitdir: ../inner\n")

    assert git_ref(tmp_path / "tree", {}) == "side"


def test_no_repository_and_a_broken_one_have_none(tmp_path: Path) -> None:
    head(tmp_path, "\x00\xff nonsense")

    assert git_ref(tmp_path, {"GITHUB_REF_NAME": "main"}) == ""
