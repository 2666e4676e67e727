"""Files of Python code that the probe file names: where they may lie, and how they are read.

The code is somebody's own, beside the probe file; it never runs here. Knows no journey.
"""

import sys
from pathlib import Path

from probes.regular import NotRegular, TooLarge, read_regular
from probes.units import format_size, short

# A program, not a data set.
MAX_SOURCE_BYTES = 2**20


def inside(home: Path, file: str) -> Path:
    """Return the path of a Python file below *home*, links followed.

    Raises:
        ValueError: it is elsewhere, or could be taken for a module of Python's own.
    """
    if "\0" in file:
        raise ValueError(f"want a file name without a zero byte, got {short(file)}")
    try:
        path = (home / file).resolve()
    except (OSError, RuntimeError):
        raise ValueError(f"want a file, got a loop of links: {short(file)}") from None
    if not path.is_relative_to(home):
        raise ValueError(f"want a file inside {short(str(home))}, got {short(file)}")
    if path.suffix != ".py":
        raise ValueError(f"want a file that ends in .py, got {short(file)}")
    if path.stem in sys.stdlib_module_names:
        raise ValueError(f"want a name that is no module of Python itself, got {short(file)}")
    return path


def read_code(path: Path, file: str) -> str:
    """Return the code.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        data = read_regular(path, MAX_SOURCE_BYTES)
    except (FileNotFoundError, NotRegular):
        raise ValueError(f"want a regular file, got {short(file)}") from None
    except TooLarge:
        limit = format_size(MAX_SOURCE_BYTES)
        raise ValueError(f"{file}: want at most {limit}, got more") from None
    except OSError as error:
        raise ValueError(f"want a readable file, got {short(file)}: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file}:{line}: want UTF-8, got other bytes") from None
