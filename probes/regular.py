"""Files that people name, as bytes: regular ones, up to a limit. Knows no content and no use of it.

A pipe, a device or a socket is refused before anything is read: it could make its reader wait for
ever. The words of a refusal are the caller's, who knows what the file is for.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class NotRegular(ValueError):
    """A directory, a pipe, a device or a socket."""


class TooLarge(ValueError):
    """A file of more bytes than its reader takes."""


@contextmanager
def open_regular(path: str | Path, flags: int = 0) -> Iterator[BinaryIO]:
    """Open a regular file for reading. Blocks for as long as the disk does.

    Args:
        path: of the file.
        flags: more of those of `os.open`, such as ``O_NOFOLLOW`` where a stranger may write.

    Raises:
        NotRegular: it is something else.
        OSError: it cannot be opened.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would never return
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegular(f"want a regular file, got {path}")
        # closefd=False: one owner of the descriptor, also when fdopen raises
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_regular(path: str | Path, max_bytes: int, flags: int = 0) -> bytes:
    """Return what a regular file holds. Blocks for as long as the disk does.

    Args:
        path: of the file.
        max_bytes: that it may hold.
        flags: as those of `open_regular`.

    Raises:
        NotRegular: it is something else.
        TooLarge: it holds more.
        OSError: it cannot be opened or read.
    """
    with open_regular(path, flags) as file:
        # the size that fstat tells may be old, and that of a file in /proc is 0
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise TooLarge(f"want a file of at most {max_bytes} bytes, got more in {path}")
    return data
