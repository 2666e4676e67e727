"""Which revision a directory stands at, and which versions of what make a run.

Read from git's own files: nothing is started for it.

Source:
    https://git-scm.com/docs/gitrepository-layout

Knows no report. Blocks (files): call it in a thread.
"""

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

# A job of CI checks out a commit and no branch, and says the branch here: GitHub, GitLab.
CI_NAMES = ("GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
# .git is a file of one line in a work tree of its own; HEAD always is.
MAX_BYTES = 4096
SHORT = 12
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)


def git_ref(directory: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return the branch of the work tree around *directory*.

    Without a branch what CI calls it, else the commit; empty: there is no repository.
    """
    for place in (directory.absolute(), *directory.absolute().parents):
        head = _head(place / ".git")
        if head.startswith("ref: refs/heads/"):
            return head.removeprefix("ref: refs/heads/")
        if _COMMIT.fullmatch(head):
            told = (environ.get(name, "") for name in CI_NAMES)
            return next(filter(None, told), head[:SHORT])
    return ""


def _head(git: Path) -> str:
    try:
        if git.is_file():
            link = _line(git)
            if not link.startswith("gitdir: "):
                return ""
            git = git.parent / link.removeprefix("gitdir: ")
        return _line(git / "HEAD")
    except OSError:
        return ""  # none here, or none of ours


def _line(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_BYTES).decode("utf-8", "replace").strip()


def versions() -> dict[str, str]:
    """Return which sonde and which Python make a run; of the rest each child tells."""
    return {"sonde": version("sonde"), "python": platform.python_version()}
